/* Motion of one step: speeds, lateral offsets, lanes and paths. */
#include "scene/simulation/simulation.h"

#include <string.h>

double kn_shape_at(kn_shape shape, double x) {
    x = fmin(fmax(x, 0), 1);
    switch (shape) {
    case KN_SHAPE_LINEAR: return x;
    case KN_SHAPE_CUBIC: return x * x * (3 - 2 * x);
    case KN_SHAPE_SINUSOIDAL: return 0.5 - 0.5 * cos(M_PI * x);
    case KN_SHAPE_STEP: return 1;
    }
    return x;
}

double kn_shape_peak_slope(kn_shape shape) {
    return shape == KN_SHAPE_CUBIC ? 1.5 : shape == KN_SHAPE_SINUSOIDAL ? M_PI / 2 : 1;
}

kn_transition kn_transition_of(kn_shape shape, int dimension, double value, double from, double to) {
    kn_transition t = {.shape = shape, .by_distance = dimension == 2, .from = from, .to = to};
    value = fabs(value);
    if (dimension == 1) t.span = value > 0 ? fabs(to - from) * kn_shape_peak_slope(shape) / value : 0;
    else t.span = value;
    if (shape == KN_SHAPE_STEP) t.span = 0;
    return t;
}

/* Moves a transition on; returns true when it has arrived. */
static bool advance(kn_transition *t, double dt, double metres, double *value) {
    t->progress += t->by_distance ? metres : dt;
    bool done = t->progress >= t->span - 1e-9;
    *value = done ? t->to : t->from + (t->to - t->from) * kn_shape_at(t->shape, t->progress / t->span);
    return done;
}

kn_sim_actor *kn_sim_add(kn_sim *sim, kn_error *error) {
    if (!kn_grow(&sim->actors, &sim->actor_capacity, sim->actor_count + 1, sizeof *sim->actors, error)) return NULL;
    kn_sim_actor *actor = &sim->actors[sim->actor_count++];
    *actor = (kn_sim_actor){.pose = kn_pose_identity(),
                            .leader = -1,
                            .fixed_speed = -1,
                            .path_scale = 1,
                            .speed_factor = 1,
                            .tower = -1,
                            .granted = -1};
    actor->walker.road = -1;
    return actor;
}

void kn_sim_finish(kn_sim *sim) {
    kn_free(sim->actors);
    kn_free(sim->ways);
    *sim = (kn_sim){0};
}

void kn_sim_set_speed(kn_sim_actor *actor, unsigned owner, kn_transition ramp) {
    actor->longitudinal = (kn_axis){owner, true};
    actor->speed_mode = KN_SPEED_RAMP;
    actor->ramp = ramp;
    actor->desired_speed = ramp.to;
    if (ramp.span <= 0) {
        actor->speed = ramp.to;
        actor->longitudinal.active = false;
        actor->speed_mode = KN_SPEED_HOLD;
    }
}

void kn_sim_set_offset(kn_sim_actor *actor, unsigned owner, kn_transition offset) {
    actor->lateral = (kn_axis){owner, true};
    actor->path = NULL;
    actor->beside = NULL;
    actor->offset_active = true;
    actor->offset = offset;
}

bool kn_sim_change_lane(kn_sim *sim, kn_sim_actor *actor, unsigned owner, int lane, double target_offset,
                        kn_transition dynamics) {
    if (!actor->on_lane) return false;
    kn_walker *w = &actor->walker;
    const kn_road *road = &sim->network->roads[w->road];
    if (!lane || !kn_section_lane(kn_road_section(road, w->s), lane)) return false;
    double t = kn_lane_span_at(road, w->s, w->lane).center + w->direction * w->offset;
    w->lane = lane;
    w->offset = w->direction * (t - kn_lane_span_at(road, w->s, lane).center);
    dynamics.from = w->offset;
    dynamics.to = target_offset;
    kn_sim_set_offset(actor, owner, dynamics);
    actor->indicator = w->offset - target_offset < -1 ? 1 : w->offset - target_offset > 1 ? -1 : 0;
    return true;
}

