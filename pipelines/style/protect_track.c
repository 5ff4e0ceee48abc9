/* Following details: forwards while the film is read, backwards through small copies of its frames. */
#include "pipelines/style/light.h"
#include "pipelines/style/protect_job.h"

#include <math.h>
#include <string.h>

enum { SHORT_SIDE = 1080 }; /* of the pictures in which details are followed */

typedef struct pass {
    kn_style *style;
    struct kn_protected *p;
    kn_style_fit fit;
    size_t pixels;
    double scale_x, scale_y; /* pixels of the film in one of the small pictures */
    kn_track *tracks[KN_PROTECT_DETAILS];
    bool began[KN_PROTECT_DETAILS];
    float *picture, *mask;
    uint8_t *copies; /* [KN_STYLE_CHUNK][3][pixels] */
    kn_shots *shots;
    int64_t last_mark;
    kn_film_writer *writer;
} pass;

/* --- one frame, either way -------------------------------------------------------------------- */

static const kn_protect_mark *mark_at(const kn_protect_detail *detail, int64_t frame) {
    for (size_t i = 0; i < detail->count; i++)
        if (detail->marks[i].frame == frame) return &detail->marks[i];
    return NULL;
}

static void fill_mask(const pass *s, const kn_image *mask, float *out) {
    for (int y = 0; y < s->fit.to_height; y++)
        for (int x = 0; x < s->fit.to_width; x++) {
            int fx = (int)((x + 0.5) * s->scale_x), fy = (int)((y + 0.5) * s->scale_y);
            fx = fx < mask->width ? fx : mask->width - 1, fy = fy < mask->height ? fy : mask->height - 1;
            *out++ = (float)mask->data[(size_t)fy * (size_t)mask->width + (size_t)fx] / 255;
        }
}

static kn_track_box scaled(const kn_track_box *b, double by_x, double by_y) {
    return (kn_track_box){(float)((double)b->x * by_x), (float)((double)b->y * by_y), (float)((double)b->width * by_x),
                          (float)((double)b->height * by_y)};
}

static bool begin_at(pass *s, size_t d, const kn_protect_mark *mark, kn_protect_row *row, kn_error *error) {
    const kn_protect_detail *detail = &s->p->marks.details[d];
    kn_track_box box = scaled(&mark->box, 1 / s->scale_x, 1 / s->scale_y);
    box.width = fminf(fmaxf(box.width, 1), (float)s->fit.to_width - box.x);
    box.height = fminf(fmaxf(box.height, 1), (float)s->fit.to_height - box.y);
    if (mark->mask.data) fill_mask(s, &mark->mask, s->mask);
    kn_error own = {0};
    if (!kn_track_mark(s->tracks[d], s->picture, box, mark->mask.data ? s->mask : NULL, &own)) {
        if (own.kind != KN_ERROR_INPUT) return kn_fail(error, own.kind, "%s", own.message);
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: \"%s\", frame %lld: the mark %g, %g, %g x %g holds nothing but one flat colour",
                       s->p->marks.path, detail->name, (long long)mark->frame, (double)mark->box.x, (double)mark->box.y,
                       (double)mark->box.width, (double)mark->box.height);
    }
    s->began[d] = true;
    *row = (kn_protect_row){.box = mark->box, .match = 1, .visible = 1};
    return true;
}

/* All details in s->picture; *cut: it belongs to another shot than the picture before. */
static bool follow(pass *s, int64_t frame, bool cut, bool backwards, kn_error *error) {
    for (size_t d = 0; d < s->p->marks.count; d++) {
        kn_protect_row *row = &s->p->rows[d][frame], found = {.visible = 0};
        const kn_protect_mark *mark = mark_at(&s->p->marks.details[d], frame);
        if (mark && !begin_at(s, d, mark, row, error)) return false;
        if (mark || !s->began[d]) continue;
        kn_track_place place;
        if (cut) kn_track_cut(s->tracks[d]);
        if (!kn_track_next(s->tracks[d], s->picture, &place, error)) return false;
        found.box = scaled(&place.box, s->scale_x, s->scale_y);
        found.match = place.match, found.visible = place.visible;
        *row = backwards ? kn_protect_row_join(row, &found) : found;
    }
    return true;
}

/* --- copies ----------------------------------------------------------------------------------- */

static char *copy_path(const pass *s, int64_t chunk, kn_error *error) {
    return kn_format(error, "%s/copy-%06lld.mkv", s->style->work, (long long)chunk);
}

static bool keep_copy(pass *s, int64_t frame, kn_error *error) {
    int64_t at = frame % KN_STYLE_CHUNK;
    if (at == 0) {
        char *path = copy_path(s, frame / KN_STYLE_CHUNK, error);
        kn_film_params params = {.width = s->fit.to_width,
                                 .height = s->fit.to_height,
                                 .channels = 3,
                                 .rate = {25, 1},
                                 .codec = KN_FILM_FFV1,
                                 .depth = 8,
                                 .rgb = true,
                                 .overwrite = true};
        bool ok = path && kn_film_writer_create(&s->writer, path, &params, error);
        kn_free(path);
        if (!ok) return false;
    }
    kn_film_frame copy = {.planes = s->picture, .index = at, .time = at};
    if (!kn_film_writer_add(s->writer, &copy, error)) return false;
    if (at != KN_STYLE_CHUNK - 1 && frame != s->last_mark) return true;
    bool ok = kn_film_writer_commit(s->writer, error);
    kn_film_writer_destroy(&s->writer);
    return ok;
}

