/* kinora style as its user meets it, with the tiny models of training/golden_style.py and training/golden_paint.py. The
 * sources are made by the ffmpeg command, and ffprobe judges what was written. */
#include "tests/pipeline/shell.h"

#include "kinora/eval.h"
#include "kinora/film.h"
#include "pipelines/style/style_job.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define STYLE "tests/golden/style"
#define SD "tests/golden/paint/sd"

TestSuite(style, .init = make_folder, .fini = remove_folder);

static void make(const char *what) {
    char said[4000];
    cr_assert_eq(shell(said, sizeof said, "ffmpeg -v error -y %s 2>&1", what), 0, "%s: %s", what, said);
}

static void restyle(const char *arguments) {
    char said[4000];
    cr_assert_eq(shell(said, sizeof said, "%s style %s -q 2>&1", KINORA_EXECUTABLE, arguments), 0, "%s: %s", arguments,
                 said);
}

/* Both films give this the same answer. */
static void check_same(const char *a, const char *b, const char *question) {
    char said[2][4000];
    const char *names[] = {a, b};
    for (int i = 0; i < 2; i++) cr_assert_eq(shell(said[i], sizeof said[i], question, names[i]), 0, "%s", question);
    cr_expect_str_eq(said[0], said[1], "%s", question);
    cr_expect_gt(strlen(said[0]), 3, "%s", question);
}

#define LOOKS "testsrc2=size=64x48:rate=24000/1001:duration=0.8"

Test(style, keeps_what_the_film_says_and_its_sound) {
    make("-f lavfi -i " LOOKS " -f lavfi -i sine=sample_rate=48000:duration=0.8 -c:v prores_ks -profile:v hq "
         "-timecode 01:02:03:04 -color_primaries bt709 -color_trc bt709 -colorspace bt709 -c:a pcm_s24le @/in.mov");
    restyle("--model " STYLE " --look ink @/in.mov -o @/out.mov");
    check_same(
        "in.mov", "out.mov",
        "ffprobe -v error -select_streams v -count_packets -show_entries "
        "stream=codec_name,profile,pix_fmt,width,height,"
        "r_frame_rate,nb_read_packets,duration,color_primaries,color_transfer,color_space:stream_tags=timecode @/%s");
    check_same("in.mov", "out.mov", "ffmpeg -v error -i @/%s -map 0:a -c copy -f md5 -");
    char said[4000];
    shell(said, sizeof said, "ffprobe -v error -show_entries format_tags @/out.mov; ls @");
    cr_expect(strstr(said, "AIGC"), "%s", said);
    cr_expect_not(strstr(said, ".work") || strstr(said, ".part"), "nothing is left: %s", said);
    shell(said, sizeof said, "ffmpeg -v error -i @/in.mov -i @/out.mov -lavfi psnr=stats_file=- -f null - | tail -1");
    cr_expect(strstr(said, "psnr_avg:") && atof(strstr(said, "psnr_avg:") + 9) < 30, "the look did change: %s", said);
}

Test(style, keeps_alpha) {
    make("-f lavfi -i " LOOKS " -vf \"format=yuva444p10le,geq=lum='lum(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':a='1023*X/W'\" "
         "-c:v prores_ks -profile:v 4444 @/in.mov");
    restyle("--model " STYLE " --look ink @/in.mov -o @/out.mkv --codec ffv1");
    check_same("in.mov", "out.mkv",
               "ffmpeg -v error -i @/%s -vf format=yuva444p12le,alphaextract,format=gray10le -f framemd5 - | grep -v "
               "'^#' | cut "
               "-d, -f6");
}

