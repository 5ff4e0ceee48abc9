#include "cli/batch_cluster.h"
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
    const char *output, *shard, *slurm, *aws, *image, *volume;
    size_t shards, at_a_time, max_failures;
    int jobs, retry, progress;
    double timeout, stop_after, lease;
    bool dry_run, again, kubernetes, submit, quiet, verbose, help;
} batch_options;

enum { TABLE_SIZE = 32 };

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
        {"--slurm", KN_OPTION_TEXT, &v->slurm, 1, 1, NULL, "OPTIONS",
         "write DIR/cluster for Slurm, with these options of sbatch (\"\": none)", 0},
        {"--submit", KN_OPTION_FLAG, &v->submit, 0, 0, NULL, NULL, "and submit it", 0},
        {"--kubernetes", KN_OPTION_FLAG, &v->kubernetes, 0, 0, NULL, NULL, "write DIR/cluster for Kubernetes", 0},
        {"--aws", KN_OPTION_TEXT, &v->aws, 0, 0, NULL, "QUEUE", "write DIR/cluster for AWS Batch", 0},
        {"--image", KN_OPTION_TEXT, &v->image, 0, 0, NULL, "NAME", "container image (see Containerfile)", 0},
        {"--volume", KN_OPTION_TEXT, &v->volume, 0, 0, NULL, "NAME:/PATH",
         "claim or EFS id that manifest and DIR lie on, and its place", 0},
        {"--array-limit", KN_OPTION_COUNT, &v->at_a_time, 1, 1000000, NULL, "N", "shards that run at a time (all)", 0},
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

/* "--partition gpu --array-limit 64": our own option may stand among those of sbatch. Cuts it out of `options`. */
static bool take_array_limit(char *options, size_t *limit, kn_error *error) {
    static const char name[] = "--array-limit";
    char *at = strstr(options, name);
    int used = 0;
    if (!at) return true;
    if (sscanf(at + strlen(name), "%*[ =]%zu%n", limit, &used) != 1 || *limit < 1)
        return kn_fail(error, KN_ERROR_INPUT, "--slurm: --array-limit: expected a number from 1");
    memmove(at, at + strlen(name) + used, strlen(at + strlen(name) + used) + 1);
    return true;
}

/* What the cluster's processes are told beside manifest, folder and shards. */
static int hand_on(const batch_options *v, char *flags[16], char numbers[8][32]) {
    int count = 0, n = 0;
    const struct {
        const char *name;
        double value, otherwise;
    } all[] = {{"--jobs", v->jobs, 1},
               {"--retry", v->retry, 2},
               {"--timeout", v->timeout, 0},
               {"--stop-after", v->stop_after, 0},
               {"--lease", v->lease, 120},
               {"--max-failures", v->max_failures == SIZE_MAX ? -1 : (double)v->max_failures, -1}};
    for (size_t i = 0; i < KN_COUNT(all); i++) {
        if (all[i].value == all[i].otherwise) continue;
        flags[count++] = (char *)(uintptr_t)all[i].name;
        snprintf(numbers[n], 32, "%.10g", all[i].value);
        flags[count++] = numbers[n++];
    }
    return count;
}

static int write_cluster(const batch_options *v, const char *manifest, const kn_batch_plan *plan) {
    char *flags[16], numbers[8][32], *path = NULL;
    kn_error error = {0};
    char *options = kn_strdup(v->slurm ? v->slurm : "", &error);
    kn_cluster_job job = {.manifest = manifest,
                          .folder = v->output,
                          .shards = v->shards          ? v->shards
                                    : plan->count < 64 ? plan->count
                                                       : 64,
                          .at_a_time = v->at_a_time,
                          .options = options,
                          .image = v->image,
                          .volume = v->volume,
                          .queue = v->aws,
                          .flags = flags,
                          .flag_count = hand_on(v, flags, numbers)};
    bool ok = options && take_array_limit(options, &job.at_a_time, &error);
    if (ok && job.shards > plan->count)
        ok = kn_fail(&error, KN_ERROR_INPUT, "--shards %zu: there are only %zu items", job.shards, plan->count);
    ok = ok && (v->slurm        ? kn_cluster_write_slurm(&job, v->submit, &path, &error)
                : v->kubernetes ? kn_cluster_write_kubernetes(&job, &path, &error)
                                : kn_cluster_write_aws(&job, &path, &error));
    if (ok && !v->quiet && !v->submit)
        fprintf(stderr, "kinora: %zu shards of %zu items; %s %s\n", job.shards, plan->count,
                v->kubernetes ? "kubectl create -f" : "look at it, then run", path);
    kn_free(path);
    kn_free(options);
    return ok ? 0 : kn_cmd_fail(&error);
}

static bool check_cluster(const batch_options *v, kn_error *error) {
    int kinds = (v->slurm != NULL) + v->kubernetes + (v->aws != NULL);
    if (kinds > 1) return kn_fail(error, KN_ERROR_INPUT, "choose one of --slurm, --kubernetes and --aws");
    if (v->submit && !v->slurm) return kn_fail(error, KN_ERROR_INPUT, "--submit goes with --slurm only");
    if (kinds && (v->shard || !v->output || v->dry_run))
        return kn_fail(error, KN_ERROR_INPUT, "a cluster needs -o DIR, and neither --shard nor --dry-run");
    return true;
}

int kn_cmd_batch(int argc, char **argv) {
    if (argc == 1 && strcmp(argv[0], "worker") == 0) return kn_batch_worker();
    if (argc > 0 && strcmp(argv[0], "merge") == 0) return kn_batch_merge_command(argc - 1, argv + 1);
    if (argc > 0 && strcmp(argv[0], "status") == 0) return kn_batch_status_command(argc - 1, argv + 1);
    kn_error error = {0};
    batch_options v = {.jobs = 1, .retry = 2, .max_failures = SIZE_MAX, .lease = 120};
    kn_option table[TABLE_SIZE];
    size_t count = batch_table(&v, table), shard = 0, shards = 1;
    const char *manifest = NULL;
    int manifests = 0;
    if (!kn_options_parse(table, count, argc, argv, &manifest, 1, &manifests, &error)) return kn_cmd_fail(&error);
    if (v.help) {
        print_help(table, count);
        return 0;
    }
    if (!manifest) kn_fail(&error, KN_ERROR_INPUT, "batch needs a manifest or a sweep; see kinora batch --help");
    else if (!v.output && !v.dry_run) kn_fail(&error, KN_ERROR_INPUT, "batch needs an output folder: -o DIR");
    bool cluster = v.slurm || v.kubernetes || v.aws;
    if (error.kind || !check_cluster(&v, &error)) return kn_cmd_fail(&error);
    if (!cluster && !kn_batch_find_shard(v.shard, v.shards, &shard, &shards, &error)) return kn_cmd_fail(&error);
    kn_batch_plan plan;
    if (!kn_batch_plan_init(&plan, manifest, &error)) return kn_cmd_fail(&error);
    int code;
    if (!kn_batch_check_options(&plan, &error)) code = kn_cmd_fail(&error);
    else if (v.dry_run)
        code = kn_batch_dry_run(&plan, shard, shards, v.output, !v.quiet, &error) ? 0 : kn_cmd_fail(&error);
    else code = cluster ? write_cluster(&v, manifest, &plan) : run(&v, &plan, shard, shards);
    kn_batch_plan_finish(&plan);
    return code;
}
