/* Road surfaces: lanes of the same kind beside each other become one strip. */
#include "scene/world/world_build.h"

enum { MAX_STATIONS = 512 }; /* of a piece: see refine() */

kn_material kn_asphalt(int shade) {
    static const double tone[] = {.085, .070, .100, .060};
    double k = tone[shade & 3];
    return kn_matter(k, k * 1.0, k * 1.03, .92, KN_TEXTURE_ASPHALT, KN_SEMANTIC_ROAD, 1);
}

kn_material kn_pavement_matter(int shade) {
    static const double tone[][3] = {{.30, .29, .275}, {.26, .255, .25}, {.33, .30, .27}, {.27, .24, .22}};
    const double *c = tone[shade & 3];
    return kn_matter(c[0], c[1], c[2], .88, KN_TEXTURE_PAVING, KN_SEMANTIC_SIDEWALK, .9);
}

kn_material kn_kerb_matter(void) { return kn_matter(.38, .37, .36, .8, KN_TEXTURE_CONCRETE, KN_SEMANTIC_KERB, .9); }

kn_material kn_grass(int shade) {
    static const double tone[][3] = {{.070, .120, .035}, {.085, .130, .040}, {.100, .125, .045}, {.060, .105, .030}};
    const double *c = tone[shade & 3];
    return kn_matter(c[0], c[1], c[2], .95, KN_TEXTURE_GRASS, KN_SEMANTIC_TERRAIN, .2);
}

void kn_road_margins(const kn_road *road, double s, double margins[2]) {
    const kn_lane_section *section = kn_road_section(road, s);
    margins[0] = margins[1] = 0;
    bool any = false;
    double center = 0;
    for (size_t i = 0; section && i < section->lane_count; i++) {
        const kn_lane *lane = &section->lanes[i];
        kn_lane_span span = kn_lane_span_at(road, s, lane->id);
        if (lane->id == 0) center = span.outer;
        if (!kn_lane_has_surface(section, i) || fabs(span.outer - span.inner) < .05) continue;
        double high = fmax(span.inner, span.outer), low = fmin(span.inner, span.outer);
        margins[0] = any ? fmax(margins[0], high) : high;
        margins[1] = any ? fmin(margins[1], low) : low;
        any = true;
    }
    if (!any) margins[0] = margins[1] = center;
}

/* Both margins' points at s, for the test of straightness. */
static void margin_points(const kn_road *road, double s, kn_vec3 out[2]) {
    double t[2];
    kn_road_margins(road, s, t);
    for (int k = 0; k < 2; k++) out[k] = kn_road_at(road, s, t[k] + (k ? -2 : 2)).position;
}

static size_t refine(const kn_road *road, double s0, double s1, const kn_vec3 a[2], const kn_vec3 b[2], int depth,
                     double *out, size_t count, size_t capacity) {
    double mid = (s0 + s1) / 2;
    kn_vec3 m[2];
    margin_points(road, mid, m);
    bool straight = s1 - s0 <= 12;
    for (int k = 0; k < 2 && straight; k++)
        straight = kn_vec3_length(kn_vec3_sub(m[k], kn_mix3(a[k], b[k], .5))) < .012;
    if (straight || depth == 0 || s1 - s0 < .5) {
        if (count < capacity) out[count++] = s1;
        return count;
    }
    count = refine(road, s0, mid, a, m, depth - 1, out, count, capacity);
    return refine(road, mid, s1, m, b, depth - 1, out, count, capacity);
}

size_t kn_road_stations(const kn_road *road, double s0, double s1, double *out, size_t capacity) {
    if (!(s1 > s0) || capacity < 2) return 0;
    size_t count = 1, chunks = (size_t)fmin(ceil((s1 - s0) / 24), 100000);
    out[0] = s0;
    kn_vec3 a[2], b[2];
    margin_points(road, s0, a);
    for (size_t i = 0; i < chunks; i++) { /* short of the end: the next section may start there */
        double from = kn_mix(s0, s1, i / (double)chunks), to = kn_mix(s0, s1, (i + 1) / (double)chunks);
        margin_points(road, i + 1 == chunks ? to - 1e-6 * (to - from) : to, b);
        count = refine(road, from, to, a, b, 6, out, count, capacity);
        a[0] = b[0], a[1] = b[1];
    }
    return count;
}

typedef enum surface {
    SURFACE_NONE,
    SURFACE_ASPHALT,
    SURFACE_PAVEMENT,
    SURFACE_GRASS,
    SURFACE_GRAVEL,
    SURFACE_KERB,
    SURFACE_BIKE,
    SURFACE_RAIL
} surface;

