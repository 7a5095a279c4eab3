// Regressions learnt by the bound, against posteriors that are known: in closed form, or by a grid.
// One run each with a fixed seed; no draw enters the comparison but through training. Tolerances:
// means within 0.05 posterior standard deviations, variances within 5 %, full-covariance bounds
// within 0.1 nat of the evidence. The start is more than 5 posterior standard deviations away.
#include <numbers>

#include "elbo/inference/aevb.h"
#include "elbo/models/bayesian_regression.h"
#include "elbo/models/conjugate_regression.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
constexpr int64_t kRows = 200, kFeatures = 3, kMinibatch = 20;
constexpr double kPrior = 2, kNoise = 0.5;
constexpr double kMeanLimit = 0.05, kVarianceLimit = 0.05, kBoundLimit = 0.1;

Batch rows_of(const Batch& full, const at::Tensor& rows) {
  return {
      .columns = {{"x", full["x"].index_select(0, rows)}, {"y", full["y"].index_select(0, rows)}},
      .rows = rows,
      .total = full.total};
}

/// Correlated inputs, so that the weights are correlated too.
Batch linear_data() {
  const Noise noise(41);
  const auto mix = at::tensor({1.0, 0.0, 0.0, 0.8, 0.6, 0.0, -0.3, 0.5, 0.8}, kDouble).view({3, 3});
  const auto x = noise.site("x").normal({kRows, kFeatures}, kDouble).matmul(mix.t()) + 0.4;
  const auto w = at::tensor({1.2, -0.9, 0.6}, kDouble);
  const auto y = x.mv(w) + 0.7 + kNoise * noise.site("y").normal({kRows}, kDouble);
  return {.columns = {{"x", x}, {"y", y}}, .rows = at::arange(kRows), .total = kRows};
}

ConjugateRegression exact_of(const Batch& data) {
  return {at::cat({data["x"], at::ones({data.size(), 1}, kDouble)}, 1), data["y"], kPrior, kNoise};
}

BayesianRegression regression_of(nn::WeightFamily family,
                                 nn::WeightDraws draws = nn::WeightDraws::kShared) {
  return BayesianRegression({.features = kFeatures,
                             .prior_scale = kPrior,
                             .noise_scale = kNoise,
                             .posterior = {.family = family, .rank = 2, .start_scale = 0.2},
                             .draws = draws},
                            kDouble);
}

struct Course {
  int64_t minibatch = kRows;
  int64_t steps = 8000;
  std::function<void(Bound&)> planted = [](Bound&) {};
};

void learn(const BayesianRegression& regression, const Batch& data, const Course& course) {
  // Draws enough that those of the rows, not of the weights, decide what is left of the noise.
  const Sgvb sgvb{.num_particles = course.minibatch == data.size() ? 4 : 16};
  const Estimator estimator = [&](const auto& p, const auto& q, const auto& b, const auto& noise) {
    Bound bound = sgvb(p, q, b, noise);
    course.planted(bound);
    return bound;
  };
  FlatParameters parameters(regression.parameters());
  Aevb aevb(regression.model(), regression.guide(), parameters,
            std::make_unique<Adam>(parameters, 0), {.estimator = estimator});
  for (int64_t t = 0; t < course.steps; ++t) {
    const double left = 1 - static_cast<double>(t) / static_cast<double>(course.steps);
    aevb.optimizer().lr = 0.03 * left * left * left;
    const Noise noise(42, static_cast<uint64_t>(t));
    // Epochs in an order of their own, as the trainer has it.
    const int64_t batches = data.size() / course.minibatch;
    const auto of_epoch = Noise(42, static_cast<uint64_t>(t / batches)).site("rows");
    const auto order = of_epoch.draws(data.size()).uniform({data.size()}, kDouble).argsort();
    const auto rows = order.narrow(0, t % batches * course.minibatch, course.minibatch);
    (void)aevb.step(rows_of(data, rows), noise);
  }
}

/// How far q is from a normal law of these moments: in deviations, and in relative variance.
struct Error {
  double mean, variance;
  bool within() const { return mean <= kMeanLimit && variance <= kVarianceLimit; }
};
Error error_of(const nn::WeightPosterior& q, const at::Tensor& mean, const at::Tensor& variance) {
  const auto largest = [](const at::Tensor& x) { return x.abs().max().item<double>(); };
  return {largest((q.loc() - mean).detach() / variance.sqrt()),
          largest(q.variance().detach() / variance - 1)};
}
std::ostream& operator<<(std::ostream& out, const Error& e) {
  return out << e.mean << " deviations, variances " << 100 * e.variance << " % off";
}

class Recovery : public ::testing::TestWithParam<int64_t> {};

