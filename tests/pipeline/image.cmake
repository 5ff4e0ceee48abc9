# kinora image with a tiny model.
kinora_test(test_image SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_image.c LIBRARIES kinora_pipelines PkgConfig::JANSSON)
target_compile_definitions(test_image PRIVATE KINORA_EXECUTABLE="$<TARGET_FILE:kinora>")
add_dependencies(test_image kinora)
