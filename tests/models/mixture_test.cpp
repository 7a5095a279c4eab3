#include "elbo/models/mixture.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "elbo/distributions.h"
#include "elbo/inference/mixture_fit.h"
#include "elbo/program/enumeration.h"
#include "elbo/program/handlers.h"
#include "support/source_dir.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);

at::Tensor matrix(const nlohmann::json& rows) {
  const auto values = rows.get<std::vector<std::vector<double>>>();
  std::vector<at::Tensor> out;
  for (const auto& row : values) out.push_back(at::tensor(row, kDouble));
  return at::stack(out);
}

at::Tensor parameter(const Mixture& mixture, const std::string& name) {
  for (const auto& [known, value] : named_parameters(mixture))
    if (known == name) return value;
  throw std::runtime_error("no parameter " + name);
}

TEST(Mixture, FollowsScikitLearnFromTheSameStart) {
  std::ifstream file(elbo::testing::source_dir() + "/tests/models/fixtures/gmm.json");
  const auto fixture = nlohmann::json::parse(file);
  const auto x = matrix(fixture["x"]), means = matrix(fixture["means"]);
  const std::vector<std::pair<std::string, Covariance>> kinds = {
      {"full", Covariance::kFull},
      {"tied", Covariance::kTied},
      {"diagonal", Covariance::kDiagonal},
      {"spherical", Covariance::kSpherical}};
  for (const auto& [name, covariance] : kinds) {
    const Mixture mixture(
        {.data_dim = 3, .components = 3, .covariance = covariance, .covariance_floor = 1e-12},
        kDouble);
    parameter(mixture, "normal.loc").copy_(means);
    const bool whole = covariance == Covariance::kFull || covariance == Covariance::kTied;
    if (whole)
      parameter(mixture, "normal.scale_tril").copy_(at::eye(3, kDouble).expand({3, 3, 3}));
    else
      parameter(mixture, "normal.scale").fill_(1);
    Em em(mixture.model(), mixture.m_steps(), {.chunk_rows = 50});
    for (const double truth : fixture["log_likelihood"][name])
      EXPECT_NEAR(em.iterate(stream_of(x)), truth, 1e-9 * std::abs(truth)) << name;
  }
}

/// Every family at once: columns whose two components differ.
at::Tensor mixed_rows(int64_t n) {
  const auto k = at::arange(n, at::kLong).remainder(2);
  const auto u = [&](const char* site) { return Noise(3).site(site).uniform({n}, kDouble); };
  const auto second = k.to(at::kDouble);
  const auto rows = [&](const char* site) {
    return Noise(3).site(site).rows(at::arange(n, at::kLong));
  };
  return at::stack({Noise(3).site("normal").normal({n}, kDouble) + 4 * second,
                    u("bernoulli").lt(0.2 + 0.6 * second).to(at::kDouble),
                    Poisson(2 + 6 * second).sample(rows("poisson")),
                    Gamma(at::full({n}, 5, kDouble), 5 - 4 * second).sample(rows("gamma")),
                    (u("categorical") * (2 + second)).floor()},
                   1);
}

TEST(Mixture, TakesColumnsOfSeveralFamilies) {
  const auto x = mixed_rows(400);
  const Mixture mixture({.data_dim = 5,
                         .components = 2,
                         .families = {"normal", "bernoulli", "poisson", "gamma", "categorical"},
                         .categories = 3},
                        kDouble);
  mixture.check_support(x);
  Em em(mixture.model(), mixture.m_steps());
  const auto fit = fit_mixture(em, stream_of(x), 2, Noise(1), {.restarts = 5});
  EXPECT_TRUE(fit.converged);
  for (size_t i = 1; i < fit.curve.size(); ++i) EXPECT_GE(fit.curve[i], fit.curve[i - 1] - 1e-10);
  const auto found = mixture.encode(x).mean().argmax(1);
  const double same =
      found.eq(at::arange(400, at::kLong).remainder(2)).to(at::kDouble).mean().item<double>();
  EXPECT_GT(std::max(same, 1 - same), 0.97);
  EXPECT_NEAR(mixture.log_likelihood(x).mean().item<double>(), fit.log_likelihood, 1e-12);
  // 1 weight; 2 (1 + 1) normal, 2 probabilities, 2 rates, 2 x 2 gamma, 2 x 2 categories.
  EXPECT_EQ(mixture.degrees_of_freedom(), 1 + 4 + 2 + 2 + 4 + 4);
  EXPECT_THROW((void)mixture.decode(at::eye(2, kDouble)), UnsupportedError);
}

