/* The correspondences of a window: every point that a picture shows goes to the cell of the surface it lies on. */
#include "scene/render/surfaces.h"

#include <math.h>
#include <string.h>

enum { MAX_SIDE = 16384, SKY_DOMAIN = 65535 };
static const float LEAST_WEIGHT = 1e-4f; /* so that every cell has a mean */
static const float DECIDED_WEIGHT = 16;
static const double FLAT = .02; /* of the distance: points that far from one plane show one surface */
static const float PURE = .75f; /* share of its points on one surface from which a decided place counts */

/* --- life -------------------------------------------------------------------------------------- */

bool kn_surface_window_create(kn_surface_window **out, const kn_scene *scene, const kn_surface_params *params,
                              kn_error *error) {
    *out = NULL;
    if (params->width < 1 || params->height < 1 || params->width > MAX_SIDE || params->height > MAX_SIDE ||
        params->samples < 1 || params->samples > 8 || !(params->sky_angle > 1e-6 && params->sky_angle < 2))
        return kn_fail(error, KN_ERROR_INPUT, "surface cells: %dx%d places with %d samples of %g radians",
                       params->width, params->height, params->samples, params->sky_angle);
    kn_surface_window *window = kn_alloc(1, sizeof *window, error);
    if (!window) return false;
    window->scene = scene;
    window->params = *params;
    if (!(window->params.detail > 0)) window->params.detail = 1;
    window->instances_frame = SIZE_MAX;
    *out = window;
    return true;
}

void kn_surface_window_destroy(kn_surface_window **handle) {
    kn_surface_window *window = handle ? *handle : NULL;
    if (!window) return;
    kn_cell_table_finish(&window->table);
    kn_instances_finish(&window->instances);
    void *all[] = {window->cells, window->weights, window->hold};
    for (size_t i = 0; i < KN_COUNT(all); i++) kn_free(all[i]);
    kn_free(window);
    *handle = NULL;
}

static kn_pose ego_at(const kn_scene *scene, size_t frame) {
    double translation[3];
    kn_pose pose;
    kn_scene_ego_pose(scene, frame, translation, pose.rotation, NULL);
    pose.translation = (kn_vec3){translation[0], translation[1], translation[2]};
    return pose;
}

bool kn_surface_window_begin(kn_surface_window *window, size_t first, size_t frames, kn_error *error) {
    (void)error;
    window->first = first;
    window->frames = frames > 0 ? frames : 1;
    window->pictures = 0;
    window->links = (kn_surface_links){.samples = window->params.samples * window->params.samples};
    kn_cell_table_clear(&window->table);
    return true;
}

/* --- a picture --------------------------------------------------------------------------------- */

/* What stays the same while one picture is added. */
typedef struct sight {
    kn_surface_window *window;
    const kn_surface_picture *picture;
    kn_pose pose; /* camera to world */
    double focal[2], center[2];
    double step[2]; /* pixels of a place */
    kn_cell last;   /* of the last sample: neighbours often share it */
    uint32_t last_index;
    kn_pose local[1]; /* world to `local_of` */
    int local_of;
} sight;

/* A point of a place. */
typedef struct spot {
    kn_cell cell;
    float weight, hold;
    kn_vec3 point, normal; /* in the world; of the sky unused */
    double depth;
} spot;

static int level_of(double size) { return (int)floor(log2(fmax(size, 1e-6))); }

static spot sky_spot(const sight *s, kn_vec3 ray, float matte) {
    kn_vec3 d = kn_pose_direction(&s->pose, ray);
    double most = fmax(fabs(d.x), fmax(fabs(d.y), fabs(d.z)));
    kn_vec3 at = kn_vec3_scale(d, 1 / most);
    int level = level_of(s->window->params.detail * s->window->params.sky_angle);
    return (spot){.cell = kn_cell_at(at, at, level, SKY_DOMAIN, KN_CELL_SKY), .weight = 1, .hold = matte};
}

