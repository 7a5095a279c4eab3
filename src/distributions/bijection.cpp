#include "elbo/distributions/bijection.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "distributions/detail/bijection_parts.h"
#include "elbo/distributions/distribution.h"
#include "elbo/error.h"
#include "elbo/kernels/math.h"

namespace elbo {

using Kind = Constraint::Kind;
using detail::at_least_tiny;
using detail::log_sech;
using detail::sum_last;

at::Tensor Bijection::decreasing() const {
  if (event_dims_in() == 0 && event_dims_out() == 0) return {};
  throw UnsupportedError(name() + ": decreasing is for bijections of scalars");
}

std::vector<int64_t> Bijection::forward_shape(at::IntArrayRef shape) const {
  detail::check_dims(name(), shape, event_dims_in());
  return shape.vec();
}

std::vector<int64_t> Bijection::inverse_shape(at::IntArrayRef shape) const {
  detail::check_dims(name(), shape, event_dims_out());
  return shape.vec();
}

namespace {

/// In (0, 1), both ends left out.
at::Tensor open_unit(const at::Tensor& x) {
  const double below_one = x.scalar_type() == at::kDouble ? 0x1.fffffffffffffp-1 : 0x1.fffffep-1;
  return at_least_tiny(x).clamp_max(below_one);
}

at::Tensor open_signed_unit(const at::Tensor& x) {
  const double below_one = x.scalar_type() == at::kDouble ? 0x1.fffffffffffffp-1 : 0x1.fffffep-1;
  return x.clamp(-below_one, below_one);
}

/// What a bijection of scalars without parameters is.
struct Formulas {
  const char* name;
  Kind domain, codomain;
  at::Tensor (*forward)(const at::Tensor& u);
  at::Tensor (*inverse)(const at::Tensor& x);
  at::Tensor (*log_slope)(const at::Tensor& u);
};

constexpr Formulas kExp = {"Exp",
                           Kind::kReal,
                           Kind::kPositive,
                           [](const at::Tensor& u) { return at_least_tiny(u.exp()); },
                           [](const at::Tensor& x) { return x.log(); },
                           [](const at::Tensor& u) { return u; }};
constexpr Formulas kSoftplus = {
    "Softplus",
    Kind::kReal,
    Kind::kPositive,
    [](const at::Tensor& u) { return at_least_tiny(math::softplus(u)); },
    [](const at::Tensor& x) { return detail::inverse_softplus(x); },
    [](const at::Tensor& u) { return at::log_sigmoid(u); }};
constexpr Formulas kSigmoid = {
    "Sigmoid",
    Kind::kReal,
    Kind::kUnitInterval,
    [](const at::Tensor& u) { return open_unit(u.sigmoid()); },
    [](const at::Tensor& x) { return x.log() - (-x).log1p(); },
    [](const at::Tensor& u) { return at::log_sigmoid(u) + at::log_sigmoid(-u); }};
constexpr Formulas kTanh = {"Tanh",
                            Kind::kReal,
                            Kind::kInterval,
                            [](const at::Tensor& u) { return open_signed_unit(u.tanh()); },
                            [](const at::Tensor& x) { return 0.5 * (x.log1p() - (-x).log1p()); },
                            [](const at::Tensor& u) { return 2 * log_sech(u); }};

class OfScalars final : public Bijection {
 public:
  explicit OfScalars(const Formulas& formulas) : f_(formulas) {}
  std::string name() const override { return f_.name; }
  Constraint domain() const override { return f_.domain; }
  Constraint codomain() const override {
    if (f_.codomain != Kind::kInterval) return f_.codomain;
    return {Kind::kInterval, at::full({}, -1.0, at::kDouble), at::full({}, 1.0, at::kDouble)};
  }
  at::Tensor forward(const at::Tensor& u) const override { return f_.forward(u); }
  at::Tensor inverse(const at::Tensor& x) const override { return f_.inverse(x); }
  at::Tensor log_abs_det_jacobian(const at::Tensor& u, const at::Tensor&) const override {
    return f_.log_slope(u);
  }

 private:
  Formulas f_;
};

/// Of elements with a number of dimensions of real numbers.
class OfReals : public Bijection {
 public:
  explicit OfReals(int64_t event_dims) : event_dims_(event_dims) {
    if (event_dims < 0)
      throw ConfigError(fmt::format("Bijection: event_dims = {}; expected >= 0", event_dims));
  }
  Constraint domain() const override { return event_dims_ == 0 ? Kind::kReal : Kind::kRealVector; }
  Constraint codomain() const override { return domain(); }
  int64_t event_dims_in() const override { return event_dims_; }
  int64_t event_dims_out() const override { return event_dims_; }

