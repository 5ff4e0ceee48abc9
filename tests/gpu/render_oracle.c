#include "render_oracle.h"

#include <math.h>
#include <string.h>

static kn_vec3 add(kn_vec3 a, kn_vec3 b) { return kn_vec3_add(a, b); }
static kn_vec3 sub(kn_vec3 a, kn_vec3 b) { return kn_vec3_sub(a, b); }
static kn_vec3 scale(kn_vec3 a, double s) { return kn_vec3_scale(a, s); }
static double dot(kn_vec3 a, kn_vec3 b) { return kn_vec3_dot(a, b); }

static const kn_actor_state *state_of(const oracle *o, int actor, size_t frame) {
    return &o->scene->timeline.states[frame * o->scene->timeline.actor_count + (size_t)actor];
}

kn_pose oracle_part_pose(const oracle *o, int actor, int wheel, size_t frame) {
    if (actor < 0) return kn_pose_identity();
    const kn_actor_state *state = state_of(o, actor, frame);
    if (wheel < 0) return state->pose;
    const kn_actor_wheel *w = &o->scene->world.models[actor].wheels[wheel];
    kn_pose steer = kn_pose_from_euler(w->position, w->steers ? atan(w->position.x * state->curvature) : 0, 0, 0);
    kn_pose turn = kn_pose_from_euler((kn_vec3){0, 0, 0}, 0, state->wheel_angle, 0),
            both = kn_pose_multiply(&steer, &turn);
    return kn_pose_multiply(&state->pose, &both);
}

unsigned oracle_part(const oracle *o, const oracle_triangle *triangle) {
    unsigned part = 1;
    if (triangle->actor < 0) return 0;
    for (int i = 0; i < triangle->actor; i++) part += 1 + (unsigned)o->scene->world.models[i].wheel_count;
    return part + (unsigned)(triangle->wheel + 1);
}

static void take_mesh(oracle *o, const kn_mesh *mesh, int actor, int wheel) {
    kn_pose pose = oracle_part_pose(o, actor, wheel, o->frame);
    for (size_t i = 0; i < mesh->triangle_count; i++) {
        oracle_triangle *t = &o->triangles[o->count++];
        *t = (oracle_triangle){
            .material = mesh->material[i], .instance = mesh->instance[i], .actor = actor, .wheel = wheel};
        if (actor >= 0) t->instance = (uint16_t)o->scene->timeline.actors[actor].instance;
        for (int c = 0; c < 3; c++) {
            const float *p = mesh->position[mesh->triangle[i][c]], *n = mesh->normal[mesh->triangle[i][c]];
            t->corner[c] = kn_pose_point(&pose, (kn_vec3){p[0], p[1], p[2]});
            t->normal[c] = kn_pose_direction(&pose, (kn_vec3){n[0], n[1], n[2]});
        }
    }
}

bool oracle_init(oracle *o, const kn_scene *scene, size_t frame, kn_error *error) {
    *o = (oracle){.scene = scene, .frame = frame, .light = kn_light_setup_from_weather(&scene->timeline.weather)};
    const kn_world *world = &scene->world;
    size_t count = world->mesh.triangle_count;
    for (size_t i = 0; i < world->model_count; i++) {
        count += world->models[i].body.triangle_count;
        for (int w = 0; w < world->models[i].wheel_count; w++) count += world->models[i].wheels[w].mesh.triangle_count;
    }
    if (!(o->triangles = kn_alloc(count, sizeof *o->triangles, error))) return false;
    take_mesh(o, &world->mesh, -1, -1);
    for (size_t i = 0; i < world->model_count; i++) {
        if (scene->timeline.actors[i].is_ego || !state_of(o, (int)i, frame)->present) continue;
        take_mesh(o, &world->models[i].body, (int)i, -1);
        for (int w = 0; w < world->models[i].wheel_count; w++)
            take_mesh(o, &world->models[i].wheels[w].mesh, (int)i, w);
    }
    return true;
}

void oracle_finish(oracle *o) { kn_free(o->triangles); }

oracle_hit oracle_trace(const oracle *o, kn_vec3 origin, kn_vec3 direction, double t_min, double t_max) {
    oracle_hit best = {.t = t_max};
    for (size_t i = 0; i < o->count; i++) {
        const oracle_triangle *tri = &o->triangles[i];
        kn_vec3 e1 = sub(tri->corner[1], tri->corner[0]), e2 = sub(tri->corner[2], tri->corner[0]);
        kn_vec3 p = kn_vec3_cross(direction, e2), s = sub(origin, tri->corner[0]), q = kn_vec3_cross(s, e1);
        double determinant = dot(e1, p), u = dot(s, p) / determinant, v = dot(direction, q) / determinant,
               t = dot(e2, q) / determinant;
        if (!(u >= -1e-5 && v >= -1e-5 && 1 - u - v >= -1e-5 && t > t_min && t < best.t)) continue;
        kn_vec3 g = kn_vec3_normalize(kn_vec3_cross(e1, e2));
        if (dot(g, direction) > 0) g = scale(g, -1);
        kn_vec3 n = add(add(scale(tri->normal[0], 1 - u - v), scale(tri->normal[1], u)), scale(tri->normal[2], v));
        n = dot(n, n) > 1e-12 ? kn_vec3_normalize(n) : g;
        if (dot(n, g) < 0) n = scale(n, -1);
        best = (oracle_hit){tri, t, add(origin, scale(direction, t)), n, g};
    }
    return best;
}

