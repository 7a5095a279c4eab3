// The matrix products of a training step, alone: what no program can do without.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace elbo::bench {

struct Product {
  int64_t m, n, k;
  bool a_transposed, b_transposed;
};

/// A linear layer's product.
void append_forward(std::vector<Product>& to, int64_t rows, int64_t in, int64_t out);

/// The products of a linear layer's step: forward, the weight's gradient, and the input's.
void append_layer(std::vector<Product>& to, int64_t rows, int64_t in, int64_t out,
                  bool input_gradient);

/// Runs them one after the other in oneDNN, in float32 or bfloat16 with float32 results.
[[nodiscard]] std::function<void()> limit_of(const std::vector<Product>& products, bool bfloat16);

/// The same in float32 by `device`'s own library, as one captured graph that is waited for.
[[nodiscard]] std::function<void()> limit_on(at::Device device,
                                             const std::vector<Product>& products);

}  // namespace elbo::bench
