/* The tuner. Every group of constants chooses between a few ways of computing a shape: all ways are timed on all
 * shapes, and then candidates for the constants are compared by what they would have chosen. So a grid of many
 * candidates costs no more than the ways. */
#include "diffusion/bench/tune.h"

#include "diffusion/bench/bench_case.h"

#include <math.h>
#include <time.h>

enum { MAX_WAYS = 16, MAX_SHAPES = 10, MAX_CANDIDATES = 64, LEAST_ROUNDS = 3, MOST_ROUNDS = 10, MOST_REPEATS = 16 };
static const double ROUND_SECONDS = 0.002, SHAPE_SECONDS = 0.08,
                    NOISE = 0.03; /* of one sample; of a way's samples; share */

typedef struct way {
    kn_tuning tuning;
    int winograd;
} way;

typedef struct group {
    const char *name;
    const kn_bench_shape *shapes;
    int shape_count, way_count, candidate_count;
    way ways[MAX_WAYS];
    kn_tuning candidates[MAX_CANDIDATES]; /* the first: what holds so far */
    int (*pick)(const kn_bench_case *c, const kn_bench_shape *shape,
                const kn_tuning *candidate); /* NULL: candidate c takes way c */
} group;

typedef struct tuner {
    kn_gpu *gpu;
    kn_tune_report *report;
    kn_progress_callback progress;
    void *user;
    uint64_t done, total;
} tuner;

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- timing ----------------------------------------------------------------------------------- */

/* Processor seconds of all threads on a software device, so that what else runs on the machine counts little; else
 * seconds. */
static bool time_once(const kn_bench_case *c, int repeats, double *seconds, kn_error *error) {
    clockid_t clock = kn_gpu_get_info(c->gpu)->kind == KN_GPU_SOFTWARE ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    double start = now(clock);
    for (int i = 0; i < repeats; i++)
        if (!kn_graph_run(c->graph, error)) return false;
    *seconds = (now(clock) - start) / repeats;
    return true;
}

/* The least of several samples; the ways take turns, so that what else the machine does meets them all. */
static bool time_cases(const kn_bench_case *cases, int count, double *seconds, kn_error *error) {
    int repeats[MAX_WAYS];
    double sample, start = 0;
    for (int i = 0; i < count; i++) { /* the first run compiles */
        if (!time_once(&cases[i], 1, &sample, error) || !time_once(&cases[i], 1, &seconds[i], error)) return false;
        repeats[i] =
            seconds[i] > ROUND_SECONDS ? 1 : (int)fmin(MOST_REPEATS, ceil(ROUND_SECONDS / fmax(seconds[i], 1e-6)));
    }
    start = now(CLOCK_MONOTONIC);
    for (int round = 0;
         round < MOST_ROUNDS && (round < LEAST_ROUNDS || now(CLOCK_MONOTONIC) - start < count * SHAPE_SECONDS); round++)
        for (int i = 0; i < count; i++) {
            if (!time_once(&cases[i], repeats[i], &sample, error)) return false;
            if (sample < seconds[i]) seconds[i] = sample;
        }
    return true;
}

/* seconds[way]; `picks` (may be NULL): picks[candidate * shape_count] of this shape. */
static bool time_shape(tuner *t, const group *g, const way *ways, int count, const kn_bench_shape *shape,
                       double *seconds, int *picks, kn_error *error) {
    kn_bench_case cases[MAX_WAYS] = {0};
    bool ok = true;
    for (int i = 0; ok && i < count; i++)
        ok = kn_bench_case_init(&cases[i], t->gpu, shape, &ways[i].tuning, ways[i].winograd, error);
    ok = ok && time_cases(cases, count, seconds, error);
    for (int c = 0; ok && picks && c < g->candidate_count; c++)
        picks[c * g->shape_count] = g->pick ? g->pick(&cases[0], shape, &g->candidates[c]) : c;
    for (int i = 0; i < count; i++) kn_bench_case_finish(&cases[i]);
    if (picks) t->done++; /* what is measured again was counted */
    if (ok && t->progress && !t->progress(t->user, g->name, t->done, t->total))
        return kn_fail(error, KN_ERROR_CANCELLED, "stopped");
    return ok;
}

/* --- choosing --------------------------------------------------------------------------------- */

