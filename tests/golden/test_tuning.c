/* Tuning constants never change what is computed: a UNet against its PyTorch reference under their extremes. */
#include "diffusion/ops/ops_internal.h"
#include "tests/golden/golden.h"

static void check(const kn_tuning *tuning, kn_variant variant) {
    golden g;
    kn_unet unet;
    golden_init(&g, "unet_sd1");
    kn_graph_set_tuning(g.graph, tuning);
    if (variant != kn_graph_variant(g.graph)) kn_graph_force_variant(g.graph, variant);
    golden_open(&g, "unet_sd1", "");
    REQUIRE(&g, kn_unet_load(&unet, g.gpu, &g.config, g.weights, KN_PRECISION_FULL, &g.error));
    golden_close(&g);
    kn_tensor x = golden_upload(&g, "x"), context = golden_upload(&g, "context"), sinusoids, out = {0};
    float *t = golden_floats(&g, "t"), values[8 * 512];
    int channels = unet.trunk.config.channels[0], index[8];
    cr_assert(x.n <= 8 && channels <= 512);
    for (int i = 0; i < x.n; i++) {
        kn_timestep_embedding(&unet.trunk.config, (double)t[0], values + i * channels);
        index[i] = i;
    }
    REQUIRE(&g, kn_graph_tensor(g.graph, &sinusoids, x.n, 1, 1, channels, &g.error) &&
                    kn_tensor_upload(&sinusoids, values, &g.error));
    kn_pass pass = {.context = &context, .context_index = index, .halves = 1, .frames = 1, .views = x.n};
    REQUIRE(&g, kn_unet_forward(g.graph, &out, &unet, &x, &sinusoids, &pass, NULL, 0, &g.error) &&
                    kn_graph_run(g.graph, &g.error));
    golden_expect(&g, &out, "out", 1e-4);
    kn_free(t);
    kn_unet_finish(&unet);
    golden_finish(&g);
}

/* The device's own variant, under the defaults changed by the initialisers. */
static void check_own(kn_tuning tuning) {
    golden g;
    golden_init(&g, "unet_sd1");
    kn_variant own = kn_variant_of(kn_gpu_get_info(g.gpu), &tuning);
    golden_finish(&g);
    check(&tuning, own);
}

Test(tuning, least) {
    check_own((kn_tuning){.winograd_store = 1,
                          .winograd_few = 0,
                          .conv_shared = 0,
                          .conv_blocks = 1,
                          .attention_shared = 0,
                          .attention_blocks = 1,
                          .busy_groups = 1,
                          .cooperative = 1});
}

Test(tuning, most) {
    check_own((kn_tuning){.winograd_store = 1000,
                          .winograd_few = 1000,
                          .conv_shared = 4096,
                          .conv_blocks = 4,
                          .attention_shared = 65536,
                          .attention_blocks = 4,
                          .busy_groups = 4096});
}

Test(tuning, mixed) {
    check_own((kn_tuning){.winograd_store = 1,
                          .winograd_few = 1000,
                          .conv_shared = 16,
                          .conv_blocks = 2,
                          .attention_shared = 65536,
                          .attention_blocks = 2,
                          .busy_groups = 64});
}

Test(tuning, tiles_of_gpus) {
    kn_tuning tuning = KN_TUNING_DEFAULT;
    static const int busy[] = {1, 4096};
    for (size_t i = 0; i < KN_COUNT(busy); i++) {
        tuning.busy_groups = busy[i];
        check(&tuning, KN_VARIANT_TILED);
    }
}