/* Light above white survives, and sizes that no network takes come out as they went in. */
Test(style, keeps_light_above_white_and_odd_sizes) {
    enum { W = 45, H = 27, PIXELS = W * H };
    static float planes[3 * PIXELS], back[3 * PIXELS];
    kn_error error = {0};
    kn_film_writer *writer;
    kn_film_reader *reader;
    bool end;
    for (int i = 0; i < 3 * PIXELS; i++) planes[i] = i % PIXELS % W > 20 ? 4 : .3f;
    kn_film_params params = {
        .width = W, .height = H, .channels = 3, .rate = {24, 1}, .codec = KN_FILM_EXR, .color = {1, 8, 0, 2, 0}};
    cr_assert(kn_film_writer_create(&writer, at("in_%03d.exr"), &params, &error), "%s", error.message);
    for (int64_t i = 0; i < 3; i++)
        cr_assert(kn_film_writer_add(writer, &(kn_film_frame){.planes = planes, .index = i, .time = i}, &error));
    cr_assert(kn_film_writer_commit(writer, &error));
    kn_film_writer_destroy(&writer);
    restyle("--model " STYLE " --look ink '@/in_%03d.exr' -o '@/out_%03d.exr'");
    cr_assert(kn_film_reader_create(&reader, at("out_%03d.exr"), (kn_rational){0, 0}, &error), "%s", error.message);
    cr_expect_eq(kn_film_reader_info(reader)->width, W);
    cr_expect_eq(kn_film_reader_info(reader)->height, H);
    cr_assert(kn_film_reader_next(reader, &(kn_film_frame){.planes = back}, &end, &error) && !end);
    float most = 0, least = 9;
    for (int i = 0; i < 3 * PIXELS; i++)
        if (i % PIXELS % W > 24) most = fmaxf(most, back[i]);
        else if (i % PIXELS % W < 16) least = fminf(least, back[i]);
    cr_expect_gt(most, 1.2f, "%g", (double)most);
    cr_expect_lt(least, 1, "%g", (double)least);
    kn_film_reader_destroy(&reader);
}

/* --- going on --------------------------------------------------------------------------------- */

static bool stop_at_20(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)total;
    *(uint64_t *)user = done;
    return strcmp(stage, "paint") != 0 || done < 20;
}

Test(style, a_stopped_job_goes_on_and_ends_the_same) {
    kn_error error = {0};
    kn_style_report report;
    uint64_t reached = 0;
    char in[200], whole[200], stopped[200];
    make("-f lavfi -i testsrc2=size=64x48:rate=25:duration=1.5 -c:v ffv1 @/in.mkv");
    snprintf(in, sizeof in, "%s", at("in.mkv"));
    snprintf(whole, sizeof whole, "%s", at("whole.mkv"));
    snprintf(stopped, sizeof stopped, "%s", at("stopped.mkv"));
    kn_style_job job = {.input = in,
                        .output = whole,
                        .model = STYLE,
                        .look = "clay",
                        .clip = KN_CLIP_PARAMS_DEFAULT,
                        .height = 480,
                        .codec = -1};
    job.clip.strength = .7f;
    cr_assert(kn_style_run(&job, &report, &error), "%s", error.message);
    cr_expect_eq(report.frames, 38);
    job.output = stopped;
    job.progress = stop_at_20, job.progress_user = &reached;
    cr_assert_not(kn_style_run(&job, &report, &error));
    cr_expect_eq(error.kind, KN_ERROR_CANCELLED);
    cr_expect_not(kn_file_exists(stopped));
    job.progress = NULL;
    cr_assert(kn_style_run(&job, &report, &error), "%s", error.message);
    cr_expect_eq(report.resumed_frames, 16);
    check_same("whole.mkv", "stopped.mkv", "ffmpeg -v error -i @/%s -f framemd5 - | grep -v '^#'");
    char said[500];
    shell(said, sizeof said, "ls @");
    cr_expect_not(strstr(said, ".work"), "%s", said);
}

/* --- public models ---------------------------------------------------------------------------- */

Test(style, runs_stable_diffusion_with_controls) {
    make("-f lavfi -i testsrc2=size=64x48:rate=25:duration=0.16 -c:v ffv1 @/in.mkv");
    char said[4000];
    cr_assert_eq(shell(said, sizeof said,
                       "cp -r " SD "/controlnet-canny @/edges && cp -r " SD " @/sd && rm -r @/sd/controlnet-*"),
                 0);
    restyle("--model @/sd --prompt 'a (red:1.2) street' --negative grey --guidance 3 --steps 3 --strength 0.6 "
            "--control-model canny=@/edges "
            "--control-strength 0.8 @/in.mkv -o @/out.mkv");
    restyle("--model @/sd --prompt 'a (red:1.2) street' --negative grey --guidance 3 --steps 3 --strength 0.6 @/in.mkv "
            "-o @/plain.mkv");
    check_same("in.mkv", "out.mkv",
               "ffprobe -v error -count_packets -show_entries stream=width,height,nb_read_packets @/%s");
    shell(said, sizeof said,
          "ffmpeg -v error -i @/plain.mkv -i @/out.mkv -lavfi psnr=stats_file=- -f null - | tail -1");
    cr_expect(strstr(said, "psnr_avg:") && atof(strstr(said, "psnr_avg:") + 9) < 60, "the control matters: %s", said);
}

