# What `cmake --install` puts into a prefix, wherever that is (the program and its completions: see
# cli/). The tree may be moved afterwards: nothing in it names the prefix.
include(CMakePackageConfigHelpers)

install(TARGETS prs EXPORT prsTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY core/include/prs DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.hpp")
# The interface of native entries: C, and no library to link.
install(TARGETS prs_entry_plugin EXPORT prsTargets)
install(FILES scheduler/include/prs/entry_plugin.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/prs)
install(DIRECTORY models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/prs-gpu/models
  FILES_MATCHING PATTERN "*.onnx" PATTERN "*.md" PATTERN "*.labels.txt" PATTERN "*.prs.json")

# find_package(prs) finds prs::prs and prs::entry_plugin and needs no other package: the library's own dependencies are
# shared libraries that the dynamic linker finds.
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/prs)
install(EXPORT prsTargets NAMESPACE prs:: DESTINATION ${config_dir})
configure_package_config_file(cmake/prsConfig.cmake.in ${PROJECT_BINARY_DIR}/prsConfig.cmake
  INSTALL_DESTINATION ${config_dir} PATH_VARS CMAKE_INSTALL_DATADIR)
# Until 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/prsConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/prsConfig.cmake ${PROJECT_BINARY_DIR}/prsConfigVersion.cmake
  DESTINATION ${config_dir})
