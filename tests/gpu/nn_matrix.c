/* Convolution and linear layers against their oracle. */
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

static void conv_cases(bool portable) {
    fixture f;
    fixture_init(&f, portable);
    extras all = {true, true, true, false}, bias = {.bias = true}, none = {0};
    check_conv(&f,
               (oracle_conv){.n = 2,
                             .in = 5,
                             .h = 7,
                             .w = 9,
                             .out = 6,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1,
                             .activation = KN_ACTIVATION_SILU},
               all, 1);
    check_conv(&f,
               (oracle_conv){.n = 3,
                             .in = 8,
                             .h = 9,
                             .w = 11,
                             .out = 130,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 2,
                             .pad = 0,
                             .pad_end = 1},
               bias, 2);
    check_conv(&f,
               (oracle_conv){.n = 2,
                             .in = 20,
                             .h = 13,
                             .w = 17,
                             .out = 64,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1},
               all, 3);
    check_conv(&f,
               (oracle_conv){.n = 1,
                             .in = 3,
                             .h = 16,
                             .w = 15,
                             .out = 67,
                             .kernel_h = 4,
                             .kernel_w = 4,
                             .stride = 4,
                             .pad = 0,
                             .pad_end = 0,
                             .activation = KN_ACTIVATION_GELU},
               none, 4);
    check_conv(&f,
               (oracle_conv){.n = 2,
                             .in = 12,
                             .h = 7,
                             .w = 13,
                             .out = 10,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1,
                             .view_h = 14,
                             .view_w = 25},
               bias, 5);
    check_conv(&f,
               (oracle_conv){.n = 2,
                             .in = 9,
                             .h = 10,
                             .w = 8,
                             .out = 16,
                             .kernel_h = 1,
                             .kernel_w = 1,
                             .stride = 2,
                             .pad = 0,
                             .pad_end = 0},
               bias, 6);
    check_conv(&f,
               (oracle_conv){.n = 2,
                             .in = 7,
                             .h = 20,
                             .w = 21,
                             .out = 3,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1,
                             .activation = KN_ACTIVATION_TANH},
               all, 7);
    check_conv(&f,
               (oracle_conv){.n = 1,
                             .in = 64,
                             .h = 1,
                             .w = 1,
                             .out = 256,
                             .kernel_h = 1,
                             .kernel_w = 1,
                             .stride = 1,
                             .activation = KN_ACTIVATION_RELU},
               (extras){true, false, false, true}, 8);
    check_conv(&f,
               (oracle_conv){.n = 2,
                             .in = 36,
                             .h = 9,
                             .w = 10,
                             .out = 128,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1,
                             .activation = KN_ACTIVATION_QUICK_GELU},
               (extras){true, true, true, true}, 9);
    /* few channels: a picture narrower than a tile, one of a single line, lines that fill no block, half weights, the
     * least inputs */
    check_conv(&f,
               (oracle_conv){.n = 3,
                             .in = 9,
                             .h = 6,
                             .w = 5,
                             .out = 4,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1,
                             .activation = KN_ACTIVATION_SILU},
               bias, 13);
    check_conv(&f,
               (oracle_conv){.n = 2,
                             .in = 64,
                             .h = 11,
                             .w = 37,
                             .out = 3,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1},
               bias, 14);
    check_conv(&f,
               (oracle_conv){.n = 2,
                             .in = 5,
                             .h = 1,
                             .w = 29,
                             .out = 2,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1},
               none, 15);
    check_conv(&f,
               (oracle_conv){.n = 2,
                             .in = 2000,
                             .h = 9,
                             .w = 1,
                             .out = 4,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1,
                             .activation = KN_ACTIVATION_TANH},
               (extras){true, false, false, true}, 16);
    check_conv(&f,
               (oracle_conv){.n = 1,
                             .in = 1,
                             .h = 2,
                             .w = 2,
                             .out = 1,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1,
                             .activation = KN_ACTIVATION_RELU},
               bias, 17);
    /* large enough to stay fp16 on every device */
    check_conv(&f,
               (oracle_conv){.n = 1, .in = 768, .h = 4, .w = 5, .out = 700, .kernel_h = 1, .kernel_w = 1, .stride = 1},
               (extras){true, false, true, true}, 10);
    fixture_finish(&f);
}

Test(nn_matrix, conv) { conv_cases(false); }
Test(nn_matrix, conv_portable) { conv_cases(true); }

