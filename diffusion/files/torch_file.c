/* PyTorch's zip archives (torch.save since 1.6): data.pkl describes a dictionary of tensors, whose bytes are the
 * members data/<key>. */
#include "diffusion/files/pickle.h"
#include "diffusion/files/unzip.h"

#include <string.h>

enum { MAX_PICKLE = 64 << 20, MAX_NAME = 1024 };

typedef struct reader {
    kn_archive *archive;
    kn_unzip zip;
    kn_pickle pickle;
    const kn_unzip_entry *pickle_entry;
    kn_error *error;
} reader;

/* The bytes of a storage: the member "<folder of data.pkl>/data/<key>", unpacked at most once. */
static const uint8_t *storage_bytes(reader *r, const kn_pickle_value *storage, size_t *size) {
    size_t folder = r->pickle_entry->name_length - strlen("data.pkl");
    for (size_t i = 0; i < r->zip.count; i++) {
        kn_unzip_entry *entry = &r->zip.entries[i];
        if (entry->name_length != folder + 5 + storage->storage.key_length ||
            memcmp(entry->name, r->pickle_entry->name, folder) != 0 || memcmp(entry->name + folder, "data/", 5) != 0 ||
            memcmp(entry->name + folder + 5, storage->storage.key, storage->storage.key_length) != 0)
            continue;
        const uint8_t *bytes = kn_unzip_bytes(&r->zip, entry, &r->archive->arena, r->archive->path, r->error);
        if (!bytes) return NULL;
        entry->data = bytes;
        entry->deflated = false;
        *size = entry->size;
        return bytes;
    }
    kn_fail(r->error, KN_ERROR_INPUT, "%s: the archive has no member data/%.*s", r->archive->path,
            (int)kn_min_size(storage->storage.key_length, 60), storage->storage.key);
    return NULL;
}

/* Whether elements lie in row-major order without gaps. */
static bool is_dense(const kn_pickle_value *value) {
    int64_t expected = 1;
    for (int i = value->tensor.rank - 1; i >= 0; i--) {
        if (value->tensor.shape[i] != 1 && value->tensor.stride[i] != expected) return false;
        if (__builtin_mul_overflow(expected, value->tensor.shape[i], &expected)) return false;
    }
    return true;
}

/* Copies a tensor of any strides into the arena. */
static const uint8_t *gather(reader *r, const kn_pickle_value *value, const kn_stored_tensor *tensor,
                             const uint8_t *bytes) {
    size_t size = kn_dtype_size(tensor->dtype);
    uint8_t *out = kn_arena_alloc(&r->archive->arena, tensor->count, size, r->error);
    if (!out) return NULL;
    for (size_t i = 0; i < tensor->count; i++) {
        size_t left = i, place = (size_t)value->tensor.offset;
        for (int d = tensor->rank - 1; d >= 0; d--) {
            place += left % (size_t)tensor->shape[d] * (size_t)value->tensor.stride[d];
            left /= (size_t)tensor->shape[d];
        }
        memcpy(out + i * size, bytes + place * size, size);
    }
    return out;
}

/* Offset of the last element plus one fits `elements`. */
static bool fits(const kn_pickle_value *value, size_t elements) {
    uint64_t last = (uint64_t)value->tensor.offset, reach;
    for (int i = 0; i < value->tensor.rank; i++) {
        if (value->tensor.shape[i] == 0) return true;
        if (__builtin_mul_overflow((uint64_t)value->tensor.shape[i] - 1, (uint64_t)value->tensor.stride[i], &reach) ||
            __builtin_add_overflow(last, reach, &last))
            return false;
    }
    return last < elements;
}

