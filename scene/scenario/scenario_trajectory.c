/* Any <Position>; trajectories: polylines, clothoids, NURBS, and places along them. */
#include "scene/scenario/scenario.h"

#include <math.h>
#include <string.h>

enum { MAX_VERTICES = 100000 };

static bool read_polyline(kn_osc *osc, xmlNode *node, kn_trajectory *t) {
    kn_xml *xml = &osc->xml;
    size_t count = kn_xml_count(node, "Vertex");
    if (count < 2 || count > MAX_VERTICES)
        return kn_xml_fail(xml, node, "<Polyline> with %zu vertices, expected 2 to %d", count, MAX_VERTICES);
    t->kind = KN_TRAJECTORY_POLYLINE;
    t->vertices = kn_xml_alloc(xml, count, sizeof *t->vertices);
    t->times = kn_xml_alloc(xml, count, sizeof *t->times);
    if (xml->failed) return false;
    for (xmlNode *v = kn_xml_child(node, "Vertex"); v; v = kn_xml_next(v, "Vertex"), t->vertex_count++) {
        t->times[t->vertex_count] = kn_xml_has(v, "time") ? kn_xml_number(xml, v, "time", NAN) : NAN;
        if (!kn_osc_read_position(osc, v, "Position", &t->vertices[t->vertex_count])) return false;
        if (t->vertex_count && t->times[t->vertex_count] < t->times[t->vertex_count - 1])
            return kn_xml_fail(xml, v, "<Vertex> times go backwards");
    }
    return true;
}

static bool read_segment(kn_osc *osc, xmlNode *node, kn_trajectory *t, bool spline) {
    kn_xml *xml = &osc->xml;
    size_t i = t->segment_count++;
    double *segment = t->segments[i];
    segment[0] = kn_xml_has(node, "curvature") ? kn_xml_number(xml, node, "curvature", 0)
                                               : kn_xml_number(xml, node, "curvatureStart", 0);
    segment[2] = kn_xml_need_number(xml, node, "length");
    if (spline) segment[1] = kn_xml_need_number(xml, node, "curvatureEnd");
    else
        segment[1] = segment[0] + segment[2] * (kn_xml_has(node, "curvaturePrime")
                                                    ? kn_xml_number(xml, node, "curvaturePrime", 0)
                                                    : kn_xml_number(xml, node, "curvatureDot", 0));
    segment[3] = kn_xml_number(xml, node, "hOffset", 0);
    if (!(segment[2] > 0 && segment[2] <= 1e5) || fabs(segment[0]) > 10 || fabs(segment[1]) > 10)
        return kn_xml_fail(xml, node, "clothoid of %g m with curvature %g to %g 1/m is out of range", segment[2],
                           segment[0], segment[1]);
    const char *holder = spline ? "PositionStart" : "Position";
    t->segment_times[i] = kn_xml_number(xml, node, "timeStart", NAN);
    t->has_start[i] = kn_xml_child(node, holder) != NULL;
    return !t->has_start[i] || kn_osc_read_position(osc, node, holder, &t->vertices[i]);
}

static bool read_clothoids(kn_osc *osc, xmlNode *node, kn_trajectory *t) {
    kn_xml *xml = &osc->xml;
    bool spline = kn_xml_is(node, "ClothoidSpline");
    size_t count = spline ? kn_xml_count(node, "Segment") + kn_xml_count(node, "ClothoidSplineSegment") : 1;
    if (!count || count > MAX_VERTICES) return kn_xml_fail(xml, node, "<ClothoidSpline> with %zu segments", count);
    t->kind = KN_TRAJECTORY_CLOTHOID;
    t->vertices = kn_xml_alloc(xml, count, sizeof *t->vertices);
    t->segments = kn_xml_alloc(xml, count, sizeof *t->segments);
    t->has_start = kn_xml_alloc(xml, count, sizeof *t->has_start);
    t->segment_times = kn_xml_alloc(xml, count, sizeof *t->segment_times);
    if (xml->failed) return false;
    t->clothoid_times[0] = kn_xml_has(node, "startTime") ? kn_xml_number(xml, node, "startTime", NAN) : NAN;
    t->clothoid_times[1] = kn_xml_number(xml, node, spline ? "timeEnd" : "stopTime", NAN);
    if (!spline) return read_segment(osc, node, t, false);
    const char *name = kn_xml_child(node, "Segment") ? "Segment" : "ClothoidSplineSegment";
    for (xmlNode *s = kn_xml_child(node, name); s; s = kn_xml_next(s, name))
        if (!read_segment(osc, s, t, true)) return false;
    return true;
}

