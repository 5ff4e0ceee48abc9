/* A photographed sky: a Radiance picture (.hdr) of all directions, as sky.glsl reads it. */
#include "scene/render/render_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_WIDTH = 4096 };

void kn_render_sky_finish(kn_render_sky *sky) {
    kn_free(sky->texels);
    *sky = (kn_render_sky){0};
}

/* --- Radiance RGBE (Ward 1991), run-length encoded scanlines ------------------------------------ */

typedef struct reader {
    const uint8_t *data;
    size_t size, at;
} reader;

/* The next line without its end; false where there is none. */
static bool next_line(reader *r, char *line, size_t room) {
    size_t count = 0;
    for (; r->at < r->size && r->data[r->at] != '\n'; r->at++)
        if (count + 1 < room) line[count++] = (char)r->data[r->at];
    line[count] = 0;
    return r->at++ < r->size;
}

static bool read_header(reader *r, int *width, int *height) {
    char line[128];
    bool known = next_line(r, line, sizeof line) && strncmp(line, "#?", 2) == 0;
    while (known && next_line(r, line, sizeof line) && line[0]) {
    }
    return known && next_line(r, line, sizeof line) && sscanf(line, "-Y %d +X %d", height, width) == 2;
}

/* One of the four bytes of all pixels of a row; false at damage. */
static bool read_component(reader *r, uint8_t *out, int width) {
    for (int x = 0; x < width;) {
        if (r->at + 1 >= r->size) return false;
        int count = r->data[r->at++];
        bool run = count > 128;
        count -= run ? 128 : 0;
        if (count == 0 || count > width - x || r->at + (run ? 1 : (size_t)count) > r->size) return false;
        if (run) memset(out + x, r->data[r->at], (size_t)count);
        else memcpy(out + x, r->data + r->at, (size_t)count);
        r->at += run ? 1 : (size_t)count;
        x += count;
    }
    return true;
}

static bool read_row(reader *r, uint8_t *bytes, int width, float (*out)[4]) {
    if (r->at + 4 > r->size) return false;
    const uint8_t *start = r->data + r->at;
    if (start[0] != 2 || start[1] != 2 || (start[2] << 8 | start[3]) != width) return false;
    r->at += 4;
    for (int k = 0; k < 4; k++)
        if (!read_component(r, bytes + k * width, width)) return false;
    for (int x = 0; x < width; x++)
        for (int c = 0; c < 3; c++)
            out[x][c] =
                bytes[3 * width + x] ? ldexpf((float)bytes[c * width + x] + .5f, bytes[3 * width + x] - 136) : 0;
    return true;
}

/* --- what it gives as light ------------------------------------------------------------------- */

static double luminance(const float c[4]) { return .2126 * c[0] + .7152 * c[1] + .0722 * c[2]; }

/* Means over the rows from `first` to `end`, weighted by their solid angle; what outshines `most` counts as that. */
static void mean_of(const kn_render_sky *sky, int first, int end, double most, float out[3]) {
    double sum[3] = {0}, weights = 0;
    for (int y = first; y < end; y++) {
        double weight = sin(M_PI * (y + .5) / sky->height);
        for (int x = 0; x < sky->width; x++) {
            const float *texel = sky->texels[(size_t)y * (size_t)sky->width + (size_t)x];
            double held = fmin(1, most / fmax(luminance(texel), 1e-9));
            for (int c = 0; c < 3; c++) sum[c] += weight * held * texel[c];
            weights += weight;
        }
    }
    for (int c = 0; c < 3; c++) out[c] = (float)(sum[c] / weights);
}

static void measure(kn_render_sky *sky, double lift) {
    float all[3], best = -1;
    int middle = (int)fmax(sky->height * (.5 - lift / 180), 1);
    mean_of(sky, 0, middle, INFINITY, all);
    double most = 4 * luminance((float[4]){all[0], all[1], all[2]});
    mean_of(sky, 0, middle, most, all);
    mean_of(sky, 0, (middle + 1) / 2, most, sky->zenith);
    mean_of(sky, middle * 4 / 5, middle, most, sky->horizon);
    sky->mean = (float)luminance((float[4]){all[0], all[1], all[2]});
    for (size_t i = 0; i < (size_t)sky->width * (size_t)middle; i++)
        if (luminance(sky->texels[i]) > best) {
            best = (float)luminance(sky->texels[i]);
            sky->brightest = ((float)(i % (size_t)sky->width) + .5f) / (float)sky->width;
        }
}

bool kn_render_sky_read(kn_render_sky *sky, const char *path, double lift, kn_error *error) {
    lift = fmin(fmax(lift, 0), 80);
    uint8_t *data, *bytes = NULL;
    size_t size;
    *sky = (kn_render_sky){0};
    if (!kn_file_read(path, (size_t)1 << 28, &data, &size, error)) return false;
    reader r = {.data = data, .size = size};
    bool good = read_header(&r, &sky->width, &sky->height);
    if (!good || sky->width < 8 || sky->width > MOST_WIDTH || sky->width != 2 * sky->height)
        good = kn_fail(error, KN_ERROR_INPUT, "%s: expected a Radiance picture of all directions, 16x8 to %dx%d pixels",
                       path, MOST_WIDTH, MOST_WIDTH / 2);
    good = good && (bytes = kn_alloc((size_t)sky->width, 4, error)) &&
           (sky->texels = kn_alloc((size_t)sky->width * (size_t)sky->height, sizeof *sky->texels, error));
    for (int y = 0; good && y < sky->height; y++)
        if (!read_row(&r, bytes, sky->width, sky->texels + (size_t)y * (size_t)sky->width))
            good = kn_fail(error, KN_ERROR_INPUT, "%s: row %d of %d is damaged or not run-length encoded", path, y,
                           sky->height);
    kn_free(bytes);
    kn_free(data);
    if (good) measure(sky, lift);
    else kn_render_sky_finish(sky);
    return good;
}

void kn_render_sky_light(const kn_render_sky *sky, kn_light_setup *light, float frame[4]) {
    float both[4] = {0};
    for (int c = 0; c < 3; c++) both[c] = .6f * light->zenith[c] + .4f * light->horizon[c];
    float scale = (float)(luminance(both) / fmax(sky->mean, 1e-9));
    /* Paler than the picture: cameras balance their white to what they see. */
    double up = luminance((float[4]){sky->zenith[0], sky->zenith[1], sky->zenith[2]});
    double low = luminance((float[4]){sky->horizon[0], sky->horizon[1], sky->horizon[2]});
    for (int c = 0; c < 3; c++) {
        light->zenith[c] = (.55f * sky->zenith[c] + .45f * (float)up) * scale;
        light->horizon[c] = (.55f * sky->horizon[c] + .45f * (float)low) * scale;
    }
    double sun = atan2(light->sun_direction.y, light->sun_direction.x) / (2 * M_PI);
    frame[1] = (float)(sky->brightest + sun); /* the brightest column stands where the sun does */
    frame[2] = scale;
    frame[3] = (float)sky->width;
}
