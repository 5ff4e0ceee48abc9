/* The actors of one frame: placed, put into a tree and brought onto the device. */
#include "scene/render/render_internal.h"

#include <math.h>
#include <string.h>

/* Where a triangle of this frame comes from. */
typedef struct kn_render_piece {
    const kn_mesh *mesh;
    uint32_t triangle, first_vertex, part;
    uint16_t instance;
} kn_render_piece;

static const kn_actor_state *state_of(const kn_renderer *renderer, size_t actor, size_t frame) {
    const kn_timeline *timeline = &renderer->scene->timeline;
    return &timeline->states[frame * timeline->actor_count + actor];
}

/* Widens moving->radius so that it holds the mesh at this distance from the actor's origin. */
static void measure(kn_render_moving *moving, const kn_mesh *mesh, double away) {
    moving->triangle_max += mesh->triangle_count;
    moving->vertex_max += mesh->vertex_count;
    for (size_t v = 0; v < mesh->vertex_count; v++) {
        const float *p = mesh->position[v];
        moving->radius = fmaxf(moving->radius, sqrtf(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]) + (float)away);
    }
}

/* Distance of a part's joint from the actor's origin, however its parents turn. */
static double reach_of(const kn_actor_model *model, int part) {
    double reach = 0;
    for (; part >= 0; part = model->wheels[part].parent - 1) reach += kn_vec3_length(model->wheels[part].position);
    return reach;
}

bool kn_render_moving_init(kn_renderer *renderer, kn_error *error) {
    const kn_world *world = renderer->world;
    kn_render_moving *moving = &renderer->moving;
    moving->part_first = kn_alloc(world->model_count, sizeof *moving->part_first, error);
    if (!moving->part_first) return false;
    renderer->part_count = 1;
    for (size_t i = 0; i < world->model_count; i++) {
        const kn_actor_model *model = &world->models[i];
        moving->part_first[i] = renderer->part_count;
        renderer->part_count += 1 + (size_t)model->wheel_count;
        measure(moving, &model->body, 0);
        for (int w = 0; w < model->wheel_count; w++) measure(moving, &model->wheels[w].mesh, reach_of(model, w));
    }
    moving->lens_first = renderer->part_count;
    renderer->part_count += world->signal_count;
    for (size_t i = 0; i < world->signal_count; i++) measure(moving, &world->signals[i].lenses, 0);
    size_t triangles = moving->triangle_max;
    return (moving->position = kn_alloc(moving->vertex_max, sizeof *moving->position, error)) &&
           (moving->normal = kn_alloc(moving->vertex_max, sizeof *moving->normal, error)) &&
           (moving->pieces = kn_alloc(triangles, sizeof *moving->pieces, error)) &&
           (moving->boxes = kn_alloc(triangles, sizeof *moving->boxes, error)) &&
           (moving->scratch = kn_alloc(2 * triangles + 1, 2 * sizeof *moving->scratch, error)) &&
           (moving->nodes = kn_alloc(2 * triangles + 1, KN_BVH_ORDERS * sizeof *moving->nodes, error)) &&
           (moving->triangles = kn_alloc(triangles, 12 * sizeof *moving->triangles, error)) &&
           (moving->attributes = kn_alloc(triangles, 16 * sizeof *moving->attributes, error));
}

void kn_render_moving_finish(kn_render_moving *moving) {
    kn_bvh_finish(&moving->bvh);
    kn_free(moving->part_first);
    kn_free(moving->position);
    kn_free(moving->normal);
    kn_free(moving->pieces);
    kn_free(moving->boxes);
    kn_free(moving->scratch);
    kn_free(moving->nodes);
    kn_free(moving->triangles);
    kn_free(moving->attributes);
    *moving = (kn_render_moving){0};
}

kn_pose kn_render_part_pose(const kn_renderer *renderer, size_t actor, int wheel, size_t frame) {
    const kn_actor_state *state = state_of(renderer, actor, frame);
    kn_pose part = kn_actor_part_pose(&renderer->world->models[actor], wheel, state);
    return kn_pose_multiply(&state->pose, &part);
}

typedef struct cursor {
    size_t triangles, vertices;
} cursor;

static void place_mesh(kn_renderer *renderer, const kn_mesh *mesh, const kn_pose *pose, size_t part, uint16_t instance,
                       cursor *at) {
    kn_render_moving *moving = &renderer->moving;
    kn_pose local = *pose;
    local.translation = kn_vec3_sub(pose->translation, renderer->origin);
    for (size_t v = 0; v < mesh->vertex_count; v++) {
        const float *p = mesh->position[v], *n = mesh->normal[v];
        kn_vec3 position = kn_pose_point(&local, (kn_vec3){p[0], p[1], p[2]});
        kn_vec3 normal = kn_pose_direction(&local, (kn_vec3){n[0], n[1], n[2]});
        float *out = moving->position[at->vertices + v], *out_normal = moving->normal[at->vertices + v];
        out[0] = (float)position.x, out[1] = (float)position.y, out[2] = (float)position.z;
        out_normal[0] = (float)normal.x, out_normal[1] = (float)normal.y, out_normal[2] = (float)normal.z;
    }
    for (size_t i = 0; i < mesh->triangle_count; i++) {
        kn_render_piece *piece = &moving->pieces[at->triangles + i];
        kn_bvh_box *box = &moving->boxes[at->triangles + i];
        *piece = (kn_render_piece){mesh, (uint32_t)i, (uint32_t)at->vertices, (uint32_t)part, instance};
        const float *a = moving->position[at->vertices + mesh->triangle[i][0]];
        const float *b = moving->position[at->vertices + mesh->triangle[i][1]];
        const float *c = moving->position[at->vertices + mesh->triangle[i][2]];
        for (int k = 0; k < 3; k++) {
            box->low[k] = fminf(a[k], fminf(b[k], c[k]));
            box->high[k] = fmaxf(a[k], fmaxf(b[k], c[k]));
        }
    }
    at->vertices += mesh->vertex_count;
    at->triangles += mesh->triangle_count;
}

