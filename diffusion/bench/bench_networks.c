/* Benchmarks of whole networks: a step of the UNet, the autoencoder, the text encoder. */
#include "diffusion/bench/bench.h"
#include "diffusion/sampling/model.h"
#include "diffusion/ops/ops_internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct bench {
    kn_model *model;
    const kn_bench_network_params *params;
    kn_graph *graph; /* the network, recorded */
    kn_graph *state; /* its inputs */
    kn_tensor in, sinusoids, context, out;
    int context_index[64];
} bench;

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A tensor of roughly normal numbers. */
static bool filled(bench *b, kn_tensor *tensor, int n, int h, int w, int c, kn_error *error) {
    if (!kn_graph_tensor(b->state, tensor, n, h, w, c, error)) return false;
    size_t count = (size_t)n * h * w * c;
    float *data = kn_alloc(count, sizeof *data, error);
    if (!data) return false;
    kn_noise_fill(data, count, 42, false);
    bool ok = kn_tensor_upload(tensor, data, error);
    kn_free(data);
    return ok;
}

/* --- what is measured ------------------------------------------------------------------------- */

static bool record_unet(bench *b, kn_error *error) {
    const kn_pass pass = {
        .context = &b->context, .context_index = b->context_index, .halves = 1, .frames = 1, .views = b->params->batch};
    return kn_unet_forward(b->graph, &b->out, &b->model->unet, &b->in, &b->sinusoids, &pass, NULL, 0, error);
}

static bool prepare_unet(bench *b, kn_error *error) {
    const kn_unet_config *config = &b->model->unet.trunk.config;
    int n = b->params->batch, factor = b->model->info.latent_factor,
        tokens = b->model->info.text ? b->model->text_encoder.max_tokens : 1;
    for (int i = 0; i < n; i++) b->context_index[i] = i;
    return filled(b, &b->in, n, b->params->height / factor, b->params->width / factor, config->in_channels, error) &&
           filled(b, &b->sinusoids, n, 1, 1, config->channels[0], error) &&
           filled(b, &b->context, n, 1, tokens, config->context_channels, error);
}

static bool record_vae(bench *b, kn_error *error) {
    return kn_autoencoder_decode(b->graph, &b->out, &b->model->autoencoder, &b->in, error);
}

static bool prepare_vae(bench *b, kn_error *error) {
    const kn_model_info *info = &b->model->info;
    return filled(b, &b->in, b->params->batch, b->params->height / info->latent_factor,
                  b->params->width / info->latent_factor, info->latent_channels, error);
}

static bool record_encode(bench *b, kn_error *error) {
    return kn_autoencoder_encode(b->graph, &b->out, &b->model->autoencoder, &b->in, error);
}

static bool prepare_encode(bench *b, kn_error *error) {
    return filled(b, &b->in, b->params->batch, b->params->height, b->params->width, 3, error);
}

static bool record_text(bench *b, kn_error *error) {
    return kn_text_encoder_forward(b->graph, &b->out, &b->model->text_encoder, &b->in, error);
}

static bool prepare_text(bench *b, kn_error *error) {
    const kn_text_encoder *encoder = &b->model->text_encoder;
    if (!b->model->info.text) return kn_fail(error, KN_ERROR_INPUT, "%s: has no text encoder", b->params->model);
    return filled(b, &b->in, b->params->batch, 1, encoder->max_tokens, encoder->channels, error);
}

static const struct network {
    const char *name;
    bool (*prepare)(bench *b, kn_error *error), (*record)(bench *b, kn_error *error);
} networks[] = {
    {"unet", prepare_unet, record_unet},
    {"vae", prepare_vae, record_vae},
    {"encode", prepare_encode, record_encode},
    {"text", prepare_text, record_text},
};

/* --- measuring -------------------------------------------------------------------------------- */

static bool time_runs(bench *b, kn_bench_network *result, kn_error *error) {
    double start = seconds(CLOCK_MONOTONIC);
    if (!kn_graph_run(b->graph, error)) return false;
    result->first = seconds(CLOCK_MONOTONIC) - start;
    for (int i = 0; i < b->params->repeats; i++) {
        double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        start = seconds(CLOCK_MONOTONIC);
        if (!kn_graph_run(b->graph, error)) return false;
        double wall = seconds(CLOCK_MONOTONIC) - start;
        cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        if (i > 0 && wall >= result->wall) continue;
        result->wall = wall;
        result->cpu = cpu;
    }
    return true;
}

