#include "elbo/evaluation/learning_curve.h"

#include <gtest/gtest.h>

#include "elbo/error.h"

namespace elbo {
namespace {

CurvePoint point(int64_t samples, double test, double draw_variance = 0) {
  return {.samples = samples,
          .gradient_evaluations = 2 * samples,
          .seconds = 1.0 / 3,
          .train = {-100.1, 0.7, 0.01},
          .test = {test, 0.9, draw_variance}};
}

TEST(LearningCurve, PointsAreFourADecadeFromTenThousand) {
  std::vector<int64_t> points;
  for (int64_t at = 0; at < 1'000'000; points.push_back(at)) at = next_curve_point(at);
  EXPECT_EQ(points, (std::vector<int64_t>{10'000, 17'783, 31'623, 56'234, 100'000, 177'828, 316'228,
                                          562'341, 1'000'000}));
  EXPECT_EQ(next_curve_point(17'782), 17'783);
  EXPECT_EQ(next_curve_point(17'783), 31'623);
  EXPECT_EQ(next_curve_point(9'999'999), 10'000'000);
  points.clear();
  for (int64_t at = 0; at < 10'000'000; points.push_back(at)) at = next_curve_point(at, 14);
  EXPECT_EQ(points.size(), 15U);
  EXPECT_EQ(points[0], 3'162);
  EXPECT_EQ(points[2], 10'000);
}

TEST(LearningCurve, CsvKeepsEveryBit) {
  const LearningCurve curve = {point(10'000, -1.0 / 7, 1e-300), point(17'800, 1234.5678901234567)};
  const auto text = to_csv(curve);
  EXPECT_EQ(text.substr(0, text.find('\n')), curve_columns());
  const auto back = parse_curve(text, "c.csv");
  EXPECT_EQ(to_csv(back), text);
  ASSERT_EQ(back.size(), 2U);
  EXPECT_EQ(back[0].test.mean, -1.0 / 7);
  EXPECT_EQ(back[0].seconds, 1.0 / 3);
  EXPECT_EQ(back[1].samples, 17'800);
  EXPECT_EQ(back[1].train.draw_variance, 0.01);
  EXPECT_EQ(back[1].gradient_evaluations, 35'600);
  EXPECT_TRUE(parse_curve(to_csv({}), "c.csv").empty());
  const auto evidence = CurveMeasure::kLogEvidence;
  EXPECT_EQ(to_csv(parse_curve(to_csv(curve, evidence), "c.csv", evidence)), text);
  EXPECT_THROW((void)parse_curve(text, "c.csv", evidence), DataError);
}

TEST(LearningCurve, ReadsWhatHasNoGradientEvaluations) {
  const auto curve = parse_curve(
      "samples,seconds,train_bound,train_variance,train_draw_variance,test_bound,test_variance,"
      "test_draw_variance\n5,2,-3,4,0.5,-6,7,0.25\n",
      "c.csv");
  ASSERT_EQ(curve.size(), 1U);
  EXPECT_EQ(to_csv(curve), curve_columns() + "\n5,0,2,-3,4,0.5,-6,7,0.25\n");
}

TEST(LearningCurve, ValuesAreMeansAndSquaredErrors) {
  const auto bound =
      CurveValue::of(Evaluation{.mean = -2, .standard_error = 0.5, .draw_variance = 0.1});
  EXPECT_EQ(bound.mean, -2);
  EXPECT_EQ(bound.variance, 0.25);
  EXPECT_EQ(bound.draw_variance, 0.1);
  const auto evidence =
      CurveValue::of(EvidenceSummary{.mean = -3, .standard_error = 0.5, .draws_error = 0.25});
  EXPECT_EQ(evidence.mean, -3);
  EXPECT_EQ(evidence.variance, 0.25);
  EXPECT_EQ(evidence.draw_variance, 0.0625);
}

TEST(LearningCurve, PointAtGradientsLiesBetweenPointsOnTheLogAxis) {
  const LearningCurve curve = {point(50, -9), point(5'000, -5, 0.5)};  // 100 and 10 000 gradients
  const auto middle = point_at_gradients(curve, 1'000);
  ASSERT_TRUE(middle);
  EXPECT_EQ(middle->gradient_evaluations, 1'000);
  EXPECT_NEAR(middle->test.mean, -7, 1e-12);
  EXPECT_NEAR(middle->test.draw_variance, 0.25, 1e-12);
  EXPECT_EQ(middle->samples, 2'525);
  EXPECT_EQ(point_at_gradients(curve, 100)->test.mean, -9);
  EXPECT_EQ(point_at_gradients(curve, 10'000)->test.mean, -5);
  EXPECT_FALSE(point_at_gradients(curve, 99));
  EXPECT_FALSE(point_at_gradients(curve, 10'001));
  EXPECT_FALSE(point_at_gradients({}, 1));
}

TEST(LearningCurve, RefusesOtherText) {
  const auto refused = [](const std::string& text) {
    try {
      (void)parse_curve(text, "c.csv");
    } catch (const DataError& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  const auto head = curve_columns() + "\n";
  EXPECT_TRUE(refused("").starts_with("c.csv: line 1: expected the columns samples,"));
  EXPECT_TRUE(refused("a,b\n1,2\n").starts_with("c.csv: line 1"));
  for (const char* line :
       {"1,2,3", "1,2,3,4,5,6,7,8,9,10", "1,2,3,4,5,6,7,8,x", "1,,3,4,5,6,7,8,9", ""})
    EXPECT_EQ(refused(head + line + "\n"), "c.csv: line 2: expected 9 numbers") << line;
  EXPECT_EQ(refused(head + "5,2,3,4,5,6,7,8,9\n5,2,3,4,5,6,7,8,9\n"),
            "c.csv: line 3: 5 samples after 5; expected more");
}

TEST(LearningCurve, PointAtIsTheFirstNotFarBeyond) {
  const LearningCurve curve = {point(10'000, -3), point(100'000, -2), point(100'100, -1)};
  EXPECT_EQ(point_at(curve, 100'000)->test.mean, -2);
  EXPECT_EQ(point_at(curve, 95'000)->test.mean, -2);
  EXPECT_EQ(point_at(curve, 100'050)->test.mean, -1);
  EXPECT_FALSE(point_at(curve, 50'000)) << "the next is twice as far";
  EXPECT_FALSE(point_at(curve, 100'101));
  EXPECT_FALSE(point_at({}, 1));
}

TEST(LearningCurve, PeakAndFall) {
  const auto falls = peak_of({point(1, -9, 1), point(2, -3, 0.09), point(3, -5, 0.16)});
  EXPECT_EQ(falls.samples, 2);
  EXPECT_EQ(falls.bound, -3);
  EXPECT_EQ(falls.fall, 2);
  EXPECT_DOUBLE_EQ(falls.fall_error, 0.5);
  const auto rises = peak_of({point(1, -9, 1), point(2, -3, 1)});
  EXPECT_EQ(rises.samples, 2);
  EXPECT_EQ(rises.fall, 0);
  EXPECT_EQ(rises.fall_error, 0);
  EXPECT_THROW((void)peak_of({}), DataError);
}

}  // namespace
}  // namespace elbo
