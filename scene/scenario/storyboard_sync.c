/* Meeting another at a place, and keeping a distance beside him (OpenSCENARIO's SynchronizeAction and
 * LateralDistanceAction). */
#include "scene/scenario/scenario.h"

static const double HARDEST = 8, STRONGEST = 5; /* m/s^2 braking and accelerating */

/* Metres along the actor's path to where it comes nearest to a place; false when that is 3 m off or more. */
static bool way_on_path(const kn_sim_actor *actor, kn_vec3 to, double *way) {
    const kn_path *path = actor->path;
    double best = 9;
    bool found = false;
    for (size_t i = 1; path && !actor->path_timed && i < path->count; i++) {
        const double *a = path->points[i - 1], *b = path->points[i];
        double dx = b[0] - a[0], dy = b[1] - a[1], square = dx * dx + dy * dy;
        double share = square > 0 ? fmin(fmax(((to.x - a[0]) * dx + (to.y - a[1]) * dy) / square, 0), 1) : 0;
        double x = a[0] + share * dx - to.x, y = a[1] + share * dy - to.y;
        if (x * x + y * y >= best) continue;
        best = x * x + y * y;
        found = true;
        *way = path->along[i - 1] + share * (path->along[i] - path->along[i - 1]) - actor->path_position;
    }
    return found;
}

/* Metres that an actor still has to go to a placement: along its path, along its lane and the roads that follow, else
 * straight ahead. */
static double way_to(const kn_sim *sim, const kn_sim_actor *actor, const kn_placement *place) {
    enum { HOPS = 64 };
    kn_vec3 d = kn_vec3_sub(place->position, actor->pose.translation);
    double ahead = kn_vec3_dot(d, kn_pose_direction(&actor->pose, (kn_vec3){1, 0, 0})), gone = 0;
    if (way_on_path(actor, place->position, &gone)) return gone;
    gone = 0;
    if (!actor->on_lane || !place->on_lane) return ahead;
    kn_walker w = actor->walker;
    kn_walk_plan plan = {actor->route, actor->route_count, actor->turn};
    for (int hop = 0; hop < HOPS; hop++) {
        double left = (place->walker.s - w.s) * w.direction;
        if (w.road == place->walker.road && (left >= 0 || hop == 0)) return gone + left;
        double rest = w.direction > 0 ? sim->network->roads[w.road].length - w.s : w.s;
        if (!kn_road_walk(sim->network, &w, rest + 1e-3, &plan, NULL)) break;
        gone += rest;
    }
    return ahead;
}

double kn_sync_speed(const kn_sim *sim, kn_sim_actor *actor, double dt) {
    const kn_action *a = actor->sync;
    const kn_sim_actor *master = &sim->actors[a->entity];
    kn_placement mine, his;
    if (!kn_position_resolve(sim, &a->position, (int)(actor - sim->actors), &mine) ||
        !kn_position_resolve(sim, a->waypoints, a->entity, &his)) {
        actor->longitudinal.active = false;
        actor->speed_mode = KN_SPEED_HOLD;
        return actor->speed;
    }
    double way = way_to(sim, actor, &mine), his_way = way_to(sim, master, &his), v = actor->speed;
    double final = a->factor ? master->speed * a->value : a->absolute ? a->value : master->speed + a->value;
    bool he_arrived = his_way <= fmax(a->master_tolerance, master->speed * dt),
         arrived = way <= fmax(a->tolerance, v * dt);
    if (he_arrived || arrived) {
        if (he_arrived && arrived) {
            actor->longitudinal.active = false;
            actor->speed_mode = KN_SPEED_HOLD;
            return a->has_final && fabs(final - v) < 1 ? final : v;
        }
        double target = arrived ? (a->has_final ? fmin(final, v) : v) : v; /* too early or too late: as it is */
        actor->longitudinal.active = his_way > -50 && way > -50;
        if (!actor->longitudinal.active) actor->speed_mode = KN_SPEED_HOLD;
        return target;
    }
    /* A steady state: the final speed is reached so far and so long before. */
    double steady = a->has_final ? a->steady_metres + a->steady_seconds * fmax(final, 0) : 0;
    if (steady > 0 && way <= steady + v * dt) return fmin(fmax(final, v - HARDEST * dt), v + STRONGEST * dt);
    way -= steady;
    /* The speed that is linear in time (or, with a final speed, quadratic) and covers the way until he arrives. */
    double t = his_way / fmax(master->speed, 0.1) - (steady > 0 ? steady / fmax(final, 0.1) : 0);
    if (steady > 0) t = fmax(t, 0.05); /* too late: as fast as it can */
    double acceleration = t > 60         ? 0
                          : a->has_final ? (6 * way - (4 * v + 2 * final) * t) / (t * t)
                                         : 2 * (way - v * t) / (t * t);
    return fmax(v + fmin(fmax(acceleration, -HARDEST), STRONGEST) * dt, 0);
}

void kn_beside_offset(const kn_sim *sim, kn_sim_actor *actor, double dt) {
    const kn_action *a = actor->beside;
    const kn_sim_actor *other = &sim->actors[a->entity];
    kn_walker *w = &actor->walker;
    const kn_road *road = &sim->network->roads[w->road];
    kn_road_position at = {.road = other->walker.road, .s = other->walker.s};
    if (other->on_lane)
        at.t = kn_lane_span_at(&sim->network->roads[at.road], at.s, other->walker.lane).center +
               other->walker.direction * other->walker.offset;
    else at = kn_road_locate(sim->network, other->pose.translation.x, other->pose.translation.y, 5);
    if (!actor->lateral.active || at.road != w->road) return;
    double t = kn_lane_span_at(road, w->s, w->lane).center + w->direction * w->offset;
    double apart = a->value + (a->freespace ? (actor->look.width + other->look.width) / 2 : 0);
    double now = (t - at.t) * w->direction; /* left of the other positive */
    int side = a->side ? a->side : now >= 0 ? 1 : -1;
    double miss = side * apart - now, speed = fmin(a->max_speed, 3), hard = fmin(a->max_acceleration, 4);
    double wanted = fmin(fmax(1.5 * miss, -sqrt(2 * hard * fabs(miss))), sqrt(2 * hard * fabs(miss)));
    wanted = fmin(fmax(wanted, -speed), speed);
    actor->beside_speed = fmin(fmax(wanted, actor->beside_speed - hard * dt), actor->beside_speed + hard * dt);
    w->offset += actor->beside_speed * dt;
    if (!a->continuous && fabs(miss) < 0.05 && fabs(actor->beside_speed) < 0.1) {
        actor->lateral.active = false;
        actor->beside = NULL;
    }
}
