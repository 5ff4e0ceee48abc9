#include "pipelines/dataset/formats.h"

#include "pipelines/drive/nuscenes_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const kn_split_names[KN_SPLIT_COUNT] = {"train", "val"};

struct kn_tables {
    char *root; /* <root>/nuscenes */
    kn_file_writer tables[KN_TABLE_COUNT];
    bool begun[KN_TABLE_COUNT];
    json_t *shared;                 /* "category|vehicle.car" -> true: vocabulary that is written */
    json_t *splits[KN_SPLIT_COUNT]; /* names of scenes */
};

bool kn_dataset_link(const char *from, const char *to, kn_error *error) {
    kn_file_map map;
    unlink(to); /* a merge that was killed may have left it */
    if (link(from, to) == 0) return true;
    if (errno == ENOENT) return kn_fail(error, KN_ERROR_IO, "%s: cannot link %s: %s", to, from, strerror(errno));
    if (!kn_file_map_init(&map, from, error)) return false;
    bool ok = kn_file_write(to, map.data ? (const void *)map.data : "", map.size, error);
    kn_file_map_finish(&map);
    return ok;
}

void kn_tables_picture(const kn_clip *clip, size_t frame, int camera, char *name, size_t size) {
    const char *channel = clip->rig.cameras[camera].name;
    snprintf(name, size, "%s/%s/%s__%s__%lld.jpg", clip->is_key[frame] ? "samples" : "sweeps", channel, clip->name,
             channel, clip->time[frame]);
}

bool kn_tables_create(kn_tables **tables, const char *root, kn_error *error) {
    kn_tables *t = kn_alloc(1, sizeof *t, error);
    *tables = NULL;
    if (!t) return false;
    t->root = kn_path_join(root, "nuscenes", error);
    t->shared = json_object();
    for (int s = 0; s < KN_SPLIT_COUNT; s++) t->splits[s] = json_array();
    char *folder = t->root ? kn_path_join(t->root, KN_NUSCENES_VERSION, error) : NULL,
         *maps = folder ? kn_path_join(t->root, "maps", error) : NULL;
    bool ok = maps && kn_make_directories(folder, error) && kn_make_directories(maps, error);
    for (int i = 0; ok && i < KN_TABLE_COUNT; i++) {
        char *path = kn_format(error, "%s/%s.json", folder, kn_table_names[i]);
        ok = path && kn_file_writer_init(&t->tables[i], path, error);
        kn_free(path);
    }
    kn_free(folder);
    kn_free(maps);
    if (ok) *tables = t;
    else kn_tables_destroy(&t);
    return ok;
}

/* --- records
 * ---------------------------------------------------------------------------------------------------------- */

static const char *text_of(const json_t *record, const char *key) {
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : "";
}

static void set_text(json_t *record, const char *key, const char *text) {
    json_object_set_new(record, key, json_string(text));
}

static bool write_record(kn_tables *t, kn_table table, const json_t *record, kn_error *error) {
    FILE *stream = t->tables[table].stream;
    fputs(t->begun[table] ? ",\n" : "[\n", stream);
    t->begun[table] = true;
    return json_dumpf(record, stream, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12)) == 0 ||
           kn_fail(error, KN_ERROR_IO, "%s: cannot write", t->root);
}

/* The token that a word of the vocabulary has in every merged dataset. */
static void shared_token(const char *kind, const char *name, char token[33]) {
    char text[200];
    snprintf(text, sizeof text, "%.60s|%.120s", kind, name);
    memcpy(token, kn_nuscenes_token("kinora", text, 0, 0).text, 33);
}

static json_t *load_table(const kn_clip *clip, kn_table table, kn_error *error) {
    json_error_t problem;
    char *path = kn_format(error, "%s/nuscenes/%s/%s.json", clip->folder, KN_NUSCENES_VERSION, kn_table_names[table]);
    json_t *root = path ? json_load_file(path, 0, &problem) : NULL;
    if (path && !root) kn_fail(error, KN_ERROR_INPUT, "%s: line %d: %s", path, problem.line, problem.text);
    kn_free(path);
    return root;
}

