#include "tools/camera_look.h"

#include "base/random.h"

#include <math.h>
#include <string.h>

enum { MOST_TAPS = 9, MOST_RADIUS = 6 };
static const float MIDDLE_GREY = .18f;

static double normal(kn_rng *rng, double deviation, double most) {
    return fmin(fmax(kn_rng_normal(rng) * deviation, -most), most);
}

kn_camera_look kn_camera_look_draw(uint64_t seed) {
    kn_rng rng;
    kn_rng_init(&rng, kn_hash64(seed ^ 0x6c6f6f6bu));
    double exposure = exp2(normal(&rng, .35, .8)), warm = normal(&rng, .07, .16), green = normal(&rng, .02, .05);
    kn_camera_look look = {
        .gain = {(float)(exposure * (1 + warm)), (float)(exposure * (1 + green)), (float)(exposure * (1 - warm))},
        .saturation = (float)kn_rng_uniform(&rng, .6, 1.05),
        .contrast = (float)kn_rng_uniform(&rng, .95, 1.35),
        .glare = (float)(.025 * pow(kn_rng_uniform(&rng, 0, 1), 2)),
        .vignette = (float)kn_rng_uniform(&rng, .05, .4),
        .softness = (float)kn_rng_uniform(&rng, .25, .65),
        .sharpening = (float)kn_rng_uniform(&rng, 0, .8),
        .shutter = (float)kn_rng_uniform(&rng, .02, .25),
        .chroma = (float)kn_rng_uniform(&rng, .2, .6),
        .seed = kn_hash64(seed)};
    double noise = kn_rng_uniform(&rng, .1, 1);
    look.shot = (float)(2e-4 * noise * noise);
    look.read = (float)(1.5e-3 * noise);
    return look;
}

static float decode(float x) { return x > .04045f ? powf((x + .055f) / 1.055f, 2.4f) : x / 12.92f; }
static float encode(float x) { return x > .0031308f ? 1.055f * powf(x, 1 / 2.4f) - .055f : 12.92f * x; }
static float luminance(const float c[3]) { return .2126f * c[0] + .7152f * c[1] + .0722f * c[2]; }
static int clamp_index(int i, int count) { return i < 0 ? 0 : i >= count ? count - 1 : i; }

/* Fine hash of a pixel: two uniform numbers make a normal one. */
static float noise_at(uint64_t key) {
    uint64_t h = kn_hash64(key);
    double u = ((double)(h >> 40) + .5) / 16777216, v = (double)(h & 0xffffff) / 16777216;
    return (float)(sqrt(-2 * log(u)) * cos(2 * M_PI * v));
}

/* --- blur ------------------------------------------------------------------------------------- */

/* Mean along the way that what a pixel shows goes while the shutter is open. */
static void blur_motion(const kn_camera_look *look, const float *in, const float *motion, int width, int height,
                        float *out) {
    size_t pixels = (size_t)width * (size_t)height;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            size_t at = (size_t)y * (size_t)width + (size_t)x;
            float u = motion[at] * look->shutter, v = motion[pixels + at] * look->shutter, way = hypotf(u, v);
            int taps = isfinite(way) && way > .5f ? (int)fminf(2 * way + 1, MOST_TAPS) : 1;
            float sum[3] = {0};
            for (int t = 0; t < taps; t++) {
                float s = taps > 1 ? (float)t / (float)(taps - 1) - .5f : 0;
                s *= fminf(1, 12 / fmaxf(way, 1e-3f)); /* not across half the picture */
                int i = clamp_index(x + (int)lrintf(s * u), width), j = clamp_index(y + (int)lrintf(s * v), height);
                for (size_t c = 0; c < 3; c++) sum[c] += in[c * pixels + (size_t)j * (size_t)width + (size_t)i];
            }
            for (size_t c = 0; c < 3; c++) out[c * pixels + at] = sum[c] / (float)taps;
        }
}

/* Gaussian of one plane along one axis: `step` is 1 or the width. */
static void blur_axis(const float *in, int width, int height, bool down, float sigma, float *out) {
    float weights[MOST_RADIUS + 1], total = 0;
    int radius = (int)fminf(ceilf(3 * sigma), MOST_RADIUS);
    for (int k = 0; k <= radius; k++) {
        weights[k] = expf(-.5f * (float)(k * k) / fmaxf(sigma * sigma, 1e-6f));
        total += k ? 2 * weights[k] : weights[k];
    }
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            float sum = 0;
            for (int k = -radius; k <= radius; k++) {
                int i = down ? x : clamp_index(x + k, width), j = down ? clamp_index(y + k, height) : y;
                sum += weights[k < 0 ? -k : k] * in[(size_t)j * (size_t)width + (size_t)i];
            }
            out[(size_t)y * (size_t)width + (size_t)x] = sum / total;
        }
}

