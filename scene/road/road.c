/* Evaluates road networks: reference lines (ASAM OpenDRIVE 1.6, chapter 9), lane borders, surface points. */
#include "scene/road/road.h"

#include "scene/road/road_read.h"

#include <string.h>

double kn_cubic_at(const kn_poly3 *records, size_t count, double s, double *slope) {
    size_t i = count;
    while (i > 1 && records[i - 1].s > s) i--;
    if (slope) *slope = 0;
    if (!i) return 0;
    const kn_poly3 *r = &records[i - 1];
    double ds = fmax(s - r->s, 0);
    if (slope) *slope = r->b + ds * (2 * r->c + ds * 3 * r->d);
    return r->a + ds * (r->b + ds * (r->c + ds * r->d));
}

/* Point and heading in the geometry's own axes. */
typedef struct local_point {
    double u, v, heading, curvature;
} local_point;

static local_point arc_at(double curvature, double ds) {
    double angle = curvature * ds;
    if (fabs(angle) < 1e-6) return (local_point){ds, 0.5 * curvature * ds * ds, angle, curvature};
    return (local_point){sin(angle) / curvature, (1 - cos(angle)) / curvature, angle, curvature};
}

/* Clothoid by Gauss-Legendre quadrature of cos and sin of the heading. */
static local_point spiral_at(const kn_geometry *g, double ds) {
    static const double node[5] = {-0.9061798459386640, -0.5384693101056831, 0, 0.5384693101056831, 0.9061798459386640};
    static const double weight[5] = {0.2369268850561891, 0.4786286704993665, 0.5688888888888889, 0.4786286704993665,
                                     0.2369268850561891};
    double k0 = g->curvature_start, rate = g->length > 0 ? (g->curvature_end - k0) / g->length : 0;
    double turn = fabs(k0 * ds) + fabs(0.5 * rate * ds * ds);
    int parts = (int)fmin(1 + turn, 200);
    local_point p = {0, 0, k0 * ds + 0.5 * rate * ds * ds, k0 + rate * ds};
    double step = ds / parts;
    for (int i = 0; i < parts; i++)
        for (int j = 0; j < 5; j++) {
            double x = step * (i + 0.5 + 0.5 * node[j]), heading = k0 * x + 0.5 * rate * x * x;
            p.u += 0.5 * step * weight[j] * cos(heading);
            p.v += 0.5 * step * weight[j] * sin(heading);
        }
    return p;
}

/* v = a + b u + c u^2 + d u^3, where ds is the length of the curve: midpoint steps of du = ds / sqrt(1 + v'^2). */
static local_point poly3_at(const kn_geometry *g, double ds) {
    int steps = (int)fmin(1 + ds / 2, 100);
    double u = 0, h = ds / steps;
    for (int i = 0; i < steps; i++) {
        double slope = g->v[1] + u * (2 * g->v[2] + u * 3 * g->v[3]);
        double mid = u + 0.5 * h / sqrt(1 + slope * slope);
        slope = g->v[1] + mid * (2 * g->v[2] + mid * 3 * g->v[3]);
        u += h / sqrt(1 + slope * slope);
    }
    double first = g->v[1] + u * (2 * g->v[2] + u * 3 * g->v[3]), second = 2 * g->v[2] + 6 * g->v[3] * u;
    return (local_point){u, g->v[0] + u * (g->v[1] + u * (g->v[2] + u * g->v[3])), atan(first),
                         second / pow(1 + first * first, 1.5)};
}

