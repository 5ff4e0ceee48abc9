#include "cli/commands.h"
#include "cli/progress.h"
#include "diffusion/bench/tune.h"

#include <stdio.h>

/* A constant that left its default. */
typedef struct table {
    double defaults[32];
    size_t count, at;
} table;

static void note_default(void *user, const char *name, double value) {
    table *t = user;
    (void)name;
    if (t->count < KN_COUNT(t->defaults)) t->defaults[t->count++] = value;
}

static void print_constant(void *user, const char *name, double value) {
    table *t = user;
    double before = t->at < t->count ? t->defaults[t->at] : value;
    t->at++;
    if (value == before) printf("  %-18s %g\n", name, value);
    else printf("  %-18s %g (built in: %g)\n", name, value, before);
}

static void print_report(const kn_tune_report *report) {
    table t = {.count = 0};
    kn_tuning_each(&KN_TUNING_DEFAULT, note_default, &t);
    for (size_t i = 0; i < report->gain_count; i++)
        printf("%-10s %8.2f ms with the built-in constants, %8.2f ms with these\n", report->gains[i].group,
               report->gains[i].before * 1e3, report->gains[i].after * 1e3);
    puts("constants:");
    kn_tuning_each(&report->tuning, print_constant, &t);
}

static bool tune(const kn_gpu_params *params, kn_progress *progress, bool dry, bool quiet, kn_error *error) {
    kn_gpu *gpu = NULL;
    kn_tune_report report;
    const char *folder = kn_tuning_folder();
    if (!folder) return kn_fail(error, KN_ERROR_INPUT, "no cache folder: set XDG_CACHE_HOME or HOME");
    bool ok = kn_gpu_create(&gpu, params, error) && kn_tune(gpu, &report, kn_progress_report, progress, error);
    kn_progress_finish(progress);
    char *path = ok ? kn_tuning_path(folder, kn_gpu_get_info(gpu), error) : NULL;
    ok = path && (dry || (kn_make_directories(folder, error) &&
                          kn_tuning_write(&report.tuning, path, kn_gpu_get_info(gpu), error)));
    if (ok && !quiet) {
        printf("device: %s, %s\n", kn_gpu_get_info(gpu)->name, kn_gpu_get_info(gpu)->driver);
        print_report(&report);
        if (!dry) printf("written: %s\n", path);
    }
    kn_free(path);
    kn_gpu_destroy(&gpu);
    return ok;
}

int kn_cmd_tune(int argc, char **argv) {
    kn_error error = {0};
    kn_gpu_params params = KN_GPU_PARAMS_DEFAULT;
    kn_progress progress;
    int style = KN_PROGRESS_AUTO;
    bool quiet = false, dry = false, help = false;
    const kn_option options[] = {
        {"--device", KN_OPTION_TEXT, &params.device, 0, 0, NULL, "D",
         "number or part of the name, see kinora info (the best)", 0},
        {"--dry-run", KN_OPTION_FLAG, &dry, 0, 0, NULL, NULL, "measure and show, write nothing", 0},
        {"--progress", KN_OPTION_CHOICE, &style, 0, 0, "auto|json|off", "P", "bar on stderr, or JSON lines on stdout",
         0},
        {"--quiet", KN_OPTION_FLAG, &quiet, 0, 0, NULL, NULL, "errors only", 'q'},
        {"--help", KN_OPTION_FLAG, &help, 0, 0, NULL, NULL, "this text", 'h'},
    };
    if (!kn_options_parse(options, KN_COUNT(options), argc, argv, NULL, 0, &(int){0}, &error))
        return kn_cmd_fail(&error);
    if (help) {
        puts("usage: kinora tune [OPTIONS]\n"
             "Measures which kernels and tiles suit this device, in about a minute; the other verbs use the result "
             "from then on.\n"
             "It is kept in XDG_CACHE_HOME/kinora/tune (~/.cache/kinora/tune), one file a device and driver; without "
             "it built-in constants hold.\n"
             "The machine should be idle. Pictures change in rounding at most.\n");
        kn_options_print(options, KN_COUNT(options), stdout);
        return 0;
    }
    kn_progress_init(&progress, quiet ? KN_PROGRESS_OFF : (kn_progress_style)style, 1);
    progress.noun = "shapes";
    params.log = (kn_log){kn_progress_log, &progress, KN_LOG_WARNING};
    return tune(&params, &progress, dry, quiet, &error) ? 0 : kn_cmd_fail(&error);
}
