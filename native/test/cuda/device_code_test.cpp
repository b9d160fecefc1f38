// What surrounds the kernels, on a fake CUDA run time: devices that are missing, scratch memory and captures, errors that stay,
// the choice of a family of kernels.

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/cuda_backend.h"
#include "cuda/family.h"
#include "cuda/runtime/failure.h"
#include "fake_cudart.h"

extern "C" const ga::CudaBackend *ga_cuda_backend() noexcept;

// The families of kernels: what they refuse and need is the test's to say.
namespace ga::cuda {
namespace {

struct Launches {
  std::vector<std::string> families;
  std::vector<char *> workspaces;
  int64_t workspace_bytes = 0;
  cudaError_t error = cudaSuccess;
  const char *decode_refusal = "it has many rows", *sm90_refusal = nullptr, *mma_refusal = nullptr;
};

Launches launches;

cudaError_t launched(const char *family, char *workspace) {
  launches.families.push_back(family);
  launches.workspaces.push_back(workspace);
  return launches.error;
}

LaunchPlan planned(const char *name) {
  LaunchPlan plan = {};
  std::snprintf(plan.kernel, sizeof plan.kernel, "%s", name);
  plan.query_block = 128;
  plan.key_block = 64;
  plan.tasks = 7;
  plan.workspace_bytes = launches.workspace_bytes;
  return plan;
}

}  // namespace

const Family kDecode = {
    [](const Problem &, const DeviceFacts &) { return launches.decode_refusal; },
    [](const Problem &, const DeviceFacts &) { return planned("decode"); },
    [](const Problem &, const DeviceFacts &, char *workspace, cudaStream_t) { return launched("decode", workspace); }};
const Family kForwardSm90 = {[](const Problem &, const DeviceFacts &device) {
                               return device.compute_capability == 90 ? launches.sm90_refusal : "it is not Hopper";
                             },
                             [](const Problem &, const DeviceFacts &) { return planned("forward_sm90"); },
                             [](const Problem &, const DeviceFacts &, char *workspace, cudaStream_t) {
                               return launched("forward_sm90", workspace);
                             }};
const Family kForwardMma = {[](const Problem &, const DeviceFacts &) { return launches.mma_refusal; },
                            [](const Problem &, const DeviceFacts &) { return planned("forward_mma"); },
                            [](const Problem &, const DeviceFacts &, char *workspace, cudaStream_t) {
                              return launched("forward_mma", workspace);
                            }};
const MergeFamily kMerge = {[](const Merge &, const DeviceFacts &) -> const char * { return nullptr; },
                            [](const Merge &, const DeviceFacts &, cudaStream_t) { return launched("merge", nullptr); }};

}  // namespace ga::cuda

namespace gatest {
namespace {

using ga::cuda::launches;

class DeviceCode : public testing::Test {
 protected:
  DeviceCode() {
    unsetenv("GA_CUDA_FAMILY");  // before it is read, which happens once
    cudart::reset();
    launches = {};
    problem_.batch = problem_.seq_q = 1;
  }
  ~DeviceCode() override {
    for (ga::CudaDevice *device : opened_) cuda_.close(device);
    EXPECT_EQ(cudart::state().used_bytes, 0) << "memory is left behind";
    EXPECT_EQ(cudart::state().current_device, 0) << "the caller's device was changed";
    EXPECT_EQ(cudart::state().capture_mode, cudaStreamCaptureModeGlobal) << "the caller's mode was changed";
  }

  ga::CudaDevice *open(int32_t index = 0) {
    ga::CudaDevice *device = nullptr;
    EXPECT_EQ(cuda_.open(index, &device, &error_), GA_OK) << error_.message;
    if (device) opened_.push_back(device);
    return device;
  }
  void expect_unavailable(const std::vector<std::string> &words, int32_t index = 0) {
    ga::CudaDevice *device = nullptr;
    EXPECT_EQ(cuda_.open(index, &device, &error_), GA_UNAVAILABLE);
    EXPECT_EQ(device, nullptr);
    expect_words(words);
  }
  void expect_words(const std::vector<std::string> &words) const {
    for (const std::string &word : words)
      EXPECT_NE(std::string(error_.message).find(word), std::string::npos)
          << word << " is missing in: " << error_.message;
  }
  ga_status forward(ga::CudaDevice *device, void *stream = nullptr) {
    return cuda_.forward(device, problem_, nullptr, 0, stream, &error_);
  }
  char *workspace() const { return launches.workspaces.back(); }

