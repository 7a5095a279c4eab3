#include "elbo/kernels/math.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "support/source_dir.h"

namespace elbo::math {
namespace {

using nlohmann::json;

double gamma_draw_slope_of(double a, double x) { return gamma_draw_slope(Pack(a), Pack(x)).v[1]; }
/// Along a and along b; x is such that 1 - x is exact.
std::pair<double, double> beta_draw_slopes_of(const std::vector<double>& v) {
  Pack along_a, along_b;
  beta_draw_slopes(Pack(v[0]), Pack(v[1]), Pack(v[2]), Pack(1 - v[2]), &along_a, &along_b);
  return {along_a.v[2], along_b.v[2]};
}

TEST(Math, AgreesWithMpmath) {
  const std::map<std::string, std::function<double(const std::vector<double>&)>> functions = {
      {"gamma_p_da", [](const auto& v) { return gamma_p_da(v[0], v[1]); }},
      {"log_gamma_p", [](const auto& v) { return log_gamma_p(v[0], v[1]); }},
      {"log_gamma_q", [](const auto& v) { return log_gamma_q(v[0], v[1]); }},
      {"gamma_draw_slope", [](const auto& v) { return gamma_draw_slope_of(v[0], v[1]); }},
      {"beta_draw_da", [](const auto& v) { return beta_draw_slopes_of(v).first; }},
      {"beta_draw_db", [](const auto& v) { return beta_draw_slopes_of(v).second; }},
      {"beta_i_da",
       [](const auto& v) {
         double da = 0, db = 0;
         beta_i_gradient(v[0], v[1], v[2], &da, &db);
         return da;
       }},
      {"beta_i_db",
       [](const auto& v) {
         double da = 0, db = 0;
         beta_i_gradient(v[0], v[1], v[2], &da, &db);
         return db;
       }},
      {"log_beta_i", [](const auto& v) { return log_beta_i(v[0], v[1], v[2]); }},
      {"erfcx", [](const auto& v) { return erfcx(v[0]); }},
      {"log_ndtr", [](const auto& v) { return log_ndtr(v[0]); }},
      {"expint_e1_scaled", [](const auto& v) { return expint_e1_scaled(v[0]); }},
      {"log_i0", [](const auto& v) { return log_i0(v[0]); }},
      {"i1_over_i0", [](const auto& v) { return i1_over_i0(v[0]); }},
      {"lbeta", [](const auto& v) { return lbeta(v[0], v[1]); }},
  };
  std::ifstream in(elbo::testing::source_dir() + "/tests/kernels/fixtures/math.json");
  const json rows = json::parse(in).at("rows");
  EXPECT_GE(rows.size(), 600U);
  for (const json& row : rows) {
    const auto& name = row[0].get_ref<const std::string&>();
    const auto arguments = row[1].get<std::vector<double>>();
    const double expected = row[2].get<double>();
    // Relative: these are ingredients of quotients. The slopes of draws lose digits far out.
    const double tolerance = name.find("_draw_") != std::string::npos ? 1e-10 : 1e-11;
    EXPECT_NEAR(functions.at(name)(arguments), expected, tolerance * std::abs(expected) + 1e-320)
        << row;
  }
}

// The slopes of the logarithms, where the functions themselves are too small for a double.
TEST(Math, LogarithmsHaveSlopesBelowTheSmallestNumber) {
  const auto difference = [](auto f, double at) {
    const double h = 1e-6 * at;
    return (f(at + h) - f(at - h)) / (2 * h);
  };
  double da = 0, db = 0, dx = 0;
  ASSERT_EQ(gamma_q(3, 900), 0);
  log_gamma_q_gradient(3, 900, &da, &dx);
  EXPECT_NEAR(da, difference([](double a) { return log_gamma_q(a, 900); }, 3), 1e-6);
  EXPECT_NEAR(dx, difference([](double x) { return log_gamma_q(3, x); }, 900), 1e-6);
  log_gamma_p_gradient(200, 1e-3, &da, &dx);
  EXPECT_NEAR(da, difference([](double a) { return log_gamma_p(a, 1e-3); }, 200), 1e-5);
  EXPECT_NEAR(dx * 1e-3, 1e-3 * difference([](double x) { return log_gamma_p(200, x); }, 1e-3),
              1e-4);
  log_beta_i_gradient(400, 3, 1e-3, &da, &db, &dx);
  EXPECT_NEAR(da, difference([](double a) { return log_beta_i(a, 3, 1e-3); }, 400), 1e-5);
  EXPECT_NEAR(db, difference([](double b) { return log_beta_i(400, b, 1e-3); }, 3), 1e-5);
  log_beta_ic_gradient(3, 400, 0.999, &da, &db, &dx);
  EXPECT_NEAR(da, difference([](double a) { return log_beta_ic(a, 400, 0.999); }, 3), 1e-5);
  EXPECT_NEAR(db, difference([](double b) { return log_beta_ic(3, b, 0.999); }, 400), 1e-5);
}

/// Largest error of f on packs against a long double reference, in units of epsilon * max(floor,
/// |reference|), over points even in [low, high] or in their logarithms.
template <class F, class G>
double pack_error(const F& f, const G& reference, double low, double high, bool logarithmic,
                  double floor = 0) {
  std::mt19937_64 engine(1);
  std::uniform_real_distribution<double> unit(0, 1);
  double worst = 0;
  for (int i = 0; i < 100000; ++i) {
    const double u = unit(engine);
    const double x = logarithmic ? std::exp(std::log(low) + (std::log(high) - std::log(low)) * u)
                                 : low + (high - low) * u;
    const double got = f(Pack(x)).v[i % Pack::kLanes];
    const auto wanted = static_cast<double>(reference(static_cast<long double>(x)));
    const double size = std::max(floor, std::abs(wanted));
    if (size > 0)
      worst =
          std::max(worst, std::abs(got - wanted) / (size * std::numeric_limits<double>::epsilon()));
  }
  return worst;
}

TEST(Math, PacksAreAccurateToAFewUnitsInTheLastPlace) {
  const auto on = [](auto f) { return [f](const Pack& x) { return f(x); }; };
  EXPECT_LE(
      pack_error(
          on([](Pack x) { return exp(x); }), [](auto x) { return std::exp(x); }, -700, 709, false),
      2);
  EXPECT_LE(pack_error(
                on([](Pack x) { return log(x); }), [](auto x) { return std::log(x); }, 1e-300,
                1e300, true),
            2);
  EXPECT_LE(
      pack_error(
          on([](Pack x) { return log(x); }), [](auto x) { return std::log(x); }, 0.5, 2, false),
      2);
  EXPECT_LE(pack_error(
                on([](Pack x) { return log1p(x); }), [](auto x) { return std::log1p(x); }, 1e-300,
                1e300, true),
            2);
  EXPECT_LE(pack_error(
                on([](Pack x) { return log1p(x); }), [](auto x) { return std::log1p(x); }, -0.9999,
                0.9, false),
            2);
  EXPECT_LE(pack_error(
                on([](Pack x) { return expm1(x); }), [](auto x) { return std::expm1(x); }, -30, 30,
                false),
            4);
  EXPECT_LE(pack_error(
                on([](Pack x) { return expm1(x); }), [](auto x) { return std::expm1(x); }, 1e-300,
                1, true),
            4);
  EXPECT_LE(
      pack_error(
          on([](Pack x) { return tanh(x); }), [](auto x) { return std::tanh(x); }, -25, 25, false),
      5);
  EXPECT_LE(pack_error(
                on([](Pack x) { return sigmoid(x); }),
                [](auto x) { return 1 / (1 + std::exp(-x)); }, -700, 700, false),
            4);
  EXPECT_LE(
      pack_error(
          on([](Pack x) { return softplus(x); }),
          [](auto x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); },
          -700, 700, false),
      4);
  EXPECT_LE(pack_error(
                on([](Pack x) { return lgamma(x); }), [](auto x) { return std::lgamma(x); }, 1e-10,
                1e6, true, 1),
            64);
  EXPECT_LE(
      pack_error(
          on([](Pack x) { return sin(x); }), [](auto x) { return std::sin(x); }, -1e6, 1e6, false),
      2);
  EXPECT_LE(
      pack_error(
          on([](Pack x) { return cos(x); }), [](auto x) { return std::cos(x); }, -1e6, 1e6, false),
      2);
  EXPECT_LE(
      pack_error(
          on([](Pack x) { return tan(x); }), [](auto x) { return std::tan(x); }, -100, 100, false),
      4);
  EXPECT_LE(pack_error(
                on([](Pack x) { return atan(x); }), [](auto x) { return std::atan(x); }, 1e-300,
                1e300, true),
            2);
  EXPECT_LE(
      pack_error(
          on([](Pack x) { return atan(x); }), [](auto x) { return std::atan(x); }, -3, 3, false),
      2);
  const auto cotangent = [](auto u) {
    constexpr auto kPi = std::numbers::pi_v<long double>;
    return u > 0.75 ? -1 / std::tan(kPi * (1 - u)) : 1 / std::tan(kPi * u);
  };
  EXPECT_LE(pack_error(on([](Pack u) { return cot_pi(u); }), cotangent, 1e-300, 1, true, 1e-6), 4);
  EXPECT_LE(pack_error(on([](Pack u) { return cot_pi(u); }), cotangent, 0.3, 0.999, false, 1e-3),
            4);
  EXPECT_LE(pack_error(on([](Pack u) { return Pack(cot_pi(u.v[0])); }), cotangent, 0.001, 0.999,
                       false, 1e-3),
            4);
  EXPECT_LE(
      pack_error(
          on([](Pack x) { return log_ratio(1 + x, Pack(1.0)); }),
          [](auto x) { return std::log1p((1 + static_cast<double>(x)) - 1.0L); }, 1e-12, 10, true),
      4);
  EXPECT_GT(pack_error(
                on([](Pack x) { return exp(x * 1.000001); }), [](auto x) { return std::exp(x); },
                -1, 1, false),
            1000)
      << "planted";
}

TEST(Math, PacksKnowTheEnds) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const auto same = [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); };
  for (const double x : {0.0, kInfinity, -kInfinity, std::nan(""), 800.0, -800.0, 710.5}) {
    EXPECT_PRED2(same, exp(Pack(x)).v[0], std::exp(x)) << x;
    EXPECT_PRED2(same, log(Pack(std::abs(x))).v[1], std::log(std::abs(x))) << x;
    EXPECT_PRED2(same, tanh(Pack(x)).v[2], std::tanh(x)) << x;
  }
  EXPECT_PRED2(same, log(Pack(-1.0)).v[0], std::nan(""));
  EXPECT_PRED2(same, log1p(Pack(-1.0)).v[0], -kInfinity);
  EXPECT_PRED2(same, log1p(Pack(kInfinity)).v[0], kInfinity);
  EXPECT_NEAR(log(Pack(5e-324)).v[0], std::log(5e-324), 1e-12);
  for (const double x : {1e300, -1e300, 1e7})
    EXPECT_PRED2(same, sin(Pack(x)).v[0], std::sin(x)) << x;
  for (const double x : {0.0, kInfinity, -kInfinity}) {
    EXPECT_PRED2(same, cos(Pack(x)).v[0], std::cos(x)) << x;
    EXPECT_PRED2(same, atan(Pack(x)).v[0], std::atan(x)) << x;
  }
  for (const double x :
       {-2.5, -2.0, -0.25, 0.0, 0.999, 7.0, 1e15 + 0.5, -1e300, 4503599627370497.0})
    EXPECT_EQ(floor(Pack(x)).v[3], std::floor(x)) << x;
  EXPECT_NEAR(log_product(Pack(1e-300), Pack(1e-10)).v[0], -310 * std::log(10), 1e-12);
  EXPECT_NEAR(log_product(Pack(1e300), Pack(1e10)).v[0], 310 * std::log(10), 1e-12);
  EXPECT_EQ(pow(Pack(0.0), Pack(2.0)).v[0], 0);
  EXPECT_EQ(pow(Pack(-2.0), Pack(3.0)).v[0], -8);
}

}  // namespace
}  // namespace elbo::math
