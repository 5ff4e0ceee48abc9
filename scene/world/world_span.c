/* Tunnels and bridges that the OpenDRIVE file names: walls, ceilings with lamps and portals; parapets, deck and
 * piers. */
#include "scene/world/world_build.h"

#include <string.h>

static const double STEP = 6, CLEARANCE = 5.3, WALL = 0.35, LAMP_PITCH = 12; /* metres */

/* A point at t beside the road and z above its surface there. */
static kn_vec3 at(const kn_road *road, double s, double t, double z) {
    kn_vec3 p = kn_road_at(road, s, t).position;
    p.z += z;
    return p;
}

/* Left and right edges of the structure. */
static void edges(const kn_road *road, double s, double out[2]) {
    kn_road_margins(road, s, out);
    out[0] += WALL, out[1] -= WALL;
}

static kn_material concrete(double shade) {
    return kn_matter(shade, shade * .98, shade * .94, .85, KN_TEXTURE_CONCRETE, KN_SEMANTIC_WALL, .3);
}

/* The strip between two corners of the cross-section, from s0 to s1; seen from the side on which s0-s1 and a-b turn
 * left. */
static void strip(kn_world_builder *w, const kn_road *road, double s0, double s1, const double a[2][2],
                  const double b[2][2]) {
    kn_build_quad(&w->draw, at(road, s0, a[0][0], a[0][1]), at(road, s1, a[1][0], a[1][1]),
                  at(road, s1, b[1][0], b[1][1]), at(road, s0, b[0][0], b[0][1]));
}

enum { CORNERS = 6 };

/* Inner outline of a tunnel from the foot of the left wall to the foot of the right one: t, z. */
static void outline(const kn_road *road, double s, double grow, double out[CORNERS][2]) {
    double e[2];
    edges(road, s, e);
    e[0] += grow, e[1] -= grow;
    const double shape[CORNERS][2] = {{e[0], -.6},
                                      {e[0], CLEARANCE - .9 + grow},
                                      {e[0] - 1.1, CLEARANCE + grow},
                                      {e[1] + 1.1, CLEARANCE + grow},
                                      {e[1], CLEARANCE - .9 + grow},
                                      {e[1], -.6}};
    memcpy(out, shape, sizeof shape);
}

static void lamps(kn_world_builder *w, const kn_road *road, double s, double lighting) {
    double e[2];
    edges(road, s, e);
    kn_material lamp =
        kn_lamp_matter(.9, .86, .74, KN_EMITTER_ALWAYS, 1 + 2 * kn_clamp(lighting, 0, 1), KN_SEMANTIC_OBJECT);
    kn_build_use(&w->draw, lamp);
    for (int side = 0; side < 2; side++) {
        double t = kn_mix(e[0], e[1], side ? .7 : .3);
        kn_road_frame frame = kn_road_at(road, s, t);
        kn_pose keep = w->draw.pose;
        w->draw.pose = kn_pose_from_euler(frame.position, frame.heading, frame.pitch, 0);
        kn_build_box(&w->draw, kn_v3(-.9, -.14, CLEARANCE - .12), kn_v3(.9, .14, CLEARANCE - .04),
                     KN_BOX_ALL & ~KN_BOX_TOP);
        w->draw.pose = keep;
        kn_light light = {.position = at(road, s, t, CLEARANCE - .3),
                          .direction = kn_v3(0, 0, -1),
                          .color = {26, 24, 20},
                          .cone_cos = .1f,
                          .range = 18};
        kn_world_light(w, &light);
    }
}

/* The wall around the opening. */
static void portal(kn_world_builder *w, const kn_road *road, double s, bool entrance) {
    double in[CORNERS][2], out[CORNERS][2];
    outline(road, s, 0, in);
    outline(road, s, 1.3, out);
    kn_build_use(&w->draw, concrete(.40));
    for (int i = 0; i + 1 < CORNERS; i++) {
        kn_vec3 q[4] = {at(road, s, in[i][0], in[i][1]), at(road, s, in[i + 1][0], in[i + 1][1]),
                        at(road, s, out[i + 1][0], out[i + 1][1]), at(road, s, out[i][0], out[i][1])};
        if (entrance) kn_build_quad(&w->draw, q[3], q[2], q[1], q[0]);
        else kn_build_quad(&w->draw, q[0], q[1], q[2], q[3]);
    }
}

