#include "pipelines/dataset/merge.h"

#include "pipelines/common/journal.h"
#include "pipelines/dataset/statistics.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A finished item. */
typedef struct source {
    char *name, *folder, *scene; /* scene: the scenario that it shows */
    kn_split split;
} source;

typedef struct merge {
    const kn_merge_params *params;
    source *sources;
    size_t count, capacity;
    unsigned formats;
    char *root; /* where everything is written before it is renamed */
    kn_tables *tables;
    kn_coco *coco;
    size_t kitti_next;
    kn_statistics statistics;
    kn_merge_report report;
} merge;

/* --- finding the clips
 * ------------------------------------------------------------------------------------------------------ */

static char *scene_of(const json_t *record, kn_error *error) {
    const char *path = json_string_value(json_object_get(json_object_get(record, "options"), "scene")),
               *slash = path ? strrchr(path, '/') : NULL;
    return kn_strdup(slash ? slash + 1 : path ? path : "?", error);
}

static bool add_source(merge *m, const char *folder, const char *name, kn_error *error) {
    char *item = kn_format(error, "%s/items/%s", folder, name),
         *path = item ? kn_path_join(item, "item.json", error) : NULL;
    json_t *record = path ? json_load_file(path, 0, NULL) : NULL;
    const char *verb = json_string_value(json_object_get(record, "verb"));
    bool ok = path != NULL, wanted = verb && strcmp(verb, "drive") == 0;
    if (record && !wanted) m->report.other_verbs++;
    if (ok && wanted && (ok = kn_grow(&m->sources, &m->capacity, m->count + 1, sizeof *m->sources, error))) {
        source *s = &m->sources[m->count++];
        *s = (source){.name = kn_strdup(name, error), .folder = item, .scene = scene_of(record, error)};
        item = NULL;
        ok = s->name && s->scene;
    }
    json_decref(record);
    kn_free(item);
    kn_free(path);
    return ok;
}

static int compare_sources(const void *a, const void *b) {
    return strcmp(((const source *)a)->name, ((const source *)b)->name);
}

static void free_source(source *s) {
    kn_free(s->name);
    kn_free(s->folder);
    kn_free(s->scene);
}

