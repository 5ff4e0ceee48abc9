#include "mesh_shapes.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"

/* --- shapes ----------------------------------------------------------------------------------- */

static uint32_t add_vertex(kn_tris *m, double x, double y, double z) {
    kn_grow(&m->positions, &m->vertex_capacity, m->vertex_count + 1, 12, NULL);
    float *p = m->positions + 3 * m->vertex_count;
    p[0] = (float)x, p[1] = (float)y, p[2] = (float)z;
    return (uint32_t)m->vertex_count++;
}

static void add_triangle(kn_tris *m, uint32_t a, uint32_t b, uint32_t c) {
    kn_grow(&m->triangles, &m->triangle_capacity, m->triangle_count + 1, 12, NULL);
    uint32_t *t = m->triangles + 3 * m->triangle_count++;
    t[0] = a, t[1] = b, t[2] = c;
}

/* A prism over a convex polygon in (x, z) from y0 to y1; the polygon runs clockwise seen along +y. */
static void add_prism(kn_tris *m, const double (*p)[2], uint32_t n, double y0, double y1) {
    uint32_t first = (uint32_t)m->vertex_count;
    for (uint32_t i = 0; i < n; i++) add_vertex(m, p[i][0], y0, p[i][1]), add_vertex(m, p[i][0], y1, p[i][1]);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t a = first + 2 * i, b = first + 2 * ((i + 1) % n);
        add_triangle(m, a, a + 1, b + 1), add_triangle(m, a, b + 1, b);
        if (i > 1)
            add_triangle(m, first, first + 2 * i - 2, first + 2 * i),
                add_triangle(m, first + 1, first + 2 * i + 1, first + 2 * i - 1);
    }
}

static void add_box(kn_tris *m, double x0, double x1, double y0, double y1, double z0, double z1) {
    add_prism(m, (const double[4][2]){{x0, z0}, {x1, z0}, {x1, z1}, {x0, z1}}, 4, y0, y1);
}

static void make_building(kn_tris *m) {
    add_prism(m, (const double[5][2]){{-3, 0}, {3, 0}, {3, 4}, {0, 6}, {-3, 4}}, 5, -4.5, 4.5);
    add_box(m, 2.5, 5, -3, 1.5, 0, 3);
    add_box(m, -1.9, -1.1, 1, 2, 3, 6.6);
}

static double power(double v, double e) { return copysign(pow(fabs(v), e), v); }

static void make_car(kn_tris *m) {
    enum { ALONG = 120, AROUND = 96 };
    uint32_t first = (uint32_t)m->vertex_count;
    for (int i = 0; i <= ALONG; i++) {
        double s = -cos(i * M_PI / ALONG), x = 2.2 * s, end = pow(fmax(1 - pow(fabs(s), 8), 0), 0.5); /* blunt ends */
        double cabin = 1 / (1 + exp(-(x + 1.7) * 6)) / (1 + exp((x - 0.75) * 5)), top = 0.85 + 0.6 * cabin - 0.05 * x,
               bottom = 0.25;
        double half = (top - bottom) / 2 * end, middle = (top + bottom) / 2, wide = 0.9 * end;
        for (int j = 0; j < AROUND; j++) {
            double a = j * 2 * M_PI / AROUND, y = wide * power(cos(a), 0.4), z = middle + half * power(sin(a), 0.5);
            add_vertex(m, x, y * (1 - 0.28 * fmax(0, z - 0.8)), z);
        }
    }
    for (uint32_t i = 0; i < ALONG; i++)
        for (uint32_t j = 0; j < AROUND; j++) {
            uint32_t a = first + i * AROUND + j, b = first + i * AROUND + (j + 1) % AROUND;
            add_triangle(m, a, b, b + AROUND), add_triangle(m, a, b + AROUND, a + AROUND);
        }
    for (int w = 0; w < 4; w++) {
        double p[24][2], x = w & 1 ? 1.35 : -1.35, y = w & 2 ? 0.62 : -0.88;
        for (int i = 0; i < 24; i++)
            p[i][0] = x + 0.36 * cos(i * M_PI / 12), p[i][1] = 0.36 + 0.36 * sin(i * M_PI / 12);
        add_prism(m, (const double(*)[2])p, 24, y, y + 0.26);
    }
}

