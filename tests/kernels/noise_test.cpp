#include "elbo/kernels/noise.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <Random123/philox.h>
#include <gtest/gtest.h>

#include "elbo/error.h"
#include "elbo/kernels/elementwise.h"
#include "support/other_device.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
const auto kFloat = at::TensorOptions(at::kFloat);

at::Tensor ids(std::vector<int64_t> rows) { return at::tensor(rows, at::kLong); }

TEST(Noise, DoesNotDependOnHowRowsAreSplit) {
  const Noise noise = Noise(3, 5).site("z").particles(2);
  const auto whole = noise.draws(10).normal({2, 10, 3}, kDouble);
  const auto first = noise.draws(4).normal({2, 4, 3}, kDouble);
  const auto rest = noise.draws(6, 4).normal({2, 6, 3}, kDouble);
  EXPECT_TRUE(whole.equal(at::cat({first, rest}, 1)));
  const auto order = ids({7, 0, 7, 2});
  const auto shuffled = noise.rows(order).normal({2, 4, 3}, kDouble);
  EXPECT_TRUE(shuffled.equal(whole.index_select(1, order)));
}

TEST(Noise, DoesNotDependOnHowParticlesAreSplit) {
  const Noise noise = Noise(3).site("z").draws(5);
  const auto whole = noise.particles(6).uniform({6, 5, 3}, kDouble);
  const auto first = noise.particles(1).uniform({1, 5, 3}, kDouble);
  const auto rest = noise.particles(5, 1).uniform({5, 5, 3}, kDouble);
  EXPECT_TRUE(whole.equal(at::cat({first, rest}, 0)));
}

TEST(Noise, DoesNotDependOnThreads) {
  const Noise noise = Noise(3).draws(3000);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = noise.normal({3000, 33}, kDouble);
  at::set_num_threads(2);
  const auto two = noise.normal({3000, 33}, kDouble);
  at::set_num_threads(before);
  EXPECT_TRUE(one.equal(two));
}

TEST(Noise, IsAPureFunctionOfWhereItIsUsed) {
  const Noise noise = Noise(3);
  EXPECT_TRUE(noise.normal({7}, kDouble).equal(noise.normal({7}, kDouble)));
  // A longer event begins with the shorter one.
  EXPECT_TRUE(noise.normal({8}, kDouble).narrow(0, 0, 5).equal(noise.normal({5}, kDouble)));
}

TEST(Noise, DiffersBetweenSeedsSitesStepsRowsParticlesAndElements) {
  const Noise base = Noise(1);
  std::vector<at::Tensor> numbers;
  const auto add = [&](const Noise& noise) { numbers.push_back(noise.uniform({8}, kDouble)); };
  add(base);
  add(Noise(2));
  add(base.step(1));
  add(base.step(2));
  add(base.site("a"));
  add(base.site("b"));
  add(base.site("ab"));
  add(base.site("ba"));
  add(base.site("a").site("b"));
  add(base.site("b").site("a"));
  add(base.site(""));
  add(base.rows(ids({1})));
  add(base.rows(ids({2})));
  add(base.rows(ids({int64_t{1} << 32})));
  add(base.rows(ids({int64_t{1} << 33})));
  add(base.rows(ids({(int64_t{1} << 40) - 1})));
  add(base.particles(1, 1));
  add(base.particles(1, 2));
  add(base.particles(1, (1 << 24) - 1));
  const auto all = at::cat(numbers);
  EXPECT_EQ(std::get<0>(at::_unique(all)).numel(), all.numel());
}

TEST(Noise, StepOfTheConstructorIsTheStep) {
  EXPECT_TRUE(Noise(9, 4).normal({5}, kDouble).equal(Noise(9).step(4).normal({5}, kDouble)));
}

TEST(Noise, Float32IsFloat64Rounded) {
  const Noise noise = Noise(3).draws(1000);
  EXPECT_TRUE(
      noise.normal({1000, 5}, kFloat).equal(noise.normal({1000, 5}, kDouble).to(at::kFloat)));
  const auto rounded = noise.uniform({1000, 5}, kDouble).to(at::kFloat);
  EXPECT_TRUE(noise.uniform({1000, 5}, kFloat).equal(rounded.clamp_max(0x1.fffffep-1)));
}

TEST(Noise, UniformLiesInTheOpenInterval) {
  // 4e7 draws: without the clamp about one in 3e7 would round to 1 in float32.
  for (int64_t step = 0; step < 40; ++step) {
    const auto u = Noise(5).step(static_cast<uint64_t>(step)).uniform({1'000'000}, kFloat);
    ASSERT_GT(u.min().item<double>(), 0);
    ASSERT_LT(u.max().item<double>(), 1);
  }
}

