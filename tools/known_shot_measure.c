#include "tools/known_shot_measure.h"
#include "base/warp.h"
#include "kinora/film.h"

#include <math.h>
#include <string.h>

/* --- measures --------------------------------------------------------------------------------- */

typedef struct track {
    float *now, *before;
    double warp, fine, power;
} track;

typedef struct measure {
    const known_shot *shot;
    size_t pixels;
    track film, source, look; /* look: the source's colours in four steps */
    float *motion, *seen, *petals, *around, *warped;
    double trusted, ring;
    known_score *score;
} measure;

static double luma(const float *planes, size_t pixels, size_t i) {
    return 0.299 * (double)planes[i] + 0.587 * (double)planes[pixels + i] + 0.114 * (double)planes[2 * pixels + i];
}

static double fine_at(const float *planes, size_t pixels, size_t i, size_t w) {
    double sum = 0;
    for (size_t y = i - w; y <= i + w; y += w)
        sum += luma(planes, pixels, y - 1) + luma(planes, pixels, y) + luma(planes, pixels, y + 1);
    return luma(planes, pixels, i) - sum / 9;
}

static void compare(measure *m, track *t) {
    size_t w = (size_t)m->shot->width, n = m->pixels;
    kn_warp(t->before, 3, m->shot->width, m->shot->height, m->motion, m->warped);
    for (size_t y = 2; y + 2 < (size_t)m->shot->height; y++)
        for (size_t x = 2; x + 2 < w; x++) {
            size_t i = y * w + x;
            if (m->seen[i] < 1) continue;
            for (size_t c = 0; c < 3; c++) {
                double off = (double)(t->now[c * n + i] - m->warped[c * n + i]);
                t->warp += off * off / 3;
            }
            double fine = fine_at(t->now, n, i, w), change = fine - fine_at(m->warped, n, i, w);
            t->fine += change * change;
            t->power += fine * fine;
        }
}

static void keep_ring(measure *m, int frame, double visible) {
    double source = known_shot_contrast(m->source.now, m->pixels, m->petals, m->around),
           film = known_shot_contrast(m->film.now, m->pixels, m->petals, m->around);
    if (visible < 0.95 || source < 0.05) return;
    double kept = film / source;
    if (m->score->ring_frames == 0 || kept < m->score->ring_least)
        m->score->ring_least = kept, m->score->ring_worst = frame;
    m->score->ring_frames++;
    m->ring += fmin(kept, 1);
}

static void swap(track *t) {
    float *old = t->before;
    t->before = t->now, t->now = old;
}

static bool measure_frames(measure *m, kn_film_reader *reader, kn_error *error) {
    size_t w = (size_t)m->shot->width;
    for (int frame = 0; frame < m->shot->frames; frame++) {
        bool end = false;
        swap(&m->film);
        swap(&m->source);
        swap(&m->look);
        if (!kn_film_reader_next(reader, &(kn_film_frame){.planes = m->film.now}, &end, error)) return false;
        if (end) return kn_fail(error, KN_ERROR_INPUT, "the film has only %d frames", frame);
        known_shot_draw(m->shot, frame, m->source.now);
        for (size_t i = 0; i < 3 * m->pixels; i++)
            m->look.now[i] = (floorf(fminf(m->source.now[i], .999f) * 4) + .5f) / 4;
        known_truth truth = known_shot_truth(m->shot, frame, m->motion, m->seen, m->petals, m->around);
        keep_ring(m, frame, truth.visible);
        if (frame == 0) continue;
        for (size_t i = 0; i < m->pixels; i++) {
            size_t x = i % w, y = i / w;
            m->trusted += x >= 2 && y >= 2 && x + 2 < w && y + 2 < (size_t)m->shot->height && m->seen[i] >= 1;
        }
        compare(m, &m->film);
        compare(m, &m->source);
        compare(m, &m->look);
    }
    return true;
}

bool known_shot_measure(const known_shot *shot, const char *film, known_score *score, kn_error *error) {
    size_t n = (size_t)shot->width * (size_t)shot->height;
    kn_film_reader *reader = NULL;
    measure m = {.shot = shot, .pixels = n, .score = score};
    float **buffers[] = {&m.film.now, &m.film.before, &m.look.now, &m.look.before, &m.source.now, &m.source.before,
                         &m.warped,   &m.motion,      &m.seen,     &m.petals,      &m.around};
    *score = (known_score){.ring_worst = -1};
    bool ok = kn_film_reader_create(&reader, film, (kn_rational){0, 0}, error);
    if (ok &&
        (kn_film_reader_info(reader)->width != shot->width || kn_film_reader_info(reader)->height != shot->height))
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: is not %d x %d", film, shot->width, shot->height);
    for (size_t i = 0; ok && i < KN_COUNT(buffers); i++)
        ok = (*buffers[i] = kn_alloc(4 * n, sizeof(float), error)) != NULL;
    ok = ok && measure_frames(&m, reader, error);
    if (ok) {
        double trusted = fmax(m.trusted, 1);
        score->ring_mean = score->ring_frames ? m.ring / score->ring_frames : NAN;
        score->warp_error = m.film.warp / trusted, score->warp_per_pixel = m.look.warp / trusted;
        score->warp_source = m.source.warp / trusted, score->fine_source = m.source.fine / m.source.power;
        score->fine = m.film.fine / m.film.power, score->fine_per_pixel = m.look.fine / m.look.power;
    }
    for (size_t i = 0; i < KN_COUNT(buffers); i++) kn_free(*buffers[i]);
    kn_film_reader_destroy(&reader);
    return ok;
}

/* --- files ------------------------------------------------------------------------------------ */

bool known_shot_write(const known_shot *shot, const char *path, kn_error *error) {
    kn_film_writer *writer = NULL;
    kn_film_params params = {.width = shot->width,
                             .height = shot->height,
                             .channels = 3,
                             .rate = {24, 1},
                             .codec = KN_FILM_FFV1,
                             .depth = 8,
                             .rgb = true};
    float *planes = kn_alloc(3 * (size_t)shot->width * (size_t)shot->height, sizeof *planes, error);
    bool ok = planes && kn_film_writer_create(&writer, path, &params, error);
    for (int frame = 0; ok && frame < shot->frames; frame++) {
        known_shot_draw(shot, frame, planes);
        ok = kn_film_writer_add(writer, &(kn_film_frame){.planes = planes, .index = frame, .time = frame}, error);
    }
    ok = ok && kn_film_writer_commit(writer, error);
    kn_film_writer_destroy(&writer);
    kn_free(planes);
    return ok;
}

bool known_shot_write_marks(const known_shot *shot, const int *frames, int count, const char *path, kn_error *error) {
    char text[4000];
    int used = snprintf(text, sizeof text, "{\"details\": [{\"name\": \"ring\", \"marks\": [");
    for (int i = 0; i < count && used < 3800; i++) {
        known_truth t = known_shot_truth(shot, frames[i], NULL, NULL, NULL, NULL);
        double half = 0.6 * shot->ring;
        used +=
            snprintf(text + used, sizeof text - (size_t)used, "%s{\"frame\": %d, \"box\": [%.1f, %.1f, %.1f, %.1f]}",
                     i ? ", " : "", frames[i], t.x - half, t.y - half, 2 * half, 2 * half);
    }
    used += snprintf(text + used, sizeof text - (size_t)used, "]}]}\n");
    return kn_file_write(path, text, (size_t)used, error);
}
