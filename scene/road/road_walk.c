#include "scene/road/road_walk.h"

#include "scene/road/road_read.h"

#include <string.h>

enum { MAX_HOPS = 2000 };

int kn_lane_direction(const kn_road *road, int lane) { return (lane > 0) == road->left_hand_traffic ? 1 : -1; }

bool kn_lane_is_drivable(kn_lane_type type) {
    return type == KN_LANE_DRIVING || type == KN_LANE_ENTRY || type == KN_LANE_EXIT || type == KN_LANE_RAMP;
}

static size_t section_index(const kn_road *road, double s, int direction) {
    size_t i = road->section_count - 1;
    while (i > 0 && (road->sections[i].s > s || (direction < 0 && road->sections[i].s >= s))) i--;
    return i;
}

/* Where a junction leads from a road's end. */
typedef struct branch {
    int road, lane, direction;
    double turn; /* heading change, left positive */
} branch;

static double end_heading(const kn_road *road, bool at_end, int direction) {
    double heading = kn_road_at(road, at_end ? road->length : 0, 0).heading;
    return direction > 0 ? heading : heading + M_PI;
}

/* A connection's way for this lane; false when it does not take the lane or lies at the other end of the road. */
static bool connection_branch(const kn_road_network *network, const kn_connection *c, const kn_walker *w, branch *out) {
    if (c->incoming_road != w->road || c->connecting_road < 0) return false;
    int lane = KN_NO_LANE;
    for (size_t i = 0; i < c->link_count; i++)
        if (c->links[i].from == w->lane) lane = c->links[i].to;
    if (!c->link_count) lane = (w->direction > 0) == c->contact_at_end ? -w->lane : w->lane;
    const kn_road *from = &network->roads[w->road], *to = &network->roads[c->connecting_road];
    double s = c->contact_at_end ? to->length : 0;
    if (lane == KN_NO_LANE || !kn_section_lane(kn_road_section(to, s), lane)) return false;
    kn_vec3 here = kn_road_at(from, w->direction > 0 ? from->length : 0,
                              kn_lane_span_at(from, w->direction > 0 ? from->length : 0, w->lane).center)
                       .position;
    kn_vec3 there = kn_road_at(to, s, kn_lane_span_at(to, s, lane).center).position;
    if (hypot(here.x - there.x, here.y - there.y) > 6) return false;
    out->road = c->connecting_road;
    out->lane = lane;
    out->direction = c->contact_at_end ? -1 : 1;
    out->turn = kn_wrap_angle(end_heading(to, out->direction > 0, out->direction) -
                              end_heading(from, w->direction > 0, w->direction));
    return true;
}

/* Where `road` stands in the route; SIZE_MAX when it does not. */
static size_t route_rank(const kn_walk_plan *plan, const kn_road_network *network, const branch *b) {
    const kn_road *road = &network->roads[b->road];
    const kn_road_link *next = b->direction > 0 ? &road->successor : &road->predecessor;
    for (size_t i = 0; plan && i < plan->route_count; i++)
        if (plan->route[i] == b->road || (next->kind == KN_LINK_ROAD && plan->route[i] == next->index)) return i;
    return SIZE_MAX;
}

static bool choose_branch(const kn_road_network *network, const kn_junction *junction, const kn_walker *w,
                          const kn_walk_plan *plan, branch *best) {
    bool found = false;
    size_t best_rank = SIZE_MAX;
    double best_cost = 0;
    for (size_t i = 0; i < junction->connection_count; i++) {
        branch b;
        if (!connection_branch(network, &junction->connections[i], w, &b)) continue;
        size_t rank = route_rank(plan, network, &b);
        double cost = plan && plan->turn ? -plan->turn * b.turn : fabs(b.turn);
        if (!found || rank < best_rank || (rank == best_rank && cost < best_cost)) {
            *best = b;
            best_rank = rank;
            best_cost = cost;
        }
        found = true;
    }
    return found;
}

