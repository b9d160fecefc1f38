// Keys and values on their way to shared memory: a ring of tiles, the next ones under way while one is worked on.
//
// Every row of a tile has a place in memory, found a tile earlier than it is needed: a page's number is read while the block
// computes, so paging costs no latency. A row's 16-byte chunks are stored at chunk ^ (row % 8): reads down a column of chunks
// meet every bank once.
#pragma once

#include "cuda/decode/place.cuh"
#include "cuda/ptx/sm80.cuh"

namespace ga::cuda::decode {

// Elements from the beginning of the key/value head.
struct alignas(16) KeyPlace {
  int64_t k, v;
};

GA_DEVICE uint32_t swizzled_chunk(int row, int chunk, int row_bytes) {
  return static_cast<uint32_t>(row * row_bytes + ((chunk ^ (row & 7)) << 4));
}

// One group of copies is started per tile, stages - 1 ahead: the oldest of them has landed.
GA_DEVICE void wait_for_tile(int stages) {
  if (stages == 2) return copy_async_wait<0>();
  if (stages == 3) return copy_async_wait<1>();
  copy_async_wait<2>();
}

template <class Rows>
class Ring {
  using K = typename Rows::Key;
  static constexpr Geometry g = Rows::kGeometry;

 public:
  GA_DEVICE Ring(const Arguments &a, const Place &at, const Layout &l)
      : a_(a), at_(at), places_(shared_memory() + l.places), ring_(l.ring) {
    k_ = a.p.k.data + at.kv_head * a.p.k.head * a.p.k.element_bytes;
    v_ = a.p.v.data + at.kv_head * a.p.v.head * a.p.v.element_bytes;
  }

  // Shared addresses. Tiles count from 0 in each sequence.
  GA_DEVICE uint32_t keys(int tile) const { return static_cast<uint32_t>(ring_ + tile % a_.stages * g.stage_bytes()); }
  GA_DEVICE uint32_t values(int tile) const { return keys(tile) + g.tile_keys * g.row_bytes; }
  GA_DEVICE float *key_scales(int tile) const {
    return reinterpret_cast<float *>(shared_memory() + values(tile) + g.tile_keys * g.row_bytes);
  }
  GA_DEVICE float *value_scales(int tile) const { return key_scales(tile) + g.tile_keys; }

  // Where this thread's key of the tile lies: its own work is key thread_index(), if the tile has one there.
  struct Found {
    KeyPlace at, scales;
  };
  GA_DEVICE bool finds(int tile) const {
    const int key = tile * g.tile_keys + thread_index();
    return thread_index() < g.tile_keys && tile < at_.tiles.end && key < at_.keys;
  }
  GA_DEVICE Found find(int tile) const {
    const Problem &p = a_.p;
    int64_t entry = at_.of.key_entry, row = at_.of.key_row + at_.key0 + tile * g.tile_keys + thread_index();
    if (at_.of.pages) {
      const uint32_t j = static_cast<uint32_t>(row), size = static_cast<uint32_t>(p.page_size);
      entry = clamped(at_.of.pages[j / size], 0, p.pages - 1);  // a wrong number reads a wrong page, nothing else
      row = j % size;
    }
    Found f{};
    f.at = {entry * p.k.batch + row * p.k.sequence, entry * p.v.batch + row * p.v.sequence};
    if constexpr (g.scaled)
      f.scales = {entry * p.k_scale.batch + row * p.k_scale.sequence, entry * p.v_scale.batch + row * p.v_scale.sequence};
    return f;
  }
  GA_DEVICE void keep(int tile, const Found &f) {
    auto *to = reinterpret_cast<KeyPlace *>(places_ + tile % a_.stages * g.place_bytes());
    to[thread_index()] = f.at;
    if constexpr (g.scaled) to[g.tile_keys + thread_index()] = f.scales;
  }

  // Starts the copies of a tile; its places were kept before the last barrier. One group of copies, even if it is empty.
  GA_DEVICE void load(int tile) {
    if (tile < at_.tiles.end) {
      const auto *from = reinterpret_cast<const KeyPlace *>(places_ + tile % a_.stages * g.place_bytes());
      const int left = at_.keys - tile * g.tile_keys;
      constexpr int chunks = g.row_bytes / 16, step = kThreads / chunks;
      const int chunk = thread_index() % chunks;
      GA_UNROLL for (int i = 0; i < g.tile_keys / step; i++) {
        const int row = thread_index() / chunks + i * step;
        const KeyPlace place = row < left ? from[row] : KeyPlace{};
        const uint32_t to = swizzled_chunk(row, chunk, g.row_bytes);
        copy(keys(tile) + to, k_, place.k, chunk, row < left, a_.p.head_dim);
        copy(values(tile) + to, v_, place.v, chunk, row < left, a_.p.head_dim_v);
      }
      if constexpr (g.scaled) load_scales(tile, left, from + g.tile_keys);
    }
    copy_async_commit();
  }

 private:
  static constexpr int kElements = 16 / sizeof(K);

  GA_DEVICE void copy(uint32_t to, const char *head, int64_t place, int chunk, bool valid, int dim) const {
    const K *row = reinterpret_cast<const K *>(head) + place;
    const int d = chunk * kElements;
    valid = valid && d < dim;
    if (a_.whole_vectors) return copy_async16(to, valid ? row + d : reinterpret_cast<const K *>(head), valid);
    auto *elements = reinterpret_cast<K *>(shared_memory() + to);
    GA_NO_UNROLL for (int e = 0; e < kElements; e++) elements[e] = valid && d + e < dim ? row[d + e] : K{};
  }

  // Few bytes, no multiple of 16: by the threads themselves.
  GA_DEVICE void load_scales(int tile, int left, const KeyPlace *from) {
    const int key = thread_index() % g.tile_keys, turn = thread_index() / g.tile_keys;
    if (turn > 1) return;
    const View &view = turn == 0 ? a_.p.k_scale : a_.p.v_scale;
    const auto *head = reinterpret_cast<const float *>(view.data) + at_.kv_head * view.head;
    (turn == 0 ? key_scales(tile) : value_scales(tile))[key] =
        key >= left ? 0.0f : head[turn == 0 ? from[key].k : from[key].v];
  }

  const Arguments &a_;
  const Place &at_;
  uint8_t *places_;
  int ring_;
  const char *k_, *v_;
};

}  // namespace ga::cuda::decode