static local_point param_poly3_at(const kn_geometry *g, double ds) {
    double p = g->normalized ? (g->length > 0 ? ds / g->length : 0) : ds;
    double du = g->u[1] + p * (2 * g->u[2] + p * 3 * g->u[3]), dv = g->v[1] + p * (2 * g->v[2] + p * 3 * g->v[3]);
    double ddu = 2 * g->u[2] + 6 * g->u[3] * p, ddv = 2 * g->v[2] + 6 * g->v[3] * p;
    double speed = hypot(du, dv);
    local_point out = {g->u[0] + p * (g->u[1] + p * (g->u[2] + p * g->u[3])),
                       g->v[0] + p * (g->v[1] + p * (g->v[2] + p * g->v[3])), 0, 0};
    if (speed > 1e-9) {
        out.heading = atan2(dv, du);
        out.curvature = (du * ddv - dv * ddu) / (speed * speed * speed);
    }
    return out;
}

static local_point geometry_at(const kn_geometry *g, double ds) {
    switch (g->kind) {
    case KN_GEOMETRY_LINE: return (local_point){ds, 0, 0, 0};
    case KN_GEOMETRY_ARC: return arc_at(g->curvature_start, ds);
    case KN_GEOMETRY_SPIRAL: return spiral_at(g, ds);
    case KN_GEOMETRY_POLY3: return poly3_at(g, ds);
    case KN_GEOMETRY_PARAM_POLY3: return param_poly3_at(g, ds);
    }
    return (local_point){0};
}

static const kn_geometry *find_geometry(const kn_road *road, double s) {
    size_t low = 0, high = road->geometry_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (road->geometries[middle].s <= s) low = middle;
        else high = middle;
    }
    return &road->geometries[low];
}

/* Height of the cross-section that begins with shapes[first] at t, and its slope. */
static double section_height(const kn_road *road, size_t first, double t, double *slope) {
    size_t i = first;
    while (i + 1 < road->shape_count && road->shapes[i + 1].s == road->shapes[first].s && road->shapes[i + 1].t <= t)
        i++;
    const kn_lateral_shape *r = &road->shapes[i];
    double dt = fmax(t - r->t, 0);
    *slope = t < r->t ? 0 : r->b + dt * (2 * r->c + dt * 3 * r->d);
    return r->a + dt * (r->b + dt * (r->c + dt * r->d));
}

static double shape_height(const kn_road *road, double s, double t, double *slope) {
    size_t here = 0, next = 0;
    for (size_t i = 0; i < road->shape_count; i++) { /* first records of the sections before and after s */
        if (i && road->shapes[i].s == road->shapes[i - 1].s) continue;
        next = i;
        if (road->shapes[i].s > s) break;
        here = i;
    }
    double slopes[2], a = section_height(road, here, t, &slopes[0]), b = section_height(road, next, t, &slopes[1]);
    double span = road->shapes[next].s - road->shapes[here].s, f = span > 0 ? (s - road->shapes[here].s) / span : 0;
    f = fmin(fmax(f, 0), 1);
    *slope = (1 - f) * slopes[0] + f * slopes[1];
    return (1 - f) * a + f * b;
}

/* Height over the plane of the cross-section and slope in t. */
static double profile_height(const kn_road *road, double s, double t, double *slope) {
    double height = 0;
    *slope = 0;
    if (road->shape_count) height = shape_height(road, s, t, slope);
    const kn_crossfall *fall = NULL;
    for (size_t i = 0; i < road->crossfall_count && road->crossfalls[i].angle.s <= s; i++)
        if (!road->crossfalls[i].side || road->crossfalls[i].side * t >= 0) fall = &road->crossfalls[i];
    if (!fall) return height;
    double angle = kn_cubic_at(&fall->angle, 1, s, NULL), down = tan(fmin(fmax(angle, -1), 1));
    *slope -= t > 0 ? down : t < 0 ? -down : 0;
    return height - fabs(t) * down;
}

