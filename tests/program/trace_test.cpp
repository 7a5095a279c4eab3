#include "elbo/program/trace.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/distributions.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
using Shape = std::vector<int64_t>;

at::Tensor ids(int64_t count, int64_t first = 0) {
  return at::arange(first, first + count, at::kLong);
}

Normal unit(at::IntArrayRef shape = {}) { return Normal::standard(shape, kDouble); }

std::string message_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Trace, PutsParticlesThenPlateThenEvent) {
  Trace trace(Noise(1), {.num_particles = 3});
  const auto plate = trace.plate("rows", ids(5), 100);
  const auto z = trace.sample("z", unit({2}).to_event(1));
  EXPECT_EQ(z.sizes(), at::IntArrayRef({3, 5, 2}));
  trace.observe("x", Normal(z.sum(-1), at::ones({}, kDouble)), at::zeros({5}, kDouble));
  EXPECT_EQ(trace.at("z").log_prob().sizes(), at::IntArrayRef({3, 5}));
  EXPECT_EQ(trace.at("x").log_prob().sizes(), at::IntArrayRef({3, 5}));
  EXPECT_EQ(trace.at("z").distribution->batch_shape(), (Shape{3, 5}));
  EXPECT_FALSE(trace.at("z").observed);
  EXPECT_TRUE(trace.at("x").observed);
  EXPECT_TRUE(trace.at("z").in_plate);
}

TEST(Trace, LogProbIsTheDensityOfTheValue) {
  Trace trace(Noise(1), {.num_particles = 2});
  const auto plate = trace.plate("rows", ids(4), 4);
  const Normal law(at::arange(4, kDouble), at::full({}, 0.5, kDouble));
  const auto z = trace.sample("z", law);
  EXPECT_TRUE(trace.at("z").log_prob().allclose(law.log_prob(z)));
}

TEST(Trace, GlobalSitesHavePlatesOfSizeOne) {
  Trace trace(Noise(1), {.num_particles = 3});
  const auto w = trace.sample("w", unit({2}).to_event(1));
  EXPECT_EQ(w.sizes(), at::IntArrayRef({3, 1, 2}));
  EXPECT_FALSE(trace.at("w").in_plate);
  const auto plate = trace.plate("rows", ids(5), 5);
  const auto z = trace.sample("z", Normal(w, at::ones({}, kDouble)).to_event(1));
  EXPECT_EQ(z.sizes(), at::IntArrayRef({3, 5, 2}));
}

TEST(Trace, PlatesEndWithTheirScope) {
  Trace trace(Noise(1));
  {
    const auto plate = trace.plate("rows", ids(5), 5);
    EXPECT_EQ(trace.sample("a", unit()).sizes(), at::IntArrayRef({1, 5}));
  }
  EXPECT_EQ(trace.sample("b", unit()).sizes(), at::IntArrayRef({1, 1}));
  {
    const auto plate = trace.plate("others", ids(7), 7);
    EXPECT_EQ(trace.sample("c", unit()).sizes(), at::IntArrayRef({1, 7}));
    const auto moved = [](PlateScope scope) {};
    (void)moved;
  }
  EXPECT_FALSE(trace.at("b").in_plate);
}

TEST(Trace, AMovedPlateEndsOnce) {
  Trace trace(Noise(1));
  {
    auto first = trace.plate("rows", ids(5), 5);
    const PlateScope second = std::move(first);
    EXPECT_EQ(trace.sample("a", unit()).sizes(), at::IntArrayRef({1, 5}));
  }
  EXPECT_EQ(trace.sample("b", unit()).sizes(), at::IntArrayRef({1, 1}));
}

TEST(Trace, PlatesNest) {
  Trace trace(Noise(1), {.num_particles = 2, .plate_dims = 2});
  const auto w = trace.sample("w", unit());
  const auto rows = trace.plate("rows", ids(5), 5);
  const auto a = trace.sample("a", unit());
  const auto words = trace.plate("words", ids(3), 3);
  const auto b = trace.sample("b", Normal(a + w, at::ones({}, kDouble)));
  EXPECT_EQ(w.sizes(), at::IntArrayRef({2, 1, 1}));
  EXPECT_EQ(a.sizes(), at::IntArrayRef({2, 1, 5}));
  EXPECT_EQ(b.sizes(), at::IntArrayRef({2, 3, 5}));
  EXPECT_EQ(message_of([&] { (void)trace.plate("letters", ids(2), 2); }),
            "Trace: plate 'letters' nests deeper than plate_dims = 2");
}

at::Tensor nested_draw(const at::Tensor& rows, const at::Tensor& words, int64_t event) {
  Trace trace(Noise(8), {.num_particles = 2, .plate_dims = 2});
  const auto outer = trace.plate("rows", rows, 100);
  const auto inner = trace.plate("words", words, 50);
  return trace.sample("z", unit({event}).to_event(1));
}

