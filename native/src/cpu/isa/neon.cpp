#define GA_ISA neon
#define GA_ISA_ID GA_ISA_NEON
#include "cpu/simd/neon.h"

#include "cpu/kernel_table.h"