static bool read_nurbs(kn_osc *osc, xmlNode *node, kn_trajectory *t) {
    kn_xml *xml = &osc->xml;
    size_t points = kn_xml_count(node, "ControlPoint"), knots = kn_xml_count(node, "Knot");
    t->kind = KN_TRAJECTORY_NURBS;
    t->order = kn_xml_integer(xml, node, "order", 0);
    if (points < 2 || points > 1000 || t->order < 2 || t->order > 12 || (size_t)t->order > points ||
        knots != points + (size_t)t->order)
        return kn_xml_fail(
            xml, node,
            "<Nurbs> of order %d with %zu control points and %zu knots; knots must be control points + order", t->order,
            points, knots);
    t->vertices = kn_xml_alloc(xml, points, sizeof *t->vertices);
    t->weights = kn_xml_alloc(xml, points, sizeof *t->weights);
    t->times = kn_xml_alloc(xml, points, sizeof *t->times);
    t->knots = kn_xml_alloc(xml, knots, sizeof *t->knots);
    if (xml->failed) return false;
    for (xmlNode *c = kn_xml_child(node, "ControlPoint"); c; c = kn_xml_next(c, "ControlPoint"), t->vertex_count++) {
        t->weights[t->vertex_count] = kn_xml_number(xml, c, "weight", 1);
        t->times[t->vertex_count] = kn_xml_has(c, "time") ? kn_xml_number(xml, c, "time", NAN) : NAN;
        if (!kn_osc_read_position(osc, c, "Position", &t->vertices[t->vertex_count])) return false;
        if (!(t->weights[t->vertex_count] > 0 && t->weights[t->vertex_count] < 1e6))
            return kn_xml_fail(xml, c, "<ControlPoint> weight must be above 0");
    }
    for (xmlNode *k = kn_xml_child(node, "Knot"); k; k = kn_xml_next(k, "Knot"), t->knot_count++) {
        t->knots[t->knot_count] = kn_xml_need_number(xml, k, "value");
        if (t->knot_count && t->knots[t->knot_count] < t->knots[t->knot_count - 1])
            return kn_xml_fail(xml, k, "<Knot> values go backwards");
    }
    return !xml->failed;
}

static bool read_trajectory(kn_osc *osc, xmlNode *node, kn_trajectory *t) {
    kn_xml *xml = &osc->xml;
    xmlNode *shape = kn_xml_require(xml, node, "Shape"), *form = kn_xml_child(shape, NULL);
    t->line = kn_xml_line(node);
    if (!shape) return false;
    t->closed = kn_xml_bool(xml, node, "closed", false);
    if (form && kn_xml_is(form, "Polyline")) return read_polyline(osc, form, t);
    if (form && (kn_xml_is(form, "Clothoid") || kn_xml_is(form, "ClothoidSpline"))) return read_clothoids(osc, form, t);
    if (form && kn_xml_is(form, "Nurbs")) return read_nurbs(osc, form, t);
    return kn_xml_fail(xml, shape, "<Shape> must hold a Polyline, Clothoid, ClothoidSpline or Nurbs");
}

