#include "pipelines/style/protect_job.h"
#include "pipelines/style/reference.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- input and output ------------------------------------------------------------------------- */

static bool read_info(kn_style *style, kn_error *error) {
    const kn_style_job *job = style->job;
    kn_film_reader *reader = NULL;
    if (!kn_film_reader_create(&reader, job->input, job->rate, error)) return false;
    style->info = *kn_film_reader_info(reader);
    kn_film_reader_destroy(&reader);
    style->report.width = style->info.width, style->report.height = style->info.height;
    if (style->info.interlaced)
        return kn_fail(error, KN_ERROR_UNSUPPORTED,
                       "%s: is interlaced; looks need whole frames: deinterlace it first (ffmpeg -vf bwdif)",
                       job->input);
    size_t pixels = (size_t)style->info.width * (size_t)style->info.height;
    return (style->planes = kn_alloc((size_t)style->info.channels * pixels, sizeof(float), error)) &&
           (style->seen = kn_alloc(3 * pixels, sizeof(float), error));
}

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* What ControlNets are to be shown must be known before anything is loaded. */
static bool check_controls(const kn_style *style, kn_error *error) {
    const float pixel[3] = {0};
    float shown[3];
    for (int i = 0; i < style->job->control_count; i++)
        if (!kn_annotate(style->job->controls[i].kind, pixel, 1, 1, shown, error)) return false;
    return true;
}

/* The output must be possible before minutes are spent on it. */
static bool check_output(kn_style *style, kn_error *error) {
    const kn_style_job *job = style->job;
    kn_film_writer *writer = NULL;
    if (same_file(job->input, job->output)) return kn_fail(error, KN_ERROR_INPUT, "%s: is the input, too", job->output);
    if (kn_file_exists(job->output) && !job->overwrite)
        return kn_fail(error, KN_ERROR_INPUT, "%s: is there already; --overwrite replaces it", job->output);
    bool ok = kn_style_writer(&writer, style, error) && (!style->protected || kn_protect_name_outputs(style, error));
    kn_film_writer_destroy(&writer);
    return ok;
}

/* --- what the job is known by ----------------------------------------------------------------- */

static void stamp(const char *path, char text[100]) {
    struct stat info = {0};
    if (stat(path, &info) != 0) text[0] = 0;
    else
        snprintf(text, 100, "%lld %lld.%09ld", (long long)info.st_size, (long long)info.st_mtim.tv_sec,
                 info.st_mtim.tv_nsec);
}

/* Files are known by their size and time of change. */
static bool find_hash(kn_style *style, kn_error *error) {
    const kn_style_job *job = style->job;
    const kn_clip_params *c = &job->clip;
    char input[100], model[100], reference[100], controls[1024] = "";
    size_t used = 0;
    stamp(job->input, input);
    stamp(job->model, model);
    stamp(job->reference ? job->reference : "", reference);
    for (int i = 0; i < job->control_count && used < sizeof controls; i++)
        used += (size_t)snprintf(controls + used, sizeof controls - used, "%s %s %g %g %g\n", job->controls[i].kind,
                                 job->controls[i].model, job->controls[i].strength, job->controls[i].start,
                                 job->controls[i].end);
    for (int i = 0; i < job->load.lora_count && used < sizeof controls; i++)
        used += (size_t)snprintf(controls + used, sizeof controls - used, "%s %g\n", job->load.loras[i].path,
                                 (double)job->load.loras[i].strength);
    char *protect = style->protected ? kn_protect_stamp(&style->protected->marks, error) : kn_strdup("", error);
    char *text = kn_format(
        error, "style 2\n%s %s\n%s %s\n%s %s\n%s\n%s\n%s\n%d %d %d %g %g %g %g %d %d %llu\n%d %d %d %d\n%s\n%s",
        job->input, input, job->model, model, job->reference ? job->reference : "", reference,
        job->look ? job->look : "", c->prompt ? c->prompt : "", c->negative ? c->negative : "", c->steps, c->method,
        c->spacing, (double)c->guidance, (double)c->strength, (double)c->lock, (double)c->grain, c->fresh_noise,
        c->fixed_noise, (unsigned long long)c->seed, job->height, job->no_flow, job->rate.num, job->rate.den, controls,
        protect ? protect : "");
    bool whole = protect != NULL;
    kn_free(protect);
    if (text) kn_sha256_hex(text, strlen(text), style->hash);
    kn_free(text);
    return text && whole && (style->work = kn_format(error, "%s.work", job->output));
}

static bool open_journal(kn_style *style, kn_error *error) {
    style->work_existed = kn_path_existing(style->work);
    return kn_make_directories(style->work, error) &&
           kn_journal_init(&style->journal, style->work, style->hash, style->job->overwrite, error);
}

/* --- whole ------------------------------------------------------------------------------------ */

static bool run(kn_style *style, kn_error *error) {
    const kn_style_job *job = style->job;
    double began = now();
    if (!check_controls(style, error) || !read_info(style, error) ||
        (job->protect && !kn_protect_create(style, error)) || (job->reference && !kn_reference_create(style, error)) ||
        !find_hash(style, error) || !check_output(style, error) || !kn_style_open(style, error) ||
        !open_journal(style, error))
        return false;
    style->report.painted_width = style->fit.to_width, style->report.painted_height = style->fit.to_height;
    snprintf(style->report.device, sizeof style->report.device, "%s", kn_gpu_get_info(style->gpu)->name);
    style->report.load = now() - began;
    began = now();
    if (style->protected && !kn_protect_track(style, error)) return false;
    style->report.follow = now() - began;
    began = now();
    if (!kn_style_paint(style, error)) return false;
    style->report.paint = now() - began;
    began = now();
    bool ok = kn_style_write(style, error);
    style->report.write = now() - began;
    return ok;
}

/* Work that cannot be gone on with is removed: that of a finished job, of a broken input, and of none. */
static void leave_work(kn_style *style, bool ok, const kn_error *error) {
    bool useless = ok || (error && error->kind == KN_ERROR_INPUT) || style->journal.chunks_done == 0;
    bool owned = style->journal.lock >= 0;
    kn_journal_finish(&style->journal);
    if (owned && useless) {
        kn_remove_tree(style->work, NULL);
        if (!ok) kn_remove_made_directories(style->work, style->work_existed);
    }
}

static void finish(kn_style *style) {
    float *buffers[] = {style->planes,    style->seen,   style->picture, style->before, style->motion,
                        style->confident, style->warped, style->painted, style->memory};
    for (size_t i = 0; i < KN_COUNT(buffers); i++) kn_free(buffers[i]);
    for (size_t i = 0; i < KN_COUNT(style->controls); i++) kn_free(style->controls[i]);
    kn_protect_destroy(&style->protected);
    kn_reference_destroy(&style->reference);
    kn_clip_destroy(&style->clip);
    kn_model_destroy(&style->model);
    kn_gpu_destroy(&style->gpu);
    kn_flow_destroy(&style->flow);
    kn_shots_destroy(&style->shots);
    kn_free(style->prompt);
    kn_free(style->work);
}

bool kn_style_run(const kn_style_job *job, kn_style_report *report, kn_error *error) {
    kn_error own = {0};
    kn_style style = {.job = job, .journal.lock = -1, .grain = 1, .work_existed = SIZE_MAX};
    bool ok = run(&style, error ? error : &own);
    if (style.gpu) {
        uint64_t present;
        kn_gpu_memory_use(style.gpu, &present, &style.report.device_peak);
    }
    if (report) *report = style.report;
    leave_work(&style, ok, error ? error : &own);
    finish(&style);
    return ok;
}
