/* Private actions: what single road users do. */
#include "scene/scenario/scenario.h"

#include <string.h>

static const double NO_LIMIT = 1e6;

static bool read_dynamics(kn_osc *osc, xmlNode *parent, const char *name, kn_dynamics *dynamics) {
    kn_xml *xml = &osc->xml;
    xmlNode *node = kn_xml_require(xml, parent, name);
    if (!node) return false;
    int shape = kn_xml_choice(xml, node, "dynamicsShape", "linear cubic sinusoidal step");
    int dimension = kn_xml_choice(xml, node, "dynamicsDimension", "time rate distance");
    dynamics->shape = shape < 0 ? KN_SHAPE_STEP : (kn_shape)shape;
    dynamics->dimension = dimension < 0 ? 0 : dimension;
    dynamics->value = dynamics->shape == KN_SHAPE_STEP ? kn_xml_number(xml, node, "value", 0)
                                                       : kn_xml_need_number(xml, node, "value");
    return !xml->failed;
}

static void need_entity(kn_osc *osc, xmlNode *node, kn_action *action) {
    action->entity = kn_osc_entity(osc, node, "entityRef");
    if (action->entity < 0 && !osc->xml.failed)
        kn_xml_fail(&osc->xml, node, "<%s> needs attribute 'entityRef'", (const char *)node->name);
}

static bool read_speed(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    action->kind = KN_ACTION_SPEED;
    xmlNode *target = kn_xml_require(xml, node, "SpeedActionTarget");
    if (!target || !read_dynamics(osc, node, "SpeedActionDynamics", &action->dynamics)) return false;
    xmlNode *absolute = kn_xml_child(target, "AbsoluteTargetSpeed"),
            *relative = kn_xml_child(target, "RelativeTargetSpeed");
    action->absolute = absolute != NULL;
    if (!absolute && !relative)
        return kn_xml_fail(xml, target, "<SpeedActionTarget> needs an AbsoluteTargetSpeed or RelativeTargetSpeed");
    action->value = kn_xml_need_number(xml, absolute ? absolute : relative, "value");
    if (relative) {
        need_entity(osc, relative, action);
        action->factor = kn_xml_choice(xml, relative, "speedTargetValueType", "delta factor") == 1;
        action->continuous = kn_xml_bool(xml, relative, "continuous", false);
    }
    if (fabs(action->value) > 200) kn_xml_fail(xml, target, "speed %g m/s, expected at most 200", action->value);
    return !xml->failed;
}

static bool read_profile(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    action->kind = KN_ACTION_SPEED_PROFILE;
    action->entity = kn_osc_entity(osc, node, "entityRef");
    size_t count = kn_xml_count(node, "SpeedProfileEntry");
    action->profile = kn_xml_alloc(xml, count, sizeof *action->profile);
    if (!count && !xml->failed) kn_xml_fail(xml, node, "<SpeedProfileAction> has no <SpeedProfileEntry>");
    if (xml->failed) return false;
    double time = 0;
    for (xmlNode *e = kn_xml_child(node, "SpeedProfileEntry"); e && !xml->failed;
         e = kn_xml_next(e, "SpeedProfileEntry")) {
        double *entry = action->profile[action->profile_count];
        entry[1] = kn_xml_need_number(xml, e, "speed");
        double last = action->profile_count ? action->profile[action->profile_count - 1][1] : 0;
        double step = kn_xml_number(xml, e, "time",
                                    action->profile_count ? fabs(entry[1] - last) / 3
                                                          : 0); /* times count from the entry before */
        entry[0] = time += fmax(step, 0);
        action->profile_count++;
        if (fabs(entry[1]) > 200 || !(time < 1e7))
            kn_xml_fail(xml, e, "speed %g m/s at %g s is out of range", entry[1], time);
    }
    return !xml->failed;
}

static bool read_distance(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    action->kind = KN_ACTION_DISTANCE;
    need_entity(osc, node, action);
    action->by_time = kn_xml_has(node, "timeGap");
    action->value = kn_xml_number(xml, node, action->by_time ? "timeGap" : "distance", 0);
    action->freespace = kn_xml_bool(xml, node, "freespace", false);
    action->continuous = kn_xml_bool(xml, node, "continuous", false);
    xmlNode *limits = kn_xml_child(node, "DynamicConstraints");
    action->max_acceleration = fmax(kn_xml_number(xml, limits, "maxAcceleration", 5), 0.1);
    action->max_deceleration = fmax(kn_xml_number(xml, limits, "maxDeceleration", 8), 0.1);
    action->max_speed = kn_xml_number(xml, limits, "maxSpeed", NO_LIMIT);
    return !xml->failed;
}

