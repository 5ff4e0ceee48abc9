# What the sampler of clips takes, told before and when memory runs out.
kinora_test(golden_sampler_memory SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_sampler_memory.c
  ${CMAKE_CURRENT_SOURCE_DIR}/golden.c
  LIBRARIES kinora_diffusion kinora_gpu kinora_base PkgConfig::JANSSON m)
