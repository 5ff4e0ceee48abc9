# Memory plans and the autoencoder in tiles.
kinora_test(golden_plan SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_plan.c ${CMAKE_CURRENT_SOURCE_DIR}/golden.c
  LIBRARIES kinora_diffusion kinora_gpu kinora_base PkgConfig::JANSSON m)
