/* Renders an orbit around a parametric car or building, reconstructs it and measures the result against the truth:
 *
 *     kinora-eval-mesh --shape car --paint glossy
 *
 * Errors are between the parts of both surfaces that the orbit's cameras see, the truth's bounding-box diagonal being
 * 1; the texture is compared on pictures that the reconstruction did not get, inside their masks. One line of JSON on
 * stdout. */
#include "cli/options.h"
#include "tests/unit/mesh_shapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/random.h"

enum { MAX_VIEWS = 400, HELD_OUT = 6 };

typedef struct eval_options {
    int shape, paint, size, views, rings, depth_given;
    int triangles, texture, samples;
    double noise;
    const char *folder, *output, *turntable;
    bool verbose, help;
    kn_surface_params params;
    kn_gpu_params gpu;
} eval_options;

typedef struct eval {
    const eval_options *options;
    kn_tris truth;
    kn_view_camera cameras[MAX_VIEWS], held_out[HELD_OUT];
    kn_surface_view views[MAX_VIEWS];
    struct timespec started;
    char stage[32];
    double stage_cpu;
} eval;

static double cpu_seconds(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static double wall_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- the orbit -------------------------------------------------------------------------------- */

/* The truth's depth with noise, and its normals, as a generator would give them: with a scale and a shift of its own
 * per view. */
static bool give_depth(eval *e, size_t view, kn_rng *rng, kn_error *error) {
    kn_eye eye = shape_eye(&e->cameras[view]);
    size_t pixels = (size_t)eye.width * (size_t)eye.height;
    kn_raster raster;
    float *depth = kn_alloc(pixels, sizeof *depth, error), *normals = kn_alloc(pixels, 3 * sizeof *normals, error);
    if (!depth || !normals || !kn_raster_init(&raster, eye.width, eye.height, error)) return false;
    kn_raster_draw(&raster, &eye, &e->truth, false);
    double scale = kn_rng_uniform(rng, 0.7, 1.4), shift = kn_rng_uniform(rng, -0.3, 0.3);
    if (e->options->depth_given == 1) scale = 1, shift = 0;
    for (size_t i = 0; i < pixels; i++) {
        if (!raster.triangle[i]) continue;
        depth[i] = (float)(scale * (raster.depth[i] + e->options->noise * kn_rng_normal(rng)) + shift);
        const uint32_t *t = e->truth.triangles + 3 * (size_t)(raster.triangle[i] - 1);
        kn_vec3 v[3];
        for (int k = 0; k < 3; k++)
            v[k] = (kn_vec3){e->truth.positions[3 * t[k]], e->truth.positions[3 * t[k] + 1],
                             e->truth.positions[3 * t[k] + 2]};
        kn_vec3 n = kn_vec3_normalize(kn_vec3_cross(kn_vec3_sub(v[1], v[0]), kn_vec3_sub(v[2], v[0])));
        for (size_t k = 0; k < 3; k++)
            normals[3 * i + k] = (float)(eye.r[k][0] * n.x + eye.r[k][1] * n.y + eye.r[k][2] * n.z);
    }
    kn_raster_finish(&raster);
    e->views[view].depth = depth, e->views[view].normals = normals;
    return true;
}

static bool make_views(eval *e, kn_error *error) {
    const eval_options *o = e->options;
    const double three[] = {-10, 15, 45}, one[] = {15}, between[] = {0, 30};
    kn_rng rng;
    kn_rng_init(&rng, 11);
    shape_make(&e->truth, (shape_kind)o->shape);
    orbit_cameras(e->cameras, (size_t)o->views, o->rings == 1 ? one : three, (size_t)o->rings, o->size);
    orbit_cameras(e->held_out, HELD_OUT, o->rings == 1 ? one : between, o->rings == 1 ? 1 : 2, o->size);
    for (int v = 0; v < o->views; v++) {
        e->views[v].camera = e->cameras[v];
        shape_render(&e->views[v].picture, &e->truth, (shape_kind)o->shape, (shape_paint)o->paint, &e->cameras[v], 0);
        if (o->depth_given && !give_depth(e, (size_t)v, &rng, error)) return false;
    }
    return true;
}

/* The pictures and transforms.json, for the command line and other programs. */
static bool write_orbit(eval *e, const char *folder, kn_error *error) {
    kn_view_list list = {e->cameras, (size_t)e->options->views};
    bool ok = kn_make_directories(folder, error);
    for (int v = 0; ok && v < e->options->views; v++) {
        char path[1200];
        snprintf(e->cameras[v].file, sizeof e->cameras[v].file, "%03d.png", v);
        snprintf(path, sizeof path, "%s/%03d.png", folder, v);
        ok = kn_image_write_png(&e->views[v].picture, path, error);
    }
    char path[1200];
    snprintf(path, sizeof path, "%s/transforms.json", folder);
    return ok && kn_view_list_write(&list, path, error);
}

/* --- measures --------------------------------------------------------------------------------- */

/* The surface in the cameras' world, sharing its triangles; positions are owned by the caller. */
static kn_tris back(const kn_surface *s) {
    const double(*m)[4] = s->from_input;
    double k = m[0][0] * m[0][0] + m[0][1] * m[0][1] + m[0][2] * m[0][2];
    kn_tris out = {.positions = calloc(s->vertex_count, 12),
                   .triangles = s->triangles,
                   .vertex_count = s->vertex_count,
                   .triangle_count = s->triangle_count};
    for (size_t v = 0; v < s->vertex_count; v++)
        for (size_t i = 0; i < 3; i++)
            for (size_t j = 0; j < 3; j++)
                out.positions[3 * v + i] += (float)(m[j][i] * (s->positions[3 * v + j] - m[j][3]) / k);
    return out;
}

/* Bilinear texture at a drawn pixel. */
static void texel(const kn_surface *s, const kn_raster *raster, size_t i, double rgb[3]) {
    size_t t = raster->triangle[i] - 1, w = (size_t)s->texture.width;
    double b = raster->weights[2 * i], c = raster->weights[2 * i + 1], at[2], f[2];
    int low[2];
    for (size_t k = 0; k < 2; k++) {
        at[k] = (1 - b - c) * s->corners[6 * t + k] + b * s->corners[6 * t + 2 + k] + c * s->corners[6 * t + 4 + k];
        at[k] = fmin(fmax(at[k] * (double)w - 0.5, 0), (double)w - 1.001);
        low[k] = (int)at[k], f[k] = at[k] - low[k];
    }
    for (size_t k = 0; k < 3; k++) {
        const uint8_t *p = s->texture.data + 3 * ((size_t)low[1] * w + (size_t)low[0]) + k;
        rgb[k] = (p[0] * (1 - f[0]) + p[3] * f[0]) * (1 - f[1]) + (p[3 * w] * (1 - f[0]) + p[3 * w + 3] * f[0]) * f[1];
    }
}

/* Peak signal-to-noise ratio in dB inside the held-out masks; where the surface does not reach the mask it counts as
 * black. */
static double texture_quality(const eval *e, const kn_surface *s, const kn_tris *found) {
    enum { FINE = 3 };
    double sum = 0, count = 0;
    for (int v = 0; v < HELD_OUT; v++) {
        kn_image picture;
        kn_raster raster;
        kn_eye eye = shape_eye(&e->held_out[v]);
        shape_render(&picture, &e->truth, (shape_kind)e->options->shape, (shape_paint)e->options->paint,
                     &e->held_out[v], 0);
        kn_raster_init(&raster, FINE * eye.width, FINE * eye.height, NULL);
        eye.fx *= FINE, eye.fy *= FINE, eye.cx *= FINE, eye.cy *= FINE;
        kn_raster_draw(&raster, &eye, found, false);
        for (int i = 0; i < picture.width * picture.height; i++) {
            const uint8_t *p = picture.data + 4 * i;
            double rgb[3] = {0};
            if (p[3] < 255) continue;
            for (int k = 0; k < FINE * FINE; k++) {
                size_t at = (size_t)(FINE * (i / picture.width) + k / FINE) * (size_t)raster.width +
                            (size_t)(FINE * (i % picture.width) + k % FINE);
                double one[3] = {0};
                if (raster.triangle[at]) texel(s, &raster, at, one);
                for (int c = 0; c < 3; c++) rgb[c] += one[c] / (FINE * FINE);
            }
            for (int c = 0; c < 3; c++) sum += pow(rgb[c] - p[c], 2), count++;
        }
        kn_raster_finish(&raster);
        kn_image_finish(&picture);
    }
    return 10 * log10(255 * 255 * count / sum);
}

static bool progress(void *user, const char *stage, uint64_t done, uint64_t total) {
    eval *e = user;
    if (strcmp(stage, e->stage) == 0 && done < total) return true;
    double now = cpu_seconds();
    if (e->options->verbose && e->stage[0]) fprintf(stderr, "%-10s %7.2f CPU s\n", e->stage, now - e->stage_cpu);
    snprintf(e->stage, sizeof e->stage, "%s", stage);
    e->stage_cpu = now;
    return true;
}

static bool measure(eval *e, const kn_surface *s, double wall, double cpu, kn_error *error) {
    static const char *const shapes[] = {"car", "building"}, *const paints[] = {"textured", "flat", "glossy"};
    const eval_options *o = e->options;
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    kn_surface_facts facts;
    if (!kn_surface_measure(s, &facts, error)) return false;
    kn_tris found = back(s);
    shape_score score = shape_compare(&e->truth, &found, e->cameras, (size_t)o->views, 0.01, (size_t)o->samples);
    double truth_sides[2], found_sides[2];
    kn_upright_box(e->truth.positions, e->truth.vertex_count, truth_sides);
    kn_upright_box(found.positions, found.vertex_count, found_sides);
    printf("{\"shape\":\"%s\",\"paint\":\"%s\",\"views\":%d,\"rings\":%d,\"size\":%d,\"depth\":%d,\"f\":%.4f,"
           "\"precision\":%.4f,\"recall\":%.4f,\"precision_down_side_up\":[%.3f,%.3f,%.3f],\"recall_down_side_up\":[%."
           "3f,%.3f,%.3f],\"chamfer\":%.5f,"
           "\"psnr\":%.2f,\"length_error\":%.5f,\"triangles\":%zu,\"sound\":%s,\"seconds\":%.1f,\"cpu\":%.1f,\"peak_"
           "mb\":%.0f}\n",
           shapes[o->shape], paints[o->paint], o->views, o->rings, o->size, o->depth_given, score.f, score.precision,
           score.recall, score.precision_by_side[0], score.precision_by_side[1], score.precision_by_side[2],
           score.recall_by_side[0], score.recall_by_side[1], score.recall_by_side[2], score.chamfer,
           texture_quality(e, s, &found), found_sides[0] / truth_sides[0] - 1, facts.triangles,
           facts.manifold && facts.outward ? "true" : "false", wall, cpu, (double)use.ru_maxrss / 1024);
    free(found.positions);
    return true;
}

static bool run(eval *e, kn_error *error) {
    const eval_options *o = e->options;
    kn_gpu *gpu = NULL;
    kn_surface *surface = NULL;
    if (!make_views(e, error) || (o->folder && !write_orbit(e, o->folder, error))) return false;
    kn_surface_params params = o->params;
    params.triangles = (size_t)o->triangles, params.texture = o->texture, params.progress = progress,
    params.progress_user = e;
    double cpu = cpu_seconds(), wall = wall_seconds();
    e->stage_cpu = cpu;
    bool ok = kn_gpu_create(&gpu, &o->gpu, error) &&
              kn_surface_build(&surface, gpu, e->views, (size_t)o->views, &params, error);
    ok = ok && measure(e, surface, wall_seconds() - wall, cpu_seconds() - cpu, error) &&
         (!o->output || kn_surface_write(surface, o->output, error)) &&
         (!o->turntable || kn_surface_write_turntable(surface, o->turntable, 1600, error));
    kn_surface_destroy(&surface);
    kn_gpu_destroy(&gpu);
    return ok;
}

static void print_log(void *user, kn_log_level level, const char *line) {
    (void)user, (void)level, fprintf(stderr, "%s\n", line);
}

int main(int argc, char **argv) {
    static eval e;
    static eval_options o = {
        .size = 256, .views = 36, .rings = 3, .triangles = 60000, .texture = 1024, .samples = 100000, .noise = 0.005};
    kn_error error = {0};
    const char *none;
    int count = 0;
    o.params = KN_SURFACE_PARAMS_DEFAULT, o.gpu = (kn_gpu_params)KN_GPU_PARAMS_DEFAULT;
    const kn_option table[] = {
        {"--shape", KN_OPTION_CHOICE, &o.shape, 0, 0, "car|building", "S", "(car)", 0},
        {"--paint", KN_OPTION_CHOICE, &o.paint, 0, 0, "textured|flat|glossy", "P", "(textured)", 0},
        {"--size", KN_OPTION_INT, &o.size, 32, 2048, NULL, "PIXELS", "of the square pictures (256)", 0},
        {"--views", KN_OPTION_INT, &o.views, 3, MAX_VIEWS, NULL, "N", "(36)", 0},
        {"--rings", KN_OPTION_INT, &o.rings, 1, 3, NULL, "N", "3: at -10, 15 and 45 degrees; 1: at 15 (3)", 0},
        {"--depth", KN_OPTION_CHOICE, &o.depth_given, 0, 0, "none|metric|scaled", "D",
         "give noisy depth and normals (none)", 0},
        {"--noise", KN_OPTION_NUMBER, &o.noise, 0, 1, NULL, "SIGMA", "of the given depth (.005)", 0},
        {"--samples", KN_OPTION_INT, &o.samples, 100, 10000000, NULL, "N", "points of the measure (100000)", 0},
        {"--rounds", KN_OPTION_INT, &o.params.rounds, 0, 4, NULL, "N", "of stereo (2)", 0},
        {"--resolution", KN_OPTION_INT, &o.params.resolution, 32, 512, NULL, "N", "voxels along the longest side", 0},
        {"--triangles", KN_OPTION_INT, &o.triangles, 0, 50000000, NULL, "N", "(60000)", 0},
        {"--texture", KN_OPTION_INT, &o.texture, 64, 8192, NULL, "PIXELS", "(1024)", 0},
        {"--symmetric", KN_OPTION_FLAG, &o.params.symmetric, 0, 0, NULL, NULL, "assume two equal halves", 0},
        {"--planar", KN_OPTION_FLAG, &o.params.planar, 0, 0, NULL, NULL, "flatten what is nearly flat", 0},
        {"--orbit", KN_OPTION_TEXT, &o.folder, 0, 0, NULL, "DIR", "write the pictures and transforms.json", 0},
        {"--output", KN_OPTION_TEXT, &o.output, 0, 0, NULL, "FILE", "write the surface", 'o'},
        {"--turntable", KN_OPTION_TEXT, &o.turntable, 0, 0, NULL, "FILE", "write the turntable", 0},
        {"--device", KN_OPTION_TEXT, &o.gpu.device, 0, 0, NULL, "D", "number or part of the name", 0},
        {"--verbose", KN_OPTION_FLAG, &o.verbose, 0, 0, NULL, NULL, "times of the stages", 'v'},
        {"--help", KN_OPTION_FLAG, &o.help, 0, 0, NULL, NULL, "this text", 'h'},
    };
    bool ok = kn_options_parse(table, KN_COUNT(table), argc - 1, argv + 1, &none, 0, &count, &error);
    if (ok && o.help) return kn_options_print(table, KN_COUNT(table), stdout), 0;
    o.params.log = (kn_log){print_log, NULL, o.verbose ? KN_LOG_DEBUG : KN_LOG_WARNING};
    e.options = &o;
    ok = ok && run(&e, &error);
    if (!ok) fprintf(stderr, "kinora-eval-mesh: %s\n", error.message);
    for (int v = 0; v < o.views; v++) {
        kn_image_finish(&e.views[v].picture);
        kn_free((void *)e.views[v].depth), kn_free((void *)e.views[v].normals);
    }
    kn_tris_finish(&e.truth);
    return ok ? 0 : 2;
}
