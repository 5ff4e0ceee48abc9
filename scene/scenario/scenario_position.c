/* Positions that stand for themselves; scenario_route.c has those along routes. */
#include "scene/scenario/scenario.h"

#include <string.h>

void kn_osc_read_orientation(kn_osc *osc, xmlNode *node, kn_position *p) {
    kn_xml *xml = &osc->xml;
    xmlNode *orientation = kn_xml_child(node, "Orientation");
    if (!orientation) return;
    p->has_heading = true;
    p->heading_relative = kn_xml_choice(xml, orientation, "type", "absolute relative") == 1;
    p->heading = kn_xml_number(xml, orientation, "h", 0);
    p->pitch = kn_xml_number(xml, orientation, "p", 0);
    p->roll = kn_xml_number(xml, orientation, "r", 0);
}

static int read_road(kn_osc *osc, xmlNode *node) {
    const char *id = kn_xml_need_text(&osc->xml, node, "roadId");
    int road = kn_road_find(&osc->scenario->network, id);
    if (road < 0)
        kn_xml_fail(&osc->xml, node, "<%s> names road '%.60s', which the road network does not have",
                    (const char *)node->name, id);
    return road < 0 ? 0 : road;
}

/* A place beyond the end of its road is taken to be at the end. */
static void clamp_s(kn_xml *xml, const xmlNode *node, const kn_road *road, double *s) {
    if (!(*s > road->length)) return;
    if (*s > road->length + 1e-6)
        kn_report_add(xml->report, false, xml->file, kn_xml_line(node),
                      "s = %g m lies beyond the end of road '%s', which is %g m long: the end is taken", *s, road->id,
                      road->length);
    *s = road->length;
}

static void read_lane_position(kn_osc *osc, xmlNode *node, kn_position *p) {
    kn_xml *xml = &osc->xml;
    p->kind = KN_POSITION_LANE;
    p->road = read_road(osc, node);
    p->lane = kn_xml_integer(xml, node, "laneId", 0);
    p->s = kn_xml_need_number(xml, node, "s");
    p->t = kn_xml_number(xml, node, "offset", 0);
    if (xml->failed) return;
    const kn_road *road = &osc->scenario->network.roads[p->road];
    clamp_s(xml, node, road, &p->s);
    if (p->s < 0)
        kn_xml_fail(xml, node, "s = %g m lies outside road '%s', which is %g m long", p->s, road->id, road->length);
    else if (!kn_section_lane(kn_road_section(road, p->s), p->lane))
        kn_xml_fail(xml, node, "road '%s' has no lane %d at s = %g m", road->id, p->lane, p->s);
}

static void read_road_position(kn_osc *osc, xmlNode *node, kn_position *p) {
    p->kind = KN_POSITION_ROAD;
    p->road = read_road(osc, node);
    p->s = kn_xml_need_number(&osc->xml, node, "s");
    p->t = kn_xml_need_number(&osc->xml, node, "t");
    if (!osc->xml.failed) clamp_s(&osc->xml, node, &osc->scenario->network.roads[p->road], &p->s);
}

static void read_relative(kn_osc *osc, xmlNode *node, kn_position *p) {
    kn_xml *xml = &osc->xml;
    p->entity = kn_osc_entity(osc, node, "entityRef");
    if (p->entity < 0 && !xml->failed)
        kn_xml_fail(xml, node, "<%s> needs attribute 'entityRef'", (const char *)node->name);
    p->x = kn_xml_number(xml, node, "dx", 0);
    p->y = kn_xml_number(xml, node, "dy", 0);
    p->z = kn_xml_number(xml, node, "dz", 0);
    p->s = kn_xml_number(xml, node, "ds", 0);
    p->t = kn_xml_number(xml, node, "dt", 0);
    if (kn_xml_is(node, "RelativeLanePosition")) {
        p->lane = kn_xml_integer(xml, node, "dLane", 0);
        p->t = kn_xml_number(xml, node, "offset", 0);
        p->ds_lane = kn_xml_has(node, "dsLane");
        if (p->ds_lane) p->s = kn_xml_number(xml, node, "dsLane", 0);
    }
}

