/* The kernels of locked sampling against straightforward C (diffusion/sampling/lock.h says what they compute). */
#include "diffusion/sampling/lock.h"
#include "tests/gpu/nn_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Links made by chance, with every list that they may have. */
typedef struct links {
    kn_lock lock;
    uint32_t *cells;
    float *weights, *hold;
} links;

static float chance(uint64_t *state) {
    *state = kn_hash64(*state + 0x9e3779b97f4a7c15u);
    return (float)(*state >> 40) / (float)(1 << 24);
}

static links make_links(const kn_lock_shape *shape, int samples, size_t cells, uint64_t seed) {
    size_t places = kn_lock_places(shape);
    links l = {
        .cells = malloc(places * (size_t)samples * 4), .weights = malloc(places * 4), .hold = malloc(places * 4)};
    for (size_t i = 0; i < places * (size_t)samples; i++)
        l.cells[i] = chance(&seed) < .1f ? KN_LOCK_FREE : (uint32_t)(chance(&seed) * (float)cells);
    for (size_t i = 0; i < places; i++) l.weights[i] = .01f + chance(&seed), l.hold[i] = chance(&seed);
    l.lock = (kn_lock){samples, l.cells, l.weights, l.hold, cells};
    return l;
}

static void drop_links(links *l) {
    void *all[] = {l->cells, l->weights, l->hold};
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
    size_t places = kn_lock_places(s), per = (size_t)l->samples;
    size_t cells = l->cell_count, all = cells * (size_t)s->n, per_picture = places / (size_t)s->n;
    double *weights = calloc(all, sizeof *weights), *total = calloc(cells, sizeof *total);
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
    for (size_t i = 0; i < cells; i++) values[i] = total[i] > 0 ? values[i] / total[i] : 0;
    free(total), free(weights);
}

static void oracle_lock(const kn_lock_shape *s, const kn_lock *l, float strength, float *x) {
    size_t places = kn_lock_places(s), per = (size_t)l->samples, per_picture = places / (size_t)s->n;
    double *values = malloc(l->cell_count * sizeof *values);
    double *own = malloc(l->cell_count * (size_t)s->n * sizeof *own);
    for (int c = 0; c < s->channels; c++) {
        oracle_cells(s, l, x, c, values, own);
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

static void check_lock(fixture *f, kn_lock_shape shape, int samples, size_t cells) {
    kn_tensor x;
    kn_lock_work work = {0};
    int c = shape.channels * shape.block * shape.block;
    links l = make_links(&shape, samples, cells, 11 + cells);
    float *values = fixture_tensor(f, &x, shape.n, shape.h, shape.w, c, 7);
    REQUIRE(f, kn_lock_work_init(&work, f->gpu, &l.lock, &shape, &f->error));
    REQUIRE(f, kn_lock_set_strength(&work, .7f, &f->error));
    REQUIRE(f, kn_lock_record(f->graph, &work, &x, &f->error));
    oracle_lock(&shape, &l.lock, .7f, values);
    fixture_expect(f, &x, values, 2e-5, "lock: places");
    kn_graph_release(f->graph, &x);
    REQUIRE(f, kn_graph_flush(f->graph, &f->error));
    kn_lock_work_finish(&work);
    drop_links(&l);
}

static void check_all(bool portable) {
    fixture f;
    fixture_init(&f, portable);
    check_lock(&f, (kn_lock_shape){3, 5, 7, 8, 1, 6}, 3, 40);   /* a latent of six channels */
    check_lock(&f, (kn_lock_shape){2, 4, 5, 48, 4, 3}, 4, 200); /* packed pixels */
    check_lock(&f, (kn_lock_shape){2, 4, 5, 12, 2, 3}, 1, 1);   /* everything is one cell */
    check_lock(&f, (kn_lock_shape){5, 28, 50, 4, 1, 4}, 16, 3000);
    fixture_finish(&f);
}

Test(lock, matches_c) { check_all(false); }
Test(lock, matches_c_portable) { check_all(true); }

Test(lock, refuses_links_that_point_elsewhere) {
    fixture f;
    fixture_init(&f, false);
    kn_lock_shape shape = {1, 2, 2, 4, 1, 4};
    kn_lock_work work = {0};
    links l = make_links(&shape, 1, 3, 5);
    l.cells[2] = 3;
    cr_expect_not(kn_lock_work_init(&work, f.gpu, &l.lock, &shape, &f.error));
    cr_expect_eq(f.error.kind, KN_ERROR_INPUT);
    l.cells[2] = 0, l.weights[3] = NAN;
    cr_expect_not(kn_lock_work_init(&work, f.gpu, &l.lock, &shape, &f.error));
    l.weights[3] = 1, l.hold[0] = 1.5f;
    cr_expect_not(kn_lock_work_init(&work, f.gpu, &l.lock, &shape, &f.error));
    l.hold[0] = 1, l.lock.samples = 0;
    cr_expect_not(kn_lock_work_init(&work, f.gpu, &l.lock, &shape, &f.error));
    kn_lock_work_finish(&work);
    drop_links(&l);
    fixture_finish(&f);
}
