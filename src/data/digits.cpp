#include "elbo/data/digits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "detail/philox_stream.h"

namespace elbo::data {
namespace {

using detail::Domain;
using detail::PhiloxStream;

struct Point {
  double x = 0;
  double y = 0;
};

// A stroke is a smooth curve through its points; a corner is the end of one stroke and the start of
// the next. Points of one glyph with equal coordinates are one point and move together.
using Stroke = std::vector<Point>;

struct Glyph {
  double weight;  // share among the ways to write this digit
  std::vector<Stroke> strokes;
};

// Coordinates: y runs down from -1 to 1, x from about -0.6 to 0.6.
const std::array<std::vector<Glyph>, 10>& glyphs() {
  static const std::array<std::vector<Glyph>, 10> table = {{
      // 0: one loop, begun at the top; begun at the right with the end crossing over.
      {{0.7,
        {{{0.12, -0.93},
          {-0.38, -0.72},
          {-0.62, -0.05},
          {-0.42, 0.7},
          {0.05, 0.95},
          {0.48, 0.62},
          {0.62, -0.08},
          {0.42, -0.72},
          {0.02, -0.95}}}},
       {0.3,
        {{{0.42, -0.72},
          {0.02, -0.95},
          {-0.45, -0.65},
          {-0.6, 0.08},
          {-0.38, 0.78},
          {0.1, 0.95},
          {0.52, 0.5},
          {0.58, -0.2},
          {0.3, -0.8},
          {-0.05, -0.85}}}}},
      // 1: a bar; with a flag; with flag and base.
      {{0.6, {{{0.04, -1.0}, {0.0, 0.0}, {-0.04, 1.0}}}},
       {0.28,
        {{{-0.32, -0.62}, {-0.1, -0.82}, {0.06, -1.0}}, {{0.06, -1.0}, {0.04, 0.0}, {0.02, 1.0}}}},
       {0.12,
        {{{-0.3, -0.65}, {-0.1, -0.82}, {0.05, -1.0}},
         {{0.05, -1.0}, {0.03, 0.0}, {0.0, 0.95}},
         {{-0.38, 0.95}, {0.0, 0.95}, {0.4, 0.92}}}}},
      // 2: corner at the foot; a loop there; a flat wave.
      {{0.4,
        {{{-0.55, -0.5},
          {-0.32, -0.88},
          {0.12, -0.98},
          {0.48, -0.66},
          {0.38, -0.12},
          {-0.05, 0.42},
          {-0.56, 0.88}},
         {{-0.56, 0.88}, {0.0, 0.84}, {0.62, 0.86}}}},
       {0.4,
        {{{-0.52, -0.6},
          {-0.22, -0.94},
          {0.2, -0.94},
          {0.46, -0.58},
          {0.3, -0.05},
          {-0.12, 0.5},
          {-0.48, 0.86},
          {-0.66, 0.74},
          {-0.44, 0.52},
          {-0.02, 0.7},
          {0.32, 0.88},
          {0.66, 0.72}}}},
       {0.2,
        {{{-0.48, -0.76}, {0.0, -0.96}, {0.42, -0.72}, {0.34, -0.2}, {-0.1, 0.36}, {-0.46, 0.78}},
         {{-0.46, 0.78}, {-0.16, 0.7}, {0.22, 0.92}, {0.62, 0.78}}}}},
      // 3: two bowls; flat top with a slanted bar; a small loop in the middle.
      {{0.6,
        {{{-0.48, -0.7},
          {-0.12, -0.96},
          {0.36, -0.84},
          {0.44, -0.46},
          {0.16, -0.12},
          {-0.14, -0.04}},
         {{-0.14, -0.04}, {0.3, 0.04}, {0.54, 0.4}, {0.36, 0.8}, {-0.06, 0.97}, {-0.52, 0.76}}}},
       {0.15,
        {{{-0.48, -0.9}, {0.0, -0.93}, {0.44, -0.94}},
         {{0.44, -0.94}, {0.22, -0.55}, {-0.04, -0.16}},
         {{-0.04, -0.16}, {0.36, -0.06}, {0.54, 0.36}, {0.36, 0.8}, {-0.06, 0.97}, {-0.5, 0.78}}}},
       {0.25,
        {{{-0.44, -0.78},
          {-0.02, -0.97},
          {0.4, -0.74},
          {0.3, -0.3},
          {-0.06, -0.02},
          {-0.2, -0.1},
          {-0.04, -0.18},
          {0.34, 0.02},
          {0.52, 0.42},
          {0.3, 0.84},
          {-0.1, 0.96},
          {-0.5, 0.7}}}}},
      // 4: open top; closed top; one stroke that loops through the bar.
      {{0.5,
        {{{-0.4, -0.88}, {-0.52, -0.4}, {-0.5, 0.02}, {-0.1, 0.1}, {0.56, 0.02}},
         {{0.42, -0.86}, {0.34, 0.05}, {0.26, 1.0}}}},
       {0.28,
        {{{0.3, -0.96}, {-0.16, -0.4}, {-0.6, 0.2}},
         {{-0.6, 0.2}, {0.0, 0.2}, {0.62, 0.16}},
         {{0.3, -0.96}, {0.26, 0.0}, {0.22, 1.0}}}},
       {0.22,
        {{{-0.36, -0.9}, {-0.5, -0.35}, {-0.36, 0.06}, {0.1, 0.04}, {0.4, -0.2}},
         {{0.46, -0.92}, {0.4, -0.2}, {0.34, 0.4}, {0.3, 1.0}}}}},
      // 5: with its bar; drawn in one sweep.
      {{0.7,
        {{{0.52, -0.92}, {0.1, -0.9}, {-0.34, -0.88}},
         {{-0.34, -0.88}, {-0.4, -0.5}, {-0.46, -0.12}},
         {{-0.46, -0.12}, {0.02, -0.28}, {0.46, 0.06}, {0.44, 0.6}, {0.04, 0.95}, {-0.5, 0.78}}}},
       {0.3,
        {{{0.56, -0.88},
          {0.1, -0.94},
          {-0.28, -0.8},
          {-0.36, -0.36},
          {-0.02, -0.14},
          {0.32, 0.14},
          {0.36, 0.62},
          {0.0, 0.94},
          {-0.46, 0.82}}}}},
      // 6: tall curved stem; straight stem with a tight bowl.
      {{0.6,
        {{{0.36, -0.95},
          {-0.1, -0.6},
          {-0.42, -0.02},
          {-0.46, 0.55},
          {-0.1, 0.94},
          {0.34, 0.76},
          {0.42, 0.32},
          {0.08, 0.08},
          {-0.34, 0.36}}}},
       {0.4,
        {{{0.08, -1.0},
          {-0.24, -0.5},
          {-0.42, 0.1},
          {-0.34, 0.74},
          {0.06, 0.94},
          {0.42, 0.66},
          {0.28, 0.3},
          {-0.1, 0.36},
          {-0.32, 0.66}}}}},
      // 7: corner; with a crossbar; with a serif and a curved leg.
      {{0.6,
        {{{-0.52, -0.84}, {0.0, -0.86}, {0.54, -0.92}},
         {{0.54, -0.92}, {0.24, -0.1}, {-0.02, 1.0}}}},
       {0.18,
        {{{-0.52, -0.84}, {0.0, -0.86}, {0.52, -0.92}},
         {{0.52, -0.92}, {0.2, -0.05}, {-0.12, 1.0}},
         {{-0.24, 0.02}, {0.1, 0.0}, {0.48, -0.04}}}},
       {0.22,
        {{{-0.56, -0.5}, {-0.5, -0.84}, {-0.05, -0.82}, {0.5, -0.9}},
         {{0.5, -0.9}, {0.36, -0.35}, {0.06, 0.3}, {0.0, 1.0}}}}},
      // 8: one stroke that crosses itself; two rings.
      {{0.75,
        {{{0.42, -0.78},
          {0.04, -0.97},
          {-0.38, -0.72},
          {-0.3, -0.32},
          {0.12, -0.02},
          {0.42, 0.42},
          {0.26, 0.86},
          {-0.12, 0.95},
          {-0.42, 0.66},
          {-0.28, 0.22},
          {0.12, -0.14},
          {0.4, -0.5},
          {0.36, -0.84}}}},
       {0.25,
        {{{0.08, -0.12},
          {-0.34, -0.34},
          {-0.3, -0.8},
          {0.08, -0.96},
          {0.38, -0.68},
          {0.32, -0.3},
          {0.0, -0.1}},
         {{0.0, -0.1},
          {-0.42, 0.2},
          {-0.4, 0.74},
          {0.0, 0.96},
          {0.42, 0.7},
          {0.38, 0.2},
          {0.04, -0.1}}}}},
      // 9: straight leg; hooked leg; one sweep from the loop into the leg.
      {{0.5,
        {{{0.38, -0.68},
          {0.06, -0.94},
          {-0.38, -0.68},
          {-0.38, -0.28},
          {0.0, -0.12},
          {0.34, -0.4},
          {0.4, -0.66}},
         {{0.4, -0.66}, {0.34, 0.15}, {0.24, 1.0}}}},
       {0.25,
        {{{0.36, -0.7}, {0.02, -0.94}, {-0.4, -0.64}, {-0.34, -0.2}, {0.06, -0.14}, {0.38, -0.5}},
         {{0.38, -0.5}, {0.42, 0.2}, {0.22, 0.82}, {-0.16, 0.96}, {-0.46, 0.74}}}},
       {0.25,
        {{{0.4, -0.82},
          {-0.06, -0.92},
          {-0.42, -0.58},
          {-0.26, -0.16},
          {0.16, -0.26},
          {0.4, -0.64},
          {0.36, -0.1},
          {0.16, 0.46},
          {-0.04, 1.0}}}}},
  }};
  return table;
}

const Glyph& choose_glyph(uint8_t label, PhiloxStream& rng) {
  const std::vector<Glyph>& variants = glyphs()[label];
  double u = rng.uniform();
  for (const Glyph& glyph : variants) {
    if (u < glyph.weight) return glyph;
    u -= glyph.weight;
  }
  return variants.back();
}

// A pen mark: the end of one short straight piece and the start of the next.
struct Mark {
  Point at;
  double radius = 0;    // half the pen's width, in pixels
  bool pen_up = false;  // true for the first mark of a stroke
};

// The shape of one writer's hand on one occasion. All the draws happen here, in this order.
struct Hand {
  double slant, rotation, width, height_taper, pen, size;
  Point shift;
  double jitter;
  struct Wave {
    double amplitude, frequency_x, frequency_y, phase;
  };
  std::array<Wave, 4> warp;  // two for x, two for y