static bool read_copies(pass *s, int64_t chunk, int64_t count, kn_error *error) {
    kn_film_reader *reader = NULL;
    char *path = copy_path(s, chunk, error);
    bool ok = path && kn_film_reader_create(&reader, path, (kn_rational){0, 0}, error), end = false;
    for (int64_t i = 0; ok && i < count; i++) {
        ok = kn_film_reader_next(reader, &(kn_film_frame){.planes = s->picture}, &end, error) &&
             (!end || kn_fail(error, KN_ERROR_IO, "%s: is shorter than it was", path));
        uint8_t *copy = s->copies + (size_t)i * 3 * s->pixels;
        for (size_t j = 0; ok && j < 3 * s->pixels; j++) copy[j] = (uint8_t)lrintf(s->picture[j] * 255);
    }
    kn_film_reader_destroy(&reader);
    kn_free(path);
    return ok;
}

static void remove_copies(const pass *s) {
    for (int64_t chunk = 0; chunk <= s->last_mark / KN_STYLE_CHUNK; chunk++) {
        char *path = copy_path(s, chunk, NULL);
        if (path) remove(path);
        kn_free(path);
    }
}

/* --- both ways -------------------------------------------------------------------------------- */

static bool forwards(pass *s, kn_film_reader *reader, kn_error *error) {
    kn_style *style = s->style;
    size_t full = (size_t)style->info.width * (size_t)style->info.height;
    bool end = false;
    int64_t frame = 0;
    for (;; frame++) {
        kn_film_frame in = {.planes = style->planes};
        if (!kn_film_reader_next(reader, &in, &end, error)) return false;
        if (end) break;
        kn_light_see(style->info.color.transfer, style->planes, full, style->seen);
        if (!kn_style_fit_in(&s->fit, style->seen, s->picture, error) ||
            !kn_protect_rows_reserve(s->p, frame + 1, error))
            return false;
        bool cut = s->p->cuts[frame] = kn_shots_next(s->shots, s->picture);
        for (size_t d = 0; d < s->p->marks.count; d++) s->p->rows[d][frame] = (kn_protect_row){.visible = 0};
        if ((s->last_mark > 0 && frame <= s->last_mark && !keep_copy(s, frame, error)) ||
            !follow(s, frame, cut, false, error) || !kn_style_progress(style, "follow", frame + 1, error))
            return false;
    }
    s->p->frames = frame;
    return frame > 0 || kn_fail(error, KN_ERROR_INPUT, "%s: holds no frame", style->job->input);
}

static bool backwards(pass *s, kn_error *error) {
    memset(s->began, 0, sizeof s->began);
    for (int64_t frame = s->last_mark, chunk = -1; frame >= 0; frame--) {
        if (chunk != frame / KN_STYLE_CHUNK) {
            chunk = frame / KN_STYLE_CHUNK;
            if (!read_copies(s, chunk, frame % KN_STYLE_CHUNK + 1, error)) return false;
        }
        const uint8_t *copy = s->copies + (size_t)(frame % KN_STYLE_CHUNK) * 3 * s->pixels;
        for (size_t i = 0; i < 3 * s->pixels; i++) s->picture[i] = (float)copy[i] / 255;
        if (!follow(s, frame, frame < s->last_mark && s->p->cuts[frame + 1], true, error)) return false;
    }
    return true;
}

static bool open(pass *s, kn_error *error) {
    const kn_film_info *info = &s->style->info;
    s->fit = kn_style_fit_of(info->width, info->height, SHORT_SIDE, 1);
    s->scale_x = (double)info->width / s->fit.to_width, s->scale_y = (double)info->height / s->fit.to_height;
    s->pixels = (size_t)s->fit.to_width * (size_t)s->fit.to_height;
    for (size_t d = 0; d < s->p->marks.count; d++) {
        const kn_protect_detail *detail = &s->p->marks.details[d];
        int64_t last = detail->marks[detail->count - 1].frame;
        s->last_mark = last > s->last_mark ? last : s->last_mark;
        if (!kn_track_create(&s->tracks[d], s->fit.to_width, s->fit.to_height, error)) return false;
    }
    if (info->frame_count > 0 && !kn_protect_check_frames(&s->p->marks, info->frame_count, error)) return false;
    return (s->picture = kn_alloc(3 * s->pixels, sizeof(float), error)) &&
           (s->mask = kn_alloc(s->pixels, sizeof(float), error)) &&
           (s->last_mark == 0 || (s->copies = kn_alloc(KN_STYLE_CHUNK * s->pixels, 3, error))) &&
           kn_shots_create(&s->shots, s->fit.to_width, s->fit.to_height, 0, error);
}

static void close(pass *s) {
    kn_film_writer_destroy(&s->writer);
    remove_copies(s);
    for (size_t d = 0; d < s->p->marks.count; d++) kn_track_destroy(&s->tracks[d]);
    kn_shots_destroy(&s->shots);
    kn_free(s->picture);
    kn_free(s->mask);
    kn_free(s->copies);
}

bool kn_protect_track(kn_style *style, kn_error *error) {
    pass s = {.style = style, .p = style->protected};
    kn_film_reader *reader = NULL;
    char *path = kn_path_join(style->work, "details", error);
    if (!path) return false;
    bool ok = kn_protect_rows_load(s.p, path);
    if (!ok) {
        ok = open(&s, error) && kn_film_reader_create(&reader, style->job->input, style->job->rate, error) &&
             forwards(&s, reader, error) && kn_protect_check_frames(&s.p->marks, s.p->frames, error) &&
             (s.last_mark == 0 || backwards(&s, error));
        if (ok) kn_protect_rows_finish(s.p);
        ok = ok && kn_protect_rows_save(s.p, path, error);
        kn_film_reader_destroy(&reader);
        close(&s);
    }
    for (size_t d = 0; ok && d < s.p->marks.count; d++)
        ok = (s.p->results[d] = kn_alloc((size_t)s.p->frames, sizeof **s.p->results, error));
    kn_free(path);
    return ok;
}
