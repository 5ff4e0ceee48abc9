kinora_test(unit_formats SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_formats.c
  LIBRARIES kinora_pipelines PkgConfig::JANSSON m)
