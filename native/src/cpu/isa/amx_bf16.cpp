#define GA_ISA amx_bf16
#define GA_ISA_ID GA_ISA_AMX_BF16
#define GA_NATIVE_BF16
#define GA_AMX
#include "cpu/simd/avx512.h"

#include "cpu/microkernel_amx.h"

#include "cpu/kernel_table.h"
