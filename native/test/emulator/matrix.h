// Matrix fragments in shared memory, products of a warp and of a warpgroup; layouts in cuda/ptx/{sm80,wgmma}.cuh.
#pragma once

#include <cstdint>

#include "machine.h"

namespace gaemu {

void load_matrix(uint32_t (&r)[4], uint32_t address, bool transposed);
void store_matrix(uint32_t address, const uint32_t (&r)[4]);

// widened: the 65536 values of the operands' type.
void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const float *widened);
void mma_tf32(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);

// A product of a warpgroup, from its issue to the wait for it.
struct Product {
  int n = 0;
  bool transposed = false, accumulate = false;
  const float *widened = nullptr;
  uint64_t a = 0, b = 0;                  // operands in shared memory
  float *d[128] = {};                     // of each thread
  const uint32_t *a_registers[128] = {};  // nullptr: a is in shared memory
};

void wgmma_issue(const Product &product, float *d, const uint32_t *a_registers);
void wgmma_commit();
void wgmma_wait(int groups_left);

}  // namespace gaemu
