set(render_helpers ${CMAKE_CURRENT_SOURCE_DIR}/gpu_common.c ${CMAKE_CURRENT_SOURCE_DIR}/render_scene.c
  ${CMAKE_CURRENT_SOURCE_DIR}/render_oracle.c
  ${CMAKE_CURRENT_SOURCE_DIR}/render_shade.c ${CMAKE_CURRENT_SOURCE_DIR}/render_drops.c)
kinora_test(gpu_render_conditions SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/render_conditions.c ${render_helpers}
  LIBRARIES kinora_scene kinora_gpu kinora_base m)
kinora_test(gpu_render_rain SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/render_rain.c ${render_helpers}
  LIBRARIES kinora_scene kinora_gpu kinora_base m)
kinora_test(gpu_render_noise SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/render_noise.c ${render_helpers}
  LIBRARIES kinora_scene kinora_gpu kinora_base m)
kinora_test(gpu_render_bvh SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/render_bvh.c LIBRARIES kinora_scene kinora_base m)
kinora_test(gpu_render_surfaces SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/render_surfaces.c
  ${CMAKE_CURRENT_SOURCE_DIR}/gpu_common.c ${CMAKE_CURRENT_SOURCE_DIR}/render_scene.c
  LIBRARIES kinora_diffusion kinora_scene kinora_gpu kinora_base m)
kinora_test(gpu_render_lidar SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/render_lidar.c ${render_helpers}
  LIBRARIES kinora_scene kinora_gpu kinora_base m)
