// Every law of the registry against tests/distributions/fixtures/laws/<Law>.json.
#include "distributions/laws.h"
#include "support/source_dir.h"

namespace elbo {
namespace {

using namespace testing;

class EveryLaw : public ::testing::TestWithParam<std::string> {
 protected:
  const LawInfo& info() const { return law_info_of(GetParam()); }
};

TEST_P(EveryLaw, AgreesWithItsTableInDouble) { expect_table(info(), at::kDouble, kTableTolerance); }
TEST_P(EveryLaw, AgreesWithItsTableInSingle) { expect_table(info(), at::kFloat, kSingleTolerance); }

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
  std::ifstream in(elbo::testing::source_dir() + "/docs/distributions.md");
  const std::string page{std::istreambuf_iterator<char>(in), {}};
  const auto row = documented(info());
  EXPECT_NE(page.find(row), std::string::npos) << "docs/distributions.md lacks\n" << row;
}

INSTANTIATE_TEST_SUITE_P(Laws, EveryLaw, ::testing::ValuesIn(law_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace elbo
