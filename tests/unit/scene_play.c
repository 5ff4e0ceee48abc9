/* Actions and conditions, played on a straight road. */
#include "scene/scenario/scenario.h"
#include "scene/json/scene_json.h"

#include <criterion/criterion.h>
#include <string.h>

typedef struct played {
    kn_scenario scenario;
    kn_timeline timeline;
    kn_report report;
} played;

#define VEHICLE                                                                                                    \
    "<Vehicle name='v' vehicleCategory='car'><BoundingBox><Center x='1.4' y='0' z='.75'/><Dimensions width='1.8' " \
    "length='4.5' height='1.5'/></BoundingBox></Vehicle>"
#define LANE(lane, s)                                                                           \
    "<PrivateAction><TeleportAction><Position><LanePosition roadId='1' laneId='" lane "' s='" s \
    "'/></Position></TeleportAction></PrivateAction>"
#define SPEED(shape, dimension, value, speed)                                                                       \
    "<LongitudinalAction><SpeedAction><SpeedActionDynamics dynamicsShape='" shape "' dynamicsDimension='" dimension \
    "' value='" value "'/><SpeedActionTarget><AbsoluteTargetSpeed value='" speed                                    \
    "'/></SpeedActionTarget></SpeedAction></LongitudinalAction>"
#define AT(time)                                                                     \
    "<StartTrigger><ConditionGroup><Condition name='c' delay='0' "                   \
    "conditionEdge='rising'><ByValueCondition><SimulationTimeCondition value='" time \
    "' rule='greaterThan'/></ByValueCondition></Condition></ConditionGroup></StartTrigger>"
#define EVENT(name, action, trigger) \
    "<Event name='" name "' priority='parallel'><Action name='" name "_a'>" action "</Action>" trigger "</Event>"
#define DOES(action) "<PrivateAction>" action "</PrivateAction>"

/* Ego on lane -1 at 50 m with 10 m/s, Other on lane -2 at 80 m with 10 m/s, 6 s at 20 frames/s; events act on Ego. */
static void play(played *p, const char *events) {
    static const char head[] =
        "<OpenSCENARIO><FileHeader/><ParameterDeclarations><ParameterDeclaration name='P' parameterType='double' "
        "value='1'/></ParameterDeclarations>"
        "<Entities><ScenarioObject name='Other'>" VEHICLE "</ScenarioObject><ScenarioObject name='Ego'>" VEHICLE
        "</ScenarioObject></Entities><Storyboard><Init><Actions>"
        "<Private entityRef='Ego'>" LANE("-1", "50")
            DOES(SPEED("step", "time", "0", "10")) "</Private><Private entityRef='Other'>" LANE("-2", "80") DOES(SPEED(
                "step", "time", "0",
                "10")) "</Private></Actions></Init>"
                       "<Story name='s'><Act name='act'><ManeuverGroup name='g' maximumExecutionCount='1'><Actors "
                       "selectTriggeringEntities='false'><EntityRef entityRef='Ego'/></Actors><Maneuver name='m'>";
    static const char tail[] = "</Maneuver></ManeuverGroup><StartTrigger/></Act></Story></Storyboard></OpenSCENARIO>";
    char text[20000];
    snprintf(text, sizeof text, "%s%s%s", head, events, tail);
    kn_profile profile = {
        .right = {{KN_LANE_DRIVING, 3.5, 0, KN_MARK_SOLID, 0}, {KN_LANE_DRIVING, 3.5, 0, KN_MARK_SOLID, 0}},
        .right_count = 2};
    kn_cursor cursor = {0};
    kn_segment line = {500, 0, 0};
    kn_road_network network;
    kn_error error = {0};
    *p = (played){0};
    cr_assert(kn_plan_init(&network, 1, 0, &error) && kn_plan_road(&network, &cursor, &line, 1, &profile, &error) == 0);
    kn_road_network_complete(&network);
    cr_assert(kn_scenario_parse(&p->scenario, "test.xosc", text, strlen(text), &network, 1, &p->report, &error), "%s",
              error.message);
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    params.frame_rate = 20;
    params.frame_count = 121;
    cr_assert(kn_sim_record(&p->scenario.sim, kn_storyboard_step, &p->scenario, &params, &p->timeline, &error), "%s",
              error.message);
    for (size_t i = 0; i < p->report.count; i++) cr_log_info("%s", p->report.findings[i].message);
}

