# kinora style with tiny models.
kinora_test(test_style SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_style.c LIBRARIES kinora_pipelines PkgConfig::JANSSON)
target_compile_definitions(test_style PRIVATE KINORA_EXECUTABLE="$<TARGET_FILE:kinora>")
add_dependencies(test_style kinora)
