#include "kinora/eval.h"

#include "pipelines/common/pixels.h"
#include "pipelines/drive/drive_internal.h"
#include "pipelines/eval/measure.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 16, CLIP = 0, SHUFFLED, BEAUTY, VARIANTS };

/* The facts of one camera at the frame measured and at the one before, and its pictures in every variant. */
typedef struct eval_view {
    size_t pixels;
    float *depth[2], *motion, *beauty;
    uint16_t *instance[2];
    kn_pose pose[2];
    uint8_t *rgb[VARIANTS][2];
    uint8_t *semantic;
    uint8_t *block;          /* [BLOCK][height][width][3]: decoded frames of the running block */
    uint8_t *classes;        /* [BLOCK][height][width]: what the segmenter finds in them; NULL without one */
    uint8_t *beauty_classes; /* [height][width] */
    kn_video_reader *reader;
    /* the first frame, for drift; the other clip's frame, for variety */
    float *first_depth;
    uint16_t *first_instance;
    kn_pose first_pose;
    uint8_t *first_rgb[VARIANTS], *other;
    kn_video_reader *other_reader;
} eval_view;

typedef struct eval_job {
    const kn_drive_eval_params *params;
    char *scene_path, *parameters, scene_hash[65], extension[8];
    kn_scene_params scene_params;
    kn_rig rig;
    kn_rational rate;
    size_t frames;
    kn_gpu *gpu;
    kn_scene *scene;
    kn_renderer *renderer;
    kn_segmenter *segmenter; /* NULL: classes are not measured */
    kn_frame_facts facts;
    eval_view views[KN_RIG_MAX_CAMERAS];
    kn_measure measures[VARIANTS];
    int neighbours[KN_RIG_MAX_CAMERAS][2];
} eval_job;

/* --- job.json --------------------------------------------------------------------------------- */

static int choice(json_t *value, const char *const *names, int count) {
    const char *text = json_string_value(value);
    for (int i = 0; text && i < count; i++)
        if (strcmp(names[i], text) == 0) return i + 1;
    return 0;
}

static void read_overrides(eval_job *job, json_t *root) {
    static const char *const weathers[] = {"clear", "overcast", "rain", "fog"}, *const times[] = {"day", "dusk",
                                                                                                  "night"};
    json_t *o = json_object_get(root, "overrides"), *traffic = json_object_get(o, "traffic");
    kn_scene_params *p = &job->scene_params;
    *p = KN_SCENE_PARAMS_DEFAULT;
    p->weather = (kn_weather_override)choice(json_object_get(o, "weather"), weathers, 4);
    p->time = (kn_time_override)choice(json_object_get(o, "time"), times, 3);
    p->traffic = json_is_integer(traffic) ? (int)json_integer_value(traffic) : -1;
    p->ego_speed = json_number_value(json_object_get(o, "ego_speed_kmh")) / 3.6;
    p->start = json_number_value(json_object_get(o, "start"));
    p->grow_surroundings = !json_is_false(json_object_get(o, "surroundings"));
    const char *parameters = json_string_value(json_object_get(o, "parameters"));
    p->parameters = job->parameters = parameters ? kn_strdup(parameters, NULL) : NULL;
    p->variation = (int)json_integer_value(json_object_get(o, "variation"));
    json_t *seed = json_object_get(root, "seed");
    p->seed = json_is_string(seed) ? strtoull(json_string_value(seed), NULL, 10) : (uint64_t)json_integer_value(seed);
    p->frame_rate = (double)job->rate.num / job->rate.den;
    p->frame_count = job->frames;
}

static bool read_camera(kn_camera *camera, json_t *value) {
    const char *name = json_string_value(json_object_get(value, "name"));
    if (!name || strchr(name, '/') || strlen(name) >= sizeof camera->name) return false;
    snprintf(camera->name, sizeof camera->name, "%s", name);
    camera->width = (int)json_integer_value(json_object_get(value, "width"));
    camera->height = (int)json_integer_value(json_object_get(value, "height"));
    json_t *k = json_object_get(value, "K"), *r = json_object_get(value, "rotation"),
           *t = json_object_get(value, "translation");
    for (size_t row = 0; row < 3; row++) {
        for (size_t column = 0; column < 3; column++) {
            camera->k[row][column] = json_number_value(json_array_get(json_array_get(k, row), column));
            camera->rotation[row][column] = json_number_value(json_array_get(json_array_get(r, row), column));
        }
        camera->translation[row] = json_number_value(json_array_get(t, row));
    }
    return camera->width > 0 && camera->height > 0 && camera->width <= 8192 && camera->height <= 8192 &&
           camera->k[0][0] > 0 && camera->k[1][1] > 0;
}

