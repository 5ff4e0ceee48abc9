#include "tests/gpu/beauty_scene.h"

#include <string.h>

/* The material's index. */
static uint16_t add_material(kn_world *world, kn_material material, kn_error *error) {
    if (!kn_grow(&world->materials, &world->material_capacity, world->material_count + 1, sizeof *world->materials,
                 error))
        return 0;
    world->materials[world->material_count] = material;
    return (uint16_t)world->material_count++;
}

static kn_material matter(float r, float g, float b, float roughness, kn_texture texture, kn_semantic semantic,
                          float wettable) {
    return (kn_material){
        .color = {r, g, b}, .roughness = roughness, .texture = texture, .semantic = semantic, .wettable = wettable};
}

/* A parallelogram: p, p + a, p + a + b, p + b; uv in metres. */
static bool add_quad(kn_mesh *mesh, kn_vec3 p, kn_vec3 a, kn_vec3 b, uint16_t material, uint16_t instance,
                     kn_error *error) {
    const kn_vec3 corners[4] = {p, kn_vec3_add(p, a), kn_vec3_add(kn_vec3_add(p, a), b), kn_vec3_add(p, b)};
    const kn_vec2 uv[4] = {
        {0, 0}, {kn_vec3_length(a), 0}, {kn_vec3_length(a), kn_vec3_length(b)}, {0, kn_vec3_length(b)}};
    const kn_vec3 normal = kn_vec3_normalize(kn_vec3_cross(a, b));
    uint32_t index[4];
    for (int i = 0; i < 4; i++)
        if (!kn_mesh_add_vertex(mesh, corners[i], normal, uv[i], &index[i], error)) return false;
    return kn_mesh_add_triangle(mesh, index[0], index[1], index[2], material, instance, error) &&
           kn_mesh_add_triangle(mesh, index[0], index[2], index[3], material, instance, error);
}

static bool add_ball(kn_mesh *mesh, kn_vec3 center, double radius, uint16_t material, uint16_t instance,
                     kn_error *error) {
    enum { AROUND = 24, UP = 12 };
    uint32_t index[UP + 1][AROUND + 1];
    for (int v = 0; v <= UP; v++)
        for (int u = 0; u <= AROUND; u++) {
            double a = 2 * M_PI * u / AROUND, e = M_PI * v / UP - M_PI / 2;
            kn_vec3 n = {cos(e) * cos(a), cos(e) * sin(a), sin(e)};
            if (!kn_mesh_add_vertex(mesh, kn_vec3_add(center, kn_vec3_scale(n, radius)), n,
                                    (kn_vec2){a * radius, e * radius}, &index[v][u], error))
                return false;
        }
    for (int v = 0; v < UP; v++)
        for (int u = 0; u < AROUND; u++)
            if (!kn_mesh_add_triangle(mesh, index[v][u], index[v][u + 1], index[v + 1][u + 1], material, instance,
                                      error) ||
                !kn_mesh_add_triangle(mesh, index[v][u], index[v + 1][u + 1], index[v + 1][u], material, instance,
                                      error))
                return false;
    return true;
}

static bool add_ground(kn_world *world, kn_error *error) {
    const struct {
        double right, wide;
        kn_material material;
    } strips[] = {{-100, 92, matter(.10f, .14f, .04f, 1, KN_TEXTURE_GRASS, KN_SEMANTIC_TERRAIN, .5f)},
                  {-8, 4, matter(.40f, .38f, .35f, .9f, KN_TEXTURE_PAVING, KN_SEMANTIC_SIDEWALK, .8f)},
                  {-4, 8, matter(.11f, .11f, .115f, .85f, KN_TEXTURE_ASPHALT, KN_SEMANTIC_ROAD, 1)},
                  {4, 4, matter(.42f, .41f, .39f, .9f, KN_TEXTURE_CONCRETE, KN_SEMANTIC_SIDEWALK, .8f)},
                  {8, 92, matter(.20f, .14f, .09f, 1, KN_TEXTURE_SOIL, KN_SEMANTIC_TERRAIN, .5f)}};
    for (size_t i = 0; i < KN_COUNT(strips); i++) {
        uint16_t material = add_material(world, strips[i].material, error);
        if (!add_quad(&world->mesh, (kn_vec3){-100, strips[i].right, 0}, (kn_vec3){300, 0, 0},
                      (kn_vec3){0, strips[i].wide, 0}, material, 0, error))
            return false;
    }
    uint16_t mark =
        add_material(world, matter(.75f, .75f, .72f, .7f, KN_TEXTURE_PAINT, KN_SEMANTIC_LANE_MARK, .8f), error);
    for (int i = 0; i < 12; i++)
        if (!add_quad(&world->mesh, (kn_vec3){i * 8.0, -.07, .01}, (kn_vec3){3, 0, 0}, (kn_vec3){0, .14, 0}, mark, 0,
                      error))
            return false;
    return true;
}

