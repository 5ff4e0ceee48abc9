/* Details in the film: their squares are put back, and what they still lack of the source's is added. */
#include "pipelines/style/protect_job.h"
#include "pipelines/style/reference.h"

#include <math.h>
#include <string.h>

/* What is aimed at, a little above the bars of the report. */
static const double CONTRAST = 0.92, EDGES = 0.7;

bool kn_protect_begin_write(kn_style *style, kn_error *error) {
    struct kn_protected *p = style->protected;
    size_t pixels = (size_t)style->info.width * (size_t)style->info.height;
    for (size_t i = 0; i < KN_PROTECT_WORST; i++) p->worst[i].contrast = INFINITY;
    return (p->source = kn_alloc(3 * pixels, sizeof(float), error)) != NULL;
}

/* The squares of the frame and how they were sampled. */
static bool read_squares(kn_style *style, int64_t frame, kn_error *error) {
    struct kn_protected *p = style->protected;
    size_t chunk = (size_t)(frame / KN_STYLE_CHUNK), size = 0;
    bool ok = true, end = false;
    if (frame % KN_STYLE_CHUNK == 0) {
        uint8_t *levels = NULL;
        kn_film_reader_destroy(&p->reader);
        char *crops = kn_protect_crops_path(style, chunk, error), *path = kn_protect_levels_path(style, chunk, error);
        ok = crops && path && kn_film_reader_create(&p->reader, crops, (kn_rational){0, 0}, error) &&
             kn_file_read(path, sizeof p->sampled, &levels, &size, error);
        if (ok && size == KN_STYLE_CHUNK * p->marks.count) memcpy(p->sampled, levels, size);
        else if (ok) ok = kn_fail(error, KN_ERROR_INPUT, "%s: is not what was written", path);
        kn_free(levels);
        kn_free(path);
        kn_free(crops);
    }
    ok = ok && kn_film_reader_next(p->reader, &(kn_film_frame){.planes = p->strip}, &end, error);
    return ok && (!end || kn_fail(error, KN_ERROR_IO, "%s: is shorter than it was", style->work));
}

/* --- the worst -------------------------------------------------------------------------------- */

static void draw_cell(const float *planes, const kn_film_info *info, const kn_protect_window *window, float *square,
                      uint8_t *out) {
    enum { CELL = KN_PROTECT_CELL };
    kn_protect_cut_out(planes, info->width, info->height, window, CELL, square);
    for (size_t i = 0; i < (size_t)CELL * CELL; i++)
        for (size_t c = 0; c < 3; c++) out[3 * i + c] = (uint8_t)lrintf(255 * square[c * CELL * CELL + i]);
}

/* Keeps the pictures of the worst, the worst first. */
static bool remember(kn_style *style, size_t d, int64_t frame, float contrast, kn_error *error) {
    struct kn_protected *p = style->protected;
    kn_protect_worst *last = &p->worst[KN_PROTECT_WORST - 1];
    size_t bytes = 3 * (size_t)KN_PROTECT_CELL * KN_PROTECT_CELL, at = KN_PROTECT_WORST - 1;
    if (!(contrast < last->contrast)) return true;
    kn_protect_worst entry = {.contrast = contrast, .frame = frame, .detail = d, .pixels = last->pixels};
    float *square = kn_alloc(bytes, sizeof *square, error);
    if (!square || (!entry.pixels && !(entry.pixels = kn_alloc(2, bytes, error)))) {
        kn_free(square);
        return false;
    }
    const kn_track_box *box = &p->rows[d][frame].box;
    double side = 3 * fmax((double)box->width, (double)box->height);
    kn_protect_window window = {(double)(box->x + 0.5f * box->width) - 0.5 * side,
                                (double)(box->y + 0.5f * box->height) - 0.5 * side, side};
    draw_cell(p->source, &style->info, &window, square, entry.pixels);
    draw_cell(style->seen, &style->info, &window, square, entry.pixels + bytes);
    kn_free(square);
    for (; at > 0 && p->worst[at - 1].contrast > contrast; at--) p->worst[at] = p->worst[at - 1];
    p->worst[at] = entry;
    return true;
}

/* --- a frame ---------------------------------------------------------------------------------- */

static bool write_detail(kn_style *style, size_t d, int64_t frame, kn_error *error) {
    struct kn_protected *p = style->protected;
    const kn_protect_row *row = &p->rows[d][frame];
    kn_protect_result *result = &p->results[d][frame];
    int w = style->info.width, h = style->info.height;
    size_t n = (size_t)p->side * (size_t)p->side, count = p->marks.count;
    kn_protect_kept kept;
    result->sampled = p->sampled[(size_t)(frame % KN_STYLE_CHUNK) * count + d];
    if (result->sampled) {
        kn_protect_window window = kn_protect_window_of(&row->box, p->side);
        for (size_t c = 0; c < 3; c++) memcpy(p->painted + c * n, p->strip + (c * count + d) * n, n * sizeof(float));
        if (style->reference) kn_reference_apply(style, p->painted, n);
        if (!kn_protect_put_back(style->seen, w, h, &window, p->painted, p->side, &row->box, row->weight, error))
            return false;
    }
    if (!kn_protect_restore(p->source, style->seen, w, h, &row->box, row->weight, CONTRAST, EDGES, &kept,
                            &result->blend, error))
        return false;
    if (!kept.measurable) return true;
    result->contrast = (float)kept.contrast, result->edges = (float)kept.edges;
    return !(row->visible > 0) || remember(style, d, frame, result->contrast, error);
}

bool kn_protect_write_frame(kn_style *style, int64_t frame, kn_error *error) {
    struct kn_protected *p = style->protected;
    if (frame >= p->frames)
        return kn_fail(error, KN_ERROR_INPUT, "%s: has more frames than when details were followed", style->job->input);
    if (!read_squares(style, frame, error)) return false;
    for (size_t d = 0; d < p->marks.count; d++) {
        p->results[d][frame] = (kn_protect_result){.contrast = NAN, .edges = NAN};
        if (p->rows[d][frame].weight > 0 && !write_detail(style, d, frame, error)) return false;
    }
    return true;
}
