#include "kernels/detail/product.h"

#include <ATen/ATen.h>

#include "kernels/detail/recording.h"
#include "kernels/detail/simd.h"

#if defined(ELBO_HAS_AVX2_LOOPS)
#include <immintrin.h>
#endif
#if defined(ELBO_HAS_ONEDNN)
#include <omp.h>

#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <vector>
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
  int threads;  // that it is planned for
  auto operator<=>(const Key&) const = default;
};

memory::desc matrix(int64_t rows, int64_t columns, bool transposed = false, bool bfloat16 = false) {
  return {{rows, columns},
          bfloat16 ? memory::data_type::bf16 : memory::data_type::f32,
          transposed ? memory::format_tag::ba : memory::format_tag::ab};
}
memory::desc first_of(const Key& k) { return matrix(k.m, k.k, k.a_transposed, k.bfloat16); }
memory::desc second_of(const Key& k) { return matrix(k.k, k.n, k.b_transposed, k.bfloat16); }
memory::desc bias_of(const Key& k) { return matrix(1, k.n); }
memory::desc out_of(const Key& k) { return matrix(k.m, k.n); }

/// While it lives, oneDNN takes so many threads for what this one asks for: some kernels settle it
/// where they are made, others where they run.
class OneDnnThreads {
 public:
  explicit OneDnnThreads(int threads) { omp_set_num_threads(threads); }
  OneDnnThreads(const OneDnnThreads&) = delete;
  OneDnnThreads& operator=(const OneDnnThreads&) = delete;
  ~OneDnnThreads() { omp_set_num_threads(before_); }

 private:
  int before_ = omp_get_max_threads();
};

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
  const auto description =
      key.bias ? dnnl::matmul::desc(first_of(key), second_of(key), bias_of(key), out_of(key))
               : dnnl::matmul::desc(first_of(key), second_of(key), out_of(key));
  const OneDnnThreads threads(key.threads);
  return dnnl::matmul(dnnl::matmul::primitive_desc(description, attributes, engine()));
}

/// A primitive with memories whose data are set before each use.
struct Prepared {
  explicit Prepared(const Key& key)
      : primitive(make(key)),
        a(first_of(key), engine(), nullptr),
        b(second_of(key), engine(), nullptr),
        bias(bias_of(key), engine(), nullptr),
        out(out_of(key), engine(), nullptr),
        arguments{{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, out}} {
    if (key.bias) arguments.emplace(DNNL_ARG_BIAS, bias);
  }
  dnnl::matmul primitive;
  memory a, b, bias, out;
  std::unordered_map<int, memory> arguments;
};

/// Row by row, `stride` apart.
struct Out {
  float* data;
  int64_t stride;
};

/// Rows of one stride into rows of another.
template <class T>
struct CopyRows {
  static void run(const T* from, int64_t from_stride, T* to, int64_t to_stride,
                  const Block& block) {
    for_rows(block, [&](int64_t r, int64_t first, auto width) {
      const T* __restrict x = from + r * from_stride + first;
      T* __restrict y = to + r * to_stride + first;
      for (int64_t c = 0; c < width; ++c) y[c] = x[c];
    });
  }
};
template <class T>
void copy_rows(const T* from, int64_t from_stride, T* to, int64_t to_stride, int64_t rows,
               int64_t columns) {
  static const auto run =
      simd::Compiled<CopyRows<T>>::template for_machine<const T*, int64_t, T*, int64_t,
                                                        const Block&>();
  run(from, from_stride, to, to_stride, {{0, rows}, {0, columns}});
}

/// A thread's own, for each use one that grows.
struct Scratch {
  std::vector<float> a, b, out;
  static float* of(std::vector<float>& x, int64_t size) {
    if (static_cast<int64_t>(x.size()) < size) x.resize(static_cast<size_t>(size));
    return x.data();
  }
};

