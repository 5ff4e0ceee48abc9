kinora_test(test_world SOURCES test_world.c test_world_models.c ../render_naive.c LIBRARIES kinora_scene)

kinora_test(test_junction SOURCES test_junction.c LIBRARIES kinora_scene)
