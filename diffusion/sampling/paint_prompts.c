/* From prompts to the context that the UNet's cross-attention reads. */
#include "diffusion/sampling/paint.h"
#include "diffusion/text/prompt.h"

#include <string.h>

enum { MAX_CHUNKS = 64 };

/* Embeddings [chunks][tokens][channels] of the token ids [chunks][tokens]. */
static bool encode(const kn_model *model, const int *ids, int chunks, int tokens, float *out, kn_error *error) {
    const kn_text_encoder *encoder = &model->text_encoder;
    size_t channels = (size_t)encoder->channels, length = (size_t)tokens;
    kn_graph *graph = NULL;
    kn_tensor in = {0}, result = {0};
    float *planar = kn_alloc((size_t)chunks * length * channels, sizeof *planar, error);
    bool ok = planar && kn_graph_create(&graph, model->gpu, 0, error) &&
              kn_text_encoder_input(graph, &in, encoder, ids, chunks, tokens, error) &&
              kn_text_encoder_forward(graph, &result, encoder, &in, error) && kn_graph_run(graph, error) &&
              kn_tensor_download(&result, planar, error);
    for (size_t i = 0; ok && i < (size_t)chunks * length * channels; i++) {
        size_t chunk = i / (length * channels), token = i / channels % length, channel = i % channels;
        out[i] = planar[(chunk * channels + channel) * length + token];
    }
    kn_graph_destroy(&graph);
    kn_free(planar);
    return ok;
}

/* Multiplies tokens by their weights and gives the chunk its mean back (A1111's "original" emphasis). */
static void emphasise_a1111(float *chunk, const float *weights, size_t tokens, size_t channels) {
    double before = 0, after = 0;
    for (size_t i = 0; i < tokens * channels; i++) {
        before += (double)chunk[i];
        chunk[i] *= weights[i / channels];
        after += (double)chunk[i];
    }
    for (size_t i = 0; after != 0 && i < tokens * channels; i++)
        chunk[i] = (float)((double)chunk[i] * (before / after));
}

static void emphasise_comfy(float *chunk, const float *empty, const float *weights, size_t tokens, size_t channels) {
    for (size_t i = 0; i < tokens * channels; i++) chunk[i] = (chunk[i] - empty[i]) * weights[i / channels] + empty[i];
}

/* Embeddings [chunks][tokens][channels] of a prompt, weighted; freed with kn_free. */
static bool embed(const kn_model *model, const kn_prompt *prompt, kn_emphasis emphasis, float **out, kn_error *error) {
    size_t tokens = (size_t)prompt->tokens, channels = (size_t)model->text_encoder.channels, floats = tokens * channels;
    kn_prompt nothing = {0};
    float *empty = NULL, *values = *out = kn_alloc((size_t)prompt->chunks * floats, sizeof *values, error);
    bool comfy = prompt->weighted && emphasis == KN_EMPHASIS_COMFY;
    bool ok = values && encode(model, prompt->ids, prompt->chunks, prompt->tokens, values, error);
    if (ok && comfy)
        ok = (empty = kn_alloc(floats, sizeof *empty, error)) &&
             kn_prompt_init(&nothing, model->tokenizer, "", false, prompt->tokens, error) &&
             encode(model, nothing.ids, 1, prompt->tokens, empty, error);
    for (int i = 0; ok && prompt->weighted && i < prompt->chunks; i++) {
        float *chunk = values + (size_t)i * floats;
        const float *weights = prompt->weights + (size_t)i * tokens;
        if (comfy) emphasise_comfy(chunk, empty, weights, tokens, channels);
        else emphasise_a1111(chunk, weights, tokens, channels);
    }
    kn_prompt_finish(&nothing);
    kn_free(empty);
    return ok;
}

