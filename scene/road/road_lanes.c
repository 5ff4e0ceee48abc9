/* Reads <lanes>, <objects> and <signals> of OpenDRIVE roads. */
#include "scene/road/road_read.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LANE_ID = 100 };

static kn_lane_type lane_type(kn_xml *xml, xmlNode *node) {
    static const struct {
        const char *name;
        kn_lane_type type;
    } types[] = {
        {"none", KN_LANE_NONE},           {"driving", KN_LANE_DRIVING},       {"stop", KN_LANE_STOP},
        {"shoulder", KN_LANE_SHOULDER},   {"biking", KN_LANE_BIKING},         {"sidewalk", KN_LANE_SIDEWALK},
        {"walking", KN_LANE_SIDEWALK},    {"border", KN_LANE_BORDER},         {"restricted", KN_LANE_RESTRICTED},
        {"parking", KN_LANE_PARKING},     {"median", KN_LANE_MEDIAN},         {"curb", KN_LANE_CURB},
        {"exit", KN_LANE_EXIT},           {"offRamp", KN_LANE_EXIT},          {"mwyExit", KN_LANE_EXIT},
        {"entry", KN_LANE_ENTRY},         {"onRamp", KN_LANE_ENTRY},          {"mwyEntry", KN_LANE_ENTRY},
        {"connectingRamp", KN_LANE_RAMP}, {"slipLane", KN_LANE_RAMP},         {"rail", KN_LANE_RAIL},
        {"tram", KN_LANE_RAIL},           {"bidirectional", KN_LANE_DRIVING}, {"bus", KN_LANE_DRIVING},
        {"taxi", KN_LANE_DRIVING},        {"HOV", KN_LANE_DRIVING},           {"roadWorks", KN_LANE_OTHER},
        {"special1", KN_LANE_OTHER},      {"special2", KN_LANE_OTHER},        {"special3", KN_LANE_OTHER}};
    const char *text = kn_xml_text(xml, node, "type");
    for (size_t i = 0; text && i < KN_COUNT(types); i++)
        if (!strcmp(text, types[i].name)) return types[i].type;
    if (text && strcmp(text, "shared"))
        kn_report_add(xml->report, false, xml->file, kn_xml_line(node),
                      "lane type '%.60s' is not known; nobody drives there", text);
    return KN_LANE_OTHER;
}

static kn_mark_type mark_type(kn_xml *xml, xmlNode *node) {
    static const char *const names[] = {"none",         "solid",         "broken",     "solid solid", "solid broken",
                                        "broken solid", "broken broken", "botts dots", "curb",        "grass"};
    const char *text = kn_xml_text(xml, node, "type");
    for (size_t i = 0; text && i < KN_COUNT(names); i++)
        if (!strcmp(text, names[i])) return (kn_mark_type)i;
    kn_report_add(xml->report, false, xml->file, kn_xml_line(node),
                  "road mark type '%.60s' is not known and is not drawn", text ? text : "");
    return KN_MARK_OTHER;
}

static void read_mark(kn_xml *xml, xmlNode *node, kn_road_mark *mark) {
    static const kn_mark_color colors[] = {KN_MARK_WHITE, KN_MARK_WHITE,  KN_MARK_YELLOW, KN_MARK_BLUE, KN_MARK_GREEN,
                                           KN_MARK_RED,   KN_MARK_ORANGE, KN_MARK_WHITE,  KN_MARK_WHITE};
    kn_xml_known(xml, node, "type userData sway");
    mark->s_offset = kn_xml_number(xml, node, "sOffset", 0);
    mark->type = mark_type(xml, node);
    int color = kn_xml_choice(xml, node, "color", "standard white yellow blue green red orange violet black");
    mark->color = color < 0 ? KN_MARK_WHITE : colors[color];
    bool bold = kn_xml_choice(xml, node, "weight", "standard bold") == 1;
    mark->width = kn_xml_number(xml, node, "width", 0);
    xmlNode *line = kn_xml_child(kn_xml_child(node, "type"), "line");
    if (line) {
        mark->dash_length = kn_xml_number(xml, line, "length", 0);
        mark->dash_gap = kn_xml_number(xml, line, "space", 0);
        if (mark->width <= 0) mark->width = kn_xml_number(xml, line, "width", 0);
    }
    if (!(mark->width > 0 && mark->width <= 2)) mark->width = bold ? 0.25 : 0.12;
    if (!(mark->dash_length > 0.05 && mark->dash_length < 1000) || !(mark->dash_gap >= 0 && mark->dash_gap < 1000))
        mark->dash_length = mark->dash_gap = 0; /* completed per road */
}

