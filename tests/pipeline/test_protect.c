/* kinora style --protect on a drawn shot whose motion is known, with the tiny model of training/golden_style.py, whose
 * weights are random: what is kept is not the network's merit. */
#include "tests/pipeline/shell.h"

#include "base/base.h"
#include "kinora/eval.h"
#include "pipelines/style/protect_job.h"
#include "tools/known_shot_measure.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>

#define STYLE "tests/golden/style"

TestSuite(protect, .init = make_folder, .fini = remove_folder);

static known_shot small(int frames) {
    known_shot shot = KNOWN_SHOT_DEFAULT;
    shot.width = 256, shot.height = 144, shot.frames = frames;
    shot.hide_from = 8, shot.hide_until = 20, shot.whip_from = 22, shot.whip_until = 25, shot.cut = 0;
    return shot;
}

static void write_shot(const known_shot *shot, const int *marked, int count) {
    kn_error error = {0};
    cr_assert(known_shot_write(shot, at("in.mkv"), &error), "%s", error.message);
    cr_assert(known_shot_write_marks(shot, marked, count, at("ring.json"), &error), "%s", error.message);
}

static kn_style_job job_of(char names[3][200]) {
    snprintf(names[0], 200, "%s", at("in.mkv"));
    snprintf(names[1], 200, "%s", at("ring.json"));
    snprintf(names[2], 200, "%s", at("out/out.mkv"));
    kn_error error = {0};
    cr_assert(kn_make_directories(at("out"), &error));
    return (kn_style_job){.input = names[0],
                          .output = names[2],
                          .model = STYLE,
                          .look = "clay",
                          .clip = KN_CLIP_PARAMS_DEFAULT,
                          .height = 480,
                          .codec = -1,
                          .protect = names[1]};
}

/* --- what is kept ----------------------------------------------------------------------------- */

static void check_record(const known_shot *shot, const json_t *record, int frame) {
    known_truth truth = known_shot_truth(shot, frame, NULL, NULL, NULL, NULL);
    double visible = json_number_value(json_object_get(record, "visible"));
    cr_expect_eq(json_integer_value(json_object_get(record, "frame")), frame);
    if (truth.visible > .95) {
        const json_t *box = json_object_get(record, "box");
        double n[4] = {0};
        for (size_t i = 0; i < 4; i++) n[i] = json_number_value(json_array_get(box, i));
        cr_expect_gt(visible, .3, "frame %d", frame);
        cr_expect_lt(hypot(n[0] + n[2] / 2 - truth.x, n[1] + n[3] / 2 - truth.y), 5, "frame %d", frame);
        cr_expect_geq(json_number_value(json_object_get(record, "contrast")), .6, "frame %d", frame);
    }
    if (truth.visible < .05) cr_expect_eq(visible, 0, "frame %d", frame);
}

Test(protect, a_ring_survives_a_network_that_knows_nothing) {
    kn_error error = {0};
    kn_style_report report;
    known_score kept, lost;
    known_shot shot = small(28);
    char names[3][200];
    write_shot(&shot, (const int[]){27, 5}, 2);
    kn_style_job job = job_of(names);
    cr_assert(kn_style_run(&job, &report, &error), "%s", error.message);
    cr_expect_eq(report.details, 1);
    cr_expect_geq(report.least_kept, .6);
    cr_assert(known_shot_measure(&shot, job.output, &kept, &error), "%s", error.message);
    cr_expect_geq(kept.ring_frames, 15, "%d", kept.ring_frames);
    cr_expect_geq(kept.ring_mean, .85, "%g", kept.ring_mean);
    cr_expect_geq(kept.ring_least, .6, "%g in frame %d", kept.ring_least, kept.ring_worst);

    json_t *root = json_load_file(at("out/protect.json"), 0, NULL);
    const json_t *detail = json_array_get(json_object_get(root, "details"), 0), *record;
    size_t i;
    cr_expect_eq(json_array_size(json_object_get(detail, "frames")), 28);
    cr_expect(json_is_true(json_object_get(detail, "holds")));
    json_array_foreach(json_object_get(detail, "frames"), i, record) check_record(&shot, record, (int)i);
    json_decref(root);
    kn_image strip = {0};
    cr_assert(kn_image_read(&strip, at("out/protect_worst.png"), 3, &error), "%s", error.message);
    cr_expect_gt(strip.width, 6 * KN_PROTECT_CELL);
    kn_image_finish(&strip);

    job.protect = NULL, job.overwrite = true;
    cr_assert(kn_style_run(&job, &report, &error), "%s", error.message);
    cr_assert(known_shot_measure(&shot, job.output, &lost, &error), "%s", error.message);
    cr_expect_lt(lost.ring_mean, .5, "without it the ring is lost: %g", lost.ring_mean);
}

