// What this machine can do at most: the ceilings that every "% of peak" is measured against, in the same run.
#pragma once

#include <cstdint>
#include <functional>

namespace ga::bench {

double now_seconds();

// Runs work(thread) on that many threads pinned to processors 0, 1, ... at once; returns the sum of what the calls
// return (FLOP, bytes) per second of wall time.
double rate(int threads, const std::function<double(int)> &work);

// Each returns its unit per second for the number of threads, the best of a few runs of some tens of milliseconds.
// 0 where the processor lacks the instructions.
double fma_f32(int threads);    // FLOP/s of the widest f32 FMA
double dot_bf16(int threads);   // FLOP/s of vdpbf16ps
double amx_bf16(int threads);   // FLOP/s of tdpbf16ps
double read_dram(int threads);  // bytes/s of reading, working set far beyond every cache
double read_l3(int threads);    // bytes/s, working set 4 MiB per thread
double read_l2(int threads);    // bytes/s, working set 512 KiB per thread

// bytes/s of reading the same bytes over and over, each thread its part of them: from whichever caches they fit in.
double read_bytes(int threads, int64_t bytes);

}  // namespace ga::bench