  const ga::CudaBackend &cuda_ = *ga_cuda_backend();
  ga::Problem problem_ = {};
  ga_error error_{};
  std::vector<ga::CudaDevice *> opened_;
};

TEST_F(DeviceCode, NoDriverIsSaid) {
  cudart::state().driver_version = 0;
  cudart::state().count_error = cudaErrorInsufficientDriver;
  expect_unavailable({"no NVIDIA driver", "libcuda.so.1", "CUDA 13.0"});
}

TEST_F(DeviceCode, AnOldDriverIsSaid) {
  cudart::state().driver_version = 12020;
  cudart::state().count_error = cudaErrorInsufficientDriver;
  expect_unavailable({"is for CUDA 12.2", "needs CUDA 13.0"});
}

TEST_F(DeviceCode, NoDeviceIsSaid) {
  cudart::state().devices = 0;
  cudart::state().count_error = cudaErrorNoDevice;
  expect_unavailable({"sees no device", "CUDA_VISIBLE_DEVICES"});
  cudart::state().devices = 1;
  cudart::state().count_error = cudaSuccess;
  expect_unavailable({"device_index is 1", "there is 1 CUDA device"}, 1);
}

TEST_F(DeviceCode, AnOldDeviceIsSaid) {
  cudart::state().major = 7;
  cudart::state().minor = 5;
  expect_unavailable({"A device", "7.5", "8.0"});
}

TEST_F(DeviceCode, TheFirstFamilyThatCanTakesTheCall) {
  ga::CudaDevice *hopper = open();
  ga_attention_plan plan{};
  EXPECT_EQ(cuda_.plan(hopper, problem_, &plan, &error_), GA_OK);
  EXPECT_STREQ(plan.kernel, "forward_sm90");
  EXPECT_EQ(plan.query_block, 128);
  EXPECT_EQ(plan.tasks, 7);
  EXPECT_EQ(forward(hopper), GA_OK);
  launches.decode_refusal = nullptr;
  EXPECT_EQ(forward(hopper), GA_OK);
  launches.decode_refusal = "it has many rows";
  cudart::state().major = 8;
  EXPECT_EQ(forward(open(1)), GA_OK);
  EXPECT_EQ(launches.families, (std::vector<std::string>{"forward_sm90", "decode", "forward_mma"}));
  launches.sm90_refusal = "softcap is not in the Hopper kernels";
  launches.mma_refusal = "head_dim is 520";
  EXPECT_EQ(forward(hopper), GA_UNSUPPORTED);
  expect_words({"head_dim is 520"});
}

// The environment is read once: each in a process of its own.
TEST_F(DeviceCode, TheFamilyThatTheEnvironmentNamesIsTheOnlyOne) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto finish = [this](const char *family, const std::string &kernel, ga_status expected) {
    setenv("GA_CUDA_FAMILY", family, 1);
    launches.decode_refusal = nullptr;
    ga_attention_plan plan{};
    const ga_status status = cuda_.plan(open(), problem_, &plan, &error_);
    std::fprintf(stderr, "%s%s", plan.kernel, error_.message);
    std::_Exit(status == expected && plan.kernel == kernel ? 0 : 1);
  };
  EXPECT_EXIT(finish("forward_mma", "forward_mma", GA_OK), testing::ExitedWithCode(0), "forward_mma");
  EXPECT_EXIT(finish("decode", "decode", GA_OK), testing::ExitedWithCode(0), "decode");
  EXPECT_EXIT(finish("forward", "", GA_UNSUPPORTED), testing::ExitedWithCode(0), "GA_CUDA_FAMILY");
}

TEST_F(DeviceCode, NothingIsLaunchedForNothing) {
  problem_.seq_q = 0;
  EXPECT_EQ(forward(open()), GA_OK);
  EXPECT_TRUE(launches.families.empty());
}

TEST_F(DeviceCode, SteadyCallsAllocateNothingAndWaitForNothing) {
  ga::CudaDevice *device = open();
  launches.workspace_bytes = 1000;
  EXPECT_EQ(forward(device), GA_OK);
  for (int i = 0; i < 1000; i++) EXPECT_EQ(workspace()[i], 0) << "scratch memory begins zeroed";
  const cudart::State before = cudart::state();
  char *first = workspace();
  for (int i = 0; i < 5; i++) {
    launches.workspace_bytes = 1000 - i;
    EXPECT_EQ(forward(device), GA_OK);
    EXPECT_EQ(workspace(), first);
  }
  EXPECT_EQ(cudart::state().allocations, before.allocations);
  EXPECT_EQ(cudart::state().synchronizations, before.synchronizations);
  launches.workspace_bytes = 2000;
  EXPECT_EQ(forward(device), GA_OK);
  EXPECT_EQ(cudart::state().allocations, before.allocations + 1);
  EXPECT_EQ(cudart::state().frees, before.frees + 1);
  ga_runtime_info info{};
  EXPECT_EQ(cuda_.query(device, &info, &error_), GA_OK);
  EXPECT_EQ(info.workspace_bytes, 2000);
}

TEST_F(DeviceCode, StreamsHaveScratchOfTheirOwn) {
  ga::CudaDevice *device = open();
  launches.workspace_bytes = 64;
  void *streams[2] = {};
  std::vector<char *> seen;
  for (void *&stream : streams) {
    EXPECT_EQ(cuda_.stream_open(device, &stream, &error_), GA_OK);
    EXPECT_EQ(forward(device, stream), GA_OK);
    seen.push_back(workspace());
  }
  EXPECT_NE(seen[0], seen[1]);
  EXPECT_EQ(forward(device, streams[0]), GA_OK);
  EXPECT_EQ(workspace(), seen[0]);
  for (void *stream : streams) EXPECT_EQ(cuda_.stream_close(device, stream, &error_), GA_OK);
  EXPECT_EQ(forward(device, streams[0]), GA_INVALID_ARGUMENT) << "a closed stream";
}

// More streams than there are pieces: the one that was not used for longest gives way.
TEST_F(DeviceCode, ManyStreamsShareABoundedNumberOfPieces) {
  ga::CudaDevice *device = open();
  launches.workspace_bytes = 64;
  std::vector<void *> streams(70);
  for (void *&stream : streams) {
    EXPECT_EQ(cuda_.stream_open(device, &stream, &error_), GA_OK);
    EXPECT_EQ(forward(device, stream), GA_OK);
  }
  EXPECT_EQ(cudart::state().used_bytes, 64 * 64);
  char *last = workspace();
  EXPECT_EQ(forward(device, streams[69]), GA_OK);
  EXPECT_EQ(workspace(), last);
  for (void *stream : streams) EXPECT_EQ(cuda_.stream_close(device, stream, &error_), GA_OK);
}

TEST_F(DeviceCode, CapturesGrowNothing) {
  ga::CudaDevice *device = open();
  launches.workspace_bytes = 512;
  cudart::state().capturing = true;
  EXPECT_EQ(forward(device), GA_INVALID_ARGUMENT);
  expect_words({"captured", "512 bytes", "lend a workspace"});
  EXPECT_TRUE(launches.families.empty());
  alignas(64) static char lent[512];
  EXPECT_EQ(cuda_.forward(device, problem_, lent, sizeof lent, nullptr, &error_), GA_OK);
  EXPECT_EQ(workspace(), lent);

  cudart::state().capturing = false;
  EXPECT_EQ(forward(device), GA_OK);
  cudart::state().capturing = true;
  EXPECT_EQ(forward(device), GA_OK) << error_.message;
  const int64_t frees = cudart::state().frees;
  cudart::state().capturing = false;
  launches.workspace_bytes = 1024;
  EXPECT_EQ(forward(device), GA_OK);
  EXPECT_EQ(cudart::state().frees, frees) << "a graph may still use it";
}

TEST_F(DeviceCode, ALentWorkspaceMustBeLargeEnough) {
  launches.workspace_bytes = 512;
  alignas(64) static char lent[512];
  EXPECT_EQ(cuda_.forward(open(), problem_, lent, 511, nullptr, &error_), GA_INVALID_ARGUMENT);
  expect_words({"511", "512"});
}

TEST_F(DeviceCode, MemoryThatRunsOutLeavesEverythingUsable) {
  ga::CudaDevice *device = open();
  launches.workspace_bytes = int64_t{1} << 40;
  EXPECT_EQ(forward(device), GA_OUT_OF_MEMORY);
  expect_words({"scratch memory", "1099511627776"});
  void *memory = nullptr;
  EXPECT_EQ(cuda_.allocate(device, GA_MEMORY_DEVICE, int64_t{1} << 40, &memory, &error_), GA_OUT_OF_MEMORY);
  launches.workspace_bytes = 100;
  EXPECT_EQ(forward(device), GA_OK) << error_.message;
}

TEST_F(DeviceCode, KnowsWhereMemoryLies) {
  ga::CudaDevice *device = open(), *other = open(1);
  void *mine = nullptr, *theirs = nullptr, *pinned = nullptr;
  EXPECT_EQ(cuda_.allocate(device, GA_MEMORY_DEVICE, 100, &mine, &error_), GA_OK);
  EXPECT_EQ(cuda_.allocate(other, GA_MEMORY_DEVICE, 100, &theirs, &error_), GA_OK);
  EXPECT_EQ(cuda_.allocate(device, GA_MEMORY_PINNED, 100, &pinned, &error_), GA_OK);
  const auto first = [&](const std::vector<const void *> &addresses, ga::Place &place) {
    return cuda_.misplaced(device, addresses.data(), static_cast<int>(addresses.size()), &place);
  };
  ga::Place place = ga::Place::kDevice;
  EXPECT_EQ(first({mine, nullptr, static_cast<char *>(mine) + 99}, place), 3);
  EXPECT_EQ(first({mine, theirs, pinned}, place), 1);
  EXPECT_EQ(place, ga::Place::kOtherDevice);
  EXPECT_EQ(first({pinned}, place), 0);
  EXPECT_EQ(place, ga::Place::kHost);
  EXPECT_EQ(first({mine, &place}, place), 1);
  EXPECT_EQ(cuda_.free(device, &place, &error_), GA_INVALID_ARGUMENT);
  for (void *memory : {mine, theirs, pinned}) EXPECT_EQ(cuda_.free(device, memory, &error_), GA_OK) << error_.message;
  EXPECT_EQ(cuda_.free(device, mine, &error_), GA_INVALID_ARGUMENT) << "freed twice";
}

TEST_F(DeviceCode, ARecoverableErrorDoesNotStay) {
  ga::CudaDevice *device = open();
  launches.error = cudaErrorInvalidValue;
  EXPECT_EQ(forward(device), GA_INVALID_ARGUMENT);
  expect_words({"launching forward_sm90"});
  launches.error = cudaSuccess;
  EXPECT_EQ(forward(device), GA_OK);
}

TEST_F(DeviceCode, ProjectionsNameWhatIsMissing) {
  ga::Projection p = {};
  const ga_status status = cuda_.project(open(), p, nullptr, &error_);
  if (status == GA_UNAVAILABLE) expect_words({"libcublasLt.so.13", "libcublasLt.so.12"});
  EXPECT_NE(status, GA_OK);
}

// The last of these tests: nothing repairs a device.
TEST_F(DeviceCode, ZzAFailureStaysWithItsFirstCause) {
  ga::CudaDevice *device = open(1), *other = open(0);
  cudart::state().next_error = cudaErrorIllegalAddress;
  EXPECT_EQ(cuda_.stream_synchronize(device, nullptr, &error_), GA_DEVICE_FAILED);
  expect_words({"synchronizing a stream", "cudaErrorIllegalAddress", "CUDA device 1"});
  cudart::state().next_error = cudaErrorLaunchFailure;
  EXPECT_EQ(forward(device), GA_DEVICE_FAILED);
  expect_words({"synchronizing a stream", "cudaErrorIllegalAddress"});
  EXPECT_TRUE(launches.families.empty());
  cudart::state().next_error = cudaSuccess;
  ga::CudaDevice *again = nullptr;
  EXPECT_EQ(cuda_.open(1, &again, &error_), GA_DEVICE_FAILED);
  EXPECT_EQ(forward(other), GA_OK) << error_.message;
}

}  // namespace
}  // namespace gatest
