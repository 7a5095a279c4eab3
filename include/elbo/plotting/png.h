// 8-bit pixels to PNG bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace elbo::plotting {

/// Rows from the top, without padding: `channels` is 1 (grey) or 3 (red, green, blue).
struct Pixels {
  int64_t width = 0;
  int64_t height = 0;
  int channels = 1;
  std::vector<uint8_t> values = {};  ///< [height, width, channels]
};

/// Throws: ShapeError when the size is not 1 to 32767 each way or does not match the values.
[[nodiscard]] std::vector<std::byte> encode_png(const Pixels& pixels);

}  // namespace elbo::plotting
