/* Joins the drawings, the shape sampler and the surface. */
#include "pipelines/design/design_internal.h"

#include <math.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- input ------------------------------------------------------------------------------------ */

static void keep_warning(void *user, kn_log_level level, const char *line) {
    kn_design *d = user;
    if (level == KN_LOG_WARNING && d->warning_count < KN_DESIGN_WARNINGS &&
        (d->warnings[d->warning_count] = kn_strdup(line, NULL)))
        d->warning_count++;
    kn_log_line(&d->job->log, level, "%s", line);
}

static void list_classes(const kn_shape_classes *classes, char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < classes->count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", classes->items[i].name);
}

static bool find_class(kn_design *d, kn_error *error) {
    const kn_design_job *job = d->job;
    char known[512];
    char *path = kn_path_join(job->model, "shape.json", error);
    bool ok = path && kn_shape_classes_read(&d->classes, path, error);
    kn_free(path);
    if (!ok) return false;
    list_classes(&d->classes, known, sizeof known);
    d->kind = job->kind ? kn_shape_class_named(&d->classes, job->kind)
                        : kn_shape_class_in(&d->classes, job->prompt ? job->prompt : "");
    if (!d->kind && job->kind)
        return kn_fail(error, KN_ERROR_INPUT, "--class %.60s: expected one of %s", job->kind, known);
    if (!d->kind)
        return kn_fail(error, KN_ERROR_INPUT, "the prompt names no class: say what is drawn with --class, one of %s",
                       known);
    snprintf(d->result->kind, sizeof d->result->kind, "%s", d->kind->name);
    return true;
}

static bool read_drawings(kn_design *d, kn_error *error) {
    const kn_design_job *job = d->job;
    if (job->drawing_count < 1 || job->drawing_count > KN_SHAPE_MAX_VIEWS)
        return kn_fail(error, KN_ERROR_INPUT, "%d drawings: expected 1 to %d", job->drawing_count, KN_SHAPE_MAX_VIEWS);
    if (!(d->drawings = kn_alloc((size_t)job->drawing_count, sizeof *d->drawings, error))) return false;
    for (int i = 0; i < job->drawing_count; i++) {
        kn_drawing_view views[KN_VIEW_CANDIDATES];
        if (job->views[i] && !kn_drawing_views(job->views[i], views))
            return kn_fail(error, KN_ERROR_INPUT,
                           "--view %.60s: expected front, rear, side, left, right, top, three-quarter, "
                           "rear-three-quarter or AZ,EL in degrees (-360..360, -20..90)",
                           job->views[i]);
        if (!kn_image_read(&d->pages[i], job->drawings[i], 3, error) ||
            !kn_drawing_read(&d->drawings[i], &d->pages[i], job->drawings[i], &d->log, error))
            return false;
        d->poses[i].drawing = &d->drawings[i];
    }
    return true;
}

/* --- sampler ---------------------------------------------------------------------------------- */

/* The prompt where it names the class, else the class's own word before it. */
static char *caption(const kn_design *d, kn_error *error) {
    const char *prompt = d->job->prompt ? d->job->prompt : "";
    if (kn_shape_class_in(&d->classes, prompt) == d->kind) return kn_strdup(prompt, error);
    return kn_format(error, "%s%s%s", d->kind->word, *prompt ? ", " : "", prompt);
}

static bool open_sampler(kn_design *d, kn_error *error) {
    const kn_design_job *job = d->job;
    const int *size = d->classes.size;
    kn_model_params load = KN_MODEL_PARAMS_DEFAULT;
    load.log = d->log;
    if (!kn_gpu_create(&d->gpu, &job->gpu, error) || !kn_model_load(&d->model, d->gpu, job->model, &load, error))
        return false;
    int sample = (1 + KN_SHAPE_BITS) * size[1], condition = 2 * size[1];
    if (kn_field_channels(d->model) != sample || kn_field_condition_channels(d->model) != condition)
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: the UNet samples %d channels under %d, expected %d under %d for the grid of shape.json",
                       job->model, kn_field_channels(d->model), kn_field_condition_channels(d->model), sample,
                       condition);
    char *prompt = caption(d, error);
    bool ok =
        prompt && kn_field_sampler_create(&d->sampler, d->model, &(kn_field_params){size[0], size[2], prompt}, error);
    kn_free(prompt);
    return ok && (d->condition = kn_alloc(kn_shape_condition_floats(size), sizeof(float), error)) &&
           (d->sample = kn_alloc(kn_shape_sample_floats(size), sizeof(float), error));
}

/* Runs one step for a view of one drawing and judges it. */
static bool try_view(kn_design *d, int drawing, kn_drawing_view view, double *iou, kn_error *error) {
    kn_drawing_pose pose = {&d->drawings[drawing], view};
    kn_field_input input = {.condition = d->condition, .seed = d->job->seed, .steps = d->job->steps, .one = true};
    return kn_shape_condition(d->condition, d->kind, d->classes.size, &pose, 1, NULL, error) &&
           kn_field_sample(d->sampler, &input, d->sample, error) &&
           kn_shape_agreement(d->sample, d->kind, d->classes.size, &pose, iou, error);
}

