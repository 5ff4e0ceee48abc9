/* What runs beside the roads: kerbs and pavements in town, verges outside, guard rails on motorways. */
#include "scene/world/world_build.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_STATIONS = 512 };

/* The margin's t at s. */
static double margin_t(const kn_road *road, double s, int side) {
    double t[2];
    kn_road_margins(road, s, t);
    return side > 0 ? t[0] : t[1];
}

void kn_world_strip(kn_world_builder *w, const kn_road *road, double s0, double s1, int side,
                    const kn_strip_profile *profile) {
    static _Thread_local double s[MAX_STATIONS];
    size_t count = kn_road_stations(road, s0, s1, s, MAX_STATIONS), columns = (size_t)profile->count;
    kn_vec3 *points = kn_alloc(count * columns + 1, sizeof *points, w->draw.error);
    if (!points) {
        w->draw.failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        double at = i + 1 == count ? s[i] - 1e-6 : s[i], edge = margin_t(road, at, side);
        kn_road_frame frame = kn_road_at(road, at, edge);
        double bend = frame.curvature * side; /* towards this side: offsets end before the centre of the curve */
        double limit = bend > 1e-4 ? fmax(.2, .85 * (1 / bend - edge * side)) : 1e9;
        for (size_t k = 0; k < columns; k++) {
            double t = edge + side * fmin(profile->offset[k], limit);
            kn_vec3 p = {frame.position.x - sin(frame.heading) * (t - edge),
                         frame.position.y + cos(frame.heading) * (t - edge), frame.position.z + profile->height[k]};
            points[i * columns + (side > 0 ? columns - 1 - k : k)] = p;
        }
    }
    if (count >= 2) kn_build_grid(&w->draw, points, columns, count, false, NULL);
    kn_free(points);
}

bool kn_world_beside(const kn_world_builder *w, int index, double s, int side, double width) {
    const kn_road *road = &w->network->roads[index];
    double edge = margin_t(road, s, side);
    kn_road_frame frame = kn_road_at(road, s, edge);
    for (double d = .35; d <= width + .01; d += fmax(.4, (width - .35) / 4)) {
        double x = frame.position.x - sin(frame.heading) * side * d,
               y = frame.position.y + cos(frame.heading) * side * d;
        if (kn_space_driven(&w->space, x, y, index)) return false;
    }
    return kn_space_cell(&w->space, frame.position.x, frame.position.y) >= 0;
}

/* One stretch with room, cut in pieces. */
static void visit_pieces(kn_world_builder *w, int index, double from, double to, int side, kn_stretch_visit visit,
                         void *user) {
    const kn_road *road = &w->network->roads[index];
    for (double b = floor(from / KN_PIECE); b * KN_PIECE < to; b++) {
        kn_stretch piece = {.road = index,
                            .side = side,
                            .s0 = fmax(from, b * KN_PIECE),
                            .s1 = fmin(to, (b + 1) * KN_PIECE),
                            .from = from,
                            .to = to};
        double mid = (floor(b) + .5) * KN_PIECE;
        kn_vec3 p = kn_road_at(road, fmin(mid, road->length), 0).position; /* as the road's surface is cut */
        piece.drawn = kn_world_inside(w, p.x, p.y);
        if (piece.s1 > piece.s0) visit(w, &piece, user);
    }
}

void kn_world_stretches(kn_world_builder *w, int index, double width, kn_stretch_visit visit, void *user) {
    const kn_road *road = &w->network->roads[index];
    const double step = .5;
    if (!w->road_near[index]) return;
    for (int side = 1; side >= -1; side -= 2) {
        for (size_t k = 0; k < road->section_count && !w->draw.failed; k++) {
            double s0 = road->sections[k].s, end = fmin(road->sections[k].end, road->length), from = -1;
            for (double s = s0; s < end; s += step) {
                double to = fmin(s + step, end);
                if (from < 0 && !kn_world_near(w, road, s)) {
                    s += 4 - step;
                    continue;
                }
                bool room = kn_world_beside(w, index, (s + to) / 2, side, width);
                if (room && from < 0) from = s;
                if (from >= 0 && (!room || to >= end)) {
                    visit_pieces(w, index, from, room ? to : s, side, visit, user);
                    from = -1;
                }
            }
        }
    }
}

/* The lane at the margin. */
static const kn_lane *margin_lane(const kn_road *road, double s, int side) {
    const kn_lane_section *section = kn_road_section(road, s);
    const kn_lane *found = NULL;
    for (size_t i = 0; i < section->lane_count; i++) {
        const kn_lane *lane = &section->lanes[side > 0 ? section->lane_count - 1 - i : i];
        if (lane->id * side > 0 && kn_lane_has_surface(section, (size_t)(lane - section->lanes))) found = lane;
    }
    return found;
}

