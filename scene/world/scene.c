/* Scenes: load, override, play, build the world. */
#include "scene/world/scene.h"

#include "base/random.h"
#include "scene/world/labels_map.h"
#include "scene/world/scene_load.h"

#include <string.h>

static const double REACH = 180; /* metres around the ego's way that are built */

static void log_report(const kn_log *log, kn_report *report) {
    kn_report_close(report);
    for (size_t i = 0; i < report->count; i++) {
        const kn_finding *f = &report->findings[i];
        kn_log_line(log, KN_LOG_WARNING, "%s:%d: %s", f->file, f->line, f->message);
    }
}

/* What the surroundings make room for: the scenario as it stands in its file, whatever traffic and ego speed are asked
 * for. Empty when that is the clip itself, or cannot be played. */
static void record_layout(const char *path, const kn_scene_params *params, kn_timeline *layout) {
    kn_scene_params plain = *params;
    kn_loaded loaded;
    kn_error ignored = {0};
    *layout = (kn_timeline){0};
    if (params->traffic < 0 && !(params->ego_speed > 0)) return;
    plain.traffic = -1;
    plain.ego_speed = 0;
    if (!kn_load(&loaded, path, &plain, NULL, &ignored)) return;
    if (!kn_loaded_record(&loaded, layout, &ignored)) *layout = (kn_timeline){0};
    kn_loaded_finish(&loaded);
}

bool kn_scene_create(kn_scene **out, const char *path, const kn_scene_params *params, const kn_log *log,
                     kn_error *error) {
    *out = NULL;
    kn_loaded loaded;
    kn_timeline layout = {0};
    kn_report report = {0};
    kn_scene *scene = kn_alloc(1, sizeof *scene, error);
    if (!scene || !kn_load(&loaded, path, params, &report, error)) {
        kn_report_finish(&report);
        kn_free(scene);
        return false;
    }
    bool ok = kn_loaded_record(&loaded, &scene->timeline, error);
    const char *slash = strrchr(path, '/');
    snprintf(scene->name, sizeof scene->name, "%s", slash ? slash + 1 : path);
    if (ok) {
        kn_road_network *network = loaded.is_json ? &loaded.json.network : &loaded.scenario.network;
        scene->network = *network;
        *network = (kn_road_network){0};
        record_layout(path, params, &layout);
        ok = kn_world_build_variant(&scene->world, &scene->network, &scene->timeline,
                                    layout.frame_count ? &layout : &scene->timeline, params->traffic != 0, params->seed,
                                    REACH, params->grow_surroundings, error) &&
             kn_scene_add_signals(scene, error) && kn_scene_build_map(scene, REACH, error);
    }
    log_report(log, &report);
    kn_report_finish(&report);
    kn_loaded_finish(&loaded);
    kn_timeline_finish(&layout);
    if (!ok) kn_scene_destroy(&scene);
    *out = scene;
    return ok;
}

void kn_scene_destroy(kn_scene **scene) {
    if (!scene || !*scene) return;
    kn_world_finish(&(*scene)->world);
    kn_timeline_finish(&(*scene)->timeline);
    kn_road_network_finish(&(*scene)->network);
    kn_arena_finish(&(*scene)->map_arena);
    kn_free((*scene)->lines);
    kn_free(*scene);
    *scene = NULL;
}
