/* Times the operations of ops.h as networks call them. */
#include "diffusion/bench.h"

#include "diffusion/ops.h"

#include <string.h>
#include <time.h>

typedef enum shape_kind { SHAPE_LINEAR, SHAPE_GEGLU, SHAPE_CONV, SHAPE_ATTENTION, SHAPE_FRAMES, SHAPE_GROUP_NORM, SHAPE_LAYER_NORM, SHAPE_ADD } shape_kind;

/* Linear: n x w rows, in -> out. Conv: n x h x w, in -> out, kernel, stride. Attention: n members, w queries, h keys, `out`
 * heads of `in` channels; along time: n clips of 8 frames. Norms: n x h x w x in. */
typedef struct shape {
    const char *group, *name;
    shape_kind kind;
    int n, h, w, in, out, kernel, stride;
} shape;

static const shape shapes[] = {
    { "gemm", "nano tokens 8400 x 64 -> 64", SHAPE_LINEAR, 6, 1, 1400, 64, 64, 1, 1 },
    { "gemm", "nano tokens 8400 x 128 -> 128", SHAPE_LINEAR, 6, 1, 1400, 128, 128, 1, 1 },
    { "gemm", "nano tokens 2100 x 192 -> 192", SHAPE_LINEAR, 6, 1, 350, 192, 192, 1, 1 },
    { "gemm", "nano GEGLU 8400 x 128 -> 512", SHAPE_GEGLU, 6, 1, 1400, 128, 1024, 1, 1 },
    { "gemm", "nano context 462 x 128 -> 192", SHAPE_LINEAR, 6, 1, 77, 128, 192, 1, 1 },
    { "gemm", "nano time 12 x 256 -> 256", SHAPE_LINEAR, 12, 1, 1, 256, 256, 1, 1 },
    { "gemm", "512 x 512 -> 512", SHAPE_LINEAR, 1, 1, 512, 512, 512, 1, 1 },
    { "gemm", "SD1.5 tokens 1024 x 640 -> 640", SHAPE_LINEAR, 1, 1, 1024, 640, 640, 1, 1 },
    { "conv", "nano 3x3, 6 x 56x100, 64 -> 64", SHAPE_CONV, 6, 56, 100, 64, 64, 3, 1 },
    { "conv", "nano 3x3, 6 x 28x50, 128 -> 128", SHAPE_CONV, 6, 28, 50, 128, 128, 3, 1 },
    { "conv", "nano 3x3, 6 x 14x25, 192 -> 192", SHAPE_CONV, 6, 14, 25, 192, 192, 3, 1 },
    { "conv", "nano 3x3 stride 2, 6 x 28x50, 64 -> 64", SHAPE_CONV, 6, 28, 50, 64, 64, 3, 2 },
    { "conv", "nano 1x1, 6 x 28x50, 192 -> 64", SHAPE_CONV, 6, 28, 50, 192, 64, 1, 1 },
    { "conv", "nano 3x3, 6 x 56x100, 64 -> 4", SHAPE_CONV, 6, 56, 100, 64, 4, 3, 1 },
    { "conv", "VAE 3x3, 1 x 224x400, 32 -> 32", SHAPE_CONV, 1, 224, 400, 32, 32, 3, 1 },
    { "conv", "SD1.5 3x3, 1 x 32x32, 320 -> 320", SHAPE_CONV, 1, 32, 32, 320, 320, 3, 1 },
    { "conv", "SD1.5 3x3, 1 x 16x16, 1280 -> 1280", SHAPE_CONV, 1, 16, 16, 1280, 1280, 3, 1 },
    { "attention", "nano 6 x 1400 tokens, 4 heads x 16", SHAPE_ATTENTION, 6, 1400, 1400, 16, 4, 0, 0 },
    { "attention", "nano 6 x 1400 tokens, 4 heads x 32", SHAPE_ATTENTION, 6, 1400, 1400, 32, 4, 0, 0 },
    { "attention", "nano 6 x 350 tokens, 3 heads x 64", SHAPE_ATTENTION, 6, 350, 350, 64, 3, 0, 0 },
    { "attention", "nano 6 x 1400 x 77 text, 4 heads x 32", SHAPE_ATTENTION, 6, 77, 1400, 32, 4, 0, 0 },
    { "attention", "nano along 8 frames, 1400 places, 4 heads x 32", SHAPE_FRAMES, 1, 28, 50, 32, 4, 8, 0 },
    { "attention", "SD1.5 2100 tokens, 8 heads x 40", SHAPE_ATTENTION, 1, 2100, 2100, 40, 8, 0, 0 },
    { "attention", "SD1.5 1024 tokens, 8 heads x 80", SHAPE_ATTENTION, 1, 1024, 1024, 80, 8, 0, 0 },
    { "attention", "SD1.5 256 tokens, 8 heads x 160", SHAPE_ATTENTION, 2, 256, 256, 160, 8, 0, 0 },
    { "norm", "group norm + SiLU, 6 x 56x100 x 64", SHAPE_GROUP_NORM, 6, 56, 100, 64, 32, 0, 0 },
    { "norm", "layer norm, 8400 x 128", SHAPE_LAYER_NORM, 6, 28, 50, 128, 0, 0, 0 },
    { "norm", "add, 6 x 56x100 x 64", SHAPE_ADD, 6, 56, 100, 64, 0, 0, 0 },
};

