#include "render_scene.h"

#include "base/random.h"

#include <string.h>

const kn_weather render_scene_noon = {
    .sun_azimuth = 2.4, .sun_elevation = .8, .cloud_cover = .1, .wetness = .3, .seconds_of_day = 43200};
const kn_weather render_scene_night = {.sun_elevation = -.5, .rain = .4, .wetness = .8, .fog_range = 300};
const kn_weather render_scene_downpour = {.sun_elevation = .1, .cloud_cover = 1, .rain = 1, .wetness = 1};

enum { GROUND, MARK, HOUSE, GRASS, BODY, TYRE, TAIL, SIGNAL, LEFT, MATERIALS };

static const kn_material materials[MATERIALS] = {
    [GROUND] = {.color = {.09f, .09f, .1f}, .roughness = .9f, .semantic = KN_SEMANTIC_ROAD, .wettable = 1},
    [MARK] = {.color = {.8f, .8f, .78f}, .roughness = .7f, .semantic = KN_SEMANTIC_LANE_MARK, .wettable = .6f},
    [HOUSE] = {.color = {.5f, .3f, .2f}, .roughness = .8f, .semantic = KN_SEMANTIC_BUILDING, .wettable = .2f},
    [GRASS] = {.color = {.1f, .22f, .05f}, .roughness = 1, .semantic = KN_SEMANTIC_TERRAIN},
    [BODY] = {.color = {.5f, .04f, .03f}, .roughness = .3f, .semantic = KN_SEMANTIC_CAR},
    [TYRE] = {.color = {.03f, .03f, .03f}, .roughness = .9f, .semantic = KN_SEMANTIC_CAR},
    [TAIL] = {.color = {.4f, 0, 0},
              .roughness = .3f,
              .emission = {.8f, .05f, .02f},
              .emitter = KN_EMITTER_TAIL,
              .semantic = KN_SEMANTIC_CAR},
    [SIGNAL] = {.color = {.1f, .1f, .1f},
                .roughness = .6f,
                .emission = {.1f, .9f, .3f},
                .emitter = KN_EMITTER_ALWAYS,
                .semantic = KN_SEMANTIC_TRAFFIC_LIGHT},
    [LEFT] = {.color = {.5f, .3f, 0},
              .roughness = .3f,
              .emission = {1, .5f, 0},
              .emitter = KN_EMITTER_LEFT,
              .semantic = KN_SEMANTIC_CAR},
};

static bool add_quad(kn_mesh *mesh, const kn_vec3 corners[4], uint16_t material, uint16_t instance, kn_error *error) {
    uint32_t index[4];
    kn_vec3 normal =
        kn_vec3_normalize(kn_vec3_cross(kn_vec3_sub(corners[1], corners[0]), kn_vec3_sub(corners[3], corners[0])));
    for (int i = 0; i < 4; i++)
        if (!kn_mesh_add_vertex(mesh, corners[i], normal, (kn_vec2){corners[i].x, corners[i].y}, &index[i], error))
            return false;
    return kn_mesh_add_triangle(mesh, index[0], index[1], index[2], material, instance, error) &&
           kn_mesh_add_triangle(mesh, index[0], index[2], index[3], material, instance, error);
}

static bool add_box(kn_mesh *mesh, kn_vec3 low, kn_vec3 high, uint16_t material, uint16_t instance, kn_error *error) {
    for (int axis = 0; axis < 3; axis++)
        for (int side = 0; side < 2; side++) {
            kn_vec3 corners[4];
            for (int c = 0; c < 4; c++) {
                int first = (c == 1 || c == 2) ^ !side, second = c >= 2;
                int bits[3];
                bits[axis] = side;
                bits[(axis + 1) % 3] = first;
                bits[(axis + 2) % 3] = second;
                corners[c] = (kn_vec3){bits[0] ? high.x : low.x, bits[1] ? high.y : low.y, bits[2] ? high.z : low.z};
            }
            if (!add_quad(mesh, corners, material, instance, error)) return false;
        }
    return true;
}

