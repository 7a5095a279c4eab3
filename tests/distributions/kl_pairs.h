// Families of laws, each with parameters of a q and of a p, for the tests of KL(q || p).
#pragma once

#include "distributions/table.h"

namespace elbo::testing {

using Tensors = std::vector<at::Tensor>;

struct Family {
  std::function<DistributionPtr(const Tensors&)> make;
  std::vector<double> q, p;
  /// Where the support starts and ends, and where q's density has a kink, at q's parameters.
  std::vector<double> marks;
  /// At p's: kinks.
  std::vector<double> p_marks = {};
};

template <class Law, size_t N>
Family family(const double (&q)[N], const double (&p)[N], std::vector<double> marks,
              std::vector<double> p_marks = {}) {
  const auto make = [](const Tensors& v) {
    return [&]<size_t... I>(std::index_sequence<I...>)->DistributionPtr {
      return std::make_shared<Law>(v[I]..., Validate::kNo);
    }
    (std::make_index_sequence<N>{});
  };
  return {make, {q, q + N}, {p, p + N}, std::move(marks), std::move(p_marks)};
}

inline Tensors scalars(const std::vector<double>& numbers) {
  Tensors out;
  for (const double x : numbers) out.push_back(scalar(x));
  return out;
}

/// Gradients of KL with respect to all parameters of both.
inline double kl_gradient_error(const Family& a, const Family& b) {
  const size_t split = a.q.size();
  auto inputs = scalars(a.q);
  for (const auto& x : scalars(b.p)) inputs.push_back(x);
  return gradient_error(
      [&](const Tensors& in) {
        const Tensors left(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(split));
        const Tensors right(in.begin() + static_cast<std::ptrdiff_t>(split), in.end());
        return kl_divergence(*a.make(left), *b.make(right));
      },
      inputs);
}

}  // namespace elbo::testing