/* World to the coordinates of an instance, kept for the next point. */
static const kn_pose *local_pose(sight *s, int instance, int32_t at) {
    if (s->local_of != instance) s->local[0] = kn_pose_inverse(&s->window->instances.poses[at]);
    s->local_of = instance;
    return s->local;
}

/* The point at (u, v) pixels, on the plane of the surface that the pixel shows. */
static spot look(sight *s, double u, double v) {
    const kn_surface_picture *p = s->picture;
    int width = p->camera->width, x = (int)u, y = (int)v;
    size_t at = (size_t)y * (size_t)width + (size_t)x, plane = (size_t)width * (size_t)p->camera->height;
    kn_vec3 ray = {(u - s->center[0]) / s->focal[0], (v - s->center[1]) / s->focal[1], 1};
    float depth = p->depth[at], matte = p->matte ? fminf(fmaxf(p->matte[at], 0), 1) : 1;
    if (!isfinite(depth)) return sky_spot(s, ray, matte);
    kn_vec3 n = {p->normal[at], p->normal[plane + at], p->normal[2 * plane + at]};
    kn_vec3 middle = {(x + .5 - s->center[0]) / s->focal[0], (y + .5 - s->center[1]) / s->focal[1], 1};
    double slope = kn_vec3_dot(n, ray), ratio = slope != 0 ? kn_vec3_dot(n, middle) / slope : 1;
    double t = depth * (ratio > .5 && ratio < 2 ? ratio : 1), facing = fmax(fabs(slope), 1e-3);
    kn_vec3 point = kn_pose_point(&s->pose, kn_vec3_scale(ray, t)), normal = kn_pose_direction(&s->pose, n);
    int instance = p->instance[at];
    int32_t own = s->window->instances.index[instance];
    spot found = {.point = point, .normal = normal, .depth = t, .hold = matte};
    if (own >= 0) {
        const kn_pose *local = local_pose(s, instance, own);
        point = kn_pose_point(local, point);
        normal = kn_pose_direction(local, normal);
    }
    /* as large as what a place shows of the surface */
    double place = t / (s->focal[0] / s->step[0]), area = place * place / facing;
    int level = level_of(s->window->params.detail * sqrt(area));
    double size = ldexp(1, level), squarely = facing / kn_vec3_length(ray);
    found.cell = kn_cell_at(point, normal, level, (uint16_t)instance, own >= 0 ? KN_CELL_LOCAL : 0);
    found.weight = (float)(fmin(1, size * size / area) * fmin(squarely, 1)) * matte;
    return found;
}

/* Whether two points of a place lie on one surface. */
static bool together(const spot *a, const spot *b) {
    bool sky = a->cell.face & KN_CELL_SKY;
    if (sky || b->cell.face & KN_CELL_SKY) return sky && b->cell.face & KN_CELL_SKY;
    return a->cell.domain == b->cell.domain &&
           fabs(kn_vec3_dot(a->normal, kn_vec3_sub(b->point, a->point))) < FLAT * a->depth;
}

static bool add_place(sight *s, int x, int y, uint32_t *cells, float *weight, float *hold, kn_error *error) {
    int samples = s->window->params.samples;
    float weights = 0, holds = 0, pure = 0, share = 1.f / (float)(samples * samples);
    spot middle = look(s, (x + .5) * s->step[0], (y + .5) * s->step[1]);
    for (int j = 0; j < samples; j++)
        for (int i = 0; i < samples; i++) {
            spot found = look(s, (x + (i + .5) / samples) * s->step[0], (y + (j + .5) / samples) * s->step[1]);
            if (s->last_index == KN_SURFACE_NONE || memcmp(&found.cell, &s->last, sizeof s->last) != 0) {
                if (!kn_cell_table_enter(&s->window->table, &found.cell, &s->last_index, error)) return false;
                s->last = found.cell;
            }
            *cells++ = s->last_index;
            weights += share * found.weight;
            holds += share * found.hold;
            pure += together(&middle, &found) ? share : 0;
        }
    bool decided = s->picture->decided;
    *weight = fmaxf(weights * (decided ? DECIDED_WEIGHT * fmaxf(0, (pure - PURE) / (1 - PURE)) : 1), LEAST_WEIGHT);
    *hold = decided ? 0 : fminf(holds, 1);
    return true;
}

