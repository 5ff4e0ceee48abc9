/* A whole scene without masks: what is on the table comes out closed, in place and without the far background. */
#include "gpu_common.h"
#include "mesh/surface/scene.h"
#include "tests/unit/mesh_still_life.h"

enum { VIEWS = 12, WIDTH = 144, HEIGHT = 108 };

static kn_surface_view views[VIEWS];

static void render(void) {
    kn_error error = {0};
    for (int i = 0; i < VIEWS; i++) {
        kn_eye eye = still_life_eye(4 * M_PI * i / VIEWS, i < VIEWS / 2 ? 1.3 : 0.6, WIDTH, HEIGHT);
        kn_camera *c = &views[i].camera.camera;
        views[i] = (kn_surface_view){0};
        c->width = WIDTH, c->height = HEIGHT;
        c->k[0][0] = eye.fx, c->k[1][1] = eye.fy, c->k[0][2] = eye.cx, c->k[1][2] = eye.cy, c->k[2][2] = 1;
        for (int r = 0; r < 3; r++) {
            c->translation[r] = eye.center[r];
            for (int k = 0; k < 3; k++) c->rotation[r][k] = eye.r[k][r];
        }
        good(kn_image_init(&views[i].picture, WIDTH, HEIGHT, 3, &error));
        still_life_render(&eye, views[i].picture.data, NULL);
    }
}

static void forget(void) {
    for (int i = 0; i < VIEWS; i++) kn_image_finish(&views[i].picture);
}

/* A vertex in the cameras' world. */
static void back(const kn_surface *s, size_t v, double p[3]) {
    const double(*m)[4] = s->from_input;
    double k = m[0][0] * m[0][0] + m[0][1] * m[0][1] + m[0][2] * m[0][2];
    for (int i = 0; i < 3; i++) {
        p[i] = 0;
        for (size_t j = 0; j < 3; j++) p[i] += m[j][i] * (s->positions[3 * v + j] - m[j][3]) / k;
    }
}

Test(mesh_scene_build, what_stands_on_a_table_is_found_without_masks) {
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    kn_surface *s;
    kn_surface_params params = KN_SURFACE_PARAMS_DEFAULT;
    params.no_mask = true, params.texture = 256, params.triangles = 0, params.resolution = 80;
    render();
    good(kn_surface_build(&s, gpu, views, VIEWS, &params, &error));
    kn_surface_facts facts;
    good(kn_surface_measure(s, &facts, &error));
    cr_assert(facts.closed && facts.manifold && facts.outward);
    cr_assert_eq(facts.components, 1);
    size_t seen = 0, near = 0, above = 0;
    double top = -1e9, widest = 0;
    for (size_t v = 0; v < s->vertex_count; v++) {
        double p[3];
        back(s, v, p);
        top = fmax(top, p[2]), widest = fmax(widest, hypot(p[0], p[1])), above += p[2] > 0.05;
        if (p[2] < 0.05 || s->confidence[v] <= 0) continue;
        seen++, near += fabs(still_life_distance(p)) < 0.03;
    }
    cr_log_info("%zu of %zu vertices above the table lie on the object; top %.3f, radius %.3f", near, seen, top,
                widest);
    cr_assert_gt(above, s->vertex_count / 5, "the object is missing");
    cr_assert_gt((double)near, 0.93 * (double)seen, "%zu of %zu", near, seen);
    cr_assert_float_eq(top, 0.65, 0.03, "the ball's top is at %.3f", top);
    cr_assert_lt(widest, 1.1, "the background is %.2f away", widest);
    kn_surface_destroy(&s);
    params.box[0] = params.box[1] = -0.25, params.box[2] = 0.2, params.box[3] = params.box[4] = 0.25,
    params.box[5] = 0.8; /* the ball alone */
    params.resolution = 40;
    good(kn_surface_build(&s, gpu, views, VIEWS, &params, &error));
    for (size_t v = 0; v < s->vertex_count; v++) {
        double p[3];
        back(s, v, p);
        cr_assert(fabs(p[0]) < 0.27 && fabs(p[1]) < 0.27 && p[2] > 0.18 && p[2] < 0.82, "%g %g %g lies outside the box",
                  p[0], p[1], p[2]);
    }
    kn_surface_destroy(&s);
    params.box[5] = 0.1;
    bad(KN_ERROR_INPUT, kn_surface_build(&s, gpu, views, VIEWS, &params, &error));
    forget();
    gpu_close(gpu);
}

