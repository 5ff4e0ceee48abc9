kinora_test(gpu_beauty_kernels SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/beauty_kernels.c LIBRARIES kinora_gpu kinora_base m)
kinora_test(gpu_beauty_picture SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/beauty_picture.c
  ${CMAKE_CURRENT_SOURCE_DIR}/beauty_scene.c
  LIBRARIES kinora_scene kinora_gpu kinora_base m)
kinora_test(gpu_beauty_raw SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/beauty_raw.c
  ${CMAKE_SOURCE_DIR}/tools/render_clip_raw.c LIBRARIES kinora_base m)
kinora_test(gpu_beauty_look SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/beauty_look.c
  ${CMAKE_SOURCE_DIR}/tools/camera_look.c LIBRARIES kinora_base m)
kinora_test(gpu_beauty_materials SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/beauty_materials.c
  ${CMAKE_CURRENT_SOURCE_DIR}/gpu_common.c ${CMAKE_CURRENT_SOURCE_DIR}/render_scene.c
  LIBRARIES kinora_scene kinora_gpu kinora_base m)