  explicit Hand(PhiloxStream& rng) {
    slant = 0.24 + 0.28 * rng.bell();
    rotation = 0.11 * rng.bell();
    width = 0.92 * std::exp(0.2 * rng.bell());
    height_taper = 0.12 * rng.bell();  // top wider than the bottom, or the reverse
    pen = 1.25 * std::exp(0.22 * rng.bell());
    size = 19.2 + 0.55 * rng.bell();
    shift.x = 0.35 * rng.bell();
    shift.y = 0.35 * rng.bell();
    jitter = 0.04 + 0.03 * rng.uniform();
    for (Wave& wave : warp) {
      wave.amplitude = 0.085 * rng.bell();
      wave.frequency_x = rng.uniform(0.4, 1.7);
      wave.frequency_y = rng.uniform(0.4, 1.7);
      wave.phase = rng.uniform(0.0, 2.0 * std::numbers::pi);
    }
  }

  [[nodiscard]] Point bend(Point p) const {
    double dx = 0;
    double dy = 0;
    for (size_t i = 0; i < warp.size(); ++i) {
      const Wave& wave = warp[i];
      const double value = wave.amplitude * std::sin(wave.frequency_x * p.x * 2.0 +
                                                     wave.frequency_y * p.y * 2.0 + wave.phase);
      (i < 2 ? dx : dy) += value;
    }
    p.x += dx;
    p.y += dy;
    p.x *= width * (1.0 - height_taper * p.y);
    p.x -= slant * p.y * 0.9;
    const double c = std::cos(rotation);
    const double s = std::sin(rotation);
    return {c * p.x - s * p.y, s * p.x + c * p.y};
  }
};

// Catmull-Rom: the cubic through b and c with the slopes of their neighbours.
double through(double a, double b, double c, double d, double t) {
  return b +
         0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)));
}

