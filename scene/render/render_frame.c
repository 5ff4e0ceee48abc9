/* The parameters of one camera at one frame as the shaders read them (FRAME_* in shaders/scene/scene.glsl). */
#include "scene/render/render_internal.h"

#include "scene/road/signals.h"

#include <math.h>
#include <stdlib.h>

/* A camera in the world (relative to the renderer's origin). */
typedef struct view {
    kn_pose pose; /* camera to world */
    double k[3][3];
    double rays[3][3]; /* world direction = rays * (u, v, 1) */
} view;

static void put(kn_renderer *renderer, size_t texel, double x, double y, double z, double w) {
    float *out = renderer->frame_words[texel];
    out[0] = (float)x, out[1] = (float)y, out[2] = (float)z, out[3] = (float)w;
}

/* Seconds of the scenario: what moves by itself is the same wherever a clip starts. */
static double time_of(const kn_renderer *renderer, size_t frame) {
    const kn_timeline *timeline = &renderer->scene->timeline;
    return timeline->start + (double)frame / timeline->frame_rate;
}

static bool invert(const double m[3][3], double out[3][3]) {
    double determinant = 0;
    for (int i = 0; i < 3; i++)
        determinant += m[0][i] * (m[1][(i + 1) % 3] * m[2][(i + 2) % 3] - m[1][(i + 2) % 3] * m[2][(i + 1) % 3]);
    if (!isfinite(determinant) || fabs(determinant) < 1e-9) return false;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out[j][i] = (m[(i + 1) % 3][(j + 1) % 3] * m[(i + 2) % 3][(j + 2) % 3] -
                         m[(i + 1) % 3][(j + 2) % 3] * m[(i + 2) % 3][(j + 1) % 3]) /
                        determinant;
    return true;
}

static bool view_at(const kn_renderer *renderer, const kn_camera *camera, size_t frame, view *out, kn_error *error) {
    const kn_timeline *timeline = &renderer->scene->timeline;
    kn_pose mount = {.translation = {camera->translation[0], camera->translation[1], camera->translation[2]}};
    double inverse[3][3];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            mount.rotation[i][j] = camera->rotation[i][j];
            out->k[i][j] = camera->k[i][j];
            if (!isfinite(camera->rotation[i][j]))
                return kn_fail(error, KN_ERROR_INPUT, "camera %.63s: rotation is not finite", camera->name);
        }
    if (!invert(camera->k, inverse))
        return kn_fail(error, KN_ERROR_INPUT, "camera %.63s: intrinsic matrix is singular", camera->name);
    out->pose = kn_pose_multiply(&timeline->states[frame * timeline->actor_count].pose, &mount);
    out->pose.translation = kn_vec3_sub(out->pose.translation, renderer->origin);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            out->rays[i][j] = 0;
            for (int k = 0; k < 3; k++) out->rays[i][j] += out->pose.rotation[i][k] * inverse[k][j];
        }
    return true;
}

static void put_camera(kn_renderer *renderer, const kn_camera *camera, const view *now, const view *before,
                       size_t frame) {
    const kn_vec3 *t = &now->pose.translation;
    const kn_actor_state *ego = &renderer->scene->timeline.states[frame * renderer->scene->timeline.actor_count];
    kn_vec3 velocity = kn_pose_direction(&ego->pose, (kn_vec3){ego->speed, 0, 0});
    double speeds[3] = {velocity.x, velocity.y, velocity.z};
    double sizes[3] = {camera->width, camera->height, time_of(renderer, frame)};
    put(renderer, 0, t->x, t->y, t->z, (double)frame);
    for (int c = 0; c < 3; c++) {
        put(renderer, 1 + (size_t)c, now->rays[0][c], now->rays[1][c], now->rays[2][c], sizes[c]);
        put(renderer, 4 + (size_t)c, now->pose.rotation[0][c], now->pose.rotation[1][c], now->pose.rotation[2][c],
            speeds[c]);
    }
    const kn_vec3 *b = &before->pose.translation;
    for (int r = 0; r < 3; r++) { /* K R^T [1 | -t] */
        double row[3] = {0};
        for (int c = 0; c < 3; c++)
            for (int k = 0; k < 3; k++) row[c] += before->k[r][k] * before->pose.rotation[c][k];
        put(renderer, 7 + (size_t)r, row[0], row[1], row[2], -(row[0] * b->x + row[1] * b->y + row[2] * b->z));
    }
}