/* <GeoPosition>: radians up to 1.1, degrees in attributes of their own since. */
static bool read_geo(kn_osc *osc, xmlNode *node, kn_position *p) {
    kn_xml *xml = &osc->xml;
    const kn_geo *geo = &osc->scenario->network.geo;
    bool degrees = kn_xml_has(node, "latitudeDeg");
    double unit = degrees ? M_PI / 180 : 1;
    double latitude = kn_xml_need_number(xml, node, degrees ? "latitudeDeg" : "latitude") * unit;
    double longitude = kn_xml_need_number(xml, node, degrees ? "longitudeDeg" : "longitude") * unit;
    if (!xml->failed && !geo->known)
        return kn_xml_fail(
            xml, node,
            "<GeoPosition> needs a road network whose geoReference is a transverse Mercator or UTM projection");
    if (xml->failed ||
        !(fabs(latitude) < 1.57 && fabs(longitude) <= 2 * M_PI && fabs(longitude - geo->longitude) < 0.2))
        return xml->failed ? false
                           : kn_xml_fail(xml, node, "<GeoPosition> at %g, %g rad lies too far from the road network",
                                         latitude, longitude);
    p->kind = KN_POSITION_WORLD;
    kn_geo_project(geo, latitude, longitude, &p->x, &p->y);
    p->z = kn_xml_number(xml, node, kn_xml_has(node, "altitude") ? "altitude" : "height", 0);
    kn_osc_read_orientation(osc, node, p);
    return !xml->failed;
}

bool kn_osc_read_place(kn_osc *osc, xmlNode *node, kn_position *p) {
    static const struct {
        const char *name;
        kn_position_kind kind;
    } kinds[] = {{"WorldPosition", KN_POSITION_WORLD},
                 {"LanePosition", KN_POSITION_LANE},
                 {"RoadPosition", KN_POSITION_ROAD},
                 {"RelativeWorldPosition", KN_POSITION_RELATIVE_WORLD},
                 {"RelativeObjectPosition", KN_POSITION_RELATIVE_OBJECT},
                 {"RelativeLanePosition", KN_POSITION_RELATIVE_LANE},
                 {"RelativeRoadPosition", KN_POSITION_RELATIVE_ROAD}};
    kn_xml *xml = &osc->xml;
    if (kn_xml_is(node, "GeoPosition")) return read_geo(osc, node, p);
    size_t i = 0;
    while (i < KN_COUNT(kinds) && !kn_xml_is(node, kinds[i].name)) i++;
    if (i == KN_COUNT(kinds))
        return kn_xml_fail(xml, node, "<%s> is not a supported kind of position", (const char *)node->name);
    p->kind = kinds[i].kind;
    if (p->kind == KN_POSITION_WORLD) {
        p->x = kn_xml_need_number(xml, node, "x");
        p->y = kn_xml_need_number(xml, node, "y");
        p->z = kn_xml_number(xml, node, "z", 0);
        p->has_heading = kn_xml_has(node, "h");
        p->heading = kn_xml_number(xml, node, "h", 0);
    } else if (p->kind == KN_POSITION_LANE) {
        read_lane_position(osc, node, p);
    } else if (p->kind == KN_POSITION_ROAD) {
        read_road_position(osc, node, p);
    } else {
        read_relative(osc, node, p);
    }
    kn_osc_read_orientation(osc, node, p);
    if (fabs(p->x) > 1e8 || fabs(p->y) > 1e8 || fabs(p->s) > 1e8 || fabs(p->t) > 1e6)
        kn_xml_fail(xml, node, "position beyond 100000 km");
    return !xml->failed;
}
