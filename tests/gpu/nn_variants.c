/* The kernels of GPUs against their oracles. The shared-memory kernels run on every device when asked to; the
 * cooperative ones only where the device has matrix units. */
#include "diffusion/ops/host_kernels.h"
#include "tests/gpu/nn_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static const kn_tuning defaults = KN_TUNING_DEFAULT;

enum { BOTH = 2 };
static const kn_variant both[BOTH] = {KN_VARIANT_TILED, KN_VARIANT_COOPERATIVE};

/* False when the device cannot run the variant. */
static bool begin(fixture *f, kn_variant variant) {
    fixture_init(f, false);
    if (!kn_variant_runs(kn_gpu_get_info(f->gpu), variant)) {
        fixture_finish(f);
        return false;
    }
    kn_graph_force_variant(f->graph, variant);
    return true;
}

static double tolerance(kn_variant variant, bool half) {
    return variant == KN_VARIANT_COOPERATIVE && half ? 3e-3 : half ? 1e-3 : 1e-4;
}

typedef struct extras {
    bool bias, broadcast, residual, half;
} extras;

static void check_conv(fixture *f, kn_variant variant, oracle_conv s, extras e) {
    if (!s.view_h) s.view_h = s.h;
    if (!s.view_w) s.view_w = s.w;
    int oh = oracle_conv_h(&s), ow = oracle_conv_w(&s);
    kn_tensor in, out, residual = {0}, broadcast = {0};
    float *x = fixture_tensor(f, &in, s.n, s.h, s.w, s.in, 1),
          *w = fixture_random((size_t)s.out * s.in * s.kernel_h * s.kernel_w, 2);
    float *bias = e.bias ? fixture_random((size_t)s.out, 3) : NULL;
    float *r = e.residual ? fixture_tensor(f, &residual, s.n, oh, ow, s.out, 4) : NULL;
    float *b = e.broadcast ? fixture_tensor(f, &broadcast, s.n, 1, 1, s.out, 5) : NULL;
    kn_weight weight;
    REQUIRE(f, kn_weight_create(&weight, f->gpu, w, bias, s.out, s.in, s.kernel_h, s.kernel_w, e.half, &f->error));
    kn_conv_plan plan =
        kn_plan_conv(kn_gpu_get_info(f->gpu), &defaults, variant, &weight, (int64_t)s.n * oh * ow, false);
    cr_assert_eq(plan.variant,
                 variant == KN_VARIANT_COOPERATIVE && weight.half ? KN_VARIANT_COOPERATIVE : KN_VARIANT_TILED);
    kn_conv_params params = {.stride = s.stride,
                             .pad = s.pad,
                             .pad_end = s.pad_end,
                             .activation = s.activation,
                             .residual = e.residual ? &residual : NULL,
                             .broadcast = e.broadcast ? &broadcast : NULL,
                             .view_h = s.view_h,
                             .view_w = s.view_w};
    REQUIRE(f, kn_op_conv(f->graph, &out, &in, &weight, &params, &f->error));
    float *y = fixture_zeros(fixture_count(&out));
    oracle_conv_run(&s, x, w, bias, b, r, y);
    char what[200];
    snprintf(what, sizeof what, "%s conv %dx%dx%dx%d -> %d, kernel %d", kn_variant_name(plan.variant), s.n, s.in, s.h,
             s.w, s.out, s.kernel_h);
    fixture_expect(f, &out, y, tolerance(variant, e.half), what);
    kn_graph_release(f->graph, &out);
    kn_graph_release(f->graph, &in);
    kn_graph_release(f->graph, &residual);
    kn_graph_release(f->graph, &broadcast);
    kn_weight_destroy(&weight);
    free(x), free(w), free(bias), free(r), free(b);
}

