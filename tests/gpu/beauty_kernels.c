/* The post kernels of beauty renders against plain C, on random pictures of odd sizes. */
#include "base/base.h"
#include "base/random.h"
#include "gpu/gpu.h"

#include <criterion/criterion.h>
#include <math.h>

enum { WIDTH = 37, HEIGHT = 21, SMALL_WIDTH = (WIDTH + 3) / 4, SMALL_HEIGHT = (HEIGHT + 3) / 4 };

static kn_gpu *gpu;

static void open_gpu(void) {
    kn_error error = {0};
    cr_assert(kn_gpu_create(&gpu, &KN_GPU_PARAMS_DEFAULT, &error), "%s", error.message);
}
static void close_gpu(void) { kn_gpu_destroy(&gpu); }
TestSuite(beauty_kernels, .init = open_gpu, .fini = close_gpu);

typedef struct tensor {
    float *data;
    size_t count;
} tensor; /* host copy of a slot, fp32 */

/* Runs `kernel` over width x height invocations; slots up to `slot_count - 1` are inputs, the last is the output. */
static void run(kn_kernel kernel, int width, int height, tensor *slots, uint32_t slot_count, const void *push,
                uint32_t push_size) {
    kn_error error = {0};
    kn_gpu_recorder *recorder = NULL;
    kn_gpu_buffer *buffers[4] = {0};
    kn_gpu_slice slices[4];
    cr_assert(kn_gpu_recorder_create(&recorder, gpu, &error), "%s", error.message);
    for (uint32_t i = 0; i < slot_count; i++) {
        size_t size = slots[i].count * sizeof(float);
        cr_assert(kn_gpu_buffer_create(&buffers[i], gpu, size, KN_GPU_MEMORY_DEVICE, &error) &&
                      kn_gpu_upload(buffers[i], 0, slots[i].data, size, &error),
                  "%s", error.message);
        slices[i] = (kn_gpu_slice){.buffer = buffers[i], .format = KN_GPU_FORMAT_RGBA32F};
    }
    uint32_t lanes = kn_gpu_get_info(gpu)->subgroup_size;
    const kn_gpu_dispatch dispatch = {.kernel = kernel,
                                      .groups = {((uint32_t)width + lanes - 1) / lanes, (uint32_t)height, 1},
                                      .slices = slices,
                                      .slice_count = slot_count,
                                      .constants = &lanes,
                                      .constant_count = 1,
                                      .push = push,
                                      .push_size = push_size};
    tensor *out = &slots[slot_count - 1];
    cr_assert(kn_gpu_record(recorder, &dispatch, &error) && kn_gpu_submit(recorder, &error) &&
                  kn_gpu_wait(recorder, &error) &&
                  kn_gpu_download(buffers[slot_count - 1], 0, out->data, out->count * sizeof(float), &error),
              "%s", error.message);
    kn_gpu_recorder_destroy(&recorder);
    for (uint32_t i = 0; i < slot_count; i++) kn_gpu_buffer_destroy(&buffers[i]);
}

static void fill(float *data, size_t count, double low, double high, uint64_t seed) {
    kn_rng rng;
    kn_rng_init(&rng, seed);
    for (size_t i = 0; i < count; i++) data[i] = (float)kn_rng_uniform(&rng, low, high);
}

static void expect_close(const float *got, const float *expected, size_t count, double tolerance, const char *what) {
    for (size_t i = 0; i < count; i++)
        cr_assert(fabs((double)got[i] - expected[i]) <= tolerance * (1 + fabs((double)expected[i])),
                  "%s[%zu]: %g instead of %g", what, i, got[i], expected[i]);
}

static int held(int value, int last) { return value < 0 ? 0 : value > last ? last : value; }

