/* Lane markings as thin sheets of paint a few millimetres above the road. */
#include "scene/world/world_build.h"

enum { MAX_STATIONS = 2048 };
static const double paint_height = .006;

static kn_material mark_matter(kn_mark_color color) {
    static const double tone[][3] = {{.68, .68, .65}, {.62, .42, .05}, {.05, .15, .55},
                                     {.05, .35, .12}, {.50, .05, .04}, {.65, .25, .03}};
    const double *c = tone[color <= KN_MARK_ORANGE ? color : 0];
    return kn_matter(c[0], c[1], c[2], .7, KN_TEXTURE_PAINT, KN_SEMANTIC_LANE_MARK, .8);
}

/* t of the mark's centre line at s. */
typedef struct mark_line {
    const kn_road *road;
    int lane;
    double shift; /* metres to the left */
    double width;
} mark_line;

static double mark_t(const mark_line *m, double s) { return kn_lane_span_at(m->road, s, m->lane).outer + m->shift; }

/* Paint from s0 to s1. */
static void paint(kn_world_builder *w, const mark_line *m, double s0, double s1) {
    static _Thread_local double s[MAX_STATIONS];
    static _Thread_local kn_vec3 points[MAX_STATIONS * 2];
    if (s1 - s0 < .02) return;
    size_t count = kn_road_stations(m->road, s0, s1, s, MAX_STATIONS);
    for (size_t i = 0; i < count; i++) {
        double at = i + 1 == count ? s[i] - 1e-6 : s[i], t = mark_t(m, at);
        for (int k = 0; k < 2; k++) {
            points[i * 2 + (size_t)k] = kn_road_at(m->road, at, t + (k ? -.5 : .5) * m->width).position;
            points[i * 2 + (size_t)k].z += paint_height;
        }
    }
    if (count >= 2) kn_build_grid(&w->draw, points, 2, count, false, NULL);
}

static void dots(kn_world_builder *w, const mark_line *m, double s0, double s1) {
    for (double s = ceil(s0 / 1.2) * 1.2; s < s1; s += 1.2) {
        kn_vec3 p = kn_road_at(m->road, s, mark_t(m, s)).position;
        kn_build_ellipsoid(&w->draw, p, kn_v3(.05, .05, .018), 8, 4);
    }
}

/* Is there no paint of another road's junction area under this spot? */
static bool visible(const kn_world_builder *w, int index, const mark_line *m, double s) {
    kn_vec3 p = kn_road_at(m->road, s, mark_t(m, s)).position;
    return m->road->junction < 0 || !kn_space_driven(&w->space, p.x, p.y, index);
}

/* One line over [s0, s1], solid or dashed, cut where it is not visible. */
static void draw_line(kn_world_builder *w, int index, mark_line m, double s0, double s1, double dash, double gap) {
    double step = m.road->junction < 0 ? 8 : 1, from = -1;
    if (dash > 0 && dash + gap > .1) {
        double period = dash + gap;
        for (double s = floor(s0 / period) * period; s < s1; s += period) {
            double a = fmax(s, s0), b = fmin(s + dash, s1);
            if (b > a && visible(w, index, &m, (a + b) / 2)) paint(w, &m, a, b);
        }
        return;
    }
    for (double s = s0; s < s1; s += step) {
        double to = fmin(s + step, s1);
        bool see = visible(w, index, &m, (s + to) / 2);
        if (see && from < 0) from = s;
        if (from >= 0 && (!see || to >= s1)) {
            paint(w, &m, from, see ? to : s);
            from = -1;
        }
    }
}

static void draw_near_mark(kn_world_builder *w, int index, const kn_lane *lane, const kn_road_mark *mark, double s0,
                           double s1, double shift) {
    mark_line m = {.road = &w->network->roads[index], .lane = lane->id, .shift = shift, .width = mark->width};
    double dash = mark->dash_length, gap = mark->dash_gap, apart = mark->width * .5 + .07;
    mark_line left = m, right = m;
    left.shift += apart;
    right.shift -= apart;
    kn_build_use(&w->draw, mark_matter(mark->color));
    switch (mark->type) {
    case KN_MARK_SOLID: draw_line(w, index, m, s0, s1, 0, 0); break;
    case KN_MARK_BROKEN: draw_line(w, index, m, s0, s1, dash, gap); break;
    case KN_MARK_SOLID_SOLID: draw_line(w, index, left, s0, s1, 0, 0), draw_line(w, index, right, s0, s1, 0, 0); break;
    case KN_MARK_SOLID_BROKEN:
        draw_line(w, index, left, s0, s1, 0, 0), draw_line(w, index, right, s0, s1, dash, gap);
        break;
    case KN_MARK_BROKEN_SOLID:
        draw_line(w, index, left, s0, s1, dash, gap), draw_line(w, index, right, s0, s1, 0, 0);
        break;
    case KN_MARK_BROKEN_BROKEN:
        draw_line(w, index, left, s0, s1, dash, gap), draw_line(w, index, right, s0, s1, dash, gap);
        break;
    case KN_MARK_BOTTS_DOTS: dots(w, &m, s0, s1); break;
    default: break;
    }
}