bool kn_osc_read_trajectory(kn_osc *osc, xmlNode *node, kn_trajectory **out) {
    kn_xml *xml = &osc->xml;
    xmlNode *reference = kn_xml_child(node, "TrajectoryRef");
    xmlNode *holder = reference ? reference : node, *trajectory = kn_xml_child(holder, "Trajectory");
    xmlNode *catalog = kn_xml_child(holder, "CatalogReference");
    kn_trajectory *t = *out = kn_xml_alloc(xml, 1, sizeof *t);
    if (!t) return false;
    kn_scope scope;
    const kn_scope *before = xml->scope;
    bool ok = true;
    if (trajectory) {
        ok = kn_osc_open_scope(osc, trajectory, "ParameterDeclarations", NULL, &scope) &&
             read_trajectory(osc, trajectory, t);
    } else if (catalog) {
        kn_catalog_visit visit;
        ok = kn_osc_enter_catalog(osc, catalog, "Trajectory", &visit) && read_trajectory(osc, visit.entry, t);
        kn_osc_leave_catalog(osc, &visit);
    } else {
        ok = kn_xml_fail(xml, node, "<FollowTrajectoryAction> has no trajectory");
    }
    xml->scope = before;
    return ok && !xml->failed;
}

/* Only places that are known before anything moves: the path is sampled while reading. */
static bool is_fixed(const kn_trajectory *t) {
    bool fixed = t->kind != KN_TRAJECTORY_CLOTHOID || t->has_start[0];
    size_t count = t->kind == KN_TRAJECTORY_CLOTHOID ? t->segment_count : t->vertex_count;
    for (size_t i = 0; i < count; i++) {
        bool used = t->kind != KN_TRAJECTORY_CLOTHOID || t->has_start[i];
        kn_position_kind kind = t->vertices[i].kind;
        fixed &= !used || kind == KN_POSITION_WORLD || kind == KN_POSITION_LANE || kind == KN_POSITION_ROAD;
    }
    return fixed;
}

/* <TrajectoryPosition>: s metres along a trajectory, t metres to its left. */
static bool read_trajectory_position(kn_osc *osc, xmlNode *node, kn_position *p) {
    kn_xml *xml = &osc->xml;
    kn_trajectory *t;
    double s = kn_xml_need_number(xml, node, "s"), left = kn_xml_number(xml, node, "t", 0);
    if (!kn_xml_require(xml, node, "TrajectoryRef") || !kn_osc_read_trajectory(osc, node, &t)) return false;
    if (!is_fixed(t))
        return kn_xml_fail(xml, node,
                           "<TrajectoryPosition> on a trajectory whose places are relative to others is not supported");
    kn_scenario *scenario = osc->scenario;
    if (!osc->scenario->sim.network) osc->scenario->sim.network = &osc->scenario->network;
    kn_path *path = kn_trajectory_path(scenario, &scenario->sim, t, 0, xml->error);
    if (!path) return xml->failed = true, false;
    double length = path->along[path->count - 1];
    if (!(s >= 0 && s <= length + 1e-6))
        return kn_xml_fail(xml, node, "<TrajectoryPosition> at s = %g m of a trajectory %g m long", s, length);
    size_t i = 1;
    while (i + 1 < path->count && path->along[i] < s) i++;
    double span = path->along[i] - path->along[i - 1], share = span > 0 ? fmin((s - path->along[i - 1]) / span, 1) : 0;
    const double *a = path->points[i - 1], *b = path->points[i];
    double along = span > 1e-6 ? atan2(b[1] - a[1], b[0] - a[0]) : path->yaw[i];
    kn_osc_read_orientation(osc, node, p);
    if (!p->has_heading || p->heading_relative) p->heading += along;
    p->kind = KN_POSITION_WORLD;
    p->has_heading = true;
    p->heading_relative = false;
    p->x = a[0] + share * (b[0] - a[0]) - left * sin(along);
    p->y = a[1] + share * (b[1] - a[1]) + left * cos(along);
    p->z = a[2] + share * (b[2] - a[2]);
    return !xml->failed;
}

bool kn_osc_read_position(kn_osc *osc, xmlNode *parent, const char *holder, kn_position *p) {
    xmlNode *kind = kn_osc_enter_position(osc, parent, holder, p);
    if (!kind) return false;
    if (kn_xml_is(kind, "TrajectoryPosition")) return read_trajectory_position(osc, kind, p);
    if (!kn_xml_is(kind, "RoutePosition")) return kn_osc_read_place(osc, kind, p);
    if (!kn_osc_read_route_position(osc, kind, p)) return false;
    kn_osc_read_orientation(osc, kind, p);
    return !osc->xml.failed;
}
