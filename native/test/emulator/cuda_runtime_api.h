// The names of CUDA's runtime that src/cuda/family.h speaks of; nothing here launches anything.
#pragma once

using cudaError_t = int;
using cudaStream_t = struct CUstream_st *;
