/* Positions and trajectories as they are while a scenario plays. */
#include "scene/scenario/scenario.h"

#include <string.h>

static double pose_yaw(const kn_pose *pose) { return atan2(pose->rotation[1][0], pose->rotation[0][0]); }

/* An (s, t) position with the file's orientation: on the lane when it faces along it, else free. */
static bool place_on_road(const kn_sim *sim, int road_index, int lane, double s, double t_offset, bool t_is_absolute,
                          int direction, const kn_position *p, kn_placement *out) {
    const kn_road *road = &sim->network->roads[road_index];
    if (!(s >= -0.01 && s <= road->length + 0.01)) return false;
    s = fmin(fmax(s, 0), road->length);
    double t = t_is_absolute ? t_offset : kn_lane_span_at(road, s, lane).center + t_offset;
    if (t_is_absolute) lane = kn_road_lane_at(road, s, t);
    if (lane != KN_NO_LANE && !kn_section_lane(kn_road_section(road, s), lane)) return false;
    double heading = kn_road_at(road, s, 0).heading;
    if (!direction) direction = lane == KN_NO_LANE || lane == 0 ? 1 : kn_lane_direction(road, lane);
    double along = heading + (direction > 0 ? 0 : M_PI);
    double yaw = !p->has_heading ? along : p->heading_relative ? along + p->heading : p->heading;
    double turn = kn_wrap_angle(yaw - heading);
    out->on_lane = lane != KN_NO_LANE && lane != 0 && cos(turn) * cos(turn) > 0.75;
    int motion = cos(turn) > 0 ? 1 : -1;
    if (out->on_lane)
        out->walker = (kn_walker){road_index, lane, motion, s, motion * (t - kn_lane_span_at(road, s, lane).center)};
    out->position = kn_road_at(road, s, t).position;
    out->yaw = yaw;
    return true;
}

static bool relative_lane(const kn_sim *sim, const kn_position *p, kn_placement *out) {
    const kn_sim_actor *other = &sim->actors[p->entity];
    kn_walker w = other->walker;
    if (!other->on_lane) {
        kn_road_position at = kn_road_locate(sim->network, other->pose.translation.x, other->pose.translation.y, 2);
        if (at.road < 0 || at.lane == KN_NO_LANE) return false;
        w = (kn_walker){at.road, at.lane, kn_lane_direction(&sim->network->roads[at.road], at.lane), at.s, 0};
    }
    const kn_road *road = &sim->network->roads[w.road];
    int lane = w.lane,
        step = p->lane > 0 ? 1 : -1; /* dLane counts to the left of the other's lane, in the sense of ids */
    for (int i = 0; i < abs(p->lane); i++) {
        lane += step;
        lane += lane == 0 ? step : 0;
    }
    if (!kn_section_lane(kn_road_section(road, w.s), lane)) return false;
    w.offset = 0;
    kn_walker walk = w;
    walk.lane = lane;
    bool back = p->s < 0;
    if (back) walk.direction = -walk.direction;
    if (!kn_road_walk(sim->network, &walk, fabs(p->s), NULL, NULL)) return false;
    if (back) walk.direction = -walk.direction;
    int natural = kn_lane_direction(&sim->network->roads[walk.road], walk.lane);
    bool same_way = (lane > 0) == (w.lane > 0); /* then as the other moves, else as the lane is driven */
    return place_on_road(sim, walk.road, walk.lane, walk.s, p->t, false, same_way ? walk.direction : natural, p, out);
}

static bool relative_road(const kn_sim *sim, const kn_position *p, kn_placement *out) {
    const kn_sim_actor *other = &sim->actors[p->entity];
    kn_road_position at = kn_road_locate(sim->network, other->pose.translation.x, other->pose.translation.y, 5);
    if (at.road < 0) return false;
    return place_on_road(sim, at.road, at.lane, at.s + p->s, at.t + p->t, true, 0, p, out);
}

