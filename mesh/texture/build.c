/* The whole way from views to a surface. */
#include "mesh/views/mesh.h"
#include "mesh/surface/scene.h"

#include <string.h>

typedef struct builder {
    kn_gpu *gpu;
    const kn_surface_params *params;
    kn_eyes eyes;
    kn_grid grid;
    float *hull, *field, *weight;
    kn_stereo *stereo;
    kn_depth *depths;
    kn_tris mesh;
} builder;

static bool step(builder *b, const char *stage, int percent, kn_error *error) {
    if (b->params->progress && !b->params->progress(b->params->progress_user, stage, (uint64_t)percent, 100))
        return kn_fail(error, KN_ERROR_CANCELLED, "stopped");
    return true;
}

/* The zero level of a field, without crumbs. */
static bool extract(builder *b, const float *values, kn_error *error) {
    size_t count = kn_grid_count(&b->grid);
    kn_tris_finish(&b->mesh);
    float *copy = kn_alloc(count, sizeof *copy, error);
    bool ok = copy != NULL;
    if (ok) {
        memcpy(copy, values, count * sizeof *copy);
        ok = kn_tets_extract(&b->mesh, &b->grid, copy, error) && kn_topology_keep_large(&b->mesh,
                                                                                        b->params->keep_pieces ? 1e-4
                                                                                        : b->eyes.no_mask      ? 1
                                                                                                               : 0.02,
                                                                                        error);
    }
    kn_free(copy);
    if (ok)
        kn_log_line(&b->params->log, KN_LOG_DEBUG, "grid %d x %d x %d, %zu triangles", b->grid.size[0], b->grid.size[1],
                    b->grid.size[2], b->mesh.triangle_count);
    if (ok && b->mesh.triangle_count == 0)
        return kn_fail(
            error, KN_ERROR_INPUT,
            "the masks never overlap: no point lies inside all of them; do the cameras belong to these pictures?");
    return ok;
}

static bool carve(builder *b, kn_error *error) {
    double ground = 0;
    bool ok = step(b, "hull", 2, error) &&
              kn_hull_carve(&b->grid, &b->hull, b->gpu, &b->eyes, b->params->resolution, error) &&
              extract(b, b->hull, error);
    if (!ok || b->eyes.no_mask) return ok;
    ok = kn_ground_cut(b->hull, &b->grid, &b->eyes, &b->mesh, &ground, error) && extract(b, b->hull, error);
    if (ok) kn_log_line(&b->params->log, KN_LOG_DEBUG, "stands at %.4f", ground);
    return ok;
}

/* The depths' surface: fused, made symmetric when wanted. */
static bool fuse(builder *b, kn_error *error) {
    bool ok = kn_fuse(b->field, b->weight, &b->grid, b->hull, b->gpu, &b->eyes, b->depths, error) &&
              extract(b, b->field, error);
    if (ok && b->params->symmetric)
        ok = kn_symmetrize(b->field, b->weight, &b->grid, &b->mesh, &b->params->log, error) &&
             extract(b, b->field, error);
    return ok;
}

/* Given depths fused, when there are any. */
static bool use_given(builder *b, bool *all, kn_error *error) {
    size_t given = 0;
    for (size_t e = 0; e < b->eyes.count; e++) given += b->eyes.items[e].depth != NULL;
    *all = given == b->eyes.count;
    if (!given) return true;
    return step(b, "depth", 5, error) && kn_given_depths(b->depths, &b->eyes, &b->mesh, error) && fuse(b, error);
}

static bool search(builder *b, int rounds, kn_error *error) {
    /* without masks the start is a ball, on which nothing can be told about gloss */
    bool glossy = false, ok = (b->eyes.no_mask || kn_gloss_find(&glossy, &b->eyes, &b->mesh, &b->params->log, error)) &&
                              kn_stereo_create(&b->stereo, b->gpu, &b->eyes, glossy, error);
    for (int r = 0; ok && r < rounds; r++) {
        int first = 5 + 75 * r / rounds, last = 5 + 75 * (r + 1) / rounds;
        double reach = r == 0 ? 0.06 : 0.02 / r;
        ok = kn_stereo_run(b->stereo, &b->mesh, reach, r > 0, b->depths, b->params, first, last, error) &&
             fuse(b, error);
    }
    kn_stereo_destroy(&b->stereo);
    return ok;
}

/* Waves and bumps of what is smooth or flat. */
static bool even_out(builder *b, kn_error *error) {
    if (b->eyes.no_mask && !b->params->planar) return true; /* a scene has no hull to bound it */
    return kn_relief(b->field, b->weight, b->hull, &b->grid, b->params->planar, &b->params->log, error) &&
           extract(b, b->field, error);
}

