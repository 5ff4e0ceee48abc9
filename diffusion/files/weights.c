#include "diffusion/files/weights.h"

#include "diffusion/files/config.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FILES 64

typedef struct entry {
    const kn_stored_tensor *tensor;
    bool used;
} entry;

struct kn_weights {
    kn_archive *files[MAX_FILES];
    int file_count;
    entry *entries; /* sorted by name */
    size_t count, capacity;
    char *first_path;
    const kn_file_map *borrowed; /* of tensors that are not in `files`; NULL: none */
    kn_lora_set *loras;
    kn_lora_target target;
    bool lazy;
};

bool kn_weights_create(kn_weights **weights, kn_error *error) {
    *weights = kn_alloc(1, sizeof **weights, error);
    return *weights != NULL;
}

void kn_weights_destroy(kn_weights **weights) {
    if (!weights || !*weights) return;
    for (int i = 0; i < (*weights)->file_count; i++) kn_archive_close(&(*weights)->files[i]);
    kn_free((*weights)->entries);
    kn_free((*weights)->first_path);
    kn_free(*weights);
    *weights = NULL;
}

static int compare_entries(const void *a, const void *b) {
    return strcmp(((const entry *)a)->tensor->name, ((const entry *)b)->tensor->name);
}

static entry *find(const kn_weights *weights, const char *name) {
    kn_stored_tensor key_tensor = {.name = name};
    entry key = {.tensor = &key_tensor};
    return weights->count ? bsearch(&key, weights->entries, weights->count, sizeof *weights->entries, compare_entries)
                          : NULL;
}

static bool add_tensors(kn_weights *weights, const kn_stored_tensor *tensors, size_t count, kn_error *error) {
    for (size_t i = 0; i < count; i++) {
        const entry *other = find(weights, tensors[i].name);
        if (other)
            return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': %s has it too", tensors[i].path,
                           tensors[i].name, other->tensor->path);
    }
    if (!kn_grow(&weights->entries, &weights->capacity, weights->count + count, sizeof *weights->entries, error))
        return false;
    for (size_t i = 0; i < count; i++) weights->entries[weights->count++] = (entry){.tensor = &tensors[i]};
    if (weights->count) qsort(weights->entries, weights->count, sizeof *weights->entries, compare_entries);
    return true;
}

bool kn_weights_add_tensors(kn_weights *weights, const kn_stored_tensor *tensors, size_t count, const char *path,
                            const kn_file_map *map, kn_error *error) {
    weights->borrowed = map;
    return (weights->first_path || (weights->first_path = kn_strdup(path, error))) &&
           add_tensors(weights, tensors, count, error);
}

bool kn_weights_add(kn_weights *weights, const char *path, kn_error *error) {
    if (weights->file_count == MAX_FILES)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: more than %d weight files", path, MAX_FILES);
    if (!weights->first_path && !(weights->first_path = kn_strdup(path, error))) return false;
    kn_archive *file;
    if (!kn_archive_open(&file, path, error)) return false;
    if (!add_tensors(weights, file->tensors, file->count, error)) {
        kn_archive_close(&file);
        return false;
    }
    weights->files[weights->file_count++] = file;
    return true;
}

/* --- folders ---------------------------------------------------------------------------------- */

/* Adds every distinct file that the index's weight_map names; names with a slash are refused. */
static bool add_sharded(kn_weights *weights, const char *folder, const char *index_path, kn_error *error) {
    kn_config index;
    if (!kn_config_init(&index, index_path, error)) return false;
    const char *added[MAX_FILES];
    int added_count = 0;
    bool ok = true;
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(index.root, "weight_map"), key, value) {
        const char *name = json_string_value(value);
        if (!name || strchr(name, '/')) {
            ok = kn_fail(error, KN_ERROR_INPUT, "%s: weight_map['%.200s'] must be a file name", index_path, key);
            break;
        }
        bool seen = false;
        for (int i = 0; i < added_count && !seen; i++) seen = strcmp(added[i], name) == 0;
        if (seen) continue;
        char *path = added_count < MAX_FILES ? kn_path_join(folder, name, error) : NULL;
        ok = path ? kn_weights_add(weights, path, error)
             : added_count < MAX_FILES
                 ? false
                 : kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: more than %d files", index_path, MAX_FILES);
        kn_free(path);
        if (!ok) break;
        added[added_count++] = name;
    }
    if (ok && added_count == 0) ok = kn_fail(error, KN_ERROR_INPUT, "%s: 'weight_map' names no file", index_path);
    kn_config_finish(&index);
    return ok;
}

/* *found stays false when no such file exists. */
static bool add_stem(kn_weights *weights, const char *folder, const char *stem, bool *found, kn_error *error) {
    char *path = kn_format(error, "%s/%s", folder, stem), *index = kn_format(error, "%s/%s.index.json", folder, stem);
    bool ok = path && index;
    if (ok && kn_file_exists(path)) {
        *found = true;
        ok = kn_weights_add(weights, path, error);
    } else if (ok && kn_file_exists(index)) {
        *found = true;
        ok = add_sharded(weights, folder, index, error);
    }
    kn_free(path);
    kn_free(index);
    return ok;
}

