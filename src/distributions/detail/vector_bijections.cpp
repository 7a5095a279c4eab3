// Bijections of vectors and matrices.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "distributions/detail/bijection_parts.h"
#include "elbo/error.h"
#include "elbo/kernels/math.h"

namespace elbo {
namespace detail {

void check_dims(const std::string& name, at::IntArrayRef shape, int64_t dims) {
  if (static_cast<int64_t>(shape.size()) >= dims) return;
  throw ShapeError(fmt::format("{}: got shape [{}]; expected {} or more dimensions", name,
                               fmt::join(shape, ", "), dims));
}

at::Tensor at_least_tiny(const at::Tensor& x) {
  return x.clamp_min(x.scalar_type() == at::kDouble ? std::numeric_limits<double>::min()
                                                    : std::numeric_limits<float>::min());
}

at::Tensor log_sech(const at::Tensor& u) { return std::numbers::ln2 - u + at::log_sigmoid(2 * u); }

at::Tensor inverse_softplus(const at::Tensor& x) { return x + (-(-x).expm1()).log(); }

}  // namespace detail

namespace {

using bijections::Diagonal;
using Kind = Constraint::Kind;

at::Tensor summed_from_the_end(const at::Tensor& x) { return x.flip(-1).cumsum(-1).flip(-1); }

/// The sums of what comes before each, of their cumulative sums.
at::Tensor before(const at::Tensor& cumulative) {
  const int64_t n = cumulative.size(-1);
  return n == 0 ? cumulative : at::constant_pad_nd(cumulative.narrow(-1, 0, n - 1), {1, 0});
}

/// The places of the lower triangle in a flattened [D, D], row by row; without the diagonal if
/// `offset` is -1.
at::Tensor places(int64_t dim, int64_t offset, at::Device device) {
  const auto index = at::tril_indices(dim, dim, offset, at::TensorOptions(at::kLong));
  return (index[0] * dim + index[1]).to(device);
}

at::Tensor to_matrix(const at::Tensor& vector, int64_t dim, int64_t offset) {
  auto shape = vector.sizes().vec();
  shape.back() = dim * dim;
  const auto zeros = at::zeros(shape, vector.options().requires_grad(false));
  return zeros.index_copy(-1, places(dim, offset, vector.device()), vector)
      .unflatten(-1, {dim, dim});
}

at::Tensor to_vector(const at::Tensor& matrix, int64_t offset) {
  return matrix.flatten(-2).index_select(-1, places(matrix.size(-1), offset, matrix.device()));
}

/// D with D (D + 1) / 2 + offset D = count, of a triangle with (offset 0) or without (-1) the
/// diagonal.
int64_t matrix_dim(const std::string& name, int64_t count, int64_t offset) {
  const int64_t dim = std::lround(std::sqrt(2 * static_cast<double>(count) + 0.25) - 0.5) - offset;
  if (dim * (dim + 1) / 2 + offset * dim != count)
    throw ShapeError(fmt::format("{}: a vector of {} does not fill the lower triangle of a matrix",
                                 name, count));
  return dim;
}

/// Vectors to vectors with `more` elements more.
class OfVectors : public Bijection {
 public:
  explicit OfVectors(int64_t more) : more_(more) {}
  Constraint domain() const override { return Kind::kRealVector; }
  std::vector<int64_t> forward_shape(at::IntArrayRef shape) const override {
    auto out = Bijection::forward_shape(shape);
    out.back() += more_;
    return out;
  }
  std::vector<int64_t> inverse_shape(at::IntArrayRef shape) const override {
    auto out = Bijection::inverse_shape(shape);
    out.back() -= more_;
    if (out.back() < 0)
      throw ShapeError(fmt::format("{}: got shape [{}]; expected {} or more elements", name(),
                                   fmt::join(shape, ", "), more_));
    return out;
  }

