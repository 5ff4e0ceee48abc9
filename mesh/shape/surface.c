/* From a sample to a closed, coloured surface in metres. */
#include "mesh/shape/shape.h"

#include <math.h>
#include <string.h>

typedef struct builder {
    const kn_shape_class *kind;
    const int *size;
    const kn_shape_params *params;
    float *slices; /* distances and bits, halves averaged */
    kn_grid grid;
    float *field; /* units */
    kn_tris mesh;
    double scale; /* metres a unit */
    double foot[3];
    uint8_t colors[KN_SHAPE_MATERIALS][3];
} builder;

/* --- field ------------------------------------------------------------------------------------ */

static void mirror(builder *b, const float *sample) {
    const int *n = b->size;
    size_t plane = (size_t)n[2] * (size_t)n[0];
    for (size_t c = 0; c < 1 + KN_SHAPE_BITS; c++)
        for (size_t y = 0; y < (size_t)n[1]; y++) {
            const float *here = sample + (c * (size_t)n[1] + y) * plane,
                        *there = sample + (c * (size_t)n[1] + (size_t)n[1] - 1 - y) * plane;
            float *out = b->slices + (c * (size_t)n[1] + y) * plane;
            for (size_t i = 0; i < plane; i++) out[i] = b->kind->symmetric ? (here[i] + there[i]) / 2 : here[i];
        }
}

static void catmull(double f, double w[4]) {
    w[0] = f * (-0.5 + f * (1 - 0.5 * f)), w[1] = 1 + f * f * (-2.5 + 1.5 * f);
    w[2] = f * (0.5 + f * (2 - 1.5 * f)), w[3] = f * f * (-0.5 + 0.5 * f);
}

/* Tricubic value of the distances (Catmull & Rom 1974), in units. */
static double smooth_value(const builder *b, const double point[3]) {
    int base[3];
    double w[3][4], sum = 0;
    for (int i = 0; i < 3; i++) {
        double at = fmin(fmax(kn_shape_cell(b->kind, b->size, i, point[i]), 0), b->size[i] - 1);
        base[i] = (int)at;
        catmull(at - base[i], w[i]);
    }
    for (int k = 0; k < 64; k++) {
        int at[3], j[3] = {k & 3, k >> 2 & 3, k >> 4};
        for (int i = 0; i < 3; i++) {
            at[i] = base[i] + j[i] - 1;
            at[i] = at[i] < 0 ? 0 : at[i] >= b->size[i] ? b->size[i] - 1 : at[i];
        }
        sum += w[0][j[0]] * w[1][j[1]] * w[2][j[2]] * (double)b->slices[kn_shape_index(b->size, at[0], at[1], at[2])];
    }
    return sum * 3 * kn_shape_mean_cell(b->kind, b->size);
}

/* A cubic grid of half cells around what is inside, cut off flat where it stands. */
static bool make_field(builder *b, kn_error *error) {
    double box[6], step = 1e30;
    if (!kn_shape_bounds(b->kind, b->size, b->slices, box))
        return kn_fail(error, KN_ERROR_INPUT, "the sampled shape is empty: does the drawing show a %s?", b->kind->name);
    for (int i = 0; i < 3; i++) step = fmin(step, b->kind->frame[i] / b->size[i] / 2);
    b->grid.step = step;
    for (int i = 0; i < 3; i++) {
        b->grid.origin[i] = box[i] - 4 * step;
        b->grid.size[i] = (int)ceil((box[3 + i] - box[i]) / step) + 9;
    }
    size_t count = kn_grid_count(&b->grid);
    if (!(b->field = kn_alloc(count, sizeof *b->field, error))) return false;
    double ground = box[2] + 0.008 * (box[5] - box[2]);
    for (size_t i = 0; i < count; i++) {
        size_t w = (size_t)b->grid.size[0], h = (size_t)b->grid.size[1], at[3] = {i % w, i / w % h, i / (w * h)};
        double p[3];
        for (int k = 0; k < 3; k++) p[k] = b->grid.origin[k] + step * (double)at[k];
        double beyond = ground - p[2]; /* nothing lies below the ground or outside the frame */
        for (int k = 0; k < 2; k++) beyond = fmax(beyond, fabs(p[k]) - b->kind->frame[k] / 2);
        b->field[i] = (float)fmax(fmax(smooth_value(b, p), beyond), p[2] - 0.98 * b->kind->frame[2]);
    }
    return true;
}

