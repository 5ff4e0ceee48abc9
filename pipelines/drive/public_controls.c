#include "pipelines/drive/public_controls.h"

#include "kinora/render.h"

#include <math.h>
#include <string.h>

static const float NEAREST = 4;   /* metres: white in depth pictures */
static const float CREASE = .85f; /* cosine between neighbouring normals below which a line is drawn */

static float limited(float value) { return value > 0 ? value < 1 ? value : 1 : 0; }

static const float *channel(const float *conditions, int index, size_t pixels) {
    return conditions + (size_t)index * pixels;
}

/* The first channel into the other two. */
static void spread(float *out, size_t pixels) {
    for (size_t c = 1; c < 3; c++) memcpy(out + c * pixels, out, pixels * sizeof *out);
}

static void draw_depth(const float *conditions, int w, int h, float *out) {
    size_t pixels = (size_t)w * (size_t)h;
    const float *inverse = channel(conditions, KN_CONDITION_DEPTH, pixels);
    /* 2 / (2 + z) = d: 1 / z = d / (2 (1 - d)) */
    for (size_t i = 0; i < pixels; i++)
        out[i] = inverse[i] < 1 ? limited(NEAREST * inverse[i] / (2 * (1 - inverse[i]))) : 1;
    spread(out, pixels);
}

/* Colours of the scene parsing benchmark's 150 classes (arXiv 1608.05442) as mmsegmentation and ControlNet draw them.
 * Windows of buildings are building there. */
static const uint8_t ade20k[KN_CLASS_COUNT][3] = {
    [KN_CLASS_ROAD] = {140, 140, 140},      /* road */
    [KN_CLASS_MARKING] = {140, 140, 140},   /* road */
    [KN_CLASS_PAVEMENT] = {235, 255, 7},    /* sidewalk */
    [KN_CLASS_TERRAIN] = {4, 250, 7},       /* grass */
    [KN_CLASS_VEGETATION] = {4, 200, 3},    /* tree */
    [KN_CLASS_BUILDING] = {180, 120, 120},  /* building */
    [KN_CLASS_WINDOW] = {180, 120, 120},    /* building */
    [KN_CLASS_POLE] = {51, 0, 255},         /* pole */
    [KN_CLASS_CAR] = {0, 102, 200},         /* car */
    [KN_CLASS_TRUCK] = {255, 0, 20},        /* truck */
    [KN_CLASS_PERSON] = {150, 5, 61},       /* person */
    [KN_CLASS_TWO_WHEELER] = {255, 245, 0}, /* bicycle */
    [KN_CLASS_SKY] = {6, 230, 230},         /* sky */
    [KN_CLASS_OTHER] = {120, 120, 120},     /* wall */
};

static void draw_seg(const float *conditions, int w, int h, float *out) {
    size_t pixels = (size_t)w * (size_t)h;
    const float *shares = channel(conditions, KN_CONDITION_CLASS, pixels);
    for (size_t i = 0; i < pixels; i++) {
        size_t most = 0;
        for (size_t c = 1; c < KN_CLASS_COUNT; c++)
            if (shares[c * pixels + i] > shares[most * pixels + i]) most = c;
        for (size_t c = 0; c < 3; c++) out[c * pixels + i] = (float)ade20k[most][c] / 255;
    }
}

/* Camera axes are x right, y down, z forward: the picture's are all the other way round. */
static void draw_normals(const float *conditions, int w, int h, float *out) {
    size_t pixels = (size_t)w * (size_t)h;
    const float *normal = channel(conditions, KN_CONDITION_NORMAL, pixels);
    for (size_t i = 0; i < pixels; i++) {
        float n[3] = {normal[i], normal[pixels + i], normal[2 * pixels + i]};
        bool none = n[0] * n[0] + n[1] * n[1] + n[2] * n[2] < .25f;
        for (size_t c = 0; c < 3; c++) out[c * pixels + i] = none ? (c == 2 ? 1 : .5f) : limited(.5f - .5f * n[c]);
    }
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Whether the surface turns between two pixels. */
static bool creased(const float *normal, size_t pixels, size_t a, size_t b) {
    float dot = 0, lengths[2] = {0, 0};
    for (size_t c = 0; c < 3; c++) {
        float p = normal[c * pixels + a], q = normal[c * pixels + b];
        dot += p * q, lengths[0] += p * p, lengths[1] += q * q;
    }
    return lengths[0] > .25f && lengths[1] > .25f && dot < CREASE * sqrtf(lengths[0] * lengths[1]);
}

static void draw_edges(const float *conditions, int w, int h, float *out) {
    size_t pixels = (size_t)w * (size_t)h, wide = (size_t)w;
    const float *edge = channel(conditions, KN_CONDITION_EDGE, pixels),
                *normal = channel(conditions, KN_CONDITION_NORMAL, pixels);
    for (size_t i = 0; i < pixels; i++)
        out[i] = edge[i] > .5f || (i % wide + 1 < wide && creased(normal, pixels, i, i + 1)) ||
                 (i + wide < pixels && creased(normal, pixels, i, i + wide));
}

/* The greatest value within one pixel. */
static void widen(const float *in, int w, int h, float *out) {
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float most = 0;
            for (int j = y > 0 ? y - 1 : 0; j <= y + 1 && j < h; j++)
                for (int i = x > 0 ? x - 1 : 0; i <= x + 1 && i < w; i++)
                    most = fmaxf(most, in[(size_t)j * (size_t)w + (size_t)i]);
            out[(size_t)y * (size_t)w + (size_t)x] = most;
        }
}