/* The vote of every eye, in plain C. */
static void count_votes(const kn_grid *g, const kn_region *region, const kn_eyes *eyes, const kn_depth *depths,
                        float *values, float *weights) {
    double reach = 3 * g->step;
    for (size_t i = 0; i < kn_grid_count(g); i++) {
        size_t w = (size_t)g->size[0], h = (size_t)g->size[1];
        const double p[3] = {g->origin[0] + g->step * (double)(i % w), g->origin[1] + g->step * (double)(i / w % h),
                             g->origin[2] + g->step * (double)(i / (w * h))};
        double sum = 0, near = 0, empty = 0, sure = 0, guess = 0;
        for (size_t e = 0; e < eyes->count; e++) {
            const kn_eye *eye = &eyes->items[e];
            double pixel[2], depth;
            if (!kn_eye_project(eye, p, pixel, &depth) ||
                !(pixel[0] >= 0 && pixel[1] >= 0 && pixel[0] < eye->width && pixel[1] < eye->height))
                continue;
            const float *t = depths[e].planes + 4 * ((size_t)pixel[1] * (size_t)eye->width + (size_t)pixel[0]);
            double u = (floor(pixel[0]) + 0.5 - eye->cx) / eye->fx, v = (floor(pixel[1]) + 0.5 - eye->cy) / eye->fy,
                   n = -sqrt(fmax(1 - t[0] * t[0] - t[1] * t[1], 0));
            double x = (pixel[0] - eye->cx) / eye->fx * depth, y = (pixel[1] - eye->cy) / eye->fy * depth;
            double d = t[0] * (x - u * t[2]) + t[1] * (y - v * t[2]) + n * (depth - t[2]), before = t[2] - depth;
            double facing = -(t[0] * u + t[1] * v + n) / sqrt(u * u + v * v + 1);
            if (!(t[3] > 0)) sure += 0.0015 * 0.5, guess += 0.0015 * 0.5;
            else if (before > 4 * reach) empty += t[3];
            else if (d > -reach && before > -3 * reach) sum += t[3] * facing * fmin(d, reach), near += t[3] * facing;
            else if (before > -0.05) sure += 1, guess -= 1;
            else sure += 0.0015, guess -= 0.0015;
        }
        if (region->has_ground &&
            region->ground[0] * p[0] + region->ground[1] * p[1] + region->ground[2] * p[2] < region->ground[3])
            sure += 4, guess -= 4;
        if (kn_region_distance_sides(region, p) > -reach) sure += 8, guess += 8;
        bool is_free = empty > near;
        values[i] = (float)(is_free ? reach : near > 0 ? sum / near : sure > 0 ? reach * guess / sure : 0);
        weights[i] = (float)(is_free ? empty : near > 0 ? near : 0.01 * sure);
    }
}

Test(mesh_scene_build, votes_are_those_of_plain_c) {
    enum { N = 3 };
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    kn_eye items[N];
    kn_eyes eyes = {.items = items, .count = N, .no_mask = true};
    kn_depth depths[N];
    uint8_t rgb[61 * 47 * 3];
    for (int e = 0; e < N; e++) {
        items[e] = still_life_eye(2 * e, 0.8, 61, 47);
        depths[e].planes = kn_alloc(61 * 47, 16, NULL);
        still_life_render(&items[e], rgb, depths[e].planes);
        for (int i = 0; i < 61 * 47; i += 7) depths[e].planes[4 * i + 3] = 0;
    }
    kn_grid grid = {.size = {37, 29, 23}, .origin = {-0.51, -0.43, -0.07}, .step = 0.031};
    kn_region region = {.axes = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
                        .radius = {0.45, 0.4},
                        .bottom = -0.05,
                        .top = 0.6,
                        .ground = {0, 0, 1, 0.001},
                        .has_ground = true};
    size_t count = kn_grid_count(&grid), off = 0;
    float *field = kn_alloc(count, 4, NULL), *weight = kn_alloc(count, 4, NULL), *values = kn_alloc(count, 4, NULL),
          *weights = kn_alloc(count, 4, NULL);
    good(kn_scene_fuse(field, weight, &grid, &region, gpu, &eyes, depths, &error));
    count_votes(&grid, &region, &eyes, depths, values, weights);
    for (size_t i = 0; i < count; i++) off += fabsf(weight[i] - weights[i]) > 1e-3f * (1 + weights[i]);
    cr_assert_lt(off, count / 500, "%zu of %zu voxels differ", off, count); /* a pixel's border may fall either way */
    good(kn_field_fill(values, weights, grid.size, &error));
    off = 0;
    for (size_t i = 0; i < count; i++) {
        const double p[3] = {grid.origin[0] + grid.step * (double)(i % 37),
                             grid.origin[1] + grid.step * (double)(i / 37 % 29),
                             grid.origin[2] + grid.step * (double)(i / (37 * 29))};
        off += fabs(field[i] - fmax(values[i], kn_region_distance(&region, p))) > 0.004;
    }
    cr_assert_lt(off, count / 200, "%zu of %zu voxels differ", off, count);
    for (int e = 0; e < N; e++) kn_free(depths[e].planes);
    kn_free(field), kn_free(weight), kn_free(values), kn_free(weights);
    gpu_close(gpu);
}
