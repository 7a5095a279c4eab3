// PNG bytes back to pixels, by libpng itself.
#pragma once

#include <png.h>

#include <cstddef>
#include <span>
#include <stdexcept>

#include "elbo/plotting/png.h"

namespace elbo::plotting {

inline Pixels decode_png(std::span<const std::byte> bytes) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0) {
    throw std::runtime_error(image.message);
  }
  Pixels out{.width = image.width,
             .height = image.height,
             .channels = (image.format & PNG_FORMAT_FLAG_COLOR) != 0 ? 3 : 1,
             .values = {}};
  image.format = out.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  out.values.resize(PNG_IMAGE_SIZE(image));
  if (png_image_finish_read(&image, nullptr, out.values.data(), 0, nullptr) == 0) {
    throw std::runtime_error(image.message);
  }
  return out;
}

}  // namespace elbo::plotting
