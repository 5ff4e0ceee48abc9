# kinora mesh on the shipped orbit.
kinora_test(test_mesh SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_mesh.c LIBRARIES kinora_pipelines PkgConfig::JANSSON)
target_compile_definitions(test_mesh PRIVATE KINORA_EXECUTABLE="$<TARGET_FILE:kinora>")
add_dependencies(test_mesh kinora)