/* Rows and channels that fill no tile, several tiles each way, one and two panels, all epilogues. */
static void conv_cases(kn_variant variant) {
    fixture f;
    if (!begin(&f, variant)) return;
    extras all = {true, true, true, false}, bias = {.bias = true}, none = {0};
    check_conv(&f, variant, LAYER(2, 5, 7, 9, 6, 3, 1, SAME, .activation = KN_ACTIVATION_SILU), all);
    check_conv(&f, variant, LAYER(3, 20, 11, 13, 130, 3, 2, .pad_end = 1), bias);
    check_conv(&f, variant, LAYER(2, 37, 13, 17, 128, 3, 1, SAME, .activation = KN_ACTIVATION_GELU), all);
    check_conv(&f, variant, LAYER(1, 3, 16, 15, 67, 4, 4), none);
    check_conv(&f, variant, LAYER(2, 12, 7, 13, 10, 3, 1, SAME, .view_h = 14, .view_w = 25), bias);
    check_conv(&f, variant, LAYER(2, 9, 10, 8, 16, 1, 2, .activation = KN_ACTIVATION_TANH), all);
    check_conv(&f, variant, LAYER(3, 70, 1, 1, 200, 1, 1, .activation = KN_ACTIVATION_RELU), bias);
    extras half = {true, true, true, true};
    check_conv(&f, variant, LAYER(2, 36, 9, 10, 128, 3, 1, SAME, .activation = KN_ACTIVATION_QUICK_GELU), half);
    check_conv(&f, variant, LAYER(2, 67, 12, 13, 75, 3, 1, SAME), half);
    /* large enough to stay fp16 on every device */
    check_conv(&f, variant, LAYER(2, 770, 3, 25, 700, 1, 1), half);
    kn_graph_set_binding_limit(f.graph, 90000); /* several launches */
    check_conv(&f, variant, LAYER(37, 5, 7, 9, 20, 3, 1, SAME), all);
    fixture_finish(&f);
}

Test(nn_variants, conv_tiled) { conv_cases(KN_VARIANT_TILED); }
Test(nn_variants, conv_cooperative) { conv_cases(KN_VARIANT_COOPERATIVE); }

static void check_geglu(fixture *f, kn_variant variant, int rows, int in_c, int out_c, bool half) {
    kn_tensor in, out;
    float *x = fixture_tensor(f, &in, 2, 1, rows, in_c, 1), *w = fixture_random((size_t)2 * out_c * in_c, 2);
    float *bias = fixture_random(2 * (size_t)out_c, 3), *wide = fixture_zeros((size_t)2 * rows * 2 * out_c);
    kn_weight weight;
    REQUIRE(f, kn_weight_create(&weight, f->gpu, w, bias, 2 * out_c, in_c, 1, 1, half, &f->error));
    cr_assert(out_c % 64 != 0 || kn_plan_gates(kn_gpu_get_info(f->gpu), &defaults, variant, &weight));
    REQUIRE(f, kn_op_linear_geglu(f->graph, &out, &in, &weight, &f->error));
    oracle_conv s = LAYER(2, in_c, 1, rows, 2 * out_c, 1, 1, .view_h = 1, .view_w = rows);
    oracle_conv_run(&s, x, w, bias, NULL, NULL, wide);
    float *y = fixture_zeros(fixture_count(&out));
    size_t part = (size_t)out_c * rows;
    for (size_t i = 0; i < 2 * part; i++) {
        const float *from = wide + i / part * 2 * part + i % part;
        y[i] = (float)(from[0] * oracle_activate(from[part], KN_ACTIVATION_GELU));
    }
    fixture_expect(f, &out, y, tolerance(variant, half), "linear with gelu gate");
    kn_graph_release(f->graph, &in);
    kn_graph_release(f->graph, &out);
    kn_weight_destroy(&weight);
    free(x), free(w), free(bias), free(wide);
}

Test(nn_variants, geglu) {
    for (int i = 0; i < BOTH; i++) {
        fixture f;
        if (!begin(&f, both[i])) continue;
        check_geglu(&f, both[i], 45, 24, 128, false);
        check_geglu(&f, both[i], 150, 70, 192, true);
        check_geglu(&f, both[i], 7, 10, 20, false); /* no whole panels: a layer and a gate */
        check_geglu(&f, both[i], 33, 520, 576, true);
        fixture_finish(&f);
    }
}