/* Who is farther away than the land reaches is not seen. */
static bool on_grid(const kn_renderer *renderer, size_t actor, size_t frame) {
    const kn_bvh_grid *grid = &renderer->grid;
    kn_vec3 p = kn_vec3_sub(state_of(renderer, actor, frame)->pose.translation, renderer->origin);
    const double at[3] = {p.x, p.y, p.z}, r = renderer->moving.radius;
    for (int a = 0; a < 3; a++)
        if (!(at[a] - r >= grid->low[a]) || !(at[a] + r <= grid->low[a] + 65535.0 * grid->cell[a])) return false;
    return true;
}

static size_t place_actors(kn_renderer *renderer, size_t frame) {
    const kn_world *world = renderer->world;
    cursor at = {0};
    for (size_t i = 0; i < world->model_count; i++) {
        const kn_actor *actor = &renderer->scene->timeline.actors[i];
        if (actor->is_ego || !state_of(renderer, i, frame)->present || !on_grid(renderer, i, frame)) continue;
        for (int w = -1; w < world->models[i].wheel_count; w++) {
            kn_pose pose = kn_render_part_pose(renderer, i, w, frame);
            const kn_mesh *mesh = w < 0 ? &world->models[i].body : &world->models[i].wheels[w].mesh;
            place_mesh(renderer, mesh, &pose, renderer->moving.part_first[i] + (size_t)(w + 1),
                       (uint16_t)actor->instance, &at);
        }
    }
    for (size_t i = 0; i < world->signal_count; i++) {
        const kn_signal_place *place = &world->signals[i];
        place_mesh(renderer, &place->lenses, &place->pose, renderer->moving.lens_first + i, place->instance, &at);
    }
    return at.triangles;
}

static void pack_moving(kn_render_moving *moving) {
    const kn_bvh *bvh = &moving->bvh;
    for (size_t i = 0; i < bvh->triangle_count; i++) {
        const kn_render_piece *piece = &moving->pieces[bvh->order[i]];
        const kn_mesh *mesh = piece->mesh;
        float position[3][3], normal[3][3], uv[3][2];
        for (int c = 0; c < 3; c++) {
            uint32_t v = mesh->triangle[piece->triangle][c];
            memcpy(position[c], moving->position[piece->first_vertex + v], sizeof position[c]);
            memcpy(normal[c], moving->normal[piece->first_vertex + v], sizeof normal[c]);
            memcpy(uv[c], mesh->uv[v], sizeof uv[c]);
        }
        kn_render_pack_triangle(position, normal, uv, mesh->material[piece->triangle], piece->instance, piece->part,
                                false, moving->triangles + i * 12, moving->attributes + i * 16);
    }
    for (size_t n = 0; n < bvh->node_count; n++)
        if (bvh->nodes[n].count) moving->triangles[(bvh->nodes[n].first + bvh->nodes[n].count - 1) * 12 + 3] = 1;
}

bool kn_render_moving_upload(kn_renderer *renderer, size_t frame, kn_error *error) {
    kn_render_moving *moving = &renderer->moving;
    if (renderer->built_frame == frame) return true;
    renderer->built_frame = SIZE_MAX;
    size_t count = place_actors(renderer, frame);
    if (!kn_bvh_build(&moving->bvh, moving->boxes, count, error)) return false;
    size_t nodes = count ? moving->bvh.node_count + 1 : 0, base = KN_BVH_ORDERS * renderer->static_nodes;
    pack_moving(moving);
    for (size_t order = 0; order < KN_BVH_ORDERS; order++) { /* the actors' tree goes on into the world's */
        uint32_t world = renderer->static_nodes ? (uint32_t)(order * renderer->static_nodes) : KN_BVH_END;
        size_t first = base + order * nodes;
        kn_bvh_emit(&moving->bvh, &renderer->grid, (int)order, first, renderer->static_triangles, world,
                    moving->scratch, moving->nodes + order * nodes);
        renderer->roots[order] = nodes ? (float)first : renderer->static_nodes ? (float)world : -1.0f;
    }
    if (count > 0 &&
        (!kn_gpu_upload(renderer->nodes, base * 16, moving->nodes, KN_BVH_ORDERS * nodes * 16, error) ||
         !kn_gpu_upload(renderer->triangles, renderer->static_triangles * 48, moving->triangles, count * 48, error) ||
         !kn_gpu_upload(renderer->attributes, renderer->static_triangles * 64, moving->attributes, count * 64, error)))
        return false;
    renderer->built_frame = frame;
    return true;
}