static void finish(played *p) {
    kn_timeline_finish(&p->timeline);
    kn_scenario_finish(&p->scenario);
    kn_report_finish(&p->report);
}

/* State of the ego (0) or Other (1) at a time in seconds. */
static const kn_actor_state *at(const played *p, double seconds, size_t actor) {
    return &p->timeline.states[(size_t)(seconds * 20 + 0.5) * p->timeline.actor_count + actor];
}

Test(scene_play, the_ego_comes_first_and_drives) {
    played p;
    play(&p, "");
    cr_assert(p.timeline.actors[0].is_ego);
    cr_assert_str_eq(p.timeline.actors[0].name, "Ego");
    cr_assert_float_eq(at(&p, 0, 0)->pose.translation.x, 50, 1e-9);
    cr_assert_float_eq(at(&p, 6, 0)->pose.translation.x, 110, 1e-6);
    cr_assert_float_eq(at(&p, 6, 0)->pose.translation.y, -1.75, 1e-9);
    finish(&p);
}

Test(scene_play, speed_shapes) {
    static const char *const shapes[] = {"linear", "cubic", "sinusoidal"};
    for (int i = 0; i < 3; i++) {
        char events[3000];
        snprintf(events, sizeof events, EVENT("e", DOES(SPEED("%s", "time", "4", "18")), AT("1")), shapes[i]);
        played p;
        play(&p, events);
        cr_assert_float_eq(at(&p, 1, 0)->speed, 10, 1e-6);
        cr_assert_float_eq(at(&p, 3, 0)->speed, 14, 0.06, "%s: %g", shapes[i], at(&p, 3, 0)->speed);
        cr_assert_float_eq(at(&p, 5.1, 0)->speed, 18, 1e-6);
        cr_assert_float_eq(at(&p, 1.5, 0)->speed, i == 0 ? 11 : 10.35,
                           i == 0 ? 0.05 : 0.1); /* the soft shapes start slowly */
        finish(&p);
    }
    played p;
    play(&p, EVENT("e", DOES(SPEED("linear", "rate", "2", "4")), AT("1")));
    cr_assert_float_eq(at(&p, 2.5, 0)->speed, 7, 0.06);
    cr_assert_float_eq(at(&p, 2.5, 0)->acceleration, -2, 0.01);
    cr_assert(at(&p, 2.5, 0)->lamps & KN_LAMP_BRAKE);
    cr_assert_not(at(&p, 5.5, 0)->lamps & KN_LAMP_BRAKE);
    finish(&p);
    play(&p, EVENT("e", DOES(SPEED("linear", "distance", "20", "20")), AT("0.5")));
    double from = at(&p, 0.5, 0)->pose.translation.x;
    for (double t = 0.5; t < 6; t += 0.05)
        if (at(&p, t, 0)->speed > 19.99) {
            cr_assert_float_eq(at(&p, t, 0)->pose.translation.x - from, 20, 1.2);
            break;
        }
    cr_assert_float_eq(at(&p, 6, 0)->speed, 20, 1e-9);
    finish(&p);
}

Test(scene_play, relative_speed_and_profile) {
    played p;
    play(&p, EVENT("e",
                   DOES("<LongitudinalAction><SpeedAction><SpeedActionDynamics dynamicsShape='step' "
                        "dynamicsDimension='time' value='0'/><SpeedActionTarget>"
                        "<RelativeTargetSpeed entityRef='Other' value='1.5' speedTargetValueType='factor' "
                        "continuous='true'/></SpeedActionTarget></SpeedAction></LongitudinalAction>"),
                   AT("1")));
    cr_assert_float_eq(at(&p, 2, 0)->speed, 15, 1e-6);
    finish(&p);
    play(&p, EVENT("e",
                   DOES("<LongitudinalAction><SpeedProfileAction followingMode='position'><SpeedProfileEntry time='0' "
                        "speed='10'/><SpeedProfileEntry time='2' speed='14'/>"
                        "<SpeedProfileEntry time='1' speed='12'/></SpeedProfileAction></LongitudinalAction>"),
                   AT("1")));
    cr_assert_float_eq(at(&p, 2, 0)->speed, 12, 0.05);
    cr_assert_float_eq(at(&p, 3.5, 0)->speed, 13, 0.05);
    cr_assert_float_eq(at(&p, 5, 0)->speed, 12, 1e-6);
    finish(&p);
}

