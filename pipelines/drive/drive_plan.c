#include "pipelines/drive/drive_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FULL_HASH_LIMIT ((size_t)256 << 20) /* larger weight files are known by their size and 16 MiB at each end */
#define END_BYTES ((size_t)16 << 20)

/* --- hashes ----------------------------------------------------------------------------------- */

/* A growing text whose hash stands for everything that was put into it. */
typedef struct digest {
    char *text;
    size_t length, capacity;
} digest;

static bool digest_add(digest *d, kn_error *error, const char *key, const char *value) {
    size_t more = strlen(key) + strlen(value) + 2;
    if (!kn_grow(&d->text, &d->capacity, d->length + more + 1, 1, error)) return false;
    snprintf(d->text + d->length, more + 1, "%s=%s\n", key, value);
    d->length += more;
    return true;
}

static bool digest_number(digest *d, kn_error *error, const char *key, double value) {
    char text[40];
    snprintf(text, sizeof text, "%.17g", value);
    return digest_add(d, error, key, text);
}

static bool digest_file(digest *d, const char *path, const char *name, kn_error *error) {
    kn_file_map map;
    char hex[2][65] = {"", ""}, text[200];
    if (!kn_file_map_init(&map, path, error)) return false;
    bool large = map.size > FULL_HASH_LIMIT;
    kn_sha256_hex(map.data, large ? END_BYTES : map.size, hex[0]);
    if (large) kn_sha256_hex(map.data + map.size - END_BYTES, END_BYTES, hex[1]);
    snprintf(text, sizeof text, "%zu %s %s", map.size, hex[0], hex[1]);
    kn_file_map_finish(&map);
    return digest_add(d, error, name, text);
}

static int compare_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool digest_folder(digest *d, const char *folder, const char *prefix, int depth, kn_error *error);

static bool digest_entry(digest *d, const char *folder, const char *prefix, const char *name, int depth,
                         kn_error *error) {
    struct stat info;
    char *path = kn_path_join(folder, name, error), *inner = kn_format(error, "%s/%s", prefix, name);
    bool ok = path && inner;
    if (ok && stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode)) ok = depth > 4 || digest_folder(d, path, inner, depth + 1, error);
        else if (S_ISREG(info.st_mode)) ok = digest_file(d, path, inner, error);
    }
    kn_free(path);
    kn_free(inner);
    return ok;
}

/* All files of a folder in the order of their names. */
static bool digest_folder(digest *d, const char *folder, const char *prefix, int depth, kn_error *error) {
    DIR *dir = opendir(folder);
    if (!dir)
        return kn_fail(error, errno == ENOENT || errno == ENOTDIR ? KN_ERROR_INPUT : KN_ERROR_IO,
                       "%s: cannot open the folder: %s", folder, strerror(errno));
    char **names = NULL;
    size_t count = 0, capacity = 0;
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        ok = kn_grow(&names, &capacity, count + 1, sizeof *names, error) &&
             (names[count] = kn_strdup(entry->d_name, error)) != NULL;
        count += ok;
    }
    closedir(dir);
    if (count) qsort(names, count, sizeof *names, compare_text);
    for (size_t i = 0; ok && i < count; i++) ok = digest_entry(d, folder, prefix, names[i], depth, error);
    for (size_t i = 0; i < count; i++) kn_free(names[i]);
    kn_free(names);
    return ok;
}

/* The files and folders that an OpenSCENARIO file names with filepath="..." or path="...". */
static bool digest_references(digest *d, const char *scene_path, const char *text, kn_error *error) {
    bool ok = true;
    for (const char *p = text; ok && (p = strstr(p, "path=\""));) {
        p += 6;
        size_t length = strcspn(p, "\"<>");
        char *name = length > 0 && length < 1000 ? kn_format(error, "%.*s", (int)length, p) : NULL;
        char *path = name ? kn_path_beside(scene_path, name, error) : NULL;
        struct stat info;
        if (path && stat(path, &info) == 0) {
            if (S_ISREG(info.st_mode)) ok = digest_file(d, path, name, error);
            else if (S_ISDIR(info.st_mode)) ok = digest_folder(d, path, name, 4, error);
        }
        kn_free(name);
        kn_free(path);
    }
    return ok;
}

bool kn_drive_hash_scene(const char *path, char hex[65], kn_error *error) {
    digest d = {0};
    uint8_t *data = NULL;
    size_t size = 0;
    bool ok = kn_file_read(path, (size_t)64 << 20, &data, &size, error) && digest_file(&d, path, "scene", error) &&
              digest_references(&d, path, (const char *)data, error);
    if (ok) kn_sha256_hex(d.text, d.length, hex);
    kn_free(data);
    kn_free(d.text);
    return ok;
}

