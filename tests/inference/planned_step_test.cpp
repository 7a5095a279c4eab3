#include "elbo/inference/planned_step.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <utility>

#include "elbo/estimators/importance_weighted.h"
#include "elbo/inference/aevb.h"
#include "elbo/inference/wake_sleep.h"
#include "elbo/kernels/linear.h"
#include "estimators/toy.h"
#include "inference/linear_vae.h"
#include "kernels/detail/share.h"
#include "support/other_device.h"

namespace elbo {
namespace {

using namespace testing;

/// Weights after steps of batches of 8 rows, every sixth of 3, as the last of an epoch is.
template <class L, class Options>
at::Tensor learnt(Options options, bool planned) {
  const LinearVae vae(5, 2);
  const auto x = linear_data(40, 5, 2);
  options.planned = planned;
  FlatParameters parameters = vae.parameters();
  auto optimizer = make_optimizer("adam", parameters, 0.01);
  L learner(vae.model(), vae.guide(), parameters, std::move(optimizer), options);
  for (int64_t i = 0; i < 30; ++i) {
    const int64_t rows = i % 6 == 5 ? 3 : 8;
    const auto ids = (at::arange(rows, at::kLong) + 7 * i).remainder(40);
    const Batch batch{.columns = {{"x", x.index_select(0, ids)}}, .rows = ids, .total = 40};
    (void)learner.step(batch, Noise(5, static_cast<uint64_t>(i)));
  }
  return learner.parameters().values().clone();
}

TEST(PlannedStep, WakeSleepLearnsTheSameWeightsToTheBit) {
  for (const GuidePhase phase : {GuidePhase::kSleep, GuidePhase::kWake, GuidePhase::kBoth}) {
    const WakeSleepOptions options{.num_particles = 3, .guide_phase = phase};
    EXPECT_TRUE(at::equal(learnt<WakeSleep>(options, true), learnt<WakeSleep>(options, false)));
  }
}

TEST(PlannedStep, AevbLearnsTheSameWeightsToTheBit) {
  for (const Estimator& estimator :
       {Estimator(Sgvb{}), Estimator(Sgvb{.form = SgvbForm::kA, .num_particles = 3}),
        Estimator(ImportanceWeighted{4})})
    for (const Update update : {Update::kJoint, Update::kAlternating}) {
      const AevbOptions options{.estimator = estimator, .update = update, .weight_prior = 1};
      EXPECT_TRUE(at::equal(learnt<Aevb>(options, true), learnt<Aevb>(options, false)));
    }
}

/// A step of one column, whose result and effect are functions of it that a test chooses.
struct OneColumn {
  at::Tensor effect = at::zeros({2}, at::kDouble);
  PlannedStep planned{effect};
  uint64_t step = 0;

  at::Tensor operator()(const PlannedStep::Body& body) {
    const auto x = at::full({3}, 1.0 + static_cast<double>(step), at::kDouble);
    return planned(batch_of(x, 3), Noise(1, step++), body)[0].clone();
  }
};

TEST(PlannedStep, ReplaysFromTheThirdStepOn) {
  OneColumn step;
  int runs = 0;
  const PlannedStep::Body body = [&](const Batch& b, const Noise&) {
    ++runs;
    step.effect.copy_(b["x"].narrow(0, 0, 2));
    return std::vector<at::Tensor>{b["x"].sum()};
  };
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(step(body).item<double>(), 3.0 * (1 + i));
    EXPECT_EQ(step.effect[0].item<double>(), 1.0 + i);
  }
  EXPECT_TRUE(step.planned.replays());
  EXPECT_EQ(runs, 3);  // as it comes, recorded, and beside the first replay
}

/// Threads that wait for a plan's next kernel share a product out as they do where it is run: one
/// that is too small for two, one for two, and one that is oneDNN's to share out.
TEST(PlannedStep, MultipliesAlikeWhetherThreadsWaitOrNot) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  for (const bool common_cache : {false, true}) {
    const detail::AssumedCommonCache assumed(common_cache);
    for (const auto& [in, out] :
         {std::pair{2000, 4}, {4, 2000}, {560, 200}, {200, 560}, {1100, 1100}}) {
      const auto options = at::dtype(at::kFloat);
      const auto weight = Noise(3).normal({out, in}, options).requires_grad_();
      const auto bias = at::zeros({out}, options).requires_grad_();
      auto effect = at::zeros({out, in}, options);
      PlannedStep planned(effect);
      for (uint64_t step = 0; step < 4; ++step) {
        const auto x = Noise(4, step).normal({100, in}, options);
        (void)planned(batch_of(x, 100), Noise(1, step), [&](const Batch& b, const Noise&) {
          const auto y = fused_linear(b["x"], weight, bias, Activation::kTanh);
          effect.copy_(torch::autograd::grad({y.sum()}, {weight})[0]);
          return std::vector<at::Tensor>{y};
        });
      }
      EXPECT_TRUE(planned.replays()) << in << " to " << out << ": " << planned.refusal();
    }
  }
  at::set_num_threads(before);
}

