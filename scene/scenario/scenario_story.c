/* The storyboard's tree: stories, acts, maneuver groups, maneuvers, events, actions. */
#include "scene/scenario/scenario.h"

#include <string.h>

static bool open_children(kn_osc *osc, xmlNode *node, const char *name, int type, kn_element *element) {
    element->type = type;
    element->line = kn_xml_line(node);
    element->name = kn_xml_text(&osc->xml, node, "name");
    if (!element->name) element->name = "";
    element->children = kn_xml_alloc(&osc->xml, kn_xml_count(node, name), sizeof *element->children);
    return !osc->xml.failed;
}

static bool read_action(kn_osc *osc, xmlNode *node, kn_element *element) {
    kn_xml *xml = &osc->xml;
    if (!open_children(osc, node, "-", KN_ELEMENT_ACTION, element)) return false;
    xmlNode *private = kn_xml_child(node, "PrivateAction"), *global = kn_xml_child(node, "GlobalAction");
    if (private) return kn_osc_read_private(osc, private, &element->action);
    if (global) return kn_osc_read_global(osc, global, &element->action);
    element->action = (kn_action){.line = element->line, .actor = -1, .entity = -1};
    if (!kn_xml_child(node, NULL)) return kn_xml_fail(xml, node, "<Action> is empty");
    kn_xml_unsupported(xml, kn_xml_child(node, NULL), "it ends at once");
    return true;
}

static bool read_event(kn_osc *osc, xmlNode *node, kn_element *element) {
    kn_xml *xml = &osc->xml;
    if (!open_children(osc, node, "Action", KN_ELEMENT_EVENT, element)) return false;
    kn_xml_known(xml, node, "Action StartTrigger");
    int priority = kn_xml_choice(xml, node, "priority", "override skip parallel overwrite");
    element->priority = priority == 3 || priority < 0 ? 0 : priority;
    element->max_executions = kn_xml_integer(xml, node, "maximumExecutionCount", 1);
    for (xmlNode *a = kn_xml_child(node, "Action"); a; a = kn_xml_next(a, "Action"))
        if (!read_action(osc, a, &element->children[element->child_count++])) return false;
    return kn_osc_read_trigger(osc, kn_xml_child(node, "StartTrigger"), &element->start);
}

static bool read_maneuver(kn_osc *osc, xmlNode *node, kn_element *element) {
    const kn_scope *before = osc->xml.scope;
    kn_scope scope;
    if (!open_children(osc, node, "Event", KN_ELEMENT_MANEUVER, element)) return false;
    kn_xml_known(&osc->xml, node, "ParameterDeclarations Event");
    bool ok = osc->catalog_depth > 0 || kn_osc_open_scope(osc, node, "ParameterDeclarations", NULL, &scope);
    for (xmlNode *e = kn_xml_child(node, "Event"); ok && e; e = kn_xml_next(e, "Event"))
        ok = read_event(osc, e, &element->children[element->child_count++]);
    osc->xml.scope = before;
    return ok;
}

static bool read_group_actors(kn_osc *osc, xmlNode *node, kn_element *element) {
    kn_xml *xml = &osc->xml;
    xmlNode *actors = kn_xml_child(node, "Actors");
    element->select_triggering = kn_xml_bool(xml, actors, "selectTriggeringEntities", false);
    element->actors = kn_xml_alloc(xml, kn_xml_count(actors, "EntityRef"), sizeof *element->actors);
    for (xmlNode *e = kn_xml_child(actors, "EntityRef"); e && !xml->failed; e = kn_xml_next(e, "EntityRef")) {
        int entity = kn_osc_entity(osc, e, "entityRef");
        if (entity >= 0) element->actors[element->actor_count++] = entity;
    }
    return !xml->failed;
}

