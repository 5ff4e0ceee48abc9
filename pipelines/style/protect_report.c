/* protect.json and protect_worst.png, beside the output. */
#include "pipelines/common/canvas.h"
#include "pipelines/style/protect_job.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double BAR_MEAN = 0.85, BAR_LEAST = 0.6; /* of the source's contrast */

/* --- names ------------------------------------------------------------------------------------ */

static bool free_name(const kn_style *style, const char *path, kn_error *error) {
    if (!kn_file_exists(path) || style->job->overwrite) return true;
    return kn_fail(error, KN_ERROR_INPUT, "%s: is there already; --overwrite replaces it", path);
}

bool kn_protect_name_outputs(kn_style *style, kn_error *error) {
    struct kn_protected *p = style->protected;
    return (p->json_path = kn_path_beside(style->job->output, "protect.json", error)) &&
           (p->strip_path = kn_path_beside(style->job->output, "protect_worst.png", error)) &&
           free_name(style, p->json_path, error) && free_name(style, p->strip_path, error);
}

/* --- numbers ---------------------------------------------------------------------------------- */

typedef struct summary {
    int64_t visible, measured, least_frame;
    double mean, least, mean_edges, mean_blend;
} summary;

static summary summarise(const struct kn_protected *p, size_t d) {
    summary s = {.least = INFINITY, .least_frame = -1};
    double contrast = 0, edges = 0, blend = 0;
    for (int64_t f = 0; f < p->frames; f++) {
        const kn_protect_result *r = &p->results[d][f];
        if (!(p->rows[d][f].visible > 0)) continue;
        s.visible++;
        if (isnan(r->contrast)) continue;
        s.measured++;
        contrast += fmin((double)r->contrast, 1); /* more in one frame makes up for nothing in another */
        edges += fmin((double)r->edges, 1);
        blend += (double)r->blend;
        if ((double)r->contrast < s.least) s.least = (double)r->contrast, s.least_frame = f;
    }
    double count = s.measured > 0 ? (double)s.measured : NAN;
    s.mean = contrast / count, s.mean_edges = edges / count, s.mean_blend = blend / count;
    if (s.measured == 0) s.least = NAN;
    return s;
}

static bool holds(const summary *s) { return s->measured > 0 && s->mean >= BAR_MEAN && s->least >= BAR_LEAST; }

static json_t *number(double value) { return isfinite(value) ? json_real(round(value * 1e4) / 1e4) : json_null(); }

static json_t *box_of(const kn_track_box *b) {
    return json_pack("[oooo]", number((double)b->x), number((double)b->y), number((double)b->width),
                     number((double)b->height));
}

static json_t *frame_record(const struct kn_protected *p, size_t d, int64_t f) {
    const kn_protect_row *row = &p->rows[d][f];
    const kn_protect_result *r = &p->results[d][f];
    const char *state = row->visible > 0 ? "seen" : row->weight > 0 ? "assumed" : "hidden";
    return json_pack("{sI ss so so so so so so si}", "frame", (json_int_t)f, "state", state, "box",
                     row->weight > 0 ? box_of(&row->box) : json_null(), "visible", number((double)row->visible),
                     "match", row->visible > 0 ? number((double)row->match) : json_null(), "contrast",
                     number((double)r->contrast), "edges", number((double)r->edges), "blend", number((double)r->blend),
                     "samplings", (int)r->sampled);
}

static json_t *detail_record(const struct kn_protected *p, size_t d, const summary *s) {
    json_t *frames = json_array();
    for (int64_t f = 0; f < p->frames; f++) json_array_append_new(frames, frame_record(p, d, f));
    return json_pack("{ss sI sI so so so so sI sb so}", "name", p->marks.details[d].name, "visible_frames",
                     (json_int_t)s->visible, "measured_frames", (json_int_t)s->measured, "mean_contrast",
                     number(s->mean), "least_contrast", number(s->least), "mean_edges", number(s->mean_edges),
                     "mean_blend", number(s->mean_blend), "least_frame", (json_int_t)s->least_frame, "holds", holds(s),
                     "frames", frames);
}

