/* Records a simulation as frames: states between two steps are interpolated, lamps follow from weather and motion. */
#include "scene/simulation/simulation.h"

#include <string.h>

enum { MAX_FRAMES = 1 << 20, MAX_STATES = 1 << 24 };
static const double MAX_SECONDS = KN_SIM_LONGEST;

void kn_timeline_finish(kn_timeline *timeline) {
    kn_free(timeline->actors);
    kn_free(timeline->states);
    kn_free(timeline->signals);
    kn_free(timeline->weathers);
    *timeline = (kn_timeline){0};
}

static kn_actor_state state_of(const kn_sim_actor *actor) {
    kn_actor_state state = {.pose = actor->pose,
                            .speed = actor->speed,
                            .acceleration = actor->acceleration,
                            .curvature = actor->curvature,
                            .wheel_angle = actor->wheel_angle,
                            .present = actor->present};
    state.lamps = actor->indicator > 0 ? KN_LAMP_LEFT : actor->indicator < 0 ? KN_LAMP_RIGHT : 0;
    return state;
}

static kn_actor_state mix_states(const kn_actor_state *a, const kn_actor_state *b, double f) {
    kn_actor_state out = *b;
    if (!a->present || !b->present || f >= 1) return out;
    double p[4], q[4], dot = 0;
    kn_pose_quaternion(&a->pose, p);
    kn_pose_quaternion(&b->pose, q);
    for (int i = 0; i < 4; i++) dot += p[i] * q[i];
    for (int i = 0; i < 4; i++) q[i] = (1 - f) * p[i] + (dot < 0 ? -f : f) * q[i];
    kn_vec3 position = kn_vec3_add(kn_vec3_scale(a->pose.translation, 1 - f), kn_vec3_scale(b->pose.translation, f));
    if (kn_vec3_length(kn_vec3_sub(a->pose.translation, b->pose.translation)) > 5)
        position = a->pose.translation; /* teleported in between */
    out.pose = kn_pose_from_quaternion(position, q);
    out.speed = (1 - f) * a->speed + f * b->speed;
    out.acceleration = (1 - f) * a->acceleration + f * b->acceleration;
    out.curvature = (1 - f) * a->curvature + f * b->curvature;
    out.wheel_angle = (1 - f) * a->wheel_angle + f * b->wheel_angle;
    return out;
}

static bool is_dark(const kn_weather *weather) {
    double degrees = weather->sun_elevation * 180 / M_PI;
    return degrees < 4 || weather->rain > 0.05 || (weather->fog_range > 0 && weather->fog_range < 1000) ||
           (weather->cloud_cover > 0.8 && degrees < 12);
}

static bool has_lamps(kn_actor_class kind) { return kind <= KN_ACTOR_MOTORBIKE || kind == KN_ACTOR_BICYCLE; }

static void set_lamps(kn_actor_state *state, const kn_sim_actor *actor, const kn_weather *weather) {
    unsigned lamps = 0;
    if (has_lamps(actor->look.kind) && !actor->look.is_static) {
        lamps |= is_dark(weather) ? KN_LAMP_HEAD | KN_LAMP_TAIL : 0;
        lamps |= state->acceleration < -0.5 && actor->look.kind != KN_ACTOR_BICYCLE ? KN_LAMP_BRAKE : 0;
        lamps |= state->speed < -0.1 ? KN_LAMP_REVERSE : 0;
        lamps |= state->lamps & (KN_LAMP_LEFT | KN_LAMP_RIGHT); /* on: the renderer makes them blink */
    }
    state->lamps = (lamps | actor->lamps_forced_on) & ~actor->lamps_forced_off;
}

/* While somebody shows that he changes lanes. */
typedef struct turn {
    size_t actor;
    unsigned side;   /* KN_LAMP_LEFT or KN_LAMP_RIGHT */
    double from, to; /* seconds of the scenario */
} turn;

typedef struct recorder {
    kn_sim *sim;
    kn_sim_hook hook;
    void *user;
    kn_timeline *timeline;
    kn_actor_state *before; /* [actor_count] at the step before */
    unsigned *forced;       /* [frames][actor_count] on | off << 16 */
    size_t *who;            /* [actor_count] index in the simulation */
    turn *turns;
    size_t turn_count, turn_capacity;
    kn_weather weather; /* as the film shows it now */
    size_t state_capacity, forced_capacity, signal_capacity, weather_capacity;
    const kn_scene_params *params;
} recorder;

/* Visual range and extinction: ranges mix as the latter, so that fog comes and goes evenly. */
static double fog_density(double range) { return range > 1 && isfinite(range) ? 1 / range : 0; }

/* `share` of the way from one weather to another. */
static kn_weather mix_weather(const kn_weather *a, const kn_weather *b, double share) {
    kn_weather w = *b;
    double density = fog_density(a->fog_range) + share * (fog_density(b->fog_range) - fog_density(a->fog_range));
    w.sun_azimuth = a->sun_azimuth + share * kn_wrap_angle(b->sun_azimuth - a->sun_azimuth);
    w.sun_elevation = a->sun_elevation + share * (b->sun_elevation - a->sun_elevation);
    w.cloud_cover = a->cloud_cover + share * (b->cloud_cover - a->cloud_cover);
    w.rain = a->rain + share * (b->rain - a->rain);
    w.wetness = a->wetness + share * (b->wetness - a->wetness);
    w.fog_range = density > 1e-5 ? 1 / density : 0;
    return w;
}