static bool read_fields(eval_job *job, json_t *root, const char *path, kn_error *error) {
    const char *scene = json_string_value(json_object_get(json_object_get(root, "scene"), "path"));
    const char *hash = json_string_value(json_object_get(json_object_get(root, "scene"), "sha256"));
    const char *codec_name = json_string_value(json_object_get(root, "codec"));
    json_t *rate = json_object_get(root, "frame_rate"),
           *cameras = json_object_get(json_object_get(root, "rig"), "cameras");
    kn_codec codec;
    json_int_t frames = json_integer_value(json_object_get(root, "frames"));
    job->rate = (kn_rational){(int)json_integer_value(json_array_get(rate, 0)),
                              (int)json_integer_value(json_array_get(rate, 1))};
    bool ok = scene && hash && strlen(hash) == 64 && codec_name && kn_codec_parse(&codec, codec_name) && frames > 0 &&
              frames <= 1000000 && job->rate.num > 0 && job->rate.den > 0 && json_array_size(cameras) > 0 &&
              json_array_size(cameras) <= KN_RIG_MAX_CAMERAS;
    for (size_t i = 0; ok && i < json_array_size(cameras); i++)
        ok = read_camera(&job->rig.cameras[i], json_array_get(cameras, i));
    if (!ok) return kn_fail(error, KN_ERROR_INPUT, "%s: not the record of a drive job", path);
    job->rig.camera_count = (int)json_array_size(cameras);
    job->frames = (size_t)frames;
    snprintf(job->scene_hash, sizeof job->scene_hash, "%s", hash);
    snprintf(job->extension, sizeof job->extension, "%s", kn_codec_extension(codec));
    read_overrides(job, root);
    job->scene_path = kn_strdup(job->params->scene ? job->params->scene : scene, error);
    return job->scene_path != NULL;
}

static bool read_job(eval_job *job, kn_error *error) {
    char *path = kn_path_join(job->params->folder, "job.json", error);
    if (!path) return false;
    json_error_t problem;
    json_t *root = json_load_file(path, 0, &problem);
    bool ok = root != NULL;
    if (!ok) kn_fail(error, KN_ERROR_INPUT, "%s: %s", path, problem.text);
    ok = ok && read_fields(job, root, path, error);
    json_decref(root);
    kn_free(path);
    char hash[65];
    if (!ok || !kn_scene_hash(job->scene_path, &job->scene_params, hash, error)) return false;
    if (strcmp(hash, job->scene_hash) != 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: not the scene that this clip was made from: its contents differ",
                       job->scene_path);
    return true;
}

/* --- pictures --------------------------------------------------------------------------------- */

static bool open_video(const eval_job *job, const char *folder, int index, kn_video_reader **reader, kn_error *error) {
    const kn_camera *camera = &job->rig.cameras[index];
    char *path = kn_format(error, "%s/%s%s", folder, camera->name, job->extension);
    bool ok = path && kn_video_reader_create(reader, path, job->rate, error);
    if (ok) {
        const kn_video_info *info = kn_video_reader_info(*reader); /* odd sizes were padded */
        ok = info->width == camera->width && info->height == camera->height;
        if (!ok)
            kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: %dx%d, expected the camera's %dx%d", path, info->width,
                    info->height, camera->width, camera->height);
    }
    kn_free(path);
    return ok;
}

/* Room for the first frame and the other clip's. */
static bool open_others(eval_job *job, int index, kn_error *error) {
    eval_view *v = &job->views[index];
    if (!(v->first_depth = kn_alloc(v->pixels, sizeof(float), error)) ||
        !(v->first_instance = kn_alloc(v->pixels, sizeof(uint16_t), error)))
        return false;
    for (int k = 0; k < VARIANTS; k++)
        if (!(v->first_rgb[k] = kn_alloc(v->pixels, 3, error))) return false;
    return !job->params->against || ((v->other = kn_alloc(v->pixels, 3, error)) &&
                                     open_video(job, job->params->against, index, &v->other_reader, error));
}

