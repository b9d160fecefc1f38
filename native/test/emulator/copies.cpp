#include "copies.h"

#include <cstring>

#include "synchronize.h"

namespace gaemu {
namespace {

void land(Copy &copy) {
  if (copy.landed) return;
  copy.landed = true;
  if (faulty(Fault::kLostCopy)) return;
  if (copy.from)
    std::memcpy(copy.to, copy.from, 16);
  else
    std::memset(copy.to, 0, 16);
}

// Calls visit(address in shared memory, element of the tensor or nullptr outside of it, bytes) for each 16 bytes of the box.
template <typename Visit>
void for_each_unit(const TensorMap &map, uint32_t address, const int (&origin)[4], bool swizzle, Visit visit) {
  const int row_bytes = map.box[0] * map.element_bytes;
  if (row_bytes % 16 != 0 || (map.swizzle_bytes != 0 && row_bytes != map.swizzle_bytes))
    fail("a box with rows of %d bytes and a swizzle of %d", row_bytes, map.swizzle_bytes);
  const int unit = 16 / map.element_bytes;
  uint32_t at = address;
  for (int b = 0; b < map.box[3]; ++b) {
    for (int h = 0; h < map.box[2]; ++h) {
      for (int r = 0; r < map.box[1]; ++r) {
        for (int d = 0; d < map.box[0]; d += unit, at += 16) {
          const int64_t index[4] = {origin[0] + d, origin[1] + r, origin[2] + h, origin[3] + b};
          int inside = unit;  // elements
          char *element = map.data;
          for (int axis = 0; axis < 4; ++axis) {
            element += index[axis] * map.stride_bytes[axis];
            if (index[axis] < 0 || index[axis] >= map.extent[axis]) inside = 0;
          }
          if (inside > 0 && map.extent[0] - index[0] < unit) inside = static_cast<int>(map.extent[0] - index[0]);
          visit(swizzle ? swizzled(at, map.swizzle_bytes) : at, element, inside * map.element_bytes);
        }
      }
    }
  }
}

uint32_t box_bytes(const TensorMap &map) {
  return static_cast<uint32_t>(map.box[0] * map.box[1] * map.box[2] * map.box[3] * map.element_bytes);
}

}  // namespace

void copy_async16(uint32_t to, const void *from, bool valid) {
  if (to % 16 != 0 || reinterpret_cast<uintptr_t>(from) % 16 != 0)
    fail("copy_async16 to %u from %p: not 16-byte aligned", to, from);
  uint8_t *at = current->block->at(to, 16);
  std::memset(at, 0xff, 16);  // whoever still reads what was there gets NaN
  current->copies.back().push_back({at, valid ? static_cast<const uint8_t *>(from) : nullptr, false});
  const Asynchronous when = active->options.asynchronous;
  if (when == Asynchronous::kEager || (when == Asynchronous::kRandom && active->chance(3)))
    land(current->copies.back().back());
}

void copy_async_commit() { current->copies.emplace_back(); }

void copy_async_wait(int groups_left) {
  if (faulty(Fault::kNoCopyWait)) return;
  auto &groups = current->copies;  // the last one is open
  while (static_cast<int>(groups.size()) - 1 > groups_left) {
    for (Copy &copy : groups.front()) land(copy);
    groups.erase(groups.begin());
  }
}

void tile_load(uint32_t to, const TensorMap &map, uint32_t barrier, const int (&origin)[4]) {
  Block *block = current->block;
  const uint32_t bytes = box_bytes(map);
  const uint32_t alignment = map.swizzle_bytes == 0 ? 128 : 8 * static_cast<uint32_t>(map.swizzle_bytes);
  if (to % alignment != 0) fail("tile_load to %u, which is not a multiple of %u", to, alignment);
  std::memset(block->at(to, bytes), 0xff, bytes);
  const TensorMap copy = map;
  const int from[4] = {origin[0], origin[1], origin[2], origin[3]};
  const auto land = [=] {
    for_each_unit(copy, to, from, !faulty(Fault::kWrongSwizzle), [&](uint32_t at, const char *element, int inside) {
      std::memset(block->shared + at, 0, 16);
      std::memcpy(block->shared + at, element, static_cast<size_t>(inside));
      block->dirty[at / 16] = 0;
    });
  };
  if (faulty(Fault::kLateLoad)) {
    active->loads.push_back(land);
    active->loads.push_back([=] { barrier_complete(*block, barrier, bytes); });
    return;
  }
  const auto complete = [=] {
    land();
    barrier_complete(*block, barrier, bytes);
  };
  if (active->options.asynchronous == Asynchronous::kEager)
    complete();
  else
    active->loads.push_back(complete);
}

void tile_store(const TensorMap &map, uint32_t from, const int (&origin)[4]) {
  Block *block = current->block;
  block->at(from, box_bytes(map));
  const TensorMap copy = map;
  const int to[4] = {origin[0], origin[1], origin[2], origin[3]};
  const auto run = [=] {
    for_each_unit(copy, from, to, true, [&](uint32_t at, char *element, int inside) {
      check_async_read(*block, at, 16, "tile_store");
      std::memcpy(element, block->shared + at, static_cast<size_t>(inside));
    });
  };
  const Asynchronous when = active->options.asynchronous;
  const bool now = when == Asynchronous::kEager || (when == Asynchronous::kRandom && active->chance(2));
  if (now) run();
  current->stores.back().push_back({run, now});
}

void tile_store_commit() { current->stores.emplace_back(); }

void tile_store_wait(int groups_left) {
  auto &groups = current->stores;
  if (faulty(Fault::kNoStoreWait)) return;
  while (static_cast<int>(groups.size()) - 1 > groups_left) {
    for (BulkStore &store : groups.front()) {
      if (!store.done) store.run();
    }
    groups.erase(groups.begin());
  }
}

}  // namespace gaemu
