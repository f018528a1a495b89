# OpenCV's core and imgproc, found without OpenCVConfig.cmake: that file comes only with
# libopencv-dev, which pulls in every module. Defines prs::opencv, for who links to it, and for who
# loads it PrsOpenCV_INCLUDE_DIR and PrsOpenCV_imgproc_SONAME.
#
# Not imgcodecs: in Debian it loads GDAL and some 120 more libraries, and it prints to stderr.
include(FindPackageHandleStandardArgs)
find_path(PrsOpenCV_INCLUDE_DIR opencv2/imgproc.hpp PATH_SUFFIXES opencv4)
set(PrsOpenCV_LIBRARIES "")
set(required PrsOpenCV_INCLUDE_DIR)
foreach(module core imgproc)
  find_library(PrsOpenCV_${module}_LIBRARY opencv_${module})
  list(APPEND PrsOpenCV_LIBRARIES ${PrsOpenCV_${module}_LIBRARY})
  list(APPEND required PrsOpenCV_${module}_LIBRARY)
endforeach()
if(PrsOpenCV_imgproc_LIBRARY)
  execute_process(COMMAND ${CMAKE_READELF} -d ${PrsOpenCV_imgproc_LIBRARY}
    OUTPUT_VARIABLE dynamic_section COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "soname: \\[([^]]+)\\]" matched "${dynamic_section}")
  set(PrsOpenCV_imgproc_SONAME "${CMAKE_MATCH_1}")
  list(APPEND required PrsOpenCV_imgproc_SONAME)
endif()
find_package_handle_standard_args(PrsOpenCV
  REASON_FAILURE_MESSAGE "install Debian's libopencv-core-dev libopencv-imgproc-dev"
  REQUIRED_VARS ${required})
if(PrsOpenCV_FOUND AND NOT TARGET prs::opencv)
  add_library(prs::opencv INTERFACE IMPORTED)
  target_include_directories(prs::opencv SYSTEM INTERFACE ${PrsOpenCV_INCLUDE_DIR})
  target_link_libraries(prs::opencv INTERFACE ${PrsOpenCV_LIBRARIES})
endif()