/* The lane in which a linked road continues this one: the lane's own link, else the same lane if it exists there. */
static int linked_lane(const kn_lane *lane, int direction, int id, bool flips) {
    int linked = !lane ? KN_NO_LANE : direction > 0 ? lane->successor : lane->predecessor;
    return linked != KN_NO_LANE ? linked : flips ? -id : id;
}

static bool next_road(const kn_road_network *network, kn_walker *w, const kn_walk_plan *plan) {
    const kn_road *road = &network->roads[w->road];
    const kn_road_link *link = w->direction > 0 ? &road->successor : &road->predecessor;
    branch next;
    if (link->kind == KN_LINK_JUNCTION) {
        if (!choose_branch(network, &network->junctions[link->index], w, plan, &next)) return false;
    } else if (link->kind == KN_LINK_ROAD) {
        const kn_lane_section *section = &road->sections[w->direction > 0 ? road->section_count - 1 : 0];
        next.road = link->index;
        next.direction = link->at_end ? -1 : 1;
        next.lane =
            linked_lane(kn_section_lane(section, w->lane), w->direction, w->lane, next.direction != w->direction);
    } else {
        return false;
    }
    const kn_road *to = &network->roads[next.road];
    double s = next.direction > 0 ? 0 : to->length;
    if (!next.lane || !kn_section_lane(&to->sections[next.direction > 0 ? 0 : to->section_count - 1], next.lane))
        return false;
    w->road = next.road;
    w->lane = next.lane;
    w->direction = next.direction;
    w->s = s;
    return true;
}

/* Across the border into the neighbouring section of the same road. */
static bool next_section(const kn_road *road, kn_walker *w, size_t index) {
    const kn_lane_section *here = &road->sections[index], *there = here + w->direction;
    int lane = linked_lane(kn_section_lane(here, w->lane), w->direction, w->lane, false);
    if (!lane || !kn_section_lane(there, lane)) return false;
    w->lane = lane;
    return true;
}

bool kn_road_walk(const kn_road_network *network, kn_walker *w, double distance, const kn_walk_plan *plan,
                  double *left) {
    bool ok = true;
    for (int hop = 0; ok && hop < MAX_HOPS; hop++) {
        const kn_road *road = &network->roads[w->road];
        w->s = fmin(fmax(w->s, 0), road->length);
        size_t index = section_index(road, w->s, w->direction);
        double border = w->direction > 0 ? fmin(road->sections[index].end, road->length) : road->sections[index].s;
        if (index == 0 && w->direction < 0) border = 0;
        double room = fmax((border - w->s) * w->direction, 0);
        if (distance <= room) {
            w->s += w->direction * distance;
            distance = 0;
            break;
        }
        w->s = border;
        distance -= room;
        bool last = w->direction > 0 ? index + 1 == road->section_count : index == 0;
        ok = last ? next_road(network, w, plan) : next_section(road, w, index);
        if (!last && ok && w->direction > 0 && border < road->length) w->s = nextafter(border, INFINITY);
    }
    if (left) *left = distance;
    return ok && distance == 0;
}

static double lane_height(const kn_road *road, double s, double t, int lane_id) {
    const kn_lane *lane = kn_section_lane(kn_road_section(road, s), lane_id);
    if (!lane) return 0;
    kn_lane_span span = kn_lane_span_at(road, s, lane_id);
    double width = span.outer - span.inner, f = fabs(width) > 1e-6 ? (t - span.inner) / width : 0;
    f = fmin(fmax(f, 0), 1);
    return lane->height_inner + f * (lane->height_outer - lane->height_inner);
}

int kn_road_lane_at(const kn_road *road, double s, double t) {
    const kn_lane_section *section = kn_road_section(road, s);
    for (size_t i = 0; i < section->lane_count; i++) {
        kn_lane_span span = kn_lane_span_at(road, s, section->lanes[i].id);
        if (section->lanes[i].id && t >= fmin(span.inner, span.outer) && t <= fmax(span.inner, span.outer) &&
            span.inner != span.outer)
            return section->lanes[i].id;
    }
    return KN_NO_LANE;
}