/* Joins what the graph counted with what the profile timed; kernels that one label names are added up. */
static void collect_kinds(const bench *b, kn_bench_network *result) {
    size_t work_count, count;
    const kn_work *work = kn_graph_work(b->graph, &work_count);
    const kn_gpu_timing *times = kn_gpu_profile(b->model->gpu, &count);
    for (size_t i = 0; i < count; i++) {
        const char *label = times[i].label ? times[i].label : kn_kernel_name(times[i].kernel);
        size_t at = 0;
        while (at < result->kind_count && strcmp(result->kinds[at].label, label) != 0) at++;
        if (at == KN_BENCH_KINDS) continue;
        kn_bench_kind *kind = &result->kinds[at];
        if (at == result->kind_count) {
            result->kind_count++;
            snprintf(kind->label, sizeof kind->label, "%s", label);
            for (size_t j = 0; j < work_count; j++)
                if (strcmp(work[j].label, label) == 0) kind->flops = work[j].flops;
        }
        kind->launches += times[i].calls;
        kind->seconds += times[i].seconds;
    }
}

static bool make_graph(bench *b, const struct network *network, kn_error *error) {
    kn_graph_destroy(&b->graph);
    return kn_graph_create(&b->graph, b->model->gpu, 0, error) && network->record(b, error);
}

static bool measure(bench *b, const struct network *network, kn_bench_network *result, kn_error *error) {
    if (!kn_graph_create(&b->state, b->model->gpu, 4096, error) || !network->prepare(b, error) ||
        !make_graph(b, network, error) || !time_runs(b, result, error))
        return false;
    size_t count;
    const kn_work *work = kn_graph_work(b->graph, &count);
    for (size_t i = 0; i < count; i++) result->flops += work[i].flops;
    result->arena = kn_graph_peak_bytes(b->graph);
    uint64_t now;
    kn_gpu_memory_use(b->model->gpu, &now, &result->device);
    kn_gpu_profile_enable(b->model->gpu, true);
    bool ok = make_graph(b, network, error) && kn_graph_run(b->graph, error);
    kn_gpu_profile_enable(b->model->gpu, false);
    if (ok) collect_kinds(b, result);
    return ok;
}

static bool check(const kn_bench_network_params *params, const struct network **network, kn_error *error) {
    for (size_t i = 0; i < KN_COUNT(networks); i++)
        if (strcmp(networks[i].name, params->network) == 0) *network = &networks[i];
    if (!*network)
        return kn_fail(error, KN_ERROR_INPUT, "unknown network \"%s\", expected unet, vae, encode or text",
                       params->network);
    if (params->width < 8 || params->height < 8 || params->width % 8 || params->height % 8 || params->width > 8192 ||
        params->height > 8192)
        return kn_fail(error, KN_ERROR_INPUT, "%d x %d pixels: expected multiples of 8 up to 8192", params->width,
                       params->height);
    return (params->batch >= 1 && params->batch <= 64 && params->repeats >= 1 && params->repeats <= 100) ||
           kn_fail(error, KN_ERROR_INPUT, "a batch of %d, %d repeats: expected 1 to 64 and 1 to 100", params->batch,
                   params->repeats);
}

static kn_layers *layers_of(kn_model *model, const char *network) {
    return strcmp(network, "unet") == 0   ? &model->unet.layers
           : strcmp(network, "text") == 0 ? &model->text_encoder.layers
                                          : &model->autoencoder.layers;
}

/* The UNet comes after the others have come and gone: that is the model's loading. Others are measured alone. */
static bool load(bench *b, kn_gpu *gpu, kn_error *error) {
    kn_model_params params = KN_MODEL_PARAMS_DEFAULT;
    params.residency = KN_RESIDENCY_ONE;
    if (!kn_model_load(&b->model, gpu, b->params->model, &params, error)) return false;
    kn_layers *all[] = {&b->model->text_encoder.layers, &b->model->autoencoder.layers, &b->model->unet.layers},
              *own = layers_of(b->model, b->params->network);
    for (size_t i = 0; own == &b->model->unet.layers && i < KN_COUNT(all); i++) {
        if (all[i] == own) continue;
        if (!kn_layers_fetch(all[i], error)) return false;
        kn_layers_evict(all[i]);
    }
    return kn_layers_fetch(own, error);
}

bool kn_bench_run_network(kn_gpu *gpu, const kn_bench_network_params *params, kn_bench_network *result,
                          kn_error *error) {
    const struct network *network = NULL;
    *result = (kn_bench_network){0};
    if (!check(params, &network, error)) return false;
    bench b = {.params = params};
    double start = seconds(CLOCK_MONOTONIC);
    bool ok = load(&b, gpu, error);
    result->load = seconds(CLOCK_MONOTONIC) - start;
    ok = ok && measure(&b, network, result, error);
    kn_graph_destroy(&b.graph);
    kn_graph_destroy(&b.state);
    kn_model_destroy(&b.model);
    return ok;
}
