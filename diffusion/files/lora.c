#include "diffusion/files/lora_internal.h"

#include "diffusion/files/names.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_SIZE KN_LORA_KEY_SIZE

typedef kn_adaptation adaptation;

struct kn_lora_set {
    kn_archive *files[KN_MAX_LORAS];
    int file_count;
    adaptation *adaptations; /* sorted by key, then in the order of the files */
    size_t count, capacity;
};

/* --- names ------------------------------------------------------------------------------------ */

static void flatten(char *text) {
    for (; *text; text++) *text = *text == '.' ? '_' : *text;
}

static void remove_word(char *text, const char *word) {
    char *at = strstr(text, word);
    if (at) memmove(at, at + strlen(word), strlen(at + strlen(word)) + 1);
}

/* Cuts what follows the layer's name off and tells what the tensor is. */
static bool take_role(char *name, kn_lora_role *found) {
    static const struct {
        const char *end;
        kn_lora_role role;
    } ends[] = {{".lora_down.weight", KN_LORA_DOWN},
                {".lora_up.weight", KN_LORA_UP},
                {".lora_mid.weight", KN_LORA_MID},
                {".alpha", KN_LORA_ALPHA},
                {".diff", KN_LORA_DIFFERENCE},
                {".lora_A.weight", KN_LORA_DOWN},
                {".lora_B.weight", KN_LORA_UP},
                {".lora_A.default.weight", KN_LORA_DOWN},
                {".lora_B.default.weight", KN_LORA_UP},
                {".lora_A.default_0.weight", KN_LORA_DOWN},
                {".lora_B.default_0.weight", KN_LORA_UP},
                {".lora.down.weight", KN_LORA_DOWN},
                {".lora.up.weight", KN_LORA_UP},
                {".lora_linear_layer.down.weight", KN_LORA_DOWN},
                {".lora_linear_layer.up.weight", KN_LORA_UP},
                {"_lora.down.weight", KN_LORA_DOWN},
                {"_lora.up.weight", KN_LORA_UP},
                {".hada_w1_a", KN_LOHA_1A},
                {".hada_w1_b", KN_LOHA_1B},
                {".hada_w2_a", KN_LOHA_2A},
                {".hada_w2_b", KN_LOHA_2B},
                {".hada_t1", KN_LOHA_1T},
                {".hada_t2", KN_LOHA_2T},
                {".lokr_w1", KN_LOKR_1},
                {".lokr_w1_a", KN_LOKR_1A},
                {".lokr_w1_b", KN_LOKR_1B},
                {".lokr_w2", KN_LOKR_2},
                {".lokr_w2_a", KN_LOKR_2A},
                {".lokr_w2_b", KN_LOKR_2B},
                {".lokr_t2", KN_LOKR_2T},
                {".oft_blocks", KN_OFT_BLOCKS},
                {".oft_diag", KN_OFT_DIAGONAL},
                {".rescale", KN_OFT_RESCALE},
                {".a1.weight", KN_GLORA_A1},
                {".a2.weight", KN_GLORA_A2},
                {".b1.weight", KN_GLORA_B1},
                {".b2.weight", KN_GLORA_B2},
                {".bm.weight", KN_GLORA_BM},
                {".dora_scale", KN_LORA_MAGNITUDE},
                {".lora_magnitude_vector", KN_LORA_MAGNITUDE},
                {".lora_magnitude_vector.weight", KN_LORA_MAGNITUDE},
                {".lora_magnitude_vector.default.weight", KN_LORA_MAGNITUDE}};
    for (size_t i = 0; i < KN_COUNT(ends); i++) {
        if (!kn_name_ends(name, ends[i].end)) continue;
        name[strlen(name) - strlen(ends[i].end)] = 0;
        *found = ends[i].role;
        return true;
    }
    return false;
}

/* kohya's flat ldm names ("input_blocks_1_1_proj_in") with points where kn_name_translate wants them; false: it is no
 * such name. */
