#include "distributions/detail/vectors.h"

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "elbo/distributions/gamma.h"
#include "elbo/kernels/elementwise.h"
#include "elbo/kernels/eventwise.h"
#include "elbo/kernels/math.h"
#include "kernels/detail/recording.h"

namespace elbo::detail {

at::Tensor wide(const at::Tensor& x) { return x.to(at::kDouble); }

void unify(std::initializer_list<at::Tensor*> parameters) {
  auto type = (*parameters.begin())->scalar_type();
  for (const auto* p : parameters) type = at::promoteTypes(type, p->scalar_type());
  if (!at::isFloatingType(type)) type = at::kFloat;
  for (auto* p : parameters) *p = p->to(type);
}

std::vector<int64_t> batch_of(const std::string& law, const char* parameter,
                              const at::Tensor& value, int64_t event_dims) {
  if (value.dim() < event_dims)
    throw ShapeError(fmt::format("{}: {} has shape [{}]; expected {} dimensions or more", law,
                                 parameter, fmt::join(value.sizes(), ", "), event_dims));
  return value.sizes().slice(0, static_cast<size_t>(value.dim() - event_dims)).vec();
}

std::vector<int64_t> event_of(const std::string& law, const char* parameter,
                              const at::Tensor& value, int64_t event_dims) {
  const auto batch_dims = batch_of(law, parameter, value, event_dims).size();
  return value.sizes().slice(batch_dims).vec();
}

at::Tensor expand_batch(const at::Tensor& parameter, at::IntArrayRef batch_shape,
                        int64_t event_dims) {
  auto shape = batch_shape.vec();
  for (int64_t i = -event_dims; i < 0; ++i) shape.push_back(parameter.size(i));
  return parameter.expand(shape);
}

void check_event(const std::string& law, const at::Tensor& x, at::IntArrayRef event_shape) {
  const auto dims = static_cast<int64_t>(event_shape.size());
  if (x.dim() >= dims && x.sizes().slice(static_cast<size_t>(x.dim() - dims)).equals(event_shape))
    return;
  throw ShapeError(fmt::format("{}: x has shape [{}]; expected [.., {}]", law,
                               fmt::join(x.sizes(), ", "), fmt::join(event_shape, ", ")));
}

void check_square(const std::string& law, const char* parameter, const at::Tensor& value,
                  int64_t dim) {
  if (value.dim() >= 2 && value.size(-1) == dim && value.size(-2) == dim) return;
  throw ShapeError(fmt::format("{}: {} has shape [{}]; expected [.., {}, {}]", law, parameter,
                               fmt::join(value.sizes(), ", "), dim, dim));
}

at::Tensor or_impossible(const at::Tensor& ok, const at::Tensor& value) {
  return at::where(
      ok, value,
      at::full({}, -std::numeric_limits<double>::infinity(), value.options().requires_grad(false)));
}

at::Tensor or_filler(const at::Tensor& ok, const at::Tensor& x, const at::Tensor& filler,
                     int64_t event_dims) {
  auto mask = ok;
  for (int64_t i = 0; i < event_dims; ++i) mask = mask.unsqueeze(-1);
  return at::where(mask, x, filler);
}

at::Tensor on_simplex(const at::Tensor& x) {
  return x.ge(0).all(-1).logical_and((x.sum(-1) - 1).abs().le(1e-5));
}

void check_probs(const std::string& law, const at::Tensor& probs) {
  (void)batch_of(law, "probs", probs, 1);
  check_parameter(law, "probs", ">= 0", probs, probs >= 0);
  const auto sum = wide(probs).sum(-1);
  check_parameter(law, "the sum of probs", "> 0 and finite", sum,
                  (sum > 0).logical_and(sum < INFINITY));
}

void check_logits(const std::string& law, const at::Tensor& logits) {
  (void)batch_of(law, "logits", logits, 1);
  check_parameter(law, "logits", "< inf", logits, logits < INFINITY);
  const auto largest = logits.amax(-1);
  check_parameter(law, "the largest of logits", "> -inf", largest, largest > -INFINITY);
}

at::Tensor log_of_probs(const std::string& law, const at::Tensor& probs, Validate validate) {
  (void)batch_of(law, "probs", probs, 1);
  if (validate == Validate::kYes) check_probs(law, probs);
  const auto p = wide(probs);
  const auto one = at::ones({}, p.options().requires_grad(false));
  return or_impossible(p > 0, at::where(p > 0, p, one).log()) - p.sum(-1).log().unsqueeze(-1);
}

at::Tensor log_of_logits(const std::string& law, const at::Tensor& logits, Validate validate) {
  (void)batch_of(law, "logits", logits, 1);
  if (validate == Validate::kYes) check_logits(law, logits);
  return at::log_softmax(wide(logits), -1);
}

at::Tensor positive(const at::Tensor& draw, at::ScalarType type) {
  return draw.to(type).clamp_min(type == at::kDouble ? std::numeric_limits<double>::min()
                                                     : std::numeric_limits<float>::min());
}

namespace {

/// `operation` gets the matrix [B.., m, d] and the vectors as columns [B.., d, n].
template <class Operation>
at::Tensor on_columns(at::Tensor matrix, const at::Tensor& vectors, const Operation& operation) {
  while (matrix.dim() > 2 && matrix.size(0) == 1) matrix = matrix.squeeze(0);
  const auto matrix_batch = matrix.sizes().slice(0, static_cast<size_t>(matrix.dim() - 2));
  const auto batch = at::infer_size(
      vectors.sizes().slice(0, static_cast<size_t>(vectors.dim() - 1)), matrix_batch);
  const size_t front = batch.size() - matrix_batch.size();  // dimensions the matrix lacks
  int64_t columns = 1;
  for (size_t i = 0; i < front; ++i) columns *= batch[i];
  auto shape = batch;
  shape.push_back(vectors.size(-1));
  auto stacked = vectors.expand(shape);
  shape.erase(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(front));
  shape.insert(shape.begin(), columns);
  const auto out = operation(matrix, stacked.reshape(shape).movedim(0, -1)).movedim(-1, 0);
  shape = batch;
  shape.push_back(matrix.size(-2));
  return out.reshape(shape);
}

}  // namespace

namespace {

/// Rows whose outer products are summed in their own dtype before the sum goes on in float64.
constexpr int64_t kRows = 1024;

/// sum_r a_r b_r^T of rows [n, i] and [n, j], for small i and j, where a BLAS does not use its
/// threads. Does not depend on their number.
template <class T>
at::Tensor sum_of_outer_products(const at::Tensor& a, const at::Tensor& b) {
  const int64_t n = a.size(0), rows = a.size(1), columns = b.size(1);
  const int64_t chunks = (n + kRows - 1) / kRows;
  const auto sums = at::zeros({chunks, rows, columns}, a.options());
  const T *x = a.data_ptr<T>(), *y = b.data_ptr<T>();
  T* out = sums.data_ptr<T>();
  recording::refuse("sum_of_outer_products");
  at::parallel_for(0, chunks, 4, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin * kRows; r < std::min(n, end * kRows); ++r) {
      T* __restrict to = out + r / kRows * rows * columns;
      const T* __restrict right = y + r * columns;
      for (int64_t i = 0; i < rows; ++i) {
        const T left = x[r * rows + i];
        for (int64_t j = 0; j < columns; ++j) to[i * columns + j] += left * right[j];
      }
    }
  });
  return sums.sum(0, /*keepdim=*/false, at::kDouble).to(a.scalar_type());
}

