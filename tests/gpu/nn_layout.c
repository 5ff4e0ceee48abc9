/* Element-wise operations and operations that move data, against straightforward C. */
#include "tests/gpu/nn_fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* Index into [n][c][h][w]. */
static size_t at(const kn_tensor *t, int n, int c, int y, int x) {
    return (((size_t)n * t->c + c) * t->h + y) * t->w + x;
}

static void check_activations(fixture *f) {
    for (kn_activation kind = KN_ACTIVATION_SILU; kind <= KN_ACTIVATION_TANH; kind++) {
        kn_tensor in, out;
        float *x = fixture_tensor(f, &in, 3, 5, 7, 10, 1);
        for (size_t i = 0; i < fixture_count(&in); i++) x[i] *= 6;
        REQUIRE(f, kn_tensor_upload(&in, x, &f->error));
        REQUIRE(f, kn_op_activation(f->graph, &out, &in, kind, &f->error));
        for (size_t i = 0; i < fixture_count(&in); i++) x[i] = (float)oracle_activate(x[i], kind);
        fixture_expect(f, &out, x, 1e-5, "activation");
        kn_graph_release(f->graph, &in);
        kn_graph_release(f->graph, &out);
    }
}

static void check_add(fixture *f, int n, int h, int w, int c, int bn, int bh, int bw) {
    kn_tensor a, b, out;
    float *x = fixture_tensor(f, &a, n, h, w, c, 2), *y = fixture_tensor(f, &b, bn, bh, bw, c, 3);
    REQUIRE(f, kn_op_add(f->graph, &out, &a, &b, 0.5f, -2.0f, &f->error));
    for (int i = 0; i < n; i++)
        for (int k = 0; k < c; k++)
            for (int p = 0; p < h * w; p++) {
                size_t other = ((size_t)(i % bn) * c + k) * bh * bw + (bh * bw == 1 ? 0 : p);
                x[((size_t)i * c + k) * h * w + p] = 0.5f * x[((size_t)i * c + k) * h * w + p] - 2.0f * y[other];
            }
    fixture_expect(f, &out, x, 1e-6, "add");
    kn_graph_release(f->graph, &a);
    kn_graph_release(f->graph, &b);
    kn_graph_release(f->graph, &out);
    free(y);
}

static void check_concat(fixture *f, int ca, int cb) {
    kn_tensor a, b, out;
    float *x = fixture_tensor(f, &a, 2, 5, 7, ca, 4), *y = fixture_tensor(f, &b, 2, 5, 7, cb, 5);
    REQUIRE(f, kn_op_concat(f->graph, &out, &a, &b, &f->error));
    float *both = fixture_zeros(fixture_count(&out));
    size_t sa = (size_t)ca * 35, sb = (size_t)cb * 35;
    for (size_t n = 0; n < 2; n++) {
        for (size_t i = 0; i < sa; i++) both[n * (sa + sb) + i] = x[n * sa + i];
        for (size_t i = 0; i < sb; i++) both[n * (sa + sb) + sa + i] = y[n * sb + i];
    }
    fixture_expect(f, &out, both, 0, "concat");
    kn_graph_release(f->graph, &a);
    kn_graph_release(f->graph, &b);
    kn_graph_release(f->graph, &out);
    free(x), free(y);
}

static void check_geglu(fixture *f) {
    kn_tensor in, out;
    float *x = fixture_tensor(f, &in, 2, 1, 33, 40, 6);
    REQUIRE(f, kn_op_geglu(f->graph, &out, &in, &f->error));
    float *y = fixture_zeros(fixture_count(&out));
    for (int n = 0; n < 2; n++)
        for (int c = 0; c < 20; c++)
            for (int t = 0; t < 33; t++)
                y[at(&out, n, c, 0, t)] =
                    (float)(x[at(&in, n, c, 0, t)] * oracle_activate(x[at(&in, n, c + 20, 0, t)], KN_ACTIVATION_GELU));
    fixture_expect(f, &out, y, 1e-5, "geglu");
    kn_graph_release(f->graph, &in);
    kn_graph_release(f->graph, &out);
    free(x);
}

static void check_upsample(fixture *f, int h, int w, int oh, int ow, int c) {
    kn_tensor in, out;
    float *x = fixture_tensor(f, &in, 3, h, w, c, 7);
    REQUIRE(f, kn_op_upsample_nearest(f->graph, &out, &in, oh, ow, &f->error));
    float *y = fixture_zeros(fixture_count(&out));
    for (int n = 0; n < 3; n++)
        for (int k = 0; k < c; k++)
            for (int i = 0; i < oh; i++)
                for (int j = 0; j < ow; j++) y[at(&out, n, k, i, j)] = x[at(&in, n, k, i * h / oh, j * w / ow)];
    fixture_expect(f, &out, y, 0, "upsample");
    kn_graph_release(f->graph, &in);
    kn_graph_release(f->graph, &out);
    free(x);
}

