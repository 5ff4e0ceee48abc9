# The kernels of GPUs and the choice of them; nn_common is nn.cmake's.
kinora_test(gpu_nn_variants SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/nn_variants.c ${nn_common}
  LIBRARIES kinora_diffusion kinora_gpu kinora_base m)
add_test(NAME gpu_nn_variants_narrow COMMAND gpu_nn_variants -j1 --quiet WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
set_tests_properties(gpu_nn_variants_narrow PROPERTIES ENVIRONMENT LP_NATIVE_VECTOR_WIDTH=256)
kinora_test(gpu_matrix SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/gpu_matrix.c LIBRARIES kinora_gpu Vulkan::Vulkan)
