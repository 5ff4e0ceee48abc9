/* Scenes: load, override, play, build the world. */
#include "scene/world/scene.h"

#include "base/random.h"
#include "scene/world/labels_map.h"
#include "scene/world/scene_load.h"
#include "scene/world/windows.h"

#include <string.h>

static const double REACH = 180; /* metres around the ego's way that are built */

static void log_report(const kn_log *log, kn_report *report) {
    kn_report_close(report);
    for (size_t i = 0; i < report->count; i++) {
        const kn_finding *f = &report->findings[i];
        const char *kind = f->is_error ? "error: " : "";
        if (f->line > 0) kn_log_line(log, KN_LOG_WARNING, "%s:%d: %s%s", f->file, f->line, kind, f->message);
        else kn_log_line(log, KN_LOG_WARNING, "%s: %s%s", f->file, kind, f->message);
    }
}

/* What the surroundings make room for, and where the ego comes by: the scenario as it stands in its file, from its
 * start on, whatever part of it a clip shows and whatever traffic and ego speed are asked for. Longer than any usual
 * clip; longer ones look further in large steps. */
static bool record_layout(const char *path, const kn_scene_params *params, kn_timeline *layout, kn_error *error) {
    const double RATE = 10, SECONDS = 600;
    kn_scene_params plain = *params;
    kn_loaded loaded;
    double end = params->start + (double)params->frame_count / params->frame_rate, seconds = SECONDS;
    while (seconds < end && seconds < 1e5) seconds *= 5;
    *layout = (kn_timeline){0};
    plain.traffic = -1;
    plain.ego_speed = 0;
    plain.start = 0;
    plain.frame_rate = RATE;
    plain.frame_count = (size_t)(seconds * RATE) + 1;
    if (!kn_load(&loaded, path, &plain, NULL, error)) return false;
    kn_sim_hook hook = loaded.is_json ? NULL : kn_storyboard_step;
    bool ok = kn_sim_record(kn_loaded_sim(&loaded), hook, &loaded.scenario, &plain, layout, error);
    kn_loaded_finish(&loaded);
    return ok;
}

static bool build_world(kn_scene *scene, const char *path, const kn_scene_params *params, uint64_t content,
                        kn_report *report, kn_error *error) {
    kn_timeline layout;
    kn_scene_params whole = *params;
    whole.frame_count = scene->timeline.frame_count;
    if (!record_layout(path, &whole, &layout, error)) return false;
    uint64_t seed = kn_hash64(params->seed ^ kn_hash64(content));
    bool ok =
        kn_world_site_init(&scene->site, &scene->network, &layout, seed, REACH, params->grow_surroundings, error) &&
        kn_world_site_add_way(&scene->site, &scene->timeline, error) && kn_windows_create(&scene->windows, error);
    kn_timeline_finish(&layout);
    if (!ok) return false;
    scene->site.parked = params->traffic != 0;
    scene->first_window = kn_scene_window(scene, 0);
    ok = kn_world_build_window(&scene->world, &scene->site, &scene->timeline, scene->first_window, error);
    if (ok && scene->world.tiles_full)
        kn_report_add(report, false, path, 0, "%zu squares of %g m hold less than grew there: too many triangles",
                      scene->world.tiles_full, KN_TILE);
    return ok;
}

bool kn_scene_create(kn_scene **out, const char *path, const kn_scene_params *params, const kn_log *log,
                     kn_error *error) {
    *out = NULL;
    kn_loaded loaded;
    kn_report report = {0};
    kn_scene *scene = kn_alloc(1, sizeof *scene, error);
    if (!scene || !kn_load(&loaded, path, params, &report, error)) {
        kn_report_finish(&report);
        kn_free(scene);
        return false;
    }
    bool ok = kn_loaded_record(&loaded, &scene->timeline, &report, error);
    if (ok) kn_check_motion(kn_loaded_sim(&loaded), &scene->timeline, &report);
    const char *slash = strrchr(path, '/');
    snprintf(scene->name, sizeof scene->name, "%s", slash ? slash + 1 : path);
    if (ok) {
        kn_road_network *network = loaded.is_json ? &loaded.json.network : &loaded.scenario.network;
        uint64_t content = loaded.is_json ? loaded.json.content : loaded.scenario.content;
        scene->network = *network;
        *network = (kn_road_network){0};
        ok = build_world(scene, path, params, content, &report, error) && kn_scene_build_map(scene, REACH, error);
    }
    log_report(log, &report);
    scene->report = report;
    kn_loaded_finish(&loaded);
    if (!ok) kn_scene_destroy(&scene);
    *out = scene;
    return ok;
}

void kn_scene_destroy(kn_scene **scene) {
    if (!scene || !*scene) return;
    kn_windows_destroy(&(*scene)->windows);
    kn_world_finish(&(*scene)->world);
    kn_world_site_finish(&(*scene)->site);
    kn_timeline_finish(&(*scene)->timeline);
    kn_report_finish(&(*scene)->report);
    kn_road_network_finish(&(*scene)->network);
    kn_arena_finish(&(*scene)->map_arena);
    kn_free((*scene)->lines);
    kn_free(*scene);
    *scene = NULL;
}

size_t kn_scene_findings(const kn_scene *scene, const kn_finding **findings) {
    *findings = scene->report.findings;
    return scene->report.count;
}
