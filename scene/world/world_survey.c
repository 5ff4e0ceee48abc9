/* The survey of a window: its tiles and the raster of all lanes. */
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
    double best = 160 * 160;
    for (size_t i = 0; i < w->path_count; i++) {
        double dx = x - w->path[i].x, dy = y - w->path[i].y, d = dx * dx + dy * dy;
        if (d < best) best = d;
    }
    return sqrt(best);
}

/* What the tile at (x, y) is to this window. */
static uint8_t tile_flags(const kn_world_builder *w, double x, double y) {
    double i = floor(x / KN_TILE) - w->ti0, j = floor(y / KN_TILE) - w->tj0;
    bool on = i >= 0 && j >= 0 && i < w->tnx && j < w->tny;
    return on ? w->tiles[(size_t)j * (size_t)w->tnx + (size_t)i] : 0;
}

bool kn_world_inside(const kn_world_builder *w, double x, double y) { return tile_flags(w, x, y) & KN_TILE_DRAWN; }

bool kn_world_in_tile(const kn_world_builder *w, double x, double y) {
    return floor(x / KN_TILE) == w->ti && floor(y / KN_TILE) == w->tj;
}

bool kn_world_near(const kn_world_builder *w, const kn_road *road, double s) {
    kn_vec3 p = kn_road_at(road, s, 0).position;
    return kn_space_cell(&w->space, p.x, p.y) >= 0;
}

bool kn_world_near_between(const kn_world_builder *w, const kn_road *road, double s0, double s1) {
    for (double s = s0; s < s1 + 20; s += 20)
        if (kn_world_near(w, road, fmin(s, s1))) return true;
    return false;
}

/* --- tiles ---------------------------------------------------------------------------------------------------------
 */

/* Tiles of one colour do not touch. What stands in a tile gives way to what stands in neighbours of lower colours, so
 * that each tile depends on a few others only, wherever one begins. */
static int colour(int i, int j) { return (i & 1) + 2 * (j & 1); }

static uint8_t *tile_at(kn_world_builder *w, int i, int j) {
    bool on = i >= w->ti0 && j >= w->tj0 && i < w->ti0 + w->tnx && j < w->tj0 + w->tny;
    return on ? &w->tiles[(size_t)(j - w->tj0) * (size_t)w->tnx + (size_t)(i - w->ti0)] : NULL;
}

/* The tile and all that it depends on. */
static void know(kn_world_builder *w, int i, int j) {
    uint8_t *tile = tile_at(w, i, j);
    if (!tile || *tile & KN_TILE_COUNTED) return;
    *tile |= KN_TILE_KNOWN | KN_TILE_COUNTED;
    for (int di = -1; di <= 1; di++)
        for (int dj = -1; dj <= 1; dj++)
            if (colour(i + di, j + dj) < colour(i, j)) know(w, i + di, j + dj);
}

/* The tiles within reach of the window's part of the way. */
static bool survey_tiles(kn_world_builder *w, size_t window) {
    enum { AROUND = 4 }; /* tiles that are not drawn but may be known or looked at */
    const kn_world_site *site = w->site;
    size_t first, end;
    kn_world_site_stretch(site, window, &first, &end);
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY}, r = site->reach + KN_TILE * .75;
    for (size_t p = first; p < end; p++) {
        low[0] = fmin(low[0], site->path[p].x - r), high[0] = fmax(high[0], site->path[p].x + r);
        low[1] = fmin(low[1], site->path[p].y - r), high[1] = fmax(high[1], site->path[p].y + r);
    }
    w->ti0 = (int)floor(low[0] / KN_TILE) - AROUND, w->tj0 = (int)floor(low[1] / KN_TILE) - AROUND;
    w->tnx = (int)floor(high[0] / KN_TILE) + AROUND + 1 - w->ti0;
    w->tny = (int)floor(high[1] / KN_TILE) + AROUND + 1 - w->tj0;
    size_t count = (size_t)w->tnx * (size_t)w->tny;
    w->tiles = kn_alloc(count, 1, w->draw.error);
    w->tile_used = w->tiles ? kn_alloc(count, sizeof *w->tile_used, w->draw.error) : NULL;
    if (!w->tile_used) return false;
    for (int j = w->tj0; j < w->tj0 + w->tny; j++)
        for (int i = w->ti0; i < w->ti0 + w->tnx; i++) {
            double x = (i + .5) * KN_TILE, y = (j + .5) * KN_TILE;
            bool near = false;
            for (size_t p = first; p < end && !near; p++) near = hypot(site->path[p].x - x, site->path[p].y - y) <= r;
            if (near) *tile_at(w, i, j) |= KN_TILE_DRAWN;
        }
    for (int j = w->tj0; j < w->tj0 + w->tny; j++)
        for (int i = w->ti0; i < w->ti0 + w->tnx; i++)
            if (*tile_at(w, i, j) & KN_TILE_DRAWN) know(w, i, j);
    return true;
}