static double limit_change(double from, double to, double up, double down, double dt) {
    return fmin(fmax(to, from - down * dt), from + up * dt);
}

static double distance_speed(const kn_sim *sim, kn_sim_actor *actor, double dt) {
    const kn_sim_actor *lead = &sim->actors[actor->leader];
    kn_vec3 d = kn_vec3_sub(lead->pose.translation, actor->pose.translation);
    double along = kn_vec3_dot(d, kn_pose_direction(&actor->pose, (kn_vec3){1, 0, 0}));
    double gap = actor->gap_is_time ? actor->gap * fmax(actor->speed, 0.1) : actor->gap;
    double have = fabs(along);
    if (actor->gap_freespace)
        have -= along > 0
                    ? actor->look.center[0] + actor->look.length / 2 - (lead->look.center[0] - lead->look.length / 2)
                    : lead->look.center[0] + lead->look.length / 2 - (actor->look.center[0] - actor->look.length / 2);
    double miss = (have - gap) * (along > 0 ? 1 : -1);
    double wanted = fmin(fmax(lead->speed + 0.6 * miss, 0), actor->max_speed);
    if (!actor->gap_continuous && fabs(miss) < 0.1 && fabs(actor->speed - lead->speed) < 0.2)
        actor->longitudinal.active = false;
    return limit_change(actor->speed, wanted, actor->max_acceleration, actor->max_deceleration, dt);
}

static double profile_speed(kn_sim_actor *actor, double dt) {
    actor->profile_time += dt;
    double t = actor->profile_time, t0 = 0, v0 = actor->profile_start;
    for (size_t i = 0; i < actor->profile_count; i++) {
        double t1 = actor->profile[i][0], v1 = actor->profile[i][1];
        if (t < t1) return t1 > t0 ? v0 + (v1 - v0) * (t - t0) / (t1 - t0) : v1;
        t0 = t1;
        v0 = v1;
    }
    actor->longitudinal.active = false;
    actor->speed_mode = KN_SPEED_HOLD;
    return v0;
}

static double next_speed(const kn_sim *sim, kn_sim_actor *actor, double dt) {
    double speed = actor->speed;
    switch (actor->speed_mode) {
    case KN_SPEED_HOLD: break;
    case KN_SPEED_RAMP:
        if (advance(&actor->ramp, dt, fabs(actor->speed) * dt, &speed)) {
            actor->longitudinal.active = false;
            actor->speed_mode = KN_SPEED_HOLD;
        }
        break;
    case KN_SPEED_FOLLOW: speed = sim->actors[actor->leader].speed * actor->speed_factor + actor->speed_delta; break;
    case KN_SPEED_PROFILE: speed = profile_speed(actor, dt); break;
    case KN_SPEED_DISTANCE: speed = distance_speed(sim, actor, dt); break;
    case KN_SPEED_SYNC: speed = kn_sync_speed(sim, actor, dt); break;
    case KN_SPEED_DRIVER: speed = fmax(actor->speed + actor->driver_acceleration * dt, 0); break;
    }
    return speed;
}

