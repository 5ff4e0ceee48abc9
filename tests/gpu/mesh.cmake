kinora_test(gpu_mesh SOURCES ${CMAKE_CURRENT_LIST_DIR}/mesh_build.c ${CMAKE_CURRENT_LIST_DIR}/mesh_kernels.c
  ${CMAKE_CURRENT_LIST_DIR}/mesh_scene_build.c ${CMAKE_CURRENT_LIST_DIR}/gpu_common.c
  ${CMAKE_SOURCE_DIR}/tests/unit/mesh_shapes.c ${CMAKE_SOURCE_DIR}/tests/unit/mesh_still_life.c
    LIBRARIES kinora_mesh kinora_gpu m)
