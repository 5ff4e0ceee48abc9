/* Road networks: reading, geometry, lanes, walking. */
#include "scene/road/road_read.h"
#include "scene/road/road_walk.h"

#include <criterion/criterion.h>
#include <string.h>

static const char network_text[] =
    "<OpenDRIVE><header revMajor='1' revMinor='6'/>"
    "<road id='a' length='100' junction='-1'><link><successor elementType='road' elementId='b' "
    "contactPoint='start'/></link>"
    "<planView><geometry s='0' x='0' y='0' hdg='0' length='60'><line/></geometry>"
    "<geometry s='60' x='60' y='0' hdg='0' length='40'><spiral curvStart='0' curvEnd='0.02'/></geometry></planView>"
    "<elevationProfile><elevation s='0' a='1' b='0.05' c='0' d='0'/></elevationProfile>"
    "<lateralProfile/><lanes><laneOffset s='0' a='0.5' b='0' c='0' d='0'/><laneSection s='0'>"
    "<left><lane id='1' type='driving'><link><successor id='1'/></link><width sOffset='0' a='3' b='0' c='0' "
    "d='0'/></lane></left>"
    "<center><lane id='0' type='none'><roadMark sOffset='0' type='broken'/></lane></center>"
    "<right><lane id='-1' type='driving'><link><successor id='-1'/></link><width sOffset='0' a='3' b='0.01' c='0' "
    "d='0'/>"
    "<roadMark sOffset='0' type='solid' weight='bold'/></lane><lane id='-2' type='sidewalk'><width sOffset='0' a='2' "
    "b='0' c='0' d='0'/></lane></right>"
    "</laneSection></lanes></road>"
    "<road id='b' length='50' junction='-1'><link><predecessor elementType='road' elementId='a' "
    "contactPoint='end'/></link>"
    "<planView><geometry s='0' x='98.4' y='5.2' hdg='0.4' length='50'><arc curvature='0.02'/></geometry></planView>"
    "<lanes><laneSection s='0'><left><lane id='1' type='driving'><link><predecessor id='1'/></link><width sOffset='0' "
    "a='3' b='0' c='0' d='0'/></lane></left>"
    "<center><lane id='0' type='none'/></center><right><lane id='-1' type='driving'><link><predecessor id='-1'/></link>"
    "<width sOffset='0' a='4' b='0' c='0' d='0'/></lane></right></laneSection></lanes></road></OpenDRIVE>";

static kn_road_network parse(const char *text, kn_report *report) {
    kn_road_network network;
    kn_error error = {0};
    cr_assert(kn_road_network_parse(&network, "test.xodr", text, strlen(text), report, &error), "%s", error.message);
    return network;
}

Test(scene_road, reference_line) {
    kn_road_network network = parse(network_text, NULL);
    const kn_road *road = &network.roads[0];
    kn_road_frame f = kn_road_at(road, 30, 2);
    cr_assert_float_eq(f.position.x, 30, 1e-9);
    cr_assert_float_eq(f.position.y, 2, 1e-9);
    cr_assert_float_eq(f.position.z, 1 + 0.05 * 30, 1e-9);
    cr_assert_float_eq(f.pitch, -atan(0.05), 1e-9);
    /* A clothoid from 0 to k over L turns by kL/2; its end by the series of Fresnel's integrals. */
    f = kn_road_at(road, 100, 0);
    double a = 0.02 * 40 / 2, x = 40 * (1 - a * a / 10 + pow(a, 4) / 216),
           y = 40 * (a / 3 - pow(a, 3) / 42 + pow(a, 5) / 1320);
    cr_assert_float_eq(f.heading, 0.4, 1e-9);
    cr_assert_float_eq(f.position.x, 60 + x, 1e-4);
    cr_assert_float_eq(f.position.y, y, 1e-4);
    cr_assert_float_eq(f.curvature, 0.02, 1e-12);
    /* Beyond its ends the road is clamped. */
    cr_assert_float_eq(kn_road_at(road, -5, 0).position.x, 0, 1e-12);
    kn_road_network_finish(&network);
}

