#define GA_ISA avx512
#define GA_ISA_ID GA_ISA_AVX512
#include "cpu/simd/avx512.h"

#include "cpu/kernel_table.h"
