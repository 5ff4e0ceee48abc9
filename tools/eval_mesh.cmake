# kinora-eval-mesh: how good the surfaces of mesh/ are on orbits whose truth is known.
add_executable(kinora-eval-mesh ${CMAKE_SOURCE_DIR}/tools/eval_mesh.c ${CMAKE_SOURCE_DIR}/tests/unit/mesh_shapes.c)
target_link_libraries(kinora-eval-mesh PRIVATE kinora_cli kinora_mesh kinora_gpu kinora_base m)