static void move_on_lane(kn_sim *sim, kn_sim_actor *actor, double metres, double dt) {
    kn_walker *w = &actor->walker;
    double before = w->offset;
    if (actor->offset_active && advance(&actor->offset, dt, fabs(metres), &w->offset)) {
        actor->offset_active = false;
        actor->lateral.active = false;
        actor->indicator = 0;
    }
    if (actor->beside) kn_beside_offset(sim, actor, dt);
    double slope = fabs(metres) > 1e-4 ? (w->offset - before) / fabs(metres) : 0;
    actor->drift = fmin(fmax(slope, -0.6), 0.6);
    kn_walk_plan plan = {actor->route, actor->route_count, actor->turn};
    kn_walker walk = *w;
    double travel = fabs(metres), scale = 1;
    const kn_road *road = &sim->network->roads[w->road];
    double t = kn_lane_span_at(road, w->s, w->lane).center + w->direction * w->offset;
    scale = fmax(1 - kn_road_at(road, w->s, 0).curvature * t, 0.2);
    if (metres < 0) {
        walk.direction = -walk.direction;
        walk.offset = -walk.offset;
    }
    actor->at_dead_end = !kn_road_walk(sim->network, &walk, travel * cos(atan(actor->drift)) / scale, &plan, NULL);
    if (actor->at_dead_end && metres != 0) { /* leaves the network straight ahead */
        actor->left_network = true;
        kn_pose pose = kn_walker_pose(sim->network, &walk, 0);
        actor->on_lane = false;
        actor->yaw = atan2(pose.rotation[1][0], pose.rotation[0][0]) + (metres < 0 ? M_PI : 0);
        actor->lateral.active = actor->offset_active = false;
    }
    if (metres < 0) {
        walk.direction = -walk.direction;
        walk.offset = -walk.offset;
    }
    *w = walk;
    kn_pose old = actor->pose;
    actor->pose = kn_walker_pose(sim->network, w, actor->drift);
    double turned = kn_wrap_angle(atan2(actor->pose.rotation[1][0], actor->pose.rotation[0][0]) -
                                  atan2(old.rotation[1][0], old.rotation[0][0]));
    actor->curvature = fabs(metres) > 1e-3 ? 0.8 * actor->curvature + 0.2 * turned / metres : actor->curvature;
}

/* Position on the path (metres from its start) at `position` seconds or metres; false past its end. */
static bool path_along(const kn_path *path, bool timed, double position, double *along) {
    size_t n = path->count;
    if (!timed) {
        *along = fmin(position, path->along[n - 1]);
        return position <= path->along[n - 1];
    }
    size_t i = 1;
    while (i < n && path->points[i][3] < position) i++;
    if (i == n) {
        *along = path->along[n - 1];
        return false;
    }
    double t0 = path->points[i - 1][3], t1 = path->points[i][3];
    double f = t1 > t0 ? fmin(fmax((position - t0) / (t1 - t0), 0), 1) : 1;
    *along = path->along[i - 1] + f * (path->along[i] - path->along[i - 1]);
    return true;
}

static void path_pose(const kn_path *path, double along, kn_vec3 *position, double *yaw) {
    size_t i = 1;
    while (i + 1 < path->count && path->along[i] < along) i++;
    double length = path->along[i] - path->along[i - 1];
    double f = length > 0 ? fmin(fmax((along - path->along[i - 1]) / length, 0), 1) : 1;
    const double *a = path->points[i - 1], *b = path->points[i];
    *position = (kn_vec3){a[0] + f * (b[0] - a[0]), a[1] + f * (b[1] - a[1]), a[2] + f * (b[2] - a[2])};
    *yaw = path->yaw[i - 1] + f * kn_wrap_angle(path->yaw[i] - path->yaw[i - 1]);
}

/* Seconds at which a timed path is `along` metres from its start. */
static double path_time(const kn_path *path, double along) {
    size_t i = 1;
    while (i + 1 < path->count && path->along[i] < along) i++;
    double length = path->along[i] - path->along[i - 1];
    double f = length > 0 ? fmin(fmax((along - path->along[i - 1]) / length, 0), 1) : 0;
    return path->points[i - 1][3] + f * (path->points[i][3] - path->points[i - 1][3]);
}

void kn_sim_follow_path(const kn_sim *sim, kn_sim_actor *actor, unsigned owner, const kn_path *path, bool timed,
                        double scale, double offset, double first) {
    first = fmin(first, path->along[path->count - 1]);
    if (!actor->placed) { /* stands there from the beginning */
        kn_vec3 position;
        path_pose(path, first, &position, &actor->yaw);
        actor->pose = kn_sim_surface_pose(sim, position, actor->yaw);
    }
    actor->lateral = (kn_axis){owner, true};
    if (timed) actor->longitudinal = (kn_axis){owner, true};
    actor->offset_active = false;
    actor->beside = NULL;
    actor->path = path;
    actor->path_timed = timed;
    actor->path_scale = scale;
    actor->path_offset = offset - (timed && first > 0 ? path_time(path, first) * scale : 0);
    actor->path_position = timed ? 0 : first;
    actor->on_lane = false;
    actor->followed_path = true;
    actor->placed = true;
    actor->present = !actor->removed;
}

