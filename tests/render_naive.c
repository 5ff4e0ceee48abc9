/* A naive z-buffer renderer: see render_naive.h. */
#include "tests/render_naive.h"

#include <string.h>

#define NEAR 0.05

typedef struct raster {
    const kn_camera *camera;
    const kn_naive_target *target;
    const kn_world *world;
    float *depth;
    kn_vec3 eye;
} raster;

typedef struct corner {
    kn_vec3 camera, normal; /* position in camera axes; normal in the world */
} corner;

static kn_vec3 to_camera(const kn_camera *c, kn_vec3 p) {
    double d[3] = {p.x - c->translation[0], p.y - c->translation[1], p.z - c->translation[2]}, out[3];
    for (int i = 0; i < 3; i++) out[i] = c->rotation[0][i] * d[0] + c->rotation[1][i] * d[1] + c->rotation[2][i] * d[2];
    return (kn_vec3){out[0], out[1], out[2]};
}

static void put(const raster *r, size_t pixel, kn_vec3 normal, double z, uint16_t material, uint16_t instance,
                kn_vec3 ray) {
    const kn_naive_target *t = r->target;
    size_t plane = (size_t)r->camera->width * (size_t)r->camera->height;
    r->depth[pixel] = (float)z;
    const kn_material *m = &r->world->materials[material];
    normal = kn_vec3_normalize(normal);
    if (kn_vec3_dot(normal, ray) > 0) normal = kn_vec3_scale(normal, -1);
    if (t->semantic) t->semantic[pixel] = (uint8_t)m->semantic;
    if (t->instance) t->instance[pixel] = instance;
    if (t->material) t->material[pixel] = material;
    for (size_t k = 0; k < 3 && t->normal; k++) t->normal[k * plane + pixel] = (float)(&normal.x)[k];
    for (size_t k = 0; k < 3 && t->color; k++) t->color[k * plane + pixel] = m->color[k];
}

/* Fills a triangle that lies in front of the near plane. */
static void fill(const raster *r, const corner c[3], uint16_t material, uint16_t instance) {
    const kn_camera *cam = r->camera;
    double u[3], v[3], w[3];
    for (int i = 0; i < 3; i++) {
        w[i] = 1 / c[i].camera.z;
        u[i] = (cam->k[0][0] * c[i].camera.x + cam->k[0][1] * c[i].camera.y) * w[i] + cam->k[0][2];
        v[i] = cam->k[1][1] * c[i].camera.y * w[i] + cam->k[1][2];
    }
    double area = (u[1] - u[0]) * (v[2] - v[0]) - (u[2] - u[0]) * (v[1] - v[0]);
    if (fabs(area) < 1e-12) return;
    int x0 = (int)fmax(0, floor(fmin(u[0], fmin(u[1], u[2])) - .5)),
        x1 = (int)fmin(cam->width - 1, ceil(fmax(u[0], fmax(u[1], u[2])) - .5));
    int y0 = (int)fmax(0, floor(fmin(v[0], fmin(v[1], v[2])) - .5)),
        y1 = (int)fmin(cam->height - 1, ceil(fmax(v[0], fmax(v[1], v[2])) - .5));
    for (int y = y0; y <= y1; y++) {
        for (int x = x0; x <= x1; x++) {
            double px = x + .5, py = y + .5;
            double a = ((u[1] - px) * (v[2] - py) - (u[2] - px) * (v[1] - py)) / area;
            double b = ((u[2] - px) * (v[0] - py) - (u[0] - px) * (v[2] - py)) / area, g = 1 - a - b;
            if (a < 0 || b < 0 || g < 0) continue;
            double inverse = a * w[0] + b * w[1] + g * w[2], z = 1 / inverse;
            size_t pixel = (size_t)y * (size_t)cam->width + (size_t)x;
            if (!(z < r->depth[pixel])) continue;
            kn_vec3 n = kn_vec3_add(
                kn_vec3_scale(c[0].normal, a * w[0] * z),
                kn_vec3_add(kn_vec3_scale(c[1].normal, b * w[1] * z), kn_vec3_scale(c[2].normal, g * w[2] * z)));
            double dx = (px - cam->k[0][2]) / cam->k[0][0], dy = (py - cam->k[1][2]) / cam->k[1][1];
            kn_vec3 ray = {0, 0, 0};
            for (int k = 0; k < 3; k++)
                (&ray.x)[k] = cam->rotation[k][0] * dx + cam->rotation[k][1] * dy + cam->rotation[k][2];
            put(r, pixel, n, z, material, instance, ray);
        }
    }
}

