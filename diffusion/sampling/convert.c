#include "diffusion/sampling/convert.h"

#include "diffusion/sampling/component.h"
#include "diffusion/files/gguf.h"
#include "diffusion/files/quantise.h"
#include "base/tree.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 1024 }; /* elements: smaller tensors are not worth a block format */

/* Tensors to be written: `in` as they are, `out` with the same name and shape and the target's type. */
typedef struct list {
    kn_stored_tensor *in, *out;
    size_t count, in_capacity, out_capacity;
    uint8_t *floats, *packed; /* buffers of the source callback */
    size_t floats_capacity, packed_capacity;
} list;

static void list_finish(list *tensors) {
    kn_free(tensors->in);
    kn_free(tensors->out);
    kn_free(tensors->floats);
    kn_free(tensors->packed);
    *tensors = (list){0};
}

/* --- types ------------------------------------------------------------------------------------ */

/* Norms, biases and tables of embeddings lose too much for what they save. */
static bool is_worth_quantising(const kn_stored_tensor *tensor) {
    return tensor->rank >= 2 && tensor->count >= SMALLEST && !strstr(tensor->name, "embed") &&
           kn_name_ends(tensor->name, "weight");
}

static bool is_fp8(kn_dtype dtype) { return dtype == KN_DTYPE_F8_E4M3 || dtype == KN_DTYPE_F8_E5M2; }

static kn_dtype plain_of(const kn_stored_tensor *tensor) {
    return tensor->dtype >= KN_DTYPE_PLAIN_COUNT || tensor->scale != 0 ? KN_DTYPE_F16 : tensor->dtype;
}

/* `wanted` KN_DTYPE_COUNT: as it is. */
static kn_dtype target_type(const kn_stored_tensor *tensor, kn_dtype wanted, bool gguf) {
    if (!kn_dtype_is_float(tensor->dtype)) return tensor->dtype;
    if (gguf && is_fp8(tensor->dtype) && wanted == KN_DTYPE_COUNT) return KN_DTYPE_F16;
    if (wanted == KN_DTYPE_COUNT) return gguf ? tensor->dtype : plain_of(tensor);
    if (wanted < KN_DTYPE_PLAIN_COUNT) return wanted;
    size_t row = tensor->rank ? (size_t)tensor->shape[tensor->rank - 1] : 1;
    if (!is_worth_quantising(tensor))
        return is_fp8(tensor->dtype)            ? KN_DTYPE_F16
               : tensor->rank < 2               ? plain_of(tensor)
               : tensor->dtype == KN_DTYPE_BF16 ? KN_DTYPE_BF16
                                                : KN_DTYPE_F16;
    if (row % kn_dtype_block(wanted) == 0) return wanted;
    return row % kn_dtype_block(KN_DTYPE_Q8_0) == 0 ? KN_DTYPE_Q8_0
           : tensor->dtype == KN_DTYPE_BF16         ? KN_DTYPE_BF16
                                                    : KN_DTYPE_F16;
}

static bool add(list *tensors, const kn_stored_tensor *tensor, const char *name, kn_dtype wanted, bool gguf,
                kn_error *error) {
    if (!kn_grow(&tensors->in, &tensors->in_capacity, tensors->count + 1, sizeof *tensors->in, error) ||
        !kn_grow(&tensors->out, &tensors->out_capacity, tensors->count + 1, sizeof *tensors->out, error))
        return false;
    tensors->in[tensors->count] = tensors->out[tensors->count] = *tensor;
    tensors->out[tensors->count].name = name;
    tensors->out[tensors->count++].dtype = target_type(tensor, wanted, gguf);
    return true;
}

/* --- writing ---------------------------------------------------------------------------------- */

static const uint8_t *convert_tensor(void *user, size_t index, kn_error *error) {
    list *tensors = user;
    const kn_stored_tensor *in = &tensors->in[index], *out = &tensors->out[index];
    if (in->dtype == out->dtype && in->scale == 0) return in->data;
    if (!kn_grow(&tensors->floats, &tensors->floats_capacity, in->count * sizeof(float), 1, error) ||
        !kn_grow(&tensors->packed, &tensors->packed_capacity, kn_stored_tensor_bytes(out), 1, error))
        return NULL;
    float *values = (float *)(void *)tensors->floats;
    kn_stored_tensor_to_float(in, values);
    kn_floats_to(out->dtype, values, in->count, tensors->packed);
    return tensors->packed;
}

