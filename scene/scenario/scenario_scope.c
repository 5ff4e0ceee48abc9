/* Names in force: parameters, and the entities that elements refer to. */
#include "scene/scenario/scenario.h"

#include <string.h>

bool kn_osc_open_scope(kn_osc *osc, xmlNode *node, const char *list, const kn_scope *assigned, kn_scope *scope) {
    kn_xml *xml = &osc->xml;
    *scope = (kn_scope){.parent = xml->scope};
    xmlNode *declarations = kn_xml_child(node, list);
    static const char *const kinds[] = {"ParameterDeclaration", "VariableDeclaration"};
    scope->parameters = kn_xml_alloc(xml, kn_xml_count(declarations, NULL), sizeof *scope->parameters);
    if (!scope->parameters) return false;
    if (declarations) kn_xml_known(xml, declarations, "ParameterDeclaration VariableDeclaration");
    xml->scope = scope;
    for (int k = 0; k < 2; k++)
        for (xmlNode *child = kn_xml_child(declarations, kinds[k]); child && !xml->failed;
             child = kn_xml_next(child, kinds[k])) {
            const char *name = kn_xml_literal(xml, child, "name"), *value = kn_xml_need_text(xml, child, "value");
            if (xml->failed) return false;
            if (*name == '$') /* OpenSCENARIO 0.9 habit, seen in the wild */
                name++;
            const char *override = assigned ? kn_scope_find(assigned, name) : NULL;
            scope->parameters[scope->count++] = (kn_parameter){name, override ? override : value};
            /* ConstraintGroup inside: limits for whoever assigns other values; the declared value is the author's. */
        }
    return !xml->failed;
}

int kn_osc_entity(kn_osc *osc, xmlNode *node, const char *attribute) {
    const char *name = kn_xml_text(&osc->xml, node, attribute);
    if (!name) return -1;
    for (size_t i = 0; i < osc->scenario->sim.actor_count; i++)
        if (!strcmp(osc->scenario->sim.actors[i].look.name, name)) return (int)i;
    kn_xml_fail(&osc->xml, node, "<%s> names entity '%.60s', which is not declared", (const char *)node->name, name);
    return -1;
}
