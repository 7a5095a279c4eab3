#include "elbo/distributions/multivariate_student_t.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "distributions/detail/vectors.h"

namespace elbo {
namespace {

constexpr const char* kName = "MultivariateStudentT";

at::Tensor constant(double value, const at::Tensor& like) {
  return at::full({}, value, like.options().requires_grad(false));
}

/// The parameters' common dtype, before the base class takes over.
at::Tensor matching(const at::Tensor& df, const at::Tensor& loc, const at::Tensor& scale_tril) {
  auto out = df, a = loc, b = scale_tril;
  detail::unify({&out, &a, &b});
  return out;
}

}  // namespace

at::Tensor StudentTRadial::rsample(const Noise& noise, at::IntArrayRef shape, int64_t dim,
                                   const at::TensorOptions& options) const {
  const auto df = detail::wide(df_);
  const auto half = at::full({}, 0.5 * static_cast<double>(dim), options);
  const auto numerator = detail::log_gamma_draws(noise.site("numerator"), shape, half);
  const auto denominator = detail::log_gamma_draws(noise.site("denominator"), shape, 0.5 * df);
  return (0.5 * (df.log() + numerator - denominator)).exp();
}

at::Tensor StudentTRadial::log_density(const at::Tensor& squared, int64_t dim) const {
  const auto df = detail::wide(df_);
  const double half = 0.5 * static_cast<double>(dim);
  return detail::log_gamma_ratio(0.5 * df, constant(half, df)) -
         half * (std::numbers::pi * df).log() - (0.5 * df + half) * (squared / df).log1p();
}

at::Tensor StudentTRadial::second_moment(int64_t) const {
  const auto df = detail::wide(df_);
  const auto safe = at::where(df > 2, df, constant(3, df));
  const auto moment = at::where(df > 2, safe / (safe - 2), constant(INFINITY, df));
  return at::where(df > 1, moment, constant(NAN, df));
}

at::Tensor StudentTRadial::entropy(int64_t dim) const {
  const auto df = detail::wide(df_);
  const double half = 0.5 * static_cast<double>(dim);
  const auto h = constant(half, df);
  return half * (std::numbers::pi * df).log() - detail::log_gamma_ratio(0.5 * df, h) +
         (0.5 * df + half) * detail::digamma_ratio(0.5 * df, h);
}

RadialPtr StudentTRadial::expand(at::IntArrayRef batch_shape) const {
  return std::make_shared<StudentTRadial>(df_.expand(batch_shape));
}

MultivariateStudentT::MultivariateStudentT(at::Tensor df, at::Tensor loc, at::Tensor scale_tril,
                                           Validate validate)
    : Elliptical(kName, loc.to(matching(df, loc, scale_tril).scalar_type()), scale_tril,
                 std::make_shared<StudentTRadial>(matching(df, loc, scale_tril)), validate) {
  if (validate == Validate::kNo) return;
  detail::check_parameter(kName, "df", "> 0", this->df(), this->df() > 0);
}

const at::Tensor& MultivariateStudentT::df() const {
  return static_cast<const StudentTRadial&>(*radial()).df();
}

at::Tensor MultivariateStudentT::mean() const {
  const auto& df = this->df();
  return at::where((df > 1).unsqueeze(-1), Elliptical::mean(), constant(NAN, loc()));
}

DistributionPtr MultivariateStudentT::expand(at::IntArrayRef batch_shape) const {
  auto out = std::make_shared<MultivariateStudentT>(*this);
  out->expand_to(batch_shape);
  return out;
}

DistributionPtr MultivariateStudentT::clone() const {
  return std::make_shared<MultivariateStudentT>(*this);
}

}  // namespace elbo
