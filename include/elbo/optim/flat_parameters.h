// All parameters of a model and its guide in one buffer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "elbo/parameters.h"

namespace elbo {

/// A stretch [begin, end) of the buffer: theta (the model's) or phi (the guide's).
struct Segment {
  std::string name;
  int64_t begin = 0;
  int64_t end = 0;
  [[nodiscard]] int64_t size() const { return end - begin; }
};

/// Takes parameters over: each becomes a view of one flat buffer, and its gradient a view of
/// another, so that an optimiser is one pass and alternating updates move one segment alone.
/// The parameters must be leaves of one dtype and device. Copies share the buffers.
class FlatParameters {
 public:
  /// Segments in the order given, in each the matrices before the vectors; names must be unique
  /// over all. Throws ConfigError otherwise.
  explicit FlatParameters(const std::vector<std::pair<std::string, NamedParameters>>& segments);

  [[nodiscard]] const at::Tensor& values() const { return values_; }        ///< [P]
  [[nodiscard]] const at::Tensor& gradients() const { return gradients_; }  ///< [P]
  [[nodiscard]] const std::vector<Segment>& segments() const { return segments_; }
  [[nodiscard]] const Segment& segment(const std::string& name) const;
  [[nodiscard]] const NamedParameters& named() const { return named_; }
  /// A buffer [P] laid out as `values` is: a view for each parameter, of its shape, by `prefix` and
  /// the parameter's name.
  [[nodiscard]] NamedParameters views_of(const at::Tensor& buffer,
                                         const std::string& prefix = "") const;
  /// The whole buffer.
  [[nodiscard]] Segment all() const { return {"all", 0, values_.numel()}; }

  /// The values rounded to the nearest bfloat16, [P], at one place from the first call on, or
  /// undefined where they are not float32 on the CPU. Optimisers keep them, and what tensor
  /// operations have changed since is rounded again here.
  [[nodiscard]] at::Tensor rounded();

  /// While it lives, values are written by pointer, and what they round to as well where that is
  /// kept up to date.
  class Writing {
   public:
    explicit Writing(FlatParameters& parameters);
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;
    ~Writing();
    /// Null where it is not kept.
    [[nodiscard]] uint16_t* rounded() const { return rounded_; }

   private:
    FlatParameters& parameters_;
    uint16_t* rounded_;
  };

  /// Makes `gradients` those of the sum of the roots, each times its seed elementwise: fused layers
  /// write theirs in place, others are copied.
  void backward(const std::vector<at::Tensor>& roots, const std::vector<at::Tensor>& seeds);

 private:
  /// Points every parameter's gradient at its slice.
  void bind_gradients();
  /// Changes with every tensor operation that writes to a value, and with every Writing.
  [[nodiscard]] int64_t version() const;

  /// What copies share.
  struct Rounded {
    at::Tensor values;
    int64_t version = -1;
  };

  at::Tensor values_, gradients_;
  std::vector<int64_t> begins_;     // of each parameter, and the end
  std::vector<at::Tensor> slices_;  // of `gradients_`
  std::vector<Segment> segments_;
  NamedParameters named_;
  std::shared_ptr<Rounded> rounded_ = std::make_shared<Rounded>();
};

}  // namespace elbo