TEST(Mixture, CountsItsParameters) {
  const auto count = [](Covariance covariance) {
    return Mixture({.data_dim = 3, .components = 4, .covariance = covariance}, kDouble)
        .degrees_of_freedom();
  };
  EXPECT_EQ(count(Covariance::kFull), 3 + 4 * (3 + 6));
  EXPECT_EQ(count(Covariance::kTied), 3 + 4 * 3 + 6);
  EXPECT_EQ(count(Covariance::kDiagonal), 3 + 4 * 6);
  EXPECT_EQ(count(Covariance::kSpherical), 3 + 4 * 4);
  EXPECT_NEAR(bic(-2, 5, 100), 400 + 5 * std::log(100), 1e-12);
  EXPECT_NEAR(aic(-2, 5, 100), 410, 1e-12);
}

TEST(Mixture, IsBuiltAgainFromItsConfiguration) {
  const Mixture first({.data_dim = 3,
                       .components = 2,
                       .families = {"gamma", "normal", "normal"},
                       .covariance = Covariance::kDiagonal},
                      kDouble);
  const auto second = make_model(first.config(), kDouble);
  EXPECT_EQ(second->config(), first.config());
  const auto a = named_parameters(first), b = named_parameters(*second);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].first, b[i].first);
    EXPECT_EQ(a[i].second.sizes(), b[i].second.sizes());
  }
}

TEST(Mixture, DrawsFromItsPriorAndItsComponents) {
  const Mixture mixture({.data_dim = 2, .components = 3}, kDouble);
  parameter(mixture, "weights").copy_(at::tensor({0.5, 0.0, 0.5}, kDouble));
  parameter(mixture, "normal.loc").copy_(at::tensor({0., 1., 10., 11., 20., 21.}).view({3, 2}));
  parameter(mixture, "normal.scale_tril").copy_(at::eye(2, kDouble).expand({3, 2, 2}));
  const auto z = mixture.sample_prior(1000, Noise(1).draws(1000));
  EXPECT_TRUE(z.sum(1).eq(1).all().item<bool>());
  EXPECT_EQ(z.sum(0)[1].item<double>(), 0);
  EXPECT_NEAR(z.sum(0)[0].item<double>(), 500, 100);  // 6.3 standard errors
  EXPECT_TRUE(mixture.decode(z).mean().equal(z.matmul(parameter(mixture, "normal.loc"))));
}

TEST(Mixture, SaysWhatIsWrong) {
  EXPECT_THROW(Mixture({.data_dim = 2, .components = 0}, kDouble), ConfigError);
  EXPECT_THROW(Mixture({.data_dim = 2, .families = {"cauchy"}}, kDouble), ConfigError);
  EXPECT_THROW(Mixture({.data_dim = 2, .families = {"normal", "gamma", "gamma"}}, kDouble),
               ConfigError);
  EXPECT_THROW(Mixture({.data_dim = 2, .families = {"categorical"}}, kDouble), ConfigError);
  EXPECT_THROW(Mixture({.data_dim = 2}, at::kFloat), ConfigError);
  const Mixture mixture({.data_dim = 2, .families = {"normal", "poisson"}}, kDouble);
  auto x = at::ones({4, 2}, kDouble);
  mixture.check_support(x);
  x[2][1] = 0.5;
  try {
    mixture.check_support(x);
    FAIL();
  } catch (const DataError& e) {
    EXPECT_EQ(
        std::string(e.what()).rfind("column 2 holds 0.5; expected values of a poisson law", 0), 0u)
        << e.what();
  }
}

// ---- Variational Bayes

struct Bayesian {
  explicit Bayesian(MixtureConfig config, EmOptions options = {})
      : mixture(
            [&] {
              config.bayesian = true;
              return config;
            }(),
            kDouble),
        em(mixture.model(), mixture.m_steps(), [&] {
          options.beside_rows = [this](int64_t total) { return mixture.beside_rows(total); };
          return options;
        }()) {}
  Mixture mixture;
  Em em;
};