 private:
  int64_t more_;
};

class StickBreaking final : public OfVectors {
 public:
  StickBreaking() : OfVectors(1) {}
  std::string name() const override { return "StickBreaking"; }
  Constraint codomain() const override { return Kind::kSimplex; }
  at::Tensor forward(const at::Tensor& u) const override {
    const auto v = u - log_left(u, u.size(-1));
    const auto log_rest = at::log_sigmoid(-v).cumsum(-1);
    return detail::at_least_tiny(
        (at::constant_pad_nd(at::log_sigmoid(v), {0, 1}) + at::constant_pad_nd(log_rest, {1, 0}))
            .exp());
  }
  at::Tensor inverse(const at::Tensor& x) const override {
    const int64_t n = x.size(-1) - 1;  // sums from the end, for 1 - (sum so far) cancels
    const auto rest = summed_from_the_end(x).narrow(-1, 1, n);
    return x.narrow(-1, 0, n).log() - rest.log() + log_left(x, n);
  }
  at::Tensor log_abs_det_jacobian(const at::Tensor& u, const at::Tensor&) const override {
    const auto v = u - log_left(u, u.size(-1));
    return (at::log_sigmoid(v) + at::log_sigmoid(-v).cumsum(-1)).sum(-1);
  }

 private:
  /// log(K - k) for k = 1, ..., n = K - 1.
  static at::Tensor log_left(const at::Tensor& like, int64_t n) {
    return at::arange(n, 0, -1, like.options().requires_grad(false)).log();
  }
};

class Ordered final : public OfVectors {
 public:
  Ordered() : OfVectors(0) {}
  std::string name() const override { return "Ordered"; }
  Constraint codomain() const override { return Kind::kOrdered; }
  at::Tensor forward(const at::Tensor& u) const override {
    const int64_t n = u.size(-1);
    if (n < 2) return u;
    const auto x = at::cat({u.narrow(-1, 0, 1), u.narrow(-1, 1, n - 1).exp()}, -1).cumsum(-1);
    return x + nudge(x.detach());
  }
  at::Tensor inverse(const at::Tensor& x) const override {
    const int64_t n = x.size(-1);
    return n < 2 ? x : at::cat({x.narrow(-1, 0, 1), x.diff(1, -1).log()}, -1);
  }
  at::Tensor log_abs_det_jacobian(const at::Tensor& u, const at::Tensor&) const override {
    const int64_t n = u.size(-1);
    return u.narrow(-1, std::min<int64_t>(n, 1), std::max<int64_t>(n - 1, 0)).sum(-1);
  }

 private:
  /// What makes steps that were lost in rounding as small as the dtype has them.
  static at::Tensor nudge(const at::Tensor& x) {
    auto out = at::zeros_like(x);
    if (x.diff(1, -1).gt(0).all().item<bool>()) return out;
    auto columns = x.unbind(-1);
    const auto infinity = at::full({}, std::numeric_limits<double>::infinity(), x.options());
    for (size_t i = 1; i < columns.size(); ++i)
      columns[i] = at::maximum(columns[i], at::nextafter(columns[i - 1], infinity));
    return at::stack(columns, -1) - x;
  }
};

/// Vectors to lower triangular matrices; without the diagonal if `offset` is -1.
class OfTriangles : public Bijection {
 public:
  explicit OfTriangles(int64_t offset) : offset_(offset) {}
  Constraint domain() const override { return Kind::kRealVector; }
  std::vector<int64_t> forward_shape(at::IntArrayRef shape) const override {
    auto out = Bijection::forward_shape(shape);
    out.back() = matrix_dim(name(), out.back(), offset_);
    out.push_back(out.back());
    return out;
  }
  std::vector<int64_t> inverse_shape(at::IntArrayRef shape) const override {
    auto out = Bijection::inverse_shape(shape);
    const int64_t dim = out.back();
    out.pop_back();
    if (out.back() != dim)
      throw ShapeError(fmt::format("{}: got shape [{}]; expected square matrices", name(),
                                   fmt::join(shape, ", ")));
    out.back() = dim * (dim + 1) / 2 + offset_ * dim;
    return out;
  }

 protected:
  at::Tensor matrix(const at::Tensor& vector) const {
    return to_matrix(vector, matrix_dim(name(), vector.size(-1), offset_), offset_);
  }

