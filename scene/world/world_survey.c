/* The survey: what lies within reach of the ego's way, of which kind it is, and the raster of all lanes. */
#include "scene/world/world_build.h"

bool kn_lane_is_driven(kn_lane_type type) {
    switch (type) {
    case KN_LANE_DRIVING:
    case KN_LANE_STOP:
    case KN_LANE_SHOULDER:
    case KN_LANE_BIKING:
    case KN_LANE_PARKING:
    case KN_LANE_EXIT:
    case KN_LANE_ENTRY:
    case KN_LANE_RAMP:
    case KN_LANE_RESTRICTED:
    case KN_LANE_RAIL:
    case KN_LANE_OTHER: return true;
    default: return false;
    }
}

double kn_world_path_distance(const kn_world_builder *w, double x, double y) {
    double best = INFINITY;
    for (size_t i = 0; i < w->path_count; i++) {
        double dx = x - w->path[i].x, dy = y - w->path[i].y, d = dx * dx + dy * dy;
        if (d < best) best = d;
    }
    return sqrt(best);
}

bool kn_world_near(const kn_world_builder *w, const kn_road *road, double s) {
    kn_vec3 p = kn_road_at(road, s, 0).position;
    return kn_world_path_distance(w, p.x, p.y) < w->reach + 60;
}

/* The ego's way, thinned to about 4 m. */
static bool survey_path(kn_world_builder *w) {
    const kn_timeline *t = w->timeline;
    w->path = kn_alloc(t->frame_count + 1, sizeof *w->path, w->draw.error);
    if (!w->path) return false;
    for (size_t f = 0; f < t->frame_count && t->actor_count > 0; f++) {
        const kn_pose *pose = &t->states[f * t->actor_count].pose;
        kn_vec2 p = {pose->translation.x, pose->translation.y};
        if (!isfinite(p.x) || !isfinite(p.y))
            return kn_fail(w->draw.error, KN_ERROR_INPUT, "the ego's way is not finite at frame %zu", f);
        if (f == 0) w->heading = atan2(pose->rotation[1][0], pose->rotation[0][0]);
        const kn_vec2 *last = w->path_count ? &w->path[w->path_count - 1] : NULL;
        if (!last || hypot(p.x - last->x, p.y - last->y) >= 4) w->path[w->path_count++] = p;
    }
    if (w->path_count == 0) w->path[w->path_count++] = (kn_vec2){0, 0};
    return true;
}

/* Town: pavements, or slow. Motorway: fast and with hard shoulder, several lanes one way, or a median. */
static kn_surroundings road_kind(const kn_road *road) {
    bool sidewalk = false, stop = false;
    double limit = road->speed_limit;
    int driving = 0;
    for (size_t k = 0; k < road->section_count; k++) {
        int here = 0;
        for (size_t i = 0; i < road->sections[k].lane_count; i++) {
            const kn_lane *lane = &road->sections[k].lanes[i];
            sidewalk |= lane->type == KN_LANE_SIDEWALK;
            stop |= lane->type == KN_LANE_STOP || lane->type == KN_LANE_MEDIAN;
            here += lane->type == KN_LANE_DRIVING;
            limit = fmax(limit, lane->speed_limit);
        }
        driving = here > driving ? here : driving;
    }
    if (sidewalk || road->town) return KN_SURROUND_TOWN;
    if (limit > 0 && limit <= 60 / 3.6 + .1) return KN_SURROUND_TOWN;
    if (limit > 25 || stop || driving >= 4) return KN_SURROUND_MOTORWAY;
    return KN_SURROUND_RURAL;
}

/* Connecting roads are of the kind of the roads they join; a network that is mostly town is all town. */
static void survey_kinds(kn_world_builder *w) {
    const kn_road_network *n = w->network;
    for (size_t i = 0; i < n->road_count; i++) w->kind[i] = road_kind(&n->roads[i]);
    for (size_t i = 0; i < n->road_count; i++) {
        const kn_road *road = &n->roads[i];
        if (road->junction < 0) continue;
        const kn_road_link *links[2] = {&road->predecessor, &road->successor};
        for (int k = 0; k < 2; k++) {
            if (links[k]->kind == KN_LINK_ROAD && links[k]->index >= 0) w->kind[i] = w->kind[links[k]->index];
        }
    }
    kn_road_position at = kn_road_locate(n, w->path[0].x, w->path[0].y, 30);
    w->main_kind = at.road >= 0 ? w->kind[at.road] : n->road_count ? w->kind[0] : KN_SURROUND_RURAL;
}

