# The kernels of GPUs and the choice of them; nn_common is nn.cmake's.
kinora_test(gpu_nn_variants SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/nn_variants.c ${nn_common}
  LIBRARIES kinora_diffusion kinora_gpu kinora_base m)
