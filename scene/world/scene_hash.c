#include "base/base.h"
#include "scene/world/scene_load.h"

bool kn_scene_hash(const char *path, const kn_scene_params *given, char hex[65], kn_error *error) {
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    if (given) params = *given;
    kn_report report = {0};
    kn_loaded loaded;
    bool ok = kn_load(&loaded, path, &params, &report, error);
    if (ok) {
        kn_loaded_finish(&loaded);
        kn_sha256_hex(report.files, report.file_count * sizeof *report.files, hex); /* each is 64 digits and a NUL */
    }
    kn_report_finish(&report);
    return ok;
}
