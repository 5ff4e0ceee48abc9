/* Reads OpenDRIVE 1.4-1.8: roads, their geometry and links, junctions (ASAM OpenDRIVE 1.6, chapters 8 to 13). */
#include "scene/road/road_read.h"

#include <string.h>

enum { MAX_ROADS = 10000 };
static const double MAX_LENGTH = 1e6; /* metres of one road */

static void read_param_poly(kn_xml *xml, xmlNode *shape, kn_geometry *geometry) {
    static const char *const u[] = {"aU", "bU", "cU", "dU"}, *const v[] = {"aV", "bV", "cV", "dV"};
    geometry->kind = KN_GEOMETRY_PARAM_POLY3;
    for (int i = 0; i < 4; i++) {
        geometry->u[i] = kn_xml_need_number(xml, shape, u[i]);
        geometry->v[i] = kn_xml_need_number(xml, shape, v[i]);
    }
    geometry->normalized = kn_xml_choice(xml, shape, "pRange", "arcLength normalized") != 0;
}

static void read_geometry(kn_xml *xml, xmlNode *node, kn_geometry *geometry) {
    geometry->s = kn_xml_need_number(xml, node, "s");
    geometry->x = kn_xml_need_number(xml, node, "x");
    geometry->y = kn_xml_need_number(xml, node, "y");
    geometry->heading = kn_xml_need_number(xml, node, "hdg");
    geometry->length = kn_xml_need_number(xml, node, "length");
    if (!(geometry->length >= 0 && geometry->length <= MAX_LENGTH) || fabs(geometry->x) > 1e8 ||
        fabs(geometry->y) > 1e8)
        kn_xml_fail(xml, node, "<geometry> with length %g at %g, %g is out of range", geometry->length, geometry->x,
                    geometry->y);
    kn_xml_known(xml, node, "line arc spiral poly3 paramPoly3 userData");
    xmlNode *shape;
    if ((shape = kn_xml_child(node, "arc"))) {
        geometry->kind = KN_GEOMETRY_ARC;
        geometry->curvature_start = geometry->curvature_end = kn_xml_need_number(xml, shape, "curvature");
    } else if ((shape = kn_xml_child(node, "spiral"))) {
        geometry->kind = KN_GEOMETRY_SPIRAL;
        geometry->curvature_start = kn_xml_need_number(xml, shape, "curvStart");
        geometry->curvature_end = kn_xml_need_number(xml, shape, "curvEnd");
    } else if ((shape = kn_xml_child(node, "poly3"))) {
        static const char *const names[] = {"a", "b", "c", "d"};
        geometry->kind = KN_GEOMETRY_POLY3;
        for (int i = 0; i < 4; i++) geometry->v[i] = kn_xml_need_number(xml, shape, names[i]);
    } else if ((shape = kn_xml_child(node, "paramPoly3"))) {
        read_param_poly(xml, shape, geometry);
    } else if (!kn_xml_child(node, "line")) {
        kn_xml_fail(xml, node, "<geometry> has no line, arc, spiral, poly3 or paramPoly3");
    }
    if (fabs(geometry->curvature_start) > 100 || fabs(geometry->curvature_end) > 100)
        kn_xml_fail(xml, node, "curvature beyond 100 1/m");
}

static bool read_plan_view(kn_xml *xml, xmlNode *node, kn_road *road) {
    xmlNode *plan = kn_xml_require(xml, node, "planView");
    road->geometries = kn_xml_alloc(xml, kn_xml_count(plan, "geometry"), sizeof *road->geometries);
    if (!road->geometries || !plan) return false;
    kn_xml_known(xml, plan, "geometry userData");
    for (xmlNode *child = kn_xml_child(plan, "geometry"); child && !xml->failed;
         child = kn_xml_next(child, "geometry")) {
        kn_geometry *geometry = &road->geometries[road->geometry_count++];
        read_geometry(xml, child, geometry);
        if (road->geometry_count > 1 && geometry->s < geometry[-1].s)
            kn_xml_fail(xml, child, "<geometry> records are not sorted by 's'");
    }
    if (!road->geometry_count) kn_xml_fail(xml, plan, "<planView> has no <geometry>");
    return !xml->failed;
}

