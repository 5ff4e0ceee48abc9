kinora_test(gpu_device SOURCES ${CMAKE_CURRENT_LIST_DIR}/gpu_device.c ${CMAKE_CURRENT_LIST_DIR}/gpu_common.c
  LIBRARIES kinora_gpu Vulkan::Vulkan)
kinora_test(gpu_work SOURCES ${CMAKE_CURRENT_LIST_DIR}/gpu_work.c ${CMAKE_CURRENT_LIST_DIR}/gpu_common.c
  LIBRARIES kinora_gpu)