static void read_lane_speed(kn_xml *xml, xmlNode *node, kn_lane *lane) {
    xmlNode *speed = kn_xml_child(node, "speed");
    const char *max = speed ? kn_xml_text(xml, speed, "max") : NULL;
    if (!max || !strcmp(max, "no limit") || !strcmp(max, "undefined")) return;
    int unit = kn_xml_choice(xml, speed, "unit", "m/s mph km/h");
    lane->speed_limit = kn_xml_number(xml, speed, "max", 0) * (unit == 1 ? 0.44704 : unit == 2 ? 1 / 3.6 : 1);
}

static bool read_lane(kn_xml *xml, xmlNode *node, kn_lane *lane) {
    kn_xml_known(xml, node, "link width border roadMark speed height material access rule userData");
    lane->id = kn_xml_integer(xml, node, "id", 0);
    lane->type = lane_type(xml, node);
    lane->level = kn_xml_bool(xml, node, "level", false);
    xmlNode *link = kn_xml_child(node, "link");
    xmlNode *predecessor = kn_xml_child(link, "predecessor"), *successor = kn_xml_child(link, "successor");
    lane->predecessor = predecessor ? kn_xml_integer(xml, predecessor, "id", KN_NO_LANE) : KN_NO_LANE;
    lane->successor = successor ? kn_xml_integer(xml, successor, "id", KN_NO_LANE) : KN_NO_LANE;
    if (abs(lane->id) > MAX_LANE_ID)
        return kn_xml_fail(xml, node, "lane id %d, expected -%d to %d", lane->id, MAX_LANE_ID, MAX_LANE_ID);
    if (!kn_road_read_cubics(xml, node, "width", "sOffset", &lane->widths, &lane->width_count) ||
        !kn_road_read_cubics(xml, node, "border", "sOffset", &lane->borders, &lane->border_count))
        return false;
    if (lane->id && !lane->width_count && !lane->border_count)
        kn_report_add(xml->report, false, xml->file, kn_xml_line(node),
                      "lane %d has neither <width> nor <border>: it is no wider than a line", lane->id);
    lane->marks = kn_xml_alloc(xml, kn_xml_count(node, "roadMark"), sizeof *lane->marks);
    if (!lane->marks) return false;
    for (xmlNode *mark = kn_xml_child(node, "roadMark"); mark; mark = kn_xml_next(mark, "roadMark"))
        read_mark(xml, mark, &lane->marks[lane->mark_count++]);
    read_lane_speed(xml, node, lane);
    xmlNode *height = kn_xml_child(node, "height");
    lane->height_inner = height ? kn_xml_number(xml, height, "inner", 0) : NAN; /* NAN: completed by type */
    lane->height_outer = height ? kn_xml_number(xml, height, "outer", 0) : NAN;
    return !xml->failed;
}

static int by_descending_id(const void *a, const void *b) {
    return ((const kn_lane *)b)->id - ((const kn_lane *)a)->id;
}

