/* Reads OpenSCENARIO XML 1.0-1.3: the file, its parameters and its road network. */
#include "scene/read/paths.h"
#include "scene/scenario/scenario.h"

#include <string.h>

static bool read_init(kn_osc *osc, xmlNode *storyboard) {
    kn_xml *xml = &osc->xml;
    kn_scenario *scenario = osc->scenario;
    xmlNode *actions = kn_xml_child(kn_xml_child(storyboard, "Init"), "Actions");
    size_t count = kn_xml_count(actions, "GlobalAction");
    for (xmlNode *p = kn_xml_child(actions, "Private"); p; p = kn_xml_next(p, "Private"))
        count += kn_xml_count(p, "PrivateAction");
    scenario->init = kn_xml_alloc(xml, count, sizeof *scenario->init);
    if (!scenario->init) return false;
    if (actions) kn_xml_known(xml, actions, "GlobalAction Private");
    for (xmlNode *g = kn_xml_child(actions, "GlobalAction"); g; g = kn_xml_next(g, "GlobalAction"))
        if (!kn_osc_read_global(osc, g, &scenario->init[scenario->init_count++])) return false;
    for (xmlNode *p = kn_xml_child(actions, "Private"); p; p = kn_xml_next(p, "Private")) {
        int actor = kn_osc_entity(osc, p, "entityRef");
        if (actor < 0) return xml->failed ? false : kn_xml_fail(xml, p, "<Private> needs attribute 'entityRef'");
        kn_xml_known(xml, p, "PrivateAction");
        for (xmlNode *a = kn_xml_child(p, "PrivateAction"); a; a = kn_xml_next(a, "PrivateAction")) {
            kn_action *action = &scenario->init[scenario->init_count++];
            if (!kn_osc_read_private(osc, a, action)) return false;
            action->actor = actor;
        }
    }
    return true;
}

static bool read_network(kn_osc *osc, xmlNode *root, kn_road_network *given) {
    kn_xml *xml = &osc->xml;
    if (!kn_osc_read_signals(osc, kn_xml_child(kn_xml_child(root, "RoadNetwork"), "TrafficSignals"))) return false;
    if (given) {
        osc->scenario->network = *given;
        *given = (kn_road_network){0};
        return true;
    }
    xmlNode *network = kn_xml_require(xml, root, "RoadNetwork");
    xmlNode *logic = kn_xml_child(network, "LogicFile");
    if (!network) return false;
    kn_xml_known(xml, network, "LogicFile SceneGraphFile TrafficSignals UsedArea");
    if (!logic) {
        kn_report_add(xml->report, false, xml->file, kn_xml_line(network),
                      "<RoadNetwork> names no <LogicFile>: the scenario plays on an open, paved ground");
        return true; /* when all positions are known: kn_open_ground */
    }
    const char *file = kn_xml_need_text(xml, logic, "filepath");
    char *path = xml->failed ? NULL : kn_scene_path(xml->file, file, xml->error);
    bool ok = path && kn_road_network_read(&osc->scenario->network, path, xml->report, xml->error);
    if (!ok && path) kn_fail_prefix(xml->error, "%s:%d: road network", xml->file, kn_xml_line(logic));
    xml->failed |= !ok;
    kn_free(path);
    return ok;
}

/* The ego: the entity named Ego, else one whose name begins so, else the first vehicle. It becomes actor 0 (before
 * anything refers to actors by index). */
static void put_ego_first(kn_sim *sim) {
    size_t ego = SIZE_MAX;
    static const char *const names[] = {"Ego", "hero", "ego_vehicle"};
    for (size_t k = 0; k < KN_COUNT(names) && ego == SIZE_MAX; k++)
        for (size_t i = 0; i < sim->actor_count && ego == SIZE_MAX; i++)
            if (!strcasecmp(sim->actors[i].look.name, names[k])) ego = i;
    for (size_t i = 0; i < sim->actor_count && ego == SIZE_MAX; i++)
        if (!strncasecmp(sim->actors[i].look.name, "ego", 3)) ego = i;
    for (size_t i = 0; i < sim->actor_count && ego == SIZE_MAX; i++)
        if (sim->actors[i].look.kind <= KN_ACTOR_MOTORBIKE) ego = i;
    if (ego == SIZE_MAX) ego = 0;
    for (size_t i = 0; i < sim->actor_count; i++) { /* trailers declared inside vehicles know their tower by index */
        int *tower = &sim->actors[i].tower;
        *tower = *tower < 0 || *tower > (int)ego ? *tower : *tower == (int)ego ? 0 : *tower + 1;
    }
    kn_sim_actor actor = sim->actors[ego];
    memmove(&sim->actors[1], &sim->actors[0], ego * sizeof *sim->actors);
    actor.look.is_ego = true;
    sim->actors[0] = actor;
}

