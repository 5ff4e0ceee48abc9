/* Film out of float planes. */
#include "encoders/film.h"

#include "base/orient.h"
#include "encoders/header.h"
#include "encoders/planes.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

struct kn_film_writer {
    kn_film_params params;
    kn_film_setup setup;
    kn_orientation turn; /* from the upright picture to the stored one */
    char *path, *part, *aigc, timecode[32];
    AVFormatContext *format; /* NULL for pictures */
    AVCodecContext *codec;
    AVStream *stream;
    AVFrame *frame;
    AVPacket *packet;
    kn_planes planes;
    kn_planes_coding coding;
    float *stored; /* NULL where the upright picture is stored */
    kn_film_sound sound;
    kn_film_sequence sequence;
    int64_t count, last_time;
    bool started, committed;
};

static bool check_params(const char *path, const kn_film_params *p, kn_error *error) {
    if (p->codec >= KN_FILM_CODEC_COUNT) return kn_fail(error, KN_ERROR_INPUT, "%s: unknown codec", path);
    if (p->width < 1 || p->height < 1 || p->width > KN_MAX_SIDE || p->height > KN_MAX_SIDE)
        return kn_fail(error, KN_ERROR_INPUT, "%s: picture size %dx%d is outside 1..%d", path, p->width, p->height,
                       KN_MAX_SIDE);
    if (p->channels != 3 && p->channels != 4)
        return kn_fail(error, KN_ERROR_INPUT, "%s: %d channels, expected 3 or 4", path, p->channels);
    if (p->rate.num < 1 || p->rate.den < 1 || p->rate.num / 1000 > p->rate.den || p->rate.den / 1000 > p->rate.num)
        return kn_fail(error, KN_ERROR_INPUT, "%s: frame rate %d/%d is outside 1/1000..1000", path, p->rate.num,
                       p->rate.den);
    if (p->quality != 0 && !(p->quality >= 1 && p->quality <= 51))
        return kn_fail(error, KN_ERROR_INPUT, "%s: quality %g is outside 1..51", path, p->quality);
    bool small = p->codec == KN_FILM_DNXHR && (p->width < 256 || p->height < 120);
    if (p->codec == KN_FILM_H265) small = p->width < 64 || p->height < 48; /* libx265 writes outside its memory */
    if (small)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: %dx%d is too small for %s", path, p->width, p->height,
                       kn_film_codec_name(p->codec));
    return true;
}

static void log_line(const kn_film_writer *w, const char *text) {
    kn_log_line(&w->params.log, KN_LOG_WARNING, "%s: %s", w->path, text);
}

/* Says what this format cannot keep. */
static void warn(const kn_film_writer *w) {
    const kn_film_params *p = &w->params;
    bool pictures = !w->setup.muxer, turned = p->quarter_turns || p->mirrored;
    if (pictures && p->sound) log_line(w, "pictures hold no sound: it is left out");
    if (pictures && p->timecode && *p->timecode && p->codec != KN_FILM_DPX && p->codec != KN_FILM_EXR)
        log_line(w, "this kind of picture holds no timecode: it is left out");
    if (turned && !w->setup.turns) log_line(w, "the rotation is not stored; the pictures are written upright");
    if (p->codec == KN_FILM_EXR && p->color.transfer != AVCOL_TRC_LINEAR && p->color.transfer > 2)
        log_line(w, "EXR is linear by custom, but these values are written as the film's transfer encodes them");
}

/* --- opening
 * ---------------------------------------------------------------------------------------------------------- */

static void set_colour(kn_film_writer *w) {
    const kn_color *c = &w->params.color;
    bool rgb = av_pix_fmt_desc_get(w->setup.format)->flags & AV_PIX_FMT_FLAG_RGB;
    AVCodecContext *codec = w->codec;
    codec->color_primaries = c->primaries ? c->primaries : AVCOL_PRI_UNSPECIFIED;
    codec->color_trc = c->transfer ? c->transfer : AVCOL_TRC_UNSPECIFIED;
    codec->colorspace = rgb ? AVCOL_SPC_RGB : (enum AVColorSpace)c->matrix;
    codec->color_range = rgb ? AVCOL_RANGE_JPEG : (enum AVColorRange)c->range;
    codec->chroma_sample_location = rgb ? AVCHROMA_LOC_UNSPECIFIED : (enum AVChromaLocation)c->chroma;
}