Test(scene_play, lane_change) {
    played p;
    play(&p, EVENT("e",
                   DOES("<LateralAction><LaneChangeAction><LaneChangeActionDynamics dynamicsShape='sinusoidal' "
                        "dynamicsDimension='time' value='2'/>"
                        "<LaneChangeTarget><RelativeTargetLane entityRef='Ego' "
                        "value='-1'/></LaneChangeTarget></LaneChangeAction></LateralAction>"),
                   AT("2")));
    cr_assert_float_eq(at(&p, 2, 0)->pose.translation.y, -1.75, 1e-6);
    cr_assert_float_eq(at(&p, 3, 0)->pose.translation.y, -3.5, 0.06);
    cr_assert_float_eq(at(&p, 4.1, 0)->pose.translation.y, -5.25, 1e-6);
    cr_assert_lt(at(&p, 3, 0)->pose.rotation[1][0], -0.1); /* turned to the right */
    bool early = false;
    for (double t = 1.1; t < 2; t += 0.05) /* announced before it starts */
        early |= (at(&p, t, 0)->lamps & KN_LAMP_RIGHT) != 0;
    cr_assert(early);
    cr_assert_not(at(&p, 0.5, 0)->lamps & KN_LAMP_RIGHT);
    finish(&p);
    play(&p, EVENT("e",
                   DOES("<LateralAction><LaneOffsetAction continuous='false'><LaneOffsetActionDynamics "
                        "dynamicsShape='cubic' maxLateralAcc='2'/>"
                        "<LaneOffsetTarget><AbsoluteTargetLaneOffset "
                        "value='0.8'/></LaneOffsetTarget></LaneOffsetAction></LateralAction>"),
                   AT("1")));
    cr_assert_float_eq(at(&p, 5, 0)->pose.translation.y, -0.95, 1e-6);
    finish(&p);
}

