#include "elbo/kernels/eventwise.h"

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "kernels/detail/recording.h"
#include "kernels/detail/simd.h"
#include "kernels/detail/sum_to.h"
#include "kernels/detail/team.h"
#include "kernels/detail/through_twin.h"

namespace elbo {
namespace {

using math::Pack;
using torch::autograd::variable_list;

constexpr int64_t kLanes = Pack::kLanes;
/// Packs that an event's arguments may take: what is larger belongs to the BLAS of the twin.
constexpr int64_t kLargest = 1024;
/// Events whose share of a common argument's gradient is summed before it is added to the others.
constexpr int64_t kChunk = 1024;

/// An argument as rows of one event each, or a single one that all share.
struct Operand {
  at::Tensor rows;
  int64_t size = 1;
  bool shared = false;
};

int64_t event_size(const at::Tensor& x, int event_dims) {
  int64_t size = 1;
  for (int i = 1; i <= event_dims; ++i) size *= x.size(-i);
  return size;
}

std::vector<int64_t> batch_of(const at::Tensor& x, int event_dims) {
  return x.sizes().slice(0, static_cast<size_t>(x.dim() - event_dims)).vec();
}

struct Layout {
  std::vector<int64_t> batch;
  int64_t events = 1;
  int64_t sizes[EventFormula::kMaxArity] = {};
  std::vector<Operand> operands;

  Layout(const EventFormula& formula, const variable_list& arguments) {
    for (int k = 0; k < formula.arity; ++k)
      batch =
          at::infer_size(batch, batch_of(arguments[static_cast<size_t>(k)], formula.event_dims[k]));
    for (const int64_t extent : batch) events *= extent;
    for (int k = 0; k < formula.arity; ++k) {
      const auto x = arguments[static_cast<size_t>(k)].detach();
      Operand operand;
      operand.size = event_size(x, formula.event_dims[k]);
      operand.shared = x.numel() == operand.size;
      sizes[k] = operand.size;
      auto full = batch;
      for (int i = formula.event_dims[k]; i > 0; --i) full.push_back(x.size(-i));
      operand.rows = (operand.shared ? x : x.expand(full)).contiguous();
      operands.push_back(std::move(operand));
    }
  }
};

/// Four rows and their transpose, four packs: of a number of each row.
typedef float Four __attribute__((vector_size(16)));

ELBO_INLINE void transpose(Four& a, Four& b, Four& c, Four& d) {
  typedef int32_t Order __attribute__((vector_size(16)));
  const Four ab_low = __builtin_shuffle(a, b, Order{0, 4, 1, 5});
  const Four ab_high = __builtin_shuffle(a, b, Order{2, 6, 3, 7});
  const Four cd_low = __builtin_shuffle(c, d, Order{0, 4, 1, 5});
  const Four cd_high = __builtin_shuffle(c, d, Order{2, 6, 3, 7});
  a = __builtin_shuffle(ab_low, cd_low, Order{0, 1, 4, 5});
  b = __builtin_shuffle(ab_low, cd_low, Order{2, 3, 6, 7});
  c = __builtin_shuffle(ab_high, cd_high, Order{0, 1, 4, 5});
  d = __builtin_shuffle(ab_high, cd_high, Order{2, 3, 6, 7});
}

/// to[i] = number i of each of four rows
template <class T>
struct Gather {
  static void run(const T* const* rows, int64_t size, Pack* to) {
    int64_t i = 0;
    if constexpr (std::is_same_v<T, float>) {
      for (; i + kLanes <= size; i += kLanes) {
        Four x[kLanes];
        for (int64_t lane = 0; lane < kLanes; ++lane)
          std::memcpy(&x[lane], rows[lane] + i, sizeof x[0]);
        transpose(x[0], x[1], x[2], x[3]);
        for (int64_t k = 0; k < kLanes; ++k)
          to[i + k].v = __builtin_convertvector(x[k], Pack::Lanes);
      }
    }
    for (; i < size; ++i)
      for (int64_t lane = 0; lane < kLanes; ++lane)
        to[i].v[lane] = static_cast<double>(rows[lane][i]);
  }
};

/// rows[lane][i] = slopes[i] by, in this lane, for the first `count` rows
template <class T>
struct Scatter {
  static void run(const Pack* slopes, const Pack& by, int64_t size, int64_t count, T* const* rows) {
    int64_t i = 0;
    if constexpr (std::is_same_v<T, float>) {
      for (; i + kLanes <= size; i += kLanes) {
        Four x[kLanes];
        for (int64_t k = 0; k < kLanes; ++k)
          x[k] = __builtin_convertvector((slopes[i + k] * by).v, Four);
        transpose(x[0], x[1], x[2], x[3]);
        for (int64_t lane = 0; lane < count; ++lane)
          std::memcpy(rows[lane] + i, &x[lane], sizeof x[0]);
      }
    }
    for (; i < size; ++i) {
      const Pack product = slopes[i] * by;
      for (int64_t lane = 0; lane < count; ++lane) rows[lane][i] = static_cast<T>(product.v[lane]);
    }
  }
};

/// sums[i] += slopes[i] by
struct Accumulate {
  static void run(const Pack* __restrict slopes, const Pack& by, int64_t size,
                  Pack* __restrict sums) {
    for (int64_t i = 0; i < size; ++i) sums[i] = sums[i] + slopes[i] * by;
  }
};

/// Four events side by side, from `first` on; the last stands for those beyond it.
template <class T>
void load_as(const Operand& operand, int64_t first, int64_t events, Pack* to) {
  static const auto run =
      simd::Compiled<Gather<T>>::template for_machine<const T* const*, int64_t, Pack*>();
  const T* data = operand.rows.data_ptr<T>();
  const T* rows[kLanes];
  for (int64_t lane = 0; lane < kLanes; ++lane)
    rows[lane] = data + (operand.shared ? 0 : std::min(first + lane, events - 1) * operand.size);
  run(rows, operand.size, to);
}
void load(const Operand& operand, int64_t first, int64_t events, Pack* to) {
  if (operand.rows.scalar_type() == at::kDouble)
    load_as<double>(operand, first, events, to);
  else
    load_as<float>(operand, first, events, to);
}

/// The arguments of four events, and room for what is computed of them.
class Workspace {
 public:
  Workspace(const Layout& layout, bool with_slopes) : layout_(layout) {
    const auto arity = layout.operands.size();
    int64_t total = 0;
    for (const auto& operand : layout.operands) total += operand.size;
    packs_.resize(static_cast<size_t>((with_slopes ? 3 : 2) * total));
    Pack* next = packs_.data();
    for (size_t k = 0; k < arity; ++k, next += layout.sizes[k - 1]) in_[k] = next;
    if (with_slopes)
      for (size_t k = 0; k < arity; ++k, next += layout.sizes[k - 1]) slopes_[k] = next;
    room_ = next;
    for (size_t k = 0; k < arity; ++k)
      if (layout.operands[k].shared) load(layout.operands[k], 0, 1, in_[k]);
  }
  void take(int64_t first) {
    for (size_t k = 0; k < layout_.operands.size(); ++k)
      if (!layout_.operands[k].shared) load(layout_.operands[k], first, layout_.events, in_[k]);
  }
  [[nodiscard]] const Pack* const* in() const { return in_; }
  [[nodiscard]] Pack* const* slopes() const { return slopes_; }
  [[nodiscard]] Pack* room() const { return room_; }

