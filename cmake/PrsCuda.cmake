# Finds the CUDA toolkit and decides whether the CUDA part is built.
#
# PRS_CUDA=AUTO takes it when a toolkit and a host compiler that it supports are there, ON insists,
# OFF leaves it out. Sets PRS_CUDA_ENABLED, PRS_CUDA_VERSION ("13.0", or "" without CUDA) and
# PRS_CUDA_WARNINGS (options of nvcc), and enables the language CUDA.

set(PRS_CUDA_ENABLED OFF)
set(PRS_CUDA_VERSION "")
set_property(CACHE PRS_CUDA PROPERTY STRINGS AUTO ON OFF)
if(NOT PRS_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "PRS_CUDA=${PRS_CUDA}: expected AUTO, ON or OFF")
endif()

# Ends the search: fatal when CUDA was asked for, one line otherwise.
macro(prs_no_cuda reason)
  if(PRS_CUDA STREQUAL "ON")
    message(FATAL_ERROR "PRS_CUDA=ON, but ${reason}")
  endif()
  message(STATUS "CUDA: not built (${reason})")
  return()
endmacro()

if(PRS_CUDA STREQUAL "OFF")
  message(STATUS "CUDA: not built (PRS_CUDA=OFF)")
  return()
endif()

find_program(PRS_NVCC nvcc
  HINTS ${CMAKE_CUDA_COMPILER} ENV CUDACXX
  PATHS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda /opt/cuda /usr/lib/nvidia-cuda-toolkit
  PATH_SUFFIXES bin DOC "The CUDA compiler")
if(CMAKE_CUDA_COMPILER)
  set(nvcc ${CMAKE_CUDA_COMPILER})
elseif(DEFINED ENV{CUDACXX})
  set(nvcc $ENV{CUDACXX})
else()
  set(nvcc ${PRS_NVCC})
endif()
if(NOT nvcc)
  prs_no_cuda("no nvcc was found in PATH, CUDA_HOME or /usr/local/cuda; name one with CMAKE_CUDA_COMPILER")
endif()
execute_process(COMMAND ${nvcc} --version OUTPUT_VARIABLE output ERROR_QUIET RESULT_VARIABLE failed)
if(failed OR NOT output MATCHES "release ([0-9]+\\.[0-9]+)")
  prs_no_cuda("${nvcc} --version does not work")
endif()
set(version ${CMAKE_MATCH_1})
if(version VERSION_LESS 11.8)
  prs_no_cuda("${nvcc} is CUDA ${version}; at least 11.8 is needed")
endif()

# The newest g++ that each toolkit's headers accept.
if(version VERSION_LESS 12.0)
  set(newest_gcc 11)
elseif(version VERSION_LESS 12.4)
  set(newest_gcc 12)
elseif(version VERSION_LESS 12.8)
  set(newest_gcc 13)
elseif(version VERSION_LESS 13.0)
  set(newest_gcc 14)
else()
  set(newest_gcc 15)
endif()
if(NOT CMAKE_CUDA_HOST_COMPILER AND NOT DEFINED ENV{CUDAHOSTCXX})
  string(REGEX MATCH "^[0-9]+" gcc "${CMAKE_CXX_COMPILER_VERSION}")
  set(host "")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT gcc GREATER newest_gcc)
    set(host ${CMAKE_CXX_COMPILER})
  else()
    foreach(candidate RANGE ${newest_gcc} 9 -1)
      find_program(PRS_GXX_${candidate} g++-${candidate})
      mark_as_advanced(PRS_GXX_${candidate})
      if(PRS_GXX_${candidate} AND NOT host)
        set(host ${PRS_GXX_${candidate}})
      endif()
    endforeach()
  endif()
  if(NOT host)
    prs_no_cuda("CUDA ${version} needs g++ ${newest_gcc} or older as host compiler; install g++-${newest_gcc}")
  endif()
  set(CMAKE_CUDA_HOST_COMPILER ${host})
endif()

# Machine code for every generation that the toolkit knows from Turing on, and PTX of the newest for
# the ones to come.
if(NOT CMAKE_CUDA_ARCHITECTURES)
  execute_process(COMMAND ${nvcc} --list-gpu-code OUTPUT_VARIABLE known ERROR_QUIET)
  set(architectures "")
  foreach(architecture 75 80 86 89 90 100 120)
    if(known MATCHES "sm_${architecture}[^0-9]")
      list(APPEND architectures ${architecture})
    endif()
  endforeach()
  if(NOT architectures)
    prs_no_cuda("${nvcc} --list-gpu-code does not work")
  endif()
  list(POP_BACK architectures newest)
  list(TRANSFORM architectures APPEND -real)
  set(CMAKE_CUDA_ARCHITECTURES ${architectures} ${newest})
endif()

set(CMAKE_CUDA_COMPILER ${nvcc})
# A try first: enable_language() would end the configuration of PRS_CUDA=AUTO when nvcc is broken.
execute_process(
  COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/CMakeFiles/prs_cuda_try)
file(WRITE ${PROJECT_BINARY_DIR}/CMakeFiles/prs_cuda_try/try.cu "int main() { return 0; }\n")
execute_process(
  COMMAND ${nvcc} -std=c++17 -ccbin ${CMAKE_CUDA_HOST_COMPILER} -o try try.cu
  WORKING_DIRECTORY ${PROJECT_BINARY_DIR}/CMakeFiles/prs_cuda_try
  OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE failed)
if(failed)
  file(WRITE ${PROJECT_BINARY_DIR}/CMakeFiles/prs_cuda_try/try.log "${output}")
  prs_no_cuda("${nvcc} cannot compile with ${CMAKE_CUDA_HOST_COMPILER}: see ${PROJECT_BINARY_DIR}/CMakeFiles/prs_cuda_try/try.log")
endif()
enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
# Errors only of the toolkits that the kernels were built with here: others may warn of what is none.
set(PRS_CUDA_WARNINGS -Xcompiler=-Wall,-Wextra)
if(PRS_WERROR AND version MATCHES "^(11\\.8|13\\.0)$")
  list(APPEND PRS_CUDA_WARNINGS -Werror=all-warnings -Xcompiler=-Werror)
endif()
set(PRS_CUDA_ENABLED ON)
set(PRS_CUDA_VERSION ${version})
message(STATUS "CUDA: ${version}, host compiler ${CMAKE_CUDA_HOST_COMPILER}, architectures ${CMAKE_CUDA_ARCHITECTURES}")