bool kn_weights_add_folder(kn_weights *weights, const char *folder, kn_error *error) {
    static const char *stems[] = {"diffusion_pytorch_model.safetensors",
                                  "model.safetensors",
                                  "diffusion_pytorch_model.fp16.safetensors",
                                  "model.fp16.safetensors",
                                  "diffusion_pytorch_model.bin",
                                  "pytorch_model.bin",
                                  "diffusion_pytorch_model.gguf",
                                  "model.gguf"};
    for (size_t i = 0; i < KN_COUNT(stems); i++) {
        bool found = false;
        if (!add_stem(weights, folder, stems[i], &found, error)) return false;
        if (found) return true;
    }
    return kn_fail(error, KN_ERROR_IO, "%s: neither diffusion_pytorch_model.safetensors nor model.safetensors is there",
                   folder);
}

/* --- lookup ----------------------------------------------------------------------------------- */

bool kn_weights_has(const kn_weights *weights, const char *name) { return find(weights, name) != NULL; }

const kn_stored_tensor *kn_weights_peek(const kn_weights *weights, const char *name) {
    const entry *found = find(weights, name);
    return found ? found->tensor : NULL;
}

static bool same_shape(const kn_stored_tensor *tensor, int rank, const int64_t *shape) {
    for (int i = 0; i < tensor->rank || i < rank; i++) {
        if ((i < tensor->rank ? tensor->shape[i] : 1) != (i < rank ? shape[i] : 1)) return false;
    }
    return true;
}

const kn_stored_tensor *kn_weights_take(kn_weights *weights, const char *name, int rank, const int64_t *shape,
                                        kn_error *error) {
    kn_stored_tensor wanted = {.rank = rank};
    for (int i = 0; i < rank; i++) wanted.shape[i] = shape[i];
    char expected[128], actual[128];
    kn_stored_tensor_shape(&wanted, expected, sizeof expected);
    entry *found = find(weights, name);
    if (!found) {
        kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s' of shape %s is missing",
                weights->first_path ? weights->first_path : "weights", name, expected);
        return NULL;
    }
    if (!same_shape(found->tensor, rank, shape)) {
        kn_stored_tensor_shape(found->tensor, actual, sizeof actual);
        kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s' has shape %s, but the config asks for %s",
                found->tensor->path, name, actual, expected);
        return NULL;
    }
    if (!kn_dtype_is_float(found->tensor->dtype)) {
        kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s' holds %s, expected floating-point weights",
                found->tensor->path, name, kn_dtype_name(found->tensor->dtype));
        return NULL;
    }
    found->used = true;
    return found->tensor;
}

size_t kn_weights_count(const kn_weights *weights) { return weights->count; }

const kn_stored_tensor *kn_weights_at(const kn_weights *weights, size_t index) {
    return weights->entries[index].tensor;
}

void kn_weights_set_loras(kn_weights *weights, kn_lora_set *set, kn_lora_target target) {
    weights->loras = set;
    weights->target = target;
}

void kn_weights_set_lazy(kn_weights *weights, bool lazy) { weights->lazy = lazy; }
bool kn_weights_is_lazy(const kn_weights *weights) { return weights->lazy; }

bool kn_weights_is_adapted(const kn_weights *weights, const kn_stored_tensor *tensor) {
    return weights->loras && kn_lora_adapts(weights->loras, weights->target, tensor);
}

bool kn_weights_read(const kn_weights *weights, const kn_stored_tensor *tensor, float *out, kn_error *error) {
    kn_stored_tensor_to_float(tensor, out);
    return !weights->loras || kn_lora_apply(weights->loras, weights->target, tensor, out, error);
}

const void *kn_weights_raw_half(const kn_weights *weights, const kn_stored_tensor *tensor) {
    return tensor->dtype != KN_DTYPE_F16 || kn_weights_is_adapted(weights, tensor) ? NULL : tensor->data;
}

void kn_weights_drop(const kn_weights *weights, const kn_stored_tensor *tensor) {
    size_t bytes = kn_stored_tensor_bytes(tensor);
    if (weights->borrowed) kn_file_map_drop(weights->borrowed, tensor->data, bytes);
    for (int i = 0; i < weights->file_count; i++) kn_file_map_drop(&weights->files[i]->map, tensor->data, bytes);
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

bool kn_weights_check_used(const kn_weights *weights, kn_error *error) {
    char names[600] = "";
    const char *path = NULL;
    size_t unused = 0, length = 0;
    for (size_t i = 0; i < weights->count; i++) {
        const kn_stored_tensor *tensor = weights->entries[i].tensor;
        if (weights->entries[i].used || ends_with(tensor->name, "position_ids") ||
            ends_with(tensor->name, "text_projection.weight"))
            continue;
        if (unused++ == 0) path = tensor->path;
        if (unused <= 3 && length < sizeof names)
            length += (size_t)snprintf(names + length, sizeof names - length, "%s'%.120s'", unused > 1 ? ", " : "",
                                       tensor->name);
    }
    if (unused == 0) return true;
    return kn_fail(error, KN_ERROR_INPUT, "%s: %zu tensors have no place in the configured network: %s%s", path, unused,
                   names, unused > 3 ? ", ..." : "");
}
