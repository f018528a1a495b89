# What every target of the project shares: language level, warnings, sanitizers, ccache, and the
# function that compiles a source once per instruction-set level.

add_library(prs_options INTERFACE)
target_compile_features(prs_options INTERFACE cxx_std_20)
target_compile_options(prs_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual>
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${PRS_WERROR}>>:-Werror>)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 warns wrongly about libstdc++'s own strings and vectors when it inlines deeply.
  target_compile_options(prs_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict -Wno-stringop-overflow -Wno-array-bounds
      -Wno-maybe-uninitialized -Wno-dangling-reference>)
endif()
if(PRS_SANITIZE)
  target_compile_options(prs_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${PRS_SANITIZE} -fno-omit-frame-pointer
      -fno-sanitize-recover=all>)
  target_link_options(prs_options INTERFACE -fsanitize=${PRS_SANITIZE})
endif()
if(PRS_FUZZ)
  # Coverage instrumentation everywhere; the fuzz targets themselves link libFuzzer's main.
  target_compile_options(prs_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=fuzzer-no-link>)
endif()

find_program(PRS_CCACHE ccache)
if(PRS_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${PRS_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${PRS_CCACHE})
endif()

# prs_compile_together(TARGET): with PRS_TOGETHER its sources are compiled several at a time.
function(prs_compile_together target)
  if(PRS_TOGETHER)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    # A class whose members are of types in an anonymous namespace is fine in the one source that
    # defines it, which is no longer the main source for the compiler.
    target_compile_options(${target} PRIVATE
      $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

# prs_add_isa_sources(TARGET SOURCE... WORDS SOURCE...): adds each source to TARGET once per
# instruction-set level; those after WORDS also for avx512_bf16, which is of use to them alone.
function(prs_add_isa_sources target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "WORDS")
  set(levels portable)
  if(NOT PRS_PORTABLE AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND levels avx2 avx512 avx512_bf16)
    target_compile_definitions(${target} PRIVATE PRS_ISA_X86_LEVELS)
  endif()
  set(flags_portable "")
  set(flags_avx2 -mavx2 -mfma)
  set(flags_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma)
  set(flags_avx512_bf16 ${flags_avx512} -mavx512bf16 -mavx512vnni)
  # Optimised in every build type: without inlining, the standard library's inline functions would be
  # shared between the levels. Instrumented code takes minutes to compile at -O3.
  set(optimisation -O3)
  if(PRS_SANITIZE)
    # At -O1 g++ 12 takes the undefined operands inside its own AVX-512 intrinsics for mistakes.
    set(optimisation -O1 -Wno-uninitialized)
  endif()
  foreach(level IN LISTS levels)
    set(object ${target}_isa_${level})
    set(sources ${arg_WORDS})
    if(NOT level STREQUAL avx512_bf16)
      list(APPEND sources ${arg_UNPARSED_ARGUMENTS})
    endif()
    add_library(${object} OBJECT ${sources})
    target_link_libraries(${object} PRIVATE prs_options Eigen3::Eigen)
    target_include_directories(${object} PRIVATE ${PROJECT_SOURCE_DIR}/core
      ${PROJECT_SOURCE_DIR}/core/include)
    target_compile_definitions(${object} PRIVATE PRS_ISA=${level})
    target_compile_options(${object} PRIVATE ${optimisation} ${flags_${level}})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${object}>)
  endforeach()
endfunction()

# prs_relocatable(TARGET): the program looks for all libraries, those of its libraries too, in ../lib
# first, so that scripts/bundle.sh can put them there. (DT_RPATH, which unlike RUNPATH is handed on.)
function(prs_relocatable target)
  set_property(TARGET ${target} APPEND PROPERTY BUILD_RPATH "\$ORIGIN/../lib")
  target_link_options(${target} PRIVATE LINKER:--disable-new-dtags)
endfunction()
