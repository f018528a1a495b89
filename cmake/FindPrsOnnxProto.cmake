# ONNX's protobuf types: Debian's libonnx-dev has the headers and libonnx_proto, but no usable CMake
# package for the latter. Defines prs::onnx_proto.
include(FindPackageHandleStandardArgs)
find_path(PrsOnnxProto_INCLUDE_DIR onnx/onnx_pb.h)
find_library(PrsOnnxProto_LIBRARY onnx_proto)
find_package_handle_standard_args(PrsOnnxProto
  REASON_FAILURE_MESSAGE "install Debian's libonnx-dev and libprotobuf-dev"
  REQUIRED_VARS PrsOnnxProto_LIBRARY PrsOnnxProto_INCLUDE_DIR)
if(PrsOnnxProto_FOUND AND NOT TARGET prs::onnx_proto)
  add_library(prs::onnx_proto INTERFACE IMPORTED)
  target_include_directories(prs::onnx_proto SYSTEM INTERFACE ${PrsOnnxProto_INCLUDE_DIR})
  target_compile_definitions(prs::onnx_proto INTERFACE ONNX_ML=1 ONNX_NAMESPACE=onnx)
  target_link_libraries(prs::onnx_proto INTERFACE ${PrsOnnxProto_LIBRARY} protobuf::libprotobuf)
endif()
