kinora_test(mesh_sfm SOURCES ${CMAKE_CURRENT_LIST_DIR}/mesh_sfm.c LIBRARIES kinora_mesh m)