static bool hash_model(kn_drive_job *job, kn_error *error) {
    if (job->params.source != KN_DRIVE_SAMPLER) return true;
    digest d = {0};
    bool ok = digest_folder(&d, job->params.model, "", 0, error);
    if (ok && d.length == 0) ok = kn_fail(error, KN_ERROR_INPUT, "%s: the model folder is empty", job->params.model);
    if (ok) kn_sha256_hex(d.text, d.length, job->model_hash);
    kn_free(d.text);
    return ok;
}

static bool digest_rig(digest *d, const kn_rig *rig, kn_error *error) {
    bool ok = true;
    for (int i = 0; ok && i < rig->camera_count; i++) {
        const kn_camera *c = &rig->cameras[i];
        ok = digest_add(d, error, "camera", c->name) && digest_number(d, error, "width", c->width) &&
             digest_number(d, error, "height", c->height);
        for (int n = 0; ok && n < 9; n++)
            ok = digest_number(d, error, "k", c->k[n / 3][n % 3]) &&
                 digest_number(d, error, "r", c->rotation[n / 3][n % 3]);
        for (int n = 0; ok && n < 3; n++) ok = digest_number(d, error, "t", c->translation[n]);
    }
    return ok;
}

/* Everything that changes a bit of the results. */
static bool hash_job(kn_drive_job *job, kn_error *error) {
    const kn_drive_params *p = &job->params;
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"rate", p->rate.num},
                   {"rate_den", p->rate.den},
                   {"frames", (double)p->frames},
                   {"seed_low", (double)(uint32_t)p->seed},
                   {"seed_high", (double)(p->seed >> 32)},
                   {"steps", p->steps},
                   {"guidance", p->guidance},
                   {"chunk", p->chunk_frames},
                   {"weather", p->overrides.weather},
                   {"time", p->overrides.time},
                   {"traffic", p->overrides.traffic},
                   {"ego_speed", p->overrides.ego_speed},
                   {"start", p->overrides.start},
                   {"surroundings", p->overrides.grow_surroundings},
                   {"codec", p->codec},
                   {"labels", p->labels},
                   {"source", p->source},
                   {"no_noise", p->no_anchored_noise},
                   {"no_views", p->no_multi_view},
                   {"no_temporal", p->no_temporal}};
    digest d = {0};
    bool ok = digest_add(&d, error, "kinora", KINORA_VERSION) && digest_add(&d, error, "scene", job->scene_hash) &&
              digest_add(&d, error, "model", job->model_hash) &&
              digest_add(&d, error, "prompt", p->prompt ? p->prompt : "") &&
              digest_add(&d, error, "name", job->scene_name) && digest_rig(&d, &job->rig, error);
    for (size_t i = 0; ok && i < KN_COUNT(numbers); i++)
        ok = digest_number(&d, error, numbers[i].key, numbers[i].value);
    if (ok) kn_sha256_hex(d.text, d.length, job->hash);
    kn_free(d.text);
    return ok;
}

/* --- parameters ------------------------------------------------------------------------------- */

static bool check_numbers(const kn_drive_params *p, kn_error *error) {
    if (!p->scene || !p->output) return kn_fail(error, KN_ERROR_INPUT, "a scene and an output folder are needed");
    if (p->source == KN_DRIVE_SAMPLER && !p->model)
        return kn_fail(error, KN_ERROR_INPUT, "the sampler needs a model folder");
    if (p->frames > 1000000) return kn_fail(error, KN_ERROR_INPUT, "%zu frames, expected at most 1000000", p->frames);
    if (p->chunk_frames < 1 || p->chunk_frames > 64)
        return kn_fail(error, KN_ERROR_INPUT, "%d frames per chunk, expected 1..64", p->chunk_frames);
    if (p->steps < 0 || p->steps > 1000) return kn_fail(error, KN_ERROR_INPUT, "%d steps, expected 1..1000", p->steps);
    if (p->rate.num < 1 || p->rate.den < 1)
        return kn_fail(error, KN_ERROR_INPUT, "frame rate %d/%d, expected a positive number", p->rate.num, p->rate.den);
    bool sizes_ok =
        p->width >= 0 && p->height >= 0 && p->width <= 8192 && p->height <= 8192 && (p->width == 0) == (p->height == 0);
    if (!sizes_ok)
        return kn_fail(error, KN_ERROR_INPUT, "size %dx%d, expected 16..8192 along each side", p->width, p->height);
    return true;
}

/* Camera names become file names. */
static bool check_rig(const kn_rig *rig, const char *path, kn_error *error) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    if (rig->camera_count < 1) return kn_fail(error, KN_ERROR_INPUT, "%s: the rig has no camera", path);
    for (int i = 0; i < rig->camera_count; i++) {
        const char *name = rig->cameras[i].name;
        if (!*name || strspn(name, allowed) != strlen(name))
            return kn_fail(error, KN_ERROR_INPUT, "%s: camera name \"%s\": expected letters, digits, _ and -", path,
                           name);
        static const char *const taken[] = {"surround", "bev", "nuscenes", "labels", "job"};
        for (size_t t = 0; t < KN_COUNT(taken); t++)
            if (strcmp(name, taken[t]) == 0)
                return kn_fail(error, KN_ERROR_INPUT, "%s: camera name \"%s\" is used for another output", path, name);
        for (int j = 0; j < i; j++)
            if (strcmp(name, rig->cameras[j].name) == 0)
                return kn_fail(error, KN_ERROR_INPUT, "%s: two cameras are called %s", path, name);
    }
    return true;
}

