#include "elbo/distributions/constraint.h"

#include "distributions/table.h"

namespace elbo {
namespace {

using namespace testing;
using Kind = Constraint::Kind;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

at::Tensor vector(std::vector<double> values) { return at::tensor(values, at::kDouble); }
at::Tensor matrix(std::vector<double> values) { return vector(std::move(values)).view({2, 2}); }

struct Row {
  Constraint set;
  const char* name;
  int64_t event_dims;
  std::vector<at::Tensor> in, out;
};

std::vector<at::Tensor> scalars(std::initializer_list<double> values) {
  std::vector<at::Tensor> all;
  for (const double v : values) all.push_back(scalar(v));
  return all;
}

const std::vector<Row>& rows() {
  static const double tiny = std::numeric_limits<double>::denorm_min();
  static const std::vector<Row> all = {
      {Kind::kReal, "real", 0, scalars({0, -1e308, tiny}), scalars({kInf, -kInf, kNan})},
      {Kind::kPositive, "positive", 0, scalars({tiny, 1e308}), scalars({0, -tiny, -kInf, kNan})},
      {Kind::kNonNegative, "nonnegative", 0, scalars({0, 1}), scalars({-tiny, kNan})},
      {Kind::kUnitInterval, "unit interval", 0, scalars({0, 0.5, 1}),
       scalars({-tiny, 1 + 1e-15, kNan})},
      {{Kind::kInterval, scalar(-2), scalar(3)},
       "interval",
       0,
       scalars({-2, 0, 3}),
       scalars({-2.1, 3.1, kInf, kNan})},
      {{Kind::kAtLeast, scalar(-2)}, "at least", 0, scalars({-2, 1e300}), scalars({-2.1, kNan})},
      {Kind::kBinary, "binary", 0, scalars({0, 1}), scalars({0.5, -1, 2, kNan})},
      {Kind::kCount, "count", 0, scalars({0, 1, 1e15}), scalars({-1, 0.5, kInf, kNan})},
      {Kind::kPositiveCount, "positive count", 0, scalars({1, 7}), scalars({0, 1.5, kInf, kNan})},
      {{Kind::kIntegerInterval, scalar(-1), scalar(2)},
       "integer interval",
       0,
       scalars({-1, 0, 2}),
       scalars({-2, 3, 0.5, kNan})},
      {Kind::kRealVector,
       "real vector",
       1,
       {vector({1, -2}), vector({})},
       {vector({1, kInf}), vector({kNan, 0})}},
      {Kind::kSimplex,
       "simplex",
       1,
       {vector({1}), vector({0, 1}), vector({0.25, 0.25, 0.5})},
       {vector({0.5, 0.4}), vector({-0.1, 1.1}), vector({kNan, 1}), vector({kInf, 0})}},
      {Kind::kOneHot,
       "one-hot",
       1,
       {vector({1}), vector({0, 1, 0})},
       {vector({0, 0}), vector({1, 1}), vector({0.5, 0.5}), vector({kNan, 1})}},
      {{Kind::kCounts, {}, scalar(3)},
       "counts",
       1,
       {vector({3}), vector({0, 1, 2})},
       {vector({1, 1}), vector({1.5, 1.5}), vector({4, -1}), vector({kNan, 3})}},
      {Kind::kOrdered,
       "ordered",
       1,
       {vector({-5}), vector({-1, 0, 7})},
       {vector({0, 0}), vector({1, 0}), vector({kNan}), vector({0, kInf}), vector({0, kNan, 1})}},
      {Kind::kPositiveDefinite,
       "positive definite",
       2,
       {matrix({1, 0.5, 0.5, 1}), matrix({2e8, 1e8 + 1e-7, 1e8, 2e8})},
       {matrix({1, 2, 2, 1}), matrix({1, 0.5, 0.4, 1}), matrix({0, 0, 0, 0}),
        matrix({kNan, 0, 0, 1}), matrix({kInf, 0, 0, 1})}},
      {Kind::kLowerCholesky,
       "lower Cholesky",
       2,
       {matrix({1, 0, -3, 0.5})},
       {matrix({1, 0.1, 0, 1}), matrix({1, 0, 0, 0}), matrix({-1, 0, 0, 1}),
        matrix({1, 0, kInf, 1}), matrix({1, kNan, 0, 1})}},
      {Kind::kCorrCholesky,
       "correlation Cholesky",
       2,
       {matrix({1, 0, 0.6, 0.8}), matrix({1, 0, 0, 1})},
       {matrix({1, 0, 0.6, 0.7}), matrix({1, 0, 0.6, -0.8}), matrix({2, 0, 0, 1})}},
  };
  return all;
}

TEST(Constraint, KnowsItsElements) {
  for (const auto& row : rows()) {
    EXPECT_EQ(row.set.name(), row.name);
    EXPECT_EQ(row.set.event_dims(), row.event_dims) << row.name;
    for (const auto& x : row.in) EXPECT_TRUE(row.set.check(x).item<bool>()) << row.name << x;
    for (const auto& x : row.out) EXPECT_FALSE(row.set.check(x).item<bool>()) << row.name << x;
  }
}

TEST(Constraint, ChecksEachElementOfABatch) {
  for (const auto& row : rows()) {
    const auto& good = row.in.back();
    for (const auto& bad : row.out) {
      if (bad.sizes() != good.sizes()) continue;
      const auto got = row.set.check(at::stack({good, bad, good}).unsqueeze(1));
      EXPECT_EQ(got.sizes(), at::IntArrayRef({3, 1})) << row.name;
      EXPECT_TRUE(got.flatten().equal(at::tensor({1, 0, 1}, at::kLong).to(at::kBool))) << row.name;
    }
  }
}

TEST(Constraint, TakesSingleAndWholeNumbers) {
  for (const auto& row : rows())
    for (const auto& x : row.in) {
      if ((x.abs() < 1e-300).logical_and(x.ne(0)).any().item<bool>()) continue;  // 0 in float32
      if ((x.abs() > 1e37).any().item<bool>()) continue;
      EXPECT_TRUE(row.set.check(x.to(at::kFloat)).item<bool>()) << row.name << x;
    }
  for (const Kind kind : {Kind::kReal, Kind::kBinary, Kind::kCount, Kind::kPositiveCount})
    EXPECT_TRUE(Constraint(kind).check(at::ones({}, at::kLong)).item<bool>());
  EXPECT_TRUE(Constraint(Kind::kOneHot).check(at::eye(3, at::kLong)).all().item<bool>());
  const Constraint three(Kind::kCounts, {}, at::full({}, 3, at::kLong));
  EXPECT_TRUE(three.check(at::ones({3}, at::kLong)).item<bool>());
}

TEST(Constraint, BoundsBroadcast) {
  const Constraint set(Kind::kInterval, vector({0, 10}), vector({1, 20}));
  const auto got = set.check(vector({0.5, 15, 5}).unsqueeze(1));
  EXPECT_TRUE(got.equal(at::tensor({1, 0, 0, 1, 0, 0}, at::kLong).view({3, 2}).to(at::kBool)));
  EXPECT_TRUE(set.lower().equal(vector({0, 10})));
  EXPECT_TRUE(set.upper().equal(vector({1, 20})));
}

TEST(Constraint, RejectsShapesAndMissingBounds) {
  EXPECT_THROW((void)Constraint(Kind::kSimplex).check(scalar(1)), ShapeError);
  EXPECT_THROW((void)Constraint(Kind::kLowerCholesky).check(vector({1})), ShapeError);
  EXPECT_THROW((void)Constraint(Kind::kPositiveDefinite).check(at::ones({2, 3}, at::kDouble)),
               ShapeError);
  for (const Kind kind : {Kind::kInterval, Kind::kAtLeast, Kind::kIntegerInterval})
    EXPECT_THROW((void)Constraint(kind).check(scalar(1)), ConfigError);
  EXPECT_THROW((void)Constraint(Kind::kInterval, scalar(0)).check(scalar(1)), ConfigError);
  try {
    (void)Constraint(Kind::kCounts).check(vector({1}));
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "Constraint counts: a bound is missing");
  }
}

}  // namespace
}  // namespace elbo
