#include "cli/commands.h"
#include "cli/progress.h"

#include <string.h>

static void print_help(const kn_option *table, size_t count) {
    puts("usage: kinora drive SCENE -o DIR [OPTIONS]\n"
         "Generates the camera videos of a scenario (.xosc or Kinora's .json) with exact labels.\n"
         "Started again after a kill with the same options, it goes on where it stood.\n");
    kn_options_print(table, count, stdout);
}

static void say_done(const kn_drive_options *values, const kn_drive_report *report) {
    const kn_drive_params *params = &values->params;
    if (values->quiet) return;
    if (report->already_complete)
        fprintf(stderr, "kinora: %s: this job is complete already; --overwrite makes it again\n", params->output);
    else
        fprintf(stderr, "kinora: %zu frames of %zu cameras in %s, %.1f s on %s%s\n", report->frames, report->cameras,
                params->output, report->total, report->device,
                values->shortened && report->frames == params->frames ? "; --frames all for the whole scenario" : "");
}

/* One clip into params.output. */
static bool run_clip(kn_drive_options *values, kn_error *error) {
    kn_drive_params *params = &values->params;
    kn_progress progress;
    kn_drive_report report = {0};
    char *preview = kn_path_join(params->output, "preview.jpg", error);
    if (!preview) return false;
    kn_progress_init(&progress, (kn_progress_style)values->progress, 1000);
    progress.preview = preview;
    params->log = (kn_log){kn_progress_log, &progress,
                           values->quiet     ? KN_LOG_ERROR
                           : values->verbose ? KN_LOG_DEBUG
                                             : KN_LOG_WARNING};
    params->gpu.log = params->log;
    params->progress = kn_progress_report;
    params->progress_user = &progress;
    bool ok = kn_drive(params, &report, error);
    kn_progress_finish(&progress);
    kn_free(preview);
    if (ok) say_done(values, &report);
    return ok;
}

/* One clip after the other, each in a folder of its own. */
static bool run_seeds(kn_drive_options *values, kn_error *error) {
    const char *output = values->params.output;
    bool ok = true;
    for (uint64_t seed = values->seed_range[0]; ok && seed <= values->seed_range[1]; seed++) {
        char name[40];
        snprintf(name, sizeof name, "seed-%llu", (unsigned long long)seed);
        char *folder = kn_path_join(output, name, error);
        values->params.output = folder;
        values->params.appearance = seed;
        ok = folder && run_clip(values, error);
        kn_free(folder);
    }
    values->params.output = output;
    return ok;
}

/* argv without what may come several times: into values. */
static int run(kn_drive_options *values, int argc, char **argv, const char *command) {
    kn_error error = {0};
    kn_option table[KN_DRIVE_OPTION_CAPACITY];
    size_t count = kn_drive_option_table(values, table);
    kn_drive_params *params = &values->params;
    const char *scene = NULL;
    int scenes = 0;
    if (!kn_drive_take_repeated(params, &argc, argv, &error) ||
        !kn_options_parse(table, count, argc, argv, &scene, 1, &scenes, &error))
        return kn_cmd_fail(&error);
    if (values->help) {
        print_help(table, count);
        return 0;
    }
    if (scenes == 0) kn_fail(&error, KN_ERROR_INPUT, "drive needs a scene file; see kinora drive --help");
    else if (!params->output) kn_fail(&error, KN_ERROR_INPUT, "drive needs an output folder: -o DIR");
    if (error.kind || !kn_drive_options_apply(values, &error)) return kn_cmd_fail(&error);
    params->scene = scene;
    params->command = command;
    bool ok = values->seeds ? run_seeds(values, &error) : run_clip(values, &error);
    return ok ? 0 : kn_cmd_fail(&error);
}

int kn_cmd_drive(int argc, char **argv) {
    kn_drive_return_memory();
    kn_error error = {0};
    kn_drive_options values;
    char *command = kn_command_line("kinora drive", argc, argv, &error);
    if (!command) return kn_cmd_fail(&error);
    int code = run(&values, argc, argv, command);
    kn_free(command);
    return code;
}