static bool open_codec(kn_film_writer *w, kn_error *error) {
    const kn_film_params *p = &w->params;
    const AVCodec *encoder = avcodec_find_encoder_by_name(w->setup.encoder);
    if (!encoder)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: this FFmpeg has no encoder %s", w->path, w->setup.encoder);
    if (!(w->codec = avcodec_alloc_context3(encoder)))
        return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", w->path);
    AVCodecContext *codec = w->codec;
    bool swaps = kn_orientation_swaps(w->turn), small = av_pix_fmt_desc_get(w->setup.format)->log2_chroma_h &&
                                                        (p->codec == KN_FILM_H264 || p->codec == KN_FILM_H265);
    codec->width = swaps ? p->height : p->width;
    codec->height = swaps ? p->width : p->height;
    bool odd =
        (codec->width & 1 && av_pix_fmt_desc_get(w->setup.format)->log2_chroma_w) || (codec->height & 1 && small);
    if (odd && p->codec != KN_FILM_FFV1)
        return kn_fail(
            error, KN_ERROR_UNSUPPORTED,
            "%s: %s stores subsampled chroma of even sizes, got %dx%d; FFV1 (.mkv), 4:4:4 or pictures keep odd ones",
            w->path, kn_film_codec_name(p->codec), codec->width, codec->height);
    codec->pix_fmt = w->setup.format;
    codec->time_base = (AVRational){p->time_base.num, p->time_base.den};
    codec->framerate = (AVRational){p->rate.num, p->rate.den};
    codec->sample_aspect_ratio = swaps ? (AVRational){p->pixel_aspect.den, p->pixel_aspect.num}
                                       : (AVRational){p->pixel_aspect.num, p->pixel_aspect.den};
    codec->thread_count = 1;
    codec->flags |= AV_CODEC_FLAG_BITEXACT;
    if (p->interlaced) codec->field_order = p->top_first ? AV_FIELD_TT : AV_FIELD_BB;
    if (w->format && (w->format->oformat->flags & AVFMT_GLOBALHEADER)) codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    set_colour(w);
    if (!kn_film_codec_options(codec, p, error)) return kn_fail_prefix(error, "%s", w->path);
    int code = avcodec_open2(codec, encoder, NULL);
    return code >= 0 || kn_av_fail(error, code, w->path, "cannot begin the film");
}

/* From the stored picture to the upright one, moved so that it begins at 0, 0. */
static void make_matrix(const kn_film_writer *w, int32_t m[9]) {
    static const int turns[4][4] = {{1, 0, 0, 1}, {0, 1, -1, 0}, {-1, 0, 0, -1}, {0, -1, 1, 0}};
    const int *t = turns[w->params.quarter_turns & 3];
    int a = w->params.mirrored ? -t[0] : t[0], b = w->params.mirrored ? -t[1] : t[1], width = w->codec->width,
        height = w->codec->height;
    memset(m, 0, 9 * sizeof *m);
    m[0] = a * 65536, m[1] = b * 65536, m[3] = t[2] * 65536, m[4] = t[3] * 65536, m[8] = 1 << 30;
    m[6] = ((a < 0 ? width : 0) + (t[2] < 0 ? height : 0)) * 65536;
    m[7] = ((b < 0 ? width : 0) + (t[3] < 0 ? height : 0)) * 65536;
}

static int add_matrix(kn_film_writer *w) {
    int32_t matrix[9];
    make_matrix(w, matrix);
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
    AVCodecParameters *p = w->stream->codecpar;
    AVPacketSideData *data = av_packet_side_data_new(&p->coded_side_data, &p->nb_coded_side_data,
                                                     AV_PKT_DATA_DISPLAYMATRIX, sizeof matrix, 0);
    if (!data) return AVERROR(ENOMEM);
    memcpy(data->data, matrix, sizeof matrix);
#else
    uint8_t *data = av_stream_new_side_data(w->stream, AV_PKT_DATA_DISPLAYMATRIX, sizeof matrix);
    if (!data) return AVERROR(ENOMEM);
    memcpy(data, matrix, sizeof matrix);
#endif
    return 0;
}

