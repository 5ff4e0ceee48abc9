/* Video files out and in: colours, rates, metadata, determinism, and what happens when writing goes wrong. */
#include "base/base.h"
#include "kinora/encoders.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char folder[64];

static void make_folder(void) {
    strcpy(folder, "/tmp/kinora-encoders-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    kn_encoders_quiet();
}

static void remove_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(encoders, .init = make_folder, .fini = remove_folder);

static char *in_folder(const char *name) {
    static char path[4][256];
    static int next;
    char *text = path[next++ % 4];
    snprintf(text, sizeof path[0], "%s/%s", folder, name);
    return text;
}

/* Smooth colours that move, so that every codec keeps them well. */
static void paint(uint8_t *rgb, int width, int height, int frame) {
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *p = rgb + 3 * (y * width + x);
            p[0] = (uint8_t)(127.5 + 100 * sin((x + 2 * frame) * .06));
            p[1] = (uint8_t)(127.5 + 100 * sin((y + frame) * .05 + 1));
            p[2] = (uint8_t)(127.5 + 100 * sin((x + y) * .03 + .1 * frame));
        }
}

static bool write_clip(const char *path, const kn_video_params *params, int frames, kn_error *error) {
    uint8_t *rgb = malloc(3 * (size_t)params->width * (size_t)params->height);
    kn_video_writer *writer = NULL;
    bool ok = kn_video_writer_create(&writer, path, params, error);
    for (int i = 0; ok && i < frames; i++) {
        paint(rgb, params->width, params->height, i);
        ok = kn_video_writer_add(writer, rgb, error);
    }
    ok = ok && kn_video_writer_commit(writer, error);
    kn_video_writer_destroy(&writer);
    free(rgb);
    return ok;
}

/* PSNR over all frames of the clip that write_clip wrote; checks count, size and time stamps. */
static double read_clip(const char *path, const kn_video_params *params, int frames, bool cropped, double tolerance) {
    kn_error error = {0};
    kn_video_reader *reader = NULL;
    cr_assert(kn_video_reader_create(&reader, path, params->rate, &error), "%s", error.message);
    const kn_video_info *info = kn_video_reader_info(reader);
    int width = cropped ? (params->width + 1) & ~1 : params->width,
        height = cropped ? (params->height + 1) & ~1 : params->height;
    cr_assert_eq(info->width, width);
    cr_assert_eq(info->height, height);
    uint8_t *got = malloc(3 * (size_t)width * (size_t)height),
            *want = malloc(3 * (size_t)params->width * (size_t)params->height);
    double sum = 0, seconds = -1;
    bool end = false;
    int count = 0;
    for (;;) {
        cr_assert(kn_video_reader_next(reader, got, &seconds, &end, &error), "%s", error.message);
        if (end) break;
        cr_assert_float_eq(seconds, (double)count * params->rate.den / params->rate.num, tolerance);
        paint(want, params->width, params->height, count++);
        for (int y = 0; y < params->height; y++)
            for (int i = 0; i < 3 * params->width; i++) {
                double d = (double)got[3 * width * y + i] - want[3 * params->width * y + i];
                sum += d * d;
            }
    }
    cr_assert_eq(count, frames);
    kn_video_reader_destroy(&reader);
    cr_assert_null(reader);
    free(got);
    free(want);
    sum /= 3.0 * params->width * params->height * frames;
    return sum > 0 ? 10 * log10(255 * 255 / sum) : INFINITY;
}

Test(encoders, round_trips) {
    static const struct {
        kn_codec codec;
        double psnr;
    } cases[] = {{KN_CODEC_H264, 38},
                 {KN_CODEC_HEVC, 36},
                 {KN_CODEC_PRORES, 42},
                 {KN_CODEC_FFV1, INFINITY},
                 {KN_CODEC_PNG, INFINITY}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        kn_error error = {0};
        char name[32];
        snprintf(name, sizeof name, "clip%s", kn_codec_extension(cases[i].codec));
        kn_video_params params = {.width = 160, .height = 96, .rate = {12, 1}, .codec = cases[i].codec};
        cr_assert(write_clip(in_folder(name), &params, 7, &error), "%s: %s", kn_codec_name(cases[i].codec),
                  error.message);
        double psnr = read_clip(in_folder(name), &params, 7, false, cases[i].codec == KN_CODEC_FFV1 ? 1e-3 : 1e-6);
        cr_assert_geq(psnr, cases[i].psnr, "%s: PSNR %.1f dB", kn_codec_name(cases[i].codec), psnr);
    }
}

