// SGVB where its value is known exactly.
#include "elbo/estimators/sgvb.h"

#include "estimators/toy.h"
#include "gtest/gtest.h"

namespace elbo {
namespace {

using namespace testing;

const auto kDouble = at::TensorOptions(at::kDouble);

at::Tensor vector(std::vector<double> values) { return at::tensor(values, at::kDouble); }

std::string message_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// N(loc, scale^2) that "draws" loc + scale * signs over the particles: every corner of a cube,
/// once. Means over particles of quadratics are then exact expectations.
class Cube final : public DistributionBase<Cube> {
 public:
  Cube(at::Tensor loc, at::Tensor scale, at::Tensor signs)
      : DistributionBase(detail::broadcast_shape("Cube", loc.sizes(), scale.sizes()), {}),
        loc(std::move(loc)),
        scale(std::move(scale)),
        signs(std::move(signs)) {}
  std::string name() const override { return "Cube"; }
  bool has_rsample() const override { return true; }
  at::Tensor rsample(const Noise&, at::IntArrayRef) const override { return loc + scale * signs; }
  at::Tensor log_prob(const at::Tensor& x) const override { return Normal(loc, scale).log_prob(x); }
  DistributionPtr expand(at::IntArrayRef shape) const override {
    return std::make_shared<Cube>(loc.expand(shape), scale.expand(shape), signs);
  }
  at::Tensor loc, scale, signs;
};

/// z in R^2, x in R^3: p(z) = N(0, I), p(x | z) = N(W z + b, sigma^2 I), q(z | x) = N(m(x), s^2).
struct LinearGaussian {
  at::Tensor w = vector({1.0, -0.5, 0.3, 2.0, -1.2, 0.7}).view({3, 2});
  at::Tensor b = vector({0.1, -0.4, 0.9});
  double sigma = 0.8;
  at::Tensor v = vector({0.2, 0.1, -0.3, 0.0, 0.5, 0.4}).view({2, 3});
  at::Tensor s = vector({0.6, 0.3});
  /// [L = 4, 1, 2]
  at::Tensor signs = vector({1, 1, 1, -1, -1, 1, -1, -1}).view({4, 1, 2});
  Batch batch =
      batch_of(vector({0.5, -1, 2, 1.5, 0.2, -0.7, 3, 1, -2, 0.1, 0.4, 0.8, -1, -1, 0, 2, 0, 1})
                   .view({6, 3}));