/* Binomial smoothing over 3 x 3 pixels, borders repeated. */
static void smooth(const float *in, int w, int h, float *out) {
    static const float weights[3] = {.25f, .5f, .25f};
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float sum = 0;
            for (int j = -1; j <= 1; j++)
                for (int i = -1; i <= 1; i++) {
                    int u = x + i < 0 ? 0 : x + i < w ? x + i : w - 1, v = y + j < 0 ? 0 : y + j < h ? y + j : h - 1;
                    sum += weights[i + 1] * weights[j + 1] * in[(size_t)v * (size_t)w + (size_t)u];
                }
            out[(size_t)y * (size_t)w + (size_t)x] = sum;
        }
}

static void draw_canny(const float *conditions, int w, int h, float *out) {
    draw_edges(conditions, w, h, out);
    spread(out, (size_t)w * (size_t)h);
}

/* The other kinds of lines use the last channel as room. */
static void draw_lineart(const float *conditions, int w, int h, float *out) {
    size_t pixels = (size_t)w * (size_t)h;
    draw_edges(conditions, w, h, out + 2 * pixels);
    smooth(out + 2 * pixels, w, h, out);
    for (size_t i = 0; i < pixels; i++) out[i] = limited(1.6f * out[i]);
    spread(out, pixels);
}

static void draw_softedge(const float *conditions, int w, int h, float *out) {
    size_t pixels = (size_t)w * (size_t)h;
    draw_edges(conditions, w, h, out);
    widen(out, w, h, out + 2 * pixels);
    smooth(out + 2 * pixels, w, h, out + pixels);
    smooth(out + pixels, w, h, out);
    spread(out, pixels);
}

static void draw_scribble(const float *conditions, int w, int h, float *out) {
    size_t pixels = (size_t)w * (size_t)h;
    draw_edges(conditions, w, h, out + 2 * pixels);
    widen(out + 2 * pixels, w, h, out);
    spread(out, pixels);
}

/* --- whole ------------------------------------------------------------------------------------ */

static void draw_tile(const float *conditions, int w, int h, float *out) {
    size_t pixels = (size_t)w * (size_t)h;
    const float *sky = channel(conditions, KN_CONDITION_CLASS + KN_CLASS_SKY, pixels);
    for (size_t c = 0; c < 3; c++) {
        const float *flat = channel(conditions, KN_CONDITION_FLAT + (int)c, pixels),
                    *shaded = channel(conditions, KN_CONDITION_SHADED + (int)c, pixels);
        /* Flat colours are means over the pixel's spots, with 0 for those that show sky. */
        for (size_t i = 0; i < pixels; i++) out[c * pixels + i] = limited(flat[i] + sky[i] * shaded[i]);
    }
}

static const struct {
    const char *name;
    void (*draw)(const float *conditions, int width, int height, float *out);
} kinds[] = {{"depth", draw_depth},       {"seg", draw_seg},     {"normalbae", draw_normals}, {"lineart", draw_lineart},
             {"softedge", draw_softedge}, {"canny", draw_canny}, {"scribble", draw_scribble}, {"tile", draw_tile}};

static size_t find_kind(const char *kind) {
    size_t k = 0;
    while (k < KN_COUNT(kinds) && strcmp(kinds[k].name, kind) != 0) k++;
    return k;
}

bool kn_public_control_exists(const char *kind) { return find_kind(kind) < KN_COUNT(kinds); }

bool kn_public_control_shaded(const char *kind) { return strcmp(kind, "tile") == 0; }

bool kn_public_control(const char *kind, const float *conditions, int width, int height, float *out, kn_error *error) {
    size_t k = find_kind(kind);
    if (k == KN_COUNT(kinds))
        return kn_fail(error, KN_ERROR_INPUT, "control '%.60s': expected " KN_PUBLIC_CONTROL_KINDS, kind);
    kinds[k].draw(conditions, width, height, out);
    return true;
}
