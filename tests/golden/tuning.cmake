# A network under every extreme of the tuning constants.
kinora_test(golden_tuning SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_tuning.c ${CMAKE_CURRENT_SOURCE_DIR}/golden.c
  LIBRARIES kinora_diffusion kinora_gpu kinora_base PkgConfig::JANSSON m)
