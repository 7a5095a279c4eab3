// A project outside elbo's tree: prints KL(N(1, 1) || N(0, 1)), which is 1/2.
#include <ATen/ATen.h>
#include <elbo/distributions/kl.h>
#include <elbo/distributions/normal.h>

#include <cstdio>

int main() {
  const at::Tensor one = at::ones({1}, at::kDouble);
  const elbo::Normal q(one, one);
  const elbo::Normal p(at::zeros({1}, at::kDouble), one);
  std::printf("%f\n", elbo::kl_divergence(q, p).item<double>());
}
