#include "cli/commands.h"
#include "cli/progress.h"
#include "diffusion/bench/bench.h"
#include "base/tree.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char *const groups[] = {"gemm", "conv", "attention", "norm"};
static const char *const networks[] = {"unet", "vae", "encode", "text"};

static void print_help(void) {
    puts("usage: kinora bench gemm conv attention norm [--untuned] [--device D]     network kernels on the networks' "
         "shapes\n"
         "       kinora bench unet|vae|encode|text [--model M] [--size WxH] [--batch N] [--repeats N] [--untuned] "
         "[--device D]    a network of a model\n"
         "       kinora bench drive [SCENE] [OPTIONS OF drive]          a whole job, in a temporary folder unless -o "
         "is given\n"
         "       kinora bench mesh [VIDEO|FOLDER] [--cameras FILE] [--frames N] [--rounds N] [--texture N] "
         "[--triangles N] [--device D]\n"
         "       kinora bench style [FILM] [--frames N] [--size WxH] [--look NAME] [--model M] [--steps N] [--protect "
         "FILE] [--no-flow] [--device D]    a whole restyling, of a drawn film unless one is given");
}

static void print_kernel(void *user, const kn_bench_result *r) {
    (void)user;
    double cpu = r->cpu > 0 ? r->flops / r->cpu * 1e-9 : 0;
    printf("%-10s %-44s %8.2f ms %8.1f GFLOP/s %7.1f GB/s %8.1f GFLOP/s per CPU s  compile %.2f s\n", r->group,
           r->shape, r->wall * 1e3, r->flops / r->wall * 1e-9, r->bytes / r->wall * 1e-9, cpu, r->compile);
    fflush(stdout);
}

static int bench_kernels(int argc, char **argv) {
    kn_error error = {0};
    kn_gpu_params params = KN_GPU_PARAMS_DEFAULT;
    bool untuned = false;
    const kn_option table[] = {
        {"--device", KN_OPTION_TEXT, &params.device, 0, 0, NULL, "D", "number or part of the name", 0},
        {"--validation", KN_OPTION_FLAG, &params.validation, 0, 0, NULL, NULL, "Vulkan validation layers", 0},
        {"--untuned", KN_OPTION_FLAG, &untuned, 0, 0, NULL, NULL, "with the built-in constants", 0},
    };
    const char *names[8];
    int count = 0;
    if (!kn_options_parse(table, KN_COUNT(table), argc, argv, names, (int)KN_COUNT(names), &count, &error))
        return kn_cmd_fail(&error);
    for (int i = 0; i < count; i++) {
        bool known = false;
        for (size_t g = 0; g < KN_COUNT(groups); g++) known = known || strcmp(groups[g], names[i]) == 0;
        if (!known) {
            kn_fail(&error, KN_ERROR_INPUT,
                    "bench %s: expected drive, style, mesh, unet, vae, encode, text, gemm, conv, attention or norm",
                    names[i]);
            return kn_cmd_fail(&error);
        }
    }
    kn_gpu *gpu = NULL;
    params.tuning_folder = untuned ? NULL : kn_tuning_folder();
    params.log = (kn_log){kn_progress_log, NULL, KN_LOG_WARNING};
    bool ok = kn_gpu_create(&gpu, &params, &error);
    if (ok) printf("device: %s\n", kn_gpu_get_info(gpu)->name);
    for (int i = 0; ok && i < count; i++) ok = kn_bench_kernels(gpu, names[i], print_kernel, NULL, &error);
    kn_gpu_destroy(&gpu);
    return ok ? 0 : kn_cmd_fail(&error);
}

static void print_network(const kn_bench_network_params *p, const kn_bench_network *r) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("%-8s %dx%d, batch %d%s\n", p->network, p->width, p->height, p->batch,
           strcmp(p->network, "unet") ? ""
           : p->batch == 2            ? " (one picture with guidance: cond and uncond)"
                                      : "");
    printf("load            %8.2f s   %s\nfirst run       %8.2f s\n", r->load,
           strcmp(p->network, "unet") ? "this network" : "the whole model, one network after the other", r->first);
    printf("run             %8.2f s   %.3f TFLOP, %.1f GFLOP/s\n", r->wall, r->flops * 1e-12,
           r->flops / r->wall * 1e-9);
    printf("processor time  %8.2f s   %.1f GFLOP/s per CPU s\n", r->cpu, r->flops / r->cpu * 1e-9);
    printf("peak memory     %8.1f MB of the process, %.1f MB on the device, %.1f MB of them activations\n",
           (double)use.ru_maxrss * 1024e-6, (double)r->device * 1e-6, (double)r->arena * 1e-6);
    for (size_t i = 0; i < r->kind_count; i++) {
        const kn_bench_kind *k = &r->kinds[i];
        printf("  %-32s %5llu launches %9.1f ms", k->label, (unsigned long long)k->launches, k->seconds * 1e3);
        if (k->flops > 0) printf(" %8.1f GFLOP/s", k->flops / k->seconds * 1e-9);
        printf("\n");
    }
}

