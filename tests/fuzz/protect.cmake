kinora_fuzz(protect SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_protect.c LIBRARIES kinora_pipelines)