Test(encoders, odd_sizes) {
    for (int c = 0; c < KN_CODEC_COUNT; c++) {
        kn_error error = {0};
        char name[32];
        snprintf(name, sizeof name, "odd%s", kn_codec_extension((kn_codec)c));
        kn_video_params params = {.width = 131, .height = 67, .rate = {25, 1}, .codec = (kn_codec)c};
        cr_assert(write_clip(in_folder(name), &params, 3, &error), "%s: %s", kn_codec_name((kn_codec)c), error.message);
        double psnr = read_clip(in_folder(name), &params, 3, c <= KN_CODEC_PRORES, 1e-3);
        cr_assert_geq(psnr, 34, "%s: PSNR %.1f dB", kn_codec_name((kn_codec)c), psnr);
    }
}

Test(encoders, colours_are_bt709) {
    static const uint8_t colours[][3] = {{255, 0, 0}, {0, 255, 0},     {0, 0, 255},   {255, 255, 255},
                                         {0, 0, 0},   {128, 128, 128}, {200, 100, 50}};
    for (size_t i = 0; i < KN_COUNT(colours); i++) {
        kn_error error = {0};
        kn_video_params params = {.width = 64, .height = 64, .rate = {12, 1}, .codec = KN_CODEC_H264};
        uint8_t rgb[64 * 64 * 3];
        for (size_t p = 0; p < sizeof rgb; p++) rgb[p] = colours[i][p % 3];
        kn_video_writer *writer = NULL;
        cr_assert(kn_video_writer_create(&writer, in_folder("c.mp4"), &params, &error));
        for (int f = 0; f < 3; f++) cr_assert(kn_video_writer_add(writer, rgb, &error));
        cr_assert(kn_video_writer_commit(writer, &error));
        kn_video_writer_destroy(&writer);
        kn_video_reader *reader = NULL;
        cr_assert(kn_video_reader_create(&reader, in_folder("c.mp4"), (kn_rational){0}, &error));
        const kn_video_info *info = kn_video_reader_info(reader);
        cr_assert_str_eq(info->primaries, "bt709");
        cr_assert_str_eq(info->transfer, "bt709");
        cr_assert_str_eq(info->matrix, "bt709");
        cr_assert_str_eq(info->range, "tv");
        cr_assert_str_eq(info->pixel_format, "yuv420p");
        bool end;
        cr_assert(kn_video_reader_next(reader, rgb, NULL, &end, &error));
        for (int c = 0; c < 3; c++)
            cr_assert_leq(abs(rgb[3 * (64 * 30 + 30) + c] - colours[i][c]), 3, "colour %zu channel %d: %d", i, c,
                          rgb[3 * (64 * 30 + 30) + c]);
        kn_video_reader_destroy(&reader);
    }
}

Test(encoders, prores_frames_carry_colour_tags) {
    kn_error error = {0};
    kn_video_params params = {.width = 64, .height = 48, .rate = {24, 1}, .codec = KN_CODEC_PRORES};
    cr_assert(write_clip(in_folder("p.mov"), &params, 2, &error), "%s", error.message);
    kn_video_reader *reader = NULL;
    cr_assert(kn_video_reader_create(&reader, in_folder("p.mov"), (kn_rational){0}, &error));
    cr_assert_str_eq(kn_video_reader_info(reader)->codec, "prores");
    cr_assert_str_eq(kn_video_reader_info(reader)->matrix, "bt709");
    cr_assert_str_eq(kn_video_reader_info(reader)->primaries, "bt709");
    kn_video_reader_destroy(&reader);
}

