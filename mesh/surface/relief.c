/* What is nearly smooth becomes smooth and what is nearly flat flat, on the distance field, so that normals and the
 * normal map follow.
 *
 * Near the surface the field's directions are averaged with those of neighbours that face alike (bilateral normal
 * filtering: Zheng et al. 2011), large planes replace the directions of what lies on them, and the field is integrated
 * again from the directions with the old distances as a weak hold (screened Poisson: Nehab et al. 2005 combine
 * positions and normals so). Waves of a few voxels go, long shapes and edges stay. */
#include "mesh/views/mesh.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"

#define BAND 3.5 /* voxels on either side of the surface: all that are not cut off */
#define FILTER_STEPS 12
#define SOLVER_STEPS 60
#define LIMIT 2.5f          /* voxels that the surface may move */
#define SLACK 0.3f          /* voxels that the surface may lie outside the hull */
#define HOLD 0.1f           /* weight of old distances against the directions, */
#define HOLD_TRUSTED 4.0f   /* and where they were measured */
#define ALIKE 0.2f          /* directions whose cosine is less than 1 minus this are another side of an edge, */
#define ALIKE_TRUSTED 0.16f /* and where they were measured */
#define KEPT 0.9f           /* share of a measured direction that stays */

typedef struct voxel {
    uint32_t at;              /* in the grid */
    uint32_t next[6];         /* neighbours' numbers + 1 along -x +x -y +y -z +z; 0: not in the band */
    float value, old, target; /* distances in voxels; target: what is held */
    float floor;              /* no value is lower: the hull's */
    float hold, trust;        /* weight of the target; how well it was measured, 0..1 */
    float first[3], normal[3], filtered[3];
    uint8_t flat; /* lies on a plane */
} voxel;

typedef struct relief {
    const kn_grid *grid;
    voxel *voxels;
    size_t count, capacity;
    uint32_t *number; /* [grid] a voxel's number + 1 */
} relief;

static size_t stride_of(const kn_grid *g, int axis) {
    return axis == 0 ? 1 : axis == 1 ? (size_t)g->size[0] : (size_t)g->size[0] * (size_t)g->size[1];
}

/* --- the band --------------------------------------------------------------------------------- */

static bool gather(relief *r, const float *field, const float *weight, const float *hull, kn_error *error) {
    const kn_grid *g = r->grid;
    for (int z = 2; z < g->size[2] - 2; z++)
        for (int y = 2; y < g->size[1] - 2; y++)
            for (int x = 2; x < g->size[0] - 2; x++) {
                size_t at = ((size_t)z * (size_t)g->size[1] + (size_t)y) * (size_t)g->size[0] + (size_t)x;
                double slope[3], length = 0;
                if (!(fabs(field[at]) < BAND * g->step)) continue;
                for (int a = 0; a < 3; a++) {
                    slope[a] = (field[at + stride_of(g, a)] - field[at - stride_of(g, a)]) / (2 * g->step);
                    length += slope[a] * slope[a];
                }
                length = sqrt(length);
                if (length < 0.2) continue;
                if (!kn_grow(&r->voxels, &r->capacity, r->count + 1, sizeof *r->voxels, error)) return false;
                voxel *v = &r->voxels[r->count++];
                *v = (voxel){.at = (uint32_t)at,
                             .value = (float)(field[at] / g->step / fmax(length, 0.5)),
                             .floor = hull[at] / (float)g->step - SLACK,
                             .trust = weight[at] / (weight[at] + 3)};
                for (int a = 0; a < 3; a++) v->first[a] = v->normal[a] = (float)(slope[a] / length);
                v->target = v->old = v->value;
                v->hold = (float)(exp(-v->value * v->value) * (HOLD + HOLD_TRUSTED * v->trust * v->trust));
                r->number[at] = (uint32_t)r->count;
            }
    for (size_t i = 0; i < r->count; i++)
        for (int a = 0; a < 3; a++) {
            r->voxels[i].next[2 * a] = r->number[r->voxels[i].at - stride_of(g, a)];
            r->voxels[i].next[2 * a + 1] = r->number[r->voxels[i].at + stride_of(g, a)];
        }
    return true;
}