static kn_pose camera_pose(const oracle *o, const kn_camera *camera, size_t frame) {
    kn_pose mount = {.translation = {camera->translation[0], camera->translation[1], camera->translation[2]}};
    memcpy(mount.rotation, camera->rotation, sizeof mount.rotation);
    return kn_pose_multiply(&state_of(o, 0, frame)->pose, &mount);
}

void oracle_ray(const oracle *o, const kn_camera *camera, double u, double v, kn_vec3 *origin, kn_vec3 *direction) {
    kn_pose pose = camera_pose(o, camera, o->frame);
    kn_vec3 local = {(u - camera->k[0][2]) / camera->k[0][0], (v - camera->k[1][2]) / camera->k[1][1], 1};
    *origin = pose.translation;
    *direction = kn_pose_direction(&pose, local);
}

void oracle_motion(const oracle *o, const kn_camera *camera, double u, double v, const oracle_hit *hit,
                   kn_vec3 direction, double motion[2]) {
    kn_pose before = camera_pose(o, camera, o->frame - 1), inverse = kn_pose_inverse(&before);
    kn_vec3 there;
    if (hit->triangle) {
        kn_vec3 point = hit->position;
        int actor = hit->triangle->actor;
        if (actor >= 0 && state_of(o, actor, o->frame - 1)->present) {
            kn_pose now = oracle_part_pose(o, actor, hit->triangle->wheel, o->frame), back = kn_pose_inverse(&now);
            kn_pose then = oracle_part_pose(o, actor, hit->triangle->wheel, o->frame - 1);
            kn_vec3 local = kn_pose_point(&back, point);
            point = kn_pose_point(&then, local);
        }
        there = kn_pose_point(&inverse, point);
    } else {
        there = kn_pose_direction(&inverse, direction);
    }
    motion[0] = u - (camera->k[0][0] * there.x / there.z + camera->k[0][2]);
    motion[1] = v - (camera->k[1][1] * there.y / there.z + camera->k[1][2]);
}

/* --- noise ------------------------------------------------------------------------------------ */

static void pcg4d(uint32_t v[4]) {
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 4; i++) v[i] = pass ? v[i] ^ v[i] >> 16 : v[i] * 1664525u + 1013904223u;
        v[0] += v[1] * v[3];
        v[1] += v[2] * v[0];
        v[2] += v[0] * v[1];
        v[3] += v[1] * v[2];
    }
}

static void gaussian(const uint32_t key[4], double g[4]) {
    uint32_t v[4];
    double u[4];
    memcpy(v, key, sizeof v);
    pcg4d(v);
    for (int i = 0; i < 4; i++) u[i] = ((v[i] >> 9) + .5) / 8388608;
    g[0] = sqrt(-2 * log(u[0])) * cos(2 * M_PI * u[1]);
    g[1] = sqrt(-2 * log(u[0])) * sin(2 * M_PI * u[1]);
    g[2] = sqrt(-2 * log(u[2])) * cos(2 * M_PI * u[3]);
    g[3] = sqrt(-2 * log(u[2])) * sin(2 * M_PI * u[3]);
}

/* The footprint: x across, y along, in the plane's axes unless swapped. */
typedef struct footprint {
    double x, y, across, along, shear;
    bool swapped;
} footprint;

static double overlap(double i, double low, double high) { return fmax(fmin(i + 1, high) - fmax(i, low), 0); }

static void octave(const footprint *f, int across, int along, const uint32_t domain[2], double weight,
                   double value[4]) {
    double cx = exp2(across), cy = exp2(along), sum[4] = {0}, squares = 0;
    uint32_t levels = f->swapped ? ((uint32_t)(along + 64) | (uint32_t)(across + 64) << 8)
                                 : ((uint32_t)(across + 64) | (uint32_t)(along + 64) << 8);
    double low = (f->y - f->along / 2) / cy, high = (f->y + f->along / 2) / cy;
    for (double row = floor(low); row < high; row++) {
        double x = f->x + f->shear * ((row + .5) * cy - f->y), left = (x - f->across / 2) / cx,
               right = (x + f->across / 2) / cx;
        for (double column = floor(left); column < right; column++) {
            double w = overlap(row, low, high) * overlap(column, left, right), g[4];
            int32_t a = (int32_t)(f->swapped ? row : column), b = (int32_t)(f->swapped ? column : row);
            const uint32_t key[4] = {(uint32_t)a, (uint32_t)b, domain[0] ^ levels, domain[1]};
            gaussian(key, g);
            squares += w * w;
            for (int c = 0; c < 4; c++) sum[c] += w * g[c];
        }
    }
    for (int c = 0; c < 4; c++) value[c] += weight * sum[c] / sqrt(squares);
}

