// One scalar formula over broadcast tensors: a fused pass forward, a fused pass backward.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "elbo/error.h"
#include "elbo/kernels/dual.h"
#include "elbo/kernels/pack.h"

namespace elbo {

/// The numbers strictly inside a range: draws that rounding put on its edge are moved to the
/// nearest of them, for there would be no density on the edge.
enum class Inside {
  kAnywhere,
  kFinite,       ///< (-inf, inf)
  kPositive,     ///< (0, inf)
  kUnitInterval  ///< (0, 1)
};
struct Bounds {
  double lower, upper;
};
/// The smallest and the largest such number of a dtype, float64 or float32.
constexpr Bounds bounds(Inside inside, bool is_double) {
  const double largest = is_double ? 1.79e308 : 3.4e38;
  const double smallest = is_double ? 2.3e-308 : 1.2e-38;
  switch (inside) {
    case Inside::kFinite:
      return {-largest, largest};
    case Inside::kPositive:
      return {smallest, largest};
    case Inside::kUnitInterval:
      return {smallest, is_double ? 1 - 0x1p-53 : 1 - 0x1p-24};
    default:
      return {-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  }
}

/// A formula of `arity` arguments in the forms that `evaluate` needs. `formula<F>()` makes it.
struct Formula {
  static constexpr int kMaxArity = 6;
  static constexpr int kWidest = math::WidePack::kLanes;
  /// Over n elements, a multiple of kWidest, all in float64: out[i] = f(in[0][i], in[1][i], ...).
  using Values = void (*)(const double* const* in, double* out, int64_t n);
  /// The partial derivatives for the bits of `wanted`, in their order.
  using Partials = void (*)(const double* const* in, double* const* out, int64_t n,
                            unsigned wanted);

  int arity = 0;
  Values values = nullptr;
  Partials partials = nullptr;
  /// Whether the first argument is noise, in float64 whatever the others are.
  bool of_noise = false;
  /// Whether its value is its first argument, so that only its derivatives are computed.
  bool is_first = false;
  /// Where the values must lie once rounded to their dtype.
  Inside inside = Inside::kAnywhere;
  /// The same in plain ATen operations.
  at::Tensor (*twin)(const at::Tensor* arguments) = nullptr;
};

/// The formula at every element of the broadcast arguments, all of one floating dtype; only a
/// formula of noise takes its first argument in float64 whatever the others are.
///
/// On CPU one pass computes in float64, four or eight elements at a time, and rounds to the dtype;
/// the gradient is another such pass, which keeps nothing but the arguments. On other devices, and
/// where the gradient is itself to be differentiated, the plain twin runs instead.
/// **Throws** ShapeError when the arguments do not broadcast; UnsupportedError by a twin.
[[nodiscard]] at::Tensor evaluate(const Formula& formula, at::TensorList arguments);

namespace detail {

template <class F, class T, size_t... I>
ELBO_INLINE auto call(const F& f, const T* v, std::index_sequence<I...>) {
  return f(v[I]...);
}
template <class F, class T, size_t... I>
constexpr bool takes(std::index_sequence<I...>) {
  return std::is_invocable_v<F, decltype(static_cast<void>(I), std::declval<const T&>())...>;
}
/// Whether F, of N arguments, is a formula for arguments of type T.
template <class F, int N, class T>
inline constexpr bool kTakes = takes<F, T>(std::make_index_sequence<N>{});

template <class P>
ELBO_INLINE P load(const double* from) {
  P out;
  std::memcpy(&out.v, from, sizeof out.v);
  return out;
}
template <class P>
ELBO_INLINE void store(const P& x, double* to) {
  std::memcpy(to, &x.v, sizeof x.v);
}

/// A formula for packs takes them; another goes lane by lane.
template <class F, int N, class P>
ELBO_INLINE P value_of(const P* v) {
  constexpr auto kIndices = std::make_index_sequence<N>{};
  if constexpr (kTakes<F, N, P>) {
    return call(F{}, v, kIndices);
  } else {
    P out;
    for (int lane = 0; lane < P::kLanes; ++lane) {
      double scalars[N];
      for (int k = 0; k < N; ++k) scalars[k] = v[k].v[lane];
      out.v[lane] = call(F{}, scalars, kIndices);
    }
    return out;
  }
}

template <class F, int N, class P>
ELBO_INLINE Dual<N, P> gradient_of(const P* v, const unsigned wanted) {
  constexpr auto kIndices = std::make_index_sequence<N>{};
  if constexpr (kTakes<F, N, Dual<N, P>>) {
    Dual<N, P> duals[N];
    for (int k = 0; k < N; ++k)
      duals[k] = (wanted >> k & 1u) != 0 ? Dual<N, P>::variable(v[k], k) : Dual<N, P>(v[k]);
    return call(F{}, duals, kIndices);
  } else {
    static_assert(kTakes<F, N, Dual<N>>, "a formula has no derivatives");
    Dual<N, P> out;
    for (int lane = 0; lane < P::kLanes; ++lane) {
      Dual<N> duals[N];
      for (int k = 0; k < N; ++k)
        duals[k] =
            (wanted >> k & 1u) != 0 ? Dual<N>::variable(v[k].v[lane], k) : Dual<N>(v[k].v[lane]);
      const Dual<N> y = call(F{}, duals, kIndices);
      for (size_t k = 0; k < N; ++k) out.partial[k].v[lane] = y.partial[k];
    }
    return out;
  }
}

template <class F, int N>
struct ValuesLoop {
  template <class P>
  ELBO_INLINE static void run(const double* const* in, double* out, int64_t n) {
    for (int64_t i = 0; i < n; i += P::kLanes) {
      P v[N];
      for (int k = 0; k < N; ++k) v[k] = load<P>(in[k] + i);
      store(value_of<F, N>(v), out + i);
    }
  }
};

/// Loops of their own for the usual cases, all arguments and all but the first (data or noise), in
/// which the compiler sees which partial derivatives are 0 and which are 1.
template <class F, int N, bool OfNoise>
struct PartialsLoop {
  template <class P>
  ELBO_INLINE static void run(const double* const* in, double* const* out, int64_t n,
                              unsigned wanted) {
    constexpr unsigned kAll = (1u << N) - 1, kAllButFirst = kAll - 1;
    if (F::kHot && wanted == kAllButFirst) return loop<P>(in, out, n, kAllButFirst);
    if (F::kHot && !OfNoise && wanted == kAll) return loop<P>(in, out, n, kAll);
    loop<P>(in, out, n, wanted);
  }

 private:
  template <class P>
  ELBO_INLINE static void loop(const double* const* in, double* const* out, int64_t n,
                               const unsigned wanted) {
    for (int64_t i = 0; i < n; i += P::kLanes) {
      P v[N];
      for (int k = 0; k < N; ++k) v[k] = load<P>(in[k] + i);
      const auto y = gradient_of<F, N>(v, wanted);
      for (int k = 0, o = 0; k < N; ++k)
        if ((wanted >> k & 1u) != 0) store(y.partial[static_cast<size_t>(k)], out[o++] + i);
    }
  }
};

// Each loop of a hot formula is compiled for the baseline, for AVX2 and, eight wide, for AVX-512;
// the machine chooses when it runs.
template <class Loop, class... A>
void baseline(A... a) {
  Loop::template run<math::Pack>(a...);
}
#if defined(ELBO_HAS_AVX2_LOOPS)
template <class Loop, class... A>
ELBO_AVX2 void avx2(A... a) {
  Loop::template run<math::Pack>(a...);
}
template <class Loop, class... A>
ELBO_AVX512 void avx512(A... a) {
  Loop::template run<math::WidePack>(a...);
}
#endif

template <class Loop, bool kHot, class... A>
auto for_machine(void (*)(A...)) -> void (*)(A...) {
#if defined(ELBO_HAS_AVX2_LOOPS)
  if constexpr (kHot) {
    if (math::has_avx512()) return avx512<Loop, A...>;
    if (math::has_avx2()) return avx2<Loop, A...>;
  }
#endif
  return baseline<Loop, A...>;
}

template <class F, size_t... I>
at::Tensor twin_of(const at::Tensor* arguments, std::index_sequence<I...>) {
  if constexpr (std::is_invocable_v<F, decltype(arguments[I])...>)
    return F{}(arguments[I]...);
  else
    throw UnsupportedError(
        "this formula has no form in plain ATen: expected tensors on the CPU "
        "and first derivatives only");
}

}  // namespace detail

/// The Formula of a stateless functor that is a template over its arguments' type (see math.h).
/// `F::kHot` says whether it is worth compiling for more than one instruction set, `F::kInside`, if
/// it is there, where its values must lie; with `F::kIsFirst` its value is its first argument.
/// `OfNoise`: its first argument is noise, in float64.
template <class F, int N, bool OfNoise = false>
const Formula& formula() {
  static_assert(N <= Formula::kMaxArity);
  constexpr Inside kInside = [] {
    if constexpr (requires { F::kInside; })
      return F::kInside;
    else
      return Inside::kAnywhere;
  }();
  constexpr bool kIsFirst = requires { F::kIsFirst; };
  static const Formula made = {
      .arity = N,
      .values = detail::for_machine<detail::ValuesLoop<F, N>, F::kHot>(Formula::Values{}),
      .partials =
          detail::for_machine<detail::PartialsLoop<F, N, OfNoise>, F::kHot>(Formula::Partials{}),
      .of_noise = OfNoise,
      .is_first = kIsFirst,
      .inside = kInside,
      .twin = [](const at::Tensor* arguments) {
        return detail::twin_of<F>(arguments, std::make_index_sequence<N>{});
      }};
  return made;
}

}  // namespace elbo
