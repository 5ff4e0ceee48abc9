/* Starts actions and says whether they still run. */
#include "scene/scenario/scenario.h"

#include <stdlib.h>
#include <string.h>

static bool start_speed(kn_sim *sim, const kn_action *a, kn_sim_actor *actor, unsigned owner) {
    double target = a->value;
    if (!a->absolute) {
        double other = sim->actors[a->entity].speed;
        target = a->factor ? other * a->value : other + a->value;
        if (a->continuous) {
            actor->longitudinal = (kn_axis){owner, true};
            actor->speed_mode = KN_SPEED_FOLLOW;
            actor->leader = a->entity;
            actor->speed_factor = a->factor ? a->value : 1;
            actor->speed_delta = a->factor ? 0 : a->value;
            return true;
        }
    }
    kn_transition ramp =
        kn_transition_of(a->dynamics.shape, a->dynamics.dimension, a->dynamics.value, actor->speed, target);
    bool driver = actor->speed_mode == KN_SPEED_DRIVER;
    kn_sim_set_speed(actor, owner, ramp);
    if (driver && ramp.span <= 0)
        actor->speed_mode = KN_SPEED_DRIVER; /* an instant command sets the speed that the driver wants */
    return true;
}

/* Lane id `steps` to the left of the other's motion (ids count up to the left of s). */
static int lane_beside(int lane, int steps) {
    int step = steps > 0 ? 1 : -1;
    for (int i = 0; i < abs(steps); i++) {
        lane += step;
        lane += lane == 0 ? step : 0;
    }
    return lane;
}

static void to_lane(kn_sim *sim, kn_sim_actor *actor) {
    if (!actor->on_lane) kn_sim_place_in_world(sim, actor, actor->pose.translation, actor->yaw);
}

static bool start_lane_change(const kn_scenario *scenario, kn_sim *sim, const kn_action *a, kn_sim_actor *actor,
                              unsigned owner, kn_error *error) {
    int lane = (int)a->value;
    to_lane(sim, actor);
    if (!a->absolute) {
        const kn_sim_actor *other = &sim->actors[a->entity];
        int from = other->walker.lane, steps = (int)fmax(fmin(a->value, 100), -100);
        if (!other->on_lane) {
            kn_road_position at = kn_road_locate(sim->network, other->pose.translation.x, other->pose.translation.y, 3);
            from = at.lane;
        }
        /* Positive is to the left of the other: ids grow to the left of s, so they fall for those who drive against
         * s. */
        lane =
            from == KN_NO_LANE ? 0 : lane_beside(from, other->on_lane && other->walker.direction < 0 ? -steps : steps);
        if (other->on_lane && actor->on_lane && other->walker.road != actor->walker.road &&
            other->walker.direction != actor->walker.direction)
            lane = -lane;
    }
    kn_transition t = kn_transition_of(a->dynamics.shape, a->dynamics.dimension == 1 ? 0 : a->dynamics.dimension,
                                       a->dynamics.value, 0, 0);
    double target = actor->on_lane ? a->target_offset * actor->walker.direction *
                                         kn_lane_direction(&sim->network->roads[actor->walker.road], lane ? lane : -1)
                                   : 0;
    if (!kn_sim_change_lane(sim, actor, owner, lane, target, t))
        return kn_fail(error, KN_ERROR_INPUT, "%s:%d: '%s' changes to lane %d, which its road does not have there",
                       scenario->path, a->line, actor->look.name, lane);
    if (a->dynamics.dimension == 1)
        actor->offset = kn_transition_of(a->dynamics.shape, 1, a->dynamics.value, actor->offset.from, target);
    return true;
}

static bool start_lane_offset(kn_sim *sim, const kn_action *a, kn_sim_actor *actor, unsigned owner) {
    to_lane(sim, actor);
    if (!actor->on_lane) return true;
    double target = a->value;
    if (!a->absolute) {
        const kn_sim_actor *other = &sim->actors[a->entity];
        target = (other->on_lane ? other->walker.offset : 0) + a->value;
    }
    /* Duration from the largest lateral acceleration of y = d/2 (1 - cos(pi t / T)): d/2 (pi/T)^2. */
    double d = fabs(target - actor->walker.offset), T = M_PI * sqrt(d / (2 * a->max_lateral_acceleration));
    kn_transition t = kn_transition_of(a->dynamics.shape, 0, T, actor->walker.offset, target);
    kn_sim_set_offset(actor, owner, t);
    return true;
}

static bool start_route(kn_scenario *scenario, kn_sim *sim, const kn_action *a, kn_sim_actor *actor, int self,
                        kn_error *error) {
    enum { CAPACITY = 1000 };
    to_lane(sim, actor);
    int *route = kn_arena_alloc(&scenario->arena, CAPACITY, sizeof *route, error);
    if (!route) return false;
    if (!actor->on_lane) return true;
    kn_walker from = actor->walker;
    size_t count = 0, more = 0;
    for (size_t i = 0; i < a->waypoint_count && count < CAPACITY; i++) {
        kn_placement place;
        if (!kn_position_resolve(sim, &a->waypoints[i], self, &place) || !place.on_lane) continue;
        if (!kn_road_route(sim->network, &from, place.walker.road, route + count, CAPACITY - count, &more, error))
            return false;
        count += more;
        if (more) from = place.walker;
    }
    actor->route = route;
    actor->route_count = count;
    return true;
}

