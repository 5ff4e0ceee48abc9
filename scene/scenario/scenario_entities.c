/* Entities: vehicles, pedestrians and objects with their boxes and colours. */
#include "scene/scenario/scenario.h"

#include <string.h>

enum { MAX_ENTITIES = 5000 };

static bool read_object(kn_osc *osc, xmlNode *object);

static kn_actor_class vehicle_class(kn_osc *osc, xmlNode *vehicle) {
    static const kn_actor_class classes[] = {KN_ACTOR_CAR,       KN_ACTOR_VAN,        KN_ACTOR_TRUCK,
                                             KN_ACTOR_TRAILER,   KN_ACTOR_TRAILER,    KN_ACTOR_BUS,
                                             KN_ACTOR_MOTORBIKE, KN_ACTOR_BICYCLE,    KN_ACTOR_BUS,
                                             KN_ACTOR_TRUCK,     KN_ACTOR_PEDESTRIAN, KN_ACTOR_PEDESTRIAN};
    int index =
        kn_xml_choice(&osc->xml, vehicle, "vehicleCategory",
                      "car van truck trailer semitrailer bus motorbike bicycle tram train wheelchair standUpScooter");
    return index < 0 ? KN_ACTOR_CAR : classes[index];
}

static kn_actor_class object_class(kn_osc *osc, xmlNode *object) {
    const char *category = kn_xml_text(&osc->xml, object, "miscObjectCategory"),
               *name = kn_xml_text(&osc->xml, object, "name");
    if (name && (strcasestr(name, "cone") || strcasestr(name, "pylon"))) return KN_ACTOR_CONE;
    return category && (!strcmp(category, "barrier") || !strcmp(category, "railing")) ? KN_ACTOR_BARRIER
                                                                                      : KN_ACTOR_OBJECT;
}

static void read_box(kn_osc *osc, xmlNode *node, kn_actor *actor) {
    kn_xml *xml = &osc->xml;
    xmlNode *box = kn_xml_child(node, "BoundingBox"), *center = kn_xml_child(box, "Center"),
            *size = kn_xml_child(box, "Dimensions");
    if (!center || !size) return;
    double length = kn_xml_need_number(xml, size, "length"), width = kn_xml_need_number(xml, size, "width"),
           height = kn_xml_need_number(xml, size, "height");
    if (length == 0 && width == 0 && height == 0) return; /* "not known": the class's typical size */
    if (!(length > 0 && length <= 60 && width > 0 && width <= 60 && height > 0 && height <= 30)) {
        kn_xml_fail(xml, size, "<Dimensions> %g x %g x %g m, expected more than 0 and at most 60 x 60 x 30", length,
                    width, height);
        return;
    }
    actor->length = length;
    actor->width = width;
    actor->height = height;
    actor->center[0] = kn_xml_need_number(xml, center, "x");
    actor->center[1] = kn_xml_need_number(xml, center, "y");
    actor->center[2] = kn_xml_need_number(xml, center, "z");
    if (fabs(actor->center[0]) > 60 || fabs(actor->center[1]) > 60 || fabs(actor->center[2]) > 60)
        kn_xml_fail(xml, center, "<Center> more than 60 m from the origin");
}

static double linear(double srgb) { return srgb <= 0.04045 ? srgb / 12.92 : pow((srgb + 0.055) / 1.055, 2.4); }

/* Property name="color" (or colour, paint) with a colour's name, #rrggbb or three numbers 0..1 or 0..255. */
static bool paint_by_text(kn_actor *actor, const char *text) {
    unsigned r, g, b;
    double f[3];
    if (sscanf(text, "#%2x%2x%2x", &r, &g, &b) == 3) {
        actor->color[0] = linear(r / 255.0), actor->color[1] = linear(g / 255.0), actor->color[2] = linear(b / 255.0);
        return true;
    }
    if (sscanf(text, "%lf%*[, ]%lf%*[, ]%lf", &f[0], &f[1], &f[2]) == 3) {
        double scale = f[0] > 1 || f[1] > 1 || f[2] > 1 ? 255 : 1;
        for (int i = 0; i < 3; i++) actor->color[i] = linear(fmin(fmax(f[i] / scale, 0), 1));
        return true;
    }
    return kn_actor_paint_by_name(actor, text);
}

