/* Attention against its oracle. */
#include "diffusion/ops/host_kernels.h"
#include "tests/gpu/nn_fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* `members`: batch of keys and values. `accumulate` adds to a random tensor. */
static void check(fixture *f, oracle_attention s, int members) {
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
    oracle_attention_run(&s, hq, hk, hv, y);
    char what[100];
    snprintf(what, sizeof what, "attention n %d, %d x %d tokens, %d heads of %d", s.n, s.tq, s.tk, s.heads, s.d);
    fixture_expect(f, &out, y, 1e-4, what);
    kn_graph_release(f->graph, &q);
    kn_graph_release(f->graph, &k);
    kn_graph_release(f->graph, &v);
    kn_graph_release(f->graph, &out);
    free(hq), free(hk), free(hv);
}

static void cases(kn_variant variant) {
    fixture f;
    if (!fixture_variant(&f, variant)) return;
    static const int index[] = {2, 0, 1, 1, 2};
    check(&f, (oracle_attention){.n = 2, .tq = 37, .tk = 50, .heads = 3, .d = 32}, 2);
    check(&f, (oracle_attention){.n = 1, .tq = 140, .tk = 1, .heads = 2, .d = 4}, 1);
    check(&f, (oracle_attention){.n = 2, .tq = 77, .tk = 77, .heads = 2, .d = 20, .causal = true}, 2);
    check(&f,
          (oracle_attention){.n = 5, .tq = 21, .tk = 19, .heads = 2, .d = 16, .kv_index = index, .accumulate = true},
          3);
    check(&f, (oracle_attention){.n = 2, .tq = 9, .tk = 70, .heads = 1, .d = 160, .scale = 0.5}, 2);
    check(&f, (oracle_attention){.n = 2, .tq = 45, .tk = 37, .heads = 2, .d = 164}, 2); /* too wide for registers */
    check(&f, (oracle_attention){.n = 1, .tq = 33, .tk = 40, .heads = 1, .d = 512}, 1);
    check(&f, (oracle_attention){.n = 150, .tq = 5, .tk = 5, .heads = 2, .d = 12},
          150); /* the kernel for short sequences */
    kn_graph_set_binding_limit(f.graph, 9000);
    check(&f, (oracle_attention){.n = 150, .tq = 3, .tk = 3, .heads = 2, .d = 4}, 150);
    check(&f, (oracle_attention){.n = 5, .tq = 9, .tk = 7, .heads = 2, .d = 12}, 5);
    check(&f, (oracle_attention){.n = 5, .tq = 21, .tk = 19, .heads = 2, .d = 32, .kv_index = index}, 3);
    fixture_finish(&f);
}

Test(nn_attention, tokens_host) { cases(KN_VARIANT_HOST); }
Test(nn_attention, tokens) { cases(KN_VARIANT_SUBGROUP); }
Test(nn_attention, tokens_portable) { cases(KN_VARIANT_PLAIN); }

/* Several blocks of queries and keys: the running maximum, causal limits within and between blocks, both vector widths.
 */
static void many_tokens(bool narrow) {
    fixture f;
    if (!fixture_variant(&f, KN_VARIANT_HOST)) return;
    kn_host_kernels_force_narrow(narrow);
    static const int index[] = {1, 1, 0};
    check(&f, (oracle_attention){.n = 2, .tq = 203, .tk = 301, .heads = 2, .d = 40, .scale = 3}, 2);
    check(&f, (oracle_attention){.n = 1, .tq = 250, .tk = 250, .heads = 3, .d = 20, .causal = true, .scale = 2}, 1);
    check(&f,
          (oracle_attention){.n = 3, .tq = 97, .tk = 193, .heads = 1, .d = 80, .kv_index = index, .accumulate = true},
          2);
    kn_host_kernels_force_narrow(false);
    fixture_finish(&f);
}

Test(nn_attention, many_tokens_host) { many_tokens(false); }
Test(nn_attention, many_tokens_host_narrow) { many_tokens(true); }

Test(nn_attention, wrong_shapes_are_refused) {
    fixture f;
    fixture_init(&f, false);
    kn_tensor q, out;
    float *x = fixture_tensor(&f, &q, 2, 1, 8, 24, 1);
    int bad[] = {0, 2};
    cr_assert_not(kn_op_attention(f.graph, &out, &q, &q, &q, &(kn_attention_params){.heads = 5}, &f.error));
    cr_assert_not(kn_op_attention(f.graph, &out, &q, &q, &q, &(kn_attention_params){.heads = 4}, &f.error));
    cr_assert_not(
        kn_op_attention(f.graph, &out, &q, &q, &q, &(kn_attention_params){.heads = 2, .kv_index = bad}, &f.error));
    free(x);
    fixture_finish(&f);
}
