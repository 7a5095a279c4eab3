// Times rsample (sample where there is none) + log_prob + backward of a law, for laws.py.
//
// Reads lines "Law threads elements parameter..." and answers each with the milliseconds of one
// repetition, on float32 parameters of that many elements that all want gradients.
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

}  // namespace

int main() {
  std::string line;
  uint64_t repetition = 0;
  while (std::getline(std::cin, line)) {
    std::istringstream in(line);
    std::string name;
    int threads = 1;
    int64_t elements = 0;
    in >> name >> threads >> elements;
    elbo::runtime::tune({.threads = threads});
    std::vector<at::Tensor> parameters;
    for (double p = 0; in >> p;)
      parameters.push_back(at::full({elements}, p, at::kFloat).requires_grad_());
    const auto begin = std::chrono::steady_clock::now();
    const auto law = make(name, parameters);
    const elbo::Noise noise(1, ++repetition);
    const auto x = law->has_rsample() ? law->rsample(noise) : law->sample(noise);
    law->log_prob(x).sum().backward();
    const std::chrono::duration<double, std::milli> ms = std::chrono::steady_clock::now() - begin;
    std::printf("%.4f\n", ms.count());
    std::fflush(stdout);
  }
}
