// Element types of the tests: exact widening and round-to-nearest-even narrowing, written apart from the library's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "gated_attention.h"

namespace gatest {

float float_of_bf16(uint16_t bits);
float float_of_f16(uint16_t bits);
uint16_t bf16_of_float(float value);
uint16_t f16_of_float(float value);

int64_t size_of(ga_dtype dtype);
std::string name_of(ga_dtype dtype);

// The largest finite value of the type.
double max_finite(ga_dtype dtype);

// One element at an address that need not be aligned. I32 is read as its value.
double load(ga_dtype dtype, const std::byte *address);
void store(ga_dtype dtype, std::byte *address, double value);

// value after one rounding to the type.
double rounded(ga_dtype dtype, double value);

}  // namespace gatest
