# kinora-known-shot: a film whose motion is known, and measures of what a look makes of it.
add_executable(kinora-known-shot ${CMAKE_SOURCE_DIR}/tools/known_shot_film.c
  ${CMAKE_SOURCE_DIR}/tools/known_shot_measure.c ${CMAKE_SOURCE_DIR}/tools/known_shot.c)
target_link_libraries(kinora-known-shot PRIVATE kinora_encoders kinora_base m)
