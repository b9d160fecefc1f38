#define GA_ISA scalar
#define GA_ISA_ID GA_ISA_SCALAR
#include "cpu/simd/scalar.h"

#include "cpu/kernel_table.h"
