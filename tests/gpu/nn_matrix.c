/* Convolution and linear layers against their oracle. */
#include "diffusion/ops/host_kernels.h"
#include "tests/gpu/nn_fixture.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct extras {
    bool bias, broadcast, residual, half;
} extras;

static void check_conv(fixture *f, oracle_conv s, extras e, uint64_t seed) {
    if (!s.view_h) s.view_h = s.h;
    if (!s.view_w) s.view_w = s.w;
    int oh = oracle_conv_h(&s), ow = oracle_conv_w(&s);
    size_t weights = (size_t)s.out * s.in * s.kernel_h * s.kernel_w;
    kn_tensor in, out, residual = {0}, broadcast = {0};
    float *x = fixture_tensor(f, &in, s.n, s.h, s.w, s.in, seed), *w = fixture_random(weights, seed + 1);
    float *bias = e.bias ? fixture_random((size_t)s.out, seed + 2) : NULL;
    float *r = e.residual ? fixture_tensor(f, &residual, s.n, oh, ow, s.out, seed + 3) : NULL;
    float *b = e.broadcast ? fixture_tensor(f, &broadcast, s.n, 1, 1, s.out, seed + 4) : NULL;
    kn_weight weight;
    REQUIRE(f, kn_weight_create(&weight, f->gpu, w, bias, s.out, s.in, s.kernel_h, s.kernel_w, e.half, &f->error));
    kn_conv_params params = {.stride = s.stride,
                             .pad = s.pad,
                             .pad_end = s.pad_end,
                             .activation = s.activation,
                             .residual = e.residual ? &residual : NULL,
                             .broadcast = e.broadcast ? &broadcast : NULL,
                             .view_h = s.view_h,
                             .view_w = s.view_w};
    REQUIRE(f, kn_op_conv(f->graph, &out, &in, &weight, &params, &f->error));
    cr_assert(out.n == s.n && out.h == oh && out.w == ow && out.c == s.out);
    float *y = fixture_zeros(fixture_count(&out));
    oracle_conv_run(&s, x, w, bias, b, r, y);
    char what[200];
    snprintf(what, sizeof what, "conv %dx%dx%dx%d -> %d, kernel %dx%d stride %d pad %d,%d activation %d", s.n, s.in,
             s.h, s.w, s.out, s.kernel_h, s.kernel_w, s.stride, s.pad, s.pad_end, s.activation);
    fixture_expect(f, &out, y, e.half ? 1e-3 : 1e-4, what);
    kn_graph_release(f->graph, &out);
    kn_graph_release(f->graph, &in);
    kn_graph_release(f->graph, &residual);
    kn_graph_release(f->graph, &broadcast);
    kn_weight_destroy(&weight);
    free(x), free(w), free(bias), free(r), free(b);
}

static void conv_cases(kn_variant variant) {
    fixture f;
    if (!fixture_variant(&f, variant)) return;
    extras all = {true, true, true, false}, bias = {.bias = true}, none = {0};
    check_conv(&f, LAYER(2, 5, 7, 9, 6, 3, 1, SAME, .activation = KN_ACTIVATION_SILU), all, 1);
    check_conv(&f, LAYER(3, 8, 9, 11, 130, 3, 2, .pad_end = 1), bias, 2);
    check_conv(&f, LAYER(2, 20, 13, 17, 64, 3, 1, SAME), all, 3);
    check_conv(&f, LAYER(1, 3, 16, 15, 67, 4, 4, .activation = KN_ACTIVATION_GELU), none, 4);
    check_conv(&f, LAYER(2, 12, 7, 13, 10, 3, 1, SAME, .view_h = 14, .view_w = 25), bias, 5);
    check_conv(&f, LAYER(2, 9, 10, 8, 16, 1, 2), bias, 6);
    check_conv(&f, LAYER(2, 7, 20, 21, 3, 3, 1, SAME, .activation = KN_ACTIVATION_TANH), all, 7);
    check_conv(&f, LAYER(1, 64, 1, 1, 256, 1, 1, .activation = KN_ACTIVATION_RELU), (extras){true, false, false, true},
               8);
    check_conv(&f, LAYER(2, 36, 9, 10, 128, 3, 1, SAME, .activation = KN_ACTIVATION_QUICK_GELU),
               (extras){true, true, true, true}, 9);
    /* few channels: a picture narrower than a tile, one of a single line, lines that fill no block, half weights, the
     * least inputs */
    check_conv(&f, LAYER(3, 9, 6, 5, 4, 3, 1, SAME, .activation = KN_ACTIVATION_SILU), bias, 13);
    check_conv(&f, LAYER(2, 64, 11, 37, 3, 3, 1, SAME), bias, 14);
    check_conv(&f, LAYER(2, 5, 1, 29, 2, 3, 1, SAME), none, 15);
    check_conv(&f, LAYER(2, 2000, 9, 1, 4, 3, 1, SAME, .activation = KN_ACTIVATION_TANH),
               (extras){true, false, false, true}, 16);
    check_conv(&f, LAYER(1, 1, 2, 2, 1, 3, 1, SAME, .activation = KN_ACTIVATION_RELU), bias, 17);
    /* large enough to stay fp16 on every device */
    check_conv(&f, LAYER(1, 768, 4, 5, 700, 1, 1), (extras){true, false, true, true}, 10);
    fixture_finish(&f);
}

