#include "scene/world/labels_map.h"

#include "scene/road/road_walk.h"

#include <string.h>

static const double STEP = 2; /* metres between points */

typedef struct map_builder {
    kn_scene *scene;
    size_t capacity;
    double reach;
    kn_error *error;
} map_builder;

static bool near_ego(const map_builder *b, double x, double y) {
    const kn_timeline *t = &b->scene->timeline;
    size_t step = t->frame_count > 64 ? t->frame_count / 64 : 1;
    for (size_t f = 0; f < t->frame_count; f += step) {
        kn_vec3 p = t->states[f * t->actor_count].pose.translation;
        if (hypot(p.x - x, p.y - y) < b->reach) return true;
    }
    return false;
}

static bool surface_is_road(const kn_lane *lane) {
    return lane && lane->type != KN_LANE_SIDEWALK && lane->type != KN_LANE_NONE && lane->type != KN_LANE_MEDIAN &&
           lane->type != KN_LANE_CURB;
}

/* Kind of the line on a lane's outer edge: 0 road edge, 1 mark, 2 pavement edge, -1 none. */
static int edge_kind(const kn_road *road, const kn_lane *lane, const kn_lane *beyond) {
    bool marked = lane->mark_count && lane->marks[0].type != KN_MARK_NONE && lane->marks[0].type != KN_MARK_CURB &&
                  lane->marks[0].type != KN_MARK_GRASS;
    if (lane->type == KN_LANE_SIDEWALK && !(beyond && beyond->type == KN_LANE_SIDEWALK)) return 2;
    if (lane->id && surface_is_road(lane) && !surface_is_road(beyond) && road->junction < 0) return 0;
    return marked ? 1 : -1;
}

static bool add_line(map_builder *b, const kn_road *road, const kn_lane_section *section, const kn_lane *lane,
                     int kind) {
    double low = fmax(section->s, 0), high = fmin(section->end, road->length) - 1e-6;
    if (high <= low) return true;
    size_t count = (size_t)((high - low) / STEP) + 2;
    double(*points)[2] = kn_arena_alloc(&b->scene->map_arena, count, sizeof *points, b->error);
    if (!points) return false;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        double s = low + (high - low) * (double)i / (double)(count - 1);
        kn_vec3 p = kn_road_at(road, s, kn_lane_span_at(road, s, lane->id).outer).position;
        if (!near_ego(b, p.x, p.y)) {
            if (used > 1) break; /* the rest lies behind the reach */
            used = 0;
            continue;
        }
        points[used][0] = p.x;
        points[used++][1] = p.y;
    }
    if (used < 2) return true;
    if (!kn_grow(&b->scene->lines, &b->capacity, b->scene->line_count + 1, sizeof *b->scene->lines, b->error))
        return false;
    b->scene->lines[b->scene->line_count++] = (kn_map_line){(const double(*)[2])points, used, kind};
    return true;
}

static bool add_strip(map_builder *b, const double (*pairs)[2], size_t count, int kind) {
    if (count < 2) return true;
    double(*points)[2] = kn_arena_alloc(&b->scene->map_arena, 2 * count, sizeof *points, b->error);
    if (!points ||
        !kn_grow(&b->scene->lines, &b->capacity, b->scene->line_count + 1, sizeof *b->scene->lines, b->error))
        return false;
    for (size_t i = 0; i < count; i++)
        for (int side = 0; side < 2; side++) {
            points[(size_t)side * count + i][0] = pairs[2 * i + (size_t)side][0];
            points[(size_t)side * count + i][1] = pairs[2 * i + (size_t)side][1];
        }
    b->scene->lines[b->scene->line_count++] = (kn_map_line){(const double(*)[2])points, 2 * count, kind};
    return true;
}

/* The surface of a lane, cut where it leaves the reach. */
static bool add_surface(map_builder *b, const kn_road *road, const kn_lane_section *section, const kn_lane *lane,
                        int kind) {
    enum { LONGEST = 256 };
    double low = fmax(section->s, 0), high = fmin(section->end, road->length) - 1e-6, pairs[2 * LONGEST][2];
    if (high <= low) return true;
    size_t steps = (size_t)((high - low) / STEP) + 1, used = 0;
    for (size_t i = 0; i <= steps; i++) {
        double s = low + (high - low) * (double)i / (double)steps;
        kn_lane_span span = kn_lane_span_at(road, s, lane->id);
        kn_vec3 inner = kn_road_at(road, s, span.inner).position, outer = kn_road_at(road, s, span.outer).position;
        bool inside = near_ego(b, outer.x, outer.y);
        if (inside) {
            pairs[2 * used][0] = inner.x;
            pairs[2 * used][1] = inner.y;
            pairs[2 * used + 1][0] = outer.x;
            pairs[2 * used + 1][1] = outer.y;
            used++;
        }
        if (!inside || used == LONGEST || i == steps) {
            if (!add_strip(b, (const double(*)[2])pairs, used, kind)) return false;
            bool full = used == LONGEST; /* the next strip begins where this one ends */
            if (full) memcpy(pairs[0], pairs[2 * used - 2], sizeof pairs[0] * 2);
            used = full;
        }
    }
    return true;
}

bool kn_scene_build_map(kn_scene *scene, double reach, kn_error *error) {
    map_builder b = {.scene = scene, .reach = reach, .error = error};
    for (size_t r = 0; r < scene->network.road_count; r++) {
        const kn_road *road = &scene->network.roads[r];
        for (size_t i = 0; i < road->section_count; i++) {
            const kn_lane_section *section = &road->sections[i];
            for (size_t k = 0; k < section->lane_count; k++) {
                const kn_lane *lane = &section->lanes[k];
                const kn_lane *beyond = kn_section_lane(section, lane->id + (lane->id > 0 ? 1 : -1));
                int kind = edge_kind(road, lane, beyond);
                if (kind >= 0 && !add_line(&b, road, section, lane, kind)) return false;
                int surface = !lane->id ? -1 : lane->type == KN_LANE_SIDEWALK ? 4 : surface_is_road(lane) ? 3 : -1;
                if (surface >= 0 && !add_surface(&b, road, section, lane, surface)) return false;
            }
        }
    }
    return true;
}