void set_prior_of(Mixture& mixture, const at::Tensor& x) {
  const auto centred = x - x.mean(0);
  mixture.set_prior(x.mean(0), centred.t().matmul(centred) / static_cast<double>(x.size(0)));
}

at::Tensor assignment(const at::Tensor& labels, int64_t components) {
  return at::one_hot(labels, components).t().to(at::kDouble);
}

TEST(BayesianMixture, FollowsScikitLearnFromTheSameAssignment) {
  std::ifstream file(elbo::testing::source_dir() + "/tests/models/fixtures/bayesian_gmm.json");
  const auto fixture = nlohmann::json::parse(file);
  const std::vector<std::pair<std::string, Covariance>> kinds = {
      {"full", Covariance::kFull},
      {"diagonal", Covariance::kDiagonal},
      {"spherical", Covariance::kSpherical}};
  for (const auto& [name, covariance] : kinds) {
    const auto& truth = fixture[name];
    const auto x = matrix(truth["x"]);
    const int64_t d = x.size(1), n = x.size(0);
    Bayesian b({.data_dim = d,
                .components = 5,
                .covariance = covariance,
                .concentration = fixture["concentration"],
                .mean_precision = fixture["mean_precision"],
                .df = truth["df"]},
               {.chunk_rows = 40});
    b.mixture.set_prior(
        at::tensor(truth["prior_loc"].get<std::vector<double>>(), kDouble),
        at::tensor(truth["prior_covariance"].get<std::vector<double>>(), kDouble).view({d, d}));
    const auto labels = at::tensor(truth["labels"].get<std::vector<int64_t>>(), at::kLong);
    const auto rows = stream_of(x);
    b.em.start(rows, [&](const Batch& chunk) {
      return assignment(labels.index_select(0, chunk.rows), 5);
    });
    const auto bounds = truth["bounds"].get<std::vector<double>>();
    double first = 0;
    for (size_t i = 0; i < bounds.size(); ++i) {
      if (truth["states"].contains(std::to_string(i))) {
        const auto& state = truth["states"][std::to_string(i)];
        const auto numbers = [&](const char* key) {
          return at::tensor(state[key].get<std::vector<double>>(), kDouble);
        };
        const auto close = [&](const at::Tensor& found, const at::Tensor& expected) {
          EXPECT_TRUE(at::allclose(found, expected, 1e-9, 1e-9)) << name << ", iteration " << i;
        };
        const auto p = [&](const char* key) { return parameter(b.mixture, key); };
        close(p("concentration"), numbers("concentration"));
        close(p("normal.loc"), matrix(state["loc"]));
        close(p("normal.mean_precision"), numbers("mean_precision"));
        close(p("normal.df"), numbers("df"));
        const auto root = covariance == Covariance::kFull ? p("normal.scale_tril")
                                                          : p("normal.scale").unsqueeze(2);
        close(root.matmul(root.transpose(1, 2)).flatten(1), matrix(state["covariance"]));
      }
      // scikit-learn's bound, but for a constant, is that after the M step of q(k) before it.
      const auto q = b.em.responsibilities(rows.range(0, n)).weights;
      b.em.iterate(rows);
      const auto joint =
          log_joint(Trace::run(enumerate(b.mixture.model()), rows.range(0, n), Noise(0)));
      const double bound = (q * joint - at::xlogy(q, q)).sum().item<double>() +
                           static_cast<double>(n) * b.mixture.beside_rows(n);
      if (i == 0) first = bound - bounds[0];
      EXPECT_NEAR(bound - first, bounds[i], 1e-8 * std::abs(bounds[i])) << name << ", " << i;
    }
  }
}

const std::vector<MixtureConfig> kBayesianKinds = {{.covariance = Covariance::kFull},
                                                   {.covariance = Covariance::kTied},
                                                   {.covariance = Covariance::kDiagonal},
                                                   {.covariance = Covariance::kSpherical},
                                                   {.families = {"bernoulli"}},
                                                   {.families = {"poisson"}},
                                                   {.families = {"categorical"}, .categories = 4},
                                                   {.families = {"normal", "poisson", "normal"}}};

