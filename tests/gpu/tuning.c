/* Constants of the kernels' choice: files of them, what they change, and how the tuner chooses. */
#include "diffusion/bench/tune.h"
#include "tests/gpu/nn_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static void make_folder(void) {
    strcpy(folder, "/tmp/kinora-tuning-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
}

static void remove_folder(void) { cr_assert_eq(rmdir(folder), 0, "%s is not empty: a part file was left", folder); }

TestSuite(tuning, .init = make_folder, .fini = remove_folder);

static const kn_gpu_info made_up = {
    .name = "Made-Up (R) 9000", .driver = "fake 1.2.3", .kind = KN_GPU_DISCRETE, .subgroup_size = 32};
static const kn_tuning other = {.winograd_store = 12.5,
                                .winograd_few = 0,
                                .conv_shared = 0,
                                .conv_blocks = 2,
                                .attention_shared = 65536,
                                .attention_blocks = 1,
                                .busy_groups = 4096,
                                .cooperative = 0};

static char *write_text(const kn_gpu_info *info, const char *text) {
    char *path = kn_tuning_path(folder, info, NULL);
    cr_assert(path && kn_file_write(path, text, strlen(text), NULL));
    return path;
}

static void forget(char *path) {
    unlink(path);
    kn_free(path);
}

/* --- files ------------------------------------------------------------------------------------ */

Test(tuning, round_trip) {
    kn_error error = {0};
    char *path = kn_tuning_path(folder, &made_up, &error);
    kn_tuning read = KN_TUNING_DEFAULT;
    cr_assert(strstr(path, "/made-up-r-9000-"), "%s", path);
    cr_assert(kn_tuning_write(&other, path, &made_up, &error) && kn_tuning_read(&read, path, &made_up, &error), "%s",
              error.message);
    cr_assert(kn_tuning_equal(&read, &other));
    cr_assert(!kn_tuning_equal(&read, &KN_TUNING_DEFAULT));
    forget(path);
}

Test(tuning, another_device_or_driver) {
    kn_error error = {0};
    char *path = kn_tuning_path(folder, &made_up, &error);
    cr_assert(kn_tuning_write(&other, path, &made_up, &error), "%s", error.message);
    kn_gpu_info changed[3] = {made_up, made_up, made_up};
    snprintf(changed[0].name, sizeof changed[0].name, "Made-Up (R) 9001");
    snprintf(changed[1].driver, sizeof changed[1].driver, "fake 1.2.4");
    changed[2].subgroup_size = 16;
    for (int i = 0; i < 3; i++) {
        kn_tuning read = KN_TUNING_DEFAULT;
        char *own = kn_tuning_path(folder, &changed[i], NULL);
        cr_assert(strcmp(own, path) != 0, "each has a file of its own");
        kn_free(own);
        error = (kn_error){0};
        cr_assert(!kn_tuning_read(&read, path, &changed[i], &error));
        cr_assert(error.kind == KN_ERROR_INPUT && strstr(error.message, "another device"), "%s", error.message);
        cr_assert(kn_tuning_equal(&read, &KN_TUNING_DEFAULT), "it is untouched");
    }
    forget(path);
}

#define HEAD \
    "{\"kinora_tuning\": 1, \"device\": \"Made-Up (R) 9000\", \"driver\": \"fake 1.2.3\", \"subgroup_size\": 32, "
#define REST                                                                                                          \
    "\"winograd_few\": 1, \"conv_shared\": 1, \"attention_shared\": 1, \"attention_blocks\": 1, \"busy_groups\": 1, " \
    "\"cooperative\": 1"

