#include "elbo/evaluation/log_evidence.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "elbo/evaluation/elbo.h"
#include "elbo/kernels/log_sum_exp.h"

namespace elbo {

LogEvidence log_mean_weight(const at::Tensor& log_weights) {
  const auto draws = log_weights.size(0);
  if (draws < 2)
    throw ConfigError(fmt::format("log_mean_weight: {} weights a row; expected >= 2", draws));
  const auto s = static_cast<double>(draws);
  const auto l = log_weights.detach().to(at::kCPU, at::kDouble);
  const auto mean = log_mean_exp(l, 0).squeeze(0);
  const auto relative = (l - mean).exp().std(0);
  return {.rows = mean, .standard_error = relative / std::sqrt(s), .k_hat = pareto_k_hat(l)};
}

EvidenceSummary evaluate_evidence(
    const data::BatchSource& source,
    const std::function<LogEvidence(const Batch&, const Noise&)>& estimate,
    const EvidenceOptions& options) {
  if (source.rows() == 0) throw DataError("evaluate: the data set has no rows");
  const Noise noise = evaluation_noise(options.seed);
  std::vector<at::Tensor> rows, errors, tails;
  for (int64_t first = 0; first < source.rows(); first += options.batch_size) {
    const int64_t count = std::min(options.batch_size, source.rows() - first);
    const auto found = estimate(source.range(first, count, noise), noise);
    const auto bad = found.rows.isfinite().logical_not().nonzero();
    if (bad.size(0) > 0)
      throw NumericError(fmt::format("log p(x) of row {} became {}",
                                     first + bad[0][0].item<int64_t>(),
                                     found.rows[bad[0][0].item<int64_t>()].item<double>()));
    rows.push_back(found.rows);
    errors.push_back(found.standard_error);
    tails.push_back(found.k_hat);
    if (options.on_batch) options.on_batch(first + count, source.rows());
  }
  const auto all = at::cat(rows), k_hat = at::cat(tails);
  const auto n = static_cast<double>(source.rows());
  const auto known = k_hat.masked_select(k_hat.isnan().logical_not());
  return {.mean = all.mean().item<double>(),
          .standard_error = n > 1 ? all.std().item<double>() / std::sqrt(n) : 0,
          .draws_error = at::cat(errors).square().sum().sqrt().item<double>() / n,
          .heavy_rows = known.gt(kInfiniteVariance).sum().item<int64_t>(),
          .largest_k_hat = known.numel() > 0 ? known.max().item<double>()
                                             : std::numeric_limits<double>::quiet_NaN(),
          .rows = source.rows()};
}

}  // namespace elbo
