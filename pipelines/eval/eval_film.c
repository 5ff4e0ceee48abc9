/* Measures of a restyled film against its source. */
#include "base/warp.h"
#include "kinora/clip.h"
#include "kinora/eval.h"
#include "kinora/flow.h"
#include "pipelines/style/light.h"
#include "pipelines/style/style_internal.h"

#include <math.h>
#include <string.h>

enum { FILMS = 3, FILM = 0, SOURCE, PER_PIXEL, HEIGHT = 480 };

/* One of the films that are compared, at the size of the measures. */
typedef struct track {
    float *now, *before; /* [3][pixels] */
    double warp, fine, fine_all, edges, lab, detail, drift;
    double first[3]; /* mean colour of the shot's first frame, CIELAB */
    double mean[3];
} track;

typedef struct eval {
    const kn_film_eval_params *params;
    kn_film_eval_report *report;
    kn_film_reader *readers[2]; /* FILM, SOURCE */
    kn_film_info info[2];
    kn_style_fit fit;
    size_t pixels;
    kn_flow *flow;
    kn_shots *shots;
    float *planes, *seen, *motion, *confident, *warped, *edges, *others;
    track tracks[FILMS];
    double trusted, pairs, edge_count;
} eval;

/* --- colours ---------------------------------------------------------------------------------- */

static double linear(double v) { return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4); }
static double cube(double t) { return t > 216.0 / 24389 ? cbrt(t) : (24389.0 / 27 * t + 16) / 116; }

/* CIELAB (D65) of an sRGB colour. */
static void lab_of(const float *planes, size_t pixels, size_t i, double lab[3]) {
    double r = linear((double)planes[i]), g = linear((double)planes[pixels + i]),
           b = linear((double)planes[2 * pixels + i]);
    double x = cube((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505), y = cube(0.2126 * r + 0.7152 * g + 0.0722 * b),
           z = cube((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089);
    lab[0] = 116 * y - 16, lab[1] = 500 * (x - y), lab[2] = 200 * (y - z);
}

/* Mean colour, and mean distance to the source's; every fourth pixel of every fourth row. */
static void colours(eval *e, track *t, const track *source) {
    double count = 0, distance = 0, a[3], b[3];
    memset(t->mean, 0, sizeof t->mean);
    for (int y = 0; y < e->fit.to_height; y += 4)
        for (int x = 0; x < e->fit.to_width; x += 4, count++) {
            size_t i = (size_t)y * (size_t)e->fit.to_width + (size_t)x;
            lab_of(t->now, e->pixels, i, a);
            lab_of(source->now, e->pixels, i, b);
            distance +=
                sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) + (a[2] - b[2]) * (a[2] - b[2]));
            for (int c = 0; c < 3; c++) t->mean[c] += a[c];
        }
    for (int c = 0; c < 3; c++) t->mean[c] /= count;
    t->lab += distance / count;
}

/* How far the mean went from the shot's first, beyond what the source's did. */
static void drift(track *t, const track *source, bool cut) {
    double squares = 0;
    if (cut) memcpy(t->first, t->mean, sizeof t->first);
    for (int c = 0; c < 3; c++) {
        double own = t->mean[c] - t->first[c], given = source->mean[c] - source->first[c], beyond = own - given;
        squares += beyond * beyond;
    }
    t->drift = fmax(t->drift, sqrt(squares));
}

/* --- steadiness ------------------------------------------------------------------------------- */

static float light(const float *planes, size_t pixels, size_t i) {
    return .299f * planes[i] + .587f * planes[pixels + i] + .114f * planes[2 * pixels + i];
}

/* The brightness less its mean over 3x3. */
static float fine_at(const float *planes, size_t pixels, size_t i, size_t w) {
    float sum = 0;
    for (size_t y = i - w; y <= i + w; y += w)
        sum += light(planes, pixels, y - 1) + light(planes, pixels, y) + light(planes, pixels, y + 1);
    return light(planes, pixels, i) - sum / 9;
}