static int bench_network(const char *network, int argc, char **argv) {
    kn_error error = {0};
    kn_gpu_params params = KN_GPU_PARAMS_DEFAULT;
    const char *model = NULL;
    char path[1024];
    bool untuned = false;
    int size[2] = {256, 256}, batch = strcmp(network, "unet") == 0 || strcmp(network, "text") == 0 ? 2 : 1, repeats = 3;
    const kn_option table[] = {
        {"--device", KN_OPTION_TEXT, &params.device, 0, 0, NULL, "D", "number or part of the name", 0},
        {"--model", KN_OPTION_TEXT, &model, 0, 0, NULL, "M", "folder or file", 0},
        {"--size", KN_OPTION_SIZE, size, 8, 8192, NULL, "WxH", "pixels", 0},
        {"--batch", KN_OPTION_INT, &batch, 1, 64, NULL, "N", "pictures or prompts", 0},
        {"--repeats", KN_OPTION_INT, &repeats, 1, 100, NULL, "N", "timed runs", 0},
        {"--untuned", KN_OPTION_FLAG, &untuned, 0, 0, NULL, NULL, "with the built-in constants", 0},
    };
    if (!kn_options_parse(table, KN_COUNT(table), argc, argv, NULL, 0, &(int){0}, &error)) return kn_cmd_fail(&error);
    if (model) snprintf(path, sizeof path, "%s", model);
    else kn_find_model("kinora-nano", path, sizeof path);
    kn_bench_network_params bench = {
        .network = network, .model = path, .width = size[0], .height = size[1], .batch = batch, .repeats = repeats};
    kn_bench_network result;
    kn_gpu *gpu = NULL;
    params.tuning_folder = untuned ? NULL : kn_tuning_folder();
    params.log = (kn_log){kn_progress_log, NULL, KN_LOG_WARNING};
    bool ok = kn_gpu_create(&gpu, &params, &error);
    if (ok) printf("device: %s\n", kn_gpu_get_info(gpu)->name);
    ok = ok && kn_bench_run_network(gpu, &bench, &result, &error);
    if (ok) print_network(&bench, &result);
    kn_gpu_destroy(&gpu);
    return ok ? 0 : kn_cmd_fail(&error);
}

static double seconds(struct timeval t) { return (double)t.tv_sec + 1e-6 * (double)t.tv_usec; }

static void print_report(const kn_drive_report *r) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    double cpu = seconds(use.ru_utime) + seconds(use.ru_stime), pictures = (double)(r->frames * r->cameras);
    printf("device          %s\nframes          %zu x %zu cameras\n", r->device, r->frames, r->cameras);
    printf("setup           %8.2f s\nrender          %8.2f s\nsample          %8.2f s\nsegments        %8.2f s\nencode "
           "         %8.2f s\n",
           r->setup, r->render, r->sample, r->segments, r->finish);
    printf("total           %8.2f s   %.3f s per picture\n", r->total, pictures > 0 ? r->total / pictures : 0);
    printf("processor time  %8.2f s   %.2f cores busy\n", cpu, r->total > 0 ? cpu / r->total : 0);
    printf("peak memory     %8.1f MB of the process, %.1f MB on the device\n", (double)use.ru_maxrss / 1024,
           (double)r->device_peak / 1e6);
}

/* The shipped sample, looked for like the models. */
static void find_sample(char *path, size_t size) {
    char models[1024];
    kn_find_model("", models, sizeof models);
    snprintf(path, size, "%s/../samples/drive/cut-in.xosc", models[0] ? models : ".");
}

static int bench_drive(int argc, char **argv) {
    kn_drive_return_memory();
    kn_error error = {0};
    kn_drive_options values;
    kn_option table[KN_DRIVE_OPTION_CAPACITY];
    size_t option_count = kn_drive_option_table(&values, table);
    char sample[1200], folder[64] = "";
    const char *scene = NULL;
    int scenes = 0;
    values.default_frames = 16;
    if (!kn_options_parse(table, option_count, argc, argv, &scene, 1, &scenes, &error) ||
        !kn_drive_options_apply(&values, &error))
        return kn_cmd_fail(&error);
    if (values.help) {
        print_help();
        return 0;
    }
    find_sample(sample, sizeof sample);
    values.params.scene = scene ? scene : sample;
    if (!values.params.output) {
        const char *temporary = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%.40s/kinora-bench-XXXXXX",
                 temporary && strlen(temporary) <= 40 ? temporary : "/tmp");
        if (!mkdtemp(folder)) {
            kn_fail(&error, KN_ERROR_IO, "%s: cannot make a temporary folder", folder);
            return kn_cmd_fail(&error);
        }
        values.params.output = folder;
    }
    kn_progress progress;
    kn_progress_init(&progress, (kn_progress_style)values.progress, 1000);
    values.params.log = values.params.gpu.log = (kn_log){kn_progress_log, &progress, KN_LOG_WARNING};
    values.params.progress = kn_progress_report;
    values.params.progress_user = &progress;
    kn_drive_report report = {0};
    bool ok = kn_drive(&values.params, &report, &error);
    kn_progress_finish(&progress);
    if (ok) print_report(&report);
    if (folder[0]) kn_remove_tree(folder, NULL);
    return ok ? 0 : kn_cmd_fail(&error);
}

int kn_cmd_bench(int argc, char **argv) {
    if (argc == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        print_help();
        return argc == 0 ? 2 : 0;
    }
    for (size_t i = 0; i < KN_COUNT(networks); i++)
        if (strcmp(argv[0], networks[i]) == 0) return bench_network(argv[0], argc - 1, argv + 1);
    if (strcmp(argv[0], "style") == 0) return kn_cmd_bench_style(argc - 1, argv + 1);
    if (strcmp(argv[0], "mesh") == 0) return kn_cmd_bench_mesh(argc - 1, argv + 1);
    return strcmp(argv[0], "drive") == 0 ? bench_drive(argc - 1, argv + 1) : bench_kernels(argc, argv);
}
