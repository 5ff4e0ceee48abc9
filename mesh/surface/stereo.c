/* PatchMatch stereo on the device, and the cross-check of its depth maps. */
#include "mesh/surface/device.h"
#include "mesh/surface/scene.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SOURCES KN_MAX_NEIGHBOURS
#define STEREO_LANES 64

struct kn_stereo {
    kn_gpu *gpu;
    const kn_eyes *eyes;
    size_t pixels, stride; /* of one eye; from one eye to the next on the device, a multiple of 16 */
    kn_gpu_buffer *images, *pairs, *list, *bounds, *planes, *costs;
    int32_t (*sources)[MAX_SOURCES]; /* [eye] indices */
    int *source_count;               /* [eye] */
    bool glossy;                     /* the pictures are chroma */
};

typedef struct stereo_push {
    float k[4];
    int32_t image[2], eye, sources, first, count;
    uint32_t seed;
    int32_t changes;
    float change, agreement;
    int32_t stride, scan;
    float ground[4];
} stereo_push;
_Static_assert(sizeof(stereo_push) == 80, "as in stereo.comp");

/* --- set-up ----------------------------------------------------------------------------------- */

/* Grey value 0..1 with 0 for the background. */
static uint8_t grey(const kn_eye *eye, int x, int y, bool glossy) {
    x = x < eye->width ? x : eye->width - 1, y = y < eye->height ? y : eye->height - 1;
    size_t at = (size_t)y * (size_t)eye->width + (size_t)x;
    if (!eye->mask[at]) return 0;
    int value = kn_eye_grey(eye, at, glossy);
    return (uint8_t)(value < 6 ? 6 : value);
}

static bool upload_images(kn_stereo *s, bool glossy, kn_error *error) {
    uint8_t *quads = kn_alloc(s->pixels, 4, error);
    bool ok = quads && kn_device_upload(&s->images, s->gpu, NULL, s->stride * 4 * s->eyes->count, error);
    for (size_t e = 0; ok && e < s->eyes->count; e++) {
        const kn_eye *eye = &s->eyes->items[e];
        for (int y = 0; y < eye->height; y++)
            for (int x = 0; x < eye->width; x++) {
                uint8_t *q = quads + 4 * ((size_t)y * (size_t)eye->width + (size_t)x);
                q[0] = grey(eye, x, y, glossy), q[1] = grey(eye, x + 1, y, glossy), q[2] = grey(eye, x, y + 1, glossy),
                q[3] = grey(eye, x + 1, y + 1, glossy);
            }
        ok = kn_gpu_upload(s->images, e * s->stride * 4, quads, s->pixels * 4, error);
    }
    kn_free(quads);
    return ok;
}

/* rows[3][4]: camera ray times depth of `from` to homogeneous pixel of `to`. */
static void pair_rows(const kn_eye *from, const kn_eye *to, float rows[12]) {
    double m[3][4];
    for (int i = 0; i < 3; i++) {
        m[i][3] = to->t[i];
        for (int j = 0; j < 3; j++) {
            m[i][j] = to->r[i][0] * from->r[j][0] + to->r[i][1] * from->r[j][1] + to->r[i][2] * from->r[j][2];
            m[i][3] -= m[i][j] * from->t[j];
        }
    }
    for (int j = 0; j < 4; j++) {
        rows[j] = (float)(to->fx * m[0][j] + to->cx * m[2][j]);
        rows[4 + j] = (float)(to->fy * m[1][j] + to->cy * m[2][j]);
        rows[8 + j] = (float)m[2][j];
    }
}

static bool upload_pairs(kn_stereo *s, kn_error *error) {
    size_t one = MAX_SOURCES * 8 * 4;
    float *pairs = kn_alloc(s->eyes->count, one * sizeof *pairs, error);
    if (!pairs) return false;
    for (size_t e = 0; e < s->eyes->count; e++)
        for (int i = 0; i < s->source_count[e]; i++) {
            const kn_eye *eye = &s->eyes->items[e], *other = &s->eyes->items[s->sources[e][i]];
            float *p = pairs + e * one + (size_t)i * 32;
            pair_rows(eye, other, p), pair_rows(other, eye, p + 12);
            p[24] = (float)other->fx, p[25] = (float)other->fy, p[26] = (float)other->cx, p[27] = (float)other->cy;
            p[28] = (float)s->sources[e][i];
        }
    bool ok = kn_device_upload(&s->pairs, s->gpu, pairs, s->eyes->count * one * sizeof *pairs, error);
    kn_free(pairs);
    return ok;
}

