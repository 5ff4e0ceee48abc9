/* What a screen would show of a video or of pictures: which side is up, how wide pixels are, how bright they are, in
 * which order. */
#include "base/base.h"
#include "kinora/film.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];

static void make_folder(void) {
    strcpy(folder, "/tmp/kinora-reader-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    kn_encoders_quiet();
}

static void shell(const char *format, const char *argument) {
    char command[1000], whole[1100];
    snprintf(command, sizeof command, format, argument);
    snprintf(whole, sizeof whole, "cd %s && %s", folder, command);
    cr_assert_eq(system(whole), 0, "%s", command);
}

static void remove_folder(void) { shell("rm -rf %s", folder); }

TestSuite(reader, .init = make_folder, .fini = remove_folder);

static char *in_folder(const char *name) {
    static char path[4][256];
    static int next;
    char *text = path[next++ % 4];
    snprintf(text, sizeof path[0], "%s/%s", folder, name);
    return text;
}

enum { W = 64, H = 48 };

/* Red to the upper left, green to the upper right, blue to the lower left, black to the lower right. */
static void corners(float *planes) {
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++)
                planes[(c * H + y) * W + x] = c == (y < H / 2 ? x < W / 2 ? 0 : 1 : x < W / 2 ? 2 : 3) ? .8f : .05f;
}

static void write_corners(const char *name, kn_film_params params) {
    static float planes[3 * W * H];
    kn_error error = {0};
    kn_film_writer *writer = NULL;
    params.width = W, params.height = H, params.channels = 3, params.rate = (kn_rational){25, 1},
    params.overwrite = true;
    cr_assert(kn_film_writer_create(&writer, in_folder(name), &params, &error), "%s", error.message);
    corners(planes);
    for (int f = 0; f < 3; f++)
        cr_assert(kn_film_writer_add(writer, &(kn_film_frame){.planes = planes, .time = f}, &error), "%s",
                  error.message);
    cr_assert(kn_film_writer_commit(writer, &error), "%s", error.message);
    kn_film_writer_destroy(&writer);
}

/* The first picture, which is width x height. */
static uint8_t *read_first(const char *name, int width, int height) {
    kn_error error = {0};
    kn_video_reader *reader = NULL;
    cr_assert(kn_video_reader_create(&reader, in_folder(name), (kn_rational){0}, &error), "%s", error.message);
    const kn_video_info *info = kn_video_reader_info(reader);
    cr_assert(info->width == width && info->height == height, "%dx%d", info->width, info->height);
    uint8_t *rgb = malloc(3 * (size_t)width * (size_t)height);
    bool end;
    cr_assert(kn_video_reader_next(reader, rgb, NULL, &end, &error) && !end, "%s", error.message);
    kn_video_reader_destroy(&reader);
    return rgb;
}

/* The strongest colour of a corner: 0 red, 1 green, 2 blue, 3 none. */
static int colour_at(const uint8_t *rgb, int width, int x, int y) {
    const uint8_t *p = rgb + 3 * (y * width + x);
    for (int c = 0; c < 3; c++)
        if (p[c] > 120) return c;
    return 3;
}

static void check_corners(const uint8_t *rgb, int width, int height, int turns, bool mirrored, const char *what) {
    int corner[4] = {0, 1, 3, 2}; /* clockwise from the upper left */
    if (mirrored) corner[0] = 1, corner[1] = 0, corner[2] = 2, corner[3] = 3;
    const int places[4][2] = {{width / 4, height / 4},
                              {width * 3 / 4, height / 4},
                              {width * 3 / 4, height * 3 / 4},
                              {width / 4, height * 3 / 4}};
    for (int i = 0; i < 4; i++)
        cr_assert_eq(colour_at(rgb, width, places[i][0], places[i][1]), corner[(i + 4 - turns) % 4], "%s, corner %d",
                     what, i);
}

