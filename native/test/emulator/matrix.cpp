#include "matrix.h"

#include <cstring>

#include "copies.h"
#include "numbers.h"
#include "synchronize.h"

namespace gaemu {
namespace {

struct MatrixAccess {
  uint32_t *r;
  uint32_t address;
};

uint32_t *element_pair(uint8_t *row, int pair) { return reinterpret_cast<uint32_t *>(row + 4 * pair); }

struct MmaOperands {
  float *c;
  const uint32_t *a;
  uint32_t b[2];
};

float half_of(uint32_t pair, int high, const float *widened) { return widened[high ? pair >> 16 : pair & 0xffff]; }

float tf32_of(uint32_t u) { return float_of(u & 0xffffe000U); }

// An operand of a warpgroup's product as its descriptor says.
struct Operand {
  uint32_t start, chunk_bytes, group_bytes;
  int swizzle_bytes;
  explicit Operand(uint64_t descriptor)
      : start(static_cast<uint32_t>(descriptor & 0x3fff) << 4),
        chunk_bytes(static_cast<uint32_t>(descriptor >> 16 & 0x3fff) << 4),
        group_bytes(static_cast<uint32_t>(descriptor >> 32 & 0x3fff) << 4),
        swizzle_bytes(descriptor >> 62 == 1   ? 128
                      : descriptor >> 62 == 2 ? 64
                                              : 0) {
    if (swizzle_bytes == 0) fail("a wgmma operand with swizzle mode %d", static_cast<int>(descriptor >> 62));
  }

  // 8 elements of 16 bits from element column of row on.
  void eight(Block &block, int row, int column, const float *widened, float *to) const {
    const int per_row = swizzle_bytes / 2;
    const uint32_t at = start + static_cast<uint32_t>(column / per_row) * chunk_bytes +
                        static_cast<uint32_t>(row / 8) * group_bytes +
                        static_cast<uint32_t>(row % 8 * swizzle_bytes + column % per_row * 2);
    const uint32_t address = swizzled(at, swizzle_bytes);
    check_async_read(block, address, 16, "wgmma");
    uint16_t bits[8];
    std::memcpy(bits, block.at(address, 16), 16);
    for (int i = 0; i < 8; ++i) to[i] = widened[bits[i]];
  }
};

// c += a b; restrict and fixed trip counts, so that compilers vectorize it.
void multiply(const float (&a)[64][16], const float (&b)[16][256], float (&c)[64][256], int n) {
  for (auto &row : c) {
    const float *x = a[&row - c];
    for (int k = 0; k < 16; ++k) {
      const float f = x[k];
      for (int i = 0; i < n; ++i) row[i] += f * b[k][i];
    }
  }
}

void run(Block &block, const Product &p) {
  static float a[64][16], b[16][256], c[64][256];
  if (p.a_registers[0]) {
    for (int r = 0; r < 64; ++r) {
      for (int k = 0; k < 16; ++k) {
        const uint32_t *registers = p.a_registers[r / 16 * 32 + r % 8 * 4 + k % 8 / 2];
        a[r][k] = half_of(registers[r % 16 / 8 + 2 * (k / 8)], k & 1, p.widened);
      }
    }
  } else {
    const Operand from(p.a);
    for (int r = 0; r < 64; ++r) {
      for (int k = 0; k < 16; k += 8) from.eight(block, r, k, p.widened, &a[r][k]);
    }
  }
  const Operand from(p.b);
  for (int row = 0; row < (p.transposed ? 16 : p.n); ++row) {
    for (int column = 0; column < (p.transposed ? p.n : 16); column += 8) {
      if (p.transposed) {
        from.eight(block, row, column, p.widened, &b[row][column]);
      } else {
        float eight[8];
        from.eight(block, row, column, p.widened, eight);
        for (int i = 0; i < 8; ++i) b[column + i][row] = eight[i];
      }
    }
  }
  const auto element = [&](int thread, int i) -> float & {
    return c[thread / 32 * 16 + thread % 32 / 4 + ((i & 2) ? 8 : 0)][i / 4 * 8 + thread % 4 * 2 + (i & 1)];
  };
  for (int t = 0; t < 128; ++t) {
    for (int i = 0; i < p.n / 2; ++i) element(t, i) = p.accumulate ? p.d[t][i] : 0;
  }
  multiply(a, b, c, p.n);
  for (int t = 0; t < 128; ++t) {
    for (int i = 0; i < p.n / 2; ++i) p.d[t][i] = element(t, i);
  }
}

Warpgroup &own_warpgroup() { return *current->block->warpgroups[static_cast<size_t>(current->index / 128)]; }
Rendezvous &own_meeting() { return current->block->warpgroup_meetings[static_cast<size_t>(current->index / 128)]; }

void run_groups(Warpgroup &w, int groups_left) {
  while (static_cast<int>(w.groups.size()) > groups_left) {
    for (const Product &product : w.groups.front()) run(*current->block, product);
    w.groups.erase(w.groups.begin());
  }
}

}  // namespace

void load_matrix(uint32_t (&r)[4], uint32_t address, bool transposed) {
  MatrixAccess mine = {r, address};
  collective(transposed ? "load_matrix_transposed" : "load_matrix", mine, [transposed](MatrixAccess *const(&all)[32]) {
    Block &block = *current->block;
    for (int m = 0; m < 4; ++m) {
      uint16_t matrix[8][8];
      for (int row = 0; row < 8; ++row) {
        const uint32_t from = all[m * 8 + row]->address;
        if (from % 16 != 0) fail("load_matrix from %u, which is not a multiple of 16", from);
        std::memcpy(matrix[row], block.at(from, 16), 16);
      }
      for (int lane = 0; lane < 32; ++lane) {
        const int i = lane / 4, j = lane % 4 * 2;
        const uint32_t lo = transposed ? matrix[j][i] : matrix[i][j],
                       hi = transposed ? matrix[j + 1][i] : matrix[i][j + 1];
        all[lane]->r[m] = lo | hi << 16;
      }
    }
  });
}

void store_matrix(uint32_t address, const uint32_t (&r)[4]) {
  uint32_t copy[4] = {r[0], r[1], r[2], r[3]};
  MatrixAccess mine = {copy, address};
  collective("store_matrix", mine, [](MatrixAccess *const(&all)[32]) {
    Block &block = *current->block;
    for (int m = 0; m < 4; ++m) {
      for (int lane = 0; lane < 32; ++lane) {
        const uint32_t to = all[m * 8 + lane / 4]->address;
        if (to % 16 != 0) fail("store_matrix to %u, which is not a multiple of 16", to);
        *element_pair(block.at(to, 16), lane % 4) = all[lane]->r[m];
      }
    }
  });
  note_store(address, 16);  // each lane counts as the writer of the row that it names
}

void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const float *widened) {
  MmaOperands mine = {c, a, {b0, b1}};
  collective("mma", mine, [widened](MmaOperands *const(&all)[32]) {
    static float a16[16][16], b16[16][8];
    for (int lane = 0; lane < 32; ++lane) {
      const int g = lane / 4, t = lane % 4 * 2;
      for (int i = 0; i < 4; ++i) {
        for (int high = 0; high < 2; ++high)
          a16[g + (i & 1) * 8][t + (i & 2) * 4 + high] = half_of(all[lane]->a[i], high, widened);
      }
      for (int i = 0; i < 2; ++i) {
        for (int high = 0; high < 2; ++high) b16[t + i * 8 + high][g] = half_of(all[lane]->b[i], high, widened);
      }
    }
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < 4; ++i) {
        float sum = 0;
        for (int k = 0; k < 16; ++k) sum += a16[lane / 4 + (i & 2) * 4][k] * b16[k][lane % 4 * 2 + (i & 1)];
        all[lane]->c[i] += sum;
      }
    }
  });
}

