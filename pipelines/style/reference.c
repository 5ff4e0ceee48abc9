#include "pipelines/style/reference.h"

#include <math.h>
#include <string.h>

enum { SHORT_SIDE = 256 }; /* at which the picture is painted to find the nearest look */

struct kn_reference {
    int width, height;
    float *planes; /* [3][height][width] */
    kn_tones tones;
    kn_palette *palette;
};

bool kn_reference_create(kn_style *style, kn_error *error) {
    kn_image image = {0};
    struct kn_reference *r = style->reference = kn_alloc(1, sizeof *r, error);
    if (!r || !kn_image_read(&image, style->job->reference, 3, error)) return false;
    size_t pixels = (size_t)image.width * (size_t)image.height;
    r->width = image.width, r->height = image.height;
    r->planes = kn_alloc(3 * pixels, sizeof(float), error);
    for (size_t i = 0; r->planes && i < pixels; i++)
        for (size_t c = 0; c < 3; c++) r->planes[c * pixels + i] = (float)image.data[3 * i + c] / 255;
    if (r->planes) kn_tones_add(&r->tones, r->planes, pixels);
    kn_image_finish(&image);
    if (r->planes && (r->width < 16 || r->height < 16))
        return kn_fail(error, KN_ERROR_INPUT, "%s: is %d x %d, expected at least 16 x 16 pixels", style->job->reference,
                       r->width, r->height);
    return r->planes != NULL;
}

void kn_reference_destroy(struct kn_reference **reference) {
    if (!*reference) return;
    kn_free((*reference)->planes);
    kn_free((*reference)->palette);
    kn_free(*reference);
    *reference = NULL;
}

/* --- the nearest look ------------------------------------------------------------------------- */

static bool paint(kn_style *style, const kn_style_fit *fit, const char *prompt, double grain, const float *picture,
                  float *painted, kn_error *error) {
    kn_clip *clip = NULL;
    kn_clip_params params;
    if (!kn_style_clip_params(style, fit->to_width, fit->to_height, &params, error)) return false;
    params.prompt = prompt;
    if (style->job->clip.grain < 0) params.grain = (float)grain;
    bool ok = kn_clip_create(&clip, style->model, &params, error) &&
              kn_clip_next(clip, &(kn_clip_frame){.picture = picture}, painted, error);
    kn_clip_destroy(&clip);
    return ok;
}

bool kn_reference_nearest(kn_style *style, const char *const *prompts, const double *grains, size_t count,
                          size_t *nearest, kn_error *error) {
    const struct kn_reference *r = style->reference;
    int factor = kn_model_get_info(style->model)->latent_factor, multiple = factor > 8 ? factor : 8;
    kn_style_fit fit = kn_style_fit_of(r->width, r->height, SHORT_SIDE, multiple);
    size_t n = 3 * (size_t)fit.to_width * (size_t)fit.to_height;
    float *picture = kn_alloc(2 * n, sizeof *picture, error), *painted = picture + n;
    bool ok = picture && kn_style_fit_in(&fit, r->planes, picture, error);
    double best = INFINITY;
    for (size_t i = 0; ok && i < count; i++) {
        ok = paint(style, &fit, prompts[i], grains[i], picture, painted, error);
        double distance = ok ? kn_manner_distance(picture, painted, fit.to_width, fit.to_height) : 0;
        if (ok) kn_log_line(&style->job->log, KN_LOG_DEBUG, "reference: %s: %.3f away", prompts[i], distance);
        if (distance < best) best = distance, *nearest = i;
    }
    kn_free(picture);
    return ok;
}

/* --- colours ---------------------------------------------------------------------------------- */

/* The first frame of each file of painted ones. */
static bool count_film(kn_style *style, kn_tones *tones, kn_error *error) {
    size_t pixels = (size_t)style->fit.to_width * (size_t)style->fit.to_height;
    for (int64_t frame = 0, chunk = 0; frame < style->report.frames; frame += KN_STYLE_CHUNK, chunk++) {
        kn_film_reader *reader = NULL;
        bool end = false;
        char *path = kn_style_chunk_path(style, (size_t)chunk, error);
        bool ok = path && kn_film_reader_create(&reader, path, (kn_rational){0, 0}, error) &&
                  kn_film_reader_next(reader, &(kn_film_frame){.planes = style->painted}, &end, error);
        if (ok && !end) kn_tones_add(tones, style->painted, pixels);
        kn_film_reader_destroy(&reader);
        kn_free(path);
        if (!ok) return false;
    }
    return true;
}

bool kn_reference_learn(kn_style *style, kn_error *error) {
    kn_tones film = {.aa = 0};
    return count_film(style, &film, error) &&
           kn_palette_create(&style->reference->palette, &film, &style->reference->tones, error);
}

void kn_reference_apply(const kn_style *style, float *planes, size_t pixels) {
    kn_palette_apply(style->reference->palette, planes, pixels);
}
