/* Running batches with verbs that cost nothing (batch_worker.c): what survives kills, full disks, bad items and dead
 * machines. */
#define _GNU_SOURCE
#include "pipelines/batch/run.h"
#include "pipelines/batch/store.h"
#include "tests/pipeline/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

TestSuite(batch, .init = make_folder, .fini = remove_folder, .timeout = 300);

static const char scene_text[] = "{\"generate\": {\"kind\": \"town\", \"seed\": 1}}";

static char *worker[] = {KINORA_BATCH_WORKER, NULL, NULL};

/* Writes the scenes and a manifest: `good` items, then one for each further name. */
static void make_plan(kn_batch_plan *plan, int good, const char *const *others, int other_count, const char *extra) {
    kn_error error = {0};
    FILE *file = fopen(at("jobs.jsonl"), "w");
    for (int i = 0; i < good + other_count; i++) {
        char name[40];
        snprintf(name, sizeof name, "scene%03d.json", i);
        if (i >= good) snprintf(name, sizeof name, "%s.json", others[i - good]);
        cr_assert(kn_file_write(at(name), scene_text, sizeof scene_text - 1, &error));
        fprintf(file, "{\"scene\": \"%s\", \"name\": \"item%03d\", \"seed\": %d, \"weather\": \"rain\"%s}\n", name, i,
                i, extra);
    }
    fclose(file);
    cr_assert(kn_batch_plan_init(plan, at("jobs.jsonl"), &error), "%s", error.message);
}

static kn_batch_run_params defaults(const kn_batch_plan *plan, const char *folder_name) {
    static char outputs[16][200];
    static int next;
    return (kn_batch_run_params){.plan = plan,
                                 .folder = strcpy(outputs[next++ % 16], at(folder_name)),
                                 .worker = worker,
                                 .shards = 1,
                                 .jobs = 2,
                                 .retry = 1,
                                 .max_failures = SIZE_MAX,
                                 .lease = 120};
}

static kn_batch_report run(const kn_batch_run_params *params) {
    kn_error error = {0};
    kn_batch_report report;
    cr_assert(kn_batch_run(params, &report, &error), "%s", error.message);
    return report;
}

static size_t count_files(const char *path) {
    DIR *dir = opendir(path);
    size_t count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    if (dir) closedir(dir);
    return count;
}

/* Everything that must be the same however it was run: the items' files, and nothing left over. */
static void expect_complete(const char *folder_name, int items) {
    for (int i = 0; i < items; i++)
        for (int step = 0; step < 6; step++) {
            char name[100], expected[100];
            uint8_t *data;
            size_t size;
            kn_error error = {0};
            snprintf(name, sizeof name, "%s/items/item%03d/step%d.txt", folder_name, i, step);
            snprintf(expected, sizeof expected, "step %d seed %d weather rain\n", step, i);
            cr_assert(kn_file_read(at(name), 1000, &data, &size, &error), "%s", error.message);
            cr_assert_str_eq((char *)data, expected);
            kn_free(data);
        }
    char name[100];
    snprintf(name, sizeof name, "%s/items", folder_name);
    cr_assert_eq(count_files(at(name)), (size_t)items);
    static const char *const empty[] = {"state/claims", "state/work", "state/failed", "set-aside"};
    for (size_t i = 0; i < KN_COUNT(empty); i++) {
        snprintf(name, sizeof name, "%s/%s", folder_name, empty[i]);
        cr_assert_eq(count_files(at(name)), 0u, "%s: %zu left", name, count_files(at(name)));
    }
    snprintf(name, sizeof name, "%s/results.jsonl", folder_name);
    FILE *file = fopen(at(name), "r");
    int lines = 0;
    for (int c; (c = fgetc(file)) != EOF;) lines += c == '\n';
    fclose(file);
    cr_assert_eq(lines, items);
}