 private:
  int64_t offset_;
};

class LowerCholesky final : public OfTriangles {
 public:
  explicit LowerCholesky(Diagonal diagonal)
      : OfTriangles(0),
        part_(diagonal == Diagonal::kExp ? bijections::exp() : bijections::softplus()) {}
  std::string name() const override { return "LowerCholesky"; }
  Constraint codomain() const override { return Kind::kLowerCholesky; }
  at::Tensor forward(const at::Tensor& u) const override {
    const auto m = matrix(u);
    return m.tril(-1) + part_->forward(m.diagonal(0, -2, -1)).diag_embed();
  }
  at::Tensor inverse(const at::Tensor& x) const override {
    const auto diagonal = part_->inverse(x.diagonal(0, -2, -1));
    return to_vector(x.tril(-1) + diagonal.diag_embed(), 0);
  }
  at::Tensor log_abs_det_jacobian(const at::Tensor& u, const at::Tensor& x) const override {
    return part_->log_abs_det_jacobian(matrix(u).diagonal(0, -2, -1), x.diagonal(0, -2, -1))
        .sum(-1);
  }

 private:
  BijectionPtr part_;
};

class CorrCholesky final : public OfTriangles {
 public:
  CorrCholesky() : OfTriangles(-1) {}
  std::string name() const override { return "CorrCholesky"; }
  Constraint codomain() const override { return Kind::kCorrCholesky; }
  at::Tensor forward(const at::Tensor& u) const override {
    const auto m = matrix(u);
    const auto one = at::eye(m.size(-1), m.options().requires_grad(false));
    const auto x = (m.tanh() + one) * before(detail::log_sech(m).cumsum(-1)).exp();
    return at::where(one == 1, detail::at_least_tiny(x), x);
  }
  at::Tensor inverse(const at::Tensor& x) const override {
    // The rest of a row, x_ik for k > j, has the squared length prod_(k<=j) sech^2(u_ik); and
    // x_ij / sqrt(rest) = sinh(u_ij).
    const auto rest = summed_from_the_end(x.square());
    const int64_t dim = x.size(-1);
    const auto after = at::constant_pad_nd(
        rest.narrow(-1, std::min<int64_t>(dim, 1), std::max<int64_t>(dim - 1, 0)),
        {0, std::min<int64_t>(dim, 1)});
    return (to_vector(x, -1) / to_vector(after, -1).sqrt()).asinh();
  }
  at::Tensor log_abs_det_jacobian(const at::Tensor& u, const at::Tensor&) const override {
    const auto slopes = detail::log_sech(matrix(u));
    return to_vector(2 * slopes + before(slopes.cumsum(-1)), -1).sum(-1);
  }
};

class Gram final : public Bijection {
 public:
  std::string name() const override { return "Gram"; }
  Constraint domain() const override { return Kind::kLowerCholesky; }
  Constraint codomain() const override { return Kind::kPositiveDefinite; }
  at::Tensor forward(const at::Tensor& u) const override {
    const auto x = u.matmul(u.mT()).tril();
    return x + x.tril(-1).mT();
  }
  at::Tensor inverse(const at::Tensor& x) const override { return at::linalg_cholesky(x); }
  at::Tensor log_abs_det_jacobian(const at::Tensor& u, const at::Tensor&) const override {
    const int64_t dim = u.size(-1);  // 2^D prod_i L_ii^(D - i), i from 0
    const auto power = at::arange(dim, 0, -1, u.options().requires_grad(false));
    return (u.diagonal(0, -2, -1).log() * power).sum(-1) +
           static_cast<double>(dim) * std::numbers::ln2;
  }
};

}  // namespace

namespace bijections {
BijectionPtr stick_breaking() { return std::make_shared<StickBreaking>(); }
BijectionPtr ordered() { return std::make_shared<Ordered>(); }
BijectionPtr lower_cholesky(Diagonal diagonal) { return std::make_shared<LowerCholesky>(diagonal); }
BijectionPtr corr_cholesky() { return std::make_shared<CorrCholesky>(); }
}  // namespace bijections

BijectionPtr detail::gram() { return std::make_shared<Gram>(); }

}  // namespace elbo
