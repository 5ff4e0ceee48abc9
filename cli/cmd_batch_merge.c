#include "cli/batch_verbs.h"

#include "cli/commands.h"
#include "cli/progress.h"
#include "pipelines/dataset/merge.h"

#include <string.h>

int kn_batch_merge_command(int argc, char **argv) {
    kn_error error = {0};
    kn_merge_params params = {.val_share = .2};
    const char *folders[256];
    int count = 0, style = KN_PROGRESS_AUTO;
    bool help = false;
    const kn_option table[] = {
        {"--output", KN_OPTION_TEXT, &params.output, 0, 0, NULL, "DIR", "the dataset's folder (merged/ in the batch's)",
         'o'},
        {"--formats", KN_OPTION_SET, &params.formats, 0, 0, "nuscenes|coco|kitti|cityscapes", "LIST", "(all)", 0},
        {"--val", KN_OPTION_NUMBER, &params.val_share, 0, 1, NULL, "SHARE", "of the scenarios, for validation (0.2)",
         0},
        {"--progress", KN_OPTION_CHOICE, &style, 0, 0, "auto|json|off", "P", "bar on stderr, or JSON lines on stdout",
         0},
        {"--help", KN_OPTION_FLAG, &help, 0, 0, NULL, NULL, "this text", 'h'},
    };
    if (!kn_options_parse(table, KN_COUNT(table), argc, argv, folders, (int)KN_COUNT(folders), &count, &error))
        return kn_cmd_fail(&error);
    if (help) {
        puts("usage: kinora batch merge DIR... [-o DATASET] [OPTIONS]\nOne dataset out of the finished driving clips "
             "of batches. See docs/batch.md.\n");
        kn_options_print(table, KN_COUNT(table), stdout);
        return 0;
    }
    if (count == 0)
        kn_fail(&error, KN_ERROR_INPUT, "batch merge needs the folder of a batch; see kinora batch merge --help");
    else if (count > 1 && !params.output)
        kn_fail(&error, KN_ERROR_INPUT, "batch merge of several folders needs an output folder: -o DIR");
    char *output = error.kind      ? NULL
                   : params.output ? kn_strdup(params.output, &error)
                                   : kn_path_join(folders[0], "merged", &error);
    if (!output) return kn_cmd_fail(&error);
    kn_progress progress;
    kn_progress_init(&progress, (kn_progress_style)style, 1);
    progress.noun = "clips";
    params.folders = folders;
    params.folder_count = (size_t)count;
    params.output = output;
    params.log = (kn_log){kn_progress_log, &progress, KN_LOG_WARNING};
    params.progress = kn_progress_report;
    params.progress_user = &progress;
    kn_merge_report r;
    bool ok = kn_merge(&params, &r, &error);
    kn_progress_finish(&progress);
    if (ok && style != KN_PROGRESS_OFF) {
        fprintf(stderr, "kinora: %zu clips in %s, %zu to train and %zu to validate", r.clips, output, r.train, r.val);
        if (r.without_maps)
            fprintf(stderr, "; %zu without label images are not in coco and cityscapes", r.without_maps);
        if (r.other_verbs) fprintf(stderr, "; %zu items are no driving clips and stay where they are", r.other_verbs);
        fputc('\n', stderr);
    }
    kn_free(output);
    return ok ? 0 : kn_cmd_fail(&error);
}
