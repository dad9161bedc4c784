# How every target of this project is declared.
#
#   e5v_library(text SOURCES tokenizer.cpp … DEPS e5v::base … PRIVATE_DEPS PCRE2)
#     makes the static library e5v_text (alias e5v::text) from e5v/text/.
#   e5v_test(text SOURCES tokenizer_test.cpp … DEPS e5v::text [GOLDEN])
#     makes the program text_test and the ctest entry text.unit; with GOLDEN also text.golden, which runs the suites whose
#     names contain "Golden" (they read committed data under tests/goldens).

add_library(e5v_options INTERFACE)
target_include_directories(e5v_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(e5v_options INTERFACE -Wall -Wextra -Wno-unused-parameter
  # A designated initializer leaves the other fields at their defaults on purpose.
  -Wno-missing-field-initializers)
if(E5V_WERROR)
  target_compile_options(e5v_options INTERFACE -Werror)
endif()
if(E5V_SANITIZE)
  target_compile_options(e5v_options INTERFACE -fsanitize=${E5V_SANITIZE}
                                               -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(e5v_options INTERFACE -fsanitize=${E5V_SANITIZE})
endif()

function(e5v_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(e5v_${name} STATIC ${ARG_SOURCES})
  add_library(e5v::${name} ALIAS e5v_${name})
  target_link_libraries(e5v_${name} PUBLIC e5v_options ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
endfunction()

function(e5v_test name)
  cmake_parse_arguments(ARG "GOLDEN" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE e5v_options ${ARG_DEPS} GTest::gmock GTest::gtest_main)
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
