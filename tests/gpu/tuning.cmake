# The constants of the kernels' choice, their files, and the tuner.
kinora_test(gpu_tuning SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/tuning.c ${nn_common}
  LIBRARIES kinora_diffusion kinora_gpu kinora_base m)
