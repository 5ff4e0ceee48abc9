# kinora style with tiny models.
kinora_test(test_style SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_style.c LIBRARIES kinora_pipelines PkgConfig::JANSSON)
target_compile_definitions(test_style PRIVATE KINORA_EXECUTABLE="$<TARGET_FILE:kinora>")
add_dependencies(test_style kinora)

kinora_test(test_protect SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_protect.c ${CMAKE_SOURCE_DIR}/tools/known_shot.c
  ${CMAKE_SOURCE_DIR}/tools/known_shot_measure.c LIBRARIES kinora_pipelines PkgConfig::JANSSON)
target_compile_definitions(test_protect PRIVATE KINORA_EXECUTABLE="$<TARGET_FILE:kinora>")
add_dependencies(test_protect kinora)

kinora_test(test_reference SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_reference.c LIBRARIES kinora_pipelines)
target_compile_definitions(test_reference PRIVATE KINORA_EXECUTABLE="$<TARGET_FILE:kinora>")
add_dependencies(test_reference kinora)