/* frames -> tokens against C, and tokens -> frames back to the start. */
static void check_frames(fixture *f, int clips, int frames, int h, int w, int c) {
    kn_tensor in, tokens, back;
    float *x = fixture_tensor(f, &in, clips * frames, h, w, c, 8);
    REQUIRE(f, kn_op_frames_to_tokens(f->graph, &tokens, &in, frames, &f->error));
    REQUIRE(f, kn_op_tokens_to_frames(f->graph, &back, &tokens, frames, h, w, &f->error));
    cr_assert(tokens.n == clips * h * w && tokens.h == 1 && tokens.w == frames && tokens.c == c);
    cr_assert(back.n == in.n && back.h == h && back.w == w && back.c == c);
    float *y = fixture_zeros(fixture_count(&tokens));
    for (int b = 0; b < clips; b++)
        for (int t = 0; t < frames; t++)
            for (int k = 0; k < c; k++)
                for (int p = 0; p < h * w; p++)
                    y[at(&tokens, b * h * w + p, k, 0, t)] = x[at(&in, b * frames + t, k, p / w, p % w)];
    fixture_expect(f, &tokens, y, 0, "frames to tokens");
    fixture_expect(f, &back, x, 0, "tokens to frames");
    kn_graph_release(f->graph, &in);
    kn_graph_release(f->graph, &tokens);
    kn_graph_release(f->graph, &back);
}

static void check_shuffle(fixture *f, int h, int w, int c, int block) {
    kn_tensor in, packed, back;
    float *x = fixture_tensor(f, &in, 2, h * block, w * block, c, 9);
    REQUIRE(f, kn_op_pixel_unshuffle(f->graph, &packed, &in, block, &f->error));
    REQUIRE(f, kn_op_pixel_shuffle(f->graph, &back, &packed, block, &f->error));
    float *y = fixture_zeros(fixture_count(&packed));
    for (int n = 0; n < 2; n++)
        for (int k = 0; k < c; k++)
            for (int i = 0; i < h * block; i++)
                for (int j = 0; j < w * block; j++)
                    y[at(&packed, n, (k * block + i % block) * block + j % block, i / block, j / block)] =
                        x[at(&in, n, k, i, j)];
    fixture_expect(f, &packed, y, 0, "pixel unshuffle");
    fixture_expect(f, &back, x, 0, "pixel shuffle");
    kn_graph_release(f->graph, &in);
    kn_graph_release(f->graph, &packed);
    kn_graph_release(f->graph, &back);
}

static void all(fixture *f) {
    check_activations(f);
    check_add(f, 3, 5, 7, 10, 3, 5, 7);
    check_add(f, 3, 5, 7, 10, 1, 5, 7);
    check_add(f, 6, 5, 7, 72, 3, 1, 1);
    check_add(f, 4, 5, 7, 10, 4, 1, 1);
    check_concat(f, 20, 12);
    check_concat(f, 64, 70);
    check_concat(f, 5, 6);
    check_geglu(f);
    check_upsample(f, 7, 13, 14, 25, 12);
    check_upsample(f, 5, 6, 3, 4, 70);
    check_frames(f, 2, 3, 5, 7, 12);
    check_frames(f, 1, 8, 3, 3, 66);
    check_shuffle(f, 3, 5, 3, 2);
    check_shuffle(f, 2, 3, 4, 4);
}

static void cases(bool portable) {
    fixture f;
    fixture_init(&f, portable);
    all(&f);
    fixture_finish(&f);
}

Test(nn_layout, all) { cases(false); }
Test(nn_layout, all_portable) { cases(true); }

/* Every launch covers 16 or 32 members. */
Test(nn_layout, split) {
    fixture f;
    fixture_init(&f, false);
    kn_graph_set_binding_limit(f.graph, 27000);
    check_add(&f, 37, 5, 7, 10, 37, 5, 7);
    check_add(&f, 37, 5, 7, 10, 1, 5, 7);
    check_add(&f, 40, 5, 7, 12, 5, 1, 1);
    check_add(&f, 40, 5, 7, 12, 40, 1, 1);
    check_frames(&f, 20, 3, 3, 5, 6);
    fixture_finish(&f);
}