/* In pieces, those that the window holds. */
static void draw_mark(kn_world_builder *w, int index, const kn_lane *lane, const kn_road_mark *mark, double s0,
                      double s1, double shift) {
    const kn_road *road = &w->network->roads[index];
    for (double b = floor(s0 / KN_PIECE); b * KN_PIECE < s1; b++) {
        kn_vec3 p = kn_road_at(road, fmin((b + .5) * KN_PIECE, road->length), 0).position;
        double from = fmax(s0, b * KN_PIECE), to = fmin(s1, (b + 1) * KN_PIECE);
        if (to > from && kn_world_inside(w, p.x, p.y)) draw_near_mark(w, index, lane, mark, from, to, shift);
    }
}

/* Marks at a margin or beside something raised lie wholly on the asphalt. */
static double inward(const kn_lane_section *section, size_t i, double width) {
    const kn_lane *lane = &section->lanes[i];
    if (lane->id == 0) return 0;
    size_t next = lane->id > 0 ? i - 1 : i + 1;
    bool margin = (lane->id > 0 ? i == 0 : i + 1 == section->lane_count) || !kn_lane_has_surface(section, next);
    const kn_lane *beside = margin ? NULL : &section->lanes[next];
    if (beside && beside->type != KN_LANE_NONE && beside->type != KN_LANE_SIDEWALK && beside->type != KN_LANE_CURB &&
        beside->type != KN_LANE_MEDIAN)
        return 0;
    return (width / 2 + .12) * (lane->id > 0 ? -1 : 1);
}

/* Lines that such a road has anyway, when its file is silent about marks: edges and between driven lanes. */
static bool silent(const kn_road *road) {
    for (size_t k = 0; k < road->section_count; k++) {
        for (size_t i = 0; i < road->sections[k].lane_count; i++) {
            if (road->sections[k].lanes[i].mark_count) return false;
        }
    }
    return road->junction < 0;
}

static void draw_section(kn_world_builder *w, int index, const kn_lane_section *section, bool bare) {
    const kn_road *road = &w->network->roads[index];
    double end = fmin(section->end, road->length);
    for (size_t i = 0; i < section->lane_count; i++) {
        const kn_lane *lane = &section->lanes[i];
        for (size_t k = 0; k < lane->mark_count; k++) {
            double s0 = section->s + lane->marks[k].s_offset,
                   s1 = k + 1 < lane->mark_count ? section->s + lane->marks[k + 1].s_offset : end;
            draw_mark(w, index, lane, &lane->marks[k], fmax(s0, section->s), fmin(s1, end),
                      inward(section, i, lane->marks[k].width));
        }
        if (bare && lane->type == KN_LANE_DRIVING && lane->id != 0) {
            size_t next = lane->id > 0 ? (i > 0 ? i - 1 : i) : (i + 1 < section->lane_count ? i + 1 : i);
            bool inner = next != i && section->lanes[next].type == KN_LANE_DRIVING;
            kn_road_mark mark = {
                .type = inner ? KN_MARK_BROKEN : KN_MARK_SOLID, .width = .12, .dash_length = 3, .dash_gap = 6};
            draw_mark(w, index, lane, &mark, section->s, end, inward(section, i, .12));
        }
    }
}

void kn_world_marks(kn_world_builder *w) {
    for (size_t i = 0; i < w->network->road_count; i++) {
        const kn_road *road = &w->network->roads[i];
        if (!w->road_near[i]) continue;
        bool bare = silent(road);
        for (size_t k = 0; k < road->section_count && !w->draw.failed; k++)
            draw_section(w, (int)i, &road->sections[k], bare);
    }
}