static bool flatten(builder *b, kn_error *error) {
    size_t count = kn_grid_count(&b->grid);
    float *weight = kn_alloc(count, sizeof *weight, error), *hull = kn_alloc(count, sizeof *hull, error);
    bool ok = weight && hull;
    kn_log silent = {0};
    for (size_t i = 0; ok && i < count; i++) weight[i] = 1, hull[i] = -1e3f;
    ok = ok && kn_relief(b->field, weight, hull, &b->grid, true, &silent, error);
    kn_free(weight), kn_free(hull);
    return ok;
}

static bool extract(builder *b, kn_error *error) {
    size_t count = kn_grid_count(&b->grid);
    float *copy = kn_alloc(count, sizeof *copy, error);
    if (!copy) return false;
    memcpy(copy, b->field, count * sizeof *copy);
    bool ok = kn_tets_extract(&b->mesh, &b->grid, copy, error) && kn_topology_keep_large(&b->mesh, 1, error);
    kn_free(copy);
    if (ok && b->mesh.triangle_count == 0)
        return kn_fail(error, KN_ERROR_INPUT, "the sampled shape is empty: does the drawing show a %s?", b->kind->name);
    return ok && kn_simplify(&b->mesh, b->params->triangles, error);
}

/* --- surface ---------------------------------------------------------------------------------- */

/* Metres a unit, and what comes to stand on the origin. */
static void find_scale(builder *b) {
    double low[3] = {1e30, 1e30, 1e30}, high[3] = {-1e30, -1e30, -1e30};
    for (size_t v = 0; v < 3 * b->mesh.vertex_count; v++)
        low[v % 3] = fmin(low[v % 3], (double)b->mesh.positions[v]),
                high[v % 3] = fmax(high[v % 3], (double)b->mesh.positions[v]);
    const kn_shape_params *p = b->params;
    double size[3];
    for (int i = 0; i < 3; i++) size[i] = high[i] - low[i], b->foot[i] = i == 2 ? low[2] : (low[i] + high[i]) / 2;
    b->scale = p->length > 0   ? p->length / size[0]
               : p->width > 0  ? p->width / size[1]
               : p->height > 0 ? p->height / size[2]
                               : b->kind->metres / size[b->kind->tall ? 2 : 0];
}

static int material_at(const builder *b, const double point[3]) {
    size_t half = kn_shape_condition_floats(b->size) / 2;
    int material = 0;
    for (size_t bit = 0; bit < KN_SHAPE_BITS; bit++)
        material |= (kn_shape_value(b->kind, b->size, b->slices + (1 + bit) * half, point) > 0) << bit;
    return material < b->kind->material_count ? material : 0;
}

static bool place(builder *b, kn_surface *s, kn_error *error) {
    const kn_tris *mesh = &b->mesh;
    s->vertex_count = mesh->vertex_count, s->triangle_count = mesh->triangle_count;
    s->positions = kn_alloc(mesh->vertex_count, 3 * sizeof(float), error);
    s->triangles = kn_alloc(mesh->triangle_count, 3 * sizeof(uint32_t), error);
    s->colors = kn_alloc(mesh->vertex_count, 3, error);
    s->confidence = kn_alloc(mesh->vertex_count, sizeof(float), error);
    s->normals = kn_field_normals(mesh, &b->grid, b->field, error);
    if (!s->positions || !s->triangles || !s->colors || !s->confidence || !s->normals) return false;
    memcpy(s->triangles, mesh->triangles, mesh->triangle_count * 3 * sizeof(uint32_t));
    for (size_t v = 0; v < mesh->vertex_count; v++) {
        double p[3];
        for (size_t i = 0; i < 3; i++) {
            p[i] = (double)mesh->positions[3 * v + i];
            s->positions[3 * v + i] = (float)(b->scale * (p[i] - b->foot[i]));
        }
        memcpy(s->colors + 3 * v, b->colors[material_at(b, p)], 3);
        s->confidence[v] = 1;
    }
    for (int i = 0; i < 3; i++) s->from_input[i][i] = b->scale, s->from_input[i][3] = -b->scale * b->foot[i];
    return true;
}

