#include "elbo/kernels/linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "elbo/error.h"
#include "elbo/kernels/gradient_sink.h"
#include "kernels/detail/halves.h"
#include "kernels/detail/product.h"
#include "kernels/detail/recording.h"
#include "kernels/detail/rows.h"
#include "kernels/detail/simd.h"
#include "kernels/detail/through_twin.h"

namespace elbo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using detail::as_matrix;
using detail::Matrix;

thread_local const Bfloat16Products* innermost = nullptr;

/// d activation(a) / da, from y = activation(a).
template <Activation kActivation>
inline float slope(float y) {
  switch (kActivation) {
    case Activation::kTanh:
      return 1 - y * y;
    case Activation::kRelu:
      return y > 0 ? 1.0F : 0.0F;
    case Activation::kSoftplus:
      return -std::expm1(-y);
    case Activation::kSigmoid:
      return y * (1 - y);
    case Activation::kIdentity:
      break;
  }
  return 1;
}

/// A gradient's way back through the activation: inner = incoming * slope(y), and the bias's
/// gradient, which is its sum over rows.
struct Backward {
  const float* incoming;
  int64_t rows, columns;
  const float* y;
  float* inner;    // null for the identity, whose inner is incoming, or with `half`
  uint16_t* half;  // inner as bfloat16, all that products then take; or null
  float* bias;
  bool add;  // to what `bias` holds
};

/// For a block of it; into `bias` the sums of its rows. Whole rows are passed along, else down a
/// tile of columns after another (see kTile).
template <Activation kActivation, bool kHalf>
struct ThroughBlock {
  static void run(const Backward& b, const detail::RowBlock& block, float* bias) {
    if (block.columns.size() == b.columns) {
      std::fill_n(bias, b.columns, 0.0F);
      return pass(b, block.rows, 0, b.columns, bias);
    }
    detail::for_tiles(block.columns.begin, block.columns.end, [&](int64_t first, auto width) {
      float sums[detail::kTile] = {};
      pass(b, block.rows, first, width, sums);
      std::copy_n(sums, width, bias + first);
    });
  }

 private:
  template <class Width>
  static void pass(const Backward& b, const detail::Share& rows, int64_t begin, Width width,
                   float* __restrict sums) {
    constexpr bool kIdentity = kActivation == Activation::kIdentity;
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t at = r * b.columns + begin;
      const float* __restrict g = b.incoming + at;
      [[maybe_unused]] const float* __restrict y = b.y + at;
      [[maybe_unused]] float* __restrict inner = b.inner + (kIdentity || kHalf ? 0 : at);
      [[maybe_unused]] uint16_t* __restrict half = b.half + (kHalf ? at : 0);
      for (int64_t c = 0; c < width; ++c) {
        float through = g[c];
        if constexpr (!kIdentity) through *= slope<kActivation>(y[c]);
        if constexpr (kHalf)
          half[c] = simd::upper_half(through);
        else if constexpr (!kIdentity)
          inner[c] = through;
        sums[c] += through;
      }
    }
  }
};
using Through = void (*)(const Backward&, const detail::RowBlock&, float* bias);
template <bool kHalf, Activation kActivation>
Through through_for_machine() {
  return simd::Compiled<ThroughBlock<kActivation, kHalf>>::template for_machine<
      const Backward&, const detail::RowBlock&, float*>();
}
template <bool kHalf>
Through through_of(Activation activation) {
  switch (activation) {
    case Activation::kTanh:
      return through_for_machine<kHalf, Activation::kTanh>();
    case Activation::kRelu:
      return through_for_machine<kHalf, Activation::kRelu>();
    case Activation::kSoftplus:
      return through_for_machine<kHalf, Activation::kSoftplus>();
    case Activation::kSigmoid:
      return through_for_machine<kHalf, Activation::kSigmoid>();
    case Activation::kIdentity:
      break;
  }
  return through_for_machine<kHalf, Activation::kIdentity>();
}