static bool unflatten_ldm(const char *flat, char out[KN_TENSOR_NAME_SIZE]) {
    static const char *const words[][2] = {{"in_layers_2", "in_layers.2."},
                                           {"emb_layers_1", "emb_layers.1."},
                                           {"out_layers_3", "out_layers.3."},
                                           {"skip_connection", "skip_connection."},
                                           {"op", "op."},
                                           {"conv", "conv."}};
    int first, second = 0, used = 0;
    if (sscanf(flat, "time_embed_%d%n", &first, &used) == 1 && flat[used] == 0)
        return snprintf(out, KN_TENSOR_NAME_SIZE, "time_embed.%d.", first) > 0;
    if (strcmp(flat, "out_2") == 0) return snprintf(out, KN_TENSOR_NAME_SIZE, "out.2.") > 0;
    bool middle = sscanf(flat, "middle_block_%d_%n", &first, &used) == 1 && used > 0, input = false, output = false;
    if (!middle) {
        used = 0;
        input = sscanf(flat, "input_blocks_%d_%d%n", &first, &second, &used) == 2 && used > 0;
        if (!input) output = sscanf(flat, "output_blocks_%d_%d%n", &first, &second, &used) == 2 && used > 0;
        used += flat[used] == '_';
    }
    if (!middle && !input && !output) return false;
    const char *rest = flat + used;
    for (size_t i = 0; i < KN_COUNT(words); i++) {
        if (strcmp(rest, words[i][0]) == 0) rest = words[i][1];
    }
    int length = middle ? snprintf(out, KN_TENSOR_NAME_SIZE, "middle_block.%d.%s", first, rest)
                        : snprintf(out, KN_TENSOR_NAME_SIZE, "%s.%d.%d.%s", input ? "input_blocks" : "output_blocks",
                                   first, second, rest);
    return length > 0 && length < KN_TENSOR_NAME_SIZE;
}

/* A layer's name in any naming -> key. */
static bool make_key(const char *name, char key[KEY_SIZE]) {
    static const struct {
        const char *start;
        int target; /* -1: the rest tells */
    } starts[] = {{"lora_unet_", KN_LORA_UNET},    {"lora_te_", KN_LORA_TEXT},    {"lora_te1_", KN_LORA_TEXT},
                  {"lycoris_unet_", KN_LORA_UNET}, {"lycoris_te_", KN_LORA_TEXT}, {"oft_unet_", KN_LORA_UNET},
                  {"oft_te_", KN_LORA_TEXT},       {"unet.", KN_LORA_UNET},       {"diffusion_model.", KN_LORA_UNET},
                  {"text_encoder.", KN_LORA_TEXT}, {"base_model.model.", -1},     {"", -1}};
    static const kn_layout layout = {.layers = 2};
    char flat[KEY_SIZE], dotted[KN_TENSOR_NAME_SIZE], translated[KN_TENSOR_NAME_SIZE];
    size_t i = 0;
    while (!kn_name_starts(name, starts[i].start)) i++;
    if (snprintf(flat, sizeof flat, "%s", name + strlen(starts[i].start)) >= (int)sizeof flat) return false;
    remove_word(flat, ".processor");
    flatten(flat);
    bool text =
        starts[i].target == KN_LORA_TEXT ||
        (starts[i].target < 0 && (kn_name_starts(flat, "text_model_") || kn_name_starts(flat, "encoder_layers_")));
    if (text) remove_word(flat, "text_model_");
    if (!text && unflatten_ldm(flat, dotted) &&
        kn_name_translate(KN_PART_UNET, KN_NAMING_LDM, &layout, dotted, translated)) {
        flatten(translated);
        size_t length = strlen(translated);
        if (length && translated[length - 1] == '_') /* "...conv1." without what follows */
            translated[length - 1] = 0;
        memcpy(flat, translated, sizeof flat);
    }
    bool bare = kn_name_ends(flat, "to_out");
    int length = snprintf(key, KEY_SIZE, "%s %s%s", text ? "text" : "unet", flat, bare ? "_0" : "");
    return length > 0 && length < KEY_SIZE;
}

/* --- opening ---------------------------------------------------------------------------------- */

/* The adaptation of this file with that key among those from `first` on. A layer's tensors follow each other in name
 * order. */
static adaptation *find_or_add(kn_lora_set *set, size_t first, const kn_archive *file, const char *key, float strength,
                               kn_error *error) {
    for (size_t i = set->count; i > first && i + 8 > set->count;) {
        i--;
        if (strcmp(set->adaptations[i].key, key) == 0) return &set->adaptations[i];
    }
    if (!kn_grow(&set->adaptations, &set->capacity, set->count + 1, sizeof *set->adaptations, error)) return NULL;
    adaptation *added = &set->adaptations[set->count++];
    *added = (adaptation){.file = file, .order = set->file_count, .strength = strength};
    memcpy(added->key, key, KEY_SIZE);
    return added;
}

