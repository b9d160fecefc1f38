#define GA_ISA avx2
#define GA_ISA_ID GA_ISA_AVX2
#include "cpu/simd/avx2.h"

#include "cpu/kernel_table.h"