Test(scene_play, trajectories) {
    played p;
    play(&p, EVENT("e",
                   DOES("<RoutingAction><FollowTrajectoryAction><TimeReference><Timing "
                        "domainAbsoluteRelative='relative' scale='1' offset='0'/></TimeReference>"
                        "<TrajectoryFollowingMode followingMode='position'/><TrajectoryRef><Trajectory name='t' "
                        "closed='false'><Shape><Polyline>"
                        "<Vertex time='0'><Position><WorldPosition x='60' y='-1.75'/></Position></Vertex><Vertex "
                        "time='2'><Position><WorldPosition x='80' y='-5'/></Position></Vertex>"
                        "<Vertex time='3'><Position><LanePosition roadId='1' laneId='-2' "
                        "s='95'/></Position></Vertex></Polyline></Shape></Trajectory></TrajectoryRef></"
                        "FollowTrajectoryAction></RoutingAction>"),
                   AT("1")));
    cr_assert_float_eq(at(&p, 2, 0)->pose.translation.x, 70, 0.2);
    cr_assert_float_eq(at(&p, 3, 0)->pose.translation.y, -5, 0.06);
    cr_assert_float_eq(at(&p, 4, 0)->pose.translation.x, 95, 0.3);
    cr_assert_gt(at(&p, 5, 0)->pose.translation.x, 105); /* drives on along the lane */
    cr_assert_float_eq(at(&p, 5, 0)->pose.translation.y, -5.25, 0.05);
    finish(&p);
    play(&p, EVENT("e",
                   DOES("<RoutingAction><FollowTrajectoryAction><TimeReference><None/></"
                        "TimeReference><TrajectoryFollowingMode followingMode='position'/><TrajectoryRef>"
                        "<Trajectory name='t' closed='false'><Shape><Clothoid curvature='0' curvaturePrime='0.01' "
                        "length='20'><Position><WorldPosition x='60' y='-1.75' "
                        "h='0'/></Position></Clothoid></Shape></Trajectory>"
                        "</TrajectoryRef></FollowTrajectoryAction></RoutingAction>"),
                   AT("1")));
    const kn_actor_state *s = at(&p, 3.05, 0); /* after 20 m: turned by 0.01 * 20^2 / 2 */
    cr_assert_float_eq(atan2(s->pose.rotation[1][0], s->pose.rotation[0][0]), 2, 0.1);
    finish(&p);
    play(
        &p,
        EVENT("e",
              DOES("<RoutingAction><FollowTrajectoryAction><TimeReference><None/></"
                   "TimeReference><TrajectoryFollowingMode followingMode='position'/><TrajectoryRef>"
                   "<Trajectory name='t' closed='false'><Shape><Nurbs order='3'><ControlPoint "
                   "weight='1'><Position><WorldPosition x='60' y='-1.75'/></Position></ControlPoint>"
                   "<ControlPoint weight='0.70710678'><Position><WorldPosition x='70' "
                   "y='-1.75'/></Position></ControlPoint><ControlPoint weight='1'><Position><WorldPosition x='70' "
                   "y='8.25'/></Position></ControlPoint>"
                   "<Knot value='0'/><Knot value='0'/><Knot value='0'/><Knot value='1'/><Knot value='1'/><Knot "
                   "value='1'/></Nurbs></Shape></Trajectory></TrajectoryRef></FollowTrajectoryAction></RoutingAction>"),
              AT("1")));
    for (double t = 1.2; t < 2.5; t += 0.1) { /* a quarter of a circle of 10 m about (60, 8.25) */
        const kn_actor_state *q = at(&p, t, 0);
        cr_assert_float_eq(hypot(q->pose.translation.x - 60, q->pose.translation.y - 8.25), 10, 0.02);
    }
    finish(&p);
}

Test(scene_play, positions) {
    static const struct {
        const char *position;
        double x, y;
    } cases[] = {
        {"<WorldPosition x='30' y='-1.75' h='0'/>", 30, -1.75},
        {"<RoadPosition roadId='1' s='40' t='-2'/>", 40, -2},
        {"<RelativeLanePosition entityRef='Other' dLane='1' ds='-10' offset='0.2'/>", 80, -1.55},
        {"<RelativeObjectPosition entityRef='Other' dx='-12' dy='1'/>", 78, -4.25},
        {"<RelativeWorldPosition entityRef='Other' dx='5' dy='2'/>", 95, -3.25},
        {"<RelativeRoadPosition entityRef='Other' ds='-20' dt='3'/>", 70, -2.25},
        {"<RoutePosition><RouteRef><Route name='r' closed='false'><Waypoint "
         "routeStrategy='shortest'><Position><LanePosition roadId='1' laneId='-1' s='20'/></Position></Waypoint>"
         "<Waypoint routeStrategy='shortest'><Position><LanePosition roadId='1' laneId='-1' "
         "s='300'/></Position></Waypoint></Route></RouteRef>"
         "<InRoutePosition><FromLaneCoordinates pathS='35' laneId='-2' "
         "laneOffset='0.5'/></InRoutePosition></RoutePosition>",
         55, -4.75}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        char events[3000];
        snprintf(events, sizeof events,
                 EVENT("e", DOES("<TeleportAction><Position>%s</Position></TeleportAction>"), AT("0.999")),
                 cases[i].position);
        played p;
        play(&p, events); /* at 1 s: Other stands at 90 m, then a step of 1/120 s passes before the frame at 1.05 s */
        const kn_actor_state *s = at(&p, 1.05, 0);
        cr_assert_float_eq(s->pose.translation.x, cases[i].x + 0.5, 0.12, "case %zu: %g", i, s->pose.translation.x);
        cr_assert_float_eq(s->pose.translation.y, cases[i].y, 0.01, "case %zu: %g", i, s->pose.translation.y);
        finish(&p);
    }
}

