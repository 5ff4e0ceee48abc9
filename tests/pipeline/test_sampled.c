/* Sampled clips through the shipped weights, small: appearances, and resuming with what earlier chunks decided. */
#include "base/base.h"
#include "kinora/drive.h"
#include "kinora/encoders.h"
#include "pipelines/common/journal.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FRAMES = 6, CHUNK = 2, WIDTH = 80, HEIGHT = 48 };
static char folder[64];

static void make_folder(void) {
    strcpy(folder, "/tmp/kinora-sampled-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    kn_encoders_quiet();
}

static void remove_folder(void) { cr_assert(kn_remove_tree(folder, NULL)); }

TestSuite(sampled, .init = make_folder, .fini = remove_folder, .timeout = 600);

static kn_drive_params job(char output[200], const char *name) {
    kn_drive_params params = KN_DRIVE_PARAMS_DEFAULT;
    snprintf(output, 200, "%s/%s", folder, name);
    params.scene = "tests/pipeline/data/follow.xosc";
    params.model = "models/kinora-nano";
    params.output = output;
    params.frames = FRAMES, params.chunk_frames = CHUNK;
    params.width = WIDTH, params.height = HEIGHT;
    params.codec = KN_CODEC_FFV1;
    params.steps = 2;
    return params;
}

static void run(const kn_drive_params *params) {
    kn_error error = {0};
    cr_assert(kn_drive(params, NULL, &error), "%s", error.message);
}

/* The whole of a file of an output; the caller frees it. */
static uint8_t *read_output(const char *output, const char *name, size_t *size) {
    char path[400];
    uint8_t *data;
    kn_error error = {0};
    snprintf(path, sizeof path, "%s/%s", output, name);
    cr_assert(kn_file_read(path, 64 << 20, &data, size, &error), "%s", error.message);
    return data;
}

static bool same_file(const char *a, const char *b, const char *name) {
    size_t sizes[2];
    uint8_t *files[2] = {read_output(a, name, &sizes[0]), read_output(b, name, &sizes[1])};
    bool same = sizes[0] == sizes[1] && memcmp(files[0], files[1], sizes[0]) == 0;
    kn_free(files[0]);
    kn_free(files[1]);
    return same;
}

Test(sampled, appearances_share_scene_and_labels) {
    char first[200], second[200];
    kn_drive_params a = job(first, "a"), b = job(second, "b");
    a.frames = b.frames = CHUNK;
    a.appearance = 1, b.appearance = 2;
    run(&a);
    run(&b);
    cr_assert(same_file(first, second, "labels/boxes_2d.json"));
    cr_assert_not(same_file(first, second, "CAM_FRONT.mkv"));
}

typedef struct stop {
    uint64_t at; /* thousandths of all work */
} stop;

static bool stop_late(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)stage;
    return done * 1000 < ((stop *)user)->at * total;
}

/* What earlier chunks decided comes back with the job: the end is the same, bit for bit. */
Test(sampled, a_stopped_job_ends_the_same) {
    static const char *const files[] = {"CAM_FRONT.mkv", "CAM_BACK.mkv", "surround.mkv", "labels/boxes_2d.json"};
    char whole[200], halves[200];
    kn_drive_params a = job(whole, "whole"), b = job(halves, "halves");
    kn_drive_report report;
    kn_error error = {0};
    stop late = {.at = 780};
    run(&a);
    b.progress = stop_late, b.progress_user = &late;
    cr_assert_not(kn_drive(&b, NULL, &error));
    cr_assert_eq(error.kind, KN_ERROR_CANCELLED, "%s", error.message);
    b.progress = NULL;
    error = (kn_error){0};
    cr_assert(kn_drive(&b, &report, &error), "%s", error.message);
    cr_assert(report.resumed_frames > 0 && report.resumed_frames < FRAMES, "%zu", report.resumed_frames);
    for (size_t i = 0; i < KN_COUNT(files); i++) cr_expect(same_file(whole, halves, files[i]), "%s", files[i]);
}

/* Without the lock the pictures are others. */
Test(sampled, the_lock_takes_part) {
    char with[200], without[200];
    kn_drive_params a = job(with, "with"), b = job(without, "without");
    a.frames = b.frames = CHUNK;
    b.no_locked_sampling = true;
    run(&a);
    run(&b);
    cr_assert_not(same_file(with, without, "CAM_FRONT.mkv"));
}

/* --- public ControlNets -------------------------------------------------------------------------- */

#define SD "tests/golden/paint/sd"

/* Stable Diffusion's layout with random weights, shown depth and classes. */
static kn_drive_params public_job(char output[200], const char *name) {
    kn_drive_params params = job(output, name);
    params.model = SD;
    params.frames = CHUNK;
    params.controls[0] = (kn_drive_control){.kind = "depth", .model = SD "/controlnet-depth", .strength = 1};
    params.controls[1] = (kn_drive_control){.kind = "seg", .model = SD "/controlnet-canny", .strength = .7};
    params.control_count = 2;
    return params;
}

Test(sampled, public_controlnets_drive) {
    static const char *const names[] = {"all", "again", "kind", "strength", "lock"};
    char folders[5][200];
    kn_drive_params jobs[5];
    for (int i = 0; i < 5; i++) jobs[i] = public_job(folders[i], names[i]);
    jobs[2].controls[1].kind = "tile";
    jobs[3].controls[0].strength = .2;
    jobs[4].no_locked_sampling = true;
    for (int i = 0; i < 5; i++) run(&jobs[i]);
    cr_expect(same_file(folders[0], folders[1], "CAM_FRONT.mkv"));
    for (int i = 2; i < 5; i++)
        cr_expect_not(same_file(folders[0], folders[i], "CAM_FRONT.mkv"), "%s changes nothing", names[i]);
    size_t size;
    uint8_t *record = read_output(folders[0], "job.json", &size); /* ends with a 0 */
    cr_expect(strstr((char *)record, "\"kind\": \"seg\"") && strstr((char *)record, SD "/controlnet-canny"));
    kn_free(record);
}

/* A folder that another kind or strength filled is another job's. */
Test(sampled, controls_are_part_of_the_job) {
    char output[200];
    kn_drive_params a = public_job(output, "a");
    kn_drive_report report;
    kn_error error = {0};
    a.frames = 1;
    run(&a);
    cr_assert(kn_drive(&a, &report, &error) && report.already_complete);
    a.controls[0].kind = "canny";
    cr_assert_not(kn_drive(&a, NULL, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
}