static void read_color(kn_osc *osc, xmlNode *node, kn_actor *actor) {
    kn_xml *xml = &osc->xml;
    xmlNode *properties = kn_xml_child(node, "Properties");
    const char *name = kn_xml_text(xml, node, "name");
    if (name) kn_actor_paint_by_name(actor, name);
    for (xmlNode *p = kn_xml_child(properties, "Property"); p; p = kn_xml_next(p, "Property")) {
        const char *key = kn_xml_text(xml, p, "name"), *value = kn_xml_text(xml, p, "value");
        if (key && value && (!strcasecmp(key, "color") || !strcasecmp(key, "colour") || !strcasecmp(key, "paint")) &&
            !paint_by_text(actor, value))
            kn_report_add(xml->report, false, xml->file, kn_xml_line(p), "colour '%.60s' is not understood", value);
    }
}

/* Position of a <TrailerHitch> or <TrailerCoupler> ahead of the origin. */
static double coupling(kn_osc *osc, xmlNode *node, const char *name, double fallback) {
    xmlNode *point = kn_xml_child(node, name);
    double dx = point ? kn_xml_need_number(&osc->xml, point, "dx") : fallback;
    if (fabs(dx) > 60) kn_xml_fail(&osc->xml, point, "<%s> %g m from the origin, expected at most 60", name, dx);
    return dx;
}

/* <Trailer> of a vehicle: names an entity, or holds one that is declared here. */
static bool read_trailer(kn_osc *osc, xmlNode *node, size_t tower) {
    kn_xml *xml = &osc->xml;
    xmlNode *holder = kn_xml_child(node, "Trailer"), *reference = kn_xml_child(holder, "TrailerRef"),
            *inside = kn_xml_child(holder, "Trailer");
    kn_sim *sim = &osc->scenario->sim;
    if (reference) {
        const char *name = kn_xml_need_text(xml, reference, "entityRef");
        if (*name && !xml->failed) sim->actors[tower].trailer = kn_arena_strdup(xml->arena, name, xml->error);
        return !xml->failed && (!*name || (xml->failed = !sim->actors[tower].trailer, !xml->failed));
    }
    if (!inside) return true;
    if (sim->actor_count >= MAX_ENTITIES) return kn_xml_fail(xml, inside, "more than %d entities", MAX_ENTITIES);
    size_t trailer = sim->actor_count;
    if (!read_object(osc, inside)) return false;
    sim->actors[trailer].tower = (int)tower;
    return true;
}

/* A <Vehicle>, <Pedestrian> or <MiscObject>. */
static bool read_look(kn_osc *osc, xmlNode *node, size_t index) {
    kn_xml *xml = &osc->xml;
    kn_actor *actor = &osc->scenario->sim.actors[index].look;
    uint64_t seed = osc->scenario->seed;
    for (const char *p = actor->name; *p; p++) seed = kn_hash64(seed ^ (unsigned char)*p);
    kn_actor_class kind = kn_xml_is(node, "Vehicle")      ? vehicle_class(osc, node)
                          : kn_xml_is(node, "Pedestrian") ? KN_ACTOR_PEDESTRIAN
                                                          : object_class(osc, node);
    if (kn_xml_is(node, "Vehicle"))
        kn_xml_known(
            xml, node,
            "ParameterDeclarations BoundingBox Performance Axles Properties TrailerHitch TrailerCoupler Trailer");
    else kn_xml_known(xml, node, "ParameterDeclarations BoundingBox Properties");
    kn_actor_look(actor, kind, seed);
    read_box(osc, node, actor);
    read_color(osc, node, actor);
    kn_sim_actor *self = &osc->scenario->sim.actors[index];
    self->hitch = coupling(osc, node, "TrailerHitch", actor->center[0] - actor->length / 2);
    self->coupler = coupling(osc, node, "TrailerCoupler", actor->center[0] + actor->length / 2);
    return !xml->failed && read_trailer(osc, node, index);
}

