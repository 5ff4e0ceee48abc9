/* Catalogs: directories of .xosc files whose entries are referred to by name. */
#include "scene/read/paths.h"
#include "scene/scenario/scenario.h"

#include "base/folder.h"

#include <string.h>

enum { MAX_CATALOG_FILES = 500, MAX_DEPTH = 4 };

typedef struct catalog_file {
    char *path;       /* arena */
    const char *name; /* of the <Catalog> */
    xmlDoc *doc;
} catalog_file;

struct kn_catalogs {
    catalog_file files[MAX_CATALOG_FILES];
    size_t count;
};

static bool add_file(kn_osc *osc, const char *directory, const char *name) {
    kn_xml *xml = &osc->xml;
    struct kn_catalogs *catalogs = osc->catalogs;
    char *path = kn_path_join(directory, name, xml->error);
    catalog_file file = {.path = path ? kn_arena_strdup(xml->arena, path, xml->error) : NULL};
    kn_free(path);
    if (!file.path) return xml->failed = true, false;
    for (size_t i = 0; i < catalogs->count; i++)
        if (!strcmp(catalogs->files[i].path, file.path)) return true;
    kn_error problem = {0};
    bool room = catalogs->count < MAX_CATALOG_FILES,
         parsed = room && kn_xml_parse(file.path, "OpenSCENARIO", &file.doc, xml->report, &problem);
    if (!parsed && problem.kind == KN_ERROR_MEMORY) {
        kn_fail(xml->error, problem.kind, "%s", problem.message);
        return xml->failed = true, false;
    }
    if (!parsed) {
        kn_report_add(xml->report, true, file.path, 0, "catalog not read: %.300s",
                      room ? problem.message : "too many catalogs");
        return true;
    }
    xmlNode *catalog = kn_xml_child(xmlDocGetRootElement(file.doc), "Catalog");
    if (!catalog && xml->report) xml->report->file_count--; /* another scenario in the same folder */
    kn_xml here = *xml;
    here.file = file.path;
    file.name = catalog ? kn_xml_need_text(&here, catalog, "name") : "";
    if (here.failed) {
        xmlFreeDoc(file.doc);
        return xml->failed = true, false;
    }
    catalogs->files[catalogs->count++] = file;
    return true;
}

/* Files in sorted order, so that results do not depend on the file system. */
static bool add_directory(kn_osc *osc, xmlNode *node, const char *directory) {
    static const char *const extensions[] = {".xosc", NULL};
    char **names;
    size_t count;
    kn_error problem = {0};
    bool ok = kn_folder_list(directory, extensions, &names, &count, &problem);
    if (!ok && problem.kind == KN_ERROR_MEMORY) kn_fail(osc->xml.error, problem.kind, "%s", problem.message);
    else if (!ok) {
        kn_report_add(osc->xml.report, false, osc->xml.file, kn_xml_line(node),
                      "catalog directory '%.200s' cannot be opened", directory);
        return true;
    }
    for (size_t i = 0; ok && i < count; i++) ok = add_file(osc, directory, names[i]);
    kn_names_free(names, count);
    osc->xml.failed |= !ok;
    return ok;
}

bool kn_osc_read_catalog_locations(kn_osc *osc, xmlNode *locations) {
    osc->catalogs = kn_alloc(1, sizeof *osc->catalogs, osc->xml.error);
    osc->xml.failed |= !osc->catalogs;
    if (osc->catalogs && locations)
        kn_xml_known(&osc->xml, locations,
                     "VehicleCatalog ControllerCatalog PedestrianCatalog MiscObjectCatalog EnvironmentCatalog "
                     "ManeuverCatalog TrajectoryCatalog RouteCatalog");
    for (xmlNode *child = osc->catalogs ? kn_xml_child(locations, NULL) : NULL; child;
         child = kn_xml_next(child, NULL)) {
        xmlNode *directory = kn_xml_child(child, "Directory");
        if (!directory) continue;
        const char *text = kn_xml_need_text(&osc->xml, directory, "path");
        char *path = osc->xml.failed ? NULL : kn_scene_path(osc->xml.file, text, osc->xml.error);
        bool ok = path && add_directory(osc, directory, path);
        kn_free(path);
        if (!ok) return osc->xml.failed = true, false;
    }
    return !osc->xml.failed;
}

