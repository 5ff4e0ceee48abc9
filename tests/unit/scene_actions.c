/* Trailers, meeting at a place, distances beside, clearances, grounds without roads. */
#include "scene/scenario/scenario.h"
#include "scene/world/scene_load.h"
#include "scene/json/scene_json.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define BOX(l) \
    "<BoundingBox><Center x='1.4' y='0' z='.75'/><Dimensions width='2' length='" l "' height='1.5'/></BoundingBox>"
#define CAR(name, more)                                                                        \
    "<ScenarioObject name='" name "'><Vehicle name='v' vehicleCategory='car'>" BOX("4.5") more \
        "</Vehicle></ScenarioObject>"
#define PUT(who, position, speed)                                                                \
    "<Private entityRef='" who "'><PrivateAction><TeleportAction><Position>" position            \
    "</Position></TeleportAction></PrivateAction>"                                               \
    "<PrivateAction><LongitudinalAction><SpeedAction><SpeedActionDynamics dynamicsShape='step' " \
    "dynamicsDimension='time' value='0'/><SpeedActionTarget>"                                    \
    "<AbsoluteTargetSpeed value='" speed                                                         \
    "'/></SpeedActionTarget></SpeedAction></LongitudinalAction></PrivateAction></Private>"
#define LANE(lane, s) "<LanePosition roadId='1' laneId='" lane "' s='" s "'/>"
#define EVENT(who, action, trigger)                                                                              \
    "<Story name='s'><Act name='a'><ManeuverGroup name='g' maximumExecutionCount='1'><Actors "                   \
    "selectTriggeringEntities='false'>"                                                                          \
    "<EntityRef entityRef='" who                                                                                 \
    "'/></Actors><Maneuver name='m'><Event name='e' priority='override'><Action name='x'><PrivateAction>" action \
    "</PrivateAction></Action><StartTrigger><ConditionGroup><Condition name='c' delay='0' "                      \
    "conditionEdge='none'>" trigger                                                                              \
    "</Condition></ConditionGroup></StartTrigger></Event></Maneuver></ManeuverGroup></Act></Story>"
#define NOW "<ByValueCondition><SimulationTimeCondition value='0' rule='greaterOrEqual'/></ByValueCondition>"
#define SCENARIO(network, entities, init, rest)                                                               \
    "<OpenSCENARIO><FileHeader/>" network "<Entities>" entities "</Entities><Storyboard><Init><Actions>" init \
    "</Actions></Init>" rest "</Storyboard></OpenSCENARIO>"

/* 800 m: straight, a bend of 60 m radius, straight; lanes 2, 1, -1, -2. */
static kn_road_network bent_road(void) {
    kn_road_network network;
    kn_profile profile = {.left_count = 2, .right_count = 2};
    for (int i = 0; i < 2; i++)
        profile.left[i] = profile.right[i] = (kn_lane_plan){KN_LANE_DRIVING, 3.5, 0, KN_MARK_BROKEN, 0};
    kn_cursor cursor = {0};
    kn_segment pieces[3] = {{300, 0, 0}, {90, 1 / 60.0, 1 / 60.0}, {410, 0, 0}};
    cr_assert(kn_plan_init(&network, 1, 0, NULL));
    cr_assert_eq(kn_plan_road(&network, &cursor, pieces, 3, &profile, NULL), 0);
    kn_road_network_complete(&network);
    return network;
}

typedef struct play {
    kn_scenario scenario;
    kn_timeline timeline;
    kn_report report;
} play;

static void run(play *p, const char *text, bool roads, size_t frames) {
    kn_error error = {0};
    *p = (play){0};
    kn_road_network network = roads ? bent_road() : (kn_road_network){0};
    cr_assert(kn_scenario_parse(&p->scenario, "test.xosc", text, strlen(text), roads ? &network : NULL, 1, &p->report,
                                &error),
              "%s", error.message);
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    params.frame_count = frames;
    for (size_t i = 0; i < p->scenario.sim.actor_count; i++) p->scenario.sim.actors[i].fixed_speed = -1;
    cr_assert(kn_sim_record(&p->scenario.sim, kn_storyboard_step, &p->scenario, &params, &p->timeline, &error), "%s",
              error.message);
}

