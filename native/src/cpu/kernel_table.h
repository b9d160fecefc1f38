// The end of every src/cpu/isa/<name>.cpp: all kernels, written once, instantiated for the simd header included before.
#include "core/kernels.h"
#include "cpu/decode.h"
#include "cpu/prefill.h"

namespace ga::GA_ISA {
namespace {

template <class Product, class T>
constexpr Kernels::PerType kPerType = {pack_task<Product, T>, prefill_task<Product, T>, decode_task<Product, T>,
                                       merge_task<Product, T>, blank<T>};

#ifdef GA_NATIVE_BF16
using ProductForBf16 = Bf16Product;
constexpr bool kBf16Pairs = true;
#else
using ProductForBf16 = F32Product;
constexpr bool kBf16Pairs = false;
#endif

}  // namespace

extern const Kernels kernels;
const Kernels kernels = {
    GA_ISA_ID,
    {kWidth, kPanel, kFold, kBf16Pairs},
    {kPerType<F32Product, float>, kPerType<ProductForBf16, bf16>, kPerType<F32Product, f16>},
};

}  // namespace ga::GA_ISA