Test(beauty_kernels, blur_is_a_gaussian_that_keeps_light) {
    static float source[WIDTH * HEIGHT * 4], got[WIDTH * HEIGHT * 4], expected[WIDTH * HEIGHT * 4];
    fill(source, KN_COUNT(source), 0, 3, 1);
    for (int direction = 0; direction < 2; direction++) {
        const struct {
            int size[2], step[2];
            float sigma;
        } push = {{WIDTH, HEIGHT}, {1 - direction, direction}, 1.7f};
        tensor slots[] = {{source, KN_COUNT(source)}, {got, KN_COUNT(got)}};
        run(KN_KERNEL_SCENE_BEAUTY_BLUR, WIDTH, HEIGHT, slots, 2, &push, sizeof push);
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++) {
                double sum[3] = {0}, weights = 0;
                for (int i = -6; i <= 6; i++) {
                    double weight = exp(-.5 * i * i / (1.7 * 1.7));
                    int ox = x + (direction ? 0 : i), oy = y + (direction ? i : 0);
                    weights += weight;
                    for (int c = 0; c < 3 && ox >= 0 && oy >= 0 && ox < WIDTH && oy < HEIGHT; c++)
                        sum[c] += weight * source[(oy * WIDTH + ox) * 4 + c];
                }
                for (int c = 0; c < 3; c++) expected[(y * WIDTH + x) * 4 + c] = (float)(sum[c] / weights);
                expected[(y * WIDTH + x) * 4 + 3] = 1;
            }
        expect_close(got, expected, KN_COUNT(got), 1e-4, "blur");
    }
}

Test(beauty_kernels, bright_keeps_what_is_above_white) {
    static float source[WIDTH * HEIGHT * 4], got[SMALL_WIDTH * SMALL_HEIGHT * 4],
        expected[SMALL_WIDTH * SMALL_HEIGHT * 4];
    fill(source, KN_COUNT(source), 0, 20, 2);
    const int push[4] = {WIDTH, HEIGHT, SMALL_WIDTH, SMALL_HEIGHT};
    tensor slots[] = {{source, KN_COUNT(source)}, {got, KN_COUNT(got)}};
    run(KN_KERNEL_SCENE_BEAUTY_BRIGHT, SMALL_WIDTH, SMALL_HEIGHT, slots, 2, push, sizeof push);
    for (int y = 0; y < SMALL_HEIGHT; y++)
        for (int x = 0; x < SMALL_WIDTH; x++)
            for (int c = 0; c < 4; c++) {
                double sum = 0;
                for (int i = 0; i < 16; i++) {
                    int ox = held(x * 4 + i % 4, WIDTH - 1), oy = held(y * 4 + i / 4, HEIGHT - 1);
                    sum += fmin(fmax(source[(oy * WIDTH + ox) * 4 + c] - 1, 0), 12) / 16;
                }
                expected[(y * SMALL_WIDTH + x) * 4 + c] = c == 3 ? 1 : (float)sum;
            }
    expect_close(got, expected, KN_COUNT(got), 1e-4, "bright");
}

static const float *radiance_at(const float *source, int x, int y) {
    return &source[(held(y, HEIGHT - 1) * WIDTH + held(x, WIDTH - 1)) * 12];
}

/* Slope of inverse depth: the smaller of the differences to both sides. */
static double slope_of(const float *source, int x, int y, int dx, int dy) {
    double here = 1 / radiance_at(source, x, y)[7];
    double after = 1 / radiance_at(source, x + dx, y + dy)[7] - here,
           before = here - 1 / radiance_at(source, x - dx, y - dy)[7];
    return fabs(after) < fabs(before) ? after : before;
}

/* How far the (clamped) pixel at ox, oy continues the surface at x, y. */
static double alike(const float *source, int x, int y, int ox, int oy) {
    double here = 1 / (double)radiance_at(source, x, y)[7], there = 1 / (double)radiance_at(source, ox, oy)[7];
    double sx = slope_of(source, x, y, 1, 0), sy = slope_of(source, x, y, 0, 1);
    double away = fabs(there - here - sx * (held(ox, WIDTH - 1) - x) - sy * (held(oy, HEIGHT - 1) - y));
    return fmax(1 - away / (.04 * here), 0) + 1e-5;
}