static const kn_actor_state *at(const play *p, size_t frame, size_t actor) {
    return &p->timeline.states[frame * p->timeline.actor_count + actor];
}

static void end(play *p) {
    kn_timeline_finish(&p->timeline);
    kn_report_finish(&p->report);
    kn_scenario_finish(&p->scenario);
}

Test(scene_actions, trailers_follow_their_hitches) {
    const char *text = SCENARIO(
        "",
        CAR("Ego",
            "<TrailerHitch dx='-1.2'/><Trailer><Trailer name='t'><Vehicle name='w' vehicleCategory='trailer'>" BOX(
                "4.5") "<TrailerCoupler dx='3.25'/></Vehicle></Trailer></Trailer>"),
        PUT("Ego", LANE("-1", "200"), "12"), "");
    play p;
    run(&p, text, true, 240);
    cr_assert_eq(p.report.count, 0);
    cr_assert_eq(p.timeline.actor_count, 2);
    double widest = 0;
    for (size_t f = 0; f < 240; f++) {
        const kn_actor_state *car = at(&p, f, 0), *trailer = at(&p, f, 1);
        cr_assert(trailer->present);
        kn_vec3 hitch = kn_pose_point(&car->pose, (kn_vec3){-1.2, 0, 0}),
                coupler = kn_pose_point(&trailer->pose, (kn_vec3){3.25, 0, 0});
        cr_assert_lt(hypot(hitch.x - coupler.x, hitch.y - coupler.y), 0.02, "frame %zu", f);
        double bend = kn_wrap_angle(atan2(car->pose.rotation[1][0], car->pose.rotation[0][0]) -
                                    atan2(trailer->pose.rotation[1][0], trailer->pose.rotation[0][0]));
        widest = fmax(widest, fabs(bend));
    }
    /* In a steady bend of radius R the angle at the hitch is about coupler / R + hitch / R. */
    cr_assert_float_eq(widest, (3.25 + 1.2) / 60, 0.02, "%g", widest);
    kn_check_motion(&p.scenario.sim, &p.timeline, &p.report);
    for (size_t i = 0; i < p.report.count; i++)
        cr_assert_not(p.report.findings[i].is_error, "%s", p.report.findings[i].message);
    end(&p);
}

Test(scene_actions, synchronize) {
    const char *text = SCENARIO(
        "", CAR("Ego", "") CAR("Other", ""), PUT("Ego", LANE("-1", "50"), "20") PUT("Other", LANE("-2", "20"), "15"),
        EVENT("Other",
              "<SynchronizeAction masterEntityRef='Ego' targetTolerance='1' "
              "targetToleranceMaster='1'><TargetPositionMaster>" LANE(
                  "-1", "250") "</TargetPositionMaster><TargetPosition>" LANE("-2", "230") "</"
                                                                                           "TargetPosition><FinalSpeed>"
                                                                                           "<AbsoluteSpeed "
                                                                                           "value='22'/></FinalSpeed></"
                                                                                           "SynchronizeAction>",
              NOW));
    play p;
    run(&p, text, true, 140);
    for (size_t f = 0; f < 140; f++) {
        if (at(&p, f, 0)->pose.translation.x < 250) continue;
        cr_assert_float_eq(at(&p, f, 1)->pose.translation.x - at(&p, f, 0)->pose.translation.x, -20, 2.5);
        cr_assert_float_eq(at(&p, f, 1)->speed, 22, 1);
        break;
    }
    end(&p);
}

Test(scene_actions, lateral_distance) {
    const char *text = SCENARIO(
        "", CAR("Ego", "") CAR("Other", ""), PUT("Ego", LANE("-1", "50"), "10") PUT("Other", LANE("-2", "50"), "10"),
        EVENT("Other",
              "<LateralAction><LateralDistanceAction entityRef='Ego' freespace='true' distance='0.5' continuous='true' "
              "displacement='rightToReferencedEntity'><DynamicConstraints "
              "maxSpeed='2'/></LateralDistanceAction></LateralAction>",
              NOW));
    play p;
    run(&p, text, true, 96);
    const kn_actor_state *ego = at(&p, 95, 0), *other = at(&p, 95, 1);
    cr_assert_float_eq(ego->pose.translation.y - other->pose.translation.y, 2.5, 0.1);
    for (size_t f = 1; f < 96; f++)
        cr_assert_lt(fabs(at(&p, f, 1)->pose.translation.y - at(&p, f - 1, 1)->pose.translation.y), 2.05 / 12);
    end(&p);
}

