/* Meshes and parametric actors. */
#include "scene/world/models.h"
#include "tests/render_naive.h"

#include <criterion/criterion.h>
#include <string.h>

static kn_actor sample_actor(kn_actor_class kind, double length, double width, double height, double cx,
                             uint64_t seed) {
    kn_actor a = {.kind = kind, .length = length, .width = width, .height = height, .seed = seed, .instance = 7};
    a.center[0] = cx;
    a.center[2] = height / 2;
    a.color[0] = .3, a.color[1] = .1, a.color[2] = .05;
    return a;
}

static void check_mesh(const kn_mesh *mesh, const kn_world *world) {
    for (size_t i = 0; i < mesh->triangle_count; i++) {
        for (int k = 0; k < 3; k++) cr_assert_lt(mesh->triangle[i][k], mesh->vertex_count);
        cr_assert_lt(mesh->material[i], world->material_count);
    }
    for (size_t i = 0; i < mesh->vertex_count; i++) {
        const float *n = mesh->normal[i], *p = mesh->position[i];
        cr_assert(isfinite(p[0]) && isfinite(p[1]) && isfinite(p[2]));
        double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
        cr_assert(fabs(length - 1) < 1e-3 || length == 0, "normal of length %g", length);
    }
}

/* Body and wheels fill the actor's box exactly and stay inside it. */
static void check_box(const kn_actor *a, const kn_actor_model *model) {
    double low[3] = {1e9, 1e9, 1e9}, high[3] = {-1e9, -1e9, -1e9};
    for (size_t i = 0; i < model->body.vertex_count; i++) {
        for (int k = 0; k < 3; k++) {
            low[k] = fmin(low[k], model->body.position[i][k]);
            high[k] = fmax(high[k], model->body.position[i][k]);
        }
    }
    for (int w = 0; w < model->wheel_count; w++) {
        const kn_actor_wheel *wheel = &model->wheels[w];
        const kn_actor_state standing = {.pose = kn_pose_identity()};
        kn_pose pose = kn_actor_part_pose(model, w, &standing);
        for (size_t i = 0; i < wheel->mesh.vertex_count; i++) {
            const float *p = wheel->mesh.position[i];
            kn_vec3 q = kn_pose_point(&pose, (kn_vec3){p[0], p[1], p[2]});
            const double at[3] = {q.x, q.y, q.z};
            for (int k = 0; k < 3; k++) {
                low[k] = fmin(low[k], at[k]);
                high[k] = fmax(high[k], at[k]);
            }
        }
    }
    const double size[3] = {a->length, a->width, a->height};
    if (model->limb >
        0) { /* people keep their own proportions: as tall as the box, about as wide, limbs may reach out a little */
        for (int k = 0; k < 3; k++) {
            double reach = k == 2 ? (model->walks ? 2e-3 : .06) : .1;
            cr_assert_geq(low[k], a->center[k] - size[k] / 2 - reach, "class %d axis %d low %g", a->kind, k, low[k]);
            cr_assert_leq(high[k], a->center[k] + size[k] / 2 + reach, "class %d axis %d high %g", a->kind, k, high[k]);
        }
        cr_assert_geq(high[2] - low[2], size[2] - .06, "class %d is %g m high", a->kind, high[2] - low[2]);
        return;
    }
    for (int k = 0; k < 3; k++) {
        cr_assert_float_eq(low[k], a->center[k] - size[k] / 2, 2e-3, "class %d axis %d low %g", a->kind, k,
                           low[k] - a->center[k]);
        cr_assert_float_eq(high[k], a->center[k] + size[k] / 2, 2e-3, "class %d axis %d high %g", a->kind, k,
                           high[k] - a->center[k]);
    }
}

static bool emits(const kn_world *world, const kn_mesh *mesh, kn_emitter emitter) {
    for (size_t i = 0; i < mesh->triangle_count; i++) {
        if (world->materials[mesh->material[i]].emitter == emitter) return true;
    }
    return false;
}

