/* Attention against its oracle. */
#include "tests/gpu/nn_fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* `members`: batch of keys and values. `accumulate` adds to a random tensor. */
static void check(fixture *f, oracle_attention s, int members)
{
    int c = s.heads * s.d;
    kn_tensor q, k, v, out = { 0 };
    float *hq = fixture_tensor(f, &q, s.n, 1, s.tq, c, 1), *hk = fixture_tensor(f, &k, members, 1, s.tk, c, 2);
    float *hv = fixture_tensor(f, &v, members, 1, s.tk, c, 3);
    float *y = s.accumulate ? fixture_tensor(f, &out, s.n, 1, s.tq, c, 4) : fixture_zeros((size_t)s.n * s.tq * c);
    kn_attention_params params = { .heads = s.heads, .causal = s.causal, .accumulate = s.accumulate, .kv_index = s.kv_index, .scale = (float)s.scale };
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

static void cases(bool portable)
{
    fixture f;
    fixture_init(&f, portable);
    static const int index[] = { 2, 0, 1, 1, 2 };
    check(&f, (oracle_attention){ .n = 2, .tq = 37, .tk = 50, .heads = 3, .d = 32 }, 2);
    check(&f, (oracle_attention){ .n = 1, .tq = 140, .tk = 1, .heads = 2, .d = 4 }, 1);
    check(&f, (oracle_attention){ .n = 2, .tq = 77, .tk = 77, .heads = 2, .d = 20, .causal = true }, 2);
    check(&f, (oracle_attention){ .n = 5, .tq = 21, .tk = 19, .heads = 2, .d = 16, .kv_index = index, .accumulate = true }, 3);
    check(&f, (oracle_attention){ .n = 2, .tq = 9, .tk = 70, .heads = 1, .d = 160, .scale = 0.5 }, 2);
    check(&f, (oracle_attention){ .n = 2, .tq = 45, .tk = 37, .heads = 2, .d = 164 }, 2); /* too wide for registers */
    check(&f, (oracle_attention){ .n = 1, .tq = 33, .tk = 40, .heads = 1, .d = 512 }, 1);
    check(&f, (oracle_attention){ .n = 150, .tq = 5, .tk = 5, .heads = 2, .d = 12 }, 150); /* the kernel for short sequences */
    kn_graph_set_binding_limit(f.graph, 9000);
    check(&f, (oracle_attention){ .n = 150, .tq = 3, .tk = 3, .heads = 2, .d = 4 }, 150);
    check(&f, (oracle_attention){ .n = 5, .tq = 9, .tk = 7, .heads = 2, .d = 12 }, 5);
    check(&f, (oracle_attention){ .n = 5, .tq = 21, .tk = 19, .heads = 2, .d = 32, .kv_index = index }, 3);
    fixture_finish(&f);
}

Test(nn_attention, tokens) { cases(false); }
Test(nn_attention, tokens_portable) { cases(true); }

/* [clip * frames][c][pixels] <-> [clip * pixels][c][frames]. */
static float *pixels_first(const float *x, int clips, int frames, int pixels, int c, bool back)
{
    float *y = fixture_zeros((size_t)clips * frames * pixels * c);
    for (int b = 0; b < clips; b++)
        for (int t = 0; t < frames; t++)
            for (int i = 0; i < c; i++)
                for (int p = 0; p < pixels; p++) {
                    size_t wide = (((size_t)b * frames + t) * c + i) * pixels + p, deep = (((size_t)b * pixels + p) * c + i) * frames + t;
                    if (back) y[wide] = x[deep];
                    else y[deep] = x[wide];
                }
    return y;
}

static void check_frames(fixture *f, int clips, int frames, int h, int w, int heads, int d)
{
    int pixels = h * w, c = heads * d;
    kn_tensor q, k, v, out;
    float *host[3], *tokens[3];
    kn_tensor *tensors[] = { &q, &k, &v };
    for (int i = 0; i < 3; i++) {
        host[i] = fixture_tensor(f, tensors[i], clips * frames, h, w, c, 5 + (uint64_t)i);
        tokens[i] = pixels_first(host[i], clips, frames, pixels, c, false);
    }
    REQUIRE(f, kn_op_attention_frames(f->graph, &out, &q, &k, &v, heads, frames, 0, &f->error));
    oracle_attention s = { .n = clips * pixels, .tq = frames, .tk = frames, .heads = heads, .d = d };
    float *y = fixture_zeros((size_t)s.n * frames * c);
    oracle_attention_run(&s, tokens[0], tokens[1], tokens[2], y);
    fixture_expect(f, &out, pixels_first(y, clips, frames, pixels, c, true), 1e-4, "attention along time");
    for (int i = 0; i < 3; i++) {
        kn_graph_release(f->graph, tensors[i]);
        free(host[i]), free(tokens[i]);
    }
    kn_graph_release(f->graph, &out);
    free(y);
}

static void frames_cases(bool portable)
{
    fixture f;
    fixture_init(&f, portable);
    check_frames(&f, 2, 8, 5, 7, 2, 16);
    check_frames(&f, 3, 3, 3, 5, 1, 20);
    kn_graph_set_binding_limit(f.graph, 4000);
    check_frames(&f, 5, 2, 3, 5, 2, 8);
    fixture_finish(&f);
}

Test(nn_attention, frames) { frames_cases(false); }
Test(nn_attention, frames_portable) { frames_cases(true); }

Test(nn_attention, wrong_shapes_are_refused)
{
    fixture f;
    fixture_init(&f, false);
    kn_tensor q, out;
    float *x = fixture_tensor(&f, &q, 2, 1, 8, 24, 1);
    int bad[] = { 0, 2 };
    cr_assert_not(kn_op_attention(f.graph, &out, &q, &q, &q, &(kn_attention_params){ .heads = 5 }, &f.error));
    cr_assert_not(kn_op_attention(f.graph, &out, &q, &q, &q, &(kn_attention_params){ .heads = 4 }, &f.error));
    cr_assert_not(kn_op_attention(f.graph, &out, &q, &q, &q, &(kn_attention_params){ .heads = 2, .kv_index = bad }, &f.error));
    cr_assert_not(kn_op_attention_frames(f.graph, &out, &q, &q, &q, 2, 17, 0, &f.error));
    free(x);
    fixture_finish(&f);
}
