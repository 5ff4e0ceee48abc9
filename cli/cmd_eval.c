#include "cli/commands.h"
#include "cli/progress.h"
#include "kinora/eval.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void print_row(const char *name, const kn_drive_score *s) {
    printf("%-10s %10.5f %7.1f %% %9.4f %11.4f %10.2f %7.1f %% %8zu %8.2f %7.2f %7.3f %8.4f\n", name, s->warp_error,
           100 * s->warp_share, s->overlap_correlation, s->overlap_error, s->sampson, 100 * s->sampson_share,
           s->matches, s->colour_drift, s->last_drift, s->mean_iou, s->detail);
}

static void print_table(const kn_drive_eval_report *r) {
    printf("%zu frames of %zu cameras, %zu tracks of instances, %zu points in overlaps\n", r->frames, r->cameras,
           r->clip.drift_tracks, r->clip.overlap_points);
    printf("%-10s %10s %9s %9s %11s %10s %9s %8s %8s %7s %7s %8s\n", "", "warp error", "covered", "overlap r",
           "overlap RMS", "Sampson px", "below 3", "matches", "dE drift", "dE last", "mIoU", "detail");
    print_row("clip", &r->clip);
    print_row("shuffled", &r->shuffled);
    if (r->has_beauty) print_row("renderer", &r->beauty);
    if (isfinite(r->clip.variety)) printf("variety: RMS %.4f from the other appearance\n", r->clip.variety);
}

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *score_record(const kn_drive_score *s) {
    return json_pack("{so so so so so so so so so so sI so sI sI}", "warp_error", number(s->warp_error), "warp_share",
                     number(s->warp_share), "overlap_correlation", number(s->overlap_correlation), "overlap_error",
                     number(s->overlap_error), "colour_drift", number(s->colour_drift), "last_drift",
                     number(s->last_drift), "variety", number(s->variety), "detail", number(s->detail), "sampson",
                     number(s->sampson), "sampson_share", number(s->sampson_share), "matches", (json_int_t)s->matches,
                     "mean_iou", number(s->mean_iou), "drift_tracks", (json_int_t)s->drift_tracks, "overlap_points",
                     (json_int_t)s->overlap_points);
}

static bool write_json(const kn_drive_eval_report *r, const char *path, kn_error *error) {
    json_t *root = json_pack("{sI sI so so so}", "frames", (json_int_t)r->frames, "cameras", (json_int_t)r->cameras,
                             "clip", score_record(&r->clip), "shuffled", score_record(&r->shuffled), "renderer",
                             r->has_beauty ? score_record(&r->beauty) : json_null());
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    bool ok = text ? kn_file_write(path, text, strlen(text), error)
                   : kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path);
    free(text);
    json_decref(root);
    return ok;
}

int kn_cmd_eval(int argc, char **argv) {
    kn_error error = {0};
    kn_drive_eval_params params = {0};
    const char *json = NULL, *source = NULL;
    int style = KN_PROGRESS_AUTO, folders = 0;
    bool help = false;
    const kn_option table[] = {
        {"--json", KN_OPTION_TEXT, &json, 0, 0, NULL, "FILE", "write the report there, too", 0},
        {"--source", KN_OPTION_TEXT, &source, 0, 0, NULL, "FILM", "measure a restyled film against this one", 0},
        {"--scene", KN_OPTION_TEXT, &params.scene, 0, 0, NULL, "FILE", "the scene, when it is not where job.json says",
         0},
        {"--segmenter", KN_OPTION_TEXT, &params.segmenter, 0, 0, NULL, "DIR",
         "its weights (the shipped kinora-segmenter)", 0},
        {"--against", KN_OPTION_TEXT, &params.against, 0, 0, NULL, "DIR",
         "another appearance of the same scene: how much they differ", 0},
        {"--no-renderer", KN_OPTION_FLAG, &params.no_beauty, 0, 0, NULL, NULL, "leave out the renderer's own pictures",
         0},
        {"--device", KN_OPTION_TEXT, &params.gpu.device, 0, 0, NULL, "D", "number or part of the name", 0},
        {"--progress", KN_OPTION_CHOICE, &style, 0, 0, "auto|json|off", "P", "bar on stderr, or JSON lines on stdout",
         0},
        {"--validation", KN_OPTION_FLAG, &params.gpu.validation, 0, 0, NULL, NULL, "Vulkan validation layers", 0},
        {"--help", KN_OPTION_FLAG, &help, 0, 0, NULL, NULL, "this text", 'h'},
    };
    if (!kn_options_parse(table, KN_COUNT(table), argc, argv, &params.folder, 1, &folders, &error))
        return kn_cmd_fail(&error);
    if (help) {
        puts("usage: kinora eval DIR [OPTIONS]\n"
             "       kinora eval FILM --source FILM\n"
             "Measures a finished drive job beside two controls: its frames shuffled, and the renderer's own "
             "pictures; or a restyled film beside its source and a look per pixel.\n");
        kn_options_print(table, KN_COUNT(table), stdout);
        return 0;
    }
    if (folders == 0) {
        kn_fail(&error, KN_ERROR_INPUT,
                "eval needs the output folder of a drive job, or a film and its --source; see kinora eval --help");
        return kn_cmd_fail(&error);
    }
    if (json && !kn_file_try(json, &error)) return kn_cmd_fail(&error);
    if (source) return kn_eval_film(params.folder, source, json, style);
    char segmenter[1024];
    if (!params.segmenter) {
        kn_find_model("kinora-segmenter", segmenter, sizeof segmenter);
        params.segmenter = segmenter[0] ? segmenter : NULL;
    }
    kn_progress progress;
    kn_progress_init(&progress, (kn_progress_style)style, 1);
    params.log = params.gpu.log = (kn_log){kn_progress_log, &progress, KN_LOG_ERROR};
    params.progress = kn_progress_report;
    params.progress_user = &progress;
    kn_drive_eval_report report;
    bool ok = kn_drive_eval(&params, &report, &error);
    kn_progress_finish(&progress);
    if (ok) print_table(&report);
    if (ok && json) ok = write_json(&report, json, &error);
    return ok ? 0 : kn_cmd_fail(&error);
}