static bool read_group(kn_osc *osc, xmlNode *node, kn_element *element) {
    kn_xml *xml = &osc->xml;
    if (!open_children(osc, node, NULL, KN_ELEMENT_GROUP, element) || !read_group_actors(osc, node, element))
        return false;
    kn_xml_known(xml, node, "Actors CatalogReference Maneuver");
    element->max_executions = kn_xml_integer(xml, node, "maximumExecutionCount", 1);
    for (xmlNode *r = kn_xml_child(node, "CatalogReference"); r; r = kn_xml_next(r, "CatalogReference")) {
        kn_catalog_visit visit;
        bool ok = kn_osc_enter_catalog(osc, r, "Maneuver", &visit) &&
                  read_maneuver(osc, visit.entry, &element->children[element->child_count++]);
        kn_osc_leave_catalog(osc, &visit);
        if (!ok) return false;
    }
    for (xmlNode *m = kn_xml_child(node, "Maneuver"); m; m = kn_xml_next(m, "Maneuver"))
        if (!read_maneuver(osc, m, &element->children[element->child_count++])) return false;
    return !xml->failed;
}

static bool read_act(kn_osc *osc, xmlNode *node, kn_element *element) {
    if (!open_children(osc, node, "ManeuverGroup", KN_ELEMENT_ACT, element)) return false;
    kn_xml_known(&osc->xml, node, "ManeuverGroup StartTrigger StopTrigger");
    for (xmlNode *g = kn_xml_child(node, "ManeuverGroup"); g; g = kn_xml_next(g, "ManeuverGroup"))
        if (!read_group(osc, g, &element->children[element->child_count++])) return false;
    return kn_osc_read_trigger(osc, kn_xml_child(node, "StartTrigger"), &element->start) &&
           kn_osc_read_trigger(osc, kn_xml_child(node, "StopTrigger"), &element->stop);
}

static bool read_story(kn_osc *osc, xmlNode *node, kn_element *element) {
    const kn_scope *before = osc->xml.scope;
    kn_scope scope;
    if (!open_children(osc, node, "Act", KN_ELEMENT_STORY, element)) return false;
    kn_xml_known(&osc->xml, node, "ParameterDeclarations Act");
    bool ok = kn_osc_open_scope(osc, node, "ParameterDeclarations", NULL, &scope);
    for (xmlNode *a = kn_xml_child(node, "Act"); ok && a; a = kn_xml_next(a, "Act"))
        ok = read_act(osc, a, &element->children[element->child_count++]);
    osc->xml.scope = before;
    return ok;
}

bool kn_osc_read_stories(kn_osc *osc, xmlNode *storyboard) {
    kn_scenario *scenario = osc->scenario;
    scenario->stories = kn_xml_alloc(&osc->xml, kn_xml_count(storyboard, "Story"), sizeof *scenario->stories);
    if (!scenario->stories) return false;
    for (xmlNode *s = kn_xml_child(storyboard, "Story"); s; s = kn_xml_next(s, "Story"))
        if (!read_story(osc, s, &scenario->stories[scenario->story_count++])) return false;
    return true;
}

static kn_element *find_element(kn_element *elements, size_t count, int type, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (elements[i].type == type && !strcmp(elements[i].name, name)) return &elements[i];
        kn_element *below = find_element(elements[i].children, elements[i].child_count, type, name);
        if (below) return below;
    }
    return NULL;
}

static void link_trigger(kn_osc *osc, kn_trigger *trigger) {
    for (size_t g = 0; g < trigger->count; g++)
        for (size_t i = 0; i < trigger->groups[g].count; i++) {
            kn_condition *c = &trigger->groups[g].conditions[i];
            if (c->kind != KN_CONDITION_ELEMENT) continue;
            const char *name = c->name, *separator;
            while ((separator = strstr(name, "::"))) /* qualified by the elements above */
                name = separator + 2;
            c->element = find_element(osc->scenario->stories, osc->scenario->story_count, c->element_type, name);
            if (!c->element)
                kn_report_add(osc->xml.report, true, osc->scenario->path, c->line,
                              "condition waits for storyboard element '%.60s', which does not exist", c->name);
        }
}

static void link_elements(kn_osc *osc, kn_element *elements, size_t count) {
    for (size_t i = 0; i < count; i++) {
        link_trigger(osc, &elements[i].start);
        link_trigger(osc, &elements[i].stop);
        link_elements(osc, elements[i].children, elements[i].child_count);
    }
}

bool kn_osc_link_elements(kn_osc *osc) {
    link_trigger(osc, &osc->scenario->stop);
    link_elements(osc, osc->scenario->stories, osc->scenario->story_count);
    return !osc->xml.failed;
}