bool kn_position_resolve(const kn_sim *sim, const kn_position *p, int self, kn_placement *out) {
    (void)self;
    *out = (kn_placement){0};
    switch (p->kind) {
    case KN_POSITION_WORLD:
        out->position = (kn_vec3){p->x, p->y, p->z};
        out->yaw = p->heading;
        if (!p->has_heading) { /* along the lane below, if there is one */
            kn_road_position at = kn_road_locate(sim->network, p->x, p->y, 0.5);
            if (at.road >= 0 && at.lane != KN_NO_LANE)
                out->yaw = kn_road_at(&sim->network->roads[at.road], at.s, 0).heading +
                           (kn_lane_direction(&sim->network->roads[at.road], at.lane) > 0 ? 0 : M_PI);
        }
        return true;
    case KN_POSITION_RELATIVE_WORLD: {
        const kn_pose *other = &sim->actors[p->entity].pose;
        out->position = kn_vec3_add(other->translation, (kn_vec3){p->x, p->y, p->z});
        out->yaw = p->has_heading && !p->heading_relative ? p->heading : pose_yaw(other) + p->heading;
        return true;
    }
    case KN_POSITION_RELATIVE_OBJECT: {
        const kn_pose *other = &sim->actors[p->entity].pose;
        out->position = kn_pose_point(other, (kn_vec3){p->x, p->y, p->z});
        out->yaw = p->has_heading && !p->heading_relative ? p->heading : pose_yaw(other) + p->heading;
        return true;
    }
    case KN_POSITION_LANE: return place_on_road(sim, p->road, p->lane, p->s, p->t, false, 0, p, out);
    case KN_POSITION_ROAD: /* headings count from the direction of s, whichever way the lane there is driven */
        return place_on_road(sim, p->road, KN_NO_LANE, p->s, p->t, true, 1, p, out);
    case KN_POSITION_RELATIVE_LANE: return relative_lane(sim, p, out);
    case KN_POSITION_RELATIVE_ROAD: return relative_road(sim, p, out);
    }
    return false;
}

/* --- trajectories ----------------------------------------------------------------------------- */

typedef struct path_builder {
    double (*points)[4];
    size_t count, capacity;
    kn_error *error;
} path_builder;

static bool add_point(path_builder *b, double x, double y, double z, double time) {
    if (!kn_grow(&b->points, &b->capacity, b->count + 1, sizeof *b->points, b->error)) return false;
    double *p = b->points[b->count++];
    p[0] = x, p[1] = y, p[2] = z, p[3] = time;
    return true;
}

static bool resolve_vertex(const kn_sim *sim, const kn_trajectory *t, size_t i, int self, kn_placement *place,
                           const char *file, kn_error *error) {
    if (kn_position_resolve(sim, &t->vertices[i], self, place)) return true;
    return kn_fail(error, KN_ERROR_INPUT, "%s:%d: trajectory vertex %zu lies outside the road network", file,
                   t->vertices[i].line, i);
}

