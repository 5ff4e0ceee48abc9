#include "cli/batch_dry_run.h"
#include "cli/batch_shard.h"
#include "cli/batch_verbs.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "pipelines/batch/run.h"

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Exit codes that schedulers tell apart (sysexits.h, and 128 + SIGTERM). */
enum { EXIT_BAD_INPUT = 65, EXIT_TEMPORARY = 75, EXIT_STOPPED = 143 };

typedef struct batch_options {
    const char *output, *shard, *slurm, *kubernetes, *aws;
    size_t shards, max_failures;
    int jobs, retry, progress;
    double timeout, stop_after, lease;
    bool dry_run, again, submit, quiet, verbose, help;
} batch_options;

enum { TABLE_SIZE = 24 };

static size_t batch_table(batch_options *v, kn_option table[TABLE_SIZE]) {
    const kn_option options[] = {
        {"--output", KN_OPTION_TEXT, &v->output, 0, 0, NULL, "DIR",
         "the dataset's folder; several processes may share it", 'o'},
        {"--jobs", KN_OPTION_INT, &v->jobs, 1, 1024, NULL, "N", "items at a time, each in a process of its own (1)",
         'j'},
        {"--shard", KN_OPTION_TEXT, &v->shard, 0, 0, NULL, "I/N",
         "only the I-th of N parts (the index of a Slurm, Kubernetes or AWS array)", 0},
        {"--shards", KN_OPTION_COUNT, &v->shards, 1, 1000000, NULL, "N", "parts in all, when only the index is known",
         0},
        {"--dry-run", KN_OPTION_FLAG, &v->dry_run, 0, 0, NULL, NULL, "list the items and what they cost; run nothing",
         0},
        {"--retry", KN_OPTION_INT, &v->retry, 0, 100, NULL, "N",
         "further tries after a failure that is the machine's (2)", 0},
        {"--again", KN_OPTION_FLAG, &v->again, 0, 0, NULL, NULL, "also run what failed for good before", 0},
        {"--max-failures", KN_OPTION_COUNT, &v->max_failures, 0, 1e9, NULL, "N",
         "stop when more items than that have failed (never)", 0},
        {"--timeout", KN_OPTION_NUMBER, &v->timeout, .01, 1e9, NULL, "SECONDS", "for one item (none)", 0},
        {"--stop-after", KN_OPTION_NUMBER, &v->stop_after, .01, 1e9, NULL, "SECONDS",
         "save and stop, as SIGTERM does (never)", 0},
        {"--lease", KN_OPTION_NUMBER, &v->lease, 1, 1e6, NULL, "SECONDS",
         "a silent process on another machine counts as dead after this (120)", 0},
        {"--progress", KN_OPTION_CHOICE, &v->progress, 0, 0, "auto|json|off", "P",
         "bar on stderr, or JSON lines on stdout", 0},
        {"--quiet", KN_OPTION_FLAG, &v->quiet, 0, 0, NULL, NULL, "errors only", 'q'},
        {"--verbose", KN_OPTION_FLAG, &v->verbose, 0, 0, NULL, NULL, "say more", 'v'},
        {"--help", KN_OPTION_FLAG, &v->help, 0, 0, NULL, NULL, "this text", 'h'},
    };
    _Static_assert(KN_COUNT(options) <= TABLE_SIZE, "the table is too small");
    memcpy(table, options, sizeof options);
    return KN_COUNT(options);
}

static void print_help(const kn_option *table, size_t count) {
    puts("usage: kinora batch SWEEP.yaml|JOBS.jsonl -o DIR [OPTIONS]    runs every job; started again, it goes on "
         "where it stood\n"
         "       kinora batch status DIR                               what is done, runs, failed, and why\n"
         "       kinora batch merge DIR... -o DATASET                  one dataset out of finished items\n"
         "Exit codes: 0 all done, 2 usage, 65 some items can never work, 75 some may work another time, 143 stopped.\n"
         "The format of manifests and how to run on a cluster: docs/batch.md.\n");
    kn_options_print(table, count, stdout);
}