int kn_tune_choose(const double *times, int shapes, int variants, const int *picks, int candidates, double noise) {
    double first = 0, least = INFINITY;
    int best = 0;
    for (int c = 0; c < candidates; c++) {
        double sum = 0;
        for (int s = 0; s < shapes; s++) {
            const double *own = times + (size_t)s * (size_t)variants;
            double shortest = INFINITY;
            for (int v = 0; v < variants; v++) shortest = fmin(shortest, own[v]);
            sum += own[picks[c * shapes + s]] / shortest;
        }
        if (c == 0) first = sum;
        if (sum >= least * (1 - 1e-9)) continue;
        least = sum;
        best = c;
    }
    return least < first * (1 - noise) ? best : 0;
}

/* Measures the choice against what holds so far and keeps it when it is faster again, shape by shape on average. */
static bool settle(tuner *t, const group *g, const double *times, const int *picks, int best, kn_error *error) {
    kn_tune_gain gain = {.group = g->name};
    double ratio = 0;
    for (int s = 0; s < g->shape_count; s++) {
        int before = picks[s], after = picks[best * g->shape_count + s];
        double seconds[2] = {times[s * g->way_count + before], times[s * g->way_count + after]};
        const way both[2] = {g->ways[before], g->ways[after]};
        if (before != after && !time_shape(t, g, both, 2, &g->shapes[s], seconds, NULL, error)) return false;
        gain.before += seconds[0];
        gain.after += seconds[1];
        ratio += seconds[1] / seconds[0] / g->shape_count;
    }
    if (ratio < 1 - NOISE / 2) t->report->tuning = g->candidates[best];
    else gain.after = gain.before;
    t->report->gains[t->report->gain_count++] = gain;
    return true;
}

static bool tune_group(tuner *t, const group *g, kn_error *error) {
    double times[MAX_SHAPES * MAX_WAYS];
    int picks[MAX_CANDIDATES * MAX_SHAPES];
    for (int s = 0; s < g->shape_count; s++)
        if (!time_shape(t, g, g->ways, g->way_count, &g->shapes[s], times + s * g->way_count, picks + s, error))
            return false;
    return settle(t, g, times, picks,
                  kn_tune_choose(times, g->shape_count, g->way_count, picks, g->candidate_count, NOISE), error);
}

static void add_candidate(group *g, kn_tuning candidate) {
    if (g->candidate_count < MAX_CANDIDATES &&
        (g->candidate_count == 0 || !kn_tuning_equal(&candidate, &g->candidates[0])))
        g->candidates[g->candidate_count++] = candidate;
}

/* --- software devices: layers ----------------------------------------------------------------- */

static const kn_bench_shape layer_shapes[] = {
    {"layers", "tokens 4200 x 64 -> 64", KN_SHAPE_LINEAR, 3, 1, 1400, 64, 64, 1, 1},
    {"layers", "tokens 4200 x 128 -> 128", KN_SHAPE_LINEAR, 3, 1, 1400, 128, 128, 1, 1},
    {"layers", "tokens 2100 x 192 -> 192", KN_SHAPE_LINEAR, 6, 1, 350, 192, 192, 1, 1},
    {"layers", "tokens 2100 x 256 -> 256", KN_SHAPE_LINEAR, 6, 1, 350, 256, 256, 1, 1},
    {"layers", "tokens 1024 x 320 -> 320", KN_SHAPE_LINEAR, 1, 1, 1024, 320, 320, 1, 1},
    {"layers", "tokens 512 x 512 -> 512", KN_SHAPE_LINEAR, 1, 1, 512, 512, 512, 1, 1},
    {"layers", "tokens 512 x 640 -> 640", KN_SHAPE_LINEAR, 1, 1, 512, 640, 640, 1, 1},
};

static int pick_layer(const kn_bench_case *c, const kn_bench_shape *shape, const kn_tuning *candidate) {
    (void)c;
    return shape->in / 4 <= candidate->conv_shared ? 0 : candidate->conv_blocks == 4 ? 2 : 1;
}