TEST(Noise, BernoulliIsSureAtTheEnds) {
  const auto probs = at::tensor({0.0, 1.0}, kDouble).expand({100000, 2}).contiguous();
  EXPECT_TRUE(Noise(5).bernoulli(probs).equal(probs));
  EXPECT_TRUE(Noise(5).bernoulli(probs.to(at::kFloat)).equal(probs.to(at::kFloat)));
}

/// Events of 45 numbers have eight blocks of four in a row, and leave a gap in the last.
TEST(Noise, BernoulliComparesWordsOfPhilox) {
  const auto rows = at::tensor({5, 0, 1234567}, at::kLong);
  const Noise noise = Noise(0).step(3).rows(rows);
  const auto probs = Noise(9).uniform({3, 45}, kDouble);
  auto expected = at::empty({3, 45}, kDouble);
  const uint64_t key = noise.key();
  for (int64_t r = 0; r < 3; ++r)
    for (int64_t i = 0; i < 45; ++i) {
      const auto row = static_cast<uint32_t>(rows[r].item<int64_t>());
      const auto words = r123::Philox4x32_R<10>()(
          {{static_cast<uint32_t>(i / 4), row, 3, 0}},
          {{static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)}});
      const double u = (words[static_cast<size_t>(i % 4)] + 0.5) * 0x1p-32;
      expected[r][i] = u < probs[r][i].item<double>() ? 1 : 0;
    }
  EXPECT_TRUE(noise.bernoulli(probs).equal(expected));
  EXPECT_TRUE(noise.bernoulli(probs.t().contiguous().t()).equal(expected));
  EXPECT_TRUE(noise.bernoulli(probs.to(kFloat)).equal(expected.to(kFloat)));

  const auto in_place = probs.to(kFloat);
  noise.bernoulli_in_place(in_place);
  EXPECT_TRUE(in_place.equal(expected.to(kFloat)));
  EXPECT_THROW(noise.bernoulli_in_place(probs.t()), ShapeError);
}

TEST(Noise, IsTheSameOnAnotherDevice) {
  const Noise noise = Noise(3).rows(ids({4, 9, 1}));
  const auto there = kDouble.device(testing::other_device());
  const auto expect_same = [&](const at::Tensor& here, const at::Tensor& drawn) {
    EXPECT_EQ(drawn.device(), there.device());
    EXPECT_TRUE(drawn.to(at::kCPU).equal(here));
  };
  expect_same(noise.normal({3, 5}, kDouble), noise.normal({3, 5}, there));
  expect_same(noise.uniform({3, 5}, kFloat), noise.uniform({3, 5}, there.dtype(at::kFloat)));
  const auto probs = noise.site("p").uniform({3, 5}, kFloat);
  expect_same(noise.bernoulli(probs), noise.bernoulli(probs.to(there.device())));
}