static int open_stream(kn_film_writer *w) {
    const kn_film_params *p = &w->params;
    if (!(w->stream = avformat_new_stream(w->format, NULL))) return AVERROR(ENOMEM);
    w->stream->time_base = w->codec->time_base;
    w->stream->avg_frame_rate = w->stream->r_frame_rate = w->codec->framerate;
    w->stream->sample_aspect_ratio = w->codec->sample_aspect_ratio;
    int code = avcodec_parameters_from_context(w->stream->codecpar, w->codec);
    if (code >= 0 && w->setup.turns && (p->quarter_turns || p->mirrored)) code = add_matrix(w);
    if (w->timecode[0]) av_dict_set(&w->stream->metadata, "timecode", w->timecode, 0);
    if (p->title) av_dict_set(&w->format->metadata, "title", p->title, 0);
    if (p->comment) av_dict_set(&w->format->metadata, "comment", p->comment, 0);
    if (p->aigc) av_dict_set(&w->format->metadata, "AIGC", p->aigc, 0);
    return code;
}

static int begin_file(kn_film_writer *w, const char *url) {
    int code = avio_open(&w->format->pb, url, AVIO_FLAG_WRITE);
    if (code < 0) return code;
    w->started = true;
    AVDictionary *options = NULL;
    if (w->setup.turns) {
        av_dict_set(&options, "movflags", "use_metadata_tags+faststart", 0);
        if (w->timecode[0]) av_dict_set(&options, "write_tmcd", "1", 0);
    }
    code = avformat_write_header(w->format, &options);
    av_dict_free(&options);
    return code;
}

static bool open_file(kn_film_writer *w, kn_error *error) {
    char *url = kn_format(error, "file:%s", w->part);
    if (!url) return false;
    int code = avformat_alloc_output_context2(&w->format, NULL, w->setup.muxer, url);
    bool ok = code >= 0 || kn_av_fail(error, code, w->path, "cannot begin the film");
    if (ok) w->format->flags |= AVFMT_FLAG_BITEXACT; /* no library versions, no dates */
    ok = ok && open_codec(w, error);
    if (ok && (code = open_stream(w)) < 0) ok = kn_av_fail(error, code, w->path, "cannot begin the film");
    if (ok && w->params.sound) ok = kn_film_sound_init(&w->sound, w->params.sound, w->format, error);
    if (ok && (code = begin_file(w, url)) < 0) ok = kn_av_fail(error, code, w->path, "cannot begin the film");
    kn_free(url);
    return ok;
}

static bool open_frame(kn_film_writer *w, kn_error *error) {
    w->frame = av_frame_alloc();
    w->packet = av_packet_alloc();
    if (!w->frame || !w->packet) return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", w->path);
    AVFrame *f = w->frame;
    const AVCodecContext *codec = w->codec;
    f->width = codec->width, f->height = codec->height, f->format = codec->pix_fmt;
    f->color_primaries = codec->color_primaries, f->color_trc = codec->color_trc, f->colorspace = codec->colorspace;
    f->color_range = codec->color_range, f->chroma_location = codec->chroma_sample_location;
    f->sample_aspect_ratio = codec->sample_aspect_ratio;
    f->interlaced_frame = w->params.interlaced, f->top_field_first = w->params.top_first;
    int code = av_frame_get_buffer(f, 0);
    if (code < 0) return kn_av_fail(error, code, w->path, "picture memory");
    if (!kn_planes_coding_init(&w->coding, codec->colorspace, codec->color_range, codec->chroma_sample_location,
                               codec->pix_fmt, codec->height))
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: colour matrix %s cannot be made from RGB", w->path,
                       av_color_space_name(codec->colorspace));
    bool turned = w->turn.quarter_turns || w->turn.mirrored;
    return !turned || (w->stored = kn_alloc((size_t)f->width * (size_t)f->height * (size_t)w->params.channels,
                                            sizeof *w->stored, error));
}