static bool read_longitudinal(kn_osc *osc, xmlNode *node, kn_action *action) {
    xmlNode *child = kn_xml_child(node, NULL);
    if (child && kn_xml_is(child, "SpeedAction")) return read_speed(osc, child, action);
    if (child && kn_xml_is(child, "SpeedProfileAction")) return read_profile(osc, child, action);
    if (child && kn_xml_is(child, "LongitudinalDistanceAction")) return read_distance(osc, child, action);
    kn_xml_unsupported(&osc->xml, child ? child : node, "it ends at once");
    return true;
}

static bool read_lane_change(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    action->kind = KN_ACTION_LANE_CHANGE;
    action->target_offset = kn_xml_number(xml, node, "targetLaneOffset", 0);
    xmlNode *target = kn_xml_require(xml, node, "LaneChangeTarget");
    if (!target || !read_dynamics(osc, node, "LaneChangeActionDynamics", &action->dynamics)) return false;
    xmlNode *absolute = kn_xml_child(target, "AbsoluteTargetLane"),
            *relative = kn_xml_child(target, "RelativeTargetLane");
    action->absolute = absolute != NULL;
    if (!absolute && !relative)
        return kn_xml_fail(xml, target, "<LaneChangeTarget> needs an AbsoluteTargetLane or RelativeTargetLane");
    action->value = kn_xml_integer(xml, absolute ? absolute : relative, "value", 0);
    if (relative) need_entity(osc, relative, action);
    return !xml->failed;
}

static bool read_lane_offset(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    action->kind = KN_ACTION_LANE_OFFSET;
    action->continuous = kn_xml_bool(xml, node, "continuous", false);
    xmlNode *dynamics = kn_xml_child(node, "LaneOffsetActionDynamics"),
            *target = kn_xml_require(xml, node, "LaneOffsetTarget");
    int shape = kn_xml_choice(xml, dynamics, "dynamicsShape", "linear cubic sinusoidal step");
    action->dynamics.shape = shape < 0 ? KN_SHAPE_SINUSOIDAL : (kn_shape)shape;
    action->max_lateral_acceleration = fmin(fmax(kn_xml_number(xml, dynamics, "maxLateralAcc", 1), 0.01), 20);
    xmlNode *absolute = kn_xml_child(target, "AbsoluteTargetLaneOffset"),
            *relative = kn_xml_child(target, "RelativeTargetLaneOffset");
    action->absolute = absolute != NULL;
    if (target && !absolute && !relative)
        return kn_xml_fail(xml, target,
                           "<LaneOffsetTarget> needs an AbsoluteTargetLaneOffset or RelativeTargetLaneOffset");
    action->value = kn_xml_need_number(xml, absolute ? absolute : relative, "value");
    if (relative) need_entity(osc, relative, action);
    return !xml->failed;
}

static bool read_beside(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    action->kind = KN_ACTION_BESIDE;
    need_entity(osc, node, action);
    action->value = fabs(kn_xml_number(xml, node, "distance", 0));
    action->freespace = kn_xml_bool(xml, node, "freespace", false);
    action->continuous = kn_xml_bool(xml, node, "continuous", false);
    int side = kn_xml_choice(xml, node, "displacement", "any leftToReferencedEntity rightToReferencedEntity");
    action->side = side == 1 ? 1 : side == 2 ? -1 : 0;
    xmlNode *limits = kn_xml_child(node, "DynamicConstraints");
    action->max_speed = fmax(kn_xml_number(xml, limits, "maxSpeed", NO_LIMIT), 0.05);
    action->max_acceleration = fmax(kn_xml_number(xml, limits, "maxAcceleration", NO_LIMIT), 0.1);
    if (!(action->value < 100)) kn_xml_fail(xml, node, "lateral distance of %g m, expected at most 100", action->value);
    return !xml->failed;
}

static bool read_lateral(kn_osc *osc, xmlNode *node, kn_action *action) {
    xmlNode *child = kn_xml_child(node, NULL);
    if (child && kn_xml_is(child, "LaneChangeAction")) return read_lane_change(osc, child, action);
    if (child && kn_xml_is(child, "LaneOffsetAction")) return read_lane_offset(osc, child, action);
    if (child && kn_xml_is(child, "LateralDistanceAction")) return read_beside(osc, child, action);
    kn_xml_unsupported(&osc->xml, child ? child : node, "it ends at once");
    return true;
}