Test(scene_actions, clearance) {
    for (int near = 0; near < 2; near++) {
        char text[6000];
        snprintf(text, sizeof text,
                 SCENARIO("", CAR("Ego", "") CAR("Other", ""),
                          PUT("Ego", LANE("-2", "100"), "10") PUT("Other", LANE("-1", "%d"), "10"),
                          EVENT("Ego",
                                "<LateralAction><LaneChangeAction><LaneChangeActionDynamics dynamicsShape='sinusoidal' "
                                "value='3' dynamicsDimension='time'/>"
                                "<LaneChangeTarget><AbsoluteTargetLane "
                                "value='-1'/></LaneChangeTarget></LaneChangeAction></LateralAction>",
                                "<ByEntityCondition><TriggeringEntities triggeringEntitiesRule='any'><EntityRef "
                                "entityRef='Ego'/></TriggeringEntities><EntityCondition>"
                                "<RelativeClearanceCondition distanceForward='40' distanceBackward='20' "
                                "freeSpace='false' oppositeLanes='false'><RelativeLaneRange from='1' to='1'/>"
                                "</RelativeClearanceCondition></EntityCondition></ByEntityCondition>")),
                 near ? 130 : 160);
        play p;
        run(&p, text, true, 60);
        cr_assert_float_eq(at(&p, 59, 0)->pose.translation.y, near ? -5.25 : -1.75, 0.1);
        end(&p);
    }
}

Test(scene_actions, open_ground) {
    const char *text = SCENARIO("<RoadNetwork/>", CAR("Ego", "") CAR("Other", ""),
                                PUT("Ego", "<WorldPosition x='100' y='-300' h='0.3'/>", "5")
                                    PUT("Other", "<WorldPosition x='140' y='-280' h='2'/>", "0"),
                                "");
    play p;
    run(&p, text, false, 24);
    cr_assert_eq(p.scenario.network.road_count, 1);
    cr_assert_geq(kn_road_locate(&p.scenario.network, 100, -300, 0.1).road, 0);
    const kn_actor_state *last = at(&p, 23, 0);
    cr_assert_float_eq(atan2(last->pose.rotation[1][0], last->pose.rotation[0][0]), 0.3, 1e-6); /* no lane turns it */
    cr_assert_float_eq(last->pose.translation.x, 100 + 5 * cos(0.3) * 23 / 12.0, 0.05);
    cr_assert_eq(p.report.count, 1);
    end(&p);
}

Test(scene_actions, weather_changes_smoothly) {
#define WEATHER(time, clouds, sun, more)                                                                             \
    "<GlobalAction><EnvironmentAction><Environment name='e'><TimeOfDay animation='false' dateTime='2024-06-01T" time \
    "'/>"                                                                                                            \
    "<Weather fractionalCloudCover='" clouds "'><Sun azimuth='2' elevation='" sun "'/>" more                         \
    "</Weather></Environment></EnvironmentAction></GlobalAction>"
    const char *text = SCENARIO(
        "", CAR("Ego", ""), WEATHER("12:00:00", "zeroOktas", "0.8", "") PUT("Ego", LANE("-1", "50"), "10"),
        "<Story name='s'><Act name='a'><ManeuverGroup name='g' maximumExecutionCount='1'><Actors "
        "selectTriggeringEntities='false'/><Maneuver name='m'>"
        "<Event name='e' priority='override'><Action name='x'>" WEATHER(
            "20:00:00", "eightOktas", "-0.02",
            "<Fog visualRange='100'/>") "</Action><StartTrigger><ConditionGroup><Condition name='c' delay='0' "
                                        "conditionEdge='none'><ByValueCondition><SimulationTimeCondition value='1' "
                                        "rule='greaterOrEqual'/></ByValueCondition></Condition></ConditionGroup></"
                                        "StartTrigger></Event></Maneuver></ManeuverGroup></Act></Story>");
    play p;
    run(&p, text, true, 96);
    const kn_timeline *t = &p.timeline;
    cr_assert_float_eq(kn_timeline_weather(t, 0)->sun_elevation, 0.8, 1e-9);
    cr_assert_float_eq(kn_timeline_weather(t, 11)->cloud_cover, 0, 1e-9);
    cr_assert_float_eq(kn_timeline_weather(t, 95)->sun_elevation, -0.02, 0.01);
    cr_assert_float_eq(kn_timeline_weather(t, 95)->cloud_cover, 1, 0.01);
    cr_assert_float_eq(kn_timeline_weather(t, 95)->fog_range, 100, 2);
    for (size_t f = 1; f < 96; f++) {
        cr_assert_lt(fabs(kn_timeline_weather(t, f)->sun_elevation - kn_timeline_weather(t, f - 1)->sun_elevation),
                     0.08);
        cr_assert_leq(kn_timeline_weather(t, f)->sun_elevation, kn_timeline_weather(t, f - 1)->sun_elevation);
    }
    cr_assert_not(at(&p, 6, 0)->lamps & KN_LAMP_HEAD);
    cr_assert(at(&p, 90, 0)->lamps & KN_LAMP_HEAD);
    end(&p);
}