static bool start_trajectory(kn_scenario *scenario, kn_sim *sim, const kn_action *a, kn_sim_actor *actor, int self,
                             unsigned owner, kn_error *error) {
    kn_path *path = kn_trajectory_path(scenario, sim, a->trajectory, self, error);
    if (!path) return false;
    bool timed = a->timed && path->timed;
    double offset = a->time_offset - (a->relative_times ? 0 : sim->time);
    kn_sim_follow_path(sim, actor, owner, path, timed, a->time_scale, offset, a->value);
    return true;
}

static bool teleport(kn_scenario *scenario, kn_sim *sim, const kn_action *a, kn_sim_actor *actor, int self,
                     kn_error *error) {
    kn_placement place;
    if (!kn_position_resolve(sim, &a->position, self, &place))
        return kn_fail(error, KN_ERROR_INPUT, "%s:%d: '%s' is put where the road network has no such place",
                       scenario->path, a->position.line, actor->look.name);
    if (place.on_lane) kn_sim_place_on_lane(sim, actor, place.walker);
    else kn_sim_place_in_world(sim, actor, place.position, place.yaw);
    return true;
}

static void set_weather(kn_sim *sim, const kn_action *a) {
    const kn_environment *e = &a->environment;
    kn_weather *w = &sim->weather;
    if (!isnan(e->seconds_of_day)) {
        w->seconds_of_day = e->seconds_of_day;
        if (isnan(e->sun_elevation)) { /* an equinox day at 50 degrees of latitude */
            double hour = (e->seconds_of_day / 3600 - 12) * M_PI / 12, latitude = 50 * M_PI / 180;
            w->sun_elevation = asin(cos(latitude) * cos(hour));
            w->sun_azimuth = M_PI + atan2(sin(hour), cos(hour) * sin(latitude));
        }
    }
    w->sun_azimuth = isnan(e->sun_azimuth) ? w->sun_azimuth : e->sun_azimuth;
    w->sun_elevation = isnan(e->sun_elevation) ? w->sun_elevation : fmin(fmax(e->sun_elevation, -M_PI / 2), M_PI / 2);
    w->cloud_cover = isnan(e->cloud_cover) ? w->cloud_cover : e->cloud_cover;
    w->rain = isnan(e->rain) ? w->rain : e->rain;
    w->wetness = isnan(e->wetness) ? fmax(w->wetness, fmin(w->rain * 2, 1)) : e->wetness;
    w->fog_range = isnan(e->fog_range) ? w->fog_range : e->fog_range;
}

static bool set_parameter(kn_scenario *scenario, const kn_action *a, kn_error *error) {
    const char *name = a->name + (*a->name == '$');
    for (size_t i = 0; i < scenario->parameter_count; i++) {
        kn_parameter *p = &scenario->parameters[i];
        if (strcmp(p->name, name)) continue;
        if (!a->modify) {
            p->value = a->text;
            return true;
        }
        char text[64];
        double value = strtod(p->value, NULL);
        snprintf(text, sizeof text, "%.17g", a->factor ? value * a->value : value + a->value);
        p->value = kn_arena_strdup(&scenario->arena, text, error);
        return p->value != NULL;
    }
    return true;
}

static void set_light(const kn_action *a, kn_sim_actor *actor) {
    actor->lamps_forced_on &= ~a->lamps;
    actor->lamps_forced_off &= ~a->lamps;
    if (a->light_mode >= 1) actor->lamps_forced_on |= a->lamps;
    else actor->lamps_forced_off |= a->lamps;
}

static void start_profile(const kn_action *a, kn_sim_actor *actor, unsigned owner) {
    actor->longitudinal = (kn_axis){owner, true};
    actor->speed_mode = KN_SPEED_PROFILE;
    actor->profile = (const double(*)[2])a->profile;
    actor->profile_count = a->profile_count;
    actor->profile_time = 0;
    actor->profile_start = actor->speed;
}

static void start_distance(const kn_action *a, kn_sim_actor *actor, unsigned owner) {
    actor->longitudinal = (kn_axis){owner, true};
    actor->speed_mode = KN_SPEED_DISTANCE;
    actor->leader = a->entity;
    actor->gap = a->value;
    actor->gap_is_time = a->by_time;
    actor->gap_freespace = a->freespace;
    actor->gap_continuous = a->continuous;
    actor->max_acceleration = a->max_acceleration;
    actor->max_deceleration = a->max_deceleration;
    actor->max_speed = a->max_speed;
}

static void start_controller(const kn_action *a, kn_sim_actor *actor) {
    if (a->absolute) {
        actor->speed_mode = KN_SPEED_DRIVER;
        actor->longitudinal = (kn_axis){0};
        actor->desired_speed = fmax(actor->desired_speed, actor->speed);
    } else if (a->modify && actor->speed_mode == KN_SPEED_DRIVER) {
        actor->speed_mode = KN_SPEED_HOLD;
    }
}

