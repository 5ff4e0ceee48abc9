/* kinora bench mesh: a whole reconstruction, timed by stage. */
#include "cli/commands.h"
#include "cli/progress.h"
#include "base/tree.h"
#include "pipelines/mesh/mesh_job.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

typedef struct stages {
    char name[32];
    double wall, cpu; /* when it began */
} stages;

static double wall_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double cpu_now(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

/* Prints the stage that ends when another begins. */
static bool follow(void *user, const char *stage, uint64_t done, uint64_t total) {
    stages *s = user;
    (void)done, (void)total;
    if (strcmp(stage, s->name) == 0) return true;
    double wall = wall_now(), cpu = cpu_now();
    if (s->name[0]) printf("%-15s %8.2f s   %8.2f s of processors\n", s->name, wall - s->wall, cpu - s->cpu);
    fflush(stdout);
    snprintf(s->name, sizeof s->name, "%s", stage);
    s->wall = wall, s->cpu = cpu;
    return true;
}

/* The shipped orbit, looked for like the models. */
static void find_sample(char *video, char *cameras, size_t size) {
    char models[1024];
    kn_find_model("", models, sizeof models);
    snprintf(video, size, "%s/../samples/mesh/orbit.mp4", models[0] ? models : ".");
    snprintf(cameras, size, "%s/../samples/mesh/transforms.json", models[0] ? models : ".");
}

static int run(kn_mesh_job *job, kn_error *error) {
    stages s = {0};
    kn_mesh_result result;
    job->params.progress = follow, job->params.progress_user = &s;
    double wall = wall_now(), cpu = cpu_now();
    follow(&s, "pictures", 0, 1);
    if (!kn_mesh_run(job, &result, error)) return kn_cmd_fail(error);
    follow(&s, "", 0, 1);
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    double total = wall_now() - wall, busy = cpu_now() - cpu;
    printf("%-15s %8.2f s   %8.2f s of processors, %.2f cores busy\n", "total", total, busy,
           total > 0 ? busy / total : 0);
    printf("peak memory     %8.1f MB\nframes          %8zu\ntriangles       %8zu\n", (double)use.ru_maxrss / 1024,
           result.frames, result.facts.triangles);
    return 0;
}

int kn_cmd_bench_mesh(int argc, char **argv) {
    kn_error error = {0};
    char video[1200], cameras[1200], folder[64], output[96];
    const char *input = NULL;
    int count = 0, texture = 1024, triangles = 60000;
    kn_mesh_job job = {.params = KN_SURFACE_PARAMS_DEFAULT};
    const kn_option table[] = {
        {"--cameras", KN_OPTION_TEXT, &job.cameras, 0, 0, NULL, "FILE",
         "of the given video or folder (the shipped sample)", 0},
        {"--frames", KN_OPTION_INT, &job.frames, 3, 2000, NULL, "N", "use at most so many", 0},
        {"--rounds", KN_OPTION_INT, &job.params.rounds, 0, 4, NULL, "N", "of stereo (2)", 0},
        {"--texture", KN_OPTION_INT, &texture, 64, 8192, NULL, "PIXELS", "(1024)", 0},
        {"--triangles", KN_OPTION_INT, &triangles, 0, 50000000, NULL, "N", "(60000)", 0},
        {"--device", KN_OPTION_TEXT, &job.gpu.device, 0, 0, NULL, "D", "number or part of the name", 0},
    };
    if (!kn_options_parse(table, KN_COUNT(table), argc, argv, &input, 1, &count, &error)) return kn_cmd_fail(&error);
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/kinora-bench-XXXXXX",
             temporary && strlen(temporary) <= 40 ? temporary : "/tmp");
    if (!mkdtemp(folder)) {
        kn_fail(&error, KN_ERROR_IO, "%s: cannot make a temporary folder", folder);
        return kn_cmd_fail(&error);
    }
    find_sample(video, cameras, sizeof video);
    snprintf(output, sizeof output, "%s/object.glb", folder);
    job.input = input ? input : job.cameras ? NULL : video;
    if (!job.cameras && !input) job.cameras = cameras;
    job.params.texture = texture, job.params.triangles = (size_t)triangles;
    job.params.log = job.gpu.log = (kn_log){kn_progress_log, NULL, KN_LOG_WARNING};
    job.outputs[job.output_count++] = output;
    int code = run(&job, &error);
    kn_remove_tree(folder, NULL);
    return code;
}
