#include "pipelines/batch/fingerprint.h"

#include "base/folder.h"
#include "pipelines/drive/drive_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FULL_HASH_LIMIT ((size_t)256 << 20)
#define END_BYTES ((size_t)16 << 20)

typedef struct kn_hashed {
    char *path;
    char hash[65];
} kn_hashed;

typedef struct text {
    char *data;
    size_t length, capacity;
} text;

static bool add_line(text *t, kn_error *error, const char *a, const char *b) {
    size_t more = strlen(a) + strlen(b) + 30;
    if (!kn_grow(&t->data, &t->capacity, t->length + more, 1, error)) return false;
    t->length += (size_t)snprintf(t->data + t->length, more, "%zu:%s=%s\n", strlen(b), a, b);
    return true;
}

/* --- files and folders
 * ------------------------------------------------------------------------------------------------ */

static bool hash_file(const char *path, kn_tree *tree, kn_error *error) {
    kn_file_map map;
    char ends[2][65] = {"", ""}, joined[200];
    if (!kn_file_map_init(&map, path, error)) return false;
    bool large = map.size > FULL_HASH_LIMIT;
    kn_sha256_hex(map.data, large ? END_BYTES : map.size, ends[0]);
    if (large) kn_sha256_hex(map.data + map.size - END_BYTES, END_BYTES, ends[1]);
    tree->files++;
    tree->bytes += map.size;
    snprintf(joined, sizeof joined, "%zu %s %s", map.size, ends[0], ends[1]);
    if (large) kn_sha256_hex(joined, strlen(joined), tree->hash);
    else memcpy(tree->hash, ends[0], sizeof tree->hash); /* what sha256sum says */
    kn_file_map_finish(&map);
    return true;
}

static bool hash_any(const char *path, int depth, kn_tree *tree, kn_error *error) {
    struct stat info;
    if (stat(path, &info) != 0) return kn_fail(error, KN_ERROR_INPUT, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(info.st_mode)) return hash_file(path, tree, error);
    if (depth == 16) return kn_fail(error, KN_ERROR_INPUT, "%s: folders more than 16 deep", path);
    char **names = NULL;
    size_t count = 0;
    text all = {0};
    bool ok = kn_folder_list(path, NULL, &names, &count, error);
    for (size_t i = 0; ok && i < count; i++) {
        char *inner = kn_path_join(path, names[i], error);
        ok = inner && hash_any(inner, depth + 1, tree, error) && add_line(&all, error, names[i], tree->hash);
        kn_free(inner);
    }
    if (ok) kn_sha256_hex(all.data ? all.data : "", all.length, tree->hash);
    kn_names_free(names, count);
    kn_free(all.data);
    return ok;
}

bool kn_tree_hash(const char *path, kn_tree *tree, kn_error *error) {
    *tree = (kn_tree){0};
    return hash_any(path, 0, tree, error);
}

/* --- items
 * ------------------------------------------------------------------------------------------------------------ */

void kn_fingerprints_finish(kn_fingerprints *cache) {
    for (size_t i = 0; i < cache->count; i++) kn_free(cache->entries[i].path);
    kn_free(cache->entries);
    *cache = (kn_fingerprints){0};
}

/* A scenario counts with everything that it names. */
static bool hash_input(kn_fingerprints *cache, const char *path, bool is_scene, const char **hash, kn_error *error) {
    for (size_t i = 0; i < cache->count; i++)
        if (strcmp(cache->entries[i].path, path) == 0) {
            *hash = cache->entries[i].hash;
            return true;
        }
    if (!kn_grow(&cache->entries, &cache->capacity, cache->count + 1, sizeof *cache->entries, error)) return false;
    kn_hashed *entry = &cache->entries[cache->count];
    kn_tree tree;
    if (is_scene) {
        if (!kn_file_exists(path)) return kn_fail(error, KN_ERROR_INPUT, "%s: no such file", path);
        if (!kn_scene_hash(path, NULL, entry->hash, error)) return false;
    } else {
        if (!kn_tree_hash(path, &tree, error)) return false;
        memcpy(entry->hash, tree.hash, sizeof entry->hash);
    }
    if (!(entry->path = kn_strdup(path, error))) return false;
    cache->count++;
    *hash = entry->hash;
    return true;
}

static bool add_contents(kn_fingerprints *cache, text *all, const char *path, bool is_scene, kn_error *error) {
    const char *hash = "";
    return hash_input(cache, path, is_scene, &hash, error) && add_line(all, error, "contents", hash);
}

static bool add_gate(kn_fingerprints *cache, text *all, const kn_batch_gate *gate, kn_error *error) {
    char number[40];
    bool ok = true;
    for (size_t i = 0; ok && i < gate->count; i++) {
        snprintf(number, sizeof number, "%.17g", gate->bounds[i].value);
        ok = add_line(all, error, gate->bounds[i].metric, number);
    }
    snprintf(number, sizeof number, "%d", gate->resample);
    return ok && add_line(all, error, "resample", number) &&
           (!cache->segmenter || add_contents(cache, all, cache->segmenter, false, error));
}

bool kn_fingerprint(kn_fingerprints *cache, const kn_batch_item *item, char hex[65], kn_error *error) {
    text all = {0};
    bool drive = strcmp(item->verb->name, "drive") == 0;
    bool ok = add_line(&all, error, "kinora", KINORA_VERSION) && add_line(&all, error, "verb", item->verb->name) &&
              add_line(&all, error, "device", cache->device ? cache->device : "");
    for (size_t i = 0; ok && i < item->option_count; i++) {
        const kn_batch_option *o = &item->options[i];
        const char *name = strrchr(o->raw, '/');
        bool path = kn_batch_is_path(item->verb, o->key);
        ok = add_line(&all, error, o->key, path && name ? name + 1 : o->raw); /* where it lies does not matter */
        if (ok && path) ok = add_contents(cache, &all, o->value, drive && strcmp(o->key, "scene") == 0, error);
    }
    const char *source = kn_batch_option_value(item, "source");
    if (ok && drive && cache->weights && !kn_batch_option_value(item, "model") &&
        (!source || strcmp(source, "sampler") == 0))
        ok = add_contents(cache, &all, cache->weights, false, error);
    if (ok && item->gate) ok = add_gate(cache, &all, item->gate, error);
    if (ok) kn_sha256_hex(all.data, all.length, hex);
    kn_free(all.data);
    return ok;
}