TEST(Noise, GeneratorIsPhilox4x32With10Rounds) {
  // Known answers of Random123 (kat_vectors).
  using Philox = r123::Philox4x32_R<10>;
  const auto zero = Philox()({{0, 0, 0, 0}}, {{0, 0}});
  EXPECT_EQ(zero[0], 0x6627e8d5u);
  EXPECT_EQ(zero[3], 0x9b00dbd8u);
  const auto pi =
      Philox()({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, {{0xa4093822, 0x299f31d0}});
  EXPECT_EQ(pi[0], 0xd16cfe09u);
  EXPECT_EQ(pi[1], 0x94fdccebu);
  EXPECT_EQ(pi[2], 0x5001e420u);
  EXPECT_EQ(pi[3], 0x24126ea1u);
}

TEST(Noise, CounterHoldsElementRowStepAndParticle) {
  // The layout is part of every seeded result. SplitMix64 takes seed 0 to 0xe220a8397b1dcdaf.
  using Philox = r123::Philox4x32_R<10>;
  const auto u = Noise(0, /*step=*/6)
                     .rows(ids({(int64_t{3} << 32) + 9}))
                     .particles(1, 11)
                     .uniform({4}, kDouble);
  const auto words = Philox()({{1, 9, 6, 3u << 24 | 11}}, {{0x7b1dcdaf, 0xe220a839}});
  const uint64_t bits = (static_cast<uint64_t>(words[0]) << 32 | words[1]) >> 11;
  EXPECT_EQ(u[2].item<double>(), (static_cast<double>(bits) + 0.5) * 0x1p-53);
}

TEST(Noise, RejectsShapesThatDoNotDivide) {
  EXPECT_THROW((void)Noise(0).draws(3).normal({4}, kDouble), ShapeError);
  EXPECT_THROW((void)Noise(0).particles(2).normal({3}, kDouble), ShapeError);
  EXPECT_THROW((void)Noise(0).rows(at::ones({3}, kDouble)), ShapeError);
  EXPECT_THROW((void)Noise(0).rows(at::ones({3, 1}, at::kLong)), ShapeError);
}

/// Draws one or more times from the stream, as a rejection sampler does.
double until_large(Noise::Stream<double>& stream, const double* parameters) {
  double sum = 0;
  while (sum < parameters[0]) sum += stream.uniform();
  return sum + stream.normal();
}

TEST(Noise, StreamsOfAnElementDoNotDependOnHowTheyAreSplit) {
  const auto level = at::full({}, 2.5, kDouble);
  const Noise noise = Noise(3, 5).site("z").particles(2);
  const auto whole = noise.draws(10).draw(until_large, {2, 10, 3}, level);
  const auto first = noise.draws(4).draw(until_large, {2, 4, 3}, level);
  const auto rest = noise.draws(6, 4).draw(until_large, {2, 6, 3}, level);
  EXPECT_TRUE(whole.equal(at::cat({first, rest}, 1)));
  EXPECT_EQ(std::get<0>(at::_unique(whole)).numel(), whole.numel());
  const auto levels = at::arange(3, kDouble);  // parameters broadcast to the shape
  EXPECT_TRUE(noise.draws(10)
                  .draw(until_large, {2, 10, 3}, levels)
                  .select(2, 2)
                  .equal(noise.draws(10)
                             .draw(until_large, {2, 10, 3}, at::full({}, 2.0, kDouble))
                             .select(2, 2)));
}

/// The same for four elements at once.
struct UntilLarge {
  template <class V>
  static V sample(Noise::Stream<V>& stream, const V* parameters) {
    V sum = 0.0;
    auto open = sum < parameters[0];
    while (math::any(open)) {
      sum = math::select(open, sum + stream.uniform(), sum);
      open = sum < parameters[0];
    }
    auto other = stream.split(1);
    return sum + other.normal();
  }
};

TEST(Noise, ElementsOfAPackGetTheNumbersTheyGetAlone) {
  const Noise noise = Noise(3, 5).site("z").particles(2);
  const auto levels = at::tensor({0.5, 2.5, 9.0}, kDouble);
  const auto sampler = pack_sampler<UntilLarge>();
  const auto whole = noise.draws(11).draw(sampler, {2, 11, 3}, levels);
  const auto first = noise.draws(4).draw(sampler, {2, 4, 3}, levels);
  const auto rest = noise.draws(7, 4).draw(sampler, {2, 7, 3}, levels);
  EXPECT_TRUE(whole.equal(at::cat({first, rest}, 1)));
  const auto alone = noise.draws(11).draw(UntilLarge::sample<double>, {2, 11, 3}, levels);
  EXPECT_TRUE(whole.allclose(alone, 1e-14, 1e-14));
  EXPECT_EQ(std::get<0>(at::_unique(whole)).numel(), whole.numel());
}

struct Times {
  static constexpr bool kHot = true;
  template <class T>
  ELBO_INLINE T operator()(const T& u, const T& a, const T& b) const {
    return u * a + b;
  }
};

// Odd events, whose last block is cut off, and more elements than a thread takes at once.
TEST(Noise, FormulasAreDrawnAtTheNumbersOfTheirKind) {
  const Formula& formula = elbo::formula<Times, 3, true>();
  for (const auto& [rows, event] : {std::pair<int64_t, int64_t>{1, 40001}, {5, 1}, {3001, 7}}) {
    const Noise noise = Noise(4).draws(rows);
    const std::vector<int64_t> shape = {rows, event};
    const auto a = at::arange(rows * event, kDouble).view(shape), b = at::full({}, -2.0, kDouble);
    EXPECT_TRUE(noise.draw(formula, Noise::Numbers::kUniform, shape, {a, b})
                    .allclose(noise.uniform(shape, kDouble) * a + b, 1e-15, 1e-15));
    EXPECT_TRUE(noise.draw(formula, Noise::Numbers::kNormal, shape, {b, a})
                    .allclose(noise.normal(shape, kDouble) * b + a, 1e-15, 1e-15));
    EXPECT_EQ(
        noise.draw(formula, Noise::Numbers::kNormal, shape, {b.to(at::kFloat), a.to(at::kFloat)})
            .scalar_type(),
        at::kFloat);
  }
}

}  // namespace
}  // namespace elbo
