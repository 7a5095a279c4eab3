// One formula of whole events, vectors or matrices: a fused pass forward, a fused pass backward.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "elbo/kernels/pack.h"

namespace elbo {

/// A number for each event of `arity` arguments. `event_formula<F>()` makes it.
struct EventFormula {
  static constexpr int kMaxArity = 5;
  /// in[k][i] is element i of argument k in four events and sizes[k] how many it has; `room` has
  /// space for as many as all arguments have together.
  using Value = void (*)(const math::Pack* const* in, const int64_t* sizes, math::Pack* room,
                         math::Pack* out);
  /// slopes[k][i] is the derivative along that element; what is never written stays 0.
  using Slopes = void (*)(const math::Pack* const* in, const int64_t* sizes, math::Pack* room,
                          math::Pack* const* slopes);
  int arity = 0;
  int event_dims[kMaxArity] = {};
  Value value = nullptr;
  Slopes slopes = nullptr;
  /// The same in plain ATen operations.
  at::Tensor (*twin)(const at::Tensor* arguments) = nullptr;
};

/// The formula at every event of arguments [B.., event..] of one floating dtype, which broadcast
/// over B: [B..] in float64.
///
/// On CPU, and where an event is not too large for the first cache, one pass computes in float64,
/// four events at a time; the gradient is another, which keeps nothing but the arguments and does
/// not depend on the number of threads. Elsewhere, and where the gradient is itself to be
/// differentiated, the plain twin runs instead.
[[nodiscard]] at::Tensor evaluate(const EventFormula& formula, at::TensorList arguments);

namespace detail {

template <class F>
void value_baseline(const math::Pack* const* in, const int64_t* sizes, math::Pack* room,
                    math::Pack* out) {
  *out = F::value(in, sizes, room);
}
template <class F>
void slopes_baseline(const math::Pack* const* in, const int64_t* sizes, math::Pack* room,
                     math::Pack* const* slopes) {
  F::slopes(in, sizes, room, slopes);
}
#if defined(ELBO_HAS_AVX2_LOOPS)
template <class F>
ELBO_AVX2 void value_avx2(const math::Pack* const* in, const int64_t* sizes, math::Pack* room,
                          math::Pack* out) {
  *out = F::value(in, sizes, room);
}
template <class F>
ELBO_AVX2 void slopes_avx2(const math::Pack* const* in, const int64_t* sizes, math::Pack* room,
                           math::Pack* const* slopes) {
  F::slopes(in, sizes, room, slopes);
}
#endif

}  // namespace detail

/// The EventFormula of a struct with `kEventDims`, one for each argument, and `value`, `slopes` and
/// `twin` as above.
template <class F>
const EventFormula& event_formula() {
  static const EventFormula made = [] {
    EventFormula f{.arity = static_cast<int>(F::kEventDims.size()),
                   .value = detail::value_baseline<F>,
                   .slopes = detail::slopes_baseline<F>,
                   .twin = F::twin};
    for (size_t k = 0; k < F::kEventDims.size(); ++k) f.event_dims[k] = F::kEventDims[k];
#if defined(ELBO_HAS_AVX2_LOOPS)
    if (math::has_avx2()) {
      f.value = detail::value_avx2<F>;
      f.slopes = detail::slopes_avx2<F>;
    }
#endif
    return f;
  }();
  return made;
}

}  // namespace elbo