Test(scene_road, every_shape_moves_at_unit_speed) {
    static const kn_geometry shapes[] = {
        {.kind = KN_GEOMETRY_LINE, .length = 30},
        {.kind = KN_GEOMETRY_ARC, .length = 30, .curvature_start = -0.05, .curvature_end = -0.05},
        {.kind = KN_GEOMETRY_SPIRAL, .length = 30, .curvature_start = 0.1, .curvature_end = -0.1},
        {.kind = KN_GEOMETRY_POLY3, .length = 30, .v = {0, 0.1, 0.01, -0.0002}},
        {.kind = KN_GEOMETRY_PARAM_POLY3, .length = 30, .u = {0, 1, 0, 0}, .v = {0, 0, 0, 0}}};
    for (size_t i = 0; i < KN_COUNT(shapes); i++) {
        kn_geometry g = shapes[i];
        g.x = 3, g.y = -7, g.heading = 1;
        kn_road road = {.length = 30, .geometries = &g, .geometry_count = 1};
        for (double s = 0; s < 29.5; s += 0.7) {
            kn_road_frame a = kn_road_at(&road, s, 0), b = kn_road_at(&road, s + 0.01, 0);
            double dx = b.position.x - a.position.x, dy = b.position.y - a.position.y;
            cr_assert_float_eq(hypot(dx, dy), 0.01, 3e-4, "shape %zu at %g: %g", i, s, hypot(dx, dy));
            cr_assert_float_eq(kn_wrap_angle(atan2(dy, dx) - a.heading), 0, 0.02, "shape %zu at %g", i, s);
        }
    }
}

Test(scene_road, lanes) {
    kn_road_network network = parse(network_text, NULL);
    const kn_road *road = &network.roads[0];
    kn_lane_span span = kn_lane_span_at(road, 50, -1);
    cr_assert_float_eq(span.inner, 0.5, 1e-12);
    cr_assert_float_eq(span.outer, 0.5 - 3.5, 1e-12);
    cr_assert_float_eq(kn_lane_span_at(road, 50, -2).outer, 0.5 - 5.5, 1e-12);
    cr_assert_float_eq(kn_lane_span_at(road, 50, 1).outer, 3.5, 1e-12);
    cr_assert_eq(kn_road_lane_at(road, 50, -4), -2);
    cr_assert_eq(kn_road_lane_at(road, 50, 9), KN_NO_LANE);
    const kn_lane *walk = kn_section_lane(&road->sections[0], -2), *right = kn_section_lane(&road->sections[0], -1);
    cr_assert_float_eq(walk->height_inner, 0.12, 1e-12); /* pavements without a height get a kerb */
    cr_assert_float_eq(right->marks[0].width, 0.25, 1e-12);
    cr_assert_float_eq(kn_section_lane(&road->sections[0], 0)->marks[0].dash_gap, 9, 1e-12);
    cr_assert_eq(kn_lane_direction(road, -1), 1);
    cr_assert_eq(kn_lane_direction(road, 1), -1);
    kn_lane_position p = {0, -2, 20, 0};
    cr_assert_float_eq(kn_lane_pose(&network, &p).translation.z, 1 + 0.05 * 20 + 0.12, 1e-9);
    kn_road_network_finish(&network);
}

Test(scene_road, locate_inverts_at) {
    kn_road_network network = parse(network_text, NULL);
    for (int r = 0; r < 2; r++)
        for (double s = 2; s < network.roads[r].length - 2; s += 3.3)
            for (double t = -2.5; t <= 2.5; t += 1.25) {
                kn_vec3 p = kn_road_at(&network.roads[r], s, t).position;
                kn_road_position at = kn_road_locate(&network, p.x, p.y, 2);
                cr_assert_eq(at.road, r, "road %d at s %g t %g: %d", r, s, t, at.road);
                cr_assert_float_eq(at.s, s, 1e-3);
                cr_assert_float_eq(at.t, t, 1e-3);
            }
    cr_assert_eq(kn_road_locate(&network, 20, 30, 5).road, -1);
    kn_road_network_finish(&network);
}