/* The weights that ship, judged along the motion that is known rather than one that is estimated. */
Test(protect, the_shipped_look_is_steady_and_keeps_the_ring) {
    kn_error error = {0};
    kn_style_report report;
    known_score score;
    kn_film_eval_report film;
    known_shot shot = small(12);
    char names[3][200];
    shot.hide_from = shot.hide_until = 0, shot.whip_from = shot.whip_until = 1000;
    write_shot(&shot, (const int[]){0}, 1);
    kn_style_job job = job_of(names);
    job.model = "models/kinora-style", job.look = "ink";
    job.clip.grain = -1, job.clip.lock = .6f;
    cr_assert(kn_style_run(&job, &report, &error), "%s", error.message);
    cr_assert(known_shot_measure(&shot, job.output, &score, &error), "%s", error.message);
    cr_expect_eq(score.ring_frames, 12);
    cr_expect_geq(score.ring_mean, .85, "%g", score.ring_mean);
    cr_expect_geq(score.ring_least, .6, "%g in frame %d", score.ring_least, score.ring_worst);
    cr_expect_leq(score.warp_error, 1.3 * score.warp_per_pixel, "%g, a look per pixel %g", score.warp_error,
                  score.warp_per_pixel);
    kn_film_eval_params params = {.film = job.output, .source = job.input};
    cr_assert(kn_film_eval(&params, &film, &error), "%s", error.message);
    cr_expect_gt(film.film.style_distance, 8, "the look did change: %g dE", film.film.style_distance);
}

static bool stop_at_20(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)total;
    *(uint64_t *)user += strcmp(stage, "follow") == 0;
    return strcmp(stage, "paint") != 0 || done < 20;
}

Test(protect, a_stopped_job_goes_on_and_ends_the_same) {
    kn_error error = {0};
    kn_style_report report;
    known_shot shot = small(24);
    char names[3][200], said[2][4000];
    uint64_t followed = 0;
    write_shot(&shot, (const int[]){0}, 1);
    kn_style_job job = job_of(names);
    cr_assert(kn_style_run(&job, &report, &error), "%s", error.message);
    shell(said[0], sizeof said[0],
          "cd @/out && ffmpeg -v error -i out.mkv -f framemd5 - | grep -v '^#' | md5sum; "
          "md5sum protect.json protect_worst.png; rm *");
    job.progress = stop_at_20, job.progress_user = &followed;
    cr_assert_not(kn_style_run(&job, &report, &error));
    cr_expect_eq(error.kind, KN_ERROR_CANCELLED);
    cr_expect_eq(followed, 24);
    job.progress = NULL;
    cr_assert(kn_style_run(&job, &report, &error), "%s", error.message);
    cr_expect_eq(report.resumed_frames, 16);
    shell(said[1], sizeof said[1],
          "cd @/out && ffmpeg -v error -i out.mkv -f framemd5 - | grep -v '^#' | md5sum; "
          "md5sum protect.json protect_worst.png; rm *");
    cr_expect_str_eq(said[0], said[1]);
    cr_expect_gt(strlen(said[0]), 90);
}

