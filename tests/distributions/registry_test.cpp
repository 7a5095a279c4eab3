#include "elbo/distributions/registry.h"

#include <algorithm>

#include "distributions/table.h"

namespace elbo {
namespace {

using namespace testing;

TEST(Registry, ListsTheLawsInOrderWithTheirParameters) {
  const auto& laws = univariate_laws();
  EXPECT_GE(laws.size(), 30U);
  EXPECT_TRUE(std::is_sorted(laws.begin(), laws.end(),
                             [](const auto& a, const auto& b) { return a.name < b.name; }));
  const auto gamma =
      std::find_if(laws.begin(), laws.end(), [](const auto& law) { return law.name == "Gamma"; });
  ASSERT_NE(gamma, laws.end());
  EXPECT_STREQ(gamma->parameters[0].name, "concentration");
  EXPECT_STREQ(gamma->parameters[1].name, "rate");
}

TEST(Registry, MakesALawByItsName) {
  const auto law = make_law("Gamma", {scalar(3), scalar(2)});
  EXPECT_EQ(law->name(), "Gamma");
  EXPECT_EQ(law->mean().item<double>(), 1.5);
  EXPECT_THROW((void)make_law("Gamma", {scalar(3)}), ConfigError);
  EXPECT_THROW((void)make_law("Gama", {scalar(3), scalar(2)}), ConfigError);
  EXPECT_THROW((void)make_law("Gamma", {scalar(-3), scalar(2)}), DomainError);
}

}  // namespace
}  // namespace elbo
