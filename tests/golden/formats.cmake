# Checkpoints, LoRAs and block formats against training/golden_formats.py.
kinora_test(golden_formats SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_formats.c ${CMAKE_CURRENT_SOURCE_DIR}/golden.c
  LIBRARIES kinora_diffusion kinora_gpu kinora_base PkgConfig::JANSSON m)
