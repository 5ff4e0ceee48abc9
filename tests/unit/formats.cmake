kinora_test(unit_formats SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_formats.c
  LIBRARIES kinora_pipelines PkgConfig::JANSSON m)
# What public files do that no format asks for: wrappers, scales, foreign classes, other families.
kinora_test(unit_loading SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_loading.c
  LIBRARIES kinora_diffusion kinora_gpu kinora_base PkgConfig::JANSSON m)
# Pictures turned by EXIF, in WebP and TIFF, and JPEG files with texts.
kinora_test(unit_pictures SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_pictures.c
  LIBRARIES kinora_pipelines PkgConfig::JANSSON m)