static bool write_json(kn_style *style, kn_error *error) {
    struct kn_protected *p = style->protected;
    json_t *details = json_array();
    for (size_t d = 0; d < p->marks.count; d++) {
        summary s = summarise(p, d);
        json_array_append_new(details, detail_record(p, d, &s));
    }
    json_t *root = json_pack("{si ss ss sI s{sf sf} so}", "version", 1, "film", style->job->output, "source",
                             style->job->input, "frames", (json_int_t)p->frames, "bars", "mean_contrast", BAR_MEAN,
                             "least_contrast", BAR_LEAST, "details", details);
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6)) : NULL;
    bool ok = text ? kn_file_write(p->json_path, text, strlen(text), error)
                   : kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", p->json_path);
    free(text);
    json_decref(root);
    return ok;
}

/* --- film strip ------------------------------------------------------------------------------- */

static void place_cell(kn_image *image, const kn_protect_worst *w, const char *name, size_t at) {
    enum { CELL = KN_PROTECT_CELL, GAP = 4, TEXT = 24 };
    int left = GAP + (int)(at % 6) * (CELL + GAP), top = GAP + (int)(at / 6) * (2 * CELL + TEXT + 2 * GAP);
    char text[80];
    for (int y = 0; y < 2 * CELL; y++)
        memcpy(image->data + ((size_t)(top + y + (y >= CELL ? 1 : 0)) * (size_t)image->width + (size_t)left) * 3,
               w->pixels + (size_t)y * CELL * 3, (size_t)CELL * 3);
    snprintf(text, sizeof text, "%.22s", name);
    kn_canvas_text(image, left, top + 2 * CELL + 4, 1, text, (kn_canvas_color){230, 230, 230, 1});
    snprintf(text, sizeof text, "%lld: %.2f", (long long)w->frame, (double)w->contrast);
    kn_canvas_text(image, left, top + 2 * CELL + 14, 1, text, (kn_canvas_color){230, 230, 230, 1});
}

static bool write_strip(kn_style *style, kn_error *error) {
    enum { CELL = KN_PROTECT_CELL, GAP = 4, TEXT = 24 };
    struct kn_protected *p = style->protected;
    kn_image image;
    if (!kn_image_init(&image, GAP + 6 * (CELL + GAP), 2 * (2 * CELL + TEXT + 2 * GAP) + GAP, 3, error)) return false;
    kn_canvas_clear(&image, (kn_canvas_color){24, 24, 24, 1});
    for (size_t i = 0; i < KN_PROTECT_WORST; i++)
        if (p->worst[i].pixels) place_cell(&image, &p->worst[i], p->marks.details[p->worst[i].detail].name, i);
    bool ok = kn_image_write_png(&image, p->strip_path, error);
    kn_image_finish(&image);
    return ok;
}

bool kn_protect_report(kn_style *style, kn_error *error) {
    struct kn_protected *p = style->protected;
    kn_style_report *r = &style->report;
    double sum = 0, count = 0;
    r->details = (int)p->marks.count;
    r->least_kept = INFINITY;
    for (size_t d = 0; d < p->marks.count; d++) {
        summary s = summarise(p, d);
        const char *name = p->marks.details[d].name;
        if (s.measured > 0) sum += s.mean * (double)s.measured, count += (double)s.measured;
        if (s.least < r->least_kept) {
            r->least_kept = s.least, r->worst_frame = s.least_frame;
            snprintf(r->worst_detail, sizeof r->worst_detail, "%s", name);
        }
        if (!holds(&s))
            kn_log_line(&style->job->log, KN_LOG_WARNING,
                        "\"%s\" keeps %.2f of its contrast, %.2f in the worst frame (%lld); expected %.2f and %.2f: "
                        "see %s",
                        name, s.mean, s.least, (long long)s.least_frame, BAR_MEAN, BAR_LEAST, p->strip_path);
    }
    r->mean_kept = count > 0 ? sum / count : NAN;
    if (!(count > 0)) r->least_kept = NAN;
    return write_json(style, error) && write_strip(style, error);
}