void through_activation(const Backward& b, Activation activation) {
  const auto run = b.half != nullptr ? through_of<true>(activation) : through_of<false>(activation);
  // Where threads share out the rows, each has sums of its own.
  const bool by_rows = detail::is_by_rows(b.rows, b.columns);
  const auto sums = at::empty({detail::team::size(), b.columns}, at::kFloat);
  detail::recording::run([b, run, by_rows, sums] {
    float* of_part = sums.data_ptr<float>();
    const int64_t parts = detail::for_blocks(
        b.rows, b.columns, detail::kPassGrain, [&](const detail::RowBlock& block) {
          run(b, block, of_part + (by_rows ? block.part * b.columns : 0));
        });
    for (int64_t p = 0; p < (by_rows ? parts : 1); ++p)
      for (int64_t c = 0; c < b.columns; ++c)
        b.bias[c] = of_part[p * b.columns + c] + (p > 0 || b.add ? b.bias[c] : 0.0F);
  });
}

/// Weight and bias of one layer, or of two side by side, contiguous.
struct Parameters {
  at::Tensor weight, bias;
};

/// Input and weight as the products take them: contiguous, in bfloat16 where that was asked for.
struct Factors {
  at::Tensor x, weight;
};
Factors factors_of(const at::Tensor& x, const at::Tensor& weight) {
  if (const auto* products = Bfloat16Products::current())
    return {products->round(x), products->round(weight)};
  return {x.contiguous(), weight};
}

/// What backward gives; undefined where it is not wanted, or lies in a GradientSink.
struct LayerGradients {
  at::Tensor x, weight, bias;
};

/// The place for a parameter's gradient: a sink's, or a new tensor put into `own`.
GradientSink::Place place_of(const at::Tensor& parameter, at::Tensor* own) {
  if (const auto claimed = GradientSink::claim(parameter)) return *claimed;
  *own = at::empty(parameter.sizes(), parameter.options().requires_grad(false));
  return {.gradient = own->data_ptr(), .add = false};
}

/// From the gradient of y, both contiguous, for the bits of `wanted`: x, weight, bias.
LayerGradients gradients(const Factors& factors, const Parameters& p, const at::Tensor& incoming,
                         const at::Tensor& y, Activation activation, unsigned wanted) {
  LayerGradients out;
  const bool identity = activation == Activation::kIdentity;
  const bool half = factors.x.scalar_type() == at::kBFloat16;
  auto inner = incoming;
  if (!identity || half || (wanted & 4U) != 0) {
    GradientSink::Place bias;
    if ((wanted & 4U) != 0) {
      bias = place_of(p.bias, &out.bias);
    } else {
      out.bias = at::empty(p.bias.sizes(), p.bias.options().requires_grad(false));
      bias.gradient = out.bias.data_ptr();
    }
    if (!identity || half)
      inner =
          at::empty(incoming.sizes(), incoming.options().dtype(half ? at::kBFloat16 : at::kFloat));
    through_activation({.incoming = incoming.data_ptr<float>(),
                        .rows = incoming.numel() / incoming.size(-1),
                        .columns = incoming.size(-1),
                        .y = y.data_ptr<float>(),
                        .inner = half ? nullptr : inner.data_ptr<float>(),
                        .half = half ? static_cast<uint16_t*>(inner.data_ptr()) : nullptr,
                        .bias = static_cast<float*>(bias.gradient),
                        .add = bias.add},
                       activation);
    if ((wanted & 4U) == 0) out.bias.reset();
  }
  const Matrix g = as_matrix(inner);
  if ((wanted & 2U) != 0) {
    const auto place = place_of(p.weight, &out.weight);
    detail::product(g.t(), as_matrix(factors.x), static_cast<float*>(place.gradient),
                    {.add = place.add});
  }
  if ((wanted & 1U) != 0) {
    out.x = at::empty(factors.x.sizes(), incoming.options());
    detail::product(g, as_matrix(factors.weight), out.x.data_ptr<float>());
  }
  return out;
}

at::Tensor forward_of(const Factors& factors, const at::Tensor& bias, Activation activation,
                      bool by_onednn = false) {
  auto shape = factors.x.sizes().vec();
  shape.back() = factors.weight.size(0);
  auto y = at::empty(shape, bias.options().requires_grad(false));
  detail::product(
      as_matrix(factors.x), as_matrix(factors.weight).t(), y.data_ptr<float>(),
      {.bias = bias.data_ptr<float>(), .activation = activation, .by_onednn = by_onednn});
  return y;
}