at::Tensor rows_for(const MixtureConfig& c, int64_t n, uint64_t seed) {
  const auto k = at::arange(n, at::kLong).remainder(2).to(at::kDouble).unsqueeze(1);
  const auto x = 3 * k + Noise(seed).normal({n, 3}, kDouble);
  if (c.families[0] == "bernoulli") return x.gt(1).to(at::kDouble);
  if (c.families[0] == "poisson") return x.abs().floor();
  if (c.families[0] == "categorical") return x.abs().floor().clamp_max(3);
  if (c.families.size() == 3)
    return at::stack({x.select(1, 0), x.select(1, 1).abs().floor(), x.select(1, 2)}, 1);
  return x;
}

// From assignments at random, with more components than are needed.
TEST(BayesianMixture, TheBoundNeverDecreases) {
  double largest_fall = 0;
  for (uint64_t seed = 0; seed < 10; ++seed)
    for (auto config : kBayesianKinds) {
      config.data_dim = 3;
      config.components = 2 + static_cast<int64_t>(seed % 5);
      config.concentration = seed % 2 == 0 ? 0 : 3;
      const auto x = rows_for(config, 40, seed);
      Bayesian b(config);
      set_prior_of(b.mixture, x);
      const auto labels = (static_cast<double>(config.components) *
                           Noise(seed).site("labels").uniform({40}, kDouble))
                              .to(at::kLong);
      const auto rows = stream_of(x);
      b.em.start(rows, [&](const Batch&) { return assignment(labels, config.components); });
      double before = b.em.iterate(rows);
      const double first = before;
      for (int i = 0; i < 15; ++i) {
        const double now = b.em.iterate(rows);
        EXPECT_GE(now, before - 1e-12 * std::abs(before)) << b.mixture.config().dump();
        largest_fall = std::max(largest_fall, before - now);
        before = now;
      }
      EXPECT_GT(before, first + 1e-4) << "it has moved";
      EXPECT_NEAR(b.mixture.expected_rows().sum().item<double>(), 40, 1e-9);
    }
  RecordProperty("largest_fall", std::to_string(largest_fall));
}

/// log p(x) of a few rows: the sum over all assignments of the evidence given each.
double log_evidence(const Mixture& mixture, const at::Tensor& x, double concentration) {
  const int64_t n = x.size(0), k = mixture.latent_dim();
  int64_t assignments = 1;
  for (int64_t i = 0; i < n; ++i) assignments *= k;
  std::vector<double> terms;
  for (int64_t code = 0; code < assignments; ++code) {
    std::vector<int64_t> labels;
    for (int64_t i = 0, rest = code; i < n; ++i, rest /= k) labels.push_back(rest % k);
    const auto one_hot = assignment(at::tensor(labels, at::kLong), k);
    const auto counts = one_hot.sum(1) + concentration;
    const double all = concentration * static_cast<double>(k);
    double term = (at::lgamma(counts).sum() - static_cast<double>(k) * std::lgamma(concentration))
                      .item<double>() +
                  std::lgamma(all) - std::lgamma(all + static_cast<double>(n));
    const auto& family = dynamic_cast<const ConjugateFamily&>(*mixture.m_steps()[1].family);
    const auto q = family.fit(family.statistics(x, one_hot));
    std::vector<at::Tensor> by_row;
    for (const auto& p : q) by_row.push_back(p.unsqueeze(1));
    term += ((one_hot * (family.law(by_row)->log_prob(x) + family.log_gap(by_row))).sum() -
             family.kl(q))
                .item<double>();
    terms.push_back(term);
  }
  return at::tensor(terms, kDouble).logsumexp(0).item<double>();
}

TEST(BayesianMixture, TheBoundIsOneOnTheEvidence) {
  for (auto config : kBayesianKinds) {
    if (config.families.size() > 1) continue;
    config.data_dim = 3;
    config.components = 2;
    config.concentration = 0.8;
    const auto x = rows_for(config, 8, 5);
    Bayesian b(config);
    set_prior_of(b.mixture, x);
    const auto rows = stream_of(x);
    b.em.start(rows,
               [&](const Batch&) { return assignment(at::arange(8, at::kLong).remainder(2), 2); });
    for (int i = 0; i < 100; ++i) b.em.iterate(rows);
    const double bound = 8 * b.em.log_likelihood(rows);
    const double evidence = log_evidence(b.mixture, x, 0.8);
    EXPECT_LT(bound, evidence) << b.mixture.config().dump();
    EXPECT_GT(bound, evidence - 4) << b.mixture.config().dump();
  }
}