static bool add_tensor(reader *r, const kn_pickle_value *key, const kn_pickle_value *value) {
    char name[MAX_NAME];
    int length = snprintf(name, sizeof name, "%.*s", (int)kn_min_size(key->length, MAX_NAME), key->text);
    if (length <= 0 || (size_t)length >= sizeof name)
        return kn_fail(r->error, KN_ERROR_INPUT, "%s: a tensor's name must have 1 to %d bytes", r->archive->path,
                       MAX_NAME - 1);
    kn_stored_tensor *tensor = kn_archive_add(r->archive, name, (size_t)length, r->error);
    if (!tensor) return false;
    const kn_pickle_value *storage = value->tensor.source;
    tensor->dtype = storage->storage.element;
    tensor->rank = value->tensor.rank;
    memcpy(tensor->shape, value->tensor.shape, sizeof tensor->shape);
    if (!kn_archive_count(r->archive, tensor, r->error)) return false;
    size_t bytes, available = 0, size = kn_dtype_size(tensor->dtype);
    const uint8_t *data = storage_bytes(r, storage, &available);
    if (!data) return kn_fail_prefix(r->error, "tensor '%.200s'", name);
    if (!fits(value, available / size) || __builtin_mul_overflow(tensor->count, size, &bytes))
        return kn_archive_refuse(r->archive, name, "it reaches past the end of its storage", r->error);
    if (tensor->count == 0 || is_dense(value)) {
        tensor->data = tensor->count ? data + (size_t)value->tensor.offset * size : data;
        return true;
    }
    if (tensor->count > available / size)
        return kn_archive_refuse(r->archive, name, "it repeats elements of its storage (an expanded tensor)", r->error);
    return (tensor->data = gather(r, value, tensor, data)) != NULL;
}

static bool has_text(const kn_pickle_value *value, const char *text) {
    return value->kind == KN_PICKLE_TEXT && value->length == strlen(text) &&
           memcmp(value->text, text, value->length) == 0;
}

/* Tensors of a dictionary; other entries (counters, settings) are passed over. */
static bool add_tensors(reader *r, const kn_pickle_value *dictionary) {
    for (size_t i = 0; i + 1 < dictionary->count; i += 2) {
        const kn_pickle_value *key = dictionary->items[i], *value = dictionary->items[i + 1];
        if (value->kind == KN_PICKLE_TENSOR && key->kind == KN_PICKLE_TEXT && !add_tensor(r, key, value)) return false;
    }
    return true;
}

static bool read_pickle(reader *r) {
    const uint8_t *data = r->pickle_entry->size <= MAX_PICKLE
                              ? kn_unzip_bytes(&r->zip, r->pickle_entry, &r->archive->arena, r->archive->path, r->error)
                              : NULL;
    if (r->pickle_entry->size > MAX_PICKLE)
        return kn_fail(r->error, KN_ERROR_INPUT, "%s: data.pkl has %zu bytes, expected at most %d", r->archive->path,
                       r->pickle_entry->size, MAX_PICKLE);
    if (!data || !kn_pickle_init(&r->pickle, data, r->pickle_entry->size, r->archive->path, r->error)) return false;
    const kn_pickle_value *root = r->pickle.root;
    for (size_t i = 0; root->kind == KN_PICKLE_DICT && i + 1 < root->count; i += 2) {
        bool inner = has_text(root->items[i], "state_dict") || has_text(root->items[i], "string_to_param");
        if (inner && root->items[i + 1]->kind == KN_PICKLE_DICT) { /* the latter: a textual inversion */
            root = root->items[i + 1];
            break;
        }
    }
    if (root->kind != KN_PICKLE_DICT)
        return kn_fail(r->error, KN_ERROR_INPUT, "%s: expected a dictionary of tensors", r->archive->path);
    return add_tensors(r, root) && kn_archive_sort(r->archive, r->error);
}

bool kn_torch_read(kn_archive *archive, const uint8_t *data, size_t size, kn_error *error) {
    reader r = {.archive = archive, .error = error};
    archive->format = KN_ARCHIVE_TORCH;
    bool ok = kn_unzip_init(&r.zip, data, size, archive->path, error);
    if (ok && !(r.pickle_entry = kn_unzip_find(&r.zip, "data.pkl")))
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: a zip archive without data.pkl is no PyTorch checkpoint",
                     archive->path);
    ok = ok && read_pickle(&r);
    kn_pickle_finish(&r.pickle);
    kn_unzip_finish(&r.zip);
    return ok;
}
