#include "elbo/program/handlers.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "elbo/distributions.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);

/// z ~ N(0, 1), y ~ N(z, 1), x ~ N(y, 1) observed at 0.5, for four rows.
void chain(Trace& trace, const Batch& batch) {
  const auto plate = trace.plate("rows", batch.rows, batch.total);
  const auto one = at::ones({}, kDouble);
  const auto z = trace.sample("z", Normal::standard({}, kDouble));
  const auto y = trace.sample("y", Normal(z, one));
  trace.observe("x", Normal(y, one), at::full({4}, 0.5, kDouble));
}

Batch four_rows() {
  Batch batch;
  batch.rows = at::arange(4, at::kLong);
  batch.total = 4;
  return batch;
}

Trace run(const Program& program, uint64_t seed, int64_t particles = 2) {
  return Trace::run(program, four_rows(), Noise(seed), {.num_particles = particles});
}

TEST(Replay, TakesLatentValuesFromTheSource) {
  const Trace source = run(chain, 1);
  const Trace replayed = run(replay(chain, source), 2);
  EXPECT_TRUE(replayed.at("z").value.equal(source.at("z").value));
  EXPECT_TRUE(replayed.at("y").value.equal(source.at("y").value));
  EXPECT_TRUE(replayed.at("x").log_prob().equal(source.at("x").log_prob()));
  EXPECT_FALSE(replayed.at("z").observed);
}

TEST(Replay, DrawsWhatTheSourceLacks) {
  const auto only_z = [](Trace& trace, const Batch& batch) {
    const auto plate = trace.plate("rows", batch.rows, batch.total);
    (void)trace.sample("z", Normal::standard({}, kDouble));
  };
  const Trace source = run(only_z, 1);
  const Trace replayed = run(replay(chain, source), 2);
  EXPECT_TRUE(replayed.at("z").value.equal(source.at("z").value));
  EXPECT_FALSE(replayed.at("y").value.equal(run(chain, 1).at("y").value));
}

TEST(Replay, LeavesObservationsAlone) {
  const Trace source = run(condition(chain, {{"x", at::full({4}, 9.0, kDouble)}}), 1);
  const Trace replayed = run(replay(chain, source), 2);
  EXPECT_TRUE(replayed.at("x").value.eq(0.5).all().item<bool>());
}

TEST(Condition, TurnsALatentSiteIntoAnObservation) {
  const auto value = at::arange(4, kDouble);
  const Trace trace = run(condition(chain, {{"z", value}}), 1);
  EXPECT_TRUE(trace.at("z").observed);
  EXPECT_TRUE(trace.at("z").value.equal(value));
  EXPECT_FALSE(trace.at("y").observed);
  EXPECT_EQ(trace.at("z").log_prob().sizes(), at::IntArrayRef({2, 4}));
}

TEST(Condition, RejectsAValueOfTheWrongShape) {
  const auto vector = [](Trace& trace, const Batch& batch) {
    const auto plate = trace.plate("rows", batch.rows, batch.total);
    (void)trace.sample("z", Normal::standard({3}, kDouble).to_event(1));
  };
  EXPECT_NO_THROW((void)run(condition(vector, {{"z", at::zeros({4, 3}, kDouble)}}), 1));
  EXPECT_THROW((void)run(condition(vector, {{"z", at::zeros({4, 1}, kDouble)}}), 1), ShapeError);
  EXPECT_THROW((void)run(condition(vector, {{"z", at::zeros({5, 3}, kDouble)}}), 1), ShapeError);
}

TEST(Replay, RejectsASourceOfOtherRows) {
  const Trace source = run(chain, 1, /*particles=*/3);
  EXPECT_THROW((void)run(replay(chain, source), 2), ShapeError);
}

TEST(Condition, InnerProgramsSeeASiteFirst) {
  const auto inner = condition(chain, {{"z", at::zeros({4}, kDouble)}});
  const Trace source = run(chain, 1);
  // The condition acts first, so replay finds the site observed and leaves it.
  EXPECT_TRUE(run(replay(inner, source), 2).at("z").value.eq(0).all().item<bool>());
}