static bool add_buildings(kn_world *world, kn_error *error) {
    const kn_texture walls[3] = {KN_TEXTURE_BRICK, KN_TEXTURE_PLASTER, KN_TEXTURE_CONCRETE};
    kn_material pane = matter(.04f, .05f, .06f, .05f, KN_TEXTURE_WINDOW, KN_SEMANTIC_BUILDING, 0);
    pane.emitter = KN_EMITTER_WINDOW;
    memcpy(pane.emission, (float[3]){1.0f, .75f, .45f}, sizeof pane.emission);
    uint16_t lit = add_material(world, pane, error);
    pane.emitter = KN_EMITTER_NONE;
    uint16_t dark = add_material(world, pane, error);
    uint16_t roof =
        add_material(world, matter(.35f, .13f, .08f, .8f, KN_TEXTURE_ROOF_TILES, KN_SEMANTIC_BUILDING, .6f), error);
    for (int i = 0; i < 3; i++) {
        double x = 8 + 14 * i;
        kn_material wall =
            matter(i ? .62f : .33f, i ? .58f : .14f, i ? .50f : .09f, .9f, walls[i], KN_SEMANTIC_BUILDING, .3f);
        uint16_t material = add_material(world, wall, error), instance = (uint16_t)(10 + i);
        if (!add_quad(&world->mesh, (kn_vec3){x + 12, 10, 0}, (kn_vec3){-12, 0, 0}, (kn_vec3){0, 0, 7}, material,
                      instance, error) ||
            !add_quad(&world->mesh, (kn_vec3){x, 10, 0}, (kn_vec3){0, 10, 0}, (kn_vec3){0, 0, 7}, material, instance,
                      error) ||
            !add_quad(&world->mesh, (kn_vec3){x + 12, 9.5, 7}, (kn_vec3){-12, 0, 0}, (kn_vec3){0, 6, 4}, roof, instance,
                      error))
            return false;
        for (int w = 0; w < 8; w++)
            if (!add_quad(&world->mesh, (kn_vec3){x + 2.6 + w % 4 * 2.7, 9.97, 1 + w / 4 * 3.0}, (kn_vec3){-1.3, 0, 0},
                          (kn_vec3){0, 0, 1.6}, w % 3 ? lit : dark, instance, error))
                return false;
    }
    return true;
}

static bool add_things(kn_world *world, kn_error *error) {
    uint16_t paint =
        add_material(world, matter(.45f, .02f, .02f, .4f, KN_TEXTURE_CAR_PAINT, KN_SEMANTIC_CAR, .2f), error);
    uint16_t leaves =
        add_material(world, matter(.10f, .17f, .04f, .9f, KN_TEXTURE_LEAVES, KN_SEMANTIC_VEGETATION, .3f), error);
    uint16_t bark =
        add_material(world, matter(.16f, .11f, .07f, .9f, KN_TEXTURE_BARK, KN_SEMANTIC_VEGETATION, .4f), error);
    kn_material chrome = matter(.8f, .8f, .8f, .1f, KN_TEXTURE_METAL, KN_SEMANTIC_POLE, .2f);
    chrome.metallic = 1;
    uint16_t metal = add_material(world, chrome, error);
    kn_material lamp = matter(.8f, .8f, .8f, .5f, KN_TEXTURE_FLAT, KN_SEMANTIC_POLE, 0);
    lamp.emitter = KN_EMITTER_STREET;
    memcpy(lamp.emission, (float[3]){8, 6, 4}, sizeof lamp.emission);
    uint16_t glow = add_material(world, lamp, error);
    kn_mesh *mesh = &world->mesh;
    return add_ball(mesh, (kn_vec3){11, -2, .9}, .9, paint, 20, error) &&
           add_ball(mesh, (kn_vec3){9, 1.6, .6}, .6, metal, 21, error) &&
           add_ball(mesh, (kn_vec3){16, -7, 4.5}, 2.4, leaves, 22, error) &&
           add_ball(mesh, (kn_vec3){18, -6, 5.5}, 1.8, leaves, 22, error) &&
           add_quad(mesh, (kn_vec3){16.5, -6.8, 0}, (kn_vec3){0, -.4, 0}, (kn_vec3){0, 0, 3}, bark, 22, error) &&
           add_ball(mesh, (kn_vec3){14, 4.5, 6}, .25, glow, 23, error);
}

bool beauty_scene_init(kn_scene *scene, const kn_weather *weather, kn_error *error) {
    *scene = (kn_scene){.name = "beauty"};
    kn_timeline *timeline = &scene->timeline;
    *timeline = (kn_timeline){.frame_rate = 12, .frame_count = 1, .actor_count = 1, .weather = *weather};
    timeline->actors = kn_alloc(1, sizeof *timeline->actors, error);
    timeline->states = kn_alloc(1, sizeof *timeline->states, error);
    kn_world *world = &scene->world;
    world->models = kn_alloc(1, sizeof *world->models, error);
    world->lights = kn_alloc(1, sizeof *world->lights, error);
    if (!timeline->actors || !timeline->states || !world->models || !world->lights) return false;
    timeline->actors[0] =
        (kn_actor){.name = "Ego", .length = 4, .width = 2, .height = 1.5, .is_ego = true, .instance = 1};
    timeline->states[0] = (kn_actor_state){.pose = kn_pose_identity(), .present = true};
    world->model_count = 1;
    world->lights[0] = (kn_light){
        .position = {14, 4, 5.9}, .direction = {0, 0, -1}, .color = {24, 18, 11}, .cone_cos = .3f, .range = 30};
    world->light_count = world->light_capacity = 1;
    world->next_instance = 30;
    return add_ground(world, error) && add_buildings(world, error) && add_things(world, error);
}

void beauty_scene_finish(kn_scene *scene) {
    kn_world_finish(&scene->world);
    kn_timeline_finish(&scene->timeline);
}

kn_camera beauty_scene_camera(int width, int height) {
    kn_camera camera = {.name = "CAM_FRONT", .width = width, .height = height, .translation = {0, 0, 1.5}};
    const double forward[3][3] = {{0, 0, 1}, {-1, 0, 0}, {0, -1, 0}};
    const double k[3][3] = {{width * .7, 0, width * .5}, {0, width * .7, height * .55}, {0, 0, 1}};
    memcpy(camera.rotation, forward, sizeof forward);
    memcpy(camera.k, k, sizeof k);
    return camera;
}
