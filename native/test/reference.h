// Gated attention in float64 by plain loops, and the error that each element of a result may have.
#pragma once

#include <cstdint>
#include <vector>

#include "gated_attention.h"

namespace gatest {

// The keys [first, end) that one query row sees; empty when first >= end.
struct KeyRange {
  int64_t first;
  int64_t end;
};

// length: keys in use of the row's sequence. Causal masks and windows are aligned to the bottom right.
KeyRange visible_keys(const ga_attention_params &params, int64_t length, int64_t query);

// Keys in use of one sequence: its key length, else seq_k.
int64_t key_length(const ga_attention_params &params, int64_t batch);

// Elements between data and the element [batch, sequence, head, dim].
int64_t element_offset(const ga_tensor &tensor, int64_t batch, int64_t sequence, int64_t head, int64_t dim);

double activate(ga_activation activation, double score);

// Dense, whatever the strides of the operands: out [B, Sq, Hq, Dv], lse [B, Sq, Hq].
struct Reference {
  std::vector<double> out;
  std::vector<double> out_bound;
  std::vector<double> lse;
  std::vector<double> lse_bound;
};

// Reads the inputs where params say they lie. Only keys that some row sees are read.
Reference reference_forward(const ga_attention_params &params);

}  // namespace gatest