Test(tuning, damaged_files) {
    static const char *const cases[][2] = {
        {"", "expected"},
        {"{", "expected"},
        {"[1]", "kinora_tuning"},
        {"{\"kinora_tuning\": 2}", "kinora_tuning"},
        {HEAD "\"constants\": 3}", "winograd_store"},
        {HEAD "\"constants\": {}}", "winograd_store"},
        {HEAD "\"constants\": {\"winograd_store\": 0.5, \"conv_blocks\": 1, " REST "}}", "winograd_store"},
        {HEAD "\"constants\": {\"winograd_store\": \"30\", \"conv_blocks\": 1, " REST "}}", "winograd_store"},
        {HEAD "\"constants\": {\"winograd_store\": 30, \"conv_blocks\": 3, " REST "}}", "conv_blocks"},
        {HEAD "\"constants\": {\"winograd_store\": 30, \"conv_blocks\": 1e99, " REST "}}", "conv_blocks"},
        {HEAD "\"constants\": {\"winograd_store\": 30, \"conv_blocks\": 1.5, " REST "}}", "conv_blocks"},
        {HEAD "\"constants\": {\"winograd_store\": 30, \"winograd_store\": 31, \"conv_blocks\": 1, " REST "}}",
         "duplicate"},
    };
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        kn_error error = {0};
        kn_tuning read = KN_TUNING_DEFAULT;
        char *path = write_text(&made_up, cases[i][0]);
        cr_assert(!kn_tuning_read(&read, path, &made_up, &error), "case %zu", i);
        cr_assert(error.kind == KN_ERROR_INPUT && strstr(error.message, path) && strstr(error.message, cases[i][1]),
                  "case %zu: %s", i, error.message);
        cr_assert(kn_tuning_equal(&read, &KN_TUNING_DEFAULT));
        forget(path);
    }
}

static int lines;

static void count_line(void *user, kn_log_level level, const char *line) {
    (void)user;
    if (level == KN_LOG_INFO && strstr(line, "built-in constants")) lines++;
}

/* The device reads its own file; a bad one costs a line and nothing else. */
Test(tuning, device_reads_its_file) {
    kn_error error = {0};
    kn_gpu *gpu = NULL;
    kn_gpu_params params = {.tuning_folder = folder, .log = {.callback = count_line, .level = KN_LOG_INFO}};
    cr_assert(kn_gpu_create(&gpu, &params, &error), "%s", error.message);
    cr_assert(kn_tuning_equal(kn_gpu_get_tuning(gpu), &KN_TUNING_DEFAULT) && lines == 0, "an absent file is no news");
    kn_gpu_info info = *kn_gpu_get_info(gpu);
    char *path = kn_tuning_path(folder, &info, NULL);
    cr_assert(kn_tuning_write(&other, path, &info, &error), "%s", error.message);
    kn_gpu_destroy(&gpu);
    cr_assert(kn_gpu_create(&gpu, &params, &error), "%s", error.message);
    cr_assert(kn_tuning_equal(kn_gpu_get_tuning(gpu), &other) && lines == 0);
    kn_gpu_destroy(&gpu);
    kn_free(path);
    path = write_text(&info, "{broken");
    cr_assert(kn_gpu_create(&gpu, &params, &error), "%s", error.message);
    cr_assert(kn_tuning_equal(kn_gpu_get_tuning(gpu), &KN_TUNING_DEFAULT));
    cr_assert_eq(lines, 1);
    kn_gpu_destroy(&gpu);
    forget(path);
}

/* --- what they change ------------------------------------------------------------------------- */

/* Launches that a 3x3 layer takes. */
static uint64_t launches_of(fixture *f, const kn_tuning *tuning) {
    kn_tensor in, out;
    size_t count;
    uint64_t sum = 0;
    float *w = fixture_random(128 * 128 * 9, 2), *x = fixture_tensor(f, &in, 1, 28, 36, 128, 1);
    kn_weight weight;
    REQUIRE(f, kn_weight_create(&weight, f->gpu, w, NULL, 128, 128, 3, 3, false, &f->error));
    REQUIRE(f, kn_graph_restart(f->graph, &f->error));
    kn_graph_set_tuning(f->graph, tuning);
    kn_graph_force_variant(f->graph, KN_VARIANT_SUBGROUP);
    REQUIRE(
        f, kn_op_conv(f->graph, &out, &in, &weight, &(kn_conv_params){.stride = 1, .pad = 1, .pad_end = 1}, &f->error));
    const kn_work *work = kn_graph_work(f->graph, &count);
    for (size_t i = 0; i < count; i++) sum += work[i].launches;
    kn_weight_destroy(&weight);
    free(w), free(x);
    return sum;
}