static int print_report(const kn_batch_report *r, const char *folder, bool quiet) {
    if (!quiet) {
        fprintf(stderr, "kinora: %zu of %zu items done (%zu before) in %s, %.1f s", r->done, r->total, r->found, folder,
                r->seconds);
        if (r->refused) fprintf(stderr, ", %zu set aside", r->refused);
        if (r->failed) fprintf(stderr, ", %zu failed for good", r->failed);
        if (r->temporary) fprintf(stderr, ", %zu failed this time", r->temporary);
        if (r->left) fprintf(stderr, ", %zu left", r->left);
        fputc('\n', stderr);
    }
    if (r->stopped && r->left) return kn_progress_stop_signal() == SIGINT ? 130 : EXIT_STOPPED;
    return r->temporary || (r->left && !r->failed) ? EXIT_TEMPORARY : r->failed ? EXIT_BAD_INPUT : 0;
}

static int run(const batch_options *v, const kn_batch_plan *plan, size_t shard, size_t shards) {
    static char exe[PATH_MAX];
    char weights[1024], segmenter[1024];
    kn_error error = {0};
    kn_progress progress;
    ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
    char *worker[] = {exe, (char[]){"batch"}, (char[]){"worker"}, NULL};
    if (length <= 0) kn_fail(&error, KN_ERROR_IO, "/proc/self/exe: cannot be read");
    if (error.kind) return kn_cmd_fail(&error);
    kn_find_model("kinora-nano", weights, sizeof weights);
    kn_find_model("kinora-segmenter", segmenter, sizeof segmenter);
    kn_progress_init(&progress, (kn_progress_style)(v->quiet ? KN_PROGRESS_OFF : v->progress), 1000);
    progress.noun = "items";
    signal(SIGPIPE, SIG_IGN);
    kn_batch_run_params params = {.plan = plan,
                                  .folder = v->output,
                                  .worker = worker,
                                  .shard = shard,
                                  .shards = shards,
                                  .jobs = v->jobs,
                                  .retry = v->retry,
                                  .max_failures = v->max_failures,
                                  .timeout = v->timeout,
                                  .stop_after = v->stop_after,
                                  .lease = v->lease,
                                  .again = v->again,
                                  .weights = *weights ? weights : NULL,
                                  .segmenter = *segmenter ? segmenter : NULL,
                                  .log = {kn_progress_log, &progress,
                                          v->quiet     ? KN_LOG_ERROR
                                          : v->verbose ? KN_LOG_DEBUG
                                                       : KN_LOG_WARNING},
                                  .progress = kn_progress_report,
                                  .progress_user = &progress};
    kn_batch_report report = {0};
    bool ok = kn_batch_run(&params, &report, &error);
    kn_progress_finish(&progress);
    if (ok) return print_report(&report, v->output, v->quiet);
    kn_cmd_fail(&error);
    return error.kind == KN_ERROR_INPUT ? 2 : EXIT_TEMPORARY;
}

int kn_cmd_batch(int argc, char **argv) {
    if (argc == 1 && strcmp(argv[0], "worker") == 0) return kn_batch_worker();
    if (argc > 0 && strcmp(argv[0], "merge") == 0) return kn_batch_merge_command(argc - 1, argv + 1);
    if (argc > 0 && strcmp(argv[0], "status") == 0) return kn_batch_status_command(argc - 1, argv + 1);
    kn_error error = {0};
    batch_options v = {.jobs = 1, .retry = 2, .max_failures = SIZE_MAX, .lease = 120};
    kn_option table[TABLE_SIZE];
    size_t count = batch_table(&v, table), shard, shards;
    const char *manifest = NULL;
    int manifests = 0;
    if (!kn_options_parse(table, count, argc, argv, &manifest, 1, &manifests, &error)) return kn_cmd_fail(&error);
    if (v.help) {
        print_help(table, count);
        return 0;
    }
    if (!manifest) kn_fail(&error, KN_ERROR_INPUT, "batch needs a manifest or a sweep; see kinora batch --help");
    else if (!v.output && !v.dry_run) kn_fail(&error, KN_ERROR_INPUT, "batch needs an output folder: -o DIR");
    if (error.kind || !kn_batch_find_shard(v.shard, v.shards, &shard, &shards, &error)) return kn_cmd_fail(&error);
    kn_batch_plan plan;
    if (!kn_batch_plan_init(&plan, manifest, &error)) return kn_cmd_fail(&error);
    int code;
    if (!kn_batch_check_options(&plan, &error)) code = kn_cmd_fail(&error);
    else if (v.dry_run)
        code = kn_batch_dry_run(&plan, shard, shards, v.output, !v.quiet, &error) ? 0 : kn_cmd_fail(&error);
    else code = run(&v, &plan, shard, shards);
    kn_batch_plan_finish(&plan);
    return code;
}
