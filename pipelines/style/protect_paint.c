/* Painting details: each in a square of its own, larger than in the film and locked to itself; where it falls short it
 * is sampled again from more of the source. */
#include "pipelines/style/protect_job.h"

#include <math.h>
#include <string.h>

enum { SIDE = 192 };

/* Of the job's strength, one after the other. */
static const double strengths[KN_PROTECT_LEVELS] = {1, 0.6, 0.35};
static const double CONTROLS_AGAIN = 1.3;                       /* by which ControlNets weigh more then */
static const double ENOUGH_CONTRAST = 0.85, ENOUGH_EDGES = 0.6; /* of the source's, to be taken as it is */

/* --- open ------------------------------------------------------------------------------------- */

static bool open_clip(kn_style *style, int level, kn_error *error) {
    struct kn_protected *p = style->protected;
    kn_clip_params clip;
    if (!kn_style_clip_params(style, p->side, p->side, &clip, error)) return false;
    clip.strength *= (float)strengths[level];
    for (int i = 0; i < clip.control_count && level > 0; i++) clip.controls[i].strength *= (float)CONTROLS_AGAIN;
    return kn_clip_create(&p->clips[level], style->model, &clip, error);
}

bool kn_protect_open(kn_style *style, kn_error *error) {
    struct kn_protected *p = style->protected;
    int factor = kn_model_get_info(style->model)->latent_factor, multiple = factor > 8 ? factor : 8;
    p->side = (SIDE + multiple - 1) / multiple * multiple;
    size_t n = (size_t)p->side * (size_t)p->side;
    if (!open_clip(style, 0, error)) return false;
    size_t floats = kn_clip_memory_floats(p->clips[0]);
    for (size_t d = 0; d < p->marks.count; d++)
        if (!kn_flow_create(&p->flows[d], p->side, p->side, error) ||
            !(p->memories[d] = kn_alloc(floats, sizeof(float), error)) ||
            !(p->before[d] = kn_alloc(3 * n, sizeof(float), error)))
            return false;
    for (size_t d = 0; d < p->marks.count; d++) kn_clip_memory_read(p->clips[0], p->memories[d]); /* of nothing */
    for (int i = 0; i < style->job->control_count; i++)
        if (!(p->controls[i] = kn_alloc(3 * n, sizeof(float), error))) return false;
    return (p->crop = kn_alloc(3 * n, sizeof(float), error)) && (p->motion = kn_alloc(2 * n, sizeof(float), error)) &&
           (p->confident = kn_alloc(n, sizeof(float), error)) && (p->warped = kn_alloc(3 * n, sizeof(float), error)) &&
           (p->painted = kn_alloc(3 * n, sizeof(float), error)) &&
           (p->attempt = kn_alloc(3 * n, sizeof(float), error)) &&
           (p->strip = kn_alloc(3 * n * p->marks.count, sizeof(float), error));
}

/* --- a detail --------------------------------------------------------------------------------- */

static bool sample(kn_style *style, size_t d, int level, bool moves, kn_error *error) {
    struct kn_protected *p = style->protected;
    kn_clip_frame frame = {
        .picture = p->crop, .motion = moves ? p->motion : NULL, .confident = moves ? p->confident : NULL};
    for (int i = 0; i < style->job->control_count; i++) {
        frame.controls[i] = p->controls[i];
        if (!kn_annotate(style->job->controls[i].kind, p->crop, p->side, p->side, p->controls[i], error)) return false;
    }
    if (!p->clips[level] && !open_clip(style, level, error)) return false;
    kn_clip_memory_write(p->clips[level], p->memories[d]);
    return kn_clip_next(p->clips[level], &frame, p->attempt, error);
}