Test(reader, a_display_matrix_turns_the_picture) {
    write_corners("flat.mp4", (kn_film_params){.codec = KN_FILM_H264});
    int seen = 0; /* which of the four ways came about */
    for (int turns = 0; turns < 4; turns++) {
        /* What phones write, written by others, and shown as others show it. */
        char command[400];
        snprintf(command, sizeof command,
                 "ffmpeg -nostdin -v error -y -i flat.mp4 -c copy -metadata:s:v rotate=%d turned.mp4 && "
                 "ffmpeg -nostdin -v error -y -i turned.mp4 -frames:v 1 shown.png",
                 turns * 90);
        shell("%s", command);
        int width = turns & 1 ? H : W, height = turns & 1 ? W : H;
        uint8_t *rgb = read_first("turned.mp4", width, height);
        kn_image shown;
        kn_error error = {0};
        cr_assert(kn_image_read(&shown, in_folder("shown.png"), 3, &error) && shown.width == width);
        for (int i = 0; i < 4; i++) {
            int x = i & 1 ? width * 3 / 4 : width / 4, y = i & 2 ? height * 3 / 4 : height / 4;
            cr_assert_eq(colour_at(rgb, width, x, y), colour_at(shown.data, width, x, y), "%d degrees, corner %d",
                         turns * 90, i);
        }
        seen |= 1 << colour_at(rgb, width, width / 4, height / 4);
        kn_image_finish(&shown);
        free(rgb);
    }
    cr_assert_eq(seen, 15);
    for (int turns = 0; turns < 4; turns++)
        for (int mirrored = 0; mirrored < 2;
             mirrored++) { /* our own matrix: the pictures come back as they were given */
            write_corners("ours.mov",
                          (kn_film_params){.codec = KN_FILM_PRORES, .quarter_turns = turns, .mirrored = mirrored});
            uint8_t *rgb = read_first("ours.mov", W, H);
            check_corners(rgb, W, H, 0, false, "own matrix");
            free(rgb);
        }
}

/* Puts Exif with an orientation behind a JPEG's beginning. */
static void orient_jpeg(const char *from, const char *to, int value) {
    uint8_t *data, exif[] = {0xFF, 0xE1, 0, 34,   'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8,
                             0,    1,    1, 0x12, 0,   3,   0,   0,   0, 1, 0,   0,   0, 0,  0, 0, 0, 0};
    size_t size;
    kn_error error = {0};
    cr_assert(kn_file_read(from, 1 << 20, &data, &size, &error));
    exif[29] = (uint8_t)value;
    uint8_t *out = malloc(size + sizeof exif);
    memcpy(out, data, 2), memcpy(out + 2, exif, sizeof exif), memcpy(out + 2 + sizeof exif, data + 2, size - 2);
    cr_assert(kn_file_write(to, out, size + sizeof exif, &error));
    free(out);
    kn_free(data);
}

Test(reader, exif_turns_stills) {
    static const struct {
        int turns;
        bool mirrored;
    } stored[9] = {[2] = {0, true},  [3] = {2, false}, [4] = {2, true}, [5] = {3, true},
                   [6] = {1, false}, [7] = {1, true},  [8] = {3, false}};
    static float planes[3 * W * H];
    static uint8_t rgb[3 * W * H];
    kn_error error = {0};
    corners(planes);
    for (int i = 0; i < W * H; i++)
        for (int c = 0; c < 3; c++) rgb[3 * i + c] = (uint8_t)(255 * planes[c * W * H + i]);
    shell("mkdir %s", "stills");
    cr_assert(kn_jpeg_write(in_folder("flat.jpg"), rgb, W, H, 2, &error));
    for (int value = 1; value <= 8; value++) {
        orient_jpeg(in_folder("flat.jpg"), in_folder("stills/turned.jpg"), value);
        int width = value > 4 ? H : W, height = value > 4 ? W : H;
        char what[20];
        snprintf(what, sizeof what, "Exif %d", value);
        uint8_t *first = read_first("stills", width, height);
        check_corners(first, width, height, stored[value].turns, stored[value].mirrored, what);
        free(first);
        kn_image image;
        cr_assert(kn_image_read(&image, in_folder("stills/turned.jpg"), 3, &error), "%s", error.message);
        cr_assert(image.width == width && image.height == height);
        check_corners(image.data, width, height, stored[value].turns, stored[value].mirrored, what);
        kn_image_finish(&image);
    }
}

Test(reader, pixels_become_square) {
    write_corners("wide.mov", (kn_film_params){.codec = KN_FILM_PRORES, .pixel_aspect = {3, 2}});
    uint8_t *rgb = read_first("wide.mov", W * 3 / 2, H);
    check_corners(rgb, W * 3 / 2, H, 0, false, "wide pixels");
    free(rgb);
    write_corners("tall.mov", (kn_film_params){.codec = KN_FILM_PRORES, .pixel_aspect = {2, 3}, .quarter_turns = 1});
    rgb = read_first("tall.mov", W, H * 3 / 2);
    check_corners(rgb, W, H * 3 / 2, 0, false, "tall pixels");
    free(rgb);
}