/* Width of the sidewalk that a linked road brings to a connecting road; 0: none. */
static double linked_sidewalk(const kn_world_builder *w, const kn_road *road) {
    const kn_road_link *links[2] = {&road->predecessor, &road->successor};
    double widest = 0;
    for (int k = 0; k < 2; k++) {
        if (links[k]->kind != KN_LINK_ROAD || links[k]->index < 0) continue;
        const kn_road *other = &w->network->roads[links[k]->index];
        double s = links[k]->at_end ? other->length - 1e-3 : 0;
        const kn_lane_section *section = kn_road_section(other, s);
        for (size_t i = 0; i < section->lane_count; i++) {
            if (section->lanes[i].type != KN_LANE_SIDEWALK) continue;
            kn_lane_span span = kn_lane_span_at(other, s, section->lanes[i].id);
            widest = fmax(widest, fabs(span.outer - span.inner));
        }
    }
    return fmin(widest, 8);
}

double kn_world_pavement_width(const kn_world_builder *w, int road, int side, double s) {
    if (w->kind[road] != KN_SURROUND_TOWN || !w->grow) return 0;
    const kn_lane *lane = margin_lane(&w->network->roads[road], s, side);
    if (lane && lane->type == KN_LANE_SIDEWALK) return 0;
    double linked = w->network->roads[road].junction >= 0 ? linked_sidewalk(w, &w->network->roads[road]) : 0;
    if (linked > 0) return linked;
    uint64_t h = kn_hash64(w->seed ^ 0x7061u);
    return 2.6 + (double)(h % 100) / 100 * .8;
}

/* Marks the cells of a pavement, so that corners between two can be closed. */
static void mark_paved(kn_world_builder *w, const kn_road *road, double s0, double s1, int side, double width) {
    double step = w->space.cell * .7;
    for (double s = s0; s <= s1; s += step) {
        kn_road_frame f = kn_road_at(road, s, margin_t(road, s, side));
        for (double d = step; d <= width; d += step) {
            long c = kn_space_cell(&w->space, f.position.x - sin(f.heading) * side * d,
                                   f.position.y + cos(f.heading) * side * d);
            if (c < 0 || w->space.flags[c] & KN_SPACE_SURFACE) continue;
            if (!(w->space.flags[c] & KN_SPACE_PAVED)) w->space.height[c] = (float)f.position.z;
            w->space.flags[c] |= KN_SPACE_PAVED;
        }
    }
}

/* Kerb stone, pavement and its back edge. */
static void draw_pavement(kn_world_builder *w, const kn_road *road, double s0, double s1, int side, double width) {
    kn_strip_profile kerb = {4, {0, .01, .035, .15}, {-.05, .09, .12, .122}};
    kn_strip_profile slabs = {3, {.15, width * .5, width}, {.121, .13, .14}};
    kn_strip_profile back = {3, {width, width + .08, width + .1}, {.14, .14, -.6}};
    kn_build_use(&w->draw, kn_kerb_matter());
    kn_world_strip(w, road, s0, s1, side, &kerb);
    kn_build_use(&w->draw, kn_pavement_matter((int)(kn_hash64(w->seed ^ 0x9e37u) % 4)));
    kn_world_strip(w, road, s0, s1, side, &slabs);
    kn_build_use(&w->draw, kn_kerb_matter());
    kn_world_strip(w, road, s0, s1, side, &back);
}

/* A strip of gravel and grass that runs under the terrain. */
static void draw_verge(kn_world_builder *w, const kn_road *road, double s0, double s1, int side, double lift) {
    kn_strip_profile grass = {4, {.0, .6, 2.4, 4.6}, {lift - .02, lift * .8 - .05, lift * .2 - .10, -.26}};
    kn_build_use(&w->draw, kn_grass(0));
    kn_world_strip(w, road, s0, s1, side, &grass);
}

static void visit_margin(kn_world_builder *w, const kn_stretch *stretch, void *user) {
    int index = stretch->road, side = stretch->side;
    const kn_road *road = &w->network->roads[index];
    double s0 = stretch->s0, s1 = stretch->s1, mid = (s0 + s1) / 2,
           width = kn_world_pavement_width(w, index, side, mid);
    const kn_lane *lane = margin_lane(road, mid, side);
    (void)user;
    /* between two ways into a junction there is a moment of room: no place for a kerb */
    if (width > 0 && road->junction >= 0 && stretch->to - stretch->from < fmin(2.5, .8 * road->length)) return;
    if (s0 < 1.1) s0 = 0; /* the raster is too coarse to see the joint with the next road */
    if (s1 > road->length - 1.1) s1 = road->length;
    if (width > 0) mark_paved(w, road, s0, s1, side, width);
    if (!stretch->drawn) return;
    if (width > 0) draw_pavement(w, road, s0, s1, side, width);
    else draw_verge(w, road, s0, s1, side, lane ? lane->height_outer : 0);
}

/* --- guard rails ------------------------------------------------------------------------------ */