/// v M^T for rows v of one matrix.
struct Times : torch::autograd::Function<Times> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& matrix,
                            const at::Tensor& rows) {
    context->save_for_backward({matrix, rows});
    return rows.mm(matrix.t());
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& incoming) {
    const auto saved = context->get_saved_variables();
    const auto &matrix = saved[0], &rows = saved[1], &g = incoming[0];
    const bool fast = !at::GradMode::is_enabled() && g.is_cpu() && matrix.numel() <= 1024;
    torch::autograd::variable_list out(2);
    if (matrix.requires_grad())
      out[0] = !fast ? g.t().mm(rows)
               : g.scalar_type() == at::kFloat
                   ? sum_of_outer_products<float>(g.contiguous(), rows.contiguous())
                   : sum_of_outer_products<double>(g.contiguous(), rows.contiguous());
    if (rows.requires_grad()) out[1] = g.mm(matrix);
    return out;
  }
};

}  // namespace

at::Tensor times(const at::Tensor& matrix, const at::Tensor& vectors) {
  if (matrix.numel() == matrix.size(-1) * matrix.size(-2)) {
    const auto one = matrix.reshape({matrix.size(-2), matrix.size(-1)});
    auto batch = at::infer_size(vectors.sizes().slice(0, static_cast<size_t>(vectors.dim() - 1)),
                                matrix.sizes().slice(0, static_cast<size_t>(matrix.dim() - 2)));
    batch.push_back(matrix.size(-2));
    return Times::apply(one, vectors.reshape({-1, vectors.size(-1)})).view(batch);
  }
  return on_columns(matrix, vectors,
                    [](const auto& m, const auto& columns) { return at::matmul(m, columns); });
}

