/*
 * The C ABI of gated attention: O = gate(softmax(scale * Q K^T + mask) V, G).
 *
 * This is the only public header. It is plain C, includes nothing but <stdint.h>, and every struct
 * has the same layout on all 64-bit platforms. docs/abi.md explains the rules; in short:
 *
 *  - Every call returns a ga_status. On failure nothing was written to any output, and when the
 *    caller lent a ga_error it holds one sentence that names the argument and the values.
 *  - Structs begin with struct_size = sizeof(the struct the caller compiled against). Later versions
 *    append fields; they accept every smaller size that was ever released.
 *  - Calls are safe from any thread, at the same time, on the same runtime.
 *  - No call changes floating-point mode, signal handlers, affinity or locale.
 */
#ifndef GATED_ATTENTION_H
#define GATED_ATTENTION_H

#include <stdint.h>

#ifdef __cplusplus
#define GA_NOEXCEPT noexcept
extern "C" {
#else
#define GA_NOEXCEPT
#endif

#if defined(__GNUC__)
#define GA_API __attribute__((visibility("default")))
#else
#define GA_API
#endif

/* Bindings refuse a library whose ga_abi_version() differs from the one they were generated for. */
#define GA_ABI_VERSION 1

typedef int32_t ga_status;
enum {
  GA_OK = 0,
  GA_INVALID_ARGUMENT = 1, /* a value is outside its range, or two values do not fit each other */
  GA_INVALID_HANDLE = 2,   /* the runtime was closed, or never was one */
  GA_UNSUPPORTED = 3,      /* valid, but this build or machine cannot do it */
  GA_OUT_OF_MEMORY = 4,    /* memory could not be had; the runtime stays usable */
  GA_INTERNAL = 5,         /* a defect of the library */
  GA_UNAVAILABLE = 6,      /* what a device needs is missing: a library, a driver, a device, or a newer one of them */
  GA_DEVICE_FAILED = 7     /* the device failed, now or before; every later call on it says what came first */
};

/* Element types. Accumulation is always f32. */
typedef int32_t ga_dtype;
enum { GA_F32 = 0, GA_BF16 = 1, GA_F16 = 2, GA_I32 = 3, GA_I8 = 4 };

/* Instruction sets in rising order; a runtime uses the fastest one that the machine has and max_isa allows. */
typedef int32_t ga_isa;
enum {
  GA_ISA_SCALAR = 0,
  GA_ISA_NEON = 1,
  GA_ISA_AVX2 = 2,
  GA_ISA_AVX512 = 3,
  GA_ISA_AVX512_BF16 = 4,
  GA_ISA_AMX_BF16 = 5,
  GA_ISA_COUNT = 6
};

/* Where a runtime computes, and where the memory of its calls lies. */
typedef int32_t ga_device;
enum { GA_DEVICE_CPU = 0, GA_DEVICE_CUDA = 1 };

/* Memory that ga_memory_allocate gives. */
typedef int32_t ga_memory;
enum {
  GA_MEMORY_DEVICE = 0, /* of the runtime's device: the host cannot touch it */
  GA_MEMORY_PINNED = 1  /* of the host, and copied from and to without waiting */
};

/* a(G), the function applied to the gate's scores. */
typedef int32_t ga_activation;
enum {
  GA_SIGMOID = 0,
  GA_SILU = 1,
  GA_IDENTITY = 2,
  GA_NS_SIGMOID = 3,  /* 0.5 + 0.5 * sigmoid(g) */
  GA_TWO_SIGMOID = 4, /* 2 * sigmoid(g) */
  GA_SOFTPLUS = 5,    /* log(1 + exp(g)) */
  GA_TANH = 6
};

/* How a(G) meets the attention output Y. */
typedef int32_t ga_combination;
enum { GA_MULTIPLY = 0, GA_ADD = 1 };

/* What happens to Y before the gate. */
typedef int32_t ga_pre_gate;
enum {
  GA_PRE_NONE = 0,
  GA_PRE_RMS_NORM = 1, /* Y / sqrt(mean(Y^2 over head_dim_v) + norm_eps) * norm_weight, per head */
  GA_PRE_SILU = 2      /* Y * sigmoid(Y) */
};

/* ga_attention_params.flags */
enum {
  GA_CAUSAL = 1,           /* query i sees key j only when j <= i + key_length - seq_q */
  GA_ROUND_BEFORE_GATE = 2 /* round Y to the output's type before the gate, as unfused code does */
};

/*
 * A strided view of caller-owned memory. Axes are [batch, sequence, head, dim]; the extent of each
 * axis follows from ga_attention_params. Strides are in elements and never negative. The dim axis is
 * contiguous (stride 1). An input that is the same along an axis may have stride 0 there where
 * the field's comment allows it. data must be aligned to the element size.
 */
typedef struct ga_tensor {
  void *data;        /* NULL: the tensor is absent */
  int64_t bytes;     /* bytes that may be touched from data on */
  int64_t stride[4]; /* elements: batch, sequence, head, dim */
  ga_dtype dtype;
  int32_t reserved; /* 0 */
} ga_tensor;

/* One sentence about a failure, lent by the caller (may be NULL), written only on failure. */
typedef struct ga_error {
  ga_status status;
  char message[508]; /* UTF-8, always terminated */
} ga_error;

/* Threads and their scratch memory, or a device. A number, so that a stale or foreign one can be refused. 0 is never valid. */
typedef uint64_t ga_runtime;

typedef struct ga_runtime_options {
  int64_t struct_size;
  int32_t threads;  /* 1 to 1024, the calling thread included; a CUDA device has none of them */
  ga_isa max_isa;   /* the best instruction set allowed; GA_ISA_COUNT: no cap. GA_MAX_ISA in the environment caps too */
  ga_device device; /* GA_DEVICE_CUDA: of compute capability 8.0 or later */
  int32_t device_index; /* as the CUDA runtime counts them, from 0; of the CPU: 0 */
  /* GA_DEVICE_CUDA: where libgatedattention_cuda.so is. NULL: beside this library, else where the system's loader looks. */
  const char *cuda_library;
} ga_runtime_options;

typedef struct ga_runtime_info {
  int64_t struct_size;
  ga_isa isa;              /* the one in use; of a device: GA_ISA_SCALAR */
  int32_t threads;         /* of a device: 1, the caller's */
  int64_t workspace_bytes; /* scratch memory the runtime holds at present */
  ga_device device;
  int32_t device_index;
  /* Of a CUDA device, else 0 */
  int32_t compute_capability; /* 10 * major + minor: 80, 86, 89, 90, 100, 120 */
  int32_t multiprocessors;
  int32_t driver_version;  /* the newest CUDA version that it can do: 1000 * major + 10 * minor */
  int32_t runtime_version; /* the CUDA version that the library was built with, likewise */
  int64_t memory_bytes;    /* of the device, all of it */
  int64_t free_bytes;      /* at present */
  char device_name[64];    /* of the CPU: empty */
} ga_runtime_info;

typedef struct ga_attention_params {
  int64_t struct_size;
  int64_t batch;        /* B  >= 0 */
  int64_t seq_q;        /* Sq >= 0 */
  int64_t seq_k;        /* Sk >= 0; with key_lengths: the capacity of the cache */
  int32_t heads_q;      /* Hq >= 1, a multiple of heads_kv */
  int32_t heads_kv;     /* Hkv >= 1 */
  int32_t head_dim;     /* D, a multiple of 8, 8 to 512 */
  int32_t head_dim_v;   /* Dv, likewise */
  int64_t window_left;  /* keys before the diagonal that a query sees besides it; -1: unlimited */
  int64_t window_right; /* keys after it; -1: unlimited */
  float scale;          /* finite; usually 1 / sqrt(head_dim) */
  float norm_eps;       /* GA_PRE_RMS_NORM: finite, >= 0 */
  ga_activation activation;
  ga_combination combination;
  ga_pre_gate pre_gate;
  int32_t flags;

  ga_tensor q;           /* [B, Sq, Hq, D]   f32, bf16 or f16 */
  ga_tensor k;           /* [B, Sk, Hkv, D]  the type of q; i8 with scales; where q is f32 also bf16, f16 */
  ga_tensor v;           /* [B, Sk, Hkv, Dv] the type of k */
  ga_tensor gate;        /* [B, Sq, Hq, Dv]  optional; f32, bf16 or f16; stride 0 on any axis, dim included */
  ga_tensor norm_weight; /* [-, -, Hq, Dv]   optional, with GA_PRE_RMS_NORM; f32, bf16 or f16; stride 0 on any axis */
  ga_tensor key_lengths; /* [B, -, -, -]     optional; i32: keys in use per sequence, 0 to Sk */
  ga_tensor out;         /* [B, Sq, Hq, Dv]  the type of q; may be exactly q or exactly gate, else overlaps no input */
  ga_tensor lse;         /* [B, Sq, Hq, -]   optional; f32: natural log of the softmax denominator, never gated */

  void *workspace;         /* optional, 64-byte aligned; NULL: the runtime's own, on a device one per stream */
  int64_t workspace_bytes; /* at least what ga_attention_plan_for reports */

  ga_tensor
      sink; /* [-, -, Hq, -]  optional; f32, bf16 or f16; stride 0 on head allowed: logits of a key without a value */

  /*
   * Sequences of different lengths; all i32 and optional. Without them every sequence has seq_q queries and seq_k keys. The
   * causal mask and windows are aligned to each sequence's own last query and last key.
   *
   * Padded: each sequence has its entry of the batch axis.
   * Packed: with cu_seqlens_q, q, gate, out and lse have batch extent 1 and seq_q is the rows of all sequences together;
   *         with cu_seqlens_k, likewise k, v and seq_k. Queries may be packed while keys are not, as with a cache.
   * Paged:  with block_table, k and v are [pages, page_size, Hkv, D or Dv], seq_k is the most keys a sequence may have, and
   *         key j of sequence b is row j % page_size of page block_table[b][j / page_size]. Pages may be shared.
   */
  ga_tensor
      query_lengths; /* [B]: queries per sequence, 0 to seq_q; the rows after them are written as rows that see no key */
  ga_tensor key_starts;   /* [B]: keys before are never seen (left padding); 0 to the keys of the sequence */
  ga_tensor cu_seqlens_q; /* [B + 1]: sequence b has rows cu_seqlens_q[b] to cu_seqlens_q[b + 1]; from 0 to seq_q */
  ga_tensor cu_seqlens_k; /* [B + 1]: likewise its keys, from 0 to seq_k; not with key_lengths, key_starts, block_table */
  ga_tensor block_table;  /* [B, ceil(seq_k / page_size)]; entries beyond the keys of a sequence are not read */
  int64_t pages;          /* with block_table: pages of the cache */
  int32_t page_size;      /* with block_table: keys per page, 1 to 65536 */
  float softcap;          /* 0: none; else finite, > 0: scores are softcap * tanh(scale * q.k / softcap) */

  /* Of an int8 cache, f32: what each key's and value's whole numbers are multiplied by, per token and head. */
  ga_tensor k_scale; /* [B, Sk, Hkv, -], or as packed or paged as k */
  ga_tensor v_scale; /* likewise */

  /* On a device: a cudaStream_t, NULL being the default one, where the call is enqueued. On the CPU: NULL. */
  void *stream;
} ga_attention_params;

/*
 * Partial results of attention over disjoint sets of keys, to be merged into the result over all of them. Each is what a
 * forward call without gate, pre_gate and sink gives: its out and its lse. The partials lie at one distance from each other.
 */
typedef struct ga_merge_params {
  int64_t struct_size;
  int64_t batch;              /* B  >= 0 */
  int64_t seq_q;              /* Sq >= 0 */
  int64_t count;              /* partials, >= 1 */
  int64_t partial_out_stride; /* elements from one partial to the next, >= 0; above 0 where there is a next */
  int64_t partial_lse_stride; /* likewise */
  int32_t heads_q;            /* Hq >= 1 */
  int32_t head_dim_v;         /* Dv, a multiple of 8, 8 to 512 */
  float norm_eps;             /* GA_PRE_RMS_NORM: finite, >= 0 */
  ga_activation activation;
  ga_combination combination;
  ga_pre_gate pre_gate;
  int32_t flags;    /* GA_ROUND_BEFORE_GATE or 0 */
  int32_t reserved; /* 0 */

  ga_tensor partial_out; /* [B, Sq, Hq, Dv]  the first; f32, bf16 or f16; its bytes are those of all partials */
  ga_tensor partial_lse; /* [B, Sq, Hq, -]   the first; f32; -inf: the row saw no key, and its values do not count */
  ga_tensor gate;        /* as in ga_attention_params; likewise norm_weight */
  ga_tensor norm_weight;
  ga_tensor sink; /* [-, -, Hq, -]    optional; as there; counted once, here */
  ga_tensor out;  /* [B, Sq, Hq, Dv]  f32, bf16 or f16; may be exactly gate, else overlaps no input */
  ga_tensor lse;  /* [B, Sq, Hq, -]   optional; f32: of all keys, and of the sink */
  void *stream;   /* as in ga_attention_params */
} ga_merge_params;

/*
 * The backward pass: from the gradient of out to the gradients of the inputs. It takes the parameters of the forward call beside
 * its own, with the inputs unchanged since, and out and lse as that call wrote them: both are read now, lse always, and out may
 * not have been written over q or gate. Their workspace is ignored, there is one here.
 *
 * Refused with GA_UNSUPPORTED: block_table, k and v of another type than q, GA_ROUND_BEFORE_GATE.
 *
 * A gradient whose data is NULL is not wanted and not computed. Each may be of its tensor's type or f32, and overlaps nothing else.
 * Those of gate, norm_weight and sink have stride 0 exactly where their tensor has it: there the gradient is summed up. Every
 * element is written: rows of queries and keys outside of their sequence get 0, and dout is not read there.
 */
typedef struct ga_attention_backward_params {
  int64_t struct_size;
  int64_t workspace_bytes; /* at least what ga_attention_backward_plan_for reports */
  void *workspace;         /* optional, 64-byte aligned; NULL: taken from the runtime's pool */

  ga_tensor dout; /* [B, Sq, Hq, Dv]  the type of q: the gradient of out */
  /*
   * [B, Sq, Hq, Dv] optional; the type of q or f32: Y, what a forward call without pre_gate and gate writes as out. It is used
   * instead of out, which may be absent then. Without it Y is computed once more where out does not tell it: with pre_gate, with
   * GA_ADD, and where silu, identity or tanh is multiplied.
   */
  ga_tensor ungated;

  ga_tensor dq;           /* [B, Sq, Hq, D] */
  ga_tensor dk;           /* [B, Sk, Hkv, D] */
  ga_tensor dv;           /* [B, Sk, Hkv, Dv] */
  ga_tensor dgate;        /* [B, Sq, Hq, Dv], shared as gate is */
  ga_tensor dnorm_weight; /* [-, -, Hq, Dv],  shared as norm_weight is */
  ga_tensor dsink;        /* [-, -, Hq, -],   shared as sink is */
} ga_attention_backward_params;

/*
 * What a call would do: filled by ga_attention_plan_for and ga_attention_backward_plan_for. On a device isa and threads are as in
 * ga_runtime_info, tasks are tiles that blocks of threads claim, and since lengths are known there alone, flop and bytes are
 * those of sequences as long as they may be.
 */
typedef struct ga_attention_plan {
  int64_t struct_size;
  ga_isa isa;
  int32_t threads;
  int32_t query_block;     /* packed query rows (sequence x heads of one group) per task */
  int32_t key_block;       /* keys per step */
  int64_t tasks;           /* units of work that threads claim */
  int64_t workspace_bytes; /* scratch memory the call needs */
  int64_t flop;            /* 2 * (D + Dv) per visible query-key pair; backward: per gradient wanted, see docs/abi.md */
  int64_t bytes;           /* inputs read once plus outputs written once */
  char kernel[64];         /* for example "prefill_bf16_avx512_bf16"; "decode_bf16_i8_avx512" on keys of another type */
} ga_attention_plan;

/*
 * What the probabilities of a call look like, without a matrix of them: p(i, j) = exp(S(i, j) - lse(i)), from saved lse. The
 * memory that it takes grows with the queries alone. A row counts when it sees a key; a sink's share is no key's.
 */
typedef struct ga_measure_params {
  int64_t struct_size;
  /* The forward call that was made, with its lse. v, gate, norm_weight, sink and out are not touched: their data may be NULL. */
  const ga_attention_params *attention;
  const int64_t *ranges; /* [range_count, 2]: first key and end of each, counted from the first key of every sequence */
  int32_t range_count;   /* 0 to 64 */
  int32_t map_cells;     /* 0 to 4096: rows and columns of the map at most */
  double *share;         /* [B, Hq, range_count]: probability on the keys of the range, mean over the rows */
  double *entropy;       /* [B, Hq], or NULL: -sum p ln p over the keys, mean over the rows */
  /*
   * [B, Hq, min(map_cells, seq_q), min(map_cells, seq_k)] where map_cells > 0: a cell is the probability on its keys, mean over
   * its rows. A sequence spreads its queries and keys evenly over the first cells, as many as it can fill; the others are 0.
   */
  double *map;
  int64_t *rows;                                             /* [B]: rows that count */
  int64_t share_count, entropy_count, map_count, rows_count; /* elements that may be touched */
} ga_measure_params;

/* Of the values of one head. Where one is NaN, so are the numbers that are not counts. */
typedef struct ga_value_statistics {
  int64_t count;
  int64_t nans;
  int64_t below, above;   /* values < below, > above */
  int64_t small, smaller; /* |values| < small, < smaller */
  double mean;
  double standard_deviation; /* of the values, not of a sample: divided by count */
  double min, max;
  double largest; /* of |values| */
} ga_value_statistics;

/* Statistics of a(values): of gates, outputs, activations. */
typedef struct ga_values_params {
  int64_t struct_size;
  int64_t batch; /* >= 0 */
  int64_t seq;   /* >= 0 */
  int32_t heads; /* 1 to 2^20 */
  int32_t dim;   /* 1 to 2^20 */
  ga_activation activation;
  int32_t bins; /* 0 to 4096, of equal width from low to high, both counted; what lies outside is in none */
  double low, high;
  double below, above, small, smaller;       /* limits; none is NaN */
  ga_tensor values;                          /* [batch, seq, heads, dim]  f32, bf16 or f16; stride 0 on any axis */
  ga_value_statistics *statistics;           /* [heads] */
  int64_t *histogram;                        /* [heads, bins] where bins > 0 */
  int64_t statistics_count, histogram_count; /* elements that may be touched */
} ga_values_params;

/* ga_prologue_part.flags */
enum {
  GA_PART_NORM = 1,            /* x / sqrt(mean(x^2 over dim) + norm_eps) * norm_weight, per head */
  GA_PART_WEIGHT_PLUS_ONE = 2, /* the weight's values stand for 1 + weight; with GA_PART_NORM */
  GA_PART_ROTATE = 4           /* RoPE on the first rotary_dim elements */
};

/* ga_prologue_params.flags */
enum {
  GA_INTERLEAVED = 1 /* RoPE turns elements 2 n and 2 n + 1 together; else n and n + rotary_dim / 2 */
};

/*
 * One of q, k and v: rotate(norm(in * a(gate))), in f32, rounded once. Each step is optional.
 *
 * Where group > 0, heads come in groups of so many: head h of in lies at (h / group) * in_group_stride + (h % group) times the head
 * stride; likewise of out. So q is read and written where a grouped projection has it.
 */
typedef struct ga_prologue_part {
  ga_tensor in;          /* [B, S, H, D]  f32, bf16 or f16; NULL data: the call has no such part */
  ga_tensor gate;        /* [B, S, H, D]  optional; f32, bf16 or f16; stride 0 on any axis */
  ga_tensor norm_weight; /* [-, -, H, D]  optional, with GA_PART_NORM; f32, bf16 or f16; stride 0 on head and dim */
  ga_tensor out; /* the type of in; [B, S, H, D]: may be exactly in; with slots, of k and v: [pages, page_size, H, D] */
  int64_t in_group_stride, out_group_stride; /* elements, >= 0; 0 without group */
  int32_t heads;                             /* H, 1 to 2^20 */
  int32_t dim;                               /* D, a multiple of 8, 8 to 512 */
  int32_t group;                             /* 0: one stride leads to all heads; else a divisor of heads */
  int32_t flags;
  ga_activation activation;
  float norm_eps; /* GA_PART_NORM: finite, >= 0 */
} ga_prologue_part;

/* What a layer does to its projections before attention, in one pass. */
typedef struct ga_prologue_params {
  int64_t struct_size;
  int64_t batch, seq;     /* B, S >= 0 */
  int64_t first_position; /* without positions, row s has position first_position + s; >= 0 */
  int64_t table_rows;     /* positions that the tables have */
  int64_t pages;          /* with slots: of the cache */
  int32_t
      page_size; /* with slots: rows per page, 1 to 65536; a contiguous cache is one page per sequence, or one in all */
  int32_t rotary_dim; /* with GA_PART_ROTATE: even, 2 to the dim of each part that rotates */
  int32_t flags;
  int32_t reserved; /* 0 */
  ga_tensor cosines,
      sines; /* [-, table_rows, -, rotary_dim / 2]  f32, of each position's angles; scaled as the model has it */
  ga_tensor positions; /* [B, S]  optional; i32, 0 to table_rows - 1; stride 0 on either axis */
  ga_tensor
      slots; /* [B, S]  optional; i32: where k and v of a token go, page * page_size + row; -1: nowhere. None twice */
  ga_prologue_part q, k, v;
} ga_prologue_params;

/* Gradients of one part. One whose data is NULL is not wanted. */
typedef struct ga_prologue_gradient {
  ga_tensor d_out;         /* [B, S, H, D]  the type of in */
  ga_tensor d_in;          /* [B, S, H, D]  the type of in, or f32; may be exactly d_out */
  ga_tensor d_gate;        /* f32, bf16 or f16; stride 0 exactly where the gate has it: there it is a sum */
  ga_tensor d_norm_weight; /* likewise */
  int64_t d_out_group_stride, d_in_group_stride; /* with group */
} ga_prologue_gradient;

typedef struct ga_prologue_backward_params {
  int64_t struct_size;
  const ga_prologue_params
      *forward; /* without slots; in as it was before the call. out is not touched, its data may be NULL */
  ga_prologue_gradient q, k, v;
} ga_prologue_backward_params;

/* out = in * a(gate) + residual: what may follow the output projection. */
typedef struct ga_epilogue_params {
  int64_t struct_size;
  int64_t batch, seq; /* B, S >= 0 */
  int32_t width;      /* a multiple of 8, 8 to 2^20 */
  ga_activation activation;
  ga_tensor in;       /* [B, S, -, width]  f32, bf16 or f16 */
  ga_tensor gate;     /* [B, S, -, width]  optional; f32, bf16 or f16; stride 0 on any axis */
  ga_tensor residual; /* [B, S, -, width]  optional; f32, bf16 or f16 */
  ga_tensor out;      /* [B, S, -, width]  the type of in; may be exactly in, gate or residual */
} ga_epilogue_params;

typedef struct ga_epilogue_backward_params {
  int64_t struct_size;
  const ga_epilogue_params *forward; /* in as it was before the call. out is not touched, its data may be NULL */
  ga_tensor d_out;                   /* [B, S, -, width]  the type of in; it is the gradient of the residual too */
  ga_tensor d_in;                    /* likewise, or f32; may be exactly d_out */
  ga_tensor d_gate;                  /* f32, bf16 or f16; stride 0 exactly where the gate has it: there it is a sum */
} ga_epilogue_backward_params;

/* out = in * weight^T + bias: a matrix product by the device's own library (cuBLASLt), which is opened when first needed. */
typedef struct ga_project_params {
  int64_t struct_size;
  int64_t rows;         /* >= 0 */
  int32_t in_features;  /* 1 to 2^24 */
  int32_t out_features; /* 1 to 2^24 */
  ga_tensor in;         /* [-, rows, -, in_features]          f32, bf16 or f16 */
  ga_tensor weight;     /* [-, out_features, -, in_features]  the type of in */
  ga_tensor bias;       /* [-, -, -, out_features]            optional; the type of in */
  ga_tensor out;        /* [-, rows, -, out_features]         the type of in; overlaps no input */
  void *stream;         /* a cudaStream_t; NULL: the default one */
} ga_project_params;

GA_API int32_t ga_abi_version(void) GA_NOEXCEPT;
/* Every struct, field offset and function, one per line, for bindings to compare their layouts with. */
GA_API const char *ga_abi_table(void) GA_NOEXCEPT;
/* Version, compiler and target: one line. */
GA_API const char *ga_build_info(void) GA_NOEXCEPT;
GA_API const char *ga_status_name(ga_status status) GA_NOEXCEPT;
GA_API const char *ga_isa_name(ga_isa isa) GA_NOEXCEPT;
/* NULL when this machine can run the instruction set, else the reason why not. */
GA_API const char *ga_isa_unavailable(ga_isa isa) GA_NOEXCEPT;

/* With GA_DEVICE_CUDA: GA_UNAVAILABLE and the reason where the device, or what it needs, cannot be had. */
GA_API ga_status ga_runtime_create(const ga_runtime_options *options, ga_runtime *runtime, ga_error *error) GA_NOEXCEPT;
/* Refuses new calls at once, waits for those that run, then frees. A second close is GA_INVALID_HANDLE. */
GA_API ga_status ga_runtime_close(ga_runtime runtime, ga_error *error) GA_NOEXCEPT;
GA_API ga_status ga_runtime_query(ga_runtime runtime, ga_runtime_info *info, ga_error *error) GA_NOEXCEPT;

/* Checks params as the forward call would, but for missing addresses and what arrays of lengths and pages hold, and says what
 * it would do. */
GA_API ga_status ga_attention_plan_for(ga_runtime runtime, const ga_attention_params *params, ga_attention_plan *plan,
                                       ga_error *error) GA_NOEXCEPT;
/*
 * On a CUDA device the call is enqueued on the stream and returns; it allocates nothing and waits for nothing once the stream has
 * its scratch memory, and may be captured in a graph. All tensors lie in memory of the device; arrays of lengths and pages are
 * read by the kernels, where a value that is out of range counts as the nearest allowed one.
 */
GA_API ga_status ga_attention_forward(ga_runtime runtime, const ga_attention_params *params, ga_error *error) GA_NOEXCEPT;
/*
 * The same call. The further pointers are ignored: they are for bindings whose run time keeps memory
 * alive for exactly as long as a pointer to it is an argument of a call in progress (Java's FFM).
 */
GA_API ga_status ga_attention_forward_holding(ga_runtime runtime, const ga_attention_params *params, ga_error *error,
                                              const void *hold0, const void *hold1, const void *hold2, const void *hold3,
                                              const void *hold4, const void *hold5, const void *hold6, const void *hold7,
                                              const void *hold8, const void *hold9, const void *hold10,
                                              const void *hold11, const void *hold12, const void *hold13,
                                              const void *hold14, const void *hold15) GA_NOEXCEPT;
/* The same call where few are enough: each pointer costs such a run time about a nanosecond. */
GA_API ga_status ga_attention_forward_holding_few(ga_runtime runtime, const ga_attention_params *params, ga_error *error,
                                                  const void *hold0, const void *hold1, const void *hold2,
                                                  const void *hold3, const void *hold4) GA_NOEXCEPT;

/* Merges partial results: the sum of each out times exp(its lse), normalized; then pre_gate and gate as in the forward call. */
GA_API ga_status ga_attention_merge(ga_runtime runtime, const ga_merge_params *params, ga_error *error) GA_NOEXCEPT;
/* The same call; for the further pointers see ga_attention_forward_holding. */
GA_API ga_status ga_attention_merge_holding(ga_runtime runtime, const ga_merge_params *params, ga_error *error,
                                            const void *hold0, const void *hold1, const void *hold2, const void *hold3,
                                            const void *hold4, const void *hold5, const void *hold6) GA_NOEXCEPT;

/* As ga_attention_plan_for, of a backward call. */
GA_API ga_status ga_attention_backward_plan_for(ga_runtime runtime, const ga_attention_params *forward,
                                                const ga_attention_backward_params *backward, ga_attention_plan *plan,
                                                ga_error *error) GA_NOEXCEPT;
GA_API ga_status ga_attention_backward(ga_runtime runtime, const ga_attention_params *forward,
                                       const ga_attention_backward_params *backward, ga_error *error) GA_NOEXCEPT;
/* The same call; for the further pointers see ga_attention_forward_holding. */
GA_API ga_status ga_attention_backward_holding(
    ga_runtime runtime, const ga_attention_params *forward, const ga_attention_backward_params *backward, ga_error *error,
    const void *hold0, const void *hold1, const void *hold2, const void *hold3, const void *hold4, const void *hold5,
    const void *hold6, const void *hold7, const void *hold8, const void *hold9, const void *hold10, const void *hold11,
    const void *hold12, const void *hold13, const void *hold14, const void *hold15, const void *hold16,
    const void *hold17, const void *hold18, const void *hold19, const void *hold20) GA_NOEXCEPT;

/*
 * Measurements. The further pointers of these calls are ignored and may be NULL; they keep memory alive, see
 * ga_attention_forward_holding.
 */
GA_API ga_status ga_attention_measure(ga_runtime runtime, const ga_measure_params *params, ga_error *error,
                                      const void *hold0, const void *hold1, const void *hold2, const void *hold3,
                                      const void *hold4, const void *hold5, const void *hold6, const void *hold7,
                                      const void *hold8, const void *hold9) GA_NOEXCEPT;
GA_API ga_status ga_measure_values(ga_runtime runtime, const ga_values_params *params, ga_error *error,
                                   const void *hold0) GA_NOEXCEPT;

/* Before and after attention. The further pointers are ignored, as above. */
GA_API ga_status ga_prologue(ga_runtime runtime, const ga_prologue_params *params, ga_error *error, const void *hold0,
                             const void *hold1, const void *hold2, const void *hold3, const void *hold4,
                             const void *hold5, const void *hold6, const void *hold7, const void *hold8,
                             const void *hold9, const void *hold10, const void *hold11, const void *hold12,
                             const void *hold13, const void *hold14, const void *hold15) GA_NOEXCEPT;
GA_API ga_status ga_prologue_backward(ga_runtime runtime, const ga_prologue_backward_params *params, ga_error *error,
                                      const void *hold0, const void *hold1, const void *hold2, const void *hold3,
                                      const void *hold4, const void *hold5, const void *hold6, const void *hold7,
                                      const void *hold8, const void *hold9, const void *hold10, const void *hold11,
                                      const void *hold12, const void *hold13, const void *hold14, const void *hold15,
                                      const void *hold16, const void *hold17, const void *hold18, const void *hold19,
                                      const void *hold20, const void *hold21, const void *hold22,
                                      const void *hold23) GA_NOEXCEPT;
GA_API ga_status ga_epilogue(ga_runtime runtime, const ga_epilogue_params *params, ga_error *error, const void *hold0,
                             const void *hold1, const void *hold2, const void *hold3) GA_NOEXCEPT;
GA_API ga_status ga_epilogue_backward(ga_runtime runtime, const ga_epilogue_backward_params *params, ga_error *error,
                                      const void *hold0, const void *hold1, const void *hold2, const void *hold3,
                                      const void *hold4) GA_NOEXCEPT;

/*
 * Devices: GA_UNSUPPORTED on a runtime of the CPU. A failure of work that was enqueued shows in a later call.
 *
 * Memory is zeroed and aligned to 256 bytes. Freeing waits for the work of the device first, so that nothing still uses it.
 */
GA_API ga_status ga_memory_allocate(ga_runtime runtime, ga_memory kind, int64_t bytes, void **memory,
                                    ga_error *error) GA_NOEXCEPT;
GA_API ga_status ga_memory_free(ga_runtime runtime, void *memory, ga_error *error) GA_NOEXCEPT;
/*
 * Enqueues a copy between memory of the device, pinned and other memory of the host. That of the host must stay as it is until the
 * stream is synchronized; one that is not pinned may make the call wait. The further pointers are ignored, as above.
 */
GA_API ga_status ga_memory_copy(ga_runtime runtime, void *to, const void *from, int64_t bytes, void *stream,
                                ga_error *error, const void *hold0, const void *hold1) GA_NOEXCEPT;
/* A stream that does not wait for the default one. Closing waits for its work. */
GA_API ga_status ga_stream_open(ga_runtime runtime, void **stream, ga_error *error) GA_NOEXCEPT;
GA_API ga_status ga_stream_close(ga_runtime runtime, void *stream, ga_error *error) GA_NOEXCEPT;
/* Waits for the work of a stream, and reports a failure of it. NULL: of the default one. */
GA_API ga_status ga_stream_synchronize(ga_runtime runtime, void *stream, ga_error *error) GA_NOEXCEPT;

/* A projection. The further pointers are ignored, as above. */
GA_API ga_status ga_project(ga_runtime runtime, const ga_project_params *params, ga_error *error, const void *hold0,
                            const void *hold1, const void *hold2, const void *hold3) GA_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
