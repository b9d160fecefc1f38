#include "core/kernels.h"

namespace ga {

namespace scalar {
extern const Kernels kernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
namespace avx512_bf16 {
extern const Kernels kernels, kernels_first_cache;
}
namespace amx_bf16 {
extern const Kernels kernels;
}
#elif defined(__aarch64__)
namespace neon {
extern const Kernels kernels;
}
#endif

const Kernels *kernels_for(ga_isa isa, [[maybe_unused]] bool first_cache) {
  switch (isa) {
    case GA_ISA_SCALAR: return &scalar::kernels;
#if defined(__x86_64__)
    case GA_ISA_AVX2: return &avx2::kernels;
    case GA_ISA_AVX512: return &avx512::kernels;
    case GA_ISA_AVX512_BF16: return first_cache ? &avx512_bf16::kernels_first_cache : &avx512_bf16::kernels;
    case GA_ISA_AMX_BF16: return &amx_bf16::kernels;
#elif defined(__aarch64__)
    case GA_ISA_NEON: return &neon::kernels;
#endif
    default: return nullptr;
  }
}

}  // namespace ga