/* `plan`: the sources of a scene; NULL: an orbit's. */
static bool create(kn_stereo **stereo, kn_gpu *gpu, const kn_eyes *eyes, bool glossy, const kn_scan_view *plan,
                   kn_error *error) {
    kn_stereo *s = *stereo = kn_alloc(1, sizeof *s, error);
    if (!s) return false;
    s->gpu = gpu, s->eyes = eyes, s->glossy = glossy,
    s->pixels = (size_t)eyes->items[0].width * (size_t)eyes->items[0].height;
    s->stride = (s->pixels + 15) / 16 * 16;
    s->sources = kn_alloc(eyes->count, sizeof *s->sources, error),
    s->source_count = kn_alloc(eyes->count, sizeof(int), error);
    bool ok = s->sources && s->source_count;
    for (size_t e = 0; ok && e < eyes->count; e++) {
        if (plan) memcpy(s->sources[e], plan[e].sources, sizeof s->sources[e]);
        s->source_count[e] = plan ? plan[e].count : kn_eyes_neighbours(eyes, e, s->sources[e]);
    }
    ok = ok && upload_images(s, glossy, error) && upload_pairs(s, error) &&
         kn_device_upload(&s->list, gpu, NULL, s->pixels * 4, error) &&
         kn_device_upload(&s->bounds, gpu, NULL, s->pixels * 8, error) &&
         kn_device_upload(&s->planes, gpu, NULL, s->stride * eyes->count * 16, error) &&
         kn_device_upload(&s->costs, gpu, NULL, s->stride * 4, error);
    if (!ok) kn_stereo_destroy(stereo);
    return ok;
}

bool kn_stereo_create(kn_stereo **stereo, kn_gpu *gpu, const kn_eyes *eyes, bool glossy, kn_error *error) {
    return create(stereo, gpu, eyes, glossy, NULL, error);
}

void kn_stereo_destroy(kn_stereo **stereo) {
    kn_stereo *s = *stereo;
    if (!s) return;
    kn_gpu_buffer *all[] = {s->images, s->pairs, s->list, s->bounds, s->planes, s->costs};
    for (size_t i = 0; i < KN_COUNT(all); i++) kn_gpu_buffer_destroy(&all[i]);
    kn_free(s->sources), kn_free(s->source_count), kn_free(s);
    *stereo = NULL;
}

/* --- where to search -------------------------------------------------------------------------- */

/* One eye's pixels on the start surface, its planes there and the depths to search. */
typedef struct search {
    float *planes, *bounds, *costs; /* [pixels][4], [pixels][2], [pixels] */
    double ground[4]; /* plane of the work frame on which the object may stand: normal, distance; zeros: none */
    int scan;       /* in scenes how many times as wide a patch is, and the search runs over inverse depth; 0: orbits */
    uint32_t *list; /* pixels with red ones first */
    uint32_t red, count;
    kn_raster front, back;
} search;

static void search_finish(search *q) {
    kn_free(q->planes), kn_free(q->bounds), kn_free(q->costs), kn_free(q->list);
    kn_raster_finish(&q->front), kn_raster_finish(&q->back);
}

static bool search_init(search *q, const kn_stereo *s, kn_error *error) {
    int w = s->eyes->items[0].width, h = s->eyes->items[0].height;
    *q = (search){.planes = kn_alloc(s->pixels, 16, error),
                  .bounds = kn_alloc(s->pixels, 8, error),
                  .costs = kn_alloc(s->pixels, 4, error),
                  .list = kn_alloc(s->pixels, 4, error)};
    return q->planes && q->bounds && q->costs && q->list && kn_raster_init(&q->front, w, h, error) &&
           kn_raster_init(&q->back, w, h, error);
}