/* One step of the bilateral filter over the 26 neighbours: those that face alike count. */
static void filter(relief *r) {
    long steps[27];
    for (int k = 0; k < 27; k++)
        steps[k] =
            (k % 3 - 1) + (k / 3 % 3 - 1) * (long)stride_of(r->grid, 1) + (k / 9 - 1) * (long)stride_of(r->grid, 2);
    for (size_t i = 0; i < r->count; i++) {
        voxel *v = &r->voxels[i];
        float sum[3] = {0}, limit = ALIKE + (ALIKE_TRUSTED - ALIKE) * v->trust;
        for (int k = 0; k < 27; k++) {
            uint32_t n = r->number[(size_t)((long)v->at + steps[k])];
            if (!n) continue;
            const voxel *u = &r->voxels[n - 1];
            float alike = 1 - (u->normal[0] * v->normal[0] + u->normal[1] * v->normal[1] + u->normal[2] * v->normal[2]);
            if (alike > limit) continue;
            float t = 1 - alike / limit, w = (0.1f + u->trust) * t * t * t * t;
            for (int c = 0; c < 3; c++) sum[c] += w * u->normal[c];
        }
        float length = sqrtf(sum[0] * sum[0] + sum[1] * sum[1] + sum[2] * sum[2]);
        float most = 1 - KEPT * v->trust;
        for (int c = 0; c < 3; c++)
            v->filtered[c] = length > 1e-6f ? most * sum[c] / length + (1 - most) * v->first[c] : v->normal[c];
        length =
            sqrtf(v->filtered[0] * v->filtered[0] + v->filtered[1] * v->filtered[1] + v->filtered[2] * v->filtered[2]);
        for (int c = 0; c < 3; c++) v->filtered[c] /= fmaxf(length, 1e-6f);
    }
    for (size_t i = 0; i < r->count; i++)
        memcpy(r->voxels[i].normal, r->voxels[i].filtered, sizeof r->voxels[i].normal);
}

/* Gauss-Seidel on: differences along the axes as the directions say, values near the target. */
static void integrate(relief *r) {
    for (int step = 0; step < SOLVER_STEPS; step++)
        for (size_t i = 0; i < r->count; i++) {
            voxel *v = &r->voxels[step & 1 ? r->count - 1 - i : i];
            float sum = v->hold * v->target, total = v->hold;
            for (int k = 0; k < 6; k++) {
                if (!v->next[k]) continue;
                const voxel *u = &r->voxels[v->next[k] - 1];
                float dot = u->normal[0] * v->normal[0] + u->normal[1] * v->normal[1] + u->normal[2] * v->normal[2];
                float w = dot > 0.05f ? dot * dot : 0.0025f, rise = (u->normal[k / 2] + v->normal[k / 2]) / 2;
                sum += w * (u->value + (k & 1 ? -rise : rise));
                total += w;
            }
            if (total > 0) v->value = fmaxf(sum / total, fminf(v->floor, v->old + LIMIT));
        }
}

/* --- planes ----------------------------------------------------------------------------------- */

#define MAX_PLANES 60
#define SEEDS 60
#define NEAR 1.25 /* voxels that what belongs to a plane may lie off it */

/* A piece of the surface, voxels as unit. */
typedef struct patch {
    float p[3], n[3], trust;
    uint8_t taken;
} patch;

typedef struct plane {
    double normal[3], offset, area; /* area: how many patches */
    double settled;                 /* offset of where the surface is put */
    double low[2], high[2];         /* of its patches along u and v */
    double u[3], v[3];
} plane;

static double along(const double axis[3], const float p[3]) { return axis[0] * p[0] + axis[1] * p[1] + axis[2] * p[2]; }

static bool belongs(const patch *q, const plane *p, double near) {
    return along(p->normal, q->n) > 0.93 && fabs(along(p->normal, q->p) - p->offset) < near;
}

static double support(const patch *patches, size_t count, const plane *p, size_t stride) {
    size_t sum = 0;
    for (size_t i = 0; i < count; i += stride) sum += !patches[i].taken && belongs(&patches[i], p, NEAR);
    return (double)(sum * stride);
}

static void set_axes(plane *p) {
    int least = fabs(p->normal[0]) < fabs(p->normal[1])   ? (fabs(p->normal[0]) < fabs(p->normal[2]) ? 0 : 2)
                : fabs(p->normal[1]) < fabs(p->normal[2]) ? 1
                                                          : 2;
    double length = 0;
    for (int i = 0; i < 3; i++) p->u[i] = (i == least) - p->normal[least] * p->normal[i], length += p->u[i] * p->u[i];
    for (int i = 0; i < 3; i++) p->u[i] /= sqrt(length);
    for (int i = 0; i < 3; i++)
        p->v[i] = p->normal[(i + 1) % 3] * p->u[(i + 2) % 3] - p->normal[(i + 2) % 3] * p->u[(i + 1) % 3];
}

