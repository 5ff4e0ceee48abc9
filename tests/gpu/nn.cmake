# Network operations against their oracles; once more at the other vector width of software devices.
set(nn_common ${CMAKE_CURRENT_SOURCE_DIR}/nn_fixture.c ${CMAKE_SOURCE_DIR}/tests/nn_oracle.c)
foreach(area matrix norm attention layout graph lock)
  kinora_test(gpu_nn_${area} SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/nn_${area}.c ${nn_common}
    LIBRARIES kinora_diffusion kinora_gpu kinora_base m)
endforeach()
foreach(area matrix attention)
  add_test(NAME gpu_nn_${area}_narrow COMMAND gpu_nn_${area} -j1 --quiet WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(gpu_nn_${area}_narrow PROPERTIES ENVIRONMENT LP_NATIVE_VECTOR_WIDTH=256)
endforeach()
