#include "kernels/detail/product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#if defined(ELBO_HAS_ONEDNN)
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#endif

namespace elbo::detail {

#if defined(ELBO_HAS_ONEDNN)
namespace {

using dnnl::memory;

dnnl::engine& engine() {
  static dnnl::engine one(dnnl::engine::kind::cpu, 0);
  return one;
}

/// What a primitive depends on.
struct Key {
  int64_t m, n, k;
  bool a_transposed, b_transposed, bias, add;
  Activation activation;
  int threads;  // among which it was planned to be shared
  auto operator<=>(const Key&) const = default;
};

memory::desc matrix(int64_t rows, int64_t columns, bool transposed) {
  return {{rows, columns},
          memory::data_type::f32,
          transposed ? memory::format_tag::ba : memory::format_tag::ab};
}

dnnl::matmul make(const Key& key) {
  dnnl::post_ops after;
  if (key.add) after.append_sum(1);
  using dnnl::algorithm;
  switch (key.activation) {
    case Activation::kTanh:
      after.append_eltwise(1, algorithm::eltwise_tanh, 0, 0);
      break;
    case Activation::kRelu:
      after.append_eltwise(1, algorithm::eltwise_relu, 0, 0);
      break;
    case Activation::kSoftplus:
      after.append_eltwise(1, algorithm::eltwise_soft_relu, 0, 0);
      break;
    case Activation::kSigmoid:
      after.append_eltwise(1, algorithm::eltwise_logistic, 0, 0);
      break;
    case Activation::kIdentity:
      break;
  }
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(after);
  const auto a = matrix(key.m, key.k, key.a_transposed);
  const auto b = matrix(key.k, key.n, key.b_transposed);
  const auto out = matrix(key.m, key.n, false);
  const auto description = key.bias ? dnnl::matmul::desc(a, b, matrix(1, key.n, false), out)
                                    : dnnl::matmul::desc(a, b, out);
  return dnnl::matmul(dnnl::matmul::primitive_desc(description, attributes, engine()));
}

/// A primitive with memories whose data are set before each use.
struct Prepared {
  explicit Prepared(const Key& key)
      : primitive(make(key)),
        a(matrix(key.m, key.k, key.a_transposed), engine(), nullptr),
        b(matrix(key.k, key.n, key.b_transposed), engine(), nullptr),
        bias(matrix(1, key.n, false), engine(), nullptr),
        out(matrix(key.m, key.n, false), engine(), nullptr),
        arguments{{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, out}} {
    if (key.bias) arguments.emplace(DNNL_ARG_BIAS, bias);
  }
  dnnl::matmul primitive;
  memory a, b, bias, out;
  std::unordered_map<int, memory> arguments;
};

}  // namespace

bool has_product(const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

void product(const Matrix& a, const Matrix& b, float* out, const ProductOptions& options) {
  TORCH_INTERNAL_ASSERT(a.columns == b.rows);
  const Key key = {.m = a.rows,
                   .n = b.columns,
                   .k = a.columns,
                   .a_transposed = a.transposed,
                   .b_transposed = b.transposed,
                   .bias = options.bias != nullptr,
                   .add = options.add,
                   .activation = options.activation,
                   .threads = at::get_num_threads()};
  // A thread's own: the memories hold the arguments of one call at a time.
  thread_local std::map<Key, Prepared> cache;
  thread_local dnnl::stream stream(engine());
  auto found = cache.find(key);
  if (found == cache.end()) {
    if (cache.size() >= 256) cache.clear();  // shapes that never come again
    found = cache.try_emplace(key, key).first;
  }
  Prepared& prepared = found->second;
  prepared.a.set_data_handle(const_cast<float*>(a.data));
  prepared.b.set_data_handle(const_cast<float*>(b.data));
  prepared.out.set_data_handle(out);
  if (key.bias) prepared.bias.set_data_handle(const_cast<float*>(options.bias));
  prepared.primitive.execute(stream, prepared.arguments);
  stream.wait();
}

#else

bool has_product(const at::Tensor&) { return false; }
void product(const Matrix&, const Matrix&, float*, const ProductOptions&) {
  TORCH_INTERNAL_ASSERT(false, "product: built without oneDNN");
}

#endif

}  // namespace elbo::detail