void shape_make(kn_tris *mesh, shape_kind kind) {
    *mesh = (kn_tris){0};
    if (kind == SHAPE_CAR) make_car(mesh);
    else make_building(mesh);
    double low[3] = {1e9, 1e9, 1e9}, high[3] = {-1e9, -1e9, -1e9}, diagonal = 0;
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++)
        low[i % 3] = fmin(low[i % 3], mesh->positions[i]), high[i % 3] = fmax(high[i % 3], mesh->positions[i]);
    for (int i = 0; i < 3; i++) diagonal += (high[i] - low[i]) * (high[i] - low[i]);
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++)
        mesh->positions[i] =
            (float)((mesh->positions[i] - (i % 3 == 2 ? low[2] : (low[i % 3] + high[i % 3]) / 2)) / sqrt(diagonal));
}

/* --- cameras ---------------------------------------------------------------------------------- */

void orbit_cameras(kn_view_camera *cameras, size_t count, const double *elevations, size_t rings, int size) {
    for (size_t i = 0; i < count; i++) {
        size_t ring = i * rings / count, in_ring = count / rings;
        double azimuth = 2 * M_PI * ((double)(i % in_ring) + 0.31 * (double)ring) / (double)in_ring,
               elevation = elevations[ring] * M_PI / 180;
        kn_vec3 back = {cos(azimuth) * cos(elevation), sin(azimuth) * cos(elevation), sin(elevation)},
                forward = kn_vec3_scale(back, -1);
        kn_vec3 right = kn_vec3_normalize(kn_vec3_cross(forward, (kn_vec3){0, 0, 1})),
                down = kn_vec3_cross(forward, right);
        kn_vec3 center = kn_vec3_add(kn_vec3_scale(back, 1.9), (kn_vec3){0, 0, 0.17});
        cameras[i] = (kn_view_camera){0};
        kn_camera *c = &cameras[i].camera;
        c->width = c->height = size;
        c->k[0][0] = c->k[1][1] = 1.55 * size, c->k[0][2] = c->k[1][2] = size / 2.0, c->k[2][2] = 1;
        double axes[3][3] = {{right.x, right.y, right.z}, {down.x, down.y, down.z}, {forward.x, forward.y, forward.z}};
        for (int r = 0; r < 3; r++)
            for (int k = 0; k < 3; k++) c->rotation[r][k] = axes[k][r];
        c->translation[0] = center.x, c->translation[1] = center.y, c->translation[2] = center.z;
    }
}

kn_eye shape_eye(const kn_view_camera *camera) {
    const kn_camera *c = &camera->camera;
    kn_eye eye = {
        .width = c->width, .height = c->height, .fx = c->k[0][0], .fy = c->k[1][1], .cx = c->k[0][2], .cy = c->k[1][2]};
    for (int i = 0; i < 3; i++) {
        eye.center[i] = c->translation[i];
        for (int j = 0; j < 3; j++) eye.r[i][j] = c->rotation[j][i], eye.t[i] -= c->rotation[j][i] * c->translation[j];
    }
    return eye;
}

/* --- pictures --------------------------------------------------------------------------------- */

static double lattice(int x, int y, int z) {
    return (double)(kn_hash64((uint64_t)(x + 1000) * 73856093u ^ (uint64_t)(y + 1000) * 19349663u ^
                              (uint64_t)(z + 1000) * 83492791u) >>
                    40) /
           16777216.0;
}

/* Smooth noise 0..1 of three octaves. */
static double noise(double x, double y, double z) {
    double sum = 0, size = 0.5;
    for (int o = 0; o < 3; o++, size *= 0.6, x *= 2.1, y *= 2.1, z *= 2.1) {
        int i = (int)floor(x), j = (int)floor(y), k = (int)floor(z);
        for (int c = 0; c < 8; c++) {
            double fx = x - i, fy = y - j, fz = z - k;
            sum += size * lattice(i + (c & 1), j + (c >> 1 & 1), k + (c >> 2)) * (c & 1 ? fx : 1 - fx) *
                   (c >> 1 & 1 ? fy : 1 - fy) * (c >> 2 ? fz : 1 - fz);
        }
    }
    return sum;
}

static void albedo(const double p[3], shape_kind kind, shape_paint paint, double rgb[3]) {
    double base[3] = {0.72, 0.16, 0.13};
    if (kind == SHAPE_BUILDING) base[0] = 0.72, base[1] = 0.62, base[2] = 0.48;
    bool dark = kind == SHAPE_CAR ? p[2] > 0.19 && p[2] < 0.26
                                  : sin(p[0] * 60) > 0.4 && sin(p[1] * 60) > -0.2 && sin(p[2] * 55) > 0.3;
    if (kind == SHAPE_CAR && p[2] < 0.075) dark = true;
    for (int c = 0; c < 3; c++) rgb[c] = dark ? 0.12 + 0.02 * c : base[c];
    if (paint == PAINT_TEXTURED)
        for (int c = 0; c < 3; c++)
            rgb[c] = fmin(1, rgb[c] * 0.35 + 0.75 * noise(p[0] * 28 + 7 * c, p[1] * 28, p[2] * 28));
}