static bool check_picture(const kn_surface_window *window, size_t index, const kn_surface_picture *p, kn_error *error) {
    const kn_camera *camera = p->camera;
    if (index != window->pictures || p->frame < window->first || p->frame >= window->first + window->frames)
        return kn_fail(error, KN_ERROR_INPUT,
                       "surface cells: picture %zu of frame %zu, expected picture %zu of frame %zu to %zu", index,
                       p->frame, window->pictures, window->first, window->first + window->frames - 1);
    if (camera->width % window->params.width || camera->height % window->params.height)
        return kn_fail(error, KN_ERROR_INPUT, "camera %.63s: %dx%d pixels, expected multiples of %dx%d", camera->name,
                       camera->width, camera->height, window->params.width, window->params.height);
    if (!(camera->k[0][0] > 0 && camera->k[1][1] > 0))
        return kn_fail(error, KN_ERROR_INPUT, "camera %.63s: focal length is not positive", camera->name);
    return true;
}

static bool make_room(kn_surface_window *window, size_t places, kn_error *error) {
    size_t all = places * (window->pictures + 1), samples = (size_t)window->links.samples;
    return kn_grow(&window->cells, &window->cells_capacity, all * samples, sizeof *window->cells, error) &&
           kn_grow(&window->weights, &window->weights_capacity, all, sizeof *window->weights, error) &&
           kn_grow(&window->hold, &window->hold_capacity, all, sizeof *window->hold, error);
}

static bool start_sight(kn_surface_window *window, const kn_surface_picture *picture, sight *s, kn_error *error) {
    const kn_camera *camera = picture->camera;
    if (window->instances_frame != picture->frame) {
        if (!kn_instances_read(&window->instances, window->scene, picture->frame, error)) return false;
        window->instances_frame = picture->frame;
    }
    kn_pose ego = ego_at(window->scene, picture->frame), mount;
    memcpy(mount.rotation, camera->rotation, sizeof mount.rotation);
    mount.translation = (kn_vec3){camera->translation[0], camera->translation[1], camera->translation[2]};
    *s = (sight){.window = window, .picture = picture, .pose = kn_pose_multiply(&ego, &mount), .local_of = -1};
    s->last_index = KN_SURFACE_NONE;
    for (int i = 0; i < 2; i++) s->focal[i] = camera->k[i][i], s->center[i] = camera->k[i][2];
    s->step[0] = camera->width / window->params.width;
    s->step[1] = camera->height / window->params.height;
    return true;
}

bool kn_surface_window_add(kn_surface_window *window, size_t index, const kn_surface_picture *picture,
                           kn_error *error) {
    int width = window->params.width, height = window->params.height;
    size_t places = (size_t)width * (size_t)height, first = index * places, samples = (size_t)window->links.samples;
    sight s;
    if (!check_picture(window, index, picture, error) || !make_room(window, places, error) ||
        !start_sight(window, picture, &s, error))
        return false;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            size_t at = first + (size_t)y * (size_t)width + (size_t)x;
            if (!add_place(&s, x, y, window->cells + at * samples, &window->weights[at], &window->hold[at], error))
                return false;
        }
    window->pictures++;
    kn_surface_links *links = &window->links;
    links->picture_count = window->pictures;
    links->cells = window->cells;
    links->weights = window->weights;
    links->hold = window->hold;
    links->cell_count = window->table.count;
    return true;
}

const kn_surface_links *kn_surface_window_links(const kn_surface_window *window) { return &window->links; }
