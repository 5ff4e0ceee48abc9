/* From pictures of a scene without masks to a distance field of what they look at. */
#include "mesh/surface/scene.h"

#include <string.h>

#define MOST_PIXELS 6.5e6 /* of all reduced pictures together */
#define LARGEST 800       /* pixels along the longer side of a reduced picture */
#define SPECKLE 1000      /* patches smaller than this part of a picture are dropped */
#define WEAK 10           /* times as large must patches be of what no other picture confirms, to count a little */
#define HOLE 14           /* pixels from a hole to its border */
#define DENSE 30000       /* points of the coarse depth maps that tell the region */

/* --- eyes ------------------------------------------------------------------------------------- */

void kn_eyes_turn(kn_eyes *eyes, const double turn[3][3]) {
    double m[3][4];
    memcpy(m, eyes->from_input, sizeof m);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            eyes->from_input[i][j] = turn[i][0] * m[0][j] + turn[i][1] * m[1][j] + turn[i][2] * m[2][j];
    for (size_t e = 0; e < eyes->count; e++) {
        kn_eye *eye = &eyes->items[e];
        double r[3][3], c[3];
        for (int i = 0; i < 3; i++) {
            for (int j = 0; j < 3; j++)
                r[i][j] = eye->r[i][0] * turn[j][0] + eye->r[i][1] * turn[j][1] + eye->r[i][2] * turn[j][2];
            c[i] = turn[i][0] * eye->center[0] + turn[i][1] * eye->center[1] + turn[i][2] * eye->center[2];
        }
        memcpy(eye->r, r, sizeof r), memcpy(eye->center, c, sizeof c);
        for (int i = 0; i < 3; i++) eye->t[i] = -(r[i][0] * c[0] + r[i][1] * c[1] + r[i][2] * c[2]);
    }
}

/* Means of areas. */
static void reduce(const kn_eye *eye, kn_eye *small) {
    double sx = (double)eye->width / small->width, sy = (double)eye->height / small->height;
    for (int y = 0; y < small->height; y++)
        for (int x = 0; x < small->width; x++) {
            double sum[3] = {0}, total = 0, x0 = x * sx, x1 = x0 + sx, y0 = y * sy, y1 = y0 + sy;
            for (int v = (int)y0; v < y1 && v < eye->height; v++)
                for (int u = (int)x0; u < x1 && u < eye->width; u++) {
                    double w = (fmin(u + 1, x1) - fmax(u, x0)) * (fmin(v + 1, y1) - fmax(v, y0));
                    const uint8_t *p = eye->rgb + 3 * ((size_t)v * (size_t)eye->width + (size_t)u);
                    for (int c = 0; c < 3; c++) sum[c] += w * p[c];
                    total += w;
                }
            uint8_t *out = small->rgb + 3 * ((size_t)y * (size_t)small->width + (size_t)x);
            for (int c = 0; c < 3; c++) out[c] = (uint8_t)lround(total > 0 ? sum[c] / total : 0);
        }
}

bool kn_eyes_reduce(kn_eyes *small, const kn_eyes *eyes, int size, kn_error *error) {
    const kn_eye *one = &eyes->items[0];
    double scale = fmin(1, (double)size / fmax(one->width, one->height));
    int width = (int)fmax(1, lrint(one->width * scale)), height = (int)fmax(1, lrint(one->height * scale));
    *small = (kn_eyes){.items = kn_alloc(eyes->count, sizeof *small->items, error), .no_mask = eyes->no_mask};
    memcpy(small->from_input, eyes->from_input, sizeof small->from_input);
    bool ok = small->items != NULL;
    for (size_t e = 0; ok && e < eyes->count; e++) {
        const kn_eye *eye = &eyes->items[e];
        kn_eye *s = &small->items[small->count++];
        double sx = (double)width / eye->width, sy = (double)height / eye->height;
        *s = *eye;
        s->edge = s->depth = s->normals = NULL;
        s->width = width, s->height = height, s->fx *= sx, s->cx *= sx, s->fy *= sy, s->cy *= sy;
        s->rgb = kn_alloc((size_t)width * (size_t)height, 3, error),
        s->mask = kn_alloc((size_t)width * (size_t)height, 1, error);
        ok = s->rgb && s->mask;
        if (ok) reduce(eye, s), memset(s->mask, 255, (size_t)width * (size_t)height);
    }
    if (!ok) kn_eyes_finish(small);
    return ok;
}

