kinora_test(test_scene SOURCES scene_road.c scene_scenario.c scene_play.c scene_samples.c scene_json.c scene_camera.c
  scene_memory.c scene_actions.c scene_traffic.c scene_mount.c scene_signals.c scene_hash.c
  scene_variation.c LIBRARIES kinora_scene)
target_compile_definitions(test_scene PRIVATE _GNU_SOURCE)
