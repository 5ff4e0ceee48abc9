/* Colours from the pictures: for every texel the eyes that see it vote, and highlights are outvoted. */
#include "mesh/views/mesh.h"

#include <stdlib.h>
#include <string.h>

#define MAX_VOTES 24

typedef struct bake {
    kn_surface *surface;
    const kn_tris *work;
    const kn_eyes *eyes;
    float **depth;  /* [eye] the surface's depth map */
    float *normals; /* [vertex][3] in the work frame */
    uint8_t *seen;  /* [vertex] */
    float *gains;   /* [eye][3] what its channels are multiplied with so that pictures of other exposures agree */
} bake;

typedef struct vote {
    double weight, rgb[3], luma;
} vote;

/* The eye's depth map near a pixel: nearest depth of 3 x 3. */
static float nearest_depth(const float *depth, const kn_eye *eye, int x, int y) {
    float nearest = 1e30f;
    for (int j = y > 0 ? y - 1 : 0; j <= y + 1 && j < eye->height; j++)
        for (int i = x > 0 ? x - 1 : 0; i <= x + 1 && i < eye->width; i++) {
            float d = depth[(size_t)j * (size_t)eye->width + (size_t)i];
            if (d > 0 && d < nearest) nearest = d;
        }
    return nearest;
}

static void fetch(const kn_eye *eye, double x, double y, double rgb[3]) {
    double fx = floor(x - 0.5), fy = floor(y - 0.5), ax = x - 0.5 - fx, ay = y - 0.5 - fy;
    for (int c = 0; c < 3; c++) rgb[c] = 0;
    for (int k = 0; k < 4; k++) {
        int u = (int)fx + (k & 1), v = (int)fy + (k >> 1);
        u = u < 0 ? 0 : u >= eye->width ? eye->width - 1 : u, v = v < 0 ? 0 : v >= eye->height ? eye->height - 1 : v;
        double w = (k & 1 ? ax : 1 - ax) * (k >> 1 ? ay : 1 - ay);
        const uint8_t *p = eye->rgb + 3 * ((size_t)v * (size_t)eye->width + (size_t)u);
        for (int c = 0; c < 3; c++) rgb[c] += w * p[c];
    }
}

/* One eye's vote for the colour of a point; weight 0 when it does not see it. */
static vote ask(const bake *b, size_t e, const double p[3], const double n[3]) {
    const kn_eye *eye = &b->eyes->items[e];
    vote v = {0};
    double to[3] = {eye->center[0] - p[0], eye->center[1] - p[1], eye->center[2] - p[2]},
           away = sqrt(to[0] * to[0] + to[1] * to[1] + to[2] * to[2]);
    double facing = (to[0] * n[0] + to[1] * n[1] + to[2] * n[2]) / away, pixel[2], depth;
    if (facing < 0.15 || !kn_eye_project(eye, p, pixel, &depth)) return v;
    if (pixel[0] < 1 || pixel[1] < 1 || pixel[0] > eye->width - 1 || pixel[1] > eye->height - 1) return v;
    int x = (int)pixel[0], y = (int)pixel[1];
    float edge = b->eyes->no_mask ? -10 : eye->edge[(size_t)y * (size_t)eye->width + (size_t)x];
    if (edge > -0.8f || nearest_depth(b->depth[e], eye, x, y) < depth - 0.004 - 2 * depth / eye->fx / facing) return v;
    fetch(eye, pixel[0], pixel[1], v.rgb);
    for (int c = 0; c < 3; c++) v.rgb[c] *= b->gains[3 * e + (size_t)c];
    v.luma = 0.299 * v.rgb[0] + 0.587 * v.rgb[1] + 0.114 * v.rgb[2];
    v.weight = facing * facing / (depth * depth) * fmin(1, -edge / 4.0);
    return v;
}

static int by_luma(const void *a, const void *b) {
    const vote *p = a, *q = b;
    return p->luma < q->luma ? -1 : p->luma > q->luma;
}

/* The colour that most say: the votes near the weighted median, the best-placed eyes first. Returns the sum of
 * weights. */