/* --- speckles --------------------------------------------------------------------------------- */

/* Whether two neighbouring pixels may show one surface. */
static bool continues(const float *a, const float *b, bool weak) {
    return fabsf(a[2] - b[2]) < (weak ? 0.008f : 0.02f) * a[2];
}

/* Marks the patch around `seed` of pixels with weight (weak: without) and returns how many they are; stack[] lists
 * them. */
static size_t grow(const kn_depth *depth, int width, int height, size_t seed, bool weak, uint8_t *visited,
                   uint32_t *stack) {
    size_t head = 0, tail = 0;
    stack[tail++] = (uint32_t)seed, visited[seed] = 1;
    while (head < tail) { /* the patch stays in stack[0..tail) */
        size_t at = stack[head++];
        int x = (int)(at % (size_t)width), y = (int)(at / (size_t)width);
        for (int k = 0; k < 4; k++) {
            int u = x + (k == 0) - (k == 1), v = y + (k == 2) - (k == 3);
            if (u < 0 || v < 0 || u >= width || v >= height) continue;
            size_t next = (size_t)v * (size_t)width + (size_t)u;
            const float *a = depth->planes + 4 * at, *b = depth->planes + 4 * next;
            if (visited[next] || !(b[2] > 0) || (b[3] > 0) == weak || !continues(a, b, weak)) continue;
            visited[next] = 1, stack[tail++] = (uint32_t)next;
        }
    }
    return tail;
}

bool kn_scan_despeckle(kn_depth *depth, int width, int height, int least, kn_error *error) {
    size_t count = (size_t)width * (size_t)height;
    uint32_t *stack = kn_alloc(count, sizeof *stack, error);
    uint8_t *visited = kn_alloc(count, 1, error);
    bool ok = stack && visited;
    for (int pass = 0; ok && pass < 2; pass++) { /* first what is confirmed, then what is not */
        bool weak = pass == 1;
        memset(visited, 0, count);
        for (size_t seed = 0; seed < count; seed++) {
            float *plane = depth->planes + 4 * seed;
            if (visited[seed] || !(plane[2] > 0) || (plane[3] > 0) == weak) continue;
            size_t size = grow(depth, width, height, seed, weak, visited, stack);
            if (weak ? size < WEAK * (size_t)least : size >= (size_t)least) continue;
            for (size_t i = 0; i < size; i++) depth->planes[4 * (size_t)stack[i] + 3] = weak ? KN_WEAK : 0;
        }
    }
    kn_free(stack), kn_free(visited);
    return ok;
}

/* --- holes ------------------------------------------------------------------------------------ */

/* The nearest measured pixel from (x, y) in a direction; 0: none within HOLE pixels. */
static int look(const kn_depth *depth, int width, int height, int x, int y, int dx, int dy) {
    for (int r = 1; r <= HOLE; r++) {
        int u = x + r * dx, v = y + r * dy;
        if (u < 0 || v < 0 || u >= width || v >= height) return 0;
        if (depth->planes[4 * ((size_t)v * (size_t)width + (size_t)u) + 3] > 0) return r;
    }
    return 0;
}