/* The start surface's normal at a drawn pixel, in the camera. */
static void normal_at(const kn_raster *raster, size_t i, const kn_tris *mesh, const float *normals, const kn_eye *eye,
                      double out[3]) {
    const uint32_t *t = mesh->triangles + 3 * (size_t)(raster->triangle[i] - 1);
    double b = raster->weights[2 * i], c = raster->weights[2 * i + 1], n[3];
    for (int k = 0; k < 3; k++)
        n[k] = (1 - b - c) * normals[3 * t[0] + k] + b * normals[3 * t[1] + k] + c * normals[3 * t[2] + k];
    for (int k = 0; k < 3; k++) out[k] = eye->r[k][0] * n[0] + eye->r[k][1] * n[1] + eye->r[k][2] * n[2];
}

static void set_plane(float plane[4], double n[3], double x, double y, double depth) {
    double along = n[0] * x + n[1] * y + n[2], ray = sqrt(x * x + y * y + 1);
    if (along > -0.2 * ray) /* turn away from grazing */
        for (int k = 0; k < 3; k++) n[k] -= (along / ray + 0.3) * (k == 0 ? x : k == 1 ? y : 1) / ray;
    double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    for (int k = 0; k < 3; k++) plane[k] = (float)(n[k] / fmax(length, 1e-9));
    plane[3] = (float)depth;
}

static int ascending(const void *a, const void *b) {
    const double *p = a, *q = b;
    return *p < *q ? -1 : *p > *q;
}

/* Where the sides of the surface end: the median over all directions of their lowest points. Silhouettes seen from
 * below cannot tell a flat underside from a bulge, so the search tries this plane too. */
static double find_ground(const kn_tris *start, const float *normals) {
    enum { DIRECTIONS = 48 };
    double lowest[DIRECTIONS];
    size_t n = 0;
    for (int i = 0; i < DIRECTIONS; i++) lowest[i] = 1e30;
    for (size_t v = 0; v < start->vertex_count; v++) {
        const float *p = start->positions + 3 * v;
        if (fabsf(normals[3 * v + 2]) > 0.3f) continue;
        int at = (int)((atan2(p[1], p[0]) / (2 * M_PI) + 0.5) * DIRECTIONS) % DIRECTIONS;
        lowest[at] = fmin(lowest[at], p[2]);
    }
    for (int i = 0; i < DIRECTIONS; i++)
        if (lowest[i] < 1e29) lowest[n++] = lowest[i];
    qsort(lowest, n, sizeof *lowest, ascending);
    return n ? lowest[n / 2] : -1e3;
}

/* Depth of the ground along a pixel's ray; 0 when it is not seen from below. */
static double ground_depth(const kn_eye *eye, double ground, double x, double y) {
    double up = eye->r[0][2] * x + eye->r[1][2] * y + eye->r[2][2];
    return up > 0.02 && ground > eye->center[2] ? (ground - eye->center[2]) / up : 0;
}

/* Planes from the start surface; the search goes from its front (a little before it when refining) to `reach`
 * behind. */
static void prepare(search *q, const kn_eye *eye, const kn_tris *start, const float *normals, double reach,
                    bool refine) {
    size_t pixels = (size_t)eye->width * (size_t)eye->height;
    kn_raster_draw(&q->front, eye, start, false);
    kn_raster_draw(&q->back, eye, start, true);
    memset(q->planes, 0, pixels * 16);
    q->red = q->count = 0;
    for (int color = 0; color < 2; color++) {
        for (size_t i = 0; i < pixels; i++) {
            int x = (int)(i % (size_t)eye->width), y = (int)(i / (size_t)eye->width);
            if (((x + y) & 1) != color || !eye->mask[i] || !(q->front.depth[i] > 0)) continue;
            double n[3], u = (x + 0.5 - eye->cx) / eye->fx, v = (y + 0.5 - eye->cy) / eye->fy;
            double front = q->front.depth[i], back = fmax(q->back.depth[i], front + 1e-4),
                   floor = ground_depth(eye, -q->ground[3], u, v);
            normal_at(&q->front, i, start, normals, eye, n);
            double along = -(n[0] * u + n[1] * v + n[2]), grazing = refine ? reach / fmax(along, 0.25) : reach;
            set_plane(q->planes + 4 * i, n, u, v, front);
            q->bounds[2 * i] = (float)(front - (refine ? grazing : 0.25 * reach));
            q->bounds[2 * i + 1] = (float)(refine ? front + grazing : fmin(back + 0.1 * reach, front + 4 * reach));
            if (!refine && floor > front && floor < back + reach)
                q->bounds[2 * i + 1] = fmaxf(q->bounds[2 * i + 1], (float)(floor + 0.1 * reach));
            q->list[q->count++] = (uint32_t)i;
        }
        if (color == 0) q->red = q->count;
    }
}