static void start_sync(const kn_action *a, kn_sim_actor *actor, unsigned owner) {
    actor->longitudinal = (kn_axis){owner, true};
    actor->speed_mode = KN_SPEED_SYNC;
    actor->sync = a;
}

static void start_beside(kn_sim *sim, const kn_action *a, kn_sim_actor *actor, unsigned owner) {
    to_lane(sim, actor);
    if (!actor->on_lane) return;
    kn_sim_set_offset(actor, owner, (kn_transition){0});
    actor->offset_active = false;
    actor->beside = a;
    actor->beside_speed = 0;
}

/* Hitches a trailer on, or drops the one that hangs on the actor. */
static bool couple(const kn_scenario *scenario, kn_sim *sim, const kn_action *a, int self, kn_error *error) {
    for (size_t i = 0; a->entity < 0 && i < sim->actor_count; i++)
        if (sim->actors[i].tower == self) {
            sim->actors[i].tower = -1;
            sim->actors[i].speed = sim->actors[i].acceleration = 0;
            sim->actors[i].speed_mode = KN_SPEED_HOLD;
        }
    if (a->entity < 0) return true;
    if (a->entity == self || sim->actors[a->entity].tower >= 0 || kn_sim_coupled(sim, (size_t)self, (size_t)a->entity))
        return kn_fail(error, KN_ERROR_INPUT, "%s:%d: '%s' cannot be hitched to '%s': it hangs on something else",
                       scenario->path, a->line, sim->actors[a->entity].look.name, sim->actors[self].look.name);
    sim->actors[a->entity].tower = self;
    return true;
}

bool kn_action_start(kn_scenario *scenario, kn_sim *sim, const kn_action *a, int self, unsigned owner,
                     kn_error *error) {
    kn_sim_actor *actor = self >= 0 ? &sim->actors[self] : NULL;
    if (actor && a->kind != KN_ACTION_ENVIRONMENT && a->kind != KN_ACTION_PARAMETER) actor->action_line = a->line;
    if (!actor && a->kind != KN_ACTION_ENVIRONMENT && a->kind != KN_ACTION_PARAMETER && a->kind != KN_ACTION_SIGNAL)
        return true;
    switch (a->kind) {
    case KN_ACTION_NONE: return true;
    case KN_ACTION_SPEED: return start_speed(sim, a, actor, owner);
    case KN_ACTION_SPEED_PROFILE: return start_profile(a, actor, owner), true;
    case KN_ACTION_DISTANCE: return start_distance(a, actor, owner), true;
    case KN_ACTION_LANE_CHANGE: return start_lane_change(scenario, sim, a, actor, owner, error);
    case KN_ACTION_LANE_OFFSET: return start_lane_offset(sim, a, actor, owner);
    case KN_ACTION_TELEPORT: return teleport(scenario, sim, a, actor, self, error);
    case KN_ACTION_TRAJECTORY: return start_trajectory(scenario, sim, a, actor, self, owner, error);
    case KN_ACTION_ROUTE: return start_route(scenario, sim, a, actor, self, error);
    case KN_ACTION_CONTROLLER: return start_controller(a, actor), true;
    case KN_ACTION_VISIBILITY: return actor->present = a->absolute && actor->placed && !actor->removed, true;
    case KN_ACTION_LIGHT: return set_light(a, actor), true;
    case KN_ACTION_ENVIRONMENT: return set_weather(sim, a), true;
    case KN_ACTION_ADD: return teleport(scenario, sim, a, actor, self, error);
    case KN_ACTION_DELETE: return actor->present = false, true;
    case KN_ACTION_PARAMETER: return set_parameter(scenario, a, error);
    case KN_ACTION_SIGNAL: return kn_signal_action(scenario, sim, a), true;
    case KN_ACTION_SYNCHRONIZE: return start_sync(a, actor, owner), true;
    case KN_ACTION_BESIDE: return start_beside(sim, a, actor, owner), true;
    case KN_ACTION_TRAILER: return couple(scenario, sim, a, self, error);
    }
    return true;
}

bool kn_action_running(const kn_sim *sim, const kn_action *a, int self, unsigned owner) {
    if (self < 0) return false;
    const kn_sim_actor *actor = &sim->actors[self];
    const kn_axis *longitudinal = &actor->longitudinal, *lateral = &actor->lateral;
    switch (a->kind) {
    case KN_ACTION_SPEED:
    case KN_ACTION_SPEED_PROFILE:
    case KN_ACTION_SYNCHRONIZE:
    case KN_ACTION_DISTANCE: return longitudinal->owner == owner && longitudinal->active;
    case KN_ACTION_BESIDE:
    case KN_ACTION_LANE_CHANGE:
    case KN_ACTION_LANE_OFFSET:
    case KN_ACTION_TRAJECTORY: return lateral->owner == owner && lateral->active;
    default: return false;
    }
}
