// Scratch memory of a device, one piece per stream: work of a stream follows its order, so its calls can share a piece.
//
// A piece grows when a call needs more, but never while its stream is captured, and a piece that a graph was captured with
// stays as long as the device is open: the graph may be launched again.
#pragma once

#include <cuda_runtime_api.h>
#include <pthread.h>

#include <cstdint>

#include "gated_attention.h"

namespace ga::cuda {

class Scratch {
 public:
  explicit Scratch(int device) : device_(device) {}
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;

  // Holds the pieces from taking one until the work that uses it is enqueued: else another thread could replace it in between.
  class Use {
   public:
    explicit Use(Scratch &scratch) : scratch_(scratch) { pthread_mutex_lock(&scratch_.mutex_); }
    ~Use() { pthread_mutex_unlock(&scratch_.mutex_); }
    Use(const Use &) = delete;
    Use &operator=(const Use &) = delete;
    ga_status take(cudaStream_t stream, int64_t bytes, char **memory, ga_error *error);

   private:
    Scratch &scratch_;
  };

  void free_all();  // when the work of the device has ended
  int64_t bytes_held();

 private:
  struct Piece {
    unsigned long long stream;  // CUDA never gives an id twice, unlike addresses of streams
    char *memory;
    int64_t bytes;
    uint64_t used;  // when, to find the one that was not used for longest
    bool captured;  // a graph may hold its address
  };
  struct Kept {
    Kept *next;
    char *memory;
  };
  static constexpr int kPieces = 64;

  Piece *piece_of(unsigned long long stream);
  ga_status replace(Piece &piece, cudaStream_t stream, int64_t bytes, ga_error *error);

  const int device_;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  Piece pieces_[kPieces] = {};
  Kept *kept_ = nullptr;
  uint64_t clock_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace ga::cuda
