// Mappings that are far larger than memory, of which only a few pages are ever touched, and tensors in them.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>

#include "gated_attention.h"
#include "number.h"
#include "reference.h"

namespace gatest {

// Zeros that take memory where they are written only.
class Sparse {
 public:
  explicit Sparse(int64_t bytes) : bytes_(bytes) {
    void *mapping = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<std::byte *>(mapping);
  }
  ~Sparse() { munmap(data_, static_cast<size_t>(bytes_)); }
  Sparse(const Sparse &) = delete;
  Sparse &operator=(const Sparse &) = delete;
  Sparse(Sparse &&) = delete;
  Sparse &operator=(Sparse &&) = delete;

  std::byte *data() const { return data_; }

 private:
  int64_t bytes_;
  std::byte *data_;
};

inline ga_tensor view(const Sparse &memory, ga_dtype dtype, const int64_t (&extent)[4], const int64_t (&stride)[4]) {
  ga_tensor tensor{};
  tensor.data = memory.data();
  tensor.dtype = dtype;
  int64_t last = 0;
  for (size_t axis = 0; axis < 4; ++axis) {
    tensor.stride[axis] = stride[axis];
    last += (extent[axis] - 1) * stride[axis];
  }
  tensor.bytes = (last + 1) * size_of(dtype);
  return tensor;
}

inline std::byte *address(const ga_tensor &tensor, int64_t b, int64_t s, int64_t h, int64_t d) {
  return static_cast<std::byte *>(tensor.data) + element_offset(tensor, b, s, h, d) * size_of(tensor.dtype);
}

}  // namespace gatest