static surface surface_of(const kn_lane_section *section, size_t i, kn_surroundings kind) {
    const kn_lane *lane = &section->lanes[i];
    bool outermost = i == 0 || i + 1 == section->lane_count;
    if (lane->type != KN_LANE_NONE && !kn_lane_has_surface(section, i)) return SURFACE_NONE;
    switch (lane->type) {
    case KN_LANE_SIDEWALK: return SURFACE_PAVEMENT;
    case KN_LANE_MEDIAN: return SURFACE_GRASS;
    case KN_LANE_CURB: return SURFACE_KERB;
    case KN_LANE_BIKING: return SURFACE_BIKE;
    case KN_LANE_BORDER:
        return kind == KN_SURROUND_TOWN                       ? SURFACE_ASPHALT
               : lane->width_count && lane->widths[0].a > 1.2 ? SURFACE_GRASS
                                                              : SURFACE_GRAVEL;
    case KN_LANE_NONE: return outermost ? SURFACE_NONE : SURFACE_GRASS;
    default: return kn_lane_is_driven(lane->type) ? SURFACE_ASPHALT : SURFACE_NONE;
    }
}

static kn_material surface_matter(surface kind, uint64_t road_hash, kn_surroundings around) {
    switch (kind) {
    case SURFACE_PAVEMENT: return kn_pavement_matter((int)(road_hash % 4));
    case SURFACE_GRASS: return kn_grass(1);
    case SURFACE_GRAVEL: return kn_matter(.17, .155, .13, .95, KN_TEXTURE_SOIL, KN_SEMANTIC_TERRAIN, .5);
    case SURFACE_KERB: return kn_kerb_matter();
    case SURFACE_BIKE: return kn_matter(.20, .065, .05, .9, KN_TEXTURE_ASPHALT, KN_SEMANTIC_ROAD, 1);
    default: return kn_asphalt(around == KN_SURROUND_MOTORWAY ? 1 : 0);
    }
}

/* Draws the strip between two t functions given as arrays over the stations. lift: height above the surface of its two
 * edges. Roads whose cross-section is bent get more columns. */
static void draw_strip(kn_world_builder *w, const kn_road *road, const double *s, const double *t0, const double *t1,
                       size_t count, double lift0, double lift1) {
    const double COLUMN = .7;
    double widest = 0;
    for (size_t i = 0; i < count; i++) widest = fmax(widest, t0[i] - t1[i]);
    size_t columns = kn_road_is_profiled(road) ? (size_t)fmin(ceil(widest / COLUMN), 200) + 1 : 2;
    kn_vec3 *points = kn_alloc(count * columns, sizeof *points, w->draw.error);
    if (!points) {
        w->draw.failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++) { /* from left to right: d/du x d/dv points up */
        for (size_t k = 0; k < columns; k++) {
            double f = (double)k / (double)(columns - 1);
            kn_vec3 *p = &points[i * columns + k];
            *p = kn_road_at(road, s[i], kn_mix(t0[i], t1[i], f)).position;
            p->z += kn_mix(lift0, lift1, f);
        }
    }
    kn_build_grid(&w->draw, points, columns, count, false, NULL);
    kn_free(points);
}

/* A kerb stone along t: face with a bevel towards `side` away from the raised lane (+1: the road is to the left of
 * it). */
static void draw_kerb(kn_world_builder *w, const kn_road *road, const double *s, const double *t, size_t count,
                      int side, double height) {
    static const double in[4] = {0, .01, .035, .15};
    const double up[4] = {-.05, height - .03, height, height + .002};
    kn_vec3 *points = kn_alloc(count * 4, sizeof *points, w->draw.error);
    if (!points) {
        w->draw.failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < 4; k++) {
            int column = side > 0 ? k : 3 - k;
            points[i * 4 + (size_t)column] = kn_road_at(road, s[i], t[i] - side * in[k]).position;
            points[i * 4 + (size_t)column].z += up[k];
        }
    }
    kn_build_use(&w->draw, kn_kerb_matter());
    kn_build_grid(&w->draw, points, 4, count, false, NULL);
    kn_free(points);
}

