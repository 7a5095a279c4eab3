#include "kernels/detail/product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "kernels/detail/recording.h"
#include "kernels/detail/simd.h"

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
  bool a_transposed, b_transposed, bfloat16, bias, add;
  Activation activation;
  int threads;  // among which it was planned to be shared
  auto operator<=>(const Key&) const = default;
};

memory::desc matrix(int64_t rows, int64_t columns, bool transposed, bool bfloat16 = false) {
  return {{rows, columns},
          bfloat16 ? memory::data_type::bf16 : memory::data_type::f32,
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
  const auto a = matrix(key.m, key.k, key.a_transposed, key.bfloat16);
  const auto b = matrix(key.k, key.n, key.b_transposed, key.bfloat16);
  const auto out = matrix(key.m, key.n, false);
  const auto description = key.bias ? dnnl::matmul::desc(a, b, matrix(1, key.n, false), out)
                                    : dnnl::matmul::desc(a, b, out);
  return dnnl::matmul(dnnl::matmul::primitive_desc(description, attributes, engine()));
}

/// A primitive with memories whose data are set before each use.
struct Prepared {
  explicit Prepared(const Key& key)
      : primitive(make(key)),
        a(matrix(key.m, key.k, key.a_transposed, key.bfloat16), engine(), nullptr),
        b(matrix(key.k, key.n, key.b_transposed, key.bfloat16), engine(), nullptr),
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

bool has_bfloat16_product() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::avx512_core_bf16:
    case dnnl::cpu_isa::avx512_core_amx:
      return true;
    default:
      return false;
  }
}

void product(const Matrix& a, const Matrix& b, float* out, const ProductOptions& options) {
  TORCH_INTERNAL_ASSERT(a.columns == b.rows && a.bfloat16 == b.bfloat16);
  const Key key = {.m = a.rows,
                   .n = b.columns,
                   .k = a.columns,
                   .a_transposed = a.transposed,
                   .b_transposed = b.transposed,
                   .bfloat16 = a.bfloat16,
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
  prepared.a.set_data_handle(const_cast<void*>(a.data));
  prepared.b.set_data_handle(const_cast<void*>(b.data));
  prepared.out.set_data_handle(out);
  if (key.bias) prepared.bias.set_data_handle(const_cast<float*>(options.bias));
  prepared.primitive.execute(stream, prepared.arguments);
  stream.wait();
  if (recording::is_active()) recording::add([=](uint64_t) { product(a, b, out, options); });
}

#else

bool has_product(const at::Tensor&) { return false; }
bool has_bfloat16_product() { return false; }
void product(const Matrix&, const Matrix&, float*, const ProductOptions&) {
  TORCH_INTERNAL_ASSERT(false, "product: built without oneDNN");
}

#endif

Matrix as_matrix(const at::Tensor& x) {
  const int64_t columns = x.size(-1);
  return {.data = x.data_ptr(),
          .rows = x.numel() / columns,
          .columns = columns,
          .bfloat16 = x.scalar_type() == at::kBFloat16};
}

namespace {

struct RoundToUpperHalves {
  static void run(const float* __restrict from, uint16_t* __restrict to, int64_t n) {
    for (int64_t i = 0; i < n; ++i) to[i] = simd::upper_half(from[i]);
  }
};

}  // namespace

at::Tensor to_bfloat16(const at::Tensor& x) {
  static const auto run =
      simd::Compiled<RoundToUpperHalves>::for_machine<const float*, uint16_t*, int64_t>();
  const auto given = x.contiguous();
  const auto out = at::empty(given.sizes(), given.options().dtype(at::kBFloat16));
  const auto* from = given.data_ptr<float>();
  auto* to = reinterpret_cast<uint16_t*>(out.data_ptr());
  recording::run([from, to, n = given.numel()] {
    at::parallel_for(0, n, 1 << 16, [&](int64_t begin, int64_t end) {
      run(from + begin, to + begin, end - begin);
    });
  });
  return out;
}

}  // namespace elbo::detail