Test(scene_actions, signal_controllers) {
    kn_road_network network = bent_road();
    kn_road_object light = {
        .id = "s1", .type = "1000001", .is_signal = true, .dynamic = true, .s = 200, .orientation = 1};
    network.roads[0].objects = &light;
    network.roads[0].object_count = 1;
    const char *text =
        SCENARIO("<RoadNetwork><TrafficSignals><TrafficSignalController name='k' delay='1'>"
                 "<Phase name='stop' duration='2'><TrafficSignalState trafficSignalId='s1' state='red'/></Phase>"
                 "<Phase name='go' duration='3'><TrafficSignalState trafficSignalId='s1' "
                 "state='off;off;on'/></Phase></TrafficSignalController></TrafficSignals></RoadNetwork>",
                 CAR("Ego", ""), PUT("Ego", LANE("-1", "50"), "10"), "");
    kn_scenario scenario;
    kn_error error = {0};
    cr_assert(kn_scenario_parse(&scenario, "test.xosc", text, strlen(text), &network, 1, NULL, &error), "%s",
              error.message);
    cr_assert(kn_signals_plan(&scenario.network, 1, NULL, 0, 10, false, &error));
    cr_assert(kn_scenario_link_signals(&scenario, NULL, &error));
    const kn_signals *signals = scenario.network.signals;
    cr_assert_eq(signals->count, 1);
    static const struct {
        double time;
        kn_signal_state state;
    } states[] = {
        {0, KN_SIGNAL_RED}, {2.9, KN_SIGNAL_RED}, {3.1, KN_SIGNAL_GREEN}, {5.9, KN_SIGNAL_GREEN}, {6.1, KN_SIGNAL_RED}};
    for (size_t i = 0; i < KN_COUNT(states); i++)
        cr_assert_eq(kn_signal_at(signals, 0, states[i].time), states[i].state, "at %g s", states[i].time);
    scenario.network.roads[0].objects = NULL;
    scenario.network.roads[0].object_count = 0;
    kn_scenario_finish(&scenario);
}

/* On the central meridian northings are lengths of the meridian, which is integrated here; beside it arcs of the
 * ellipsoid. */