typedef struct bench {
    kn_gpu *gpu;
    kn_graph *graph;
    kn_weight weight;
    kn_gpu_buffer *gamma;
    kn_tensor in, other, out;
} bench;

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double flops_of(const shape *s, const kn_tensor *out)
{
    double pixels = (double)out->n * out->h * out->w;
    switch (s->kind) {
    case SHAPE_ATTENTION: return 4.0 * s->n * s->w * s->h * s->in * s->out;
    case SHAPE_FRAMES: return 4.0 * s->n * s->h * s->w * s->kernel * s->kernel * s->in * s->out;
    case SHAPE_LINEAR: case SHAPE_GEGLU: case SHAPE_CONV: return 2.0 * pixels * s->in * s->out * s->kernel * s->kernel;
    default: return pixels * out->c;
    }
}

/* A tensor with small varied values. */
static bool filled(bench *b, kn_tensor *tensor, int n, int h, int w, int c, kn_error *error)
{
    if (!kn_graph_tensor(b->graph, tensor, n, h, w, c, error)) return false;
    size_t count = (size_t)n * h * w * c;
    float *data = kn_alloc(count, sizeof *data, error);
    for (size_t i = 0; data && i < count; i++) data[i] = (float)(i * 2654435761u % 1000) / 500.0f - 1.0f;
    bool ok = data && kn_tensor_upload(tensor, data, error);
    kn_free(data);
    return ok;
}

static bool make_weight(bench *b, const shape *s, kn_error *error)
{
    size_t count = (size_t)s->in * s->out * s->kernel * s->kernel;
    float *data = kn_alloc(count, sizeof *data, error);
    for (size_t i = 0; data && i < count; i++) data[i] = (float)(i * 2246822519u % 1000) / 5000.0f - 0.1f;
    bool ok = data && kn_weight_create(&b->weight, b->gpu, data, NULL, s->out, s->in, s->kernel, s->kernel, true, error);
    kn_free(data);
    return ok;
}

static bool record_matrix(bench *b, const shape *s, kn_error *error)
{
    if (!filled(b, &b->in, s->n, s->h, s->w, s->in, error) || !make_weight(b, s, error)) return false;
    if (s->kind == SHAPE_LINEAR) return kn_op_linear(b->graph, &b->out, &b->in, &b->weight, KN_ACTIVATION_NONE, NULL, error);
    if (s->kind == SHAPE_GEGLU) return kn_op_linear_geglu(b->graph, &b->out, &b->in, &b->weight, error);
    int pad = s->kernel / 2;
    return kn_op_conv(b->graph, &b->out, &b->in, &b->weight, &(kn_conv_params){ .stride = s->stride, .pad = pad, .pad_end = pad }, error);
}