Test(scene_road, walking) {
    kn_road_network network = parse(network_text, NULL);
    kn_lane_position p = {0, -1, 90, 0.3};
    cr_assert(kn_lane_advance(&network, &p, 25, 0));
    cr_assert_eq(p.road, 1);
    cr_assert_float_eq(p.s, 15, 1e-9);
    cr_assert_float_eq(p.offset, 0.3, 1e-12);
    cr_assert_not(kn_lane_advance(&network, &p, 100, 0));
    cr_assert_float_eq(p.s, 50, 1e-9);
    p = (kn_lane_position){1, 1, 10, 0}; /* the left lane drives back */
    cr_assert(kn_lane_advance(&network, &p, 30, 0));
    cr_assert_eq(p.road, 0);
    cr_assert_float_eq(p.s, 80, 1e-9);
    double heading = kn_lane_pose(&network, &p).rotation[0][0];
    cr_assert_lt(heading, 0);
    kn_road_network_finish(&network);
}

Test(scene_road, junction) {
    kn_road_network network;
    kn_error error = {0};
    kn_report report = {0};
    cr_assert(kn_road_network_read(&network, "samples/drive/junction.xodr", &report, &error), "%s", error.message);
    for (size_t i = 0; i < report.count; i++)
        cr_assert_not(report.findings[i].is_error, "%s", report.findings[i].message);
    int arm = kn_road_find(&network, "3");
    const char *expected[] = {"4", "1", "2"}; /* right, straight, left of somebody who comes from the west */
    for (int turn = -1; turn <= 1; turn++) {
        kn_lane_position p = {arm, 1, 20, 0};
        cr_assert(kn_lane_advance(&network, &p, 70, turn));
        cr_assert_str_eq(network.roads[p.road].id, expected[turn + 1], "turn %d: road %s", turn,
                         network.roads[p.road].id);
        cr_assert_eq(p.lane, -1);
    }
    int route[16];
    kn_walker from = {arm, 1, -1, 20, 0};
    size_t count = 0;
    cr_assert(kn_road_route(&network, &from, kn_road_find(&network, "2"), route, 16, &count, NULL));
    cr_assert_eq(count, 3);
    kn_report_finish(&report);
    kn_road_network_finish(&network);
}

Test(scene_road, unsupported_is_named) {
    char text[4000];
    snprintf(text, sizeof text, "%s", network_text);
    char *at = strstr(text, "<lateralProfile/>");
    memcpy(at, "<lateralProfilX/>", 17);
    kn_report report = {0};
    kn_road_network network = parse(text, &report);
    cr_assert_eq(report.count, 1);
    cr_assert(strstr(report.findings[0].message, "lateralProfilX"), "%s", report.findings[0].message);
    cr_assert_str_eq(report.findings[0].file, "test.xodr");
    cr_assert_eq(report.findings[0].line, 1);
    kn_report_finish(&report);
    kn_road_network_finish(&network);
}

Test(scene_road, bad_files) {
    static const struct {
        const char *text, *message;
    } cases[] = {{"", "not well-formed"},
                 {"<OpenDRIVE>", "not well-formed"},
                 {"<Other/>", "expected <OpenDRIVE>"},
                 {"<!DOCTYPE OpenDRIVE [<!ENTITY a 'b'>]><OpenDRIVE>&a;</OpenDRIVE>", "DTD"},
                 {"<OpenDRIVE/>", "0 roads"},
                 {"<OpenDRIVE>\n<road id='1'/></OpenDRIVE>", "test.xodr:2: <road> needs attribute 'length'"},
                 {"<OpenDRIVE><road id='1' length='1e9'/></OpenDRIVE>", "1e+09 m long"},
                 {"<OpenDRIVE><road id='1' length='10'/></OpenDRIVE>", "<planView>"},
                 {"<OpenDRIVE><road id='1' length='10'><planView><geometry s='0' x='0' y='0' hdg='0' "
                  "length='ten'><line/></geometry></planView></road></OpenDRIVE>",
                  "'ten', expected a number"},
                 {"<OpenDRIVE><road id='1' length='10'><planView><geometry s='0' x='0' y='0' hdg='0' "
                  "length='10'/></planView><lanes/></road></OpenDRIVE>",
                  "no line, arc"}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        kn_road_network network;
        kn_error error = {0};
        cr_assert_not(kn_road_network_parse(&network, "test.xodr", cases[i].text, strlen(cases[i].text), NULL, &error),
                      "case %zu", i);
        cr_assert(strstr(error.message, cases[i].message), "case %zu: %s", i, error.message);
        cr_assert_eq(error.kind, KN_ERROR_INPUT);
    }
}