void kn_osc_free_catalogs(kn_osc *osc) {
    for (size_t i = 0; osc->catalogs && i < osc->catalogs->count; i++) xmlFreeDoc(osc->catalogs->files[i].doc);
    kn_free(osc->catalogs);
    osc->catalogs = NULL;
}

static xmlNode *find_entry(kn_osc *osc, const char *catalog, const char *entry, const char **file) {
    for (size_t i = 0; osc->catalogs && i < osc->catalogs->count; i++) {
        catalog_file *f = &osc->catalogs->files[i];
        const char *stem = strrchr(f->path, '/') ? strrchr(f->path, '/') + 1 : f->path; /* some go by the file's name */
        size_t length = strlen(stem) - strlen(".xosc");
        if (strcmp(f->name, catalog) && !(strlen(catalog) == length && !strncmp(stem, catalog, length))) continue;
        kn_xml here = osc->xml;
        here.file = f->path;
        xmlNode *node = kn_xml_child(kn_xml_child(xmlDocGetRootElement(f->doc), "Catalog"), NULL);
        for (; node; node = kn_xml_next(node, NULL)) {
            const char *name = kn_xml_text(&here, node, "name");
            if (name && !strcmp(name, entry)) {
                *file = f->path;
                return node;
            }
        }
    }
    return NULL;
}

bool kn_osc_enter_catalog(kn_osc *osc, xmlNode *reference, const char *element, kn_catalog_visit *visit) {
    kn_xml *xml = &osc->xml;
    const char *catalog = kn_xml_need_text(xml, reference, "catalogName"),
               *entry = kn_xml_need_text(xml, reference, "entryName"), *file = NULL;
    *visit = (kn_catalog_visit){.before = *xml};
    xmlNode *assignments = kn_xml_child(reference, "ParameterAssignments");
    kn_parameter *assigned = kn_xml_alloc(xml, kn_xml_count(assignments, "ParameterAssignment"), sizeof *assigned);
    if (xml->failed) return false;
    if (osc->catalog_depth >= MAX_DEPTH)
        return kn_xml_fail(xml, reference, "catalog entries refer to each other more than %d deep", MAX_DEPTH);
    visit->assigned.parameters = assigned;
    for (xmlNode *a = kn_xml_child(assignments, "ParameterAssignment"); a; a = kn_xml_next(a, "ParameterAssignment")) {
        const char *name = kn_xml_literal(xml, a, "parameterRef");
        assigned[visit->assigned.count++] =
            (kn_parameter){*name == '$' ? name + 1 : name, kn_xml_need_text(xml, a, "value")};
    }
    visit->entry = find_entry(osc, catalog, entry, &file);
    if (!visit->entry)
        return kn_xml_fail(xml, reference, "catalog '%.60s' with entry '%.60s' was not found", catalog, entry);
    if (element && !kn_xml_is(visit->entry, element))
        return kn_xml_fail(xml, reference, "catalog entry '%.60s' is a <%s>, expected <%s>", entry,
                           (const char *)visit->entry->name, element);
    xml->file = file;
    osc->catalog_depth++;
    visit->entered = true;
    return kn_osc_open_scope(osc, visit->entry, "ParameterDeclarations", &visit->assigned, &visit->scope);
}

void kn_osc_leave_catalog(kn_osc *osc, kn_catalog_visit *visit) {
    osc->xml.file = visit->before.file;
    osc->xml.scope = visit->before.scope;
    osc->catalog_depth -= visit->entered;
    visit->entered = false;
}
