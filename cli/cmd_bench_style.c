/* kinora bench style: a whole restyling of a drawn film, timed by stage. */
#include "base/tree.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "pipelines/style/style_job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static double cpu_now(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static double peak_megabytes(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)use.ru_maxrss / 1024;
}

/* A wall of coloured panels that pans, and a disc that swings before it. */
static void draw(int width, int height, int64_t frame, float *planes) {
    size_t pixels = (size_t)width * (size_t)height;
    double pan = 2.5 * (double)frame, disc_x = width * (0.5 + 0.3 * sin(0.1 * (double)frame)), disc_y = 0.5 * height;
    for (size_t i = 0; i < pixels; i++) {
        double x = (double)(i % (size_t)width), y = (double)(i / (size_t)width);
        uint64_t panel = kn_hash64((uint64_t)((x + pan) / 48) << 20 | (uint64_t)(y / 40)),
                 grain = kn_hash64((uint64_t)((x + pan) / 3) << 20 | (uint64_t)(y / 3) | 1ull << 50);
        bool disc = hypot(x - disc_x, y - disc_y) < 0.15 * height;
        for (size_t c = 0; c < 3; c++) {
            double base = disc ? 0.8 - 0.2 * (double)c : (double)(panel >> (8 * c) & 255) / 400;
            planes[c * pixels + i] = (float)(0.1 + base + 0.1 * (double)(grain >> 8 & 255) / 255);
        }
    }
}

static bool write_film(const char *path, const int size[2], int frames, kn_error *error) {
    kn_film_writer *writer = NULL;
    kn_film_params params = {
        .width = size[0], .height = size[1], .channels = 3, .rate = {24, 1}, .codec = KN_FILM_FFV1, .depth = 8};
    float *planes = kn_alloc(3 * (size_t)size[0] * (size_t)size[1], sizeof *planes, error);
    bool ok = planes && kn_film_writer_create(&writer, path, &params, error);
    for (int64_t i = 0; ok && i < frames; i++) {
        draw(size[0], size[1], i, planes);
        ok = kn_film_writer_add(writer, &(kn_film_frame){.planes = planes, .index = i, .time = i}, error);
    }
    ok = ok && kn_film_writer_commit(writer, error);
    kn_film_writer_destroy(&writer);
    kn_free(planes);
    return ok;
}

static void print_report(const kn_style_report *r, double cpu) {
    double frames = (double)r->frames, total = r->load + r->follow + r->paint + r->write;
    printf("device          %s\nframes          %lld of %d x %d, painted at %d x %d\n", r->device, (long long)r->frames,
           r->width, r->height, r->painted_width, r->painted_height);
    printf("load            %8.2f s\n", r->load);
    if (r->details) printf("follow          %8.2f s   %d details\n", r->follow, r->details);
    printf("paint           %8.2f s   %.2f frames/s\nwrite           %8.2f s   %.2f frames/s\n", r->paint,
           frames / r->paint, r->write, frames / r->write);
    printf("total           %8.2f s   %.2f frames/s\n", total, frames / total);
    printf("processor time  %8.2f s   %.2f cores busy, %.2f s a frame\n", cpu, cpu / total, cpu / frames);
    printf("peak memory     %8.1f MB of the process, %.1f MB on the device\n", peak_megabytes(),
           (double)r->device_peak / 1e6);
}

static bool bench(kn_style_job *job, const char *folder, const int size[2], int frames, kn_error *error) {
    char film[100], output[100];
    kn_style_report report = {0};
    kn_progress progress;
    snprintf(film, sizeof film, "%s/film.mkv", folder);
    snprintf(output, sizeof output, "%s/out.mkv", folder);
    if (!job->input && !write_film(film, size, frames, error)) return false;
    if (!job->input) job->input = film;
    job->output = output;
    kn_progress_init(&progress, KN_PROGRESS_AUTO, 1);
    progress.noun = "frames";
    job->log = job->load.log = job->gpu.log = (kn_log){kn_progress_log, &progress, KN_LOG_WARNING};
    job->progress = kn_progress_report, job->progress_user = &progress;
    double cpu = cpu_now();
    bool ok = kn_style_run(job, &report, error);
    kn_progress_finish(&progress);
    if (ok) print_report(&report, cpu_now() - cpu);
    return ok;
}

int kn_cmd_bench_style(int argc, char **argv) {
    kn_error error = {0};
    char folder[64], model[1024];
    int count = 0, frames = 20, size[2] = {640, 360};
    kn_style_job job = {.look = "anime",
                        .clip = KN_CLIP_PARAMS_DEFAULT,
                        .height = 480,
                        .codec = KN_FILM_FFV1,
                        .gpu = KN_GPU_PARAMS_DEFAULT};
    job.clip.grain = -1, job.clip.lock = 0.6f;
    const kn_option table[] = {
        {"--frames", KN_OPTION_INT, &frames, 1, 100000, NULL, "N", "of the drawn film (20)", 0},
        {"--size", KN_OPTION_SIZE, size, 16, 8192, NULL, "WxH", "of the drawn film (640x360)", 0},
        {"--look", KN_OPTION_TEXT, &job.look, 0, 0, NULL, "NAME", "of the model's (anime)", 0},
        {"--model", KN_OPTION_TEXT, &job.model, 0, 0, NULL, "PATH", "(kinora-style)", 0},
        {"--steps", KN_OPTION_INT, &job.clip.steps, 1, 500, NULL, "N", "(the model's)", 0},
        {"--protect", KN_OPTION_TEXT, &job.protect, 0, 0, NULL, "FILE", "details, as style takes them", 0},
        {"--no-flow", KN_OPTION_FLAG, &job.no_flow, 0, 0, NULL, NULL, "motion is not looked for", 0},
        {"--device", KN_OPTION_TEXT, &job.gpu.device, 0, 0, NULL, "D", "number or part of the name", 0},
    };
    if (!kn_options_parse(table, KN_COUNT(table), argc, argv, &job.input, 1, &count, &error))
        return kn_cmd_fail(&error);
    if (!job.model) {
        kn_find_model("kinora-style", model, sizeof model);
        job.model = model;
    }
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/kinora-bench-XXXXXX",
             temporary && strlen(temporary) <= 40 ? temporary : "/tmp");
    if (!mkdtemp(folder)) {
        kn_fail(&error, KN_ERROR_IO, "%s: cannot make a temporary folder", folder);
        return kn_cmd_fail(&error);
    }
    job.gpu.tuning_folder = kn_tuning_folder();
    bool ok = bench(&job, folder, size, frames, &error);
    kn_remove_tree(folder, NULL);
    return ok ? 0 : kn_cmd_fail(&error);
}