/* --- the search ------------------------------------------------------------------------------- */

static bool record_color(kn_stereo *s, kn_gpu_recorder *recorder, size_t e, const search *q, const stereo_push *values,
                         int color, kn_error *error) {
    const kn_eye *eye = &s->eyes->items[e];
    stereo_push push = *values;
    push.k[0] = (float)eye->fx, push.k[1] = (float)eye->fy, push.k[2] = (float)eye->cx, push.k[3] = (float)eye->cy;
    push.image[0] = eye->width, push.image[1] = eye->height, push.eye = (int32_t)e, push.sources = s->source_count[e];
    push.first = color ? (int32_t)q->red : 0, push.count = (int32_t)(color ? q->count - q->red : q->red);
    if (push.count == 0) return true;
    push.stride = (int32_t)s->stride;
    push.scan = q->scan;
    push.ground[3] = (float)(q->ground[3] - q->ground[0] * eye->center[0] - q->ground[1] * eye->center[1] -
                             q->ground[2] * eye->center[2]);
    for (int i = 0; i < 3; i++)
        push.ground[i] =
            (float)(eye->r[i][0] * q->ground[0] + eye->r[i][1] * q->ground[1] + eye->r[i][2] * q->ground[2]);
    size_t begin = e * s->stride * 16;
    return kn_gpu_record(
        recorder,
        &(kn_gpu_dispatch){.kernel = KN_KERNEL_MESH_STEREO,
                           .groups = {(uint32_t)(push.count + STEREO_LANES - 1) / STEREO_LANES, 1, 1},
                           .slices = (kn_gpu_slice[]){{.buffer = s->images, .format = KN_GPU_FORMAT_RGBA8},
                                                      {.buffer = s->pairs, .format = KN_GPU_FORMAT_RGBA32F},
                                                      {.buffer = s->list, .format = KN_GPU_FORMAT_R32U},
                                                      {.buffer = s->bounds, .format = KN_GPU_FORMAT_R32F},
                                                      {.buffer = s->planes, .format = KN_GPU_FORMAT_RGBA32F},
                                                      {.buffer = s->planes, .offset = begin, .size = s->pixels * 16},
                                                      {.buffer = s->costs}},
                           .slice_count = 7,
                           .constants = (uint32_t[]){STEREO_LANES},
                           .constant_count = 1,
                           .push = &push,
                           .push_size = sizeof push},
        error);
}

/* Some iterations on one eye; random changes become smaller by `decay` from one to the next. */
static bool improve(kn_stereo *s, size_t e, search *q, int iterations, float change, float decay, float agreement,
                    kn_error *error) {
    kn_gpu_recorder *recorder = NULL;
    bool ok = kn_gpu_upload(s->list, 0, q->list, q->count * 4, error) &&
              kn_gpu_upload(s->bounds, 0, q->bounds, s->pixels * 8, error) &&
              kn_gpu_recorder_create(&recorder, s->gpu, error);
    for (int i = 0; ok && i < iterations; i++, change *= decay)
        for (int color = 0; ok && color < 2; color++) {
            stereo_push push = {.seed = (uint32_t)(e * 64 + (size_t)i * 2 + (size_t)color + 1),
                                .changes = 6,
                                .change = change,
                                .agreement = agreement};
            ok = record_color(s, recorder, e, q, &push, color, error);
        }
    ok = ok && kn_gpu_submit(recorder, error) && kn_gpu_wait(recorder, error);
    kn_gpu_recorder_destroy(&recorder);
    return ok;
}

/* --- the cross-check -------------------------------------------------------------------------- */