static bool find_view(kn_design *d, int drawing, kn_error *error) {
    const kn_design_job *job = d->job;
    kn_drawing_view views[KN_VIEW_CANDIDATES];
    int count = kn_drawing_views(job->views[drawing], views), best = 0;
    double highest = -1, second = -1;
    for (int i = 0; i < count && count > 1; i++) {
        double iou;
        if (!try_view(d, drawing, views[i], &iou, error)) return false;
        if (iou > highest) second = highest, highest = iou, best = i;
        else if (iou > second) second = iou;
        if (job->progress && !job->progress(job->progress_user, "view", (uint64_t)i + 1, (uint64_t)count))
            return kn_fail(error, KN_ERROR_CANCELLED, "stopped");
    }
    d->poses[drawing].view = d->result->views[drawing] = views[best];
    d->result->view_given[drawing] = count == 1;
    if (count > 1)
        kn_log_line(&d->log, KN_LOG_INFO, "%s: seen from azimuth %.0f, elevation %.0f degrees (agrees by %.2f)",
                    job->drawings[drawing], views[best].azimuth * 180 / M_PI, views[best].elevation * 180 / M_PI,
                    highest);
    if (count > 1 && highest < 0.6)
        kn_log_line(&d->log, KN_LOG_WARNING,
                    "%s: no viewpoint fits well (agrees by %.2f): is it a %s? --view says where it is seen from",
                    job->drawings[drawing], highest, d->kind->word);
    return true;
}

static bool pull(void *user, const kn_field_step *step, float *clean, kn_error *error) {
    const kn_design *d = user;
    if (100 * step->index >= d->job->pull_until * step->count) return true;
    return kn_shape_pull(clean, d->kind, d->classes.size, d->poses, d->job->drawing_count, d->job->pull, error);
}

/* Twice: the first sample says how large the object is, which places the drawings better. */
static bool sample_shape(kn_design *d, kn_error *error) {
    const kn_design_job *job = d->job;
    double lengths[3], *box = NULL;
    kn_field_input input = {.condition = d->condition,
                            .seed = job->seed,
                            .steps = job->steps,
                            .objective = job->pull > 0 ? pull : NULL,
                            .user = d,
                            .progress = job->progress,
                            .progress_user = job->progress_user};
    for (int pass = 0; pass < 2; pass++) {
        if (!kn_shape_condition(d->condition, d->kind, d->classes.size, d->poses, job->drawing_count, box, error) ||
            !kn_field_sample(d->sampler, &input, d->sample, error))
            return false;
        if (!kn_shape_box(d->sample, d->kind, d->classes.size, lengths)) break;
        box = lengths;
    }
    return true;
}

/* --- surface ---------------------------------------------------------------------------------- */

static bool make_surface(kn_design *d, kn_error *error) {
    kn_shape_params params = d->job->shape;
    if (!params.paint && d->job->prompt && kn_shape_paint(d->job->prompt, d->paint)) params.paint = d->paint;
    if (!d->kind->symmetric) params.flat = true;
    if (!kn_shape_surface(&d->surface, &d->materials, d->sample, d->kind, d->classes.size, &params, error) ||
        !kn_surface_measure(d->surface, &d->result->facts, error))
        return false;
    if (!d->result->facts.manifold || !d->result->facts.outward || d->result->facts.components != 1)
        return kn_fail(error, KN_ERROR_INTERNAL, "the surface is not one closed shell");
    for (int i = 0; i < d->job->drawing_count; i++) {
        double *iou = &d->result->agreement[i];
        if (!kn_surface_agreement(d->surface, &d->poses[i], iou, error)) return false;
        if (*iou < 0.75)
            kn_log_line(
                &d->log, KN_LOG_WARNING,
                "%s: the shape's silhouette agrees with the drawing by %.2f only: another class (%s now), --view "
                "or --seed may fit better",
                d->job->drawings[i], *iou, d->kind->name);
    }
    return true;
}

static void finish(kn_design *d) {
    kn_surface_destroy(&d->surface);
    kn_shape_materials_free(d->materials);
    kn_field_sampler_destroy(&d->sampler);
    kn_model_destroy(&d->model);
    kn_gpu_destroy(&d->gpu);
    kn_free(d->condition), kn_free(d->sample), kn_free(d->drawings);
    for (int i = 0; i < KN_SHAPE_MAX_VIEWS; i++) kn_image_finish(&d->pages[i]);
    for (int i = 0; i < d->warning_count; i++) kn_free(d->warnings[i]);
    kn_shape_classes_finish(&d->classes);
}

bool kn_design_run(const kn_design_job *job, kn_design_result *result, kn_error *error) {
    kn_design d = {.job = job, .result = result};
    d.log = (kn_log){keep_warning, &d, KN_LOG_DEBUG};
    *result = (kn_design_result){0};
    double began = now();
    bool ok = kn_design_try(job, error) && find_class(&d, error) && read_drawings(&d, error) && open_sampler(&d, error);
    for (int i = 0; ok && i < job->drawing_count; i++) ok = find_view(&d, i, error);
    ok = ok && sample_shape(&d, error) && make_surface(&d, error);
    result->seconds = now() - began;
    ok = ok && kn_design_write(&d, error);
    finish(&d);
    return ok;
}
