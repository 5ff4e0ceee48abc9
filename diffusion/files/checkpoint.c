#include "diffusion/files/checkpoint.h"

#include <stdlib.h>
#include <string.h>

/* Names that begin so belong to this network. */
static const struct {
    const char *prefix;
    kn_part part;
    kn_naming naming;
} prefixes[] = {{"model.diffusion_model.", KN_PART_UNET, KN_NAMING_LDM},
                {"first_stage_model.", KN_PART_AUTOENCODER, KN_NAMING_LDM},
                {"cond_stage_model.transformer.", KN_PART_TEXT, KN_NAMING_DIFFUSERS},
                {"cond_stage_model.model.", KN_PART_TEXT, KN_NAMING_OPENCLIP},
                {"control_model.", KN_PART_CONTROLNET, KN_NAMING_LDM},
                {"unet.", KN_PART_UNET, KN_NAMING_DIFFUSERS},
                {"vae.", KN_PART_AUTOENCODER, KN_NAMING_DIFFUSERS},
                {"text_encoder.", KN_PART_TEXT, KN_NAMING_DIFFUSERS},
                {"controlnet.", KN_PART_CONTROLNET, KN_NAMING_DIFFUSERS},
                {"conditioner.embedders.0.model.", KN_PART_TEXT, KN_NAMING_OPENCLIP}, /* SD-Turbo */
                {"conditioner.embedders.0.transformer.", KN_PART_TEXT, KN_NAMING_DIFFUSERS},
                {"taesd_encoder.", KN_PART_TINY, KN_NAMING_TAESD_ENCODER},
                {"taesd_decoder.", KN_PART_TINY, KN_NAMING_TAESD_DECODER}};

/* A file of one network without a prefix is told by a tensor that only it has. More particular ones come first. */
static const struct {
    const char *tensor;
    kn_part part;
    kn_naming naming;
} probes[] = {{"input_hint_block.0.weight", KN_PART_CONTROLNET, KN_NAMING_LDM},
              {"controlnet_cond_embedding.conv_in.weight", KN_PART_CONTROLNET, KN_NAMING_DIFFUSERS},
              {"input_blocks.0.0.weight", KN_PART_UNET, KN_NAMING_LDM},
              {"time_embedding.linear_1.weight", KN_PART_UNET, KN_NAMING_DIFFUSERS},
              {"decoder.mid.block_1.conv1.weight", KN_PART_AUTOENCODER, KN_NAMING_LDM},
              {"decoder.mid_block.resnets.0.conv1.weight", KN_PART_AUTOENCODER, KN_NAMING_DIFFUSERS},
              {"decoder.layers.0.weight", KN_PART_TINY, KN_NAMING_DIFFUSERS},
              {"1.conv.0.weight", KN_PART_TINY, KN_NAMING_TAESD_ENCODER},
              {"3.conv.0.weight", KN_PART_TINY, KN_NAMING_TAESD_DECODER},
              {"text_model.embeddings.token_embedding.weight", KN_PART_TEXT, KN_NAMING_DIFFUSERS},
              {"embeddings.token_embedding.weight", KN_PART_TEXT, KN_NAMING_DIFFUSERS},
              {"transformer.resblocks.0.ln_1.weight", KN_PART_TEXT, KN_NAMING_OPENCLIP}};

bool kn_name_is_left_over(const char *name) {
    static const char *const starts[] = {"model_ema.",
                                         "betas",
                                         "alphas_",
                                         "sqrt_",
                                         "log_one_minus_",
                                         "posterior_",
                                         "lvlb_weights",
                                         "logvar",
                                         "scale_factor",
                                         "global_step",
                                         "loss.",
                                         "first_stage_model.loss.",
                                         "first_stage_model.model_ema.",
                                         "model.diffusion_model.model_ema.",
                                         "denoiser.",
                                         "embedding_manager.",
                                         "visual.",
                                         "vision_model.",
                                         "visual_projection.",
                                         "cond_stage_model.model.visual.",
                                         "v_pred",
                                         "ztsnr",
                                         "edm_",
                                         "depth_model.",
                                         "iteration",
                                         "optimizer"};
    static const char *const ends[] = {"position_ids", "text_projection", "text_projection.weight",
                                       "logit_scale",  "attn_mask",       "num_batches_tracked"};
    for (size_t i = 0; i < KN_COUNT(starts); i++) {
        if (kn_name_starts(name, starts[i])) return true;
    }
    for (size_t i = 0; i < KN_COUNT(ends); i++) {
        if (kn_name_ends(name, ends[i])) return true;
    }
    return false;
}

/* --- layout ----------------------------------------------------------------------------------- */

