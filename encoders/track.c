/* Following a marked detail: motion says where to look, appearance says where it is and whether it is there at all. */
#include "encoders/track.h"
#include "kinora/flow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 20 /* along the longer side of the detail */, LEAST_WINDOW = 96, MOST_WINDOW = 320 };

/* Matches from which a place is believed: close to where motion says, anywhere, and in spite of motion that agrees. */
static const double NEAR_MATCH = 0.55, FAR_MATCH = 0.72, MOVED_MATCH = 0.3;

struct kn_track {
    int width, height, window;
    kn_flow *flow;
    float *before, *now, *motion, *confident; /* [..][window][window] */
    double before_left, before_top;
    kn_track_patch marked, recent, blurred, spare;
    double step;                      /* pixels between samples where it was marked */
    double box_width, box_height;     /* there */
    double x, y, scale;               /* centre and size against the marked one */
    double velocity_x, velocity_y;    /* pixels a frame */
    double flow_x, flow_y, flow_sure; /* where motion says that it went, and the share of it that is sure */
    int lost, moved;                  /* frames since it was seen; frames in a row that motion alone carried it */
};

/* --- create ----------------------------------------------------------------------------------- */

bool kn_track_create(kn_track **out, int width, int height, kn_error *error) {
    *out = NULL;
    if (width < 8 || height < 8 || width > 16384 || height > 16384)
        return kn_fail(error, KN_ERROR_INPUT, "%d x %d pixels: expected 8 to 16384", width, height);
    kn_track *track = kn_alloc(1, sizeof *track, error);
    if (!track) return false;
    track->width = width, track->height = height;
    *out = track;
    return true;
}

static void clear(kn_track *track) {
    float **buffers[] = {&track->before, &track->now, &track->motion, &track->confident};
    for (size_t i = 0; i < KN_COUNT(buffers); i++) {
        kn_free(*buffers[i]);
        *buffers[i] = NULL;
    }
    kn_track_patch *patches[] = {&track->marked, &track->recent, &track->blurred, &track->spare};
    for (size_t i = 0; i < KN_COUNT(patches); i++) kn_track_patch_finish(patches[i]);
    kn_flow_destroy(&track->flow);
}

void kn_track_destroy(kn_track **track) {
    if (!track || !*track) return;
    clear(*track);
    kn_free(*track);
    *track = NULL;
}

static bool allocate(kn_track *track, int width, int height, kn_error *error) {
    int window = (int)(5 * fmax(track->box_width, track->box_height)) + 32;
    window = (window < LEAST_WINDOW ? LEAST_WINDOW : window > MOST_WINDOW ? MOST_WINDOW : window) / 16 * 16;
    size_t n = (size_t)window * (size_t)window;
    track->window = window;
    kn_track_patch *patches[] = {&track->marked, &track->recent, &track->blurred, &track->spare};
    for (size_t i = 0; i < KN_COUNT(patches); i++)
        if (!kn_track_patch_init(patches[i], width, height, error)) return false;
    return (track->before = kn_alloc(3 * n, sizeof(float), error)) &&
           (track->now = kn_alloc(3 * n, sizeof(float), error)) &&
           (track->motion = kn_alloc(2 * n, sizeof(float), error)) &&
           (track->confident = kn_alloc(n, sizeof(float), error)) &&
           kn_flow_create(&track->flow, window, window, error);
}

/* --- windows ---------------------------------------------------------------------------------- */

static kn_track_view whole(const kn_track *track, const float *planes) {
    return (kn_track_view){planes, track->width, track->height, 0, 0};
}

/* The pixels of the window at (left, top). */
static void cut_out(const kn_track *track, const float *planes, double left, double top, float *out) {
    size_t side = (size_t)track->window, pixels = (size_t)track->width * (size_t)track->height;
    for (size_t c = 0; c < 3; c++)
        for (size_t y = 0; y < side; y++)
            for (size_t x = 0; x < side; x++) {
                double px = fmin(fmax(left + (double)x, 0), track->width - 1),
                       py = fmin(fmax(top + (double)y, 0), track->height - 1);
                float value = planes[c * pixels + (size_t)py * (size_t)track->width + (size_t)px];
                *out++ = isfinite(value) ? value : 0;
            }
}

static void remember_window(kn_track *track, const float *planes) {
    track->before_left = floor(track->x - 0.5 * track->window);
    track->before_top = floor(track->y - 0.5 * track->window);
    cut_out(track, planes, track->before_left, track->before_top, track->before);
}

/* --- marking ---------------------------------------------------------------------------------- */