Test(tuning, choice_of_form) {
    fixture f;
    fixture_init(&f, false);
    kn_tuning cheap = KN_TUNING_DEFAULT, dear = KN_TUNING_DEFAULT;
    cheap.winograd_store = 1;
    dear.winograd_store = 1000;
    if (kn_graph_lanes(f.graph)) {
        cr_assert_eq(launches_of(&f, &dear), 1, "directly");
        cr_assert_eq(launches_of(&f, &cheap), 4, "in Winograd's form");
    }
    fixture_finish(&f);
}

Test(tuning, choice_of_tiles_and_variant) {
    kn_gpu_info gpu = made_up;
    gpu.cooperative_matrix = gpu.half_arithmetic = gpu.half_storage = true;
    gpu.matrix_m = gpu.matrix_n = gpu.matrix_k = 16;
    gpu.shared_memory = 48 << 10;
    kn_tuning few = KN_TUNING_DEFAULT, many = KN_TUNING_DEFAULT, exact = KN_TUNING_DEFAULT;
    few.busy_groups = 1;
    many.busy_groups = 4096;
    exact.cooperative = 0;
    kn_weight weight = {.out = 256, .in = 256, .kernel_h = 1, .kernel_w = 1, .lanes = 16, .panels = 4, .half = true};
    cr_assert_gt(kn_plan_conv(&gpu, &few, KN_VARIANT_TILED, &weight, 4096, false).tile_rows,
                 kn_plan_conv(&gpu, &many, KN_VARIANT_TILED, &weight, 4096, false).tile_rows);
    cr_assert_gt(kn_plan_attention(&gpu, &few, KN_VARIANT_TILED, 64, 1024, 8, false).queries,
                 kn_plan_attention(&gpu, &many, KN_VARIANT_TILED, 64, 1024, 8, false).queries);
    cr_assert_eq(kn_variant_of(&gpu, &few), KN_VARIANT_COOPERATIVE);
    cr_assert_eq(kn_variant_of(&gpu, &exact), KN_VARIANT_TILED);
}

/* --- the tuner -------------------------------------------------------------------------------- */

Test(tuning, least_loss_wins) {
    /* two shapes computed in two ways; candidate 0 always takes way 0, 1 always way 1, 2 the better way of each */
    static const double times[] = {1.0, 2.0, 3.0, 2.0};
    static const int picks[] = {0, 0, 1, 1, 0, 1};
    cr_assert_eq(kn_tune_choose(times, 2, 2, picks, 3, 0.03), 2);
    cr_assert_eq(kn_tune_choose(times, 2, 2, picks, 2, 0.03), 0, "a loss of 3 against one of 2.5");
    static const double close[] = {1.0, 0.98, 1.0, 0.99};
    cr_assert_eq(kn_tune_choose(close, 2, 2, picks, 3, 0.03), 0, "noise changes nothing");
    cr_assert_eq(kn_tune_choose(close, 2, 2, picks, 3, 0.001), 1, "the faster way of both");
}

static bool stop(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)stage;
    *(uint64_t *)user += done <= total;
    return false;
}

Test(tuning, tuner_stops_when_asked) {
    kn_gpu *gpu = NULL;
    kn_error error = {0};
    kn_tune_report report;
    uint64_t calls = 0, now, peak;
    cr_assert(kn_gpu_create(&gpu, &KN_GPU_PARAMS_DEFAULT, &error), "%s", error.message);
    kn_variant variant = kn_variant_of(kn_gpu_get_info(gpu), &KN_TUNING_DEFAULT);
    if (variant != KN_VARIANT_PLAIN && variant != KN_VARIANT_HOST) {
        cr_assert(!kn_tune(gpu, &report, stop, &calls, &error));
        cr_assert(error.kind == KN_ERROR_CANCELLED && calls == 1);
        kn_gpu_alloc_fail_after(gpu, 3);
        cr_assert(!kn_tune(gpu, &report, stop, &calls, &error));
        cr_assert_eq(error.kind, KN_ERROR_MEMORY);
        kn_gpu_alloc_fail_after(gpu, 0);
    }
    kn_gpu_memory_use(gpu, &now, &peak);
    kn_gpu_destroy(&gpu);
}