/* The first input block that is a downsampling convolution comes after `layers` others and conv_in. */
static int count_layers(const kn_archive *archive, const char *prefix) {
    char name[KN_TENSOR_NAME_SIZE];
    int last = 0;
    for (int i = 1; i < 64; i++) {
        snprintf(name, sizeof name, "%sinput_blocks.%d.0.op.weight", prefix, i);
        if (kn_archive_find(archive, name)) return i - 1;
        snprintf(name, sizeof name, "%sinput_blocks.%d.0.in_layers.2.weight", prefix, i);
        last = kn_archive_find(archive, name) ? i : last;
    }
    return last;
}

static int count_levels(const kn_archive *archive, const char *prefix) {
    char name[KN_TENSOR_NAME_SIZE];
    for (int i = 0;; i++) {
        snprintf(name, sizeof name, "%sdecoder.up.%d.block.0.conv1.weight", prefix, i);
        if (!kn_archive_find(archive, name)) return i;
    }
}

static kn_layout find_layout(const kn_archive *archive, kn_part part, kn_naming naming, const char *prefix) {
    kn_layout layout = {0};
    char name[KN_TENSOR_NAME_SIZE];
    if (naming != KN_NAMING_LDM) return layout;
    layout.layers = count_layers(archive, prefix);
    layout.levels = part == KN_PART_AUTOENCODER ? count_levels(archive, prefix) : 0;
    for (int i = 0; part == KN_PART_CONTROLNET && i < 64; i += 2) {
        snprintf(name, sizeof name, "%sinput_hint_block.%d.weight", prefix, i);
        layout.last_hint = kn_archive_find(archive, name) ? i : layout.last_hint;
    }
    return layout;
}

/* --- sorting tensors into networks ------------------------------------------------------------ */

static bool add_view(kn_checkpoint *checkpoint, kn_part part, const kn_stored_tensor *tensor, const char *name,
                     kn_error *error) {
    kn_part_tensors *list = &checkpoint->parts[part];
    if (!kn_grow(&list->tensors, &list->capacity, list->count + 1, sizeof *list->tensors, error)) return false;
    char *copy = kn_arena_strdup(&checkpoint->arena, name, error);
    if (!copy) return false;
    list->tensors[list->count] = *tensor;
    list->tensors[list->count].name = copy;
    list->count++;
    return true;
}

/* Rows of q, k and v lie behind each other in the fused matrix. */
static bool add_fused(kn_checkpoint *checkpoint, const kn_stored_tensor *tensor, const char *name, kn_error *error) {
    static const char *const members[] = {"q_proj", "k_proj", "v_proj"};
    const char *at = strstr(name, "in_proj");
    char own[KN_TENSOR_NAME_SIZE + 8];
    if (tensor->rank < 1 || tensor->shape[0] % 3 != 0 || tensor->count % (3 * kn_dtype_block(tensor->dtype)) != 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s' must have three times as many rows as channels",
                       tensor->path, tensor->name);
    kn_stored_tensor view = *tensor;
    view.shape[0] /= 3;
    view.count /= 3;
    for (int i = 0; i < 3; i++) {
        snprintf(own, sizeof own, "%.*s%s.%s", (int)(at - name), name, members[i],
                 kn_name_ends(name, "bias") ? "bias" : "weight");
        view.data = tensor->data + (size_t)i * kn_stored_tensor_bytes(&view);
        if (!add_view(checkpoint, KN_PART_TEXT, &view, own, error)) return false;
    }
    return true;
}

static void note_unknown(kn_checkpoint *checkpoint, const char *name) {
    size_t used = strlen(checkpoint->unknown_names);
    if (checkpoint->unknown++ < 3)
        snprintf(checkpoint->unknown_names + used, sizeof checkpoint->unknown_names - used, "%s'%.110s'",
                 used ? ", " : "", name);
}

typedef struct source {
    const kn_archive *archive;
    const char *prefix;
    kn_part part;
    kn_naming naming;
    kn_layout layout;
} source;

static bool add_from(kn_checkpoint *checkpoint, const source *from, const kn_stored_tensor *tensor, kn_error *error) {
    char name[KN_TENSOR_NAME_SIZE];
    if (!kn_name_translate(from->part, from->naming, &from->layout, tensor->name + strlen(from->prefix), name)) {
        note_unknown(checkpoint, tensor->name);
        return true;
    }
    kn_part_tensors *list = &checkpoint->parts[from->part];
    list->naming = from->naming;
    /* diffusers-named members occur under ldm prefixes too; sd.cpp renames OpenCLIP's */
    if (from->part == KN_PART_TEXT && strstr(name, ".self_attn.in_proj"))
        return add_fused(checkpoint, tensor, name, error);
    return add_view(checkpoint, from->part, tensor, name, error);
}

static const source *find_source(const source *sources, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (kn_name_starts(name, sources[i].prefix)) return &sources[i];
    }
    return NULL;
}