/* Solves n equations by elimination with pivots; m is [n][n + 1]. False when singular. */
static bool solve(double *m, int n) {
    for (int i = 0; i < n; i++) {
        int best = i;
        for (int k = i + 1; k < n; k++)
            if (fabs(m[k * (n + 1) + i]) > fabs(m[best * (n + 1) + i])) best = k;
        if (fabs(m[best * (n + 1) + i]) < 1e-9) return false;
        for (int j = 0; j <= n; j++) {
            double t = m[i * (n + 1) + j];
            m[i * (n + 1) + j] = m[best * (n + 1) + j], m[best * (n + 1) + j] = t;
        }
        for (int k = 0; k < n; k++) {
            double f = k == i ? 0 : m[k * (n + 1) + i] / m[i * (n + 1) + i];
            for (int j = i; j <= n; j++) m[k * (n + 1) + j] -= f * m[i * (n + 1) + j];
        }
    }
    for (int i = 0; i < n; i++) m[i * (n + 1)] = m[i * (n + 1) + n] / m[i * (n + 1) + i];
    return true;
}

/* Fits a quadric d = a + b u + c v + e uu + f uv + g vv over what belongs, tilts and shifts the plane by its linear
 * part, and gives how far the quadric bends away, in voxels. */
static double refit(const patch *patches, size_t count, plane *p) {
    double m[6][7] = {{0}}, middle[2], half[2], flat[7];
    set_axes(p);
    for (int k = 0; k < 2; k++) p->low[k] = 1e30, p->high[k] = -1e30;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            const patch *q = &patches[i];
            if (q->taken || !belongs(q, p, NEAR)) continue;
            double x[2] = {along(p->u, q->p), along(p->v, q->p)}, d = along(p->normal, q->p) - p->offset;
            if (pass == 0) {
                for (int k = 0; k < 2; k++) p->low[k] = fmin(p->low[k], x[k]), p->high[k] = fmax(p->high[k], x[k]);
                continue;
            }
            for (int k = 0; k < 2; k++) x[k] = (x[k] - middle[k]) / half[k];
            double row[6] = {1, x[0], x[1], x[0] * x[0], x[0] * x[1], x[1] * x[1]}, w = 0.1 + q->trust;
            for (int a = 0; a < 6; a++) {
                for (int b = 0; b < 6; b++) m[a][b] += w * row[a] * row[b];
                m[a][6] += w * row[a] * d;
            }
        }
        for (int k = 0; k < 2; k++)
            middle[k] = (p->low[k] + p->high[k]) / 2, half[k] = fmax((p->high[k] - p->low[k]) / 2, 1);
    }
    double linear[12];
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 4; b++) linear[a * 4 + b] = m[a][b < 3 ? b : 6];
    if (!solve(&m[0][0], 6) || !solve(linear, 3)) return 1e30;
    for (int a = 0; a < 6; a++) flat[a] = m[a][0];
    double b[2] = {linear[4] / half[0], linear[8] / half[1]}, shift = linear[0] - b[0] * middle[0] - b[1] * middle[1],
           length = sqrt(1 + b[0] * b[0] + b[1] * b[1]);
    p->offset = (p->offset + shift) / length;
    for (int i = 0; i < 3; i++) p->normal[i] = (p->normal[i] - b[0] * p->u[i] - b[1] * p->v[i]) / length;
    return fabs(flat[3]) + fabs(flat[5]) + fabs(flat[4]) / 2;
}

static int ascending(const void *a, const void *b) {
    const float *p = a, *q = b;
    return *p < *q ? -1 : *p > *q;
}

/* Where little was measured the surface is the hull, whose waves lie outside the truth: their valleys count. */
static void settle(const patch *patches, size_t count, plane *p, float *scratch) {
    double measured = 0, sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const patch *q = &patches[i];
        if (q->taken || !belongs(q, p, NEAR)) continue;
        double d = along(p->normal, q->p);
        scratch[n++] = (float)d;
        measured += q->trust, sum += q->trust * d;
    }
    if (n == 0) return;
    p->area = (double)n;
    qsort(scratch, n, sizeof *scratch, ascending);
    double share = fmin(measured / (double)n / 0.25, 1), valley = scratch[n / 8];
    p->settled = share * sum / fmax(measured, 1e-9) + (1 - share) * valley;
}

/* Share of what lies around a plane and faces about alike that belongs to it: near 1 where it ends in edges, less where
 * the surface bends away from it. */
static double ends_in_edges(const patch *patches, size_t count, const plane *p) {
    double within = 0, around = 0;
    for (size_t i = 0; i < count; i++) {
        const patch *q = &patches[i];
        double x[2] = {along(p->u, q->p), along(p->v, q->p)};
        if (along(p->normal, q->n) < 0.8 || fabs(along(p->normal, q->p) - p->offset) > 4 * NEAR) continue;
        if (x[0] < p->low[0] - 4 || x[1] < p->low[1] - 4 || x[0] > p->high[0] + 4 || x[1] > p->high[1] + 4) continue;
        around++, within += belongs(q, p, 1.3 * NEAR);
    }
    return around > 0 ? within / around : 0;
}