/* Writes the words that no earlier clip had, and fills `renamed`: the clip's token -> the shared one. */
static bool add_vocabulary(kn_tables *t, const kn_clip *clip, kn_table table, const char *name_key, json_t *renamed,
                           kn_error *error) {
    json_t *records = load_table(clip, table, error), *record;
    bool ok = records != NULL;
    size_t i;
    json_array_foreach(records, i, record) {
        char token[33], known[300];
        const char *name = text_of(record, name_key);
        shared_token(kn_table_names[table], name, token);
        snprintf(known, sizeof known, "%s|%.200s", kn_table_names[table], name);
        if (table == KN_TABLE_VISIBILITY)
            snprintf(token, sizeof token, "%.32s", text_of(record, "token")); /* 1 to 4, as nuScenes has them */
        set_text(renamed, text_of(record, "token"), token);
        if (json_object_get(t->shared, known)) continue;
        json_object_set_new(t->shared, known, json_true());
        set_text(record, "token", token);
        ok = ok && write_record(t, table, record, error);
    }
    json_decref(records);
    return ok;
}

static void rename_tokens(json_t *record, const char *key, const json_t *renamed) {
    json_t *value = json_object_get(record, key), *one;
    if (json_is_array(value)) {
        size_t i;
        json_array_foreach(value, i, one) {
            json_t *other = json_object_get(renamed, json_string_value(one) ? json_string_value(one) : "");
            if (other) json_array_set(value, i, other);
        }
    } else if (json_is_string(value)) {
        json_t *other = json_object_get(renamed, json_string_value(value));
        if (other) json_object_set(record, key, other);
    }
}

/* Links a file that a record names under its name in the merged root. */
static bool take_file(kn_tables *t, const kn_clip *clip, const char *from_name, const char *to_name, kn_error *error) {
    char *from = kn_format(error, "%s/nuscenes/%s", clip->folder, from_name),
         *to = from ? kn_path_join(t->root, to_name, error) : NULL;
    char *folder = to ? kn_strdup(to, error) : NULL;
    bool ok = folder && !strstr(from_name, "..");
    if (folder && !ok) kn_fail(error, KN_ERROR_INPUT, "%s: names %s, outside its folder", clip->folder, from_name);
    if (ok) {
        *strrchr(folder, '/') = 0;
        ok = kn_make_directories(folder, error) && kn_dataset_link(from, to, error);
    }
    kn_free(from);
    kn_free(to);
    kn_free(folder);
    return ok;
}

/* "samples/CAM/<anything>__CAM__<time>.jpg" -> "samples/CAM/<item>__CAM__<time>.jpg", for any sensor. */
static void picture_name(const kn_clip *clip, const char *file, char *name, size_t size) {
    const char *end = strrchr(file, '/'), *rest = strstr(end ? end : file, "__");
    snprintf(name, size, "%.*s/%s%s", end ? (int)(end - file) : 0, file, clip->name, rest ? rest : "");
}

static bool adapt(kn_tables *t, const kn_clip *clip, kn_table table, json_t *record, const json_t *renamed,
                  kn_error *error) {
    char name[400];
    const char *file = text_of(record, "filename");
    switch (table) {
    case KN_TABLE_INSTANCE: rename_tokens(record, "category_token", renamed); return true;
    case KN_TABLE_SAMPLE_ANNOTATION: rename_tokens(record, "attribute_tokens", renamed); return true;
    case KN_TABLE_CALIBRATED_SENSOR: rename_tokens(record, "sensor_token", renamed); return true;
    case KN_TABLE_SCENE:
        snprintf(name, sizeof name, "scene-%s", clip->name);
        set_text(record, "name", name);
        return true;
    case KN_TABLE_LOG: set_text(record, "logfile", clip->name); return true;
    case KN_TABLE_LIDARSEG:
    case KN_TABLE_MAP: return take_file(t, clip, file, file, error);
    case KN_TABLE_SAMPLE_DATA:
        picture_name(clip, file, name, sizeof name);
        if (!take_file(t, clip, file, name, error)) return false;
        set_text(record, "filename", name);
        return true;
    default: return true;
    }
}