static bool tune_layers(tuner *t, kn_error *error) {
    static const int limits[] = {0, 16, 32, 48, 64, 80, 128, 160}, blocks[] = {2, 4};
    group g = {.name = "layers",
               .shapes = layer_shapes,
               .shape_count = KN_COUNT(layer_shapes),
               .way_count = 3,
               .pick = pick_layer};
    kn_tuning base = t->report->tuning, changed = base;
    for (int i = 0; i < g.way_count; i++) g.ways[i].tuning = base;
    g.ways[0].tuning.conv_shared = 4096;
    g.ways[1].tuning.conv_shared = g.ways[2].tuning.conv_shared = 0;
    g.ways[1].tuning.conv_blocks = 2;
    g.ways[2].tuning.conv_blocks = 4;
    add_candidate(&g, base);
    for (size_t i = 0; i < KN_COUNT(limits); i++)
        for (size_t j = 0; j < KN_COUNT(blocks); j++) {
            changed.conv_shared = limits[i];
            changed.conv_blocks = blocks[j];
            add_candidate(&g, changed);
        }
    return tune_group(t, &g, error);
}

/* --- software devices: Winograd's form -------------------------------------------------------- */

static const kn_bench_shape winograd_shapes[] = {
    {"winograd", "2 x 56x100, 64 -> 64", KN_SHAPE_CONV, 2, 56, 100, 64, 64, 3, 1},
    {"winograd", "3 x 28x50, 128 -> 128", KN_SHAPE_CONV, 3, 28, 50, 128, 128, 3, 1},
    {"winograd", "6 x 14x25, 192 -> 192", KN_SHAPE_CONV, 6, 14, 25, 192, 192, 3, 1},
    {"winograd", "1 x 32x32, 320 -> 320", KN_SHAPE_CONV, 1, 32, 32, 320, 320, 3, 1},
    {"winograd", "1 x 16x16, 640 -> 640", KN_SHAPE_CONV, 1, 16, 16, 640, 640, 3, 1},
    {"winograd", "2 x 8x8, 640 -> 640", KN_SHAPE_CONV, 2, 8, 8, 640, 640, 3, 1},
    {"winograd", "1 x 128x128, 64 -> 64", KN_SHAPE_CONV, 1, 128, 128, 64, 64, 3, 1},
};

static int pick_winograd(const kn_bench_case *c, const kn_bench_shape *shape, const kn_tuning *candidate) {
    const kn_winograd conv = {
        .in = &c->in, .out = &c->out, .weight = &c->weight, .view_h = shape->h, .view_w = shape->w};
    kn_graph_set_tuning(c->graph, candidate);
    kn_graph_choose_winograd(c->graph, 0);
    return kn_winograd_pays(c->graph, &conv);
}

static bool tune_winograd(tuner *t, kn_error *error) {
    static const double stores[] = {5, 10, 15, 20, 30, 40, 60, 90, 150, 1000}, fews[] = {0, 32, 64, 128, 256};
    group g = {.name = "winograd",
               .shapes = winograd_shapes,
               .shape_count = KN_COUNT(winograd_shapes),
               .way_count = 2,
               .pick = pick_winograd};
    kn_tuning base = t->report->tuning, changed = base;
    g.ways[0] = (way){base, -1};
    g.ways[1] = (way){base, 1};
    add_candidate(&g, base);
    for (size_t i = 0; i < KN_COUNT(stores); i++)
        for (size_t j = 0; j < KN_COUNT(fews); j++) {
            changed.winograd_store = stores[i];
            changed.winograd_few = fews[j];
            add_candidate(&g, changed);
        }
    return tune_group(t, &g, error);
}

/* --- software devices: attention -------------------------------------------------------------- */

static const kn_bench_shape attention_shapes[] = {
    {"attention", "3 x 1400 x 77, 4 heads x 32", KN_SHAPE_ATTENTION, 3, 77, 1400, 32, 4, 0, 0},
    {"attention", "6 x 350, 4 heads x 32", KN_SHAPE_ATTENTION, 6, 350, 350, 32, 4, 0, 0},
    {"attention", "2 x 700, 4 heads x 16", KN_SHAPE_ATTENTION, 2, 700, 700, 16, 4, 0, 0},
    {"attention", "1 x 1400, 4 heads x 16", KN_SHAPE_ATTENTION, 1, 1400, 1400, 16, 4, 0, 0},
    {"attention", "1 x 1024, 8 heads x 40", KN_SHAPE_ATTENTION, 1, 1024, 1024, 40, 8, 0, 0},
    {"attention", "1 x 512, 8 heads x 80", KN_SHAPE_ATTENTION, 1, 512, 512, 80, 8, 0, 0},
};

static int pick_attention(const kn_bench_case *c, const kn_bench_shape *shape, const kn_tuning *candidate) {
    (void)c;
    return (candidate->attention_blocks == 4 ? 2 : 0) + (shape->h <= candidate->attention_shared);
}