static void steadiness(eval *e, track *t, bool cut) {
    size_t w = (size_t)e->fit.to_width, h = (size_t)e->fit.to_height, n = e->pixels;
    if (!cut) kn_warp(t->before, 3, (int)w, (int)h, e->motion, e->warped);
    for (size_t y = 1; y + 1 < h; y++)
        for (size_t x = 1; x + 1 < w; x++) {
            size_t i = y * w + x;
            float laplacian = light(t->now, n, i - 1) + light(t->now, n, i + 1) + light(t->now, n, i - w) +
                              light(t->now, n, i + w) - 4 * light(t->now, n, i);
            t->detail += (double)fabsf(laplacian) / (double)n;
            if (cut || e->confident[i] < .9f) continue;
            float fine = fine_at(t->now, n, i, w), change = fine - fine_at(e->warped, n, i, w);
            t->fine += (double)(change * change);
            t->fine_all += (double)(fine * fine);
            for (size_t c = 0; c < 3; c++) {
                float difference = t->now[c * n + i] - e->warped[c * n + i];
                t->warp += (double)(difference * difference) / 3;
            }
        }
}

static void count_trusted(eval *e) {
    size_t w = (size_t)e->fit.to_width, h = (size_t)e->fit.to_height;
    for (size_t y = 1; y + 1 < h; y++)
        for (size_t x = 1; x + 1 < w; x++) e->trusted += e->confident[y * w + x] >= .9f;
    e->pairs++;
}

/* --- edges ------------------------------------------------------------------------------------ */

static bool edge_near(const float *edges, int w, int h, int x, int y) {
    for (int j = y - 2; j <= y + 2; j++)
        for (int i = x - 2; i <= x + 2; i++)
            if (i >= 0 && j >= 0 && i < w && j < h && edges[(size_t)j * (size_t)w + (size_t)i] > 0) return true;
    return false;
}

static bool recall(eval *e, kn_error *error) {
    int w = e->fit.to_width, h = e->fit.to_height;
    if (!kn_annotate("canny", e->tracks[SOURCE].now, w, h, e->edges, error)) return false;
    for (size_t i = 0; i < e->pixels; i++) e->edge_count += (double)e->edges[i];
    for (int f = 0; f < FILMS; f++) {
        if (!kn_annotate("canny", e->tracks[f].now, w, h, e->others, error)) return false;
        for (size_t i = 0; i < e->pixels; i++)
            if (e->edges[i] > 0)
                e->tracks[f].edges += edge_near(e->others, w, h, (int)(i % (size_t)w), (int)(i / (size_t)w));
    }
    return true;
}

/* --- frames ----------------------------------------------------------------------------------- */

static void posterise(const float *in, size_t count, float *out) {
    for (size_t i = 0; i < count; i++) out[i] = (floorf(fminf(in[i], .999f) * 4) + .5f) / 4;
}

static bool next(eval *e, int which, bool *end, kn_error *error) {
    track *t = &e->tracks[which];
    size_t full = (size_t)e->info[which].width * (size_t)e->info[which].height;
    float *swapped = t->before;
    t->before = t->now, t->now = swapped;
    kn_film_frame frame = {.planes = e->planes};
    if (!kn_film_reader_next(e->readers[which], &frame, end, error) || *end) return !error->kind;
    kn_light_see(e->info[which].color.transfer, e->planes, full, e->seen);
    return kn_style_fit_in(&e->fit, e->seen, t->now, error);
}

static bool measure_frame(eval *e, kn_error *error) {
    track *look = &e->tracks[PER_PIXEL], *source = &e->tracks[SOURCE];
    float *swapped = look->before;
    look->before = look->now, look->now = swapped;
    posterise(source->now, 3 * e->pixels, look->now);
    bool cut = kn_shots_next(e->shots, source->now);
    e->report->shots += cut;
    if (cut) kn_flow_cut(e->flow);
    if (!kn_flow_next(e->flow, source->now, e->motion, e->confident, error)) return false;
    if (!cut) count_trusted(e);
    for (int f = 0; f < FILMS; f++) {
        steadiness(e, &e->tracks[f], cut);
        colours(e, &e->tracks[f], source);
    }
    drift(source, source, cut);
    drift(&e->tracks[FILM], source, cut);
    drift(look, source, cut);
    return recall(e, error);
}

static kn_film_score score_of(const eval *e, const track *t) {
    double frames = (double)e->report->frames;
    return (kn_film_score){.warp_error = e->trusted > 0 ? t->warp / e->trusted : NAN,
                           .flicker = t->fine_all > 0 ? t->fine / t->fine_all : NAN,
                           .edge_recall = e->edge_count > 0 ? t->edges / e->edge_count : NAN,
                           .colour_drift = t->drift,
                           .style_distance = t->lab / frames,
                           .detail = t->detail / frames};
}