static void shade(const kn_tris *mesh, const kn_raster *raster, size_t at, const kn_eye *eye, shape_kind kind,
                  shape_paint paint, double rgb[3]) {
    const uint32_t *t = mesh->triangles + 3 * (size_t)(raster->triangle[at] - 1);
    double b = raster->weights[2 * at], c = raster->weights[2 * at + 1], p[3], to[3];
    kn_vec3 v[3];
    for (int k = 0; k < 3; k++)
        v[k] = (kn_vec3){mesh->positions[3 * t[k]], mesh->positions[3 * t[k] + 1], mesh->positions[3 * t[k] + 2]};
    kn_vec3 n = kn_vec3_normalize(kn_vec3_cross(kn_vec3_sub(v[1], v[0]), kn_vec3_sub(v[2], v[0])));
    for (int i = 0; i < 3; i++) {
        p[i] = (1 - b - c) * mesh->positions[3 * t[0] + i] + b * mesh->positions[3 * t[1] + i] +
               c * mesh->positions[3 * t[2] + i];
        to[i] = eye->center[i] - p[i];
    }
    kn_vec3 light = kn_vec3_normalize((kn_vec3){0.5, 0.35, 0.8}),
            view = kn_vec3_normalize((kn_vec3){to[0], to[1], to[2]});
    double diffuse = 0.55 + 0.45 * fmax(0, kn_vec3_dot(n, light)), shine = 0;
    if (paint == PAINT_GLOSSY) {
        shine = 0.7 * pow(fmax(0, kn_vec3_dot(n, kn_vec3_normalize(kn_vec3_add(light, view)))), 60);
        kn_vec3 mirror = kn_vec3_sub(kn_vec3_scale(n, 2 * kn_vec3_dot(n, view)), view);
        shine += 0.12 * fmax(0, mirror.z) + 0.25 * pow(1 - fmax(0, kn_vec3_dot(n, view)), 4);
    }
    albedo(p, kind, paint, rgb);
    for (int i = 0; i < 3; i++) rgb[i] = fmin(1, rgb[i] * diffuse + shine);
}

void shape_render(kn_image *picture, const kn_tris *mesh, shape_kind kind, shape_paint paint,
                  const kn_view_camera *camera, int plain) {
    enum { FINE = 3 };
    kn_eye eye = shape_eye(camera);
    int w = eye.width, h = eye.height;
    kn_raster raster;
    kn_raster_init(&raster, FINE * w, FINE * h, NULL);
    kn_image_init(picture, w, h, 4, NULL);
    eye.fx *= FINE, eye.fy *= FINE, eye.cx *= FINE, eye.cy *= FINE;
    kn_raster_draw(&raster, &eye, mesh, false);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double sum[4] = {0};
            for (int k = 0; k < FINE * FINE; k++) {
                size_t at = (size_t)(FINE * y + k / FINE) * (size_t)raster.width + (size_t)(FINE * x + k % FINE);
                double rgb[3];
                if (!raster.triangle[at]) continue;
                shade(mesh, &raster, at, &eye, kind, paint, rgb);
                for (int c = 0; c < 3; c++) sum[c] += rgb[c];
                sum[3]++;
            }
            uint8_t *out = picture->data + 4 * ((size_t)y * (size_t)w + (size_t)x);
            double part = sum[3] / (FINE * FINE);
            for (int c = 0; c < 3; c++)
                out[c] = (uint8_t)lround(plain        ? 255 * sum[c] / (FINE * FINE) + plain * (1 - part)
                                         : sum[3] > 0 ? 255 * sum[c] / sum[3]
                                                      : 0);
            out[3] = plain ? 255 : (uint8_t)lround(255 * part);
        }
    kn_raster_finish(&raster);
}

/* --- distances -------------------------------------------------------------------------------- */

#define CELLS 128

/* Triangles in the cells of a cube of side 1.6 around (0, 0, 0.3). */
typedef struct finder {
    const kn_tris *mesh;
    uint32_t *starts, *items;
} finder;

static int cell_of(double v, int axis) {
    int c = (int)floor((v - (axis == 2 ? -0.5 : -0.8)) / 1.6 * CELLS);
    return c < 0 ? 0 : c >= CELLS ? CELLS - 1 : c;
}