typedef struct painter {
    const builder *b;
    kn_surface *surface;
} painter;

static void paint_texel(void *user, size_t triangle, double w1, double w2, size_t texel) {
    painter *p = user;
    const uint32_t *corner = p->b->mesh.triangles + 3 * triangle;
    const float *at = p->b->mesh.positions;
    double point[3];
    for (int i = 0; i < 3; i++)
        point[i] = (1 - w1 - w2) * (double)at[3 * (size_t)corner[0] + (size_t)i] +
                   w1 * (double)at[3 * (size_t)corner[1] + (size_t)i] +
                   w2 * (double)at[3 * (size_t)corner[2] + (size_t)i];
    memcpy(p->surface->texture.data + 3 * texel, p->b->colors[material_at(p->b, point)], 3);
}

static bool paint(const builder *b, kn_surface *s, kn_error *error) {
    int size = b->params->texture;
    painter p = {b, s};
    uint8_t *done = kn_alloc((size_t)size * (size_t)size, 1, error);
    bool ok = done && kn_image_init(&s->texture, size, size, 3, error);
    if (ok) {
        kn_texels_visit(s, size, done, paint_texel, &p);
        kn_texels_pad(&s->texture, done);
    }
    kn_free(done);
    return ok;
}

static bool name_triangles(const builder *b, uint8_t **materials, kn_error *error) {
    if (!materials) return true;
    if (!(*materials = kn_alloc(b->mesh.triangle_count, 1, error))) return false;
    for (size_t t = 0; t < b->mesh.triangle_count; t++) {
        double point[3] = {0};
        for (size_t k = 0; k < 9; k++)
            point[k % 3] += (double)b->mesh.positions[3 * (size_t)b->mesh.triangles[3 * t + k / 3] + k % 3] / 3;
        (*materials)[t] = (uint8_t)material_at(b, point);
    }
    return true;
}

static bool finish(builder *b, kn_surface **surface, uint8_t **materials, kn_error *error) {
    kn_surface *s = *surface = kn_alloc(1, sizeof *s, error);
    find_scale(b);
    for (int m = 0; m < KN_SHAPE_MATERIALS; m++) memcpy(b->colors[m], b->kind->materials[m].color, 3);
    if (b->params->paint) memcpy(b->colors[0], b->params->paint, 3);
    return s && place(b, s, error) && kn_atlas(s, b->params->texture, error) && paint(b, s, error) &&
           name_triangles(b, materials, error);
}

static bool check(const kn_shape_params *p, kn_error *error) {
    if (p->texture < 64 || p->texture > 8192 || (p->texture & (p->texture - 1)))
        return kn_fail(error, KN_ERROR_INPUT, "texture of %d pixels, expected a power of two from 64 to 8192",
                       p->texture);
    if (p->triangles && p->triangles < 100)
        return kn_fail(error, KN_ERROR_INPUT, "%zu triangles, expected at least 100", p->triangles);
    return (p->length > 0) + (p->width > 0) + (p->height > 0) <= 1 ||
           kn_fail(error, KN_ERROR_INPUT, "give only one of length, width and height");
}

bool kn_shape_surface(kn_surface **surface, uint8_t **materials, const float *sample, const kn_shape_class *kind,
                      const int size[3], const kn_shape_params *params, kn_error *error) {
    *surface = NULL;
    if (materials) *materials = NULL;
    if (!check(params, error)) return false;
    builder b = {.kind = kind, .size = size, .params = params};
    bool ok = (b.slices = kn_alloc(kn_shape_sample_floats(size), sizeof(float), error)) != NULL;
    if (ok) mirror(&b, sample);
    ok = ok && make_field(&b, error) && (!params->flat || flatten(&b, error)) && extract(&b, error) &&
         finish(&b, surface, materials, error);
    kn_free(b.slices), kn_free(b.field);
    kn_tris_finish(&b.mesh);
    if (ok) return true;
    kn_surface_destroy(surface);
    if (materials) kn_shape_materials_free(*materials), *materials = NULL;
    return false;
}

void kn_shape_materials_free(uint8_t *materials) { kn_free(materials); }
