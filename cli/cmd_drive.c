#include "cli/commands.h"
#include "cli/progress.h"

#include <string.h>

static void print_help(const kn_option *table, size_t count) {
    puts("usage: kinora drive SCENE -o DIR [OPTIONS]\n"
         "Generates the camera videos of a scenario (.xosc or Kinora's .json) with exact labels.\n"
         "Started again after a kill with the same options, it goes on where it stood.\n");
    kn_options_print(table, count, stdout);
}

int kn_cmd_drive(int argc, char **argv) {
    kn_drive_return_memory();
    kn_error error = {0};
    kn_drive_options values;
    kn_option table[KN_DRIVE_OPTION_CAPACITY];
    size_t count = kn_drive_option_table(&values, table);
    const char *scene = NULL;
    int scenes = 0;
    if (!kn_options_parse(table, count, argc, argv, &scene, 1, &scenes, &error)) return kn_cmd_fail(&error);
    if (values.help) {
        print_help(table, count);
        return 0;
    }
    kn_drive_params *params = &values.params;
    if (scenes == 0) kn_fail(&error, KN_ERROR_INPUT, "drive needs a scene file; see kinora drive --help");
    else if (!params->output) kn_fail(&error, KN_ERROR_INPUT, "drive needs an output folder: -o DIR");
    if (error.kind || !kn_drive_options_apply(&values, &error)) return kn_cmd_fail(&error);
    char *command = kn_command_line("kinora drive", argc, argv, &error);
    if (!command) return kn_cmd_fail(&error);
    kn_progress progress;
    char *preview = kn_path_join(params->output, "preview.jpg", &error);
    kn_progress_init(&progress, (kn_progress_style)values.progress, 1000);
    progress.preview = preview;
    params->scene = scene;
    params->command = command;
    params->log = (kn_log){kn_progress_log, &progress,
                           values.quiet     ? KN_LOG_ERROR
                           : values.verbose ? KN_LOG_DEBUG
                                            : KN_LOG_WARNING};
    params->gpu.log = params->log;
    params->progress = kn_progress_report;
    params->progress_user = &progress;
    kn_drive_report report = {0};
    bool ok = kn_drive(params, &report, &error);
    kn_progress_finish(&progress);
    kn_free(command);
    kn_free(preview);
    if (!ok) return kn_cmd_fail(&error);
    if (report.already_complete && !values.quiet)
        fprintf(stderr, "kinora: %s: this job is complete already; --overwrite makes it again\n", params->output);
    else if (!values.quiet)
        fprintf(stderr, "kinora: %zu frames of %zu cameras in %s, %.1f s on %s%s\n", report.frames, report.cameras,
                params->output, report.total, report.device,
                values.shortened && report.frames == params->frames ? "; --frames all for the whole scenario" : "");
    return 0;
}