/// The matrix without gaps, copied if it has them: oneDNN's faster kernels take no others, and the
/// one that does asks the system for memory at each call.
Matrix without_gaps(const Matrix& x, std::vector<float>& scratch) {
  const int64_t rows = x.transposed ? x.columns : x.rows, columns = x.rows * x.columns / rows;
  if (x.stride == columns) return x;
  Matrix out = x;
  out.stride = columns;
  if (x.bfloat16) {
    auto* to = reinterpret_cast<uint16_t*>(Scratch::of(scratch, (rows * columns + 1) / 2));
    copy_rows(static_cast<const uint16_t*>(x.data), x.stride, to, columns, rows, columns);
    out.data = to;
  } else {
    float* to = Scratch::of(scratch, rows * columns);
    copy_rows(static_cast<const float*>(x.data), x.stride, to, columns, rows, columns);
    out.data = to;
  }
  return out;
}

/// Whether oneDNN may use these instructions here; its names are sets of bits.
bool may_use(dnnl::cpu_isa wanted) {
  static const auto all = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto bits = static_cast<unsigned>(wanted);
  return (all & bits) == bits;
}

/// With AVX-512 it takes tanh along in its products; elsewhere in a pass of 5 ns a number.
bool has_quick_tanh() { return may_use(dnnl::cpu_isa::avx512_core); }

struct Tanh {
  static void run(float* x, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) x[i] = simd::tanh(x[i]);
  }
};
void tanh_in_place(float* x, int64_t n) {
  static const auto run = simd::Compiled<Tanh>::for_machine<float*, int64_t, int64_t>();
  parallel_for(0, n, kPassGrain, [&](int64_t begin, int64_t end) { run(x, begin, end); });
}

/// Of matrices without gaps; by oneDNN's own sharing among threads where they are more than one.
void multiply_whole(const Matrix& a, const Matrix& b, float* out, const ProductOptions& options,
                    int threads = 1) {
  const bool tanh_after = options.activation == Activation::kTanh && !has_quick_tanh();
  const Key key = {.m = a.rows,
                   .n = b.columns,
                   .k = a.columns,
                   .a_transposed = a.transposed,
                   .b_transposed = b.transposed,
                   .bfloat16 = a.bfloat16,
                   .bias = options.bias != nullptr,
                   .add = options.add,
                   .activation = tanh_after ? Activation::kIdentity : options.activation,
                   .threads = threads};
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
  {
    const OneDnnThreads these(threads);
    prepared.primitive.execute(stream, prepared.arguments);
    stream.wait();
  }
  if (tanh_after) tanh_in_place(out, a.rows * b.columns);
}

/// By this thread alone.
void multiply(const Matrix& a, const Matrix& b, const Out& out, const ProductOptions& options) {
  thread_local Scratch scratch;
  const int64_t rows = a.rows, columns = b.columns;
  const Matrix x = without_gaps(a, scratch.a), y = without_gaps(b, scratch.b);
  if (out.stride == columns) return multiply_whole(x, y, out.data, options);
  float* made = Scratch::of(scratch.out, rows * columns);
  if (options.add) copy_rows<float>(out.data, out.stride, made, columns, rows, columns);
  multiply_whole(x, y, made, options);
  copy_rows<float>(made, columns, out.data, out.stride, rows, columns);
}

void by_rows(const Matrix& a, const Matrix& b, float* out, const ProductOptions& options,
             int64_t parts) {
  for_parts(parts, [&](int64_t part) {
    const Share own = share_of(a.rows, part, parts);
    if (own.size() == 0) return;
    multiply(a.rows_in(own), b, {out + own.begin * b.columns, b.columns}, options);
  });
}

void by_columns(const Matrix& a, const Matrix& b, float* out, const ProductOptions& options,
                int64_t parts) {
  for_parts(parts, [&](int64_t part) {
    const Share own = share_of(b.columns, part, parts);
    if (own.size() == 0) return;
    ProductOptions mine = options;
    if (mine.bias != nullptr) mine.bias += own.begin;
    multiply(a, b.columns_in(own), {out + own.begin, b.columns}, mine);
  });
}

/// out += x, for a block of rows `stride` apart.
struct AddRows {
  static void run(float* out, const float* x, int64_t stride, const Block& block) {
    for_rows(block, [&](int64_t r, int64_t first, auto width) {
      float* __restrict to = out + r * stride + first;
      const float* __restrict from = x + r * stride + first;
      for (int64_t c = 0; c < width; ++c) to[c] += from[c];
    });
  }
};

