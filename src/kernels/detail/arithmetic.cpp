#include "kernels/detail/arithmetic.h"

#include <ATen/ATen.h>

#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <utility>

#include "kernels/detail/rows.h"
#include "kernels/detail/simd.h"

namespace elbo::detail {
namespace {

template <class F>
struct Loop {
  static void run(const Arithmetic::Rows& of, const Block& block) {
    for_rows(block, [&](int64_t r, int64_t first, auto width) {
      const float* a = of.a + r * of.a_stride + first;
      const float* b = of.b + r * of.b_stride + first;
      float* out = of.out + r * of.out_stride + first;
#pragma omp simd
      for (int64_t c = 0; c < width; ++c) {
        if constexpr (std::is_invocable_v<F, float, float>)
          out[c] = F()(a[c], b[c]);
        else
          out[c] = F()(a[c]);
      }
    });
  }
};

template <class F>
auto for_machine() {
  return simd::Compiled<Loop<F>>::template for_machine<const Arithmetic::Rows&, const Block&>();
}

}  // namespace

Arithmetic::Arithmetic(Run run, at::Tensor a, at::Tensor b, at::Tensor out)
    : run_(run), a_(std::move(a)), b_(std::move(b)), out_(std::move(out)) {}

std::optional<Arithmetic> Arithmetic::of(const c10::OperatorName& name,
                                         const std::vector<c10::IValue>& inputs,
                                         const std::vector<at::Tensor>& results) {
  struct Entry {
    size_t arity;
    bool has_alpha;  // a factor of b, which must be 1
    Run run;
  };
  static const std::map<std::string, Entry> table = {
      {"aten::add", {2, true, for_machine<std::plus<>>()}},
      {"aten::sub", {2, true, for_machine<std::minus<>>()}},
      {"aten::mul", {2, false, for_machine<std::multiplies<>>()}},
      {"aten::neg", {1, false, for_machine<std::negate<>>()}}};
  const auto found = table.find(name.name);
  if (found == table.end() || results.size() != 1) return std::nullopt;
  const auto& [arity, has_alpha, run] = found->second;
  if (inputs.size() < arity || !inputs[0].isTensor() || !inputs[arity - 1].isTensor())
    return std::nullopt;
  if (has_alpha && !(inputs.size() > 2 && inputs[2].isScalar() && inputs[2].toScalar().equal(1)))
    return std::nullopt;
  const at::Tensor &a = inputs[0].toTensor(), &b = inputs[arity - 1].toTensor(), &out = results[0];
  for (const at::Tensor* x : {&a, &b, &out})
    if (x->scalar_type() != at::kFloat || x->sizes() != out.sizes() || x->dim() == 0 ||
        x->numel() == 0 || row_stride(*x) < 0)
      return std::nullopt;
  return Arithmetic(run, a, b, out);
}

void Arithmetic::operator()(uint64_t) const {
  const int64_t columns = out_.size(-1);
  const Rows rows = {a_.data_ptr<float>(), b_.data_ptr<float>(), out_.data_ptr<float>(),
                     row_stride(a_),       row_stride(b_),       row_stride(out_)};
  for_blocks(out_.numel() / columns, columns, kPassGrain,
             [&](const RowBlock& block) { run_(rows, block); });
}

}  // namespace elbo::detail