/* The bounds of all known tiles and one around them. */
static bool survey_space(kn_world_builder *w) {
    int low[2] = {INT32_MAX, INT32_MAX}, high[2] = {INT32_MIN, INT32_MIN};
    for (int j = w->tj0; j < w->tj0 + w->tny; j++)
        for (int i = w->ti0; i < w->ti0 + w->tnx; i++) {
            if (!(*tile_at(w, i, j) & KN_TILE_KNOWN)) continue;
            low[0] = i < low[0] ? i : low[0], high[0] = i > high[0] ? i : high[0];
            low[1] = j < low[1] ? j : low[1], high[1] = j > high[1] ? j : high[1];
        }
    return kn_space_init(&w->space, (low[0] - 1) * KN_TILE, (low[1] - 1) * KN_TILE, (high[0] + 2) * KN_TILE,
                         (high[1] + 2) * KN_TILE, &w->site->far, w->draw.error);
}

/* --- lanes ---------------------------------------------------------------------------------------------------------
 */

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
            double t = kn_mix(span.inner, span.outer, k / (double)steps),
                   z = kn_road_is_profiled(road) ? kn_road_at(road, s, t).position.z : frame.position.z + t * rise;
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
        bool inside = false;
        for (long k = 0; (double)k * step < road->length + step; k += inside ? 1 : 10) { /* the same s in any window */
            double at = fmin((double)k * step, road->length);
            inside = kn_world_near(w, road, at);
            w->road_near[i] |= inside;
            if (inside) rasterise_section(w, (int)i, at);
        }
    }
}

/* Where the scenario's people and vehicles pass. */
static void mark_ways(kn_world_builder *w) {
    for (size_t i = 0; i < w->site->mark_count; i++) {
        const kn_way_mark *m = &w->site->marks[i];
        kn_space_mark(&w->space, m->x, m->y, m->heading, m->a, m->b, KN_SPACE_WAY);
    }
}

/* What of the way tells how much detail is seen. */
static bool survey_path(kn_world_builder *w) {
    const kn_world_site *site = w->site;
    const kn_space *space = &w->space;
    const double FAR = 160;
    w->path = kn_alloc(site->path_count, sizeof *w->path, w->draw.error);
    if (!w->path) return false;
    for (size_t i = 0; i < site->path_count; i++) {
        kn_vec2 p = site->path[i];
        bool near = p.x > space->x0 - FAR && p.x < space->x0 + space->nx * space->cell + FAR && p.y > space->y0 - FAR &&
                    p.y < space->y0 + space->ny * space->cell + FAR;
        if (near) w->path[w->path_count++] = p;
    }
    return true;
}

bool kn_world_survey(kn_world_builder *w, size_t window) {
    if (!survey_tiles(w, window) || !survey_space(w) || !survey_path(w)) return false;
    w->road_near = kn_alloc(w->network->road_count + 1, sizeof *w->road_near, w->draw.error);
    if (!w->road_near) return false;
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