static double srgb_light(double v) { return v <= .04045 ? v / 12.92 : pow((v + .055) / 1.055, 2.4); }

/* An sRGB grey as HLG and PQ store it, with white at 203 cd/m2. */
static double grey_as(int transfer, double grey) {
    double nits = 203 * srgb_light(grey);
    if (transfer == 8) return srgb_light(grey);
    if (transfer == 16) {
        double p = pow(nits / 10000, .1593017578125);
        return pow((.8359375 + 18.8515625 * p) / (1 + 18.6875 * p), 78.84375);
    }
    double scene = pow(nits / 1000, 1 / 1.2), a = .17883277, b = .28466892, c = .55991073;
    return scene <= 1. / 12 ? sqrt(3 * scene) : a * log(12 * scene - b) + c;
}

Test(reader, high_dynamic_range_is_shown_as_on_a_screen) {
    static const int transfers[] = {16, 18, 8};
    static const double greys[] = {.1, .3, .5, .7, .85};
    for (size_t t = 0; t < KN_COUNT(transfers); t++) {
        static float planes[3 * W * H];
        kn_error error = {0};
        kn_film_params params = {.width = W,
                                 .height = H,
                                 .channels = 3,
                                 .rate = {25, 1},
                                 .codec = KN_FILM_FFV1,
                                 .depth = 10,
                                 .chroma = 420,
                                 .color = {9, transfers[t], 9, 1, 1}};
        if (transfers[t] == 8)
            params = (kn_film_params){.width = W,
                                      .height = H,
                                      .channels = 3,
                                      .rate = {25, 1},
                                      .codec = KN_FILM_EXR,
                                      .color = {1, 8, 0, 2, 0}};
        const char *name = transfers[t] == 8 ? "hdr.%d.exr" : "hdr.mkv";
        kn_film_writer *writer = NULL;
        cr_assert(kn_film_writer_create(&writer, in_folder(name), &params, &error), "%s", error.message);
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < H; y++)
                for (int x = 0; x < W; x++)
                    planes[(c * H + y) * W + x] = x / 10 < 5          ? (float)grey_as(transfers[t], greys[x / 10])
                                                  : transfers[t] == 8 ? 9
                                                                      : .75f + .02f * (float)(x - 50);
        cr_assert(kn_film_writer_add(writer, &(kn_film_frame){.planes = planes}, &error), "%s", error.message);
        cr_assert(kn_film_writer_commit(writer, &error), "%s", error.message);
        kn_film_writer_destroy(&writer);
        uint8_t *rgb = read_first(name, W, H);
        for (size_t g = 0; g < KN_COUNT(greys); g++)
            for (int c = 0; c < 3; c++)
                cr_assert_float_eq(rgb[3 * (20 * W + 10 * (int)g + 5) + c] / 255., greys[g], .012,
                                   "transfer %d, grey %g: %d", transfers[t], greys[g],
                                   rgb[3 * (20 * W + 10 * (int)g + 5) + c]);
        /* Above white it still rises, up to the end of the range. */
        for (int x = 51; x < W && transfers[t] != 8; x++)
            cr_assert(rgb[3 * (20 * W + x)] >= rgb[3 * (20 * W + x - 1)] && rgb[3 * (20 * W + x)] > 225);
        if (transfers[t] == 8) cr_assert_eq(rgb[3 * (20 * W + 60)], 255);
        free(rgb);
    }
}

Test(reader, pictures_come_in_natural_order) {
    kn_error error = {0};
    shell("mkdir %s", "row");
    for (int i = 0; i < 13; i++) {
        uint8_t flat[16 * 16];
        char name[32];
        memset(flat, 10 * i, sizeof flat);
        snprintf(name, sizeof name, i & 1 ? "row/IMG_%d.png" : "row/IMG_%d.PNG", i);
        cr_assert(kn_png_write_gray8(in_folder(name), flat, 16, 16, &error));
    }
    kn_video_reader *reader = NULL;
    cr_assert(kn_video_reader_create(&reader, in_folder("row"), (kn_rational){0}, &error), "%s", error.message);
    uint8_t rgb[16 * 16 * 3];
    bool end;
    for (int i = 0; i < 13; i++) {
        cr_assert(kn_video_reader_next(reader, rgb, NULL, &end, &error) && !end, "%s", error.message);
        cr_assert_eq(rgb[0], 10 * i, "picture %d is %d", i, rgb[0] / 10);
    }
    cr_assert(kn_video_reader_next(reader, rgb, NULL, &end, &error) && end);
    kn_video_reader_destroy(&reader);
}