/* --- networks as they are found ------------------------------------------------------------------ */

#define WIDE(id, more) "<lane id='" id "' type='driving'>" more "<width sOffset='0' a='3.5' b='0' c='0' d='0'/></lane>"
#define STRAIGHT(attributes, lateral, sections)                                                                        \
    "<OpenDRIVE><header revMajor='1' revMinor='7'/><road id='1' length='300' junction='-1'><planView><geometry s='0' " \
    "x='0' y='0' hdg='0' length='300'><line/></geometry></planView>" lateral "<lanes>" sections "</lanes>" attributes  \
    "</road></OpenDRIVE>"
#define CENTER "<center><lane id='0' type='none'/></center>"
#define BOTH(s, more)                                                      \
    "<laneSection s='" s "'" more "><left>" WIDE("1", "") "</left>" CENTER \
                                                          "<right>" WIDE("-1", "") "</right></laneSection>"

Test(scene_road, lane_borders) {
    kn_report report = {0};
    kn_road_network network = parse(
        STRAIGHT(
            "", "",
            "<laneSection s='0'><left><lane id='2' type='driving'><border sOffset='0' a='7' b='.01' c='0' "
            "d='0'/></lane><lane id='1' type='driving'><border sOffset='0' a='3.5' b='0' c='0' d='0'/></lane></left>"
            "<center><lane id='0' type='none'/></center><right><lane id='-1' type='driving'><border sOffset='0' "
            "a='-3.5' b='0' c='0' d='0'/></lane></right></laneSection>"),
        &report);
    cr_assert_eq(report.count, 0);
    kn_lane_span outer = kn_lane_span_at(&network.roads[0], 100, 2),
                 right = kn_lane_span_at(&network.roads[0], 100, -1);
    cr_assert_float_eq(outer.inner, 3.5, 1e-9);
    cr_assert_float_eq(outer.outer, 8, 1e-9);
    cr_assert_float_eq(right.outer, -3.5, 1e-9);
    kn_road_network_finish(&network);
}

Test(scene_road, a_single_side_leaves_the_other_as_it_was) {
    kn_road_network network = parse(
        STRAIGHT(
            "", "",
            "<laneSection s='0'><left><lane id='1' type='driving'><width sOffset='0' a='3' b='.01' c='0' d='0'/>"
            "</lane></left>" CENTER "<right>" WIDE(
                "-1", "<link><successor id='-1'/></link>") "</right></laneSection>"
                                                           "<laneSection s='60' singleSide='true'>" CENTER
                                                           "<right>" WIDE("-1", "<link><predecessor id='-1'/></link>")
                                                               WIDE("-2", "") "</right></laneSection>"),
        NULL);
    const kn_road *road = &network.roads[0];
    cr_assert_eq(road->sections[1].lane_count, 4);
    cr_assert_float_eq(kn_lane_span_at(road, 30, 1).outer, 3.3, 1e-9);
    cr_assert_float_eq(kn_lane_span_at(road, 100, 1).outer, 4, 1e-9); /* goes on to widen */
    cr_assert_float_eq(kn_lane_span_at(road, 100, -2).outer, -7, 1e-9);
    kn_walker w = {0, 1, -1, 200, 0};
    cr_assert(kn_road_walk(&network, &w, 150, NULL, NULL)); /* against s, over the border */
    cr_assert_float_eq(w.s, 50, 1e-9);
    cr_assert_eq(w.lane, 1);
    kn_road_network_finish(&network);
}

