/* What the readers of all formats share: a table of tensors that grows, is checked and sorted. */
#include "diffusion/files/tensors.h"

#include <stdlib.h>
#include <string.h>

void kn_archive_close(kn_archive **out) {
    if (!out || !*out) return;
    kn_archive *archive = *out;
    kn_file_map_finish(&archive->map);
    kn_arena_finish(&archive->arena);
    kn_free(archive->tensors);
    kn_free(archive->metadata);
    kn_free(archive->path);
    kn_free(archive);
    *out = NULL;
}

static bool archive_init(kn_archive **out, const char *label, kn_error *error) {
    *out = NULL;
    kn_archive *archive = kn_alloc(1, sizeof *archive, error);
    if (!archive) return false;
    archive->path = kn_strdup(label, error);
    *out = archive;
    if (!archive->path) kn_archive_close(out);
    return *out != NULL;
}

bool kn_archive_parse_as(kn_archive **out, const uint8_t *data, size_t size, const char *label,
                         kn_archive_reader *reader, kn_error *error) {
    if (!archive_init(out, label, error)) return false;
    if (!reader(*out, data, size, error)) kn_archive_close(out);
    return *out != NULL;
}

bool kn_archive_open_as(kn_archive **out, const char *path, kn_archive_reader *reader, kn_error *error) {
    if (!archive_init(out, path, error)) return false;
    kn_archive *archive = *out;
    if (!kn_file_map_init(&archive->map, path, error) || !reader(archive, archive->map.data, archive->map.size, error))
        kn_archive_close(out);
    return *out != NULL;
}

static int compare_name(const void *a, const void *b) {
    return strcmp(((const kn_stored_tensor *)a)->name, ((const kn_stored_tensor *)b)->name);
}

const char *kn_archive_metadata(const kn_archive *archive, const char *key) {
    for (size_t i = 0; i < archive->metadata_count; i++)
        if (strcmp(archive->metadata[i].key, key) == 0) return archive->metadata[i].value;
    return NULL;
}

bool kn_archive_add_metadata(kn_archive *archive, const char *key, const char *value, kn_error *error) {
    kn_metadata pair = {kn_arena_strdup(&archive->arena, key, error), NULL};
    if (!pair.key || !(pair.value = kn_arena_strdup(&archive->arena, value, error)) ||
        !kn_grow(&archive->metadata, &archive->metadata_capacity, archive->metadata_count + 1,
                 sizeof *archive->metadata, error))
        return false;
    archive->metadata[archive->metadata_count++] = pair;
    return true;
}

const kn_stored_tensor *kn_archive_find(const kn_archive *archive, const char *name) {
    kn_stored_tensor key = {.name = name};
    return archive->count ? bsearch(&key, archive->tensors, archive->count, sizeof *archive->tensors, compare_name)
                          : NULL;
}

kn_stored_tensor *kn_archive_add(kn_archive *archive, const char *name, size_t length, kn_error *error) {
    if (!kn_grow(&archive->tensors, &archive->capacity, archive->count + 1, sizeof *archive->tensors, error))
        return NULL;
    char *copy = kn_arena_alloc(&archive->arena, length + 1, 1, error);
    if (!copy) return NULL;
    memcpy(copy, name, length);
    kn_stored_tensor *tensor = &archive->tensors[archive->count++];
    *tensor = (kn_stored_tensor){.name = copy, .path = archive->path};
    return tensor;
}

bool kn_archive_refuse(const kn_archive *archive, const char *name, const char *reason, kn_error *error) {
    return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': %s", archive->path, name, reason);
}

bool kn_archive_count(const kn_archive *archive, kn_stored_tensor *tensor, kn_error *error) {
    tensor->count = 1;
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] < 0)
            return kn_archive_refuse(archive, tensor->name, "dimensions must be integers of 0 or more", error);
        if (__builtin_mul_overflow(tensor->count, (size_t)tensor->shape[i], &tensor->count))
            return kn_archive_refuse(archive, tensor->name, "the product of the shape overflows", error);
    }
    return true;
}

bool kn_archive_sort(kn_archive *archive, kn_error *error) {
    if (archive->count) qsort(archive->tensors, archive->count, sizeof *archive->tensors, compare_name);
    for (size_t i = 1; i < archive->count; i++) {
        if (strcmp(archive->tensors[i - 1].name, archive->tensors[i].name) == 0)
            return kn_archive_refuse(archive, archive->tensors[i].name, "the name is used twice", error);
    }
    return true;
}