static void occupy(kn_world_builder *w, const kn_road *road, double s, double length) {
    double e[2];
    edges(road, s, e);
    kn_road_frame f = kn_road_at(road, s, (e[0] + e[1]) / 2);
    kn_space_occupy(&w->space, f.position.x, f.position.y, f.heading, length / 2 + .5, (e[0] - e[1]) / 2 + 1.6);
}

/* Edges of what is paved in a road's cross-section: left, right. */
static void paved(const kn_road *road, double s, double out[2]) {
    const kn_lane_section *section = kn_road_section(road, s);
    out[0] = -INFINITY, out[1] = INFINITY;
    for (size_t i = 0; section && i < section->lane_count; i++) {
        const kn_lane *lane = &section->lanes[i];
        if (!lane->id ||
            !(kn_lane_is_driven(lane->type) || lane->type == KN_LANE_SIDEWALK || lane->type == KN_LANE_CURB))
            continue;
        kn_lane_span span = kn_lane_span_at(road, s, lane->id);
        out[0] = fmax(out[0], fmax(span.inner, span.outer));
        out[1] = fmin(out[1], fmin(span.inner, span.outer));
    }
}

/* Raised walks instead of verges, from what is paved to the walls. */
static void draw_walks(kn_world_builder *w, const kn_road *road, double s0, double s1) {
    const double height = .16, last = s1 - 1e-6;
    double wall[2][2], edge[2][2];
    edges(road, s0, wall[0]), edges(road, last, wall[1]);
    paved(road, s0, edge[0]), paved(road, last, edge[1]);
    kn_build_use(&w->draw, concrete(.34));
    for (int side = 0; side < 2; side++) {
        double sign = side ? -1 : 1;
        if (!((wall[0][side] - edge[0][side]) * sign > .2) || !((wall[1][side] - edge[1][side]) * sign > .2) ||
            !isfinite(edge[0][side] + edge[1][side]))
            continue;
        const double foot[2][2] = {{edge[0][side], -.1}, {edge[1][side], -.1}},
                     kerb[2][2] = {{edge[0][side], height}, {edge[1][side], height}},
                     back[2][2] = {{wall[0][side], height}, {wall[1][side], height}};
        strip(w, road, s0, last, side ? kerb : foot, side ? foot : kerb);
        strip(w, road, s0, last, side ? back : kerb, side ? kerb : back);
    }
}

/* The first of points that lie `pitch` apart from `start` on at or behind s. */
static double next_point(double start, double pitch, double s) {
    return start + pitch * ceil(fmax(s - start, 0) / pitch);
}

static void draw_tunnel(kn_world_builder *w, const kn_road *road, double s0, double s1, const kn_road_span *span) {
    double here[CORNERS][2], there[CORNERS][2];
    for (int shell = 0; shell < 2; shell++) { /* inside, then outside */
        outline(road, s0, shell ? 1.3 : 0, here);
        outline(road, s1, shell ? 1.3 : 0, there);
        kn_build_use(&w->draw, concrete(shell ? .30 : .46));
        for (int i = 0; i + 1 < CORNERS; i++) {
            const double a[2][2] = {{here[i][0], here[i][1]}, {there[i][0], there[i][1]}},
                         b[2][2] = {{here[i + 1][0], here[i + 1][1]}, {there[i + 1][0], there[i + 1][1]}};
            if (shell) strip(w, road, s0, s1, b, a);
            else strip(w, road, s0, s1, a, b);
        }
    }
    draw_walks(w, road, s0, s1);
    double last = fmin(s1, span->s + span->length - 2);
    for (double lamp = next_point(span->s + 3, LAMP_PITCH, s0); lamp < last; lamp += LAMP_PITCH)
        lamps(w, road, lamp, span->lighting);
}

static bool is_steel(const kn_road_span *span) { return !strcmp(span->type, "steel"); }