/* The plane through many patches; area 0: none. */
static plane find_plane(const patch *patches, size_t count, kn_rng *rng) {
    plane best = {.area = 0};
    size_t stride = count / 5000 + 1;
    for (int s = 0; s < SEEDS; s++) {
        size_t i = (size_t)kn_rng_uniform(rng, 0, (double)count);
        if (i >= count || patches[i].taken) continue;
        plane p = {.offset = 0};
        for (int c = 0; c < 3; c++) p.normal[c] = patches[i].n[c], p.offset += p.normal[c] * patches[i].p[c];
        p.area = support(patches, count, &p, stride);
        if (p.area > best.area) best = p;
    }
    return best;
}

/* The point of the surface nearest to a voxel, in voxels. */
static patch patch_of(const relief *r, size_t i) {
    const voxel *v = &r->voxels[i];
    size_t w = (size_t)r->grid->size[0], h = (size_t)r->grid->size[1],
           at[3] = {v->at % w, v->at / w % h, v->at / (w * h)};
    patch q = {.trust = v->trust};
    for (int c = 0; c < 3; c++) q.n[c] = v->normal[c], q.p[c] = (float)at[c] - v->value * v->normal[c];
    return q;
}

/* Gives the voxels near a plane its direction and distances; what sticks out a little at its edges is held back. */
static void lay_flat(relief *r, const plane *p) {
    for (size_t i = 0; i < r->count; i++) {
        voxel *v = &r->voxels[i];
        patch q = patch_of(r, i);
        double facing = along(p->normal, q.n), out = along(p->normal, q.p) - p->settled,
               x[2] = {along(p->u, q.p), along(p->v, q.p)};
        float beyond = (float)(out + v->value * facing);
        bool over = x[0] > p->low[0] - 1 && x[1] > p->low[1] - 1 && x[0] < p->high[0] + 1 && x[1] < p->high[1] + 1;
        if (v->flat) continue;
        if (over && facing > 0.3 && out < 1 && beyond < 2) v->floor = fmaxf(v->floor, fminf(beyond, v->value + 0.7f));
        if (!belongs(&q, p, 1.3 * NEAR)) continue;
        v->flat = 1;
        v->target = beyond;
        v->hold = 20;
        for (int c = 0; c < 3; c++) v->normal[c] = (float)p->normal[c];
    }
}

/* Planes of at least a hundredth of the surface that do not bend (all that are nearly flat when `planar`). */
static bool flatten(relief *r, bool planar, const kn_log *log, kn_error *error) {
    patch *patches = kn_alloc(r->count + 1, sizeof *patches, error);
    float *scratch = kn_alloc(r->count + 1, sizeof *scratch, error);
    bool ok = patches && scratch;
    size_t count = 0;
    kn_rng rng;
    kn_rng_init(&rng, 3);
    for (size_t i = 0; ok && i < r->count; i++)
        if (fabsf(r->voxels[i].value) < 0.6f) patches[count++] = patch_of(r, i);
    for (int k = 0; ok && k < MAX_PLANES; k++) {
        plane p = find_plane(patches, count, &rng);
        if (p.area < 0.008 * (double)count) break;
        double bend = 0;
        for (int i = 0; i < 4; i++) bend = refit(patches, count, &p);
        settle(patches, count, &p, scratch);
        double edges = ends_in_edges(patches, count, &p);
        bool flat =
            bend < (planar ? 2.5 : 1.6) * NEAR && edges > (planar ? 0.6 : 0.9) && p.area > 0.008 * (double)count;
        kn_log_line(log, KN_LOG_DEBUG,
                    "plane %.2f %.2f %.2f: %.2f in edges, %.1f %% of the surface, bends by %.2f voxels%s", p.normal[0],
                    p.normal[1], p.normal[2], edges, 100 * p.area / (double)count, bend, flat ? "" : ": not flat");
        if (flat) lay_flat(r, &p);
        for (size_t i = 0; i < count; i++) patches[i].taken = patches[i].taken || belongs(&patches[i], &p, 1.3 * NEAR);
    }
    kn_free(patches), kn_free(scratch);
    return ok;
}

/* --- all -------------------------------------------------------------------------------------- */

bool kn_relief(float *field, const float *weight, const float *hull, const kn_grid *grid, bool planar,
               const kn_log *log, kn_error *error) {
    relief r = {.grid = grid, .number = kn_alloc(kn_grid_count(grid), sizeof *r.number, error)};
    bool ok = r.number && gather(&r, field, weight, hull, error);
    for (int i = 0; ok && i < FILTER_STEPS; i++) filter(&r);
    ok = ok && flatten(&r, planar, log, error);
    if (ok) integrate(&r);
    for (size_t i = 0; ok && i < r.count; i++) {
        const voxel *v = &r.voxels[i];
        field[v->at] = (float)grid->step * fminf(fmaxf(v->value, v->old - LIMIT), v->old + LIMIT);
    }
    kn_free(r.number), kn_free(r.voxels);
    return ok;
}