Test(encoders, rational_rates_are_exact) {
    static const kn_rational rates[] = {{24000, 1001}, {12, 1}, {30000, 1001}, {25, 2}};
    for (size_t i = 0; i < KN_COUNT(rates); i++) {
        kn_error error = {0};
        kn_video_params params = {.width = 64, .height = 48, .rate = rates[i], .codec = KN_CODEC_H264};
        cr_assert(write_clip(in_folder("r.mp4"), &params, 50, &error), "%s", error.message);
        read_clip(in_folder("r.mp4"), &params, 50, false, 1e-7);
        kn_video_reader *reader = NULL;
        cr_assert(kn_video_reader_create(&reader, in_folder("r.mp4"), (kn_rational){0}, &error));
        const kn_video_info *info = kn_video_reader_info(reader);
        cr_assert_eq((int64_t)info->rate.num * rates[i].den, (int64_t)rates[i].num * info->rate.den);
        cr_assert_eq(info->frame_count, 50);
        kn_video_reader_destroy(&reader);
    }
}

Test(encoders, rates_are_parsed) {
    static const struct {
        const char *text;
        int num, den;
    } good[] = {{"12", 12, 1},
                {"24000/1001", 24000, 1001},
                {"23.976", 24000, 1001},
                {"29.97", 30000, 1001},
                {"12.5", 25, 2},
                {"50/2", 25, 1},
                {"0.5", 1, 2}};
    for (size_t i = 0; i < KN_COUNT(good); i++) {
        kn_rational rate = {0};
        cr_assert(kn_rational_parse(&rate, good[i].text), "%s", good[i].text);
        cr_assert(rate.num == good[i].num && rate.den == good[i].den, "%s: %d/%d", good[i].text, rate.num, rate.den);
    }
    static const char *const bad[] = {"",    "0",   "-1", "12x",   "1/0",  "nan", "inf",
                                      "1e9", "24/", "/2", "2.5/2", "1001", " 12", "0x10/1 "};
    for (size_t i = 0; i < KN_COUNT(bad); i++) {
        kn_rational rate;
        cr_assert_not(kn_rational_parse(&rate, bad[i]), "%s", bad[i]);
    }
}

Test(encoders, metadata_is_kept) {
    const char *json = "{\"AIGC\":{\"Label\":\"1\",\"ContentProducer\":\"Kinora\",\"ProduceID\":\"x\"}}";
    static const kn_codec with_metadata[] = {KN_CODEC_H264, KN_CODEC_HEVC, KN_CODEC_PRORES, KN_CODEC_FFV1};
    for (size_t i = 0; i < KN_COUNT(with_metadata); i++) {
        kn_error error = {0};
        kn_video_params params = {.width = 64,
                                  .height = 48,
                                  .rate = {12, 1},
                                  .codec = with_metadata[i],
                                  .title = "A title",
                                  .comment = "A comment",
                                  .aigc = json};
        char *path = in_folder(kn_codec_extension(with_metadata[i]));
        cr_assert(write_clip(path, &params, 3, &error), "%s", error.message);
        kn_video_reader *reader = NULL;
        cr_assert(kn_video_reader_create(&reader, path, (kn_rational){0}, &error));
        cr_assert_str_eq(kn_video_reader_metadata(reader, "AIGC"), json);
        cr_assert_str_eq(kn_video_reader_metadata(reader, "title"), "A title");
        cr_assert_str_eq(kn_video_reader_metadata(reader, "comment"), "A comment");
        cr_assert_null(kn_video_reader_metadata(reader, "absent"));
        kn_video_reader_destroy(&reader);
    }
}

Test(encoders, same_frames_same_bytes) {
    for (int c = 0; c < KN_CODEC_PNG; c++) {
        uint8_t *data[2];
        size_t size[2];
        for (int i = 0; i < 2; i++) {
            kn_error error = {0};
            kn_video_params params = {.width = 80, .height = 48, .rate = {12, 1}, .codec = (kn_codec)c, .title = "t"};
            mallopt(M_PERTURB, i ? 0x55 : 0xaa); /* what encoders find in memory that they did not write */
            char *path = in_folder(i ? "second" : "first");
            cr_assert(write_clip(path, &params, 9, &error), "%s", error.message);
            cr_assert(kn_file_read(path, 1 << 28, &data[i], &size[i], &error));
        }
        cr_assert(size[0] == size[1] && memcmp(data[0], data[1], size[0]) == 0, "%s", kn_codec_name((kn_codec)c));
        kn_free(data[0]);
        kn_free(data[1]);
    }
}