/* Lanes [i, end) of one kind beside each other, from s0 to s1. */
static void draw_lanes(kn_world_builder *w, int index, const kn_lane_section *section, size_t i, size_t end,
                       surface kind, double s0, double s1) {
    const kn_road *road = &w->network->roads[index];
    static _Thread_local double s[MAX_STATIONS], t0[MAX_STATIONS], t1[MAX_STATIONS];
    size_t count = kn_road_stations(road, s0, s1, s, MAX_STATIONS);
    if (count < 2) return;
    double widest = 0;
    for (size_t k = 0; k < count; k++) {
        double in = fmin(s[k], section->end - 1e-6); /* behind its end the next section's widths hold */
        kn_lane_span a = kn_lane_span_at(road, in, section->lanes[i].id),
                     b = kn_lane_span_at(road, in, section->lanes[end - 1].id);
        t0[k] = fmax(a.inner, a.outer);
        t1[k] = fmin(b.inner, b.outer);
        widest = fmax(widest, t0[k] - t1[k]);
    }
    if (widest <= .02) return;
    const kn_lane *lane = &section->lanes[i];
    double lift = lane->type == KN_LANE_MEDIAN && w->kind[index] == KN_SURROUND_TOWN ? .12 : 0;
    double in = lane->height_inner, out = lane->height_outer, high = lane->id > 0 ? out : in,
           low = lane->id > 0 ? in : out;
    kn_build_use(&w->draw, surface_matter(kind, kn_hash64(w->seed ^ 0x9e37u), w->kind[index]));
    w->draw.plan = road->junction >= 0 && kind == SURFACE_ASPHALT ? &w->site->path[0]
                                                                  : NULL; /* connecting roads lie on each other */
    draw_strip(w, road, s, t0, t1, count, lift + high, lift + low);
    w->draw.plan = NULL;
    bool left_low = i > 0 && section->lanes[i - 1].height_outer < .03 && section->lanes[i - 1].type != KN_LANE_CURB;
    bool right_low =
        end < section->lane_count && section->lanes[end].height_outer < .03 && section->lanes[end].type != KN_LANE_CURB;
    if (lift + high > .05 && left_low) draw_kerb(w, road, s, t0, count, 1, lift + high);
    if (lift + low > .05 && right_low) draw_kerb(w, road, s, t1, count, -1, lift + low);
}

/* Does another road's driven lane cross this lane at s? */
static bool crossed(const kn_world_builder *w, int index, const kn_lane *lane, double s) {
    const kn_road *road = &w->network->roads[index];
    kn_lane_span span = kn_lane_span_at(road, s, lane->id);
    for (int k = 0; k < 3; k++) {
        kn_vec3 p = kn_road_at(road, s, kn_mix(span.inner, span.outer, .15 + .35 * k)).position;
        if (kn_space_driven(&w->space, p.x, p.y, index)) return true;
    }
    return false;
}

/* Pavements, kerbs and medians stop where another road crosses them. */
static void draw_uncrossed(kn_world_builder *w, int index, const kn_lane_section *section, size_t i, surface kind,
                           double s0, double s1) {
    double from = -1;
    for (double s = s0; s < s1; s += .5) {
        double to = fmin(s + .5, s1);
        bool open = !crossed(w, index, &section->lanes[i], (s + to) / 2);
        if (open && from < 0) from = s;
        if (from >= 0 && (!open || to >= s1)) {
            draw_lanes(w, index, section, i, i + 1, kind, from, open ? to : s);
            from = -1;
        }
    }
}

/* One section: lanes from left to right, neighbouring asphalt merged. */
static void draw_section(kn_world_builder *w, int index, const kn_lane_section *section, double s0, double s1) {
    for (size_t i = 0; i < section->lane_count;) {
        surface kind = section->lanes[i].id == 0 ? SURFACE_NONE : surface_of(section, i, w->kind[index]);
        size_t end = i + 1;
        while (end < section->lane_count && kind == SURFACE_ASPHALT &&
               (section->lanes[end].id == 0 || surface_of(section, end, w->kind[index]) == SURFACE_ASPHALT)) {
            end++;
        }
        while (end > i + 1 && section->lanes[end - 1].id == 0) end--;
        if (kind == SURFACE_PAVEMENT || kind == SURFACE_KERB || kind == SURFACE_GRASS)
            draw_uncrossed(w, index, section, i, kind, s0, s1);
        else if (kind != SURFACE_NONE) draw_lanes(w, index, section, i, end, kind, s0, s1);
        i = end;
    }
}

/* In pieces, those that the window holds. */
static void draw_road(kn_world_builder *w, int index) {
    const kn_road *road = &w->network->roads[index];
    for (size_t k = 0; k < road->section_count; k++) {
        const kn_lane_section *section = &road->sections[k];
        double end = fmin(section->end, road->length);
        for (double b = floor(section->s / KN_PIECE); b * KN_PIECE < end; b++) {
            double from = fmax(section->s, b * KN_PIECE), to = fmin(end, (b + 1) * KN_PIECE);
            kn_vec3 p = kn_road_at(road, (from + to) / 2, 0).position;
            if (to > from && kn_world_inside(w, p.x, p.y)) draw_section(w, index, section, from, to);
        }
    }
}

void kn_world_roads(kn_world_builder *w) {
    for (size_t i = 0; i < w->network->road_count && !w->draw.failed; i++)
        if (w->road_near[i]) draw_road(w, (int)i);
}
