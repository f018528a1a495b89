# libdeflate, which in Debian 12 comes without a CMake package. Defines prs::deflate.
include(FindPackageHandleStandardArgs)
find_path(PrsDeflate_INCLUDE_DIR libdeflate.h)
find_library(PrsDeflate_LIBRARY deflate)
find_package_handle_standard_args(PrsDeflate
  REASON_FAILURE_MESSAGE "install Debian's libdeflate-dev"
  REQUIRED_VARS PrsDeflate_INCLUDE_DIR PrsDeflate_LIBRARY)
if(PrsDeflate_FOUND AND NOT TARGET prs::deflate)
  add_library(prs::deflate UNKNOWN IMPORTED)
  set_target_properties(prs::deflate PROPERTIES
    IMPORTED_LOCATION ${PrsDeflate_LIBRARY}
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${PrsDeflate_INCLUDE_DIR})
endif()