/* From the hull to the surface that depths show, given or searched. */
static bool refine(builder *b, kn_error *error) {
    bool all;
    b->field = kn_alloc(kn_grid_count(&b->grid), sizeof *b->field, error);
    b->weight = kn_alloc(kn_grid_count(&b->grid), sizeof *b->weight, error);
    if (!b->field || !b->weight) return false;
    memcpy(b->field, b->hull, kn_grid_count(&b->grid) * sizeof *b->field);
    return use_given(b, &all, error) && (all || b->params->rounds == 0 || search(b, b->params->rounds, error));
}

/* Pictures without masks and without given depth. */
static bool is_scene(const builder *b) {
    bool given = false;
    for (size_t e = 0; e < b->eyes.count; e++) given |= b->eyes.items[e].depth != NULL;
    return b->eyes.no_mask && !given && b->params->rounds > 0;
}

static bool build_scene(builder *b, kn_error *error) {
    return kn_scene_build(&b->grid, &b->hull, &b->field, &b->weight, b->gpu, &b->eyes, b->params, error) &&
           extract(b, b->field, error);
}

/* Simplified, placed and painted. */
static bool finish(builder *b, kn_surface **surface, kn_error *error) {
    if (!step(b, "texture", 82, error) || !kn_simplify(&b->mesh, b->params->triangles, error)) return false;
    kn_surface *s = *surface = kn_alloc(1, sizeof *s, error);
    const float *field = b->field ? b->field : b->hull;
    float *normals = s ? kn_field_normals(&b->mesh, &b->grid, field, error) : NULL;
    bool ok = normals && kn_place(s, &b->mesh, normals, &b->eyes, b->params, error) &&
              kn_atlas(s, b->params->texture, error) && step(b, "texture", 88, error) &&
              kn_bake(s, &b->mesh, &b->eyes, b->params->texture, error) &&
              kn_bake_normals(s, &b->mesh, &b->grid, field, b->params->texture, error) &&
              step(b, "texture", 100, error);
    if (!ok) kn_surface_destroy(surface);
    return ok;
}

static bool check_params(const kn_surface_params *p, kn_error *error) {
    if (p->resolution != 0 && (p->resolution < 32 || p->resolution > 512))
        return kn_fail(error, KN_ERROR_INPUT, "resolution %d, expected 32 to 512", p->resolution);
    if (p->rounds < 0 || p->rounds > 4) return kn_fail(error, KN_ERROR_INPUT, "%d rounds, expected 0 to 4", p->rounds);
    if (p->texture < 64 || p->texture > 8192 || (p->texture & (p->texture - 1)))
        return kn_fail(error, KN_ERROR_INPUT, "texture of %d pixels, expected a power of two from 64 to 8192",
                       p->texture);
    if (p->triangles && p->triangles < 100)
        return kn_fail(error, KN_ERROR_INPUT, "%zu triangles, expected at least 100", p->triangles);
    for (int i = 0; i < 3; i++)
        if (!isfinite(p->box[i]) || !isfinite(p->box[3 + i]) ||
            (p->box[3] != p->box[0] && !(p->box[3 + i] > p->box[i])))
            return kn_fail(error, KN_ERROR_INPUT, "box: expected x0,y0,z0,x1,y1,z1 with x0 < x1, y0 < y1 and z0 < z1");
    if (p->box[3] > p->box[0] && !p->no_mask)
        return kn_fail(error, KN_ERROR_INPUT, "a box is for scenes without masks");
    if ((p->length > 0) + (p->width > 0) + (p->height > 0) > 1)
        return kn_fail(error, KN_ERROR_INPUT, "give only one of length, width and height");
    return true;
}

bool kn_surface_build(kn_surface **surface, kn_gpu *gpu, const kn_surface_view *views, size_t count,
                      const kn_surface_params *params, kn_error *error) {
    *surface = NULL;
    if (!check_params(params, error)) return false;
    builder b = {.gpu = gpu, .params = params};
    bool ok = step(&b, "masks", 0, error) && kn_eyes_init(&b.eyes, views, count, params, error);
    b.depths = ok ? kn_alloc(count, sizeof *b.depths, error) : NULL;
    ok = b.depths && (is_scene(&b) ? build_scene(&b, error) : carve(&b, error) && refine(&b, error)) &&
         even_out(&b, error) && finish(&b, surface, error);
    for (size_t i = 0; b.depths && i < count; i++) kn_free(b.depths[i].planes);
    kn_free(b.depths), kn_free(b.hull), kn_free(b.field), kn_free(b.weight);
    kn_tris_finish(&b.mesh);
    kn_eyes_finish(&b.eyes);
    return ok;
}

void kn_surface_destroy(kn_surface **surface) {
    kn_surface *s = *surface;
    if (!s) return;
    kn_free(s->positions), kn_free(s->normals), kn_free(s->colors), kn_free(s->confidence);
    kn_free(s->triangles), kn_free(s->corners), kn_free(s->charts);
    kn_image_finish(&s->texture), kn_image_finish(&s->normal_map);
    kn_free(s->chart_axes);
    kn_free(s);
    *surface = NULL;
}
