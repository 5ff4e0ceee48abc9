kinora_fuzz(prompt SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_prompt.c LIBRARIES kinora_diffusion m)
