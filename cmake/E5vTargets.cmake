# How every target of this project is declared.
#
#   e5v_library(text SOURCES tokenizer.cpp … DEPS e5v::base … PRIVATE_DEPS PCRE2)
#     makes the static library e5v_text (alias e5v::text) from e5v/text/. TORCH adds libtorch.
#   e5v_test(text SOURCES tokenizer_test.cpp … DEPS e5v::text [GOLDEN] [TORCH])
#     makes the program text_test and the ctest entry text.unit; with GOLDEN also text.golden, which runs the suites whose
#     names contain "Golden" (they read committed data under tests/goldens).

add_library(e5v_options INTERFACE)
target_include_directories(e5v_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(e5v_options INTERFACE -Wall -Wextra -Wno-unused-parameter
  # A designated initializer leaves the other fields at their defaults on purpose.
  -Wno-missing-field-initializers
  # gcc 12 warns of "text" + std::string(...) without reason: https://gcc.gnu.org/PR105651
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(E5V_WERROR)
  target_compile_options(e5v_options INTERFACE -Werror)
endif()
if(E5V_SANITIZE)
  target_compile_options(e5v_options INTERFACE -fsanitize=${E5V_SANITIZE}
                                               -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(e5v_options INTERFACE -fsanitize=${E5V_SANITIZE})
endif()

# libtorch's headers, parsed once for all targets that say TORCH: they cost 8 s a file otherwise.
add_library(e5v_torch_headers OBJECT ${CMAKE_SOURCE_DIR}/cmake/torch_headers.cpp)
target_link_libraries(e5v_torch_headers PUBLIC e5v_options ${TORCH_LIBRARIES} OpenMP::OpenMP_CXX)
target_precompile_headers(e5v_torch_headers PRIVATE <torch/types.h> <functional> <map> <memory> <optional>
                          <span> <string> <vector>)

function(e5v_library name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(e5v_${name} STATIC ${ARG_SOURCES})
  add_library(e5v::${name} ALIAS e5v_${name})
  target_link_libraries(e5v_${name} PUBLIC e5v_options ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  if(ARG_TORCH)
    target_link_libraries(e5v_${name} PUBLIC ${TORCH_LIBRARIES} OpenMP::OpenMP_CXX)
    target_precompile_headers(e5v_${name} REUSE_FROM e5v_torch_headers)
  endif()
endfunction()

function(e5v_test name)
  cmake_parse_arguments(ARG "GOLDEN;TORCH" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE e5v_options ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  if(ARG_TORCH)
    target_link_libraries(${name}_test PRIVATE ${TORCH_LIBRARIES} OpenMP::OpenMP_CXX)
    target_precompile_headers(${name}_test REUSE_FROM e5v_torch_headers)
  endif()
  target_compile_definitions(
    ${name}_test PRIVATE E5V_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                         E5V_SHARED_DATA="${CMAKE_SOURCE_DIR}/../shared/data")
  add_test(NAME ${name}.unit COMMAND ${name}_test --gtest_filter=-*Golden*)
  set_tests_properties(${name}.unit PROPERTIES LABELS unit)
  if(ARG_GOLDEN)
    add_test(NAME ${name}.golden COMMAND ${name}_test --gtest_filter=*Golden*)
    set_tests_properties(${name}.golden PROPERTIES LABELS golden)
  endif()
endfunction()
