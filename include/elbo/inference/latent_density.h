// A program's continuous latents as points without constraint, and their log joint density.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "elbo/batch.h"
#include "elbo/program/trace.h"

namespace elbo {

struct LatentDensityOptions {
  int64_t chains = 1;      ///< C: independent copies of the latents, the program's particles
  int64_t plate_dims = 1;  ///< how deep plates nest at most
};

/// log p(x, z(u)) + log |det dz/du| of a batch as a function of u: what HMC moves in. It is a
/// `LogDensity` (inference/hmc.h), and proportional to the density of u given x.
///
/// **Shapes** u [R, D]. Where every site lies in one outermost plate, data points are independent
/// given the weights: R = C M, rows [chain, datum], and D are the latents of one datum. Otherwise
/// (global latents: weights, FVB; or no plate) all latents move together: R = C, one row a chain,
/// and D counts them all. Neither is scaled by N/M.
/// **Equation** z = f(u) site by site in the model's order, f = `biject_to` of the site's support,
/// which may depend on the sites before it.
/// **Throws** SiteError where a latent site is discrete, or there is none; ConfigError where
/// latents move together and the batch is not the whole data set.
class LatentDensity {
 public:
  /// Runs the model once, to see its sites.
  LatentDensity(Program model, Batch batch, LatentDensityOptions options = {});

  /// [R, D] to [R], in nats; not finite where a law's parameter would be invalid.
  [[nodiscard]] at::Tensor operator()(const at::Tensor& u) const;

  [[nodiscard]] int64_t rows() const { return rows_; }  ///< R
  [[nodiscard]] int64_t dim() const { return dim_; }    ///< D
  [[nodiscard]] bool is_by_datum() const { return by_datum_; }

  /// The latents at u by site: [C, plates..., event].
  [[nodiscard]] std::map<std::string, at::Tensor> values(const at::Tensor& u) const;
  /// u of the latents that `source`, a guide's or the model's trace with C particles, holds.
  /// **Throws** SiteError where it lacks one.
  [[nodiscard]] at::Tensor unconstrained(const Trace& source) const;
  /// u of latents drawn from the model itself. **RNG** the model's sites.
  [[nodiscard]] at::Tensor prior_draw(const Noise& noise) const;
  /// `noise` that knows these rows: of the data set, so that a chain does not depend on the batch
  /// its datum is in, and chains.
  [[nodiscard]] Noise keyed(const Noise& noise) const;

 private:
  class Substitute;
  struct Latent {
    std::string name;
    std::vector<int64_t> shape;   // of u at the site: [C, plates..., event without constraint]
    int64_t batch_dims = 0;       // chains and plates
    int64_t begin = 0, size = 0;  // columns of u
  };

  [[nodiscard]] Trace run(const Handler& handler, const Noise& noise, bool requires_grad) const;
  [[nodiscard]] at::Tensor to_site(const Latent& latent, const at::Tensor& u) const;
  [[nodiscard]] at::Tensor from_site(const Latent& latent, const at::Tensor& u) const;
  /// Sums a site's terms to [C, M], or [C].
  [[nodiscard]] at::Tensor by_row(const at::Tensor& terms, int64_t batch_dims) const;

  Program model_;
  Batch batch_;
  LatentDensityOptions options_;
  std::vector<Latent> latents_;
  at::TensorOptions type_;
  int64_t rows_ = 0, dim_ = 0;
  bool by_datum_ = true;
};

}  // namespace elbo