TEST(Uncondition, DrawsWhatIsObserved) {
  const Trace drawn = run(uncondition(chain), 1);
  EXPECT_EQ(drawn.at("x").value.sizes(), at::IntArrayRef({2, 4}));
  EXPECT_TRUE(drawn.at("x").observed);
  EXPECT_TRUE(drawn.at("y").value.equal(run(chain, 1).at("y").value)) << "the rest is as it was";
  // x = y + e, with the noise that a latent site of this name would have had.
  const auto e = Noise(1).site("x").particles(2).draws(4).normal({2, 4}, kDouble);
  EXPECT_TRUE(drawn.at("x").value.allclose(drawn.at("y").value + e, 1e-14, 1e-14));
}

TEST(Uncondition, ActsBeforeWhatIsAroundIt) {
  const auto value = at::full({4}, 9.0, kDouble);
  const Trace outer = run(condition(uncondition(chain), {{"x", value}}), 1);
  EXPECT_TRUE(outer.at("x").value.equal(value));
  EXPECT_TRUE(
      run(uncondition(condition(chain, {{"z", value}})), 1).at("z").value.ne(9).all().item<bool>());
}

TEST(OnGrid, GivesALatentSiteAllPointsAtOnce) {
  const auto points = at::tensor({-1.0, 0.0, 0.5}, kDouble);
  const Trace trace = run(on_grid(block(chain, [](const Site& s) { return s.name == "x"; }),
                                  {{"z", points}, {"y", points}, {"x", points}}),
                          1, 1);
  EXPECT_TRUE(trace.at("z").enumerated);
  EXPECT_TRUE(trace.at("z").value.equal(points.view({3, 1, 1})));
  EXPECT_EQ(trace.at("y").value.sizes(), at::IntArrayRef({3, 1, 1, 1}));
  // log N(y; z, 1) of every pair
  EXPECT_EQ(trace.at("y").log_prob().sizes(), at::IntArrayRef({3, 3, 1, 4}));
  EXPECT_NEAR(trace.at("y").log_prob()[2][0][0][3].item<double>(),
              -0.5 * std::log(2 * M_PI) - 0.5 * 1.5 * 1.5, 1e-12);
  // Neither what is observed, nor points of another event.
  const auto given = condition(chain, {{"z", at::zeros({4}, kDouble)}});
  EXPECT_FALSE(run(on_grid(given, {{"z", points}}), 1).at("z").enumerated);
  EXPECT_THROW(run(on_grid(chain, {{"z", points.view({3, 1})}}), 1), ShapeError);
}

TEST(OnGrid, OverVectors) {
  const auto plane = at::cartesian_prod({at::arange(3, kDouble), at::arange(2, kDouble)});
  const auto program = [](Trace& trace, const Batch& batch) {
    const auto plate = trace.plate("rows", batch.rows, batch.total);
    const auto z = trace.sample("z", Normal::standard({2}, kDouble).to_event(1));
    trace.observe("x", Normal(z, at::ones({}, kDouble)).to_event(1), at::zeros({4, 2}, kDouble));
  };
  const Trace trace = run(on_grid(program, {{"z", plane}}), 1, 1);
  EXPECT_EQ(trace.at("z").value.sizes(), at::IntArrayRef({6, 1, 1, 2}));
  EXPECT_EQ(trace.at("x").log_prob().sizes(), at::IntArrayRef({6, 1, 4}));
}

TEST(Block, RunsButDoesNotRecord) {
  const Trace trace = run(block(chain, [](const Site& site) { return site.name == "z"; }), 1);
  EXPECT_EQ(trace.find("z"), nullptr);
  EXPECT_EQ(trace.sites().size(), 2u);
  EXPECT_TRUE(trace.at("y").value.equal(run(chain, 1).at("y").value));
}

TEST(Block, HidesByProperty) {
  const Trace trace = run(block(chain, [](const Site& site) { return site.observed; }), 1);
  EXPECT_EQ(trace.find("x"), nullptr);
  EXPECT_NE(trace.find("z"), nullptr);
}

TEST(Handlers, AreLeftWhenTheProgramThrows) {
  const auto fails = [](Trace& trace, const Batch&) { (void)trace.at("nothing"); };
  Trace trace{Noise(1)};
  EXPECT_THROW(block(fails, [](const Site&) { return true; })(trace, four_rows()), SiteError);
  (void)trace.sample("z", Normal::standard({}, kDouble));
  EXPECT_NE(trace.find("z"), nullptr);
}

}  // namespace
}  // namespace elbo