/* From the strength on that was needed before, with less and less, until enough is kept; the best of them. */
static bool sample_again(kn_style *style, size_t d, const kn_track_box *box, bool moves, int *used, kn_error *error) {
    struct kn_protected *p = style->protected;
    size_t floats = 3 * (size_t)p->side * (size_t)p->side;
    double best = -INFINITY;
    for (int level = p->levels[d]; level < KN_PROTECT_LEVELS; level++) {
        kn_protect_kept kept;
        if (!sample(style, d, level, moves, error) ||
            !kn_protect_measure(p->crop, p->attempt, p->side, p->side, box, &kept, error))
            return false;
        double score = kept.measurable ? fmin(kept.contrast / ENOUGH_CONTRAST, kept.edges / ENOUGH_EDGES) : 1;
        if (score > best) {
            best = score;
            *used = level;
            memcpy(p->painted, p->attempt, floats * sizeof(float));
        }
        if (score >= 1) break;
    }
    p->levels[d] = *used;
    kn_clip_memory_read(p->clips[*used], p->memories[d]);
    p->known[d] = true;
    return true;
}

static bool follow(kn_style *style, size_t d, bool *moves, kn_error *error) {
    struct kn_protected *p = style->protected;
    *moves = p->known[d] && !style->job->no_flow;
    if (!*moves) return true;
    kn_flow_cut(p->flows[d]);
    if (!kn_flow_next(p->flows[d], p->before[d], p->motion, p->confident, error) ||
        !kn_flow_next(p->flows[d], p->crop, p->motion, p->confident, error))
        return false;
    kn_style_doubt(p->before[d], p->crop, p->side, p->side, p->motion, p->warped, p->confident);
    return true;
}

static bool paint_detail(kn_style *style, size_t d, const kn_protect_row *row, uint8_t *sampled, kn_error *error) {
    struct kn_protected *p = style->protected;
    size_t floats = 3 * (size_t)p->side * (size_t)p->side;
    kn_protect_window window = kn_protect_window_of(&row->box, p->side);
    double larger = p->side / window.side, whole = (double)style->fit.to_width / style->fit.width;
    bool moves;
    int used = 0;
    if (larger <= (style->fit.scales ? whole : 1)) return true; /* as large in the whole frame */
    kn_track_box box = {(float)(((double)row->box.x - window.left) * larger),
                        (float)(((double)row->box.y - window.top) * larger), row->box.width * (float)larger,
                        row->box.height * (float)larger};
    kn_protect_cut_out(style->seen, style->info.width, style->info.height, &window, p->side, p->crop);
    if (!follow(style, d, &moves, error) || !sample_again(style, d, &box, moves, &used, error)) return false;
    memcpy(p->before[d], p->crop, floats * sizeof(float));
    memcpy(p->strip + d * floats, p->painted, floats * sizeof(float));
    *sampled = (uint8_t)(used + 1);
    return true;
}

/* The strip holds the squares side by side in memory, one above the other as a picture. */
static bool keep(struct kn_protected *p, int64_t at, kn_error *error) {
    size_t n = (size_t)p->side * (size_t)p->side, count = p->marks.count;
    float *planes = kn_alloc(3 * n * count, sizeof *planes, error);
    for (size_t d = 0; planes && d < count; d++)
        for (size_t c = 0; c < 3; c++)
            memcpy(planes + (c * count + d) * n, p->strip + (3 * d + c) * n, n * sizeof *planes);
    kn_film_frame frame = {.planes = planes, .index = at, .time = at};
    bool ok = planes && kn_film_writer_add(p->writer, &frame, error);
    kn_free(planes);
    return ok;
}

bool kn_protect_paint(kn_style *style, int64_t frame, bool cut, kn_error *error) {
    struct kn_protected *p = style->protected;
    size_t n = (size_t)p->side * (size_t)p->side;
    int64_t at = frame % KN_STYLE_CHUNK;
    memset(p->strip, 0, 3 * n * p->marks.count * sizeof(float));
    if (frame >= p->frames)
        return kn_fail(error, KN_ERROR_INPUT, "%s: has more frames than when details were followed", style->job->input);
    for (size_t d = 0; d < p->marks.count; d++) {
        const kn_protect_row *row = &p->rows[d][frame];
        uint8_t *sampled = &p->sampled[(size_t)at * p->marks.count + d];
        *sampled = 0;
        if (cut) p->levels[d] = 0;
        if (row->weight > 0 && !paint_detail(style, d, row, sampled, error)) return false;
    }
    return keep(p, at, error);
}