static double speed_unit(kn_xml *xml, xmlNode *speed) {
    int unit = kn_xml_choice(xml, speed, "unit", "m/s mph km/h");
    return unit == 1 ? 0.44704 : unit == 2 ? 1 / 3.6 : 1;
}

static void read_types(kn_xml *xml, xmlNode *node, kn_road *road) {
    for (xmlNode *type = kn_xml_child(node, "type"); type; type = kn_xml_next(type, "type")) {
        const char *name = kn_xml_text(xml, type, "type");
        road->town |= name && (!strcmp(name, "town") || !strncmp(name, "town", 4) || !strcmp(name, "lowSpeed") ||
                               !strcmp(name, "pedestrian"));
        xmlNode *speed = kn_xml_child(type, "speed");
        const char *max = speed ? kn_xml_text(xml, speed, "max") : NULL;
        if (max && strcmp(max, "no limit") && strcmp(max, "undefined") && !road->speed_limit)
            road->speed_limit = kn_xml_number(xml, speed, "max", 0) * speed_unit(xml, speed);
    }
}

static bool read_crossfalls(kn_xml *xml, xmlNode *lateral, kn_road *road) {
    kn_poly3 *angles;
    size_t count, i = 0;
    if (!kn_road_read_cubics(xml, lateral, "crossfall", "s", &angles, &count)) return false;
    road->crossfalls = kn_xml_alloc(xml, count, sizeof *road->crossfalls);
    for (xmlNode *n = kn_xml_child(lateral, "crossfall"); n && !xml->failed; n = kn_xml_next(n, "crossfall"), i++) {
        int side = kn_xml_choice(xml, n, "side", "both left right");
        road->crossfalls[i] = (kn_crossfall){angles[i], side == 1 ? 1 : side == 2 ? -1 : 0};
    }
    road->crossfall_count = i;
    return !xml->failed;
}

static bool read_shapes(kn_xml *xml, xmlNode *lateral, kn_road *road) {
    road->shapes = kn_xml_alloc(xml, kn_xml_count(lateral, "shape"), sizeof *road->shapes);
    for (xmlNode *n = kn_xml_child(lateral, "shape"); n && !xml->failed; n = kn_xml_next(n, "shape")) {
        kn_lateral_shape *shape = &road->shapes[road->shape_count++];
        *shape = (kn_lateral_shape){kn_xml_need_number(xml, n, "s"), kn_xml_need_number(xml, n, "t"),
                                    kn_xml_number(xml, n, "a", 0),   kn_xml_number(xml, n, "b", 0),
                                    kn_xml_number(xml, n, "c", 0),   kn_xml_number(xml, n, "d", 0)};
        bool sorted =
            road->shape_count < 2 || shape[-1].s < shape->s || (shape[-1].s == shape->s && shape[-1].t <= shape->t);
        if (!sorted) return kn_xml_fail(xml, n, "<shape> records are not sorted by 's' and 't'");
        if (fabs(shape->a) > 1e3 || fabs(shape->b) > 1e3 || fabs(shape->c) > 1e3 || fabs(shape->d) > 1e3)
            return kn_xml_fail(xml, n, "<shape> has a coefficient beyond 1000");
    }
    return !xml->failed;
}

