/* What a job is known by: hashes over everything that its results come from. */
#include "base/folder.h"
#include "gpu/tuning.h"
#include "pipelines/drive/drive_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FULL_HASH_LIMIT ((size_t)256 << 20) /* larger weight files are known by their size and 16 MiB at each end */
#define END_BYTES ((size_t)16 << 20)

/* A growing text whose hash stands for everything that was put into it. */
typedef struct digest {
    char *text;
    size_t length, capacity;
    bool partial; /* a file was not hashed as a whole */
} digest;

/* With lengths in front, so that no two lists of keys and values are the same text. */
static bool digest_add(digest *d, kn_error *error, const char *key, const char *value) {
    char lengths[64];
    int head = snprintf(lengths, sizeof lengths, "%zu %zu ", strlen(key), strlen(value));
    size_t more = (size_t)head + strlen(key) + strlen(value) + 1;
    if (!kn_grow(&d->text, &d->capacity, d->length + more + 1, 1, error)) return false;
    snprintf(d->text + d->length, more + 1, "%s%s%s\n", lengths, key, value);
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
    d->partial = d->partial || large;
    return digest_add(d, error, name, text);
}

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
    char **names;
    size_t count;
    bool ok = kn_folder_list(folder, NULL, &names, &count, error);
    for (size_t i = 0; ok && i < count; i++) ok = digest_entry(d, folder, prefix, names[i], depth, error);
    kn_names_free(names, count);
    return ok;
}

/* A file, or all of a folder. */
static bool digest_path(digest *d, const char *path, const char *name, kn_error *error) {
    struct stat info;
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    return folder ? digest_folder(d, path, name, 0, error) : digest_file(d, path, name, error);
}

static bool hash_model(kn_drive_job *job, kn_error *error) {
    if (job->params.source != KN_DRIVE_SAMPLER) return true;
    digest d = {0};
    const kn_drive_params *p = &job->params;
    const char *others[] = {p->tokenizer, p->autoencoder};
    bool ok = digest_path(&d, p->model, "", error);
    if (ok && d.length == 0) ok = kn_fail(error, KN_ERROR_INPUT, "%s: the model folder is empty", job->params.model);
    for (size_t i = 0; ok && i < KN_COUNT(others); i++)
        ok = !others[i] || digest_path(&d, others[i], i ? "vae" : "tokenizer", error);
    for (int i = 0; ok && i < p->control_count; i++)
        ok = digest_number(&d, error, p->controls[i].kind, p->controls[i].strength) &&
             digest_path(&d, p->controls[i].model, "control", error);
    for (int i = 0; ok && i < p->lora_count; i++)
        ok = digest_number(&d, error, "lora", (double)p->loras[i].strength) &&
             digest_path(&d, p->loras[i].path, "lora", error);
    if (ok) kn_sha256_hex(d.text, d.length, job->model_hash);
    job->model_hash_partial = d.partial;
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

/* What was asked for. The device, which changes last digits, is known only later (kn_drive_device_text). */
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
                   {"appearance_low", (double)(uint32_t)p->appearance},
                   {"appearance_high", (double)(p->appearance >> 32)},
                   {"look", p->look},
                   {"strength", p->strength},
                   {"steps", p->steps},
                   {"guidance", p->guidance},
                   {"chunk", p->chunk_frames},
                   {"weather", p->overrides.weather},
                   {"time", p->overrides.time},
                   {"traffic", p->overrides.traffic},
                   {"ego_speed", p->overrides.ego_speed},
                   {"start", p->overrides.start},
                   {"surroundings", p->overrides.grow_surroundings},
                   {"variation", p->overrides.variation},
                   {"codec", p->codec},
                   {"labels", p->labels},
                   {"lidar", p->lidar},
                   {"source", p->source},
                   {"no_noise", p->no_anchored_noise},
                   {"no_lock", p->no_locked_sampling},
                   {"no_views", p->no_multi_view},
                   {"no_temporal", p->no_temporal}};
    digest d = {0};
    bool ok = digest_add(&d, error, "kinora", KINORA_VERSION) && digest_add(&d, error, "scene", job->scene_hash) &&
              digest_add(&d, error, "model", job->model_hash) &&
              digest_add(&d, error, "prompt", p->prompt ? p->prompt : "") &&
              digest_add(&d, error, "parameters", p->overrides.parameters ? p->overrides.parameters : "") &&
              digest_add(&d, error, "negative", p->negative ? p->negative : "") &&
              digest_add(&d, error, "name", job->scene_name) && digest_rig(&d, &job->rig, error);
    for (size_t i = 0; ok && i < KN_COUNT(numbers); i++)
        ok = digest_number(&d, error, numbers[i].key, numbers[i].value);
    if (ok) kn_sha256_hex(d.text, d.length, job->hash);
    kn_free(d.text);
    return ok;
}

bool kn_drive_hash(kn_drive_job *job, kn_error *error) {
    return kn_scene_hash(job->params.scene, &job->params.overrides, job->scene_hash, error) && hash_model(job, error) &&
           hash_job(job, error);
}

/* --- the device --------------------------------------------------------------------------------- */

static void add_constant(void *user, const char *name, double value) {
    digest *d = user;
    if (d->text) d->partial = !digest_number(d, NULL, name, value) || d->partial;
}

bool kn_drive_device_text(const kn_gpu *gpu, char text[KN_DRIVE_DEVICE_TEXT], char tuning[65], kn_error *error) {
    const kn_gpu_info *info = kn_gpu_get_info(gpu);
    digest d = {0};
    bool ok = digest_number(&d, error, "subgroup", info->subgroup_size);
    if (ok) kn_tuning_each(kn_gpu_get_tuning(gpu), add_constant, &d);
    if (ok && d.partial) ok = kn_fail(error, KN_ERROR_MEMORY, "out of memory");
    if (ok) kn_sha256_hex(d.text, d.length, tuning);
    if (ok) snprintf(text, KN_DRIVE_DEVICE_TEXT, "%s, driver %s, tuning %.12s", info->name, info->driver, tuning);
    kn_free(d.text);
    return ok;
}

bool kn_drive_check_device(kn_drive_job *job, kn_error *error) {
    char text[KN_DRIVE_DEVICE_TEXT], *path = kn_path_join(job->work, "device", error);
    uint8_t *before = NULL;
    size_t size = 0;
    bool ok = path && kn_drive_device_text(job->gpu, text, job->tuning_hash, error);
    bool known = ok && job->journal.chunks_done > 0 && kn_file_exists(path), same = false;
    if (known && (ok = kn_file_read(path, KN_DRIVE_DEVICE_TEXT, &before, &size, error)))
        same = strcmp((const char *)before, text) == 0;
    if (ok && known && !same && !job->params.overwrite)
        ok = kn_fail(error, KN_ERROR_INPUT,
                     "%s: was begun on %s; on %s its frames would differ in last digits: go on there, or begin again "
                     "with --overwrite",
                     job->work, (const char *)before, text);
    if (ok && known && !same) ok = kn_journal_restart(&job->journal, job->hash, error);
    if (ok && !same) ok = kn_file_write(path, text, strlen(text), error);
    kn_free(before);
    kn_free(path);
    return ok;
}
