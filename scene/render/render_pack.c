/* The world as the shaders read it. */
#include "scene/render/render_internal.h"

#include <math.h>
#include <string.h>

void kn_render_pack_triangle(const float position[3][3], const float normal[3][3], const float uv[3][2],
                             uint16_t material, uint16_t instance, size_t part, bool last, float *triangle,
                             float *attributes) {
    for (int a = 0; a < 3; a++) {
        triangle[a] = position[0][a];
        triangle[4 + a] = position[1][a] - position[0][a];
        triangle[8 + a] = position[2][a] - position[0][a];
        attributes[a] = normal[0][a];
        attributes[4 + a] = normal[1][a];
        attributes[8 + a] = normal[2][a];
    }
    triangle[3] = last ? 1.0f : 0.0f;
    triangle[7] = material;
    triangle[11] = instance;
    attributes[3] = uv[0][0];
    attributes[7] = uv[0][1];
    attributes[11] = uv[1][0];
    attributes[12] = uv[1][1];
    attributes[13] = uv[2][0];
    attributes[14] = uv[2][1];
    attributes[15] = (float)part;
}

/* Every index of a mesh must lie inside its arrays: the shaders do not look. */
static bool check_mesh(const kn_mesh *mesh, size_t material_count, const char *name, kn_error *error) {
    for (size_t i = 0; i < mesh->triangle_count; i++) {
        for (int c = 0; c < 3; c++)
            if (mesh->triangle[i][c] >= mesh->vertex_count)
                return kn_fail(error, KN_ERROR_INTERNAL, "%s: triangle %zu names vertex %u of %zu", name, i,
                               (unsigned)mesh->triangle[i][c], mesh->vertex_count);
        if (mesh->material[i] >= material_count)
            return kn_fail(error, KN_ERROR_INTERNAL, "%s: triangle %zu names material %u of %zu", name, i,
                           (unsigned)mesh->material[i], material_count);
    }
    return true;
}

static bool check_world(const kn_scene *scene, const kn_world *world, kn_error *error) {
    if (!check_mesh(&world->mesh, world->material_count, "world", error)) return false;
    if (world->model_count > scene->timeline.actor_count)
        return kn_fail(error, KN_ERROR_INTERNAL, "world has %zu models for %zu actors", world->model_count,
                       scene->timeline.actor_count);
    for (size_t i = 0; i < world->model_count; i++) {
        const kn_actor_model *model = &world->models[i];
        const char *name = scene->timeline.actors[i].name;
        if (!check_mesh(&model->body, world->material_count, name, error)) return false;
        for (int w = 0; w < model->wheel_count; w++)
            if (!check_mesh(&model->wheels[w].mesh, world->material_count, name, error)) return false;
    }
    return true;
}

/* The middle of the world, in whole metres, so that fp32 is as fine as it can be near the ego. */
static kn_vec3 middle_of(const kn_mesh *mesh) {
    double low[3] = {0}, high[3] = {0};
    for (size_t i = 0; i < mesh->vertex_count; i++)
        for (int a = 0; a < 3; a++) {
            double x = mesh->position[i][a];
            low[a] = i == 0 || x < low[a] ? x : low[a];
            high[a] = i == 0 || x > high[a] ? x : high[a];
        }
    kn_vec3 middle = {floor((low[0] + high[0]) / 2), floor((low[1] + high[1]) / 2), 0};
    return isfinite(middle.x) && isfinite(middle.y) ? middle : (kn_vec3){0, 0, 0};
}

static void triangle_corners(const kn_renderer *renderer, const kn_mesh *mesh, size_t triangle, float position[3][3],
                             float normal[3][3], float uv[3][2]) {
    const kn_vec3 shift = kn_vec3_sub(renderer->origin, renderer->world->origin);
    const double origin[3] = {shift.x, shift.y, shift.z};
    for (int c = 0; c < 3; c++) {
        uint32_t v = mesh->triangle[triangle][c];
        for (int a = 0; a < 3; a++) {
            position[c][a] = (float)(mesh->position[v][a] - origin[a]);
            normal[c][a] = mesh->normal[v][a];
        }
        memcpy(uv[c], mesh->uv[v], sizeof uv[c]);
    }
}

