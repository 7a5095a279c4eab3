// Times rsample (or sample) + log_prob + backward of a law, for laws.py.
//
// Reads lines "Law rsample|sample threads elements uncounted counted parameter..." and answers
// each with the milliseconds of the counted repetitions, on float32 parameters that all want
// gradients: for a law on the line of that many elements each, for others of the shapes below.
#include <ATen/ATen.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>

#include "elbo/distributions.h"
#include "elbo/kernels/runtime.h"

namespace {

using Leaves = std::vector<at::Tensor>;
using elbo::Validate;

constexpr int64_t kDim = 10, kRank = 3;

/// The laws over vectors of kDim and matrices of kDim x kDim, their draws of `n` elements in all
/// (a mixture's components are the kDim). laws.py has their like.
struct Shaped {
  std::function<Leaves(int64_t n)> leaves;
  std::function<elbo::DistributionPtr(const Leaves&)> law;
};

at::Tensor vectors(int64_t n) {
  return at::arange(1, kDim + 1).to(at::kFloat).div(kDim).repeat({n / kDim, 1});
}
at::Tensor lower() { return at::eye(kDim) + 0.1 * at::ones({kDim, kDim}).tril(-1); }
at::Tensor lowers(int64_t n) { return lower().repeat({n / (kDim * kDim), 1, 1}); }
at::Tensor scalar(double value) { return at::full({}, value, at::kFloat); }

const std::map<std::string, Shaped>& shaped() {
  using namespace elbo;
  const auto no = Validate::kNo;
  const auto probs = [](int64_t n) { return Leaves{vectors(n)}; };
  static const std::map<std::string, Shaped> table = {
      {"Categorical", {probs, [=](const Leaves& p) { return Categorical(p[0], no).clone(); }}},
      {"OneHotCategorical",
       {probs, [=](const Leaves& p) { return OneHotCategorical(p[0], no).clone(); }}},
      {"Multinomial", {probs, [=](const Leaves& p) { return Multinomial(20, p[0], no).clone(); }}},
      {"Dirichlet", {probs, [=](const Leaves& p) { return Dirichlet(p[0], no).clone(); }}},
      {"RelaxedBernoulli",
       {[](int64_t n) {
          return Leaves{scalar(0.7), at::full({n}, 0.3)};
        },
        [=](const Leaves& p) { return RelaxedBernoulli(p[0], p[1], no).clone(); }}},
      {"RelaxedOneHotCategorical",
       {[](int64_t n) {
          return Leaves{scalar(0.7), vectors(n)};
        },
        [=](const Leaves& p) { return RelaxedOneHotCategorical(p[0], p[1], no).clone(); }}},
      {"MultivariateNormal",
       {[](int64_t n) {
          return Leaves{vectors(n), lower()};
        },
        [=](const Leaves& p) { return MultivariateNormal(p[0], p[1], no).clone(); }}},
      {"MultivariateNormal/each",
       {[](int64_t n) {
          return Leaves{vectors(n / kDim), lowers(n)};
        },
        [=](const Leaves& p) { return MultivariateNormal(p[0], p[1], no).clone(); }}},
      {"LowRankMultivariateNormal",
       {[](int64_t n) {
          return Leaves{vectors(n), at::full({kDim, kRank}, 0.5) + at::eye(kDim, kRank),
                        at::full({kDim}, 0.3)};
        },
        [=](const Leaves& p) { return LowRankMultivariateNormal(p[0], p[1], p[2], no).clone(); }}},
      {"MultivariateStudentT",
       {[](int64_t n) {
          return Leaves{scalar(5), vectors(n), lower()};
        },
        [=](const Leaves& p) { return MultivariateStudentT(p[0], p[1], p[2], no).clone(); }}},
      {"Elliptical",
       {[](int64_t n) {
          return Leaves{vectors(n), lower()};
        },
        [=](const Leaves& p) {
          return Elliptical(p[0], p[1], std::make_shared<NormalRadial>(), no).clone();
        }}},
      {"Wishart",
       {[](int64_t n) {
          return Leaves{at::full({n / (kDim * kDim)}, 12.5), lowers(n)};
        },
        [=](const Leaves& p) { return Wishart(p[0], p[1], no).clone(); }}},
      {"LKJCholesky",
       {[](int64_t n) { return Leaves{at::full({n / (kDim * kDim)}, 1.5)}; },
        [=](const Leaves& p) { return LKJCholesky(kDim, p[0], no).clone(); }}},
      {"MixtureSameFamily",
       {[](int64_t n) {
          return Leaves{vectors(n), vectors(n), vectors(n)};
        },
        [=](const Leaves& p) {
          return MixtureSameFamily(Categorical(p[0], no), Normal(p[1], p[2], no).clone()).clone();
        }}},
      {"Independent",
       {[](int64_t n) {
          return Leaves{vectors(n), vectors(n)};
        },
        [=](const Leaves& p) { return Independent(Normal(p[0], p[1], no).clone(), 1).clone(); }}},
      {"TransformedDistribution",
       {[](int64_t n) {
          return Leaves{at::full({n}, 0.5), at::full({n}, 2.0)};
        },
        [=](const Leaves& p) {
          return TransformedDistribution(Normal(p[0], p[1], no).clone(), {bijections::sigmoid()})
              .clone();
        }}},
  };
  return table;
}

double milliseconds(const std::string& name, bool reparameterised,
                    const std::vector<double>& values, int64_t elements, uint64_t repetition) {
  const auto entry = shaped().find(name);
  Leaves leaves;
  if (entry != shaped().end())
    leaves = entry->second.leaves(elements);
  else
    for (const double p : values) leaves.push_back(at::full({elements}, p, at::kFloat));
  for (auto& leaf : leaves) leaf.requires_grad_();
  const auto begin = std::chrono::steady_clock::now();
  const auto law = entry != shaped().end() ? entry->second.law(leaves)
                                           : elbo::make_law(name, leaves, Validate::kNo);
  const elbo::Noise noise(1, repetition);
  const auto x = reparameterised ? law->rsample(noise) : law->sample(noise);
  law->log_prob(x).sum().backward();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

}  // namespace

int main() {
  std::string line;
  uint64_t repetition = 0;
  while (std::getline(std::cin, line)) {
    std::istringstream in(line);
    std::string name, draw;
    int threads = 1, uncounted = 0, counted = 0;
    int64_t elements = 0;
    in >> name >> draw >> threads >> elements >> uncounted >> counted;
    std::vector<double> values;
    for (double p = 0; in >> p;) values.push_back(p);
    elbo::runtime::tune({.threads = threads});
    for (int i = 0; i < uncounted + counted; ++i) {
      const double ms = milliseconds(name, draw == "rsample", values, elements, ++repetition);
      if (i >= uncounted) std::printf("%.4f ", ms);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}
