/* From the world to the road: the nearest (s, t). */
#include "scene/road/road.h"
#include "scene/road/road_walk.h"

static const double SIDE = 60; /* metres: no road is wider to one side */

/* Distance along x of the point from the tangent at s: 0 at the foot of the perpendicular. */
static double ahead(const kn_road *road, double s, double x, double y, double *across) {
    kn_road_frame f = kn_road_at(road, s, 0);
    double dx = x - f.position.x, dy = y - f.position.y;
    *across = -sin(f.heading) * dx + cos(f.heading) * dy;
    return cos(f.heading) * dx + sin(f.heading) * dy;
}

/* Nearest point of one geometry: the best of coarse samples, then Newton steps along the tangent. */
static double refine(const kn_road *road, double low, double high, double s, double x, double y, double *across) {
    for (int i = 0; i < 12; i++) {
        double d = ahead(road, s, x, y, across);
        double curvature = kn_road_at(road, s, 0).curvature, scale = fmax(1 - curvature * *across, 0.2);
        double next = fmin(fmax(s + d / scale, low), high);
        if (fabs(next - s) < 1e-6) break;
        s = next;
    }
    ahead(road, s, x, y, across);
    return s;
}

/* Metres from t to the road's lanes at s; 0 on them. */
static double beside(const kn_road *road, double s, double t) {
    const kn_lane_section *section = kn_road_section(road, s);
    double left = kn_lane_span_at(road, s, section->lanes[0].id).outer;
    double right = kn_lane_span_at(road, s, section->lanes[section->lane_count - 1].id).outer;
    return t > left ? t - left : t < right ? right - t : 0;
}

static bool accepted(const kn_road *road, double s, double t, bool (*accept)(kn_lane_type type)) {
    if (!accept) return true;
    int id = kn_road_lane_at(road, s, t);
    const kn_lane *lane = id == KN_NO_LANE ? NULL : kn_section_lane(kn_road_section(road, s), id);
    return lane && accept(lane->type);
}

kn_road_position kn_road_locate(const kn_road_network *network, double x, double y, double reach) {
    return kn_road_locate_where(network, x, y, reach, NULL);
}

kn_road_position kn_road_locate_where(const kn_road_network *network, double x, double y, double reach,
                                      bool (*accept)(kn_lane_type type)) {
    kn_road_position best = {-1, KN_NO_LANE, 0, 0};
    double best_cost = reach, best_t = INFINITY;
    for (size_t r = 0; r < network->road_count; r++) {
        const kn_road *road = &network->roads[r];
        for (size_t i = 0; i < road->geometry_count; i++) {
            const kn_geometry *g = &road->geometries[i];
            double low = fmax(g->s, 0), high = fmin(g->s + g->length, road->length);
            if (high < low || hypot(x - g->x, y - g->y) > g->length * 1.6 + SIDE + fmin(best_cost, 1e6)) continue;
            int samples = (int)fmin(2 + (high - low) / 4, 300);
            double s = low, nearest = INFINITY, t;
            for (int k = 0; k <= samples; k++) {
                double at = low + (high - low) * k / samples;
                kn_vec3 p = kn_road_at(road, at, 0).position;
                double d = hypot(p.x - x, p.y - y);
                if (d < nearest) {
                    nearest = d;
                    s = at;
                }
            }
            if (nearest > SIDE + best_cost + 4) continue;
            s = refine(road, low, high, s, x, y, &t);
            double along = ahead(road, s, x, y, &t), cost = hypot(beside(road, s, t), along);
            if (cost > reach || !accepted(road, s, t, accept)) continue;
            if (cost < best_cost - 1e-9 || (cost <= best_cost + 1e-9 && cost <= reach && fabs(t) < best_t)) {
                best = (kn_road_position){(int)r, kn_road_lane_at(road, s, t), s, t};
                best_cost = cost;
                best_t = fabs(t);
            }
        }
    }
    return best;
}