/* How many sources have a surface where this plane is, and normal and distance agree. */
static int count_agreeing(const kn_stereo *s, size_t e, const kn_depth *all, int x, int y, const float plane[4]) {
    const kn_eye *eye = &s->eyes->items[e];
    double c[3] = {(x + 0.5 - eye->cx) / eye->fx * plane[3], (y + 0.5 - eye->cy) / eye->fy * plane[3], plane[3]}, p[3];
    for (int i = 0; i < 3; i++) {
        p[i] = 0;
        for (int j = 0; j < 3; j++) p[i] += eye->r[j][i] * (c[j] - eye->t[j]);
    }
    int agreeing = 0;
    for (int i = 0; i < s->source_count[e]; i++) {
        const kn_eye *other = &s->eyes->items[s->sources[e][i]];
        const float *theirs = all[s->sources[e][i]].planes;
        double pixel[2], depth;
        if (!theirs || !kn_eye_project(other, p, pixel, &depth)) continue;
        int u = (int)floor(pixel[0]), v = (int)floor(pixel[1]);
        if (u < 0 || v < 0 || u >= other->width || v >= other->height) continue;
        const float *t = theirs + 4 * ((size_t)v * (size_t)other->width + (size_t)u);
        if (!(t[3] > 0)) continue;
        /* Distance of the point to their plane, in pixels of this eye. */
        double ray[3] = {(u + 0.5 - other->cx) / other->fx, (v + 0.5 - other->cy) / other->fy, 1}, far = 0;
        for (int k = 0; k < 3; k++) {
            double q = other->r[k][0] * p[0] + other->r[k][1] * p[1] + other->r[k][2] * p[2] + other->t[k];
            far += t[k] * (q - ray[k] * t[3]);
        }
        agreeing += fabs(far) < 1.0 * plane[3] / eye->fx && fabs(depth - t[3]) < 6 * plane[3] / eye->fx;
    }
    return agreeing;
}

/* How much a pixel's surroundings tell: near 1 where they vary, near 0 where only noise and rounding do. */
static double texture_at(const kn_eye *eye, size_t at, bool glossy) {
    int x = (int)(at % (size_t)eye->width), y = (int)(at / (size_t)eye->width);
    double sum = 0, squares = 0, n = 0, noise = 5;
    for (int j = -3; j <= 3; j++)
        for (int i = -3; i <= 3; i++) {
            if (x + i < 0 || y + j < 0 || x + i >= eye->width || y + j >= eye->height) continue;
            size_t q = (size_t)(y + j) * (size_t)eye->width + (size_t)(x + i);
            if (!eye->mask[q]) continue;
            double v = kn_eye_grey(eye, q, glossy);
            sum += v, squares += v * v, n++;
        }
    double variance = n > 0 ? fmax(squares / n - sum * sum / (n * n), 0) : 0;
    return variance / (variance + noise * noise);
}

/* raw[]: planes as searched (normal, depth), costs in cost[]; out: normal xy, depth, weight. `alone`: what one witness
 * counts. */
static void check(const kn_stereo *s, size_t e, const kn_depth *raw, const float *cost, double alone, float *out) {
    const kn_eye *eye = &s->eyes->items[e];
    for (size_t i = 0; i < s->pixels; i++) {
        const float *plane = raw[e].planes + 4 * i;
        memset(out + 4 * i, 0, 16);
        if (!(plane[3] > 0)) continue;
        int agreeing = count_agreeing(s, e, raw, (int)(i % (size_t)eye->width), (int)(i / (size_t)eye->width), plane);
        double correlation = 1 - cost[i], weight = (correlation - 0.45) / 0.45 *
                                                   (agreeing >= 3                        ? 1
                                                    : agreeing == 2                      ? 0.6
                                                    : agreeing == 1 && correlation > 0.8 ? alone
                                                                                         : 0);
        if (!(weight > 0)) continue;
        weight = fmin(weight, 1) * fmax(texture_at(eye, i, s->glossy), 0.05);
        out[4 * i] = plane[0], out[4 * i + 1] = plane[1], out[4 * i + 2] = plane[3],
                out[4 * i + 3] = (float)fmin(weight, 1);
    }
}

/* --- all -------------------------------------------------------------------------------------- */

static bool report(const kn_surface_params *params, int percent, kn_error *error) {
    if (params->progress && !params->progress(params->progress_user, "stereo", (uint64_t)percent, 100))
        return kn_fail(error, KN_ERROR_CANCELLED, "stopped");
    return true;
}

