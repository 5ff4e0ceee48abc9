/* Lane sections of a single side (OpenDRIVE: <laneSection singleSide="true">): the other side goes on as it was. */
#include "scene/road/road_read.h"

#include <stdlib.h>

/* The cubics seen from `ahead` metres further on. */
static kn_poly3 *shift_cubics(kn_xml *xml, const kn_poly3 *records, size_t count, double ahead) {
    kn_poly3 *out = kn_xml_alloc(xml, count, sizeof *out);
    for (size_t i = 0; out && i < count; i++) {
        const kn_poly3 *r = &records[i];
        double d = ahead - r->s;
        out[i] = *r;
        out[i].s = r->s - ahead;
        if (d <= 0) continue;
        out[i] = (kn_poly3){.s = 0,
                            .a = r->a + d * (r->b + d * (r->c + d * r->d)),
                            .b = r->b + d * (2 * r->c + d * 3 * r->d),
                            .c = r->c + 3 * r->d * d,
                            .d = r->d};
    }
    return out;
}

static bool shift_lane(kn_xml *xml, kn_lane *lane, double ahead) {
    kn_road_mark *marks = kn_xml_alloc(xml, lane->mark_count, sizeof *marks);
    lane->widths = shift_cubics(xml, lane->widths, lane->width_count, ahead);
    lane->borders = shift_cubics(xml, lane->borders, lane->border_count, ahead);
    if (xml->failed) return false;
    size_t count = 0;
    for (size_t i = 0; i < lane->mark_count; i++) {
        kn_road_mark mark = lane->marks[i];
        mark.s_offset -= ahead;
        if (mark.s_offset < 0) mark.s_offset = 0;
        if (count && marks[count - 1].s_offset == mark.s_offset) count--; /* that one has ended before */
        marks[count++] = mark;
    }
    lane->marks = marks;
    lane->mark_count = count;
    return true;
}

static int by_descending_id(const void *a, const void *b) {
    return ((const kn_lane *)b)->id - ((const kn_lane *)a)->id;
}

/* Takes the lanes of one side over from a section `ahead` metres before. */
static bool take_side(kn_xml *xml, kn_lane_section *section, const kn_lane_section *from, int side, double ahead) {
    kn_lane *lanes = kn_xml_alloc(xml, section->lane_count + from->lane_count, sizeof *lanes);
    size_t count = 0;
    if (!lanes) return false;
    for (size_t i = 0; i < section->lane_count; i++) lanes[count++] = section->lanes[i];
    for (size_t i = 0; i < from->lane_count; i++) {
        kn_lane *lane = &from->lanes[i];
        if (lane->id * side <= 0) continue;
        lanes[count] = *lane;
        if (!shift_lane(xml, &lanes[count], ahead)) return false;
        lanes[count++].predecessor = lane->id;
        lane->successor = lane->id;
    }
    qsort(lanes, count, sizeof *lanes, by_descending_id);
    section->lanes = lanes;
    section->lane_count = count;
    return true;
}

bool kn_road_continue_sides(kn_xml *xml, kn_road *road) {
    for (size_t i = 1; i < road->section_count; i++) {
        kn_lane_section *section = &road->sections[i], *before = section - 1;
        bool has[2] = {false, false};
        for (size_t k = 0; k < section->lane_count; k++) {
            has[0] |= section->lanes[k].id > 0;
            has[1] |= section->lanes[k].id < 0;
        }
        if (!section->single_side || has[0] == has[1]) continue;
        if (!take_side(xml, section, before, has[0] ? -1 : 1, section->s - before->s)) return false;
    }
    return true;
}
