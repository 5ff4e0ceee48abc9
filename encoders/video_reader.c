/* Video and pictures as upright RGB with square pixels, for whoever wants to look at them. */
#include "encoders/planes.h"
#include "encoders/source.h"
#include "encoders/tone.h"

#include <math.h>
#include <string.h>

struct kn_video_reader {
    kn_video_info info;
    kn_source source;
    struct SwsContext *sws;
    AVFrame *picture; /* RGB24 as stored, with the room that swscale's vector code writes into */
    int sws_width, sws_height, sws_format, sws_matrix, sws_range; /* what sws was made for */
    int width, height;                                            /* of the stored picture with square pixels */
    kn_color color;
    kn_planes planes; /* for pictures of more than a screen's range */
    float *light;     /* [3][height][width] of stored pixels */
    uint8_t *rgb;     /* the picture before it is turned */
    int64_t first_time;
};

static void copy_name(char *target, size_t size, const char *name) {
    snprintf(target, size, "%s", name ? name : "unknown");
}

/* The stored picture with square pixels: the short side is stretched, so that nothing is lost. */
static bool fill_info(kn_video_reader *r, kn_error *error) {
    kn_film_info film;
    kn_source_describe(&r->source, &film);
    kn_rational aspect = r->source.pixel_aspect;
    bool swaps = kn_orientation_swaps(r->source.orientation);
    double ratio = (double)aspect.num / aspect.den;
    r->width = swaps ? film.height : film.width, r->height = swaps ? film.width : film.height;
    if (ratio > 1) r->width = (int)lrint(r->width * ratio);
    else if (ratio < 1) r->height = (int)lrint(r->height / ratio);
    if (r->width > KN_MAX_SIDE || r->height > KN_MAX_SIDE)
        return kn_fail(error, KN_ERROR_INPUT, "%s: pixels of aspect %d:%d make a picture of %dx%d, expected at most %d",
                       r->source.path, aspect.num, aspect.den, r->width, r->height, KN_MAX_SIDE);
    r->info.width = swaps ? r->height : r->width, r->info.height = swaps ? r->width : r->height;
    r->info.rate = film.rate, r->info.frame_count = film.frame_count;
    r->color = film.color;
    copy_name(r->info.codec, sizeof r->info.codec, film.pictures ? "images" : film.codec);
    copy_name(r->info.primaries, sizeof r->info.primaries, av_color_primaries_name(film.color.primaries));
    copy_name(r->info.transfer, sizeof r->info.transfer, av_color_transfer_name(film.color.transfer));
    copy_name(r->info.matrix, sizeof r->info.matrix, av_color_space_name(film.color.matrix));
    copy_name(r->info.range, sizeof r->info.range, av_color_range_name(film.color.range));
    copy_name(r->info.pixel_format, sizeof r->info.pixel_format, film.pixel_format);
    return true;
}

bool kn_video_reader_create(kn_video_reader **reader, const char *path, kn_rational rate, kn_error *error) {
    *reader = NULL;
    kn_video_reader *r = kn_alloc(1, sizeof *r, error);
    if (!r) return false;
    r->source.stream = -1;
    r->first_time = INT64_MIN;
    bool ok = kn_source_init(&r->source, path, rate, error) && fill_info(r, error);
    if (!ok) kn_video_reader_destroy(&r);
    *reader = r;
    return ok;
}

const kn_video_info *kn_video_reader_info(const kn_video_reader *reader) { return &reader->info; }

const char *kn_video_reader_metadata(const kn_video_reader *reader, const char *key) {
    if (!reader->source.format) return NULL;
    const AVDictionaryEntry *entry = av_dict_get(reader->source.format->metadata, key, NULL, 0);
    return entry ? entry->value : NULL;
}

static int frame_matrix(const AVFrame *frame) {
    switch (frame->colorspace) {
    case AVCOL_SPC_BT709: return SWS_CS_ITU709;
    case AVCOL_SPC_FCC: return SWS_CS_FCC;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M: return SWS_CS_ITU601;
    case AVCOL_SPC_SMPTE240M: return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL: return SWS_CS_BT2020;
    default: return frame->height > 576 ? SWS_CS_ITU709 : SWS_CS_ITU601; /* the usual guess for untagged video */
    }
}

static bool make_picture(kn_video_reader *r, kn_error *error) {
    r->picture = av_frame_alloc();
    if (!r->picture) return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", r->source.path);
    r->picture->width = r->width;
    r->picture->height = r->height;
    r->picture->format = AV_PIX_FMT_RGB24;
    int code = av_frame_get_buffer(r->picture, 0);
    if (code >= 0) return true;
    av_frame_free(&r->picture);
    return kn_av_fail(error, code, r->source.path, "picture memory");
}

static bool make_sws(kn_video_reader *r, const AVFrame *frame, kn_error *error) {
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
    bool is_rgb = format && (format->flags & AV_PIX_FMT_FLAG_RGB);
    int matrix = frame_matrix(frame), range = is_rgb || frame->color_range == AVCOL_RANGE_JPEG;
    bool same_size = r->sws_width == frame->width && r->sws_height == frame->height;
    if (r->sws && same_size && r->sws_format == frame->format && r->sws_matrix == matrix && r->sws_range == range)
        return true;
    sws_freeContext(r->sws);
    r->sws = kn_sws_create(frame->width, frame->height, r->width, r->height, frame->format, AV_PIX_FMT_RGB24, matrix,
                           range, 1, error);
    r->sws_width = frame->width, r->sws_height = frame->height;
    r->sws_format = frame->format;
    r->sws_matrix = matrix;
    r->sws_range = range;
    return r->sws != NULL;
}

