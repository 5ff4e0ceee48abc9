/* Triggers and conditions. */
#include "scene/scenario/scenario.h"

#include <stdlib.h>
#include <string.h>

static const char RULES[] = "equalTo greaterThan lessThan greaterOrEqual lessOrEqual notEqualTo";

static void read_rule(kn_osc *osc, xmlNode *node, kn_condition *c) {
    int rule = kn_xml_choice(&osc->xml, node, "rule", RULES);
    c->rule = rule < 0 ? KN_RULE_GREATER : rule;
}

static void read_distance_options(kn_osc *osc, xmlNode *node, kn_condition *c) {
    kn_xml *xml = &osc->xml;
    c->freespace = kn_xml_bool(xml, node, "freespace", false);
    int type =
        kn_xml_choice(xml, node, "relativeDistanceType", "longitudinal lateral euclidianDistance cartesianDistance");
    int system = kn_xml_choice(xml, node, "coordinateSystem", "entity lane road trajectory world");
    bool along_route = kn_xml_bool(xml, node, "alongRoute", false);
    c->axis = type == 0 ? KN_DISTANCE_LONGITUDINAL : type == 1 ? KN_DISTANCE_LATERAL : KN_DISTANCE_EUCLIDEAN;
    c->alongside_road = system == 1 || system == 2 || along_route;
    if (along_route && type < 0) c->axis = KN_DISTANCE_LONGITUDINAL;
}

static void need_other(kn_osc *osc, xmlNode *node, kn_condition *c) {
    c->entity = kn_osc_entity(osc, node, "entityRef");
    if (c->entity < 0 && !osc->xml.failed)
        kn_xml_fail(&osc->xml, node, "<%s> needs attribute 'entityRef'", node ? (const char *)node->name : "condition");
}

static bool read_ttc(kn_osc *osc, xmlNode *node, kn_condition *c) {
    xmlNode *target = kn_xml_require(&osc->xml, node, "TimeToCollisionConditionTarget");
    xmlNode *other = kn_xml_child(target, "EntityRef");
    c->axis = KN_DISTANCE_LONGITUDINAL;
    read_distance_options(osc, node, c);
    if (other) need_other(osc, other, c);
    else if (target) kn_osc_read_position(osc, target, "Position", &c->position);
    return !osc->xml.failed;
}

static bool read_clearance(kn_osc *osc, xmlNode *node, kn_condition *c) {
    kn_xml *xml = &osc->xml;
    c->forward = kn_xml_number(xml, node, "distanceForward", INFINITY);
    c->backward = kn_xml_number(xml, node, "distanceBackward", INFINITY);
    c->freespace = kn_xml_bool(xml, node, kn_xml_has(node, "freeSpace") ? "freeSpace" : "freespace", false);
    c->opposite = kn_xml_bool(xml, node, "oppositeLanes", false);
    xmlNode *range = kn_xml_child(node, "RelativeLaneRange");
    c->lane_from = kn_xml_integer(xml, range, "from", range ? -1000 : 0);
    c->lane_to = kn_xml_integer(xml, range, "to", range ? 1000 : 0);
    if (range && kn_xml_next(range, "RelativeLaneRange"))
        kn_xml_unsupported(xml, kn_xml_next(range, "RelativeLaneRange"), "only the first range of lanes is looked at");
    c->others = kn_xml_alloc(xml, kn_xml_count(node, "EntityRef"), sizeof *c->others);
    for (xmlNode *e = c->others ? kn_xml_child(node, "EntityRef") : NULL; e && !xml->failed;
         e = kn_xml_next(e, "EntityRef")) {
        int other = kn_osc_entity(osc, e, "entityRef");
        if (other >= 0) c->others[c->other_count++] = other;
    }
    return !xml->failed;
}

/* The <EntityCondition> child; *c is filled as far as its kind needs. */
/* Who a collision condition is about: `check` does not call their collision a fault. */
static void watch_collision(kn_osc *osc, const kn_condition *c) {
    kn_sim_actor *actors = osc->scenario->sim.actors;
    int watched = c->entity >= 0 ? 1 : 2;
    for (size_t i = 0; i < c->entity_count; i++)
        if (actors[c->entities[i]].watched < watched) actors[c->entities[i]].watched = watched;
    if (c->entity >= 0 && !actors[c->entity].watched) actors[c->entity].watched = 1;
}

