/* The operations of ops.h as networks call them, on made-up inputs. */
#include "diffusion/bench/bench_case.h"

double kn_bench_case_flops(const kn_bench_case *c, const kn_bench_shape *s) {
    const kn_tensor *out = &c->out;
    double pixels = (double)out->n * out->h * out->w;
    switch (s->kind) {
    case KN_SHAPE_ATTENTION: return 4.0 * s->n * s->w * s->h * s->in * s->out;
    case KN_SHAPE_LINEAR:
    case KN_SHAPE_GEGLU:
    case KN_SHAPE_CONV: return 2.0 * pixels * s->in * s->out * s->kernel * s->kernel;
    default: return pixels * out->c;
    }
}

/* A tensor with small varied values. */
static bool filled(kn_bench_case *b, kn_tensor *tensor, int n, int h, int w, int c, kn_error *error) {
    if (!kn_graph_tensor(b->graph, tensor, n, h, w, c, error)) return false;
    size_t count = (size_t)n * h * w * c;
    float *data = kn_alloc(count, sizeof *data, error);
    for (size_t i = 0; data && i < count; i++) data[i] = (float)(i * 2654435761u % 1000) / 500.0f - 1.0f;
    bool ok = data && kn_tensor_upload(tensor, data, error);
    kn_free(data);
    return ok;
}

static bool make_weight(kn_bench_case *b, const kn_bench_shape *s, kn_error *error) {
    size_t count = (size_t)s->in * s->out * s->kernel * s->kernel;
    float *data = kn_alloc(count, sizeof *data, error);
    for (size_t i = 0; data && i < count; i++) data[i] = (float)(i * 2246822519u % 1000) / 5000.0f - 0.1f;
    bool ok =
        data && kn_weight_create(&b->weight, b->gpu, data, NULL, s->out, s->in, s->kernel, s->kernel, true, error);
    kn_free(data);
    return ok;
}

static bool record_matrix(kn_bench_case *b, const kn_bench_shape *s, kn_error *error) {
    if (!filled(b, &b->in, s->n, s->h, s->w, s->in, error) || !make_weight(b, s, error)) return false;
    if (s->kind == KN_SHAPE_LINEAR)
        return kn_op_linear(b->graph, &b->out, &b->in, &b->weight, KN_ACTIVATION_NONE, NULL, error);
    if (s->kind == KN_SHAPE_GEGLU) return kn_op_linear_geglu(b->graph, &b->out, &b->in, &b->weight, error);
    int pad = s->kernel / 2;
    return kn_op_conv(b->graph, &b->out, &b->in, &b->weight,
                      &(kn_conv_params){.stride = s->stride, .pad = pad, .pad_end = pad}, error);
}

static bool record(kn_bench_case *b, const kn_bench_shape *s, kn_error *error) {
    float ones[1024];
    for (size_t i = 0; i < KN_COUNT(ones); i++) ones[i] = 1.0f;
    switch (s->kind) {
    case KN_SHAPE_ATTENTION:
        return filled(b, &b->in, s->n, 1, s->w, s->in * s->out, error) &&
               filled(b, &b->other, s->n, 1, s->h, s->in * s->out, error) &&
               kn_op_attention(b->graph, &b->out, &b->in, &b->other, &b->other, &(kn_attention_params){.heads = s->out},
                               error);
    case KN_SHAPE_GROUP_NORM:
    case KN_SHAPE_LAYER_NORM:
        if (!filled(b, &b->in, s->n, s->h, s->w, s->in, error) ||
            !kn_vector_create(&b->gamma, b->gpu, ones, s->in, error))
            return false;
        if (s->kind == KN_SHAPE_LAYER_NORM)
            return kn_op_layer_norm(b->graph, &b->out, &b->in, b->gamma, b->gamma, 1e-5f, error);
        return kn_op_group_norm(b->graph, &b->out, &b->in, b->gamma, b->gamma, s->out, 1e-5f, KN_ACTIVATION_SILU,
                                error);
    case KN_SHAPE_ADD:
        return filled(b, &b->in, s->n, s->h, s->w, s->in, error) &&
               filled(b, &b->other, s->n, s->h, s->w, s->in, error) &&
               kn_op_add(b->graph, &b->out, &b->in, &b->other, 1.0f, 1.0f, error);
    default: return record_matrix(b, s, error);
    }
}

bool kn_bench_case_init(kn_bench_case *c, kn_gpu *gpu, const kn_bench_shape *shape, const kn_tuning *tuning,
                        int winograd, kn_error *error) {
    *c = (kn_bench_case){.gpu = gpu};
    bool ok = kn_graph_create(&c->graph, gpu, 0, error);
    if (ok && tuning) kn_graph_set_tuning(c->graph, tuning);
    if (ok) kn_graph_choose_winograd(c->graph, winograd);
    ok = ok && record(c, shape, error);
    if (!ok) kn_bench_case_finish(c);
    return ok;
}

void kn_bench_case_finish(kn_bench_case *c) {
    kn_graph_destroy(&c->graph);
    kn_weight_destroy(&c->weight);
    kn_gpu_buffer_destroy(&c->gamma);
    *c = (kn_bench_case){0};
}