static void put_light_setup(kn_renderer *renderer) {
    const kn_light_setup *l = &renderer->light;
    const kn_weather *weather = &renderer->weather;
    put(renderer, 10, l->sun_direction.x, l->sun_direction.y, l->sun_direction.z, l->sun_shadows);
    put(renderer, 11, l->sun_color[0], l->sun_color[1], l->sun_color[2], l->exposure);
    put(renderer, 12, l->zenith[0], l->zenith[1], l->zenith[2], weather->cloud_cover);
    put(renderer, 13, l->horizon[0], l->horizon[1], l->horizon[2], l->fog_extinction);
    put(renderer, 14, l->ground[0], l->ground[1], l->ground[2], weather->wetness);
    put(renderer, 15, l->fog_color[0], l->fog_color[1], l->fog_color[2], weather->rain);
    put(renderer, 16, l->lamp_scale, l->lamps_on, l->darkness, l->emission_scale);
}

/* --- lights ----------------------------------------------------------------------------------- */

typedef struct candidate {
    kn_light light; /* in the world, relative to the origin */
    double importance;
    size_t index;
} candidate;

/* The lights of a frame, for the whole rig: all cameras see the same ones. */
typedef struct light_list {
    candidate best[KN_RENDER_MAX_LIGHTS];
    size_t count, seen, lost;
    kn_vec3 ego; /* relative to the origin */
} light_list;

/* Whether the light's sphere can touch the picture. */
static bool in_sight(const view *v, const kn_camera *camera, kn_vec3 position, double range) {
    kn_vec3 offset = kn_vec3_sub(position, v->pose.translation);
    double w = camera->width, h = camera->height;
    const double corners[4][2] = {{0, 0}, {w, 0}, {w, h}, {0, h}};
    for (int side = 0; side < 4; side++) {
        kn_vec3 ray[2]; /* through two corners of that side of the picture */
        for (int e = 0; e < 2; e++) {
            const double *u = corners[(side + e) % 4];
            ray[e] = (kn_vec3){v->rays[0][0] * u[0] + v->rays[0][1] * u[1] + v->rays[0][2],
                               v->rays[1][0] * u[0] + v->rays[1][1] * u[1] + v->rays[1][2],
                               v->rays[2][0] * u[0] + v->rays[2][1] * u[1] + v->rays[2][2]};
        }
        kn_vec3 inward = kn_vec3_normalize(kn_vec3_cross(ray[0], ray[1]));
        kn_vec3 center = {v->pose.rotation[0][2], v->pose.rotation[1][2], v->pose.rotation[2][2]};
        if (kn_vec3_dot(inward, center) < 0) inward = kn_vec3_scale(inward, -1);
        if (kn_vec3_dot(inward, offset) < -range) return false;
    }
    return true;
}

/* Keeps the lights that matter most where the ego is, ties by their order. */
static void offer(light_list *list, const kn_light *light) {
    const double FARTHEST = 150; /* metres from the ego to the edge of a light's reach */
    candidate new = {.light = *light, .index = list->seen++};
    double range = light->range > 0 ? light->range : 1;
    double strength = fmax(light->color[0], fmax(light->color[1], light->color[2]));
    double distance = kn_vec3_length(kn_vec3_sub(light->position, list->ego)), away = fmax(distance, range);
    new.importance = strength *range *range / (away * away);
    if (!(strength > 0) || distance > range + FARTHEST) return;
    size_t at = list->count < KN_RENDER_MAX_LIGHTS ? list->count++ : KN_RENDER_MAX_LIGHTS;
    list->lost += at == KN_RENDER_MAX_LIGHTS;
    if (at == KN_RENDER_MAX_LIGHTS && list->best[--at].importance >= new.importance) return;
    for (; at > 0 && list->best[at - 1].importance < new.importance; at--) list->best[at] = list->best[at - 1];
    list->best[at] = new;
}

/* The ego has no model, but it lights its way; in its own frame. */
static int ego_lamps(const kn_actor *ego, kn_light lamps[4]) {
    for (int i = 0; i < 2; i++)
        lamps[i] = (kn_light){{ego->center[0] + ego->length / 2, (i ? -.35 : .35) * ego->width, .65},
                              {1, 0, -.032},
                              {190, 185, 170},
                              .913f,
                              80};
    return 2;
}