static const struct {
    kn_actor_class kind;
    double length, width, height, cx;
} sizes[] = {{KN_ACTOR_CAR, 4.75, 1.82, 1.45, 1.4}, {KN_ACTOR_CAR, 3.6, 1.65, 1.5, 1.1},
             {KN_ACTOR_CAR, 5.05, 2.0, 1.8, 1.5},   {KN_ACTOR_CAR, 4.5, 1.8, 1.5, 0},
             {KN_ACTOR_VAN, 5.5, 2.0, 2.4, 1.6},    {KN_ACTOR_TRUCK, 8.5, 2.5, 3.4, 2.8},
             {KN_ACTOR_TRUCK, 16, 2.55, 3.9, 4.5},  {KN_ACTOR_BUS, 12, 2.55, 3.1, 3},
             {KN_ACTOR_TRAILER, 10, 2.5, 3.5, 3},   {KN_ACTOR_MOTORBIKE, 2.15, .8, 1.6, 0},
             {KN_ACTOR_BICYCLE, 1.8, .62, 1.75, 0}, {KN_ACTOR_PEDESTRIAN, .6, .55, 1.75, 0},
             {KN_ACTOR_CONE, .35, .35, .7, 0},      {KN_ACTOR_BARRIER, .5, 2, 1, 0},
             {KN_ACTOR_OBJECT, 1, 1.3, .8, 0}};

Test(models, every_class_fills_its_box) {
    for (size_t i = 0; i < KN_COUNT(sizes); i++) {
        for (uint64_t seed = 1; seed <= 4; seed++) {
            kn_error error = {0};
            kn_world world = {0};
            kn_actor_model model;
            kn_actor a =
                sample_actor(sizes[i].kind, sizes[i].length, sizes[i].width, sizes[i].height, sizes[i].cx, seed);
            cr_assert(kn_actor_model_build(&model, &world, &a, &error), "%s", error.message);
            check_mesh(&model.body, &world);
            check_box(&a, &model);
            size_t count = model.body.triangle_count;
            for (int w = 0; w < model.wheel_count; w++) {
                check_mesh(&model.wheels[w].mesh, &world);
                count += model.wheels[w].mesh.triangle_count;
            }
            cr_assert_lt(count, 6000);
            kn_actor_model_finish(&model);
            kn_world_finish(&world);
        }
    }
}

Test(models, cars_have_their_lamps) {
    kn_world world = {0};
    kn_actor_model model;
    kn_actor a = sample_actor(KN_ACTOR_CAR, 4.6, 1.8, 1.45, 1.4, 3);
    cr_assert(kn_actor_model_build(&model, &world, &a, NULL));
    for (int e = KN_EMITTER_HEAD; e <= KN_EMITTER_REVERSE; e++)
        cr_assert(emits(&world, &model.body, (kn_emitter)e), "emitter %d", e);
    cr_assert_eq(model.lamp_count, 2);
    cr_assert_eq(model.wheel_count, 4);
    kn_actor_model_finish(&model);
    kn_world_finish(&world);
}

Test(models, absurd_sizes_do_no_harm) {
    static const double values[] = {-1, 0, 1e-9, 1e6, NAN};
    for (int kind = KN_ACTOR_CAR; kind <= KN_ACTOR_OBJECT; kind++) {
        for (size_t i = 0; i < KN_COUNT(values); i++) {
            kn_world world = {0};
            kn_actor_model model;
            kn_actor a = sample_actor((kn_actor_class)kind, values[i], values[(i + 2) % 5], values[(i + 1) % 5], 0, i);
            if (kn_actor_model_build(&model, &world, &a, NULL)) kn_actor_model_finish(&model);
            kn_world_finish(&world);
        }
    }
}

Test(models, failing_allocations_are_reported) {
    for (uint64_t n = 1; n < 400; n = n < 60 ? n + 1 : n + 23) {
        kn_error error = {0};
        kn_world world = {0};
        kn_actor_model model;
        kn_actor a = sample_actor(n % 2 ? KN_ACTOR_CAR : KN_ACTOR_BICYCLE, 4.6, 1.8, 1.45, 1.4, 3);
        kn_alloc_fail_after(n);
        bool ok = kn_actor_model_build(&model, &world, &a, &error);
        kn_alloc_fail_after(0);
        cr_assert(ok || error.kind == KN_ERROR_MEMORY, "allocation %d", (int)n);
        kn_actor_model_finish(&model);
        kn_world_finish(&world);
    }
}