/// Each thread sums over its share of a's columns; the sums are then added up, rows or columns of
/// them by each.
void by_sum(const Matrix& a, const Matrix& b, float* out, const ProductOptions& options,
            int64_t parts, bool added_by_rows) {
  static const auto add =
      simd::Compiled<AddRows>::for_machine<float*, const float*, int64_t, const Block&>();
  thread_local std::vector<std::vector<float>> kept;  // for the next product
  auto& sums = kept;                                  // this thread's, whoever runs a part
  if (sums.size() < static_cast<size_t>(parts)) sums.resize(static_cast<size_t>(parts));
  const int64_t rows = a.rows, columns = b.columns;
  std::vector<const float*> partial(static_cast<size_t>(parts));
  for_parts(parts, [&](int64_t part) {
    const Share own = share_of(a.columns, part, parts);
    if (own.size() == 0) return;
    auto& sum = sums[static_cast<size_t>(part)];
    if (part > 0 && sum.size() < static_cast<size_t>(rows * columns))
      sum.resize(static_cast<size_t>(rows * columns));
    float* to = part == 0 ? out : sum.data();
    partial[static_cast<size_t>(part)] = to;
    multiply(a.columns_in(own), b.rows_in(own), {to, columns},
             part == 0 ? options : ProductOptions());
  });
  for_parts(parts, [&](int64_t part) {
    const auto block = added_by_rows ? Block{share_of(rows, part, parts), {0, columns}}
                                     : Block{{0, rows}, share_of(columns, part, parts)};
    for (int64_t p = 1; p < parts; ++p)
      if (const float* x = partial[static_cast<size_t>(p)]) add(out, x, columns, block);
  });
}

/// The sums of a product a b run over kSum; its rows and columns are those of what it makes.
enum class Axis { kRows, kColumns, kSum };

/// How much of a product's matrices one thread has and another needs.
struct Traffic {
  int64_t a, b, out;        // numbers in each
  Axis of_a, of_b, of_out;  // along which threads have shared it out, or will

  [[nodiscard]] int64_t along(Axis axis) const {
    const int64_t given = (of_a == axis ? 0 : a) + (of_b == axis ? 0 : b);
    if (axis == Axis::kSum) return given + 2 * out;  // sums, written and read
    return given + (of_out == axis ? 0 : out);
  }
  [[nodiscard]] Axis least(bool may_sum) const {
    Axis best = along(Axis::kColumns) <= along(Axis::kRows) ? Axis::kColumns : Axis::kRows;
    return may_sum && along(Axis::kSum) < along(best) ? Axis::kSum : best;
  }
};

/// Of activations x [rows, inputs] and g [rows, outputs], which lie as is_by_rows says, and weights
/// [outputs, inputs], whose outputs are shared out: x W^T, g W and g^T x.
Traffic traffic_of(const Matrix& a, const Matrix& b) {
  const auto axis = [](int64_t rows, int64_t columns, Axis of_rows, Axis of_columns) {
    return is_by_rows(rows, columns) ? of_rows : of_columns;
  };
  Traffic t = {};
  t.a = a.rows * a.columns, t.b = b.rows * b.columns, t.out = a.rows * b.columns;
  if (a.transposed) {
    t.of_a = axis(a.columns, a.rows, Axis::kSum, Axis::kRows);
    t.of_b = axis(b.rows, b.columns, Axis::kSum, Axis::kColumns);
    t.of_out = Axis::kRows;
  } else {
    t.of_a = axis(a.rows, a.columns, Axis::kRows, Axis::kSum);
    t.of_b = b.transposed ? Axis::kColumns : Axis::kSum;
    t.of_out = axis(a.rows, b.columns, Axis::kRows, Axis::kColumns);
  }
  return t;
}

}  // namespace

