/* The graph: memory reuse, repeated runs, and failing allocations in turn. */
#include "tests/gpu/nn_fixture.h"

#include <stdlib.h>

Test(nn_graph, released_memory_is_reused) {
    fixture f;
    fixture_init(&f, false);
    kn_tensor a, b, c, d;
    REQUIRE(&f, kn_graph_tensor(f.graph, &a, 1, 10, 10, 16, &f.error));
    REQUIRE(&f, kn_graph_tensor(f.graph, &b, 1, 10, 10, 16, &f.error));
    cr_assert_neq(a.memory.offset, b.memory.offset);
    size_t first = a.memory.offset;
    kn_graph_release(f.graph, &a);
    cr_assert_null(a.memory.buffer);
    REQUIRE(&f, kn_graph_tensor(f.graph, &c, 1, 10, 10, 16, &f.error));
    cr_assert_eq(c.memory.offset, first);
    kn_graph_release(f.graph, &b);
    kn_graph_release(f.graph, &c);
    kn_graph_release(f.graph, &c); /* a cleared tensor is ignored */
    REQUIRE(&f, kn_graph_tensor(f.graph, &d, 1, 20, 10, 16, &f.error));
    cr_assert_eq(d.memory.offset, first, "neighbouring free ranges join");
    cr_assert_eq(kn_graph_peak_bytes(f.graph), 2 * 6400);
    cr_assert_not(kn_graph_tensor(f.graph, &a, 1, 0, 10, 16, &f.error));
    cr_assert_not(kn_graph_tensor(f.graph, &a, 1 << 30, 1 << 30, 1 << 30, 16, &f.error));
    fixture_finish(&f);
}

Test(nn_graph, large_tensors_get_blocks_of_their_own) {
    fixture f;
    fixture_init(&f, false);
    kn_tensor a, b;
    REQUIRE(&f, kn_graph_tensor(f.graph, &a, 1, 1024, 1024, 12, &f.error));
    REQUIRE(&f, kn_graph_tensor(f.graph, &b, 1, 1, 1, 4, &f.error));
    cr_assert_neq(a.memory.buffer, b.memory.buffer);
    fixture_finish(&f);
}

/* A small network with every kind of memory use; true when it was recorded. `out` lives in the graph. */
static bool network(fixture *f, kn_graph *graph, const kn_weight *weight, kn_gpu_buffer *gamma, const kn_tensor *in,
                    kn_tensor *out) {
    kn_tensor a = {0}, b = {0}, c = {0}, tokens;
    kn_conv_params params = {.stride = 1, .pad = 1, .pad_end = 1, .activation = KN_ACTIVATION_GELU, .residual = in};
    kn_attention_params attention = {.heads = 2};
    bool ok = kn_op_conv(graph, &a, in, weight, &params, &f->error) &&
              kn_op_group_norm(graph, &b, &a, gamma, gamma, 4, 1e-5f, KN_ACTIVATION_SILU, &f->error);
    tokens = kn_tensor_view(&b, b.n, 1, b.h * b.w);
    ok = ok && kn_op_attention(graph, &c, &tokens, &tokens, &tokens, &attention, &f->error) &&
         kn_op_concat(graph, out, &c, &tokens, &f->error);
    kn_graph_release(graph, &a);
    kn_graph_release(graph, &b);
    kn_graph_release(graph, &c);
    return ok;
}

Test(nn_graph, repeated_runs_give_the_same) {
    fixture f;
    fixture_init(&f, false);
    kn_tensor in, out;
    float *x = fixture_tensor(&f, &in, 2, 5, 7, 16, 1), *w = fixture_random(16 * 16 * 9, 2), *g = fixture_random(16, 3);
    kn_weight weight;
    kn_gpu_buffer *gamma;
    REQUIRE(&f, kn_weight_create(&weight, f.gpu, w, NULL, 16, 16, 3, 3, true, &f.error));
    REQUIRE(&f, kn_vector_create(&gamma, f.gpu, g, 16, &f.error));
    REQUIRE(&f, network(&f, f.graph, &weight, gamma, &in, &out));
    size_t count = fixture_count(&out);
    float *first = fixture_zeros(count), *second = fixture_zeros(count);
    REQUIRE(&f, kn_graph_run(f.graph, &f.error));
    REQUIRE(&f, kn_tensor_download(&out, first, &f.error));
    REQUIRE(&f, kn_graph_run(f.graph, &f.error));
    REQUIRE(&f, kn_tensor_download(&out, second, &f.error));
    cr_assert_arr_eq(first, second, count * sizeof *first);
    kn_weight_destroy(&weight);
    kn_gpu_buffer_destroy(&gamma);
    free(x), free(w), free(g), free(first), free(second);
    fixture_finish(&f);
}

/* Everything a user does with a graph, once. */
static bool whole_use(fixture *f, const float *data) {
    kn_graph *graph = NULL;
    kn_weight weight = {0};
    kn_gpu_buffer *gamma = NULL;
    kn_tensor in, out;
    bool ok = kn_graph_create(&graph, f->gpu, 1 << 20, &f->error) &&
              kn_weight_create(&weight, f->gpu, data, data, 16, 16, 3, 3, true, &f->error) &&
              kn_vector_create(&gamma, f->gpu, data, 16, &f->error) &&
              kn_graph_tensor(graph, &in, 1, 4, 5, 16, &f->error) && kn_tensor_upload(&in, data, &f->error) &&
              network(f, graph, &weight, gamma, &in, &out) && kn_graph_run(graph, &f->error);
    kn_graph_destroy(&graph);
    kn_weight_destroy(&weight);
    kn_gpu_buffer_destroy(&gamma);
    return ok;
}

Test(nn_graph, every_allocation_may_fail) {
    fixture f;
    fixture_init(&f, false);
    float *data = fixture_random(16 * 16 * 9, 1);
    uint64_t failures = 0;
    for (uint64_t n = 1; n < 1000; n++) {
        kn_alloc_fail_after(n);
        bool ok = whole_use(&f, data);
        kn_alloc_fail_after(0);
        if (ok) break;
        cr_assert_eq(f.error.kind, KN_ERROR_MEMORY, "allocation %llu: %s", (unsigned long long)n, f.error.message);
        failures++;
    }
    cr_assert_gt(failures, 5);
    REQUIRE(&f, whole_use(&f, data));
    free(data);
    fixture_finish(&f);
}