Test(nn_matrix, conv_host) { conv_cases(KN_VARIANT_HOST); }
Test(nn_matrix, conv) { conv_cases(KN_VARIANT_SUBGROUP); }
Test(nn_matrix, conv_portable) { conv_cases(KN_VARIANT_PLAIN); }

/* The same layers through Winograd's form: partial tiles, panels in chunks, bands, all epilogues, a resized view. */
Test(nn_matrix, winograd) {
    fixture f;
    if (!fixture_variant(&f, KN_VARIANT_SUBGROUP)) return;
    kn_graph_choose_winograd(f.graph, 1);
    extras all = {true, true, true, false}, bias = {.bias = true};
    oracle_conv s = LAYER(2, 20, 13, 17, 70, 3, 1, SAME);
    check_conv(&f, s, all, 40);
    s.in = 5, s.out = 130, s.h = 6, s.w = 3, s.n = 3, s.activation = KN_ACTIVATION_SILU;
    check_conv(&f, s, bias, 41);
    check_conv(&f, LAYER(2, 12, 7, 13, 68, 3, 1, SAME, .view_h = 14, .view_w = 25), bias, 42);
    check_conv(&f, LAYER(1, 1100, 4, 5, 320, 3, 1, SAME), (extras){true, false, true, true}, 43);
    kn_graph_set_binding_limit(f.graph, 1200000); /* bands of tiles */
    check_conv(&f, LAYER(2, 36, 25, 30, 80, 3, 1, SAME), all, 44);
    kn_graph_set_binding_limit(f.graph, 2500000); /* an output that is bound in bands of rows */
    check_conv(&f, LAYER(2, 4, 50, 48, 160, 3, 1, SAME), all, 45);
    fixture_finish(&f);
}

/* A binding limit of a few members makes the layer run in several launches. */
static void split_cases(kn_variant variant) {
    fixture f;
    if (!fixture_variant(&f, variant)) return;
    kn_graph_set_binding_limit(f.graph, 90000); /* 16 and 48 members a launch */
    check_conv(&f, LAYER(37, 5, 7, 9, 20, 3, 1, SAME), (extras){true, true, true, false}, 11);
    check_conv(&f, LAYER(37, 5, 7, 9, 4, 3, 1, SAME), (extras){.bias = true}, 18);
    check_conv(&f, LAYER(67, 4, 5, 7, 9, 1, 1), (extras){true, true, false, false}, 12);
    fixture_finish(&f);
}

Test(nn_matrix, split_host) { split_cases(KN_VARIANT_HOST); }
Test(nn_matrix, split) { split_cases(KN_VARIANT_SUBGROUP); }
Test(nn_matrix, split_portable) { split_cases(KN_VARIANT_PLAIN); }

static void check_geglu(fixture *f, int rows, int in_c, int out_c, uint64_t seed) {
    kn_tensor in, out;
    float *x = fixture_tensor(f, &in, 2, 1, rows, in_c, seed), *w = fixture_random((size_t)2 * out_c * in_c, seed + 1);
    float *bias = fixture_random(2 * (size_t)out_c, seed + 2), *both = fixture_zeros((size_t)2 * rows * 2 * out_c);
    kn_weight weight;
    REQUIRE(f, kn_weight_create(&weight, f->gpu, w, bias, 2 * out_c, in_c, 1, 1, false, &f->error));
    REQUIRE(f, kn_op_linear_geglu(f->graph, &out, &in, &weight, &f->error));
    oracle_conv s = LAYER(2, in_c, 1, rows, 2 * out_c, 1, 1, .view_h = 1, .view_w = rows);
    oracle_conv_run(&s, x, w, bias, NULL, NULL, both);
    float *y = fixture_zeros(fixture_count(&out));
    size_t half = (size_t)out_c * rows;
    for (size_t i = 0; i < 2 * half; i++) {
        const float *from = both + i / half * 2 * half + i % half;
        y[i] = (float)(from[0] * oracle_activate(from[half], KN_ACTIVATION_GELU));
    }
    fixture_expect(f, &out, y, 1e-4, "linear with gelu gate");
    kn_graph_release(f->graph, &in);
    kn_graph_release(f->graph, &out);
    kn_weight_destroy(&weight);
    free(x), free(w), free(bias), free(both);
}

