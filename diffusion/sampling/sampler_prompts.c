/* Prompts: distinct texts are encoded once; pictures that share one attend to the same member of the context. */
#include "diffusion/sampling/sampler.h"

#include <string.h>

typedef struct prompt_list {
    const char **texts; /* distinct */
    int count;
    int *index; /* [batch]: which text each picture of the batch uses */
} prompt_list;

static int add_text(prompt_list *list, const char *text) {
    for (int i = 0; i < list->count; i++) {
        if (strcmp(list->texts[i], text) == 0) return i;
    }
    list->texts[list->count] = text;
    return list->count++;
}

static bool check_prompts(const kn_sampler *sampler, const kn_sample_input *input, kn_error *error) {
    if (!sampler->model->info.text) return true;
    if (!input->prompts || (input->prompt_count != 1 && input->prompt_count != sampler->pictures))
        return kn_fail(error, KN_ERROR_INPUT, "%d prompts: expected 1, or one for each of the %d pictures",
                       input->prompts ? input->prompt_count : 0, sampler->pictures);
    return true;
}

/* The unconditional half of a guided batch comes first. */
static void collect(const kn_sampler *sampler, const kn_sample_input *input, prompt_list *list) {
    bool text = sampler->model->info.text;
    for (int i = 0; i < sampler->batch; i++) {
        int picture = i % sampler->pictures;
        bool unconditional = sampler->halves == 2 && i < sampler->pictures;
        const char *prompt = !text           ? ""
                             : unconditional ? input->negative_prompt ? input->negative_prompt : ""
                                             : input->prompts[input->prompt_count == 1 ? 0 : picture];
        list->index[i] = add_text(list, prompt);
    }
}

/* The end token has the highest number; more of them may follow as padding. */
static int first_end(const int *ids, int count) {
    int end = 0;
    for (int i = 1; i < count; i++)
        if (ids[i] > ids[end]) end = i;
    return end;
}

/* Encodes one text into member `index` of the context; a model without text gets zeros, which the tensor holds
 * already. */
static bool encode_text(kn_sampler *sampler, const char *text, int index, kn_error *error) {
    const kn_text_encoder *encoder = &sampler->model->text_encoder;
    size_t floats = (size_t)sampler->tokens * (size_t)encoder->channels;
    kn_graph *graph = NULL;
    kn_tensor in = {0}, out = {0}, member = kn_tensor_view(&sampler->context, 1, 1, sampler->tokens);
    member.memory.offset += (size_t)index * (size_t)sampler->tokens * (size_t)sampler->context.stride * sizeof(float);
    member.memory.size /= (size_t)sampler->context.n;
    int *ids = kn_alloc((size_t)sampler->tokens, sizeof *ids, error);
    float *values = kn_alloc(floats, sizeof *values, error);
    bool ok = ids && values && kn_tokenizer_encode(sampler->model->tokenizer, text, ids, sampler->tokens, error) &&
              kn_graph_create(&graph, sampler->model->gpu, 0, error) &&
              kn_text_encoder_input(graph, &in, encoder, ids, 1, sampler->tokens, error) &&
              kn_text_encoder_forward(graph, &out, encoder, &in, error) && kn_graph_run(graph, error) &&
              kn_tensor_download(&out, values, error) && kn_tensor_upload(&member, values, error);
    size_t channels = (size_t)encoder->channels, end = ok ? (size_t)first_end(ids, sampler->tokens) : 0;
    for (size_t c = 0; ok && c < channels; c++)
        sampler->end_states[(size_t)index * channels + c] = values[c * (size_t)sampler->tokens + end];
    kn_graph_destroy(&graph);
    kn_free(values);
    kn_free(ids);
    return ok;
}

/* Makes room for `count` texts and records the step for them. */
static bool rebuild(kn_sampler *sampler, const prompt_list *list, kn_error *error) {
    kn_graph_destroy(&sampler->step);
    kn_graph_destroy(&sampler->prompts);
    sampler->context_count = 0;
    memcpy(sampler->context_index, list->index, (size_t)sampler->batch * sizeof *list->index);
    if (!kn_graph_create(&sampler->prompts, sampler->model->gpu, 4096, error) ||
        !kn_graph_tensor(sampler->prompts, &sampler->context, list->count, 1, sampler->tokens,
                         sampler->model->unet.trunk.config.context_channels, error) ||
        !kn_sampler_record_step(sampler, error))
        return false;
    sampler->context_count = list->count;
    return true;
}

void kn_sampler_forget_texts(kn_sampler *sampler) {
    for (int i = 0; i < sampler->text_count; i++) kn_free(sampler->texts[i]);
    kn_free(sampler->texts);
    kn_free(sampler->end_states);
    sampler->texts = NULL;
    sampler->end_states = NULL;
    sampler->text_count = 0;
}

static bool remember_texts(kn_sampler *sampler, const prompt_list *list, kn_error *error) {
    if (!(sampler->texts = kn_alloc((size_t)list->count, sizeof *sampler->texts, error))) return false;
    sampler->text_revision = sampler->model->revision;
    for (; sampler->text_count < list->count; sampler->text_count++)
        if (!(sampler->texts[sampler->text_count] = kn_strdup(list->texts[sampler->text_count], error))) return false;
    return true;
}

static bool holds_texts(const kn_sampler *sampler, const prompt_list *list) {
    if (sampler->text_count != list->count || sampler->text_revision != sampler->model->revision) return false;
    for (int i = 0; i < list->count; i++)
        if (strcmp(sampler->texts[i], list->texts[i]) != 0) return false;
    return true;
}

static bool set_prompts(kn_sampler *sampler, const kn_sample_input *input, prompt_list *list, kn_error *error) {
    collect(sampler, input, list);
    bool same = sampler->context_count == list->count &&
                memcmp(sampler->context_index, list->index, (size_t)sampler->batch * sizeof *list->index) == 0;
    if (same && holds_texts(sampler, list)) return true;
    kn_sampler_forget_texts(sampler);
    size_t channels = (size_t)sampler->model->unet.trunk.config.context_channels;
    if (!same && !rebuild(sampler, list, error)) return false;
    if (!(sampler->end_states = kn_alloc((size_t)list->count * channels, sizeof *sampler->end_states, error)))
        return false;
    for (int i = 0; sampler->model->info.text && i < list->count; i++) {
        if (!encode_text(sampler, list->texts[i], i, error)) return false;
    }
    return remember_texts(sampler, list, error);
}

bool kn_sampler_set_prompts(kn_sampler *sampler, const kn_sample_input *input, kn_error *error) {
    if (!check_prompts(sampler, input, error)) return false;
    prompt_list list = {.texts = kn_alloc((size_t)sampler->batch, sizeof *list.texts, error),
                        .index = kn_alloc((size_t)sampler->batch, sizeof *list.index, error)};
    bool ok = list.texts && list.index && set_prompts(sampler, input, &list, error);
    kn_free(list.texts);
    kn_free(list.index);
    return ok;
}