Test(scene_road, cross_sections) {
    kn_road_network network = parse(
        STRAIGHT(
            "",
            "<lateralProfile><shape s='0' t='-3.5' a='0' b='0' c='0' d='0'/><shape s='0' t='0' a='0' b='.15' c='0' "
            "d='0'/><shape s='300' t='-3.5' a='0' b='0' c='0' d='0'/><shape s='300' t='0' a='0' b='.3' c='0' "
            "d='0'/></lateralProfile>",
            BOTH("0", "")),
        NULL);
    cr_assert_float_eq(kn_road_at(&network.roads[0], 0, 2).position.z, .3, 1e-9);
    cr_assert_float_eq(kn_road_at(&network.roads[0], 150, 2).position.z, .45, 1e-9); /* half-way between both */
    cr_assert_float_eq(kn_road_at(&network.roads[0], 0, -2).position.z, 0, 1e-9);
    cr_assert_float_eq(kn_road_at(&network.roads[0], 0, 2).roll, atan(.15), 1e-9);
    kn_road_network_finish(&network);
    network =
        parse(STRAIGHT("",
                       "<lateralProfile><superelevation s='0' a='0' b='0' c='0' d='0'/><crossfall side='both' s='0' "
                       "a='.1' b='0' c='0' d='0'/></lateralProfile>",
                       BOTH("0", "")),
              NULL);
    for (int side = -1; side <= 1; side += 2)
        cr_assert_float_eq(kn_road_at(&network.roads[0], 50, side * 3.5).position.z, -3.5 * tan(.1), 1e-9);
    kn_road_network_finish(&network);
}

Test(scene_road, a_lane_without_width_is_named) {
    kn_report report = {0};
    kn_road_network network =
        parse(STRAIGHT("", "",
                       "<laneSection s='0'>" CENTER
                       "<right><lane id='-1' type='driving'/>" WIDE("-2", "") "</right></laneSection>"),
              &report);
    cr_assert_eq(report.count, 1);
    cr_assert(strstr(report.findings[0].message, "lane -1 has neither <width> nor <border>"), "%s",
              report.findings[0].message);
    kn_report_finish(&report);
    kn_road_network_finish(&network);
}

/* Kilometres count, not how many roads they are divided into: 1 -> 2 -> 3 -> 9 is shorter than 1 -> 8 -> 9. */
Test(scene_road, routes_are_short_in_metres) {
#define PIECE(id, length, x, from, to)                                                                            \
    "<road id='" id "' length='" length "' junction='-1'><link>" from to "</link><planView><geometry s='0' x='" x \
    "' y='0' hdg='0' length='" length "'><line/></geometry></planView><lanes><laneSection s='0'>" CENTER          \
    "<right>" WIDE("-1", "") "</right></laneSection></lanes></road>"
#define OVER(id, junction, length, x, from, to)                                                        \
    "<road id='" id "' length='" length "' junction='" junction                                        \
    "'><link><predecessor elementType='road' elementId='" from                                         \
    "' contactPoint='end'/><successor elementType='road' elementId='" to                               \
    "' contactPoint='start'/></link><planView><geometry s='0' x='" x "' y='0' hdg='0' length='" length \
    "'><line/></geometry></planView><lanes><laneSection s='0'>" CENTER "<right>" WIDE(                 \
        "-1", "<link><predecessor id='-1'/><successor id='-1'/></link>") "</right></laneSection></lanes></road>"
#define NEXT(kind, id) "<successor elementType='" kind "' elementId='" id "' contactPoint='start'/>"
#define WAY(id, over)                                                \
    "<connection id='" id "' incomingRoad='1' connectingRoad='" over \
    "' contactPoint='start'><laneLink from='-1' to='-1'/></connection>"
    kn_road_network network =
        parse("<OpenDRIVE><header revMajor='1' revMinor='6'/>" PIECE("1", "100", "0", "", NEXT("junction", "j"))
                  OVER("a", "j", "10", "100", "1", "2") OVER("b", "j", "400", "100", "1", "9")
                      PIECE("2", "50", "110", "", NEXT("road", "3")) PIECE("3", "50", "160", "", NEXT("road", "9"))
                          PIECE("9", "50", "210", "", "") "<junction id='j'>" WAY("0", "b")
                              WAY("1", "a") "</junction></OpenDRIVE>",
              NULL);
    kn_walker from = {0, -1, 1, 20, 0};
    int route[8];
    size_t count = 0;
    cr_assert(kn_road_route(&network, &from, kn_road_find(&network, "9"), route, 8, &count, NULL));
    static const char *const expected[] = {"1", "a", "2", "3", "9"};
    cr_assert_eq(count, 5);
    for (size_t i = 0; i < 5; i++) cr_assert_str_eq(network.roads[route[i]].id, expected[i]);
    kn_road_network_finish(&network);
}