static bool measure(eval *e, kn_error *error) {
    const kn_film_eval_params *p = e->params;
    for (;;) {
        bool ends[2] = {false, false};
        if (!next(e, SOURCE, &ends[SOURCE], error) || !next(e, FILM, &ends[FILM], error)) return false;
        if (ends[FILM] != ends[SOURCE])
            return kn_fail(error, KN_ERROR_INPUT, "%s: has %s frames than its source %s (after %lld)", p->film,
                           ends[FILM] ? "fewer" : "more", p->source, (long long)e->report->frames);
        if (ends[FILM]) break;
        if (!measure_frame(e, error)) return false;
        e->report->frames++;
        if (p->progress && !p->progress(p->progress_user, "measure", (uint64_t)e->report->frames,
                                        (uint64_t)fmax((double)e->info[SOURCE].frame_count, (double)e->report->frames)))
            return kn_fail(error, KN_ERROR_CANCELLED, "stopped after frame %lld", (long long)e->report->frames);
    }
    if (e->report->frames == 0) return kn_fail(error, KN_ERROR_INPUT, "%s: holds no frame", p->film);
    double inner = (double)(e->fit.to_width - 2) * (double)(e->fit.to_height - 2);
    e->report->covered = e->pairs > 0 ? e->trusted / (e->pairs * inner) : NAN;
    e->report->film = score_of(e, &e->tracks[FILM]);
    e->report->source = score_of(e, &e->tracks[SOURCE]);
    e->report->per_pixel = score_of(e, &e->tracks[PER_PIXEL]);
    return true;
}

/* --- whole ------------------------------------------------------------------------------------ */

static bool open_films(eval *e, kn_error *error) {
    const char *paths[2] = {e->params->film, e->params->source};
    for (int i = 0; i < 2; i++) {
        if (!kn_film_reader_create(&e->readers[i], paths[i], (kn_rational){0, 0}, error)) return false;
        e->info[i] = *kn_film_reader_info(e->readers[i]);
    }
    if (e->info[0].width != e->info[1].width || e->info[0].height != e->info[1].height)
        return kn_fail(error, KN_ERROR_INPUT, "%s: is %d x %d, its source %s %d x %d", paths[0], e->info[0].width,
                       e->info[0].height, paths[1], e->info[1].width, e->info[1].height);
    e->fit = kn_style_fit_of(e->info[0].width, e->info[0].height, HEIGHT, 4);
    e->pixels = (size_t)e->fit.to_width * (size_t)e->fit.to_height;
    return true;
}

static bool allocate(eval *e, kn_error *error) {
    size_t full = (size_t)e->info[0].width * (size_t)e->info[0].height, n = e->pixels;
    for (int f = 0; f < FILMS; f++)
        if (!(e->tracks[f].now = kn_alloc(3 * n, sizeof(float), error)) ||
            !(e->tracks[f].before = kn_alloc(3 * n, sizeof(float), error)))
            return false;
    return (e->planes = kn_alloc(4 * full, sizeof(float), error)) &&
           (e->seen = kn_alloc(3 * full, sizeof(float), error)) &&
           (e->motion = kn_alloc(2 * n, sizeof(float), error)) && (e->confident = kn_alloc(n, sizeof(float), error)) &&
           (e->warped = kn_alloc(3 * n, sizeof(float), error)) && (e->edges = kn_alloc(3 * n, sizeof(float), error)) &&
           (e->others = kn_alloc(3 * n, sizeof(float), error)) &&
           kn_flow_create(&e->flow, e->fit.to_width, e->fit.to_height, error) &&
           kn_shots_create(&e->shots, e->fit.to_width, e->fit.to_height, 0, error);
}

bool kn_film_eval(const kn_film_eval_params *params, kn_film_eval_report *report, kn_error *error) {
    kn_error own = {0};
    eval e = {.params = params, .report = report};
    *report = (kn_film_eval_report){0};
    bool ok = open_films(&e, &own) && allocate(&e, &own) && measure(&e, &own);
    float *buffers[] = {e.planes, e.seen, e.motion, e.confident, e.warped, e.edges, e.others};
    for (size_t i = 0; i < KN_COUNT(buffers); i++) kn_free(buffers[i]);
    for (int f = 0; f < FILMS; f++) kn_free(e.tracks[f].now), kn_free(e.tracks[f].before);
    for (int i = 0; i < 2; i++) kn_film_reader_destroy(&e.readers[i]);
    kn_flow_destroy(&e.flow);
    kn_shots_destroy(&e.shots);
    return ok || kn_fail(error, own.kind, "%s", own.message);
}