bool kn_scan_fill(kn_depth *depth, int width, int height, kn_error *error) {
    static const int ways[8][2] = {{1, 0}, {-1, 0}, {0, 1}, {0, -1}, {1, 1}, {-1, -1}, {1, -1}, {-1, 1}};
    size_t count = (size_t)width * (size_t)height;
    float *filled = kn_alloc(count, 4 * sizeof *filled, error);
    if (!filled) return false;
    memcpy(filled, depth->planes, count * 4 * sizeof *filled);
    for (size_t i = 0; i < count; i++) {
        int x = (int)(i % (size_t)width), y = (int)(i / (size_t)width), found = 0;
        if (depth->planes[4 * i + 3] > 0) continue;
        double sum[3] = {0}, total = 0, near = 1e30, far = 0;
        for (int k = 0; k < 8; k++) {
            int r = look(depth, width, height, x, y, ways[k][0], ways[k][1]);
            if (r == 0) continue;
            const float *p =
                depth->planes + 4 * ((size_t)(y + r * ways[k][1]) * (size_t)width + (size_t)(x + r * ways[k][0]));
            for (int c = 0; c < 3; c++) sum[c] += p[c] / r;
            total += 1.0 / r, near = fmin(near, p[2]), far = fmax(far, p[2]), found++;
        }
        if (found < 6 || far > 1.06 * near) continue;
        for (int c = 0; c < 3; c++) filled[4 * i + (size_t)c] = (float)(sum[c] / total);
        filled[4 * i + 3] = KN_WEAK;
    }
    kn_free(depth->planes);
    depth->planes = filled;
    return true;
}

/* --- all -------------------------------------------------------------------------------------- */

typedef struct scene {
    kn_gpu *gpu;
    kn_eyes *eyes;
    const kn_surface_params *params;
    kn_cloud cloud;
    kn_region region;
    kn_eyes small, smaller;
    kn_scan_view *views;
    kn_depth *coarse, *depths;
} scene;

static bool step(const scene *s, const char *stage, int percent, kn_error *error) {
    const kn_surface_params *p = s->params;
    return !p->progress || p->progress(p->progress_user, stage, (uint64_t)percent, 100) ||
           kn_fail(error, KN_ERROR_CANCELLED, "stopped");
}

static void scene_finish(scene *s) {
    for (size_t e = 0; e < s->eyes->count; e++) {
        if (s->coarse) kn_free(s->coarse[e].planes);
        if (s->depths) kn_free(s->depths[e].planes);
    }
    kn_free(s->coarse), kn_free(s->depths), kn_free(s->views);
    kn_cloud_finish(&s->cloud);
    kn_eyes_finish(&s->small), kn_eyes_finish(&s->smaller);
}

/* The region that the caller wants, or a word about the one that was found. */
static void choose_box(scene *s) {
    double box[6];
    const double *wanted = s->params->box;
    if (wanted[3] > wanted[0]) kn_region_set_box(&s->region, wanted, s->eyes);
    kn_region_get_box(&s->region, box, s->eyes);
    kn_log_line(&s->params->log, KN_LOG_DEBUG, "region in the cameras' world: --box %.4g,%.4g,%.4g,%.4g,%.4g,%.4g",
                box[0], box[1], box[2], box[3], box[4], box[5]);
}

/* The work frame moves so that the region's box has its middle at the origin and a diagonal of 1. */
static void centre(scene *s) {
    double low[3], high[3], middle[3], diagonal = 0;
    kn_region_bounds(&s->region, low, high);
    for (int i = 0; i < 3; i++) middle[i] = (low[i] + high[i]) / 2, diagonal += (high[i] - low[i]) * (high[i] - low[i]);
    double scale = 1 / sqrt(diagonal);
    kn_eyes_move(s->eyes, middle, scale);
    kn_region_move(&s->region, middle, scale);
    for (size_t i = 0; i < s->cloud.count; i++)
        for (int k = 0; k < 3; k++) s->cloud.points[i][k] = scale * (s->cloud.points[i][k] - middle[k]);
}

/* Work units of the cameras' world's unit. */
static double length_of(const scene *s) {
    const double *m = s->eyes->from_input[0];
    return sqrt(m[0] * m[0] + m[1] * m[1] + m[2] * m[2]);
}

/* The coarse depths follow the work frame's scale. */
static void rescale(scene *s, double scale) {
    size_t pixels = (size_t)s->smaller.items[0].width * (size_t)s->smaller.items[0].height;
    for (size_t e = 0; e < s->eyes->count; e++)
        for (size_t i = 0; i < pixels; i++) s->coarse[e].planes[4 * i + 2] *= (float)scale;
}

static int speckle(const kn_eyes *eyes) { return eyes->items[0].width * eyes->items[0].height / SPECKLE + 4; }