/* Masks and points find the same detail as a box does. */
Test(protect, takes_masks_and_points) {
    kn_error error = {0};
    known_shot shot = small(1);
    known_truth truth = known_shot_truth(&shot, 0, NULL, NULL, NULL, NULL);
    kn_image mask;
    kn_protect protect;
    char text[600];
    cr_assert(kn_image_init(&mask, shot.width, shot.height, 1, &error));
    for (int i = 0; i < shot.width * shot.height; i++)
        mask.data[i] =
            hypot(i % shot.width + .5 - truth.x, (double)(i / shot.width) + .5 - truth.y) < 8 ? 255 : 0; // NOLINT
    cr_assert(kn_image_write_png(&mask, at("mask.png"), &error));
    kn_image_finish(&mask);
    int length = snprintf(text, sizeof text,
                          "{\"details\": [{\"name\": \"a\", \"marks\": [{\"frame\": 3, \"mask\": \"mask.png\"}, "
                          "{\"frame\": 0, \"points\": [[%g, %g], [%g, %g]], \"radius\": 4}]}]}",
                          truth.x - 3, truth.y, truth.x + 3, truth.y + 2);
    cr_assert(kn_file_write(at("p.json"), text, (size_t)length, &error));
    cr_assert(kn_protect_read(&protect, at("p.json"), shot.width, shot.height, &error), "%s", error.message);
    const kn_protect_mark *points = &protect.details[0].marks[0], *masked = &protect.details[0].marks[1];
    cr_expect_eq(points->frame, 0, "marks are in the order of their frames");
    cr_expect_float_eq((double)(points->box.x + 7), truth.x, .01);
    cr_expect_float_eq((double)points->box.width, 14, .01);
    cr_expect_float_eq((double)(masked->box.x + masked->box.width / 2), truth.x, 1);
    cr_expect_float_eq((double)masked->box.width, 16, 1.1);
    kn_protect_finish(&protect);
}

/* --- measures --------------------------------------------------------------------------------- */

enum { SIDE = 40, PIXELS = SIDE * SIDE };

/* A disc on a slope of brightness. */
static void draw_disc(float *planes, float contrast, float base) {
    for (int i = 0; i < PIXELS; i++) {
        float inside = hypot(i % SIDE - 19.5, (double)(i / SIDE) - 19.5) < 5 ? 1 : 0; // NOLINT
        for (int c = 0; c < 3; c++) planes[c * PIXELS + i] = base + .002f * (float)(i % SIDE) + contrast * inside;
    }
}

Test(protect, contrast_is_what_is_left_of_the_source) {
    static float source[3 * PIXELS], film[3 * PIXELS];
    kn_error error = {0};
    kn_track_box box = {13, 13, 14, 14};
    kn_protect_kept kept;
    float blend;
    const float left[] = {1, .5f, 0, -.5f};
    draw_disc(source, .4f, .3f);
    for (size_t i = 0; i < KN_COUNT(left); i++) {
        draw_disc(film, .4f * left[i], .5f);
        cr_assert(kn_protect_measure(source, film, SIDE, SIDE, &box, &kept, &error));
        cr_expect(kept.measurable);
        cr_expect_float_eq(kept.contrast, (double)left[i], .01, "%g", kept.contrast);
        cr_expect_float_eq(kept.edges, (double)left[i], .01, "%g", kept.edges);
        cr_assert(kn_protect_restore(source, film, SIDE, SIDE, &box, 1, .92, .7, &kept, &blend, &error));
        cr_expect_geq(kept.contrast, .9, "%g", kept.contrast);
        cr_expect((blend > 0) == (left[i] < .92f));
    }
    draw_disc(film, 0, .95f); /* white paper: it can only become darker around the disc */
    cr_assert(kn_protect_restore(source, film, SIDE, SIDE, &box, 1, .92, .7, &kept, &blend, &error));
    cr_expect_geq(kept.contrast, .85, "%g", kept.contrast);
    draw_disc(source, 0, .3f);
    cr_assert(kn_protect_measure(source, film, SIDE, SIDE, &box, &kept, &error));
    cr_expect_not(kept.measurable, "there is nothing to keep");
}