static bool read_section(kn_xml *xml, xmlNode *node, kn_lane_section *section) {
    static const char *const sides[] = {"left", "center", "right"};
    kn_xml_known(xml, node, "left center right userData");
    section->s = kn_xml_need_number(xml, node, "s");
    section->single_side = kn_xml_bool(xml, node, "singleSide", false);
    size_t count = 1;
    for (int side = 0; side < 3; side++) count += kn_xml_count(kn_xml_child(node, sides[side]), "lane");
    section->lanes = kn_xml_alloc(xml, count, sizeof *section->lanes);
    if (!section->lanes) return false;
    bool has_center = false;
    for (int side = 0; side < 3; side++) {
        xmlNode *group = kn_xml_child(node, sides[side]);
        for (xmlNode *child = kn_xml_child(group, "lane"); child; child = kn_xml_next(child, "lane")) {
            kn_lane *lane = &section->lanes[section->lane_count++];
            if (!read_lane(xml, child, lane)) return false;
            has_center |= lane->id == 0;
            if ((lane->id > 0) - (lane->id < 0) != 1 - side)
                return kn_xml_fail(xml, child, "lane %d stands in <%s>", lane->id, sides[side]);
        }
    }
    if (!has_center)
        section->lanes[section->lane_count++] = (kn_lane){.predecessor = KN_NO_LANE, .successor = KN_NO_LANE};
    qsort(section->lanes, section->lane_count, sizeof *section->lanes, by_descending_id);
    for (size_t i = 1; i < section->lane_count; i++)
        if (section->lanes[i].id == section->lanes[i - 1].id)
            return kn_xml_fail(xml, node, "<laneSection> has lane %d twice", section->lanes[i].id);
    return true;
}

bool kn_road_read_lanes(kn_xml *xml, xmlNode *lanes, kn_road *road) {
    kn_xml_known(xml, lanes, "laneOffset laneSection userData");
    road->sections = kn_xml_alloc(xml, kn_xml_count(lanes, "laneSection"), sizeof *road->sections);
    if (!road->sections) return false;
    for (xmlNode *node = kn_xml_child(lanes, "laneSection"); node; node = kn_xml_next(node, "laneSection")) {
        kn_lane_section *section = &road->sections[road->section_count++];
        if (!read_section(xml, node, section)) return false;
        if (road->section_count > 1 && section->s < section[-1].s)
            return kn_xml_fail(xml, node, "<laneSection> records are not sorted by 's'");
    }
    if (!road->section_count) return kn_xml_fail(xml, lanes, "<lanes> has no <laneSection>");
    return kn_road_continue_sides(xml, road);
}

static bool read_outline(kn_xml *xml, xmlNode *outline, kn_road_object *out) {
    const char *kind = kn_xml_child(outline, "cornerLocal") ? "cornerLocal" : "cornerRoad";
    size_t count = kn_xml_count(outline, kind);
    out->outline = kn_xml_alloc(xml, count, sizeof *out->outline);
    out->outline_height = kn_xml_alloc(xml, count, sizeof *out->outline_height);
    if (xml->failed || count < 3) return !xml->failed;
    for (xmlNode *corner = kn_xml_child(outline, kind); corner; corner = kn_xml_next(corner, kind)) {
        double *point = out->outline[out->outline_count];
        bool local = kind[6] == 'L';
        double a = kn_xml_need_number(xml, corner, local ? "u" : "s"),
               b = kn_xml_need_number(xml, corner, local ? "v" : "t");
        /* Road corners are turned into the object's axes as if the road were straight between them and the object. */
        double c = cos(out->heading), s = sin(out->heading), ds = a - out->s, dt = b - out->t;
        point[0] = local ? a : c * ds + s * dt;
        point[1] = local ? b : -s * ds + c * dt;
        point[2] = kn_xml_number(xml, corner, local ? "z" : "dz", 0);
        out->outline_height[out->outline_count++] = kn_xml_number(xml, corner, "height", 0);
    }
    out->shape = KN_OBJECT_OUTLINE;
    return !xml->failed;
}

