// Times rsample (sample where there is none) + log_prob + backward of a law, for laws.py.
//
// Reads lines "Law threads elements uncounted counted parameter..." and answers each with the
// milliseconds of the counted repetitions, on float32 parameters of that many elements that all
// want gradients.
#include <ATen/ATen.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <sstream>

#include "elbo/distributions.h"
#include "elbo/distributions/registry.h"
#include "elbo/kernels/runtime.h"

namespace {

/// The laws that are classes of their own, not formulas in the registry.
elbo::DistributionPtr make(const std::string& name, const std::vector<at::Tensor>& p) {
  using elbo::Validate;
  if (name == "Normal") return elbo::Normal(p[0], p[1], Validate::kNo).clone();
  if (name == "Uniform") return elbo::Uniform(p[0], p[1], Validate::kNo).clone();
  if (name == "Bernoulli") return elbo::Bernoulli(p[0], Validate::kNo).clone();
  return elbo::make_law(name, p, Validate::kNo);
}

double milliseconds(const std::string& name, const std::vector<double>& values, int64_t elements,
                    uint64_t repetition) {
  std::vector<at::Tensor> parameters;
  for (const double p : values)
    parameters.push_back(at::full({elements}, p, at::kFloat).requires_grad_());
  const auto begin = std::chrono::steady_clock::now();
  const auto law = make(name, parameters);
  const elbo::Noise noise(1, repetition);
  const auto x = law->has_rsample() ? law->rsample(noise) : law->sample(noise);
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
    std::string name;
    int threads = 1, uncounted = 0, counted = 0;
    int64_t elements = 0;
    in >> name >> threads >> elements >> uncounted >> counted;
    std::vector<double> values;
    for (double p = 0; in >> p;) values.push_back(p);
    elbo::runtime::tune({.threads = threads});
    for (int i = 0; i < uncounted + counted; ++i) {
      const double ms = milliseconds(name, values, elements, ++repetition);
      if (i >= uncounted) std::printf("%.4f ", ms);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}
