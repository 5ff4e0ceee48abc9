# kinora mesh on the shipped orbit.
kinora_test(test_mesh SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_mesh.c LIBRARIES kinora_pipelines PkgConfig::JANSSON)
target_compile_definitions(test_mesh PRIVATE KINORA_EXECUTABLE="$<TARGET_FILE:kinora>")
add_dependencies(test_mesh kinora)
# Its files, read back and judged by outside programs.
kinora_test(test_mesh_files SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_mesh_files.c
  ${CMAKE_CURRENT_LIST_DIR}/mesh_readers.c LIBRARIES kinora_mesh kinora_pipelines PkgConfig::JANSSON ZLIB::ZLIB m)
target_compile_definitions(test_mesh_files PRIVATE KINORA_EXECUTABLE="$<TARGET_FILE:kinora>")
add_dependencies(test_mesh_files kinora)