Test(encoders, an_unfinished_writer_leaves_nothing) {
    for (int c = 0; c < KN_CODEC_COUNT; c++) {
        kn_error error = {0};
        kn_video_params params = {.width = 64, .height = 48, .rate = {12, 1}, .codec = (kn_codec)c};
        uint8_t rgb[64 * 48 * 3] = {0};
        kn_video_writer *writer = NULL;
        cr_assert(kn_video_writer_create(&writer, in_folder("u"), &params, &error), "%s", error.message);
        cr_assert(kn_video_writer_add(writer, rgb, &error));
        cr_assert_not(kn_file_exists(in_folder("u")));
        kn_video_writer_destroy(&writer);
        cr_assert_not(kn_file_exists(in_folder("u")));
        cr_assert_not(kn_file_exists(in_folder("u.part")));
    }
}

Test(encoders, a_full_disk_is_an_io_error) {
    struct rlimit limit = {20000, 20000}; /* a file may not grow beyond this: writes fail as on a full disk */
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (int c = 0; c < KN_CODEC_PNG; c++) {
        kn_error error = {0};
        kn_video_params params = {.width = 320,
                                  .height = 240,
                                  .rate = {12, 1},
                                  .codec = (kn_codec)c,
                                  .quality = c == KN_CODEC_PRORES ? 0 : 1};
        cr_assert_not(write_clip(in_folder("full"), &params, 30, &error), "%s", kn_codec_name((kn_codec)c));
        cr_assert_eq(error.kind, KN_ERROR_IO, "%s", error.message);
        cr_assert_not_null(strstr(error.message, in_folder("full")), "%s", error.message);
        cr_assert_not(kn_file_exists(in_folder("full")));
        cr_assert_not(kn_file_exists(in_folder("full.part")));
    }
}

Test(encoders, bad_parameters) {
    static const kn_video_params bad[] = {{.width = 0, .height = 2, .rate = {1, 1}},
                                          {.width = 2, .height = -2, .rate = {1, 1}},
                                          {.width = 20000, .height = 2, .rate = {1, 1}},
                                          {.width = 2, .height = 2, .rate = {0, 1}},
                                          {.width = 2, .height = 2, .rate = {1, 0}},
                                          {.width = 2, .height = 2, .rate = {1, 1}, .codec = KN_CODEC_COUNT},
                                          {.width = 2, .height = 2, .rate = {1, 1}, .quality = 99}};
    for (size_t i = 0; i < KN_COUNT(bad); i++) {
        kn_error error = {0};
        kn_video_writer *writer = NULL;
        cr_assert_not(kn_video_writer_create(&writer, in_folder("b.mp4"), &bad[i], &error));
        cr_assert_eq(error.kind, KN_ERROR_INPUT, "%s", error.message);
        cr_assert_null(writer);
    }
    kn_error error = {0};
    kn_video_writer *writer = NULL;
    kn_video_params params = {.width = 48, .height = 48, .rate = {12, 1}, .codec = KN_CODEC_HEVC};
    cr_assert_not(kn_video_writer_create(&writer, in_folder("b.mp4"), &params, &error));
    cr_assert_eq(error.kind, KN_ERROR_UNSUPPORTED, "%s", error.message);
    params = (kn_video_params){.width = 64, .height = 48, .rate = {12, 1}};
    cr_assert_not(kn_video_writer_create(&writer, "/nonexistent/folder/x.mp4", &params, &error));
    cr_assert_eq(error.kind, KN_ERROR_IO, "%s", error.message);
}