kn_road_frame kn_road_at(const kn_road *road, double s, double t) {
    s = fmin(fmax(s, 0), road->length);
    const kn_geometry *g = find_geometry(road, s);
    double ds = fmin(fmax(s - g->s, 0), g->length);
    local_point p = geometry_at(g, ds);
    double slope, c = cos(g->heading), n = sin(g->heading);
    kn_road_frame frame = {.heading = kn_wrap_angle(g->heading + p.heading), .curvature = p.curvature};
    double elevation = kn_cubic_at(road->elevations, road->elevation_count, s, &slope);
    frame.pitch = -atan(slope);
    double bank = kn_cubic_at(road->superelevations, road->superelevation_count, s, NULL), lean = 0,
           raised = kn_road_is_profiled(road) ? profile_height(road, s, t, &lean) : 0;
    frame.roll = bank + atan(lean);
    double x = g->x + c * p.u - n * p.v, y = g->y + n * p.u + c * p.v, across = t * cos(bank);
    frame.position = (kn_vec3){x - sin(frame.heading) * across, y + cos(frame.heading) * across,
                               elevation + t * sin(bank) + raised * cos(bank)};
    return frame;
}

int kn_road_find(const kn_road_network *network, const char *id) {
    for (size_t i = 0; i < network->road_count; i++)
        if (!strcmp(network->roads[i].id, id)) return (int)i;
    return -1;
}

const kn_lane_section *kn_road_section(const kn_road *road, double s) {
    size_t i = road->section_count - 1;
    while (i > 0 && road->sections[i].s > s) i--;
    return &road->sections[i];
}

const kn_lane *kn_section_lane(const kn_lane_section *section, int lane_id) {
    for (size_t i = 0; i < section->lane_count; i++)
        if (section->lanes[i].id == lane_id) return &section->lanes[i];
    return NULL;
}

kn_lane_span kn_lane_span_at(const kn_road *road, double s, int lane_id) {
    const kn_lane_section *section = kn_road_section(road, s);
    int side = lane_id > 0 ? 1 : -1;
    kn_lane_span span = {0};
    span.inner = span.outer = span.center = kn_cubic_at(road->lane_offsets, road->lane_offset_count, s, NULL);
    if (!lane_id) return span;
    for (size_t k = 0; k < section->lane_count; k++) { /* from the centre outward */
        const kn_lane *lane = &section->lanes[side > 0 ? section->lane_count - 1 - k : k];
        if (lane->id * side <= 0 || lane->id * side > lane_id * side) continue;
        double in = s - section->s;
        span.inner = span.outer;
        if (lane->border_count && !lane->width_count) { /* from the reference line, whatever lies inside */
            double edge = fmin(fabs(kn_cubic_at(lane->borders, lane->border_count, in, NULL)), 1000);
            span.outer = side > 0 ? fmax(edge, span.inner) : fmin(-edge, span.inner);
        } else {
            span.outer += side * fmin(fmax(kn_cubic_at(lane->widths, lane->width_count, in, NULL), 0), 1000);
        }
    }
    span.center = 0.5 * (span.inner + span.outer);
    return span;
}

static void complete_lane(const kn_road *road, kn_lane *lane) {
    double height = lane->type == KN_LANE_SIDEWALK || lane->type == KN_LANE_CURB ? 0.12 : 0;
    if (!(fabs(lane->height_inner) < 10)) lane->height_inner = lane->type == KN_LANE_CURB ? 0 : height;
    if (!(fabs(lane->height_outer) < 10)) lane->height_outer = height;
    for (size_t i = 0; i < lane->mark_count; i++)
        if (lane->marks[i].dash_length <= 0) {
            lane->marks[i].dash_length = 3;
            lane->marks[i].dash_gap = road->town ? 6 : 9;
        }
}

void kn_road_network_complete(kn_road_network *network) {
    for (size_t r = 0; r < network->road_count; r++) {
        kn_road *road = &network->roads[r];
        for (size_t i = 0; i < road->section_count; i++) {
            kn_lane_section *section = &road->sections[i];
            section->end = i + 1 < road->section_count ? road->sections[i + 1].s : fmax(road->length, section->s);
            for (size_t j = 0; j < section->lane_count; j++) complete_lane(road, &section->lanes[j]);
        }
    }
}
