#include "elbo/kernels/noise.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "elbo/error.h"
#include "elbo/kernels/elementwise.h"
#include "kernels/detail/blocks.h"
#include "kernels/detail/host.h"
#include "kernels/detail/philox.h"
#include "kernels/detail/recording.h"
#include "kernels/detail/team.h"

namespace elbo {
namespace {

uint64_t mix(uint64_t h) {  // the finaliser of SplitMix64
  h += 0x9e3779b97f4a7c15ull;
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ull;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebull;
  return h ^ (h >> 31);
}

using math::LanesOf;
using math::Pack;
using math::PackOf;
using math::WidePack;
using philox::Counter, philox::Run, philox::Words;

/// 32-bit words as doubles.
template <int L>
ELBO_INLINE PackOf<L> to_double(const typename LanesOf<L>::Bits& word) {
  return math::detail::from_bits<L>(word | 0x4330000000000000) - 0x1p52;
}
/// Two words to (0, 1) with 53 bits; the half keeps both ends out.
template <int L>
ELBO_INLINE PackOf<L> unit(const typename LanesOf<L>::Bits& high,
                           const typename LanesOf<L>::Bits& low) {
  return (to_double<L>(high) * 0x1p21 + to_double<L>(low >> 11) + 0.5) * 0x1p-53;
}

// What a tile makes of eight counters, each one's numbers side by side: two packs of four at a
// time, since the rounds of one wait for one another, or one of eight.
constexpr int64_t kTile = 8;

/// `Tile::store` gives the numbers of one pack of counters.
template <class Tile>
struct TileOf {
  template <class Machine, class Counters>
  ELBO_INLINE static void make(const Counters& counters, uint64_t key, double* out) {
    constexpr int kLanes = Machine::P::kLanes;
    Words<kLanes> words[kTile / kLanes];
    for (int i = 0; i < kTile / kLanes; ++i)
      Machine::generate(counters + i * kLanes, key, words[i]);
    for (const auto& w : words) {
      Tile::template store<kLanes>(w, out);
      out += Tile::kEach * kLanes;
    }
  }
};
/// first[0], second[0], first[1], second[1], ...
template <int L>
ELBO_INLINE void interleave(const typename PackOf<L>::Lanes& first,
                            const typename PackOf<L>::Lanes& second, typename PackOf<L>::Lanes* low,
                            typename PackOf<L>::Lanes* high) {
  if constexpr (L == 4) {
    *low = __builtin_shufflevector(first, second, 0, 4, 1, 5);
    *high = __builtin_shufflevector(first, second, 2, 6, 3, 7);
  } else {
    *low = __builtin_shufflevector(first, second, 0, 8, 1, 9, 2, 10, 3, 11);
    *high = __builtin_shufflevector(first, second, 4, 12, 5, 13, 6, 14, 7, 15);
  }
}
/// The same in pairs: first[0], first[1], second[0], second[1], first[2], ...
template <int L>
ELBO_INLINE void interleave_pairs(const typename PackOf<L>::Lanes& first,
                                  const typename PackOf<L>::Lanes& second,
                                  typename PackOf<L>::Lanes* low, typename PackOf<L>::Lanes* high) {
  if constexpr (L == 4) {
    *low = __builtin_shufflevector(first, second, 0, 1, 4, 5);
    *high = __builtin_shufflevector(first, second, 2, 3, 6, 7);
  } else {
    *low = __builtin_shufflevector(first, second, 0, 1, 8, 9, 2, 3, 10, 11);
    *high = __builtin_shufflevector(first, second, 4, 5, 12, 13, 6, 7, 14, 15);
  }
}
template <int L>
ELBO_INLINE void store_pairs(const PackOf<L>& first, const PackOf<L>& second, double* out) {
  typename PackOf<L>::Lanes lanes[2];
  interleave<L>(first.v, second.v, &lanes[0], &lanes[1]);
  std::memcpy(out, lanes, sizeof lanes);
}

struct Uniforms : TileOf<Uniforms> {
  static constexpr int kEach = 2;
  template <int L>
  ELBO_INLINE static void store(const Words<L>& w, double* out) {
    store_pairs<L>(unit<L>(w[0], w[1]), unit<L>(w[2], w[3]), out);
  }
};
struct Normals : TileOf<Normals> {
  static constexpr int kEach = 2;
  template <int L>
  ELBO_INLINE static void store(const Words<L>& w, double* out) {
    const auto radius = sqrt(-2.0 * log(unit<L>(w[0], w[1])));
    PackOf<L> sine, cosine;
    math::sincos_turns(unit<L>(w[2], w[3]), &sine, &cosine);
    store_pairs<L>(radius * cosine, radius * sine, out);  // Box and Muller
  }
};
/// On (0, 1) with 32 bits.
struct CoarseUniforms : TileOf<CoarseUniforms> {
  static constexpr int kEach = 4;
  template <int L>
  ELBO_INLINE static void store(const Words<L>& w, double* out) {
    const auto coarse = [&](size_t k) { return ((to_double<L>(w[k]) + 0.5) * 0x1p-32).v; };
    typename PackOf<L>::Lanes even[2], odd[2], lanes[4];  // of the words 0 and 1, 2 and 3
    interleave<L>(coarse(0), coarse(1), &even[0], &even[1]);
    interleave<L>(coarse(2), coarse(3), &odd[0], &odd[1]);
    interleave_pairs<L>(even[0], odd[0], &lanes[0], &lanes[1]);
    interleave_pairs<L>(even[1], odd[1], &lanes[2], &lanes[3]);
    std::memcpy(out, lanes, sizeof lanes);
  }
};
/// Two uniform packs from the first four counters.
struct UniformPacks {
  template <class Machine>
  ELBO_INLINE static void make(const Counter* counters, uint64_t key, Pack* out) {
    Words<Pack::kLanes> w;
    Machine::generate(counters, key, w);
    out[0] = unit<Pack::kLanes>(w[0], w[1]);
    out[1] = unit<Pack::kLanes>(w[2], w[3]);
  }
};

template <class Tile, class Counters, class T>
void make_plain(const Counters& counters, uint64_t key, T* out) {
  Tile::template make<philox::Plain>(counters, key, out);
}
#if defined(ELBO_HAS_AVX2_LOOPS)
template <class Tile, class Counters, class T>
ELBO_AVX2 void make_avx2(const Counters& counters, uint64_t key, T* out) {
  Tile::template make<philox::Avx2>(counters, key, out);
}
template <class Tile, class Counters, class T>
ELBO_AVX512 void make_avx512(const Counters& counters, uint64_t key, T* out) {
  Tile::template make<philox::Avx512>(counters, key, out);
}
#endif

template <class Tile, class Counters, class T>
using Make = void (*)(const Counters& counters, uint64_t key, T* out);
template <class Tile, class Counters, class T>
Make<Tile, Counters, T> make_for_machine() {
#if defined(ELBO_HAS_AVX2_LOOPS)
  if constexpr (std::is_same_v<T, double>)
    if (math::has_avx512()) return make_avx512<Tile, Counters, T>;
  if (math::has_avx2()) return make_avx2<Tile, Counters, T>;
#endif
  return make_plain<Tile, Counters, T>;
}
/// `counters` is an array of them, or a Run.
template <class Tile, class Counters, class T>
void make(const Counters& counters, uint64_t key, T* out) {
  static const auto run = make_for_machine<Tile, Counters, T>();
  run(counters, key, out);
}

}  // namespace

Noise::Noise(uint64_t seed, uint64_t step) : key_(mix(seed)), step_(step) {}

Noise Noise::site(std::string_view name) const {
  uint64_t h = 0xcbf29ce484222325ull;  // FNV-1a
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  Noise out = *this;
  out.key_ = mix(key_ ^ mix(h));
  return out;
}

Noise Noise::step(uint64_t step) const {
  Noise out = *this;
  out.step_ = step;
  return out;
}

Noise Noise::rows(at::Tensor rows) const {
  if (rows.dim() != 1 || rows.scalar_type() != at::kLong)
    throw ShapeError("Noise::rows: expected int64 [R]");
  Noise out = *this;
  out.rows_ = rows.to(at::kCPU).contiguous();
  return out;
}

Noise Noise::draws(int64_t count, int64_t first) const {
  return rows(at::arange(first, first + count, at::kLong));
}

Noise Noise::particles(int64_t count, int64_t first) const {
  Noise out = *this;
  out.num_particles_ = count;
  out.first_particle_ = first;
  return out;
}

Noise::Layout Noise::layout_of(const at::Tensor& out) const {
  Layout layout;
  layout.rows = rows_.defined() ? rows_.numel() : 1;
  layout.groups = num_particles_ * layout.rows;
  if (layout.groups == 0 || out.numel() % layout.groups != 0)
    throw ShapeError("Noise: a tensor of " + std::to_string(out.numel()) +
                     " elements does not divide into " + std::to_string(num_particles_) +
                     " particles of " + std::to_string(layout.rows) + " rows");
  layout.event = out.numel() / layout.groups;
  layout.row_ids = rows_.defined() ? rows_.data_ptr<int64_t>() : nullptr;
  return layout;
}

Noise::Counter Noise::counter(const Layout& layout, int64_t group, int64_t block) const {
  const uint64_t row =
      layout.row_ids ? static_cast<uint64_t>(layout.row_ids[group % layout.rows]) : 0;
  const auto particle = static_cast<uint64_t>(first_particle_ + group / layout.rows);
  // 32 bits of step, 40 of row, 24 of particle, 32 of element block.
  return {static_cast<uint32_t>(block), static_cast<uint32_t>(row), static_cast<uint32_t>(step_),
          static_cast<uint32_t>((row >> 32) << 24 | (particle & 0xffffff))};
}

template <class Tile, class Sink>
void Noise::for_each_block(const Layout& layout, const Sink& sink) const {
  constexpr int64_t kEach = Tile::kEach, kMade = kTile * kEach;
  const int64_t event = layout.event, blocks = (event + kEach - 1) / kEach;
  // Blocks, not rows, are divided among the threads: one event may be all there is.
  detail::parallel_for(0, layout.groups * blocks, 4096, [&](int64_t begin, int64_t end) {
    int64_t group = begin / blocks, block = begin % blocks;
    int64_t first = group * event + block * kEach, count = 0;
    Counter of_group = counter(layout, group, 0);
    alignas(64) double numbers[blocks::kSize + kMade];
    // The next blocks, of more events than one; gives how many numbers they have.
    const auto make_across = [&](int64_t these, double* made) {
      Counter counters[kTile] = {};
      int64_t room[kTile] = {}, total = 0;
      for (int64_t b = 0; b < these; ++b) {
        if (block == blocks) {
          block = 0;
          of_group = counter(layout, ++group, 0);
        }
        counters[b] = of_group;
        counters[b][0] = static_cast<uint32_t>(block);
        room[b] = std::min(kEach, event - block * kEach);
        total += room[b];
        ++block;
      }
      make<Tile>(static_cast<const Counter*>(counters), key_, made);
      if (total == kMade) return total;
      int64_t kept = 0;  // close the gaps behind events that do not fill their last block
      for (int64_t b = 0; b < these; ++b)
        for (int64_t k = 0; k < room[b]; ++k) made[kept++] = made[b * kEach + k];
      return total;
    };
    for (int64_t i = begin; i < end; i += kTile) {
      int64_t total = kMade;
      if (i + kTile <= end && (block + kTile) * kEach <= event) {
        of_group[0] = static_cast<uint32_t>(block);
        make<Tile>(Run{of_group}, key_, numbers + count);
        block += kTile;
      } else {
        total = make_across(std::min(kTile, end - i), numbers + count);
      }
      count += total;
      if (count < blocks::kSize && i + kTile < end) continue;
      sink(first, count, numbers);
      first += count;
      count = 0;
    }
  });
}

template <class Kernel>
void Noise::run(const Kernel& kernel) const {
  kernel(*this);
  if (!detail::recording::is_active()) return;
  if (step_ != detail::recording::step())
    detail::recording::refuse("noise of another step");
  else
    detail::recording::add(
        [noise = *this, kernel](uint64_t now) mutable { kernel(noise = noise.step(now)); });
}

template <class Tile>
at::Tensor Noise::fill(at::IntArrayRef shape, const at::TensorOptions& options) const {
  auto out = detail::empty_on_host(shape, options);
  run([out](const Noise& noise) {
    AT_DISPATCH_FLOATING_TYPES(out.scalar_type(), "Noise", [&] {
      scalar_t* data = out.data_ptr<scalar_t>();
      // Rounding to float32 may reach 1: uniform numbers stay below it.
      constexpr bool kBounded = !std::is_same_v<Tile, Normals>;
      const double last = std::nextafter(scalar_t(1), scalar_t(0));
      noise.for_each_block<Tile>(noise.layout_of(out),
                                 [&](int64_t first, int64_t count, double* numbers) {
                                   if (kBounded) blocks::clamp(numbers, 0, last, count);
                                   blocks::convert(numbers, data + first, count);
                                 });
    });
  });
  return detail::on_device(out, options.device());
}

namespace {

/// Detached, on the CPU, and either one number or as many as there are draws.
std::vector<at::Tensor> held_parameters(at::TensorList parameters, at::IntArrayRef shape) {
  std::vector<at::Tensor> held;
  for (const auto& p : parameters) {
    const auto cpu = p.detach().to(at::kCPU);
    held.push_back(cpu.numel() == 1 ? cpu.reshape({1}) : cpu.expand(shape).contiguous());
  }
  return held;
}

}  // namespace

template <class Tile>
at::Tensor Noise::fill(const Formula& formula, at::IntArrayRef shape,
                       at::TensorList parameters) const {
  const auto options = parameters[0].options().requires_grad(false);
  auto out = detail::empty_on_host(shape, options);
  const auto held = held_parameters(parameters, shape);
  constexpr int64_t kRoom = blocks::kSize + kTile * Tile::kEach;
  run([out, held, &formula](const Noise& noise) {
    AT_DISPATCH_FLOATING_TYPES(out.scalar_type(), "Noise::draw", [&] {
      scalar_t* data = out.data_ptr<scalar_t>();
      const Bounds bounded = bounds(formula.inside, out.scalar_type() == at::kDouble);
      const auto sink = [&](int64_t first, int64_t count, double* numbers) {
        alignas(64) double room[Formula::kMaxArity][kRoom];
        const double* in[Formula::kMaxArity] = {numbers};
        blocks::pad(numbers, count);
        for (size_t k = 0; k < held.size(); ++k) {
          const scalar_t* values = held[k].template data_ptr<scalar_t>();
          if (held[k].numel() == 1) {
            std::fill_n(room[k], blocks::padded(count), static_cast<double>(*values));
          } else {
            blocks::convert(values + first, room[k], count);
            blocks::pad(room[k], count);
          }
          in[k + 1] = room[k];
        }
        double* made = room[held.size()];
        formula.values(in, made, blocks::padded(count));
        if (formula.inside != Inside::kAnywhere)
          blocks::clamp(made, bounded.lower, bounded.upper, count);
        blocks::convert(made, data + first, count);
      };
      noise.for_each_block<Tile>(noise.layout_of(out), sink);
    });
  });
  return detail::on_device(out, options.device());
}

at::Tensor Noise::draw(const Formula& formula, Numbers numbers, at::IntArrayRef shape,
                       at::TensorList parameters) const {
  TORCH_INTERNAL_ASSERT(formula.arity == static_cast<int>(parameters.size()) + 1);
  return numbers == Numbers::kNormal ? fill<Normals>(formula, shape, parameters)
                                     : fill<Uniforms>(formula, shape, parameters);
}

template <>
void Noise::Stream<double>::refill() {
  const Counter& c = counters_[0];
  const uint64_t k = mix(key_ + ++attempt_);
  const auto w = philox::Generator()(philox::Generator::ctr_type{{c[0], c[1], c[2], c[3]}},
                                     {{static_cast<uint32_t>(k), static_cast<uint32_t>(k >> 32)}});
  for (size_t i = 0; i < kTogether; ++i) {
    const uint64_t bits = (static_cast<uint64_t>(w[2 * i]) << 32 | w[2 * i + 1]) >> 11;
    uniforms_[i] = (static_cast<double>(bits) + 0.5) * 0x1p-53;
  }
  used_ = 0;
}

template <>
void Noise::Stream<Pack>::refill() {
  make<UniformPacks>(static_cast<const Counter*>(counters_.data()), mix(key_ + ++attempt_),
                     uniforms_.data());
  used_ = 0;
}

template <class V>
Noise::Stream<V> Noise::Stream<V>::split(uint64_t index) const {
  return Stream(mix(key_ ^ mix(index)), counters_);
}
template class Noise::Stream<double>;
template class Noise::Stream<Pack>;

template <class V, class Element>
at::Tensor Noise::draw_with(at::IntArrayRef shape, at::TensorList parameters,
                            const Element& element) const {
  static constexpr int64_t kLanes = Stream<V>::kLanes;
  constexpr size_t kMaxParameters = 4;
  if (parameters.size() > kMaxParameters) throw ShapeError("Noise::draw: at most 4 parameters");
  const auto& options = parameters[0].options();
  auto out = detail::empty_on_host(shape, options);
  const auto held = held_parameters(parameters, shape);
  run([out, held, element](const Noise& noise) {
    const Layout layout = noise.layout_of(out);
    AT_DISPATCH_FLOATING_TYPES(out.scalar_type(), "Noise::draw", [&] {
      scalar_t* data = out.data_ptr<scalar_t>();
      std::array<const scalar_t*, kMaxParameters> values{};
      std::array<int64_t, kMaxParameters> step{};
      for (size_t k = 0; k < held.size(); ++k) {
        values[k] = held[k].template data_ptr<scalar_t>();
        step[k] = held[k].numel() == 1 ? 0 : 1;
      }
      detail::parallel_for(0, out.numel(), 1024, [&](int64_t begin, int64_t end) {
        int64_t group = begin / layout.event, place = begin % layout.event;
        for (int64_t i = begin; i < end; i += kLanes) {
          const int64_t count = std::min(kLanes, end - i);
          std::array<Counter, static_cast<size_t>(kLanes)> counters{};
          double lanes[kMaxParameters][kLanes];
          for (int64_t lane = 0; lane < kLanes; ++lane) {
            const int64_t at = i + std::min(lane, count - 1);  // the last fills the pack
            for (size_t k = 0; k < held.size(); ++k)
              lanes[k][lane] = static_cast<double>(values[k][at * step[k]]);
            counters[static_cast<size_t>(lane)] = noise.counter(layout, group, place);
            if (lane < count && ++place == layout.event) {
              place = 0;
              ++group;
            }
          }
          V arguments[kMaxParameters];
          for (size_t k = 0; k < held.size(); ++k)
            std::memcpy(static_cast<void*>(&arguments[k]), lanes[k], sizeof lanes[k]);
          Stream<V> stream(noise.key_, counters);
          const V made = element(stream, arguments);
          double result[kLanes];
          std::memcpy(result, &made, sizeof result);
          for (int64_t lane = 0; lane < count; ++lane)
            data[i + lane] = static_cast<scalar_t>(result[lane]);
        }
      });
    });
  });
  return detail::on_device(out, options.device());
}

at::Tensor Noise::draw(Sampler sampler, at::IntArrayRef shape, at::TensorList parameters) const {
  return draw_with<double>(shape, parameters, sampler);
}

at::Tensor Noise::draw(PackSampler sampler, at::IntArrayRef shape,
                       at::TensorList parameters) const {
  return draw_with<Pack>(shape, parameters, [sampler](Stream<Pack>& stream, const Pack* p) {
    Pack out;
    sampler(stream, p, &out);
    return out;
  });
}

at::Tensor Noise::uniform(at::IntArrayRef shape, const at::TensorOptions& options) const {
  return fill<Uniforms>(shape, options);
}

at::Tensor Noise::normal(at::IntArrayRef shape, const at::TensorOptions& options) const {
  return fill<Normals>(shape, options);
}

at::Tensor Noise::bernoulli(const at::Tensor& probs) const {
  const auto p = probs.detach();
  if (!p.is_cpu()) {  // the same comparisons, where the probabilities are
    const auto numbers = fill<CoarseUniforms>(p.sizes(), p.options().dtype(at::kDouble));
    return numbers.lt(p).to(p.scalar_type());
  }
  const auto out = p.clone(at::MemoryFormat::Contiguous);
  bernoulli_in_place(out);
  return out;
}

void Noise::bernoulli_in_place(const at::Tensor& probs) const {
  if (!probs.is_cpu() || !probs.is_contiguous())
    throw ShapeError("Noise::bernoulli_in_place: expected a contiguous tensor on the CPU");
  run([probs](const Noise& noise) {
    AT_DISPATCH_FLOATING_TYPES(probs.scalar_type(), "Noise::bernoulli_in_place", [&] {
      scalar_t* p = probs.data_ptr<scalar_t>();
      // 32 bits decide: the probability is off by at most 2^-33.
      noise.for_each_block<CoarseUniforms>(
          noise.layout_of(probs), [&](int64_t first, int64_t count, const double* numbers) {
            blocks::are_below(numbers, p + first, count);
          });
    });
  });
}

}  // namespace elbo