Test(batch, runs_and_resumes) {
    kn_batch_plan plan;
    make_plan(&plan, 12, NULL, 0, "");
    kn_batch_run_params params = defaults(&plan, "out");
    kn_batch_report r = run(&params);
    cr_assert(r.done == 12 && r.found == 0 && r.failed == 0);
    expect_complete("out", 12);
    r = run(&params);
    cr_assert(r.done == 12 && r.found == 12);
    /* Another content, and only the items that read it are made again. */
    const char *other = "{\"generate\": {\"kind\": \"town\", \"seed\": 2}}";
    cr_assert(kn_file_write(at("scene003.json"), other, strlen(other), NULL));
    r = run(&params);
    cr_assert(r.done == 12 && r.found == 11);
    /* A result that was damaged is made again, too. */
    cr_assert_eq(unlink(at("out/items/item005/step2.txt")), 0);
    r = run(&params);
    cr_assert(r.done == 12 && r.found == 11);
    expect_complete("out", 12);
    kn_batch_plan_finish(&plan);
}

Test(batch, a_thousand_finished_items_are_found) {
    kn_batch_plan plan;
    make_plan(&plan, 1000, NULL, 0, "");
    kn_batch_run_params params = defaults(&plan, "out");
    char *quick[] = {worker[0], (char[]){"0"}, NULL};
    params.worker = quick;
    cr_assert_eq(run(&params).done, 1000u);
    kn_batch_report r = run(&params);
    cr_assert(r.done == 1000 && r.found == 1000);
    kn_batch_plan_finish(&plan);
}

static pid_t start(const kn_batch_run_params *params) {
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_IGN);
        kn_batch_report report;
        _exit(kn_batch_run(params, &report, NULL) && report.left + report.failed + report.temporary == 0 ? 0 : 3);
    }
    return child;
}

static void sleep_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

Test(batch, twenty_five_kills_lose_and_double_nothing) {
    kn_batch_plan plan;
    make_plan(&plan, 30, NULL, 0, "");
    kn_batch_run_params params = defaults(&plan, "out");
    unsigned random = 12345;
    int killed = 0, status;
    for (int i = 0; i < 25; i++) {
        pid_t child = start(&params);
        random = random * 1103515245 + 12345;
        sleep_ms(5 + random / 65536 % 120);
        if (kill(child, SIGKILL) == 0) killed++;
        cr_assert_eq(waitpid(child, &status, 0), child);
    }
    cr_assert_eq(killed, 25);
    kn_batch_report r = run(&params);
    cr_assert(r.done == 30, "%zu done", r.done);
    expect_complete("out", 30);
    kn_batch_plan_finish(&plan);
}

static volatile sig_atomic_t asked;
static void on_term(int number) { asked = number; }
static bool until_asked(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)user, (void)stage, (void)done, (void)total;
    return !asked;
}

Test(batch, ten_stops_save_what_was_done) {
    kn_batch_plan plan;
    make_plan(&plan, 20, NULL, 0, "");
    kn_batch_run_params params = defaults(&plan, "out");
    params.progress = until_asked;
    signal(SIGTERM, on_term);
    int status, stopped = 0;
    for (int i = 0; i < 10; i++) {
        pid_t child = start(&params);
        sleep_ms(20 + 11 * i);
        kill(child, SIGTERM);
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status), "a stop is not a crash");
        stopped += WEXITSTATUS(status) == 3;
        cr_assert_eq(count_files(at("out/state/claims")), 0u); /* given back at once */
    }
    cr_assert_gt(stopped, 3);
    kn_batch_report r = run(&params);
    cr_assert_eq(r.done, 20u);
    expect_complete("out", 20);
    kn_batch_plan_finish(&plan);
}

Test(batch, two_processes_and_three_shards_give_the_same) {
    kn_batch_plan plan;
    int status;
    make_plan(&plan, 24, NULL, 0, "");
    kn_batch_run_params params = defaults(&plan, "two");
    pid_t a = start(&params), b = start(&params);
    cr_assert(waitpid(a, &status, 0) == a && WEXITSTATUS(status) == 0, "status %x", status);
    cr_assert(waitpid(b, &status, 0) == b && WEXITSTATUS(status) == 0, "status %x", status);
    expect_complete("two", 24);
    for (int i = 0; i < 24; i++) { /* no item was run by both */
        char name[60];
        uint8_t *data;
        size_t size;
        snprintf(name, sizeof name, "scene%03d.json.runs", i);
        cr_assert(kn_file_read(at(name), 100, &data, &size, NULL));
        cr_assert_eq(size, 1u, "item %d ran %zu times", i, size);
        kn_free(data);
    }
    params = defaults(&plan, "shards");
    params.shards = 3;
    for (params.shard = 0; params.shard < 3; params.shard++) cr_assert_eq(run(&params).done, 8u);
    expect_complete("shards", 24);
    kn_batch_plan_finish(&plan);
}