static double coverage(const kn_track *track, const kn_track_box *box, const float *mask, double x, double y) {
    double dx = fmax(fabs(x - box->x - 0.5 * box->width) - 0.5 * box->width, 0),
           dy = fmax(fabs(y - box->y - 0.5 * box->height) - 0.5 * box->height, 0), outside = fmax(dx, dy) / track->step;
    if (!mask) return outside < 0.5 ? 1 : outside < 2 ? 0.35 : 0;
    int px = (int)floor(x), py = (int)floor(y);
    if (px < 0 || py < 0 || px >= track->width || py >= track->height) return 0;
    return fmax((double)mask[(size_t)py * (size_t)track->width + (size_t)px], outside < 3 ? 0.35 : 0);
}

static void weigh(kn_track *track, const kn_track_box *box, const float *mask) {
    kn_track_patch *p = &track->marked;
    for (int j = 0; j < p->height; j++)
        for (int i = 0; i < p->width; i++)
            p->weights[(size_t)j * (size_t)p->width + (size_t)i] =
                (float)coverage(track, box, mask, track->x + (i - 0.5 * (p->width - 1)) * track->step,
                                track->y + (j - 0.5 * (p->height - 1)) * track->step);
}

bool kn_track_mark(kn_track *track, const float *planes, kn_track_box box, const float *mask, kn_error *error) {
    if (!(box.width >= 1 && box.height >= 1 && box.x >= 0 && box.y >= 0 && box.x + box.width <= (float)track->width &&
          box.y + box.height <= (float)track->height))
        return kn_fail(error, KN_ERROR_INPUT, "box %g, %g, %g x %g: is not within %d x %d", (double)box.x,
                       (double)box.y, (double)box.width, (double)box.height, track->width, track->height);
    clear(track);
    track->box_width = (double)box.width, track->box_height = (double)box.height;
    track->x = (double)box.x + 0.5 * track->box_width, track->y = (double)box.y + 0.5 * track->box_height;
    track->step = fmax(fmax(track->box_width, track->box_height) / SAMPLES, 1);
    track->scale = 1;
    track->velocity_x = track->velocity_y = 0;
    track->lost = track->moved = 0;
    int margin = mask ? 3 : 2;
    if (!allocate(track, (int)ceil(track->box_width / track->step) + 2 * margin,
                  (int)ceil(track->box_height / track->step) + 2 * margin, error))
        return false;
    kn_track_view view = whole(track, planes);
    weigh(track, &box, mask);
    kn_track_patch_take(&track->marked, &view, track->x, track->y, track->step);
    size_t places = (size_t)track->marked.width * (size_t)track->marked.height;
    if (track->marked.energy < 3e-5 * track->marked.total)
        return kn_fail(error, KN_ERROR_INPUT, "box %g, %g, %g x %g: holds nothing but one flat colour", (double)box.x,
                       (double)box.y, (double)box.width, (double)box.height);
    kn_track_patch *others[] = {&track->recent, &track->blurred, &track->spare};
    for (size_t i = 0; i < KN_COUNT(others); i++)
        memcpy(others[i]->weights, track->marked.weights, places * sizeof(float));
    kn_track_patch_take(&track->recent, &view, track->x, track->y, track->step);
    remember_window(track, planes);
    return true;
}

/* --- motion ----------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The median motion of the sure pixels of the detail, from the frame before to this one. */
static bool ask_motion(kn_track *track, const float *planes, kn_error *error) {
    size_t side = (size_t)track->window, n = side * side, count = 0;
    cut_out(track, planes, track->before_left, track->before_top, track->now);
    kn_flow_cut(track->flow);
    if (!kn_flow_next(track->flow, track->now, track->motion, track->confident, error) ||
        !kn_flow_next(track->flow, track->before, track->motion, track->confident, error))
        return false;
    float *u = kn_alloc(2 * n, sizeof *u, error), *v = u + n;
    if (!u) return false;
    double half_width = 0.5 * track->box_width * track->scale + 1, half_height = 0.5 * track->box_height * track->scale;
    size_t inside = 0;
    for (size_t i = 0; i < n; i++) {
        double x = track->before_left + (double)(i % side) + 0.5, y = track->before_top + (double)(i / side) + 0.5;
        if (fabs(x - track->x) > half_width || fabs(y - track->y) > half_height + 1) continue;
        inside++;
        if (track->confident[i] < 0.5f) continue;
        u[count] = track->motion[i];
        v[count++] = track->motion[n + i];
    }
    track->flow_sure = inside ? (double)count / (double)inside : 0;
    track->flow_x = track->flow_y = 0;
    if (count) {
        qsort(u, count, sizeof *u, ascending);
        qsort(v, count, sizeof *v, ascending);
        track->flow_x = (double)u[count / 2], track->flow_y = (double)v[count / 2];
    }
    kn_free(u);
    return true;
}