static double decide(const bake *b, const double p[3], const double n[3], double rgb[3]) {
    vote votes[MAX_VOTES];
    int count = 0;
    double total = 0, half = 0, best = 0;
    for (size_t e = 0; e < b->eyes->count; e++) {
        vote v = ask(b, e, p, n);
        if (!(v.weight > 0)) continue;
        if (count == MAX_VOTES) { /* replace the weakest */
            int weakest = 0;
            for (int i = 1; i < count; i++)
                if (votes[i].weight < votes[weakest].weight) weakest = i;
            if (votes[weakest].weight < v.weight) votes[weakest] = v;
        } else votes[count++] = v;
    }
    if (count == 0) return 0;
    qsort(votes, (size_t)count, sizeof *votes, by_luma);
    for (int i = 0; i < count; i++) total += votes[i].weight, best = fmax(best, votes[i].weight);
    int middle = 0;
    while (middle + 1 < count && (half += votes[middle].weight) < total / 2) middle++;
    double sum = 0;
    for (int c = 0; c < 3; c++) rgb[c] = 0;
    for (int i = 0; i < count; i++) {
        double off = (votes[i].luma - votes[middle].luma) / 22,
               w = pow(votes[i].weight / best, 4) * exp(-off * off) + 1e-9;
        for (int c = 0; c < 3; c++) rgb[c] += w * votes[i].rgb[c];
        sum += w;
    }
    for (int c = 0; c < 3; c++) rgb[c] /= sum;
    return total;
}

/* --- exposures -------------------------------------------------------------------------------- */

#define LEVEL_POINTS 1200
#define LEVEL_ROUNDS 12

typedef struct sample {
    uint32_t eye, point;
    float weight, log[3]; /* logarithms of the channels */
} sample;

/* What the eyes say about points of the surface, apart from colours that are cut off. */
static bool take_samples(const bake *b, sample **samples, size_t *count, kn_error *error) {
    size_t capacity = 0, stride = b->work->vertex_count / LEVEL_POINTS + 1;
    for (size_t v = 0; v < b->work->vertex_count; v += stride)
        for (size_t e = 0; e < b->eyes->count; e++) {
            double p[3], n[3];
            for (size_t i = 0; i < 3; i++) p[i] = b->work->positions[3 * v + i], n[i] = b->normals[3 * v + i];
            vote said = ask(b, e, p, n);
            bool whole = said.weight > 0;
            for (int c = 0; c < 3; c++) whole = whole && said.rgb[c] > 6 && said.rgb[c] < 249;
            if (!whole) continue;
            if (!kn_grow(samples, &capacity, *count + 1, sizeof **samples, error)) return false;
            sample *s = &(*samples)[(*count)++];
            *s = (sample){(uint32_t)e, (uint32_t)(v / stride), (float)said.weight, {0}};
            for (int c = 0; c < 3; c++) s->log[c] = (float)log(said.rgb[c]);
        }
    return true;
}

/* Mean of how far the eyes are from the points' means. */
static double disagreement(const sample *samples, size_t count, int channel, const double *gains, double *points) {
    double *weights = points + LEVEL_POINTS + 1, sum = 0, total = 0;
    memset(points, 0, 2 * (LEVEL_POINTS + 1) * sizeof *points);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++) {
            const sample *s = &samples[i];
            double here = s->log[channel] + gains[s->eye];
            if (pass) sum += s->weight * fabs(here - points[s->point] / weights[s->point]), total += s->weight;
            else points[s->point] += s->weight * here, weights[s->point] += s->weight;
        }
    return sum / fmax(total, 1e-12);
}

/* One channel: points become the mean of what the eyes say, eyes the robust mean of what the points miss, in turn. */
static void level_channel(const bake *b, const sample *samples, size_t count, int channel, double *gains,
                          double *points) {
    size_t eyes = b->eyes->count, places = LEVEL_POINTS + 1;
    memset(gains, 0, eyes * sizeof *gains);
    for (int round = 0; round < LEVEL_ROUNDS; round++) {
        double *weights = points + places, *sums = gains + eyes, *totals = gains + 2 * eyes, mean = 0;
        memset(points, 0, 2 * places * sizeof *points), memset(sums, 0, 2 * eyes * sizeof *sums);
        for (size_t i = 0; i < count; i++) {
            points[samples[i].point] += samples[i].weight * (samples[i].log[channel] + gains[samples[i].eye]);
            weights[samples[i].point] += samples[i].weight;
        }
        for (size_t i = 0; i < count; i++) {
            const sample *s = &samples[i];
            double missing = points[s->point] / weights[s->point] - s->log[channel],
                   off = (missing - gains[s->eye]) / 0.1, w = s->weight / (1 + off * off);
            sums[s->eye] += w * missing, totals[s->eye] += w;
        }
        for (size_t e = 0; e < eyes; e++)
            gains[e] = totals[e] > 0 ? fmin(fmax(sums[e] / totals[e], -0.5), 0.5) : 0, mean += gains[e] / (double)eyes;
        for (size_t e = 0; e < eyes; e++) gains[e] -= mean;
    }
}

/* Exposure and white balance of the pictures against each other, or their borders would show on the surface. Left alone
 * where factors explain little of what differs, as on surfaces that shine. */