static bool write_list(list *tensors, const char *path, const char *architecture, kn_convert_facts *facts,
                       kn_error *error) {
    for (size_t i = 0; i < tensors->count; i++) facts->bytes += kn_stored_tensor_bytes(&tensors->out[i]);
    facts->tensors += tensors->count;
    if (architecture)
        return kn_gguf_write_from(path, architecture, tensors->out, tensors->count, convert_tensor, tensors, error);
    return kn_safetensors_write_from(path, tensors->out, tensors->count, convert_tensor, tensors, error);
}

/* --- a file from a file ----------------------------------------------------------------------- */

/* The name by which ComfyUI's GGUF loader knows a family; others do not mind. */
static const char *architecture_of(const char *what) {
    return strstr(what, "Diffusion 2") ? "sd2" : strstr(what, "Diffusion 1") ? "sd1" : "diffusion";
}

static void describe(const char *path, kn_convert_facts *facts) {
    kn_checkpoint *checkpoint;
    if (kn_checkpoint_open(&checkpoint, path, NULL))
        kn_checkpoint_describe(checkpoint, facts->what, sizeof facts->what);
    kn_checkpoint_close(&checkpoint);
}

static bool file_to_file(const kn_convert_job *job, kn_dtype wanted, bool gguf, kn_convert_facts *facts,
                         kn_error *error) {
    kn_archive *archive;
    list tensors = {0};
    if (!kn_archive_open(&archive, job->input, error)) return false;
    bool ok = true;
    for (size_t i = 0; ok && i < archive->count; i++) {
        const kn_stored_tensor *tensor = &archive->tensors[i];
        if (kn_name_is_left_over(tensor->name) && !kn_name_starts(tensor->name, "v_pred") &&
            !kn_name_starts(tensor->name, "ztsnr"))
            facts->dropped++;
        else ok = add(&tensors, tensor, tensor->name, wanted, gguf, error);
    }
    if (ok && tensors.count == 0) ok = kn_fail(error, KN_ERROR_INPUT, "%s: the file has no tensors", job->input);
    ok = ok && write_list(&tensors, job->output, gguf ? architecture_of(facts->what) : NULL, facts, error);
    list_finish(&tensors);
    kn_archive_close(&archive);
    return ok;
}

/* --- a folder from a file --------------------------------------------------------------------- */

static bool write_json(const char *folder, const char *name, const json_t *root, kn_error *error) {
    char *path = kn_path_join(folder, name, error), *text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
    bool ok = path && (text || kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path)) &&
              kn_file_write(path, text, strlen(text), error);
    free(text);
    kn_free(path);
    return ok;
}

static bool write_part(const kn_checkpoint *checkpoint, kn_part part, const char *folder, kn_dtype wanted,
                       kn_convert_facts *facts, kn_error *error) {
    kn_config config;
    list tensors = {0};
    if (!kn_checkpoint_config(checkpoint, part, &config, error)) return false;
    const kn_part_tensors *own = &checkpoint->parts[part];
    char *path =
        kn_path_join(folder, part == KN_PART_TEXT ? "model.safetensors" : "diffusion_pytorch_model.safetensors", error);
    bool ok = path && kn_make_directories(folder, error);
    for (size_t i = 0; ok && i < own->count; i++)
        ok = add(&tensors, &own->tensors[i], own->tensors[i].name, wanted, false, error);
    ok = ok && write_list(&tensors, path, NULL, facts, error) && write_json(folder, "config.json", config.root, error);
    kn_free(path);
    list_finish(&tensors);
    kn_config_finish(&config);
    return ok;
}