Test(scene_actions, geo_positions) {
    kn_geo geo;
    double x, y, degree = M_PI / 180;
    cr_assert(kn_geo_parse(&geo, "+proj=utm +zone=32 +datum=WGS84 +units=m +no_defs"));
    kn_geo_project(&geo, 48 * degree, 9 * degree, &x, &y);
    cr_assert_float_eq(x, 500000, 1e-3);
    double e2 = 2 / 298.257223563 - pow(1 / 298.257223563, 2), arc = 0;
    for (int i = 0; i < 4800; i++)
        arc += 6378137 * (1 - e2) * pow(1 - e2 * pow(sin((i + 0.5) * 0.01 * degree), 2), -1.5) * 0.01 * degree;
    cr_assert_float_eq(y, 0.9996 * arc, 0.02);
    cr_assert(kn_geo_parse(&geo, "+proj=tmerc +lat_0=57 +lon_0=12 +k=1 +x_0=100 +y_0=-50 +ellps=GRS80"));
    kn_geo_project(&geo, 57 * degree, 12 * degree, &x, &y);
    cr_assert_float_eq(x, 100, 1e-6);
    cr_assert_float_eq(y, -50, 1e-6);
    kn_geo_project(&geo, 57.01 * degree, 12.01 * degree, &x, &y);
    double nu = 6378137 / sqrt(1 - 0.00669438 * pow(sin(57.01 * degree),
                                                    2)); /* radius across the meridian, along it a little less */
    cr_assert_float_eq(x - 100, nu * cos(57.01 * degree) * 0.01 * degree, 0.05);
    cr_assert_float_eq(y + 50, nu * (1 - 0.00669438) / (1 - 0.00669438 * pow(sin(57.005 * degree), 2)) * 0.01 * degree,
                       0.6);
    cr_assert_not(kn_geo_parse(&geo, "+proj=longlat"));
}

/* Tunnels are closed overhead, bridges have parapets, and neither reaches into the road's clearance. */
Test(scene_actions, tunnels_and_bridges) {
    kn_road_network network;
    kn_error error = {0};
    kn_report report = {0};
    cr_assert(kn_road_network_read(&network, "tests/fuzz/corpus/xodr/spans.xodr", &report, &error), "%s",
              error.message);
    cr_assert_eq(report.count, 0, "%s", report.count ? report.findings[0].message : "");
    cr_assert_eq(network.roads[0].span_count, 2);
    cr_assert(network.geo.known);
    kn_actor ego = {.kind = KN_ACTOR_CAR, .length = 4, .width = 2, .height = 1.5, .is_ego = true, .instance = 1};
    kn_actor_state state = {.pose = kn_pose_from_euler((kn_vec3){5, -1.75, 0}, 0, 0, 0), .present = true};
    kn_timeline timeline = {.frame_rate = 12, .frame_count = 1, .actor_count = 1, .actors = &ego, .states = &state};
    kn_world world;
    cr_assert(kn_world_build(&world, &network, &timeline, 1, 120, false, &error), "%s", error.message);
    int ceiling = 0, parapet = 0;
    for (size_t i = 0; i < world.mesh.vertex_count; i++) {
        const float *p = world.mesh.position[i];
        bool in_tunnel = p[0] > 21 && p[0]<49, on_bridge = p[0]> 61 && p[0] < 79,
             in_lane = p[1] < -0.1f && p[1] > -3.4f;
        ceiling += in_tunnel && p[2] > 5;
        parapet += on_bridge && p[2] > 0.9f && p[2] < 1.2f;
        cr_assert_not((in_tunnel || on_bridge) && in_lane && p[2] > 0.5f && p[2] < 4, "at %g %g %g", p[0], p[1], p[2]);
    }
    cr_assert_gt(ceiling, 10);
    cr_assert_gt(parapet, 8);
    kn_world_finish(&world);
    kn_report_finish(&report);
    kn_road_network_finish(&network);
}

/* A car on a pavement is an error of the check; one on the road beside it is none. */
Test(scene_actions, check_sees_pavements) {
    kn_road_network network;
    kn_profile profile = {.left_count = 1, .right_count = 2};
    profile.left[0] = profile.right[0] = (kn_lane_plan){KN_LANE_DRIVING, 3.5, 0, KN_MARK_SOLID, 0};
    profile.right[1] = (kn_lane_plan){KN_LANE_SIDEWALK, 3, 0.12, KN_MARK_NONE, 0};
    kn_cursor cursor = {0};
    kn_segment piece = {400, 0, 0};
    cr_assert(kn_plan_init(&network, 1, 0, NULL));
    cr_assert_eq(kn_plan_road(&network, &cursor, &piece, 1, &profile, NULL), 0);
    kn_road_network_complete(&network);
    const char *text = SCENARIO("", CAR("Ego", "") CAR("B", ""),
                                PUT("Ego", LANE("-1", "100"), "12") PUT("B", LANE("-2", "150"), "12"), "");
    play p = {0};
    kn_error error = {0};
    cr_assert(kn_scenario_parse(&p.scenario, "test.xosc", text, strlen(text), &network, 1, &p.report, &error), "%s",
              error.message);
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    params.frame_count = 24;
    for (size_t i = 0; i < 2; i++) p.scenario.sim.actors[i].fixed_speed = -1;
    cr_assert(kn_sim_record(&p.scenario.sim, kn_storyboard_step, &p.scenario, &params, &p.timeline, &error));
    kn_check_motion(&p.scenario.sim, &p.timeline, &p.report);
    size_t found = 0;
    for (size_t i = 0; i < p.report.count; i++)
        found += p.report.findings[i].is_error && strstr(p.report.findings[i].message, "'B' drives on a pavement");
    cr_assert_eq(found, 1);
    cr_assert_eq(p.report.count, 1, "%s", p.report.count > 1 ? p.report.findings[1].message : "");
    end(&p);
}