static bool find_sources(merge *m, kn_error *error) {
    bool ok = true;
    for (size_t f = 0; ok && f < m->params->folder_count; f++) {
        char *items = kn_path_join(m->params->folders[f], "items", error);
        DIR *dir = items ? opendir(items) : NULL;
        ok =
            dir || (items && kn_fail(error, KN_ERROR_INPUT, "%s: no finished items there: %s", items, strerror(errno)));
        for (struct dirent *entry; dir && ok && (entry = readdir(dir));)
            if (entry->d_name[0] != '.') ok = add_source(m, m->params->folders[f], entry->d_name, error);
        if (dir) closedir(dir);
        kn_free(items);
    }
    if (ok && m->count == 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: no finished driving clip in it", m->params->folders[0]);
    if (ok) qsort(m->sources, m->count, sizeof *m->sources, compare_sources);
    size_t kept = 0;
    for (size_t i = 0; ok && i < m->count; i++) {
        if (kept && strcmp(m->sources[kept - 1].name, m->sources[i].name) == 0) free_source(&m->sources[i]);
        else m->sources[kept++] = m->sources[i];
    }
    if (ok) m->count = kept;
    return ok;
}

/* A number that orders scenarios by chance, and everywhere the same. */
static uint64_t hash_of(const char *text) {
    uint64_t hash = 0;
    for (; *text; text++) hash = kn_hash64(hash ^ (unsigned char)*text);
    return hash;
}

static int compare_scenes(const void *a, const void *b) {
    const char *left = *(const char *const *)a, *right = *(const char *const *)b;
    uint64_t l = hash_of(left), r = hash_of(right);
    return l != r ? (l > r) - (l < r) : strcmp(left, right);
}

/* The share of the scenarios that comes first in that order validates; of several scenarios at least one does, and not
 * all. */
static bool split_sources(merge *m, kn_error *error) {
    const char **scenes = kn_alloc(m->count, sizeof *scenes, error);
    size_t used = 0;
    if (!scenes) return false;
    for (size_t i = 0; i < m->count; i++) scenes[i] = m->sources[i].scene;
    qsort(scenes, m->count, sizeof *scenes, compare_scenes);
    for (size_t i = 0; i < m->count; i++)
        if (used == 0 || strcmp(scenes[used - 1], scenes[i]) != 0) scenes[used++] = scenes[i];
    size_t val = (size_t)lround(m->params->val_share * (double)used);
    if (m->params->val_share > 0 && used > 1) val = val < 1 ? 1 : val > used - 1 ? used - 1 : val;
    for (size_t i = 0; i < m->count; i++)
        for (size_t v = 0; v < val; v++)
            if (strcmp(scenes[v], m->sources[i].scene) == 0) m->sources[i].split = KN_SPLIT_VAL;
    kn_free(scenes);
    return true;
}

/* --- writing
 * ------------------------------------------------------------------------------------------------------------------ */

static bool add_clip(merge *m, const source *s, kn_error *error) {
    kn_clip clip;
    if (!kn_clip_init(&clip, s->folder, s->name, error)) return false;
    bool instances = kn_clip_has(&clip, "instance"), maps = instances && kn_clip_has(&clip, "semantic");
    bool ok = !m->tables || kn_tables_add(m->tables, &clip, s->split, error);
    if (ok && m->coco && instances) ok = kn_coco_add(m->coco, &clip, s->split, error);
    if (ok && m->formats & KN_MERGE_KITTI) ok = kn_kitti_add(m->root, &clip, s->split, &m->kitti_next, error);
    if (ok && m->formats & KN_MERGE_CITYSCAPES && maps) ok = kn_cityscapes_add(m->root, &clip, s->split, error);
    kn_statistics_add(&m->statistics, &clip, s->split);
    m->report.without_maps += !maps;
    *(s->split == KN_SPLIT_VAL ? &m->report.val : &m->report.train) += 1;
    m->report.clips++;
    kn_clip_finish(&clip);
    return ok;
}

static bool write_all(merge *m, kn_error *error) {
    bool ok = (!(m->formats & KN_MERGE_NUSCENES) || kn_tables_create(&m->tables, m->root, error)) &&
              (!(m->formats & KN_MERGE_COCO) || kn_coco_create(&m->coco, m->root, error)) &&
              (!(m->formats & KN_MERGE_KITTI) || kn_kitti_create(m->root, error));
    for (size_t i = 0; ok && i < m->count; i++) {
        ok = add_clip(m, &m->sources[i], error);
        if (ok && m->params->progress && !m->params->progress(m->params->progress_user, "merge", i + 1, m->count))
            ok = kn_fail(error, KN_ERROR_CANCELLED, "stopped");
    }
    ok = ok && (!m->tables || kn_tables_commit(m->tables, error)) && (!m->coco || kn_coco_commit(m->coco, error));
    static const char *const names[] = {"nuscenes", "coco", "kitti", "cityscapes"};
    char formats[64] = "";
    for (size_t i = 0; i < KN_COUNT(names); i++)
        if (m->formats >> i & 1)
            snprintf(formats + strlen(formats), sizeof formats - strlen(formats), "%s%s", *formats ? ", " : "",
                     names[i]);
    return ok && kn_statistics_write(&m->statistics, m->root, formats, KINORA_VERSION, error);
}

/* Puts what was written in the place of what an earlier merge left; what is not a merge's stays. */
static bool move_into_place(const merge *m, kn_error *error) {
    static const char *const names[] = {
        "nuscenes", "coco", "kitti", "cityscapes", "plots", "statistics.json", "statistics.html", "README.md"};
    bool ok = kn_make_directories(m->params->output, error);
    for (size_t i = 0; ok && i < KN_COUNT(names); i++) {
        char *from = kn_path_join(m->root, names[i], error), *to = kn_path_join(m->params->output, names[i], error);
        ok = from && to && kn_remove_tree(to, error);
        if (ok && kn_file_exists(from) && rename(from, to) != 0)
            ok = kn_fail(error, KN_ERROR_IO, "%s: cannot rename into place: %s", to, strerror(errno));
        kn_free(from);
        kn_free(to);
    }
    return ok;
}

/* Only a folder that is absent, empty, a batch's or an earlier merge's is written into. */
static bool check_output(const merge *m, kn_error *error) {
    static const char *const ours[] = {"statistics.json", "jobs.jsonl"}, *const taken[] = {"nuscenes", "coco", "kitti",
                                                                                           "cityscapes", "README.md"};
    for (size_t i = 0; i < KN_COUNT(ours); i++) {
        char *path = kn_path_join(m->params->output, ours[i], error);
        bool found = path && kn_file_exists(path);
        kn_free(path);
        if (found) return true;
    }
    for (size_t i = 0; i < KN_COUNT(taken); i++) {
        char *path = kn_path_join(m->params->output, taken[i], error);
        bool found = path && kn_file_exists(path);
        kn_free(path);
        if (found)
            return kn_fail(error, KN_ERROR_INPUT,
                           "%s/%s: is there already and not from an earlier merge; choose another folder",
                           m->params->output, taken[i]);
    }
    return true;
}

bool kn_merge(const kn_merge_params *params, kn_merge_report *report, kn_error *error) {
    merge *m = kn_alloc(1, sizeof *m, error);
    if (!m) return false;
    m->params = params;
    m->formats =
        params->formats ? params->formats : KN_MERGE_NUSCENES | KN_MERGE_COCO | KN_MERGE_KITTI | KN_MERGE_CITYSCAPES;
    bool ok = check_output(m, error) && find_sources(m, error) && split_sources(m, error) &&
              (m->root = kn_format(error, "%s/.merge", params->output)) && kn_remove_tree(m->root, error) &&
              kn_make_directories(m->root, error) && write_all(m, error);
    kn_tables_destroy(&m->tables);
    kn_coco_destroy(&m->coco);
    ok = ok && move_into_place(m, error);
    if (m->root) kn_remove_tree(m->root, NULL);
    if (report) *report = m->report;
    for (size_t i = 0; i < m->count; i++) free_source(&m->sources[i]);
    kn_free(m->sources);
    kn_free(m->root);
    kn_free(m);
    return ok;
}
