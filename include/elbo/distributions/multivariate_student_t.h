#pragma once

#include "elbo/distributions/elliptical.h"

namespace elbo {

/// R^2 / d ~ F(d, df): that of Student's t.
/// **Ranges** df > 0, of any shape.
class StudentTRadial final : public Radial {
 public:
  explicit StudentTRadial(at::Tensor df) : df_(std::move(df)) {}
  [[nodiscard]] const at::Tensor& df() const { return df_; }

  [[nodiscard]] std::vector<int64_t> batch_shape() const override { return df_.sizes().vec(); }
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape, int64_t dim,
                                   const at::TensorOptions& options) const override;
  [[nodiscard]] at::Tensor log_density(const at::Tensor& squared, int64_t dim) const override;
  [[nodiscard]] at::Tensor second_moment(int64_t dim) const override;
  [[nodiscard]] at::Tensor entropy(int64_t dim) const override;
  [[nodiscard]] RadialPtr expand(at::IntArrayRef batch_shape) const override;

 private:
  at::Tensor df_;
};

/// Student's t over vectors.
/// **Shapes** df [B], loc [B, d], scale_tril [B, d, d]; they broadcast over B. Events [d].
/// **Ranges** df > 0, scale_tril lower triangular with a positive diagonal; DomainError otherwise.
class MultivariateStudentT final : public Elliptical {
 public:
  MultivariateStudentT(at::Tensor df, at::Tensor loc, at::Tensor scale_tril,
                       Validate validate = Validate::kYes);

  [[nodiscard]] const at::Tensor& df() const;

  [[nodiscard]] std::string name() const override { return "MultivariateStudentT"; }
  /// NaN where df <= 1.
  [[nodiscard]] at::Tensor mean() const override;
  [[nodiscard]] at::Tensor mode() const override { return Elliptical::mean(); }
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;
  [[nodiscard]] DistributionPtr clone() const override;
};

}  // namespace elbo