/* <RoadPosition>: headings count from the direction of s, whatever is driven there. */
Test(scene_actions, road_positions_face_along_s) {
    const char *text = SCENARIO(
        "", CAR("Ego", "") CAR("B", "") CAR("C", ""),
        PUT("Ego", LANE("-1", "100"), "0")
            PUT("B", "<RoadPosition roadId='1' s='150' t='1.75'><Orientation type='relative' h='0'/></RoadPosition>",
                "0") PUT("C", LANE("1", "200"), "0"),
        "");
    play p;
    run(&p, text, true, 2);
    cr_assert_gt(at(&p, 0, 1)->pose.rotation[0][0], .99);
    cr_assert_lt(at(&p, 0, 2)->pose.rotation[0][0], -.99); /* on a lane: as it is driven */
    end(&p);
}

/* Beyond the end of a road is at its end, and said. */
Test(scene_actions, places_beyond_the_end_are_clamped) {
    const char *text = SCENARIO("", CAR("Ego", ""), PUT("Ego", LANE("-1", "812.5"), "0"), "");
    play p;
    run(&p, text, true, 2);
    cr_assert_eq(p.report.count, 1);
    cr_assert(strstr(p.report.findings[0].message, "beyond the end"), "%s", p.report.findings[0].message);
    cr_assert_float_eq(p.scenario.sim.actors[0].walker.s, 800, 1e-6);
    end(&p);
}

#define LINE_OF_TWO                                                                                    \
    "<TrajectoryRef><Trajectory name='t' closed='false'><Shape><Polyline><Vertex time='0'><Position>"  \
    "<WorldPosition x='20' y='-5.25'/></Position></Vertex><Vertex time='10'><Position><WorldPosition " \
    "x='220' y='-5.25'/></Position></Vertex></Polyline></Shape></Trajectory></TrajectoryRef>"
#define FOLLOW(more, reference)                                                                \
    "<PrivateAction><RoutingAction><FollowTrajectoryAction " more "><TimeReference>" reference \
    "</TimeReference><TrajectoryFollowingMode followingMode='position'/>" LINE_OF_TWO          \
    "</FollowTrajectoryAction></RoutingAction></PrivateAction>"
#define SPEED(value)                                                                                               \
    "<PrivateAction><LongitudinalAction><SpeedAction><SpeedActionDynamics dynamicsShape='step' dynamicsDimension=" \
    "'time' value='0'/><SpeedActionTarget><AbsoluteTargetSpeed value='" value                                      \
    "'/></SpeedActionTarget></SpeedAction></LongitudinalAction></PrivateAction>"

/* A trajectory that is entered behind its start, by way and by time; who has no other place stands there at once. */
Test(scene_actions, initial_distance_offset) {
    static const char *const references[] = {"<None/>",
                                             "<Timing domainAbsoluteRelative='relative' scale='1' offset='0'/>"};
    for (int timed = 0; timed < 2; timed++) {
        char text[6000];
        snprintf(text, sizeof text,
                 SCENARIO("", CAR("Ego", "") CAR("Other", ""),
                          PUT("Ego", LANE("-1", "50"), "10") "<Private entityRef='Other'>" SPEED("20")
                              FOLLOW("initialDistanceOffset='60'", "%s") "</Private>",
                          ""),
                 references[timed]);
        play p;
        run(&p, text, true, 48);
        cr_assert_float_eq(at(&p, 0, 1)->pose.translation.x, 80, 0.3, "%g", at(&p, 0, 1)->pose.translation.x);
        cr_assert_float_eq(at(&p, 24, 1)->pose.translation.x, 120, 0.5, "%g", at(&p, 24, 1)->pose.translation.x);
        end(&p);
    }
}