/* A ball with smooth normals. */
static bool add_ball(kn_mesh *mesh, kn_vec3 center, double radius, uint16_t material, uint16_t instance,
                     kn_error *error) {
    enum { RINGS = 8, SIDES = 14 };
    uint32_t first = (uint32_t)mesh->vertex_count, index;
    for (int r = 0; r <= RINGS; r++)
        for (int s = 0; s < SIDES; s++) {
            double a = M_PI * r / RINGS, b = 2 * M_PI * s / SIDES;
            kn_vec3 n = {sin(a) * cos(b), sin(a) * sin(b), cos(a)};
            if (!kn_mesh_add_vertex(mesh, kn_vec3_add(center, kn_vec3_scale(n, radius)), n, (kn_vec2){a, b}, &index,
                                    error))
                return false;
        }
    for (uint32_t r = 0; r < RINGS; r++)
        for (uint32_t s = 0; s < SIDES; s++) {
            uint32_t a = first + r * SIDES + s, b = first + r * SIDES + (s + 1) % SIDES;
            if (!kn_mesh_add_triangle(mesh, a, a + SIDES, b, material, instance, error) ||
                !kn_mesh_add_triangle(mesh, b, a + SIDES, b + SIDES, material, instance, error))
                return false;
        }
    return true;
}

static bool build_street(kn_world *world, kn_error *error) {
    kn_mesh *mesh = &world->mesh;
    const kn_vec3 road[4] = {{-60, -5, 0}, {120, -5, 0}, {120, 6, 0}, {-60, 6, 0}};
    const kn_vec3 mark[4] = {{-60, 2, .01}, {120, 2, .01}, {120, 2.15, .01}, {-60, 2.15, .01}};
    const kn_vec3 left[4] = {{-60, 6, .02}, {120, 6, .02}, {120, 60, .8}, {-60, 60, .8}};
    const kn_vec3 right[4] = {{-60, -60, 0}, {120, -60, 0}, {120, -5, .02}, {-60, -5, .02}};
    world->lights = kn_alloc(1, sizeof *world->lights, error);
    if (!world->lights) return false;
    world->lights[world->light_count++] = (kn_light){{10, 7, 6}, {0, -.3, -1}, {40, 36, 28}, .3f, 40};
    return add_quad(mesh, road, GROUND, 0, error) && add_quad(mesh, mark, MARK, 0, error) &&
           add_quad(mesh, left, GRASS, 0, error) && add_quad(mesh, right, GRASS, 0, error) &&
           add_box(mesh, (kn_vec3){14, 12, 0}, (kn_vec3){28, 20, 11}, HOUSE, 10, error) &&
           add_box(mesh, (kn_vec3){5, -14, 0}, (kn_vec3){12, -8.5, 7}, HOUSE, 11, error) &&
           add_box(mesh, (kn_vec3){9.9, 6.9, 0}, (kn_vec3){10.1, 7.1, 5.5}, SIGNAL, 12, error) &&
           add_ball(mesh, (kn_vec3){13, -7, 1.2}, 1.2, BODY, 13, error);
}

static bool build_soup(kn_mesh *mesh, int count, uint64_t seed, kn_error *error) {
    kn_rng rng;
    kn_rng_init(&rng, seed);
    for (int i = 0; i < count; i++) {
        uint32_t index[3];
        double size = kn_rng_uniform(&rng, .05, 4);
        kn_vec3 middle = {kn_rng_uniform(&rng, -30, 30), kn_rng_uniform(&rng, -30, 30), kn_rng_uniform(&rng, -8, 12)};
        for (int c = 0; c < 3; c++) {
            kn_vec3 corner = {middle.x + kn_rng_uniform(&rng, -size, size),
                              middle.y + kn_rng_uniform(&rng, -size, size),
                              middle.z + kn_rng_uniform(&rng, -size, size)};
            kn_vec3 normal =
                kn_vec3_normalize((kn_vec3){kn_rng_normal(&rng), kn_rng_normal(&rng), kn_rng_normal(&rng)});
            if (!kn_mesh_add_vertex(mesh, corner, normal, (kn_vec2){corner.x, corner.z}, &index[c], error))
                return false;
        }
        uint16_t material = (uint16_t)kn_rng_int(&rng, 0, MATERIALS - 1);
        if (!kn_mesh_add_triangle(mesh, index[0], index[1], index[2], material, (uint16_t)(i % 60000 + 10), error))
            return false;
    }
    return true;
}