Test(batch, bad_items_end_alone) {
    static const char *const others[] = {"bad", "crash", "hang", "busy"};
    kn_batch_plan plan;
    make_plan(&plan, 6, others, 4, "");
    kn_batch_run_params params = defaults(&plan, "out");
    params.timeout = 2;
    kn_batch_report r = run(&params);
    cr_assert(r.done == 6 && r.failed == 3 && r.temporary == 1, "%zu done, %zu failed, %zu temporary", r.done, r.failed,
              r.temporary);
    static const char *const reasons[] = {"a bad scene", "signal 11", "timeout", "device is busy"};
    for (int i = 0; i < 4; i++) {
        char name[60];
        snprintf(name, sizeof name, "out/state/failed/item%03d.json", 6 + i);
        json_t *record = json_load_file(at(name), 0, NULL);
        const char *why = json_string_value(json_object_get(record, "error"));
        cr_assert(why && strstr(why, reasons[i]), "%s", why);
        cr_assert_eq(json_is_true(json_object_get(record, "temporary")), i == 3);
        json_decref(record);
    }
    /* What failed for good is not run again; what the machine did not manage is. */
    double begin = (double)time(NULL);
    r = run(&params);
    cr_assert(r.found == 6 && r.failed == 3 && r.temporary == 1);
    cr_assert_lt((double)time(NULL) - begin, 60);
    params.max_failures = 1;
    params.again = true;
    r = run(&params);
    cr_assert(r.left + r.failed + r.temporary == 4 && r.failed + r.temporary >= 2);
    kn_batch_plan_finish(&plan);
}

Test(batch, clips_that_miss_their_bounds_are_sampled_again) {
    kn_batch_plan plan;
    make_plan(&plan, 6, NULL, 0, ", \"keep\": {\"miou\": 0.12, \"warp\": 0.002}, \"resample\": 1");
    kn_batch_run_params params = defaults(&plan, "out");
    kn_batch_report r = run(&params); /* seeds 0..5: 0 to 5 per cent; a million more gives 10 more: 10 to 15 */
    cr_assert(r.done == 4 && r.refused == 2, "%zu done, %zu refused", r.done, r.refused);
    json_t *kept = json_load_file(at("out/items/item004/item.json"), 0, NULL),
           *away = json_load_file(at("out/set-aside/item001/item.json"), 0, NULL);
    cr_assert_eq(json_integer_value(json_object_get(kept, "seed")), 1000004);
    cr_assert_float_eq(json_number_value(json_object_get(json_object_get(kept, "metrics"), "mean_iou")), .14, 1e-9);
    cr_assert_eq(json_array_size(json_object_get(kept, "refused")), 1u);
    cr_assert_eq(json_array_size(json_object_get(away, "refused")), 2u);
    const char *why = json_string_value(
        json_array_get(json_object_get(json_array_get(json_object_get(away, "refused"), 1), "missed"), 0));
    cr_assert_str_eq(why, "miou 0.11, expected at least 0.12");
    json_decref(kept);
    json_decref(away);
    r = run(&params);
    cr_assert(r.found == 6 && r.done == 4 && r.refused == 2);
    kn_batch_plan_finish(&plan);
}

Test(batch, a_full_disk_loses_nothing) {
    kn_batch_plan plan;
    make_plan(&plan, 8, NULL, 0, "");
    kn_batch_run_params params = defaults(&plan, "out");
    run(&params);
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s/out/items/item00[0-3]", folder);
    cr_assert_eq(system(command), 0);
    struct rlimit old, limit;
    getrlimit(RLIMIT_FSIZE, &old);
    limit = (struct rlimit){16, old.rlim_max}; /* files may not grow over 16 bytes: claims and records fail */
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    kn_batch_report report;
    kn_error error = {0};
    bool ok = kn_batch_run(&params, &report, &error);
    setrlimit(RLIMIT_FSIZE, &old);
    cr_assert_not(ok);
    cr_assert_eq(error.kind, KN_ERROR_IO, "%s", error.message);
    cr_assert_eq(run(&params).done, 8u);
    expect_complete("out", 8);
    kn_batch_plan_finish(&plan);
}