Test(scene_play, storyboard_states_and_delay) {
    played p;
    play(&p, EVENT("first", DOES(SPEED("linear", "time", "1", "12")), AT("1")) EVENT(
                 "second", DOES(SPEED("step", "time", "0", "15")),
                 "<StartTrigger><ConditionGroup><Condition name='c' delay='1' conditionEdge='rising'><ByValueCondition>"
                 "<StoryboardElementStateCondition storyboardElementType='event' storyboardElementRef='first' "
                 "state='completeState'/></ByValueCondition></Condition></ConditionGroup></StartTrigger>"));
    cr_assert_float_eq(at(&p, 2.9, 0)->speed, 12, 1e-6);
    cr_assert_float_eq(at(&p, 3.15, 0)->speed, 15, 1e-6);
    finish(&p);
    play(&p, EVENT("first", DOES(SPEED("linear", "time", "1", "12")), AT("1")) EVENT(
                 "second", DOES(SPEED("step", "time", "0", "15")),
                 "<StartTrigger><ConditionGroup><Condition name='c' delay='0' conditionEdge='none'><ByValueCondition>"
                 "<StoryboardElementStateCondition storyboardElementType='action' storyboardElementRef='first_a' "
                 "state='startTransition'/></ByValueCondition></Condition></ConditionGroup></StartTrigger>"));
    cr_assert_float_eq(at(&p, 1.1, 0)->speed, 15, 1e-6);
    finish(&p);
}

#define BY_ENTITY(edge, condition)                                                      \
    "<StartTrigger><ConditionGroup><Condition name='c' delay='0' conditionEdge='" edge  \
    "'><ByEntityCondition><TriggeringEntities triggeringEntitiesRule='any'><EntityRef " \
    "entityRef='Ego'/></TriggeringEntities><EntityCondition>" condition                 \
    "</EntityCondition></ByEntityCondition></Condition></ConditionGroup></StartTrigger>"

/* When the speed leaves 20 m/s, which the first event commands at once. */
static double reaction_time(const char *trigger) {
    char events[4000];
    snprintf(events, sizeof events,
             "%s<Event name='e' priority='parallel'><Action name='a'>" DOES(
                 SPEED("step", "time", "0", "9")) "</Action>%s</Event>",
             EVENT("fast", DOES(SPEED("step", "time", "0", "20")), AT("0")), trigger);
    played p;
    play(&p, events);
    double when = -1;
    for (double t = 0.2; t < 6 && when < 0; t += 0.05)
        if (at(&p, t, 0)->speed == 9) when = t;
    finish(&p);
    return when;
}

Test(scene_play, entity_conditions) {
    /* Ego closes in on Other, 30 m ahead in the next lane, with 10 m/s. */
    cr_assert_float_eq(reaction_time(BY_ENTITY(
                           "none", "<RelativeDistanceCondition entityRef='Other' relativeDistanceType='longitudinal' "
                                   "freespace='false' value='10' rule='lessThan'/>")),
                       2, 0.08);
    cr_assert_float_eq(reaction_time(BY_ENTITY(
                           "none", "<RelativeDistanceCondition entityRef='Other' relativeDistanceType='longitudinal' "
                                   "freespace='true' value='10' rule='lessThan'/>")),
                       1.55, 0.08);
    cr_assert_float_eq(
        reaction_time(
            BY_ENTITY("none", "<TimeHeadwayCondition entityRef='Other' freespace='false' value='1' rule='lessThan'/>")),
        1, 0.08);
    cr_assert_float_eq(reaction_time(BY_ENTITY(
                           "none", "<TimeToCollisionCondition freespace='false' relativeDistanceType='longitudinal' "
                                   "value='1' rule='lessThan'><TimeToCollisionConditionTarget><EntityRef "
                                   "entityRef='Other'/></TimeToCollisionConditionTarget></TimeToCollisionCondition>")),
                       2, 0.08);
    cr_assert_float_eq(reaction_time(BY_ENTITY("none", "<TraveledDistanceCondition value='50'/>")), 2.5, 0.08);
    cr_assert_float_eq(
        reaction_time(BY_ENTITY("none", "<ReachPositionCondition tolerance='2'><Position><LanePosition roadId='1' "
                                        "laneId='-1' s='110'/></Position></ReachPositionCondition>")),
        2.9, 0.08);
    cr_assert_float_eq(
        reaction_time(BY_ENTITY("none", "<RelativeSpeedCondition entityRef='Other' value='50' rule='greaterThan'/>")),
        -1, 1e-9);
    /* An edge is not seen at the first look: true from the start, false while they pass each other, then rising. */
    cr_assert_float_eq(reaction_time(BY_ENTITY(
                           "rising", "<RelativeDistanceCondition entityRef='Other' relativeDistanceType='longitudinal' "
                                     "freespace='false' value='10' rule='greaterThan'/>")),
                       4, 0.1);
}

