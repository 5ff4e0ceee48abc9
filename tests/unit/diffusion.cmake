kinora_test(unit_diffusion SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_safetensors.c
  ${CMAKE_CURRENT_SOURCE_DIR}/test_weights.c
  LIBRARIES kinora_diffusion kinora_gpu kinora_base PkgConfig::JANSSON m)
kinora_test(test_clip SOURCES test_clip.c LIBRARIES kinora_diffusion)
