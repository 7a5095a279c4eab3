// A drawing surface: cairo with the few operations the figures need. Private to plotting.
#pragma once

#include <cairo-svg.h>
#include <cairo.h>

#include <string>
#include <vector>

#include "elbo/error.h"
#include "elbo/plotting/png.h"

namespace elbo::plotting::detail {

struct Colour {
  double red = 0, green = 0, blue = 0;
};

enum class Align { kLeft, kCentre, kRight };

enum class Format { kPng, kSvg };

/// White at first. Drawing is in layout units: 1/`pixel_ratio` pixels of a PNG, CSS pixels of an
/// SVG.
class Canvas {
 public:
  Canvas(int width, int height, int pixel_ratio, Format format = Format::kPng)
      : format_(format),
        surface_(format == Format::kPng
                     ? cairo_image_surface_create(CAIRO_FORMAT_RGB24, width * pixel_ratio,
                                                  height * pixel_ratio)
                     : cairo_svg_surface_create_for_stream(append, &svg_, width, height)),
        context_(cairo_create(surface_)) {
    if (const cairo_status_t status = cairo_status(context_); status != CAIRO_STATUS_SUCCESS) {
      cairo_destroy(context_);
      cairo_surface_destroy(surface_);
      throw Error(std::string("drawing: ") + cairo_status_to_string(status));
    }
    if (format_ == Format::kSvg) cairo_svg_surface_set_document_unit(surface_, CAIRO_SVG_UNIT_PX);
    cairo_set_source_rgb(context_, 1, 1, 1);
    cairo_paint(context_);
    if (format_ == Format::kPng) cairo_scale(context_, pixel_ratio, pixel_ratio);
  }
  Canvas(const Canvas&) = delete;
  Canvas& operator=(const Canvas&) = delete;
  ~Canvas() {
    cairo_destroy(context_);
    cairo_surface_destroy(surface_);
  }

  [[nodiscard]] cairo_t* context() const { return context_; }

  void colour(const Colour& c, double opacity = 1) const {
    cairo_set_source_rgba(context_, c.red, c.green, c.blue, opacity);
  }

  void font(double size, bool bold = false) const {
    cairo_select_font_face(context_, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(context_, size);
  }

  [[nodiscard]] double text_width(const std::string& text) const {
    cairo_text_extents_t extents;
    cairo_text_extents(context_, text.c_str(), &extents);
    return extents.x_advance;
  }

  /// `y` is the baseline.
  void text(double x, double y, const std::string& text, Align align = Align::kLeft) const {
    if (align != Align::kLeft) {
      x -= text_width(text) * (align == Align::kRight ? 1.0 : 0.5);
    }
    cairo_move_to(context_, x, y);
    cairo_show_text(context_, text.c_str());
  }

  void line(double x0, double y0, double x1, double y1, double width) const {
    cairo_set_line_width(context_, width);
    cairo_move_to(context_, x0, y0);
    cairo_line_to(context_, x1, y1);
    cairo_stroke(context_);
  }

  /// A picture with its top left corner there, a pixel a layout unit.
  void image(double x, double y, const Pixels& picture) const {
    cairo_surface_t* source = cairo_image_surface_create(
        CAIRO_FORMAT_RGB24, static_cast<int>(picture.width), static_cast<int>(picture.height));
    if (cairo_surface_status(source) == CAIRO_STATUS_SUCCESS) copy(picture, source);
    cairo_set_source_surface(context_, source, x, y);
    cairo_pattern_set_filter(cairo_get_source(context_), CAIRO_FILTER_NEAREST);
    cairo_paint(context_);
    cairo_surface_destroy(source);
  }

  /// What has been drawn, as a file of the canvas's format; nothing can be drawn afterwards.
  [[nodiscard]] std::vector<std::byte> file() {
    if (format_ == Format::kPng) return encode_png(pixels());
    cairo_surface_finish(surface_);
    if (const cairo_status_t status = cairo_surface_status(surface_);
        status != CAIRO_STATUS_SUCCESS)
      throw Error(std::string("drawing: ") + cairo_status_to_string(status));
    return std::move(svg_);
  }

  /// Of a PNG's canvas.
  [[nodiscard]] Pixels pixels() const {
    cairo_surface_flush(surface_);
    Pixels out{.width = cairo_image_surface_get_width(surface_),
               .height = cairo_image_surface_get_height(surface_),
               .channels = 3,
               .values = {}};
    out.values.reserve(static_cast<size_t>(out.width * out.height * 3));
    const unsigned char* data = cairo_image_surface_get_data(surface_);
    const int stride = cairo_image_surface_get_stride(surface_);
    for (int64_t y = 0; y < out.height; ++y) {
      const auto* row = reinterpret_cast<const uint32_t*>(data + y * stride);
      for (int64_t x = 0; x < out.width; ++x) {
        out.values.push_back(static_cast<uint8_t>(row[x] >> 16U));
        out.values.push_back(static_cast<uint8_t>(row[x] >> 8U));
        out.values.push_back(static_cast<uint8_t>(row[x]));
      }
    }
    return out;
  }

 private:
  static cairo_status_t append(void* to, const unsigned char* data, unsigned int size) {
    auto& bytes = *static_cast<std::vector<std::byte>*>(to);
    const auto* begin = reinterpret_cast<const std::byte*>(data);
    bytes.insert(bytes.end(), begin, begin + size);
    return CAIRO_STATUS_SUCCESS;
  }
  static void copy(const Pixels& picture, cairo_surface_t* to) {
    cairo_surface_flush(to);
    unsigned char* data = cairo_image_surface_get_data(to);
    const int stride = cairo_image_surface_get_stride(to);
    const uint8_t* p = picture.values.data();
    const bool grey = picture.channels == 1;
    for (int64_t y = 0; y < picture.height; ++y) {
      auto* row = reinterpret_cast<uint32_t*>(data + y * stride);
      for (int64_t x = 0; x < picture.width; ++x, p += picture.channels) {
        const uint32_t red = p[0], green = grey ? red : p[1], blue = grey ? red : p[2];
        row[x] = red << 16U | green << 8U | blue;
      }
    }
    cairo_surface_mark_dirty(to);
  }

  Format format_;
  std::vector<std::byte> svg_;
  cairo_surface_t* surface_;
  cairo_t* context_;
};

}  // namespace elbo::plotting::detail