static bool build_tree(kn_renderer *renderer, kn_bvh *bvh, kn_error *error) {
    const kn_mesh *mesh = &renderer->world->mesh;
    kn_bvh_box *boxes = kn_alloc(mesh->triangle_count, sizeof *boxes, error);
    if (!boxes) return false;
    for (size_t i = 0; i < mesh->triangle_count; i++) {
        float position[3][3], normal[3][3], uv[3][2];
        triangle_corners(renderer, mesh, i, position, normal, uv);
        for (int a = 0; a < 3; a++) {
            boxes[i].low[a] = fminf(position[0][a], fminf(position[1][a], position[2][a]));
            boxes[i].high[a] = fmaxf(position[0][a], fmaxf(position[1][a], position[2][a]));
        }
    }
    bool good = kn_bvh_build(bvh, boxes, mesh->triangle_count, error);
    kn_free(boxes);
    return good;
}

/* A buffer that uniform texel views can cover. */
static bool make_buffer(kn_renderer *renderer, kn_gpu_buffer **buffer, size_t texels, const char *what,
                        kn_error *error) {
    if (texels > kn_gpu_get_info(renderer->gpu)->max_texel_elements)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "the scene's %s need %zu texels, the device reads at most %llu",
                       what, texels, (unsigned long long)kn_gpu_get_info(renderer->gpu)->max_texel_elements);
    return kn_gpu_buffer_create(buffer, renderer->gpu, kn_max_size(texels, 16) * 16, KN_GPU_MEMORY_DEVICE, error);
}

static bool upload_nodes(kn_renderer *renderer, const kn_bvh *bvh, kn_error *error) {
    uint32_t *scratch = kn_alloc(bvh->node_count + 1, 2 * sizeof *scratch, error);
    kn_bvh_packed *nodes = kn_alloc(renderer->static_nodes, sizeof *nodes, error);
    bool good = scratch && nodes;
    size_t bytes = renderer->static_nodes * sizeof *nodes;
    for (int order = 0; good && bytes > 0 && order < KN_BVH_ORDERS; order++) {
        kn_bvh_emit(bvh, &renderer->grid, order, (size_t)order * renderer->static_nodes, 0, KN_BVH_END, scratch, nodes);
        good = kn_gpu_upload(renderer->nodes, (size_t)order * bytes, nodes, bytes, error);
    }
    kn_free(nodes);
    kn_free(scratch);
    return good;
}

static bool upload_triangles(kn_renderer *renderer, const kn_bvh *bvh, kn_error *error) {
    const kn_mesh *mesh = &renderer->world->mesh;
    size_t count = bvh->triangle_count;
    float *triangles = kn_alloc(count, 12 * sizeof *triangles, error), *attributes = NULL;
    uint8_t *last = kn_alloc(count, 1, error);
    bool good = triangles && last && (attributes = kn_alloc(count, 16 * sizeof *attributes, error));
    for (size_t n = 0; good && n < bvh->node_count; n++)
        if (bvh->nodes[n].count) last[bvh->nodes[n].first + bvh->nodes[n].count - 1] = 1;
    for (size_t i = 0; good && i < count; i++) {
        float position[3][3], normal[3][3], uv[3][2];
        size_t source = bvh->order[i];
        triangle_corners(renderer, mesh, source, position, normal, uv);
        kn_render_pack_triangle(position, normal, uv, mesh->material[source], mesh->instance[source], 0, last[i],
                                triangles + i * 12, attributes + i * 16);
    }
    good = good && (count == 0 || (kn_gpu_upload(renderer->triangles, 0, triangles, count * 48, error) &&
                                   kn_gpu_upload(renderer->attributes, 0, attributes, count * 64, error)));
    kn_free(triangles);
    kn_free(attributes);
    kn_free(last);
    return good;
}

/* Photographs lie behind the materials: a texel for each, then their levels. */
static bool upload_pictures(kn_renderer *renderer, const kn_render_materials *pack, kn_error *error) {
    size_t first = renderer->first_picture, levels = first + pack->count;
    for (size_t i = 0; i < pack->count; i++) {
        const float head[4] = {(float)(levels + i * KN_RENDER_PICTURE_TEXELS), pack->pictures[i].metres, 0, 0};
        if (!kn_gpu_upload(renderer->materials, (first + i) * sizeof head, head, sizeof head, error)) return false;
    }
    size_t bytes = pack->count * KN_RENDER_PICTURE_TEXELS * sizeof *pack->texels;
    return bytes == 0 || kn_gpu_upload(renderer->materials, levels * sizeof *pack->texels, pack->texels, bytes, error);
}

