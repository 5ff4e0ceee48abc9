/* Falling rain and the spray of wheels over a finished picture (shaders/scene/rain.comp). */
#include "scene/render/render_internal.h"

#include <math.h>

bool kn_render_rains(const kn_renderer *renderer) { return renderer->weather.rain > 0; }

bool kn_render_rain_record(kn_renderer *renderer, kn_render_pass *pass, uint32_t colors, kn_gpu_buffer *away,
                           uint32_t first, uint32_t stride, bool along_ray, kn_error *error) {
    kn_gpu_slice slices[7];
    uint32_t lanes;
    int wide, high;
    kn_render_scene_slices(renderer, slices);
    kn_render_block(renderer, &lanes, &wide, &high);
    slices[5] = (kn_gpu_slice){.buffer = pass->output};
    slices[6] = (kn_gpu_slice){.buffer = away};
    const uint32_t push[4] = {colors * (uint32_t)(pass->width * pass->height), first, stride, along_ray};
    const kn_gpu_dispatch dispatch = {
        .kernel = KN_KERNEL_SCENE_RAIN,
        .slices = slices,
        .slice_count = 7,
        .constants = &lanes,
        .constant_count = 1,
        .groups = {(uint32_t)((pass->width + wide - 1) / wide), (uint32_t)((pass->height + high - 1) / high), 1},
        .push = push,
        .push_size = sizeof push};
    return kn_gpu_record(pass->recorder, &dispatch, error);
}

/* --- spray ------------------------------------------------------------------------------------ */

typedef struct cloud {
    size_t actor;
    double strength; /* 0..1 by speed, rain and kind of vehicle */
    double away;     /* metres from the eye */
} cloud;

static double strength_of(const kn_renderer *renderer, const kn_actor *actor, const kn_actor_state *state) {
    double size = actor->kind == KN_ACTOR_MOTORBIKE ? .35
                  : actor->kind == KN_ACTOR_CAR     ? .75
                  : actor->kind == KN_ACTOR_VAN     ? .9
                                                    : 1.2;
    double t = (state->speed - 6) / 20;
    bool throws = state->present && actor->kind <= KN_ACTOR_MOTORBIKE && !actor->is_static;
    if (!throws || !(t > 0)) /* a speed that is no number throws nothing */
        return 0;
    t = fmin(t, 1);
    size *= actor->is_ego ? .5 : 1; /* its own cameras look through all of it */
    return size * t * (2 - t) * sqrt(fmin(renderer->weather.rain, 1)) * fmin(fmax(renderer->weather.wetness, 0), 1);
}

/* One vehicle as three texels: middle of its rear end on the ground, strength | heading, half its width | length and
 * height of the cloud in metres, red light of its rear lamps. */
static void put_cloud(kn_renderer *renderer, const cloud *c, size_t frame, size_t texel) {
    const kn_timeline *timeline = &renderer->scene->timeline;
    const kn_actor *actor = &timeline->actors[c->actor];
    const kn_actor_state *state = &timeline->states[frame * timeline->actor_count + c->actor];
    kn_vec3 rear = {actor->center[0] - actor->length / 2, actor->center[1], 0};
    kn_vec3 at = kn_vec3_sub(kn_pose_point(&state->pose, rear), renderer->origin);
    kn_vec3 heading = kn_pose_direction(&state->pose, (kn_vec3){1, 0, 0});
    bool heavy = actor->kind == KN_ACTOR_TRUCK || actor->kind == KN_ACTOR_BUS || actor->kind == KN_ACTOR_TRAILER;
    double speed = fmin(state->speed, 40),
           red = (state->lamps & KN_LAMP_TAIL ? .12 : 0) + (state->lamps & KN_LAMP_BRAKE ? .4 : 0);
    const double texels[3][4] = {
        {at.x, at.y, at.z, c->strength},
        {heading.x, heading.y, heading.z, actor->width / 2},
        {.8 + .07 * speed, (heavy ? .85 : .55) + .02 * speed, red * renderer->light.emission_scale, 0}};
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < 4; i++) renderer->frame_words[texel + t][i] = (float)texels[t][i];
}

size_t kn_render_put_sprays(kn_renderer *renderer, kn_vec3 eye, size_t frame, size_t first) {
    const kn_timeline *timeline = &renderer->scene->timeline;
    cloud best[KN_RENDER_MAX_SPRAYS];
    size_t count = 0;
    for (size_t i = 0; kn_render_rains(renderer) && i < timeline->actor_count; i++) {
        const kn_actor_state *state = &timeline->states[frame * timeline->actor_count + i];
        kn_vec3 offset = kn_vec3_sub(kn_vec3_sub(state->pose.translation, renderer->origin), eye);
        cloud new = {i, strength_of(renderer, &timeline->actors[i], state), kn_vec3_length(offset)};
        if (!(new.strength > 0.01) || !(new.away < 150)) continue;
        size_t at = count < KN_RENDER_MAX_SPRAYS ? count++ : KN_RENDER_MAX_SPRAYS;
        if (at == KN_RENDER_MAX_SPRAYS && best[--at].away <= new.away) continue;
        for (; at > 0 && best[at - 1].away > new.away; at--) best[at] = best[at - 1];
        best[at] = new;
    }
    for (size_t i = 0; i < count; i++) put_cloud(renderer, &best[i], frame, first + i * KN_RENDER_SPRAY_TEXELS);
    return count;
}