static bool tune_attention(tuner *t, kn_error *error) {
    static const int limits[] = {0, 128, 512, 1024, 65536}, blocks[] = {2, 4};
    group g = {.name = "attention",
               .shapes = attention_shapes,
               .shape_count = KN_COUNT(attention_shapes),
               .way_count = 4,
               .pick = pick_attention};
    kn_tuning base = t->report->tuning, changed = base;
    for (int i = 0; i < g.way_count; i++) {
        g.ways[i].tuning = base;
        g.ways[i].tuning.attention_blocks = blocks[i / 2];
        g.ways[i].tuning.attention_shared = i % 2 ? 65536 : 0;
    }
    add_candidate(&g, base);
    for (size_t i = 0; i < KN_COUNT(limits); i++)
        for (size_t j = 0; j < KN_COUNT(blocks); j++) {
            changed.attention_shared = limits[i];
            changed.attention_blocks = blocks[j];
            add_candidate(&g, changed);
        }
    return tune_group(t, &g, error);
}

/* --- GPUs ------------------------------------------------------------------------------------- */

static const kn_bench_shape gpu_shapes[] = {
    {"gpu", "tokens 2100 x 192 -> 192", KN_SHAPE_LINEAR, 6, 1, 350, 192, 192, 1, 1},
    {"gpu", "tokens 1024 x 640 -> 640", KN_SHAPE_LINEAR, 1, 1, 1024, 640, 640, 1, 1},
    {"gpu", "tokens 4096 x 1280 -> 1280", KN_SHAPE_LINEAR, 1, 1, 4096, 1280, 1280, 1, 1},
    {"gpu", "6 x 28x50, 128 -> 128", KN_SHAPE_CONV, 6, 28, 50, 128, 128, 3, 1},
    {"gpu", "2 x 64x64, 320 -> 320", KN_SHAPE_CONV, 2, 64, 64, 320, 320, 3, 1},
    {"gpu", "2 x 16x16, 1280 -> 1280", KN_SHAPE_CONV, 2, 16, 16, 1280, 1280, 3, 1},
    {"gpu", "2 x 8x8, 1280 -> 1280", KN_SHAPE_CONV, 2, 8, 8, 1280, 1280, 3, 1},
    {"gpu", "2 x 1024, 8 heads x 80", KN_SHAPE_ATTENTION, 2, 1024, 1024, 80, 8, 0, 0},
    {"gpu", "6 x 350, 4 heads x 32", KN_SHAPE_ATTENTION, 6, 350, 350, 32, 4, 0, 0},
};

static bool tune_gpu(tuner *t, kn_error *error) {
    static const int busy[] = {16, 32, 64, 128, 256, 512, 1024};
    group g = {.name = "gpu", .shapes = gpu_shapes, .shape_count = KN_COUNT(gpu_shapes)};
    kn_tuning changed = t->report->tuning;
    add_candidate(&g, changed);
    for (int cooperative = kn_variant_runs(kn_gpu_get_info(t->gpu), KN_VARIANT_COOPERATIVE); cooperative >= 0;
         cooperative--)
        for (size_t i = 0; i < KN_COUNT(busy); i++) {
            changed.cooperative = cooperative;
            changed.busy_groups = busy[i];
            add_candidate(&g, changed);
        }
    for (g.way_count = 0; g.way_count < g.candidate_count; g.way_count++)
        g.ways[g.way_count] = (way){g.candidates[g.way_count], 0};
    return tune_group(t, &g, error);
}

bool kn_tune(kn_gpu *gpu, kn_tune_report *report, kn_progress_callback progress, void *user, kn_error *error) {
    const kn_gpu_info *info = kn_gpu_get_info(gpu);
    tuner t = {.gpu = gpu, .report = report, .progress = progress, .user = user};
    *report = (kn_tune_report){.tuning = KN_TUNING_DEFAULT};
    switch (kn_variant_of(info, &report->tuning)) {
    case KN_VARIANT_SUBGROUP:
        t.total = KN_COUNT(layer_shapes) + KN_COUNT(winograd_shapes) + KN_COUNT(attention_shapes);
        return tune_layers(&t, error) && tune_winograd(&t, error) && tune_attention(&t, error);
    case KN_VARIANT_HOST:
    case KN_VARIANT_PLAIN: return true; /* nothing to choose */
    default: t.total = KN_COUNT(gpu_shapes); return tune_gpu(&t, error);
    }
}
