#include "elbo/evaluation/density_fit.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "elbo/error.h"

namespace elbo {
namespace {

double log_normaliser(int64_t dim) {
  return -0.5 * static_cast<double>(dim) * std::log(2 * std::numbers::pi);
}

}  // namespace

GaussianFit::GaussianFit(const at::Tensor& points) {
  const int64_t count = points.size(0), dim = points.size(2);
  if (count <= dim)
    throw ConfigError(fmt::format(
        "a Gaussian fit in {} dimensions to {} points; expected more points than dimensions", dim,
        count));
  const auto x = points.to(at::kDouble);
  mean_ = x.mean(0);
  const auto centred = (x - mean_).transpose(0, 1);  // [M, F, D]
  const auto covariance = centred.transpose(1, 2).matmul(centred) / static_cast<double>(count - 1);
  const auto [factor, info] = at::linalg_cholesky_ex(covariance);
  const auto bad = info.nonzero();
  if (bad.size(0) > 0)
    throw NumericError(fmt::format(
        "a Gaussian fit: the covariance of row {}'s points is singular; expected draws that move",
        bad[0][0].item<int64_t>()));
  const auto eye = at::eye(dim, x.options()).expand_as(factor);
  inverse_factor_ = at::linalg_solve_triangular(factor, eye, /*upper=*/false);
  log_det_ = -factor.diagonal(0, -2, -1).log().sum(-1);
}

at::Tensor GaussianFit::whitened(const at::Tensor& u) const {
  const auto centred = (u.to(at::kDouble) - mean_).unsqueeze(-1);
  return inverse_factor_.matmul(centred).squeeze(-1);
}

at::Tensor GaussianFit::log_density(const at::Tensor& u) const {
  return log_normaliser(u.size(2)) + log_det_ - 0.5 * whitened(u).square().sum(-1);
}

KernelFit::KernelFit(const at::Tensor& points)
    : gaussian_(points),
      bandwidth_(std::pow(static_cast<double>(points.size(0)),
                          -1 / static_cast<double>(points.size(2) + 4))),
      centres_(gaussian_.whitened(points).transpose(0, 1).contiguous()) {}

at::Tensor KernelFit::log_density(const at::Tensor& u) const {
  const int64_t dim = u.size(2), rows = u.size(1);
  const auto at_white = gaussian_.whitened(u).transpose(0, 1);  // [M, E, D]
  const auto count = static_cast<double>(centres_.size(1));
  std::vector<at::Tensor> out;
  for (int64_t row = 0; row < rows; ++row) {  // a row's E F distances at a time
    const auto y = at_white[row], c = centres_[row];
    const auto squares = y.square().sum(1, true) + c.square().sum(1) - 2 * y.matmul(c.t());
    out.push_back((squares.clamp_min(0) * (-0.5 / (bandwidth_ * bandwidth_))).logsumexp(1));
  }
  return at::stack(out, 1) - std::log(count) + log_normaliser(dim) + gaussian_.log_det() -
         static_cast<double>(dim) * std::log(bandwidth_);
}

}  // namespace elbo