static bool read_road(kn_xml *xml, xmlNode *node, kn_road *road) {
    kn_xml_known(xml, node,
                 "link type planView elevationProfile lateralProfile lanes objects signals surface userData");
    if (kn_xml_child(node, "surface") && kn_xml_child(kn_xml_child(node, "surface"), NULL))
        kn_xml_unsupported(xml, kn_xml_child(node, "surface"), "surface files (CRG) are not read");
    kn_xml_copy(xml, node, "id", road->id, sizeof road->id);
    kn_xml_copy(xml, node, "name", road->name, sizeof road->name);
    road->line = kn_xml_line(node);
    road->junction = -1;
    road->length = kn_xml_need_number(xml, node, "length");
    if (!(road->length >= 0 && road->length <= MAX_LENGTH))
        kn_xml_fail(xml, node, "road '%s' is %g m long, expected 0 to %g", road->id, road->length, MAX_LENGTH);
    road->left_hand_traffic = kn_xml_choice(xml, node, "rule", "RHT LHT") == 1;
    read_types(xml, node, road);
    if (!read_plan_view(xml, node, road)) return false;
    xmlNode *elevation = kn_xml_child(node, "elevationProfile"), *lateral = kn_xml_child(node, "lateralProfile");
    xmlNode *lanes = kn_xml_require(xml, node, "lanes");
    if (elevation) kn_xml_known(xml, elevation, "elevation userData");
    if (lateral) kn_xml_known(xml, lateral, "superelevation crossfall shape userData");
    return kn_road_read_cubics(xml, elevation, "elevation", "s", &road->elevations, &road->elevation_count) &&
           kn_road_read_cubics(xml, lateral, "superelevation", "s", &road->superelevations,
                               &road->superelevation_count) &&
           kn_road_read_cubics(xml, lanes, "laneOffset", "s", &road->lane_offsets, &road->lane_offset_count) &&
           read_crossfalls(xml, lateral, road) && read_shapes(xml, lateral, road) &&
           kn_road_read_lanes(xml, lanes, road) && kn_road_read_objects(xml, node, road);
}

static int find_junction(const kn_road_network *network, const char *id) {
    for (size_t i = 0; i < network->junction_count; i++)
        if (!strcmp(network->junctions[i].id, id)) return (int)i;
    return -1;
}

static void read_link(kn_xml *xml, xmlNode *node, const kn_road_network *network, kn_road_link *link) {
    link->kind = KN_LINK_NONE;
    link->index = -1;
    if (!node) return;
    const char *id = kn_xml_need_text(xml, node, "elementId");
    int kind = kn_xml_choice(xml, node, "elementType", "road junction");
    link->at_end = kn_xml_choice(xml, node, "contactPoint", "start end") == 1;
    link->kind = kind == 1 ? KN_LINK_JUNCTION : KN_LINK_ROAD;
    link->index = kind == 1 ? find_junction(network, id) : kn_road_find(network, id);
    if (link->index < 0) {
        kn_report_add(xml->report, true, xml->file, kn_xml_line(node),
                      "the road is linked to %s '%s', which does not exist", kind == 1 ? "junction" : "road", id);
        link->kind = KN_LINK_NONE;
    }
}

static void read_road_links(kn_xml *xml, xmlNode *node, kn_road_network *network, kn_road *road) {
    xmlNode *link = kn_xml_child(node, "link");
    if (link) kn_xml_known(xml, link, "predecessor successor userData");
    read_link(xml, kn_xml_child(link, "predecessor"), network, &road->predecessor);
    read_link(xml, kn_xml_child(link, "successor"), network, &road->successor);
    const char *junction = kn_xml_text(xml, node, "junction");
    if (junction && strcmp(junction, "-1") && *junction) {
        road->junction = find_junction(network, junction);
        if (road->junction < 0)
            kn_report_add(xml->report, true, xml->file, road->line,
                          "road '%s' belongs to junction '%s', which does not exist", road->id, junction);
    }
}

