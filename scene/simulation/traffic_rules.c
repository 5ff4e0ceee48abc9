/* Traffic lights and right of way at junctions. Nobody drives into a junction without a grant; a grant is given when no
 * way that crosses the own one is taken, and nobody with priority is about to take one. */
#include "scene/simulation/simulation.h"

#include <stdlib.h>
#include <string.h>

static const double LOOK = 120;      /* metres ahead */
static const double COMFORTABLE = 3; /* m/s^2: who would have to brake harder for amber drives on */
static const double WINDOW = 4.5;    /* seconds to their junction in which others count */
static const double PATIENCE = 4;    /* seconds: then only who is really there counts */
static const double SIGNAL_GAP = 3.6,
                    LINE_GAP = 5.6; /* metres that the stop line is before a light, before a junction */

kn_signal_state kn_sim_signal(const kn_sim *sim, size_t index) {
    if (sim->signal_set && sim->signal_set[index] >= 0) return (kn_signal_state)sim->signal_set[index];
    return kn_signal_at(sim->network->signals, index, sim->time);
}

static double front_of(const kn_sim_actor *actor) { return actor->look.center[0] + actor->look.length / 2; }

static double start_heading(const kn_road *road, int direction) {
    return kn_road_at(road, direction > 0 ? 0 : road->length, 0).heading + (direction > 0 ? 0 : M_PI);
}

static double end_heading(const kn_road *road, int direction) {
    return kn_road_at(road, direction > 0 ? road->length : 0, 0).heading + (direction > 0 ? 0 : M_PI);
}

/* Yield and stop signs give way; priority signs have it. */
static int rank_of(const kn_road *road, int direction) {
    int rank = 1;
    for (size_t i = 0; i < road->object_count; i++) {
        const kn_road_object *o = &road->objects[i];
        double rest = direction > 0 ? road->length - o->s : o->s;
        if (!o->is_signal || o->reference || (o->orientation && o->orientation != direction) || rest > 40) continue;
        if (!strcmp(o->type, "205") || !strcmp(o->type, "206")) rank = 0;
        else if (!strcmp(o->type, "306") || !strcmp(o->type, "301")) rank = 2;
    }
    return rank;
}

/* Does the light ahead on this road hold an actor whose front is `away` metres before it? */
static bool must_stop(const kn_sim *sim, int signal, double speed, double away) {
    kn_signal_state state = kn_sim_signal(sim, (size_t)signal);
    if (state == KN_SIGNAL_RED || state == KN_SIGNAL_RED_AMBER)
        return away > -0.5 ||
               (speed < 2 && away > -SIGNAL_GAP); /* who was past the line when it turned red clears the junction */
    return state == KN_SIGNAL_AMBER && away > 0 && speed * speed / (2 * fmax(away, 0.1)) < COMFORTABLE;
}

static void look(const kn_sim *sim, const kn_sim_actor *actor, kn_way_ahead *out) {
    kn_walker w = actor->walker;
    kn_walk_plan plan = {actor->route, actor->route_count, actor->turn};
    double gone = -front_of(actor); /* from the front to the walker's place */
    *out = (kn_way_ahead){.junction = -1, .road = -1, .from = -1, .light = INFINITY};
    const kn_road *roads = sim->network->roads;
    for (int hop = 0; hop < 16 && gone < LOOK; hop++) {
        const kn_road *road = &roads[w.road];
        double rest = w.direction > 0 ? road->length - w.s : w.s;
        if (road->junction >= 0) {
            out->junction = road->junction, out->road = w.road;
            out->inside = hop == 0;
            out->entry = out->inside ? -1 : gone;
            out->exit = gone + front_of(actor) + rest;
            out->heading = start_heading(road, w.direction);
            out->turn = kn_wrap_angle(end_heading(road, w.direction) - out->heading);
            return;
        }
        int signal = kn_signal_ahead(sim->network->signals, w.road, w.direction, w.s);
        if (signal >= 0) {
            double away = gone + fabs(sim->network->signals->list[signal].s - w.s) - SIGNAL_GAP;
            if (out->light == INFINITY && must_stop(sim, signal, actor->speed, away)) out->light = away;
        }
        out->from = w.road, out->from_direction = w.direction;
        out->rank = signal >= 0 && sim->network->signals->list[signal].junction >= 0 ? 1 : rank_of(road, w.direction);
        if (!kn_road_walk(sim->network, &w, rest + 1e-3, &plan, NULL)) return;
        gone += rest;
    }
}

double kn_traffic_line(const kn_sim *sim, const kn_sim_actor *actor) {
    kn_way_ahead way;
    if (!sim->network->signals || !actor->on_lane) return INFINITY;
    kn_sim_actor still = *actor;
    still.speed = 0;
    look(sim, &still, &way);
    bool lit = way.from >= 0 && kn_signal_ahead(sim->network->signals, way.from, way.from_direction,
                                                way.from_direction > 0 ? 0 : 1e9) >= 0;
    double junction = way.junction >= 0 && !way.inside && !lit ? fmax(way.entry - LINE_GAP, 0.5) : INFINITY;
    return fmin(way.light, junction);
}