static void linear_cases(kn_variant variant) {
    fixture f;
    if (!fixture_variant(&f, variant)) return;
    check_geglu(&f, 45, 24, 128, 20);
    check_geglu(&f, 7, 10, 20, 21);
    kn_tensor in, residual, out;
    float *x = fixture_tensor(&f, &in, 3, 1, 77, 50, 22), *r = fixture_tensor(&f, &residual, 3, 1, 77, 70, 23);
    float *w = fixture_random(70 * 50, 24), *y = fixture_zeros((size_t)3 * 77 * 70);
    kn_weight weight;
    REQUIRE(&f, kn_weight_create(&weight, f.gpu, w, NULL, 70, 50, 1, 1, false, &f.error));
    REQUIRE(&f, kn_op_linear(f.graph, &out, &in, &weight, KN_ACTIVATION_GELU, &residual, &f.error));
    oracle_conv s = LAYER(3, 50, 1, 77, 70, 1, 1, .view_h = 1, .view_w = 77, .activation = KN_ACTIVATION_GELU);
    oracle_conv_run(&s, x, w, NULL, NULL, r, y);
    fixture_expect(&f, &out, y, 1e-4, "linear with gelu and residual");
    kn_weight_destroy(&weight);
    free(x), free(r), free(w);
    fixture_finish(&f);
}

Test(nn_matrix, linear_host) { linear_cases(KN_VARIANT_HOST); }
Test(nn_matrix, linear_host_narrow) {
    kn_host_kernels_force_narrow(true);
    linear_cases(KN_VARIANT_HOST);
    kn_host_kernels_force_narrow(false);
}
Test(nn_matrix, linear) { linear_cases(KN_VARIANT_SUBGROUP); }
Test(nn_matrix, linear_portable) { linear_cases(KN_VARIANT_PLAIN); }

/* Several chunks of rows and blocks of inputs, a last panel of any width, fp16 weights, all epilogues, on both vector
 * widths. */
static void many_rows(bool narrow) {
    fixture f;
    if (!fixture_variant(&f, KN_VARIANT_HOST)) return;
    kn_host_kernels_force_narrow(narrow);
    static const int outs[] = {3, 17, 33, 50, 64, 100, 131};
    for (size_t i = 0; i < KN_COUNT(outs); i++) {
        extras e = {.bias = i % 2 == 0, .broadcast = i % 3 == 0, .residual = i % 3 == 1, .half = i % 2 == 1};
        check_conv(&f,
                   (oracle_conv){.n = 2,
                                 .in = 150,
                                 .h = 11,
                                 .w = 9,
                                 .out = outs[i],
                                 .kernel_h = 3,
                                 .kernel_w = 3,
                                 .stride = 1 + (int)i % 2,
                                 .pad = 1,
                                 .pad_end = 1,
                                 .activation = (kn_activation)(i % 6)},
                   e, 60 + i);
    }
    /* large enough to stay fp16 on a software device */
    check_conv(&f,
               (oracle_conv){.n = 1,
                             .in = 1301,
                             .h = 1,
                             .w = 7,
                             .out = 450,
                             .kernel_h = 1,
                             .kernel_w = 1,
                             .stride = 1,
                             .activation = KN_ACTIVATION_GELU},
               (extras){true, true, true, true}, 70);
    kn_host_kernels_force_narrow(false);
    fixture_finish(&f);
}

Test(nn_matrix, many_rows_host) { many_rows(false); }
Test(nn_matrix, many_rows_host_narrow) { many_rows(true); }

Test(nn_matrix, wrong_shapes_are_refused) {
    fixture f;
    fixture_init(&f, false);
    kn_tensor in, out;
    float *x = fixture_tensor(&f, &in, 1, 4, 4, 8, 30), w[8 * 9 * 4] = {0};
    kn_weight weight;
    REQUIRE(&f, kn_weight_create(&weight, f.gpu, w, NULL, 4, 8, 3, 3, false, &f.error));
    cr_assert_not(kn_op_conv(f.graph, &out, &in, &weight, &(kn_conv_params){.stride = 0}, &f.error));
    kn_tensor tiny = kn_tensor_view(&in, 4, 2, 2);
    cr_assert_not(kn_op_conv(f.graph, &out, &tiny, &weight, &(kn_conv_params){.stride = 1}, &f.error));
    cr_assert_not(kn_op_linear(f.graph, &out, &in, &weight, KN_ACTIVATION_NONE, NULL, &f.error));
    cr_assert_not(kn_op_conv(f.graph, &out, &in, &weight,
                             &(kn_conv_params){.stride = 1, .pad = 1, .pad_end = 1, .residual = &in}, &f.error));
    in.c = 7;
    cr_assert_not(kn_op_conv(f.graph, &out, &in, &weight, &(kn_conv_params){.stride = 1}, &f.error));
    cr_assert_not(kn_weight_create(&(kn_weight){0}, f.gpu, w, NULL, 0, 8, 3, 3, false, &f.error));
    kn_weight_destroy(&weight);
    free(x);
    fixture_finish(&f);
}