static bool read_connection(kn_xml *xml, xmlNode *node, const kn_road_network *network, kn_connection *connection) {
    kn_xml_known(xml, node, "laneLink userData");
    const char *incoming = kn_xml_text(xml, node, "incomingRoad"),
               *connecting = kn_xml_text(xml, node, "connectingRoad");
    if (!connecting) connecting = kn_xml_text(xml, node, "linkedRoad"); /* of a direct junction */
    connection->incoming_road = incoming ? kn_road_find(network, incoming) : -1;
    connection->connecting_road = connecting ? kn_road_find(network, connecting) : -1;
    if (connection->incoming_road < 0 || connection->connecting_road < 0)
        kn_report_add(xml->report, true, xml->file, kn_xml_line(node),
                      "<connection> from road '%s' over road '%s': no such road", incoming ? incoming : "",
                      connecting ? connecting : "");
    connection->contact_at_end = kn_xml_choice(xml, node, "contactPoint", "start end") == 1;
    connection->links = kn_xml_alloc(xml, kn_xml_count(node, "laneLink"), sizeof *connection->links);
    if (!connection->links) return false;
    for (xmlNode *link = kn_xml_child(node, "laneLink"); link; link = kn_xml_next(link, "laneLink"))
        connection->links[connection->link_count++] =
            (kn_lane_link){kn_xml_integer(xml, link, "from", 0), kn_xml_integer(xml, link, "to", 0)};
    return !xml->failed;
}

static bool read_controller(kn_xml *xml, xmlNode *node, kn_controller *controller) {
    kn_xml_known(xml, node, "control userData");
    kn_xml_copy(xml, node, "id", controller->id, sizeof controller->id);
    controller->junction = -1;
    controller->signals = kn_xml_alloc(xml, kn_xml_count(node, "control"), sizeof *controller->signals);
    for (xmlNode *c = controller->signals ? kn_xml_child(node, "control") : NULL; c && !xml->failed;
         c = kn_xml_next(c, "control")) {
        const char *id = kn_xml_need_text(xml, c, "signalId");
        controller->signals[controller->signal_count++] = id ? id : "";
    }
    return !xml->failed;
}

static void join_controllers(kn_xml *xml, xmlNode *node, kn_road_network *network, int junction) {
    for (xmlNode *c = kn_xml_child(node, "controller"); c && !xml->failed; c = kn_xml_next(c, "controller")) {
        const char *id = kn_xml_text(xml, c, "id");
        size_t k = 0;
        while (id && k < network->controller_count && strcmp(network->controllers[k].id, id)) k++;
        if (!id || k == network->controller_count) {
            kn_report_add(xml->report, true, xml->file, kn_xml_line(c),
                          "the junction has controller '%s', which does not exist", id ? id : "");
            continue;
        }
        network->controllers[k].junction = junction;
        network->controllers[k].sequence = kn_xml_integer(xml, c, "sequence", 0);
    }
}

static bool read_controllers(kn_xml *xml, xmlNode *root, kn_road_network *network) {
    size_t count = kn_xml_count(root, "controller");
    if (count > MAX_ROADS) return kn_xml_fail(xml, root, "%zu controllers, expected at most %d", count, MAX_ROADS);
    network->controllers = kn_xml_alloc(xml, count, sizeof *network->controllers);
    for (xmlNode *node = network->controllers ? kn_xml_child(root, "controller") : NULL; node;
         node = kn_xml_next(node, "controller"))
        if (!read_controller(xml, node, &network->controllers[network->controller_count++])) return false;
    int index = 0;
    for (xmlNode *node = kn_xml_child(root, "junction"); node && !xml->failed; node = kn_xml_next(node, "junction"))
        join_controllers(xml, node, network, index++);
    return !xml->failed;
}

static bool read_junction(kn_xml *xml, xmlNode *node, const kn_road_network *network, kn_junction *junction) {
    kn_xml_known(xml, node, "connection controller priority surface userData");
    junction->connections = kn_xml_alloc(xml, kn_xml_count(node, "connection"), sizeof *junction->connections);
    if (!junction->connections) return false;
    for (xmlNode *child = kn_xml_child(node, "connection"); child; child = kn_xml_next(child, "connection"))
        if (!read_connection(xml, child, network, &junction->connections[junction->connection_count++])) return false;
    return true;
}

