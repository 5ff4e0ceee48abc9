# Plans, streamed weights and device memory that runs out.
kinora_test(golden_memory SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_memory.c ${CMAKE_CURRENT_SOURCE_DIR}/golden.c
  LIBRARIES kinora_diffusion kinora_gpu kinora_base PkgConfig::JANSSON m)
