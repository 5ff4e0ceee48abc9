kinora_test(mesh_sfm SOURCES ${CMAKE_CURRENT_LIST_DIR}/mesh_sfm.c LIBRARIES kinora_mesh m)
kinora_test(mesh_find SOURCES ${CMAKE_CURRENT_LIST_DIR}/mesh_find.c LIBRARIES kinora_mesh kinora_encoders m)