/* Marks the cells of one cross-section. */
static void rasterise_section(kn_world_builder *w, int index, double s) {
    const kn_road *road = &w->network->roads[index];
    const kn_lane_section *section = kn_road_section(road, s);
    kn_road_frame frame = kn_road_at(road, s, 0);
    double left[2] = {-sin(frame.heading), cos(frame.heading)},
           rise = (kn_road_at(road, s, 1).position.z - frame.position.z);
    for (size_t i = 0; section && i < section->lane_count; i++) {
        const kn_lane *lane = &section->lanes[i];
        if (!kn_lane_has_surface(section, i)) continue;
        kn_lane_span span = kn_lane_span_at(road, s, lane->id);
        double width = fabs(span.outer - span.inner);
        if (width < .05 || width > 100) continue;
        int steps = (int)ceil(width / (w->space.cell * .7));
        bool driven = kn_lane_is_driven(lane->type);
        for (int k = 0; k <= steps; k++) {
            double t = kn_mix(span.inner, span.outer, k / (double)steps), z = frame.position.z + t * rise;
            long c = kn_space_cell(&w->space, frame.position.x + left[0] * t, frame.position.y + left[1] * t);
            if (c < 0) continue;
            if (!(w->space.flags[c] & KN_SPACE_SURFACE) || z < w->space.height[c]) w->space.height[c] = (float)z;
            w->space.flags[c] |= KN_SPACE_SURFACE | (driven ? KN_SPACE_DRIVEN : 0) |
                                 (driven && road->junction >= 0 ? KN_SPACE_CONNECTING : 0);
            if (driven)
                w->space.road[c] =
                    w->space.road[c] == 0 || w->space.road[c] == index + 1 ? (uint16_t)(index + 1) : 0xffff;
        }
    }
}

static void rasterise(kn_world_builder *w) {
    double step = w->space.cell * .7;
    for (size_t i = 0; i < w->network->road_count && i < 65000; i++) {
        const kn_road *road = &w->network->roads[i];
        double nearest = INFINITY;
        for (double s = 0; s < road->length + 8; s += 8) {
            kn_road_frame f = kn_road_at(road, fmin(s, road->length), 0);
            nearest = fmin(nearest, kn_world_path_distance(w, f.position.x, f.position.y));
        }
        w->road_distance[i] = nearest <= w->reach + 20 ? nearest : INFINITY;
        bool inside = false;
        for (double s = 0; isfinite(w->road_distance[i]) && s < road->length + step; s += inside ? step : 4) {
            double at = fmin(s, road->length);
            kn_road_frame f = kn_road_at(road, at, 0);
            inside = kn_space_cell(&w->space, f.position.x, f.position.y) >= 0;
            if (inside) rasterise_section(w, (int)i, at);
        }
    }
}

/* Where the scenario's people and vehicles pass. */
static void mark_ways(kn_world_builder *w) {
    const kn_timeline *t = w->timeline;
    for (size_t i = 0; i < t->frame_count * t->actor_count; i++) {
        const kn_actor *actor = &t->actors[i % t->actor_count];
        const kn_pose *pose = &t->states[i].pose;
        if (!t->states[i].present || !(actor->length < 40 && actor->width < 10)) continue;
        kn_vec3 c = kn_pose_point(pose, kn_v3(actor->center[0], actor->center[1], 0));
        kn_space_mark(&w->space, c.x, c.y, atan2(pose->rotation[1][0], pose->rotation[0][0]), actor->length / 2 + .5,
                      actor->width / 2 + .4, KN_SPACE_WAY);
    }
}

bool kn_world_survey(kn_world_builder *w) {
    size_t roads = w->network->road_count;
    if (!survey_path(w)) return false;
    w->road_distance = kn_alloc(roads, sizeof *w->road_distance, w->draw.error);
    w->kind = w->road_distance ? kn_alloc(roads, sizeof *w->kind, w->draw.error) : NULL;
    if (!w->kind) return false;
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (size_t i = 0; i < w->path_count; i++) {
        low[0] = fmin(low[0], w->path[i].x), high[0] = fmax(high[0], w->path[i].x);
        low[1] = fmin(low[1], w->path[i].y), high[1] = fmax(high[1], w->path[i].y);
    }
    double margin = w->reach + 20;
    if (!kn_space_init(&w->space, low[0] - margin, low[1] - margin, high[0] + margin, high[1] + margin, w->draw.error))
        return false;
    survey_kinds(w);
    rasterise(w);
    mark_ways(w);
    return true;
}

bool kn_lane_has_surface(const kn_lane_section *section, size_t i) {
    const kn_lane *lane = &section->lanes[i];
    if (lane->id == 0 || lane->type == KN_LANE_NONE) return false;
    if (lane->type != KN_LANE_BORDER || !lane->width_count || lane->widths[0].a < 1.2) return true;
    for (size_t k = 0; k < section->lane_count; k++) { /* is there anything further out? */
        const kn_lane *other = &section->lanes[k];
        bool outside = lane->id > 0 ? other->id > lane->id : other->id < lane->id;
        if (outside && other->type != KN_LANE_NONE && other->type != KN_LANE_BORDER) return true;
    }
    return false;
}
