#define GA_ISA avx512_bf16
#define GA_ISA_ID GA_ISA_AVX512_BF16
#define GA_NATIVE_BF16
#include "cpu/simd/avx512.h"

#include "cpu/kernel_table.h"