static void offer_actor(kn_renderer *renderer, light_list *list, size_t actor, const kn_actor_state *state) {
    const kn_world *world = renderer->world;
    const kn_actor *what = &renderer->scene->timeline.actors[actor];
    kn_light own[4];
    const kn_light *lamps = actor < world->model_count ? world->models[actor].lamps : NULL;
    int count = lamps ? world->models[actor].lamp_count : 0;
    if (what->is_ego) {
        count = ego_lamps(what, own);
        lamps = own;
    }
    for (int i = 0; i < count; i++) {
        kn_light light = lamps[i];
        light.position = kn_vec3_sub(kn_pose_point(&state->pose, light.position), renderer->origin);
        light.direction = kn_pose_direction(&state->pose, light.direction);
        offer(list, &light);
    }
}

static void put_lights(kn_renderer *renderer, const kn_camera *camera, const view *now, size_t frame) {
    const kn_timeline *timeline = &renderer->scene->timeline;
    light_list list = {
        .ego = kn_vec3_sub(timeline->states[frame * timeline->actor_count].pose.translation, renderer->origin)};
    if (renderer->light.lamp_scale > 0) {
        for (size_t i = 0; renderer->light.lamps_on > 0 && i < renderer->world->light_count; i++) {
            kn_light light = renderer->world->lights[i];
            light.position = kn_vec3_sub(light.position, renderer->origin);
            for (int c = 0; c < 3; c++) light.color[c] *= renderer->light.lamps_on;
            offer(&list, &light);
        }
        for (size_t i = 0; i < timeline->actor_count; i++) {
            const kn_actor_state *state = &timeline->states[frame * timeline->actor_count + i];
            if (state->present && (state->lamps & KN_LAMP_HEAD)) offer_actor(renderer, &list, i, state);
        }
    }
    size_t count = 0;
    for (size_t i = 0; i < list.count; i++) {
        const kn_light *light = &list.best[i].light;
        double range = light->range > 0 ? light->range : 1;
        if (!in_sight(now, camera, light->position, range)) continue; /* adds nothing to this picture */
        kn_vec3 axis = kn_vec3_normalize(light->direction);
        size_t texel = KN_RENDER_HEADER_TEXELS + count++ * 3;
        put(renderer, texel, light->position.x, light->position.y, light->position.z, range);
        put(renderer, texel + 1, axis.x, axis.y, axis.z, light->cone_cos);
        put(renderer, texel + 2, light->color[0], light->color[1], light->color[2], 0);
    }
    renderer->lights_left_out = kn_max_size(renderer->lights_left_out, list.lost);
    size_t first_part = KN_RENDER_HEADER_TEXELS + 3 * KN_RENDER_MAX_LIGHTS;
    put(renderer, 18, (double)count, KN_RENDER_HEADER_TEXELS, (double)renderer->part_count, (double)first_part);
}

/* --- parts ------------------------------------------------------------------------------------ */

static void put_pose(kn_renderer *renderer, size_t texel, const kn_pose *pose) {
    const double t[3] = {pose->translation.x, pose->translation.y, pose->translation.z};
    for (size_t r = 0; r < 3; r++)
        put(renderer, texel + r, pose->rotation[r][0], pose->rotation[r][1], pose->rotation[r][2], t[r]);
}

static void put_part(kn_renderer *renderer, size_t actor, int wheel, size_t frame) {
    const kn_timeline *timeline = &renderer->scene->timeline;
    const kn_actor_state *state = &timeline->states[frame * timeline->actor_count + actor];
    size_t part = renderer->moving.part_first[actor] + (size_t)(wheel + 1);
    size_t texel = KN_RENDER_HEADER_TEXELS + 3 * KN_RENDER_MAX_LIGHTS + part * 7;
    kn_pose now = kn_render_part_pose(renderer, actor, wheel, frame), previous = kn_pose_identity();
    now.translation = kn_vec3_sub(now.translation, renderer->origin);
    kn_pose local = kn_pose_inverse(&now);
    if (frame > 0 && (state - timeline->actor_count)->present) {
        kn_pose before = kn_render_part_pose(renderer, actor, wheel, frame - 1);
        before.translation = kn_vec3_sub(before.translation, renderer->origin);
        previous = kn_pose_multiply(&before, &local);
    }
    put_pose(renderer, texel, &local);
    put_pose(renderer, texel + 3, &previous);
    put(renderer, texel + 6, kn_lamps_lit(state->lamps, time_of(renderer, frame)),
        (double)timeline->actors[actor].instance, 0, 0);
}