/* Searches all eyes, first by colour alone, then with the others' planes as witnesses; raw planes and costs come
 * back. */
static bool search_all(kn_stereo *s, const kn_tris *start, double reach, bool refine, kn_depth *raw, float *costs,
                       const kn_surface_params *params, int first_percent, int last_percent, kn_error *error) {
    search q = {0};
    float *normals = kn_tris_normals(start, error);
    bool ok = normals && search_init(&q, s, error);
    size_t n = s->eyes->count;
    if (ok) q.ground[2] = -1, q.ground[3] = -find_ground(start, normals);
    for (size_t job = 0; ok && job < 2 * n; job++) {
        size_t e = job % n;
        bool second = job >= n;
        prepare(&q, &s->eyes->items[e], start, normals, reach, refine);
        ok = report(params, first_percent + (int)((size_t)(last_percent - first_percent) * job / (2 * n)), error);
        if (!second) ok = ok && kn_gpu_upload(s->planes, e * s->stride * 16, q.planes, s->pixels * 16, error);
        int iterations = second ? 2 : refine ? 2 : 4;
        ok = ok && improve(s, e, &q, iterations, second ? 0.05f : refine ? 0.25f : 0.5f, 1, second ? 0.1f : 0, error);
        if (ok && second) ok = kn_gpu_download(s->costs, 0, costs + e * s->pixels, s->pixels * 4, error);
    }
    for (size_t e = 0; ok && e < n; e++) {
        raw[e].planes = kn_alloc(s->pixels, 16, error);
        ok = raw[e].planes && kn_gpu_download(s->planes, e * s->stride * 16, raw[e].planes, s->pixels * 16, error);
    }
    kn_free(normals);
    search_finish(&q);
    return ok;
}

bool kn_stereo_run(kn_stereo *s, const kn_tris *start, double reach, bool refine, kn_depth *depths,
                   const kn_surface_params *params, int first_percent, int last_percent, kn_error *error) {
    size_t n = s->eyes->count;
    kn_depth *raw = kn_alloc(n, sizeof *raw, error);
    float *costs = raw ? kn_alloc(n * s->pixels, sizeof *costs, error) : NULL;
    bool ok = costs && search_all(s, start, reach, refine, raw, costs, params, first_percent, last_percent, error);
    for (size_t e = 0; ok && e < n; e++) {
        if (!depths[e].planes) depths[e].planes = kn_alloc(s->pixels, 16, error);
        ok = depths[e].planes != NULL;
        if (ok) check(s, e, raw, costs + e * s->pixels, 0, depths[e].planes);
    }
    for (size_t e = 0; raw && e < n; e++) kn_free(raw[e].planes);
    kn_free(raw), kn_free(costs);
    return ok;
}

/* --- scenes ----------------------------------------------------------------------------------- */

static double random_at(uint64_t seed) { return (double)(kn_hash64(seed) >> 11) * 0x1p-53; }

/* Planes to begin with: the coarser map's where there is one, else random ones anywhere in the range. */
static void prepare_scan(search *q, const kn_eye *eye, const kn_scan_view *view, const kn_eye *coarse,
                         const kn_depth *start) {
    size_t pixels = (size_t)eye->width * (size_t)eye->height;
    q->red = q->count = 0;
    for (int color = 0; color < 2; color++) {
        for (size_t i = 0; i < pixels; i++) {
            int x = (int)(i % (size_t)eye->width), y = (int)(i / (size_t)eye->width);
            if (((x + y) & 1) != color || !eye->mask[i]) continue;
            double u = (x + 0.5 - eye->cx) / eye->fx, v = (y + 0.5 - eye->cy) / eye->fy, a = random_at(3 * i),
                   b = 2 * M_PI * random_at(3 * i + 1);
            double n[3] = {0.7 * sqrt(a) * cos(b), 0.7 * sqrt(a) * sin(b), -1};
            double depth = 1 / (1 / view->far + random_at(3 * i + 2) * (1 / view->near - 1 / view->far));
            if (start && start->planes) {
                int cx = x * coarse->width / eye->width, cy = y * coarse->height / eye->height;
                const float *p = start->planes + 4 * ((size_t)cy * (size_t)coarse->width + (size_t)cx);
                double z = -sqrt(fmax(1 - p[0] * p[0] - p[1] * p[1], 0.01)), cu = (cx + 0.5 - coarse->cx) / coarse->fx,
                       cv = (cy + 0.5 - coarse->cy) / coarse->fy;
                double along = p[0] * u + p[1] * v + z,
                       there = along < -0.05 ? p[2] * (p[0] * cu + p[1] * cv + z) / along : p[2];
                if (p[2] > 0) n[0] = p[0], n[1] = p[1], n[2] = z, depth = there;
            }
            set_plane(q->planes + 4 * i, n, u, v, fmin(fmax(depth, view->near), view->far));
            q->bounds[2 * i] = (float)view->near, q->bounds[2 * i + 1] = (float)view->far;
            q->list[q->count++] = (uint32_t)i;
        }
        if (color == 0) q->red = q->count;
    }
}