static void check_attention(fixture *f, kn_variant variant, oracle_attention s, int members) {
    int c = s.heads * s.d;
    kn_tensor q, k, v, out = {0};
    float *hq = fixture_tensor(f, &q, s.n, 1, s.tq, c, 1), *hk = fixture_tensor(f, &k, members, 1, s.tk, c, 2);
    float *hv = fixture_tensor(f, &v, members, 1, s.tk, c, 3);
    float *y = s.accumulate ? fixture_tensor(f, &out, s.n, 1, s.tq, c, 4) : fixture_zeros((size_t)s.n * s.tq * c);
    kn_attention_params params = {.heads = s.heads,
                                  .causal = s.causal,
                                  .accumulate = s.accumulate,
                                  .kv_index = s.kv_index,
                                  .scale = (float)s.scale};
    REQUIRE(f, kn_op_attention(f->graph, &out, &q, &k, &v, &params, &f->error));
    kn_attention_plan plan = kn_plan_attention(kn_gpu_get_info(f->gpu), &defaults, variant, s.d, s.tq, s.heads * s.n,
                                               kn_graph_half(f->graph));
    cr_assert_eq(plan.variant,
                 variant == KN_VARIANT_COOPERATIVE && s.d <= 160 ? KN_VARIANT_COOPERATIVE : KN_VARIANT_TILED);
    oracle_attention_run(&s, hq, hk, hv, y);
    char what[100];
    snprintf(what, sizeof what, "%s attention n %d, %d x %d tokens, %d heads of %d", kn_variant_name(variant), s.n,
             s.tq, s.tk, s.heads, s.d);
    fixture_expect(f, &out, y, tolerance(variant, kn_graph_half(f->graph)), what);
    kn_graph_release(f->graph, &q);
    kn_graph_release(f->graph, &k);
    kn_graph_release(f->graph, &v);
    kn_graph_release(f->graph, &out);
    free(hq), free(hk), free(hv);
}

static void attention_cases(kn_variant variant) {
    fixture f;
    if (!begin(&f, variant)) return;
    if (variant == KN_VARIANT_COOPERATIVE) kn_graph_note_half(f.graph);
    static const int index[] = {2, 0, 1, 1, 2};
    check_attention(&f, variant, (oracle_attention){.n = 2, .tq = 37, .tk = 50, .heads = 3, .d = 32}, 2);
    check_attention(&f, variant, (oracle_attention){.n = 1, .tq = 140, .tk = 1, .heads = 2, .d = 4}, 1);
    check_attention(&f, variant, (oracle_attention){.n = 2, .tq = 77, .tk = 77, .heads = 2, .d = 20, .causal = true},
                    2);
    check_attention(
        &f, variant,
        (oracle_attention){.n = 5, .tq = 21, .tk = 19, .heads = 2, .d = 16, .kv_index = index, .accumulate = true}, 3);
    check_attention(&f, variant, (oracle_attention){.n = 2, .tq = 70, .tk = 90, .heads = 2, .d = 40, .scale = 4.0},
                    2); /* peaked: maxima move */
    check_attention(&f, variant, (oracle_attention){.n = 2, .tq = 9, .tk = 70, .heads = 1, .d = 160, .scale = 0.5}, 2);
    check_attention(&f, variant, (oracle_attention){.n = 2, .tq = 45, .tk = 37, .heads = 2, .d = 164}, 2);
    check_attention(&f, variant, (oracle_attention){.n = 1, .tq = 33, .tk = 40, .heads = 1, .d = 512, .causal = true},
                    1);
    fixture_finish(&f);
}

Test(nn_variants, attention_tiled) { attention_cases(KN_VARIANT_TILED); }
Test(nn_variants, attention_cooperative) { attention_cases(KN_VARIANT_COOPERATIVE); }

/* --- the choice, from made-up devices --------------------------------------------------------- */

static kn_gpu_info hardware(uint32_t subgroup, uint32_t m, uint32_t n, uint32_t k) {
    return (kn_gpu_info){.kind = KN_GPU_DISCRETE,
                         .subgroup_size = subgroup,
                         .max_texel_elements = 1u << 27,
                         .shared_memory = 48 << 10,
                         .cooperative_matrix = m > 0,
                         .half_arithmetic = true,
                         .half_storage = true,
                         .matrix_m = m,
                         .matrix_n = n,
                         .matrix_k = k};
}

Test(nn_variants, choice_by_device) {
    kn_gpu_info nvidia = hardware(32, 16, 16, 16), wave64 = hardware(64, 16, 16, 16), intel = hardware(8, 8, 8, 16),
                old = hardware(32, 0, 0, 0);
    cr_assert_eq(kn_variant_of(&nvidia, &defaults), KN_VARIANT_COOPERATIVE);
    cr_assert_eq(kn_variant_of(&wave64, &defaults), KN_VARIANT_COOPERATIVE);
    cr_assert_eq(kn_variant_of(&intel, &defaults), KN_VARIANT_COOPERATIVE);
    cr_assert_eq(kn_variant_of(&old, &defaults), KN_VARIANT_TILED);
    kn_gpu_info odd = hardware(32, 12, 16, 16), narrow = hardware(8, 16, 16, 16), single = nvidia;
    single.half_arithmetic = false;
    cr_assert_eq(kn_variant_of(&odd, &defaults), KN_VARIANT_TILED, "tiles are no multiples of 12");
    cr_assert_eq(kn_variant_of(&narrow, &defaults), KN_VARIANT_TILED, "rows without a lane");
    cr_assert_eq(kn_variant_of(&single, &defaults), KN_VARIANT_TILED);
    kn_gpu_info software = hardware(8, 8, 8, 8);
    software.kind = KN_GPU_SOFTWARE;
    kn_variant expected = kn_host_kernels_find() ? KN_VARIANT_HOST : KN_VARIANT_SUBGROUP;
    cr_assert_eq(kn_variant_of(&software, &defaults), expected, "whatever else a software device offers");
    cr_assert(kn_variant_runs(&software, KN_VARIANT_COOPERATIVE), "where a test asks for it");
    software.subgroup_size = 4;
    cr_assert_eq(kn_variant_of(&software, &defaults), KN_VARIANT_PLAIN);
}

