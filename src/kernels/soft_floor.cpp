#include "elbo/kernels/soft_floor.h"

#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "kernels/detail/rows.h"
#include "kernels/detail/through_twin.h"

namespace elbo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Writes the value, and with kSlopes the slope.
template <bool kSlopes>
struct SoftFloorRow {
  static constexpr bool kHalves = false;
  using Sum = double;  // none
  template <class Size>
  static void run(const detail::Row& row, Size size, Sum&) {
    const float* __restrict x = row.in[0];
    float* __restrict y = row.out[0], * __restrict slope = row.out[1];
    for (int64_t i = 0; i < size; ++i) {
      const float t = x[i] - row.constant, e = simd::exp_minus_abs(t);
      // log(1 + e) = 2 artanh(s), s <= 1/3: Taylor's terms, the last for all that follow
      const float s = e / (2.0F + e), s2 = s * s;
      float series = s2 * 0.0925F + 0.1109F;
      series = s2 * series + 0.14285715F;
      series = s2 * series + 0.2F;
      series = s2 * series + 0.33333334F;
      series = s2 * series + 1.0F;
      y[i] = row.constant + (0.5F * (t + std::abs(t)) + 2.0F * s * series);
      if constexpr (kSlopes) slope[i] = (t > 0 ? 1.0F : e) / (e + 1.0F);
    }
  }
};

at::Tensor plain(const at::Tensor& x, double floor) {
  // softplus by log_sigmoid, exact for arguments of either sign
  return floor - at::log_sigmoid(floor - x);
}

struct SoftFloor : torch::autograd::Function<SoftFloor> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, double floor) {
    const detail::BelowAutograd below;
    const auto rows = detail::evaluate_rows<SoftFloorRow>({x}, 2, true, static_cast<float>(floor));
    context->save_for_backward({x});
    context->saved_data["floor"] = floor;
    context->saved_data["slope"] = rows.out[1];
    return rows.out[0];
  }
  static variable_list backward(AutogradContext* context, const variable_list& incoming) {
    if (at::GradMode::is_enabled()) {
      const double floor = context->saved_data["floor"].toDouble();
      const auto saved = context->get_saved_variables();
      return {detail::through_twin([&](const at::Tensor* a) { return plain(a[0], floor); }, saved,
                                   incoming[0], 1)[0],
              {}};
    }
    const detail::BelowAutograd below;
    return {detail::product_of(incoming[0], context->saved_data["slope"].toTensor()), {}};
  }
};

}  // namespace

at::Tensor soft_floor(const at::Tensor& x, double floor) {
  if (!x.is_cpu() || x.scalar_type() != at::kFloat || x.dim() == 0) return plain(x, floor);
  if (x.requires_grad() && at::GradMode::is_enabled()) return SoftFloor::apply(x, floor);
  return detail::evaluate_rows<SoftFloorRow>({x}, 1, false, static_cast<float>(floor)).out[0];
}

}  // namespace elbo
