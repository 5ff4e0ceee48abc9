/* kinora eval FILM --source FILM */
#include "cli/commands.h"
#include "cli/progress.h"
#include "kinora/eval.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void print_row(const char *name, const kn_film_score *s) {
    printf("%-10s %10.5f %8.4f %11.3f %9.2f %14.2f %8.4f\n", name, s->warp_error, s->flicker, s->edge_recall,
           s->colour_drift, s->style_distance, s->detail);
}

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *record(const kn_film_score *s) {
    return json_pack("{so so so so so so}", "warp_error", number(s->warp_error), "flicker", number(s->flicker),
                     "edge_recall", number(s->edge_recall), "colour_drift", number(s->colour_drift), "style_distance",
                     number(s->style_distance), "detail", number(s->detail));
}

static bool write_json(const kn_film_eval_report *r, const char *path, kn_error *error) {
    json_t *root = json_pack("{sI sI so so so so}", "frames", (json_int_t)r->frames, "shots", (json_int_t)r->shots,
                             "covered", number(r->covered), "film", record(&r->film), "source", record(&r->source),
                             "per_pixel", record(&r->per_pixel));
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    bool ok = text ? kn_file_write(path, text, strlen(text), error)
                   : kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path);
    free(text);
    json_decref(root);
    return ok;
}

int kn_eval_film(const char *film, const char *source, const char *json, int style) {
    kn_error error = {0};
    kn_progress progress;
    kn_film_eval_report r;
    kn_progress_init(&progress, (kn_progress_style)style, 1);
    kn_film_eval_params params = {
        .film = film, .source = source, .progress = kn_progress_report, .progress_user = &progress};
    params.log = (kn_log){kn_progress_log, &progress, KN_LOG_ERROR};
    bool ok = kn_film_eval(&params, &r, &error);
    kn_progress_finish(&progress);
    if (ok) {
        printf("%lld frames, %lld shots, the motion of %.1f %% of the pixels is trusted\n", (long long)r.frames,
               (long long)r.shots, 100 * r.covered);
        printf("%-10s %10s %8s %11s %9s %14s %8s\n", "", "warp error", "flicker", "edge recall", "dE drift",
               "dE from source", "detail");
        print_row("film", &r.film);
        print_row("per pixel", &r.per_pixel);
        print_row("source", &r.source);
    }
    if (ok && json) ok = write_json(&r, json, &error);
    return ok ? 0 : kn_cmd_fail(&error);
}