static bool add_tensor(kn_lora_set *set, size_t first, const kn_archive *file, const kn_stored_tensor *tensor,
                       float strength, kn_error *error) {
    char name[KEY_SIZE], key[KEY_SIZE] = "";
    kn_lora_role found = KN_LORA_ROLES;
    bool short_enough = snprintf(name, sizeof name, "%s", tensor->name) < (int)sizeof name;
    if (!short_enough || !take_role(name, &found) || !make_key(name, key))
        return kn_archive_refuse(
            file, tensor->name,
            "it is no part of a LoRA that Kinora knows (lora_down, lora_up, lora_mid, alpha, lora_A, lora_B, diff, "
            "hada_*, lokr_*, oft_blocks, oft_diag, a1 to b2 of GLoRA, dora_scale, lora_magnitude_vector)",
            error);
    adaptation *layer = find_or_add(set, first, file, key, strength, error);
    if (!layer) return false;
    if (layer->parts[found])
        return kn_fail(error, KN_ERROR_INPUT, "%s: tensors '%.200s' and '%.200s' mean the same", file->path,
                       layer->parts[found]->name, tensor->name);
    layer->parts[found] = tensor;
    return true;
}

static int compare_adaptations(const void *a, const void *b) {
    const adaptation *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : x->order - y->order;
}

static int compare_tensor_layers(const void *a, const void *b) {
    return strcmp(((const adaptation *)a)->key, ((const adaptation *)b)->key);
}

/* A file, or a folder that PEFT or diffusers saved: its tensors, and its config when it has one. Free both. */
static bool find_file(const char *path, char **file, char **config, kn_error *error) {
    static const char *const names[] = {"adapter_model.safetensors", "pytorch_lora_weights.safetensors",
                                        "adapter_model.bin", "pytorch_lora_weights.bin"};
    struct stat status;
    *file = *config = NULL;
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) return (*file = kn_strdup(path, error)) != NULL;
    for (size_t i = 0; i < KN_COUNT(names); i++) {
        if (!(*file = kn_path_join(path, names[i], error))) return false;
        if (kn_file_exists(*file)) break;
        kn_free(*file);
        *file = NULL;
    }
    if (!*file)
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: the folder has no adapter_model.safetensors and no "
                       "pytorch_lora_weights.safetensors",
                       path);
    if (!(*config = kn_path_join(path, "adapter_config.json", error))) return false;
    if (kn_file_exists(*config)) return true;
    kn_free(*config);
    *config = NULL;
    return true;
}

static bool add_archive(kn_lora_set *set, const char *path, const char *config, float strength, kn_error *error) {
    kn_archive *file;
    if (!kn_archive_open(&file, path, error)) return false;
    set->files[set->file_count++] = file;
    size_t first = set->count;
    for (size_t i = 0; i < file->count; i++) {
        if (!add_tensor(set, first, file, &file->tensors[i], strength, error)) return false;
    }
    if (set->count == first) return kn_fail(error, KN_ERROR_INPUT, "%s: the file has no tensors", file->path);
    for (size_t i = first; i < set->count; i++) {
        if (!kn_adaptation_check(&set->adaptations[i], error)) return false;
    }
    return kn_lora_read_scales(set->adaptations + first, set->count - first, file, config, error);
}

static bool add_file(kn_lora_set *set, const kn_lora_use *use, kn_error *error) {
    char *file, *config;
    bool ok = find_file(use->path, &file, &config, error) && add_archive(set, file, config, use->strength, error);
    kn_free(file);
    kn_free(config);
    return ok;
}

/* Two namings of one layer in one file. */
static bool check_distinct(const kn_lora_set *set, kn_error *error) {
    for (size_t i = 1; i < set->count; i++) {
        const adaptation *a = &set->adaptations[i - 1], *b = &set->adaptations[i];
        if (a->file == b->file && strcmp(a->key, b->key) == 0)
            return kn_fail(error, KN_ERROR_INPUT, "%s: layer '%s' comes twice", a->file->path, a->key + 5);
    }
    return true;
}