/* Cuts a triangle at the near plane and fills what is left. */
static void draw(const raster *r, const corner in[3], uint16_t material, uint16_t instance) {
    corner out[4];
    int n = 0;
    for (int i = 0; i < 3; i++) {
        const corner *a = &in[i], *b = &in[(i + 1) % 3];
        bool ia = a->camera.z >= NEAR, ib = b->camera.z >= NEAR;
        if (ia) out[n++] = *a;
        if (ia != ib) {
            double t = (NEAR - a->camera.z) / (b->camera.z - a->camera.z);
            out[n].camera = kn_vec3_add(kn_vec3_scale(a->camera, 1 - t), kn_vec3_scale(b->camera, t));
            out[n++].normal = kn_vec3_add(kn_vec3_scale(a->normal, 1 - t), kn_vec3_scale(b->normal, t));
        }
    }
    for (int i = 2; i < n; i++) fill(r, (corner[]){out[0], out[i - 1], out[i]}, material, instance);
}

static void draw_mesh(const raster *r, const kn_mesh *mesh, const kn_pose *pose, int instance) {
    for (size_t i = 0; i < mesh->triangle_count; i++) {
        corner c[3];
        for (int k = 0; k < 3; k++) {
            const float *p = mesh->position[mesh->triangle[i][k]], *n = mesh->normal[mesh->triangle[i][k]];
            c[k].camera = to_camera(r->camera, kn_pose_point(pose, (kn_vec3){p[0], p[1], p[2]}));
            c[k].normal = kn_pose_direction(pose, (kn_vec3){n[0], n[1], n[2]});
        }
        draw(r, c, mesh->material[i], instance >= 0 ? (uint16_t)instance : mesh->instance[i]);
    }
}

static void draw_actor(const raster *r, const kn_actor_model *model, const kn_actor *actor,
                       const kn_actor_state *state) {
    draw_mesh(r, &model->body, &state->pose, actor->instance);
    double base = 0;
    for (int i = 0; i < model->wheel_count; i++)
        base = fmax(base, model->wheels[i].position.x - model->wheels[0].position.x);
    for (int i = 0; i < model->wheel_count; i++) {
        const kn_actor_wheel *wheel = &model->wheels[i];
        double steer = wheel->steers ? atan(state->curvature * fmax(2, fabs(wheel->position.x))) : 0;
        kn_pose turn = kn_pose_from_euler(wheel->position, steer, 0, 0),
                spin = kn_pose_from_euler((kn_vec3){0, 0, 0}, 0, state->wheel_angle, 0);
        kn_pose local = kn_pose_multiply(&turn, &spin), world = kn_pose_multiply(&state->pose, &local);
        draw_mesh(r, &wheel->mesh, &world, actor->instance);
    }
}

bool kn_naive_render(const kn_world *world, const kn_timeline *timeline, size_t frame, const kn_camera *camera,
                     const kn_naive_target *target, kn_error *error) {
    size_t plane = (size_t)camera->width * (size_t)camera->height;
    float *depth = kn_alloc(plane, sizeof *depth, error);
    if (!depth) return false;
    for (size_t i = 0; i < plane; i++) depth[i] = INFINITY;
    if (target->semantic) memset(target->semantic, 0, plane);
    if (target->instance) memset(target->instance, 0, plane * sizeof *target->instance);
    if (target->material) memset(target->material, 0xff, plane * sizeof *target->material);
    if (target->normal) memset(target->normal, 0, 3 * plane * sizeof *target->normal);
    if (target->color) memset(target->color, 0, 3 * plane * sizeof *target->color);
    raster r = {.camera = camera, .target = target, .world = world, .depth = depth};
    kn_pose identity = kn_pose_identity();
    draw_mesh(&r, &world->mesh, &identity, -1);
    for (size_t a = 0; timeline && a < timeline->actor_count && a < world->model_count; a++) {
        const kn_actor_state *state = &timeline->states[frame * timeline->actor_count + a];
        if (state->present && !timeline->actors[a].is_ego)
            draw_actor(&r, &world->models[a], &timeline->actors[a], state);
    }
    if (target->depth) memcpy(target->depth, depth, plane * sizeof *depth);
    kn_free(depth);
    return true;
}
