// Memory and streams of a device through the C ABI: what is given, what is refused, what is left behind.

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "device_runtime.h"
#include "refusal.h"

namespace gatest {
namespace {

class DeviceMemory : public testing::Test {
 protected:
  ~DeviceMemory() override {
    fake<void(int64_t)>("fake_cuda_memory")(int64_t{1} << 30);
    fake<void()>("fake_cuda_repair")();
    EXPECT_EQ(fake<int64_t()>("fake_cuda_open_handles")(), 0);
  }

  void *allocate(int64_t bytes, ga_memory kind = GA_MEMORY_DEVICE) {
    void *memory = nullptr;
    EXPECT_EQ(ga_memory_allocate(runtime_.handle(), kind, bytes, &memory, &error_), GA_OK) << error_.message;
    return memory;
  }
  void free(void *memory) { EXPECT_EQ(ga_memory_free(runtime_.handle(), memory, &error_), GA_OK) << error_.message; }
  void expect_refused(ga_status status, ga_status expected, const std::vector<std::string> &words) {
    EXPECT_EQ(status, expected);
    EXPECT_EQ(error_.status, expected);
    for (const std::string &word : words) EXPECT_TRUE(holds_word(error_.message, word)) << word << ": " << error_.message;
  }

  const DeviceRuntime runtime_;
  ga_error error_{};
};

TEST_F(DeviceMemory, GoesThereAndBack) {
  const std::string text = "copied over a stream";
  const auto bytes = static_cast<int64_t>(text.size());
  void *stream = nullptr;
  ASSERT_EQ(ga_stream_open(runtime_.handle(), &stream, &error_), GA_OK) << error_.message;
  void *device = allocate(bytes);
  auto *pinned = static_cast<char *>(allocate(bytes, GA_MEMORY_PINNED));
  EXPECT_EQ(std::string(pinned, text.size()), std::string(text.size(), '\0'));
  EXPECT_EQ(ga_memory_copy(runtime_.handle(), device, text.data(), bytes, stream, &error_, nullptr, nullptr), GA_OK);
  EXPECT_EQ(ga_memory_copy(runtime_.handle(), pinned, device, bytes, stream, &error_, nullptr, nullptr), GA_OK);
  EXPECT_EQ(ga_stream_synchronize(runtime_.handle(), stream, &error_), GA_OK);
  EXPECT_EQ(std::string(pinned, text.size()), text);
  free(device);
  free(pinned);
  EXPECT_EQ(ga_stream_close(runtime_.handle(), stream, &error_), GA_OK);
  expect_refused(ga_stream_synchronize(runtime_.handle(), stream, &error_), GA_INVALID_ARGUMENT, {"stream"});
}

TEST_F(DeviceMemory, BadArgumentsAreRefused) {
  void *memory = &error_;
  const ga_runtime r = runtime_.handle();
  expect_refused(ga_memory_allocate(r, GA_MEMORY_DEVICE, 0, &memory, &error_), GA_INVALID_ARGUMENT, {"bytes", "0"});
  expect_refused(ga_memory_allocate(r, GA_MEMORY_DEVICE, -5, &memory, &error_), GA_INVALID_ARGUMENT, {"bytes", "-5"});
  expect_refused(ga_memory_allocate(r, 2, 64, &memory, &error_), GA_INVALID_ARGUMENT, {"kind", "2"});
  expect_refused(ga_memory_allocate(r, GA_MEMORY_DEVICE, 64, nullptr, &error_), GA_INVALID_ARGUMENT, {"memory"});
  EXPECT_EQ(memory, &error_) << "written although refused";
  expect_refused(ga_memory_free(r, nullptr, &error_), GA_INVALID_ARGUMENT, {"memory"});
  expect_refused(ga_memory_free(r, &memory, &error_), GA_INVALID_ARGUMENT, {"memory"});
  expect_refused(ga_memory_copy(r, nullptr, &memory, 8, nullptr, &error_, nullptr, nullptr), GA_INVALID_ARGUMENT,
                 {"to", "8"});
  expect_refused(ga_memory_copy(r, &memory, nullptr, 8, nullptr, &error_, nullptr, nullptr), GA_INVALID_ARGUMENT,
                 {"from", "8"});
  expect_refused(ga_memory_copy(r, &memory, &error_, -1, nullptr, &error_, nullptr, nullptr), GA_INVALID_ARGUMENT,
                 {"bytes", "-1"});
  char text[16] = {};
  expect_refused(ga_memory_copy(r, text, text + 4, 8, nullptr, &error_, nullptr, nullptr), GA_INVALID_ARGUMENT,
                 {"overlap"});
  EXPECT_EQ(ga_memory_copy(r, nullptr, nullptr, 0, nullptr, &error_, nullptr, nullptr), GA_OK);
  expect_refused(ga_stream_open(r, nullptr, &error_), GA_INVALID_ARGUMENT, {"stream"});
  expect_refused(ga_stream_close(r, nullptr, &error_), GA_INVALID_ARGUMENT, {"stream"});
}

TEST_F(DeviceMemory, ThatRunsOutIsTypedAndRecovers) {
  fake<void(int64_t)>("fake_cuda_memory")(1000);
  void *most = allocate(800);
  void *more = nullptr;
  expect_refused(ga_memory_allocate(runtime_.handle(), GA_MEMORY_DEVICE, 300, &more, &error_), GA_OUT_OF_MEMORY, {"300"});
  EXPECT_EQ(more, nullptr);
  free(most);
  free(allocate(900));
}

TEST_F(DeviceMemory, OfAFailedDeviceReportsTheFirstCause) {
  void *memory = allocate(64);
  fake<void(int32_t)>("fake_cuda_break")(0);
  char text[64] = {};
  expect_refused(ga_memory_copy(runtime_.handle(), memory, text, 64, nullptr, &error_, nullptr, nullptr),
                 GA_DEVICE_FAILED, {"copy", "illegal"});
  expect_refused(ga_stream_synchronize(runtime_.handle(), nullptr, &error_), GA_DEVICE_FAILED, {"copy", "illegal"});
  const DeviceRuntime other(1);  // the other device goes on
  EXPECT_EQ(ga_stream_synchronize(other.handle(), nullptr, &error_), GA_OK);
  fake<void()>("fake_cuda_repair")();
  free(memory);
}

TEST_F(DeviceMemory, IsForDevicesAlone) {
  const Runtime cpu(1);
  void *pointer = nullptr;
  const auto unsupported = [&](ga_status status, const char *function) {
    expect_refused(status, GA_UNSUPPORTED, {function, "CPU"});
  };
  unsupported(ga_memory_allocate(cpu.handle(), GA_MEMORY_DEVICE, 64, &pointer, &error_), "ga_memory_allocate");
  unsupported(ga_memory_free(cpu.handle(), &pointer, &error_), "ga_memory_free");
  unsupported(ga_memory_copy(cpu.handle(), &pointer, &error_, 8, nullptr, &error_, nullptr, nullptr), "ga_memory_copy");
  unsupported(ga_stream_open(cpu.handle(), &pointer, &error_), "ga_stream_open");
  unsupported(ga_stream_close(cpu.handle(), &pointer, &error_), "ga_stream_close");
  unsupported(ga_stream_synchronize(cpu.handle(), nullptr, &error_), "ga_stream_synchronize");
  ga_project_params params{};
  params.struct_size = sizeof params;
  unsupported(ga_project(cpu.handle(), &params, &error_, nullptr, nullptr, nullptr, nullptr), "ga_project");
  EXPECT_EQ(ga_stream_synchronize(77, nullptr, &error_), GA_INVALID_HANDLE);
}

TEST_F(DeviceMemory, ProjectsWhatItIsGiven) {
  const std::vector<float> in = {1, 2, 3, 4, 5, 6}, weight = {1, 0, -1, 2, 1, 0}, bias = {10, 20};  // [2, 3], [2, 3], [2]
  const auto upload = [&](const std::vector<float> &values) {
    const auto bytes = static_cast<int64_t>(values.size() * 4);
    void *device = allocate(bytes);
    EXPECT_EQ(ga_memory_copy(runtime_.handle(), device, values.data(), bytes, nullptr, &error_, nullptr, nullptr), GA_OK);
    return device;
  };
  ga_project_params p{};
  p.struct_size = sizeof p;
  p.rows = 2;
  p.in_features = 3;
  p.out_features = 2;
  p.in = {upload(in), 24, {0, 3, 0, 1}, GA_F32, 0};
  p.weight = {upload(weight), 24, {0, 3, 0, 1}, GA_F32, 0};
  p.bias = {upload(bias), 8, {0, 0, 0, 1}, GA_F32, 0};
  p.out = {allocate(16), 16, {0, 2, 0, 1}, GA_F32, 0};
  const auto project = [&](const ga_project_params &params) {
    return ga_project(runtime_.handle(), &params, &error_, nullptr, nullptr, nullptr, nullptr);
  };
  EXPECT_EQ(project(p), GA_OK) << error_.message;
  std::vector<float> out(4);
  EXPECT_EQ(ga_memory_copy(runtime_.handle(), out.data(), p.out.data, 16, nullptr, &error_, nullptr, nullptr), GA_OK);
  EXPECT_EQ(out, (std::vector<float>{8, 24, 8, 33}));

  const auto refused = [&](const std::function<void(ga_project_params &)> &spoil, const std::vector<std::string> &words) {
    ga_project_params bad = p;
    spoil(bad);
    expect_refused(project(bad), GA_INVALID_ARGUMENT, words);
  };
  refused([](auto &b) { b.struct_size = 8; }, {"struct_size", "8"});
  refused([](auto &b) { b.rows = -1; }, {"rows", "-1"});
  refused([](auto &b) { b.in_features = 0; }, {"in_features", "0"});
  refused([](auto &b) { b.out_features = 1 << 25; }, {"out_features"});
  refused([](auto &b) { b.weight.dtype = GA_BF16; }, {"weight", "bf16", "f32"});
  refused([](auto &b) { b.in.bytes = 20; }, {"in", "20", "24"});
  refused([](auto &b) { b.in.data = nullptr; }, {"in", "NULL"});
  refused([](auto &b) { b.out = b.in; }, {"out", "in", "overlaps"});
  float host[6] = {};
  refused([&](auto &b) { b.in.data = host; }, {"in", "memory"});
  for (void *memory : {p.in.data, p.weight.data, p.bias.data, p.out.data}) free(memory);
}

}  // namespace
}  // namespace gatest