Test(scene_play, parameters_and_entities) {
    played p;
    play(
        &p,
        EVENT("set",
              "<GlobalAction><ParameterAction parameterRef='P'><SetAction value='7'/></ParameterAction></GlobalAction>",
              AT("1"))
            EVENT("del",
                  "<GlobalAction><EntityAction entityRef='Other'><DeleteEntityAction/></EntityAction></GlobalAction>",
                  AT("2"))
                EVENT("go", DOES(SPEED("step", "time", "0", "5")),
                      "<StartTrigger><ConditionGroup><Condition name='c' delay='0' "
                      "conditionEdge='none'><ByValueCondition><ParameterCondition parameterRef='P' value='6' "
                      "rule='greaterThan'/></ByValueCondition></Condition></ConditionGroup></StartTrigger>")
                    EVENT("light",
                          DOES("<AppearanceAction><LightStateAction><LightType><VehicleLight "
                               "vehicleLightType='warningLights'/></LightType><LightState "
                               "mode='on'/></LightStateAction></AppearanceAction>"),
                          AT("3")));
    cr_assert_float_eq(at(&p, 0.9, 0)->speed, 10, 1e-9);
    cr_assert_float_eq(at(&p, 1.1, 0)->speed, 5, 1e-9);
    cr_assert(at(&p, 1.9, 1)->present);
    cr_assert_not(at(&p, 2.1, 1)->present);
    cr_assert_eq(at(&p, 4, 0)->lamps & (KN_LAMP_LEFT | KN_LAMP_RIGHT), KN_LAMP_LEFT | KN_LAMP_RIGHT);
    finish(&p);
}

/* The scenario says that an indicator is on; it blinks half of the time, at whatever rate frames are taken. */
Test(scene_play, indicators_blink_evenly) {
    static const double rates[] = {10, 12, 24, 25, 30};
    for (size_t r = 0; r < KN_COUNT(rates); r++) {
        int lit = 0, total = (int)(20 * rates[r]);
        for (int f = 0; f < total; f++) lit += kn_lamps_lit(KN_LAMP_LEFT, f / rates[r]) != 0;
        cr_expect_float_eq((double)lit / total, .5, .05, "%g frames/s: %d of %d", rates[r], lit, total);
        for (int f = 0; f + (int)(2 * rates[r]) < total; f++) {
            lit = 0;
            for (int k = 0; k < (int)(2 * rates[r]); k++) lit += kn_lamps_lit(KN_LAMP_LEFT, (f + k) / rates[r]) != 0;
            cr_assert(lit > .35 * 2 * rates[r] && lit < .65 * 2 * rates[r], "%d of %g", lit, 2 * rates[r]);
        }
    }
    cr_assert_eq(kn_lamps_lit(KN_LAMP_BRAKE | KN_LAMP_LEFT, .5), KN_LAMP_BRAKE);
    played p;
    play(&p, EVENT("light",
                   DOES("<AppearanceAction><LightStateAction><LightType><VehicleLight "
                        "vehicleLightType='indicatorLeft'/></LightType><LightState "
                        "mode='on'/></LightStateAction></AppearanceAction>"),
                   AT("1")));
    for (double t = 1.1; t < 4; t += .1) cr_expect(at(&p, t, 0)->lamps & KN_LAMP_LEFT, "at %g s", t);
    finish(&p);
}
