#include "elbo/evaluation/classification.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "elbo/evaluation/elbo.h"

namespace elbo {

at::Tensor class_probabilities(const SemiSupervised& model, const data::BatchSource& source,
                               uint64_t seed) {
  constexpr int64_t kChunk = 1000;
  const at::NoGradGuard no_grad;
  const Noise noise = evaluation_noise(seed);
  std::vector<at::Tensor> out;
  for (int64_t first = 0; first < source.rows(); first += kChunk) {
    const auto batch = source.range(first, std::min(kChunk, source.rows() - first), noise);
    out.push_back(model.classify(batch["x"]).probs());
  }
  return at::cat(out);
}

ErrorRate error_rate(const at::Tensor& probabilities, const at::Tensor& labels) {
  if (probabilities.dim() != 2 || labels.dim() != 1 || labels.size(0) != probabilities.size(0))
    throw ShapeError(fmt::format(
        "error_rate: {} dimensions of probabilities and {} labels; expected [N, K] and [N]",
        probabilities.dim(), labels.numel()));
  ErrorRate out{.rows = labels.size(0)};
  out.errors = probabilities.argmax(1).ne(labels).sum().item<int64_t>();
  const auto n = static_cast<double>(out.rows);
  out.rate = static_cast<double>(out.errors) / n;
  out.standard_error = std::sqrt(out.rate * (1 - out.rate) / n);
  return out;
}

}  // namespace elbo