static bool read_entity_condition(kn_osc *osc, xmlNode *node, kn_condition *c) {
    static const struct {
        const char *name;
        kn_condition_kind kind;
    } kinds[] = {{"TimeHeadwayCondition", KN_CONDITION_HEADWAY},
                 {"TimeToCollisionCondition", KN_CONDITION_TTC},
                 {"RelativeDistanceCondition", KN_CONDITION_RELATIVE_DISTANCE},
                 {"DistanceCondition", KN_CONDITION_DISTANCE},
                 {"ReachPositionCondition", KN_CONDITION_REACH},
                 {"SpeedCondition", KN_CONDITION_SPEED},
                 {"RelativeSpeedCondition", KN_CONDITION_RELATIVE_SPEED},
                 {"AccelerationCondition", KN_CONDITION_ACCELERATION},
                 {"TraveledDistanceCondition", KN_CONDITION_TRAVELED},
                 {"StandStillCondition", KN_CONDITION_STAND_STILL},
                 {"EndOfRoadCondition", KN_CONDITION_END_OF_ROAD},
                 {"OffroadCondition", KN_CONDITION_OFFROAD},
                 {"CollisionCondition", KN_CONDITION_COLLISION},
                 {"RelativeClearanceCondition", KN_CONDITION_CLEARANCE}};
    kn_xml *xml = &osc->xml;
    size_t i = 0;
    while (i < KN_COUNT(kinds) && !kn_xml_is(node, kinds[i].name)) i++;
    if (i == KN_COUNT(kinds)) {
        kn_xml_unsupported(xml, node, "it is never true");
        return true;
    }
    c->kind = kinds[i].kind;
    read_rule(osc, node, c);
    switch (c->kind) {
    case KN_CONDITION_HEADWAY:
    case KN_CONDITION_RELATIVE_DISTANCE:
    case KN_CONDITION_RELATIVE_SPEED: need_other(osc, node, c); break;
    case KN_CONDITION_TTC: read_ttc(osc, node, c); break;
    case KN_CONDITION_DISTANCE:
    case KN_CONDITION_REACH: kn_osc_read_position(osc, node, "Position", &c->position); break;
    case KN_CONDITION_CLEARANCE: return read_clearance(osc, node, c);
    case KN_CONDITION_COLLISION:
        if (kn_xml_child(node, "EntityRef")) need_other(osc, kn_xml_child(node, "EntityRef"), c);
        else kn_xml_unsupported(xml, node, "collisions with a type of thing; any collision counts");
        if (!xml->failed) watch_collision(osc, c);
        return !xml->failed;
    default: break;
    }
    if (c->kind == KN_CONDITION_REACH) {
        c->tolerance = kn_xml_need_number(xml, node, "tolerance");
    } else if (c->kind == KN_CONDITION_STAND_STILL || c->kind == KN_CONDITION_END_OF_ROAD ||
               c->kind == KN_CONDITION_OFFROAD) {
        c->value = kn_xml_need_number(xml, node, "duration");
    } else {
        c->value = kn_xml_need_number(xml, node, "value");
    }
    if (c->kind == KN_CONDITION_HEADWAY) {
        c->axis = KN_DISTANCE_LONGITUDINAL;
        read_distance_options(osc, node, c);
    } else if (c->kind == KN_CONDITION_RELATIVE_DISTANCE || c->kind == KN_CONDITION_DISTANCE) {
        read_distance_options(osc, node, c);
    }
    return !xml->failed;
}

static bool read_by_entity(kn_osc *osc, xmlNode *node, kn_condition *c) {
    kn_xml *xml = &osc->xml;
    xmlNode *triggering = kn_xml_require(xml, node, "TriggeringEntities"),
            *condition = kn_xml_require(xml, node, "EntityCondition");
    xmlNode *inner = kn_xml_child(condition, NULL);
    if (!triggering || !condition) return false;
    if (!inner) return kn_xml_fail(xml, condition, "<EntityCondition> is empty");
    c->any = kn_xml_choice(xml, triggering, "triggeringEntitiesRule", "any all") != 1;
    c->entities = kn_xml_alloc(xml, kn_xml_count(triggering, "EntityRef"), sizeof *c->entities);
    if (!c->entities) return false;
    for (xmlNode *e = kn_xml_child(triggering, "EntityRef"); e; e = kn_xml_next(e, "EntityRef")) {
        int entity = kn_osc_entity(osc, e, "entityRef");
        if (entity < 0) return xml->failed ? false : kn_xml_fail(xml, e, "<EntityRef> needs attribute 'entityRef'");
        c->entities[c->entity_count++] = entity;
    }
    return read_entity_condition(osc, inner, c);
}