Test(reader, a_sequence_replaces_only_a_sequence) {
    kn_error error = {0};
    kn_video_params params = {.width = 16, .height = 16, .rate = {12, 1}, .codec = KN_CODEC_PNG};
    uint8_t rgb[16 * 16 * 3] = {0};
    kn_video_writer *writer = NULL;
    static const char *const taken[] = {"photos", "clip.part"};
    for (size_t i = 0; i < KN_COUNT(taken);
         i++) { /* somebody's folder under the name, and under the name while it grows */
        shell("mkdir %s", taken[i]);
        char path[64];
        snprintf(path, sizeof path, "%s/wedding.png", taken[i]);
        cr_assert(kn_file_write(in_folder(path), "x", 1, &error));
        cr_assert_not(kn_video_writer_create(&writer, in_folder(i ? "clip" : "photos"), &params, &error));
        cr_assert(error.kind == KN_ERROR_INPUT && strstr(error.message, "wedding.png"), "%s", error.message);
        cr_assert(kn_file_exists(in_folder(path)));
        shell("rm -r %s", taken[i]);
    }
    cr_assert(kn_file_write(in_folder("notes"), "x", 1, &error));
    cr_assert_not(kn_video_writer_create(&writer, in_folder("notes"), &params, &error));
    cr_assert(kn_file_exists(in_folder("notes")));
    /* What came while it was written is not replaced, either. */
    cr_assert(kn_video_writer_create(&writer, in_folder("clip"), &params, &error), "%s", error.message);
    cr_assert(kn_video_writer_add(writer, rgb, &error));
    shell("mkdir %s && touch clip/letter.txt", "clip");
    cr_assert_not(kn_video_writer_commit(writer, &error));
    kn_video_writer_destroy(&writer);
    cr_assert(kn_file_exists(in_folder("clip/letter.txt")) && !kn_file_exists(in_folder("clip.part")));
    shell("rm %s && touch clip/00000.png clip/00077.png clip/AIGC.json", "clip/letter.txt");
    cr_assert(kn_video_writer_create(&writer, in_folder("clip"), &params, &error), "%s", error.message);
    cr_assert(kn_video_writer_add(writer, rgb, &error));
    cr_assert(kn_video_writer_commit(writer, &error), "%s", error.message);
    kn_video_writer_destroy(&writer);
    cr_assert(kn_file_exists(in_folder("clip/00000.png")) && !kn_file_exists(in_folder("clip/00077.png")));
}

Test(reader, rounded_times_become_whole_frames_again) {
    static float planes[3 * W * H];
    kn_error error = {0};
    kn_film_params params = {
        .width = W, .height = H, .channels = 3, .rate = {24000, 1001}, .codec = KN_FILM_FFV1, .chroma = 420};
    kn_film_writer *writer = NULL;
    cr_assert(kn_film_writer_create(&writer, in_folder("rounded.mkv"), &params, &error), "%s", error.message);
    for (int f = 0; f < 60; f++)
        cr_assert(kn_film_writer_add(writer, &(kn_film_frame){.planes = planes, .time = f}, &error), "%s",
                  error.message);
    cr_assert(kn_film_writer_commit(writer, &error), "%s", error.message);
    kn_film_writer_destroy(&writer);
    kn_film_reader *reader = NULL;
    cr_assert(kn_film_reader_create(&reader, in_folder("rounded.mkv"), (kn_rational){0}, &error), "%s", error.message);
    const kn_film_info *info = kn_film_reader_info(reader);
    cr_assert(info->rate.num == 24000 && info->rate.den == 1001);
    kn_film_frame frame = {.planes = planes};
    bool end;
    for (int f = 0; f < 60; f++) {
        cr_assert(kn_film_reader_next(reader, &frame, &end, &error) && !end, "%s", error.message);
        cr_assert_eq(frame.time * info->time_base.num * 24000, (int64_t)f * 1001 * info->time_base.den, "frame %d", f);
    }
    kn_film_reader_destroy(&reader);
}