static void read_object(kn_xml *xml, xmlNode *node, bool is_signal, kn_road_object *out) {
    if (is_signal) kn_xml_known(xml, node, "validity dependency reference positionInertial positionRoad userData");
    else
        kn_xml_known(xml, node,
                     "outline outlines repeat validity material markings borders parkingSpace surface userData");
    out->is_signal = is_signal;
    kn_xml_copy(xml, node, "id", out->id, sizeof out->id);
    kn_xml_copy(xml, node, "type", out->type, sizeof out->type);
    kn_xml_copy(xml, node, "subtype", out->subtype, sizeof out->subtype);
    kn_xml_copy(xml, node, "name", out->name, sizeof out->name);
    const char *dynamic = kn_xml_text(xml, node, "dynamic"), *orientation = kn_xml_text(xml, node, "orientation");
    out->dynamic = dynamic && !strcmp(dynamic, "yes");
    out->orientation = !orientation ? 0 : *orientation == '+' ? 1 : *orientation == '-' ? -1 : 0;
    out->s = kn_xml_need_number(xml, node, "s");
    out->t = kn_xml_need_number(xml, node, "t");
    out->z_offset = kn_xml_number(xml, node, "zOffset", 0);
    out->heading = kn_xml_number(xml, node, is_signal ? "hOffset" : "hdg", 0);
    out->pitch = kn_xml_number(xml, node, "pitch", 0);
    out->roll = kn_xml_number(xml, node, "roll", 0);
    out->length = kn_xml_number(xml, node, "length", 0);
    out->width = kn_xml_number(xml, node, "width", 0);
    out->height = kn_xml_number(xml, node, "height", 0);
    out->radius = kn_xml_number(xml, node, "radius", 0);
    out->value = is_signal ? kn_xml_number(xml, node, "value", 0) : 0;
    out->shape = out->radius > 0 ? KN_OBJECT_CYLINDER : KN_OBJECT_BOX;
    xmlNode *repeat = kn_xml_child(node, "repeat");
    if (repeat) {
        out->repeat_length = kn_xml_number(xml, repeat, "length", 0);
        out->repeat_distance = kn_xml_number(xml, repeat, "distance", 0);
        out->s = kn_xml_number(xml, repeat, "s", out->s);
        out->t = kn_xml_number(xml, repeat, "tStart", out->t);
        out->height = kn_xml_number(xml, repeat, "heightStart", out->height);
        out->z_offset = kn_xml_number(xml, repeat, "zOffsetStart", out->z_offset);
        if (kn_xml_next(repeat, "repeat"))
            kn_xml_unsupported(xml, kn_xml_next(repeat, "repeat"), "only an object's first repetition is used");
    }
}

static xmlNode *first_outline(const xmlNode *object) {
    xmlNode *outlines = kn_xml_child(object, "outlines");
    return kn_xml_child(outlines ? outlines : object, "outline");
}

/* Objects and their further outlines, which become objects of their own. */
static size_t count_objects(const xmlNode *objects) {
    size_t count = 0;
    for (xmlNode *node = kn_xml_child(objects, "object"); node; node = kn_xml_next(node, "object")) {
        count++;
        xmlNode *outline = first_outline(node);
        for (outline = outline ? kn_xml_next(outline, "outline") : NULL; outline;
             outline = kn_xml_next(outline, "outline"))
            count++;
    }
    return count;
}

static bool read_outlines(kn_xml *xml, xmlNode *node, kn_road_object *object, kn_road *road) {
    const kn_road_object plain = *object;
    xmlNode *outline = first_outline(node);
    if (outline && !read_outline(xml, outline, object)) return false;
    for (outline = outline ? kn_xml_next(outline, "outline") : NULL; outline;
         outline = kn_xml_next(outline, "outline")) {
        kn_road_object *more = &road->objects[road->object_count++];
        *more = plain;
        more->more = true;
        if (!read_outline(xml, outline, more)) return false;
    }
    return true;
}

