kinora_test(test_base SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_base.c LIBRARIES kinora_base)
kinora_test(test_folder SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_folder.c LIBRARIES kinora_base)