static bool sample_clothoids(path_builder *b, const kn_sim *sim, const kn_trajectory *t, int self, const char *file) {
    const kn_pose *here = &sim->actors[self].pose; /* where a first segment without a place starts */
    kn_placement at = {.position = here->translation, .yaw = pose_yaw(here)};
    double total = 0, done = 0;
    for (size_t i = 0; i < t->segment_count; i++) total += t->segments[i][2];
    bool timed = !isnan(t->clothoid_times[1]);
    double begin = isnan(t->clothoid_times[0]) ? 0 : t->clothoid_times[0];
    bool each = timed; /* every segment has its own start */
    for (size_t i = 0; i < t->segment_count; i++)
        each = each && !isnan(t->segment_times[i]) &&
               t->segment_times[i] <= (i + 1 < t->segment_count ? t->segment_times[i + 1] : t->clothoid_times[1]);
    for (size_t i = 0; i < t->segment_count; i++) {
        const double *segment = t->segments[i];
        if (t->has_start[i] && !resolve_vertex(sim, t, i, self, &at, file, b->error)) return false;
        at.yaw += segment[3];
        kn_road road = {.length = segment[2], .geometry_count = 1, .section_count = 0};
        kn_geometry g = {KN_GEOMETRY_SPIRAL, 0,          at.position.x, at.position.y, at.yaw, segment[2],
                         segment[0],         segment[1], {0},           {0},           false};
        road.geometries = &g;
        size_t steps = (size_t)fmin(segment[2] / 0.5 + 2, 4000);
        for (size_t k = i ? 1 : 0; k <= steps; k++) {
            double s = segment[2] * (double)k / (double)steps;
            kn_vec3 p = kn_road_at(&road, s, 0).position;
            double time = timed ? begin + (t->clothoid_times[1] - begin) * (done + s) / total : NAN;
            if (each) {
                double end = i + 1 < t->segment_count ? t->segment_times[i + 1] : t->clothoid_times[1];
                time = t->segment_times[i] + (end - t->segment_times[i]) * s / segment[2];
            }
            if (!add_point(b, p.x, p.y, at.position.z, time)) return false;
        }
        kn_road_frame end = kn_road_at(&road, segment[2], 0);
        at.position.x = end.position.x, at.position.y = end.position.y;
        at.yaw = end.heading;
        done += segment[2];
    }
    return true;
}

/* Cox-de Boor recursion for all basis functions of order k at u. */
static void basis(const kn_trajectory *t, double u, double *n) {
    size_t count = t->vertex_count, knots = t->knot_count;
    double work[1100] = {0};
    for (size_t i = 0; i + 1 < knots; i++)
        work[i] = (u >= t->knots[i] && u < t->knots[i + 1]) ||
                  (u >= t->knots[knots - 1] && t->knots[i] < t->knots[i + 1] && t->knots[i + 1] >= t->knots[knots - 1]);
    for (int k = 2; k <= t->order; k++)
        for (size_t i = 0; i + (size_t)k < knots; i++) {
            double a = t->knots[i + (size_t)k - 1] - t->knots[i], b = t->knots[i + (size_t)k] - t->knots[i + 1];
            work[i] = (a > 0 ? (u - t->knots[i]) / a * work[i] : 0) +
                      (b > 0 ? (t->knots[i + (size_t)k] - u) / b * work[i + 1] : 0);
        }
    memcpy(n, work, count * sizeof *n);
}

static bool sample_nurbs(path_builder *b, const kn_sim *sim, const kn_trajectory *t, int self, const char *file) {
    double control[1000][4], n[1000];
    bool timed = true;
    for (size_t i = 0; i < t->vertex_count; i++) {
        kn_placement place;
        if (!resolve_vertex(sim, t, i, self, &place, file, b->error)) return false;
        control[i][0] = place.position.x, control[i][1] = place.position.y, control[i][2] = place.position.z,
        control[i][3] = t->times[i];
        timed = timed && !isnan(t->times[i]);
    }
    double low = t->knots[t->order - 1], high = t->knots[t->vertex_count];
    size_t steps = kn_min_size(40 * t->vertex_count, 4000);
    for (size_t k = 0; k <= steps; k++) {
        double p[4] = {0}, weight = 0;
        basis(t, low + (high - low) * (double)k / (double)steps, n);
        for (size_t i = 0; i < t->vertex_count; i++) {
            double w = n[i] * t->weights[i];
            weight += w;
            for (int c = 0; c < (timed ? 4 : 3); c++) p[c] += w * control[i][c];
        }
        if (weight > 1e-12 && !add_point(b, p[0] / weight, p[1] / weight, p[2] / weight, timed ? p[3] / weight : NAN))
            return false;
    }
    return true;
}