 private:
  int64_t event_dims_;
};

class Identity final : public OfReals {
 public:
  using OfReals::OfReals;
  std::string name() const override { return "Identity"; }
  at::Tensor forward(const at::Tensor& u) const override { return u; }
  at::Tensor inverse(const at::Tensor& x) const override { return x; }
  at::Tensor log_abs_det_jacobian(const at::Tensor& u, const at::Tensor&) const override {
    return at::zeros(u.sizes().slice(0, static_cast<size_t>(u.dim() - event_dims_in())),
                     u.options().requires_grad(false));
  }
};

class Affine final : public OfReals {
 public:
  Affine(at::Tensor loc, at::Tensor scale, int64_t event_dims)
      : OfReals(event_dims), loc_(std::move(loc)), scale_(std::move(scale)) {
    shape_ = detail::broadcast_shape("Affine: loc and scale", loc_.sizes(), scale_.sizes());
    detail::check_parameter("Affine", "loc", "finite", loc_, loc_.isfinite());
    detail::check_parameter("Affine", "scale", "finite and not 0", scale_,
                            scale_.isfinite().logical_and(scale_.ne(0)));
  }
  std::string name() const override { return "Affine"; }
  at::Tensor forward(const at::Tensor& u) const override { return loc_ + scale_ * u; }
  at::Tensor inverse(const at::Tensor& x) const override { return (x - loc_) / scale_; }
  at::Tensor log_abs_det_jacobian(const at::Tensor& u, const at::Tensor& x) const override {
    const auto shape = detail::broadcast_shape("Affine", u.sizes(), x.sizes());
    return sum_last(scale_.abs().log().to(u.scalar_type()).expand(shape), event_dims_in());
  }
  at::Tensor decreasing() const override {
    (void)Bijection::decreasing();
    return scale_ < 0;
  }
  std::vector<int64_t> forward_shape(at::IntArrayRef shape) const override {
    return detail::broadcast_shape("Affine", Bijection::forward_shape(shape), shape_);
  }
  std::vector<int64_t> inverse_shape(at::IntArrayRef shape) const override {
    return forward_shape(shape);
  }

 private:
  at::Tensor loc_, scale_;
  std::vector<int64_t> shape_;
};

/// A bijection of scalars whose parameters broadcast to `shape`.
class WithParameters : public Bijection {
 public:
  explicit WithParameters(std::vector<int64_t> shape) : shape_(std::move(shape)) {}
  std::vector<int64_t> forward_shape(at::IntArrayRef shape) const override {
    return detail::broadcast_shape(name(), shape, shape_);
  }
  std::vector<int64_t> inverse_shape(at::IntArrayRef shape) const override {
    return forward_shape(shape);
  }

 private:
  std::vector<int64_t> shape_;
};

class Power final : public WithParameters {
 public:
  explicit Power(at::Tensor exponent)
      : WithParameters(exponent.sizes().vec()), exponent_(std::move(exponent)) {
    detail::check_parameter("Power", "exponent", "finite and not 0", exponent_,
                            exponent_.isfinite().logical_and(exponent_.ne(0)));
  }
  std::string name() const override { return "Power"; }
  Constraint domain() const override { return Kind::kPositive; }
  Constraint codomain() const override { return Kind::kPositive; }
  at::Tensor forward(const at::Tensor& u) const override { return at_least_tiny(u.pow(exponent_)); }
  at::Tensor inverse(const at::Tensor& x) const override { return x.pow(exponent_.reciprocal()); }
  at::Tensor log_abs_det_jacobian(const at::Tensor& u, const at::Tensor&) const override {
    return exponent_.abs().log() + (exponent_ - 1) * u.log();
  }
  at::Tensor decreasing() const override { return exponent_ < 0; }