static void finder_init(finder *f, const kn_tris *mesh) {
    f->mesh = mesh;
    f->starts = calloc(CELLS * CELLS * CELLS + 1, sizeof(uint32_t));
    for (int fill = 0; fill < 2; fill++) {
        for (size_t t = 0; t < mesh->triangle_count; t++) {
            int low[3], high[3];
            for (int a = 0; a < 3; a++) {
                double l = 1e9, h = -1e9;
                for (int k = 0; k < 3; k++) {
                    double v = mesh->positions[3 * mesh->triangles[3 * t + (size_t)k] + (uint32_t)a];
                    l = fmin(l, v), h = fmax(h, v);
                }
                low[a] = cell_of(l, a), high[a] = cell_of(h, a);
            }
            for (int z = low[2]; z <= high[2]; z++)
                for (int y = low[1]; y <= high[1]; y++)
                    for (int x = low[0]; x <= high[0]; x++) {
                        uint32_t *s = &f->starts[(z * CELLS + y) * CELLS + x];
                        if (fill) f->items[--*s] = (uint32_t)t;
                        else ++*s;
                    }
        }
        if (fill) break;
        for (int i = 0; i < CELLS * CELLS * CELLS; i++) f->starts[i + 1] += f->starts[i];
        f->items = calloc(f->starts[CELLS * CELLS * CELLS] + 1, sizeof(uint32_t));
    }
}

static void finder_finish(finder *f) { free(f->starts), free(f->items); }

/* Squared distance of p to a triangle (closest point by regions, Ericson 2005). */
static double triangle_distance(const kn_tris *m, uint32_t t, kn_vec3 p) {
    kn_vec3 v[3];
    for (int k = 0; k < 3; k++) {
        const float *q = m->positions + 3 * (size_t)m->triangles[3 * (size_t)t + (size_t)k];
        v[k] = (kn_vec3){q[0], q[1], q[2]};
    }
    kn_vec3 ab = kn_vec3_sub(v[1], v[0]), ac = kn_vec3_sub(v[2], v[0]), ap = kn_vec3_sub(p, v[0]);
    kn_vec3 n = kn_vec3_cross(ab, ac);
    double nn = kn_vec3_dot(n, n);
    if (nn > 1e-20) {
        double w1 = kn_vec3_dot(kn_vec3_cross(ap, ac), n) / nn, w2 = kn_vec3_dot(kn_vec3_cross(ab, ap), n) / nn;
        if (w1 >= 0 && w2 >= 0 && w1 + w2 <= 1) return pow(kn_vec3_dot(ap, n), 2) / nn;
    }
    double best = 1e30;
    for (int k = 0; k < 3; k++) {
        kn_vec3 e = kn_vec3_sub(v[(k + 1) % 3], v[k]), d = kn_vec3_sub(p, v[k]);
        double s = fmin(fmax(kn_vec3_dot(d, e) / fmax(kn_vec3_dot(e, e), 1e-30), 0), 1);
        d = kn_vec3_sub(d, kn_vec3_scale(e, s));
        best = fmin(best, kn_vec3_dot(d, d));
    }
    return best;
}

static double distance_to(const finder *f, kn_vec3 p) {
    double best = 1e30, cell = 1.6 / CELLS;
    int c[3] = {cell_of(p.x, 0), cell_of(p.y, 1), cell_of(p.z, 2)};
    for (int r = 0; r < CELLS && best > pow(fmax(r - 1, 0) * cell, 2); r++)
        for (int z = c[2] - r; z <= c[2] + r; z++)
            for (int y = c[1] - r; y <= c[1] + r; y++)
                for (int x = c[0] - r; x <= c[0] + r; x++) {
                    bool shell = abs(x - c[0]) == r || abs(y - c[1]) == r || abs(z - c[2]) == r;
                    if (!shell || x < 0 || y < 0 || z < 0 || x >= CELLS || y >= CELLS || z >= CELLS) continue;
                    int at = (z * CELLS + y) * CELLS + x;
                    for (uint32_t i = f->starts[at]; i < f->starts[at + 1]; i++)
                        best = fmin(best, triangle_distance(f->mesh, f->items[i], p));
                }
    return sqrt(best);
}