static bool build_car(kn_actor_model *model, kn_error *error) {
    static const kn_vec3 axles[4] = {{0, .8, .33}, {0, -.8, .33}, {2.7, .8, .33}, {2.7, -.8, .33}};
    if (!add_box(&model->body, (kn_vec3){-.9, -.9, .25}, (kn_vec3){3.5, .9, .9}, BODY, 0, error) ||
        !add_box(&model->body, (kn_vec3){-.3, -.75, .9}, (kn_vec3){2.2, .75, 1.45}, HOUSE, 0, error) ||
        !add_box(&model->body, (kn_vec3){-.95, .5, .6}, (kn_vec3){-.9, .85, .8}, TAIL, 0, error) ||
        !add_box(&model->body, (kn_vec3){-.95, -.85, .6}, (kn_vec3){-.9, -.5, .8}, LEFT, 0, error))
        return false;
    for (; model->wheel_count < 4; model->wheel_count++) {
        kn_actor_wheel *wheel = &model->wheels[model->wheel_count];
        wheel->position = axles[model->wheel_count];
        wheel->radius = .33;
        wheel->steers = model->wheel_count >= 2;
        if (!add_box(&wheel->mesh, (kn_vec3){-.23, -.12, -.23}, (kn_vec3){.23, .12, .23}, TYRE, 0, error)) return false;
    }
    model->lamps[0] = (kn_light){{3.5, .6, .65}, {1, 0, -.06}, {20, 19, 17}, .9f, 50};
    model->lamp_count = 1;
    return true;
}

static void drive(kn_timeline *timeline) {
    for (size_t f = 0; f < timeline->frame_count; f++) {
        double t = (double)f / timeline->frame_rate;
        kn_actor_state *states = &timeline->states[f * timeline->actor_count];
        states[0] = (kn_actor_state){.pose = kn_pose_from_euler((kn_vec3){9 * t, 0, 0}, .02 * t, 0, 0),
                                     .speed = 9,
                                     .present = true,
                                     .lamps = KN_LAMP_HEAD};
        states[1] = (kn_actor_state){.pose = kn_pose_from_euler((kn_vec3){11 + 12 * t, -2.2, 0}, .1 * t, 0, 0),
                                     .speed = 12,
                                     .present = true,
                                     .wheel_angle = 12 * t / .33,
                                     .curvature = .02,
                                     .lamps = KN_LAMP_TAIL | KN_LAMP_LEFT};
        states[2] = (kn_actor_state){.pose = kn_pose_from_euler((kn_vec3){22 - 10 * t, 4, 0}, M_PI, 0, 0),
                                     .speed = 10,
                                     .wheel_angle = 10 * t / .33,
                                     .present = f != 5,
                                     .lamps = KN_LAMP_HEAD};
    }
}

bool render_scene_init(kn_scene *scene, const kn_weather *weather, int soup, uint64_t seed, kn_error *error) {
    *scene = (kn_scene){0};
    kn_timeline *timeline = &scene->timeline;
    kn_world *world = &scene->world;
    *timeline =
        (kn_timeline){.frame_rate = 12, .frame_count = RENDER_SCENE_FRAMES, .actor_count = 3, .weather = *weather};
    timeline->actors = kn_alloc(3, sizeof *timeline->actors, error);
    timeline->states = kn_alloc(3 * RENDER_SCENE_FRAMES, sizeof *timeline->states, error);
    world->materials = kn_alloc(MATERIALS, sizeof *world->materials, error);
    world->models = kn_alloc(3, sizeof *world->models, error);
    if (!timeline->actors || !timeline->states || !world->materials || !world->models) return false;
    memcpy(world->materials, materials, sizeof materials);
    world->material_count = MATERIALS;
    world->model_count = 3;
    for (int i = 0; i < 3; i++)
        timeline->actors[i] = (kn_actor){
            .length = 4.4, .width = 1.8, .height = 1.45, .center = {1.3, 0, .72}, .is_ego = i == 0, .instance = i + 1};
    drive(timeline);
    if (!build_car(&world->models[1], error) || !build_car(&world->models[2], error)) return false;
    return soup >= 0 ? build_soup(&world->mesh, soup, seed, error) : build_street(world, error);
}

void render_scene_finish(kn_scene *scene) {
    for (size_t i = 0; i < scene->world.model_count; i++) {
        kn_mesh_finish(&scene->world.models[i].body);
        for (int w = 0; w < scene->world.models[i].wheel_count; w++)
            kn_mesh_finish(&scene->world.models[i].wheels[w].mesh);
    }
    kn_mesh_finish(&scene->world.mesh);
    kn_free(scene->world.models);
    kn_free(scene->world.materials);
    kn_free(scene->world.lights);
    kn_free(scene->timeline.actors);
    kn_free(scene->timeline.states);
    *scene = (kn_scene){0};
}

kn_camera render_scene_camera(int width, int height, double yaw) {
    double focal = .62 * width;
    kn_camera camera = {.name = "test",
                        .width = width,
                        .height = height,
                        .translation = {1.2, 0, 1.6},
                        .k = {{focal, 0, .5 * width}, {0, focal, .45 * height}, {0, 0, 1}},
                        .rotation = {{sin(yaw), 0, cos(yaw)}, {-cos(yaw), 0, sin(yaw)}, {0, -1, 0}}};
    return camera;
}