static bool read_follow(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    action->kind = KN_ACTION_TRAJECTORY;
    action->time_scale = 1;
    action->value = kn_xml_number(xml, node, "initialDistanceOffset", 0);
    if (!(action->value >= 0))
        return kn_xml_fail(xml, node, "initialDistanceOffset %g m, expected at least 0", action->value);
    xmlNode *timing = kn_xml_child(kn_xml_child(node, "TimeReference"), "Timing");
    if (timing) {
        action->timed = true;
        action->relative_times = kn_xml_choice(xml, timing, "domainAbsoluteRelative", "absolute relative") != 0;
        action->time_scale = kn_xml_number(xml, timing, "scale", 1);
        action->time_offset = kn_xml_number(xml, timing, "offset", 0);
        if (!(action->time_scale > 1e-3 && action->time_scale < 1e3))
            kn_xml_fail(xml, timing, "<Timing> scale must be above 0");
    }
    return !xml->failed && kn_osc_read_trajectory(osc, node, &action->trajectory);
}

static bool read_route_node(kn_osc *osc, xmlNode *route, kn_action *action) {
    kn_xml *xml = &osc->xml;
    action->waypoints = kn_xml_alloc(xml, kn_xml_count(route, "Waypoint"), sizeof *action->waypoints);
    if (!action->waypoints) return false;
    for (xmlNode *w = kn_xml_child(route, "Waypoint"); w; w = kn_xml_next(w, "Waypoint"))
        if (!kn_osc_read_position(osc, w, "Position", &action->waypoints[action->waypoint_count++])) return false;
    return true;
}

/* <SynchronizeAction>: to be at a place when the master is at his. */
static bool read_synchronize(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    action->kind = KN_ACTION_SYNCHRONIZE;
    action->entity = kn_osc_entity(osc, node, kn_xml_has(node, "masterEntityRef") ? "masterEntityRef" : "masterEntity");
    if (action->entity < 0)
        return xml->failed ? false : kn_xml_fail(xml, node, "<SynchronizeAction> needs attribute 'masterEntityRef'");
    action->tolerance = fabs(kn_xml_number(xml, node, "targetTolerance", 1));
    action->master_tolerance = fabs(kn_xml_number(xml, node, "targetToleranceMaster", 1));
    action->waypoints = kn_xml_alloc(xml, 1, sizeof *action->waypoints);
    if (!action->waypoints || !kn_osc_read_position(osc, node, "TargetPositionMaster", action->waypoints) ||
        !kn_osc_read_position(osc, node, "TargetPosition", &action->position))
        return false;
    xmlNode *final = kn_xml_child(node, "FinalSpeed"), *absolute = kn_xml_child(final, "AbsoluteSpeed"),
            *relative = kn_xml_child(final, "RelativeSpeedToMaster");
    action->has_final = absolute || relative;
    action->absolute = absolute != NULL;
    if (action->has_final) action->value = kn_xml_need_number(xml, absolute ? absolute : relative, "value");
    action->factor = relative && kn_xml_choice(xml, relative, "speedTargetValueType", "delta factor") == 1;
    xmlNode *given = absolute ? absolute : relative, *metres = kn_xml_child(given, "TargetDistanceSteadyState"),
            *seconds = kn_xml_child(given, "TargetTimeSteadyState");
    if (given) kn_xml_known(xml, given, "TargetDistanceSteadyState TargetTimeSteadyState");
    if (metres) action->steady_metres = kn_xml_need_number(xml, metres, "distance");
    if (seconds) action->steady_seconds = kn_xml_need_number(xml, seconds, "time");
    if (!(action->steady_metres >= 0 && action->steady_seconds >= 0))
        return kn_xml_fail(xml, given, "a steady state of less than nothing");
    return !xml->failed;
}

/* <TrailerAction>: hitches another entity on, or drops what hangs on this one. */
static bool read_trailer_action(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    xmlNode *connect = kn_xml_child(node, "ConnectTrailerAction");
    action->kind = KN_ACTION_TRAILER;
    if (!connect && !kn_xml_child(node, "DisconnectTrailerAction"))
        return kn_xml_fail(xml, node, "<TrailerAction> needs a ConnectTrailerAction or DisconnectTrailerAction");
    if (connect && (action->entity = kn_osc_entity(osc, connect, "trailerRef")) < 0)
        return xml->failed ? false : kn_xml_fail(xml, connect, "<ConnectTrailerAction> needs attribute 'trailerRef'");
    return !xml->failed;
}

static bool read_routing(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    xmlNode *child = kn_xml_child(node, NULL);
    if (child && kn_xml_is(child, "FollowTrajectoryAction")) return read_follow(osc, child, action);
    action->kind = KN_ACTION_ROUTE;
    if (child && kn_xml_is(child, "AcquirePositionAction")) {
        action->waypoints = kn_xml_alloc(xml, 1, sizeof *action->waypoints);
        action->waypoint_count = 1;
        return action->waypoints && kn_osc_read_position(osc, child, "Position", action->waypoints);
    }
    if (child && kn_xml_is(child, "AssignRouteAction")) {
        xmlNode *route = kn_xml_child(child, "Route"), *reference = kn_xml_child(child, "CatalogReference");
        if (route) return read_route_node(osc, route, action);
        kn_catalog_visit visit;
        bool ok = reference ? kn_osc_enter_catalog(osc, reference, "Route", &visit) &&
                                  read_route_node(osc, visit.entry, action)
                            : kn_xml_fail(xml, child, "<AssignRouteAction> has no route");
        if (reference) kn_osc_leave_catalog(osc, &visit);
        return ok;
    }
    action->kind = KN_ACTION_NONE;
    kn_xml_unsupported(xml, child ? child : node, "it ends at once");
    return true;
}

