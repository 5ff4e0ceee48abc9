# LoHa, LoKr, DoRA, and strengths that change between pictures.
kinora_test(golden_lora SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_lora.c ${CMAKE_CURRENT_SOURCE_DIR}/golden.c
  LIBRARIES kinora_diffusion kinora_gpu kinora_base PkgConfig::JANSSON m)
