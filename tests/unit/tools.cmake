# The build's own tools.
kinora_test(test_spirv_matrix SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_spirv_matrix.c
  ${CMAKE_SOURCE_DIR}/tools/spirv_matrix.c
  LIBRARIES kinora_shaders)