static bool read_rig(kn_drive_job *job, kn_error *error) {
    const kn_drive_params *p = &job->params;
    if (p->rig) {
        if (!kn_rig_read(&job->rig, p->rig, p->width, p->height, error)) return false;
    } else {
        kn_rig_init_nuscenes(&job->rig, p->width ? p->width : 400, p->height ? p->height : 224);
    }
    const char *path = p->rig ? p->rig : "rig";
    if (!check_rig(&job->rig, path, error)) return false;
    const kn_camera *first = &job->rig.cameras[0];
    for (int i = 0; p->source == KN_DRIVE_SAMPLER && i < job->rig.camera_count; i++)
        if (job->rig.cameras[i].width != first->width || job->rig.cameras[i].height != first->height)
            return kn_fail(error, KN_ERROR_INPUT,
                           "%s: camera %s is %dx%d and %s %dx%d; give one size for all with --size WxH", path,
                           first->name, first->width, first->height, job->rig.cameras[i].name,
                           job->rig.cameras[i].width, job->rig.cameras[i].height);
    kn_rig_neighbours(&job->rig, job->neighbours);
    return true;
}

/* "samples/drive/cut-in.xosc" -> "cut-in". */
static void name_scene(kn_drive_job *job) {
    const char *slash = strrchr(job->params.scene, '/'), *base = slash ? slash + 1 : job->params.scene;
    const char *dot = strrchr(base, '.');
    size_t length = dot && dot != base ? (size_t)(dot - base) : strlen(base), used = 0;
    for (size_t i = 0; i < length && used + 1 < sizeof job->scene_name; i++) {
        char c = base[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        job->scene_name[used++] = plain ? c : '-';
    }
    if (used == 0) job->scene_name[used++] = '-';
    job->scene_name[used] = 0;
}

bool kn_drive_plan(kn_drive_job *job, const kn_drive_params *params, kn_error *error) {
    job->params = *params;
    job->chunk_frames = (size_t)params->chunk_frames;
    if (!check_numbers(params, error)) return false;
    if (!kn_file_exists(params->scene)) return kn_fail(error, KN_ERROR_INPUT, "%s: no such file", params->scene);
    name_scene(job);
    job->work = kn_path_join(params->output, ".work", error);
    return job->work && read_rig(job, error) && kn_drive_hash_scene(params->scene, job->scene_hash, error) &&
           hash_model(job, error) && hash_job(job, error);
}

/* Does `output` hold this file or folder? */
static bool output_exists(const kn_drive_job *job, const char *name) {
    char *path = kn_path_join(job->params.output, name, NULL);
    bool found = path && kn_file_exists(path);
    kn_free(path);
    return found;
}

/* Nothing that Kinora did not make may be replaced. */
static bool check_foreign(const kn_drive_job *job, char earlier[][96], int earlier_count, kn_error *error) {
    char names[KN_RIG_MAX_CAMERAS + 4][96];
    int count = kn_drive_outputs(job, names);
    for (int i = 0; i < count; i++) {
        bool ours = false;
        for (int e = 0; e < earlier_count; e++) ours = ours || strcmp(earlier[e], names[i]) == 0;
        if (!ours && output_exists(job, names[i]))
            return kn_fail(error, KN_ERROR_INPUT,
                           "%s/%s: is there already and not from an earlier Kinora job; choose another folder",
                           job->params.output, names[i]);
    }
    return true;
}

bool kn_drive_check_output(kn_drive_job *job, kn_error *error) {
    char *record = kn_path_join(job->params.output, "job.json", error), hash[65] = "",
         names[KN_RIG_MAX_CAMERAS + 4][96];
    if (!record) return false;
    bool finished = kn_file_exists(record), same = false, ok = true;
    int count = 0;
    if (finished)
        same =
            kn_drive_read_record(record, hash, names, KN_RIG_MAX_CAMERAS + 4, &count) && strcmp(hash, job->hash) == 0;
    if (finished && !same && !job->params.overwrite)
        ok = kn_fail(error, KN_ERROR_INPUT,
                     "%s: holds the results of another job; choose another folder or use --overwrite",
                     job->params.output);
    bool complete = same && !job->params.overwrite;
    for (int i = 0; complete && i < count; i++) complete = output_exists(job, names[i]);
    job->report.already_complete = complete;
    if (complete) ok = kn_remove_tree(job->work, error);
    else if (ok && !output_exists(job, ".work/journal")) ok = check_foreign(job, names, count, error);
    kn_free(record);
    return ok;
}
