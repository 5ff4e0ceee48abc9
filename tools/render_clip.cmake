# kinora-render-clip: what training reads and what the documentation's pictures are made with.
add_executable(kinora-render-clip ${CMAKE_SOURCE_DIR}/tools/render_clip.c ${CMAKE_SOURCE_DIR}/tools/render_clip_raw.c
  ${CMAKE_SOURCE_DIR}/tools/camera_look.c)
target_link_libraries(kinora-render-clip PRIVATE kinora_scene kinora_gpu kinora_base m)
