// Every law of the registry against tests/distributions/fixtures/laws/<Law>.json.
#include "distributions/laws.h"

namespace elbo {
namespace {

using namespace testing;

class EveryLaw : public ::testing::TestWithParam<std::string> {
 protected:
  const LawInfo& info() const { return law_info_of(GetParam()); }
};

/// The largest |a - b| / max(1, |b|) of a method, and where.
struct Worst {
  double error = 0;
  std::string where = "-";
  void see(double a, double b, const std::function<std::string()>& at) {
    if (a == b || (std::isnan(a) && std::isnan(b))) return;
    double e = std::abs(a - b) / std::max(1.0, std::abs(b));
    if (std::isnan(e)) e = std::numeric_limits<double>::infinity();
    if (e <= error) return;
    error = e;
    where = at();
  }
};

using Method = at::Tensor (Distribution::*)(const at::Tensor&) const;
const std::vector<std::pair<const char*, Method>> kOfX = {
    {"log_prob", &Distribution::log_prob},
    {"cdf", &Distribution::cdf},
    {"log_cdf", &Distribution::log_cdf},
    {"log_survival", &Distribution::log_survival}};
const std::vector<std::pair<const char*, at::Tensor (Distribution::*)() const>> kOfParameters = {
    {"entropy", &Distribution::entropy},
    {"mean", &Distribution::mean},
    {"variance", &Distribution::variance},
    {"mode", &Distribution::mode}};

/// The worst of every method over the whole table.
std::map<std::string, Worst> compare(const LawInfo& info, at::ScalarType type) {
  std::map<std::string, Worst> worst;
  const double largest = type == at::kFloat ? 3e38 : 1e308;
  for (const json& row : law_fixture(info.name).at("rows")) {
    const auto law = info.make(tensors(row.at("params"), type), Validate::kYes);
    const auto see = [&](const char* method, const json& record, const json& expected,
                         const std::function<at::Tensor()>& got) {
      try {
        const double value = got().item<double>();
        const double wanted = number(expected);
        if (std::isfinite(wanted) && std::abs(wanted) > largest) return;  // float32 has no such
        worst[method].see(value, wanted, [&] {
          return fmt::format("{} {}: {:.17g}, expected {:.17g}", row.at("params").dump(),
                             record.dump().substr(0, 60), value, wanted);
        });
      } catch (const UnsupportedError&) {
        worst[std::string(method) + " (unsupported)"];
      }
    };
    for (const json& point : row.at("points")) {
      const auto x = at::full({}, number(point.at("x")), type);
      for (const auto& [name, method] : kOfX)
        if (point.contains(name))
          see(name, point, point.at(name), [&, m = method] { return ((*law).*m)(x); });
    }
    for (const json& quantile : row.at("quantiles"))
      see("icdf", quantile, quantile.at("icdf"),
          [&] { return law->icdf(at::full({}, number(quantile.at("u")), type)); });
    for (const auto& [name, method] : kOfParameters)
      if (row.contains(name))
        see(name, json(), row.at(name), [&, m = method] { return ((*law).*m)(); });
  }
  return worst;
}

void expect_within(const LawInfo& info, at::ScalarType type, double tolerance) {
  for (const auto& [method, worst] : compare(info, type)) {
    EXPECT_LE(worst.error, tolerance) << info.name << "." << method << " " << worst.where;
    ::testing::Test::RecordProperty(method, fmt::format("{:.1e}", worst.error));
    if (std::getenv("ELBO_PRINT_WORST") != nullptr)
      fmt::print("worst {} {} {:.1e}\n", info.name, method, worst.error);
  }
}

TEST_P(EveryLaw, AgreesWithItsTableInDouble) { expect_within(info(), at::kDouble, 1e-10); }
TEST_P(EveryLaw, AgreesWithItsTableInSingle) { expect_within(info(), at::kFloat, 1e-5); }

TEST_P(EveryLaw, GradientOfTheCdfAgreesWithTheTable) {
  Worst worst;
  for (const json& row : law_fixture(GetParam()).at("rows")) {
    for (const json& point : row.at("points")) {
      if (!point.contains("cdf_gradient")) continue;
      auto parameters = tensors(row.at("params"), at::kDouble);
      for (auto& p : parameters) p.requires_grad_();
      info().make(parameters, Validate::kYes)->cdf(scalar(number(point.at("x")))).backward();
      for (size_t i = 0; i < parameters.size(); ++i) {
        const double got = parameters[i].grad().defined() ? parameters[i].grad().item<double>() : 0;
        worst.see(got, number(point.at("cdf_gradient")[i]), [&] {
          return fmt::format("{} x = {}, along {}: {:.17g}", row.at("params").dump(),
                             point.at("x").dump(), info().parameters[i].name, got);
        });
      }
    }
  }
  EXPECT_LE(worst.error, 1e-8) << GetParam() << " " << worst.where;
}

// dz / dtheta = -(dF / dtheta) / p at the draw, whatever the method that drew it.
TEST_P(EveryLaw, ReparameterisedDrawsMoveAsTheCdfSays) {
  const auto rows = law_fixture(GetParam()).at("rows");
  if (!info().make(tensors(rows[0].at("params"), at::kDouble), Validate::kYes)->has_rsample())
    GTEST_SKIP() << GetParam() << " has no rsample";
  constexpr int64_t kDraws = 200;
  Worst worst;
  uint64_t seed = 0;
  for (const json& row : rows) {
    auto parameters = tensors(row.at("params"), at::kDouble);
    for (auto& p : parameters) p = p.expand({kDraws}).clone().requires_grad_();
    const auto law = info().make(parameters, Validate::kYes);
    const auto z = law->rsample(Noise(++seed));
    const auto slopes = torch_gradients(z.sum(), parameters);
    const auto f = law->cdf(z.detach());
    const auto expected = torch_gradients(f.sum(), parameters);
    const auto density = law->log_prob(z.detach()).detach().exp();
    for (size_t i = 0; i < parameters.size(); ++i)
      for (int64_t k = 0; k < kDraws; ++k) {
        const double p = density[k].item<double>();
        if (!(p > 1e-290 && p < 1e290)) continue;  // the quotient has no digits
        worst.see(slopes[i][k].item<double>(), -expected[i][k].item<double>() / p, [&] {
          return fmt::format("{} z = {:.6g}, along {}: {:.17g}", row.at("params").dump(),
                             z[k].item<double>(), info().parameters[i].name,
                             slopes[i][k].item<double>());
        });
      }
  }
  EXPECT_LE(worst.error, 1e-8) << GetParam() << " " << worst.where;
}

// The fused pass against the plain twin, values and gradients, to the accuracy of the latter.
TEST_P(EveryLaw, LogProbGradientAgreesWithDifferences) {
  const auto& row = law_fixture(GetParam()).at("rows")[kTypicalRow];
  auto parameters = tensors(row.at("params"), at::kDouble);
  const auto law = info().make(parameters, Validate::kYes);
  const auto x = law->sample(Noise(5), {4});
  const bool discrete = law->is_discrete();
  std::vector<at::Tensor> inputs = parameters;
  if (!discrete) inputs.push_back(x);
  const auto f = [&](const std::vector<at::Tensor>& in) {
    const std::vector<at::Tensor> p(in.begin(),
                                    in.begin() + static_cast<int64_t>(parameters.size()));
    return info().make(p, Validate::kNo)->log_prob(discrete ? x : in.back());
  };
  EXPECT_LE(gradient_error(f, inputs, /*relative_step=*/true), 1e-6) << GetParam();
}

TEST_P(EveryLaw, HasShapesSampleBatchEvent) {
  const auto& row = law_fixture(GetParam()).at("rows")[kTypicalRow];
  auto parameters = tensors(row.at("params"), at::kFloat);
  const size_t n = parameters.size();
  parameters[0] = parameters[0].expand({4, 1}).clone();
  if (n > 1) parameters[1] = parameters[1].expand({3}).clone();
  const auto law = info().make(parameters, Validate::kYes);
  const std::vector<int64_t> batch = {4, n > 1 ? 3 : 1};
  EXPECT_EQ(law->batch_shape(), batch);
  EXPECT_TRUE(law->event_shape().empty());
  const auto x = law->sample(Noise(1), {5, 2});
  EXPECT_EQ(x.sizes().vec(), (std::vector<int64_t>{5, 2, batch[0], batch[1]}));
  EXPECT_EQ(x.scalar_type(), at::kFloat);
  EXPECT_TRUE(law->support().check(x).all().item<bool>());
  EXPECT_EQ(law->log_prob(x).sizes(), x.sizes());
  EXPECT_EQ(law->expand({6, batch[0], batch[1]})->sample(Noise(1)).sizes().vec(),
            (std::vector<int64_t>{6, batch[0], batch[1]}));
  EXPECT_EQ(law->sample(Noise(1), {0}).numel(), 0);
}

TEST_P(EveryLaw, RejectsParametersOutsideTheirRange) {
  const auto& row = law_fixture(GetParam()).at("rows")[kTypicalRow];
  for (size_t i = 0; i < info().parameters.size(); ++i) {
    auto parameters = tensors(row.at("params"), at::kDouble);
    parameters[i] = scalar(std::numeric_limits<double>::quiet_NaN());
    EXPECT_THROW((void)info().make(parameters, Validate::kYes), DomainError)
        << GetParam() << " " << info().parameters[i].name;
    EXPECT_NO_THROW((void)info().make(parameters, Validate::kNo));
  }
}

/// The law's row in docs/distributions.md: parameters, support, gradients, what it has not.
std::string documented(const LawInfo& info) {
  const auto law =
      info.make(tensors(law_fixture(info.name).at("rows")[kTypicalRow].at("params"), at::kDouble),
                Validate::kYes);
  std::string parameters, missing;
  for (const auto& p : info.parameters)
    parameters += (parameters.empty() ? "" : ", ") + std::string(p.name);
  const auto x = law->sample(Noise(1));
  const auto look = [&](const char* name, const std::function<void()>& call) {
    try {
      call();
    } catch (const UnsupportedError&) {
      missing += (missing.empty() ? "" : ", ") + std::string(name);
    }
  };
  look("cdf", [&] { (void)law->cdf(x); });
  look("icdf", [&] { (void)law->icdf(scalar(0.3)); });
  for (const auto& [name, method] : kOfParameters)
    look(name, [&, m = method] { (void)((*law).*m)(); });
  return fmt::format("| `{}({})` | {} | {} | {} |", info.name, parameters, law->support().name(),
                     law->has_rsample() ? "yes" : "–", missing.empty() ? "–" : missing);
}

TEST_P(EveryLaw, StandsInTheDocs) {
  std::ifstream in(ELBO_SOURCE_DIR "/docs/distributions.md");
  const std::string page{std::istreambuf_iterator<char>(in), {}};
  const auto row = documented(info());
  EXPECT_NE(page.find(row), std::string::npos) << "docs/distributions.md lacks\n" << row;
}

INSTANTIATE_TEST_SUITE_P(Laws, EveryLaw, ::testing::ValuesIn(law_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace elbo
