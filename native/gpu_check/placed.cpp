#include "placed.h"

#include <algorithm>
#include <cstring>

#include "number.h"

namespace gpu_check {
namespace {

constexpr int64_t kGuard = 512;
constexpr std::byte kKnown{0xa5};

}  // namespace

Mirror::Mirror(const Device &device, const std::byte *host, int64_t bytes, Guards guards)
    : device_(device),
      bytes_(bytes),
      guard_(guards == Guards::kKnownBytes ? kGuard : 0),
      memory_(device, std::max<int64_t>(1, bytes + 2 * guard_)) {
  upload(host);
}

void Mirror::upload(const std::byte *host) {
  std::vector<std::byte> image(static_cast<size_t>(bytes_ + 2 * guard_), kKnown);
  if (image.empty()) return;
  if (bytes_ > 0) std::memcpy(image.data() + guard_, host, static_cast<size_t>(bytes_));
  device_.copy(memory_.data(), image.data(), static_cast<int64_t>(image.size()));
}

std::string Mirror::download(std::byte *host) const {
  std::vector<std::byte> image(static_cast<size_t>(bytes_ + 2 * guard_));
  if (image.empty()) return "";
  device_.copy(image.data(), memory_.data(), static_cast<int64_t>(image.size()));
  if (bytes_ > 0) std::memcpy(host, image.data() + guard_, static_cast<size_t>(bytes_));
  for (int64_t n = 0; n < guard_; ++n) {
    if (image[static_cast<size_t>(n)] != kKnown) return "wrote " + std::to_string(guard_ - n) + " bytes before it";
    if (image[static_cast<size_t>(guard_ + bytes_ + n)] != kKnown)
      return "wrote " + std::to_string(n) + " bytes behind it";
  }
  return "";
}

Placed::Placed(const Device &device, const gatest::Instance &instance, Guards guards) : params(instance.params) {
  blocks_.reserve(instance.blocks().size());
  for (const gatest::Block &block : instance.blocks()) blocks_.emplace_back(device, block.data(), block.bytes(), guards);
  const gatest::Case &c = instance.description();
  const auto move = [&](const gatest::View &view, ga_tensor &tensor) {
    if (!view.present()) return;
    tensor.data = blocks_[static_cast<size_t>(view.block)].data() + view.offset * gatest::size_of(view.dtype);
  };
  move(c.q, params.q);
  move(c.k, params.k);
  move(c.v, params.v);
  move(c.gate, params.gate);
  move(c.norm_weight, params.norm_weight);
  move(c.sink, params.sink);
  move(c.key_lengths, params.key_lengths);
  move(c.out, params.out);
  move(c.lse, params.lse);
}

void Placed::upload(const gatest::Instance &instance) {
  for (size_t n = 0; n < blocks_.size(); ++n) blocks_[n].upload(instance.blocks()[n].data());
}

std::string Placed::download(const gatest::Instance &instance) const {
  for (size_t n = 0; n < blocks_.size(); ++n) {
    const std::string difference = blocks_[n].download(instance.blocks()[n].data());
    if (!difference.empty()) return "block " + std::to_string(n) + ": the call " + difference;
  }
  return "";
}

}  // namespace gpu_check
