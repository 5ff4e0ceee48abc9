/* Conditions while a scenario plays. */
#include "scene/scenario/scenario.h"

#include <stdlib.h>
#include <string.h>

static bool compare(double value, int rule, double target) {
    switch (rule) {
    case KN_RULE_EQUAL: return fabs(value - target) < 1e-3;
    case KN_RULE_GREATER: return value > target;
    case KN_RULE_LESS: return value < target;
    case KN_RULE_GREATER_EQUAL: return value >= target;
    case KN_RULE_LESS_EQUAL: return value <= target;
    case KN_RULE_NOT_EQUAL: return fabs(value - target) >= 1e-3;
    }
    return false;
}

/* Metres along lanes from a to b: positive ahead; falls back to the axis of a when they do not share a road. */
static double along_road(const kn_sim *sim, const kn_sim_actor *a, kn_vec3 point, bool lateral) {
    kn_road_position pa = kn_road_locate(sim->network, a->pose.translation.x, a->pose.translation.y, 5);
    kn_road_position pb = kn_road_locate(sim->network, point.x, point.y, 5);
    if (pa.road >= 0 && pa.road == pb.road) {
        double facing = cos(a->yaw - kn_road_at(&sim->network->roads[pa.road], pa.s, 0).heading);
        if (a->on_lane) facing = a->walker.direction;
        return lateral ? pb.t - pa.t : (pb.s - pa.s) * (facing >= 0 ? 1 : -1);
    }
    kn_vec3 d = kn_vec3_sub(point, a->pose.translation);
    return kn_vec3_dot(d, kn_pose_direction(&a->pose, lateral ? (kn_vec3){0, 1, 0} : (kn_vec3){1, 0, 0}));
}

/* Distance of the condition's kind from actor a to a point (or to b's box with freespace), signed ahead or left. */
static double distance_to(const kn_sim *sim, const kn_condition *c, const kn_sim_actor *a, const kn_sim_actor *b,
                          kn_vec3 point) {
    kn_vec3 d = kn_vec3_sub(point, a->pose.translation);
    double value;
    if (c->axis == KN_DISTANCE_EUCLIDEAN) {
        if (c->freespace && b) return kn_box_distance(&a->look, &a->pose, &b->look, &b->pose);
        return hypot(d.x, d.y);
    }
    bool lateral = c->axis == KN_DISTANCE_LATERAL;
    value = c->alongside_road
                ? along_road(sim, a, point, lateral)
                : kn_vec3_dot(d, kn_pose_direction(&a->pose, lateral ? (kn_vec3){0, 1, 0} : (kn_vec3){1, 0, 0}));
    if (c->freespace && b) {
        double reach = lateral     ? (a->look.width + b->look.width) / 2
                       : value > 0 ? a->look.center[0] + a->look.length / 2 - (b->look.center[0] - b->look.length / 2)
                                   : b->look.center[0] + b->look.length / 2 - (a->look.center[0] - a->look.length / 2);
        value = value > 0 ? fmax(value - reach, 0) : fmin(value + reach, 0);
    } else if (c->freespace) {
        double reach = lateral ? a->look.width / 2 : a->look.center[0] + a->look.length / 2;
        value = value > 0 ? fmax(value - reach, 0) : value;
    }
    return value;
}

static double closing_speed(const kn_sim_actor *a, const kn_sim_actor *b) {
    kn_vec3 va = kn_pose_direction(&a->pose, (kn_vec3){a->speed, 0, 0}), vb = {0, 0, 0};
    if (b) vb = kn_pose_direction(&b->pose, (kn_vec3){b->speed, 0, 0});
    kn_vec3 axis = kn_pose_direction(&a->pose, (kn_vec3){1, 0, 0});
    return kn_vec3_dot(kn_vec3_sub(va, vb), axis);
}

static bool collides(const kn_sim *sim, const kn_condition *c, size_t self) {
    for (size_t i = 0; i < sim->actor_count; i++) {
        const kn_sim_actor *a = &sim->actors[self], *b = &sim->actors[i];
        if (i != self && b->present && !kn_sim_coupled(sim, i, self) && (c->entity < 0 || c->entity == (int)i) &&
            kn_boxes_overlap(&a->look, &a->pose, &b->look, &b->pose, 0))
            return true;
    }
    return false;
}

