#include "cells.h"

#include <algorithm>

namespace gpu_check {

// Forward: bf16, 16,384 tokens, as many heads as make the width 2,048.
const std::vector<Cell> &cells() {
  static const std::vector<Cell> all = {
      {"d128 causal 8k", 2, 8192, 8192, 16, 16, 128, true, 0, 690, 0, 1.02, 1.06},
      {"d128 full 8k", 2, 8192, 8192, 16, 16, 128, false, 0, 710, 0, 1.02, 1.06},
      {"d128 causal 2k", 8, 2048, 2048, 16, 16, 128, true, 0, 580, 0, 1.05, 1.25},
      {"d128 causal 512", 32, 512, 512, 16, 16, 128, true, 0, 360, 0, 1.10, 1.6},
      {"d64 causal 8k", 2, 8192, 8192, 32, 32, 64, true, 0, 530, 0, 1.10, 1.15},
      {"d256 causal 8k", 2, 8192, 8192, 8, 8, 256, true, 0, 670, 0, 1.15, 1.2},
      {"decode B1 1k", 1, 1, 1024, 32, 8, 128, true, 0, 0, 8, 0, 1.6},
      {"decode B8 1k", 8, 1, 1024, 32, 8, 128, true, 0, 0, 8, 0, 1.6},
      {"decode B16 8k paged", 16, 1, 8192, 32, 8, 128, true, 64, 2.75, 0, 0, 1.05},
      {"decode B64 8k paged", 64, 1, 8192, 32, 8, 128, true, 64, 2.75, 0, 0, 1.05},
      {"d64 full 8k", 2, 8192, 8192, 32, 32, 64, false, 0, 560, 0, 1.10, 1.15},
      {"d256 full 8k", 2, 8192, 8192, 8, 8, 256, false, 0, 740, 0, 1.15, 1.2},
      {"decode B8 4k", 8, 1, 4096, 32, 8, 128, true, 0, 0, 0, 0, 1.6},
      {"decode B8 4k paged", 8, 1, 4096, 32, 8, 128, true, 64, 0, 0, 0, 1.6},
      {"d128 causal 16k", 1, 16384, 16384, 16, 16, 128, true, 0, 690, 0, 1.02, 1.06},
      {"d128 full 16k", 1, 16384, 16384, 16, 16, 128, false, 0, 710, 0, 1.02, 1.06},
      {"decode B1 4k", 1, 1, 4096, 32, 8, 128, true, 0, 0, 0, 0, 1.6},
      {"decode B1 1k paged", 1, 1, 1024, 32, 8, 128, true, 64, 0, 8, 0, 1.6},
      {"decode B16 8k", 16, 1, 8192, 32, 8, 128, true, 0, 0, 0, 0, 0},
      {"decode B64 8k", 64, 1, 8192, 32, 8, 128, true, 0, 0, 0, 0, 0},
      {"decode B16 8k paged R8", 16, 1, 8192, 64, 8, 128, true, 64, 2.75, 0, 0, 1.05},
      {"d128 full 2k", 8, 2048, 2048, 16, 16, 128, false, 0, 0, 0, 0, 0},
      {"d128 full 512", 32, 512, 512, 16, 16, 128, false, 0, 0, 0, 0, 0},
  };
  return all;
}

Cell tiny(Cell cell) {
  cell.batch = std::min<int64_t>(cell.batch, 2);
  if (!cell.decode()) cell.seq_q /= 256;
  cell.seq_k = cell.decode() ? cell.seq_k / 64 : cell.seq_q;
  cell.heads_q /= cell.heads_kv;
  cell.heads_kv = 1;
  if (cell.page_size > 0) cell.page_size = 4;
  return cell;
}

}  // namespace gpu_check
