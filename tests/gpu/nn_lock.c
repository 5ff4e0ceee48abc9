/* The kernels of locked sampling against straightforward C (diffusion/sampling/lock.h says what they compute). */
#include "diffusion/sampling/lock.h"
#include "tests/gpu/nn_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Links made by chance, with every list that they may have. */
typedef struct links {
    kn_lock lock;
    uint32_t *cells, *parents;
    float *weights, *hold, *prior, *prior_share, *parent_prior, *parent_share;
} links;

static float chance(uint64_t *state) {
    *state = kn_hash64(*state + 0x9e3779b97f4a7c15u);
    return (float)(*state >> 40) / (float)(1 << 24);
}

static links make_links(const kn_lock_shape *shape, int samples, size_t cells, size_t parents, uint64_t seed) {
    size_t places = kn_lock_places(shape), c = (size_t)shape->channels;
    links l = {.cells = malloc(places * (size_t)samples * 4), .parents = malloc(cells * 4)};
    l.weights = malloc(places * 4), l.hold = malloc(places * 4), l.prior = malloc(cells * c * 4);
    l.prior_share = malloc(cells * 4), l.parent_prior = malloc(parents * c * 4 + 4);
    l.parent_share = malloc(parents * 4 + 4);
    for (size_t i = 0; i < places * (size_t)samples; i++)
        l.cells[i] = chance(&seed) < .1f ? KN_LOCK_FREE : (uint32_t)(chance(&seed) * (float)cells);
    for (size_t i = 0; i < places; i++) l.weights[i] = .01f + chance(&seed), l.hold[i] = chance(&seed);
    for (size_t i = 0; i < cells; i++) {
        l.parents[i] = chance(&seed) < .3f ? KN_LOCK_FREE : (uint32_t)(chance(&seed) * (float)parents);
        l.prior_share[i] = chance(&seed) < .5f ? 0 : chance(&seed);
    }
    for (size_t i = 0; i < cells * c; i++) l.prior[i] = chance(&seed) - .5f;
    for (size_t i = 0; i < parents * c; i++) l.parent_prior[i] = chance(&seed) - .5f;
    for (size_t i = 0; i < parents; i++) l.parent_share[i] = chance(&seed);
    l.lock = (kn_lock){samples, l.cells,        l.weights,     l.hold,
                       cells,   l.prior,        l.prior_share, parents ? l.parents : NULL,
                       parents, l.parent_prior, l.parent_share};
    return l;
}

static void drop_links(links *l) {
    void *all[] = {l->cells, l->parents,     l->weights,      l->hold,
                   l->prior, l->prior_share, l->parent_prior, l->parent_share};
    for (size_t i = 0; i < KN_COUNT(all); i++) free(all[i]);
}

/* x in places: picture n, channel c, place (x, y) of the raster, from [n][c block^2][h][w]. */
static float *place_at(const kn_lock_shape *s, float *nchw, size_t raster, int c) {
    size_t b = (size_t)s->block, wide = (size_t)s->w * b, high = (size_t)s->h * b, x = raster % wide,
           y = raster / wide % high, n = raster / (wide * high);
    size_t channel = (size_t)c * b * b + y % b * b + x % b;
    return &nchw[((n * (size_t)s->channels * b * b + channel) * (size_t)s->h + y / b) * (size_t)s->w + x / b];
}

/* Of one channel: values[cells], and own[pictures][cells], what each picture shows of them. */
static void oracle_cells(const kn_lock_shape *s, const kn_lock *l, float *x, int c, double *values, double *own) {
    size_t places = kn_lock_places(s), per = (size_t)l->samples, channels = (size_t)s->channels;
    size_t cells = l->cell_count, all = cells * (size_t)s->n, per_picture = places / (size_t)s->n;
    double *weights = calloc(all, sizeof *weights), *total = calloc(cells, sizeof *total);
    double *mean = calloc(l->parent_count + 1, sizeof *mean), *weight = calloc(l->parent_count + 1, sizeof *weight);
    memset(values, 0, cells * sizeof *values);
    memset(own, 0, all * sizeof *own);
    for (size_t i = 0; i < places * per; i++) {
        size_t at = i / per / per_picture * cells + l->cells[i];
        if (l->cells[i] == KN_LOCK_FREE) continue;
        own[at] += (double)l->weights[i / per] * *place_at(s, x, i / per, c);
        weights[at] += l->weights[i / per];
    }
    for (size_t i = 0; i < all; i++) {
        values[i % cells] += own[i];
        total[i % cells] += weights[i];
        if (weights[i] > 0) own[i] /= weights[i];
    }
    for (size_t i = 0; i < cells; i++) {
        double share = l->prior ? l->prior_share[i] : 0, known = l->prior ? l->prior[i * channels + (size_t)c] : 0;
        values[i] = total[i] > 0 ? values[i] / total[i] : 0;
        values[i] += share * (known - values[i]);
        if (!l->parents || l->parents[i] == KN_LOCK_FREE) continue;
        mean[l->parents[i]] += total[i] * values[i];
        weight[l->parents[i]] += total[i];
    }
    for (size_t i = 0; l->parents && i < cells; i++) {
        uint32_t p = l->parents[i];
        if (p == KN_LOCK_FREE) continue;
        double middle = weight[p] > 0 ? mean[p] / weight[p] : 0;
        values[i] += l->parent_share[p] * (l->parent_prior[p * channels + (size_t)c] - middle);
    }
    free(total), free(mean), free(weight), free(weights);
}

