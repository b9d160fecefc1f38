# What tests of the library share: cases, the float64 reference, comparison. Of use without GoogleTest too.

include_guard(GLOBAL)
set(folder "${CMAKE_CURRENT_LIST_DIR}")
add_library(gatedattention_test_support STATIC
  "${folder}/backward_case.cpp"
  "${folder}/backward_reference.cpp"
  "${folder}/block.cpp"
  "${folder}/case.cpp"
  "${folder}/environment.cpp"
  "${folder}/instance.cpp"
  "${folder}/key_cache.cpp"
  "${folder}/number.cpp"
  "${folder}/random_case.cpp"
  "${folder}/reference.cpp")
target_include_directories(gatedattention_test_support PUBLIC "${folder}")
target_link_libraries(gatedattention_test_support PUBLIC gatedattention)
target_compile_options(gatedattention_test_support PUBLIC -Wall -Wextra -Wshadow
  $<$<BOOL:${GA_BUILD_TESTS}>:-Werror>)  # whoever builds without tests may have a compiler that warns of other things
# Sums of the float64 reference in any order, so that they are vectorized; NaN and infinities keep their meaning.
set_source_files_properties("${folder}/reference.cpp" TARGET_DIRECTORY gatedattention_test_support PROPERTIES
  COMPILE_OPTIONS "-O3;-fassociative-math;-fno-signed-zeros;-fno-trapping-math;-fno-math-errno")