/* Lengths and directions; points that coincide in place are merged unless they wait. */
static kn_path *finish_path(kn_scenario *scenario, path_builder *b, const double *yaws, kn_error *error) {
    kn_path *path = kn_arena_alloc(&scenario->arena, 1, sizeof *path, error);
    if (!path) return NULL;
    size_t n = path->count = b->count;
    path->points = kn_arena_alloc(&scenario->arena, n, sizeof *path->points, error);
    path->along = kn_arena_alloc(&scenario->arena, n, sizeof *path->along, error);
    path->yaw = kn_arena_alloc(&scenario->arena, n, sizeof *path->yaw, error);
    if (!path->points || !path->along || !path->yaw) return NULL;
    memcpy(path->points, b->points, n * sizeof *path->points);
    path->timed = true;
    for (size_t i = 0; i < n; i++) {
        path->timed = path->timed && !isnan(path->points[i][3]);
        if (i)
            path->along[i] = path->along[i - 1] + hypot(path->points[i][0] - path->points[i - 1][0],
                                                        path->points[i][1] - path->points[i - 1][1]);
    }
    for (size_t i = 0; i < n; i++) { /* tangents from the neighbours that lie apart */
        size_t a = i, c = i;
        while (a > 0 && path->along[i] - path->along[a] < 1e-4) a--;
        while (c + 1 < n && path->along[c] - path->along[i] < 1e-4) c++;
        double dx = path->points[c][0] - path->points[a][0], dy = path->points[c][1] - path->points[a][1];
        path->yaw[i] = hypot(dx, dy) > 1e-6 ? atan2(dy, dx) : i ? path->yaw[i - 1] : 0;
        if (yaws && !isnan(yaws[i])) path->yaw[i] = yaws[i];
    }
    return path;
}

kn_path *kn_trajectory_path(kn_scenario *scenario, const kn_sim *sim, const kn_trajectory *t, int self,
                            kn_error *error) {
    path_builder b = {.error = error};
    double *yaws = NULL;
    bool ok = true;
    if (t->kind == KN_TRAJECTORY_CLOTHOID) {
        ok = sample_clothoids(&b, sim, t, self, scenario->path);
    } else if (t->kind == KN_TRAJECTORY_NURBS) {
        ok = sample_nurbs(&b, sim, t, self, scenario->path);
    } else {
        ok = (yaws = kn_alloc(t->vertex_count, sizeof *yaws, error)) != NULL;
        for (size_t i = 0; ok && i < t->vertex_count; i++) {
            kn_placement place = {0};
            ok = resolve_vertex(sim, t, i, self, &place, scenario->path, error) &&
                 add_point(&b, place.position.x, place.position.y, place.position.z, t->times[i]);
            yaws[i] = t->vertices[i].has_heading && !t->vertices[i].heading_relative ? t->vertices[i].heading : NAN;
        }
    }
    if (ok && b.count < 2)
        ok = kn_fail(error, KN_ERROR_INPUT, "%s:%d: the trajectory has less than two points", scenario->path, t->line);
    if (ok && t->closed &&
        hypot(b.points[0][0] - b.points[b.count - 1][0], b.points[0][1] - b.points[b.count - 1][1]) > 0.1) {
        double first[4], last[4];
        memcpy(first, b.points[0], sizeof first);
        memcpy(last, b.points[b.count - 1], sizeof last);
        double span = hypot(first[0] - last[0], first[1] - last[1]), speed = 0; /* goes on as fast as it came */
        if (b.count > 1 && last[3] > b.points[b.count - 2][3])
            speed = hypot(last[0] - b.points[b.count - 2][0], last[1] - b.points[b.count - 2][1]) /
                    (last[3] - b.points[b.count - 2][3]);
        ok = add_point(&b, first[0], first[1], first[2], speed > 0.1 ? last[3] + span / speed : last[3]);
        double *more = ok && yaws ? kn_alloc(b.count, sizeof *more, error) : NULL;
        if (more) {
            memcpy(more, yaws, (b.count - 1) * sizeof *more);
            more[b.count - 1] = yaws[0];
        }
        ok = ok && (!yaws || more);
        kn_free(yaws);
        yaws = more;
    }
    kn_path *path = ok ? finish_path(scenario, &b, yaws, error) : NULL;
    if (path) path->closed = t->closed, path->halt = true;
    kn_free(b.points);
    kn_free(yaws);
    return path;
}
