/* Every allocation fails in turn: each time there is a clear error or the result, and nothing leaks (sanitizers
 * look). */
#include "scene/world/scene_load.h"

#include <criterion/criterion.h>

static bool run(const char *path, kn_error *error) {
    kn_loaded loaded;
    kn_timeline timeline;
    kn_report report = {0};
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    params.frame_count = 3;
    bool ok = kn_load(&loaded, path, &params, &report, error);
    if (ok) {
        ok = kn_loaded_record(&loaded, &timeline, NULL, error);
        if (ok) kn_timeline_finish(&timeline);
        kn_loaded_finish(&loaded);
    }
    kn_report_finish(&report);
    return ok;
}

static void fail_in_turn(const char *path) {
    bool done = false;
    for (uint64_t n = 1; !done; n += 1 + n / 40) {
        kn_error error = {0};
        kn_alloc_fail_after(n);
        bool ok = run(path, &error);
        kn_alloc_fail_after(0);
        if (!ok) cr_assert_eq(error.kind, KN_ERROR_MEMORY, "allocation %llu: %s", (unsigned long long)n, error.message);
        kn_error none = {0};
        done = ok && n > 20;
        cr_assert_lt(n, 1000000);
        (void)none;
    }
    kn_error error = {0};
    cr_assert(run(path, &error), "%s", error.message);
}

Test(scene_memory, scenario) { fail_in_turn("samples/drive/cut-in.xosc"); }

Test(scene_memory, generated) { fail_in_turn("tests/unit/data/town.json"); }
