/* A scene of one object on a ground, for pictures around it. */
#include "scene/world/build.h"
#include "scene/world/scene.h"

#include <string.h>

static const double GROUND = 400; /* metres from the object to the ground's edge */

/* sRGB-encoded 0..255 to linear. */
static double linear(uint8_t value) {
    double v = value / 255.0;
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static kn_material material_of(const uint8_t rgb[3], kn_finish finish) {
    static const struct {
        kn_texture texture;
        double roughness;
    } finishes[] = {[KN_FINISH_MATT] = {KN_TEXTURE_FLAT, 0.8},       [KN_FINISH_PAINT] = {KN_TEXTURE_CAR_PAINT, 0.25},
                    [KN_FINISH_GLASS] = {KN_TEXTURE_GLASS, 0.05},    [KN_FINISH_RUBBER] = {KN_TEXTURE_RUBBER, 0.9},
                    [KN_FINISH_PLASTER] = {KN_TEXTURE_PLASTER, 0.9}, [KN_FINISH_TILES] = {KN_TEXTURE_FLAT, 0.85}};
    return kn_matter(linear(rgb[0]), linear(rgb[1]), linear(rgb[2]), finishes[finish].roughness,
                     finishes[finish].texture, KN_SEMANTIC_OBJECT, 0.3);
}

static void add_ground(kn_build *build, const kn_scene_object *object) {
    bool studio = object->studio;
    kn_build_use(build, studio ? kn_matter(.62, .62, .63, .9, KN_TEXTURE_FLAT, KN_SEMANTIC_TERRAIN, 0)
                               : kn_matter(.30, .30, .29, .9, KN_TEXTURE_CONCRETE, KN_SEMANTIC_SIDEWALK, 0.5));
    uint32_t corner[4];
    for (int i = 0; i < 4; i++) {
        double x = i == 1 || i == 2 ? GROUND : -GROUND, y = i > 1 ? GROUND : -GROUND;
        corner[i] = kn_build_vertex(build, kn_v3(x, y, 0), kn_v3(0, 0, 1), x, y);
    }
    kn_build_triangle(build, corner[0], corner[1], corner[2]);
    kn_build_triangle(build, corner[0], corner[2], corner[3]);
}

/* A little above the ground, so that its flat underside does not lie in it. */
static void add_object(kn_build *build, const kn_scene_object *o) {
    const double lift = 0.002;
    uint32_t index;
    build->instance = KN_OBJECT_INSTANCE;
    size_t base = build->mesh->vertex_count;
    for (size_t v = 0; v < o->vertex_count && !build->failed; v++) {
        const float *p = o->positions + 3 * v, *n = o->normals + 3 * v;
        index = kn_build_vertex(build, kn_v3(p[0], p[1], p[2] + lift), kn_v3(n[0], n[1], n[2]), p[0], p[1]);
        (void)index;
    }
    for (size_t t = 0; t < o->triangle_count && !build->failed; t++) {
        const uint32_t *i = o->triangles + 3 * t;
        kn_build_use(build, material_of(o->colors + 3 * t, o->finishes ? (kn_finish)o->finishes[t] : KN_FINISH_MATT));
        kn_build_triangle(build, (uint32_t)(base + i[0]), (uint32_t)(base + i[1]), (uint32_t)(base + i[2]));
    }
}

/* One frame, whose ego is nothing but the origin that cameras are given from. */
static bool make_timeline(kn_timeline *timeline, const kn_weather *weather, kn_error *error) {
    *timeline = (kn_timeline){.frame_rate = 24, .frame_count = 1, .actor_count = 1, .weather = *weather};
    timeline->actors = kn_alloc(1, sizeof *timeline->actors, error);
    timeline->states = kn_alloc(1, sizeof *timeline->states, error);
    if (!timeline->actors || !timeline->states) return false;
    timeline->actors[0] = (kn_actor){.name = "camera", .is_ego = true, .instance = 1};
    timeline->states[0] = (kn_actor_state){.pose = kn_pose_identity(), .present = true};
    return true;
}

bool kn_scene_create_object(kn_scene **out, const kn_scene_object *object, const kn_weather *weather, kn_error *error) {
    *out = NULL;
    for (size_t i = 0; i < 3 * object->triangle_count; i++)
        if (object->triangles[i] >= object->vertex_count)
            return kn_fail(error, KN_ERROR_INPUT, "triangle %zu names vertex %u of %zu", i / 3, object->triangles[i],
                           object->vertex_count);
    kn_scene *scene = kn_alloc(1, sizeof *scene, error);
    if (!scene) return false;
    kn_world *world = &scene->world;
    kn_build build;
    kn_build_init(&build, world, &world->mesh, error);
    bool ok =
        make_timeline(&scene->timeline, weather, error) && (world->models = kn_alloc(1, sizeof *world->models, error));
    if (ok) {
        world->model_count = 1;
        world->next_instance = KN_OBJECT_INSTANCE + 1;
        add_ground(&build, object);
        add_object(&build, object);
        ok = !build.failed;
    }
    if (!ok) kn_scene_destroy(&scene);
    *out = scene;
    return ok;
}
