#include "elbo/plotting/png.h"

#include <png.h>

#include <string>

#include "elbo/error.h"

namespace elbo::plotting {

std::vector<std::byte> encode_png(const Pixels& pixels) {
  constexpr int64_t kLargest = 32767;  // cairo's limit too
  if (pixels.width < 1 || pixels.height < 1 || pixels.width > kLargest ||
      pixels.height > kLargest || (pixels.channels != 1 && pixels.channels != 3) ||
      static_cast<int64_t>(pixels.values.size()) !=
          pixels.width * pixels.height * pixels.channels) {
    throw ShapeError("encode_png: " + std::to_string(pixels.width) + " x " +
                     std::to_string(pixels.height) + " x " + std::to_string(pixels.channels) +
                     " pixels in " + std::to_string(pixels.values.size()) +
                     " bytes; expected 1 to 32767 each way, 1 or 3 channels");
  }
  // The simplified interface reports errors by its return value, so no longjmp crosses C++ frames.
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(pixels.width);
  image.height = static_cast<png_uint_32>(pixels.height);
  image.format = pixels.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  std::vector<std::byte> out(PNG_IMAGE_PNG_SIZE_MAX(image));
  png_alloc_size_t size = out.size();
  if (png_image_write_to_memory(&image, out.data(), &size, /*convert_to_8_bit=*/0,
                                pixels.values.data(), /*row_stride=*/0, nullptr) == 0) {
    throw Error(std::string("encode_png: ") + image.message);
  }
  out.resize(size);
  return out;
}

}  // namespace elbo::plotting