/* The networks of an archive: one source per known prefix, and one without a prefix when a probe finds it. */
/* Names behind diffusers' prefixes may be ldm's all the same. */
static kn_naming naming_of(const kn_archive *archive, const char *prefix, kn_part part, kn_naming naming) {
    static const char *const ldm[] = {"input_blocks.0.0.weight", "input_hint_block.0.weight",
                                      "decoder.mid.block_1.conv1.weight"};
    char name[KN_TENSOR_NAME_SIZE];
    for (size_t i = 0; naming == KN_NAMING_DIFFUSERS && part != KN_PART_TEXT && i < KN_COUNT(ldm); i++) {
        snprintf(name, sizeof name, "%s%s", prefix, ldm[i]);
        if (kn_archive_find(archive, name)) return KN_NAMING_LDM;
    }
    return naming;
}

static size_t find_sources(const kn_archive *archive, source sources[KN_COUNT(prefixes) + 1]) {
    size_t count = 0;
    for (size_t i = 0; i < KN_COUNT(prefixes); i++) {
        const char *prefix = prefixes[i].prefix;
        kn_naming naming = naming_of(archive, prefix, prefixes[i].part, prefixes[i].naming);
        sources[count++] =
            (source){archive, prefix, prefixes[i].part, naming, find_layout(archive, prefixes[i].part, naming, prefix)};
    }
    for (size_t i = 0; i < KN_COUNT(probes); i++) {
        const kn_stored_tensor *found = kn_archive_find(archive, probes[i].tensor);
        if (!found || (probes[i].part == KN_PART_TINY && found->rank != 4)) continue;
        sources[count++] = (source){archive, "", probes[i].part, probes[i].naming,
                                    find_layout(archive, probes[i].part, probes[i].naming, "")};
        break;
    }
    return count;
}

static bool sort_archive(kn_checkpoint *checkpoint, const kn_archive *archive, kn_error *error) {
    source sources[KN_COUNT(prefixes) + 1];
    size_t count = find_sources(archive, sources);
    for (size_t i = 0; i < archive->count; i++) {
        const kn_stored_tensor *tensor = &archive->tensors[i];
        if (kn_name_is_left_over(tensor->name)) {
            checkpoint->left_over++;
            continue;
        }
        const source *from = find_source(sources, count, tensor->name);
        if (!from) note_unknown(checkpoint, tensor->name);
        else if (!add_from(checkpoint, from, tensor, error)) return false;
    }
    const char *prediction = kn_archive_metadata(archive, "modelspec.prediction_type");
    if (kn_archive_find(archive, "v_pred") || (prediction && prediction[0] == 'v'))
        checkpoint->prediction = KN_PREDICT_V;
    else if (prediction && strcmp(prediction, "epsilon") == 0) checkpoint->prediction = KN_PREDICT_EPSILON;
    checkpoint->zero_terminal_snr |= kn_archive_find(archive, "ztsnr") != NULL;
    return true;
}

/* --- text encoder of SD2.x -------------------------------------------------------------------- */

static int text_layers(const kn_checkpoint *checkpoint) {
    char name[KN_TENSOR_NAME_SIZE];
    for (int i = 0;; i++) {
        snprintf(name, sizeof name, "text_model.encoder.layers.%d.layer_norm1.weight", i);
        if (!kn_checkpoint_find(checkpoint, KN_PART_TEXT, name)) return i;
    }
}

/* SD2.x reads the hidden state before OpenCLIP's last layer: the layer goes. diffusers' own files have it cut off
 * already. */
static void drop_last_layer(kn_checkpoint *checkpoint) {
    kn_part_tensors *list = &checkpoint->parts[KN_PART_TEXT];
    int layers = text_layers(checkpoint);
    const kn_stored_tensor *norm = kn_checkpoint_find(checkpoint, KN_PART_TEXT, "text_model.final_layer_norm.weight");
    bool openclip = list->naming == KN_NAMING_OPENCLIP || (norm && norm->count == 1024 && layers == 24);
    char prefix[64];
    if (layers < 2 || !openclip) return;
    snprintf(prefix, sizeof prefix, "text_model.encoder.layers.%d.", layers - 1);
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (kn_name_starts(list->tensors[i].name, prefix)) checkpoint->left_over++;
        else list->tensors[kept++] = list->tensors[i];
    }
    list->count = kept;
    list->naming = KN_NAMING_OPENCLIP;
}

/* --- whole ------------------------------------------------------------------------------------ */

static int compare_name(const void *a, const void *b) {
    return strcmp(((const kn_stored_tensor *)a)->name, ((const kn_stored_tensor *)b)->name);
}