/* --- bad input -------------------------------------------------------------------------------- */

typedef struct bad {
    const char *json, *says;
} bad;

#define ONE(mark) "{\"details\": [{\"name\": \"ring\", \"marks\": [" mark "]}]}"

Test(protect, bad_input_is_named_and_leaves_nothing) {
    static const bad cases[] = {
        {ONE("{\"frame\": 0, \"box\": [250, 20, 16, 16]}"), "\"ring\", frame 0: the box 250, 20, 16 x 16 is outside"},
        {ONE("{\"frame\": 0, \"box\": [-1, 20, 16, 16]}"), "outside the frame of 256 x 144"},
        {ONE("{\"frame\": 0, \"points\": [[300, 20]]}"), "outside the frame"},
        {ONE("{\"frame\": 4, \"box\": [20, 20, 16, 16]}"), "there is no frame 4, the film has 0 to 3"},
        {ONE("{\"frame\": 1, \"box\": [200, 100, 16, 16]}"),
         "\"ring\", frame 1: the mark 200, 100, 16 x 16 holds nothing"},
        {ONE("{\"frame\": 0, \"mask\": \"none.png\"}"), "none.png"},
        {ONE("{\"frame\": 0, \"mask\": \"small.png\"}"), "small.png: is 8 x 8, expected the film's 256 x 144"},
        {ONE("{\"frame\": 0, \"mask\": \"black.png\"}"), "black.png: marks nothing"},
        {ONE("{\"frame\": 0}"), "expected one of"},
        {ONE("{\"frame\": 0.5, \"box\": [1, 2, 3, 4]}"), "whole number"},
        {ONE("{\"frame\": 0, \"box\": [1, 2, 3]}"), "\"box\" must be"},
        {ONE("{\"frame\": 0, \"bax\": [1, 2, 3, 4]}"), "mark 1: knows"},
        {"{\"details\": []}", "expected {\"details\""},
        {"{\"details\": [{\"name\": \"\", \"marks\": []}]}", "\"name\""},
        {"nothing", "not valid JSON"},
    };
    char said[4000], before[1000];
    kn_error error = {0};
    shell(said, sizeof said,
          "ffmpeg -v error -f lavfi -i testsrc2=size=256x144:rate=25:duration=0.16 -vf "
          "\"drawbox=x=190:y=90:w=60:h=50:color=gray:t=fill\" -c:v ffv1 @/in.mkv; ffmpeg -v error -f lavfi -i "
          "color=white:size=8x8 -frames:v 1 @/small.png; ffmpeg -v error -f lavfi -i color=black:size=256x144 "
          "-frames:v 1 @/black.png");
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        cr_assert(kn_file_write(at("p.json"), cases[i].json, strlen(cases[i].json), &error));
        shell(before, sizeof before, "ls @ | tr '\\n' ' '");
        int code = shell(said, sizeof said,
                         "%s style --model " STYLE " --look ink @/in.mkv -o @/x.mkv --protect @/p.json -q 2>&1",
                         KINORA_EXECUTABLE);
        cr_expect_eq(code, 2, "%s: %d, %s", cases[i].json, code, said);
        cr_expect(strstr(said, cases[i].says), "%s: %s", cases[i].json, said);
        cr_expect(strchr(said, '\n') && !strchr(said, '\n')[1], "one line: %s", said);
        shell(said, sizeof said, "ls @ | tr '\\n' ' '");
        cr_expect_str_eq(said, before, "%s", cases[i].json);
    }
    cr_expect_eq(shell(said, sizeof said,
                       "%s style --model " STYLE " --look ink @/in.mkv -o @/x.mkv --protect @/none.json 2>&1",
                       KINORA_EXECUTABLE),
                 2);
    cr_expect(strstr(said, "none.json"), "%s", said);
}