/* Is nobody in the lanes beside, from `backward` behind to `forward` ahead? */
static bool clear_beside(const kn_sim *sim, const kn_condition *c, size_t self) {
    const kn_sim_actor *a = &sim->actors[self];
    kn_road_position here = kn_road_locate(sim->network, a->pose.translation.x, a->pose.translation.y, 3);
    if (here.road < 0 || here.lane == KN_NO_LANE) return true;
    int direction = a->on_lane ? a->walker.direction : kn_lane_direction(&sim->network->roads[here.road], here.lane);
    size_t count = c->other_count ? c->other_count : sim->actor_count;
    for (size_t i = 0; i < count; i++) {
        size_t k = c->other_count ? (size_t)c->others[i] : i;
        const kn_sim_actor *b = &sim->actors[k];
        kn_vec3 d = kn_vec3_sub(b->pose.translation, a->pose.translation);
        if (k == self || !b->present || kn_sim_coupled(sim, self, k) || fabs(d.x) + fabs(d.y) > 2000) continue;
        kn_road_position there = kn_road_locate(sim->network, b->pose.translation.x, b->pose.translation.y, 3);
        if (there.road < 0 || there.lane == KN_NO_LANE ||
            (there.road != here.road && hypot(d.x, d.y) > fmax(fmin(c->forward, 200), fmin(c->backward, 200))))
            continue;
        bool oncoming = there.road == here.road && (there.lane > 0) != (here.lane > 0);
        int lanes = there.road == here.road ? (there.lane - here.lane) * direction : 0;
        lanes -= oncoming ? (lanes > 0 ? 1 : -1) : 0; /* there is no lane 0 */
        double along =
            there.road == here.road ? (there.s - here.s) * direction : along_road(sim, a, b->pose.translation, false);
        double reach = !c->freespace ? 0
                       : along > 0   ? a->look.center[0] + a->look.length / 2 - b->look.center[0] + b->look.length / 2
                                     : b->look.center[0] + b->look.length / 2 - a->look.center[0] + a->look.length / 2;
        if ((oncoming && !c->opposite) || lanes < c->lane_from || lanes > c->lane_to) continue;
        if (along >= 0 ? along - reach <= c->forward : -along - reach <= c->backward) return false;
    }
    return true;
}

static bool off_road(const kn_sim *sim, const kn_sim_actor *a) {
    return kn_road_locate(sim->network, a->pose.translation.x, a->pose.translation.y, 0.1).road < 0;
}

static bool entity_logic(const kn_sim *sim, const kn_condition *c, int index) {
    const kn_sim_actor *a = &sim->actors[index], *b = c->entity >= 0 ? &sim->actors[c->entity] : NULL;
    if (!a->present || (b && !b->present)) return false;
    kn_vec3 point = b ? b->pose.translation : (kn_vec3){0, 0, 0};
    bool positional =
        c->kind == KN_CONDITION_REACH || c->kind == KN_CONDITION_DISTANCE || (c->kind == KN_CONDITION_TTC && !b);
    if (positional) {
        kn_placement place;
        if (!kn_position_resolve(sim, &c->position, index, &place)) return false;
        point = place.position;
    }
    switch (c->kind) {
    case KN_CONDITION_HEADWAY: {
        double gap = distance_to(sim, c, a, b, point);
        return gap >= 0 && compare(a->speed > 1e-3 ? gap / a->speed : INFINITY, c->rule, c->value);
    }
    case KN_CONDITION_TTC: {
        double gap = fabs(distance_to(sim, c, a, b, point)), closing = closing_speed(a, b);
        if (distance_to(sim, c, a, b, point) < 0) closing = -closing;
        return closing > 1e-3 && compare(gap / closing, c->rule, c->value);
    }
    case KN_CONDITION_RELATIVE_DISTANCE:
    case KN_CONDITION_DISTANCE: return compare(fabs(distance_to(sim, c, a, b, point)), c->rule, c->value);
    case KN_CONDITION_REACH:
        return hypot(point.x - a->pose.translation.x, point.y - a->pose.translation.y) <= c->tolerance;
    case KN_CONDITION_SPEED: return compare(a->speed, c->rule, c->value);
    case KN_CONDITION_RELATIVE_SPEED: return compare(a->speed - b->speed, c->rule, c->value);
    case KN_CONDITION_ACCELERATION: return compare(a->acceleration, c->rule, c->value);
    case KN_CONDITION_TRAVELED: return a->odometer >= c->value;
    case KN_CONDITION_STAND_STILL: return a->standstill >= fmax(c->value, 1e-6);
    case KN_CONDITION_END_OF_ROAD: return a->at_dead_end;
    case KN_CONDITION_OFFROAD: return off_road(sim, a);
    case KN_CONDITION_COLLISION: return collides(sim, c, (size_t)index);
    case KN_CONDITION_CLEARANCE: return clear_beside(sim, c, (size_t)index);
    default: return false;
    }
}

