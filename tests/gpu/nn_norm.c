/* Group and layer normalisation against their oracle. */
#include "tests/gpu/nn_fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* `offset` is added to the input: a mean far from zero must not cost precision. */
static void check_group(fixture *f, int n, int h, int w, int c, int groups, float offset, kn_activation activation,
                        double tolerance) {
    kn_tensor in, out;
    float *x = fixture_tensor(f, &in, n, h, w, c, 1), *gamma = fixture_random((size_t)c, 2),
          *beta = fixture_random((size_t)c, 3);
    for (size_t i = 0; i < fixture_count(&in); i++) x[i] += offset;
    REQUIRE(f, kn_tensor_upload(&in, x, &f->error));
    kn_gpu_buffer *g, *b;
    REQUIRE(f, kn_vector_create(&g, f->gpu, gamma, c, &f->error));
    REQUIRE(f, kn_vector_create(&b, f->gpu, beta, c, &f->error));
    REQUIRE(f, kn_op_group_norm(f->graph, &out, &in, g, b, groups, 1e-5f, activation, &f->error));
    float *y = fixture_zeros(fixture_count(&out));
    oracle_group_norm(x, gamma, beta, n, c, h * w, groups, 1e-5f, activation, y);
    char what[100];
    snprintf(what, sizeof what, "group norm %dx%dx%dx%d, %d groups", n, c, h, w, groups);
    fixture_expect(f, &out, y, tolerance, what);
    kn_graph_release(f->graph, &in);
    kn_graph_release(f->graph, &out);
    kn_gpu_buffer_destroy(&g);
    kn_gpu_buffer_destroy(&b);
    free(x), free(gamma), free(beta);
}

static void group_cases(bool portable) {
    fixture f;
    fixture_init(&f, portable);
    check_group(&f, 3, 7, 9, 64, 32, 0, KN_ACTIVATION_SILU, 1e-4);
    check_group(&f, 2, 25, 41, 20, 4, 0, KN_ACTIVATION_NONE, 1e-4);
    check_group(&f, 2, 5, 3, 9, 3, 0, KN_ACTIVATION_SILU, 1e-4);
    check_group(&f, 1, 300, 201, 4, 2, 0, KN_ACTIVATION_NONE, 1e-4);
    check_group(&f, 2, 1, 1, 320, 32, 0, KN_ACTIVATION_NONE, 1e-4);
    check_group(&f, 2, 20, 30, 12, 3, 100, KN_ACTIVATION_NONE, 1e-3);
    kn_graph_set_binding_limit(f.graph, 50000); /* 16 members a launch */
    check_group(&f, 37, 7, 9, 12, 3, 0, KN_ACTIVATION_SILU, 1e-4);
    fixture_finish(&f);
}

Test(nn_norm, group) { group_cases(false); }
Test(nn_norm, group_portable) { group_cases(true); }

static void check_layer(fixture *f, int n, int rows, int c) {
    kn_tensor in, out;
    float *x = fixture_tensor(f, &in, n, 1, rows, c, 4), *gamma = fixture_random((size_t)c, 5),
          *beta = fixture_random((size_t)c, 6);
    kn_gpu_buffer *g, *b;
    REQUIRE(f, kn_vector_create(&g, f->gpu, gamma, c, &f->error));
    REQUIRE(f, kn_vector_create(&b, f->gpu, beta, c, &f->error));
    REQUIRE(f, kn_op_layer_norm(f->graph, &out, &in, g, b, 1e-5f, &f->error));
    float *y = fixture_zeros(fixture_count(&out));
    oracle_layer_norm(x, gamma, beta, n, c, rows, 1e-5f, y);
    fixture_expect(f, &out, y, 1e-4, "layer norm");
    kn_graph_release(f->graph, &in);
    kn_graph_release(f->graph, &out);
    kn_gpu_buffer_destroy(&g);
    kn_gpu_buffer_destroy(&b);
    free(x), free(gamma), free(beta);
}

static void layer_cases(bool portable) {
    fixture f;
    fixture_init(&f, portable);
    check_layer(&f, 2, 77, 64);
    check_layer(&f, 3, 5, 18);
    kn_graph_set_binding_limit(f.graph, 26000); /* 16 members a launch */
    check_layer(&f, 37, 11, 36);
    fixture_finish(&f);
}

Test(nn_norm, layer) { layer_cases(false); }
Test(nn_norm, layer_portable) { layer_cases(true); }