Test(encoders, bad_files_are_refused) {
    kn_error error = {0};
    kn_video_reader *reader = NULL;
    cr_assert_not(kn_video_reader_create(&reader, in_folder("absent.mp4"), (kn_rational){0}, &error));
    cr_assert_eq(error.kind, KN_ERROR_IO);
    cr_assert(kn_file_write(in_folder("junk.mp4"), "this is no video at all", 23, &error));
    cr_assert_not(kn_video_reader_create(&reader, in_folder("junk.mp4"), (kn_rational){0}, &error));
    cr_assert_not_null(strstr(error.message, "junk.mp4"), "%s", error.message);
    /* A play list must not make us open other places. */
    const char *list = "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n";
    cr_assert(kn_file_write(in_folder("list.m3u8"), list, strlen(list), &error));
    cr_assert_not(kn_video_reader_create(&reader, in_folder("list.m3u8"), (kn_rational){0}, &error));
    kn_video_params params = {.width = 64, .height = 48, .rate = {12, 1}, .codec = KN_CODEC_H264};
    cr_assert(write_clip(in_folder("whole.mp4"), &params, 5, &error));
    uint8_t *data;
    size_t size;
    cr_assert(kn_file_read(in_folder("whole.mp4"), 1 << 20, &data, &size, &error));
    uint8_t rgb[64 * 48 * 3];
    for (size_t cut = 0; cut < size;
         cut += size / 40 + 1) { /* truncated anywhere: an error or fewer frames, never a crash */
        cr_assert(kn_file_write(in_folder("cut.mp4"), data, cut, &error));
        if (!kn_video_reader_create(&reader, in_folder("cut.mp4"), (kn_rational){0}, &error)) continue;
        bool end = false;
        int frames = 0;
        while (kn_video_reader_next(reader, rgb, NULL, &end, &error) && !end) frames++;
        cr_assert_leq(frames, 5);
        kn_video_reader_destroy(&reader);
    }
    kn_free(data);
}

Test(encoders, still_images) {
    kn_error error = {0};
    enum { W = 37, H = 23 };
    uint16_t deep[W * H], *back = NULL;
    uint8_t flat[W * H], rgb[W * H * 3];
    for (int i = 0; i < W * H; i++) {
        deep[i] = (uint16_t)(i * 77);
        flat[i] = (uint8_t)i;
    }
    paint(rgb, W, H, 0);
    int width, height;
    cr_assert(kn_png_write_gray16(in_folder("d.png"), deep, W, H, &error), "%s", error.message);
    cr_assert(kn_png_read_gray(in_folder("d.png"), &back, &width, &height, &error), "%s", error.message);
    cr_assert(width == W && height == H && memcmp(back, deep, sizeof deep) == 0);
    kn_pixels_free(back);
    cr_assert(kn_png_write_gray8(in_folder("f.png"), flat, W, H, &error));
    cr_assert(kn_png_read_gray(in_folder("f.png"), &back, &width, &height, &error), "%s", error.message);
    for (int i = 0; i < W * H; i++) cr_assert_eq(back[i], flat[i]);
    kn_pixels_free(back);
    cr_assert(kn_jpeg_write(in_folder("j.jpg"), rgb, W, H, 2, &error), "%s", error.message);
    kn_image image = {0};
    cr_assert(kn_image_read(&image, in_folder("j.jpg"), 3, &error), "%s", error.message);
    double sum = 0;
    for (int i = 0; i < 3 * W * H; i++) sum += pow((double)image.data[i] - rgb[i], 2);
    cr_assert_lt(sum / (3 * W * H), 20, "mean square error %.1f", sum / (3 * W * H));
    kn_image_finish(&image);
    cr_assert_not(kn_png_read_gray(in_folder("j.jpg"), &back, &width, &height, &error));
    cr_assert_not(kn_jpeg_write("/nonexistent/x.jpg", rgb, W, H, 2, &error));
}

Test(encoders, failing_allocations) {
    for (int c = 0; c < KN_CODEC_COUNT; c++)
        for (uint64_t n = 1; n < 100; n++) {
            kn_error error = {0};
            kn_video_params params = {.width = 65, .height = 49, .rate = {12, 1}, .codec = (kn_codec)c, .aigc = "{}"};
            kn_alloc_fail_after(n);
            bool ok = write_clip(in_folder(kn_codec_name((kn_codec)c)), &params, 2, &error);
            kn_alloc_fail_after(0);
            if (ok) break;
            cr_assert_eq(error.kind, KN_ERROR_MEMORY, "%s", error.message);
            cr_assert_not(kn_file_exists(in_folder("h264.part")) || kn_file_exists(in_folder("png.part")));
            cr_assert_lt(n, 99u);
        }
    for (uint64_t n = 1; n < 100; n++) {
        kn_error error = {0};
        kn_video_reader *reader = NULL;
        kn_alloc_fail_after(n);
        bool ok = kn_video_reader_create(&reader, in_folder("png"), (kn_rational){0}, &error);
        kn_alloc_fail_after(0);
        kn_video_reader_destroy(&reader);
        if (ok) break;
        cr_assert_eq(error.kind, KN_ERROR_MEMORY, "%s", error.message);
    }
}
