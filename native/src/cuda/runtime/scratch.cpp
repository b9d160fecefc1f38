#include "cuda/runtime/scratch.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "cuda/runtime/failure.h"

namespace ga::cuda {

// The piece of the stream; else one without memory, or that of the stream that was not used for longest.
Scratch::Piece *Scratch::piece_of(unsigned long long stream) {
  Piece *oldest = &pieces_[0];
  for (Piece &piece : pieces_) {
    if (piece.memory && piece.stream == stream) return &piece;
    if (piece.used < oldest->used) oldest = &piece;
  }
  return oldest;
}

ga_status Scratch::replace(Piece &piece, cudaStream_t stream, int64_t bytes, ga_error *error) {
  Kept *kept = nullptr;
  if (piece.memory && piece.captured) {
    kept = static_cast<Kept *>(std::malloc(sizeof(Kept)));
    if (!kept) return refuse(error, GA_OUT_OF_MEMORY, "the system has no memory left");
  }
  void *memory = nullptr;
  cudaError_t result = cudaMalloc(&memory, static_cast<size_t>(bytes));
  if (result == cudaSuccess) result = cudaMemsetAsync(memory, 0, static_cast<size_t>(bytes), stream);
  if (result != cudaSuccess) {
    if (memory) cudaFree(memory);
    std::free(kept);
    char action[80];
    std::snprintf(action, sizeof action, "getting %" PRId64 " bytes of scratch memory", bytes);
    return outcome(device_, result, error, action);
  }
  if (kept) {
    *kept = {kept_, piece.memory};
    kept_ = kept;
  } else if (piece.memory) {
    cudaFree(piece.memory);  // waits for the work that still uses it
    bytes_ -= piece.bytes;
  }
  piece.memory = static_cast<char *>(memory);
  piece.bytes = bytes;
  piece.captured = false;
  bytes_ += bytes;
  return GA_OK;
}

ga_status Scratch::Use::take(cudaStream_t stream, int64_t bytes, char **memory, ga_error *error) {
  unsigned long long id = 0;
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  cudaError_t result = cudaStreamGetId(stream, &id);
  if (result == cudaSuccess) result = cudaStreamIsCapturing(stream, &capture);
  if (result != cudaSuccess) return outcome(scratch_.device_, result, error, "looking at the stream");
  const bool captured = capture != cudaStreamCaptureStatusNone;
  Piece &piece = *scratch_.piece_of(id);
  const bool fits = piece.memory && piece.stream == id && piece.bytes >= bytes;
  if (!fits) {
    if (captured)
      return refuse(error, GA_INVALID_ARGUMENT,
                    "workspace is NULL and the stream is being captured, but it has no scratch memory of %" PRId64
                    " bytes yet; make the call once before the capture, or lend a workspace",
                    bytes);
    if (const ga_status status = scratch_.replace(piece, stream, bytes, error); status != GA_OK) return status;
    piece.stream = id;
  }
  piece.captured |= captured;
  piece.used = ++scratch_.clock_;
  *memory = piece.memory;
  return GA_OK;
}

void Scratch::free_all() {
  for (Piece &piece : pieces_)
    if (piece.memory) cudaFree(piece.memory);
  while (Kept *kept = kept_) {
    kept_ = kept->next;
    cudaFree(kept->memory);
    std::free(kept);
  }
}

int64_t Scratch::bytes_held() {
  pthread_mutex_lock(&mutex_);
  const int64_t bytes = bytes_;
  pthread_mutex_unlock(&mutex_);
  return bytes;
}

}  // namespace ga::cuda
