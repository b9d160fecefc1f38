// Opening the library of the CUDA kernels: what is missing or does not fit is said in one sentence.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "device_runtime.h"
#include "refusal.h"

namespace gatest {
namespace {

std::string expect_unavailable(const ga_runtime_options &options) {
  ga_error error{};
  ga_runtime runtime = 77;
  EXPECT_EQ(ga_runtime_create(&options, &runtime, &error), GA_UNAVAILABLE);
  EXPECT_EQ(error.status, GA_UNAVAILABLE);
  EXPECT_EQ(runtime, 77U) << "written although refused";
  return error.message;
}

TEST(CudaLibrary, ThatIsMissingIsNamed) {
  const std::string message = expect_unavailable(cuda_options("/nonexistent/libgatedattention_cuda.so"));
  EXPECT_NE(message.find("/nonexistent/libgatedattention_cuda.so"), std::string::npos) << message;
}

TEST(CudaLibrary, OfAnotherBuildIsRefused) {
  for (int i = 0; i < 2; i++) {  // the second time as well
    const std::string message = expect_unavailable(cuda_options(GA_OTHER_CUDA));
    EXPECT_NE(message.find("0.0.9-0123456789abcdef"), std::string::npos) << message;
    EXPECT_NE(message.find("same build"), std::string::npos) << message;
  }
}

TEST(CudaLibrary, ThatIsSomethingElseIsRefused) {
  const std::string message = expect_unavailable(cuda_options("libm.so.6"));
  EXPECT_TRUE(holds_word(message, "ga_cuda_backend")) << message;
}

TEST(CudaLibrary, SaysWhyADeviceCannotBeHad) {
  const auto refuse_with = fake<void(const char *)>("fake_cuda_refuse");
  refuse_with("the NVIDIA driver is for CUDA 12.2, but this library needs CUDA 13.0; install a newer driver");
  EXPECT_NE(expect_unavailable(cuda_options(GA_FAKE_CUDA)).find("12.2"), std::string::npos);
  refuse_with(nullptr);
  const std::string message = expect_unavailable(cuda_options(GA_FAKE_CUDA, 2));
  EXPECT_TRUE(holds_word(message, "device_index") && holds_word(message, "2")) << message;
  const DeviceRuntime after;  // nothing of the refusals stays
  EXPECT_NE(after.handle(), 0U);
}

#ifdef GA_REAL_CUDA
// Where there is a device this opens it.
TEST(CudaLibrary, LoadsWithoutADriverAndSaysSo) {
  const ga_runtime_options named = cuda_options(GA_REAL_CUDA), beside = cuda_options(nullptr);
  for (const ga_runtime_options &options : {named, beside}) {
    ga_error error{};
    ga_runtime runtime = 0;
    const ga_status status = ga_runtime_create(&options, &runtime, &error);
    if (status == GA_OK) {
      EXPECT_EQ(ga_runtime_close(runtime, nullptr), GA_OK);
    } else {
      EXPECT_EQ(status, GA_UNAVAILABLE) << error.message;
      const std::string message = error.message;
      EXPECT_NE(message.find("driver"), std::string::npos) << message;
    }
  }
}
#else
TEST(CudaLibrary, LoadsWithoutADriverAndSaysSo) { GTEST_SKIP() << "the CUDA library is not built: no nvcc was found"; }
#endif

}  // namespace
}  // namespace gatest
