/* The beauty picture as a whole: repeatable, finite, ordered by weather and time of day. */
#include "kinora/render.h"
#include "tests/gpu/beauty_scene.h"

#include <criterion/criterion.h>
#include <math.h>

enum { WIDTH = 101, HEIGHT = 57, PIXELS = WIDTH * HEIGHT };

static const kn_weather day = {.sun_azimuth = 3.9, .sun_elevation = .7, .seconds_of_day = 43200};
static const kn_weather dusk = {.sun_azimuth = 4.6, .sun_elevation = .02, .cloud_cover = .2, .seconds_of_day = 66000};
static const kn_weather night = {.sun_azimuth = 5, .sun_elevation = -.5, .seconds_of_day = 0};
static const kn_weather overcast = {.sun_azimuth = 3.9, .sun_elevation = .7, .cloud_cover = 1, .seconds_of_day = 43200};
static const kn_weather rain = {
    .sun_azimuth = 3.9, .sun_elevation = .7, .cloud_cover = 1, .rain = .7, .wetness = 1, .seconds_of_day = 43200};
static const kn_weather fog = {
    .sun_azimuth = 3.9, .sun_elevation = .7, .cloud_cover = 1, .fog_range = 60, .seconds_of_day = 43200};

static float conditions[KN_CONDITION_CHANNELS * PIXELS];

/* Draws the scene in this weather, `times` times into consecutive pictures [3][HEIGHT][WIDTH], and its conditions. */
static void draw(const kn_weather *weather, float *out, int times) {
    kn_error error = {0};
    kn_gpu *gpu = NULL;
    kn_scene scene;
    kn_renderer *renderer = NULL;
    const kn_camera camera = beauty_scene_camera(WIDTH, HEIGHT);
    const kn_renderer_params params = {.beauty_samples = 4};
    cr_assert(beauty_scene_init(&scene, weather, &error), "%s", error.message);
    cr_assert(kn_gpu_create(&gpu, &KN_GPU_PARAMS_DEFAULT, &error), "%s", error.message);
    cr_assert(kn_renderer_create(&renderer, gpu, &scene, &params, &error), "%s", error.message);
    for (int i = 0; i < times; i++) {
        const kn_render_target target = {.beauty = out + i * 3 * PIXELS, .conditions = conditions, .shaded = true};
        cr_assert(kn_render(renderer, &camera, 0, &target, &error), "%s", error.message);
    }
    kn_renderer_destroy(&renderer);
    kn_gpu_destroy(&gpu);
    beauty_scene_finish(&scene);
}

static double mean_of(const float *picture, int first_row, int last_row) {
    double sum = 0;
    for (int c = 0; c < 3; c++)
        for (int i = first_row * WIDTH; i < last_row * WIDTH; i++) sum += picture[c * PIXELS + i];
    return sum / (3.0 * WIDTH * (last_row - first_row));
}

/* Standard deviation of one channel over rows. */
static double contrast_of(const float *picture, int first_row, int last_row) {
    double mean = 0, square = 0, count = (double)WIDTH * (last_row - first_row);
    for (int i = first_row * WIDTH; i < last_row * WIDTH; i++) {
        mean += picture[i] / count;
        square += (double)picture[i] * picture[i] / count;
    }
    return sqrt(fmax(square - mean * mean, 0));
}

static float pictures[6][2][3 * PIXELS];

Test(beauty, the_same_scene_gives_the_same_bytes) {
    draw(&day, pictures[0][0], 2);
    cr_assert_arr_eq(pictures[0][0], pictures[0][1], sizeof pictures[0][0]);
    draw(&day, pictures[1][0], 1);
    cr_assert_arr_eq(pictures[0][0], pictures[1][0], sizeof pictures[0][0]);
}

Test(beauty, every_weather_stays_in_range_and_shows_something) {
    const kn_weather *const all[] = {&day, &dusk, &night, &overcast, &rain, &fog};
    for (size_t w = 0; w < KN_COUNT(all); w++) {
        draw(all[w], pictures[w][0], 1);
        for (int i = 0; i < 3 * PIXELS; i++)
            cr_assert(pictures[w][0][i] >= 0 && pictures[w][0][i] <= 1, "weather %zu value %d: %g", w, i,
                      pictures[w][0][i]);
        cr_expect_gt(contrast_of(pictures[w][0], 0, HEIGHT), .02, "weather %zu is flat", w);
    }
    double light = mean_of(pictures[0][0], 0, HEIGHT), evening = mean_of(pictures[1][0], 0, HEIGHT),
           dark = mean_of(pictures[2][0], 0, HEIGHT);
    cr_expect_gt(light, 1.15 * evening, "day %g dusk %g", light, evening);
    cr_expect_gt(evening, 1.15 * dark, "dusk %g night %g", evening, dark);
    cr_expect_gt(dark, .02, "night %g: lamps light it", dark);
    cr_expect_gt(contrast_of(pictures[0][0], 0, HEIGHT), contrast_of(pictures[5][0], 0, HEIGHT),
                 "fog takes contrast away");
}

Test(beauty, a_wet_road_mirrors) {
    /* The same grey light with and without water. The flatter one looks onto a wet road, the more of the sky it
     * mirrors. */
    kn_weather wet = overcast;
    wet.wetness = 1;
    draw(&overcast, pictures[0][0], 1);
    draw(&wet, pictures[1][0], 1);
    double change = 0;
    for (int i = (HEIGHT - 20) * WIDTH; i < PIXELS; i++) change += fabs(pictures[0][0][i] - pictures[1][0][i]);
    cr_expect_gt(change / (20 * WIDTH), .02);
    double dry_rise = mean_of(pictures[0][0], 34, 38) / mean_of(pictures[0][0], HEIGHT - 6, HEIGHT);
    double wet_rise = mean_of(pictures[1][0], 34, 38) / mean_of(pictures[1][0], HEIGHT - 6, HEIGHT);
    cr_expect_gt(wet_rise, 1.1 * dry_rise, "wet %g dry %g", wet_rise, dry_rise);
    double above = 0; /* the sky does not get wet */
    for (int i = 0; i < 5 * WIDTH; i++) above += fabs(pictures[0][0][i] - pictures[1][0][i]);
    cr_expect_lt(above / (5 * WIDTH), .05);
}

Test(beauty, shaded_colors_show_the_same_textures) {
    const kn_weather *const all[] = {&day, &dusk, &night, &overcast, &rain, &fog};
    for (size_t w = 0; w < KN_COUNT(all); w++) {
        double square = 0;
        draw(all[w], pictures[w][0], 1);
        for (int i = 0; i < 3 * PIXELS; i++)
            square += pow(pictures[w][0][i] - conditions[KN_CONDITION_SHADED * PIXELS + i], 2) / (3 * PIXELS);
        double psnr = -10 * log10(square);
        printf("beauty: weather %zu: shaded colours at %.1f dB\n", w, psnr);
        cr_expect_gt(psnr, 22, "weather %zu: %g dB", w, psnr);
    }
}