void mma_tf32(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  MmaOperands mine = {c, a, {b0, b1}};
  collective("mma_tf32", mine, [](MmaOperands *const(&all)[32]) {
    static float a8[16][8], b8[8][8];
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < 4; ++i) a8[lane / 4 + (i & 1) * 8][lane % 4 + (i & 2) * 2] = tf32_of(all[lane]->a[i]);
      for (int i = 0; i < 2; ++i) b8[lane % 4 + i * 4][lane / 4] = tf32_of(all[lane]->b[i]);
    }
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < 4; ++i) {
        float sum = 0;
        for (int k = 0; k < 8; ++k) sum += a8[lane / 4 + (i & 2) * 4][k] * b8[k][lane % 4 * 2 + (i & 1)];
        all[lane]->c[i] += sum;
      }
    }
  });
}

void wgmma_issue(const Product &product, float *d, const uint32_t *a_registers) {
  Warpgroup &w = own_warpgroup();
  const auto thread = static_cast<size_t>(current->index % 128);
  const auto n = static_cast<size_t>(w.issued[thread]++);
  if (w.open.size() <= n) w.open.push_back(product);
  Product &open = w.open[n];
  if (open.n != product.n || open.a != product.a || open.b != product.b || open.transposed != product.transposed)
    fail("threads of a warpgroup issue different products");
  open.d[thread] = d;
  open.a_registers[thread] = a_registers;
}

void wgmma_commit() {
  Warpgroup &w = own_warpgroup();
  const std::function<void()> last = [&] {
    for (int &issued : w.issued) {
      if (issued != static_cast<int>(w.open.size()))
        fail("a thread of a warpgroup issued %d products of %zu", issued, w.open.size());
      issued = 0;
    }
    w.groups.push_back(std::move(w.open));
    w.open.clear();
    const Asynchronous when = active->options.asynchronous;
    if (when == Asynchronous::kEager || (when == Asynchronous::kRandom && active->chance(2))) run_groups(w, 0);
  };
  meet(own_meeting(), 128, "wgmma_commit", &last);
}

void wgmma_wait(int groups_left) {
  Warpgroup &w = own_warpgroup();
  const std::function<void()> last = [&] {
    if (!faulty(Fault::kEarlyRelease)) run_groups(w, groups_left);
  };
  meet(own_meeting(), 128, "wgmma_wait", &last);
}

}  // namespace gaemu
