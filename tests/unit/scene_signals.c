/* Traffic lights of a road network: controllers switch their signals together, crossing approaches are never green at
 * once. */
#include "scene/read/check.h"
#include "scene/road/road_read.h"
#include "scene/road/signals.h"

#include <criterion/criterion.h>
#include <string.h>

enum { STEPS = 2000 };

/* Arms of 100 m end at a junction in the origin, `degrees` being where they lead; each with one light, the first with
 * two. */
static void make_star(kn_road_network *network, const double *degrees, int arms, const char *controllers,
                      const char *members, kn_report *report) {
    char text[16384];
    int n = snprintf(text, sizeof text, "<OpenDRIVE><header revMajor='1' revMinor='6'/>");
    for (int a = 0; a < arms; a++) {
        double heading = degrees[a] * M_PI / 180;
        n += snprintf(
            text + n, sizeof text - (size_t)n,
            "<road id='%d' length='100' junction='-1'><link><successor elementType='junction' "
            "elementId='J'/></link><planView>"
            "<geometry s='0' x='%g' y='%g' hdg='%g' length='100'><line/></geometry></planView><lanes><laneSection "
            "s='0'><center><lane id='0' type='none'/></center>"
            "<right><lane id='-1' type='driving'><width sOffset='0' a='3.5' b='0' c='0' "
            "d='0'/></lane></right></laneSection></lanes><signals>"
            "<signal id='s%d' s='95' t='-4' dynamic='yes' orientation='+' type='1000001' subtype='-1'/>",
            a + 1, -110 * cos(heading), -110 * sin(heading), heading, a + 1);
        if (a == 0)
            n += snprintf(text + n, sizeof text - (size_t)n,
                          "<signal id='far' s='5' t='-4' dynamic='yes' orientation='+' type='1000001' subtype='-1'/>");
        n += snprintf(text + n, sizeof text - (size_t)n, "</signals></road>");
    }
    snprintf(text + n, sizeof text - (size_t)n, "%s<junction id='J' name=''>%s</junction></OpenDRIVE>", controllers,
             members);
    kn_error error = {0};
    cr_assert(kn_road_network_parse(network, "star.xodr", text, strlen(text), report, &error), "%s", error.message);
    cr_assert(kn_signals_plan(network, 3, NULL, 0, 10, false, &error), "%s", error.message);
}

static size_t light_of(const kn_road_network *network, const char *id) {
    for (size_t i = 0; i < network->signals->count; i++) {
        const kn_signal *s = &network->signals->list[i];
        if (s->object >= 0 && !strcmp(network->roads[s->road].objects[s->object].id, id)) return i;
    }
    cr_assert_fail("no light %s", id);
    return 0;
}

static bool goes(const kn_road_network *network, size_t light, double time) {
    kn_signal_state state = kn_signal_at(network->signals, light, time);
    return state == KN_SIGNAL_GREEN || state == KN_SIGNAL_AMBER;
}

/* May `a` and `b` be passed at the same time at any moment? Both must be passed at some. */
static bool meet(const kn_road_network *network, const char *a, const char *b) {
    size_t i = light_of(network, a), k = light_of(network, b);
    bool both = false, once[2] = {false, false};
    for (int step = 0; step < STEPS; step++) {
        bool g = goes(network, i, step * 0.1), h = goes(network, k, step * 0.1);
        both |= g && h;
        once[0] |= g, once[1] |= h;
    }
    cr_assert(once[0] && once[1], "%s or %s is never green", a, b);
    return both;
}

static const char CONTROLLERS[] =
    "<controller id='c1' name='a'><control signalId='s1' type=''/><control signalId='far' type=''/></controller>"
    "<controller id='c2' name='b'><control signalId='s2'/></controller><controller id='c3' name='c'><control "
    "signalId='s3'/></controller>";

Test(scene_signals, controllers_switch_together) {
    static const double star[] = {0, 110, 190}; /* s1 and s3 are nearly in line: still they have their own turns */
    kn_road_network network;
    make_star(&network, star, 3, CONTROLLERS,
              "<controller id='c1' sequence='0'/><controller id='c2' sequence='2'/><controller id='c3' sequence='1'/>",
              NULL);
    size_t near = light_of(&network, "s1"), far = light_of(&network, "far");
    for (int step = 0; step < STEPS; step++)
        cr_assert_eq(kn_signal_at(network.signals, near, step * 0.1), kn_signal_at(network.signals, far, step * 0.1),
                     "at %g s", step * 0.1);
    cr_assert_not(meet(&network, "s1", "s2"));
    cr_assert_not(meet(&network, "s1", "s3"));
    cr_assert_not(meet(&network, "s2", "s3"));
    /* after c1 comes c3, as its sequence says */
    bool was = goes(&network, near, 0), after = false, first = false, second = false;
    for (int step = 1; step < STEPS && !first && !second; step++) {
        bool now = goes(&network, near, step * 0.1);
        after |= was && !now;
        was = now;
        first = after && goes(&network, light_of(&network, "s3"), step * 0.1);
        second = after && goes(&network, light_of(&network, "s2"), step * 0.1);
    }
    cr_assert(first && !second);
    kn_road_network_finish(&network);
}

Test(scene_signals, controllers_without_a_junction) {
    static const double star[] = {0, 90};
    kn_road_network network;
    make_star(&network, star, 2, "<controller id='c1'><control signalId='far'/><control signalId='s9'/></controller>",
              "", NULL);
    cr_assert_eq(network.controller_count, 1);
    cr_assert_eq(network.controllers[0].signal_count, 2);
    cr_assert_eq(network.signals->list[light_of(&network, "far")].junction, -1);
    cr_assert_not(meet(&network, "s1", "s2"));
    kn_road_network_finish(&network);
}

Test(scene_signals, crossing_approaches_never_share_a_turn) {
    static const double three[] = {0, 120, 240}, four[] = {10, 100, 190, 280}, five[] = {0, 72, 144, 216, 288};
    const struct {
        const double *star;
        int arms;
    } stars[] = {{three, 3}, {four, 4}, {five, 5}};
    for (size_t k = 0; k < KN_COUNT(stars); k++) {
        kn_road_network network;
        make_star(&network, stars[k].star, stars[k].arms, "", "", NULL);
        for (int a = 0; a < stars[k].arms; a++)
            for (int b = a + 1; b < stars[k].arms; b++) {
                char names[2][16];
                snprintf(names[0], sizeof names[0], "s%d", a + 1);
                snprintf(names[1], sizeof names[1], "s%d", b + 1);
                bool in_line = fabs(cos((stars[k].star[a] - stars[k].star[b]) * M_PI / 180)) > 0.7;
                bool together = meet(&network, names[0], names[1]);
                cr_assert(in_line || !together, "%d arms: %s and %s", stars[k].arms, names[0], names[1]);
                cr_assert(stars[k].arms != 4 || !in_line || together);
            }
        kn_road_network_finish(&network);
    }
}

Test(scene_signals, an_unknown_controller_is_reported) {
    static const double star[] = {0, 90};
    kn_road_network network;
    kn_report report = {0};
    make_star(&network, star, 2, CONTROLLERS, "<controller id='c7'/>", &report);
    bool named = false;
    for (size_t i = 0; i < report.count; i++)
        named |=
            strstr(report.findings[i].message, "'c7'") && report.findings[i].is_error && report.findings[i].line > 0;
    cr_assert(named);
    kn_report_finish(&report);
    kn_road_network_finish(&network);
}
