#include "elbo/plotting/image_grid.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>

#include "elbo/error.h"
#include "elbo/plotting/png.h"
#include "plotting/detail/canvas.h"

namespace elbo::plotting {
namespace {

/// `images` as contiguous uint8 on the CPU.
at::Tensor to_grey(const at::Tensor& images, const char* argument) {
  const std::string label = std::string("image grid: ") + argument;
  if (!images.defined() || images.dim() != 3 || images.numel() == 0) {
    throw ShapeError(label + ": expected [n, h, w], none of them 0");
  }
  if (images.scalar_type() == at::kByte) return images.to(at::kCPU).contiguous();
  if (!images.is_floating_point()) {
    throw DomainError(label + ": type " + std::string(images.dtype().name()) +
                      "; expected floating or uint8");
  }
  const at::Tensor values = images.detach().to(at::kCPU, at::kFloat);
  if (values.isnan().any().item<bool>()) throw DomainError(label + ": a pixel is NaN");
  return values.clamp(0, 1).mul(255).round().to(at::kByte).contiguous();
}

/// Copies image `index` to (x, y), each of its pixels scale x scale.
void place(const at::Tensor& grey, int64_t index, int scale, int64_t x, int64_t y, Pixels* out) {
  const int64_t height = grey.size(1);
  const int64_t width = grey.size(2);
  const uint8_t* image = grey.data_ptr<uint8_t>() + index * height * width;
  for (int64_t row = 0; row < height * scale; ++row) {
    const uint8_t* source = image + (row / scale) * width;
    uint8_t* target = out->values.data() + ((y + row) * out->width + x) * out->channels;
    for (int64_t column = 0; column < width * scale; ++column) {
      target = std::fill_n(target, out->channels, source[column / scale]);
    }
  }
}

constexpr int64_t kLargestSide = 32767;

int64_t checked_side(int64_t count, int64_t cell, int64_t gap, int64_t margin) {
  if (count > kLargestSide || cell > kLargestSide || gap > kLargestSide ||
      count * (cell + gap) - gap + margin > kLargestSide) {
    throw ShapeError("image grid: more than 32767 pixels wide or high");
  }
  return count * (cell + gap) - gap + margin;
}

}  // namespace

std::vector<std::byte> image_grid_png(const at::Tensor& images, const GridOptions& options) {
  if (options.columns < 1 || options.scale < 1 || options.scale > 64 || options.gap < 0) {
    throw DomainError("image_grid_png: expected columns >= 1, scale 1 to 64, gap >= 0");
  }
  const at::Tensor grey = to_grey(images, "images");
  const int64_t count = grey.size(0);
  const int64_t columns = std::min(options.columns, count);
  const int64_t cell_height = grey.size(1) * options.scale;
  const int64_t cell_width = grey.size(2) * options.scale;
  Pixels out{.width = checked_side(columns, cell_width, options.gap, 0),
             .height = checked_side((count + columns - 1) / columns, cell_height, options.gap, 0),
             .channels = 1,
             .values = {}};
  out.values.assign(static_cast<size_t>(out.width * out.height), options.background);
  for (int64_t i = 0; i < count; ++i) {
    place(grey, i, options.scale, (i % columns) * (cell_width + options.gap),
          (i / columns) * (cell_height + options.gap), &out);
  }
  return encode_png(out);
}

std::vector<std::byte> reconstruction_pairs_png(const at::Tensor& originals,
                                                const at::Tensor& reconstructions,
                                                int64_t columns) {
  if (columns < 1) throw DomainError("reconstruction_pairs_png: expected columns >= 1");
  const at::Tensor above = to_grey(originals, "originals");
  const at::Tensor below = to_grey(reconstructions, "reconstructions");
  if (above.sizes() != below.sizes()) {
    throw ShapeError("reconstruction_pairs_png: originals and reconstructions differ in shape");
  }

  constexpr int64_t kCellAimed = 64;  // pixels: small images are enlarged to about this
  constexpr int64_t kLabelWidth = 112;
  constexpr int64_t kMargin = 12;
  constexpr int64_t kGap = 2;
  constexpr int64_t kPairGap = 14;
  const int64_t count = above.size(0);
  columns = std::min(columns, count);
  const int scale =
      static_cast<int>(std::max<int64_t>(1, kCellAimed / std::max(above.size(1), above.size(2))));
  const int64_t cell_height = above.size(1) * scale;
  const int64_t cell_width = above.size(2) * scale;
  const int64_t rows = (count + columns - 1) / columns;
  const int64_t pair_height = 2 * cell_height + kGap;
  const int64_t width = checked_side(columns, cell_width, kGap, kLabelWidth + kMargin);
  const int64_t height = checked_side(rows, pair_height, kPairGap, 2 * kMargin);

  // Text first, on the empty canvas; the images are then copied over it without resampling.
  detail::Canvas canvas(static_cast<int>(width), static_cast<int>(height), 1);
  canvas.font(13);
  canvas.colour({0.25, 0.27, 0.31});
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t top = kMargin + row * (pair_height + kPairGap);
    const double middle = static_cast<double>(cell_height) / 2 + 5;
    const double right = kLabelWidth - 10;
    canvas.text(right, static_cast<double>(top) + middle, "original", detail::Align::kRight);
    canvas.text(right, static_cast<double>(top + cell_height + kGap) + middle, "reconstructed",
                detail::Align::kRight);
  }
  Pixels out = canvas.pixels();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t x = kLabelWidth + (i % columns) * (cell_width + kGap);
    const int64_t y = kMargin + (i / columns) * (pair_height + kPairGap);
    place(above, i, scale, x, y, &out);
    place(below, i, scale, x, y + cell_height + kGap, &out);
  }
  return encode_png(out);
}

