/* From files to kn_paint and back to files. */
#include "base/picture.h"
#include "pipelines/common/aigc.h"
#include "pipelines/image/image_job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

typedef struct image_run {
    const kn_image_job *job;
    kn_gpu *gpu;
    kn_model *model;
    kn_paint_params paint;
    float *init, *mask, *controls[KN_MAX_CONTROLS], *rgb;
    char names[KN_MAX_CONTROLS][64];
} image_run;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- inputs ----------------------------------------------------------------------------------- */

/* The output must be possible before minutes are spent on it. */
/* ".png", ".jpg" or ".jpeg"; NULL: another ending. */
static const char *ending_of(const char *path) {
    static const char *const endings[] = {".png", ".jpg", ".jpeg"};
    size_t length = strlen(path);
    for (size_t i = 0; i < KN_COUNT(endings); i++) {
        size_t own = strlen(endings[i]);
        if (length > own && strcasecmp(path + length - own, endings[i]) == 0) return path + length - own;
    }
    return NULL;
}

static bool check_output(const char *path, kn_error *error) {
    if (!ending_of(path)) return kn_fail(error, KN_ERROR_INPUT, "%s: expected a name that ends in .png or .jpg", path);
    return kn_file_try(path, error);
}

/* The name that kn_model_load gives to the ControlNet of a path: its last part without the ending. */
static void controlnet_name(const char *path, char name[64]) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    const char *begin = path + length;
    while (begin > path && begin[-1] != '/') begin--;
    size_t size = (size_t)(path + length - begin);
    snprintf(name, 64, "%.*s", (int)(size < 63 ? size : 63), begin);
    char *dot = strrchr(name, '.');
    if (dot && dot > name) *dot = 0;
}

/* ControlNets are found by name: two different ones must not share it. */
static bool check_names(const image_run *run, kn_error *error) {
    for (int i = 0; i < run->job->control_count; i++) {
        for (int j = 0; j < i; j++) {
            const char *a = run->job->controls[i].model, *b = run->job->controls[j].model;
            if (strcmp(run->names[i], run->names[j]) != 0 || (a == b) || (a && b && strcmp(a, b) == 0)) continue;
            return kn_fail(error, KN_ERROR_INPUT, "%s and %s are both called '%s': rename one of them",
                           b ? b : run->job->model, a ? a : run->job->model, run->names[i]);
        }
    }
    return true;
}

static bool load_model(image_run *run, kn_error *error) {
    const kn_image_job *job = run->job;
    kn_model_params params = job->load;
    params.controlnet_count = 0;
    params.residency = KN_RESIDENCY_ONE;
    for (int i = 0; i < job->control_count; i++) {
        bool listed = false;
        snprintf(run->names[i], sizeof run->names[i], "%s", job->controls[i].name);
        if (!job->controls[i].model) continue;
        controlnet_name(job->controls[i].model, run->names[i]);
        for (int j = 0; j < params.controlnet_count; j++)
            listed = listed || strcmp(params.controlnets[j], job->controls[i].model) == 0;
        if (!listed) params.controlnets[params.controlnet_count++] = job->controls[i].model;
    }
    return check_names(run, error) && kn_gpu_create(&run->gpu, &job->gpu, error) &&
           kn_model_load(&run->model, run->gpu, job->model, &params, error);
}

/* The size asked for, else that of the picture to start from cut to what the model can paint, else 512 x 512. */
static bool choose_size(image_run *run, kn_error *error) {
    int factor = kn_model_get_info(run->model)->latent_factor;
    if (run->paint.width) return true;
    run->paint.width = run->paint.height = 512;
    if (!run->job->init) return true;
    if (!kn_image_size(run->job->init, &run->paint.width, &run->paint.height, error)) return false;
    run->paint.width -= run->paint.width % factor;
    run->paint.height -= run->paint.height % factor;
    if (run->paint.width && run->paint.height) return true;
    return kn_fail(error, KN_ERROR_INPUT, "%s: smaller than the model's cells of %d x %d pixels; name a --size",
                   run->job->init, factor, factor);
}

static int control_channels(const kn_model_info *info, const char *name) {
    for (int i = 0; i < info->control_count; i++)
        if (strcmp(info->control_names[i], name) == 0) return info->control_channels[i];
    return 0;
}

static bool load_pictures(image_run *run, kn_error *error) {
    const kn_image_job *job = run->job;
    const kn_model_info *info = kn_model_get_info(run->model);
    int w = run->paint.width, h = run->paint.height;
    if (job->init && !kn_image_load(&run->init, job->init, 3, w, h, error)) return false;
    if (job->mask && !kn_image_load(&run->mask, job->mask, 1, w, h, error)) return false;
    run->paint.init = run->init;
    run->paint.mask = run->mask;
    for (int i = 0; i < job->control_count; i++) {
        const kn_image_control *control = &job->controls[i];
        int channels = control_channels(info, run->names[i]);
        if (channels == 0)
            return kn_fail(error, KN_ERROR_INPUT,
                           "%s: has no ControlNet called '%.60s'; name its file with --control-model", job->model,
                           run->names[i]);
        if (channels != 3)
            return kn_fail(error, KN_ERROR_UNSUPPORTED, "control '%.60s' takes %d channels, not a picture",
                           run->names[i], channels);
        if (!kn_image_load(&run->controls[i], control->picture, 3, w, h, error)) return false;
        run->paint.controls[i] = (kn_paint_control){run->names[i], run->controls[i], (float)control->strength,
                                                    (float)control->start, (float)control->end};
    }
    run->paint.control_count = job->control_count;
    return true;
}

