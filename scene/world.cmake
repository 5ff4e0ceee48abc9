# Worlds: meshes, roads, surroundings, actors.
list(APPEND KINORA_SCENE_SOURCES
  mesh.c build.c
  models.c models_car.c models_human.c parts.c models_bike.c models_heavy.c
  buildings.c vegetation.c furniture.c
  world.c world_space.c world_survey.c world_road.c world_mark.c world_margin.c world_junction.c world_object.c world_span.c
  world_terrain.c world_place.c world_town.c world_country.c)
