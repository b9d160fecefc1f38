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

  // Shared addresses of a stage: tile n of a block is in stage n % stages, which the caller counts.
  GA_DEVICE uint32_t keys(int stage) const { return static_cast<uint32_t>(ring_ + stage * g.stage_bytes()); }
  GA_DEVICE uint32_t values(int stage) const { return keys(stage) + g.tile_keys * g.row_bytes; }
  GA_DEVICE float *key_scales(int stage) const {
    return reinterpret_cast<float *>(shared_memory() + values(stage) + g.tile_keys * g.row_bytes);
  }
  GA_DEVICE float *value_scales(int stage) const { return key_scales(stage) + g.tile_keys; }

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
  GA_DEVICE void keep(int stage, const Found &f) {
    auto *to = reinterpret_cast<KeyPlace *>(places_ + stage * g.place_bytes());
    to[thread_index()] = f.at;
    if constexpr (g.scaled) to[g.tile_keys + thread_index()] = f.scales;
  }

  // Starts the copies of a tile; its places were kept before the last barrier. One group of copies, even if it is empty.
  GA_DEVICE void load(int tile, int stage) {
    if (tile < at_.tiles.end) {
      const auto *from = reinterpret_cast<const KeyPlace *>(places_ + stage * g.place_bytes());
      const int left = at_.keys - tile * g.tile_keys;
      if (a_.whole_vectors)
        load_chunks(stage, left, from);
      else
        load_elements(stage, left, from);
      if constexpr (g.scaled) load_scales(stage, left, from + g.tile_keys);
    }
    copy_async_commit();
  }

 private:
  static constexpr int kElements = 16 / sizeof(K);
  static constexpr int kChunks = g.row_bytes / 16, kRowsPerTurn = kThreads / kChunks;

  // left: keys that there are from the tile's first one on. Where there is none, and beyond the head dimension: zeros.
  GA_DEVICE void load_chunks(int stage, int left, const KeyPlace *from) const {
    const int chunk = thread_index() % kChunks, d = chunk * kElements;
    const bool in_k = d < a_.p.head_dim, in_v = d < a_.p.head_dim_v;
    const K *k = reinterpret_cast<const K *>(k_), *v = reinterpret_cast<const K *>(v_);
    GA_UNROLL for (int i = 0; i < g.tile_keys / kRowsPerTurn; i++) {
      const int row = thread_index() / kChunks + i * kRowsPerTurn;
      const KeyPlace place = row < left ? from[row] : KeyPlace{};
      const uint32_t to = swizzled_chunk(row, chunk, g.row_bytes);
      copy_async16(keys(stage) + to, row < left && in_k ? k + place.k + d : k, row < left && in_k);
      copy_async16(values(stage) + to, row < left && in_v ? v + place.v + d : v, row < left && in_v);
    }
  }

  // For rows that are not aligned as vectors, one element after another.
  GA_DEVICE void load_elements(int stage, int left, const KeyPlace *from) const {
    GA_NO_UNROLL for (int i = thread_index(); i < g.tile_keys * kChunks; i += kThreads) {
      const int row = i / kChunks, d = i % kChunks * kElements;
      const KeyPlace place = row < left ? from[row] : KeyPlace{};
      const uint32_t to = swizzled_chunk(row, i % kChunks, g.row_bytes);
      copy_elements(keys(stage) + to, reinterpret_cast<const K *>(k_) + place.k, d, row < left ? a_.p.head_dim : 0);
      copy_elements(values(stage) + to, reinterpret_cast<const K *>(v_) + place.v, d, row < left ? a_.p.head_dim_v : 0);
    }
  }
  static GA_DEVICE void copy_elements(uint32_t to, const K *row, int d, int dim) {
    auto *elements = reinterpret_cast<K *>(shared_memory() + to);
    GA_NO_UNROLL for (int e = 0; e < kElements; e++) elements[e] = d + e < dim ? row[d + e] : K{};
  }

  // Few bytes, no multiple of 16: by the threads themselves.
  GA_DEVICE void load_scales(int stage, int left, const KeyPlace *from) {
    const int key = thread_index() % g.tile_keys, turn = thread_index() / g.tile_keys;
    if (turn > 1) return;
    const View &view = turn == 0 ? a_.p.k_scale : a_.p.v_scale;
    const auto *head = reinterpret_cast<const float *>(view.data) + at_.kv_head * view.head;
    (turn == 0 ? key_scales(stage) : value_scales(stage))[key] =
        key >= left ? 0.0f : head[turn == 0 ? from[key].k : from[key].v];
  }

  const Arguments &a_;
  const Place &at_;
  uint8_t *places_;
  int ring_;
  const char *k_, *v_;
};

}  // namespace ga::cuda::decode