static bool record(bench *b, const shape *s, kn_error *error)
{
    float ones[1024];
    for (size_t i = 0; i < KN_COUNT(ones); i++) ones[i] = 1.0f;
    switch (s->kind) {
    case SHAPE_ATTENTION:
        return filled(b, &b->in, s->n, 1, s->w, s->in * s->out, error) && filled(b, &b->other, s->n, 1, s->h, s->in * s->out, error) &&
               kn_op_attention(b->graph, &b->out, &b->in, &b->other, &b->other, &(kn_attention_params){ .heads = s->out }, error);
    case SHAPE_FRAMES:
        return filled(b, &b->in, s->n * s->kernel, s->h, s->w, s->in * s->out, error) &&
               kn_op_attention_frames(b->graph, &b->out, &b->in, &b->in, &b->in, s->out, s->kernel, 0, error);
    case SHAPE_GROUP_NORM: case SHAPE_LAYER_NORM:
        if (!filled(b, &b->in, s->n, s->h, s->w, s->in, error) || !kn_vector_create(&b->gamma, b->gpu, ones, s->in, error)) return false;
        if (s->kind == SHAPE_LAYER_NORM) return kn_op_layer_norm(b->graph, &b->out, &b->in, b->gamma, b->gamma, 1e-5f, error);
        return kn_op_group_norm(b->graph, &b->out, &b->in, b->gamma, b->gamma, s->out, 1e-5f, KN_ACTIVATION_SILU, error);
    case SHAPE_ADD:
        return filled(b, &b->in, s->n, s->h, s->w, s->in, error) && filled(b, &b->other, s->n, s->h, s->w, s->in, error) &&
               kn_op_add(b->graph, &b->out, &b->in, &b->other, 1.0f, 1.0f, error);
    default: return record_matrix(b, s, error);
    }
}

/* Runs once to compile, then until about 0.2 s of processor time went by, at most 50 times. */
static bool measure(bench *b, const shape *s, kn_bench_callback callback, void *user, kn_error *error)
{
    double start = seconds(CLOCK_MONOTONIC);
    if (!kn_graph_run(b->graph, error)) return false;
    double first = seconds(CLOCK_MONOTONIC) - start;
    int runs = 0;
    start = seconds(CLOCK_MONOTONIC);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), spent = 0;
    for (; runs < 50 && (runs < 2 || spent < 0.2); runs++) {
        if (!kn_graph_run(b->graph, error)) return false;
        spent = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    }
    double wall = (seconds(CLOCK_MONOTONIC) - start) / runs;
    kn_bench_result result = { .group = s->group, .shape = s->name, .flops = flops_of(s, &b->out), .wall = wall, .cpu = spent / runs,
                               .bytes = 4.0 * ((double)b->in.n * b->in.h * b->in.w * b->in.stride + (double)b->out.n * b->out.h * b->out.w * b->out.stride),
                               .compile = first > wall ? first - wall : 0 };
    callback(user, &result);
    return true;
}

static bool run_shape(kn_gpu *gpu, const shape *s, kn_bench_callback callback, void *user, kn_error *error)
{
    bench b = { .gpu = gpu };
    bool ok = kn_graph_create(&b.graph, gpu, 0, error) && record(&b, s, error) && measure(&b, s, callback, user, error);
    kn_graph_destroy(&b.graph);
    kn_weight_destroy(&b.weight);
    kn_gpu_buffer_destroy(&b.gamma);
    return ok;
}

bool kn_bench_kernels(kn_gpu *gpu, const char *which, kn_bench_callback callback, void *user, kn_error *error)
{
    bool known = false;
    for (size_t i = 0; i < KN_COUNT(shapes); i++) {
        if (which && strcmp(which, shapes[i].group) != 0) continue;
        known = true;
        if (!run_shape(gpu, &shapes[i], callback, user, error)) return false;
    }
    return known || kn_fail(error, KN_ERROR_INPUT, "unknown benchmark \"%s\", expected gemm, conv, attention or norm", which);
}