/* frame -> rgb [r->height][r->width][3] through swscale. */
static bool convert(kn_video_reader *r, const AVFrame *frame, uint8_t *rgb, kn_error *error) {
    if (r->picture && (r->picture->width != r->width || r->picture->height != r->height)) av_frame_free(&r->picture);
    if (!make_sws(r, frame, error) || (!r->picture && !make_picture(r, error))) return false;
    sws_scale(r->sws, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, r->picture->data,
              r->picture->linesize);
    size_t row = 3 * (size_t)r->width;
    for (int y = 0; y < r->height; y++)
        memcpy(rgb + row * (size_t)y, r->picture->data[0] + (ptrdiff_t)y * r->picture->linesize[0], row);
    return true;
}

/* The same for what a screen cannot show as it is. */
static bool convert_light(kn_video_reader *r, const AVFrame *frame, uint8_t *rgb, kn_error *error) {
    size_t count = (size_t)frame->width * (size_t)frame->height;
    kn_planes_coding coding;
    if (!kn_planes_coding_init(&coding, r->color.matrix, r->color.range, r->color.chroma, frame->format, frame->height))
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: colour matrix %s cannot be turned into RGB", r->source.path,
                       r->info.matrix);
    if (!r->light && !(r->light = kn_alloc(count, 3 * sizeof *r->light, error))) return false;
    if (!kn_planes_read(&r->planes, frame, &coding, 3, r->light, error)) return false;
    if (r->width == frame->width && r->height == frame->height) {
        kn_tone_map(r->light, count, r->color.transfer, r->color.primaries, rgb);
        return true;
    }
    AVFrame *small = av_frame_alloc(); /* stretched afterwards, as any RGB picture */
    if (!small) return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", r->source.path);
    small->width = frame->width, small->height = frame->height, small->format = AV_PIX_FMT_RGB24;
    bool ok =
        av_frame_get_buffer(small, 1) >= 0 || kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", r->source.path);
    uint8_t *flat = ok ? kn_alloc(count, 3, error) : NULL;
    if (flat) kn_tone_map(r->light, count, r->color.transfer, r->color.primaries, flat);
    for (int y = 0; flat && y < frame->height; y++)
        memcpy(small->data[0] + (ptrdiff_t)y * small->linesize[0], flat + 3 * (size_t)y * (size_t)frame->width,
               3 * (size_t)frame->width);
    ok = flat && convert(r, small, rgb, error);
    kn_free(flat);
    av_frame_free(&small);
    return ok;
}

static bool check_size(const kn_video_reader *r, kn_error *error) {
    const AVFrame *frame = r->source.frame;
    kn_rational aspect = r->source.pixel_aspect;
    bool swaps = kn_orientation_swaps(r->source.orientation);
    double ratio = (double)aspect.num / aspect.den;
    int width = ratio > 1 ? (int)lrint(frame->width * ratio) : frame->width;
    int height = ratio < 1 ? (int)lrint(frame->height / ratio) : frame->height;
    int upright[2] = {swaps ? height : width, swaps ? width : height};
    if (upright[0] == r->info.width && upright[1] == r->info.height) return true;
    return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: the picture size changes from %dx%d to %dx%d at frame %lld",
                   r->source.path, r->info.width, r->info.height, upright[0], upright[1],
                   (long long)r->source.index - 1);
}

bool kn_video_reader_next(kn_video_reader *r, uint8_t *rgb, double *seconds, bool *end, kn_error *error) {
    int64_t time = 0;
    if (!kn_source_next(&r->source, &time, end, error) || *end) return *end;
    if (!check_size(r, error)) return false;
    const AVFrame *frame = r->source.frame;
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
    kn_orientation o = r->source.orientation;
    bool turned = o.quarter_turns || o.mirrored, floating = format && (format->flags & AV_PIX_FMT_FLAG_FLOAT);
    if (kn_orientation_swaps(o)) r->width = r->info.height, r->height = r->info.width;
    else r->width = r->info.width, r->height = r->info.height;
    if (turned && !r->rgb && !(r->rgb = kn_alloc((size_t)r->width * (size_t)r->height, 3, error))) return false;
    uint8_t *stored = turned ? r->rgb : rgb;
    bool light = floating || kn_tone_needed(r->color.transfer);
    if (!(light ? convert_light(r, frame, stored, error) : convert(r, frame, stored, error))) return false;
    if (turned) kn_orient(rgb, stored, r->width, r->height, 3, o);
    if (time == INT64_MIN) time = r->first_time == INT64_MIN ? 0 : r->first_time;
    if (r->first_time == INT64_MIN) r->first_time = time;
    if (seconds) *seconds = (double)(time - r->first_time) * r->source.time_base.num / r->source.time_base.den;
    if (r->source.format) av_frame_unref(r->source.frame);
    return true;
}

void kn_video_reader_destroy(kn_video_reader **reader) {
    if (!reader || !*reader) return;
    kn_video_reader *r = *reader;
    sws_freeContext(r->sws);
    av_frame_free(&r->picture);
    kn_source_finish(&r->source);
    kn_planes_finish(&r->planes);
    kn_free(r->light);
    kn_free(r->rgb);
    kn_free(r);
    *reader = NULL;
}