kn_pose kn_road_surface_pose(const kn_road *road, double s, double t, double yaw) {
    kn_road_frame frame = kn_road_at(road, s, t);
    int lane = kn_road_lane_at(road, fmin(fmax(s, 0), road->length), t);
    kn_pose surface = kn_pose_from_euler(frame.position, frame.heading, frame.pitch, frame.roll);
    kn_vec3 up = kn_pose_direction(&surface, (kn_vec3){0, 0, 1});
    kn_vec3 forward = {cos(yaw), sin(yaw), 0};
    forward.z = fabs(up.z) > 1e-3 ? -(up.x * forward.x + up.y * forward.y) / up.z : 0;
    forward = kn_vec3_normalize(forward);
    kn_vec3 side = kn_vec3_cross(up, forward);
    kn_vec3 position = frame.position;
    position.z += lane == KN_NO_LANE ? 0 : lane_height(road, s, t, lane);
    return (kn_pose){{{forward.x, side.x, up.x}, {forward.y, side.y, up.y}, {forward.z, side.z, up.z}}, position};
}

/* t of the walker and its slope dt/ds along the lane's centre. */
static double walker_t(const kn_road *road, const kn_walker *w, double s) {
    return kn_lane_span_at(road, s, w->lane).center + w->direction * w->offset;
}

static double walker_slope(const kn_road *road, const kn_walker *w, double s) {
    const kn_lane_section *section = kn_road_section(road, s);
    double low = fmax(s - 0.25, section->s), high = fmin(s + 0.25, fmin(section->end, road->length));
    high = high > low ? fmax(nextafter(high, low), low) : high;
    return high - low > 1e-3 ? (walker_t(road, w, high) - walker_t(road, w, low)) / (high - low) : 0;
}

kn_pose kn_walker_pose(const kn_road_network *network, const kn_walker *w, double drift) {
    const kn_road *road = &network->roads[w->road];
    double s = fmin(fmax(w->s, 0), road->length), t = walker_t(road, w, s);
    kn_road_frame frame = kn_road_at(road, s, 0);
    double along = fmax(fabs(1 - frame.curvature * t), 0.05);
    double yaw = frame.heading + atan2(walker_slope(road, w, s), along) + (w->direction > 0 ? 0 : M_PI) + atan(drift);
    return kn_road_surface_pose(road, s, t, yaw);
}

double kn_walker_curvature(const kn_road_network *network, const kn_walker *w) {
    const kn_road *road = &network->roads[w->road];
    double s = fmin(fmax(w->s, 0), road->length), t = walker_t(road, w, s);
    double curvature = kn_road_at(road, s, 0).curvature, scale = 1 - curvature * t;
    return w->direction * curvature / (fabs(scale) > 0.05 ? scale : 0.05);
}

bool kn_lane_advance(const kn_road_network *network, kn_lane_position *position, double distance, int turn) {
    kn_walker w = {position->road, position->lane, kn_lane_direction(&network->roads[position->road], position->lane),
                   position->s, position->offset};
    bool ok = kn_road_walk(network, &w, distance, &(kn_walk_plan){.turn = turn}, NULL);
    *position = (kn_lane_position){w.road, w.lane, w.s, w.offset};
    return ok;
}

kn_pose kn_lane_pose(const kn_road_network *network, const kn_lane_position *position) {
    kn_walker w = {position->road, position->lane, kn_lane_direction(&network->roads[position->road], position->lane),
                   position->s, position->offset};
    return kn_walker_pose(network, &w, 0);
}

/* --- routes ---------------------------------------------------------------------------------------------------------
 */

/* A road in one direction on the way to somewhere. */
typedef struct stop {
    kn_walker at;  /* where it is entered */
    double metres; /* driven before that */
    size_t parent; /* index of the stop before; SIZE_MAX: none */
    bool done;
} stop;