static bool read_controller(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    xmlNode *activate =
        kn_xml_is(node, "ActivateControllerAction") ? node : kn_xml_child(node, "ActivateControllerAction");
    bool longitudinal = kn_xml_bool(xml, activate, "longitudinal", false),
         lateral = kn_xml_bool(xml, activate, "lateral", false);
    action->kind = KN_ACTION_CONTROLLER;
    action->absolute = longitudinal;
    action->modify = activate && kn_xml_has(activate, "longitudinal");
    if (longitudinal || lateral)
        kn_xml_unsupported(
            xml, activate,
            "Kinora's own driver takes the controller's place: it follows the lane and the vehicle ahead");
    if (kn_xml_is(node, "ControllerAction"))
        kn_xml_known(xml, node, "ActivateControllerAction AssignControllerAction OverrideControllerValueAction");
    return !xml->failed;
}

static bool read_light(kn_osc *osc, xmlNode *node, kn_action *action) {
    static const unsigned lamps[] = {KN_LAMP_HEAD | KN_LAMP_TAIL,
                                     KN_LAMP_HEAD,
                                     KN_LAMP_HEAD,
                                     KN_LAMP_HEAD,
                                     KN_LAMP_TAIL,
                                     KN_LAMP_BRAKE,
                                     KN_LAMP_LEFT,
                                     KN_LAMP_RIGHT,
                                     KN_LAMP_REVERSE,
                                     KN_LAMP_LEFT | KN_LAMP_RIGHT,
                                     KN_LAMP_TAIL,
                                     0};
    kn_xml *xml = &osc->xml;
    xmlNode *light = kn_xml_child(kn_xml_child(node, "LightType"), "VehicleLight"),
            *state = kn_xml_child(node, "LightState");
    action->kind = KN_ACTION_LIGHT;
    if (!light || !state) {
        kn_xml_unsupported(xml, node, "user-defined lights");
        action->kind = KN_ACTION_NONE;
        return true;
    }
    int type = kn_xml_choice(
        xml, light, "vehicleLightType",
        "daytimeRunningLights lowBeam highBeam fogLightsFront fogLightsRear brakeLights indicatorLeft indicatorRight "
        "reversingLights warningLights licensePlateIllumination specialPurposeLights fogLights");
    action->lamps = type >= 0 && type < (int)KN_COUNT(lamps) ? lamps[type] : type >= 0 ? KN_LAMP_HEAD : 0;
    action->light_mode = kn_xml_choice(xml, state, "mode", "off on flashing");
    if (!action->lamps && !xml->failed) kn_xml_unsupported(xml, light, "this lamp is not drawn");
    return !xml->failed;
}

bool kn_osc_read_private(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    xmlNode *child = kn_xml_child(node, NULL);
    *action = (kn_action){.line = kn_xml_line(node), .actor = -1, .entity = -1};
    if (!child) return kn_xml_fail(xml, node, "<PrivateAction> is empty");
    action->line = kn_xml_line(child);
    if (kn_xml_is(child, "LongitudinalAction")) return read_longitudinal(osc, child, action);
    if (kn_xml_is(child, "LateralAction")) return read_lateral(osc, child, action);
    if (kn_xml_is(child, "TeleportAction")) {
        action->kind = KN_ACTION_TELEPORT;
        return kn_osc_read_position(osc, child, "Position", &action->position);
    }
    if (kn_xml_is(child, "RoutingAction")) return read_routing(osc, child, action);
    if (kn_xml_is(child, "SynchronizeAction")) return read_synchronize(osc, child, action);
    if (kn_xml_is(child, "TrailerAction")) return read_trailer_action(osc, child, action);
    if (kn_xml_is(child, "ControllerAction") || kn_xml_is(child, "ActivateControllerAction"))
        return read_controller(osc, child, action);
    if (kn_xml_is(child, "VisibilityAction")) {
        action->kind = KN_ACTION_VISIBILITY;
        action->absolute = kn_xml_bool(xml, child, "graphics", true);
        return !xml->failed;
    }
    if (kn_xml_is(child, "AppearanceAction") && kn_xml_child(child, "LightStateAction"))
        return read_light(osc, kn_xml_child(child, "LightStateAction"), action);
    kn_xml_unsupported(xml, child, "it ends at once");
    return true;
}