static bool upload_rows(kn_renderer *renderer, const kn_render_materials *pack, kn_error *error) {
    const kn_world *world = renderer->world;
    float(*words)[12] = kn_alloc(world->material_count + 1, sizeof *words, error);
    if (!words) return false;
    for (size_t i = 0; i < world->material_count; i++) {
        const kn_material *m = &world->materials[i];
        int picture = kn_render_materials_choose(pack, m, renderer->params.materials_seed);
        const float row[12] = {m->color[0],       m->color[1],        m->color[2],
                               m->roughness,      m->emission[0],     m->emission[1],
                               m->emission[2],    m->metallic,        (float)((int)m->texture + 32 * picture),
                               (float)m->emitter, (float)m->semantic, m->wettable};
        memcpy(words[i], row, sizeof row);
    }
    bool good = kn_gpu_upload(renderer->materials, 0, words, (world->material_count + 1) * sizeof *words, error);
    kn_free(words);
    return good;
}

static bool upload_materials(kn_renderer *renderer, kn_error *error) {
    kn_render_materials pack = {0};
    kn_render_sky *sky = &renderer->sky;
    if (renderer->params.materials && !kn_render_materials_read(&pack, renderer->params.materials, error)) return false;
    bool good =
        !renderer->params.sky || kn_render_sky_read(sky, renderer->params.sky, renderer->params.sky_lift, error);
    renderer->first_picture = (renderer->world->material_count + 1) * 3;
    renderer->first_sky = renderer->first_picture + pack.count * (1 + KN_RENDER_PICTURE_TEXELS);
    size_t own = (size_t)sky->width * (size_t)sky->height, texels = renderer->first_sky + own;
    good = good && (texels < 1u << 24 || kn_fail(error, KN_ERROR_UNSUPPORTED, "too many materials and pictures"));
    good = good && make_buffer(renderer, &renderer->materials, texels, "materials", error) &&
           upload_rows(renderer, &pack, error) && upload_pictures(renderer, &pack, error) &&
           (own == 0 || kn_gpu_upload(renderer->materials, renderer->first_sky * sizeof *sky->texels, sky->texels,
                                      own * sizeof *sky->texels, error));
    kn_free(sky->texels);
    sky->texels = NULL;
    kn_render_materials_finish(&pack);
    return good;
}

static const float BELOW = 40, ABOVE = 60; /* metres of land and road users under and over what is built */

/* Everything that a ray may meet at any frame lies inside the grid. */
static kn_bvh_grid make_grid(const kn_renderer *renderer, const kn_bvh *bvh) {
    const kn_timeline *timeline = &renderer->scene->timeline;
    kn_bvh_box all = {{-1, -1, -1}, {1, 1, 1}};
    if (bvh->node_count) all = bvh->nodes[0].box;
    if (renderer->scene->windows) { /* whoever moves where in the clip must not matter */
        all.low[2] -= BELOW, all.high[2] += ABOVE;
        return kn_bvh_grid_over(&all);
    }
    for (size_t i = 0; i < timeline->frame_count * timeline->actor_count; i++) {
        if (!timeline->states[i].present) continue;
        kn_vec3 p = kn_vec3_sub(timeline->states[i].pose.translation, renderer->origin);
        const double at[3] = {p.x, p.y, p.z};
        const float reach = renderer->moving.radius;
        for (int a = 0; a < 3; a++) {
            all.low[a] = fminf(all.low[a], (float)at[a] - reach);
            all.high[a] = fmaxf(all.high[a], (float)at[a] + reach);
        }
    }
    return kn_bvh_grid_over(&all);
}

bool kn_render_upload_static(kn_renderer *renderer, kn_error *error) {
    kn_bvh bvh = {0};
    if (!check_world(renderer->scene, renderer->world, error)) return false;
    /* the same in all windows: what is anchored to the world stays where it is */
    renderer->origin = renderer->scene->windows ? renderer->world->origin : middle_of(&renderer->world->mesh);
    bool good = build_tree(renderer, &bvh, error);
    size_t moving = renderer->moving.triangle_max, triangles = bvh.triangle_count + moving;
    renderer->static_triangles = bvh.triangle_count;
    renderer->static_nodes = bvh.node_count ? bvh.node_count + 1 : 0;
    renderer->grid = make_grid(renderer, &bvh);
    size_t nodes = KN_BVH_ORDERS * (renderer->static_nodes + 2 * moving + 1);
    if (good && nodes >= 1u << 24)
        good = kn_fail(error, KN_ERROR_UNSUPPORTED, "scene of %zu triangles is too large for the renderer", triangles);
    good = good && make_buffer(renderer, &renderer->nodes, nodes, "boxes", error) &&
           make_buffer(renderer, &renderer->triangles, triangles * 3, "triangles", error) &&
           make_buffer(renderer, &renderer->attributes, triangles * 4, "triangles", error) &&
           upload_nodes(renderer, &bvh, error) && upload_triangles(renderer, &bvh, error) &&
           upload_materials(renderer, error);
    kn_bvh_finish(&bvh);
    return good;
}