/* --- appearance ------------------------------------------------------------------------------- */

static bool better(const kn_track_patch *patch, const kn_track_view *view, const kn_track_search *search,
                   kn_track_peak *best, kn_error *error) {
    kn_track_peak peak;
    if (!kn_track_find(patch, view, search, &peak, error)) return false;
    if (peak.match > best->match) *best = peak;
    return true;
}

/* The detail as it was marked, as it looked last, and as a camera sees it that is as fast as it was. */
static bool look_around(kn_track *track, const kn_track_view *view, const kn_track_search *search, kn_track_peak *best,
                        kn_error *error) {
    double u = 0.5 * track->velocity_x / search->step, v = 0.5 * track->velocity_y / search->step;
    if (!better(&track->marked, view, search, best, error) || !better(&track->recent, view, search, best, error))
        return false;
    if (hypot(u, v) < 2) return true;
    kn_track_patch_blur(&track->marked, u, v, &track->blurred);
    return better(&track->blurred, view, search, best, error);
}

static bool look_near(kn_track *track, const kn_track_view *view, kn_track_peak *best, kn_error *error) {
    double step = track->step * track->scale, size = fmax(track->box_width, track->box_height) * track->scale,
           speed = hypot(track->velocity_x, track->velocity_y);
    kn_track_search s = {
        .step = step, .pull = 0.1, .stride = 1, .radius_x = 4 + 0.4 * size, .radius_y = 4 + 0.4 * size};
    s.x = track->x + track->flow_x, s.y = track->y + track->flow_y;
    if (track->flow_sure > 0.2 && !look_around(track, view, &s, best, error)) return false;
    if (best->match > 0.8) return true;
    s.x = track->x + track->velocity_x, s.y = track->y + track->velocity_y;
    if (!look_around(track, view, &s, best, error)) return false;
    if (best->match > 0.7) return true;
    s.radius_x = s.radius_y = 16 + 1.5 * size + speed;
    s.pull = 0.2, s.stride = 2;
    return look_around(track, view, &s, best, error);
}

/* From this frame back: does what was found come from where it was? */
static bool leads_home(kn_track *track, const kn_track_view *view, const kn_track_peak *found, bool *home,
                       kn_error *error) {
    double step = track->step * track->scale, size = fmax(track->box_width, track->box_height) * track->scale;
    kn_track_view before = {track->before, track->window, track->window, track->before_left, track->before_top};
    kn_track_search s = {.x = track->x,
                         .y = track->y,
                         .step = step,
                         .pull = 0.05,
                         .stride = 1,
                         .radius_x = 4 + 0.8 * size,
                         .radius_y = 4 + 0.8 * size};
    kn_track_peak back;
    kn_track_patch_take(&track->spare, view, found->x, found->y, step);
    if (!kn_track_find(&track->spare, &before, &s, &back, error)) return false;
    *home = hypot(back.x - track->x, back.y - track->y) < fmax(2, 0.35 * size);
    return true;
}

/* Anywhere in the frame; only what is much like it and like nothing else is believed. */
static bool look_everywhere(kn_track *track, const kn_track_view *view, kn_track_peak *best, bool *found,
                            kn_error *error) {
    double step = track->step * track->scale, size = fmax(track->box_width, track->box_height) * track->scale,
           radius = size * (2 + track->lost);
    kn_track_search s = {.x = 0.5 * track->width,
                         .y = 0.5 * track->height,
                         .step = step,
                         .pull = 0,
                         .stride = 2,
                         .radius_x = 0.5 * track->width,
                         .radius_y = 0.5 * track->height};
    *best = (kn_track_peak){.match = -1, .second = -1};
    if (!better(&track->marked, view, &s, best, error) ||
        (best->match < FAR_MATCH && !better(&track->recent, view, &s, best, error)))
        return false;
    bool close = track->lost < 12 && hypot(best->x - track->x, best->y - track->y) < radius;
    *found = close ? best->match > 0.5 * (NEAR_MATCH + FAR_MATCH)
                   : best->match > FAR_MATCH && best->second < best->match - 0.06;
    return true;
}

