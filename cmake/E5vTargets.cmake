# How every target of this project is declared.
#
#   e5v_library(text SOURCES tokenizer.cpp … DEPS e5v::base … PRIVATE_DEPS PCRE2)
#     makes the static library e5v_text (alias e5v::text) from e5v/text/. TORCH adds libtorch and precompiles its headers;
#     where only some sources see tensors, those are TENSOR_SOURCES instead, and the others compile in a third of the time.
#     HEADERS names the precompiled headers where these are not those: they have to match the options that come with what is
#     used (`openmp`; `above_torch`: no source sees tensors, but what it uses does).
#   e5v_test(text SOURCES tokenizer_test.cpp … DEPS e5v::text [GOLDEN] [TORCH])
#     makes the program text_test and the ctest entry text.unit; with GOLDEN also text.golden, which runs the suites whose
#     names contain "Golden" (they read committed data under tests/goldens).

add_library(e5v_options INTERFACE)
target_include_directories(e5v_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
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

# Headers that are parsed once for many targets. Measured with gcc 12, seconds of CPU a file: nlohmann's 1.9, gmock's 2,
# libtorch's 8; to load them precompiled, 0.5, 0.8 and 1.5. Not a substitute for includes: every file names what it uses.
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
set(plain_headers <algorithm> <cstdint> <filesystem> <functional> <map> <memory> <optional> <span> <string> <string_view>
    <utility> <vector> <fmt/format.h> <nlohmann/json.hpp>)

# Precompiled headers `e5v_<name>_headers`, which targets take by REUSE_FROM; those have to have its options, too.
# PROGRAM: they are for programs, not for what goes into libe5v.so.
function(e5v_precompiled name)
  cmake_parse_arguments(ARG "PROGRAM" "" "HEADERS;DEPS;OPTIONS" ${ARGN})
  add_library(e5v_${name}_headers OBJECT ${PROJECT_SOURCE_DIR}/cmake/precompiled.cpp)
  target_link_libraries(e5v_${name}_headers PUBLIC e5v_options nlohmann_json::nlohmann_json fmt::fmt spdlog::spdlog
                                                   ${ARG_DEPS})
  target_compile_options(e5v_${name}_headers PRIVATE ${ARG_OPTIONS})
  if(NOT ARG_PROGRAM)
    set_target_properties(e5v_${name}_headers PROPERTIES POSITION_INDEPENDENT_CODE ON)
  endif()
  target_precompile_headers(e5v_${name}_headers PRIVATE ${plain_headers} ${ARG_HEADERS})
endfunction()

e5v_precompiled(plain)
e5v_precompiled(openmp DEPS OpenMP::OpenMP_CXX)
e5v_precompiled(above_torch DEPS ${TORCH_LIBRARIES} OpenMP::OpenMP_CXX)
e5v_precompiled(torch HEADERS <ATen/ATen.h> DEPS ${TORCH_LIBRARIES} OpenMP::OpenMP_CXX)

function(e5v_library name)
  cmake_parse_arguments(ARG "TORCH" "HEADERS" "SOURCES;TENSOR_SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(e5v_${name} STATIC ${ARG_SOURCES})
  add_library(e5v::${name} ALIAS e5v_${name})
  set_target_properties(e5v_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(e5v_${name} PUBLIC e5v_options ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  set(headers plain)
  if(ARG_TORCH)
    target_link_libraries(e5v_${name} PUBLIC ${TORCH_LIBRARIES} OpenMP::OpenMP_CXX)
    set(headers torch)
  endif()
  if(ARG_TENSOR_SOURCES)
    add_library(e5v_${name}_tensors OBJECT ${ARG_TENSOR_SOURCES})
    set_target_properties(e5v_${name}_tensors PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_link_libraries(e5v_${name}_tensors PRIVATE e5v_options ${ARG_DEPS} ${ARG_PRIVATE_DEPS} ${TORCH_LIBRARIES}
                                                      OpenMP::OpenMP_CXX)
    target_precompile_headers(e5v_${name}_tensors REUSE_FROM e5v_torch_headers)
    target_sources(e5v_${name} PRIVATE $<TARGET_OBJECTS:e5v_${name}_tensors>)
    target_link_libraries(e5v_${name} PUBLIC ${TORCH_LIBRARIES} OpenMP::OpenMP_CXX)
    set(headers above_torch)
  endif()
  if(ARG_HEADERS)
    set(headers ${ARG_HEADERS})
  endif()
  target_precompile_headers(e5v_${name} REUSE_FROM e5v_${headers}_headers)
endfunction()

if(E5V_BUILD_TESTS)
  # A test's own time is spent in the libraries; the compiler's, in what gtest's macros make.
  set(E5V_TEST_OPTIONS -O0)
  find_package(GTest REQUIRED)
  e5v_precompiled(test PROGRAM HEADERS <gmock/gmock.h> <gtest/gtest.h> DEPS GTest::gmock OPTIONS ${E5V_TEST_OPTIONS})
  e5v_precompiled(torch_test PROGRAM HEADERS <ATen/ATen.h> <gmock/gmock.h> <gtest/gtest.h>
                  DEPS GTest::gmock ${TORCH_LIBRARIES} OpenMP::OpenMP_CXX OPTIONS ${E5V_TEST_OPTIONS})
endif()

function(e5v_test name)
  cmake_parse_arguments(ARG "GOLDEN;TORCH" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE e5v_options ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_options(${name}_test PRIVATE ${E5V_TEST_OPTIONS})
  if(ARG_TORCH)
    target_link_libraries(${name}_test PRIVATE ${TORCH_LIBRARIES} OpenMP::OpenMP_CXX)
    target_precompile_headers(${name}_test REUSE_FROM e5v_torch_test_headers)
  else()
    target_precompile_headers(${name}_test REUSE_FROM e5v_test_headers)
  endif()
  target_compile_definitions(
    ${name}_test PRIVATE E5V_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                         E5V_SHARED_DATA="${PROJECT_SOURCE_DIR}/../shared/data")
  add_test(NAME ${name}.unit COMMAND ${name}_test --gtest_filter=-*Golden*)
  set_tests_properties(${name}.unit PROPERTIES LABELS unit)
  if(ARG_GOLDEN)
    add_test(NAME ${name}.golden COMMAND ${name}_test --gtest_filter=*Golden*)
    set_tests_properties(${name}.golden PROPERTIES LABELS golden)
  endif()
endfunction()