/* --- light ------------------------------------------------------------------------------------ */

/* Exposure, vignette, glare, contrast and saturation of one pixel; `out` is the square of its distance from the middle,
 * 1 in a corner. */
static void develop(const kn_camera_look *look, float c[3], float out) {
    for (int k = 0; k < 3; k++) c[k] = c[k] * look->gain[k] * (1 - look->vignette * out) + look->glare;
    float bright = luminance(c), curved = MIDDLE_GREY * powf(fmaxf(bright, 0) / MIDDLE_GREY, look->contrast);
    float scale = curved / fmaxf(bright, 1e-5f);
    for (int k = 0; k < 3; k++) {
        float x = scale * (bright + look->saturation * (c[k] - bright));
        c[k] = x > .7f ? .7f + .3f * (1 - expf(-(x - .7f) / .3f)) : fmaxf(x, 0); /* a shoulder, no hard clipping */
    }
}

static void develop_picture(const kn_camera_look *look, float *linear, int width, int height) {
    size_t pixels = (size_t)width * (size_t)height;
    float corner = (float)(width * width + height * height) / 4;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            size_t at = (size_t)y * (size_t)width + (size_t)x;
            float u = (float)x + .5f - (float)width / 2, v = (float)y + .5f - (float)height / 2;
            float c[3] = {linear[at], linear[pixels + at], linear[2 * pixels + at]};
            develop(look, c, (u * u + v * v) / corner);
            for (size_t k = 0; k < 3; k++) linear[k * pixels + at] = c[k];
        }
}

/* Sharpening with `soft`, the blurred picture, then noise; linear to display values. */
static void finish(const kn_camera_look *look, const float *linear, const float *soft, size_t pixels, uint64_t shot,
                   float *picture) {
    uint64_t key = kn_hash64(look->seed + 0x9e3779b97f4a7c15u * (shot + 1));
    for (size_t i = 0; i < pixels; i++) {
        float grey = noise_at(key + 4 * i);
        for (size_t k = 0; k < 3; k++) {
            float x = linear[k * pixels + i];
            x = fmaxf(x + look->sharpening * (x - soft[k * pixels + i]), 0);
            float own = noise_at(key + 4 * i + 1 + k), deviation = sqrtf(look->shot * x + look->read * look->read);
            x += deviation * (sqrtf(1 - look->chroma * look->chroma) * grey + look->chroma * own);
            picture[k * pixels + i] = encode(fminf(fmaxf(x, 0), 1)); /* fmaxf makes 0 of NaN */
        }
    }
}

bool kn_camera_look_apply(const kn_camera_look *look, float *picture, const float *motion, int width, int height,
                          uint64_t shot, kn_error *error) {
    size_t pixels = (size_t)width * (size_t)height;
    float *linear = kn_alloc(pixels, 3 * sizeof *linear, error);
    float *work = linear ? kn_alloc(pixels, 4 * sizeof *work, error) : NULL;
    float sigma = look->softness * (float)height / 224;
    for (size_t i = 0; work && i < 3 * pixels; i++) work[i] = decode(picture[i]);
    if (work && motion) blur_motion(look, work, motion, width, height, linear);
    else if (work) memcpy(linear, work, 3 * pixels * sizeof *linear);
    if (work) develop_picture(look, linear, width, height);
    float *row = work ? work + 3 * pixels : NULL;
    for (size_t k = 0; work && k < 3; k++) { /* the lens, then once more what sharpening takes as soft */
        blur_axis(linear + k * pixels, width, height, false, sigma, row);
        blur_axis(row, width, height, true, sigma, linear + k * pixels);
        blur_axis(linear + k * pixels, width, height, false, fmaxf(sigma, .6f), row);
        blur_axis(row, width, height, true, fmaxf(sigma, .6f), work + k * pixels);
    }
    if (work) finish(look, linear, work, pixels, shot, picture);
    kn_free(linear);
    bool good = work != NULL;
    kn_free(work);
    return good;
}