/* What the lenses of a traffic light show, as lamps. */
static unsigned lamps_of(kn_signal_state state) {
    static const unsigned lamps[KN_SIGNAL_STATES] = {[KN_SIGNAL_RED] = KN_LAMP_TAIL,
                                                     [KN_SIGNAL_AMBER] = KN_LAMP_REVERSE,
                                                     [KN_SIGNAL_GREEN] = KN_LAMP_BRAKE,
                                                     [KN_SIGNAL_RED_AMBER] = KN_LAMP_TAIL | KN_LAMP_REVERSE,
                                                     [KN_SIGNAL_DARK] = 0};
    return lamps[state];
}

static void put_lenses(kn_renderer *renderer, size_t index, size_t frame) {
    const kn_timeline *timeline = &renderer->scene->timeline;
    const kn_signal_place *place = &renderer->world->signals[index];
    size_t texel = KN_RENDER_HEADER_TEXELS + 3 * KN_RENDER_MAX_LIGHTS + (renderer->moving.lens_first + index) * 7;
    kn_pose now = place->pose, still = kn_pose_identity();
    now.translation = kn_vec3_sub(now.translation, renderer->origin);
    kn_pose local = kn_pose_inverse(&now);
    uint8_t state = timeline->signals[frame * timeline->signal_count + (size_t)place->signal];
    put_pose(renderer, texel, &local);
    put_pose(renderer, texel + 3, &still);
    put(renderer, texel + 6, lamps_of((kn_signal_state)state), place->instance, 0, 0);
}

static void put_parts(kn_renderer *renderer, size_t frame) {
    kn_pose identity = kn_pose_identity();
    size_t world = KN_RENDER_HEADER_TEXELS + 3 * KN_RENDER_MAX_LIGHTS;
    put_pose(renderer, world, &identity);
    put_pose(renderer, world + 3, &identity);
    put(renderer, world + 6, 0, 0, 0, 0);
    for (size_t i = 0; i < renderer->world->model_count; i++)
        for (int w = -1; w < renderer->world->models[i].wheel_count; w++) put_part(renderer, i, w, frame);
    for (size_t i = 0; i < renderer->world->signal_count; i++) put_lenses(renderer, i, frame);
}

bool kn_render_upload_frame(kn_renderer *renderer, const kn_camera *camera, size_t frame, uint64_t noise_seed,
                            kn_error *error) {
    view now, before;
    size_t previous = frame > 0 ? frame - 1 : 0;
    if (!view_at(renderer, camera, frame, &now, error) || !view_at(renderer, camera, previous, &before, error) ||
        !kn_render_moving_upload(renderer, frame, error))
        return false;
    uint64_t seed = kn_hash64(noise_seed), rain = kn_hash64(renderer->params.rain_seed) & 0xffff;
    put_camera(renderer, camera, &now, &before, frame);
    renderer->weather = *kn_timeline_weather(&renderer->scene->timeline, frame);
    renderer->light = kn_light_setup_from_weather(&renderer->weather);
    float sky[4] = {(float)(renderer->sky.width ? renderer->first_sky : 0)};
    if (renderer->sky.width) kn_render_sky_light(&renderer->sky, &renderer->light, sky);
    put_light_setup(renderer);
    put(renderer, 23, sky[0], sky[1], sky[2], sky[3]);
    put(renderer, 17, renderer->roots[0], renderer->roots[1], renderer->roots[2], renderer->roots[3]);
    const kn_bvh_grid *grid = &renderer->grid;
    put(renderer, 21, grid->low[0], grid->low[1], grid->low[2], (double)renderer->first_picture);
    put(renderer, 22, grid->cell[0], grid->cell[1], grid->cell[2], 1 - renderer->params.sky_lift / 90);
    put_lights(renderer, camera, &now, frame);
    put(renderer, 19, (double)(seed & 0xffff), (double)(seed >> 16 & 0xffff), (double)(seed >> 32 & 0xffff),
        (double)(seed >> 48));
    size_t first_spray = renderer->frame_texels - KN_RENDER_SPRAY_TEXELS * KN_RENDER_MAX_SPRAYS;
    size_t sprays = kn_render_put_sprays(renderer, now.pose.translation, frame, first_spray);
    put(renderer, 20, renderer->params.beauty_samples, (double)sprays, (double)first_spray, (double)rain);
    put_parts(renderer, frame);
    return kn_gpu_upload(renderer->frame_data, 0, renderer->frame_words,
                         renderer->frame_texels * sizeof *renderer->frame_words, error);
}
