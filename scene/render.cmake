# The renderer's sources.
list(APPEND KINORA_SCENE_SOURCES bvh.c light.c render.c render_beauty.c render_frame.c render_moving.c render_pack.c render_rain.c)
