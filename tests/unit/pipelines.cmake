kinora_test(test_nuscenes SOURCES test_nuscenes.c LIBRARIES kinora_pipelines PkgConfig::JANSSON)
kinora_test(test_pipelines SOURCES test_pipelines.c LIBRARIES kinora_pipelines)
kinora_test(test_options SOURCES test_options.c LIBRARIES kinora_cli)
kinora_test(batch_plan SOURCES batch_plan.c LIBRARIES kinora_pipelines)
