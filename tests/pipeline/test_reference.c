/* kinora style --reference: colours of one picture carried over. */
#include "tests/pipeline/shell.h"

#include "pipelines/style/palette.h"

#include <criterion/criterion.h>
#include <math.h>

#define STYLE "tests/golden/style"
#define SD "tests/golden/paint/sd"

TestSuite(reference, .init = make_folder, .fini = remove_folder);

enum { SIDE = 64, PIXELS = SIDE * SIDE };

/* Blotches whose colours lie around a mean. */
static void draw(float *planes, const double mean[3], double spread, int seed) {
    for (int i = 0; i < PIXELS; i++) {
        int block = i % SIDE / 4 + i / SIDE / 4 * 100; // NOLINT
        for (int c = 0; c < 3; c++) {
            double noise = (double)(kn_hash64((uint64_t)(block * 7 + c + seed * 100003)) >> 40) / (1 << 24) - .5;
            planes[c * PIXELS + i] = (float)fmin(fmax(mean[c] + spread * noise, 0), 1);
        }
    }
}

static void mean_of(const float *planes, double mean[3], double spread[3]) {
    for (int c = 0; c < 3; c++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < PIXELS; i++) {
            double v = (double)planes[c * PIXELS + i];
            sum += v, squares += v * v;
        }
        mean[c] = sum / PIXELS, spread[c] = sqrt(squares / PIXELS - mean[c] * mean[c]);
    }
}

Test(reference, the_film_gets_the_picture_s_colours) {
    static float film[3 * PIXELS], picture[3 * PIXELS];
    kn_error error = {0};
    kn_tones from = {.aa = 0}, to = {.aa = 0};
    kn_palette *palette;
    double mean[3], spread[3], wanted[3], wanted_spread[3];
    draw(film, (const double[]){.3, .45, .6}, .4, 1);
    draw(picture, (const double[]){.7, .5, .3}, .3, 2);
    kn_tones_add(&from, film, PIXELS);
    kn_tones_add(&to, picture, PIXELS);
    cr_assert(kn_palette_create(&palette, &from, &to, &error));
    kn_palette_apply(palette, film, PIXELS);
    kn_free(palette);
    mean_of(film, mean, spread);
    mean_of(picture, wanted, wanted_spread);
    for (int c = 0; c < 3; c++) {
        cr_expect_float_eq(mean[c], wanted[c], .03, "channel %d: mean %g, expected %g", c, mean[c], wanted[c]);
        cr_expect_float_eq(spread[c], wanted_spread[c], .03, "channel %d: spread %g, expected %g", c, spread[c],
                           wanted_spread[c]);
    }
}

Test(reference, its_own_colours_change_nothing) {
    static float film[3 * PIXELS], before[3 * PIXELS];
    kn_error error = {0};
    kn_tones tones = {.aa = 0};
    kn_palette *palette;
    draw(film, (const double[]){.4, .5, .45}, .6, 3);
    memcpy(before, film, sizeof before);
    kn_tones_add(&tones, film, PIXELS);
    cr_assert(kn_palette_create(&palette, &tones, &tones, &error));
    kn_palette_apply(palette, film, PIXELS);
    kn_free(palette);
    for (int i = 0; i < 3 * PIXELS; i++) cr_assert_float_eq((double)film[i], (double)before[i], .03);
}

/* Grey film and a picture of one colour, neither of which has a covariance. */
Test(reference, flat_colours_make_finite_ones) {
    static float film[3 * PIXELS], picture[3 * PIXELS];
    kn_error error = {0};
    kn_tones from = {.aa = 0}, to = {.aa = 0};
    kn_palette *palette;
    draw(film, (const double[]){.5, .5, .5}, 0, 1);
    draw(picture, (const double[]){.2, .3, .9}, 0, 2);
    kn_tones_add(&from, film, PIXELS);
    kn_tones_add(&to, picture, PIXELS);
    cr_assert(kn_palette_create(&palette, &from, &to, &error));
    kn_palette_apply(palette, film, PIXELS);
    kn_free(palette);
    for (int c = 0; c < 3; c++)
        cr_expect_float_eq((double)film[c * PIXELS], (double)picture[c * PIXELS], .04, "%g", (double)film[c * PIXELS]);
}

Test(reference, manner_is_not_colour) {
    static float sharp[3 * PIXELS], other[3 * PIXELS], flat[3 * PIXELS];
    draw(sharp, (const double[]){.4, .4, .4}, .6, 1);
    draw(other, (const double[]){.4, .4, .4}, .6, 9);
    draw(flat, (const double[]){.4, .4, .4}, .02, 1);
    cr_expect_eq(kn_manner_distance(sharp, sharp, SIDE, SIDE), 0);
    cr_expect_lt(kn_manner_distance(sharp, other, SIDE, SIDE), .2 * kn_manner_distance(sharp, flat, SIDE, SIDE));
}

Test(reference, a_film_in_the_colours_of_a_picture) {
    char said[4000];
    shell(
        said, sizeof said,
        "ffmpeg -v error -f lavfi -i testsrc2=size=64x48:rate=25:duration=0.2 -c:v ffv1 @/in.mkv; ffmpeg -v error -f "
        "lavfi -i gradients=size=64x64:c0=orange:c1=maroon:nb_colors=2:seed=1 -frames:v 1 @/warm.png; ffmpeg -v error "
        "-f lavfi -i color=red:size=8x8 -frames:v 1 @/small.png");
    cr_assert_eq(shell(said, sizeof said,
                       "%s style --model " STYLE " @/in.mkv --reference @/warm.png -o @/out.mkv "
                       "--progress off 2>&1",
                       KINORA_EXECUTABLE),
                 0, "%s", said);
    cr_expect(strstr(said, "in the colours of"), "%s", said);
    shell(said, sizeof said,
          "ffmpeg -v error -i @/out.mkv -vf scale=1:1:flags=area,format=rgb24 -frames:v 1 -f rawvideo - | od -An -tu1");
    int r = 0, g = 0, b = 0;
    cr_assert_eq(sscanf(said, "%d %d %d", &r, &g, &b), 3, "%s", said);
    cr_expect(r > g + 40 && g > b + 10, "warm as the picture: %d, %d, %d", r, g, b);
    const char *const bad[][3] = {{STYLE, "none.png", "none.png"},
                                  {STYLE, "in.mkv", "in.mkv"},
                                  {STYLE, "small.png", "small.png: is 8 x 8"},
                                  {SD, "warm.png", "no looks; say it with --prompt"}};
    for (size_t i = 0; i < KN_COUNT(bad); i++) {
        int code = shell(said, sizeof said, "%s style --model %s --reference @/%s @/in.mkv -o @/x.mkv -q 2>&1",
                         KINORA_EXECUTABLE, bad[i][0], bad[i][1]);
        cr_expect_eq(code, 2, "%s: %s", bad[i][1], said);
        cr_expect(strstr(said, bad[i][2]), "%s: %s", bad[i][1], said);
    }
    cr_expect_not(kn_file_exists(at("x.mkv")) || kn_file_exists(at("x.mkv.work")));
}