static void read_header(kn_xml *xml, xmlNode *header, kn_road_network *network) {
    xmlNode *reference = kn_xml_child(header, "geoReference"), *offset = kn_xml_child(header, "offset");
    xmlChar *text = reference ? xmlNodeGetContent(reference) : NULL;
    if (text) kn_geo_parse(&network->geo, (const char *)text);
    xmlFree(text);
    network->geo.offset_x = kn_xml_number(xml, offset, "x", 0);
    network->geo.offset_y = kn_xml_number(xml, offset, "y", 0);
    network->geo.offset_heading = kn_xml_number(xml, offset, "hdg", 0);
}

static bool read_network(kn_xml *xml, xmlNode *root, kn_road_network *network) {
    size_t road_count = kn_xml_count(root, "road"), junction_count = kn_xml_count(root, "junction");
    if (!road_count || road_count > MAX_ROADS || junction_count > MAX_ROADS)
        return kn_xml_fail(xml, root, "%zu roads and %zu junctions, expected 1 to %d roads", road_count, junction_count,
                           MAX_ROADS);
    read_header(xml, kn_xml_child(root, "header"), network);
    kn_xml_known(xml, root, "header road junction controller junctionGroup station userData");
    network->roads = kn_xml_alloc(xml, road_count, sizeof *network->roads);
    network->junctions = kn_xml_alloc(xml, junction_count, sizeof *network->junctions);
    if (xml->failed) return false;
    for (xmlNode *node = kn_xml_child(root, "junction"); node; node = kn_xml_next(node, "junction")) {
        kn_junction *junction = &network->junctions[network->junction_count++];
        kn_xml_copy(xml, node, "id", junction->id, sizeof junction->id);
        kn_xml_copy(xml, node, "name", junction->name, sizeof junction->name);
    }
    for (xmlNode *node = kn_xml_child(root, "road"); node; node = kn_xml_next(node, "road"))
        if (!read_road(xml, node, &network->roads[network->road_count++])) return false;
    size_t index = 0;
    for (xmlNode *node = kn_xml_child(root, "road"); node && !xml->failed; node = kn_xml_next(node, "road"))
        read_road_links(xml, node, network, &network->roads[index++]);
    index = 0;
    for (xmlNode *node = kn_xml_child(root, "junction"); node; node = kn_xml_next(node, "junction"))
        if (!read_junction(xml, node, network, &network->junctions[index++])) return false;
    return !xml->failed && read_controllers(xml, root, network);
}

static bool network_from_document(kn_road_network *network, const char *path, xmlDoc *doc, kn_report *report,
                                  kn_error *error) {
    *network = (kn_road_network){0};
    kn_xml xml = {.file = path, .arena = &network->arena, .report = report, .error = error};
    bool ok = read_network(&xml, xmlDocGetRootElement(doc), network);
    xmlFreeDoc(doc);
    if (ok) kn_road_network_complete(network);
    else kn_road_network_finish(network);
    return ok;
}

bool kn_road_network_read(kn_road_network *network, const char *path, struct kn_report *report, kn_error *error) {
    xmlDoc *doc;
    *network = (kn_road_network){0};
    return kn_xml_parse(path, "OpenDRIVE", &doc, report, error) &&
           network_from_document(network, path, doc, report, error);
}

bool kn_road_network_parse(kn_road_network *network, const char *path, const void *data, size_t size, kn_report *report,
                           kn_error *error) {
    xmlDoc *doc;
    *network = (kn_road_network){0};
    return kn_xml_parse_memory(path, data, size, "OpenDRIVE", &doc, error) &&
           network_from_document(network, path, doc, report, error);
}

void kn_road_network_finish(kn_road_network *network) {
    kn_arena_finish(&network->arena);
    *network = (kn_road_network){0};
}
