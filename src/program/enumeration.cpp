#include "elbo/program/enumeration.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <limits>
#include <map>

#include "elbo/kernels/log_sum_exp.h"

namespace elbo {
namespace {

/// One size for each dimension of a table.
int64_t enumerated_dims(const Trace& trace) {
  int64_t count = 0;
  for (const Site& site : trace.sites()) {
    if (!site.enumerated) continue;
    if (!site.in_plate)
      throw SiteError("posterior: site '" + site.name +
                      "' is enumerated outside all plates; expected it in one, for rows that share "
                      "it are not independent");
    ++count;
  }
  return count;
}

/// Dimensions that only repeat, reduced to size 1.
at::Tensor unrepeated(at::Tensor x) {
  for (int64_t i = 0; i < x.dim(); ++i)
    if (x.stride(i) == 0 && x.size(i) > 1) x = x.narrow(i, 0, 1);
  return x;
}

/// Sums dimensions 0 .. dims - 1 out of the product of factors (given by logarithms) that all have
/// the same number of dimensions; but not those that are `done`.
at::Tensor eliminated(std::vector<at::Tensor> factors, int64_t dims, std::vector<bool> done) {
  const auto rounds = std::count(done.begin(), done.end(), false);
  for (int64_t round = 0; round < rounds; ++round) {
    int64_t best = -1;
    double least = std::numeric_limits<double>::infinity();
    for (int64_t dim = 0; dim < dims; ++dim) {
      if (done[static_cast<size_t>(dim)]) continue;
      std::vector<int64_t> table(static_cast<size_t>(dims), 1);
      for (const auto& f : factors)
        for (int64_t i = 0; i < dims && f.size(dim) > 1; ++i)
          table[static_cast<size_t>(i)] = std::max(table[static_cast<size_t>(i)], f.size(i));
      double cells = 1;
      for (int64_t i = 0; i < dims; ++i)
        if (i != dim) cells *= static_cast<double>(table[static_cast<size_t>(i)]);
      if (cells < least) {
        least = cells;
        best = dim;
      }
    }
    done[static_cast<size_t>(best)] = true;
    std::vector<at::Tensor> rest;
    at::Tensor product;
    for (const auto& f : factors) {
      if (f.size(best) == 1)
        rest.push_back(f);
      else
        product = product.defined() ? product + f : f;
    }
    if (product.defined()) rest.push_back(log_sum_exp(product, best));
    factors = std::move(rest);
  }
  at::Tensor sum;
  for (const auto& f : factors) sum = sum.defined() ? sum + f : f;
  return sum;
}

struct Factors {
  explicit Factors(const Trace& trace) : dims(enumerated_dims(trace)) {
    shape.assign(static_cast<size_t>(1 + trace.options().plate_dims), 1);
    for (const Site& site : trace.sites()) {
      auto f = site.log_prob();
      const int64_t drawn = static_cast<int64_t>(shape.size());
      depends.push_back(f.dim() > drawn);
      while (f.dim() < dims + drawn) f = f.unsqueeze(0);
      for (int64_t i = 0; i < drawn; ++i)
        shape[static_cast<size_t>(i)] = std::max(shape[static_cast<size_t>(i)], f.size(dims + i));
      logs.push_back(f);
    }
    if (logs.empty()) throw SiteError("log_marginal: the trace has no sites; expected one or more");
  }
  [[nodiscard]] at::Tensor sum() const {
    auto total = eliminated(logs, dims, std::vector<bool>(static_cast<size_t>(dims), false));
    return total.view(total.sizes().slice(static_cast<size_t>(dims))).expand(shape);
  }