/// A tensor that lies where it lay is read there; when another comes in its place it is neither
/// read nor written any more.
TEST(PlannedStep, LeavesMemoryThatItReadInPlaceAsItWas) {
  PlannedStep planned(at::zeros({1}, at::kDouble));
  int runs = 0;
  const PlannedStep::Body body = [&](const Batch& b, const Noise&) {
    ++runs;
    return std::vector<at::Tensor>{b["x"].sum()};
  };
  const auto in_place = at::zeros({3}, at::kDouble);
  uint64_t step = 0;
  const auto sum_of = [&](const at::Tensor& x) {
    return planned(batch_of(x, 3), Noise(1, step++), body)[0].item<double>();
  };
  for (int i = 0; i < 6; ++i) EXPECT_EQ(sum_of(in_place.fill_(i)), 3.0 * i);
  EXPECT_EQ(runs, 3);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(sum_of(at::full({3}, 10.0 + i, at::kDouble)), 30.0 + 3 * i);
  EXPECT_TRUE(planned.replays());
  EXPECT_EQ(runs, 5);  // a new plan, and beside its first replay
  EXPECT_TRUE(in_place.equal(at::full({3}, 5.0, at::kDouble)));
  EXPECT_EQ(sum_of(in_place), 15.0);
}

TEST(PlannedStep, NoticesMemoryThatIsReadByHand) {
  OneColumn step;
  const PlannedStep::Body body = [](const Batch& b, const Noise&) {
    return std::vector<at::Tensor>{at::full({}, b["x"].data_ptr<double>()[0], at::kDouble)};
  };
  for (int i = 0; i < 10; ++i) EXPECT_EQ(step(body).item<double>(), 1.0 + i);
  EXPECT_EQ(step.planned.refusal(), "what it computes changes from step to step");
}

TEST(PlannedStep, NoticesAnEffectThatIsWrittenByHand) {
  OneColumn step;
  const PlannedStep::Body body = [&](const Batch& b, const Noise&) {
    step.effect.data_ptr<double>()[1] = b["x"].data_ptr<double>()[0];
    return std::vector<at::Tensor>{b["x"].sum()};
  };
  for (int i = 0; i < 5; ++i) (void)step(body);
  EXPECT_FALSE(step.planned.refusal().empty());
  EXPECT_EQ(step.effect[1].item<double>(), 5.0);
}

TEST(PlannedStep, NoticesAChangeOfCourseAtTheNextCheck) {
  OneColumn step;
  double factor = 1;
  const PlannedStep::Body body = [&](const Batch& b, const Noise&) {
    return std::vector<at::Tensor>{b["x"].sum() * factor};
  };
  for (int i = 0; i < 10; ++i) (void)step(body);
  factor = 2;
  int64_t late = 0;
  while (step.planned.refusal().empty() && late <= PlannedStep::kCheckEvery) {
    (void)step(body);
    ++late;
  }
  EXPECT_LE(late, PlannedStep::kCheckEvery);
  const auto x = static_cast<double>(step.step + 1);
  EXPECT_EQ(step(body).item<double>(), 2 * 3 * x);
}

TEST(PlannedStep, RunsWhatCannotBeRecorded) {
  OneColumn step;
  const PlannedStep::Body body = [](const Batch& b, const Noise&) {
    return std::vector<at::Tensor>{b["x"] * b["x"].sum().item<double>()};
  };
  for (int i = 0; i < 5; ++i) EXPECT_EQ(step(body)[0].item<double>(), 3.0 * (1 + i) * (1 + i));
  EXPECT_EQ(step.planned.refusal(), "aten::item");
}

/// On another device, whose plans are graphs.
TEST(PlannedStep, RunsWhatADeviceCannotCaptureAndNoticesWhatChanges) {
  const auto device = other_device();
  const auto run = [&](PlannedStep& planned, uint64_t step, const PlannedStep::Body& body) {
    const auto x = at::full({3}, 1.0 + static_cast<double>(step), at::kDouble).to(device);
    return planned(batch_of(x, 3), Noise(1, step), body)[0].sum().item<double>();
  };
  const GraphsOnOtherDevice graphs;
  PlannedStep waits(at::zeros({1}, at::kDouble).to(device));
  const PlannedStep::Body by_number = [](const Batch& b, const Noise&) {
    return std::vector<at::Tensor>{b["x"] * b["x"].sum().item<double>()};
  };
  for (uint64_t i = 0; i < 5; ++i)
    EXPECT_EQ(run(waits, i, by_number), 9.0 * static_cast<double>((1 + i) * (1 + i)));
  EXPECT_FALSE(waits.refusal().empty());

  PlannedStep changes(at::zeros({1}, at::kDouble).to(device));
  double factor = 0;
  const PlannedStep::Body grows = [&](const Batch& b, const Noise&) {
    return std::vector<at::Tensor>{b["x"] * ++factor};
  };
  for (uint64_t i = 0; i < 5; ++i) (void)run(changes, i, grows);
  EXPECT_EQ(changes.refusal(), "what it computes changes from step to step");
  EXPECT_EQ(graphs.launched(), 2);  // after its capture, and the one that was checked
}

TEST(PlannedStep, MakesANewPlanForANewShape) {
  const auto effect = at::zeros({1}, at::kDouble);
  PlannedStep planned(effect);
  const PlannedStep::Body body = [](const Batch& b, const Noise& noise) {
    return std::vector<at::Tensor>{
        (b["x"] * noise.rows(b.rows).normal(b["x"].sizes(), at::kDouble)).sum()};
  };
  for (uint64_t i = 0; i < 12; ++i) {
    const auto batch =
        batch_of(at::full({i < 6 ? 3 : 4}, 1.0 + static_cast<double>(i), at::kDouble), 9);
    EXPECT_TRUE(at::equal(planned(batch, Noise(1, i), body)[0], body(batch, Noise(1, i))[0]));
  }
  EXPECT_TRUE(planned.replays());
}

}  // namespace
}  // namespace elbo
