// Memory for tensors that a training step takes and gives back, again and again.
#pragma once

#include <c10/core/Allocator.h>

namespace elbo::detail {

/// An allocator of CPU tensors that keeps freed blocks of 4 KiB and more for the next tensor of
/// their size (rounded up by at most an eighth), in one range of addresses that asks for large
/// pages. Smaller blocks, those above 64 MiB, and all where such a range cannot be had, are the
/// system's. It lives as long as the process; null where it has no place (under a sanitizer, which
/// is to see every block).
[[nodiscard]] c10::Allocator* pool();

}  // namespace elbo::detail