struct Layer : torch::autograd::Function<Layer> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, int64_t activation) {
    const detail::BelowAutograd below;
    const auto factors = factors_of(x, weight);
    const auto y = forward_of(factors, bias, static_cast<Activation>(activation));
    context->saved_data["activation"] = activation;
    context->save_for_backward({x, weight, bias, y, factors.x, factors.weight});
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& incoming) {
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    const auto saved = context->get_saved_variables();
    const variable_list arguments = {saved[0], saved[1], saved[2]};
    const unsigned wanted = detail::wanted_of(*context, arguments);
    if (at::GradMode::is_enabled()) {
      auto out = detail::through_twin(
          [&](const at::Tensor* a) { return linear_twin(a[0], a[1], a[2], activation); }, arguments,
          incoming[0], wanted);
      out.emplace_back();  // the activation has none
      return out;
    }
    const detail::BelowAutograd below;
    const auto found = gradients({saved[4], saved[5]}, {saved[1], saved[2]},
                                 incoming[0].contiguous(), saved[3], activation, wanted);
    return {found.x, found.weight, found.bias, {}};
  }
};

bool is_fusable(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return detail::has_product(x) && detail::has_product(weight) && detail::has_product(bias) &&
         weight.is_contiguous() && bias.is_contiguous() && x.numel() > 0 && weight.numel() > 0;
}

/// Without a graph: the weights stay as they are, and lie in every thread's cache.
at::Tensor inferred(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                    Activation activation) {
  const detail::BelowAutograd below;
  return forward_of(factors_of(x, weight), bias, activation, /*by_onednn=*/true);
}

/// Whether b follows a in memory, so that they are one matrix or vector.
bool are_side_by_side(const at::Tensor& a, const at::Tensor& b) {
  return a.is_contiguous() && b.is_contiguous() && a.sizes() == b.sizes() &&
         a.storage().is_alias_of(b.storage()) &&
         b.storage_offset() == a.storage_offset() + a.numel();
}
/// The two as one, reached through the first.
at::Tensor joined(const at::Tensor& first) {
  auto shape = first.sizes().vec();
  shape.front() *= 2;
  return first.as_strided(shape, first.strides());
}

/// Along the last dimension; without a copy where they are the halves of one tensor's rows.
at::Tensor beside_each_other(const at::Tensor& a, const at::Tensor& b) {
  auto shape = a.sizes().vec();
  const int64_t size = shape.back();
  shape.back() = 2 * size;
  if (at::GradMode::is_enabled()) return at::cat({a, b}, -1);
  if (detail::are_halves(a, b)) return a.as_strided(shape, a.strides());
  const auto out = at::empty(shape, a.options());
  float* to = out.data_ptr<float>();
  for (const auto& half : {a, b}) {
    const auto rows = detail::row_stride(half) < 0 ? half.contiguous() : half;
    detail::recording::run([rows, out, to, size, stride = detail::row_stride(rows)] {
      const float* from = rows.data_ptr<float>();
      detail::for_blocks(
          rows.numel() / size, size, detail::kPassGrain, [&](const detail::RowBlock& block) {
            for (int64_t r = block.rows.begin; r < block.rows.end; ++r)
              std::copy_n(from + r * stride + block.columns.begin, block.columns.size(),
                          to + 2 * r * size + block.columns.begin);
          });
    });
    to += size;
  }
  return out;
}

/// Two layers side by side, as one.
struct Pair : torch::autograd::Function<Pair> {
  static variable_list forward(AutogradContext* context, const at::Tensor& x,
                               const at::Tensor& first_weight, const at::Tensor& first_bias,
                               const at::Tensor& second_weight, const at::Tensor& second_bias) {
    const detail::BelowAutograd below;
    const auto weight = joined(first_weight), bias = joined(first_bias);
    const auto factors = factors_of(x, weight);
    const auto both = forward_of(factors, bias, Activation::kIdentity);
    context->save_for_backward({x, first_weight, first_bias, second_weight, second_bias, factors.x,
                                factors.weight, weight, bias});
    const auto [first, second] = detail::halves(both);
    return {first, second};
  }

