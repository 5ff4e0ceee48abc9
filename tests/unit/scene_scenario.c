/* Expressions, parameters, and what is refused in scenarios. */
#include "scene/scenario/scenario.h"
#include "scene/json/scene_json.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static kn_parameter parameters[] = {{"Speed", "90"}, {"Name", "car"}, {"Flag", "true"}, {"Lane_1", "-2"}};
static const kn_scope scope = {NULL, parameters, 4};

Test(scene_expression, values) {
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"$Speed", 90},
                 {"${$Speed / 3.6}", 25},
                 {"${1 + 2 * 3}", 7},
                 {"${(1 + 2) * 3}", 9},
                 {"${-$Lane_1}", 2},
                 {"${- -3}", 3},
                 {"${7 % 4}", 3},
                 {"${round(2.6) + floor(-0.5) + ceil(0.2)}", 3},
                 {"${pow(2, 10)}", 1024},
                 {"${max(3, 4) - min(3, 4)}", 1},
                 {"${$Speed > 50 and not ($Lane_1 >= 0)}", 1},
                 {"${false or $Flag}", 1},
                 {"${1e3/1E1}", 100},
                 {"12.5", 12.5},
                 {"${sqrt(16)}", 4},
                 {"${acos(-1)}", 3.14159265358979},
                 {"${4 * atan(1) - pi}", 0},
                 {"${asin(1) * 2 - pi}", 0},
                 {"${atan2(1, -1)}", 2.35619449019234},
                 {"${sin(0) + cos(0) + tan(0) + abs(-2) + sign(-3)}", 2}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        char out[100], message[200];
        cr_assert(kn_expression_text(&scope, cases[i].text, out, sizeof out, message), "%s: %s", cases[i].text,
                  message);
        cr_assert_float_eq(strtod(out, NULL), cases[i].value, 1e-9, "%s gave %s", cases[i].text, out);
    }
    char out[100], message[200];
    cr_assert(kn_expression_text(&scope, "$Name", out, sizeof out, message));
    cr_assert_str_eq(out, "car");
}

Test(scene_expression, errors) {
    static const char *const cases[] = {"$Other",     "${$Other}", "${1 +}",      "${(1}",        "${1",
                                        "${2 2}",     "${foo(1)}", "${1/0}",      "${$Name * 2}", "${}",
                                        "${acos(2)}", "${pow(2)}", "${sin(1, 2)}"};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        char out[100], message[200];
        cr_assert_not(kn_expression_text(&scope, cases[i], out, sizeof out, message), "%s gave %s", cases[i], out);
        cr_assert_neq(message[0], 0);
    }
    char deep[3000] = "${", out[100], message[200];
    memset(deep + 2, '(', 2900);
    cr_assert_not(kn_expression_text(&scope, deep, out, sizeof out, message));
}

/* A straight town road of 500 m with lanes 1 and -1. */
static kn_road_network straight_road(void) {
    kn_road_network network;
    kn_profile profile = {.left = {{KN_LANE_DRIVING, 3.5, 0, KN_MARK_SOLID, 0}},
                          .left_count = 1,
                          .right = {{KN_LANE_DRIVING, 3.5, 0, KN_MARK_SOLID, 0}},
                          .right_count = 1};
    kn_cursor cursor = {0};
    kn_segment line = {500, 0, 0};
    cr_assert(kn_plan_init(&network, 1, 0, NULL));
    cr_assert_eq(kn_plan_road(&network, &cursor, &line, 1, &profile, NULL), 0);
    kn_road_network_complete(&network);
    return network;
}

#define VEHICLE                                                                                                    \
    "<Vehicle name='v' vehicleCategory='car'><BoundingBox><Center x='1.4' y='0' z='.75'/><Dimensions width='1.8' " \
    "length='4.5' height='1.5'/></BoundingBox></Vehicle>"
#define SCENARIO(entities, init, rest)                                                                 \
    "<OpenSCENARIO><FileHeader/>\n<Entities>" entities "</Entities>\n<Storyboard><Init><Actions>" init \
    "</Actions></Init>" rest "</Storyboard></OpenSCENARIO>"
#define EGO "<ScenarioObject name='Ego'>" VEHICLE "</ScenarioObject>"
#define PUT(position)                                                             \
    "<Private entityRef='Ego'><PrivateAction><TeleportAction><Position>" position \
    "</Position></TeleportAction></PrivateAction></Private>"

static void expect_error(const char *text, const char *message) {
    kn_road_network network = straight_road();
    kn_scenario scenario;
    kn_error error = {0};
    bool ok = kn_scenario_parse(&scenario, "test.xosc", text, strlen(text), &network, 1, NULL, &error);
    cr_assert_not(ok, "%s", text);
    cr_assert(strstr(error.message, message), "'%s' is not in '%s'", message, error.message);
    kn_road_network_finish(&network);
    kn_scenario_finish(&scenario);
}