static void rail_post(kn_world_builder *w, const kn_road *road, double s, double t, int side) {
    kn_road_frame f = kn_road_at(road, s, t);
    kn_pose pose = kn_pose_from_euler(f.position, f.heading, 0, 0);
    w->draw.pose = pose;
    double y = side * .12;
    kn_build_box(&w->draw, kn_v3(-.03, y - .06, -.3), kn_v3(.03, y + .06, .68), KN_BOX_ALL & ~KN_BOX_BOTTOM);
    w->draw.pose = kn_pose_identity();
}

/* The W-beam along a t offset from the margin, facing the road. */
static void visit_rail(kn_world_builder *w, const kn_stretch *stretch, void *user) {
    const kn_road *road = &w->network->roads[stretch->road];
    double offset = *(const double *)user, s0 = fmax(stretch->s0, stretch->from + 1),
           s1 = fmin(stretch->s1, stretch->to - 1);
    int side = stretch->side;
    if (!stretch->drawn || stretch->to - stretch->from < 12 || !(s1 > s0 + .05)) return;
    kn_material steel = kn_matter(.42, .43, .44, .45, KN_TEXTURE_METAL, KN_SEMANTIC_FENCE, .3);
    steel.metallic = .7f;
    kn_build_use(&w->draw, steel);
    kn_strip_profile beam = {7,
                             {offset + .03, offset, offset, offset + .06, offset, offset, offset + .03},
                             {.43, .46, .54, .585, .63, .71, .74}};
    kn_world_strip(w, road, s0, s1, side, &beam);
    for (double s = (floor(s0 / 4) + .5) * 4; s < s1; s += 4)
        if (s >= s0) rail_post(w, road, s, margin_t(road, s, side) + side * offset, side);
}

/* Does the file bring rails of its own? */
static bool has_rails(const kn_road *road) {
    for (size_t i = 0; i < road->object_count; i++) {
        const char *type = road->objects[i].type;
        if (strstr(type, "rail") || strstr(type, "barrier")) return true;
    }
    return false;
}

/* Medians of motorways: a double rail along the middle of the median lane or the line between the directions. */
static void median_rail(kn_world_builder *w, int index) {
    const kn_road *road = &w->network->roads[index];
    for (size_t k = 0; k < road->section_count; k++) {
        const kn_lane_section *section = &road->sections[k];
        for (size_t i = 0; i < section->lane_count; i++) {
            const kn_lane *lane = &section->lanes[i];
            bool middle = lane->type == KN_LANE_MEDIAN ||
                          ((lane->type == KN_LANE_BORDER || lane->type == KN_LANE_NONE) && abs(lane->id) == 1);
            double s0 = section->s, s1 = fmin(section->end, road->length);
            kn_lane_span span = kn_lane_span_at(road, (s0 + s1) / 2, lane->id);
            if (!middle || fabs(span.outer - span.inner) < .5) continue;
            kn_material concrete = kn_matter(.33, .325, .31, .85, KN_TEXTURE_CONCRETE, KN_SEMANTIC_FENCE, .8);
            kn_build_use(&w->draw, concrete);
            for (double s = s0; s < s1; s += 6) { /* concrete step barrier, 6 m elements */
                double e = fmin(s + 6, s1) - 1e-6;
                kn_vec3 p[2];
                double t[2] = {kn_lane_span_at(road, s, lane->id).center, kn_lane_span_at(road, e, lane->id).center};
                p[0] = kn_road_at(road, s, t[0]).position, p[1] = kn_road_at(road, e, t[1]).position;
                if (!kn_world_inside(w, p[0].x, p[0].y)) continue;
                static const double y[6] = {.30, .28, .12, -.12, -.28, -.30}, z[6] = {-.05, .12, .85, .85, .12, -.05};
                double h = kn_road_at(road, s, 0).heading;
                kn_vec3 left = kn_v3(-sin(h), cos(h), 0), grid[12];
                for (int q = 0; q < 12; q++) {
                    grid[q] = kn_vec3_add(p[q / 6], kn_vec3_scale(left, y[q % 6]));
                    grid[q].z += z[q % 6];
                }
                for (int q = 0; q < 5; q++) kn_build_quad(&w->draw, grid[q], grid[q + 1], grid[q + 7], grid[q + 6]);
            }
        }
    }
}

void kn_world_margins(kn_world_builder *w) {
    for (size_t i = 0; i < w->network->road_count && !w->draw.failed; i++) {
        kn_world_stretches(w, (int)i, 1.2, visit_margin, NULL);
        if (w->kind[i] != KN_SURROUND_MOTORWAY || w->network->roads[i].junction >= 0 || !w->grow) continue;
        double offset = 1.1;
        kn_world_stretches(w, (int)i, 2.5, visit_rail, &offset);
        if (w->road_near[i] && !has_rails(&w->network->roads[i])) median_rail(w, (int)i);
    }
}
