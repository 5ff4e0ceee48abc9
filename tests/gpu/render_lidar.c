/* Beams of a lidar against the oracle, which tries every triangle. */
#include "gpu_common.h"
#include "render_oracle.h"
#include "render_scene.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { RINGS = 7, STEPS = 143, BEAMS = RINGS * STEPS };

static kn_gpu *gpu;
static kn_scene scene;

static void open_all(void) {
    kn_error error;
    gpu = gpu_open(NULL);
    cr_assert(render_scene_init(&scene, &render_scene_noon, -1, 0, &error));
}

static void close_all(void) {
    render_scene_finish(&scene);
    gpu_close(gpu);
}

TestSuite(lidar, .init = open_all, .fini = close_all);

static float directions[BEAMS][3];

static kn_lidar_beams sensor(void) {
    for (int i = 0; i < BEAMS; i++) {
        double turn = 2 * M_PI * (i / RINGS) / STEPS, up = (-30 + 6 * (i % RINGS)) * M_PI / 180;
        directions[i][0] = (float)(sin(turn) * cos(up));
        directions[i][1] = (float)(cos(turn) * cos(up));
        directions[i][2] = (float)sin(up);
    }
    return (kn_lidar_beams){.translation = {.9, .1, 1.8},
                            .rotation = {{0, 1, 0}, {-1, 0, 0}, {0, 0, 1}},
                            .directions = (const float(*)[3])directions,
                            .count = BEAMS,
                            .reach = 60};
}

Test(lidar, every_beam_meets_what_the_oracle_meets) {
    kn_error error = {0};
    kn_renderer *renderer;
    kn_lidar_beams lidar = sensor();
    static kn_echo echoes[BEAMS];
    cr_assert(kn_renderer_create(&renderer, gpu, &scene, NULL, &error), "%s", error.message);
    for (size_t frame = 0; frame < 4; frame += 3) {
        oracle o;
        cr_assert(kn_render_lidar(renderer, &lidar, frame, echoes, &error), "%s", error.message);
        cr_assert(oracle_init(&o, &scene, frame, &error));
        const kn_pose *ego = &scene.timeline.states[frame * scene.timeline.actor_count].pose;
        kn_vec3 from = kn_pose_point(ego, (kn_vec3){.9, .1, 1.8});
        size_t met = 0, labelled = 0, other = 0;
        for (size_t i = 0; i < BEAMS; i++) {
            const float *d = directions[i];
            kn_vec3 ray = kn_pose_direction(ego, (kn_vec3){(double)d[1], -(double)d[0], (double)d[2]});
            oracle_hit hit = oracle_trace(&o, from, ray, .02, 60);
            const kn_echo *e = &echoes[i];
            met += hit.triangle != NULL;
            labelled += hit.triangle && hit.triangle->instance;
            bool same = hit.triangle ? fabs((double)e->range - hit.t) < 2e-3 + 1e-4 * hit.t : !(e->range > 0);
            if (same && hit.triangle) {
                const kn_material *m = &scene.world.materials[hit.triangle->material];
                double albedo = .2126 * (double)m->color[0] + .7152 * (double)m->color[1] + .0722 * (double)m->color[2];
                same = e->instance == hit.triangle->instance && e->semantic == m->semantic &&
                       fabs((double)e->cosine - fabs(kn_vec3_dot(ray, hit.geometric_normal))) < 1e-3 &&
                       fabs((double)e->albedo - albedo) < 1e-4;
            }
            other += !same;
        }
        cr_assert_gt(met, BEAMS / 2);
        cr_assert_lt(met, BEAMS);
        cr_assert_gt(labelled, 5u);
        cr_assert_leq(other, 3u, "frame %zu: %zu of %d beams differ", frame, other, BEAMS); /* along an edge */
        oracle_finish(&o);
    }
    kn_renderer_destroy(&renderer);
}

Test(lidar, bad_beams_are_refused) {
    kn_error error = {0};
    kn_renderer *renderer;
    kn_lidar_beams lidar = sensor();
    kn_echo echo;
    cr_assert(kn_renderer_create(&renderer, gpu, &scene, NULL, &error), "%s", error.message);
    cr_assert_not(kn_render_lidar(renderer, &lidar, RENDER_SCENE_FRAMES, &echo, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
    lidar.count = 0;
    cr_assert_not(kn_render_lidar(renderer, &lidar, 0, &echo, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
    lidar.count = 1, lidar.reach = NAN;
    cr_assert_not(kn_render_lidar(renderer, &lidar, 0, &echo, &error));
    kn_renderer_destroy(&renderer);
}