/* --- outputs ---------------------------------------------------------------------------------- */

/* A1111's names, which other tools read back. */
static const char *sampler_title(const char *name) {
    static const char *const titles[][2] = {{"euler", "Euler"},
                                            {"euler-a", "Euler a"},
                                            {"heun", "Heun"},
                                            {"dpm++2m", "DPM++ 2M"},
                                            {"dpm++2m-sde", "DPM++ 2M SDE"},
                                            {"ddim", "DDIM"},
                                            {"unipc", "UniPC"},
                                            {"lcm", "LCM"},
                                            {"flow", "Euler flow"}};
    for (size_t i = 0; i < KN_COUNT(titles); i++)
        if (strcmp(titles[i][0], name) == 0) return titles[i][1];
    return name;
}

/* Prompt and settings of picture `index` as A1111 writes them; freed with kn_free. */
static char *parameters_of(const image_run *run, int index, kn_error *error) {
    static const char *const spacings[] = {"Automatic", "Uniform", "Leading", "Trailing", "Karras", "Exponential"};
    const kn_paint_params *p = &run->paint;
    const char *base = strrchr(run->job->model, '/');
    char strength[64] = "", clip[32] = "", negative_head[] = "\nNegative prompt: ";
    if (p->init) snprintf(strength, sizeof strength, ", Denoising strength: %g", (double)p->strength);
    if (p->clip_skip > 1) snprintf(clip, sizeof clip, ", Clip skip: %d", p->clip_skip);
    bool negative = p->negative && *p->negative;
    return kn_format(error,
                     "%s%s%s\nSteps: %d, Sampler: %s, Schedule type: %s, CFG scale: %g, Seed: %llu, Size: %dx%d, "
                     "Model: %s%s%s, RNG: %s, Version: kinora %s",
                     p->prompt ? p->prompt : "", negative ? negative_head : "", negative ? p->negative : "",
                     p->steps ? p->steps : kn_model_get_info(run->model)->default_steps,
                     sampler_title(kn_paint_method_name(run->model, p->method)), spacings[p->spacing],
                     (double)p->guidance, (unsigned long long)(p->seed + (uint64_t)index), p->width, p->height,
                     base && base[1] ? base + 1 : run->job->model, strength, clip, p->cuda_noise ? "NV" : "CPU",
                     KINORA_VERSION);
}

static char *output_name(const image_run *run, int index, kn_error *error) {
    const char *output = run->job->output;
    if (run->paint.batch == 1) return kn_strdup(output, error);
    const char *ending = ending_of(output);
    return kn_format(error, "%.*s-%d%s", (int)(ending - output), output, index, ending);
}

static bool write_picture(const image_run *run, int index, kn_image *image, kn_error *error) {
    size_t area = (size_t)image->width * (size_t)image->height;
    const float *planar = run->rgb + (size_t)index * 3 * area;
    for (size_t i = 0; i < 3 * area; i++) image->data[i] = (uint8_t)lrintf(planar[i % 3 * area + i / 3] * 255);
    char hash[65], aigc[KN_AIGC_SIZE], *parameters = parameters_of(run, index, error),
                                       *path = parameters ? output_name(run, index, error) : NULL;
    bool ok = path != NULL;
    if (ok) {
        kn_sha256_hex(parameters, strlen(parameters), hash);
        kn_aigc_text(hash, aigc);
        const char *const texts[][2] = {{"parameters", parameters}, {"AIGC", aigc}};
        ok = strcasecmp(ending_of(path), ".png") == 0 ? kn_image_write_png_text(image, path, texts, 2, error)
                                                      : kn_image_write_jpeg_text(image, path, 95, texts, 2, error);
    }
    kn_free(parameters);
    kn_free(path);
    return ok;
}

/* --- whole ------------------------------------------------------------------------------------ */

static bool paint(image_run *run, kn_image_report *report, kn_error *error) {
    double began = now();
    if (!check_output(run->job->output, error) || !load_model(run, error) || !choose_size(run, error) ||
        !load_pictures(run, error))
        return false;
    report->load = now() - began;
    began = now();
    size_t area = (size_t)run->paint.width * (size_t)run->paint.height;
    kn_image image;
    if (!(run->rgb = kn_alloc((size_t)run->paint.batch * 3 * area, sizeof *run->rgb, error)) ||
        !kn_paint(run->model, &run->paint, run->rgb, error) ||
        !kn_image_init(&image, run->paint.width, run->paint.height, 3, error))
        return false;
    report->paint = now() - began;
    bool ok = true;
    for (int i = 0; ok && i < run->paint.batch; i++) ok = write_picture(run, i, &image, error);
    kn_image_finish(&image);
    return ok;
}

bool kn_image_run(const kn_image_job *job, kn_image_report *report, kn_error *error) {
    image_run run = {.job = job, .paint = job->paint};
    kn_image_report own = {0};
    bool ok = paint(&run, &own, error);
    if (run.gpu) {
        uint64_t present;
        kn_gpu_memory_use(run.gpu, &present, &own.device_peak);
        snprintf(own.device, sizeof own.device, "%s", kn_gpu_get_info(run.gpu)->name);
    }
    own.pictures = run.paint.batch, own.width = run.paint.width, own.height = run.paint.height;
    if (report) *report = own;
    kn_model_destroy(&run.model);
    kn_gpu_destroy(&run.gpu);
    for (int i = 0; i < KN_MAX_CONTROLS; i++) kn_free(run.controls[i]);
    kn_free(run.init);
    kn_free(run.mask);
    kn_free(run.rgb);
    return ok;
}