static bool read_by_value(kn_osc *osc, xmlNode *node, kn_condition *c) {
    kn_xml *xml = &osc->xml;
    xmlNode *inner = kn_xml_child(node, NULL);
    if (!inner) return kn_xml_fail(xml, node, "<ByValueCondition> is empty");
    if (kn_xml_is(inner, "SimulationTimeCondition")) {
        c->kind = KN_CONDITION_TIME;
        c->value = kn_xml_need_number(xml, inner, "value");
        read_rule(osc, inner, c);
    } else if (kn_xml_is(inner, "StoryboardElementStateCondition")) {
        c->kind = KN_CONDITION_ELEMENT;
        int type =
            kn_xml_choice(xml, inner, "storyboardElementType", "story act maneuverGroup maneuver event action scene");
        int state = kn_xml_choice(
            xml, inner, "state",
            "completeState endTransition runningState skipTransition standbyState startTransition stopTransition");
        c->element_type = type < 0 ? KN_ELEMENT_EVENT : type;
        c->element_state = state < 0 ? KN_WHEN_COMPLETE : state;
        c->name = kn_xml_need_text(xml, inner, "storyboardElementRef");
    } else if (kn_xml_is(inner, "ParameterCondition") || kn_xml_is(inner, "VariableCondition")) {
        c->kind = KN_CONDITION_PARAMETER;
        c->name = kn_xml_literal(xml, inner, kn_xml_is(inner, "VariableCondition") ? "variableRef" : "parameterRef");
        c->name += *c->name == '$';
        c->text = kn_xml_need_text(xml, inner, "value");
        read_rule(osc, inner, c);
    } else if (kn_xml_is(inner, "TrafficSignalCondition") || kn_xml_is(inner, "TrafficSignalControllerCondition")) {
        bool light = kn_xml_is(inner, "TrafficSignalCondition");
        c->kind = light ? KN_CONDITION_SIGNAL : KN_CONDITION_SIGNAL_PHASE;
        c->name = kn_xml_need_text(xml, inner, light ? "name" : "trafficSignalControllerRef");
        c->text = kn_xml_need_text(xml, inner, light ? "state" : "phase");
    } else if (kn_xml_is(inner, "TimeOfDayCondition")) {
        c->kind = KN_CONDITION_TIME_OF_DAY;
        const char *text = kn_xml_need_text(xml, inner, "dateTime"), *t = strchr(text, 'T');
        int h = 0, m = 0;
        double s = 0;
        if (!t || sscanf(t + 1, "%2d:%2d:%lf", &h, &m, &s) < 2)
            kn_xml_fail(xml, inner, "dateTime '%.60s', expected like 2024-06-01T12:00:00", text);
        c->value = h * 3600.0 + m * 60.0 + s;
        read_rule(osc, inner, c);
    } else {
        kn_xml_unsupported(xml, inner, "it is never true");
    }
    return !xml->failed;
}

static bool read_condition(kn_osc *osc, xmlNode *node, kn_condition *c) {
    kn_xml *xml = &osc->xml;
    *c = (kn_condition){.line = kn_xml_line(node), .entity = -1};
    int edge = kn_xml_choice(xml, node, "conditionEdge", "none rising falling risingOrFalling");
    c->edge = edge < 0 ? KN_EDGE_NONE : edge;
    c->delay = fmin(fmax(kn_xml_number(xml, node, "delay", 0), 0), 1e6);
    xmlNode *by_entity = kn_xml_child(node, "ByEntityCondition"), *by_value = kn_xml_child(node, "ByValueCondition");
    if (by_entity) return read_by_entity(osc, by_entity, c);
    if (by_value) return read_by_value(osc, by_value, c);
    return kn_xml_fail(xml, node, "<Condition> has no ByEntityCondition or ByValueCondition");
}

bool kn_osc_read_trigger(kn_osc *osc, xmlNode *node, kn_trigger *trigger) {
    kn_xml *xml = &osc->xml;
    *trigger = (kn_trigger){.given = node != NULL};
    trigger->groups = kn_xml_alloc(xml, kn_xml_count(node, "ConditionGroup"), sizeof *trigger->groups);
    if (!trigger->groups) return false;
    for (xmlNode *g = kn_xml_child(node, "ConditionGroup"); g; g = kn_xml_next(g, "ConditionGroup")) {
        kn_condition_group *group = &trigger->groups[trigger->count++];
        group->conditions = kn_xml_alloc(xml, kn_xml_count(g, "Condition"), sizeof *group->conditions);
        if (!group->conditions) return false;
        for (xmlNode *c = kn_xml_child(g, "Condition"); c; c = kn_xml_next(c, "Condition"))
            if (!read_condition(osc, c, &group->conditions[group->count++])) return false;
    }
    return !xml->failed;
}