  LinearGaussian() {
    register_kl<Cube, Normal>(
        +[](const Cube& q, const Normal& p) { return kl_divergence(Normal(q.loc, q.scale), p); });
  }
  Program model() const {
    return [*this](Trace& trace, const Batch& rows) {
      const auto plate = trace.plate("rows", rows.rows, rows.total);
      const auto z = trace.sample("z", Normal::standard({2}, kDouble).to_event(1));
      const auto mean = z.matmul(w.t()) + b;
      trace.observe("x", Normal(mean, sigma * one()).to_event(1), rows["x"]);
    };
  }
  /// Exact for the corners of the cube, or with ordinary draws.
  Program guide(bool cube) const {
    return [*this, cube](Trace& trace, const Batch& rows) {
      const auto plate = trace.plate("rows", rows.rows, rows.total);
      const auto m = rows["x"].matmul(v.t());
      if (cube)
        (void)trace.sample("z", Cube(m, s.expand_as(m), signs).to_event(1));
      else
        (void)trace.sample("z", Normal(m, s.expand_as(m)).to_event(1));
    };
  }
  /// log p(x) and KL(q || p(z | x)) of each row, with full covariances.
  std::pair<at::Tensor, at::Tensor> evidence_and_gap() const {
    const auto x = batch["x"];
    const auto precision = at::eye(2, kDouble) + w.t().matmul(w) / (sigma * sigma);
    const auto mean = (x - b).matmul(w).matmul(precision.inverse()) / (sigma * sigma);
    const auto covariance = w.matmul(w.t()) + sigma * sigma * at::eye(3, kDouble);
    const auto quadratic = ((x - b).matmul(covariance.inverse()) * (x - b)).sum(-1);
    const auto evidence =
        -0.5 * (3 * std::log(2 * std::numbers::pi) + at::logdet(covariance) + quadratic);
    const auto shift = x.matmul(v.t()) - mean;
    const auto gap = 0.5 * ((precision.diagonal() * s.square()).sum() +
                            (shift.matmul(precision) * shift).sum(-1) - 2 - at::logdet(precision) -
                            s.square().log().sum());
    return {evidence, gap};
  }
};

constexpr double kExact = 1e-10;

TEST(Sgvb, EvidenceIsTheBoundPlusTheGap) {
  const LinearGaussian problem;
  const auto [evidence, gap] = problem.evidence_and_gap();
  for (const SgvbForm form : {SgvbForm::kA, SgvbForm::kB}) {
    const Bound bound = Sgvb{.form = form, .num_particles = 4}(problem.model(), problem.guide(true),
                                                               problem.batch, Noise(1));
    const auto elbo = bound.rows().mean(0);
    EXPECT_LE((elbo + gap - evidence).abs().max().item<double>(), kExact);
    EXPECT_TRUE(gap.gt(0.01).all().item<bool>());
  }
}

TEST(Sgvb, JointPlusEntropyIsReconstructionMinusKl) {
  const LinearGaussian problem;
  const TraceOptions options{.num_particles = 4};
  const Trace q = Trace::run(problem.guide(true), problem.batch, Noise(1), options);
  const Trace p = Trace::run(replay(problem.model(), q), problem.batch, Noise(1), options);
  const auto joint = (p.at("z").log_prob() + p.at("x").log_prob()).mean(0);
  const auto entropy = (0.5 + 0.5 * std::log(2 * std::numbers::pi) + problem.s.log()).sum();
  const Bound bound =
      Sgvb{.num_particles = 4}(problem.model(), problem.guide(true), problem.batch, Noise(1));
  const auto second = bound.reconstruction.mean(0) - bound.kl.mean(0);
  EXPECT_LE((joint + entropy - second).abs().max().item<double>(), 1e-12);
}

TEST(Sgvb, MinibatchesAverageToTheWholeDataSet) {
  const LinearGaussian problem;
  const Sgvb sgvb{.num_particles = 3};
  const auto value = [&](const Batch& batch) {
    return sgvb(problem.model(), problem.guide(false), batch, Noise(5)).full_data().item<double>();
  };
  double sum = 0;
  int count = 0;
  for (int64_t i = 0; i < 6; ++i)
    for (int64_t j = i + 1; j < 6; ++j, ++count)
      sum += value(subset(problem.batch, at::tensor({i, j}, at::kLong)));
  EXPECT_EQ(count, 15);
  EXPECT_NEAR(sum / count, value(problem.batch), kExact);
}

TEST(Sgvb, ParticlesAreSingleDraws) {
  const LinearGaussian problem;
  const auto eight =
      Sgvb{.num_particles = 8}(problem.model(), problem.guide(false), problem.batch, Noise(5));
  const auto single = Sgvb{}(problem.model(), problem.guide(false), problem.batch, Noise(5));
  EXPECT_EQ(eight.rows().sizes(), at::IntArrayRef({8, 6}));
  EXPECT_EQ(eight.reconstruction.sizes(), at::IntArrayRef({8, 6}));
  EXPECT_EQ(eight.kl.sizes(), at::IntArrayRef({8, 6}));
  EXPECT_TRUE(eight.rows()[0].allclose(single.rows()[0], 1e-14, 1e-14));
  EXPECT_FALSE(eight.rows()[1].allclose(single.rows()[0]));
}

TEST(Sgvb, OneDrawIsTheFormulaOfTheNoise) {
  const double x = 1.3, m = 0.2, s = 0.9;
  const auto guide = toy_guide(vector({m}), vector({s}));
  const auto batch = batch_of(vector({x}));
  const double z = Trace::run(guide, batch, Noise(3)).at("z").value.item<double>();
  const double log_likelihood = log_normal(x, z, 1);
  const auto a = Sgvb{.form = SgvbForm::kA}(toy_model, guide, batch, Noise(3));
  const auto b = Sgvb{.form = SgvbForm::kB}(toy_model, guide, batch, Noise(3));
  EXPECT_NEAR(a.rows().item<double>(),
              log_likelihood + log_normal(z, 0, 1) - log_normal(z, m, s * s), 1e-14);
  EXPECT_NEAR(b.rows().item<double>(), log_likelihood - 0.5 * (s * s + m * m - 1 - 2 * std::log(s)),
              1e-14);
  EXPECT_NEAR(b.reconstruction.item<double>(), log_likelihood, 1e-14);
}

/// p(w) = N(0, 1) for all rows, p(x | w) = N(w, 1).
void global_model(Trace& trace, const Batch& batch) {
  const auto w = trace.sample("w", Normal::standard({}, kDouble));
  const auto plate = trace.plate("rows", batch.rows, batch.total);
  trace.observe("x", Normal(w, one()), batch["x"]);
}
void global_guide(Trace& trace, const Batch&) {
  (void)trace.sample("w", Normal(0.4 * one(), 0.7 * one()));
}

TEST(Sgvb, GlobalSitesCountOnce) {
  const auto batch = batch_of(vector({0.5, 1.5}), /*total=*/10);
  const auto bound = Sgvb{.num_particles = 3}(global_model, global_guide, batch, Noise(3));
  const double kl = 0.5 * (0.49 + 0.16 - 1) - std::log(0.7);
  EXPECT_TRUE(bound.global.allclose(at::full({3, 1}, -kl, kDouble)));
  EXPECT_TRUE(bound.kl.eq(0).all().item<bool>());
  EXPECT_NEAR(bound.full_data().item<double>(),
              10 * bound.reconstruction.mean().item<double>() - kl, 1e-12);
}

void two_layers(Trace& trace, const Batch& batch) {
  const auto plate = trace.plate("rows", batch.rows, batch.total);
  const auto z2 = trace.sample("z2", Normal::standard({}, kDouble));
  const auto z1 = trace.sample("z1", Normal(z2, one()));
  trace.observe("x", Normal(z1, one()), batch["x"]);
}
Program guide_in_order(std::vector<std::string> names) {
  return [names](Trace& trace, const Batch& batch) {
    const auto plate = trace.plate("rows", batch.rows, batch.total);
    for (const auto& name : names) (void)trace.sample(name, Normal::standard({}, kDouble));
  };
}

TEST(Sgvb, ClosedFormNeedsTheModelsParentsDrawnBefore) {
  const auto batch = batch_of(vector({0.5}));
  const Trace model = Trace::run(two_layers, batch, Noise(1));
  const Trace up = Trace::run(guide_in_order({"z1", "z2"}), batch, Noise(1));
  const Trace down = Trace::run(guide_in_order({"z2", "z1"}), batch, Noise(1));
  EXPECT_TRUE(closed_form_kl_is_unbiased(model, up, "z2"));
  EXPECT_FALSE(closed_form_kl_is_unbiased(model, up, "z1"));
  EXPECT_TRUE(closed_form_kl_is_unbiased(model, down, "z2"));
  EXPECT_TRUE(closed_form_kl_is_unbiased(model, down, "z1"));
}

TEST(Sgvb, RejectsModelsAndGuidesThatDisagree) {
  const auto batch = batch_of(vector({0.5}));
  const auto run = [&](const Program& model, const Program& guide) {
    return message_of([&] { (void)Sgvb{}(model, guide, batch, Noise(1)); });
  };
  EXPECT_EQ(run(two_layers, guide_in_order({"z1"})),
            "Sgvb: latent site 'z2' of the model is not in the guide");
  EXPECT_EQ(run(two_layers, guide_in_order({"z1", "z2", "z3"})),
            "Sgvb: guide site 'z3' is not in the model");
  EXPECT_EQ(run(two_layers, guide_in_order({"z1", "z2", "x"})),
            "Sgvb: guide site 'x' is observed in the model");
  const auto wide = [](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    (void)trace.sample("z", Normal::standard({2}, kDouble).to_event(1));
  };
  EXPECT_THROW((void)Sgvb{}(toy_model, wide, batch, Noise(1)), ShapeError);
}

TEST(Sgvb, RejectsAGuideThatCannotBeReparameterised) {
  const auto coin = [](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    (void)trace.sample("z", Bernoulli(0.5 * one()));
  };
  EXPECT_EQ(message_of([&] { (void)Sgvb{}(toy_model, coin, batch_of(vector({0.5})), Noise(1)); }),
            "Sgvb: guide site 'z' (Bernoulli) is enumerated, and Normal in the model; expected a "
            "law over finitely many values there too");
  const auto counts = [](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    (void)trace.sample("z", Poisson(one()));
  };
  EXPECT_THROW((void)Sgvb{}(toy_model, counts, batch_of(vector({0.5})), Noise(1)), SiteError);
  const auto frozen = [](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    (void)trace.sample("z", OneHotCategorical(vector({0.2, 0.8})));
  };
  EXPECT_THROW((void)Sgvb{}(toy_model, frozen, batch_of(vector({0.5})), Noise(1)), Error);
  EXPECT_THROW(Sgvb{.num_particles = 0}.validate(), ConfigError);
  EXPECT_THROW(Sgvb{.supervision = -1}.validate(), ConfigError);
}

/// y of three, z ~ N(0, 1), x ~ N(a_y z + b_y, s^2): p(y | x) and p(z | x, y) in closed form.
struct Classes {
  at::Tensor weights = vector({0.2, 0.5, 0.3}), a = vector({1, -0.5, 2}), b = vector({-1, 0.5, 2});
  double s = 0.7;
  at::Tensor x = vector({0.3, -1.2, 2.5, 0.9});
  Batch batch = batch_of(x);

