#include "block.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#endif

namespace gatest {
namespace {

constexpr int64_t kRedZone = 256;  // bytes, on either side
constexpr std::byte kRedZoneFill{0xb5};

int64_t page_size() { return sysconf(_SC_PAGESIZE); }

std::string first_difference(const std::byte *now, const std::byte *before, int64_t bytes) {
  for (int64_t n = 0; n < bytes; ++n) {
    if (now[n] != before[n]) return std::to_string(n);
  }
  return "";
}

}  // namespace

Block::Block(int64_t bytes, Placement placement) : placement_(placement), bytes_(bytes) {
  if (placement == Placement::kRedZones) {
    mapped_ = bytes + 2 * kRedZone;
    memory_ = static_cast<std::byte *>(std::malloc(static_cast<size_t>(mapped_)));
    if (memory_ == nullptr) throw std::bad_alloc();
    data_ = memory_ + kRedZone;
    std::memset(memory_, static_cast<int>(kRedZoneFill), static_cast<size_t>(mapped_));
    ASAN_POISON_MEMORY_REGION(memory_, kRedZone);
    ASAN_POISON_MEMORY_REGION(data_ + bytes, kRedZone);
  } else {
    const int64_t page = page_size();
    const int64_t inside = (bytes + page - 1) / page * page;
    mapped_ = inside + page;
    void *mapping = mmap(nullptr, static_cast<size_t>(mapped_), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<std::byte *>(mapping);
    data_ = placement == Placement::kGuardAfter ? memory_ + inside - bytes : memory_ + page;
    set_writable(true);
  }
  std::memset(data_, 0xff, static_cast<size_t>(bytes));
}

Block::~Block() {
  if (memory_ == nullptr) return;
  if (placement_ == Placement::kRedZones) {
    ASAN_UNPOISON_MEMORY_REGION(memory_, mapped_);
    std::free(memory_);
  } else {
    munmap(memory_, static_cast<size_t>(mapped_));
  }
}

Block::Block(Block &&other) noexcept
    : placement_(other.placement_),
      bytes_(other.bytes_),
      mapped_(other.mapped_),
      memory_(std::exchange(other.memory_, nullptr)),
      data_(other.data_),
      snapshot_(std::move(other.snapshot_)) {}

void Block::take_snapshot() { snapshot_.assign(data_, data_ + bytes_); }

std::string Block::difference(const std::string &name) const {
  const std::string inside = first_difference(data_, snapshot_.data(), bytes_);
  if (!inside.empty()) return name + ": byte " + inside + " of " + std::to_string(bytes_) + " changed";
  if (placement_ != Placement::kRedZones) return "";
  const std::vector<std::byte> fill(kRedZone, kRedZoneFill);
  ASAN_UNPOISON_MEMORY_REGION(memory_, mapped_);
  const std::string before = first_difference(memory_, fill.data(), kRedZone);
  const std::string after = first_difference(data_ + bytes_, fill.data(), kRedZone);
  ASAN_POISON_MEMORY_REGION(memory_, kRedZone);
  ASAN_POISON_MEMORY_REGION(data_ + bytes_, kRedZone);
  if (!before.empty()) return name + ": written before its begin, at byte " + before + " of the red zone";
  if (!after.empty()) return name + ": written " + after + " bytes past its end";
  return "";
}

void Block::set_writable(bool writable) const {
  if (placement_ == Placement::kRedZones) return;
  const int64_t page = page_size();
  std::byte *begin = placement_ == Placement::kGuardAfter ? memory_ : memory_ + page;
  const int access = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  if (mapped_ > page) mprotect(begin, static_cast<size_t>(mapped_ - page), access);
}

}  // namespace gatest