static void move_on_path(kn_sim *sim, kn_sim_actor *actor, double metres, double dt) {
    bool timed = actor->path_timed && actor->fixed_speed < 0;
    kn_vec3 before = actor->pose.translation, position;
    double along, yaw, old_yaw = actor->yaw;
    bool backwards = !timed && metres < 0; /* the path leads the same way, the vehicle's front points against it */
    actor->path_position += timed ? dt : fabs(metres);
    double at = timed ? (actor->path_position - actor->path_offset) / actor->path_scale : actor->path_position;
    double round = timed ? actor->path->points[actor->path->count - 1][3] : actor->path->along[actor->path->count - 1];
    if (actor->path->closed && round > 1e-3 && at > round) at = fmod(at, round);
    bool going = path_along(actor->path, timed, at, &along);
    path_pose(actor->path, along, &position, &yaw);
    yaw += backwards ? M_PI : 0;
    double moved = hypot(position.x - before.x, position.y - before.y);
    actor->yaw = yaw;
    actor->pose = kn_sim_surface_pose(sim, position, yaw);
    if (timed && going) actor->speed = moved / dt < 200 ? moved / dt : actor->speed;
    if (moved > 1e-3)
        actor->curvature = 0.8 * actor->curvature + 0.2 * kn_wrap_angle(yaw - old_yaw) / (backwards ? -moved : moved);
    if (!going) {
        double speed = actor->speed;
        bool halt = actor->path->halt;
        actor->lateral.active = false;
        if (timed) actor->longitudinal.active = false;
        actor->path = NULL;
        kn_sim_place_in_world(sim, actor, actor->pose.translation, yaw);
        actor->speed = halt && !actor->on_lane ? 0 : speed;
    }
}

static void move_actor(kn_sim *sim, kn_sim_actor *actor, double dt) {
    double before = actor->speed;
    bool timed_path = actor->path && actor->path_timed;
    if (!timed_path) actor->speed = next_speed(sim, actor, dt);
    if (actor->fixed_speed >= 0) actor->speed = actor->fixed_speed;
    double metres = actor->speed * dt;
    if (actor->path) {
        move_on_path(sim, actor, metres, dt);
    } else if (actor->on_lane) {
        move_on_lane(sim, actor, metres, dt);
    } else {
        kn_vec3 p = actor->pose.translation;
        p.x += cos(actor->yaw) * metres;
        p.y += sin(actor->yaw) * metres;
        actor->pose = metres != 0 ? kn_sim_surface_pose(sim, p, actor->yaw) : actor->pose;
    }
    double acceleration = (actor->speed - before) / dt;
    actor->acceleration = 0.7 * actor->acceleration + 0.3 * acceleration;
    actor->odometer += fabs(actor->speed) * dt;
    double radius = actor->look.kind == KN_ACTOR_TRUCK || actor->look.kind == KN_ACTOR_BUS ? 0.5 : 0.33;
    actor->wheel_angle += actor->speed * dt / radius;
    actor->standstill = fabs(actor->speed) < 1e-3 ? actor->standstill + dt : 0;
}

bool kn_sim_prepare(kn_sim *sim, kn_error *error) {
    return kn_grow(&sim->ways, &sim->ways_capacity, sim->actor_count, sizeof *sim->ways, error);
}

void kn_sim_step(kn_sim *sim) {
    if (sim->step % 4 == 0) kn_traffic_drive(sim);
    for (size_t i = 0; i < sim->actor_count; i++)
        if (sim->actors[i].present && !sim->actors[i].look.is_static && sim->actors[i].tower < 0)
            move_actor(sim, &sim->actors[i], KN_SIM_STEP);
    kn_sim_tow(sim, false);
    sim->step++;
    sim->time = (double)sim->step * KN_SIM_STEP;
}
