#include "number.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace gatest {
namespace {

uint32_t bits_of(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

float float_of_bits(uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace

float float_of_bf16(uint16_t bits) { return float_of_bits(static_cast<uint32_t>(bits) << 16); }

uint16_t bf16_of_float(float value) {
  const uint32_t bits = bits_of(value);
  if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float float_of_f16(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  float magnitude = 0;
  if (exponent == 31) {
    magnitude = fraction == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    magnitude = std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

uint16_t f16_of_float(float value) {
  const auto sign = static_cast<uint16_t>(std::signbit(value) ? 0x8000 : 0);
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7e00);
  const double magnitude = std::fabs(static_cast<double>(value));
  if (magnitude >= 65520.0) return static_cast<uint16_t>(sign | 0x7c00);
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  // The spacing of f16 around magnitude: 2^(exponent - 11), and 2^-24 among the subnormals.
  const int spacing = magnitude == 0 ? -24 : std::max(exponent - 11, -24);
  const auto steps = static_cast<uint32_t>(std::nearbyint(std::ldexp(magnitude, -spacing)));
  // steps counts units of the spacing; a carry into the next binade is the right encoding as it is.
  const uint32_t biased = spacing == -24 ? steps : (static_cast<uint32_t>(spacing + 24) << 10) + steps;
  return static_cast<uint16_t>(sign | biased);
}

int64_t size_of(ga_dtype dtype) { return dtype == GA_I8 ? 1 : dtype == GA_F32 || dtype == GA_I32 ? 4 : 2; }

std::string name_of(ga_dtype dtype) {
  switch (dtype) {
    case GA_F32: return "f32";
    case GA_BF16: return "bf16";
    case GA_F16: return "f16";
    case GA_I32: return "i32";
    case GA_I8: return "i8";
    default: return "dtype " + std::to_string(dtype);
  }
}

double max_finite(ga_dtype dtype) {
  if (dtype == GA_F16) return 65504.0;
  if (dtype == GA_BF16) return static_cast<double>(float_of_bf16(0x7f7f));
  return static_cast<double>(std::numeric_limits<float>::max());
}

double load(ga_dtype dtype, const std::byte *address) {
  if (dtype == GA_F32) {
    float value = 0;
    std::memcpy(&value, address, sizeof value);
    return static_cast<double>(value);
  }
  if (dtype == GA_I32) {
    int32_t value = 0;
    std::memcpy(&value, address, sizeof value);
    return value;
  }
  uint16_t bits = 0;
  std::memcpy(&bits, address, sizeof bits);
  return static_cast<double>(dtype == GA_BF16 ? float_of_bf16(bits) : float_of_f16(bits));
}

void store(ga_dtype dtype, std::byte *address, double value) {
  if (dtype == GA_F32) {
    const auto narrow = static_cast<float>(value);
    std::memcpy(address, &narrow, sizeof narrow);
  } else if (dtype == GA_I32) {
    const auto integer = static_cast<int32_t>(value);
    std::memcpy(address, &integer, sizeof integer);
  } else {
    const auto narrow = static_cast<float>(value);
    const uint16_t bits = dtype == GA_BF16 ? bf16_of_float(narrow) : f16_of_float(narrow);
    std::memcpy(address, &bits, sizeof bits);
  }
}

double rounded(ga_dtype dtype, double value) {
  std::byte element[4];
  store(dtype, element, value);
  return load(dtype, element);
}

}  // namespace gatest