/* The weather follows what the scenario commands, but no faster than light and rain could seem natural in a film. */
static void follow_weather(recorder *r) {
    static const double SECONDS = 1.2;
    kn_weather target = r->sim->weather;
    kn_weather_override_apply(&target, r->params);
    bool same = !r->sim->step || !memcmp(&r->weather, &target, sizeof target);
    r->weather = same ? target : mix_weather(&r->weather, &target, 1 - exp(-KN_SIM_STEP / SECONDS));
}

/* Notes who shows a change of lanes at this step. */
static bool note_turns(recorder *r, kn_error *error) {
    for (size_t a = 0; a < r->timeline->actor_count; a++) {
        unsigned side = state_of(&r->sim->actors[r->who[a]]).lamps;
        turn *last = NULL;
        for (size_t i = r->turn_count; i-- > 0 && !last;) last = r->turns[i].actor == a ? &r->turns[i] : NULL;
        if (!side) continue;
        if (last && last->side == side && r->sim->time - last->to < 1.5 * KN_SIM_STEP) {
            last->to = r->sim->time;
            continue;
        }
        if (!kn_grow(&r->turns, &r->turn_capacity, r->turn_count + 1, sizeof *r->turns, error)) return false;
        r->turns[r->turn_count++] = (turn){a, side, r->sim->time, r->sim->time};
    }
    return true;
}

/* Whatever the ego tows now. */
static void note_trailers(recorder *r) {
    for (size_t a = 1; a < r->timeline->actor_count; a++)
        r->timeline->actors[a].towed_by_ego |= r->who[0] == 0 && kn_sim_coupled(r->sim, 0, r->who[a]);
}

static bool record_frame(recorder *r, double f, kn_error *error) {
    kn_timeline *t = r->timeline;
    size_t n = t->actor_count, needed = (t->frame_count + 1) * n;
    if (t->frame_count >= MAX_FRAMES || needed > MAX_STATES)
        return kn_fail(error, KN_ERROR_INPUT, "the clip is too long: %zu frames of %zu road users", t->frame_count, n);
    if (!kn_grow(&t->states, &r->state_capacity, needed, sizeof *t->states, error) ||
        !kn_grow(&r->forced, &r->forced_capacity, needed, sizeof *r->forced, error))
        return false;
    for (size_t a = 0; a < n; a++) {
        const kn_sim_actor *actor = &r->sim->actors[r->who[a]];
        kn_actor_state now = state_of(actor);
        t->states[t->frame_count * n + a] = mix_states(&r->before[a], &now, f);
        r->forced[t->frame_count * n + a] = actor->lamps_forced_on | actor->lamps_forced_off << 16;
    }
    if (t->signal_count && !kn_grow(&t->signals, &r->signal_capacity, (t->frame_count + 1) * t->signal_count, 1, error))
        return false;
    for (size_t i = 0; i < t->signal_count; i++)
        t->signals[t->frame_count * t->signal_count + i] = (uint8_t)kn_sim_signal(r->sim, i);
    if (!kn_grow(&t->weathers, &r->weather_capacity, t->frame_count + 1, sizeof *t->weathers, error)) return false;
    t->weathers[t->frame_count] = r->weather;
    note_trailers(r);
    t->frame_count++;
    return true;
}

/* Indicators start this long before the lane change itself. */
static const double AHEAD = 1;

static void light_indicators(recorder *r) {
    kn_timeline *t = r->timeline;
    for (size_t i = 0; i < r->turn_count; i++) {
        const turn *sign = &r->turns[i];
        for (size_t f = 0; f < t->frame_count; f++) {
            double time = t->start + (double)f / t->frame_rate;
            if (time >= sign->from - AHEAD - 1e-9 && time <= sign->to + 1e-9)
                t->states[f * t->actor_count + sign->actor].lamps |= sign->side;
        }
    }
}

static void light_lamps(recorder *r) {
    kn_timeline *t = r->timeline;
    light_indicators(r);
    for (size_t f = 0; f < t->frame_count; f++)
        for (size_t a = 0; a < t->actor_count; a++) {
            size_t i = f * t->actor_count + a;
            kn_sim_actor actor = r->sim->actors[r->who[a]];
            actor.lamps_forced_on = r->forced[i] & 0xffff;
            actor.lamps_forced_off = r->forced[i] >> 16;
            set_lamps(&t->states[i], &actor, kn_timeline_weather(t, f));
        }
}

static void keep_states(recorder *r) {
    for (size_t a = 0; a < r->timeline->actor_count; a++) r->before[a] = state_of(&r->sim->actors[r->who[a]]);
}

