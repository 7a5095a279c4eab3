#include "elbo/kernels/gradient_sink.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace elbo {
namespace {
thread_local GradientSink* current = nullptr;
}

GradientSink::GradientSink(const at::Tensor& values, const at::Tensor& gradients,
                           const std::vector<int64_t>& begins)
    : values_(static_cast<const char*>(values.data_ptr())),
      gradients_(static_cast<char*>(gradients.data_ptr())),
      element_size_(static_cast<int64_t>(values.element_size())),
      begins_(begins),
      written_(begins.size() - 1),
      outer_(current) {
  current = this;
}

GradientSink::~GradientSink() { current = outer_; }

std::optional<GradientSink::Place> GradientSink::claim(const at::Tensor& parameter) {
  if (current == nullptr || !parameter.is_contiguous()) return std::nullopt;
  GradientSink& sink = *current;
  const auto* data = static_cast<const char*>(parameter.data_ptr());
  const int64_t begin = (data - sink.values_) / sink.element_size_;
  const auto& begins = sink.begins_;
  const auto at_begin = std::lower_bound(begins.begin(), begins.end(), begin);
  const auto at_end = std::lower_bound(begins.begin(), begins.end(), begin + parameter.numel());
  if (data < sink.values_ || at_begin == begins.end() || *at_begin != begin ||
      at_end == begins.end() || *at_end != begin + parameter.numel())
    return std::nullopt;
  const auto i = at_begin - begins.begin(), end = at_end - begins.begin();
  const bool add = i < end && sink.written_[static_cast<size_t>(i)];
  for (auto k = i; k < end; ++k) {
    // Some of several written already: the caller's own gradients are the simpler way.
    if (sink.written_[static_cast<size_t>(k)] != add) return std::nullopt;
  }
  for (auto k = i; k < end; ++k) sink.written_[static_cast<size_t>(k)] = true;
  return Place{sink.gradients_ + begin * sink.element_size_, add};
}

}  // namespace elbo