/* A wall on the deck's edge with its outer side down to the deck's underside. */
static void draw_parapet(kn_world_builder *w, const kn_road *road, double s0, double s1, int side, bool steel) {
    double e0[2], e1[2];
    edges(road, s0, e0);
    edges(road, s1, e1);
    int k = side > 0 ? 0 : 1;
    const double in[2] = {e0[k] - side * .1, e1[k] - side * .1}, out[2] = {e0[k] + side * .2, e1[k] + side * .2},
                 top = steel ? 1.1 : .95, deck = -.9;
    kn_build_use(&w->draw,
                 steel ? kn_matter(.34, .36, .38, .45, KN_TEXTURE_METAL, KN_SEMANTIC_FENCE, .3) : concrete(.42));
    const double faces[3][2][2] = {
        {{in[0], -.05}, {in[0], top}}, {{in[0], top}, {out[0], top}}, {{out[0], top}, {out[0], deck}}};
    const double ends[3][2][2] = {
        {{in[1], -.05}, {in[1], top}}, {{in[1], top}, {out[1], top}}, {{out[1], top}, {out[1], deck}}};
    for (int f = 0; f < 3; f++) {
        const double a[2][2] = {{faces[f][0][0], faces[f][0][1]}, {ends[f][0][0], ends[f][0][1]}},
                     b[2][2] = {{faces[f][1][0], faces[f][1][1]}, {ends[f][1][0], ends[f][1][1]}};
        if (side > 0) strip(w, road, s0, s1, a, b);
        else strip(w, road, s0, s1, b, a);
    }
}

/* Closes both ends of a parapet. */
static void cap_parapets(kn_world_builder *w, const kn_road *road, double s, bool steel) {
    double e[2], top = steel ? 1.1 : .95;
    edges(road, s, e);
    kn_build_use(&w->draw,
                 steel ? kn_matter(.34, .36, .38, .45, KN_TEXTURE_METAL, KN_SEMANTIC_FENCE, .3) : concrete(.42));
    for (int k = 0; k < 2; k++) {
        double side = k ? -1 : 1, in = e[k] - side * .1, out = e[k] + side * .2;
        kn_vec3 p[4] = {at(road, s, in, -.3), at(road, s, out, -.3), at(road, s, out, top), at(road, s, in, top)};
        kn_build_quad(&w->draw, p[0], p[1], p[2], p[3]);
        kn_build_quad(&w->draw, p[3], p[2], p[1], p[0]);
    }
}

static void draw_bridge(kn_world_builder *w, const kn_road *road, double s0, double s1, const kn_road_span *span) {
    double e0[2], e1[2];
    edges(road, s0, e0);
    edges(road, s1, e1);
    for (int side = 1; side >= -1; side -= 2) draw_parapet(w, road, s0, s1, side, is_steel(span));
    kn_build_use(&w->draw, concrete(.30));
    const double left[2][2] = {{e0[0] + .2, -.9}, {e1[0] + .2, -.9}},
                 right[2][2] = {{e0[1] - .2, -.9}, {e1[1] - .2, -.9}};
    strip(w, road, s0, s1, left, right); /* the underside */
    for (double pier = next_point(span->s + 3, 24, s0); pier < s1; pier += 24)
        for (int side = 0; side < 2; side++) {
            kn_vec3 head = at(road, pier, kn_mix(e0[0], e0[1], side ? .78 : .22), -.9);
            double ground = kn_world_land(w, head.x, head.y);
            if (head.z - ground < 1.5 || kn_space_driven(&w->space, head.x, head.y, (int)(road - w->network->roads)))
                continue;
            kn_build_cylinder(&w->draw, kn_v3(head.x, head.y, ground - .5), head, .55, .55, 14, 0);
        }
}

static bool inside(const kn_world_builder *w, const kn_road *road, double s) {
    kn_vec3 p = kn_road_at(road, s, 0).position;
    return kn_world_inside(w, p.x, p.y);
}

/* Both ends of the structure. */
static void draw_ends(kn_world_builder *w, const kn_road *road, const kn_road_span *span, double end) {
    for (int k = 0; k < 2; k++) {
        double s = k ? end : span->s;
        if (!inside(w, road, s)) continue;
        if (span->tunnel) portal(w, road, s, k == 0);
        else cap_parapets(w, road, s, is_steel(span));
    }
}

void kn_world_spans(kn_world_builder *w) {
    w->draw.instance = 0;
    for (size_t r = 0; r < w->network->road_count && !w->draw.failed; r++) {
        const kn_road *road = &w->network->roads[r];
        for (size_t i = 0; i < road->span_count && w->road_near[r]; i++) {
            const kn_road_span *span = &road->spans[i];
            double end = fmin(span->s + span->length, road->length - .01);
            for (double s = span->s; s < end - .1; s += STEP) {
                double to = fmin(s + STEP, end), mid = (s + to) / 2;
                if (kn_world_near(w, road, mid)) occupy(w, road, mid, to - s);
                if (!inside(w, road, mid)) continue;
                if (span->tunnel) draw_tunnel(w, road, s, to, span);
                else draw_bridge(w, road, s, to, span);
            }
            if (end > span->s + .1) draw_ends(w, road, span, end);
        }
    }
}