Test(beauty_kernels, resolve_smooths_visibility_but_not_across_depths) {
    static float source[WIDTH * HEIGHT * 12], got[WIDTH * HEIGHT * 4], expected[WIDTH * HEIGHT * 4];
    fill(source, KN_COUNT(source), 0, 1, 3);
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        source[i * 12 + 7] = i % WIDTH < 17 ? 10 + source[i * 12 + 7] * .1f : 50 + (float)(i / WIDTH); /* two walls */
    for (int i = 0; i < WIDTH * HEIGHT; i++) source[i * 12 + 11] *= i % 3 ? 8 : 0; /* lengths of mirrors */
    const struct {
        int size[2];
        float exposure;
    } push = {{WIDTH, HEIGHT}, 1.5f};
    tensor slots[] = {{source, KN_COUNT(source)}, {got, KN_COUNT(got)}};
    run(KN_KERNEL_SCENE_BEAUTY_RESOLVE, WIDTH, HEIGHT, slots, 2, &push, sizeof push);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            const float *here = &source[(y * WIDTH + x) * 12];
            double sum = 0, weights = 0, drawn[4] = {0}, length = fmin(here[11], 6);
            for (int i = 0; i < 49; i++) {
                double weight = alike(source, x, y, x + i % 7 - 3, y + i / 7 - 3);
                sum += weight * radiance_at(source, x + i % 7 - 3, y + i / 7 - 3)[3];
                weights += weight;
            }
            for (int i = -12; i <= 12; i++) {
                double weight =
                    length > .3 ? exp(-.5 * i * i / (length * length)) * alike(source, x, y, x, y + i) : i == 0;
                for (int c = 0; c < 4; c++) drawn[c] += weight * (c == 3 ? 1 : radiance_at(source, x, y + i)[8 + c]);
            }
            for (int c = 0; c < 4; c++)
                expected[(y * WIDTH + x) * 4 + c] =
                    c == 3 ? 1
                           : (float)(1.5 * (here[c] + here[4 + c] * (.18 + .82 * sum / weights) + drawn[c] / drawn[3]));
        }
    expect_close(got, expected, KN_COUNT(got), 1e-4, "resolve");
}

/* The film curve of beauty_tone.comp. */
static void film(const double in[3], double out[3]) {
    const double luma[3] = {.2126, .7152, .0722};
    double bright = 0, mean = 0;
    for (int c = 0; c < 3; c++) bright += luma[c] * in[c];
    for (int c = 0; c < 3; c++) {
        double x = fmax(in[c], 0) * .94 + fmax(bright, 0) * .06;
        out[c] = fmin((x * (2.51 * x + .03)) / (x * (2.43 * x + .59) + .14), 1);
        mean += luma[c] * out[c];
    }
    for (int c = 0; c < 3; c++) {
        double y = fmin(fmax(mean + 1.05 * (out[c] - mean), 0), 1);
        out[c] = y > .0031308 ? 1.055 * pow(y, 1 / 2.4) - .055 : 12.92 * y;
    }
}

Test(beauty_kernels, tone_adds_glow_and_follows_the_film_curve) {
    static float source[WIDTH * HEIGHT * 4], glow[2][SMALL_WIDTH * SMALL_HEIGHT * 4], got[WIDTH * HEIGHT * 3],
        expected[WIDTH * HEIGHT * 3];
    const struct {
        int sizes[4];
        float narrow, wide;
    } push = {{WIDTH, HEIGHT, SMALL_WIDTH, SMALL_HEIGHT}, .35f, .2f};
    fill(source, KN_COUNT(source), 0, 2, 4);
    fill(glow[0], KN_COUNT(glow[0]), 0, 1, 5);
    fill(glow[1], KN_COUNT(glow[1]), 0, 1, 6);
    tensor slots[] = {
        {source, KN_COUNT(source)}, {glow[0], KN_COUNT(glow[0])}, {glow[1], KN_COUNT(glow[1])}, {got, KN_COUNT(got)}};
    run(KN_KERNEL_SCENE_BEAUTY_TONE, WIDTH, HEIGHT, slots, 4, &push, sizeof push);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            double sx = (x + .5) / 4 - .5, sy = (y + .5) / 4 - .5, color[3], shown[3];
            int bx = (int)floor(sx), by = (int)floor(sy);
            for (int c = 0; c < 3; c++) {
                color[c] = source[(y * WIDTH + x) * 4 + c];
                for (int i = 0; i < 4; i++) {
                    double weight = (i & 1 ? sx - bx : 1 - sx + bx) * (i >> 1 ? sy - by : 1 - sy + by);
                    int at =
                        (held(by + (i >> 1), SMALL_HEIGHT - 1) * SMALL_WIDTH + held(bx + (i & 1), SMALL_WIDTH - 1)) *
                            4 +
                        c;
                    color[c] += weight * (.35 * glow[0][at] + .2 * glow[1][at]);
                }
            }
            film(color, shown);
            for (int c = 0; c < 3; c++) expected[(c * HEIGHT + y) * WIDTH + x] = (float)shown[c];
        }
    expect_close(got, expected, KN_COUNT(got), 2e-4, "tone");
}

Test(beauty_kernels, the_film_curve_rises_and_ends_in_white) {
    double before = -1, out[3];
    for (int i = 0; i <= 400; i++) {
        film((double[3]){i * .05, i * .05, i * .05}, out);
        cr_assert_geq(out[0], before);
        before = out[0];
    }
    cr_expect_float_eq(before, 1, 1e-3);
}