std::vector<Mark> write_glyph(const Glyph& glyph, PhiloxStream& rng) {
  const Hand hand(rng);
  constexpr int kPieces = 5;  // straight pieces between two control points

  std::vector<std::pair<Point, Point>> moved;  // nominal point, where the hand put it
  std::vector<Mark> marks;
  for (const Stroke& nominal : glyph.strokes) {
    Stroke stroke;
    for (const Point& p : nominal) {
      const auto known = std::find_if(moved.begin(), moved.end(), [&](const auto& entry) {
        return entry.first.x == p.x && entry.first.y == p.y;
      });
      if (known != moved.end()) {
        stroke.push_back(known->second);
        continue;
      }
      Point q;
      q.x = p.x + hand.jitter * rng.bell();
      q.y = p.y + hand.jitter * rng.bell();
      moved.emplace_back(p, q);
      stroke.push_back(q);
    }
    // Pressure swells and fades along the stroke; a stroke may start or end a little early.
    const double swell = 0.14 * rng.bell();
    const double swell_phase = rng.uniform(0.0, 2.0 * std::numbers::pi);
    const double fade = 0.12 * rng.bell();
    const size_t spans = stroke.size() - 1;
    for (size_t i = 0; i < spans; ++i) {
      const Point& b = stroke[i];
      const Point& c = stroke[i + 1];
      // Beyond the ends the curve goes on as it began.
      const Point a = i > 0 ? stroke[i - 1] : Point{2 * b.x - c.x, 2 * b.y - c.y};
      const Point d = i + 2 < stroke.size() ? stroke[i + 2] : Point{2 * c.x - b.x, 2 * c.y - b.y};
      for (int k = i == 0 ? 0 : 1; k <= kPieces; ++k) {
        const double t = static_cast<double>(k) / kPieces;
        const double along = (static_cast<double>(i) + t) / static_cast<double>(spans);
        Mark mark;
        mark.at = hand.bend({through(a.x, b.x, c.x, d.x, t), through(a.y, b.y, c.y, d.y, t)});
        mark.radius =
            hand.pen * (1.0 + swell * std::sin(5.0 * along + swell_phase) + fade * (along - 0.5));
        mark.pen_up = i == 0 && k == 0;
        marks.push_back(mark);
      }
    }
  }

  // As MNIST was made: scale the ink to a box of about 20 pixels, put its centre of mass in the
  // middle of the 28.
  Point low{1e9, 1e9};
  Point high{-1e9, -1e9};
  for (const Mark& mark : marks) {
    low.x = std::min(low.x, mark.at.x);
    low.y = std::min(low.y, mark.at.y);
    high.x = std::max(high.x, mark.at.x);
    high.y = std::max(high.y, mark.at.y);
  }
  const double extent = std::max(high.x - low.x, high.y - low.y);
  const double scale = (hand.size - 2.0 * hand.pen) / extent;
  Point mass;
  double ink = 0;
  for (Mark& mark : marks) {
    mark.at.x *= scale;
    mark.at.y *= scale;
  }
  for (size_t i = 1; i < marks.size(); ++i) {
    if (marks[i].pen_up) continue;
    const Point& p = marks[i - 1].at;
    const Point& q = marks[i].at;
    const double length = std::sqrt((q.x - p.x) * (q.x - p.x) + (q.y - p.y) * (q.y - p.y));
    mass.x += 0.5 * length * (p.x + q.x);
    mass.y += 0.5 * length * (p.y + q.y);
    ink += length;
  }
  const double middle = 0.5 * static_cast<double>(kDigitSide - 1);
  for (Mark& mark : marks) {
    mark.at.x += middle - mass.x / ink + hand.shift.x;
    mark.at.y += middle - mass.y / ink + hand.shift.y;
  }
  return marks;
}