at::Tensor solve_lower(const at::Tensor& lower, const at::Tensor& vectors) {
  return on_columns(lower, vectors, [](const auto& l, const auto& columns) {
    return at::linalg_solve_triangular(l, columns, /*upper=*/false);
  });
}

namespace {

struct SquaredDistance {
  static constexpr std::array<int, 3> kEventDims = {1, 1, 2};

  /// white = L^-1 (x - loc), inverse[i] = 1 / L_ii. Column by column: what follows an element of
  /// white does not wait for one another.
  template <class V>
  ELBO_INLINE static void whiten(const V* x, const V* loc, const V* lower, int64_t d, V* white,
                                 V* inverse) {
    for (int64_t i = 0; i < d; ++i) {
      white[i] = x[i] - loc[i];
      inverse[i] = 1.0 / lower[i * d + i];
    }
    for (int64_t j = 0; j < d; ++j) {
      white[j] = white[j] * inverse[j];
      for (int64_t i = j + 1; i < d; ++i) white[i] = white[i] - lower[i * d + j] * white[j];
    }
  }
  template <class V>
  ELBO_INLINE static V value(const V* const* in, const int64_t* sizes, V* room) {
    const int64_t d = sizes[0];
    V* white = room;
    whiten(in[0], in[1], in[2], d, white, room + d);
    V sum = 0.0;
    for (int64_t i = 0; i < d; ++i) sum = sum + white[i] * white[i];
    return sum;
  }
  /// With v = L^-T white: 2 v along x, -2 v along loc, -2 v white^T along L.
  template <class V>
  ELBO_INLINE static void slopes(const V* const* in, const int64_t* sizes, V* room, V* const* out) {
    const int64_t d = sizes[0];
    const V* lower = in[2];
    V *white = room, *inverse = room + d, *twice = out[0];
    whiten(in[0], in[1], lower, d, white, inverse);
    for (int64_t i = 0; i < d; ++i) twice[i] = 2.0 * white[i];
    for (int64_t i = d - 1; i >= 0; --i) {
      twice[i] = twice[i] * inverse[i];
      for (int64_t j = 0; j < i; ++j) twice[j] = twice[j] - lower[i * d + j] * twice[i];
    }
    for (int64_t i = 0; i < d; ++i) {
      out[1][i] = -twice[i];
      for (int64_t j = 0; j <= i; ++j) out[2][i * d + j] = out[1][i] * white[j];
    }
  }
  static at::Tensor twin(const at::Tensor* a) {
    return solve_lower(wide(a[2]), wide(a[0]) - wide(a[1])).square().sum(-1);
  }
};

}  // namespace

at::Tensor squared_distance(const at::Tensor& x, const at::Tensor& loc, const at::Tensor& lower) {
  return evaluate(event_formula<SquaredDistance>(), {x.to(loc.scalar_type()), loc, lower});
}

at::Tensor log_det(const at::Tensor& lower) { return lower.diagonal(0, -2, -1).log().sum(-1); }

void check_scale_tril(const std::string& law, const at::Tensor& scale_tril) {
  const auto diagonal = scale_tril.diagonal(0, -2, -1);
  check_parameter(law, "scale_tril", "finite", scale_tril, scale_tril.isfinite());
  check_parameter(law, "the diagonal of scale_tril", "> 0", diagonal, diagonal > 0);
  check_parameter(law, "scale_tril above its diagonal", "0", scale_tril,
                  scale_tril.eq(scale_tril.tril()));
}

at::Tensor cholesky(const std::string& law, const char* parameter, const at::Tensor& matrix,
                    Validate validate) {
  if (matrix.dim() < 2 || matrix.size(-1) != matrix.size(-2))
    throw ShapeError(fmt::format("{}: {} has shape [{}]; expected [.., d, d]", law, parameter,
                                 fmt::join(matrix.sizes(), ", ")));
  const auto [factor, info] = at::linalg_cholesky_ex(wide(matrix));
  if (validate == Validate::kYes) {
    const auto transposed = matrix.transpose(-1, -2);
    const auto size = matrix.abs().amax({-2, -1}, /*keepdim=*/true);
    check_together(law, fmt::format("a symmetric {}", parameter).c_str(),
                   (matrix - transposed).abs().le(1e-6 * size).flatten(-2).all(-1));
    check_together(law, fmt::format("a positive definite {}", parameter).c_str(), info.eq(0));
  }
  return factor;
}

