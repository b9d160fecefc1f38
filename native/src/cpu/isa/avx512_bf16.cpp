#define GA_ISA avx512_bf16
#define GA_ISA_ID GA_ISA_AVX512_BF16
#define GA_NATIVE_BF16
#define GA_EITHER_CACHE  // there are processors that fetch best to the first cache, and such that do to the second
#include "cpu/simd/avx512.h"

#include "cpu/kernel_table.h"
