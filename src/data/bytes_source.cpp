#include "elbo/data/bytes_source.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "elbo/error.h"

namespace elbo::data {
namespace {

constexpr size_t kChunk = size_t{1} << 18;
constexpr size_t kDeflateLimit = 1032;  // deflate can't expand a byte into more

std::string reason(int code) { return std::strerror(code); }

class File {
 public:
  explicit File(const std::filesystem::path& path) : name_(path.string()) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (status.type() == std::filesystem::file_type::not_found) {
      throw NoInputError(name_ + ": no such file");
    }
    if (status.type() == std::filesystem::file_type::directory) {
      throw DataError(name_ + ": is a folder; expected a file");
    }
    handle_.reset(std::fopen(path.c_str(), "rb"));
    if (!handle_) throw IoError(name_ + ": can't open: " + reason(errno));
    const uintmax_t size = std::filesystem::file_size(path, error);
    size_ = error ? 0 : static_cast<size_t>(size);
  }

  // Fewer bytes than asked for only at the end of the file.
  size_t read(std::byte* into, size_t count) {
    errno = 0;
    const size_t got = std::fread(into, 1, count, handle_.get());
    if (got < count && std::ferror(handle_.get())) {
      throw IoError(name_ + ": can't read: " + reason(errno));
    }
    return got;
  }

  void rewind() { std::rewind(handle_.get()); }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] size_t size() const { return size_; }  // 0 when unknown, as for a pipe

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string name_;
  std::unique_ptr<std::FILE, Close> handle_;
  size_t size_ = 0;
};

[[noreturn]] void throw_too_large(const std::string& name, size_t max_bytes) {
  throw DataError(name + ": contents exceed the limit of " + std::to_string(max_bytes) + " bytes");
}

// The output buffer: grows by half, never beyond the limit, and reports lack of memory by name.
class Output {
 public:
  Output(const std::string& name, size_t max_bytes) : name_(name), max_bytes_(max_bytes) {}

  // Room for at least one more byte than used; how much there is.
  size_t room() {
    if (used_ == bytes_.size()) {
      // One byte past the limit tells "just fits" from "too large".
      grow(std::min(std::max(bytes_.size() + bytes_.size() / 2, kChunk), max_bytes_ + 1));
    }
    return bytes_.size() - used_;
  }
  void grow(size_t size) {
    try {
      bytes_.resize(size);
    } catch (const std::bad_alloc&) {
      throw IoError(name_ + ": not enough memory for " + std::to_string(size) + " bytes");
    }
  }
  std::byte* end() { return bytes_.data() + used_; }
  void add(size_t count) {
    used_ += count;
    if (used_ > max_bytes_) throw_too_large(name_, max_bytes_);
  }
  std::vector<std::byte> take() {
    bytes_.resize(used_);
    return std::move(bytes_);
  }

 private:
  const std::string& name_;
  size_t max_bytes_;
  size_t used_ = 0;
  std::vector<std::byte> bytes_;
};

std::vector<std::byte> read_plain(File& file, size_t max_bytes) {
  Output output(file.name(), max_bytes);
  if (file.size() > max_bytes) throw_too_large(file.name(), max_bytes);
  if (file.size() > 0) output.grow(file.size() + 1);  // the extra byte sees the end of the file
  for (;;) {
    const size_t room = output.room();
    const size_t got = file.read(output.end(), room);
    output.add(got);
    if (got < room) return output.take();
  }
}

// The length that the trailer declares, so that the buffer need not grow: a hint, not trusted
// beyond what the compressed size can expand to.
size_t declared_length(const std::filesystem::path& path, size_t compressed) {
  std::array<unsigned char, 4> tail{};
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file || compressed < 18 || std::fseek(file.get(), -4, SEEK_END) != 0 ||
      std::fread(tail.data(), 1, 4, file.get()) != 4) {
    return 0;
  }
  const size_t length = tail[0] | static_cast<size_t>(tail[1]) << 8 |
                        static_cast<size_t>(tail[2]) << 16 | static_cast<size_t>(tail[3]) << 24;
  return std::min(length, compressed * kDeflateLimit);
}

class Inflater {
 public:
  explicit Inflater(const std::string& name) {
    if (inflateInit2(&stream, 15 + 16) != Z_OK) throw IoError(name + ": can't start zlib");
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream stream{};
};

std::vector<std::byte> read_gzip(File& file, size_t length_hint, size_t max_bytes) {
  Output output(file.name(), max_bytes);
  if (length_hint > 0 && length_hint <= max_bytes) output.grow(length_hint + 1);
  Inflater inflater(file.name());
  z_stream& stream = inflater.stream;
  std::vector<std::byte> input(kChunk);
  bool member_ended = false;
  const auto refill = [&] {
    stream.next_in = reinterpret_cast<Bytef*>(input.data());
    stream.avail_in = static_cast<uInt>(file.read(input.data(), input.size()));
  };
  for (;;) {
    if (stream.avail_in == 0) refill();
    if (stream.avail_in == 0) {
      if (member_ended) return output.take();
      throw DataError(file.name() + ": truncated gzip: the file ends inside the compressed data");
    }
    if (member_ended) {  // gzip allows several members, one after the other
      if (stream.next_in[0] != 0x1f) {
        throw DataError(file.name() + ": trailing data after the end of the gzip stream");
      }
      inflateReset(&stream);
      member_ended = false;
    }
    const size_t room = std::min(output.room(), size_t{1} << 30);
    stream.next_out = reinterpret_cast<Bytef*>(output.end());
    stream.avail_out = static_cast<uInt>(room);
    const int status = inflate(&stream, Z_NO_FLUSH);
    output.add(room - stream.avail_out);
    if (status == Z_STREAM_END) {
      member_ended = true;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      throw DataError(file.name() +
                      ": corrupt gzip: " + (stream.msg ? stream.msg : "can't be inflated"));
    }
  }
}

}  // namespace

Bytes read_bytes(const std::filesystem::path& path, size_t max_bytes) {
  File file(path);
  // A pipe can't be rewound, so it is taken as it is.
  if (file.size() < 2) return read_plain(file, max_bytes);
  std::array<std::byte, 2> magic{};
  const size_t got = file.read(magic.data(), magic.size());
  file.rewind();
  const bool gzip = got == 2 && magic[0] == std::byte{0x1f} && magic[1] == std::byte{0x8b};
  if (!gzip && file.size() >= kMapFrom && std::filesystem::is_regular_file(path)) {
    if (file.size() > max_bytes) throw_too_large(file.name(), max_bytes);
    return Bytes::mapped(path);
  }
  if (!gzip) return read_plain(file, max_bytes);
  return read_gzip(file, declared_length(path, file.size()), max_bytes);
}

}  // namespace elbo::data