/* A network that is there under two namings (or twice) is refused. */
static bool sort_parts(kn_checkpoint *checkpoint, kn_error *error) {
    for (int part = 0; part < KN_PART_COUNT; part++) {
        kn_part_tensors *list = &checkpoint->parts[part];
        if (list->count) qsort(list->tensors, list->count, sizeof *list->tensors, compare_name);
        for (size_t i = 1; i < list->count; i++) {
            if (strcmp(list->tensors[i - 1].name, list->tensors[i].name) == 0)
                return kn_fail(error, KN_ERROR_INPUT, "%s: two tensors mean '%.200s'", checkpoint->path,
                               list->tensors[i].name);
        }
    }
    return true;
}

/* taesd_decoder.pth has its encoder in a file beside it, and the other way round. A decoder does without. */
static bool open_other_half(kn_checkpoint *checkpoint, kn_error *error) {
    bool encoder = kn_checkpoint_find(checkpoint, KN_PART_TINY, "encoder.layers.0.weight") != NULL,
         decoder = kn_checkpoint_find(checkpoint, KN_PART_TINY, "decoder.layers.0.weight") != NULL;
    if (encoder == decoder) return true;
    const char *own = encoder ? "encoder" : "decoder", *other = encoder ? "decoder" : "encoder",
               *slash = strrchr(checkpoint->path, '/'), *at = NULL;
    for (const char *p = slash ? slash : checkpoint->path; (p = strstr(p, own)); p++) at = p;
    char *path =
        at ? kn_format(error, "%.*s%s%s", (int)(at - checkpoint->path), checkpoint->path, other, at + strlen(own))
           : NULL;
    bool ok = !at || path;
    if (path && kn_file_exists(path))
        ok = kn_archive_open(&checkpoint->archives[1], path, error) &&
             sort_archive(checkpoint, checkpoint->archives[1], error) && sort_parts(checkpoint, error);
    else if (ok && encoder)
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: a TAESD without its decoder; '%s' is not there", checkpoint->path,
                     path ? path : other);
    kn_free(path);
    return ok;
}

static bool read_file(kn_checkpoint *checkpoint, kn_error *error) {
    if (!kn_archive_open(&checkpoint->archives[0], checkpoint->path, error)) return false;
    const char *foreign = kn_foreign_family(checkpoint->archives[0]);
    if (foreign)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: %s; Kinora runs Stable Diffusion 1.x and 2.x",
                       checkpoint->path, foreign);
    if (!sort_archive(checkpoint, checkpoint->archives[0], error) || !sort_parts(checkpoint, error) ||
        !open_other_half(checkpoint, error))
        return false;
    size_t known = 0;
    for (int part = 0; part < KN_PART_COUNT; part++) known += checkpoint->parts[part].count;
    if (known == 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: none of its %zu tensors belongs to a network that Kinora knows%s%s",
                       checkpoint->path, checkpoint->archives[0]->count, checkpoint->unknown ? ": " : "",
                       checkpoint->unknown_names);
    drop_last_layer(checkpoint);
    return true;
}

bool kn_checkpoint_open(kn_checkpoint **out, const char *path, kn_error *error) {
    *out = NULL;
    kn_checkpoint *checkpoint = kn_alloc(1, sizeof *checkpoint, error);
    if (!checkpoint) return false;
    checkpoint->path = kn_strdup(path, error);
    if (!checkpoint->path || !read_file(checkpoint, error)) {
        kn_checkpoint_close(&checkpoint);
        return false;
    }
    *out = checkpoint;
    return true;
}

void kn_checkpoint_close(kn_checkpoint **out) {
    if (!out || !*out) return;
    kn_checkpoint *checkpoint = *out;
    for (int part = 0; part < KN_PART_COUNT; part++) kn_free(checkpoint->parts[part].tensors);
    kn_archive_close(&checkpoint->archives[0]);
    kn_archive_close(&checkpoint->archives[1]);
    kn_arena_finish(&checkpoint->arena);
    kn_free(checkpoint->path);
    kn_free(checkpoint);
    *out = NULL;
}

bool kn_checkpoint_has(const kn_checkpoint *checkpoint, kn_part part) { return checkpoint->parts[part].count > 0; }

const kn_stored_tensor *kn_checkpoint_find(const kn_checkpoint *checkpoint, kn_part part, const char *name) {
    const kn_part_tensors *list = &checkpoint->parts[part];
    kn_stored_tensor key = {.name = name};
    return list->count ? bsearch(&key, list->tensors, list->count, sizeof *list->tensors, compare_name) : NULL;
}

bool kn_checkpoint_weights(const kn_checkpoint *checkpoint, kn_part part, kn_weights *weights, kn_error *error) {
    return kn_weights_add_tensors(weights, checkpoint->parts[part].tensors, checkpoint->parts[part].count,
                                  checkpoint->path, &checkpoint->archives[0]->map, error);
}