static void oracle_lock(const kn_lock_shape *s, const kn_lock *l, float strength, float *x, float *all) {
    size_t places = kn_lock_places(s), per = (size_t)l->samples, per_picture = places / (size_t)s->n;
    double *values = malloc(l->cell_count * sizeof *values);
    double *own = malloc(l->cell_count * (size_t)s->n * sizeof *own);
    for (int c = 0; c < s->channels; c++) {
        oracle_cells(s, l, x, c, values, own);
        for (size_t i = 0; i < l->cell_count; i++) all[i * (size_t)s->channels + (size_t)c] = (float)values[i];
        for (size_t p = 0; p < places; p++) {
            double sum = 0, found = 0;
            for (size_t k = 0; k < per; k++) {
                uint32_t cell = l->cells[p * per + k];
                if (cell == KN_LOCK_FREE) continue;
                sum += values[cell] - own[p / per_picture * l->cell_count + cell], found++;
            }
            if (found > 0) *place_at(s, x, p, c) += (float)(strength * l->hold[p] * found / (double)per * sum / found);
        }
    }
    free(values), free(own);
}

static void check_lock(fixture *f, kn_lock_shape shape, int samples, size_t cells, size_t parents, bool prior) {
    kn_tensor x;
    kn_lock_work work = {0};
    int c = shape.channels * shape.block * shape.block;
    links l = make_links(&shape, samples, cells, parents, 11 + cells);
    if (!prior) l.lock.prior = NULL, l.lock.parents = NULL;
    float *values = fixture_tensor(f, &x, shape.n, shape.h, shape.w, c, 7),
          *got = malloc(cells * (size_t)shape.channels * 4), *wanted = malloc(cells * (size_t)shape.channels * 4);
    REQUIRE(f, kn_lock_work_init(&work, f->gpu, &l.lock, &shape, &f->error));
    REQUIRE(f, kn_lock_set_strength(&work, .7f, &f->error));
    REQUIRE(f, kn_lock_record(f->graph, &work, &x, &f->error));
    oracle_lock(&shape, &l.lock, .7f, values, wanted);
    fixture_expect(f, &x, values, 2e-5, "lock: places");
    REQUIRE(f, kn_lock_read(&work, got, &f->error));
    for (size_t i = 0; i < cells * (size_t)shape.channels; i++)
        cr_assert(fabsf(got[i] - wanted[i]) < 2e-5f, "cell value %zu: %g, expected %g", i, (double)got[i],
                  (double)wanted[i]);
    kn_graph_release(f->graph, &x);
    REQUIRE(f, kn_graph_flush(f->graph, &f->error));
    kn_lock_work_finish(&work);
    drop_links(&l);
    free(got), free(wanted);
}

static void check_all(bool portable) {
    fixture f;
    fixture_init(&f, portable);
    check_lock(&f, (kn_lock_shape){3, 5, 7, 8, 1, 6}, 3, 40, 9, true);       /* a latent of six channels */
    check_lock(&f, (kn_lock_shape){2, 4, 5, 48, 4, 3}, 4, 200, 31, true);    /* packed pixels */
    check_lock(&f, (kn_lock_shape){2, 4, 5, 12, 2, 3}, 1, 1, 0, true);       /* everything is one cell */
    check_lock(&f, (kn_lock_shape){5, 28, 50, 4, 1, 4}, 16, 3000, 0, false); /* first window: nothing is known */
    fixture_finish(&f);
}

Test(lock, matches_c) { check_all(false); }
Test(lock, matches_c_portable) { check_all(true); }

Test(lock, refuses_links_that_point_elsewhere) {
    fixture f;
    fixture_init(&f, false);
    kn_lock_shape shape = {1, 2, 2, 4, 1, 4};
    kn_lock_work work = {0};
    links l = make_links(&shape, 1, 3, 2, 5);
    l.cells[2] = 3;
    cr_expect_not(kn_lock_work_init(&work, f.gpu, &l.lock, &shape, &f.error));
    cr_expect_eq(f.error.kind, KN_ERROR_INPUT);
    l.cells[2] = 0, l.parents[1] = 2;
    cr_expect_not(kn_lock_work_init(&work, f.gpu, &l.lock, &shape, &f.error));
    l.parents[1] = 1, l.weights[3] = NAN;
    cr_expect_not(kn_lock_work_init(&work, f.gpu, &l.lock, &shape, &f.error));
    l.weights[3] = 1, l.hold[0] = 1.5f;
    cr_expect_not(kn_lock_work_init(&work, f.gpu, &l.lock, &shape, &f.error));
    l.hold[0] = 1, l.lock.samples = 0;
    cr_expect_not(kn_lock_work_init(&work, f.gpu, &l.lock, &shape, &f.error));
    kn_lock_work_finish(&work);
    drop_links(&l);
    fixture_finish(&f);
}