Test(mesh, append_moves_and_shifts) {
    kn_mesh part = {0}, whole = {0};
    uint32_t a, b, c;
    cr_assert(kn_mesh_add_vertex(&part, (kn_vec3){1, 0, 0}, (kn_vec3){1, 0, 0}, (kn_vec2){0, 0}, &a, NULL));
    cr_assert(kn_mesh_add_vertex(&part, (kn_vec3){0, 1, 0}, (kn_vec3){1, 0, 0}, (kn_vec2){1, 0}, &b, NULL));
    cr_assert(kn_mesh_add_vertex(&part, (kn_vec3){0, 0, 1}, (kn_vec3){1, 0, 0}, (kn_vec2){0, 1}, &c, NULL));
    cr_assert(kn_mesh_add_triangle(&part, a, b, c, 2, 0, NULL));
    kn_pose pose = kn_pose_from_euler((kn_vec3){10, 20, 30}, M_PI / 2, 0, 0);
    for (int k = 0; k < 2; k++) cr_assert(kn_mesh_append(&whole, &part, &pose, 5, 9, NULL));
    cr_assert_eq(whole.triangle_count, 2);
    cr_assert_eq(whole.triangle[1][2], 5);
    cr_assert_eq(whole.material[1], 7);
    cr_assert_eq(whole.instance[1], 9);
    cr_assert_float_eq(whole.position[3][1], 21, 1e-5);
    cr_assert_float_eq(whole.normal[3][1], 1, 1e-6);
    kn_mesh_finish(&part);
    kn_mesh_finish(&whole);
}

/* Feet and hands swing against each other, feet stay above the ground and come down to it; who stands, stands still. */
Test(models, people_walk) {
    kn_error error = {0};
    kn_world world = {0};
    kn_actor_model model;
    kn_actor actor = {
        .kind = KN_ACTOR_PEDESTRIAN, .length = .5, .width = .6, .height = 1.75, .center = {0, 0, .875}, .seed = 3};
    cr_assert(kn_actor_model_build(&model, &world, &actor, &error), "%s", error.message);
    double first[2] = {0}, range[2] = {0}, lowest = 1, highest_low = -1;
    for (int step = 0; step < 48; step++) {
        kn_actor_state state = {.pose = kn_pose_identity(), .speed = 1.4, .wheel_angle = step * 1.4 / 24 / .33};
        double foot[2] = {0}, low = 1;
        for (int i = 0; i < model.wheel_count; i++) {
            const kn_actor_wheel *part = &model.wheels[i];
            if (part->motion != KN_PART_SHIN) continue;
            kn_pose pose = kn_actor_part_pose(&model, i, &state);
            for (size_t v = 0; v < part->mesh.vertex_count; v++)
                low = fmin(low, kn_pose_point(&pose, (kn_vec3){part->mesh.position[v][0], part->mesh.position[v][1],
                                                               part->mesh.position[v][2]})
                                    .z);
            foot[part->side > 0] = kn_pose_point(&pose, (kn_vec3){0, 0, -model.limb}).x;
        }
        lowest = fmin(lowest, low), highest_low = fmax(highest_low, low);
        for (int k = 0; k < 2; k++) {
            first[k] = step ? first[k] : foot[k];
            range[k] = fmax(range[k], fabs(foot[k] - first[k]));
        }
        kn_actor_state still = state, later = state;
        still.speed = later.speed = 0;
        later.wheel_angle += 1;
        for (int i = 0; i < model.wheel_count; i++) {
            kn_vec3 a = kn_actor_part_pose(&model, i, &still).translation,
                    b = kn_actor_part_pose(&model, i, &later).translation;
            cr_assert_lt(kn_vec3_length(kn_vec3_sub(a, b)), 1e-9);
        }
    }
    cr_assert(range[0] > .25 && range[1] > .25, "%g %g", range[0], range[1]);
    cr_assert_gt(lowest, -.05, "feet %g m under the ground", -lowest);
    cr_assert_lt(highest_low, .07, "both feet %g m above the ground", highest_low);
    kn_actor_model_finish(&model);
    kn_world_finish(&world);
}