/* Tiles divide as the kernels assume, and fit. */
static void check_plan(const kn_gpu_info *info, const kn_weight *w, int64_t rows, bool gated) {
    kn_conv_plan p = kn_plan_conv(info, &defaults, kn_variant_of(info, &defaults), w, rows, gated);
    int sg = (int)info->subgroup_size, m = (int)info->matrix_m, n = (int)info->matrix_n, k = (int)info->matrix_k;
    cr_assert(p.threads <= 1024 && w->panels % p.panels == 0 && (!gated || p.panels == 2));
    if (p.variant == KN_VARIANT_TILED) {
        cr_assert(p.threads % w->lanes == 0 && p.tile_rows % (p.threads / w->lanes) == 0);
        return;
    }
    cr_assert(p.variant == KN_VARIANT_COOPERATIVE && w->half);
    int groups = p.threads / sg;
    cr_assert(p.threads % sg == 0 && groups % p.row_groups == 0 && 4 * p.depth % k == 0);
    cr_assert(p.tile_rows % (m * p.row_groups) == 0 && 4 * w->lanes % (n * (groups / p.row_groups)) == 0);
}

Test(nn_variants, plans_divide) {
    const kn_gpu_info devices[] = {hardware(32, 16, 16, 16), hardware(32, 16, 8, 8),  hardware(64, 16, 16, 16),
                                   hardware(8, 8, 8, 16),    hardware(16, 8, 16, 16), hardware(32, 0, 0, 0)};
    for (size_t d = 0; d < KN_COUNT(devices); d++)
        for (int lanes = 8; lanes <= 16; lanes *= 2)
            for (int panels = 1; panels <= 20; panels++)
                for (int64_t rows = 1; rows < 100000; rows = rows * 3 + 1) {
                    kn_weight w = {.out = panels * 4 * lanes,
                                   .in = 64,
                                   .kernel_h = 1,
                                   .kernel_w = 1,
                                   .lanes = lanes,
                                   .panels = panels,
                                   .half = panels % 3 > 0};
                    check_plan(&devices[d], &w, rows, false);
                    if (panels % 2 == 0) check_plan(&devices[d], &w, rows, true);
                }
    kn_gpu_info tiny = hardware(32, 16, 16, 16);
    tiny.shared_memory = 1024;
    kn_weight w = {.out = 64, .in = 64, .lanes = 16, .panels = 1, .half = true};
    cr_assert_eq(kn_plan_conv(&tiny, &defaults, KN_VARIANT_COOPERATIVE, &w, 100, false).variant, KN_VARIANT_PLAIN);
    cr_assert_eq(kn_plan_attention(&tiny, &defaults, KN_VARIANT_COOPERATIVE, 64, 100, 8, true).variant,
                 KN_VARIANT_PLAIN);
    kn_gpu_info gpu = hardware(32, 16, 16, 16);
    kn_attention_plan wide = kn_plan_attention(&gpu, &defaults, KN_VARIANT_COOPERATIVE, 512, 4096, 1, true);
    kn_attention_plan exact = kn_plan_attention(&gpu, &defaults, KN_VARIANT_COOPERATIVE, 40, 4096, 8, false);
    kn_attention_plan half = kn_plan_attention(&gpu, &defaults, KN_VARIANT_COOPERATIVE, 40, 4096, 8, true);
    cr_assert_eq(wide.variant, KN_VARIANT_TILED);
    cr_assert_eq(exact.variant, KN_VARIANT_TILED);
    cr_assert(half.variant == KN_VARIANT_COOPERATIVE && half.padded == 12 && half.queries % 16 == 0);
}