static bool read_object(kn_osc *osc, xmlNode *object) {
    kn_xml *xml = &osc->xml;
    kn_sim *sim = &osc->scenario->sim;
    kn_sim_actor *actor = kn_sim_add(sim, xml->error);
    if (!actor) return xml->failed = true, false;
    size_t index = sim->actor_count - 1;
    kn_xml_copy(xml, object, "name", actor->look.name, sizeof actor->look.name);
    if (!actor->look.name[0])
        return xml->failed ? false : kn_xml_fail(xml, object, "<%s> needs a name", (const char *)object->name);
    for (size_t i = 0; i + 1 < sim->actor_count; i++)
        if (!strcmp(sim->actors[i].look.name, actor->look.name) && kn_xml_is(object, "Trailer"))
            snprintf(actor->look.name, sizeof actor->look.name, "trailer %zu",
                     index); /* one catalog entry, used again */
        else if (!strcmp(sim->actors[i].look.name, actor->look.name))
            return kn_xml_fail(xml, object, "two entities are called '%s'", actor->look.name);
    actor->file = osc->scenario->path;
    actor->line = kn_xml_line(object);
    kn_xml_known(xml, object, "Vehicle Pedestrian MiscObject CatalogReference ObjectController");

    xmlNode *controller = kn_xml_child(object, "ObjectController");
    if (kn_xml_child(controller, NULL))
        kn_xml_unsupported(xml, controller, "Kinora's own driver acts for it when it is activated");
    static const char *const kinds[] = {"Vehicle", "Pedestrian", "MiscObject"};
    for (int k = 0; k < 3; k++) {
        xmlNode *node = kn_xml_child(object, kinds[k]);
        if (node) return read_look(osc, node, index);
    }
    xmlNode *reference = kn_xml_child(object, "CatalogReference");
    if (!reference)
        return kn_xml_fail(xml, object, "<%s> '%s' has no Vehicle, Pedestrian, MiscObject or CatalogReference",
                           (const char *)object->name, actor->look.name);
    kn_catalog_visit visit;
    bool ok = kn_osc_enter_catalog(osc, reference, NULL, &visit);
    if (ok && !kn_xml_is(visit.entry, kinds[0]) && !kn_xml_is(visit.entry, kinds[1]) &&
        !kn_xml_is(visit.entry, kinds[2]))
        ok = kn_xml_fail(xml, visit.entry, "catalog entry is a <%s>, expected a Vehicle, Pedestrian or MiscObject",
                         (const char *)visit.entry->name);
    ok = ok && read_look(osc, visit.entry, index);
    kn_osc_leave_catalog(osc, &visit);
    return ok && !xml->failed;
}

bool kn_osc_read_entities(kn_osc *osc, xmlNode *entities) {
    kn_xml_known(&osc->xml, entities, "ScenarioObject EntitySelection");
    if (kn_xml_child(entities, "EntitySelection"))
        kn_xml_unsupported(&osc->xml, kn_xml_child(entities, "EntitySelection"), "selections of entities");
    if (kn_xml_count(entities, "ScenarioObject") > MAX_ENTITIES)
        return kn_xml_fail(&osc->xml, entities, "more than %d entities", MAX_ENTITIES);
    for (xmlNode *object = kn_xml_child(entities, "ScenarioObject"); object;
         object = kn_xml_next(object, "ScenarioObject"))
        if (!read_object(osc, object)) return false;
    return true;
}

bool kn_osc_link_trailers(kn_osc *osc) {
    kn_sim *sim = &osc->scenario->sim;
    for (size_t i = 0; i < sim->actor_count; i++) {
        kn_sim_actor *tower = &sim->actors[i];
        size_t k = 0;
        while (tower->trailer && k < sim->actor_count && strcmp(sim->actors[k].look.name, tower->trailer)) k++;
        if (!tower->trailer) continue;
        if (k == sim->actor_count || k == i || sim->actors[k].tower >= 0 || kn_sim_coupled(sim, i, k)) {
            kn_fail(osc->xml.error, KN_ERROR_INPUT, "%s:%d: '%s' tows '%.60s', which %s", tower->file, tower->line,
                    tower->look.name, tower->trailer,
                    k == sim->actor_count ? "is not declared" : "hangs on something else");
            return osc->xml.failed = true, false;
        }
        sim->actors[k].tower = (int)i;
    }
    return true;
}