/* The same layers through Winograd's form: partial tiles, panels in chunks, bands, all epilogues, a resized view. */
Test(nn_matrix, winograd) {
    fixture f;
    fixture_init(&f, false);
    kn_graph_choose_winograd(f.graph, 1);
    extras all = {true, true, true, false}, bias = {.bias = true};
    oracle_conv s = {.n = 2,
                     .in = 20,
                     .h = 13,
                     .w = 17,
                     .out = 70,
                     .kernel_h = 3,
                     .kernel_w = 3,
                     .stride = 1,
                     .pad = 1,
                     .pad_end = 1};
    check_conv(&f, s, all, 40);
    s.in = 5, s.out = 130, s.h = 6, s.w = 3, s.n = 3, s.activation = KN_ACTIVATION_SILU;
    check_conv(&f, s, bias, 41);
    check_conv(&f,
               (oracle_conv){.n = 2,
                             .in = 12,
                             .h = 7,
                             .w = 13,
                             .out = 68,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1,
                             .view_h = 14,
                             .view_w = 25},
               bias, 42);
    check_conv(&f,
               (oracle_conv){.n = 1,
                             .in = 1100,
                             .h = 4,
                             .w = 5,
                             .out = 320,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1},
               (extras){true, false, true, true}, 43);
    kn_graph_set_binding_limit(f.graph, 1200000); /* bands of tiles */
    check_conv(&f,
               (oracle_conv){.n = 2,
                             .in = 36,
                             .h = 25,
                             .w = 30,
                             .out = 80,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1},
               all, 44);
    kn_graph_set_binding_limit(f.graph, 2500000); /* an output that is bound in bands of rows */
    check_conv(&f,
               (oracle_conv){.n = 2,
                             .in = 4,
                             .h = 50,
                             .w = 48,
                             .out = 160,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1},
               all, 45);
    fixture_finish(&f);
}

/* A binding limit of a few members makes the layer run in several launches. */
static void split_cases(bool portable) {
    fixture f;
    fixture_init(&f, portable);
    kn_graph_set_binding_limit(f.graph, 90000); /* 16 and 48 members a launch */
    check_conv(&f,
               (oracle_conv){.n = 37,
                             .in = 5,
                             .h = 7,
                             .w = 9,
                             .out = 20,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1},
               (extras){true, true, true, false}, 11);
    check_conv(&f,
               (oracle_conv){.n = 37,
                             .in = 5,
                             .h = 7,
                             .w = 9,
                             .out = 4,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1,
                             .pad = 1,
                             .pad_end = 1},
               (extras){.bias = true}, 18);
    check_conv(&f, (oracle_conv){.n = 67, .in = 4, .h = 5, .w = 7, .out = 9, .kernel_h = 1, .kernel_w = 1, .stride = 1},
               (extras){true, true, false, false}, 12);
    fixture_finish(&f);
}

Test(nn_matrix, split) { split_cases(false); }
Test(nn_matrix, split_portable) { split_cases(true); }

static void check_geglu(fixture *f, int rows, int in_c, int out_c, uint64_t seed) {
    kn_tensor in, out;
    float *x = fixture_tensor(f, &in, 2, 1, rows, in_c, seed), *w = fixture_random((size_t)2 * out_c * in_c, seed + 1);
    float *bias = fixture_random(2 * (size_t)out_c, seed + 2), *both = fixture_zeros((size_t)2 * rows * 2 * out_c);
    kn_weight weight;
    REQUIRE(f, kn_weight_create(&weight, f->gpu, w, bias, 2 * out_c, in_c, 1, 1, false, &f->error));
    REQUIRE(f, kn_op_linear_geglu(f->graph, &out, &in, &weight, &f->error));
    oracle_conv s = {.n = 2,
                     .in = in_c,
                     .h = 1,
                     .w = rows,
                     .out = 2 * out_c,
                     .kernel_h = 1,
                     .kernel_w = 1,
                     .stride = 1,
                     .view_h = 1,
                     .view_w = rows};
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

static void linear_cases(bool portable) {
    fixture f;
    fixture_init(&f, portable);
    check_geglu(&f, 45, 24, 128, 20);
    check_geglu(&f, 7, 10, 20, 21);
    kn_tensor in, residual, out;
    float *x = fixture_tensor(&f, &in, 3, 1, 77, 50, 22), *r = fixture_tensor(&f, &residual, 3, 1, 77, 70, 23);
    float *w = fixture_random(70 * 50, 24), *y = fixture_zeros((size_t)3 * 77 * 70);
    kn_weight weight;
    REQUIRE(&f, kn_weight_create(&weight, f.gpu, w, NULL, 70, 50, 1, 1, false, &f.error));
    REQUIRE(&f, kn_op_linear(f.graph, &out, &in, &weight, KN_ACTIVATION_GELU, &residual, &f.error));
    oracle_conv s = {.n = 3,
                     .in = 50,
                     .h = 1,
                     .w = 77,
                     .out = 70,
                     .kernel_h = 1,
                     .kernel_w = 1,
                     .stride = 1,
                     .view_h = 1,
                     .view_w = 77,
                     .activation = KN_ACTIVATION_GELU};
    oracle_conv_run(&s, x, w, NULL, NULL, r, y);
    fixture_expect(&f, &out, y, 1e-4, "linear with gelu and residual");
    kn_weight_destroy(&weight);
    free(x), free(r), free(w);
    fixture_finish(&f);
}

Test(nn_matrix, linear) { linear_cases(false); }
Test(nn_matrix, linear_portable) { linear_cases(true); }

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
