// An unrestricted q(z | x) by variational calculus (UT): the bridge from the bound to EM.
#pragma once

#include <ATen/core/Tensor.h>

#include "elbo/program/trace.h"

namespace elbo {

/// The bound of each row as a functional of a q without any form, on finitely many cells: the
/// values of discrete latent variables, or the points of a grid.
///
/// **Equation** L[q] = sum_c v_c q_c (log p(x, z_c) - log q_c) subject to sum_c v_c q_c = 1, v_c
/// the cell's volume: 1 for discrete values. With the multiplier lambda (UT) the derivative of
/// L[q] + lambda (1 - sum_c v_c q_c) along q_c is v_c (log p(x, z_c) - log q_c - 1 - lambda), which
/// is 0 in all cells at q_c = p(z_c | x) = e^(-1 - lambda) p(x, z_c) alone; there
/// lambda = log p(x) - 1.
/// **Shapes** C cells, M rows; log q [C, M].
/// **Units** nats.
class FreeForm {
 public:
  /// `log_joint` [C, M], -inf in cells that are impossible; `volume` [C], by default all 1.
  /// **Throws** ShapeError; NumericError for a row with no possible cell, or a NaN.
  explicit FreeForm(at::Tensor log_joint, const at::Tensor& volume = {});
  /// Of a program whose latent sites are enumerated or on a grid (see handlers.h): cells in the
  /// order in which the program runs its sites, the last one's values next to each other.
  FreeForm(const Program& model, const Batch& batch, const at::Tensor& volume = {});

  /// log of the q that is the same in all possible cells.
  [[nodiscard]] at::Tensor uniform() const;
  /// L[q], [M].
  [[nodiscard]] at::Tensor bound(const at::Tensor& log_q) const;
  /// The functional derivative log p(x, z) - log q(z) - 1, [C, M]; 0 in impossible cells.
  [[nodiscard]] at::Tensor derivative(const at::Tensor& log_q) const;

  struct Step {
    at::Tensor log_q;       ///< [C, M]
    at::Tensor multiplier;  ///< lambda, [M], by which it integrates to 1
  };
  /// One ascent along the derivative. Its length is measured by KL, so that q stays positive: the
  /// natural gradient's, or mirror ascent.
  /// **Equation** argmax over q' of sum_c v_c (dL/dq_c) q'_c - KL(q' || q) / rate subject to
  /// sum_c v_c q'_c = 1, which is log q' = log q + rate (dL/dq - lambda). It takes
  /// log q - log p(z | x) to (1 - rate) of itself, up to a constant, so that L never falls.
  /// **Ranges** rate in (0, 1]; at 1 it arrives.
  [[nodiscard]] Step ascend(const at::Tensor& log_q, double rate) const;
  /// Ascents from `log_q` until the derivative is the same in all possible cells, within
  /// `tolerance` or what rounding leaves: q is then within as much of p(z | x), relatively.
  [[nodiscard]] Step maximise(at::Tensor log_q, double rate, double tolerance = 1e-12) const;

  /// Cells' probabilities v q, [C, M]: the weights of EM's M step (`Em::start`).
  [[nodiscard]] at::Tensor probabilities(const at::Tensor& log_q) const;

 private:
  at::Tensor log_joint_;
  at::Tensor log_volume_;  ///< [C, 1]
  at::Tensor possible_;    ///< [C, M]
};

}  // namespace elbo