static bool open_view(eval_job *job, int index, kn_error *error) {
    eval_view *v = &job->views[index];
    const kn_camera *camera = &job->rig.cameras[index];
    v->pixels = (size_t)camera->width * (size_t)camera->height;
    for (int i = 0; i < 2; i++) {
        if (!(v->depth[i] = kn_alloc(v->pixels, sizeof(float), error)) ||
            !(v->instance[i] = kn_alloc(v->pixels, sizeof(uint16_t), error)))
            return false;
        for (int k = 0; k < VARIANTS; k++)
            if (!(v->rgb[k][i] = kn_alloc(v->pixels, 3, error))) return false;
    }
    if (!(v->motion = kn_alloc(v->pixels, 2 * sizeof(float), error)) ||
        !(v->beauty = kn_alloc(v->pixels, 3 * sizeof(float), error)))
        return false;
    if (!(v->block = kn_alloc(BLOCK * v->pixels, 3, error))) return false;
    if (!(v->semantic = kn_alloc(v->pixels, 1, error))) return false;
    if (job->segmenter &&
        (!(v->classes = kn_alloc(BLOCK * v->pixels, 1, error)) || !(v->beauty_classes = kn_alloc(v->pixels, 1, error))))
        return false;
    return open_others(job, index, error) && open_video(job, job->params->folder, index, &v->reader, error);
}

static bool find_classes(eval_job *job, int index, const uint8_t *rgb, uint8_t *classes, kn_error *error) {
    const kn_camera *camera = &job->rig.cameras[index];
    return !job->segmenter || kn_segmenter_run(job->segmenter, rgb, camera->width, camera->height, classes, error);
}

static bool read_block(eval_job *job, size_t count, kn_error *error) {
    for (int c = 0; c < job->rig.camera_count; c++)
        for (size_t i = 0; i < count; i++) {
            bool end = false;
            eval_view *v = &job->views[c];
            uint8_t *rgb = v->block + i * 3 * v->pixels;
            if (!kn_video_reader_next(v->reader, rgb, NULL, &end, error)) return false;
            if (!end && !find_classes(job, c, rgb, v->classes ? v->classes + i * v->pixels : NULL, error)) return false;
            if (end)
                return kn_fail(error, KN_ERROR_INPUT, "%s/%s%s: has fewer frames than job.json says",
                               job->params->folder, job->rig.cameras[c].name, job->extension);
        }
    return true;
}

/* A fixed permutation of 0..n-1 in which neighbours are far apart. */
static size_t shuffled_index(size_t i, size_t n) {
    static const size_t steps[] = {7, 5, 3, 11, 13, 2, 1};
    for (size_t k = 0; k < KN_COUNT(steps); k++) {
        size_t a = steps[k], b = n;
        while (b) {
            size_t r = a % b;
            a = b;
            b = r;
        }
        if (a == 1 && (steps[k] % n > 1 || n < 4 || steps[k] == 1)) return (i * steps[k] + n / 2) % n;
    }
    return i;
}

static bool draw_view(eval_job *job, int index, size_t frame, kn_error *error) {
    eval_view *v = &job->views[index];
    int now = (int)(frame & 1);
    v->pose[now] = kn_camera_world_pose(&job->facts, &job->rig.cameras[index]);
    kn_render_target target = {.depth = v->depth[now],
                               .instance = v->instance[now],
                               .motion = v->motion,
                               .semantic = v->semantic,
                               .beauty = job->params->no_beauty ? NULL : v->beauty};
    if (!kn_render(job->renderer, &job->rig.cameras[index], frame, &target, error)) return false;
    if (target.beauty && !kn_pixels_interleave(v->beauty, v->pixels, v->rgb[BEAUTY][now]))
        return kn_fail(error, KN_ERROR_INTERNAL, "frame %zu, camera %s: the renderer drew a value that is no number",
                       frame, job->rig.cameras[index].name);
    return !target.beauty || find_classes(job, index, v->rgb[BEAUTY][now], v->beauty_classes, error);
}