static bool write_schedule(const kn_checkpoint *checkpoint, const char *output, kn_error *error) {
    kn_config config;
    if (!kn_checkpoint_schedule(checkpoint, &config, error)) return false;
    char *folder = kn_path_join(output, "scheduler", error);
    json_t *index = json_pack("{s:s, s:[s, s], s:[s, s], s:[s, s], s:[s, s], s:[s, s]}", "_class_name",
                              "StableDiffusionPipeline", "unet", "diffusers", "UNet2DConditionModel", "vae",
                              "diffusers", "AutoencoderKL", "text_encoder", "transformers", "CLIPTextModel",
                              "tokenizer", "transformers", "CLIPTokenizer", "scheduler", "diffusers", "DDIMScheduler");
    bool ok = folder && kn_make_directories(folder, error) &&
              write_json(folder, "scheduler_config.json", config.root, error) &&
              (index || kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", output)) &&
              write_json(output, "model_index.json", index, error);
    json_decref(index);
    kn_free(folder);
    kn_config_finish(&config);
    return ok;
}

static bool write_folder(const kn_checkpoint *checkpoint, const char *output, kn_dtype wanted, kn_convert_facts *facts,
                         kn_error *error) {
    static const char *const folders[KN_PART_COUNT] = {"unet", "vae", "vae", "text_encoder", "controlnet"};
    int parts = 0;
    bool ok = true;
    for (int part = 0; part < KN_PART_COUNT; part++) parts += kn_checkpoint_has(checkpoint, (kn_part)part);
    for (int part = 0; ok && part < KN_PART_COUNT; part++) {
        if (!kn_checkpoint_has(checkpoint, (kn_part)part)) continue;
        char *folder = parts == 1 ? kn_strdup(output, error) : kn_path_join(output, folders[part], error);
        ok = folder && write_part(checkpoint, (kn_part)part, folder, wanted, facts, error);
        kn_free(folder);
    }
    return ok &&
           (parts == 1 || !kn_checkpoint_has(checkpoint, KN_PART_UNET) || write_schedule(checkpoint, output, error));
}

/* A folder that is not there yet appears only when it is complete: written to "<output>.part" and renamed. */
static bool write_new_folder(const kn_checkpoint *checkpoint, const char *output, kn_dtype wanted,
                             kn_convert_facts *facts, kn_error *error) {
    size_t length = strlen(output), existed = kn_path_existing(output);
    while (length > 1 && output[length - 1] == '/') length--;
    char *final = kn_format(error, "%.*s", (int)length, output),
         *part = final ? kn_format(error, "%s.part", final) : NULL;
    bool ok = part && kn_remove_tree(part, error) && write_folder(checkpoint, part, wanted, facts, error);
    if (ok && rename(part, final) != 0)
        ok = kn_fail(error, KN_ERROR_IO, "%s: cannot rename into place: %s", final, strerror(errno));
    if (!ok && part) {
        kn_remove_tree(part, NULL);
        kn_remove_made_directories(part, existed);
    }
    kn_free(part);
    kn_free(final);
    return ok;
}

static bool file_to_folder(const kn_convert_job *job, kn_dtype wanted, kn_convert_facts *facts, kn_error *error) {
    kn_checkpoint *checkpoint;
    if (wanted != KN_DTYPE_COUNT && wanted >= KN_DTYPE_PLAIN_COUNT)
        return kn_fail(error, KN_ERROR_INPUT,
                       "--type %s: folders hold safetensors files of f32, f16 or bf16; block formats need OUT.gguf",
                       job->type);
    if (!kn_checkpoint_open(&checkpoint, job->input, error)) return false;
    facts->dropped = checkpoint->left_over + checkpoint->unknown;
    if (checkpoint->unknown)
        kn_log_line(&job->log, KN_LOG_WARNING, "%s: %zu tensors belong to no network and are left out: %s%s",
                    job->input, checkpoint->unknown, checkpoint->unknown_names, checkpoint->unknown > 3 ? ", ..." : "");
    bool ok = kn_file_exists(job->output) ? write_folder(checkpoint, job->output, wanted, facts, error)
                                          : write_new_folder(checkpoint, job->output, wanted, facts, error);
    kn_checkpoint_close(&checkpoint);
    return ok;
}

/* --- a file from a folder --------------------------------------------------------------------- */

/* A single file has no configs: what the shapes do not imply would be lost. */
static bool check_implied(const kn_config *config, kn_error *error) {
    const char *name = json_string_value(json_object_get(config->root, "_class_name"));
    int groups = 32, heads[16] = {0}, widths[16] = {0}, head_count = 0, width_count = 0;
    bool linear = false;
    if (!kn_config_int(config, "norm_num_groups", 1, 4096, &groups, error) ||
        !kn_config_ints(config, "attention_head_dim", 1, 4096, heads, 16, &head_count, error) ||
        !kn_config_ints(config, "block_out_channels", 1, 65536, widths, 16, &width_count, error) ||
        !kn_config_bool(config, "use_linear_projection", &linear, error))
        return false;
    bool same = groups == 32 && (!name || strcmp(name, "PixelPacking") != 0);
    for (int i = 0; i < head_count && name && strcmp(name, "UNet2DConditionModel") == 0; i++)
        same = same && heads[i] == (linear ? widths[i] / 64 : 8);
    return same || kn_fail(error, KN_ERROR_UNSUPPORTED,
                           "%s: a single file cannot hold this network: its heads, groups or class do not follow from "
                           "the tensors' shapes",
                           config->path);
}

static bool add_component(list *tensors, kn_component *component, const kn_convert_job *job, const char *name,
                          kn_arena *arena, kn_dtype wanted, bool gguf, kn_error *error) {
    char *folder = kn_path_join(job->input, name, error);
    bool there = folder && kn_file_exists(folder);
    bool ok = folder && (!there || (kn_component_open_folder(component, folder, "config.json", error) &&
                                    check_implied(&component->config, error)));
    kn_free(folder);
    for (size_t i = 0; ok && there && i < kn_weights_count(component->weights); i++) {
        const kn_stored_tensor *tensor = kn_weights_at(component->weights, i);
        size_t length = strlen(name) + 1 + strlen(tensor->name) + 1;
        char *full = kn_arena_alloc(arena, length, 1, error);
        if (full) snprintf(full, length, "%s.%s", name, tensor->name);
        ok = full && add(tensors, tensor, full, wanted, gguf, error);
    }
    return ok;
}

static bool folder_to_file(const kn_convert_job *job, kn_dtype wanted, bool gguf, kn_convert_facts *facts,
                           kn_error *error) {
    static const char *const names[] = {"unet", "vae", "text_encoder", "controlnet"};
    kn_component components[KN_COUNT(names)] = {0};
    kn_arena arena = {0};
    list tensors = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < KN_COUNT(names); i++)
        ok = add_component(&tensors, &components[i], job, names[i], &arena, wanted, gguf, error);
    if (ok && tensors.count == 0)
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: has no unet/, vae/, text_encoder/ or controlnet/ with tensors",
                     job->input);
    ok = ok && write_list(&tensors, job->output, gguf ? "diffusion" : NULL, facts, error);
    for (size_t i = 0; i < KN_COUNT(names); i++) kn_component_finish(&components[i]);
    list_finish(&tensors);
    kn_arena_finish(&arena);
    return ok;
}

