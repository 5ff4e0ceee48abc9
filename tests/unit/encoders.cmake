kinora_test(test_encoders SOURCES test_encoders.c LIBRARIES kinora_encoders)
kinora_test(test_flow SOURCES test_flow.c LIBRARIES kinora_encoders)
kinora_test(test_film SOURCES test_film.c LIBRARIES kinora_encoders)
kinora_test(test_reader SOURCES test_reader.c LIBRARIES kinora_encoders)