TEST(Trace, NoiseFollowsTheRowsAndNotTheBatch) {
  const auto draw = [](const at::Tensor& rows) {
    Trace trace(Noise(8), {.num_particles = 2});
    const auto plate = trace.plate("rows", rows, 100);
    return trace.sample("z", unit({3}).to_event(1));
  };
  const auto whole = draw(ids(6));
  EXPECT_TRUE(whole.narrow(1, 2, 3).equal(draw(ids(3, 2))));
  // With two plates too, in both of them.
  const auto nested = nested_draw(ids(6), ids(4), 3);
  EXPECT_TRUE(nested.narrow(2, 2, 3).equal(nested_draw(ids(3, 2), ids(4), 3)));
  EXPECT_TRUE(nested.narrow(1, 1, 2).equal(nested_draw(ids(6), ids(2, 1), 3)));
  EXPECT_EQ(std::get<0>(at::_unique(nested)).numel(), nested.numel());
}

TEST(Trace, SitesDrawApart) {
  Trace trace(Noise(1));
  const auto plate = trace.plate("rows", ids(5), 5);
  EXPECT_FALSE(trace.sample("a", unit()).equal(trace.sample("b", unit())));
}

TEST(Trace, RejectsANameUsedTwice) {
  Trace trace(Noise(1));
  (void)trace.sample("z", unit());
  EXPECT_EQ(message_of([&] { (void)trace.sample("z", unit()); }), "Trace: site 'z' is used twice");
  EXPECT_THROW((void)trace.observe("z", unit(), at::zeros({}, kDouble)), SiteError);
}

TEST(Trace, RejectsABatchThatIsNotThePlates) {
  Trace trace(Noise(1), {.num_particles = 2});
  const auto plate = trace.plate("rows", ids(5), 5);
  EXPECT_EQ(message_of([&] { (void)trace.sample("z", unit({3})); }),
            "Trace: Normal at site 'z' has batch shape [3]; expected one that broadcasts to "
            "[particles, plates] = [2, 5] (use to_event for the event's dimensions)");
  EXPECT_THROW((void)trace.sample("z", unit({2, 5, 1})), ShapeError);
  EXPECT_THROW((void)trace.observe("x", unit({3}), at::zeros({3}, kDouble)), ShapeError);
}

TEST(Trace, RejectsAnObservationOfTheWrongEvent) {
  Trace trace(Noise(1));
  const auto plate = trace.plate("rows", ids(5), 5);
  const auto law = unit({3}).to_event(1);
  EXPECT_THROW((void)trace.observe("x", law, at::zeros({5, 1}, kDouble)), ShapeError);
  EXPECT_THROW((void)trace.observe("x", law, at::zeros({5, 2}, kDouble)), ShapeError);
  EXPECT_THROW((void)trace.observe("x", law, at::zeros({}, kDouble)), ShapeError);
  EXPECT_NO_THROW((void)trace.observe("x", law, at::zeros({5, 3}, kDouble)));
  EXPECT_NO_THROW((void)trace.observe("y", law, at::zeros({1, 5, 3}, kDouble)));
}

TEST(Trace, RejectsAnObservationOfOtherRows) {
  Trace trace(Noise(1));
  const auto plate = trace.plate("rows", ids(5), 5);
  const auto law = unit({3}).to_event(1);
  EXPECT_THROW((void)trace.observe("x", law, at::zeros({4, 3}, kDouble)), ShapeError);
  EXPECT_THROW((void)trace.observe("x", law, at::zeros({6, 1, 5, 3}, kDouble)), ShapeError);
}

TEST(Trace, FindsSites) {
  Trace trace(Noise(1));
  (void)trace.sample("a", unit());
  (void)trace.sample("b", unit());
  EXPECT_EQ(trace.index_of("b"), 1);
  EXPECT_EQ(trace.index_of("c"), -1);
  EXPECT_EQ(trace.find("c"), nullptr);
  EXPECT_EQ(message_of([&] { (void)trace.at("c"); }), "Trace: no site 'c'");
  EXPECT_THROW(Trace(Noise(1), {.num_particles = 0}), ConfigError);
}

TEST(Trace, DrawsPathwiseOnlyWhenAsked) {
  const auto loc = at::zeros({}, kDouble).requires_grad_();
  const Normal law(loc, at::ones({}, kDouble));
  Trace with(Noise(1)), without(Noise(1), {.requires_grad = false});
  const auto a = with.sample("z", law), b = without.sample("z", law);
  EXPECT_TRUE(a.requires_grad());
  EXPECT_FALSE(b.requires_grad());
  EXPECT_TRUE(a.detach().equal(b));
  // A law without a pathwise draw is sampled all the same.
  EXPECT_FALSE(with.sample("y", Bernoulli(at::full({}, 0.5, kDouble))).requires_grad());
}

TEST(Trace, RejectsAnObservationWithoutAValue) {
  Trace trace(Noise(1));
  EXPECT_THROW((void)trace.observe("x", Normal::standard({}, kDouble), {}), SiteError);
}

}  // namespace
}  // namespace elbo