namespace {

std::vector<std::byte> image_panels(const std::vector<ImagePanel>& panels, detail::Format format) {
  if (panels.empty()) throw ShapeError("image_panels: no panels");
  constexpr int64_t kMargin = 16, kTitle = 30, kGap = 24;
  constexpr int64_t kHeightAimed = 840;
  struct Placed {
    int64_t left = 0;
    Pixels grid = {};
  };
  std::vector<Placed> all;
  int64_t left = kMargin, tallest = 0;
  for (const ImagePanel& panel : panels) {
    if (panel.columns < 1) throw DomainError("image_panels: expected columns >= 1");
    const auto grey = to_grey(panel.images, "images");
    const int64_t count = grey.size(0), columns = std::min(panel.columns, count);
    const int64_t rows = (count + columns - 1) / columns;
    const int64_t height = checked_side(rows, grey.size(1), 0, 0);
    const auto scale =
        static_cast<int>(std::clamp<int64_t>((kHeightAimed + height / 2) / height, 1, 64));
    Placed one{.left = left,
               .grid = {.width = checked_side(columns, grey.size(2) * scale, 0, 0),
                        .height = checked_side(rows, grey.size(1) * scale, 0, 0)}};
    one.grid.values.assign(static_cast<size_t>(one.grid.width * one.grid.height), 255);
    for (int64_t i = 0; i < count; ++i)
      place(grey, i, scale, (i % columns) * grey.size(2) * scale,
            (i / columns) * grey.size(1) * scale, &one.grid);
    left += one.grid.width + kGap;
    tallest = std::max(tallest, one.grid.height);
    all.push_back(std::move(one));
  }
  const int64_t width = checked_side(1, left - kGap, 0, kMargin);
  const int64_t height = checked_side(1, tallest, 0, kMargin + kTitle + kMargin);

  detail::Canvas canvas(static_cast<int>(width), static_cast<int>(height), 1, format);
  canvas.font(15, /*bold=*/true);
  canvas.colour({0.13, 0.15, 0.18});
  for (size_t i = 0; i < all.size(); ++i)
    canvas.text(static_cast<double>(all[i].left), kMargin + 14, panels[i].title);
  for (const Placed& one : all)
    canvas.image(static_cast<double>(one.left), kMargin + kTitle, one.grid);
  return canvas.file();
}

}  // namespace

std::vector<std::byte> image_panels_png(const std::vector<ImagePanel>& panels) {
  return image_panels(panels, detail::Format::kPng);
}

std::vector<std::byte> image_panels_svg(const std::vector<ImagePanel>& panels) {
  return image_panels(panels, detail::Format::kSvg);
}

}  // namespace elbo::plotting