static bool has_sweeps(const kn_clip *clip) {
    char *path =
        kn_format(NULL, "%s/nuscenes/%s/%s.json", clip->folder, KN_NUSCENES_VERSION, kn_table_names[KN_TABLE_LIDARSEG]);
    bool found = path && kn_file_exists(path);
    kn_free(path);
    return found;
}

static bool add_records(kn_tables *t, const kn_clip *clip, kn_table table, const json_t *renamed, kn_error *error) {
    json_t *records = load_table(clip, table, error), *record;
    bool ok = records != NULL;
    size_t i;
    json_array_foreach(records, i, record) ok =
        ok && adapt(t, clip, table, record, renamed, error) && write_record(t, table, record, error);
    json_decref(records);
    return ok;
}

bool kn_tables_add(kn_tables *t, const kn_clip *clip, kn_split split, kn_error *error) {
    static const struct {
        kn_table table;
        const char *name;
    } words[] = {{KN_TABLE_ATTRIBUTE, "name"},
                 {KN_TABLE_CATEGORY, "name"},
                 {KN_TABLE_VISIBILITY, "level"},
                 {KN_TABLE_SENSOR, "channel"}};
    static const kn_table others[] = {KN_TABLE_CALIBRATED_SENSOR,
                                      KN_TABLE_EGO_POSE,
                                      KN_TABLE_INSTANCE,
                                      KN_TABLE_LOG,
                                      KN_TABLE_MAP,
                                      KN_TABLE_SAMPLE,
                                      KN_TABLE_SAMPLE_ANNOTATION,
                                      KN_TABLE_SAMPLE_DATA,
                                      KN_TABLE_SCENE,
                                      KN_TABLE_LIDARSEG};
    json_t *renamed = json_object();
    bool ok = true;
    for (size_t i = 0; ok && i < KN_COUNT(words); i++)
        ok = add_vocabulary(t, clip, words[i].table, words[i].name, renamed, error);
    for (size_t i = 0; ok && i < KN_COUNT(others); i++)
        ok = (others[i] == KN_TABLE_LIDARSEG && !has_sweeps(clip)) || add_records(t, clip, others[i], renamed, error);
    json_decref(renamed);
    char *scene = ok ? kn_format(error, "scene-%s", clip->name) : NULL;
    if (scene) json_array_append_new(t->splits[split], json_string(scene));
    kn_free(scene);
    return scene != NULL;
}

bool kn_tables_commit(kn_tables *t, kn_error *error) {
    bool ok = kn_nuscenes_commit_tables(t->tables, t->begun, error);
    /* What nuscenes.utils.splits.get_scenes_of_custom_split reads. */
    json_t *root = json_pack("{sO sO}", "train", t->splits[KN_SPLIT_TRAIN], "val", t->splits[KN_SPLIT_VAL]);
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER) : NULL;
    char *path = kn_format(error, "%s/%s/splits.json", t->root, KN_NUSCENES_VERSION);
    ok = ok && text && path && kn_file_write(path, text, strlen(text), error);
    kn_free(path);
    free(text);
    json_decref(root);
    return ok;
}

void kn_tables_destroy(kn_tables **tables) {
    kn_tables *t = *tables;
    if (!t) return;
    for (int i = 0; i < KN_TABLE_COUNT; i++) kn_file_writer_finish(&t->tables[i]);
    for (int s = 0; s < KN_SPLIT_COUNT; s++) json_decref(t->splits[s]);
    json_decref(t->shared);
    kn_free(t->root);
    kn_free(t);
    *tables = NULL;
}
