/* Cuts, by the measure of FFmpeg's scdet: a cut changes the picture much more than the frames before it did. */
#include "base/base.h"
#include "kinora/film.h"

#include <math.h>
#include <string.h>

struct kn_shots {
    size_t width, height, small_width, small_height;
    double threshold, before; /* the last mean difference, 0..100 */
    float *small[2];          /* brightness of this frame and the one before, reduced */
    size_t frames;
};

bool kn_shots_create(kn_shots **shots, int width, int height, double threshold, kn_error *error) {
    *shots = NULL;
    if (width < 1 || height < 1 || !(threshold >= 0 && threshold <= 100))
        return kn_fail(error, KN_ERROR_INPUT, "cuts in frames of %dx%d with threshold %g, expected a size and 0..100",
                       width, height, threshold);
    kn_shots *s = kn_alloc(1, sizeof *s, error);
    if (!s) return false;
    s->width = (size_t)width, s->height = (size_t)height;
    s->threshold = threshold > 0 ? threshold : 10;
    size_t step = s->width > 640 || s->height > 640 ? 4 : 1; /* small pictures as they are */
    s->small_width = (s->width + step - 1) / step, s->small_height = (s->height + step - 1) / step;
    bool ok = (s->small[0] = kn_alloc(s->small_width * s->small_height, sizeof(float), error)) &&
              (s->small[1] = kn_alloc(s->small_width * s->small_height, sizeof(float), error));
    if (!ok) kn_shots_destroy(&s);
    *shots = s;
    return ok;
}

/* Brightness, 0..1, averaged over blocks. */
static void reduce(const kn_shots *s, const float *planes, float *out) {
    static const float weights[3] = {.2126f, .7152f, .0722f};
    size_t pixels = s->width * s->height, step = s->small_width == s->width ? 1 : 4;
    for (size_t y = 0; y < s->small_height; y++)
        for (size_t x = 0; x < s->small_width; x++) {
            float sum = 0, count = 0;
            for (size_t v = y * step; v < (y + 1) * step && v < s->height; v++)
                for (size_t u = x * step; u < (x + 1) * step && u < s->width; u++, count++)
                    for (size_t c = 0; c < 3; c++) {
                        float value = planes[c * pixels + v * s->width + u];
                        sum += weights[c] * (value > 0 ? value < 1 ? value : 1 : 0);
                    }
            out[y * s->small_width + x] = sum / count;
        }
}

bool kn_shots_next(kn_shots *s, const float *planes) {
    float *now = s->small[s->frames & 1];
    const float *last = s->small[~s->frames & 1];
    size_t count = s->small_width * s->small_height;
    double sum = 0;
    reduce(s, planes, now);
    if (s->frames++ == 0) return true;
    for (size_t i = 0; i < count; i++) sum += fabs((double)now[i] - (double)last[i]);
    double difference = 100 * sum / (double)count, score = fmin(difference, fabs(difference - s->before));
    s->before = difference;
    return score >= s->threshold;
}

void kn_shots_destroy(kn_shots **shots) {
    kn_shots *s = *shots;
    if (!s) return;
    kn_free(s->small[0]);
    kn_free(s->small[1]);
    kn_free(s);
    *shots = NULL;
}