/* The final speed is reached 60 m (3 s) before the place and kept; the master's way is measured along his path. */
Test(scene_actions, synchronize_steady_state) {
    static const char *const states[] = {"<TargetDistanceSteadyState distance='60'/>",
                                         "<TargetTimeSteadyState time='3'/>"};
    for (int i = 0; i < 2; i++) {
        char text[8000];
        snprintf(
            text, sizeof text,
            SCENARIO("", CAR("Ego", "") CAR("Other", ""),
                     "<Private entityRef='Ego'>" SPEED("20")
                         FOLLOW("", "<None/>") "</Private>" PUT("Other", LANE("-1", "60"), "0"),
                     EVENT("Other",
                           "<SynchronizeAction masterEntityRef='Ego'><TargetPositionMaster><WorldPosition "
                           "x='200' y='-5.25'/></TargetPositionMaster><TargetPosition>" LANE(
                               "-1", "200") "</TargetPosition><FinalSpeed><AbsoluteSpeed value='20'>%s</AbsoluteSpeed>"
                                            "</FinalSpeed></SynchronizeAction>",
                           NOW)),
            states[i]);
        play p;
        run(&p, text, true, 110);
        for (size_t f = 0; f < p.report.count; f++) cr_assert_fail("%s", p.report.findings[f].message);
        size_t f = 0;
        for (; at(&p, f, 1)->pose.translation.x < 141; f++) cr_assert_lt(f, 108);
        cr_assert_float_eq(at(&p, f, 1)->speed, 20, 0.5, "%g", at(&p, f, 1)->speed);
        for (; at(&p, f, 0)->pose.translation.x < 200; f++) cr_assert_float_eq(at(&p, f, 1)->speed, 20, 0.5);
        cr_assert_float_eq(at(&p, f, 1)->pose.translation.x, at(&p, f, 0)->pose.translation.x, 2, "%g, %g",
                           at(&p, f, 1)->pose.translation.x, at(&p, f, 0)->pose.translation.x);
        end(&p);
    }
}

/* A crash test is no fault of its scenario; others and what overlaps from the beginning are. */
Test(scene_actions, a_collision_that_is_watched_for) {
    static const struct {
        const char *trigger, *from;
        bool is_error;
    } cases[] = {{NOW, "100", true},
                 {"<ByEntityCondition><TriggeringEntities triggeringEntitiesRule='any'><EntityRef entityRef='Ego'/>"
                  "</TriggeringEntities><EntityCondition><CollisionCondition><EntityRef entityRef='Other'/>"
                  "</CollisionCondition></EntityCondition></ByEntityCondition>",
                  "100", false},
                 {"<ByEntityCondition><TriggeringEntities triggeringEntitiesRule='any'><EntityRef entityRef='Ego'/>"
                  "</TriggeringEntities><EntityCondition><CollisionCondition><EntityRef entityRef='Other'/>"
                  "</CollisionCondition></EntityCondition></ByEntityCondition>",
                  "52", true}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        char text[6000];
        snprintf(text, sizeof text,
                 SCENARIO("", CAR("Ego", "") CAR("Other", ""),
                          PUT("Ego", LANE("-1", "50"), "20") PUT("Other", LANE("-1", "%s"), "0"),
                          EVENT("Other", "<VisibilityAction graphics='true' traffic='true' sensors='true'/>", "%s")),
                 cases[i].from, cases[i].trigger);
        play p;
        run(&p, text, true, 40);
        kn_check_motion(&p.scenario.sim, &p.timeline, &p.report);
        size_t errors = 0, watched = 0;
        for (size_t f = 0; f < p.report.count; f++) {
            errors += p.report.findings[f].is_error;
            watched += strstr(p.report.findings[f].message, "which the scenario watches for") != NULL;
        }
        cr_assert(cases[i].is_error ? errors > 0 && !watched : !errors && watched == 1, "case %zu: %zu, %zu", i, errors,
                  watched);
        end(&p);
    }
}