at::Tensor cholesky_of_inverse(const std::string& law, const char* parameter,
                               const at::Tensor& precision, Validate validate) {
  // With the order of the coordinates reversed P = M M^T, whence P^-1 = (J M^-T J) (J M^-T J)^T,
  // whose factor is lower triangular again.
  const auto reversed = cholesky(
      law, parameter, precision.dim() < 2 ? precision : precision.flip({-2, -1}), validate);
  const auto root = reversed.flip({-2, -1}).transpose(-2, -1);
  const auto identity = at::eye(precision.size(-1), root.options().requires_grad(false));
  return at::linalg_solve_triangular(root, identity, /*upper=*/false);
}

at::Tensor inverse_of_product(const at::Tensor& lower) {
  const auto identity = at::eye(lower.size(-1), lower.options().requires_grad(false));
  const auto inverse = at::linalg_solve_triangular(lower, identity, /*upper=*/false);
  return inverse.transpose(-2, -1).matmul(inverse);
}

namespace {

struct LogGammaRatio {
  template <class T>
  ELBO_INLINE static T of(const T& a, const T& h) {
    using namespace math;
    return lgamma(h) - lbeta(a, h);
  }
};

struct DigammaRatio {
  /// digamma(x) - log x for x >= 20, to the last digit.
  template <class T>
  ELBO_INLINE static T correction(const T& x) {
    const auto r = 1.0 / (x * x);
    return -0.5 / x -
           r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r * (1.0 / 132)))));
  }
  template <class T>
  ELBO_INLINE static T of(const T& a, const T& h) {
    using namespace math;
    return select(a < 20.0, digamma(a + h) - digamma(a),
                  log1p(h / a) + correction(a + h) - correction(a));
  }
};

/// F::of as a formula of two arguments.
template <class F>
struct Elementwise {
  static constexpr bool kHot = true;
  template <class T>
  ELBO_INLINE T operator()(const T& a, const T& h) const {
    return F::of(a, h);
  }
};

/// l = log z, whose slope along the concentration is -(dF/da) / (z p) at z.
struct ImplicitLogGamma {
  static constexpr bool kHot = true;
  static constexpr bool kIsFirst = true;
  template <class V>
  requires(std::is_same_v<V, double> || std::is_same_v<V, math::Pack>) ELBO_INLINE V operator()(
      const V& l, const V&) const {
    return l;
  }
  template <int N, class S>
  ELBO_INLINE Dual<N, S> operator()(const Dual<N, S>& l, const Dual<N, S>& a) const {
    using namespace math;
    const S z = exp(l.value);
    // F -> z^a / Gamma(a + 1) as z -> 0
    const S near_zero = (digamma(a.value + 1.0) - l.value) / a.value;
    const S slope =
        select(z < 1e-17, near_zero, gamma_draw_slope(a.value, maximum(z, S(1e-17))) / z);
    return chain(a, l.value, slope);
  }
};

struct LogGamma {
  template <class V>
  ELBO_INLINE static V sample(Noise::Stream<V>& stream, const V* concentration) {
    return laws::Gamma::log_standard(stream, *concentration);
  }
};

}  // namespace

at::Tensor log_gamma_ratio(const at::Tensor& a, const at::Tensor& h) {
  return evaluate(formula<Elementwise<LogGammaRatio>, 2>(), {a, h});
}

at::Tensor digamma_ratio(const at::Tensor& a, const at::Tensor& h) {
  return evaluate(formula<Elementwise<DigammaRatio>, 2>(), {a, h});
}

at::Tensor log_gamma_draws(const Noise& noise, at::IntArrayRef shape,
                           const at::Tensor& concentration) {
  const auto a = concentration.to(at::kCPU, at::kDouble);
  const auto l = noise.draw(pack_sampler<LogGamma>(), shape, {a});
  // On the CPU, for the incomplete gamma function has no form on other devices.
  return evaluate(formula<ImplicitLogGamma, 2>(), {l, a}).to(concentration.device());
}

}  // namespace elbo::detail