  int64_t dims;
  std::vector<int64_t> shape;  ///< [particles, plates...]
  std::vector<at::Tensor> logs;
  std::vector<bool> depends;  ///< on an enumerated site
};

}  // namespace

at::Tensor log_marginal(const Trace& trace) { return Factors(trace).sum(); }

at::Tensor log_joint(const Trace& trace) {
  for (const Site& site : trace.sites())
    if (!site.observed && !site.enumerated)
      throw SiteError("log_joint: latent site '" + site.name + "' is drawn; expected all values");
  const Factors factors(trace);
  at::Tensor sum;
  for (const auto& f : factors.logs) sum = sum.defined() ? sum + f : f;
  std::vector<int64_t> order, all;  // dimensions by the order of their sites
  int64_t cells = 1;
  for (int64_t i = factors.dims - 1; i >= 0; --i) order.push_back(i);
  for (int64_t i = 0; i < factors.dims; ++i) {
    all.push_back(sum.size(i));
    cells *= sum.size(i);
  }
  for (size_t i = 0; i < factors.shape.size(); ++i) {
    order.push_back(factors.dims + static_cast<int64_t>(i));
    all.push_back(factors.shape[i]);
  }
  return sum.expand(all).permute(order).reshape({cells, -1});
}

Posterior posterior(const Trace& trace) {
  Factors factors = [&] {
    const at::NoGradGuard no_grad;
    return Factors(trace);
  }();
  const at::AutoGradMode with_gradient(true);
  std::vector<at::Tensor> leaves;
  for (size_t i = 0; i < factors.logs.size(); ++i) {
    auto& f = factors.logs[i];
    f = unrepeated(f.detach());
    if (factors.depends[i]) leaves.push_back(f.set_requires_grad(true));
  }
  const auto sum = factors.sum();
  Posterior out{.log_marginal = sum.detach(), .weights = {}};
  if (leaves.empty()) {
    out.weights.resize(factors.logs.size());
    return out;
  }
  const auto found = torch::autograd::grad({sum}, leaves, {at::ones_like(sum)});
  size_t next = 0;
  for (const auto& f : factors.logs)
    out.weights.push_back(f.requires_grad() ? found[next++] : at::Tensor());
  return out;
}

GuideExpectation::GuideExpectation(const Trace& guide) : drawn_(1 + guide.options().plate_dims) {
  std::map<int64_t, at::Tensor> by_dim;
  for (const Site& site : guide.sites())
    if (site.enumerated) by_dim[guide.enumerated_dim(site)] = site.log_prob();
  for (auto& [dim, log_q] : by_dim) log_q_.push_back(std::move(log_q));
}

at::Tensor GuideExpectation::operator()(const at::Tensor& f) const {
  if (f.dim() <= drawn_) return f;
  // Table dimension `dims - 1 - i` belongs to site i.
  const auto dims = static_cast<int64_t>(log_q_.size());
  const auto padded = [&](at::Tensor x) {
    while (x.dim() < dims + drawn_) x = x.unsqueeze(0);
    return x;
  };
  const auto depends = [&](const at::Tensor& x, int64_t site) {
    return x.dim() > drawn_ + site && x.size(x.dim() - drawn_ - 1 - site) > 1;
  };
  // Those of f, which are kept, and those that their laws depend on, all of which ran before.
  std::vector<bool> kept(static_cast<size_t>(dims), true);
  std::vector<bool> enters(static_cast<size_t>(dims), false);
  std::vector<at::Tensor> factors;
  for (int64_t site = dims - 1; site >= 0; --site) {
    const bool of_f = depends(f, site);
    const auto i = static_cast<size_t>(site);
    if (!of_f && !enters[i]) continue;
    for (int64_t earlier = 0; earlier < site; ++earlier)
      if (depends(log_q_[i], earlier)) enters[static_cast<size_t>(earlier)] = true;
    kept[static_cast<size_t>(dims - 1 - site)] = of_f;
    factors.push_back(padded(log_q_[i]));
  }
  const auto sum_over_values = [&](at::Tensor x) {
    for (int64_t i = 0; i < dims; ++i) x = x.sum(0);
    return x;
  };
  if (factors.empty()) return sum_over_values(padded(f));  // all of size 1
  const auto q = eliminated(std::move(factors), dims, std::move(kept)).exp();
  return sum_over_values(q * at::where(q > 0, padded(f), at::zeros({}, f.options())));
}

}  // namespace elbo
