/* Memory plans, and autoencoders in tiles against the same in one piece. */
#include "diffusion/sampling/plan.h"
#include "tests/golden/golden.h"

#include <math.h>
#include <string.h>

static void open_autoencoder(golden *g, kn_autoencoder *autoencoder, const char *name) {
    golden_init(g, name);
    kn_name config = kn_name_of(FOLDER "%s/config.json", name), folder = kn_name_of(FOLDER "%s", name);
    REQUIRE(g, kn_config_init(&g->config, config.text, &g->error));
    REQUIRE(g, kn_weights_create(&g->weights, &g->error));
    if (kn_autoencoder_has_weights(&g->config)) REQUIRE(g, kn_weights_add_folder(g->weights, folder.text, &g->error));
    REQUIRE(g, kn_autoencoder_load(autoencoder, g->gpu, &g->config, g->weights, KN_PRECISION_FULL, &g->error));
    golden_close(g);
}

static void close_autoencoder(golden *g, kn_autoencoder *autoencoder) {
    kn_autoencoder_finish(autoencoder);
    golden_finish(g);
}

static size_t floats_of(const kn_autoencoder *a, const kn_tiling *t, bool latent) {
    size_t cells = (size_t)t->width * (size_t)t->height;
    return latent ? cells * (size_t)a->latent_channels : cells * 3 * (size_t)(a->factor * a->factor);
}

/* A smooth picture or latent. */
static float *smooth(size_t count) {
    float *values = kn_alloc(count, sizeof *values, NULL);
    for (size_t i = 0; i < count; i++) values[i] = sinf((float)i * 0.013f) * 0.5f;
    return values;
}

static float *run(golden *g, const kn_autoencoder *a, const kn_tiling *t, const float *in) {
    float *out = kn_alloc(floats_of(a, t, !t->decode), sizeof *out, NULL);
    kn_tiler *tiler;
    REQUIRE(g, kn_tiler_create(&tiler, a, g->gpu, t, &g->error));
    REQUIRE(g, kn_tiler_run(tiler, in, out, &g->error));
    kn_tiler_destroy(&tiler);
    cr_assert_null(tiler);
    return out;
}

/* Root mean square of the difference over that of the whole. */
static double difference(golden *g, const kn_autoencoder *a, bool decode, int width, int height, int tile) {
    kn_tiling whole, tiled = kn_tiling_of(decode, width, height, tile);
    REQUIRE(g, kn_plan_tiling(&whole, a, g->gpu, decode, width, height, 0, &g->error));
    cr_assert(whole.columns == 1 && whole.rows == 1 && whole.bytes > 0);
    cr_assert(tiled.columns > 1 && tiled.rows > 1 && tiled.tile_width == tile && tiled.tile_height == tile);
    float *in = smooth(floats_of(a, &whole, decode)), *expected = run(g, a, &whole, in),
          *actual = run(g, a, &tiled, in);
    double error = 0, sum = 0;
    for (size_t i = 0; i < floats_of(a, &whole, !decode); i++) {
        error += pow((double)actual[i] - (double)expected[i], 2);
        sum += pow((double)expected[i], 2);
    }
    kn_free(in), kn_free(expected), kn_free(actual);
    return sqrt(error / sum);
}

Test(tiles, of_packed_pixels_are_exact) {
    golden g;
    kn_autoencoder a;
    open_autoencoder(&g, &a, "packing");
    cr_assert_lt(difference(&g, &a, true, 37, 29, 16), 1e-6);
    cr_assert_lt(difference(&g, &a, false, 37, 29, 12), 1e-6);
    close_autoencoder(&g, &a);
}

/* No norm looks at the whole picture there: only the tiles' borders differ, and the blend hides them. */
Test(tiles, of_convolutions_are_close) {
    golden g;
    kn_autoencoder a;
    open_autoencoder(&g, &a, "tiny");
    double error = difference(&g, &a, true, 41, 33, 24);
    cr_assert_lt(error, 0.05, "%g", error);
    close_autoencoder(&g, &a);
}

Test(plan, memory_that_is_missing) {
    golden g;
    kn_autoencoder a;
    kn_tiling t;
    uint64_t now, peak;
    open_autoencoder(&g, &a, "kl");
    kn_gpu_memory_use(g.gpu, &now, &peak);
    cr_assert_eq(kn_plan_free_bytes(g.gpu, now + 1000), 1000);
    cr_assert_eq(kn_plan_free_bytes(g.gpu, 1), 0);
    cr_assert_not(kn_plan_tiling(&t, &a, g.gpu, true, 32, 32, now + (4 << 20), &g.error));
    cr_assert_eq(g.error.kind, KN_ERROR_MEMORY);
    cr_assert_not_null(strstr(g.error.message, "decoding needs"));
    close_autoencoder(&g, &a);
}

/* A large picture goes in tiles under a limit, and the plan's bytes are what the device then has allocated. */
Test(plan, is_what_is_taken) {
    golden g;
    kn_autoencoder a;
    kn_tiling whole, t;
    kn_tiler *tiler;
    uint64_t before, after, peak;
    open_autoencoder(&g, &a, "kl");
    kn_gpu_memory_use(g.gpu, &before, &peak);
    REQUIRE(&g, kn_plan_tiling(&whole, &a, g.gpu, true, 160, 120, 0, &g.error));
    REQUIRE(&g, kn_plan_tiling(&t, &a, g.gpu, true, 160, 120, before + whole.bytes, &g.error));
    cr_assert(t.columns > 1 && t.bytes < whole.bytes);
    REQUIRE(&g, kn_tiler_create(&tiler, &a, g.gpu, &t, &g.error));
    kn_gpu_memory_use(g.gpu, &after, &peak);
    cr_assert_leq(after - before, t.bytes + (8 << 20));
    cr_assert_geq(after - before, t.bytes);
    kn_tiler_destroy(&tiler);
    close_autoencoder(&g, &a);
}

Test(plan, failing_allocations) {
    golden g;
    kn_autoencoder a;
    open_autoencoder(&g, &a, "packing");
    kn_tiling t = kn_tiling_of(true, 20, 20, 12);
    float *in = smooth(floats_of(&a, &t, true)), *out = kn_alloc(floats_of(&a, &t, false), sizeof *out, NULL);
    bool done = false;
    for (uint64_t n = 1; !done && n < 1000; n++) {
        kn_tiling planned;
        kn_tiler *tiler = NULL;
        kn_alloc_fail_after(n);
        done = kn_plan_tiling(&planned, &a, g.gpu, true, 20, 20, 0, &g.error) &&
               kn_tiler_create(&tiler, &a, g.gpu, &t, &g.error) && kn_tiler_run(tiler, in, out, &g.error);
        kn_alloc_fail_after(0);
        cr_assert(done || g.error.kind == KN_ERROR_MEMORY, "%s", g.error.message);
        kn_tiler_destroy(&tiler);
    }
    cr_assert(done);
    kn_free(in), kn_free(out);
    close_autoencoder(&g, &a);
}