static bool read_scenario(kn_osc *osc, xmlNode *root, kn_road_network *given) {
    kn_xml *xml = &osc->xml;
    kn_scenario *scenario = osc->scenario;
    if (kn_xml_child(root, "Catalog")) return kn_xml_fail(xml, root, "this is a catalog, not a scenario");
    kn_xml_known(xml, root,
                 "FileHeader ParameterDeclarations VariableDeclarations MonitorDeclarations CatalogLocations "
                 "RoadNetwork Entities Storyboard");
    kn_scope globals, variables;
    if (!kn_osc_open_scope(osc, root, "ParameterDeclarations", &osc->assigned, &globals) ||
        !kn_osc_check_assigned(osc, kn_xml_child(root, "ParameterDeclarations")) ||
        !kn_osc_open_scope(osc, root, "VariableDeclarations", NULL, &variables))
        return false;
    scenario->parameter_count = globals.count + variables.count;
    scenario->parameters = kn_xml_alloc(xml, scenario->parameter_count, sizeof *scenario->parameters);
    scenario->parameters_at_start = kn_xml_alloc(xml, scenario->parameter_count, sizeof *scenario->parameters);
    if (xml->failed) return false;
    memcpy(scenario->parameters, globals.parameters, globals.count * sizeof *globals.parameters);
    memcpy(scenario->parameters + globals.count, variables.parameters, variables.count * sizeof *variables.parameters);
    memcpy(scenario->parameters_at_start, scenario->parameters,
           scenario->parameter_count * sizeof *scenario->parameters);
    xmlNode *entities = kn_xml_require(xml, root, "Entities"), *storyboard = kn_xml_require(xml, root, "Storyboard");
    if (!entities || !storyboard || !kn_osc_read_catalog_locations(osc, kn_xml_child(root, "CatalogLocations")) ||
        !read_network(osc, root, given) || !kn_osc_read_entities(osc, entities))
        return false;
    if (!scenario->sim.actor_count) return kn_xml_fail(xml, entities, "<Entities> declares no <ScenarioObject>");
    scenario->sim.network = &scenario->network;
    put_ego_first(&scenario->sim);
    if (!kn_osc_link_trailers(osc)) return false;
    kn_xml_known(xml, storyboard, "Init Story StopTrigger");
    return read_init(osc, storyboard) && kn_osc_read_stories(osc, storyboard) &&
           kn_osc_read_trigger(osc, kn_xml_child(storyboard, "StopTrigger"), &scenario->stop) &&
           kn_osc_link_elements(osc) &&
           (scenario->network.road_count || kn_scenario_open_ground(scenario, xml->error) ||
            (xml->failed = true, false));
}

static uint64_t hash_text(uint64_t hash, const xmlChar *text) {
    for (; text && *text; text++) hash = (hash ^ *text) * 0x100000001b3u;
    return kn_hash64(hash);
}

/* What happens in a scenario, not in which weather: names and attributes of all elements but the environment's. */
static uint64_t hash_content(uint64_t hash, const xmlNode *node, int depth) {
    static const char *const apart[] = {"FileHeader", "Environment", "EnvironmentAction", "ParameterDeclarations"};
    bool skipped = node->type != XML_ELEMENT_NODE || depth > 200;
    for (size_t i = 0; i < KN_COUNT(apart); i++) skipped |= kn_xml_is(node, apart[i]);
    if (skipped) return hash;
    hash = hash_text(hash, node->name);
    for (const xmlAttr *a = node->properties; a; a = a->next)
        hash = hash_text(hash_text(hash, a->name), a->children ? a->children->content : NULL);
    for (const xmlNode *child = node->children; child; child = child->next) hash = hash_content(hash, child, depth + 1);
    return hash;
}

static bool from_document(kn_scenario *scenario, const char *path, xmlDoc *doc, kn_road_network *network,
                          const kn_scene_params *params, kn_report *report, kn_error *error) {
    *scenario = (kn_scenario){.seed = params->seed};
    kn_osc osc = {.scenario = scenario};
    osc.xml = (kn_xml){.file = path, .arena = &scenario->arena, .report = report, .error = error};
    bool ok = kn_osc_assign(&osc, params, &doc, &path);
    osc.xml.file = scenario->path = ok ? kn_arena_strdup(&scenario->arena, path, error) : NULL;
    if (scenario->path) scenario->content = hash_content(0xcbf29ce484222325u, xmlDocGetRootElement(doc), 0);
    ok = scenario->path && read_scenario(&osc, xmlDocGetRootElement(doc), network);
    kn_osc_free_catalogs(&osc);
    xmlFreeDoc(doc);
    if (!ok) kn_scenario_finish(scenario);
    return ok;
}

bool kn_scenario_read(kn_scenario *scenario, const char *path, const kn_scene_params *params, kn_report *report,
                      kn_error *error) {
    xmlDoc *doc;
    *scenario = (kn_scenario){0};
    return kn_xml_parse(path, "OpenSCENARIO", &doc, report, error) &&
           from_document(scenario, path, doc, NULL, params, report, error);
}

bool kn_scenario_parse(kn_scenario *scenario, const char *path, const void *data, size_t size, kn_road_network *network,
                       uint64_t seed, kn_report *report, kn_error *error) {
    xmlDoc *doc;
    *scenario = (kn_scenario){0};
    return kn_xml_parse_memory(path, data, size, "OpenSCENARIO", &doc, error) &&
           from_document(scenario, path, doc, network, &(kn_scene_params){.seed = seed}, report, error);
}

void kn_scenario_finish(kn_scenario *scenario) {
    kn_road_network_finish(&scenario->network);
    kn_sim_finish(&scenario->sim);
    kn_arena_finish(&scenario->arena);
    *scenario = (kn_scenario){0};
}