static bool scan_all(kn_stereo *s, const kn_scan_view *views, const kn_eyes *coarse, const kn_depth *start,
                     const double ground[4], kn_depth *raw, float *costs, const kn_surface_params *params,
                     int first_percent, int last_percent, kn_error *error) {
    search q = {0};
    size_t n = s->eyes->count;
    bool ok = search_init(&q, s, error);
    if (ground) memcpy(q.ground, ground, sizeof q.ground);
    q.scan = s->pixels > 20000 ? 2 : 1; /* in tiny pictures wide patches would reach over the whole object */
    for (size_t job = 0; ok && job < 2 * n; job++) {
        size_t e = job % n;
        bool second = job >= n;
        if (views[e].count < 2) continue;
        prepare_scan(&q, &s->eyes->items[e], &views[e], coarse ? &coarse->items[e] : NULL, start ? &start[e] : NULL);
        ok = report(params, first_percent + (int)((size_t)(last_percent - first_percent) * job / (2 * n)), error);
        if (!second) ok = ok && kn_gpu_upload(s->planes, e * s->stride * 16, q.planes, s->pixels * 16, error);
        float change = start ? (second ? 0.004f : 0.03f) : second ? 0.02f : 0.5f;
        ok = ok && improve(s, e, &q, second ? 2 : start ? 3 : 8, change, 0.6f, second ? 0.15f : 0, error);
        if (ok && second) ok = kn_gpu_download(s->costs, 0, costs + e * s->pixels, s->pixels * 4, error);
    }
    for (size_t e = 0; ok && e < n; e++) {
        raw[e].planes = kn_alloc(s->pixels, 16, error);
        ok = raw[e].planes && kn_gpu_download(s->planes, e * s->stride * 16, raw[e].planes, s->pixels * 16, error);
    }
    search_finish(&q);
    return ok;
}

bool kn_scan_run(kn_depth *depths, kn_gpu *gpu, const kn_eyes *eyes, const kn_scan_view *views, const kn_eyes *coarse,
                 const kn_depth *start, const double ground[4], const kn_surface_params *params, int first_percent,
                 int last_percent, kn_error *error) {
    kn_stereo *s = NULL;
    if (!create(&s, gpu, eyes, false, views, error)) return false;
    kn_depth *raw = kn_alloc(eyes->count, sizeof *raw, error);
    float *costs = raw ? kn_alloc(eyes->count * s->pixels, sizeof *costs, error) : NULL;
    bool ok =
        costs && scan_all(s, views, coarse, start, ground, raw, costs, params, first_percent, last_percent, error);
    for (size_t e = 0; ok && e < eyes->count; e++) {
        if (!depths[e].planes) depths[e].planes = kn_alloc(s->pixels, 16, error);
        if (!(ok = depths[e].planes != NULL) || views[e].count < 2) continue;
        check(s, e, raw, costs + e * s->pixels, 0.2, depths[e].planes);
        for (size_t i = 0; i < s->pixels; i++) { /* what is not confirmed keeps its plane, without weight */
            float *to = depths[e].planes + 4 * i, *from = raw[e].planes + 4 * i;
            if (!(to[3] > 0)) to[0] = from[0], to[1] = from[1], to[2] = from[3];
        }
    }
    for (size_t e = 0; raw && e < eyes->count; e++) kn_free(raw[e].planes);
    kn_free(raw), kn_free(costs);
    kn_stereo_destroy(&s);
    return ok;
}