// One straight piece with a soft edge: full ink within the radius, none beyond radius + soft.
void draw_piece(const Mark& from, const Mark& to, double soft, double ink, float* canvas) {
  constexpr int kSide = static_cast<int>(kDigitSide);
  const double reach = std::max(from.radius, to.radius) + 0.5 * soft;
  const auto first = [&](double v) {
    return std::clamp(static_cast<int>(std::ceil(v - reach)), 0, kSide);
  };
  const auto last = [&](double v) {
    return std::clamp(static_cast<int>(std::floor(v + reach)), -1, kSide - 1);
  };
  const int x0 = first(std::min(from.at.x, to.at.x));
  const int x1 = last(std::max(from.at.x, to.at.x));
  const int y0 = first(std::min(from.at.y, to.at.y));
  const int y1 = last(std::max(from.at.y, to.at.y));
  const double dx = to.at.x - from.at.x;
  const double dy = to.at.y - from.at.y;
  const double length2 = std::max(dx * dx + dy * dy, 1e-12);
  for (int y = y0; y <= y1; ++y) {
    for (int x = x0; x <= x1; ++x) {
      const double px = x - from.at.x;
      const double py = y - from.at.y;
      const double t = std::clamp((px * dx + py * dy) / length2, 0.0, 1.0);
      const double ex = px - t * dx;
      const double ey = py - t * dy;
      const double distance = std::sqrt(ex * ex + ey * ey);
      const double radius = from.radius + t * (to.radius - from.radius);
      const double cover = std::clamp((radius - distance) / soft + 0.5, 0.0, 1.0) * ink;
      float& pixel = canvas[y * kSide + x];
      pixel = std::max(pixel, static_cast<float>(std::min(cover, 1.0)));
    }
  }
}