/* A little larger or smaller than it was? */
static bool adapt_scale(kn_track *track, const kn_track_view *view, const kn_track_peak *found, kn_error *error) {
    static const double factors[] = {0.96, 1 / 0.96};
    double best = found->match, chosen = 1;
    for (size_t i = 0; i < KN_COUNT(factors); i++) {
        kn_track_peak peak;
        kn_track_search s = {.x = found->x,
                             .y = found->y,
                             .step = track->step * track->scale * factors[i],
                             .radius_x = 1,
                             .radius_y = 1,
                             .stride = 1};
        if (!kn_track_find(&track->marked, view, &s, &peak, error)) return false;
        if (peak.match > best + 0.02) best = peak.match, chosen = factors[i];
    }
    track->scale = fmin(fmax(track->scale * chosen, 0.25), 4);
    return true;
}

/* What it looks like now flows into what it looked like last. */
static void learn(kn_track *track, const kn_track_view *view, double x, double y) {
    size_t values = 3 * (size_t)track->recent.width * (size_t)track->recent.height;
    kn_track_patch_take(&track->spare, view, x, y, track->step * track->scale);
    for (size_t i = 0; i < values; i++)
        track->recent.values[i] += 0.3f * (track->spare.values[i] - track->recent.values[i]);
    for (int c = 0; c < 3; c++) track->recent.mean[c] += 0.3 * (track->spare.mean[c] - track->recent.mean[c]);
    kn_track_patch_settle(&track->recent);
}

/* --- a frame ---------------------------------------------------------------------------------- */

static kn_track_place place_of(const kn_track *track, double match, bool seen) {
    double w = track->box_width * track->scale, h = track->box_height * track->scale;
    double left = track->x - 0.5 * w, top = track->y - 0.5 * h;
    double inside = fmax(fmin(left + w, track->width) - fmax(left, 0), 0) *
                    fmax(fmin(top + h, track->height) - fmax(top, 0), 0) / (w * h);
    double visible = seen ? fmin(fmax((match - 0.2) / 0.6, 0.05), 1) * inside : 0;
    return (kn_track_place){{(float)left, (float)top, (float)w, (float)h}, (float)match, (float)visible};
}

static void go_to(kn_track *track, double x, double y, bool jumped) {
    track->velocity_x = jumped ? 0 : x - track->x;
    track->velocity_y = jumped ? 0 : y - track->y;
    track->x = x, track->y = y;
}

/* Not seen: it may go on as before for a while, within the frame. */
static void drift(kn_track *track) {
    track->lost++;
    track->velocity_x *= 0.7, track->velocity_y *= 0.7;
    track->x = fmin(fmax(track->x + track->velocity_x, 0), track->width);
    track->y = fmin(fmax(track->y + track->velocity_y, 0), track->height);
}

static bool follow(kn_track *track, const kn_track_view *view, kn_track_peak *best, bool *seen, kn_error *error) {
    bool home = false;
    if (!ask_motion(track, view->planes, error) || !look_near(track, view, best, error)) return false;
    double off = hypot(best->x - track->x - track->flow_x, best->y - track->y - track->flow_y),
           size = fmax(track->box_width, track->box_height) * track->scale;
    bool agrees = track->flow_sure > 0.4 && off < 2 + 0.3 * size;
    if (best->match > NEAR_MATCH || (agrees && best->match > MOVED_MATCH && track->moved < 8))
        if (!leads_home(track, view, best, &home, error)) return false;
    *seen = home || (agrees && best->match > NEAR_MATCH) || best->match > 0.8;
    track->moved = *seen && best->match <= NEAR_MATCH ? track->moved + 1 : 0;
    return true;
}

bool kn_track_next(kn_track *track, const float *planes, kn_track_place *place, kn_error *error) {
    kn_track_view view = whole(track, planes);
    kn_track_peak best = {.match = -1, .second = -1};
    bool seen = false, jumped = false;
    if (track->window == 0) return kn_fail(error, KN_ERROR_INPUT, "the detail was never marked");
    if (track->lost == 0 && !follow(track, &view, &best, &seen, error)) return false;
    if (!seen) {
        jumped = true;
        if (!look_everywhere(track, &view, &best, &seen, error)) return false;
    }
    if (seen) {
        go_to(track, best.x, best.y, jumped);
        track->lost = 0;
        if (!adapt_scale(track, &view, &best, error)) return false;
        if (best.match > 0.65 && !jumped) learn(track, &view, best.x, best.y);
    } else drift(track);
    remember_window(track, planes);
    *place = place_of(track, best.match, seen);
    return true;
}

void kn_track_cut(kn_track *track) {
    track->lost = 1000;
    track->velocity_x = track->velocity_y = 0;
}
