kinora_test(mesh_scene SOURCES ${CMAKE_CURRENT_LIST_DIR}/mesh_scene.c ${CMAKE_CURRENT_LIST_DIR}/mesh_still_life.c
  LIBRARIES kinora_mesh m)
