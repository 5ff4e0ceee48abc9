/* The segmenter against its PyTorch reference (training/segmenter.py golden), and on whole pictures. */
#include "diffusion/networks/segmenter.h"
#include "kinora/segmenter.h"
#include "tests/golden/golden.h"

#include <string.h>

static void check(kn_precision precision, double tolerance) {
    golden g;
    golden_init(&g, "segmenter");
    golden_open(&g, "segmenter", "");
    kn_segmenter_net net;
    REQUIRE(&g, kn_segmenter_net_load(&net, g.gpu, &g.config, g.weights, precision, &g.error));
    golden_close(&g);
    kn_tensor x = golden_upload(&g, "x"), out = {0};
    REQUIRE(&g, kn_segmenter_net_forward(g.graph, &out, &net, &x, &g.error));
    REQUIRE(&g, kn_graph_run(g.graph, &g.error));
    REQUIRE(&g, kn_graph_run(g.graph, &g.error)); /* a replay gives the same */
    golden_expect(&g, &out, "out", tolerance);
    kn_segmenter_net_finish(&net);
    golden_finish(&g);
}

Test(segmenter, network) { check(KN_PRECISION_FULL, 1e-4); }
Test(segmenter, network_half) { check(KN_PRECISION_HALF, 2e-3); }

/* The golden picture is whole blocks of 8 bits: the classes must be those of the golden logits. */
Test(segmenter, classes_of_pictures) {
    golden g;
    golden_init(&g, "segmenter");
    float *x = golden_floats(&g, "x"), *out = golden_floats(&g, "out");
    const kn_stored_tensor *stored = golden_find(&g, "x");
    size_t h = (size_t)stored->shape[2], w = (size_t)stored->shape[3], n = h * w, wrong = 0;
    uint8_t *rgb = kn_alloc(n, 3, NULL), *classes = kn_alloc(n, 1, NULL);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++) rgb[3 * i + c] = (uint8_t)((x[c * n + i] + 1) * 127.5f + .5f);
    kn_segmenter *segmenter = NULL;
    REQUIRE(&g, kn_segmenter_create(&segmenter, g.gpu, FOLDER "segmenter", &g.error));
    REQUIRE(&g, kn_segmenter_run(segmenter, rgb, (int)w, (int)h, classes, &g.error));
    for (size_t i = 0; i < n; i++) {
        int best = 0;
        for (int k = 1; k < KN_SEGMENT_COUNT; k++)
            if (out[(size_t)k * n + i] > out[(size_t)best * n + i]) best = k;
        wrong += classes[i] != best;
    }
    cr_assert_leq(wrong, n / 500, "%zu of %zu pixels", wrong, n);
    /* Odd sizes and another size in between. */
    REQUIRE(&g, kn_segmenter_run(segmenter, rgb, 17, 33, classes, &g.error));
    memset(classes, 9, n);
    REQUIRE(&g, kn_segmenter_run(segmenter, rgb, (int)w, (int)h, classes, &g.error));
    for (size_t i = 0; i < n; i++) cr_assert_lt(classes[i], KN_SEGMENT_COUNT);
    cr_assert_not(kn_segmenter_run(segmenter, rgb, 8, 8, classes, &g.error));
    cr_assert_eq(g.error.kind, KN_ERROR_INPUT);
    kn_segmenter_destroy(&segmenter);
    kn_free(classes);
    kn_free(rgb);
    kn_free(out);
    kn_free(x);
    golden_finish(&g);
}

Test(segmenter, refusals) {
    golden g;
    golden_init(&g, "segmenter");
    kn_segmenter *segmenter = NULL;
    cr_assert_not(kn_segmenter_create(&segmenter, g.gpu, FOLDER "absent", &g.error));
    cr_assert_null(segmenter);
    cr_assert_not(
        kn_segmenter_create(&segmenter, g.gpu, FOLDER "unet_stable", &g.error)); /* another network's folder */
    cr_assert_null(segmenter);
    cr_assert_eq(g.error.kind, KN_ERROR_INPUT, "%s", g.error.message);
    golden_finish(&g);
}