 private:
  const Layout& layout_;
  std::vector<Pack> packs_;
  Pack* in_[EventFormula::kMaxArity] = {};
  Pack* slopes_[EventFormula::kMaxArity] = {};
  Pack* room_ = nullptr;
};

int64_t chunks_of(const Layout& layout) { return (layout.events + kChunk - 1) / kChunk; }

at::Tensor values(const EventFormula& formula, const variable_list& arguments) {
  const Layout layout(formula, arguments);
  auto out = at::empty(layout.batch, arguments[0].options().dtype(at::kDouble));
  auto* to = out.data_ptr<double>();
  detail::recording::refuse("values of a law over vectors");
  detail::parallel_for(0, chunks_of(layout), 1, [&](int64_t begin, int64_t end) {
    Workspace work(layout, false);
    Pack result;
    const int64_t stop = std::min(end * kChunk, layout.events);
    for (int64_t first = begin * kChunk; first < stop; first += kLanes) {
      work.take(first);
      formula.value(work.in(), layout.sizes, work.room(), &result);
      for (int64_t lane = 0; lane < std::min(kLanes, stop - first); ++lane)
        to[first + lane] = result.v[lane];
    }
  });
  return out;
}

/// slope times the gradient of the event's value, to each event's own row.
template <class T>
void store(const Pack* slopes, const Pack& gradient, int64_t size, int64_t first, int64_t count,
           T* to) {
  static const auto run =
      simd::Compiled<Scatter<T>>::template for_machine<const Pack*, const Pack&, int64_t, int64_t,
                                                       T* const*>();
  T* rows[kLanes];
  for (int64_t lane = 0; lane < kLanes; ++lane)
    rows[lane] = to + (first + std::min(lane, count - 1)) * size;
  run(slopes, gradient, size, count, rows);
}

variable_list gradients(const EventFormula& formula, const variable_list& arguments,
                        const at::Tensor& gradient, unsigned wanted) {
  const Layout layout(formula, arguments);
  const auto arity = layout.operands.size();
  const auto incoming = gradient.expand(layout.batch).contiguous();
  const auto* g = incoming.data_ptr<double>();
  detail::recording::refuse("gradients of a law over vectors");
  static const auto add_up =
      simd::Compiled<Accumulate>::for_machine<const Pack*, const Pack&, int64_t, Pack*>();
  // A row for each event, or for each chunk where all share the argument.
  variable_list rows(arity);
  for (size_t k = 0; k < arity; ++k) {
    if ((wanted >> k & 1U) == 0) continue;
    const auto& operand = layout.operands[k];
    rows[k] = operand.shared ? at::zeros({chunks_of(layout), operand.size},
                                         operand.rows.options().dtype(at::kDouble))
                             : at::empty({layout.events, operand.size}, operand.rows.options());
  }
  detail::parallel_for(0, chunks_of(layout), 1, [&](int64_t begin, int64_t end) {
    Workspace work(layout, true);
    std::vector<std::vector<Pack>> sums(arity);
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      for (size_t k = 0; k < arity; ++k)
        if (rows[k].defined() && layout.operands[k].shared)
          sums[k].assign(static_cast<size_t>(layout.sizes[k]), Pack());
      const int64_t stop = std::min((chunk + 1) * kChunk, layout.events);
      for (int64_t first = chunk * kChunk; first < stop; first += kLanes) {
        const int64_t count = std::min(kLanes, stop - first);
        Pack by;  // 0 beyond the last event
        for (int64_t lane = 0; lane < count; ++lane) by.v[lane] = g[first + lane];
        work.take(first);
        formula.slopes(work.in(), layout.sizes, work.room(), work.slopes());
        for (size_t k = 0; k < arity; ++k) {
          if (!rows[k].defined()) continue;
          const int64_t size = layout.sizes[k];
          const Pack* slopes = work.slopes()[k];
          if (layout.operands[k].shared)
            add_up(slopes, by, size, sums[k].data());
          else if (rows[k].scalar_type() == at::kDouble)
            store(slopes, by, size, first, count, rows[k].data_ptr<double>());
          else
            store(slopes, by, size, first, count, rows[k].data_ptr<float>());
        }
      }
      for (size_t k = 0; k < arity; ++k) {
        if (!rows[k].defined() || !layout.operands[k].shared) continue;
        auto* to = rows[k].data_ptr<double>() + chunk * layout.sizes[k];
        for (size_t i = 0; i < sums[k].size(); ++i)
          for (int lane = 0; lane < kLanes; ++lane) to[i] += sums[k][i].v[lane];
      }
    }
  });
  variable_list out(arity);
  for (size_t k = 0; k < arity; ++k) {
    if (!rows[k].defined()) continue;
    const auto& x = arguments[k];
    if (layout.operands[k].shared) {
      out[k] = rows[k].sum(0).to(x.scalar_type()).view(x.sizes());
    } else {
      auto full = layout.batch;
      for (int i = formula.event_dims[k]; i > 0; --i) full.push_back(x.size(-i));
      out[k] = detail::sum_to(rows[k].view(full), x.sizes());
    }
  }
  return out;
}

using Apply = detail::FormulaFunction<EventFormula, &values, &gradients>;

}  // namespace

at::Tensor evaluate(const EventFormula& formula, at::TensorList arguments) {
  TORCH_INTERNAL_ASSERT(static_cast<int>(arguments.size()) == formula.arity);
  bool differentiable = false;
  int64_t size = 0;
  for (int k = 0; k < formula.arity; ++k) {
    const auto& a = arguments[static_cast<size_t>(k)];
    size += event_size(a, formula.event_dims[k]);
    if (!a.is_cpu() || size > kLargest) return formula.twin(arguments.data());
    differentiable = differentiable || a.requires_grad();
  }
  if (differentiable && at::GradMode::is_enabled()) return Apply::apply(&formula, arguments);
  return values(formula, arguments.vec());
}

}  // namespace elbo