static kn_view_facts facts_of(const eval_job *job, int index, int slot) {
    const eval_view *v = &job->views[index];
    return (kn_view_facts){&job->rig.cameras[index], v->pose[slot], v->depth[slot],
                           v->instance[slot],        v->motion,     v->semantic};
}

static void keep_first(eval_job *job, int now) {
    for (int c = 0; c < job->rig.camera_count; c++) {
        eval_view *v = &job->views[c];
        memcpy(v->first_depth, v->depth[now], v->pixels * sizeof(float));
        memcpy(v->first_instance, v->instance[now], v->pixels * sizeof(uint16_t));
        for (int k = 0; k < VARIANTS; k++) memcpy(v->first_rgb[k], v->rgb[k][now], 3 * v->pixels);
        v->first_pose = v->pose[now];
    }
}

/* Every camera's first frame with every camera's last one. */
static void measure_last(eval_job *job, int now, int variants) {
    for (int a = 0; a < job->rig.camera_count; a++)
        for (int b = 0; b < job->rig.camera_count; b++) {
            const eval_view *v = &job->views[a];
            kn_view_facts first = {.camera = &job->rig.cameras[a],
                                   .pose = v->first_pose,
                                   .depth = v->first_depth,
                                   .instance = v->first_instance};
            kn_view_facts last = facts_of(job, b, now);
            for (int k = 0; k < variants; k++)
                kn_measure_last(&job->measures[k], &first, &last, v->first_rgb[k], job->views[b].rgb[k][now]);
        }
}

static bool measure_variety(eval_job *job, int now, kn_error *error) {
    for (int c = 0; job->params->against && c < job->rig.camera_count; c++) {
        eval_view *v = &job->views[c];
        bool end = false;
        if (!kn_video_reader_next(v->other_reader, v->other, NULL, &end, error)) return false;
        if (end)
            return kn_fail(error, KN_ERROR_INPUT, "%s: its clip is shorter than that of %s", job->params->against,
                           job->params->folder);
        kn_view_facts here = facts_of(job, c, now);
        kn_measure_variety(&job->measures[CLIP], &here, v->rgb[CLIP][now], v->other);
    }
    return true;
}

/* `inside`: where the frame and its shuffled stand-in lie in the block. */
static bool measure_frame(eval_job *job, size_t frame, const size_t inside[2], kn_error *error) {
    int now = (int)(frame & 1), variants = job->params->no_beauty ? BEAUTY : VARIANTS;
    for (int c = 0; c < job->rig.camera_count; c++) {
        kn_view_facts here = facts_of(job, c, now), before = facts_of(job, c, !now);
        for (int k = 0; k < variants; k++) {
            kn_measure *m = &job->measures[k];
            uint8_t *const *rgb = job->views[c].rgb[k];
            if (frame > 0) kn_measure_warp(m, &here, &before, rgb[now], rgb[!now]);
            kn_measure_detail(m, here.camera, rgb[now]);
            if (!kn_measure_colours(m, &here, c, rgb[now], error)) return false;
            const eval_view *v = &job->views[c];
            if (job->segmenter)
                kn_measure_classes(m, &here, k == BEAUTY ? v->beauty_classes : v->classes + inside[k] * v->pixels);
            int next = job->neighbours[c][1];
            if (next < 0 || next == c) continue;
            kn_view_facts there = facts_of(job, next, now);
            /* Shuffled cameras are each taken at another time, else the overlap would still be right. */
            const uint8_t *other = k == SHUFFLED ? job->views[next].rgb[CLIP][now] : job->views[next].rgb[k][now];
            kn_measure_overlap(m, &here, &there, rgb[now], other);
            if (!kn_measure_epipolar(m, &here, &there, rgb[now], other, error)) return false;
        }
    }
    return true;
}