static void set_defaults(kn_film_writer *w, const kn_film_params *params) {
    kn_film_params *p = &w->params;
    *p = *params;
    const kn_color *c = &p->color;
    if (!c->primaries && !c->transfer && !c->matrix && !c->range && !c->chroma) p->color = KN_COLOR_BT709;
    if (p->time_base.num < 1 || p->time_base.den < 1) p->time_base = (kn_rational){p->rate.den, p->rate.num};
    if (p->pixel_aspect.num < 1 || p->pixel_aspect.den < 1) p->pixel_aspect = (kn_rational){1, 1};
    if (w->setup.turns) w->turn = kn_orientation_inverse((kn_orientation){p->quarter_turns & 3, p->mirrored});
    w->last_time = INT64_MIN;
}

bool kn_film_writer_create(kn_film_writer **writer, const char *path, const kn_film_params *params, kn_error *error) {
    *writer = NULL;
    if (!check_params(path, params, error)) return false;
    kn_film_writer *w = kn_alloc(1, sizeof *w, error);
    if (!w) return false;
    bool ok = (w->path = kn_strdup(path, error)) && (w->part = kn_format(error, "%s.part", path)) &&
              kn_film_setup_init(&w->setup, path, params, error);
    if (ok) set_defaults(w, params);
    if (ok && params->aigc) ok = (w->aigc = kn_strdup(params->aigc, error)) != NULL;
    if (ok && params->timecode && *params->timecode &&
        !kn_timecode_at(params->timecode, params->rate, 0, w->timecode, sizeof w->timecode))
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: timecode %s, expected hh:mm:ss:ff at this frame rate", path,
                     params->timecode);
    if (ok) warn(w);
    if (ok && w->setup.muxer) ok = open_file(w, error);
    else if (ok)
        ok = kn_film_sequence_init(&w->sequence, path, params->first_number, params->overwrite, error) &&
             open_codec(w, error);
    ok = ok && open_frame(w, error);
    w->params.title = w->params.comment = w->params.aigc = w->params.sound = w->params.timecode =
        NULL; /* the caller's */
    if (!ok) kn_film_writer_destroy(&w);
    *writer = w;
    return ok;
}

/* --- frames
 * ----------------------------------------------------------------------------------------------------------- */

/* Takes what the encoder has ready to the file. */
static int drain(kn_film_writer *w) {
    int64_t step = av_rescale_q(1, (AVRational){w->params.rate.den, w->params.rate.num}, w->codec->time_base);
    for (;;) {
        int code = avcodec_receive_packet(w->codec, w->packet);
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return 0;
        if (code < 0) return code;
        if (w->packet->duration == 0) w->packet->duration = step > 0 ? step : 1;
        av_packet_rescale_ts(w->packet, w->codec->time_base, w->stream->time_base);
        w->packet->stream_index = w->stream->index;
        if ((code = av_interleaved_write_frame(w->format, w->packet)) < 0) return code;
        if (w->format->pb->error < 0) return w->format->pb->error;
    }
}

static bool add_to_file(kn_film_writer *w, int64_t time, kn_error *error) {
    w->frame->pts = time;
    int code = kn_film_sound_write(&w->sound, w->format, (double)time * av_q2d(w->codec->time_base));
    if (code >= 0) code = avcodec_send_frame(w->codec, w->frame);
    if (code >= 0) code = drain(w);
    return code >= 0 || kn_av_fail(error, code, w->path, "writing the film");
}

static bool add_picture(kn_film_writer *w, const kn_film_frame *frame, kn_error *error) {
    uint8_t *data = NULL;
    size_t size = 0;
    char timecode[32] = "";
    w->frame->pts = w->count;
    int code = avcodec_send_frame(w->codec, w->frame);
    if (code >= 0) code = avcodec_receive_packet(w->codec, w->packet);
    if (code < 0) return kn_av_fail(error, code, w->path, "writing a picture");
    bool ok = (data = kn_alloc((size_t)w->packet->size, 1, error)) != NULL;
    if (ok) memcpy(data, w->packet->data, size = (size_t)w->packet->size);
    av_packet_unref(w->packet);
    kn_timecode_at(w->timecode, w->params.rate, w->count, timecode, sizeof timecode);
    ok = ok && kn_picture_header_apply(&data, &size, frame->header, frame->header_size, timecode, error) &&
         kn_film_sequence_add(&w->sequence, data, size, error);
    kn_free(data);
    return ok;
}

