kinora_test(mesh_cameras SOURCES ${CMAKE_CURRENT_LIST_DIR}/mesh_cameras.c LIBRARIES kinora_mesh)
kinora_test(mesh_surface SOURCES ${CMAKE_CURRENT_LIST_DIR}/mesh_surface.c ${CMAKE_CURRENT_LIST_DIR}/mesh_shapes.c
  LIBRARIES kinora_mesh m)
kinora_test(mesh_files SOURCES ${CMAKE_CURRENT_LIST_DIR}/mesh_files.c ${CMAKE_CURRENT_LIST_DIR}/mesh_shapes.c
  LIBRARIES kinora_mesh m)
add_executable(make_orbit ${CMAKE_SOURCE_DIR}/samples/mesh/make_orbit.c ${CMAKE_CURRENT_LIST_DIR}/mesh_shapes.c)
target_link_libraries(make_orbit PRIVATE kinora_mesh kinora_encoders m)
kinora_test(mesh_priors SOURCES ${CMAKE_CURRENT_LIST_DIR}/mesh_priors.c ${CMAKE_CURRENT_LIST_DIR}/mesh_shapes.c
  LIBRARIES kinora_mesh m)
kinora_test(mesh_masks SOURCES ${CMAKE_CURRENT_LIST_DIR}/mesh_masks.c ${CMAKE_CURRENT_LIST_DIR}/mesh_shapes.c
  LIBRARIES kinora_mesh m)
kinora_test(mesh_bake SOURCES ${CMAKE_CURRENT_LIST_DIR}/mesh_bake.c ${CMAKE_CURRENT_LIST_DIR}/mesh_shapes.c
  LIBRARIES kinora_mesh m)