/* --- whole ------------------------------------------------------------------------------------ */

static bool read_type(const char *text, kn_dtype *type, kn_error *error) {
    *type = text ? kn_dtype_from_name(text) : KN_DTYPE_COUNT;
    bool known = !text || *type == KN_DTYPE_F32 || *type == KN_DTYPE_F16 || *type == KN_DTYPE_BF16 ||
                 (*type < KN_DTYPE_COUNT && kn_can_quantise(*type));
    return known ||
           kn_fail(error, KN_ERROR_INPUT, "--type %s: expected f32, f16, bf16, q8_0, q4_0, q4_k, q5_k or q6_k", text);
}

bool kn_convert_run(const kn_convert_job *job, kn_convert_facts *facts, kn_error *error) {
    kn_dtype wanted;
    bool gguf = kn_name_ends(job->output, ".gguf"), safetensors = kn_name_ends(job->output, ".safetensors"),
         folder = kn_name_ends(job->output, "/") || kn_is_folder(job->output);
    *facts = (kn_convert_facts){0};
    if (!read_type(job->type, &wanted, error)) return false;
    if (!kn_file_exists(job->input)) return kn_fail(error, KN_ERROR_INPUT, "%s: no such file or folder", job->input);
    if (!gguf && !safetensors && !folder)
        return kn_fail(error, KN_ERROR_INPUT, "%s: the output must end with .safetensors, .gguf or, for a folder, '/'",
                       job->output);
    if (safetensors && wanted != KN_DTYPE_COUNT && wanted >= KN_DTYPE_PLAIN_COUNT)
        return kn_fail(error, KN_ERROR_INPUT,
                       "--type %s: safetensors files hold f32, f16 or bf16; block formats need OUT.gguf", job->type);
    if (!kn_is_folder(job->input)) {
        describe(job->input, facts);
        return folder ? file_to_folder(job, wanted, facts, error) : file_to_file(job, wanted, gguf, facts, error);
    }
    if (folder)
        return kn_fail(error, KN_ERROR_INPUT, "%s: is a folder already; give OUT.safetensors or OUT.gguf", job->input);
    bool ok = folder_to_file(job, wanted, gguf, facts, error);
    if (ok) describe(job->output, facts);
    return ok;
}
