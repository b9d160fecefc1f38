// The end of every src/cpu/isa/<name>.cpp: all kernels, written once, instantiated for the simd header included before.
#include "core/kernels.h"
#include "cpu/backward.h"
#include "cpu/decode.h"
#include "cpu/measure.h"
#include "cpu/measure_values.h"
#include "cpu/merge.h"
#include "cpu/prefill.h"
#include "cpu/prologue.h"
#include "cpu/prologue_backward.h"

namespace ga::GA_ISA {
namespace {

// What multiplies bf16: blocks of rows, few of them, and few of them with an int8 cache.
#if defined(GA_AMX)
using BlocksOfBf16 = AmxProduct;
using RowsOfBf16 = F32Product;  // vdpbf16ps multiplies at half the rate of f32's FMA on the processors that have AMX
#elif defined(GA_NATIVE_BF16)
using BlocksOfBf16 = Bf16Product;
using RowsOfBf16 = Bf16Product;
#else
using BlocksOfBf16 = F32Product;
using RowsOfBf16 = F32Product;
#endif
#ifdef GA_BYTE_TABLES
using RowsOfBytes = BytesProduct;
#else
using RowsOfBytes = RowsOfBf16;
#endif

template <class Product>
constexpr Geometry::Product kGeometry = {Product::kPack, Product::kRowsAtOnce, Product::kUnitsAtOnce,
                                         Product::kQueryBlock};

// T: the type of q, K: of keys and values.
template <Cache cache, class T, class K, class Prefills, class Decodes>
constexpr Kernels::PerType kPerType = {pack_task<Prefills, K>,
                                       prefill_task<Prefills, T>,
                                       decode_task<Decodes, T, K, cache>,
                                       merge_task<Decodes, T, K>,
                                       blank<T>,
                                       merge_partials<T>};

template <class T, class Product>
constexpr Kernels::Backward kBackward = {backward_rows<Product, T>, backward_products<Product, T>, backward_sums};

// cache: where decode fetches to.
template <Cache cache>
constexpr Kernels kTable = {
    GA_ISA_ID,
    {kWidth, kPanel, kFold, kGeometry<F32Product>, kGeometry<BlocksOfBf16>},
    // By the type of k and v: f32, bf16, f16, i32, i8
    {{kPerType<cache, float, float, F32Product, F32Product>,
      kPerType<cache, float, bf16, F32Product, F32Product>,
      kPerType<cache, float, f16, F32Product, F32Product>,
      {},
      kPerType<cache, float, i8, F32Product, F32Product>},
     {{},
      kPerType<cache, bf16, bf16, BlocksOfBf16, RowsOfBf16>,
      {},
      {},
      kPerType<cache, bf16, i8, BlocksOfBf16, RowsOfBytes>},
     {{}, {}, kPerType<cache, f16, f16, F32Product, F32Product>, {}, kPerType<cache, f16, i8, F32Product, F32Product>}},
    {kBackward<float, F32Product>, kBackward<bf16, BlocksOfBf16>, kBackward<f16, F32Product>},
    measure_task,
    measure_values_task,
    prologue_task,
    prologue_backward_task,
    prologue_sums,
};

}  // namespace

extern const Kernels kernels;
const Kernels kernels = kTable<kFetchTo>;
#ifdef GA_EITHER_CACHE
extern const Kernels kernels_first_cache;
const Kernels kernels_first_cache = kTable<kFirstCache>;
#endif

}  // namespace ga::GA_ISA
