kinora_test(test_encoders SOURCES test_encoders.c LIBRARIES kinora_encoders)
