#include "elbo/data/minibatch.h"

#include <numeric>
#include <string>
#include <utility>

#include "detail/philox_stream.h"
#include "elbo/error.h"

namespace elbo::data {

std::vector<int64_t> epoch_order(uint64_t seed, int64_t epoch, int64_t n) {
  if (epoch < 0 || n < 0) {
    throw DomainError("epoch_order: epoch = " + std::to_string(epoch) +
                      ", n = " + std::to_string(n) + "; expected neither negative");
  }
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  detail::PhiloxStream rng(seed, detail::Domain::kEpochOrder, static_cast<uint64_t>(epoch));
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

}  // namespace elbo::data