/* Points of the depth maps, each seen by one eye. */
static bool dense_cloud(kn_cloud *cloud, const kn_eyes *eyes, const kn_depth *depths, kn_error *error) {
    size_t pixels = (size_t)eyes->items[0].width * (size_t)eyes->items[0].height, total = 0;
    for (size_t i = 0; i < pixels * eyes->count; i++)
        total += depths[i / pixels].planes[4 * (i % pixels) + 3] > KN_WEAK;
    size_t stride = total / DENSE + 1, n = 0;
    *cloud = (kn_cloud){.points = kn_alloc(total / stride + 2, sizeof *cloud->points, error)};
    for (size_t i = 0; cloud->points && i < pixels * eyes->count; i++) {
        const float *plane = depths[i / pixels].planes + 4 * (i % pixels);
        const kn_eye *eye = &eyes->items[i / pixels];
        if (!(plane[3] > KN_WEAK) || n++ % stride) continue;
        double x = (double)(i % pixels % (size_t)eye->width) + 0.5, y = (double)(i % pixels / (size_t)eye->width) + 0.5;
        const double c[3] = {(x - eye->cx) / eye->fx * plane[2] - eye->t[0],
                             (y - eye->cy) / eye->fy * plane[2] - eye->t[1], plane[2] - eye->t[2]};
        for (int k = 0; k < 3; k++)
            cloud->points[cloud->count][k] = eye->r[0][k] * c[0] + eye->r[1][k] * c[1] + eye->r[2][k] * c[2];
        cloud->count++;
    }
    return cloud->points != NULL;
}

/* What the object stands on is level when the pictures' own upward directions disagree, or nearly say so. A wall is
 * not. */
static void level(scene *s) {
    const double *n = s->region.ground;
    double up[3] = {0}, sure = 0, along = 0;
    const double *given = s->params->up;
    if (!s->region.has_ground || given[0] != 0 || given[1] != 0 || given[2] != 0) return;
    for (size_t e = 0; e < s->eyes->count; e++)
        for (int i = 0; i < 3; i++) up[i] -= s->eyes->items[e].r[1][i] / (double)s->eyes->count;
    for (int i = 0; i < 3; i++) sure += up[i] * up[i], along += up[i] * n[i];
    sure = sqrt(sure);
    kn_log_line(&s->params->log, KN_LOG_DEBUG,
                "the pictures' upward directions agree to %.2f and lie %.0f degrees off the support's normal", sure,
                acos(fmin(fmax(along / sure, -1), 1)) * 180 / M_PI);
    if (sure > 0.6 && along < 0.64 * sure) return;
    double c = n[2], k = 1 / fmax(1 + c, 1e-9), x = n[0], y = n[1]; /* the shortest turn from n to z */
    const double turn[3][3] = {{1 - x * x * k, -x * y * k, -x}, {-x * y * k, 1 - y * y * k, -y}, {x, y, c}},
                 over[3][3] = {{1, 0, 0}, {0, -1, 0}, {0, 0, -1}};
    const double(*t)[3] = c > -0.999 ? turn : over;
    kn_eyes_turn(s->eyes, t);
    kn_region_turn(&s->region, t);
    for (size_t i = 0; i < s->cloud.count; i++) {
        double p[3];
        memcpy(p, s->cloud.points[i], sizeof p);
        for (int j = 0; j < 3; j++) s->cloud.points[i][j] = t[j][0] * p[0] + t[j][1] * p[1] + t[j][2] * p[2];
    }
}

/* A first region from sparse points, coarse depth maps there, and the region that these show. */
static bool find_region(scene *s, int size, kn_error *error) {
    const kn_surface_params *p = s->params;
    kn_cloud dense = {0};
    bool ok = step(s, "points", 1, error) && kn_cloud_find(&s->cloud, s->eyes, &p->log, error) &&
              kn_region_find(&s->region, &s->cloud, s->eyes, &p->log, error);
    if (ok) choose_box(s), centre(s);
    ok = ok && kn_eyes_reduce(&s->smaller, s->eyes, size / 2, error) &&
         kn_scan_plan(s->views, &s->cloud, &s->region, s->eyes, error) &&
         kn_scan_run(s->coarse, s->gpu, &s->smaller, s->views, NULL, NULL,
                     s->region.has_ground ? s->region.ground : NULL, p, 8, 30, error);
    for (size_t e = 0; ok && e < s->eyes->count; e++)
        ok = kn_scan_despeckle(&s->coarse[e], s->smaller.items[0].width, s->smaller.items[0].height,
                               speckle(&s->smaller), error);
    ok = ok && dense_cloud(&dense, &s->smaller, s->coarse, error);
    if (ok && dense.count >= 500) ok = kn_region_find(&s->region, &dense, s->eyes, &p->log, error);
    kn_cloud_finish(&dense);
    if (ok) level(s), choose_box(s);
    return ok;
}

