// Where fused layers leave the gradients of parameters that share one flat buffer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace elbo {

/// While it lives, `claim` gives the fused layers of this thread's backward pass the slice of the
/// flat gradient that belongs to a parameter, so that a gradient is written where it will be read,
/// without a copy and without a pass that clears the buffer first.
class GradientSink {
 public:
  /// Parameter i is the elements begins[i] .. begins[i + 1] - 1 of `values`, its gradient those of
  /// `gradients`; both are contiguous and of one dtype.
  GradientSink(const at::Tensor& values, const at::Tensor& gradients,
               const std::vector<int64_t>& begins);
  GradientSink(const GradientSink&) = delete;
  GradientSink& operator=(const GradientSink&) = delete;
  ~GradientSink();

  struct Place {
    void* gradient = nullptr;  ///< as many numbers, of the parameter's dtype
    bool add = false;          ///< whether it holds an earlier use's gradient, to be added to
  };
  /// The place for the gradient of `parameter`, one parameter or several that follow one another
  /// in the buffer; none where no sink lives or the parameter is not in it.
  [[nodiscard]] static std::optional<Place> claim(const at::Tensor& parameter);

  /// Whether parameter i was claimed.
  [[nodiscard]] bool written(size_t i) const { return written_[i]; }

 private:
  const char* values_;
  char* gradients_;
  int64_t element_size_;
  const std::vector<int64_t>& begins_;
  std::vector<bool> written_;
  GradientSink* outer_;
};

}  // namespace elbo
