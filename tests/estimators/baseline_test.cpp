#include "elbo/estimators/baseline.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "estimators/toy.h"

namespace elbo {
namespace {

using namespace testing;

at::Tensor vector(std::vector<double> x) { return at::tensor(x, at::kDouble); }
double number(const at::Tensor& t) { return t.item<double>(); }

const Batch kBatch = batch_of(at::zeros({2}, at::kDouble));

TEST(MovingAverage, IsTheWeightedMeanOfTheStepsBefore) {
  MovingAverage average(0.5);
  EXPECT_EQ(number(average.value(kBatch, vector({{7, 9}}))), 0) << "before the first step";
  average.learn(kBatch, vector({2, 4}));  // mean 3
  EXPECT_EQ(number(average.value(kBatch, vector({7, 9}))), 3) << "not drawn to 0";
  average.learn(kBatch, vector({9, 11}));  // mean 10
  EXPECT_NEAR(number(average.value(kBatch, vector({7, 9}))), (0.5 * 3 + 10) / 1.5, 1e-15);
}

TEST(MovingAverage, HasTheSignalsDtype) {
  MovingAverage average;
  average.learn(kBatch, at::full({1, 2}, 3.0f));
  EXPECT_EQ(average.value(kBatch, at::zeros({1, 2}, at::kFloat)).scalar_type(), at::kFloat);
}

TEST(LeaveOneOut, IsTheMeanOfTheOtherDraws) {
  const auto signal = vector({1, 10, 2, 20, 6, 60}).view({3, 2});
  const auto value = LeaveOneOut().value(kBatch, signal);
  EXPECT_TRUE(value.equal(vector({4, 40, 3.5, 35, 1.5, 15}).view({3, 2})));
  EXPECT_THROW((void)LeaveOneOut().value(kBatch, signal.narrow(0, 0, 1)), ConfigError);
}

TEST(LinearBaseline, LearnsALineExactly) {
  const auto x = Noise(3).normal({50, 3}, at::kDouble) * 2 + 5;
  const auto y = (x.mv(vector({1, -2, 0.5})) - 7).unsqueeze(0);
  const Batch batch = batch_of(x);
  LinearBaseline line(3);
  EXPECT_EQ(number(line.value(batch, y).abs().max()), 0) << "before the first step";
  line.learn(batch, y);
  EXPECT_GT(number((line.value(batch, y) - y).abs().max()), 0.1);
  for (int t = 0; t < 300; ++t) line.learn(batch, y);
  EXPECT_LT(number((line.value(batch, y) - y).abs().max()), 1e-6);
}

TEST(LinearBaseline, IsTheMeanWhereXSaysNothing) {
  const Batch batch = batch_of(at::full({4}, 1.3, at::kDouble));
  LinearBaseline line(1);
  line.learn(batch, vector({1, 2, 3, 6}).unsqueeze(0));
  EXPECT_NEAR(number(line.value(batch, vector({0, 0, 0, 0}).unsqueeze(0)).std()), 0, 1e-15);
  EXPECT_NEAR(number(line.value(batch, vector({0, 0, 0, 0}).unsqueeze(0))[0]), 3, 1e-12);
}

TEST(LinearBaseline, RejectsAnotherWidth) {
  LinearBaseline line(2);
  EXPECT_THROW((void)line.value(kBatch, vector({1, 2}).unsqueeze(0)), ShapeError);
}

template <class B, class... Arguments>
void expect_resumes(Arguments... arguments) {
  const auto signal = vector({1, 4}).unsqueeze(0);
  const Batch batch = batch_of(vector({1.0, 3.0}));
  B first(arguments...), second(arguments...);
  first.learn(batch, signal);
  first.learn(batch, 2 * signal);
  const auto from = first.state(), to = second.state();
  ASSERT_FALSE(from.empty());
  for (const auto& [name, tensor] : to) tensor.copy_(from.at(name));
  first.learn(batch, signal);
  second.learn(batch, signal);
  EXPECT_TRUE(first.value(batch, signal).equal(second.value(batch, signal)));
}

TEST(Baseline, GoesOnFromItsState) {
  expect_resumes<MovingAverage>();
  expect_resumes<LinearBaseline>(1);
}

TEST(Baseline, RejectsInvalidSettings) {
  EXPECT_THROW((void)MovingAverage(1), ConfigError);
  EXPECT_THROW((void)MovingAverage(-0.1), ConfigError);
  EXPECT_THROW((void)LinearBaseline(0), ConfigError);
  EXPECT_THROW((void)LinearBaseline(1, "x", 1), ConfigError);
  EXPECT_THROW((void)LinearBaseline(1, "x", 0.9, 2), ConfigError);
}

}  // namespace
}  // namespace elbo
