// Instructions of compute capability 8.0: copies that run beside the program, matrix fragments, products of one warp.
#pragma once

#include "cuda/ptx/math.cuh"

namespace ga::cuda {

// 16 bytes from global to shared memory, past L1. Lands when its group was waited for, not before. valid == false writes
// zeros and reads nothing (global must still be an address of global memory).
GA_DEVICE void copy_async16(uint32_t to_shared, const void *global, bool valid = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to_shared), "l"(global), "r"(valid ? 16 : 0)
               : "memory");
}
GA_DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// All but the last N groups of this thread have landed; other threads see them after a barrier.
template <int N>
GA_DEVICE void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Four 8 x 8 matrices of 16-bit elements. Lane l gives the address of row l % 8 of matrix l / 8 and receives, of each matrix,
// elements [l / 4][2 (l % 4)] and the next. Transposed: elements [2 (l % 4)][l / 4] and the one below.
GA_DEVICE void load_matrix(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
GA_DEVICE void load_matrix_transposed(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// c [16 x 8] += a [16 x 16] b [16 x 8], f32 sums. With g = lane / 4 and t = 2 (lane % 4):
//   a[0] = A[g][t, t+1]   a[1] = A[g+8][t, t+1]   a[2] = A[g][t+8, t+9]   a[3] = A[g+8][t+8, t+9]
//   b[0] = B[t, t+1][g]   b[1] = B[t+8, t+9][g]
//   c[0] = C[g][t]   c[1] = C[g][t+1]   c[2] = C[g+8][t]   c[3] = C[g+8][t+1]
template <typename T>
GA_DEVICE void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  if constexpr (std::is_same_v<T, bf16>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
        "%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
        "%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// c [16 x 8] += a [16 x 8] b [8 x 8] of tf32 (f32 whose last 13 bits count as 0). With g = lane / 4 and t = lane % 4:
//   a[0] = A[g][t]   a[1] = A[g+8][t]   a[2] = A[g][t+4]   a[3] = A[g+8][t+4]   b0 = B[t][g]   b1 = B[t+4][g]
GA_DEVICE void mma_tf32(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
GA_DEVICE uint32_t to_tf32(float x) {  // rounded to nearest, ties away from zero
  uint32_t u;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(u) : "f"(x));
  return u;
}

}  // namespace ga::cuda
