#include "elbo/distributions/bijection.h"

#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include "distributions/table.h"
#include "support/source_dir.h"

namespace elbo {
namespace {

using namespace testing;
using bijections::Diagonal;
using Kind = Constraint::Kind;

at::Tensor vector(std::vector<double> values) { return at::tensor(values, at::kDouble); }

/// Uniform on (-reach, reach).
at::Tensor spread(at::IntArrayRef shape, double reach, uint64_t seed = 1,
                  at::ScalarType type = at::kDouble) {
  return reach * (2 * Noise(seed).uniform(shape, at::TensorOptions(type)) - 1);
}

struct Case {
  BijectionPtr f;
  std::vector<int64_t> shape;  ///< of one u
  double digits;               ///< |u| up to which autograd's Jacobian has 9 digits
  double round_trip;           ///< |u| up to which the inverse of f(u) has 10 digits
  bool of_positive = false;    ///< u > 0
};

const std::vector<Case>& cases() {
  using namespace bijections;
  static const auto loc = scalar(0.3), scale = scalar(-2.5);
  static const std::vector<Case> all = {
      {identity(), {}, 700, 700},
      {identity(2), {3, 2}, 700, 700},
      {exp(), {}, 700, 700},
      {softplus(), {}, 700, 700},
      {sigmoid(), {}, 8, 8},
      {tanh(), {}, 7, 5},
      {affine(loc, scale), {}, 700, 700},
      {affine(vector({0, 1, 2}), vector({1, -3, 0.5}), 1), {3}, 700, 700},
      {power(scalar(2.5)), {}, 100, 100, true},
      {power(scalar(-0.5)), {}, 100, 100, true},
      {interval(scalar(-2), scalar(1)), {}, 8, 8},
      {at_least(scalar(3)), {}, 10, 10},
      {stick_breaking(), {1}, 100, 100},
      {stick_breaking(), {4}, 100, 100},
      {ordered(), {1}, 10, 10},
      {ordered(), {5}, 100, 5},
      {lower_cholesky(), {6}, 200, 200},
      {lower_cholesky(Diagonal::kSoftplus), {10}, 200, 200},
      {corr_cholesky(), {1}, 7, 50},
      {corr_cholesky(), {6}, 7, 50},
      {positive_definite(), {6}, 50, 0.7},
      {positive_definite(Diagonal::kSoftplus), {3}, 50, 1},
      {compose({affine(loc, scale), exp(), power(scalar(-2))}), {}, 30, 30},
      {compose({affine(scalar(1), vector({1, 2, 3})), stick_breaking()}), {3}, 30, 30},
      {compose({ordered(), exp()}), {3}, 3, 3},
      {inverse_of(exp()), {}, 100, 100, true},
      {inverse_of(compose({tanh(), inverse_of(tanh())})), {}, 3, 3},
      {compose({}), {}, 700, 700},
  };
  return all;
}

at::Tensor points(const Case& c, double reach, std::vector<int64_t> batch, uint64_t seed = 1) {
  batch.insert(batch.end(), c.shape.begin(), c.shape.end());
  const auto u = spread(batch, reach, seed);
  return c.of_positive ? (0.1 * u).exp() : u;
}

/// The coordinates of an element of the codomain that a density is taken over.
at::Tensor free_coordinates(const Constraint& set, const at::Tensor& x) {
  const auto triangle = [&](int64_t offset) {
    const auto at = at::tril_indices(x.size(-1), x.size(-1), offset);
    return x.index({at[0], at[1]});
  };
  switch (set.kind()) {
    case Kind::kSimplex:
      return x.narrow(0, 0, x.size(0) - 1);
    case Kind::kCorrCholesky:
      return triangle(-1);
    case Kind::kLowerCholesky:
    case Kind::kPositiveDefinite:
      return triangle(0);
    default:
      return x.flatten();
  }
}

/// log |det| of autograd's Jacobian at one u.
double log_abs_det_by_autograd(const Case& c, const at::Tensor& at) {
  const auto u = at.detach().clone().requires_grad_();
  const auto x = free_coordinates(c.f->codomain(), c.f->forward(u));
  std::vector<at::Tensor> rows;
  for (int64_t i = 0; i < x.numel(); ++i)
    rows.push_back(
        torch::autograd::grad({x.reshape({-1})[i]}, {u}, {}, true, false, true)[0].flatten());
  // Most are lower triangular. As the transpose of an upper triangular one, which ATen factorises
  // as it is, elimination finds nothing to do and rounds nothing.
  return std::get<1>(at::linalg_slogdet(at::stack(rows).contiguous())).item<double>();
}

TEST(Bijection, JacobiansAgreeWithAutograd) {
  constexpr double kTolerance = 1e-8;
  double worst = 0;
  for (const auto& c : cases()) {
    for (const double reach : {0.5, std::min(3.0, c.digits), c.digits}) {
      const auto u = points(c, reach, {20});
      const auto got = c.f->log_abs_det_jacobian(u, c.f->forward(u));
      ASSERT_EQ(got.sizes(), at::IntArrayRef({20})) << c.f->name();
      for (int64_t i = 0; i < 20; ++i) {
        const double expected = log_abs_det_by_autograd(c, u[i]);
        const double error = std::abs(got[i].item<double>() - expected);
        worst = std::max(worst, error / std::max(1.0, std::abs(expected)));
        EXPECT_LE(error, kTolerance * std::max(1.0, std::abs(expected)))
            << c.f->name() << " at " << u[i];
      }
    }
  }
  RecordProperty("worst", fmt::format("{:.1e}", worst));
}

TEST(Bijection, InvertsItself) {
  double worst = 0;
  for (const auto& c : cases()) {
    for (const double reach : {0.1, std::min(1.0, c.round_trip), c.round_trip}) {
      const auto u = points(c, reach, {50}, 2);
      const auto x = c.f->forward(u), back = c.f->inverse(x);
      worst = std::max(worst, ((back - u).abs() / u.abs().clamp_min(1)).max().item<double>());
      EXPECT_TRUE(back.allclose(u, 1e-10, 1e-10))
          << c.f->name() << ", " << reach << ": " << (back - u).abs().max().item<double>();
      EXPECT_TRUE(c.f->forward(back).allclose(x, 1e-10, 1e-10)) << c.f->name();
    }
  }
  RecordProperty("worst", fmt::format("{:.1e}", worst));
}

TEST(Bijection, GradientsAgreeWithDifferences) {
  for (const auto& c : cases()) {
    const auto u = points(c, std::min(1.5, c.digits), {3}, 3);
    EXPECT_LE(gradient_error([&](const auto& in) { return c.f->forward(in[0]); }, {u}),
              kGradientTolerance)
        << c.f->name();
    const auto log_det = [&](const auto& in) {
      return c.f->log_abs_det_jacobian(in[0], c.f->forward(in[0]));
    };
    EXPECT_LE(gradient_error([&](const auto& in) { return log_det(in) + 0 * in[0].sum(); }, {u}),
              kGradientTolerance)
        << c.f->name();
    // The inverse at points of the set only: differences are of u.
    EXPECT_LE(
        gradient_error([&](const auto& in) { return c.f->inverse(c.f->forward(in[0])); }, {u}),
        kGradientTolerance)
        << c.f->name();
  }
}

TEST(Bijection, ShapesArePredicted) {
  for (const auto& c : cases()) {
    const auto u = points(c, 0.5, {2, 3});
    const auto x = c.f->forward(u);
    EXPECT_EQ(c.f->forward_shape(u.sizes()), x.sizes().vec()) << c.f->name();
    EXPECT_EQ(c.f->inverse_shape(x.sizes()), u.sizes().vec()) << c.f->name();
    EXPECT_EQ(c.f->event_dims_in(), static_cast<int64_t>(c.shape.size())) << c.f->name();
    EXPECT_EQ(c.f->event_dims_out(), x.dim() - 2) << c.f->name();
    EXPECT_EQ(c.f->log_abs_det_jacobian(u, x).sizes(), at::IntArrayRef({2, 3})) << c.f->name();
  }
  const auto wide = bijections::affine(at::zeros({3}, at::kDouble), at::ones({2, 1}, at::kDouble));
  EXPECT_EQ(wide->forward_shape({}), (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(wide->log_abs_det_jacobian(scalar(0), wide->forward(scalar(0))).sizes(),
            at::IntArrayRef({2, 3}));
}

TEST(Bijection, RejectsShapesThatNoElementHas) {
  using namespace bijections;
  EXPECT_THROW((void)stick_breaking()->forward_shape({}), ShapeError);
  EXPECT_THROW((void)stick_breaking()->inverse_shape({2, 0}), ShapeError);
  EXPECT_THROW((void)corr_cholesky()->forward_shape({4}), ShapeError);
  EXPECT_THROW((void)corr_cholesky()->forward(at::zeros({2, 5}, at::kDouble)), ShapeError);
  EXPECT_THROW((void)corr_cholesky()->inverse_shape({3}), ShapeError);
  EXPECT_THROW((void)lower_cholesky()->inverse_shape({3, 2}), ShapeError);
  EXPECT_THROW((void)affine(at::zeros({3}), at::ones({2})), ShapeError);
  EXPECT_THROW((void)identity(-1), ConfigError);
  try {
    (void)lower_cholesky()->forward_shape({7, 5});
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(),
                 "LowerCholesky: a vector of 5 does not fill the lower triangle of a matrix");
  }
}

TEST(Bijection, RejectsInvalidParameters) {
  using namespace bijections;
  expect_domain_error(
      [] {
        (void)affine(scalar(0), vector({1, 0}));
      },
      "Affine: scale must be finite and not 0, got 0 at [1]");
  expect_domain_error([] { (void)affine(scalar(INFINITY), scalar(1)); },
                      "Affine: loc must be finite, got inf");
  expect_domain_error([] { (void)power(scalar(0)); },
                      "Power: exponent must be finite and not 0, got 0");
  expect_domain_error([] { (void)interval(scalar(1), scalar(1)); },
                      "Interval: expected lower < upper");
  expect_domain_error([] { (void)interval(scalar(1), scalar(INFINITY)); },
                      "Interval: upper must be finite, got inf");
  expect_domain_error([] { (void)at_least(scalar(NAN)); },
                      "AtLeast: lower must be finite, got nan");
}

long double log_slope_of_sigmoid(long double u) {
  return -std::abs(u) - 2 * std::log1p(std::exp(-std::abs(u)));
}
long double log_slope_of_tanh(long double u) {
  return 2 * (std::log(2.0L) - std::abs(u) - std::log1p(std::exp(-2 * std::abs(u))));
}

TEST(Bijection, ScalarJacobiansAreExactAtExtremes) {
  using namespace bijections;
  using Reference = long double (*)(long double);
  const std::pair<BijectionPtr, Reference> all[] = {
      {exp(), [](long double u) { return u; }},
      {softplus(), [](long double u) { return -std::log1p(std::exp(-u)); }},
      {sigmoid(), log_slope_of_sigmoid},
      {tanh(), log_slope_of_tanh},
      {interval(scalar(-2), scalar(5)),
       [](long double u) { return std::log(7.0L) + log_slope_of_sigmoid(u); }},
  };
  for (const auto& [f, reference] : all)
    for (const double size : {0.0, 1e-12, 1e-3, 1.0, 17.3, 36.7, 40.0, 300.0, 700.0})
      for (const double u : {size, -size}) {
        const auto expected = static_cast<double>(reference(u));
        const double got = f->log_abs_det_jacobian(scalar(u), f->forward(scalar(u))).item<double>();
        EXPECT_LE(std::abs(got - expected), 1e-15 * std::max(1.0, std::abs(expected)) + 1e-15)
            << f->name() << " at " << u;
      }
}

TEST(Bijection, CorrelationJacobianIsExactAtExtremes) {
  const auto f = bijections::corr_cholesky();
  for (const double reach : {1.0, 20.0, 100.0, 170.0}) {
    const auto u = spread({20, 3}, reach, 4);
    const auto got = f->log_abs_det_jacobian(u, f->forward(u));
    for (int64_t i = 0; i < 20; ++i) {
      // Row 2: sech^2. Row 3: sech^2 of the first, which also shrinks the second, and its own.
      const auto at = [&](int64_t k) { return log_slope_of_tanh(u[i][k].item<double>()); };
      const auto expected = static_cast<double>(at(0) + 1.5L * at(1) + at(2));
      EXPECT_LE(std::abs(got[i].item<double>() - expected), 1e-13 * std::max(1.0, -expected));
    }
  }
}

TEST(Bijection, ForwardKeepsDigitsAtExtremes) {
  using namespace bijections;
  EXPECT_EQ(softplus()->forward(scalar(-50)).item<double>(), std::log1p(std::exp(-50.0)));
  EXPECT_EQ(softplus()->forward(scalar(25)).item<double>(), 25 + std::log1p(std::exp(-25.0)));
  const auto f = interval(scalar(-1), scalar(0));  // near the upper end, which is 0
  EXPECT_TRUE(close(f->forward(scalar(50)).item<double>() / -std::exp(-50.0), 1));
  EXPECT_TRUE(close(f->inverse(f->forward(scalar(50))).item<double>(), 50));
  const auto equal = stick_breaking()->forward(at::zeros({3}, at::kDouble));
  EXPECT_TRUE(equal.allclose(at::full({4}, 0.25, at::kDouble), 1e-15, 1e-15));
}

TEST(Bijection, AgreesWithPyTorch) {
  std::ifstream in(elbo::testing::source_dir() + "/tests/distributions/fixtures/bijections.json");
  const auto tables = json::parse(in);
  for (const char* key : {"command", "seed", "python", "torch"})
    EXPECT_TRUE(tables.at("generator").contains(key)) << key;
  const std::pair<const char*, BijectionPtr> all[] = {
      {"Exp", bijections::exp()},
      {"Sigmoid", bijections::sigmoid()},
      {"Tanh", bijections::tanh()},
      {"StickBreaking", bijections::stick_breaking()},
      {"CorrCholesky", bijections::corr_cholesky()}};
  for (const auto& [name, f] : all) {
    ASSERT_GE(tables.at(name).size(), 3U);
    for (const json& row : tables.at(name)) {
      const auto u = vector(row.at("u").get<std::vector<double>>());
      const auto x = f->forward(u);
      EXPECT_TRUE(
          x.flatten().allclose(vector(row.at("x").get<std::vector<double>>()), 1e-10, 1e-12))
          << name << " " << row;
      EXPECT_PRED2(close, f->log_abs_det_jacobian(u, x).sum().item<double>(),
                   row.at("log_abs_det").get<double>())
          << name;
      EXPECT_TRUE(f->inverse(x).allclose(u, 1e-10, 1e-10)) << name;
    }
  }
}

TEST(Bijection, KnowsWhereItDecreases) {
  using namespace bijections;
  EXPECT_FALSE(exp()->decreasing().defined());
  EXPECT_TRUE(power(scalar(-1))->decreasing().item<bool>());
  EXPECT_FALSE(power(scalar(2))->decreasing().item<bool>());
  const auto mixed = affine(scalar(0), vector({1, -1}));
  EXPECT_TRUE(mixed->decreasing().equal(at::tensor({0, 1}, at::kLong).to(at::kBool)));
  EXPECT_TRUE(inverse_of(mixed)->decreasing().equal(mixed->decreasing()));
  const auto twice = compose({mixed, exp(), power(scalar(-1))});
  EXPECT_TRUE(twice->decreasing().equal(at::tensor({1, 0}, at::kLong).to(at::kBool)));
  EXPECT_FALSE(compose({exp(), sigmoid()})->decreasing().defined());
  EXPECT_THROW((void)stick_breaking()->decreasing(), UnsupportedError);
  EXPECT_THROW((void)compose({exp(), stick_breaking()})->decreasing(), UnsupportedError);
}

TEST(Bijection, LowerCholeskyFillsRowByRow) {
  const auto x = bijections::lower_cholesky()->forward(vector({0, 1, 0, 2, 3, 0}));
  const auto expected = vector({1, 0, 0, 1, 1, 0, 2, 3, 1}).view({3, 3});
  EXPECT_TRUE(x.equal(expected)) << x;
  const auto f = bijections::positive_definite();
  EXPECT_TRUE(f->forward(vector({0, 1, 0, 2, 3, 0})).equal(expected.matmul(expected.t())));
}

TEST(BijectTo, LandsInTheSet) {
  const auto bounds = [](double low, double high) {
    return Constraint(Kind::kInterval, vector({low, low - 1}), vector({high, high + 1}));
  };
  const std::pair<Constraint, std::vector<int64_t>> sets[] = {
      {Kind::kReal, {2}},         {Kind::kPositive, {2}},
      {Kind::kNonNegative, {2}},  {Kind::kUnitInterval, {2}},
      {bounds(-2, 3), {2}},       {bounds(1e6, 1e6 + 2), {2}},
      {bounds(-1, 0), {2}},       {{Kind::kAtLeast, vector({-5, 1e5})}, {2}},
      {Kind::kRealVector, {4}},   {Kind::kSimplex, {1}},
      {Kind::kSimplex, {9}},      {Kind::kOrdered, {1}},
      {Kind::kOrdered, {6}},      {Kind::kLowerCholesky, {10}},
      {Kind::kCorrCholesky, {1}}, {Kind::kCorrCholesky, {15}},
  };
  for (const auto& [set, shape] : sets) {
    const auto f = biject_to(set);
    for (const auto type : {at::kDouble, at::kFloat})
      for (const double reach : {1.0, 10.0, 80.0, type == at::kDouble ? 700.0 : 85.0}) {
        auto full = shape;
        full.insert(full.begin(), 300);
        const auto u = spread(full, reach, 6, type);
        const auto x = f->forward(u);
        EXPECT_EQ(x.scalar_type(),
                  at::promoteTypes(type, set.lower().defined() ? at::kDouble : type));
        EXPECT_TRUE(set.check(x).all().item<bool>()) << f->name() << ", " << reach << ", " << type;
        EXPECT_TRUE(x.isfinite().all().item<bool>()) << f->name() << ", " << reach << ", " << type;
        EXPECT_EQ(f->codomain().event_dims(), set.event_dims());
      }
  }
  const auto f = biject_to(Kind::kPositiveDefinite);
  for (const auto& [type, reach] : {std::pair{at::kDouble, 2.0}, {at::kFloat, 0.7}})
    EXPECT_TRUE(Constraint(Kind::kPositiveDefinite)
                    .check(f->forward(spread({300, 10}, reach, 7, type)))
                    .all()
                    .item<bool>());
}

TEST(BijectTo, StaysOffBoundsThatDoNotBelong) {
  for (const auto type : {at::kDouble, at::kFloat})
    for (const double u : {-1e5, -800.0, 40.0, 800.0, 1e5}) {
      const auto at = at::full({}, u, type);
      EXPECT_GT(bijections::softplus()->forward(at).item<double>(), 0);
      const double s = bijections::sigmoid()->forward(at).item<double>();
      EXPECT_TRUE(s > 0 && s < 1) << u;
      EXPECT_LT(std::abs(bijections::tanh()->forward(at).item<double>()), 1) << u;
      EXPECT_GT(bijections::exp()->forward(at).item<double>(), 0);
    }
}

void expect_config_error(const Constraint& set, const std::string& message) {
  try {
    (void)biject_to(set);
    ADD_FAILURE() << "expected: " << message;
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.what(), message);
  }
}

TEST(BijectTo, RejectsSetsOfWholeNumbers) {
  for (const Kind kind : {Kind::kBinary, Kind::kCount, Kind::kPositiveCount, Kind::kIntegerInterval,
                          Kind::kOneHot, Kind::kCounts})
    EXPECT_THROW((void)biject_to(kind), ConfigError);
  expect_config_error(
      Kind::kCount,
      "biject_to: constraint 'count' is a set of whole numbers; expected a continuous one");
  expect_config_error(Kind::kInterval, "biject_to: constraint 'interval' has no lower bound");
  expect_config_error({Kind::kInterval, scalar(0)},
                      "biject_to: constraint 'interval' has no upper bound");
}

}  // namespace
}  // namespace elbo