static bool read_spans(kn_xml *xml, xmlNode *objects, kn_road *road) {
    static const char *const names[] = {"tunnel", "bridge"};
    road->spans =
        kn_xml_alloc(xml, kn_xml_count(objects, names[0]) + kn_xml_count(objects, names[1]), sizeof *road->spans);
    for (int k = 0; k < 2 && road->spans; k++)
        for (xmlNode *node = kn_xml_child(objects, names[k]); node && !xml->failed;
             node = kn_xml_next(node, names[k])) {
            kn_road_span *span = &road->spans[road->span_count++];
            *span = (kn_road_span){.tunnel = k == 0,
                                   .s = kn_xml_need_number(xml, node, "s"),
                                   .length = kn_xml_need_number(xml, node, "length"),
                                   .lighting = kn_xml_number(xml, node, "lighting", 0.5)};
            kn_xml_copy(xml, node, "type", span->type, sizeof span->type);
            if (!(span->s >= 0 && span->s <= 1e6 && span->length >= 0 && span->length <= 1e6))
                return kn_xml_fail(xml, node, "<%s> of %g m at s = %g m is out of range", names[k], span->length,
                                   span->s);
        }
    return !xml->failed;
}

bool kn_road_read_objects(kn_xml *xml, xmlNode *road_node, kn_road *road) {
    xmlNode *objects = kn_xml_child(road_node, "objects"), *signals = kn_xml_child(road_node, "signals");
    if (objects) kn_xml_known(xml, objects, "object tunnel bridge userData");
    if (signals) kn_xml_known(xml, signals, "signal signalReference userData");
    size_t signal_count = kn_xml_count(signals, "signal") + kn_xml_count(signals, "signalReference");
    road->objects = kn_xml_alloc(xml, count_objects(objects) + signal_count, sizeof *road->objects);
    if (!road->objects || !read_spans(xml, objects, road)) return false;
    for (xmlNode *node = kn_xml_child(objects, "object"); node; node = kn_xml_next(node, "object")) {
        kn_road_object *object = &road->objects[road->object_count++];
        read_object(xml, node, false, object);
        if (xml->failed || !read_outlines(xml, node, object, road)) return false;
    }
    for (xmlNode *node = kn_xml_child(signals, "signal"); node; node = kn_xml_next(node, "signal"))
        read_object(xml, node, true, &road->objects[road->object_count++]);
    for (xmlNode *node = kn_xml_child(signals, "signalReference"); node; node = kn_xml_next(node, "signalReference")) {
        kn_road_object *object = &road->objects[road->object_count++];
        read_object(xml, node, true, object);
        object->reference = true;
    }
    return !xml->failed;
}

static bool compare_s(const kn_poly3 *records, size_t count) {
    for (size_t i = 1; i < count; i++)
        if (records[i].s < records[i - 1].s) return false;
    return true;
}

bool kn_road_read_cubics(kn_xml *xml, xmlNode *node, const char *name, const char *s_name, kn_poly3 **records,
                         size_t *count) {
    size_t n = kn_xml_count(node, name);
    *count = 0;
    *records = kn_xml_alloc(xml, n, sizeof **records);
    if (!*records) return false;
    for (xmlNode *child = kn_xml_child(node, name); child; child = kn_xml_next(child, name)) {
        kn_poly3 *record = &(*records)[(*count)++];
        record->s = kn_xml_need_number(xml, child, s_name);
        record->a = kn_xml_number(xml, child, "a", 0);
        record->b = kn_xml_number(xml, child, "b", 0);
        record->c = kn_xml_number(xml, child, "c", 0);
        record->d = kn_xml_number(xml, child, "d", 0);
        if (fabs(record->a) > 1e6 || fabs(record->b) > 1e6 || fabs(record->c) > 1e6 || fabs(record->d) > 1e6)
            kn_xml_fail(xml, child, "<%s> has a coefficient beyond 1e6", name);
    }
    if (!xml->failed && !compare_s(*records, *count))
        kn_xml_fail(xml, kn_xml_child(node, name), "<%s> records are not sorted by '%s'", name, s_name);
    return !xml->failed;
}