 private:
  at::Tensor exponent_;
};

class Interval final : public WithParameters {
 public:
  Interval(at::Tensor lower, at::Tensor upper)
      : WithParameters(detail::broadcast_shape("Interval: ends", lower.sizes(), upper.sizes())),
        lower_(std::move(lower)),
        upper_(std::move(upper)) {
    detail::check_parameter("Interval", "lower", "finite", lower_, lower_.isfinite());
    detail::check_parameter("Interval", "upper", "finite", upper_, upper_.isfinite());
    detail::check_together("Interval", "lower < upper", lower_ < upper_);
  }
  std::string name() const override { return "Interval"; }
  Constraint domain() const override { return Kind::kReal; }
  Constraint codomain() const override { return {Kind::kInterval, lower_, upper_}; }
  at::Tensor forward(const at::Tensor& u) const override {
    // From the nearer end, which may be 0 and keep more digits.
    const auto width = upper_ - lower_;
    return at::where(u < 0, lower_ + width * u.sigmoid(), upper_ - width * (-u).sigmoid());
  }
  at::Tensor inverse(const at::Tensor& x) const override {
    return (x - lower_).log() - (upper_ - x).log();
  }
  at::Tensor log_abs_det_jacobian(const at::Tensor& u, const at::Tensor&) const override {
    return (upper_ - lower_).log() + at::log_sigmoid(u) + at::log_sigmoid(-u);
  }

 private:
  at::Tensor lower_, upper_;
};

class AtLeast final : public WithParameters {
 public:
  explicit AtLeast(at::Tensor lower)
      : WithParameters(lower.sizes().vec()), lower_(std::move(lower)) {
    detail::check_parameter("AtLeast", "lower", "finite", lower_, lower_.isfinite());
  }
  std::string name() const override { return "AtLeast"; }
  Constraint domain() const override { return Kind::kReal; }
  Constraint codomain() const override { return {Kind::kAtLeast, lower_}; }
  at::Tensor forward(const at::Tensor& u) const override { return lower_ + u.exp(); }
  at::Tensor inverse(const at::Tensor& x) const override { return (x - lower_).log(); }
  at::Tensor log_abs_det_jacobian(const at::Tensor& u, const at::Tensor& x) const override {
    return u.expand(detail::broadcast_shape("AtLeast", u.sizes(), x.sizes()));
  }

 private:
  at::Tensor lower_;
};

}  // namespace

namespace bijections {
BijectionPtr identity(int64_t event_dims) { return std::make_shared<Identity>(event_dims); }
BijectionPtr exp() { return std::make_shared<OfScalars>(kExp); }
BijectionPtr softplus() { return std::make_shared<OfScalars>(kSoftplus); }
BijectionPtr sigmoid() { return std::make_shared<OfScalars>(kSigmoid); }
BijectionPtr tanh() { return std::make_shared<OfScalars>(kTanh); }
BijectionPtr affine(at::Tensor loc, at::Tensor scale, int64_t event_dims) {
  return std::make_shared<Affine>(std::move(loc), std::move(scale), event_dims);
}
BijectionPtr power(at::Tensor exponent) { return std::make_shared<Power>(std::move(exponent)); }
BijectionPtr interval(at::Tensor lower, at::Tensor upper) {
  return std::make_shared<Interval>(std::move(lower), std::move(upper));
}
BijectionPtr at_least(at::Tensor lower) { return std::make_shared<AtLeast>(std::move(lower)); }
BijectionPtr positive_definite(Diagonal diagonal) {
  return compose({lower_cholesky(diagonal), detail::gram()});
}
}  // namespace bijections

BijectionPtr biject_to(const Constraint& constraint) {
  const auto bound = [&](const at::Tensor& value, const char* which) {
    if (!value.defined())
      throw ConfigError("biject_to: constraint '" + constraint.name() + "' has no " + which +
                        " bound");
    return value;
  };
  switch (constraint.kind()) {
    case Kind::kReal:
      return bijections::identity();
    case Kind::kRealVector:
      return bijections::identity(1);
    case Kind::kPositive:
    case Kind::kNonNegative:
      return bijections::exp();
    case Kind::kUnitInterval:
      return bijections::sigmoid();
    case Kind::kInterval: {
      const auto lower = bound(constraint.lower(), "lower");
      return bijections::interval(lower, bound(constraint.upper(), "upper"));
    }
    case Kind::kAtLeast:
      return bijections::at_least(bound(constraint.lower(), "lower"));
    case Kind::kSimplex:
      return bijections::stick_breaking();
    case Kind::kOrdered:
      return bijections::ordered();
    case Kind::kLowerCholesky:
      return bijections::lower_cholesky();
    case Kind::kCorrCholesky:
      return bijections::corr_cholesky();
    case Kind::kPositiveDefinite:
      return bijections::positive_definite();
    case Kind::kBinary:
    case Kind::kCount:
    case Kind::kPositiveCount:
    case Kind::kIntegerInterval:
    case Kind::kOneHot:
    case Kind::kCounts:
      break;
  }
  throw ConfigError("biject_to: constraint '" + constraint.name() +
                    "' is a set of whole numbers; expected a continuous one");
}

}  // namespace elbo