void draw_digit(uint64_t seed, uint64_t index, uint8_t label, uint8_t* image) {
  PhiloxStream rng(seed, Domain::kDigitStrokes, index);
  const Glyph& glyph = choose_glyph(label, rng);
  const double soft = rng.uniform(0.95, 1.5);
  const double ink = rng.uniform(0.97, 1.12);
  const std::vector<Mark> marks = write_glyph(glyph, rng);
  std::array<float, kDigitSide * kDigitSide> canvas{};
  for (size_t i = 1; i < marks.size(); ++i) {
    if (!marks[i].pen_up) draw_piece(marks[i - 1], marks[i], soft, ink, canvas.data());
  }
  for (size_t i = 0; i < canvas.size(); ++i) {
    image[i] = static_cast<uint8_t>(canvas[i] * 255.0F + 0.5F);
  }
}

// Each ten indices share one shuffle of the ten labels.
uint8_t label_of(uint64_t seed, uint64_t index) {
  PhiloxStream rng(seed, Domain::kDigitLabels, index / 10);
  std::array<uint8_t, 10> order = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[rng.below(i + 1)]);
  return order[index % 10];
}

}  // namespace

Labelled make_digits(uint64_t seed, int64_t first, int64_t count) {
  if (first < 0 || count < 0) {
    throw DomainError("make_digits: first = " + std::to_string(first) +
                      ", count = " + std::to_string(count) + "; expected neither negative");
  }
  Labelled digits{Array::zeros({count, kDigitSide, kDigitSide}, DType::kUInt8),
                  Array::zeros({count}, DType::kUInt8)};
  uint8_t* images = digits.images.as<uint8_t>();
  uint8_t* labels = digits.labels.as<uint8_t>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t index = static_cast<uint64_t>(first) + static_cast<uint64_t>(i);
    labels[i] = label_of(seed, index);
    draw_digit(seed, index, labels[i], images + i * kDigitSide * kDigitSide);
  }
  return digits;
}

}  // namespace elbo::data