/* --- shots ------------------------------------------------------------------------------------ */

Test(style, finds_shots) {
    kn_error error = {0};
    kn_style_report report;
    char in[200], out[200];
    make("-f lavfi -i color=red:size=64x48:rate=25:duration=0.2 -f lavfi -i testsrc2=size=64x48:rate=25:duration=0.2 "
         "-lavfi "
         "'[0][1]concat' -c:v ffv1 @/in.mkv");
    snprintf(in, sizeof in, "%s", at("in.mkv"));
    snprintf(out, sizeof out, "%s", at("out.mkv"));
    kn_style_job job = {.input = in,
                        .output = out,
                        .model = STYLE,
                        .look = "ink",
                        .clip = KN_CLIP_PARAMS_DEFAULT,
                        .height = 480,
                        .codec = -1};
    cr_assert(kn_style_run(&job, &report, &error), "%s", error.message);
    cr_expect_eq(report.shots, 2);
    cr_expect_eq(report.frames, 10);
}

/* --- measures --------------------------------------------------------------------------------- */

static kn_film_score score_of(const char *film, kn_film_eval_report *report) {
    kn_error error = {0};
    char path[200], source[200];
    snprintf(path, sizeof path, "%s", at(film));
    snprintf(source, sizeof source, "%s", at("in.mkv"));
    kn_film_eval_params params = {.film = path, .source = source};
    cr_assert(kn_film_eval(&params, report, &error), "%s", error.message);
    return report->film;
}

Test(style, measures_know_noise_blur_colour_and_the_film_itself) {
    kn_film_eval_report r;
    make("-f lavfi -i mandelbrot=size=320x240:rate=25 -vf crop=200:150:'20+n*2':'40+n',format=gbrp -frames:v 10 -c:v "
         "ffv1 @/in.mkv");
    make("-i @/in.mkv -vf noise=alls=30:allf=t,format=gbrp -c:v ffv1 @/noisy.mkv");
    make("-i @/in.mkv -vf gblur=3,format=gbrp -c:v ffv1 @/blurred.mkv");
    make("-i @/in.mkv -vf format=gbrp,hue=h=40*t,format=gbrp -c:v ffv1 @/drifts.mkv");
    make("-i @/in.mkv -frames:v 7 -c:v ffv1 @/short.mkv");
    kn_film_score same = score_of("in.mkv", &r), noisy = score_of("noisy.mkv", &r),
                  blurred = score_of("blurred.mkv", &r), drifts = score_of("drifts.mkv", &r);
    cr_expect_eq(r.frames, 10);
    cr_expect_gt(r.covered, .5);
    cr_expect_eq(same.style_distance, 0);
    cr_expect_eq(same.edge_recall, 1);
    cr_expect_eq(same.colour_drift, 0);
    cr_expect_gt(noisy.flicker, same.flicker + .4, "%g, %g", noisy.flicker, same.flicker);
    cr_expect_gt(noisy.warp_error, 1.5 * same.warp_error);
    cr_expect_lt(blurred.detail, .5 * same.detail);
    cr_expect_lt(blurred.edge_recall, .8);
    cr_expect_lt(blurred.warp_error, same.warp_error, "which is why it is not enough");
    cr_expect_gt(drifts.colour_drift, 1, "%g", drifts.colour_drift);
    char said[1000];
    cr_expect_eq(shell(said, sizeof said, "%s eval @/short.mkv --source @/in.mkv 2>&1", KINORA_EXECUTABLE), 2);
    cr_expect(strstr(said, "fewer frames"), "%s", said);
    cr_expect_eq(shell(said, sizeof said, "%s eval @/noisy.mkv --source @/in.mkv --json @/x.json --progress off",
                       KINORA_EXECUTABLE),
                 0);
    cr_expect(strstr(said, "per pixel"), "%s", said);
}

/* --- bench ------------------------------------------------------------------------------------ */

static double peak_of(const char *said) {
    const char *at = strstr(said, "peak memory");
    return at ? atof(at + 11) : 0;
}