  /// log p(x, y): [K, M].
  [[nodiscard]] at::Tensor log_joint() const {
    const auto column = [](const at::Tensor& t) { return t.unsqueeze(1); };
    return Normal(column(b), (column(a).square() + s * s).sqrt()).log_prob(x) +
           column(weights.log());
  }
  [[nodiscard]] Program model() const {
    return [*this](Trace& t, const Batch& rows) {
      const auto plate = t.plate("rows", rows.rows, rows.total);
      const auto prior = Categorical(weights);
      const auto y = rows.has("y") ? t.observe("y", prior, rows["y"]) : t.sample("y", prior);
      const auto z = t.sample("z", Normal::standard({}, kDouble));
      t.observe("x", Normal(a.index({y}) * z + b.index({y}), s * one()), rows["x"]);
    };
  }
  /// q(y | x) of these logits [M, K], and q(z | x, y) the posterior, `shift` standard deviations
  /// away from it; by the corners of Cube where `signs` are given.
  [[nodiscard]] Program guide(const at::Tensor& logits, double shift = 0,
                              const at::Tensor& signs = {}) const {
    return [=, *this](Trace& t, const Batch& rows) {
      const auto plate = t.plate("rows", rows.rows, rows.total);
      const auto q = Categorical::from_logits(logits);
      const auto y = rows.has("y") ? t.observe("y", q, rows["y"]) : t.sample("y", q);
      const auto precision = 1 + a.index({y}).square() / (s * s);
      const auto scale = precision.rsqrt();
      const auto mean = a.index({y}) * (rows["x"] - b.index({y})) / (s * s) / precision;
      if (signs.defined())
        t.sample("z", Cube(mean + shift * scale, scale, signs));
      else
        t.sample("z", Normal(mean + shift * scale, scale));
    };
  }
  [[nodiscard]] at::Tensor unlabelled(const Program& guide, SgvbForm form,
                                      int64_t particles) const {
    const Sgvb sgvb{.form = form, .num_particles = particles};
    return sgvb(model(), guide, batch, Noise(3)).rows();
  }
};

const auto kSome = vector({0.3, -1, 0.2, 2, 0.1, 0.4, -0.6, 0, 1, 0.5, -0.2, 0.9}).view({4, 3});

TEST(Sgvb, EnumeratedGuideIsExactAlongY) {
  const Classes c;
  const auto evidence = c.log_joint().logsumexp(0);
  const auto posterior = c.log_joint().t().contiguous();  // as logits
  const auto exact = c.unlabelled(c.guide(posterior), SgvbForm::kA, 2);
  EXPECT_EQ(exact.sizes(), at::IntArrayRef({2, 4}));
  EXPECT_LE((exact - evidence).abs().max().item<double>(), kExact);
  // For another q(y | x): sum_y q(y) L(x, y) + H(q), L(x, y) = log p(x, y) at the exact q(z | x,
  // y).
  const auto q = kSome.softmax(1).t();
  const auto entropy = -(q * q.log()).sum(0);
  const auto truth = (q * c.log_joint()).sum(0) + entropy;
  const auto found = c.unlabelled(c.guide(kSome), SgvbForm::kA, 2);
  EXPECT_LE((found - truth).abs().max().item<double>(), kExact);
  EXPECT_TRUE((evidence - found).gt(1e-3).all().item<bool>());
  // Planted bugs: the entropy left out; classes that all weigh the same.
  EXPECT_GT((found - (truth - entropy)).abs().min().item<double>(), 0.1);
  EXPECT_GT((found - (c.log_joint().mean(0) + entropy)).abs().min().item<double>(), 1e-3);
}

TEST(Sgvb, EnumeratedBoundsStayBelowTheEvidence) {
  const Classes c;
  register_kl<Cube, Normal>(
      +[](const Cube& q, const Normal& p) { return kl_divergence(Normal(q.loc, q.scale), p); });
  const auto evidence = c.log_joint().logsumexp(0);
  const auto signs = vector({1, -1}).view({2, 1});
  for (const double shift : {-2.0, 0.0, 0.5}) {
    // Each class loses KL(q(z | x, y) || p(z | x, y)) = shift^2 / 2, and y's own gap stays.
    const auto q = kSome.softmax(1).t();
    const auto truth = (q * (c.log_joint() - q.log())).sum(0) - 0.5 * shift * shift;
    for (const SgvbForm form : {SgvbForm::kA, SgvbForm::kB}) {
      const auto found = c.unlabelled(c.guide(kSome, shift, signs), form, 2).mean(0);
      EXPECT_LE((found - truth).abs().max().item<double>(), kExact);
      EXPECT_TRUE(found.lt(evidence).all().item<bool>());
    }
  }
}

TEST(Sgvb, EnumeratedGradientReachesTheProbabilities) {
  const Classes c;
  const auto logits = kSome.clone().requires_grad_();
  c.unlabelled(c.guide(logits), SgvbForm::kB, 1).sum().backward();
  // d/d logit_k = q_k (f_k - sum_y q_y f_y), f the bound of each class less log q; at SGVB-B's
  // draw.
  const auto q = kSome.softmax(1).t();
  at::Tensor f = at::zeros({3, 4}, kDouble);
  for (int64_t k = 0; k < 3; ++k) {
    Batch labelled = c.batch;
    labelled.columns["y"] = at::full({4}, k, at::kLong);
    // The k-th value's draw has the noise of the k-th particle.
    const Trace z = Trace::run(c.guide(kSome), labelled, Noise(3), {.num_particles = 3});
    const auto draw = z.at("z").value[k];
    const auto log_x = Normal(c.a[k] * draw + c.b[k], c.s * one()).log_prob(c.x);
    const auto kl = kl_divergence(*z.at("z").distribution, Normal::standard({}, kDouble))[0];
    f[k] = log_x - kl + c.weights[k].log() - q[k].log();
  }
  const auto truth = (q * (f - (q * f).sum(0))).t();
  EXPECT_LE((logits.grad() - truth).abs().max().item<double>(), kExact);
  EXPECT_GT(truth.abs().max().item<double>(), 0.1);  // what a detached q(y | x) would leave out
}

TEST(Sgvb, AnObservationOfTheGuideWeighsSupervision) {
  const Classes c;
  Batch labelled = c.batch;
  labelled.columns["y"] = at::tensor({0, 2, 1, 1}, at::kLong);
  const auto logits = kSome.clone().requires_grad_();
  const auto bound =
      Sgvb{.form = SgvbForm::kA, .supervision = 50}(c.model(), c.guide(logits), labelled, Noise(3));
  const auto log_q = kSome.log_softmax(1).gather(1, labelled["y"].unsqueeze(1)).squeeze(1);
  EXPECT_LE((bound.supervision[0] - 50 * log_q).abs().max().item<double>(), kExact);
  // It is no part of the bound, which is L(x, y) and has y's prior.
  const auto truth = c.log_joint().t().gather(1, labelled["y"].unsqueeze(1)).squeeze(1);
  EXPECT_LE((bound.rows()[0] - truth).abs().max().item<double>(), kExact);
  EXPECT_FALSE(Sgvb{}(c.model(), c.guide(logits), labelled, Noise(3)).supervision.defined());
}

}  // namespace
}  // namespace elbo