  static variable_list backward(AutogradContext* context, const variable_list& incoming) {
    const auto saved = context->get_saved_variables();
    const variable_list a(saved.begin(), saved.begin() + 5);
    const unsigned wanted = detail::wanted_of(*context, a);
    const auto whole = [&](const at::Tensor& g) {
      auto shape = a[0].sizes().vec();
      shape.back() = a[1].size(0);
      return g.defined() ? g : at::zeros(shape, a[0].options().requires_grad(false));
    };
    const auto g = beside_each_other(whole(incoming[0]), whole(incoming[1]));
    if (at::GradMode::is_enabled())
      return detail::through_twin(
          [](const at::Tensor* t) {
            return at::cat({linear_twin(t[0], t[1], t[2], Activation::kIdentity),
                            linear_twin(t[0], t[3], t[4], Activation::kIdentity)},
                           -1);
          },
          a, g, wanted);
    const detail::BelowAutograd below;
    const unsigned of_joined =
        (wanted & 1U) | ((wanted & 0b01010U) != 0 ? 2U : 0U) | ((wanted & 0b10100U) != 0 ? 4U : 0U);
    const int64_t out = a[1].size(0);
    const auto found = gradients({saved[5], saved[6]}, {saved[7], saved[8]}, g, g,
                                 Activation::kIdentity, of_joined);
    const auto half = [&](const at::Tensor& gradient, int64_t begin) {
      return gradient.defined() ? gradient.narrow(0, begin, out) : gradient;
    };
    return {found.x, half(found.weight, 0), half(found.bias, 0), half(found.weight, out),
            half(found.bias, out)};
  }
};

}  // namespace

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kTanh:
      return x.tanh();
    case Activation::kRelu:
      return x.relu();
    case Activation::kSoftplus:
      return at::softplus(x);
    case Activation::kSigmoid:
      return x.sigmoid();
    case Activation::kIdentity:
      break;
  }
  return x;
}

at::Tensor linear_twin(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                       Activation activation) {
  // Two dimensions, so that the bias joins the product (addmm) whatever the leading ones.
  auto shape = x.sizes().vec();
  shape.back() = weight.size(0);
  const auto y = at::addmm(bias, x.reshape({-1, x.size(-1)}), weight.t());
  return activate(y.view(shape), activation);
}

at::Tensor fused_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        Activation activation) {
  if (!is_fusable(x, weight, bias)) return linear_twin(x, weight, bias, activation);
  if (!detail::wants_graph({x, weight, bias})) return inferred(x, weight, bias, activation);
  return Layer::apply(x, weight, bias, static_cast<int64_t>(activation));
}

std::pair<at::Tensor, at::Tensor> fused_linear_pair(const at::Tensor& x,
                                                    const at::Tensor& first_weight,
                                                    const at::Tensor& first_bias,
                                                    const at::Tensor& second_weight,
                                                    const at::Tensor& second_bias) {
  if (!is_fusable(x, first_weight, first_bias) || first_bias.numel() > detail::kWidestHalf ||
      !are_side_by_side(first_weight, second_weight) || !are_side_by_side(first_bias, second_bias))
    return {fused_linear(x, first_weight, first_bias, Activation::kIdentity),
            fused_linear(x, second_weight, second_bias, Activation::kIdentity)};
  if (!detail::wants_graph({x, first_weight, first_bias, second_weight, second_bias}))
    return detail::halves(
        inferred(x, joined(first_weight), joined(first_bias), Activation::kIdentity));
  const auto both = Pair::apply(x, first_weight, first_bias, second_weight, second_bias);
  return {both[0], both[1]};
}

bool has_bfloat16_products() { return detail::has_bfloat16_product(); }

Bfloat16Products::Bfloat16Products() : Bfloat16Products({}, {}) {}

Bfloat16Products::Bfloat16Products(at::Tensor values, at::Tensor rounded)
    : values_(std::move(values)), rounded_(std::move(rounded)), outer_(innermost) {
  if (!has_bfloat16_products())
    throw ConfigError(
        "precision = bfloat16: this processor does not multiply it (expected one with avx512_bf16 "
        "or amx, and a build with oneDNN); use float32");
  innermost = this;
}
Bfloat16Products::~Bfloat16Products() { innermost = outer_; }

const Bfloat16Products* Bfloat16Products::current() { return innermost; }

at::Tensor Bfloat16Products::round(const at::Tensor& x) const {
  if (rounded_.defined() && x.storage().is_alias_of(values_.storage()) && x.is_contiguous())
    return rounded_.narrow(0, x.storage_offset() - values_.storage_offset(), x.numel())
        .view(x.sizes());
  return detail::to_bfloat16(x);
}

}  // namespace elbo