Test(scene_scenario, bad_files) {
    expect_error(SCENARIO("", "", ""), "no <ScenarioObject>");
    expect_error(SCENARIO(EGO EGO, "", ""), "two entities are called 'Ego'");
    expect_error(SCENARIO("<ScenarioObject name='Ego'/>", "", ""),
                 "test.xosc:2: <ScenarioObject> 'Ego' has no Vehicle");
    expect_error(
        SCENARIO("<ScenarioObject name='Ego'><CatalogReference catalogName='V' entryName='x'/></ScenarioObject>", "",
                 ""),
        "catalog 'V' with entry 'x' was not found");
    expect_error(SCENARIO(EGO, "<Private entityRef='Other'/>", ""),
                 "test.xosc:3: <Private> names entity 'Other', which is not declared");
    expect_error(SCENARIO(EGO, PUT("<LanePosition roadId='1' laneId='-2' s='10'/>"), ""), "has no lane -2");
    expect_error(SCENARIO(EGO, PUT("<LanePosition roadId='1' laneId='0x' s='10'/>"), ""), "expected a number");
    expect_error(SCENARIO(EGO, PUT("<LanePosition roadId='9' laneId='-1' s='10'/>"), ""), "road '9'");
    expect_error(SCENARIO(EGO, PUT("<LanePosition roadId='1' laneId='-1' s='-5'/>"), ""), "lies outside road");
    expect_error(SCENARIO(EGO, PUT("<GeoPosition latitude='1' longitude='2'/>"), ""),
                 "<GeoPosition> needs a road network whose geoReference");
    expect_error(SCENARIO(EGO, PUT("<LanePosition roadId='1' laneId='-1' s='$S'/>"), ""), "unknown parameter '$S'");
    expect_error("<OpenSCENARIO><FileHeader/><ParameterValueDistribution/></OpenSCENARIO>",
                 "<ParameterValueDistribution> needs a <ScenarioFile> inside");
    expect_error("<OpenSCENARIO><FileHeader/><Catalog name='x'/></OpenSCENARIO>", "this is a catalog");
}

Test(scene_scenario, missing_files) {
    kn_scenario scenario;
    kn_error error = {0};
    cr_assert_not(kn_scenario_read(&scenario, "tests/unit/absent.xosc", &(kn_scene_params){.seed = 1}, NULL, &error));
    cr_assert(strstr(error.message, "absent.xosc"), "%s", error.message);
    kn_scenario_finish(&scenario);
    const char *text = "<OpenSCENARIO><FileHeader/><RoadNetwork><LogicFile "
                       "filepath='absent.xodr'/></RoadNetwork><Entities/><Storyboard/></OpenSCENARIO>";
    cr_assert_not(kn_scenario_parse(&scenario, "tests/test.xosc", text, strlen(text), NULL, 1, NULL, &error));
    cr_assert(strstr(error.message, "absent.xodr"), "%s", error.message);
}

Test(scene_scenario, unsupported_is_named) {
    const char *text = SCENARIO(
        EGO,
        PUT("<LanePosition roadId='1' laneId='-1' s='10'/>") "\n<Private "
                                                             "entityRef='Ego'><PrivateAction><AppearanceAction><"
                                                             "AnimationAction/></AppearanceAction></PrivateAction></"
                                                             "Private><UserDefinedAction/>",
        "");
    kn_road_network network = straight_road();
    kn_scenario scenario;
    kn_report report = {0};
    kn_error error = {0};
    cr_assert(kn_scenario_parse(&scenario, "test.xosc", text, strlen(text), &network, 1, &report, &error), "%s",
              error.message);
    cr_assert_eq(report.count, 2);
    bool animation = false;
    for (size_t i = 0; i < report.count; i++) {
        cr_assert_eq(report.findings[i].line, 4);
        cr_assert_not(report.findings[i].is_error);
        animation |= strstr(report.findings[i].message, "<AppearanceAction>") != NULL;
    }
    cr_assert(animation);
    kn_report_finish(&report);
    kn_scenario_finish(&scenario);
}

Test(scene_scenario, parameters_from_outside) {
    static const char path[] = "tests/pipeline/data/param.xosc";
    static const struct {
        const char *given, *message;
    } wrong[] = {{"Gap=3", "declares no parameter Gap, but Speed, Faster"},
                 {"Speed", "expected NAME=VALUE"},
                 {"Speed=1,", "expected NAME=VALUE"},
                 {"=3", "expected NAME=VALUE"},
                 {"Speed=fast", "param.xosc"}};
    kn_scenario scenario;
    kn_error error = {0};
    kn_report report = {0};
    cr_assert(kn_scenario_read(&scenario, path, &(kn_scene_params){.parameters = "$Speed=4,Faster=7"}, &report, &error),
              "%s", error.message);
    cr_assert_str_eq(scenario.parameters[0].value, "4");
    cr_assert_str_eq(scenario.parameters[1].value, "7");
    kn_scenario_finish(&scenario);
    for (size_t i = 0; i < KN_COUNT(wrong); i++) {
        error = (kn_error){0};
        cr_assert_not(
            kn_scenario_read(&scenario, path, &(kn_scene_params){.parameters = wrong[i].given}, &report, &error), "%s",
            wrong[i].given);
        cr_assert(error.kind == KN_ERROR_INPUT && strstr(error.message, wrong[i].message), "%s: %s", wrong[i].given,
                  error.message);
    }
    kn_report_finish(&report);
}
