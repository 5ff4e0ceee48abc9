/* Film as float planes. */
#include "encoders/planes.h"
#include "encoders/source.h"

#include <string.h>

struct kn_film_reader {
    kn_film_info info;
    kn_source source;
    kn_planes planes;
    kn_planes_coding coding;
    int coded_format; /* that `coding` is for */
    float *stored;    /* as stored, where the upright picture is another */
    int64_t last_time;
    bool rounded; /* the file's times are milliseconds, rounded */
};

/* Matroska rounds to milliseconds: times are counted in units that hold both these and whole frames of the rate. */
static void refine_times(kn_film_reader *r) {
    kn_film_info *info = &r->info;
    r->rounded =
        r->source.format && info->time_base.num == 1 && info->time_base.den == 1000 && info->rate.num < 2000000;
    if (r->rounded) info->time_base.den = 1000 * info->rate.num;
}

/* What the time was before it was rounded: a whole number of frames, where one lies within a millisecond. */
static int64_t unrounded(const kn_film_reader *r, int64_t milliseconds) {
    int64_t time = milliseconds * r->info.rate.num, frame = (int64_t)1000 * r->info.rate.den;
    int64_t whole = (time + frame / 2) / frame * frame, off = time > whole ? time - whole : whole - time;
    return off <= r->info.rate.num ? whole : time;
}

bool kn_film_reader_create(kn_film_reader **reader, const char *path, kn_rational rate, kn_error *error) {
    *reader = NULL;
    kn_film_reader *r = kn_alloc(1, sizeof *r, error);
    if (!r) return false;
    r->source.stream = -1;
    r->coded_format = AV_PIX_FMT_NONE;
    r->last_time = INT64_MIN;
    bool ok = kn_source_init(&r->source, path, rate, error);
    if (ok) kn_source_describe(&r->source, &r->info), refine_times(r);
    if (!ok) kn_film_reader_destroy(&r);
    *reader = r;
    return ok;
}

const kn_film_info *kn_film_reader_info(const kn_film_reader *reader) { return &reader->info; }

const char *kn_film_reader_metadata(const kn_film_reader *reader, const char *key) {
    if (!reader->source.format) return NULL;
    const AVDictionaryEntry *entry = av_dict_get(reader->source.format->metadata, key, NULL, 0);
    return entry ? entry->value : NULL;
}

/* Time stamps rise, whatever the file says. */
static int64_t fix_time(kn_film_reader *r, int64_t time) {
    AVRational unit = {r->info.time_base.num, r->info.time_base.den}, frame = {r->info.rate.den, r->info.rate.num};
    int64_t step = av_rescale_q(1, frame, unit);
    if (r->last_time == INT64_MIN) return time == INT64_MIN ? 0 : time;
    return time > r->last_time ? time : r->last_time + (step > 0 ? step : 1);
}

static bool check_frame(kn_film_reader *r, kn_error *error) {
    const AVFrame *f = r->source.frame;
    bool swaps = kn_orientation_swaps(r->source.orientation);
    int width = swaps ? f->height : f->width, height = swaps ? f->width : f->height;
    const char *path = r->source.path;
    if (width != r->info.width || height != r->info.height)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: the picture size changes from %dx%d to %dx%d at frame %lld",
                       path, r->info.width, r->info.height, width, height, (long long)r->source.index - 1);
    if (f->format == r->coded_format) return true;
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    if (!d || (d->flags & (AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BAYER)))
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: pixel format %s is not read", path, d ? d->name : "unknown");
    const kn_color *c = &r->info.color;
    if (!kn_planes_coding_init(&r->coding, c->matrix, c->range, c->chroma, f->format, f->height))
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: colour matrix %s cannot be turned into RGB", path,
                       av_color_space_name(c->matrix));
    r->coded_format = f->format;
    return true;
}

bool kn_film_reader_next(kn_film_reader *r, kn_film_frame *frame, bool *end, kn_error *error) {
    int64_t time = 0;
    if (!kn_source_next(&r->source, &time, end, error) || *end) return *end;
    if (!check_frame(r, error)) return false;
    const AVFrame *f = r->source.frame;
    kn_orientation o = r->source.orientation;
    bool upright = o.quarter_turns == 0 && !o.mirrored;
    size_t pixels = (size_t)f->width * (size_t)f->height;
    if (!upright && !r->stored && !(r->stored = kn_alloc(pixels * (size_t)r->info.channels, sizeof *r->stored, error)))
        return false;
    if (!kn_planes_read(&r->planes, f, &r->coding, r->info.channels, upright ? frame->planes : r->stored, error))
        return false;
    for (int c = 0; !upright && c < r->info.channels; c++)
        kn_orient(frame->planes + (size_t)c * pixels, r->stored + (size_t)c * pixels, f->width, f->height,
                  sizeof *r->stored, o);
    if (r->rounded && time != INT64_MIN) time = unrounded(r, time);
    frame->index = r->source.index - 1;
    frame->time = r->last_time = fix_time(r, time);
    frame->header = r->source.header;
    frame->header_size = r->source.header_size;
    if (r->source.format) av_frame_unref(r->source.frame);
    return true;
}

void kn_film_reader_destroy(kn_film_reader **reader) {
    kn_film_reader *r = *reader;
    if (!r) return;
    kn_source_finish(&r->source);
    kn_planes_finish(&r->planes);
    kn_free(r->stored);
    kn_free(r);
    *reader = NULL;
}