static int longest(kn_vec3 v) {
    double x = fabs(v.x), y = fabs(v.y), z = fabs(v.z);
    return x >= y && x >= z ? 0 : y >= z ? 1 : 2;
}

static double part_of(kn_vec3 v, int axis) { return axis == 0 ? v.x : axis == 1 ? v.y : v.z; }

static footprint make_footprint(kn_vec3 at, kn_vec3 du, kn_vec3 dv, int axis) {
    int a = axis == 0 ? 1 : 0, b = axis == 2 ? 1 : 2;
    double au = part_of(du, a), av = part_of(dv, a), bu = part_of(du, b), bv = part_of(dv, b);
    footprint f = {.x = part_of(at, a), .y = part_of(at, b)};
    double wide = au * au + av * av, high = bu * bu + bv * bv, determinant = fabs(au * bv - av * bu);
    f.swapped = wide > high;
    if (f.swapped) f.x = part_of(at, b), f.y = part_of(at, a), high = wide;
    f.along = sqrt(high);
    f.across = fmax(determinant / f.along, f.along * 1e-3);
    f.shear = (au * bu + av * bv) / high;
    return f;
}

/* Where the ray through (u, v) meets the plane through `hit`, in the coordinates of what it belongs to. */
static kn_vec3 on_plane(const oracle *o, const kn_camera *camera, double u, double v, const oracle_hit *hit,
                        const kn_pose *to_local) {
    kn_vec3 origin, ray;
    oracle_ray(o, camera, u, v, &origin, &ray);
    double t = dot(hit->geometric_normal, sub(hit->position, origin)) / dot(hit->geometric_normal, ray);
    return kn_pose_point(to_local, add(origin, scale(ray, t)));
}

void oracle_noise(const oracle *o, const kn_camera *camera, double u, double v, uint64_t seed, int group,
                  double value[4]) {
    const double e = 1e-4;
    kn_vec3 origin, ray, at, du, dv, normal;
    oracle_ray(o, camera, u, v, &origin, &ray);
    oracle_hit hit = oracle_trace(o, origin, ray, .02, 1e9);
    uint32_t domain[4] = {0, 0, 0xffffffffu, 0};
    if (hit.triangle) {
        kn_pose part = oracle_part_pose(o, hit.triangle->actor, hit.triangle->wheel, o->frame),
                local = kn_pose_inverse(&part);
        if (hit.triangle->actor < 0) local.translation = scale(o->origin, -1);
        at = kn_pose_point(&local, hit.position);
        du = scale(sub(on_plane(o, camera, u + e, v, &hit, &local), on_plane(o, camera, u - e, v, &hit, &local)),
                   .5 / e);
        dv = scale(sub(on_plane(o, camera, u, v + e, &hit, &local), on_plane(o, camera, u, v - e, &hit, &local)),
                   .5 / e);
        normal = kn_pose_direction(&local, hit.geometric_normal);
        domain[2] = oracle_part(o, hit.triangle) << 16 | hit.triangle->instance;
    } else {
        kn_vec3 near[5];
        const double steps[5][2] = {{0, 0}, {e, 0}, {-e, 0}, {0, e}, {0, -e}};
        int face = longest(ray);
        for (int i = 0; i < 5; i++) {
            oracle_ray(o, camera, u + steps[i][0], v + steps[i][1], &origin, &near[i]);
            near[i] = scale(near[i], 1 / part_of(near[i], face));
        }
        at = near[0];
        du = scale(sub(near[1], near[2]), .5 / e);
        dv = scale(sub(near[3], near[4]), .5 / e);
        normal = ray;
    }
    int axis = longest(normal);
    domain[3] = (uint32_t)axis * 2 + (part_of(normal, axis) > 0) + (uint32_t)group * 8;
    seed = kn_hash64(seed);
    domain[0] = (uint32_t)seed;
    domain[1] = (uint32_t)(seed >> 32);
    pcg4d(domain);
    footprint f = make_footprint(at, du, dv, axis);
    double x = log2(f.across / 6), y = log2(f.along / 6), turn_x = (x - floor(x)) * M_PI / 2,
           turn_y = (y - floor(y)) * M_PI / 2;
    memset(value, 0, 4 * sizeof *value);
    for (int i = 0; i < 4; i++)
        octave(&f, (int)floor(x) + (i & 1), (int)floor(y) + (i >> 1), domain,
               (i & 1 ? sin(turn_x) : cos(turn_x)) * (i >> 1 ? sin(turn_y) : cos(turn_y)), value);
}