static bool element_logic(const kn_sim *sim, const kn_condition *c) {
    const kn_element *e = c->element;
    if (!e) return false;
    bool fresh = e->transition_step && sim->step + 1 <= e->transition_step + 1; /* this step or the one before */
    switch (c->element_state) {
    case KN_WHEN_COMPLETE: return e->state == KN_STATE_COMPLETE;
    case KN_WHEN_RUNNING: return e->state == KN_STATE_RUNNING;
    case KN_WHEN_STANDBY: return e->state == KN_STATE_STANDBY;
    default: return fresh && e->transition == c->element_state;
    }
}

static bool parameter_logic(const kn_scenario *scenario, const kn_condition *c) {
    for (size_t i = 0; i < scenario->parameter_count; i++) {
        if (strcmp(scenario->parameters[i].name, c->name)) continue;
        char *end_a, *end_b;
        const char *text = scenario->parameters[i].value;
        double a = strtod(text, &end_a), b = strtod(c->text, &end_b);
        if (*text && *c->text && !*end_a && !*end_b) return compare(a, c->rule, b);
        bool same = !strcmp(text, c->text);
        return c->rule == KN_RULE_NOT_EQUAL ? !same : same;
    }
    return false;
}

static bool logic(const kn_scenario *scenario, const kn_sim *sim, const kn_condition *c) {
    switch (c->kind) {
    case KN_CONDITION_FALSE: return false;
    case KN_CONDITION_TIME: return compare(sim->time, c->rule, c->value);
    case KN_CONDITION_TIME_OF_DAY:
        return compare(fmod(sim->weather.seconds_of_day + sim->time, 86400), c->rule, c->value);
    case KN_CONDITION_PARAMETER: return parameter_logic(scenario, c);
    case KN_CONDITION_ELEMENT: return element_logic(sim, c);
    case KN_CONDITION_SIGNAL:
    case KN_CONDITION_SIGNAL_PHASE: return kn_signal_condition(scenario, sim, c);
    default: break;
    }
    for (size_t i = 0; i < c->entity_count; i++)
        if (entity_logic(sim, c, c->entities[i]) == c->any) return c->any;
    return !c->any && c->entity_count > 0;
}

/* Edge, then delay: the value that the condition had `delay` seconds ago. */
static bool check(kn_scenario *scenario, const kn_sim *sim, kn_condition *c) {
    bool now = logic(scenario, sim, c), before = c->last;
    if (!c->evaluated) before = now; /* the first look sees no edge */
    c->evaluated = true;
    c->last = now;
    bool value = c->edge == KN_EDGE_NONE      ? now
                 : c->edge == KN_EDGE_RISING  ? now && !before
                 : c->edge == KN_EDGE_FALLING ? !now && before
                                              : now != before;
    if (c->delay <= 0) return value;
    bool newest = (c->toggle_count % 2 == 1) != c->value_now; /* value_now: value before the first toggle kept */
    if (value != newest && c->toggle_count < KN_CONDITION_TOGGLES) c->toggles[c->toggle_count++] = sim->time;
    while (c->toggle_count && c->toggles[0] + c->delay <= sim->time + 1e-9) {
        c->value_now = !c->value_now;
        memmove(c->toggles, c->toggles + 1, --c->toggle_count * sizeof *c->toggles);
        if (c->value_now) return true; /* even if it was true for one step only */
    }
    return c->value_now;
}

bool kn_trigger_check(kn_scenario *scenario, const kn_sim *sim, kn_trigger *trigger, bool empty) {
    bool result = false;
    if (!trigger->count) return empty;
    for (size_t g = 0; g < trigger->count; g++) {
        bool all = trigger->groups[g].count > 0;
        for (size_t i = 0; i < trigger->groups[g].count; i++)
            all &= check(scenario, sim, &trigger->groups[g].conditions[i]); /* all of them: each follows its edges */
        result |= all;
    }
    return result;
}