static bool level(bake *b, kn_error *error) {
    sample *samples = NULL;
    size_t count = 0;
    double *gains = kn_alloc(b->eyes->count, 3 * sizeof *gains, error),
           *points = kn_alloc(LEVEL_POINTS + 1, 2 * sizeof *points, error);
    for (size_t i = 0; i < 3 * b->eyes->count; i++) b->gains[i] = 1;
    bool ok = gains && points && take_samples(b, &samples, &count, error);
    for (int c = 0; ok && count && c < 3; c++) {
        memset(gains, 0, b->eyes->count * sizeof *gains);
        double before = disagreement(samples, count, c, gains, points);
        level_channel(b, samples, count, c, gains, points);
        bool better = disagreement(samples, count, c, gains, points) < 0.6 * before;
        for (size_t e = 0; better && e < b->eyes->count; e++) b->gains[3 * e + (size_t)c] = (float)exp(gains[e]);
    }
    kn_free(gains), kn_free(points), kn_free(samples);
    return ok;
}

/* --- vertices --------------------------------------------------------------------------------- */

static void color_vertices(bake *b) {
    kn_surface *s = b->surface;
    for (size_t v = 0; v < s->vertex_count; v++) {
        double p[3], n[3], rgb[3] = {128, 128, 128};
        for (int i = 0; i < 3; i++) p[i] = b->work->positions[3 * v + (size_t)i], n[i] = b->normals[3 * v + (size_t)i];
        double total = decide(b, p, n, rgb);
        s->confidence[v] = (float)(1 - exp(-total));
        b->seen[v] = total > 0;
        for (int i = 0; i < 3; i++) s->colors[3 * v + (size_t)i] = (uint8_t)lround(fmin(fmax(rgb[i], 0), 255));
    }
}

/* Colours flow from seen vertices to unseen ones along the edges. */
static bool spread(bake *b, kn_error *error) {
    kn_surface *s = b->surface;
    float *sums = kn_alloc(s->vertex_count, 4 * sizeof *sums, error);
    if (!sums) return false;
    for (int pass = 0, changed = 1; changed && pass < 400; pass++) {
        changed = 0;
        memset(sums, 0, s->vertex_count * 4 * sizeof *sums);
        for (size_t i = 0; i < 3 * s->triangle_count; i++) {
            uint32_t from = s->triangles[i], to = s->triangles[i % 3 == 2 ? i - 2 : i + 1];
            for (int way = 0; way < 2; way++) {
                uint32_t u = way ? to : from, w = way ? from : to;
                if (!b->seen[u] || b->seen[w]) continue;
                for (int c = 0; c < 3; c++) sums[4 * w + (uint32_t)c] += s->colors[3 * u + (uint32_t)c];
                sums[4 * w + 3]++;
            }
        }
        for (size_t v = 0; v < s->vertex_count; v++)
            if (sums[4 * v + 3] > 0) {
                for (size_t c = 0; c < 3; c++)
                    s->colors[3 * v + c] = (uint8_t)lroundf(sums[4 * v + c] / sums[4 * v + 3]);
                b->seen[v] = 1, changed = 1;
            }
    }
    kn_free(sums);
    return true;
}

/* --- texels ----------------------------------------------------------------------------------- */

static void paint_texel(void *user, size_t t, double w1, double w2, size_t texel) {
    const bake *b = user;
    uint8_t *out = b->surface->texture.data + 3 * texel;
    const kn_surface *s = b->surface;
    double weights[3] = {1 - w1 - w2, w1, w2}, p[3] = {0}, n[3] = {0}, rgb[3], plain[3] = {0};
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < 3; i++) {
            size_t v = s->triangles[3 * t + k];
            p[i] += weights[k] * b->work->positions[3 * v + i], n[i] += weights[k] * b->normals[3 * v + i];
            plain[i] += weights[k] * s->colors[3 * v + i];
        }
    double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    for (int i = 0; i < 3; i++) n[i] /= fmax(length, 1e-12);
    const double *color = decide(b, p, n, rgb) > 0 ? rgb : plain;
    for (int i = 0; i < 3; i++) out[i] = (uint8_t)lround(fmin(fmax(color[i], 0), 255));
}