TEST_P(Recovery, OfTheExactPosteriorWithAnyCovariance) {
  const auto data = linear_data();
  const auto exact = exact_of(data);
  const auto variance = exact.covariance().diagonal();
  const auto regression = regression_of(nn::WeightFamily::kCholesky);
  const auto& q = regression.posterior();
  EXPECT_GT(((q.loc() - exact.mean()).abs() / variance.sqrt()).min().item<double>(), 5);
  EXPECT_FALSE(error_of(q, exact.mean(), variance).within()) << "without a step";
  learn(regression, data, {.minibatch = GetParam()});
  const auto error = error_of(q, exact.mean(), variance);
  const double bound = exact.elbo(q.loc(), q.covariance());
  std::cout << error << "; evidence less bound " << exact.log_evidence() - bound << " nats\n";
  EXPECT_TRUE(error.within()) << error;
  EXPECT_LE(bound, exact.log_evidence() + 1e-9);
  EXPECT_GE(bound, exact.log_evidence() - kBoundLimit);
  const auto apart = q.covariance()[0][1] / exact.covariance()[0][1];
  EXPECT_NEAR(apart.item<double>(), 1, kVarianceLimit) << "and so is the covariance";
}

TEST_P(Recovery, OfTheMeanFieldOptimum) {
  const auto data = linear_data();
  const auto exact = exact_of(data);
  const auto best = 1 / exact.precision().diagonal();
  for (const auto draws :
       {nn::WeightDraws::kShared, nn::WeightDraws::kLocal, nn::WeightDraws::kFlipout}) {
    const auto regression = regression_of(nn::WeightFamily::kMeanField, draws);
    learn(regression, data, {.minibatch = GetParam()});
    const auto error = error_of(regression.posterior(), exact.mean(), best);
    std::cout << nn::to_string(draws) << ": " << error << "\n";
    EXPECT_TRUE(error.within()) << error;
    EXPECT_GT(
        error_of(regression.posterior(), exact.mean(), exact.covariance().diagonal()).variance,
        kVarianceLimit)
        << "these are not the posterior's variances";
  }
}

INSTANTIATE_TEST_SUITE_P(Minibatches, Recovery, ::testing::Values(kRows, kMinibatch));

TEST(Recovery, RejectsBoundsOfAnotherScale) {
  const auto data = linear_data();
  const auto exact = exact_of(data);
  const auto with = [&](const std::function<void(Bound&)>& planted) {
    const auto regression = regression_of(nn::WeightFamily::kCholesky);
    learn(regression, data, {.minibatch = kMinibatch, .steps = 1500, .planted = planted});
    return error_of(regression.posterior(), exact.mean(), exact.covariance().diagonal());
  };
  constexpr double kTimes = static_cast<double>(kRows) / kMinibatch;
  const auto global = with([](Bound& b) { b.global = b.global * kTimes; });
  const auto unscaled = with([](Bound& b) { b.total = kMinibatch; });
  EXPECT_FALSE(global.within()) << global;
  EXPECT_GT(global.variance, 3) << "as of a tenth of the rows";
  EXPECT_FALSE(unscaled.within()) << unscaled;
  EXPECT_GT(unscaled.variance, 3);
}

// ---- Logistic regression with one input: posterior and evidence by a grid.

TEST(LogisticRegression, IsNearThePosteriorOfAGrid) {
  constexpr int64_t kPoints = 801;
  const Noise noise(43);
  const auto x = noise.site("x").normal({kRows, 1}, kDouble);
  const auto probability = (1.5 * x.select(1, 0) - 0.6).sigmoid();
  const Batch data{.columns = {{"x", x}, {"y", noise.site("y").bernoulli(probability)}},
                   .rows = at::arange(kRows),
                   .total = kRows};
  const BayesianRegression regression(
      {.features = 1, .response = Response::kBernoulli, .prior_scale = kPrior}, kDouble);
  learn(regression, data, {.minibatch = kMinibatch});

  const auto axis = at::linspace(-3, 5, kPoints, kDouble);
  const auto slope = axis.repeat_interleave(kPoints), shift = axis.repeat({kPoints});
  auto log_joint = -0.5 * (slope.square() + shift.square()) / (kPrior * kPrior) -
                   std::log(2 * std::numbers::pi * kPrior * kPrior);
  for (int64_t n = 0; n < kRows; ++n)
    log_joint += at::log_sigmoid((2 * data["y"][n] - 1) * (slope * x[n][0] + shift));
  const double cell = 8.0 / (kPoints - 1);
  const double evidence = log_joint.logsumexp(0).item<double>() + 2 * std::log(cell);
  const auto weight = log_joint.softmax(0);
  const auto mean = at::stack({weight.dot(slope), weight.dot(shift)});
  const auto second = at::stack({weight.dot(slope.square()), weight.dot(shift.square())});
  const auto variance = second - mean.square();

  const auto error = error_of(regression.posterior(), mean, variance);
  const at::NoGradGuard no_grad;
  const double bound =
      Sgvb{.num_particles = 20'000}(regression.model(), regression.guide(), data, Noise(44))
          .full_data()
          .item<double>();
  std::cout << error << "; evidence less bound " << evidence - bound << " nats\n";
  // The posterior is not normal: q's moments need not be its own.
  EXPECT_LE(error.mean, 0.1);
  EXPECT_LE(error.variance, 0.1);
  EXPECT_LE(bound, evidence + 0.02) << "0.02: of the draws";
  EXPECT_GE(bound, evidence - kBoundLimit);
}

}  // namespace
}  // namespace elbo
