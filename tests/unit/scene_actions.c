/* Trailers, meeting at a place, distances beside, clearances, grounds without roads. */
#include "scene/scenario.h"
#include "scene/scene_load.h"
#include "scene/scene_json.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define BOX(l) "<BoundingBox><Center x='1.4' y='0' z='.75'/><Dimensions width='2' length='" l "' height='1.5'/></BoundingBox>"
#define CAR(name, more) "<ScenarioObject name='" name "'><Vehicle name='v' vehicleCategory='car'>" BOX("4.5") more "</Vehicle></ScenarioObject>"
#define PUT(who, position, speed) "<Private entityRef='" who "'><PrivateAction><TeleportAction><Position>" position "</Position></TeleportAction></PrivateAction>" \
    "<PrivateAction><LongitudinalAction><SpeedAction><SpeedActionDynamics dynamicsShape='step' dynamicsDimension='time' value='0'/><SpeedActionTarget>" \
    "<AbsoluteTargetSpeed value='" speed "'/></SpeedActionTarget></SpeedAction></LongitudinalAction></PrivateAction></Private>"
#define LANE(lane, s) "<LanePosition roadId='1' laneId='" lane "' s='" s "'/>"
#define EVENT(who, action, trigger) "<Story name='s'><Act name='a'><ManeuverGroup name='g' maximumExecutionCount='1'><Actors selectTriggeringEntities='false'>" \
    "<EntityRef entityRef='" who "'/></Actors><Maneuver name='m'><Event name='e' priority='override'><Action name='x'><PrivateAction>" action \
    "</PrivateAction></Action><StartTrigger><ConditionGroup><Condition name='c' delay='0' conditionEdge='none'>" trigger \
    "</Condition></ConditionGroup></StartTrigger></Event></Maneuver></ManeuverGroup></Act></Story>"
#define NOW "<ByValueCondition><SimulationTimeCondition value='0' rule='greaterOrEqual'/></ByValueCondition>"
#define SCENARIO(network, entities, init, rest) "<OpenSCENARIO><FileHeader/>" network "<Entities>" entities "</Entities><Storyboard><Init><Actions>" init \
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
    cr_assert(kn_scenario_parse(&p->scenario, "test.xosc", text, strlen(text), roads ? &network : NULL, 1, &p->report, &error), "%s", error.message);
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    params.frame_count = frames;
    for (size_t i = 0; i < p->scenario.sim.actor_count; i++)
        p->scenario.sim.actors[i].fixed_speed = -1;
    cr_assert(kn_sim_record(&p->scenario.sim, kn_storyboard_step, &p->scenario, &params, &p->timeline, &error), "%s", error.message);
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
    const char *text = SCENARIO("", CAR("Ego", "<TrailerHitch dx='-1.2'/><Trailer><Trailer name='t'><Vehicle name='w' vehicleCategory='trailer'>" BOX("4.5")
        "<TrailerCoupler dx='3.25'/></Vehicle></Trailer></Trailer>"), PUT("Ego", LANE("-1", "200"), "12"), "");
    play p;
    run(&p, text, true, 240);
    cr_assert_eq(p.report.count, 0);
    cr_assert_eq(p.timeline.actor_count, 2);
    double widest = 0;
    for (size_t f = 0; f < 240; f++) {
        const kn_actor_state *car = at(&p, f, 0), *trailer = at(&p, f, 1);
        cr_assert(trailer->present);
        kn_vec3 hitch = kn_pose_point(&car->pose, (kn_vec3){-1.2, 0, 0}), coupler = kn_pose_point(&trailer->pose, (kn_vec3){3.25, 0, 0});
        cr_assert_lt(hypot(hitch.x - coupler.x, hitch.y - coupler.y), 0.02, "frame %zu", f);
        double bend = kn_wrap_angle(atan2(car->pose.rotation[1][0], car->pose.rotation[0][0]) - atan2(trailer->pose.rotation[1][0], trailer->pose.rotation[0][0]));
        widest = fmax(widest, fabs(bend));
    }
    /* In a steady bend of radius R the angle at the hitch is about coupler / R + hitch / R. */
    cr_assert_float_eq(widest, (3.25 + 1.2) / 60, 0.02, "%g", widest);
    kn_error error = {0};
    cr_assert(kn_check_motion(&p.scenario.sim, &p.timeline, &p.report, &error));
    for (size_t i = 0; i < p.report.count; i++)
        cr_assert_not(p.report.findings[i].is_error, "%s", p.report.findings[i].message);
    end(&p);
}