/* The same peak for a short film and one that is many times as long. */
Test(style, bench_tells_time_and_memory_which_does_not_grow) {
    char said[4000];
    double peaks[2];
    const int frames[2] = {20, 500};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(shell(said, sizeof said,
                           "TMPDIR=@ %s bench style --model " STYLE " --look ink --size 64x48 --frames %d 2>/dev/null",
                           KINORA_EXECUTABLE, frames[i]),
                     0);
        char expected[60];
        snprintf(expected, sizeof expected, "%d of 64 x 48, painted at 64 x 48", frames[i]);
        cr_expect(strstr(said, expected) && strstr(said, "frames/s"), "%s", said);
        peaks[i] = peak_of(said);
    }
    cr_expect_gt(peaks[0], 10);
    cr_expect_lt(peaks[1], 1.02 * peaks[0] + 1, "%g MB, %g MB", peaks[0], peaks[1]);
    shell(said, sizeof said, "ls @");
    cr_expect_str_eq(said, "");
    cr_expect_eq(shell(said, sizeof said, "%s bench style @/none.mkv 2>&1", KINORA_EXECUTABLE), 2);
}

/* --- bad input -------------------------------------------------------------------------------- */

typedef struct bad {
    const char *arguments, *says;
} bad;

Test(style, bad_input_is_named_and_leaves_nothing) {
    make("-f lavfi -i testsrc2=size=64x48:rate=25:duration=1 -c:v ffv1 @/in.mkv");
    make("-f lavfi -i testsrc2=size=64x48:rate=25:duration=0.2 -flags +ilme+ildct -top 1 -vf setfield=tff -c:v "
         "mpeg2video @/fields.mov");
    make("-f lavfi -i sine=duration=0.2 -c:a pcm_s16le @/sound.wav");
    char said[4000];
    shell(said, sizeof said,
          "ffmpeg -v error -y -i @/in.mkv -c:v mpeg4 -q 1 -movflags +faststart @/w.mp4; head -c $(( $(stat -c %%s "
          "@/w.mp4) * 2 / 3 )) @/w.mp4 > @/cut.mp4; rm @/w.mp4; echo nothing > @/text.mkv; cp @/in.mkv @/there.mkv");
    const bad cases[] = {
        {"@/absent.mkv -o @/x.mkv", "absent.mkv"},
        {"@/text.mkv -o @/x.mkv", "text.mkv"},
        {"@/sound.wav -o @/x.mkv", "sound.wav"},
        {"@/fields.mov -o @/x.mkv", "interlaced"},
        {"@/cut.mp4 -o @/x.mkv", "cut.mp4"},
        {"@/in.mkv -o @/in.mkv", "is the input, too"},
        {"@/in.mkv -o @/there.mkv", "is there already"},
        {"@/in.mkv -o @/x.avi", "x.avi"},
        {"@/in.mkv -o @/x.mkv --look oil", "ink, clay"},
        {"@/in.mkv -o @/x.mkv --look ink --prompt ink", "both"},
        {"@/in.mkv -o @/x.mkv --control-model depth=" SD "/controlnet-depth", "expected lineart"},
        {"@/in.mkv -o @/x.mkv --control-model canny", "KIND=PATH"},
        {"@/in.mkv -o @/x.mkv --control-strength 1", "must come after"},
        {"@/in.mkv -o @/x.mkv --strength 2", "--strength"},
        {"@/in.mkv -o @/x.mkv --rate 0", "--rate"},
        {"@/in.mkv", "-o FILE"},
        {"-o @/x.mkv", "needs a film"},
    };
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        int code = shell(said, sizeof said, "%s style --model " STYLE " %s%s 2>&1 >@/stdout", KINORA_EXECUTABLE,
                         cases[i].arguments, strstr(cases[i].arguments, "--look") ? "" : " --look ink");
        cr_expect_eq(code, 2, "%s: exit code %d, %s", cases[i].arguments, code, said);
        cr_expect(strstr(said, cases[i].says), "%s: %s", cases[i].arguments, said);
        shell(said, sizeof said, "ls @ | tr '\\n' ' '");
        cr_expect_str_eq(said, "cut.mp4 fields.mov in.mkv sound.wav stdout text.mkv there.mkv ", "%s: %s",
                         cases[i].arguments, said);
    }
}
