// Grey-scale images laid out in a grid.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace elbo::plotting {

struct GridOptions {
  int64_t columns = 10;
  int scale = 1;             ///< each pixel becomes scale x scale
  int gap = 0;               ///< pixels between images, after scaling
  uint8_t background = 255;  ///< grey of the gaps and of an unfilled last row
};

/// An 8-bit grey PNG of the images, row by row.
/// Shapes: images [n, h, w]. Ranges: floating in [0, 1] (beyond: clamped), or uint8.
/// Throws: ShapeError; DomainError for NaN, another type, or options out of range.
[[nodiscard]] std::vector<std::byte> image_grid_png(const at::Tensor& images,
                                                    const GridOptions& options);

/// Originals above their reconstructions, `columns` pairs a row, labelled; an 8-bit RGB PNG.
/// Shapes, ranges and errors as above, for both tensors, whose shapes must be equal.
[[nodiscard]] std::vector<std::byte> reconstruction_pairs_png(const at::Tensor& originals,
                                                              const at::Tensor& reconstructions,
                                                              int64_t columns);

/// One of several grids in a picture.
struct ImagePanel {
  std::string title;
  at::Tensor images;  ///< as for `image_grid_png`
  int64_t columns = 10;
};

/// Grids side by side, each under its title; an 8-bit RGB PNG. Small images are enlarged by whole
/// factors, so that the panels come out of about one height.
/// Shapes, ranges and errors as above; ShapeError where there is no panel.
[[nodiscard]] std::vector<std::byte> image_panels_png(const std::vector<ImagePanel>& panels);

/// The same as SVG, each grid as one picture in it.
[[nodiscard]] std::vector<std::byte> image_panels_svg(const std::vector<ImagePanel>& panels);

}  // namespace elbo::plotting
