#include "limit.h"

#include <ATen/ATen.h>

#include <cstring>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "elbo/kernels/plan.h"

namespace elbo::bench {

void append_forward(std::vector<Product>& to, int64_t rows, int64_t in, int64_t out) {
  to.push_back({rows, out, in, false, true});
}

void append_layer(std::vector<Product>& to, int64_t rows, int64_t in, int64_t out,
                  bool input_gradient) {
  append_forward(to, rows, in, out);
  to.push_back({out, in, rows, true, false});
  if (input_gradient) to.push_back({rows, in, out, false, false});
}

std::function<void()> limit_of(const std::vector<Product>& products, bool bfloat16) {
  using dnnl::memory;
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const auto type = bfloat16 ? memory::data_type::bf16 : memory::data_type::f32;
  struct Ready {
    dnnl::matmul primitive;
    std::unordered_map<int, memory> arguments;
  };
  auto all = std::make_shared<std::vector<Ready>>();
  for (const Product& p : products) {
    using tag = memory::format_tag;
    const memory::desc a({p.m, p.k}, type, p.a_transposed ? tag::ba : tag::ab);
    const memory::desc b({p.k, p.n}, type, p.b_transposed ? tag::ba : tag::ab);
    const memory::desc c({p.m, p.n}, memory::data_type::f32, tag::ab);
    memory x(a, engine), y(b, engine), out(c, engine);
    // 0x3d3d is a small normal number in both types.
    std::memset(x.get_data_handle(), 0x3d, a.get_size());
    std::memset(y.get_data_handle(), 0x3d, b.get_size());
    all->push_back({dnnl::matmul(dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, c), engine)),
                    {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, y}, {DNNL_ARG_DST, out}}});
  }
  return [all] {
    static dnnl::stream stream(engine);
    for (auto& one : *all) {
      one.primitive.execute(stream, one.arguments);
      stream.wait();
    }
  };
}

std::function<void()> limit_on(at::Device device, const std::vector<Product>& products) {
  struct Ready {
    at::Tensor a, b, out;
  };
  const auto ones = [&](int64_t rows, int64_t columns, bool transposed) {
    const auto type = at::TensorOptions(at::kFloat).device(device);
    return transposed ? at::ones({columns, rows}, type).t() : at::ones({rows, columns}, type);
  };
  auto all = std::make_shared<std::vector<Ready>>();
  for (const Product& p : products)
    all->push_back(
        {ones(p.m, p.k, p.a_transposed), ones(p.k, p.n, p.b_transposed), ones(p.m, p.n, false)});
  const auto multiply = [all] {
    for (auto& one : *all) at::mm_out(one.out, one.a, one.b);
  };
  multiply();  // libraries start at their first call
  auto plan = std::make_shared<const Plan>(Plan::record(Noise(0), multiply, device));
  return [all, plan] {
    plan->replay(0);
    (void)all->back().out[0][0].item();  // waits
  };
}

}  // namespace elbo::bench