Test(scene_actions, synchronize) {
    const char *text = SCENARIO("", CAR("Ego", "") CAR("Other", ""), PUT("Ego", LANE("-1", "50"), "20") PUT("Other", LANE("-2", "20"), "15"),
        EVENT("Other", "<SynchronizeAction masterEntityRef='Ego' targetTolerance='1' targetToleranceMaster='1'><TargetPositionMaster>" LANE("-1", "250")
              "</TargetPositionMaster><TargetPosition>" LANE("-2", "230") "</TargetPosition><FinalSpeed><AbsoluteSpeed value='22'/></FinalSpeed></SynchronizeAction>", NOW));
    play p;
    run(&p, text, true, 140);
    for (size_t f = 0; f < 140; f++) {
        if (at(&p, f, 0)->pose.translation.x < 250)
            continue;
        cr_assert_float_eq(at(&p, f, 1)->pose.translation.x - at(&p, f, 0)->pose.translation.x, -20, 2.5);
        cr_assert_float_eq(at(&p, f, 1)->speed, 22, 1);
        break;
    }
    end(&p);
}

Test(scene_actions, lateral_distance) {
    const char *text = SCENARIO("", CAR("Ego", "") CAR("Other", ""), PUT("Ego", LANE("-1", "50"), "10") PUT("Other", LANE("-2", "50"), "10"),
        EVENT("Other", "<LateralAction><LateralDistanceAction entityRef='Ego' freespace='true' distance='0.5' continuous='true' "
              "displacement='rightToReferencedEntity'><DynamicConstraints maxSpeed='2'/></LateralDistanceAction></LateralAction>", NOW));
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
        snprintf(text, sizeof text, SCENARIO("", CAR("Ego", "") CAR("Other", ""), PUT("Ego", LANE("-2", "100"), "10") PUT("Other", LANE("-1", "%d"), "10"),
            EVENT("Ego", "<LateralAction><LaneChangeAction><LaneChangeActionDynamics dynamicsShape='sinusoidal' value='3' dynamicsDimension='time'/>"
                  "<LaneChangeTarget><AbsoluteTargetLane value='-1'/></LaneChangeTarget></LaneChangeAction></LateralAction>",
                  "<ByEntityCondition><TriggeringEntities triggeringEntitiesRule='any'><EntityRef entityRef='Ego'/></TriggeringEntities><EntityCondition>"
                  "<RelativeClearanceCondition distanceForward='40' distanceBackward='20' freeSpace='false' oppositeLanes='false'><RelativeLaneRange from='1' to='1'/>"
                  "</RelativeClearanceCondition></EntityCondition></ByEntityCondition>")), near ? 130 : 160);
        play p;
        run(&p, text, true, 60);
        cr_assert_float_eq(at(&p, 59, 0)->pose.translation.y, near ? -5.25 : -1.75, 0.1);
        end(&p);
    }
}

Test(scene_actions, open_ground) {
    const char *text = SCENARIO("<RoadNetwork/>", CAR("Ego", "") CAR("Other", ""), PUT("Ego", "<WorldPosition x='100' y='-300' h='0.3'/>", "5")
                                PUT("Other", "<WorldPosition x='140' y='-280' h='2'/>", "0"), "");
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
