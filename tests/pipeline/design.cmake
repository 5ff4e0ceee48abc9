# kinora design with a tiny model.
kinora_test(test_design SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_design.c LIBRARIES kinora_pipelines PkgConfig::JANSSON m)
target_compile_definitions(test_design PRIVATE KINORA_EXECUTABLE="$<TARGET_FILE:kinora>")
add_dependencies(test_design kinora)
