#include "distributions/detail/laws_and_rows.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "elbo/distributions/distribution.h"

namespace elbo::detail {
namespace {

/// Batch dimensions that only repeat, reduced to size 1, and as many in front as make `dims`.
at::Tensor unrepeated(at::Tensor x, int64_t event_dims, int64_t dims) {
  for (int64_t i = 0; i + event_dims < x.dim(); ++i)
    if (x.stride(i) == 0 && x.size(i) > 1) x = x.narrow(i, 0, 1);
  while (x.dim() - event_dims < dims) x = x.unsqueeze(0);
  return x;
}

}  // namespace

LawsAndRows laws_and_rows(const std::string& law, const at::Tensor& x, int64_t event_dims,
                          const std::vector<std::pair<at::Tensor, int64_t>>& parameters,
                          at::IntArrayRef batch_shape) {
  constexpr int64_t kFewRows = 8;
  LawsAndRows out;
  bool plain = x.is_cpu() && !(at::GradMode::is_enabled() && x.requires_grad());
  for (const auto& [p, dims] : parameters)
    plain = plain && p.is_cpu() && !(at::GradMode::is_enabled() && p.requires_grad());
  if (!plain || x.dim() < event_dims) return out;
  out.batch = broadcast_shape(law, x.sizes().slice(0, static_cast<size_t>(x.dim() - event_dims)),
                              batch_shape);
  const auto dims = static_cast<int64_t>(out.batch.size());
  const auto given = unrepeated(x, event_dims, dims);
  for (int64_t i = 0; i < dims; ++i) {
    int64_t k = 1;
    for (const auto& [p, of_event] : parameters)
      k = std::max(k, unrepeated(p, of_event, dims).size(i));
    const int64_t m = given.size(i);
    if (k > 1 && (m > 1 || out.rows > 1)) return out;
    out.laws *= k;
    out.rows *= m;
    out.of_laws.push_back(k);
    out.result.push_back(std::max(k, m));
  }
  out.fits = out.rows >= kFewRows;
  return out;
}

at::Tensor LawsAndRows::each_law(const at::Tensor& parameter, int64_t event_dims) const {
  const auto dims = static_cast<int64_t>(batch.size());
  const auto p = unrepeated(parameter, event_dims, dims);
  const auto event = p.sizes().slice(static_cast<size_t>(dims));
  auto full = of_laws, flat = std::vector<int64_t>{laws};
  full.insert(full.end(), event.begin(), event.end());
  flat.insert(flat.end(), event.begin(), event.end());
  return p.expand(full).reshape(flat);
}

at::Tensor LawsAndRows::each_row(const at::Tensor& x, int64_t event_dims) const {
  const auto dims = static_cast<int64_t>(batch.size());
  const auto given = unrepeated(x, event_dims, dims);
  const auto event = given.sizes().slice(static_cast<size_t>(dims));
  std::vector<int64_t> flat = {rows};
  flat.insert(flat.end(), event.begin(), event.end());
  return given.reshape(flat);
}

at::Tensor LawsAndRows::whole(const at::Tensor& found) const {
  return found.view(result).expand(batch);
}

}  // namespace elbo::detail