static bool measure_clip(eval_job *job, kn_error *error) {
    size_t block = 0;
    int variants = job->params->no_beauty ? BEAUTY : VARIANTS;
    for (size_t frame = 0; frame < job->frames; frame++) {
        size_t inside = frame % BLOCK;
        if (inside == 0) {
            block = kn_min_size(BLOCK, job->frames - frame);
            if (!read_block(job, block, error)) return false;
        }
        if (!kn_frame_facts_read(&job->facts, job->scene, frame, error)) return false;
        for (int c = 0; c < job->rig.camera_count; c++) {
            eval_view *v = &job->views[c];
            if (!draw_view(job, c, frame, error)) return false;
            memcpy(v->rgb[CLIP][frame & 1], v->block + inside * 3 * v->pixels, 3 * v->pixels);
            memcpy(v->rgb[SHUFFLED][frame & 1], v->block + shuffled_index(inside, block) * 3 * v->pixels,
                   3 * v->pixels);
        }
        if (!measure_frame(job, frame, (size_t[]){inside, shuffled_index(inside, block)}, error) ||
            !measure_variety(job, (int)(frame & 1), error))
            return false;
        if (frame == 0) keep_first(job, 0);
        else if (frame + 1 == job->frames) measure_last(job, (int)(frame & 1), variants);
        if (job->params->progress &&
            !job->params->progress(job->params->progress_user, "measure", frame + 1, job->frames))
            return kn_fail(error, KN_ERROR_CANCELLED, "stopped");
    }
    return true;
}

static void close_job(eval_job *job) {
    for (int c = 0; c < KN_RIG_MAX_CAMERAS; c++) {
        eval_view *v = &job->views[c];
        for (int i = 0; i < 2; i++) {
            kn_free(v->depth[i]);
            kn_free(v->instance[i]);
            for (int k = 0; k < VARIANTS; k++) kn_free(v->rgb[k][i]);
        }
        kn_free(v->motion);
        kn_free(v->beauty);
        kn_free(v->block);
        kn_free(v->semantic);
        kn_free(v->classes);
        kn_free(v->beauty_classes);
        kn_video_reader_destroy(&v->reader);
        kn_video_reader_destroy(&v->other_reader);
        for (int k = 0; k < VARIANTS; k++) kn_free(v->first_rgb[k]);
        kn_free(v->first_depth);
        kn_free(v->first_instance);
        kn_free(v->other);
    }
    for (int k = 0; k < VARIANTS; k++) kn_free(job->measures[k].tracks);
    kn_frame_facts_finish(&job->facts);
    kn_segmenter_destroy(&job->segmenter);
    kn_renderer_destroy(&job->renderer);
    kn_scene_destroy(&job->scene);
    kn_gpu_destroy(&job->gpu);
    kn_free(job->scene_path);
    kn_free(job->parameters);
    kn_free(job);
}

bool kn_drive_eval(const kn_drive_eval_params *params, kn_drive_eval_report *report, kn_error *error) {
    eval_job *job = kn_alloc(1, sizeof *job, error);
    if (!job) return false;
    job->params = params;
    bool ok = read_job(job, error) && kn_gpu_create(&job->gpu, &params->gpu, error) &&
              kn_scene_create(&job->scene, job->scene_path, &job->scene_params, &params->log, error);
    if (ok && kn_scene_frame_count(job->scene) < job->frames)
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: the scenario ends before the clip", job->scene_path);
    kn_renderer_params renderer = {.rain_seed = job->scene_params.seed, .beauty_samples = 4};
    ok = ok && kn_renderer_create(&job->renderer, job->gpu, job->scene, &renderer, error);
    ok = ok && (!params->segmenter || kn_segmenter_create(&job->segmenter, job->gpu, params->segmenter, error));
    if (ok) kn_rig_neighbours(&job->rig, job->neighbours);
    for (int c = 0; ok && c < job->rig.camera_count; c++) ok = open_view(job, c, error);
    ok = ok && measure_clip(job, error);
    if (ok)
        *report = (kn_drive_eval_report){.frames = job->frames,
                                         .cameras = (size_t)job->rig.camera_count,
                                         .has_beauty = !params->no_beauty,
                                         .clip = kn_measure_score(&job->measures[CLIP]),
                                         .shuffled = kn_measure_score(&job->measures[SHUFFLED]),
                                         .beauty = kn_measure_score(&job->measures[BEAUTY])};
    close_job(job);
    return ok;
}
