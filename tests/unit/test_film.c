/* Film in and out: what a film says about itself and what its pixels are survive reading and writing. The sources are
 * made by the ffmpeg command, and ffprobe judges what was written. */
#include "base/base.h"
#include "kinora/film.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char folder[64];

static void make_folder(void) {
    strcpy(folder, "/tmp/kinora-film-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    kn_encoders_quiet();
}

/* Runs a command in the folder; its output's beginning. */
static const char *shell(const char *format, ...) {
    static char output[4096];
    char command[2048], whole[2200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    snprintf(whole, sizeof whole, "cd %s && %s", folder, command);
    FILE *pipe = popen(whole, "r");
    size_t size = fread(output, 1, sizeof output - 1, pipe);
    output[size] = 0;
    cr_assert_eq(pclose(pipe), 0, "%s", command);
    return output;
}

static void remove_folder(void) { shell("rm -rf %s", folder); }

TestSuite(film, .init = make_folder, .fini = remove_folder);

#define FFMPEG "ffmpeg -nostdin -v error -y -bitexact "

static char *in_folder(const char *name) {
    static char path[4][256];
    static int next;
    char *text = path[next++ % 4];
    snprintf(text, sizeof path[0], "%s/%s", folder, name);
    return text;
}

static kn_film_reader *open_film(const char *name) {
    kn_error error = {0};
    kn_film_reader *reader = NULL;
    cr_assert(kn_film_reader_create(&reader, in_folder(name), (kn_rational){0}, &error), "%s", error.message);
    return reader;
}

static float *room(const kn_film_info *info) {
    return malloc((size_t)info->width * (size_t)info->height * (size_t)info->channels * sizeof(float));
}

/* Writes the frames of one film to another, as the style capability does with a look that changes nothing. */
static bool copy_film(const char *from, const char *to, bool sound, kn_error *error) {
    kn_film_reader *reader = NULL;
    kn_film_writer *writer = NULL;
    kn_film_params params;
    bool ok = kn_film_reader_create(&reader, in_folder(from), (kn_rational){0}, error) &&
              kn_film_params_like(&params, kn_film_reader_info(reader), in_folder(to), error),
         end = false;
    if (ok) {
        if (sound) params.sound = in_folder(from);
        ok = kn_film_writer_create(&writer, in_folder(to), &params, error);
    }
    kn_film_frame frame = {.planes = ok ? room(kn_film_reader_info(reader)) : NULL};
    while (ok && !end) {
        ok = kn_film_reader_next(reader, &frame, &end, error);
        if (ok && !end) ok = kn_film_writer_add(writer, &frame, error);
    }
    ok = ok && kn_film_writer_commit(writer, error);
    free(frame.planes);
    kn_film_writer_destroy(&writer);
    kn_film_reader_destroy(&reader);
    return ok;
}

static void must_copy(const char *from, const char *to, bool sound) {
    kn_error error = {0};
    cr_assert(copy_film(from, to, sound, &error), "%s", error.message);
}

/* PSNR over the frames of two films, each with values of at most `peak`; they have as many. */
static double compare(const char *a, const char *b, double peak, int *frames) {
    bool exact_times = !strstr(b, "upright"); /* Matroska rounds them */
    kn_error error = {0};
    kn_film_reader *readers[2] = {open_film(a), open_film(b)};
    const kn_film_info *infos[2] = {kn_film_reader_info(readers[0]), kn_film_reader_info(readers[1])};
    cr_assert(infos[0]->width == infos[1]->width && infos[0]->height == infos[1]->height &&
              infos[0]->channels == infos[1]->channels);
    kn_film_frame f[2] = {{.planes = room(infos[0])}, {.planes = room(infos[1])}};
    size_t values = (size_t)infos[0]->width * (size_t)infos[0]->height * (size_t)infos[0]->channels;
    double sum = 0;
    for (*frames = 0;; ++*frames) {
        bool end[2];
        for (int i = 0; i < 2; i++)
            cr_assert(kn_film_reader_next(readers[i], &f[i], &end[i], &error), "%s", error.message);
        cr_assert_eq(end[0], end[1], "%d frames", *frames);
        if (end[0]) break;
        if (exact_times)
            cr_assert_eq(f[0].time * infos[0]->time_base.num * infos[1]->time_base.den,
                         f[1].time * infos[1]->time_base.num * infos[0]->time_base.den);
        for (size_t i = 0; i < values; i++) sum += pow((double)f[0].planes[i] - f[1].planes[i], 2);
    }
    for (int i = 0; i < 2; i++) kn_film_reader_destroy(&readers[i]), free(f[i].planes);
    sum /= (double)values * *frames;
    return sum > 0 ? 10 * log10(peak * peak / sum) : INFINITY;
}

/* One entry of ffprobe's report. */
static const char *probe(const char *name, const char *streams, const char *entries) {
    return shell("ffprobe -v error -select_streams %s -show_entries %s -of default=nw=1 %s", streams, entries, name);
}

static void same_probe(const char *a, const char *b, const char *streams, const char *entries) {
    char first[4096];
    snprintf(first, sizeof first, "%s", probe(a, streams, entries));
    cr_assert(first[0]);
    const char *second = probe(b, streams, entries);
    cr_assert_str_eq(first, second);
}

Test(film, prores_hq_with_timecode_and_sound) {
    shell(FFMPEG "-f lavfi -i testsrc2=s=320x180:r=24000/1001 -f lavfi -i sine=sample_rate=48000 -t 1.5 -c:v prores_ks "
                 "-profile:v hq -pix_fmt yuv422p10le "
                 "-vf setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv -timecode 01:02:03:04 "
                 "-c:a pcm_s24le in.mov");
    const kn_film_info *info;
    kn_film_reader *reader = open_film("in.mov");
    info = kn_film_reader_info(reader);
    cr_assert(info->rate.num == 24000 && info->rate.den == 1001 && info->depth == 10 && info->chroma == 422 &&
              info->channels == 3);
    cr_assert_str_eq(info->timecode, "01:02:03:04");
    cr_assert(info->color.primaries == 1 && info->color.transfer == 1 && info->color.matrix == 1 &&
              info->color.range == 1);
    cr_assert_eq(info->audio_streams, 1);
    kn_film_reader_destroy(&reader);
    must_copy("in.mov", "out.mov", true);
    int frames;
    double psnr = compare("in.mov", "out.mov", 1, &frames);
    cr_assert_geq(psnr, 50, "PSNR %.1f dB", psnr);
    cr_assert_eq(frames, 36);
    same_probe("in.mov", "out.mov", "v:0",
               "stream=codec_name,profile,codec_tag_string,width,height,pix_fmt,color_range,color_space,color_transfer,"
               "color_primaries,r_frame_rate,avg_frame_rate,"
               "time_base,nb_frames,duration_ts,start_pts:stream_tags=timecode");
    same_probe("in.mov", "out.mov", "a:0", "stream=codec_name,sample_rate,channels,duration_ts,start_pts");
    same_probe("in.mov", "out.mov", "d:0", "stream=codec_tag_string:stream_tags=timecode");
    char sound[256];
    snprintf(sound, sizeof sound, "%s",
             shell("ffmpeg -nostdin -v error -i in.mov -map 0:a -c copy -f streamhash -hash md5 -"));
    cr_assert_str_eq(shell("ffmpeg -nostdin -v error -i out.mov -map 0:a -c copy -f streamhash -hash md5 -"), sound);
}

Test(film, prores_4444_keeps_alpha) {
    shell(FFMPEG "-f lavfi -i testsrc2=s=192x108:r=25 -frames:v 4 -vf "
                 "\"format=yuva444p10le,geq=lum='lum(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':a='4*X'\" -c:v prores_ks "
                 "-profile:v 4444 -alpha_bits 16 in.mov");
    must_copy("in.mov", "out.mov", false);
    int frames;
    double psnr = compare("in.mov", "out.mov", 1, &frames);
    cr_assert_geq(psnr, 50, "PSNR %.1f dB", psnr);
    cr_assert_eq(frames, 4);
    same_probe("in.mov", "out.mov", "v:0", "stream=codec_name,profile,pix_fmt,nb_frames");
    kn_film_reader *reader = open_film("out.mov");
    const kn_film_info *info = kn_film_reader_info(reader);
    cr_assert_eq(info->channels, 4);
    kn_film_frame frame = {.planes = room(info)};
    bool end;
    kn_error error = {0};
    cr_assert(kn_film_reader_next(reader, &frame, &end, &error));
    for (int x = 0; x < 192; x++) cr_assert_float_eq(frame.planes[3 * 192 * 108 + 192 * 50 + x], 4. * x / 1023, .004);
    free(frame.planes);
    kn_film_reader_destroy(&reader);
}

Test(film, a_phone_clip_in_hlg_that_lies_on_its_side) {
    shell(FFMPEG "-f lavfi -i testsrc2=s=128x96:r=30000/1001 -f lavfi -i sine -t 0.25 -c:v libx265 -x265-params "
                 "log-level=none:colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc:range=limited -crf 8 "
                 "-pix_fmt yuv420p10le -tag:v hvc1 -color_primaries bt2020 "
                 "-color_trc arib-std-b67 -colorspace bt2020nc -color_range tv -c:a aac flat.mov");
    shell(FFMPEG "-display_rotation 90 -i flat.mov -c copy in.mov 2>/dev/null || " FFMPEG
                 "-i flat.mov -c copy -metadata:s:v rotate=270 in.mov");
    kn_film_reader *reader = open_film("in.mov");
    const kn_film_info *info = kn_film_reader_info(reader);
    cr_assert(info->width == 96 && info->height == 128 && (info->quarter_turns & 1), "%dx%d, %d turns", info->width,
              info->height, info->quarter_turns);
    cr_assert(info->color.primaries == 9 && info->color.transfer == 18 && info->color.matrix == 9 &&
              info->color.range == 1 && info->depth == 10);
    kn_film_reader_destroy(&reader);
    kn_error error = {0};
    kn_film_params params;
    reader = open_film("in.mov");
    cr_assert(kn_film_params_like(&params, kn_film_reader_info(reader), in_folder("out.mov"), &error));
    params.codec = KN_FILM_H265, params.depth = 10, params.chroma = 420, params.quality = 1,
    params.sound = in_folder("in.mov");
    kn_film_writer *writer = NULL;
    cr_assert(kn_film_writer_create(&writer, in_folder("out.mov"), &params, &error), "%s", error.message);
    kn_film_frame frame = {.planes = room(kn_film_reader_info(reader))};
    for (bool end = false; !end;) {
        cr_assert(kn_film_reader_next(reader, &frame, &end, &error), "%s", error.message);
        if (!end) cr_assert(kn_film_writer_add(writer, &frame, &error), "%s", error.message);
    }
    cr_assert(kn_film_writer_commit(writer, &error), "%s", error.message);
    kn_film_writer_destroy(&writer);
    kn_film_reader_destroy(&reader);
    free(frame.planes);
    int frames;
    double psnr = compare("in.mov", "out.mov", 1, &frames);
    cr_assert_geq(psnr, 50, "PSNR %.1f dB", psnr);
    same_probe("in.mov", "out.mov", "v:0",
               "stream=codec_name,codec_tag_string,width,height,pix_fmt,color_range,color_space,color_transfer,color_"
               "primaries,r_frame_rate,nb_frames,start_pts:side_data=rotation");
    same_probe("in.mov", "out.mov", "a:0", "stream=codec_name,sample_rate,nb_frames,start_pts,duration_ts");
    /* What ffmpeg itself turns upright is what we read. */
    shell(FFMPEG "-i in.mov -c:v ffv1 -an upright.mkv");
    psnr = compare("in.mov", "upright.mkv", 1, &frames);
    cr_assert_geq(psnr, 20, "PSNR %.1f dB", psnr); /* another side up: below 10; ffmpeg forgets where its chroma lies */
}

/* An EXR of 4 channels with values from -1 to 50 and an attribute of its own. */
static void write_exr(int number) {
    kn_error error = {0};
    kn_film_params params = {.width = 33,
                             .height = 21,
                             .channels = 4,
                             .rate = {24, 1},
                             .codec = KN_FILM_EXR,
                             .depth = 32,
                             .color = {1, 8, 0, 2, 0},
                             .first_number = number,
                             .overwrite = true,
                             .timecode = "10:00:00:00"};
    kn_film_writer *writer = NULL;
    cr_assert(kn_film_writer_create(&writer, in_folder("plates/shot_%04d.exr"), &params, &error), "%s", error.message);
    float planes[4 * 33 * 21];
    /* chromaticities of ACES AP0 */
    static const float aces[8] = {.7347f, .2653f, 0, 1, .0001f, -.077f, .32168f, .33767f};
    uint8_t header[128] = "EXR\0chromaticities\0chromaticities";
    size_t used = 4 + 15 + 15;
    header[used] = 32, used += 4;
    memcpy(header + used, aces, 32), used += 32;
    for (int f = 0; f < 3; f++) {
        for (int i = 0; i < 4 * 33 * 21; i++) planes[i] = -1 + 51 * fabsf(sinf((float)(i + 7 * f) * .37f));
        cr_assert(kn_film_writer_add(
                      writer,
                      &(kn_film_frame){.planes = planes, .index = f, .time = f, .header = header, .header_size = used},
                      &error),
                  "%s", error.message);
    }
    cr_assert(kn_film_writer_commit(writer, &error), "%s", error.message);
    kn_film_writer_destroy(&writer);
}

Test(film, exr_sequences_keep_values_above_one_and_attributes) {
    write_exr(1001);
    cr_assert_str_eq(shell("ls -A plates"), "shot_1001.exr\nshot_1002.exr\nshot_1003.exr\n");
    kn_film_reader *reader = open_film("plates/shot_%04d.exr");
    const kn_film_info *info = kn_film_reader_info(reader);
    cr_assert(info->floating && info->depth == 32 && info->channels == 4 && info->frame_count == 3 &&
              info->color.transfer == 8);
    cr_assert_str_eq(info->timecode, "10:00:00:00");
    kn_film_reader_destroy(&reader);
    must_copy("plates/shot_%04d.exr", "out/copy.%06d.exr", false);
    cr_assert_str_eq(shell("ls -A out"), "copy.000000.exr\ncopy.000001.exr\ncopy.000002.exr\n");
    int frames;
    cr_assert(isinf(
        compare("plates/shot_%04d.exr", "out/copy.%06d.exr", 50, &frames))); /* 32-bit floats come back as they were */
    cr_assert_eq(frames, 3);
    shell("grep -q chromaticities out/copy.000002.exr");
    reader = open_film("out/copy.%06d.exr");
    cr_assert_str_eq(kn_film_reader_info(reader)->timecode, "10:00:00:00");
    kn_film_reader_destroy(&reader);
    shell("ffmpeg -nostdin -v error -i out/copy.%%06d.exr -f null -"); /* others read it, too */
    /* Nothing is replaced unasked, and a gap is named. */
    kn_error error = {0};
    cr_assert_not(copy_film("plates/shot_%04d.exr", "out/copy.%06d.exr", false, &error));
    cr_assert(error.kind == KN_ERROR_INPUT && strstr(error.message, "copy.000000.exr"), "%s", error.message);
    cr_assert_str_eq(shell("ls -A out"), "copy.000000.exr\ncopy.000001.exr\ncopy.000002.exr\n");
    shell("rm plates/shot_1002.exr");
    cr_assert_not(kn_film_reader_create(&reader, in_folder("plates/shot_%04d.exr"), (kn_rational){0}, &error));
    cr_assert(strstr(error.message, "1002"), "%s", error.message);
}

/* A film of RGB(A) with a value for each pixel that 16 bits tell apart. */
static void write_film(const char *name, kn_film_params params, int frames) {
    kn_error error = {0};
    kn_film_writer *writer = NULL;
    if (params.rate.num == 0) params.rate = (kn_rational){24, 1};
    cr_assert(kn_film_writer_create(&writer, in_folder(name), &params, &error), "%s", error.message);
    size_t pixels = (size_t)params.width * (size_t)params.height;
    float *planes = malloc(4 * pixels * sizeof *planes);
    for (int f = 0; f < frames; f++) {
        for (size_t c = 0; c < 4; c++)
            for (size_t i = 0; i < pixels; i++)
                planes[c * pixels + i] =
                    .5f + .22f * (sinf((float)(i % (size_t)params.width) * .053f + (float)c * 1.3f + (float)f * .2f) +
                                  sinf((float)(i / (size_t)params.width) * .041f));
        cr_assert(kn_film_writer_add(writer, &(kn_film_frame){.planes = planes, .time = f}, &error), "%s",
                  error.message);
    }
    cr_assert(kn_film_writer_commit(writer, &error), "%s", error.message);
    kn_film_writer_destroy(&writer);
    free(planes);
}

Test(film, every_lossless_format_comes_back_exactly) {
    static const struct {
        const char *name;
        kn_film_codec codec;
        int depth, chroma;
        bool rgb, alpha;
    } cases[] = {{"a.mkv", KN_FILM_FFV1, 8, 420, false, false},     {"a.mkv", KN_FILM_FFV1, 8, 420, false, true},
                 {"a.mkv", KN_FILM_FFV1, 10, 422, false, false},    {"a.mkv", KN_FILM_FFV1, 12, 444, false, false},
                 {"a.mkv", KN_FILM_FFV1, 16, 420, false, true},     {"a.mkv", KN_FILM_FFV1, 8, 444, true, false},
                 {"a.mkv", KN_FILM_FFV1, 8, 444, true, true},       {"a.mkv", KN_FILM_FFV1, 16, 444, true, true},
                 {"d8/%d.dpx", KN_FILM_DPX, 8, 444, true, false},   {"d10/%d.dpx", KN_FILM_DPX, 10, 444, true, false},
                 {"d12/%d.dpx", KN_FILM_DPX, 12, 444, true, false}, {"d16/%d.dpx", KN_FILM_DPX, 16, 444, true, true},
                 {"t8/%d.tif", KN_FILM_TIFF, 8, 444, true, false},  {"t16/%d.tif", KN_FILM_TIFF, 16, 444, true, true},
                 {"p8/%d.png", KN_FILM_PNG, 8, 444, true, true},    {"p16/%d.png", KN_FILM_PNG, 16, 444, true, false},
                 {"e/%d.exr", KN_FILM_EXR, 16, 444, true, true}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        bool odd = cases[i].codec != KN_FILM_FFV1;
        kn_film_params params = {.width = odd ? 37 : 38,
                                 .height = odd ? 23 : 22,
                                 .channels = cases[i].alpha ? 4 : 3,
                                 .codec = cases[i].codec,
                                 .depth = cases[i].depth,
                                 .chroma = cases[i].chroma,
                                 .rgb = cases[i].rgb};
        write_film(cases[i].name, params, 2);
        char second[64];
        snprintf(second, sizeof second, "b%s", cases[i].name);
        must_copy(cases[i].name, second, false);
        int frames;
        double psnr = compare(cases[i].name, second, 1, &frames);
        cr_assert(psnr > 120, "%s %d bits: %.1f dB", kn_film_codec_name(cases[i].codec), cases[i].depth, psnr);
        kn_film_reader *reader = open_film(second);
        const kn_film_info *info = kn_film_reader_info(reader);
        if (cases[i].codec != KN_FILM_EXR)
            cr_assert_eq(info->depth, cases[i].depth, "%s: %d bits", second, info->depth);
        cr_assert_eq(info->channels, params.channels);
        kn_film_reader_destroy(&reader);
    }
}

/* PSNR of a film of three frames of 256 x 144 beside reference.mkv. */
static double against_reference(const char *name) {
    kn_error error = {0};
    kn_film_reader *both[2] = {open_film(name), open_film("reference.mkv")};
    float *planes[2] = {room(kn_film_reader_info(both[0])), room(kn_film_reader_info(both[1]))};
    double sum = 0;
    int frames = 0;
    for (bool end = false; !end; frames += !end)
        for (int k = 0; k < 2; k++) {
            kn_film_frame frame = {.planes = planes[k]};
            cr_assert(kn_film_reader_next(both[k], &frame, &end, &error), "%s", error.message);
            for (size_t v = 0; k && !end && v < 3 * 256 * 144; v++) sum += pow((double)planes[0][v] - planes[1][v], 2);
        }
    cr_assert_eq(frames, 3);
    for (int k = 0; k < 2; k++) kn_film_reader_destroy(&both[k]), free(planes[k]);
    return 10 * log10(frames * 3 * 256 * 144 / sum);
}

Test(film, every_delivery_format_is_written_and_read) {
    static const struct {
        const char *name;
        kn_film_codec codec;
        int depth, chroma;
    } cases[] = {
        {"a.mov", KN_FILM_PRORES, 10, 422}, {"a.mov", KN_FILM_PRORES, 10, 444}, {"a.mov", KN_FILM_DNXHR, 8, 422},
        {"a.mov", KN_FILM_DNXHR, 10, 422},  {"a.mov", KN_FILM_DNXHR, 10, 444},  {"a.mp4", KN_FILM_H264, 8, 420},
        {"a.mkv", KN_FILM_H264, 8, 444},    {"a.mov", KN_FILM_H264, 10, 422},   {"a.mp4", KN_FILM_H265, 8, 420},
        {"a.mp4", KN_FILM_H265, 10, 420},   {"a.mp4", KN_FILM_H265, 12, 444}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        kn_film_params params = {.width = 256,
                                 .height = 144,
                                 .channels = 3,
                                 .codec = cases[i].codec,
                                 .depth = cases[i].depth,
                                 .chroma = cases[i].chroma,
                                 .quality = 4,
                                 .rate = {30000, 1001},
                                 .timecode = "00:59:59;28"};
        write_film(cases[i].name, params, 3);
        write_film("reference.mkv",
                   (kn_film_params){.width = 256,
                                    .height = 144,
                                    .channels = 3,
                                    .codec = KN_FILM_FFV1,
                                    .depth = 16,
                                    .chroma = 444,
                                    .rgb = true,
                                    .rate = {30000, 1001}},
                   3);
        kn_film_reader *reader = open_film(cases[i].name);
        const kn_film_info *info = kn_film_reader_info(reader);
        int depth = cases[i].codec == KN_FILM_PRORES && cases[i].chroma == 444
                        ? 12
                        : cases[i].depth; /* 4444 is decoded with 12 bits */
        cr_assert(info->depth == depth && info->chroma == cases[i].chroma, "%s: %s", kn_film_codec_name(cases[i].codec),
                  info->pixel_format);
        cr_assert(info->rate.num == 30000 && info->rate.den == 1001);
        cr_assert(info->color.matrix == 1 && info->color.primaries == 1 && info->color.transfer == 1 &&
                  info->color.range == 1);
        if (!strstr(cases[i].name, "mkv")) cr_assert_str_eq(info->timecode, "00:59:59;28");
        kn_film_reader_destroy(&reader);
        double psnr = against_reference(cases[i].name);
        cr_assert_geq(psnr, 38, "%s %d bits: %.1f dB", kn_film_codec_name(cases[i].codec), cases[i].depth, psnr);
    }
}

Test(film, variable_rates_keep_their_times) {
    shell(FFMPEG "-f lavfi -i testsrc2=s=64x48:r=30 -f lavfi -i sine=f=440 -frames:v 9 -t 0.6 -vf "
                 "\"select='not(eq(n,2))*not(eq(n,3))'\" -vsync vfr -c:v libx264 -qp 0 "
                 "-pix_fmt yuv420p -c:a aac in.mp4");
    must_copy("in.mp4", "out.mp4", true);
    char times[4096];
    snprintf(times, sizeof times, "%s",
             shell("ffprobe -v error -select_streams v:0 -show_entries frame=pts_time -of csv=p=0 in.mp4"));
    cr_assert_str_eq(shell("ffprobe -v error -select_streams v:0 -show_entries frame=pts_time -of csv=p=0 out.mp4"),
                     times);
    char sound[256];
    snprintf(sound, sizeof sound, "%s",
             shell("ffmpeg -nostdin -v error -i in.mp4 -map 0:a -c copy -f streamhash -hash md5 -"));
    cr_assert_str_eq(shell("ffmpeg -nostdin -v error -i out.mp4 -map 0:a -c copy -f streamhash -hash md5 -"), sound);
    same_probe("in.mp4", "out.mp4", "a:0", "stream=codec_name,nb_frames,start_pts");
}

Test(film, aspect_and_fields_are_kept) {
    shell(FFMPEG "-f lavfi -i testsrc2=s=96x64:r=25 -frames:v 3 -vf setsar=64/45,setfield=tff -c:v prores_ks "
                 "-profile:v hq -flags +ildct -field_order tt in.mov");
    must_copy("in.mov", "out.mov", false);
    same_probe("in.mov", "out.mov", "v:0", "stream=sample_aspect_ratio,display_aspect_ratio,field_order,nb_frames");
    kn_film_reader *reader = open_film("out.mov");
    const kn_film_info *info = kn_film_reader_info(reader);
    cr_assert(info->pixel_aspect.num == 64 && info->pixel_aspect.den == 45 && info->interlaced && info->top_first);
    kn_film_reader_destroy(&reader);
}

/* Reads all frames; false with the error. */
static bool read_all(const char *name, int *frames, kn_error *error) {
    kn_film_reader *reader = NULL;
    *frames = 0;
    if (!kn_film_reader_create(&reader, in_folder(name), (kn_rational){0}, error)) return false;
    kn_film_frame frame = {.planes = room(kn_film_reader_info(reader))};
    bool ok = true;
    for (bool end = false; ok && !end; *frames += ok && !end) ok = kn_film_reader_next(reader, &frame, &end, error);
    free(frame.planes);
    kn_film_reader_destroy(&reader);
    return ok;
}

Test(film, bad_films_are_named) {
    shell(FFMPEG "-f lavfi -i testsrc2=s=64x48:r=24 -frames:v 20 -c:v libx264 -bf 0 -g 5 -movflags faststart ok.mp4");
    shell(FFMPEG "-f lavfi -i sine -t 0.2 sound.wav");
    shell("head -c $(($(stat -c %%s ok.mp4) * 2 / 3)) ok.mp4 > cut.mp4; cp ok.mp4 broken.mp4; printf '%%0300d' 7 | dd "
          "of=broken.mp4 bs=1 seek=$(($(stat -c %%s ok.mp4) * 2 / 3)) conv=notrunc status=none; : > empty.mov");
    static const struct {
        const char *name, *says;
    } cases[] = {{"sound.wav", "holds no video"},
                 {"cut.mp4", "cut off at frame"},
                 {"broken.mp4", "frame"},
                 {"empty.mov", "cannot open"},
                 {"absent_%d.exr", "no file fits"}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        kn_error error = {0};
        int frames;
        cr_assert_not(read_all(cases[i].name, &frames, &error), "%s", cases[i].name);
        cr_assert(error.kind == KN_ERROR_INPUT && strstr(error.message, cases[i].name) &&
                      strstr(error.message, cases[i].says),
                  "%s", error.message);
        cr_assert_lt(frames, 20);
        /* Nothing is left of what was begun. */
        cr_assert_not(copy_film(cases[i].name, "begun.mov", false, &error));
        cr_assert(!kn_file_exists(in_folder("begun.mov")) && !kn_file_exists(in_folder("begun.mov.part")));
    }
}

Test(film, what_a_file_cannot_hold_is_refused_by_name) {
    kn_error error = {0};
    kn_film_writer *writer = NULL;
    static const struct {
        const char *name, *says;
        kn_film_params params;
    } cases[] = {
        {"a.mp4",
         "goes into a .mov",
         {.width = 64, .height = 48, .channels = 3, .rate = {24, 1}, .codec = KN_FILM_PRORES}},
        {"a.mp4", "alpha", {.width = 64, .height = 48, .channels = 4, .rate = {24, 1}, .codec = KN_FILM_H264}},
        {"a.mp4", "even sizes", {.width = 65, .height = 48, .channels = 3, .rate = {24, 1}, .codec = KN_FILM_H264}},
        {"a.mov", "too small", {.width = 64, .height = 48, .channels = 3, .rate = {24, 1}, .codec = KN_FILM_DNXHR}},
        {"a.mov",
         "timecode",
         {.width = 64, .height = 48, .channels = 3, .rate = {24, 1}, .codec = KN_FILM_PRORES, .timecode = "noon"}},
        {"a.exr", "pattern", {.width = 64, .height = 48, .channels = 3, .rate = {24, 1}, .codec = KN_FILM_EXR}},
        {"a.mov",
         "does not store",
         {.width = 64, .height = 48, .channels = 3, .rate = {24, 1}, .codec = KN_FILM_PRORES, .depth = 8}},
        {"a.mov", "0x48", {.width = 0, .height = 48, .channels = 3, .rate = {24, 1}, .codec = KN_FILM_PRORES}},
        {"a.mov", "frame rate", {.width = 64, .height = 48, .channels = 3, .rate = {0, 1}, .codec = KN_FILM_PRORES}}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        cr_assert_not(kn_film_writer_create(&writer, in_folder(cases[i].name), &cases[i].params, &error), "%s",
                      cases[i].says);
        cr_assert(strstr(error.message, cases[i].says) && strstr(error.message, cases[i].name), "%s: %s", cases[i].says,
                  error.message);
        cr_assert(error.kind == KN_ERROR_INPUT || error.kind == KN_ERROR_UNSUPPORTED);
        cr_assert_null(writer);
    }
    shell(FFMPEG "-f lavfi -i sine -t 0.1 -c:a pcm_s16le pcm.mov");
    kn_film_params params = {.width = 64,
                             .height = 48,
                             .channels = 3,
                             .rate = {24, 1},
                             .codec = KN_FILM_H264,
                             .sound = in_folder("pcm.mov")};
    cr_assert_not(kn_film_writer_create(&writer, in_folder("a.mp4"), &params, &error));
    cr_assert(strstr(error.message, "pcm_s16le"), "%s", error.message);
    cr_assert_str_eq(shell("ls"), "pcm.mov\n");
    /* NaN does not leave. */
    params = (kn_film_params){.width = 64, .height = 48, .channels = 3, .rate = {24, 1}, .codec = KN_FILM_PRORES};
    float *planes = calloc(64 * 48 * 3, sizeof *planes);
    planes[77] = NAN;
    cr_assert(kn_film_writer_create(&writer, in_folder("a.mov"), &params, &error), "%s", error.message);
    cr_assert_not(kn_film_writer_add(writer, &(kn_film_frame){.planes = planes}, &error));
    cr_assert(strstr(error.message, "no number"), "%s", error.message);
    kn_film_writer_destroy(&writer);
    free(planes);
    cr_assert_str_eq(shell("ls"), "pcm.mov\n");
}

Test(film, cuts_are_found_and_motion_is_none) {
    enum { W = 96, H = 64 };
    static float planes[3 * W * H];
    kn_error error = {0};
    kn_shots *shots = NULL;
    cr_assert(kn_shots_create(&shots, W, H, 0, &error));
    for (int f = 0; f < 60; f++) {
        int scene = f < 20 ? 0 : f < 41 ? 1 : 2;
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < H; y++)
                for (int x = 0; x < W; x++) /* each scene pans; the last brightens */
                    planes[(c * H + y) * W + x] = .5f + .4f *
                                                            sinf((float)(x + f) * (scene ? .31f : .11f) +
                                                                 (float)(y * scene) * .23f + (float)(3 * scene)) *
                                                            (scene == 2 ? (float)f / 60 : 1);
        cr_assert_eq(kn_shots_next(shots, planes), f == 0 || f == 20 || f == 41, "frame %d", f);
    }
    kn_shots_destroy(&shots);
    cr_assert_null(shots);
    cr_assert_not(kn_shots_create(&shots, 0, 5, 0, &error));
}

Test(film, failing_allocations) {
    write_exr(1);
    for (uint64_t n = 1; n < 200; n++) {
        kn_error error = {0};
        kn_alloc_fail_after(n);
        bool ok = copy_film("plates/shot_%04d.exr", "new/%d.exr", false, &error);
        kn_alloc_fail_after(0);
        if (ok) break;
        cr_assert_eq(error.kind, KN_ERROR_MEMORY, "%s", error.message);
        cr_assert_not(kn_file_exists(in_folder("new")), "allocation %d", (int)n);
        cr_assert_lt(n, 199u);
    }
}