static int common_multiple(int a, int b) {
    int x = a, y = b;
    while (y) {
        int rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

/* Fills one half of the context, planar, repeating the prompt as often as it takes. */
static void place(float *context, const float *values, int chunks, int all, size_t tokens, size_t channels) {
    size_t total = (size_t)all * tokens, own = (size_t)chunks * tokens;
    for (size_t t = 0; t < total; t++)
        for (size_t c = 0; c < channels; c++) context[c * total + t] = values[t % own * channels + c];
}

static bool set_skip(kn_model *model, const kn_paint_params *params, kn_error *error) {
    kn_text_encoder *encoder = &model->text_encoder;
    if (params->clip_skip < 1 || params->clip_skip > encoder->layer_count)
        return kn_fail(error, KN_ERROR_INPUT, "clip skip %d: expected 1 to %d, the layers of the text encoder",
                       params->clip_skip, encoder->layer_count);
    encoder->skip = params->clip_skip - 1;
    return true;
}

static int chunk_length(const kn_model *model) { return (int)kn_min_size(77, (size_t)model->text_encoder.max_tokens); }

/* Tokenises the prompts of both halves; *all is the number of chunks that the context has. Finish the prompts also
 * after failure. */
static bool read_prompts(const kn_model *model, const kn_paint_params *params, int halves, kn_prompt prompts[2],
                         int *all, kn_error *error) {
    const char *texts[2] = {halves == 2 ? params->negative : params->prompt, params->prompt};
    int length = chunk_length(model);
    *all = 1;
    if (length < 3)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: a text encoder of %d positions", model->info.folder, length);
    for (int i = 0; i < halves; i++) {
        if (!kn_prompt_init(&prompts[i], model->tokenizer, texts[i] ? texts[i] : "",
                            params->emphasis != KN_EMPHASIS_NONE, length, error))
            return false;
        *all = common_multiple(*all, prompts[i].chunks);
    }
    return *all <= MAX_CHUNKS ||
           kn_fail(error, KN_ERROR_UNSUPPORTED,
                   "a prompt of %d and a negative prompt of %d chunks take %d together; at most %d",
                   prompts[halves - 1].chunks, prompts[0].chunks, *all, MAX_CHUNKS);
}

bool kn_paint_prompt_tokens(kn_model *model, const kn_paint_params *params, int halves, int *tokens, kn_error *error) {
    kn_prompt prompts[2] = {{0}, {0}};
    int all = 1;
    *tokens = 1;
    if (!model->info.text) return true;
    bool ok = read_prompts(model, params, halves, prompts, &all, error);
    *tokens = all * chunk_length(model);
    kn_prompt_finish(&prompts[0]);
    kn_prompt_finish(&prompts[1]);
    return ok;
}

bool kn_paint_prompts(kn_model *model, const kn_paint_params *params, int halves, float **context, int *tokens,
                      kn_error *error) {
    size_t channels = (size_t)model->unet.trunk.config.context_channels;
    *context = NULL;
    *tokens = 1;
    if (!model->info.text) {
        if ((params->prompt && *params->prompt) || (params->negative && *params->negative))
            return kn_fail(error, KN_ERROR_INPUT, "%s: this model takes no prompt", model->info.folder);
        return (*context = kn_alloc((size_t)halves * channels, sizeof **context, error)) != NULL;
    }
    if (!set_skip(model, params, error)) return false;
    int length = chunk_length(model), all = 1;
    kn_prompt prompts[2] = {{0}, {0}};
    float *values[2] = {NULL, NULL};
    bool ok = read_prompts(model, params, halves, prompts, &all, error);
    ok = ok && (*context = kn_alloc((size_t)halves * (size_t)all * (size_t)length * channels, sizeof **context, error));
    for (int i = 0; ok && i < halves; i++) {
        ok = embed(model, &prompts[i], params->emphasis, &values[i], error);
        if (ok)
            place(*context + (size_t)i * (size_t)all * (size_t)length * channels, values[i], prompts[i].chunks, all,
                  (size_t)length, channels);
    }
    for (int i = 0; i < 2; i++) {
        kn_prompt_finish(&prompts[i]);
        kn_free(values[i]);
    }
    model->text_encoder.skip = 0;
    kn_model_leave(model, &model->text_encoder.layers);
    *tokens = all * length;
    return ok;
}