/* Whether a camera sees the point of the mesh whose depth maps are given. */
static bool seen(kn_vec3 p, const kn_eye *eyes, float *const *depth, size_t count) {
    for (size_t e = 0; e < count; e++) {
        double pixel[2], z, q[3] = {p.x, p.y, p.z};
        if (!kn_eye_project(&eyes[e], q, pixel, &z) || pixel[0] < 0 || pixel[1] < 0 || pixel[0] >= eyes[e].width ||
            pixel[1] >= eyes[e].height)
            continue;
        float d = depth[e][(int)pixel[1] * eyes[e].width + (int)pixel[0]];
        if (d > 0 && z < d + 0.004) return true;
    }
    return false;
}

/* Share of a's seen samples within `limit` of b, and their mean distance. */
static void one_way(const kn_tris *a, const kn_tris *b, const kn_eye *eyes, size_t count, double limit, size_t samples,
                    double *share, double *mean, double by_side[3]) {
    finder f = {0};
    finder_init(&f, b);
    float **depth = calloc(count, sizeof *depth);
    for (size_t e = 0; e < count; e++) {
        kn_raster raster;
        kn_raster_init(&raster, eyes[e].width, eyes[e].height, NULL);
        kn_raster_draw(&raster, &eyes[e], a, false);
        depth[e] = raster.depth;
        free(raster.triangle), free(raster.weights);
    }
    double *areas = calloc(a->triangle_count + 1, sizeof *areas), sum = 0, near = 0;
    for (size_t t = 0; t < a->triangle_count; t++) {
        const uint32_t *i = a->triangles + 3 * t;
        const float *p = a->positions + 3 * i[0], *q = a->positions + 3 * i[1], *r = a->positions + 3 * i[2];
        kn_vec3 n = kn_vec3_cross((kn_vec3){q[0] - p[0], q[1] - p[1], q[2] - p[2]},
                                  (kn_vec3){r[0] - p[0], r[1] - p[1], r[2] - p[2]});
        areas[t + 1] = areas[t] + kn_vec3_length(n);
    }
    kn_rng rng;
    kn_rng_init(&rng, 7);
    size_t used = 0, t = 0;
    double hits[3] = {0}, counts[3] = {0};
    for (size_t s = 0; s < samples; s++) {
        double at = areas[a->triangle_count] * ((double)s + 0.5) / (double)samples, u = kn_rng_uniform(&rng, 0, 1),
               v = kn_rng_uniform(&rng, 0, 1);
        while (t + 1 < a->triangle_count && areas[t + 1] < at) t++;
        if (u + v > 1) u = 1 - u, v = 1 - v;
        const float *p = a->positions + 3 * a->triangles[3 * t], *q = a->positions + 3 * a->triangles[3 * t + 1],
                    *r = a->positions + 3 * a->triangles[3 * t + 2];
        kn_vec3 x = {p[0] + u * (q[0] - p[0]) + v * (r[0] - p[0]), p[1] + u * (q[1] - p[1]) + v * (r[1] - p[1]),
                     p[2] + u * (q[2] - p[2]) + v * (r[2] - p[2])};
        if (!seen(x, eyes, depth, count)) continue;
        double d = distance_to(&f, x);
        kn_vec3 normal = kn_vec3_normalize(kn_vec3_cross((kn_vec3){q[0] - p[0], q[1] - p[1], q[2] - p[2]},
                                                         (kn_vec3){r[0] - p[0], r[1] - p[1], r[2] - p[2]}));
        int side = normal.z < -0.7 ? 0 : normal.z > 0.7 ? 2 : 1;
        hits[side] += d < limit, counts[side]++;
        used++, sum += d, near += d < limit;
    }
    *share = used ? near / (double)used : 0, *mean = used ? sum / (double)used : 1;
    for (int i = 0; i < 3; i++) by_side[i] = counts[i] > 0 ? hits[i] / counts[i] : 1;
    for (size_t e = 0; e < count; e++) free(depth[e]);
    free(depth), free(areas);
    finder_finish(&f);
}

shape_score shape_compare(const kn_tris *truth, const kn_tris *found, const kn_view_camera *cameras, size_t count,
                          double limit, size_t samples) {
    shape_score s;
    double there, back;
    kn_eye *eyes = calloc(count, sizeof *eyes);
    for (size_t e = 0; e < count; e++) eyes[e] = shape_eye(&cameras[e]);
    one_way(found, truth, eyes, count, limit, samples, &s.precision, &there, s.precision_by_side);
    one_way(truth, found, eyes, count, limit, samples, &s.recall, &back, s.recall_by_side);
    free(eyes);
    s.f = s.precision + s.recall > 0 ? 2 * s.precision * s.recall / (s.precision + s.recall) : 0;
    s.chamfer = (there + back) / 2;
    return s;
}
