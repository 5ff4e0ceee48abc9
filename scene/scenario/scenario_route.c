/* <RoutePosition>: metres along a route whose waypoints lie on roads. */
#include "scene/scenario/scenario.h"

enum { MAX_ROUTE = 1000 };

/* Walker at a waypoint; false for waypoints that are not fixed to a lane. */
static bool at_waypoint(const kn_road_network *network, const kn_position *p, kn_walker *out) {
    if (p->kind != KN_POSITION_LANE && p->kind != KN_POSITION_ROAD) return false;
    const kn_road *road = &network->roads[p->road];
    int lane = p->kind == KN_POSITION_LANE ? p->lane : kn_road_lane_at(road, p->s, p->t);
    if (!lane || lane == KN_NO_LANE || !(p->s >= 0 && p->s <= road->length)) return false;
    *out = (kn_walker){p->road, lane, kn_lane_direction(road, lane), p->s, 0};
    return true;
}

/* The lane position `metres` along the route; not *found when the route breaks off before. */
static bool walk_route(const kn_road_network *network, const kn_walker *stops, size_t count, double metres,
                       kn_walker *out, bool *found, kn_error *error) {
    int *route = kn_alloc(MAX_ROUTE, sizeof *route, error);
    size_t length = 0, more = 0;
    bool ok = route != NULL;
    for (size_t i = 0; ok && i + 1 < count && length < MAX_ROUTE; i++, length += more)
        ok = kn_road_route(network, &stops[i], stops[i + 1].road, route + length, MAX_ROUTE - length, &more, error);
    *out = stops[0];
    *found = ok && kn_road_walk(network, out, metres, &(kn_walk_plan){route, length, 0}, NULL);
    kn_free(route);
    return ok;
}

xmlNode *kn_osc_enter_position(kn_osc *osc, xmlNode *parent, const char *holder, kn_position *p) {
    kn_xml *xml = &osc->xml;
    *p = (kn_position){.entity = -1};
    xmlNode *position = holder ? kn_xml_require(xml, parent, holder) : parent, *kind = kn_xml_child(position, NULL);
    if (position && !kind) kn_xml_fail(xml, position, "<Position> is empty");
    if (kind) p->line = kn_xml_line(kind);
    return kind;
}

static bool read_stops(kn_osc *osc, xmlNode *route, kn_walker **stops, size_t *count) {
    kn_xml *xml = &osc->xml;
    size_t n = kn_xml_count(route, "Waypoint");
    *stops = kn_xml_alloc(xml, n, sizeof **stops);
    if (*stops && !n) return kn_xml_fail(xml, route, "<Route> has no <Waypoint>");
    for (xmlNode *w = *stops ? kn_xml_child(route, "Waypoint") : NULL; w; w = kn_xml_next(w, "Waypoint")) {
        kn_position p;
        xmlNode *kind = kn_osc_enter_position(osc, w, "Position", &p);
        if (!kind) return false;
        if (kn_xml_is(kind, "RoutePosition")) return kn_xml_fail(xml, w, "a route whose waypoint lies on a route");
        if (!kn_osc_read_place(osc, kind, &p)) return false;
        if (!at_waypoint(&osc->scenario->network, &p, &(*stops)[(*count)++]))
            return kn_xml_fail(xml, w,
                               "<Waypoint> of a RoutePosition must be a LanePosition or RoadPosition on a lane");
    }
    return !xml->failed;
}

bool kn_osc_read_route_position(kn_osc *osc, xmlNode *node, kn_position *p) {
    kn_xml *xml = &osc->xml;
    xmlNode *reference = kn_xml_require(xml, node, "RouteRef"), *in = kn_xml_require(xml, node, "InRoutePosition");
    xmlNode *route = kn_xml_child(reference, "Route"), *catalog = kn_xml_child(reference, "CatalogReference");
    xmlNode *by_lane = kn_xml_child(in, "FromLaneCoordinates"), *by_road = kn_xml_child(in, "FromRoadCoordinates");
    kn_walker *stops = NULL, place;
    size_t count = 0;
    kn_catalog_visit visit;
    if (!reference || !in) return false;
    if (!by_lane && !by_road)
        return kn_xml_fail(
            xml, in, "<InRoutePosition> needs FromLaneCoordinates or FromRoadCoordinates; others are not supported");
    bool ok = route ? read_stops(osc, route, &stops, &count)
              : catalog
                  ? kn_osc_enter_catalog(osc, catalog, "Route", &visit) && read_stops(osc, visit.entry, &stops, &count)
                  : kn_xml_fail(xml, reference, "<RouteRef> needs a Route or CatalogReference");
    if (!route && catalog) kn_osc_leave_catalog(osc, &visit);
    double along = ok ? kn_xml_need_number(xml, by_lane ? by_lane : by_road, "pathS") : 0;
    int lane = by_lane ? kn_xml_integer(xml, by_lane, "laneId", 0) : 0;
    p->t = by_lane ? kn_xml_number(xml, by_lane, "laneOffset", 0) : ok ? kn_xml_need_number(xml, by_road, "t") : 0;
    if (!ok || xml->failed) return false;
    bool found = false;
    if (along >= 0 && along < 1e6 &&
        !walk_route(&osc->scenario->network, stops, count, along, &place, &found, xml->error))
        return xml->failed = true, false;
    if (!found) return kn_xml_fail(xml, in, "the route has no place %g m along it", along);
    p->kind = by_lane ? KN_POSITION_LANE : KN_POSITION_ROAD;
    p->road = place.road;
    p->s = place.s;
    p->lane = lane ? lane : place.lane;
    if (by_lane && !kn_section_lane(kn_road_section(&osc->scenario->network.roads[place.road], place.s), p->lane))
        return kn_xml_fail(xml, by_lane, "the route has no lane %d at %g m", p->lane, along);
    return true;
}