typedef struct search {
    const kn_road_network *network;
    stop *stops;  /* [2 roads]: road * 2 + (direction > 0) */
    size_t *open; /* [2 roads] stops that are reached and not done */
    size_t open_count;
} search;

static size_t stop_index(const kn_walker *w) { return (size_t)w->road * 2 + (w->direction > 0); }

/* Enters a road unless a shorter way leads there. */
static void reach(search *s, const kn_walker *w, double metres, size_t parent) {
    size_t index = stop_index(w);
    stop *there = &s->stops[index];
    if (there->done || there->metres <= metres) return;
    if (isinf(there->metres)) s->open[s->open_count++] = index;
    *there = (stop){.at = *w, .metres = metres, .parent = parent};
}

/* The nearest stop that is not done; SIZE_MAX: none. */
static size_t take_nearest(search *s) {
    if (!s->open_count) return SIZE_MAX;
    size_t best = 0;
    for (size_t i = 1; i < s->open_count; i++)
        if (s->stops[s->open[i]].metres < s->stops[s->open[best]].metres) best = i;
    size_t index = s->open[best];
    s->open[best] = s->open[--s->open_count];
    s->stops[index].done = true;
    return index;
}

/* Over one connection of the junction at the end of a road, from any of its lanes. */
static void go_over(search *s, const kn_connection *c, const kn_walker *end, double metres, size_t parent) {
    for (size_t k = 0; k < c->link_count + 1; k++) {
        branch b;
        kn_walker probe = *end;
        probe.lane = k < c->link_count ? c->links[k].from : end->lane;
        if (!connection_branch(s->network, c, &probe, &b)) continue;
        double start = b.direction > 0 ? 0 : s->network->roads[b.road].length;
        reach(s, &(kn_walker){b.road, b.lane, b.direction, start, 0}, metres, parent);
        return;
    }
}

static void go_on(search *s, size_t index) {
    kn_walker end = s->stops[index].at;
    const kn_road *road = &s->network->roads[end.road];
    double goal = end.direction > 0 ? road->length : 0, metres = s->stops[index].metres + fabs(goal - end.s);
    const kn_road_link *link = end.direction > 0 ? &road->successor : &road->predecessor;
    end.s = goal;
    if (link->kind == KN_LINK_JUNCTION) {
        const kn_junction *junction = &s->network->junctions[link->index];
        for (size_t i = 0; i < junction->connection_count; i++)
            go_over(s, &junction->connections[i], &end, metres, index);
    } else if (next_road(s->network, &end, NULL)) {
        reach(s, &end, metres, index);
    }
}

bool kn_road_route(const kn_road_network *network, const kn_walker *from, int to_road, int *route, size_t capacity,
                   size_t *count, kn_error *error) {
    size_t stops = network->road_count * 2, goal = SIZE_MAX, length = 0;
    search s = {.network = network};
    *count = 0;
    s.stops = kn_alloc(stops, sizeof *s.stops, error);
    s.open = s.stops ? kn_alloc(stops, sizeof *s.open, error) : NULL;
    bool ok = s.open != NULL;
    for (size_t i = 0; ok && i < stops; i++) s.stops[i] = (stop){.metres = INFINITY, .parent = SIZE_MAX};
    if (ok) reach(&s, from, 0, SIZE_MAX);
    for (size_t index; ok && goal == SIZE_MAX && (index = take_nearest(&s)) != SIZE_MAX;) {
        if (s.stops[index].at.road == to_road) goal = index;
        else go_on(&s, index);
    }
    for (size_t i = goal; i != SIZE_MAX; i = s.stops[i].parent) length++;
    *count = kn_min_size(length, capacity);
    for (size_t i = goal; i != SIZE_MAX; i = s.stops[i].parent)
        if (--length < capacity) route[length] = s.stops[i].at.road;
    kn_free(s.stops);
    kn_free(s.open);
    return ok;
}