Test(batch, an_unwritable_item_ends_alone) {
    kn_batch_plan plan;
    make_plan(&plan, 4, NULL, 0, "");
    kn_batch_run_params params = defaults(&plan, "out");
    cr_assert(kn_make_directories(at("out/items"), NULL) && kn_file_write(at("out/items/item002"), "a file", 6, NULL));
    cr_assert(kn_make_directories(at("out/set-aside"), NULL));
    params.retry = 0;
    kn_batch_report r = run(&params);
    cr_assert(r.done >= 3 && r.done + r.temporary == 4, "%zu done", r.done);
    kn_batch_plan_finish(&plan);
}

/* Claims of a machine that is gone: not taken before the lease ends, then taken once, with the work that was begun. */
Test(batch, a_dead_machine_gives_its_items_up) {
    kn_store a, b;
    kn_error error = {0};
    kn_claim claim, second, third;
    bool taken, published;
    cr_assert(kn_store_init(&a, at("out"), 2, &error) && kn_store_init(&b, at("out"), 2, &error), "%s", error.message);
    strcpy(a.node, "another machine");
    cr_assert(kn_store_claim(&a, "item", &claim, &taken, &error) && taken, "%s", error.message);
    char begun[300];
    snprintf(begun, sizeof begun, "%s/begun", claim.work);
    cr_assert(kn_file_write(begun, "x", 1, &error));
    cr_assert(kn_store_claim(&b, "item", &second, &taken, &error) && !taken);
    sleep_ms(1200);
    cr_assert(kn_store_renew(&a, &claim)); /* it lives: the lease begins anew */
    sleep_ms(1200);
    cr_assert(kn_store_claim(&b, "item", &second, &taken, &error) && !taken);
    sleep_ms(1300);
    cr_assert(kn_store_claim(&b, "item", &second, &taken, &error) && taken);
    snprintf(begun, sizeof begun, "%s/begun", second.work);
    cr_assert(kn_file_exists(begun), "the work goes on where it stood");
    cr_assert_not(kn_file_exists(claim.work));
    cr_assert(kn_store_claim(&a, "item", &third, &taken, &error) && !taken);
    /* The first owner wakes up: it can publish nothing. */
    cr_assert(kn_store_publish(&a, "item", &claim, "items", &published, &error) && !published);
    cr_assert(kn_store_publish(&b, "item", &second, "items", &published, &error) && published);
    kn_store_release(&a, "item", &claim, false);
    cr_assert(kn_file_exists(at("out/items/item/begun")));
    kn_store_release(&b, "item", &second, false);
    cr_assert_eq(count_files(at("out/state/claims")), 0u);
    kn_store_finish(&a);
    kn_store_finish(&b);
}

Test(batch, many_claim_one) {
    enum { PROCESSES = 12, ROUNDS = 20 };
    int winners = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char name[20];
        pid_t children[PROCESSES];
        snprintf(name, sizeof name, "item%d", round);
        for (int i = 0; i < PROCESSES; i++)
            if ((children[i] = fork()) == 0) {
                kn_store store;
                kn_claim claim;
                bool taken = false;
                if (!kn_store_init(&store, at("out"), 60, NULL) || !kn_store_claim(&store, name, &claim, &taken, NULL))
                    _exit(2);
                sleep_ms(60); /* the owner lives until all have asked */
                _exit(taken);
            }
        int status, taken = 0;
        for (int i = 0; i < PROCESSES; i++) {
            waitpid(children[i], &status, 0);
            cr_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2);
            taken += WEXITSTATUS(status);
        }
        winners += taken >= 1;
        cr_assert_leq(taken, 2, "%d have it", taken); /* two only if the first was over before the last one asked */
    }
    cr_assert_eq(winners, ROUNDS);
}