static bool find_depths(scene *s, kn_error *error) {
    size_t n = s->eyes->count;
    const kn_eye *one = &s->eyes->items[0];
    double pixels = (double)one->width * one->height * (double)n, longer = fmax(one->width, one->height),
           before = length_of(s);
    int size = (int)fmin(LARGEST, longer * fmin(1, sqrt(MOST_PIXELS / pixels)));
    s->views = kn_alloc(n, sizeof *s->views, error), s->coarse = kn_alloc(n, sizeof *s->coarse, error),
    s->depths = kn_alloc(n, sizeof *s->depths, error);
    bool ok = s->views && s->coarse && s->depths && find_region(s, size, error);
    if (ok) before = length_of(s), centre(s), rescale(s, length_of(s) / before);
    ok = ok && kn_eyes_reduce(&s->small, s->eyes, size, error) &&
         kn_scan_plan(s->views, &s->cloud, &s->region, s->eyes, error) &&
         kn_scan_run(s->depths, s->gpu, &s->small, s->views, &s->smaller, s->coarse,
                     s->region.has_ground ? s->region.ground : NULL, s->params, 30, 76, error);
    for (size_t e = 0; ok && e < n; e++)
        ok = kn_scan_despeckle(&s->depths[e], s->small.items[0].width, s->small.items[0].height, speckle(&s->small),
                               error) &&
             kn_scan_fill(&s->depths[e], s->small.items[0].width, s->small.items[0].height, error);
    return ok;
}

/* A voxel is about a pixel of the reduced pictures. */
static void set_grid(const scene *s, kn_grid *grid) {
    double low[3], high[3], longest = 0, pixels = 0;
    kn_region_bounds(&s->region, low, high);
    for (int i = 0; i < 3; i++) longest = fmax(longest, high[i] - low[i]);
    for (size_t e = 0; e < s->small.count; e++) {
        const kn_eye *eye = &s->small.items[e];
        const double *c = eye->center;
        pixels += eye->fx * longest / sqrt(c[0] * c[0] + c[1] * c[1] + c[2] * c[2]) / (double)s->small.count;
    }
    grid->step = longest / (s->params->resolution ? s->params->resolution : fmin(fmax(0.9 * pixels, 96), 288));
    for (int i = 0; i < 3; i++) {
        grid->size[i] = (int)ceil((high[i] - low[i]) / grid->step) + 8;
        grid->origin[i] = (low[i] + high[i]) / 2 - grid->step * (grid->size[i] - 1) / 2.0;
    }
}

bool kn_scene_build(kn_grid *grid, float **region, float **field, float **weight, kn_gpu *gpu, kn_eyes *eyes,
                    const kn_surface_params *params, kn_error *error) {
    scene s = {.gpu = gpu, .eyes = eyes, .params = params};
    bool ok = find_depths(&s, error) && step(&s, "surface", 76, error);
    if (ok) {
        set_grid(&s, grid);
        size_t count = kn_grid_count(grid);
        *region = kn_alloc(count, sizeof **region, error), *field = kn_alloc(count, sizeof **field, error),
        *weight = kn_alloc(count, sizeof **weight, error);
        ok = *region && *field && *weight &&
             kn_scene_fuse(*field, *weight, grid, &s.region, gpu, &s.small, s.depths, error) &&
             kn_scene_even_colors(eyes, &s.small, s.views, s.depths, error);
        if (ok) memcpy(*region, *field, count * sizeof **region);
    }
    scene_finish(&s);
    return ok;
}
