/* The pictures that public ControlNets were trained on, without their networks: lines and edges of the brightness. */
#include "diffusion/sampling/structure.h"
#include "kinora/clip.h"

#include <math.h>
#include <string.h>

static float limited(float value) { return value > 0 ? value < 1 ? value : 1 : 0; }

/* --- lines ------------------------------------------------------------------------------------ */

/* Where it is darker than around. */
static bool lineart(float *luma, int w, int h, float *out, kn_error *error) {
    size_t pixels = (size_t)w * (size_t)h;
    float *broad = kn_alloc(pixels, sizeof *broad, error);
    bool ok = broad && kn_blur(luma, w, h, 2.4, broad, error) && kn_blur(luma, w, h, .8, luma, error);
    for (size_t i = 0; ok && i < pixels; i++) out[i] = limited(8 * (broad[i] - luma[i]) - .04f);
    kn_free(broad);
    return ok;
}

/* Sobel's gradients times 1/4 at one pixel, borders repeated. */
static void gradient(const float *luma, int w, int h, int x, int y, float *gx, float *gy) {
    int l = x > 0 ? x - 1 : 0, r = x + 1 < w ? x + 1 : x;
    const float *a = luma + (size_t)(y > 0 ? y - 1 : 0) * (size_t)w, *b = luma + (size_t)y * (size_t)w,
                *c = luma + (size_t)(y + 1 < h ? y + 1 : y) * (size_t)w;
    *gx = .25f * (a[r] + 2 * b[r] + c[r] - a[l] - 2 * b[l] - c[l]);
    *gy = .25f * (c[l] + 2 * c[x] + c[r] - a[l] - 2 * a[x] - a[r]);
}

static bool softedge(float *luma, int w, int h, double sigma, float gain, float *out, kn_error *error) {
    if (!kn_blur(luma, w, h, sigma, luma, error)) return false;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float gx, gy;
            gradient(luma, w, h, x, y, &gx, &gy);
            out[(size_t)y * (size_t)w + (size_t)x] = limited(gain * sqrtf(gx * gx + gy * gy));
        }
    return true;
}

/* --- Canny ------------------------------------------------------------------------------------ */

/* Whether the gradient at (x, y) is the greatest along its direction, of eight. */
static bool is_ridge(const float *strength, int w, int h, int x, int y, float gx, float gy) {
    const float steep = 2.41421356f;
    int dx = 1, dy = 1;
    if (fabsf(gy) > steep * fabsf(gx)) dx = 0;
    else if (fabsf(gx) > steep * fabsf(gy)) dy = 0;
    else if ((gx > 0) != (gy > 0)) dy = -1;
    if (x < 1 || y < 1 || x >= w - 1 || y >= h - 1) return false;
    ptrdiff_t at = (ptrdiff_t)y * w + x, step = (ptrdiff_t)dy * w + dx;
    return strength[at] > strength[at - step] && strength[at] >= strength[at + step];
}

/* Spreads from strong edges along weak ones. out: 0, .5 weak, 1 strong, at the start. */
static void connect(float *out, int w, int h, size_t *stack, size_t count) {
    while (count > 0) {
        size_t at = stack[--count];
        int x = (int)(at % (size_t)w), y = (int)(at / (size_t)w);
        for (int j = y > 0 ? y - 1 : 0; j <= y + 1 && j < h; j++)
            for (int i = x > 0 ? x - 1 : 0; i <= x + 1 && i < w; i++) {
                size_t next = (size_t)j * (size_t)w + (size_t)i;
                if (out[next] != .5f) continue;
                out[next] = 1;
                stack[count++] = next;
            }
    }
}

static bool canny(const float *luma, int w, int h, float *out, kn_error *error) {
    size_t pixels = (size_t)w * (size_t)h, count = 0;
    float *strength = kn_alloc(pixels, sizeof *strength, error);
    size_t *stack = kn_alloc(pixels, sizeof *stack, error);
    bool ok = strength && stack;
    for (int pass = 0; ok && pass < 2; pass++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                float gx, gy;
                size_t at = (size_t)y * (size_t)w + (size_t)x;
                gradient(luma, w, h, x, y, &gx, &gy);
                if (pass == 0) strength[at] = 4 * 255 * (fabsf(gx) + fabsf(gy));
                else if (strength[at] <= 100 || !is_ridge(strength, w, h, x, y, gx, gy)) out[at] = 0;
                else if (strength[at] <= 200) out[at] = .5f;
                else out[at] = 1, stack[count++] = at;
            }
    if (ok) connect(out, w, h, stack, count);
    for (size_t i = 0; ok && i < pixels; i++) out[i] = out[i] == 1;
    kn_free(strength);
    kn_free(stack);
    return ok;
}

/* --- whole ------------------------------------------------------------------------------------ */

bool kn_annotate(const char *kind, const float *picture, int width, int height, float *out, kn_error *error) {
    static const char *const kinds[] = {"lineart", "softedge", "canny", "scribble", "tile"};
    size_t pixels = (size_t)width * (size_t)height, k = 0;
    while (k < KN_COUNT(kinds) && strcmp(kinds[k], kind) != 0) k++;
    if (k == KN_COUNT(kinds))
        return kn_fail(error, KN_ERROR_INPUT, "control '%.60s': expected lineart, softedge, canny, scribble or tile",
                       kind);
    if (k == 4) {
        memcpy(out, picture, 3 * pixels * sizeof *out);
        return true;
    }
    float *luma = kn_alloc(pixels, sizeof *luma, error);
    for (size_t i = 0; luma && i < pixels; i++)
        luma[i] = .299f * picture[i] + .587f * picture[pixels + i] + .114f * picture[2 * pixels + i];
    bool ok = luma && (k == 0   ? lineart(luma, width, height, out, error)
                       : k == 1 ? softedge(luma, width, height, 1.2, 6, out, error)
                       : k == 2 ? canny(luma, width, height, out, error)
                                : softedge(luma, width, height, 2.5, 14, out, error));
    for (size_t i = 0; ok && k == 3 && i < pixels; i++) out[i] = out[i] > .5f;
    for (size_t c = 1; ok && c < 3; c++) memcpy(out + c * pixels, out, pixels * sizeof *out);
    kn_free(luma);
    return ok;
}
