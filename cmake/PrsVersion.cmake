# Version, commit and build settings for --version, in generated/version_info.hpp.
#
# The header is written at every build, not at configuration: a commit in between must show. It is
# left alone when nothing changed, so that nothing is compiled again.
find_package(Git QUIET)
add_custom_target(prs_version_info
  COMMAND ${CMAKE_COMMAND}
    -D "GIT=${GIT_EXECUTABLE}" -D "SOURCE=${PROJECT_SOURCE_DIR}"
    -D "OUTPUT=${PROJECT_BINARY_DIR}/generated/version_info.hpp"
    -D "PROJECT_VERSION=${PROJECT_VERSION}" -D "CUDA=${PRS_CUDA_VERSION}"
    -D "COMPILER=${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}"
    -D "BUILD_TYPE=${CMAKE_BUILD_TYPE}"
    -P ${CMAKE_CURRENT_LIST_DIR}/write_version.cmake
  BYPRODUCTS ${PROJECT_BINARY_DIR}/generated/version_info.hpp
  COMMENT "" VERBATIM)