TEST(BayesianMixture, EmptiesComponentsItDoesNotNeed) {
  const auto centres = at::tensor({0., 0., 9., 0., 0., 9.}, kDouble).view({3, 2});
  const auto x = centres.index_select(0, at::arange(300, at::kLong).remainder(3)) +
                 Noise(2).normal({300, 2}, kDouble);
  for (const double concentration : {0.001, 1000.0}) {
    Bayesian b({.data_dim = 2, .components = 8, .concentration = concentration});
    set_prior_of(b.mixture, x);
    const auto fit =
        fit_mixture(b.em, stream_of(x), 8, Noise(0), {.max_iterations = 1000, .tolerance = 1e-9});
    EXPECT_EQ(fit.repairs, 0);
    const auto used = b.mixture.expected_rows().ge(1).sum().item<int64_t>();
    if (concentration < 1)
      EXPECT_EQ(used, 3) << b.mixture.expected_rows();
    else
      EXPECT_EQ(used, 8) << "the prior wants them all: " << b.mixture.expected_rows();
    EXPECT_NEAR(fit.log_likelihood, b.em.log_likelihood(stream_of(x)), 1e-12);
  }
  // Maximum likelihood keeps all eight.
  const Mixture point({.data_dim = 2, .components = 8}, kDouble);
  Em em(point.model(), point.m_steps());
  (void)fit_mixture(em, stream_of(x), 8, Noise(0));
  EXPECT_GT((parameter(point, "weights") * 300).min().item<double>(), 1);
}

TEST(BayesianMixture, PredictsWithWhatItDoesNotKnow) {
  auto config = kBayesianKinds[2];
  config.data_dim = 1;
  config.components = 2;
  const auto x = rows_for(config, 12, 3).narrow(1, 0, 1);
  Bayesian b(config);
  set_prior_of(b.mixture, x);
  b.em.start(stream_of(x),
             [&](const Batch&) { return assignment(at::arange(12, at::kLong).remainder(2), 2); });
  for (int i = 0; i < 20; ++i) b.em.iterate(stream_of(x));
  // A density: its integral is 1; and never below the bound of a row alone, by Jensen.
  const auto grid = at::arange(-400, 400, 0.05, kDouble).unsqueeze(1);
  const auto density = b.mixture.log_likelihood(grid);
  EXPECT_NEAR(0.05 * density.exp().sum().item<double>(), 1, 2e-3);
  const auto local = log_marginal(Trace::run(enumerate(b.mixture.model()),
                                             stream_of(grid).range(0, grid.size(0)), Noise(0)))[0];
  const double mass = b.mixture.beside_rows(int64_t{1} << 60);  // KL / N is gone
  EXPECT_GT((density - (local + mass)).min().item<double>(), 0);
  EXPECT_LT(mass, 0);
  EXPECT_TRUE(
      b.mixture.decode(at::eye(2, kDouble)).mean().equal(parameter(b.mixture, "normal.loc")));
}

TEST(BayesianMixture, IsBuiltAgainFromItsConfiguration) {
  const Mixture first({.data_dim = 3,
                       .components = 2,
                       .families = {"poisson", "normal", "normal"},
                       .bayesian = true},
                      kDouble);
  const auto second = make_model(first.config(), kDouble);
  EXPECT_EQ(second->config(), first.config());
  const auto a = named_parameters(first), b = named_parameters(*second);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].second.sizes(), b[i].second.sizes());
  EXPECT_THROW(Mixture({.data_dim = 2, .families = {"gamma"}, .bayesian = true}, kDouble),
               ConfigError);
  EXPECT_THROW(Mixture({.data_dim = 2, .bayesian = true, .concentration = -1}, kDouble),
               ConfigError);
  EXPECT_THROW(Mixture({.data_dim = 2, .bayesian = true, .df = 0.5}, kDouble), ConfigError);
  Mixture mixture({.data_dim = 2, .bayesian = true}, kDouble);
  EXPECT_THROW(mixture.set_prior(at::zeros({3}, kDouble), at::eye(2, kDouble)), ShapeError);
  // Columns that are multiples of each other: the prior stays proper.
  mixture.set_prior(at::zeros({2}, kDouble), at::ones({2, 2}, kDouble));
  EXPECT_EQ(std::get<1>(at::linalg_cholesky_ex(parameter(mixture, "normal.prior.covariance")))
                .item<int64_t>(),
            0);
}

}  // namespace
}  // namespace elbo