/* Has `other` priority over `self`, both before the junction? */
static bool goes_first(const kn_way_ahead *other, const kn_way_ahead *self) {
    if (other->rank != self->rank) return other->rank > self->rank;
    double angle = kn_wrap_angle(other->heading - self->heading); /* oncoming: about pi; from the right: about +pi/2 */
    if (fabs(angle) > 2.4) return self->turn > 0.6 && other->turn <= 0.6;
    return angle > 0.6; /* it comes from the right */
}

/* Somebody slow stands where this one would come to rest behind the junction. */
static bool exit_is_blocked(const kn_sim *sim, const kn_sim_actor *self, size_t index, const kn_way_ahead *way) {
    kn_walker w = self->walker;
    kn_walk_plan plan = {self->route, self->route_count, self->turn};
    for (double past = 1; past < self->look.length + 5; past += 3) {
        kn_walker at = w;
        if (!kn_road_walk(sim->network, &at, way->exit + past, &plan, NULL)) return false;
        kn_vec3 p = kn_walker_pose(sim->network, &at, 0).translation;
        for (size_t i = 0; i < sim->actor_count; i++) {
            const kn_sim_actor *other = &sim->actors[i];
            if (i == index || !other->present || other->speed > 1.5) continue;
            kn_vec3 q = kn_pose_point(&other->pose, (kn_vec3){other->look.center[0], 0, 0});
            if (hypot(p.x - q.x, p.y - q.y) < other->look.length / 2 + 1 && cos(other->yaw - self->yaw) > -0.5 &&
                fabs(p.z - q.z) < 3)
                return true;
        }
    }
    return false;
}

static bool may_enter(const kn_sim *sim, const kn_way_ahead *ways, size_t index) {
    const kn_way_ahead *mine = &ways[index];
    const kn_sim_actor *self = &sim->actors[index];
    for (size_t i = 0; i < sim->actor_count; i++) {
        const kn_sim_actor *other = &sim->actors[i];
        const kn_way_ahead *his = &ways[i];
        bool scripted = other->speed_mode != KN_SPEED_DRIVER || other->fixed_speed >= 0;
        if (i == index || !other->present) continue;
        if (other->granted >= 0 && sim->network->roads[other->granted].junction == mine->junction &&
            kn_ways_cross(sim->network->signals, mine->junction, mine->road, other->granted))
            return false;
        if (his->junction != mine->junction ||
            !kn_ways_cross(sim->network->signals, mine->junction, mine->road, his->road))
            continue;
        double arrival = his->entry / fmax(other->speed, 0.5);
        if (his->inside || (scripted && other->speed > 0.5 && arrival < WINDOW + 1)) return false;
        if (!scripted && !his->held && arrival < WINDOW && his->entry < 60 && self->waiting < PATIENCE &&
            goes_first(his, mine))
            return false;
    }
    return !exit_is_blocked(sim, self, index, mine);
}

void kn_traffic_rules(kn_sim *sim, kn_way_ahead *ways, double dt) {
    for (size_t i = 0; i < sim->actor_count; i++) {
        kn_sim_actor *actor = &sim->actors[i];
        ways[i] = (kn_way_ahead){.junction = -1, .road = -1, .from = -1, .light = INFINITY};
        if (!actor->present || !actor->on_lane || !sim->network->signals || actor->look.kind >= KN_ACTOR_PEDESTRIAN ||
            actor->look.is_static)
            continue;
        look(sim, actor, &ways[i]);
        ways[i].held = isfinite(ways[i].light);
    }
    for (size_t i = 0; i < sim->actor_count; i++) {
        kn_sim_actor *actor = &sim->actors[i];
        kn_way_ahead *way = &ways[i];
        if (actor->granted >= 0 && actor->odometer > actor->granted_until) actor->granted = -1;
        if (actor->speed_mode != KN_SPEED_DRIVER || !actor->present || way->junction < 0) continue;
        actor->waiting = actor->speed < 0.5 && !way->held ? actor->waiting + dt : 0;
        double braking = actor->speed * actor->speed / (2 * 2.0) + 10;
        bool asks = way->inside || (way->entry - LINE_GAP < braking && !way->held);
        if (actor->granted == way->road || !asks) continue;
        if (way->inside || may_enter(sim, ways, i)) {
            actor->granted = way->road;
            actor->granted_until = actor->odometer + way->exit + 2.5;
        }
    }
    for (size_t i = 0; i < sim->actor_count; i++) { /* without a grant the junction's line is a red light */
        kn_way_ahead *way = &ways[i];
        if (way->junction >= 0 && !way->inside && sim->actors[i].granted != way->road)
            way->light = fmin(way->light, fmax(way->entry - LINE_GAP, fmin(way->entry - 0.5, 1.0)));
    }
}