/* Who will change lanes soon after the last frame shows it already. */
static bool look_further(recorder *r, kn_error *error) {
    for (double end = r->sim->time + AHEAD; r->sim->time < end;) {
        kn_sim_step(r->sim);
        if ((r->hook && !r->hook(r->user, r->sim, error)) || !note_turns(r, error)) return false;
    }
    return true;
}

static bool play(recorder *r, const kn_scene_params *params, kn_error *error) {
    kn_sim *sim = r->sim;
    kn_timeline *t = r->timeline;
    double last = params->frame_count ? params->start + (double)(params->frame_count - 1) / params->frame_rate
                                      : params->start + MAX_SECONDS;
    bool started = false;
    for (;;) {
        if ((r->hook && !r->hook(r->user, sim, error)) || !note_turns(r, error)) return false;
        follow_weather(r);
        double next = params->start + (double)t->frame_count / params->frame_rate;
        while (next <= sim->time + 1e-9 && (!params->frame_count || t->frame_count < params->frame_count)) {
            double f = sim->step ? (next - (sim->time - KN_SIM_STEP)) / KN_SIM_STEP : 1;
            if (!started) t->weather = r->weather;
            started = true;
            if (!record_frame(r, f > 1 - 1e-6 ? 1 : f, error)) return false;
            next = params->start + (double)t->frame_count / params->frame_rate;
        }
        if (params->frame_count ? t->frame_count >= params->frame_count : (sim->stopped && started) || next > last) {
            t->cut = !params->frame_count && !sim->stopped;
            return look_further(r, error);
        }
        if (sim->stopped && !params->frame_count && !started)
            return kn_fail(error, KN_ERROR_INPUT, "the scenario stops at %.2f s, before the clip's start at %.2f s",
                           sim->time, params->start);
        keep_states(r);
        kn_sim_step(sim);
    }
}

bool kn_sim_record(kn_sim *sim, kn_sim_hook hook, void *user, const kn_scene_params *params, kn_timeline *timeline,
                   kn_error *error) {
    *timeline = (kn_timeline){.frame_rate = params->frame_rate, .start = params->start};
    if (!(params->frame_rate > 0 && params->frame_rate <= 1000) || !(params->start >= 0 && params->start <= 3600) ||
        params->frame_count > MAX_FRAMES)
        return kn_fail(error, KN_ERROR_INPUT, "frame rate %g, start %g s or %zu frames is out of range",
                       params->frame_rate, params->start, params->frame_count);
    recorder r = {.params = params, .sim = sim, .hook = hook, .user = user, .timeline = timeline};
    r.before = kn_alloc(sim->actor_count, sizeof *r.before, error);
    timeline->actors = kn_alloc(sim->actor_count, sizeof *timeline->actors, error);
    r.who = kn_alloc(sim->actor_count, sizeof *r.who, error);
    timeline->signal_count = sim->network && sim->network->signals ? sim->network->signals->count : 0;
    bool ok = r.before && timeline->actors && r.who && kn_sim_prepare(sim, error);
    for (size_t a = 0; ok && a < sim->actor_count; a++) {
        if (sim->actors[a].removed) continue;
        size_t i = timeline->actor_count++;
        r.who[i] = a;
        timeline->actors[i] = sim->actors[a].look;
        timeline->actors[i].instance = (int)a + 1;
        r.before[i] = state_of(&sim->actors[a]);
    }
    ok = ok && play(&r, params, error);
    if (ok) light_lamps(&r);
    else kn_timeline_finish(timeline);
    kn_free(r.before);
    kn_free(r.who);
    kn_free(r.forced);
    kn_free(r.turns);
    return ok;
}

kn_weather kn_weather_default(void) {
    return (kn_weather){
        .sun_azimuth = 2.4, .sun_elevation = 45 * M_PI / 180, .cloud_cover = 0.2, .seconds_of_day = 12 * 3600};
}

void kn_weather_override_apply(kn_weather *w, const kn_scene_params *params) {
    switch (params->weather) {
    case KN_WEATHER_KEEP: break;
    case KN_WEATHER_CLEAR: w->cloud_cover = 0.1, w->rain = w->wetness = w->fog_range = 0; break;
    case KN_WEATHER_OVERCAST: w->cloud_cover = 1, w->rain = w->wetness = w->fog_range = 0; break;
    case KN_WEATHER_RAIN: w->cloud_cover = 1, w->rain = 0.6, w->wetness = 1, w->fog_range = 0; break;
    case KN_WEATHER_FOG: w->cloud_cover = 0.9, w->rain = 0, w->wetness = 0.3, w->fog_range = 90; break;
    }
    switch (params->time) {
    case KN_TIME_KEEP: break;
    case KN_TIME_DAY:
        if (w->sun_elevation < 15 * M_PI / 180) w->sun_elevation = 45 * M_PI / 180;
        if (w->seconds_of_day < 8 * 3600 || w->seconds_of_day > 17 * 3600) w->seconds_of_day = 12 * 3600;
        break;
    case KN_TIME_DUSK: w->sun_elevation = -2 * M_PI / 180, w->seconds_of_day = 20 * 3600; break;
    case KN_TIME_NIGHT: w->sun_elevation = -20 * M_PI / 180, w->seconds_of_day = 23 * 3600; break;
    }
}