bool kn_lora_set_create(kn_lora_set **out, const kn_lora_use *uses, int count, kn_error *error) {
    *out = NULL;
    if (count < 0 || count > KN_MAX_LORAS)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%d LoRAs, expected at most %d", count, KN_MAX_LORAS);
    kn_lora_set *set = kn_alloc(1, sizeof *set, error);
    bool ok = set != NULL;
    for (int i = 0; ok && i < count; i++) ok = add_file(set, &uses[i], error);
    if (ok && set->count) qsort(set->adaptations, set->count, sizeof *set->adaptations, compare_adaptations);
    if (!ok || !check_distinct(set, error)) {
        kn_lora_set_destroy(&set);
        return false;
    }
    *out = set;
    return true;
}

void kn_lora_set_destroy(kn_lora_set **set) {
    if (!set || !*set) return;
    for (int i = 0; i < (*set)->file_count; i++) kn_archive_close(&(*set)->files[i]);
    kn_free((*set)->adaptations);
    kn_free(*set);
    *set = NULL;
}

/* --- finding ---------------------------------------------------------------------------------- */

/* The first adaptation of a tensor; those of other files follow it. NULL: there is none. */
static adaptation *first_of(const kn_lora_set *set, kn_lora_target target, const kn_stored_tensor *tensor) {
    adaptation wanted;
    char flat[KEY_SIZE];
    if (set->count == 0 || !kn_name_ends(tensor->name, ".weight") || strlen(tensor->name) >= sizeof flat) return NULL;
    snprintf(flat, sizeof flat, "%s", tensor->name);
    flat[strlen(flat) - strlen(".weight")] = 0;
    flatten(flat);
    if (target == KN_LORA_TEXT) remove_word(flat, "text_model_");
    snprintf(wanted.key, sizeof wanted.key, "%s %.240s", target == KN_LORA_TEXT ? "text" : "unet", flat);
    adaptation *found = bsearch(&wanted, set->adaptations, set->count, sizeof *set->adaptations, compare_tensor_layers);
    while (found && found > set->adaptations && strcmp(found[-1].key, wanted.key) == 0) found--;
    return found;
}

/* The next adaptation of the same tensor, or NULL. */
static adaptation *next_of(const kn_lora_set *set, adaptation *layer) {
    adaptation *next = layer + 1;
    return next < set->adaptations + set->count && strcmp(next->key, layer->key) == 0 ? next : NULL;
}

bool kn_lora_adapts(kn_lora_set *set, kn_lora_target target, const kn_stored_tensor *tensor) {
    adaptation *first = first_of(set, target, tensor);
    for (adaptation *layer = first; layer; layer = next_of(set, layer)) layer->used = true;
    return first != NULL;
}

void kn_lora_set_strength(kn_lora_set *set, int index, float strength) {
    for (size_t i = 0; i < set->count; i++) {
        if (set->adaptations[i].file == set->files[index]) set->adaptations[i].strength = strength;
    }
}

bool kn_lora_apply(kn_lora_set *set, kn_lora_target target, const kn_stored_tensor *tensor, float *values,
                   kn_error *error) {
    for (adaptation *layer = first_of(set, target, tensor); layer; layer = next_of(set, layer)) {
        layer->used = true;
        if (!kn_adaptation_apply(layer, tensor, values, error)) return false;
    }
    return true;
}

bool kn_lora_check_used(const kn_lora_set *set, bool text, kn_error *error) {
    char names[500] = "";
    const char *path = NULL;
    size_t unused = 0;
    for (size_t i = 0; i < set->count; i++) {
        const adaptation *layer = &set->adaptations[i];
        if (layer->used || (!text && kn_name_starts(layer->key, "text "))) continue;
        size_t length = strlen(names);
        const kn_stored_tensor *part = NULL;
        for (int role = 0; !part; role++) /* every layer has one */
            part = layer->parts[role];
        if (unused++ < 3) snprintf(names + length, sizeof names - length, "%s'%.140s'", length ? ", " : "", part->name);
        path = path ? path : layer->file->path;
    }
    return unused == 0 || kn_fail(error, KN_ERROR_INPUT, "%s: %zu layers of the LoRA have no place in the model: %s%s",
                                  path, unused, names, unused > 3 ? ", ..." : "");
}