bool has_product(const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

bool has_bfloat16_product() { return may_use(dnnl::cpu_isa::avx512_core_bf16); }

void product(const Matrix& a, const Matrix& b, float* out, const ProductOptions& options) {
  TORCH_INTERNAL_ASSERT(a.columns == b.rows && a.bfloat16 == b.bfloat16);
  constexpr int64_t kGrain = 1 << 18;  // multiplications
  constexpr int64_t kThin = 64;        // the sums are so short that writing them is the work
  constexpr int64_t kMany = 256;       // rows of data
  constexpr int64_t kLarge = 1 << 20;  // numbers: copies of parts would leave the second cache
  const int64_t parts = parts_for(a.rows * a.columns * b.columns, kGrain);
  const Traffic traffic = traffic_of(a, b);
  const bool large = std::max({traffic.a, traffic.b, traffic.out}) > kLarge;
  const bool may_sum = options.activation == Activation::kIdentity;
  const Axis axis = a.columns <= kThin ? Axis::kRows : traffic.least(may_sum);
  // Many rows of data divide evenly among threads; of few oneDNN makes evener parts, where it costs
  // little that they are not the threads' own.
  const bool many = (a.transposed ? a.columns : a.rows) >= kMany && axis != Axis::kColumns;
  const bool by_onednn = parts > 1 && (large || options.by_onednn || (has_common_cache() && !many));
  if (parts == 1 || by_onednn)
    multiply_whole(a, b, out, options, static_cast<int>(parts));
  else if (axis == Axis::kRows)
    by_rows(a, b, out, options, parts);
  else if (axis == Axis::kColumns)
    by_columns(a, b, out, options, parts);
  else
    by_sum(a, b, out, options, parts, traffic.of_out == Axis::kRows);
  if (recording::is_active())
    recording::add([=](uint64_t) { product(a, b, out, options); },
                   by_onednn ? recording::Threads::kOwn : recording::Threads::kTeam);
}

#else

bool has_product(const at::Tensor&) { return false; }
bool has_bfloat16_product() { return false; }
void product(const Matrix&, const Matrix&, float*, const ProductOptions&) {
  TORCH_INTERNAL_ASSERT(false, "product: built without oneDNN");
}

#endif

Matrix Matrix::rows_in(const Share& share) const {
  const int64_t size = bfloat16 ? sizeof(at::BFloat16) : sizeof(float);
  const int64_t skipped = share.begin * (transposed ? 1 : stride) * size;
  return {static_cast<const char*>(data) + skipped,
          share.size(),
          columns,
          stride,
          transposed,
          bfloat16};
}

Matrix as_matrix(const at::Tensor& x) {
  const int64_t columns = x.size(-1);
  return {.data = x.data_ptr(),
          .rows = x.numel() / columns,
          .columns = columns,
          .stride = columns,
          .bfloat16 = x.scalar_type() == at::kBFloat16};
}

namespace {

struct RoundToUpperHalves {
  static void run(const float* __restrict from, uint16_t* __restrict to, int64_t n) {
    for (int64_t i = 0; i < n; ++i) to[i] = simd::upper_half(from[i]);
  }
};

#if defined(ELBO_HAS_AVX2_LOOPS)
/// Denormal numbers may become 0.
__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) void round_by_instruction(
    const float* from, uint16_t* to, int64_t n) {
  constexpr int64_t kLanes = 16;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(from + i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                        reinterpret_cast<const __m256i&>(rounded));
  }
  for (; i < n; ++i) to[i] = simd::upper_half(from[i]);
}
#endif

}  // namespace

RoundToBfloat16 round_to_bfloat16_for_machine() {
#if defined(ELBO_HAS_AVX2_LOOPS)
  if (math::has_avx512() && __builtin_cpu_supports("avx512bf16")) return &round_by_instruction;
#endif
  return simd::Compiled<RoundToUpperHalves>::for_machine<const float*, uint16_t*, int64_t>();
}

void round_to_bfloat16(const float* from, uint16_t* to, int64_t n) {
  static const auto run = round_to_bfloat16_for_machine();
  parallel_for(0, n, 1 << 16,
               [&](int64_t begin, int64_t end) { run(from + begin, to + begin, end - begin); });
}

at::Tensor to_bfloat16(const at::Tensor& x) {
  const auto given = x.contiguous();
  const auto out = at::empty(given.sizes(), given.options().dtype(at::kBFloat16));
  const auto* from = given.data_ptr<float>();
  auto* to = static_cast<uint16_t*>(out.data_ptr());
  recording::run([from, to, n = given.numel()] { round_to_bfloat16(from, to, n); });
  return out;
}

}  // namespace elbo::detail