void kn_texels_visit(const kn_surface *s, int size, uint8_t *done, kn_texel_visit visit, void *user) {
    for (size_t t = 0; t < s->triangle_count; t++) {
        double p[3][2];
        for (int i = 0; i < 6; i++) p[i / 2][i % 2] = s->corners[6 * t + (size_t)i] * size;
        double area = (p[1][0] - p[0][0]) * (p[2][1] - p[0][1]) - (p[2][0] - p[0][0]) * (p[1][1] - p[0][1]);
        if (fabs(area) < 1e-12) continue;
        for (int y = (int)ceil(fmin(p[0][1], fmin(p[1][1], p[2][1])) - 0.5);
             y + 0.5 <= fmax(p[0][1], fmax(p[1][1], p[2][1])); y++)
            for (int x = (int)ceil(fmin(p[0][0], fmin(p[1][0], p[2][0])) - 0.5);
                 x + 0.5 <= fmax(p[0][0], fmax(p[1][0], p[2][0])); x++) {
                if (x < 0 || y < 0 || x >= size || y >= size) continue;
                size_t at = (size_t)y * (size_t)size + (size_t)x;
                double w1 =
                    ((x + 0.5 - p[0][0]) * (p[2][1] - p[0][1]) - (p[2][0] - p[0][0]) * (y + 0.5 - p[0][1])) / area;
                double w2 =
                    ((p[1][0] - p[0][0]) * (y + 0.5 - p[0][1]) - (x + 0.5 - p[0][0]) * (p[1][1] - p[0][1])) / area;
                if (done[at] || w1 < -1e-6 || w2 < -1e-6 || w1 + w2 > 1 + 1e-6) continue;
                visit(user, t, w1, w2, at);
                done[at] = 1;
            }
    }
}

/* Grows the charts into their padding, a texel a pass; what remains gets the mean colour. */
void kn_texels_pad(kn_image *image, uint8_t *done) {
    int w = image->width, h = image->height;
    double sum[3] = {0}, n = 0;
    for (uint8_t pass = 1; pass <= 4; pass++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                size_t at = (size_t)y * (size_t)w + (size_t)x;
                int total[3] = {0}, count = 0;
                if (done[at]) continue;
                for (int k = 0; k < 9; k++) {
                    int u = x + k % 3 - 1, v = y + k / 3 - 1;
                    size_t from = (size_t)v * (size_t)w + (size_t)u;
                    if (u < 0 || v < 0 || u >= w || v >= h || !done[from] || done[from] > pass) continue;
                    for (int c = 0; c < 3; c++) total[c] += image->data[3 * from + (size_t)c];
                    count++;
                }
                for (int c = 0; count && c < 3; c++) image->data[3 * at + (size_t)c] = (uint8_t)(total[c] / count);
                if (count) done[at] = (uint8_t)(pass + 1);
            }
    for (size_t i = 0; i < (size_t)w * (size_t)h; i++)
        if (done[i])
            sum[0] += image->data[3 * i], sum[1] += image->data[3 * i + 1], sum[2] += image->data[3 * i + 2], n++;
    for (size_t i = 0; n > 0 && i < (size_t)w * (size_t)h; i++)
        for (size_t c = 0; c < 3 && !done[i]; c++) image->data[3 * i + c] = (uint8_t)(sum[c] / n);
}

/* --- all -------------------------------------------------------------------------------------- */

static bool draw_depths(bake *b, kn_error *error) {
    kn_raster raster;
    int w = b->eyes->items[0].width, h = b->eyes->items[0].height;
    if (!kn_raster_init(&raster, w, h, error)) return false;
    bool ok = true;
    for (size_t e = 0; ok && e < b->eyes->count; e++) {
        b->depth[e] = kn_alloc((size_t)w * (size_t)h, sizeof(float), error);
        ok = b->depth[e] != NULL;
        if (!ok) break;
        kn_raster_draw(&raster, &b->eyes->items[e], b->work, false);
        memcpy(b->depth[e], raster.depth, (size_t)w * (size_t)h * sizeof(float));
    }
    kn_raster_finish(&raster);
    return ok;
}

bool kn_bake(kn_surface *surface, const kn_tris *work, const kn_eyes *eyes, int texture, kn_error *error) {
    bake b = {surface,
              work,
              eyes,
              kn_alloc(eyes->count, sizeof *b.depth, error),
              kn_tris_normals(work, error),
              kn_alloc(work->vertex_count, 1, error),
              kn_alloc(eyes->count, 3 * sizeof(float), error)};
    uint8_t *done = kn_alloc((size_t)texture * (size_t)texture, 1, error);
    surface->colors = kn_alloc(work->vertex_count, 3, error),
    surface->confidence = kn_alloc(work->vertex_count, sizeof(float), error);
    bool ok = b.depth && b.normals && b.seen && b.gains && done && surface->colors && surface->confidence &&
              kn_image_init(&surface->texture, texture, texture, 3, error) && draw_depths(&b, error) &&
              level(&b, error);
    if (ok) color_vertices(&b);
    ok = ok && spread(&b, error);
    if (ok) kn_texels_visit(surface, texture, done, paint_texel, &b), kn_texels_pad(&surface->texture, done);
    for (size_t e = 0; b.depth && e < eyes->count; e++) kn_free(b.depth[e]);
    kn_free(b.depth), kn_free(b.normals), kn_free(b.seen), kn_free(b.gains), kn_free(done);
    return ok;
}
