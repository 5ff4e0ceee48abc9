#include "pipelines/drive/drive_internal.h"

#include <string.h>

/* --- parameters ------------------------------------------------------------------------------- */

static bool check_numbers(const kn_drive_params *p, kn_error *error) {
    if (!p->scene || !p->output) return kn_fail(error, KN_ERROR_INPUT, "a scene and an output folder are needed");
    if (p->source == KN_DRIVE_SAMPLER && !p->model)
        return kn_fail(error, KN_ERROR_INPUT, "the sampler needs a model folder");
    if (p->frames > 1000000) return kn_fail(error, KN_ERROR_INPUT, "%zu frames, expected at most 1000000", p->frames);
    if (p->chunk_frames < 1 || p->chunk_frames > 64)
        return kn_fail(error, KN_ERROR_INPUT, "%d frames per chunk, expected 1..64", p->chunk_frames);
    if (p->codec >= KN_CODEC_COUNT || p->source > KN_DRIVE_CONTROL || p->labels >> 4 ||
        p->overrides.weather > KN_WEATHER_FOG || p->overrides.time > KN_TIME_NIGHT)
        return kn_fail(error, KN_ERROR_INPUT, "an unknown codec, source, label, weather or time of day");
    if (p->steps < 0 || p->steps > 1000) return kn_fail(error, KN_ERROR_INPUT, "%d steps, expected 1..1000", p->steps);
    if (p->rate.num < 1 || p->rate.den < 1)
        return kn_fail(error, KN_ERROR_INPUT, "frame rate %d/%d, expected a positive number", p->rate.num, p->rate.den);
    if (!kn_drive_controls_check(p, error)) return false;
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
    return job->work && read_rig(job, error) && kn_drive_hash(job, error);
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
    char names[KN_DRIVE_MAX_OUTPUTS][96];
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
    char *record = kn_path_join(job->params.output, "job.json", error), hash[65] = "", names[KN_DRIVE_MAX_OUTPUTS][96];
    if (!record) return false;
    bool finished = kn_file_exists(record), same = false, ok = true;
    int count = 0;
    if (finished)
        same = kn_drive_read_record(record, hash, names, KN_DRIVE_MAX_OUTPUTS, &count) && strcmp(hash, job->hash) == 0;
    if (finished && !same && !job->params.overwrite)
        ok = kn_fail(error, KN_ERROR_INPUT,
                     "%s: holds the results of another job; choose another folder or use --overwrite",
                     job->params.output);
    bool complete = same && !job->params.overwrite;
    for (int i = 0; complete && i < count; i++) complete = output_exists(job, names[i]);
    job->report.already_complete = complete;
    if (complete) ok = kn_journal_remove(job->work, error); /* unless somebody makes it again */
    else if (ok && !output_exists(job, ".work/journal")) ok = check_foreign(job, names, count, error);
    kn_free(record);
    return ok;
}