bool kn_film_writer_add(kn_film_writer *w, const kn_film_frame *frame, kn_error *error) {
    const kn_film_params *p = &w->params;
    size_t pixels = (size_t)p->width * (size_t)p->height;
    if (p->codec != KN_FILM_EXR && !kn_planes_finite(frame->planes, pixels * (size_t)p->channels))
        return kn_fail(error, KN_ERROR_INPUT, "%s: frame %lld holds a value that is no number", w->path,
                       (long long)w->count);
    if (w->count > 0 && frame->time <= w->last_time)
        return kn_fail(error, KN_ERROR_INPUT, "%s: frame %lld has time %lld, not after %lld", w->path,
                       (long long)w->count, (long long)frame->time, (long long)w->last_time);
    for (int c = 0; w->stored && c < p->channels; c++)
        kn_orient(w->stored + (size_t)c * pixels, frame->planes + (size_t)c * pixels, p->width, p->height,
                  sizeof(float), w->turn);
    int code = av_frame_make_writable(w->frame);
    if (code < 0) return kn_av_fail(error, code, w->path, "picture memory");
    bool ok =
        kn_planes_write(&w->planes, w->frame, &w->coding, p->channels, w->stored ? w->stored : frame->planes, error) &&
        (w->format ? add_to_file(w, frame->time, error) : add_picture(w, frame, error));
    w->last_time = frame->time;
    w->count += ok;
    return ok;
}

/* --- the end
 * ---------------------------------------------------------------------------------------------------------- */

static int finish_file(kn_film_writer *w) {
    int code = avcodec_send_frame(w->codec, NULL);
    if (code >= 0) code = drain(w);
    if (code >= 0) code = kn_film_sound_write(&w->sound, w->format, INFINITY);
    if (code >= 0) code = av_write_trailer(w->format);
    if (code >= 0 && w->format->pb->error < 0) code = w->format->pb->error;
    int closed = avio_closep(&w->format->pb);
    if (code >= 0) code = closed;
    if (code < 0) return code;
    int file = open(w->part, O_RDONLY | O_CLOEXEC);
    if (file < 0) return AVERROR(errno);
    code = fsync(file) == 0 ? 0 : AVERROR(errno);
    close(file);
    return code;
}

bool kn_film_writer_commit(kn_film_writer *w, kn_error *error) {
    if (w->count == 0) return kn_fail(error, KN_ERROR_INPUT, "%s: a film needs at least one frame", w->path);
    if (!w->format) return w->committed = kn_film_sequence_commit(&w->sequence, "AIGC.json", w->aigc, error);
    int code = finish_file(w);
    if (code < 0) return kn_av_fail(error, code, w->path, "finishing the film");
    if (rename(w->part, w->path) != 0)
        return kn_fail(error, KN_ERROR_IO, "%s: cannot rename into place: %s", w->path, strerror(errno));
    return w->committed = true;
}

void kn_film_writer_destroy(kn_film_writer **writer) {
    kn_film_writer *w = *writer;
    if (!w) return;
    kn_planes_finish(&w->planes);
    kn_film_sound_finish(&w->sound);
    kn_film_sequence_finish(&w->sequence);
    av_frame_free(&w->frame);
    av_packet_free(&w->packet);
    avcodec_free_context(&w->codec);
    if (w->format) {
        if (w->format->pb) avio_closep(&w->format->pb);
        avformat_free_context(w->format);
    }
    if (w->started && !w->committed) unlink(w->part);
    kn_free(w->stored);
    kn_free(w->aigc);
    kn_free(w->part);
    kn_free(w->path);
    kn_free(w);
    *writer = NULL;
}
