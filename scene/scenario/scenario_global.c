/* Global actions and the environment. */
#include "scene/scenario/scenario.h"

#include <stdlib.h>
#include <string.h>

static double hours(const char *text, bool *ok) {
    const char *t = strchr(text, 'T');
    int h, m;
    double s = 0;
    *ok =
        t && sscanf(t + 1, "%2d:%2d:%lf", &h, &m, &s) >= 2 && h >= 0 && h < 24 && m >= 0 && m < 60 && s >= 0 && s < 61;
    return *ok ? h * 3600.0 + m * 60.0 + s : 0;
}

static void read_weather(kn_osc *osc, xmlNode *weather, kn_environment *out) {
    kn_xml *xml = &osc->xml;
    kn_xml_known(xml, weather, "Sun Fog Precipitation Wind DomeImage");
    static const double eighths[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 8};
    int eighth = kn_xml_choice(
        xml, weather, "fractionalCloudCover",
        "zeroOktas oneOktas twoOktas threeOktas fourOktas fiveOktas sixOktas sevenOktas eightOktas nineOktas");
    int state = kn_xml_choice(xml, weather, "cloudState", "free cloudy overcast rainy skyOff skyoff sky_off");
    if (eighth >= 0) out->cloud_cover = eighths[eighth] / 8;
    else if (state >= 0) out->cloud_cover = (double[]){0, 0.5, 0.95, 1, 0.5, 0.5, 0.5}[state];
    if (state == 3 && isnan(out->rain)) out->rain = 0.5;
    xmlNode *sun = kn_xml_child(weather, "Sun"), *fog = kn_xml_child(weather, "Fog"),
            *rain = kn_xml_child(weather, "Precipitation");
    if (sun) {
        out->sun_azimuth = kn_xml_number(xml, sun, "azimuth", NAN);
        out->sun_elevation = kn_xml_number(xml, sun, "elevation", NAN);
    }
    if (fog) {
        double range = kn_xml_need_number(xml, fog, "visualRange");
        out->fog_range = range > 0 && range < 20000 ? range : 0;
    }
    if (rain) {
        int type = kn_xml_choice(xml, rain, "precipitationType", "dry rain snow");
        /* 1.1: precipitationIntensity in mm/h; 1.0: intensity 0..1 */
        double amount = kn_xml_has(rain, "precipitationIntensity")
                            ? kn_xml_number(xml, rain, "precipitationIntensity", 0) / 20
                            : kn_xml_number(xml, rain, "intensity", 0);
        out->rain = type == 0 ? 0 : fmin(fmax(amount, 0), 1);
        if (type == 2) kn_xml_unsupported(xml, rain, "snow is shown as rain");
    }
}

bool kn_osc_read_environment(kn_osc *osc, xmlNode *environment, kn_environment *out) {
    kn_xml *xml = &osc->xml;
    *out = (kn_environment){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    kn_xml_known(xml, environment, "ParameterDeclarations TimeOfDay Weather RoadCondition");
    xmlNode *time = kn_xml_child(environment, "TimeOfDay"), *weather = kn_xml_child(environment, "Weather");
    xmlNode *road = kn_xml_child(environment, "RoadCondition");
    if (time) {
        bool ok;
        const char *text = kn_xml_need_text(xml, time, "dateTime");
        out->seconds_of_day = hours(text, &ok);
        if (!ok) kn_xml_fail(xml, time, "dateTime '%.60s', expected like 2024-06-01T12:00:00", text);
    }
    if (weather) read_weather(osc, weather, out);
    if (road) {
        int wetness = kn_xml_choice(xml, road, "wetness", "dry moist wetWithPuddles lowFlooded highFlooded");
        if (wetness >= 0) out->wetness = (double[]){0, 0.5, 0.9, 1, 1}[wetness];
    }
    return !xml->failed;
}

static bool read_environment_action(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    xmlNode *environment = kn_xml_child(node, "Environment"), *reference = kn_xml_child(node, "CatalogReference");
    action->kind = KN_ACTION_ENVIRONMENT;
    const kn_scope *before = xml->scope;
    kn_scope scope;
    bool ok;
    if (environment) {
        ok = kn_osc_open_scope(osc, environment, "ParameterDeclarations", NULL, &scope) &&
             kn_osc_read_environment(osc, environment, &action->environment);
    } else if (reference) {
        kn_catalog_visit visit;
        ok = kn_osc_enter_catalog(osc, reference, "Environment", &visit) &&
             kn_osc_read_environment(osc, visit.entry, &action->environment);
        kn_osc_leave_catalog(osc, &visit);
    } else {
        ok = kn_xml_fail(xml, node, "<EnvironmentAction> has no environment");
    }
    xml->scope = before;
    return ok;
}

static bool read_parameter_action(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    bool variable = kn_xml_is(node, "VariableAction");
    action->kind = KN_ACTION_PARAMETER;
    action->name = kn_xml_literal(xml, node, variable ? "variableRef" : "parameterRef");
    xmlNode *set = kn_xml_child(node, "SetAction"), *rule = kn_xml_child(kn_xml_child(node, "ModifyAction"), "Rule");
    if (set) {
        action->text = kn_xml_need_text(xml, set, "value");
    } else if (rule && kn_xml_child(rule, NULL)) {
        xmlNode *how = kn_xml_child(rule, NULL);
        action->modify = true;
        action->factor = kn_xml_is(how, "MultiplyByValue");
        action->value = kn_xml_need_number(xml, how, "value");
    } else {
        return kn_xml_fail(xml, node, "<%s> needs a SetAction or ModifyAction", (const char *)node->name);
    }
    return !xml->failed;
}

static bool read_entity_action(kn_osc *osc, xmlNode *node, kn_action *action) {
    kn_xml *xml = &osc->xml;
    xmlNode *add = kn_xml_child(node, "AddEntityAction");
    action->kind = add ? KN_ACTION_ADD : KN_ACTION_DELETE;
    action->actor = kn_osc_entity(osc, node, "entityRef");
    if (action->actor < 0)
        return xml->failed ? false : kn_xml_fail(xml, node, "<EntityAction> needs attribute 'entityRef'");
    return !add || kn_osc_read_position(osc, add, "Position", &action->position);
}

bool kn_osc_read_global(kn_osc *osc, xmlNode *node, kn_action *action) {
    xmlNode *child = kn_xml_child(node, NULL);
    *action = (kn_action){.line = kn_xml_line(node), .actor = -1, .entity = -1};
    if (!child) return kn_xml_fail(&osc->xml, node, "<GlobalAction> is empty");
    action->line = kn_xml_line(child);
    if (kn_xml_is(child, "EnvironmentAction")) return read_environment_action(osc, child, action);
    if (kn_xml_is(child, "ParameterAction") || kn_xml_is(child, "VariableAction"))
        return read_parameter_action(osc, child, action);
    if (kn_xml_is(child, "EntityAction")) return read_entity_action(osc, child, action);
    if (kn_xml_is(child, "InfrastructureAction")) return kn_osc_read_signal_action(osc, child, action);
    kn_xml_unsupported(&osc->xml, child, "it ends at once");
    return true;
}
