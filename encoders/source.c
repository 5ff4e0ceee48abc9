#include "encoders/source.h"

#include "encoders/header.h"

#include <errno.h>
#include <libavutil/cpu.h>
#include <libavutil/display.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

/* --- a video file ---------------------------------------------------------------------------------------------------
 */

/* Small pictures are not worth a thread each; memory grows with the threads. */
static int thread_count(int width, int height) {
    int by_size = (int)((int64_t)width * height / (320 * 240)), cores = av_cpu_count();
    int most = cores < 8 ? cores : 8;
    return by_size < 1 ? 1 : by_size < most ? by_size : most;
}

static int open_codec(kn_source *s, const AVCodec *decoder) {
    const AVCodecParameters *parameters = s->format->streams[s->stream]->codecpar;
    if (!(s->codec = avcodec_alloc_context3(decoder))) return AVERROR(ENOMEM);
    int code = avcodec_parameters_to_context(s->codec, parameters);
    if (code < 0) return code;
    s->codec->pkt_timebase = s->format->streams[s->stream]->time_base;
    s->codec->thread_count = thread_count(parameters->width, parameters->height);
    s->codec->err_recognition |= AV_EF_EXPLODE | AV_EF_CRCCHECK;
    return avcodec_open2(s->codec, decoder, NULL);
}

static int open_streams(kn_source *s, const char *url) {
    AVDictionary *options = NULL;
    av_dict_set(&options, "protocol_whitelist", "file", 0); /* a play list must not reach the network */
    int code = avformat_open_input(&s->format, url, NULL, &options);
    av_dict_free(&options);
    if (code < 0) return code;
    if ((code = avformat_find_stream_info(s->format, NULL)) < 0) return code;
    const AVCodec *decoder = NULL;
    if ((s->stream = av_find_best_stream(s->format, AVMEDIA_TYPE_VIDEO, -1, -1, &decoder, 0)) < 0) return s->stream;
    for (unsigned i = 0; i < s->format->nb_streams; i++)
        if ((int)i != s->stream) s->format->streams[i]->discard = AVDISCARD_ALL;
    return open_codec(s, decoder);
}

static const int32_t *display_matrix(const AVStream *stream) {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
    const AVPacketSideData *data = av_packet_side_data_get(
        stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    return data && data->size >= 36 ? (const int32_t *)(const void *)data->data : NULL;
#else
    size_t size = 0;
    const uint8_t *data = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    return data && size >= 36 ? (const int32_t *)(const void *)data : NULL;
#endif
}

/* The matrix maps (x, y) to (a x + c y, b x + d y); anything between quarter turns goes to the nearest. */
static kn_orientation orientation_of(const int32_t *m) {
    kn_orientation o = {0};
    if (!m) return o;
    double a = m[0], b = m[1], c = m[3], d = m[4];
    if (a * d - b * c < 0) o.mirrored = true, a = -a, b = -b;
    o.quarter_turns = fabs(a) >= fabs(b) ? (a < 0 ? 2 : 0) : b > 0 ? 1 : 3;
    return o;
}

static void read_timing(kn_source *s) {
    AVStream *stream = s->format->streams[s->stream];
    AVRational rate = av_guess_frame_rate(s->format, stream, NULL),
               aspect = av_guess_sample_aspect_ratio(s->format, stream, NULL);
    if (rate.num <= 0 || rate.den <= 0) rate = (AVRational){25, 1};
    s->rate = (kn_rational){rate.num, rate.den};
    s->time_base = (kn_rational){stream->time_base.num, stream->time_base.den};
    s->pixel_aspect = aspect.num > 0 && aspect.den > 0 ? (kn_rational){aspect.num, aspect.den} : (kn_rational){1, 1};
    s->frame_count = stream->nb_frames;
    s->start = s->format->start_time == AV_NOPTS_VALUE
                   ? 0
                   : av_rescale_q(s->format->start_time, AV_TIME_BASE_Q, stream->time_base);
    /* The index of an MP4 or MOV lists every packet that the file should hold. */
    if (strstr(s->format->iformat->name, "mp4")) s->promised = avformat_index_get_entries_count(stream);
    s->orientation = orientation_of(display_matrix(stream));
}

static bool open_file(kn_source *s, kn_error *error) {
    char *url = kn_format(error, "file:%s", s->path);
    if (!url) return false;
    int code = open_streams(s, url);
    kn_free(url);
    if (code == AVERROR_STREAM_NOT_FOUND) return kn_fail(error, KN_ERROR_INPUT, "%s: holds no video", s->path);
    if (code < 0) return kn_av_fail(error, code, s->path, "cannot open the video");
    if (s->codec->width < 1 || s->codec->height < 1 || s->codec->width > KN_MAX_SIDE || s->codec->height > KN_MAX_SIDE)
        return kn_fail(error, KN_ERROR_INPUT, "%s: video size %dx%d is outside 1..%d", s->path, s->codec->width,
                       s->codec->height, KN_MAX_SIDE);
    if (s->codec->pix_fmt == AV_PIX_FMT_NONE)
        return kn_fail(error, KN_ERROR_INPUT, "%s: cannot tell the video's pixel format", s->path);
    read_timing(s);
    return true;
}

/* Leaves the next decoded picture in s->frame; AVERROR_EOF after the last. */
static int decode(kn_source *s) {
    for (;;) {
        int code = avcodec_receive_frame(s->codec, s->frame);
        if (code != AVERROR(EAGAIN)) return code;
        code = s->draining ? AVERROR_EOF : av_read_frame(s->format, s->packet);
        if (code == AVERROR_EOF) {
            if (s->draining || s->promised > 0) return s->draining ? code : AVERROR_INVALIDDATA;
            s->draining = true;
            if ((code = avcodec_send_packet(s->codec, NULL)) < 0) return code;
            continue;
        }
        if (code < 0) return code;
        bool ours = s->packet->stream_index == s->stream;
        if (ours && s->promised > 0 && --s->promised == 0) s->promised = -1;
        code = ours && (s->packet->flags & AV_PKT_FLAG_CORRUPT) ? AVERROR_INVALIDDATA : 0;
        if (ours && code == 0) code = avcodec_send_packet(s->codec, s->packet);
        av_packet_unref(s->packet);
        if (code < 0) return code;
    }
}

static bool next_frame(kn_source *s, int64_t *time, bool *end, kn_error *error) {
    int code = decode(s);
    if (code == AVERROR_EOF) {
        *end = true;
        return true;
    }
    if (code < 0) {
        char what[64];
        snprintf(what, sizeof what,
                 s->promised > 0 && code == AVERROR_INVALIDDATA ? "broken or cut off at frame %lld"
                                                                : "decoding frame %lld",
                 (long long)s->index);
        return kn_av_fail(error, code, s->path, what);
    }
    *time = s->frame->best_effort_timestamp == AV_NOPTS_VALUE ? INT64_MIN : s->frame->best_effort_timestamp - s->start;
    return true;
}

/* --- both
 * ------------------------------------------------------------------------------------------------------------- */

static bool open_pictures(kn_source *s, kn_rational rate, kn_error *error) {
    if (!kn_source_list(s, error)) return false;
    char *first = kn_path_join(s->folder, s->names[0], error);
    bool ok = first && kn_source_decode_picture(s, first, error);
    kn_free(first);
    if (!ok) return false;
    kn_rational said = kn_picture_header_rate(s->header, s->header_size);
    s->rate = rate.num > 0 && rate.den > 0 ? rate : said.num > 0 ? said : (kn_rational){24, 1};
    s->time_base = (kn_rational){s->rate.den, s->rate.num};
    AVRational aspect = s->frame->sample_aspect_ratio;
    s->pixel_aspect = aspect.num > 0 && aspect.den > 0 ? (kn_rational){aspect.num, aspect.den} : (kn_rational){1, 1};
    s->frame_count = (int64_t)s->name_count;
    return true;
}

bool kn_source_init(kn_source *s, const char *path, kn_rational rate, kn_error *error) {
    *s = (kn_source){.stream = -1};
    struct stat info;
    bool exists = stat(path, &info) == 0, pattern = !exists && kn_pattern_parse(path, NULL, NULL, NULL);
    if (!exists && !pattern) return kn_fail(error, KN_ERROR_IO, "%s: %s", path, strerror(errno));
    bool ok = (s->path = kn_strdup(path, error)) != NULL;
    if (ok && (!(s->frame = av_frame_alloc()) || !(s->packet = av_packet_alloc())))
        ok = kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path);
    if (ok) ok = pattern || S_ISDIR(info.st_mode) ? open_pictures(s, rate, error) : open_file(s, error);
    if (!ok) kn_source_finish(s);
    return ok;
}

static bool next_picture(kn_source *s, int64_t *time, bool *end, kn_error *error) {
    *end = s->next_name == s->name_count;
    if (*end) return true;
    *time = (int64_t)s->next_name;
    if (s->next_name == 0) { /* decoded when it was opened */
        s->next_name = 1;
        return true;
    }
    char *path = kn_path_join(s->folder, s->names[s->next_name], error);
    bool ok = path && kn_source_decode_picture(s, path, error);
    s->next_name += ok;
    kn_free(path);
    return ok;
}

bool kn_source_next(kn_source *s, int64_t *time, bool *end, kn_error *error) {
    *end = false;
    bool ok = s->format ? next_frame(s, time, end, error) : next_picture(s, time, end, error);
    if (ok && !*end) s->index++;
    return ok;
}

static const char *find_timecode(const kn_source *s) {
    const AVDictionaryEntry *entry = av_dict_get(s->format->streams[s->stream]->metadata, "timecode", NULL, 0);
    if (!entry) entry = av_dict_get(s->format->metadata, "timecode", NULL, 0);
    for (unsigned i = 0; !entry && i < s->format->nb_streams; i++)
        entry = av_dict_get(s->format->streams[i]->metadata, "timecode", NULL, 0);
    return entry ? entry->value : "";
}

static void describe_video(const kn_source *s, kn_film_info *info) {
    const AVCodecParameters *p = s->format->streams[s->stream]->codecpar;
    info->color = (kn_color){p->color_primaries, p->color_trc, p->color_space, p->color_range, p->chroma_location};
    info->interlaced = p->field_order > AV_FIELD_PROGRESSIVE;
    info->top_first = p->field_order == AV_FIELD_TT || p->field_order == AV_FIELD_TB;
    for (unsigned i = 0; i < s->format->nb_streams; i++)
        info->audio_streams += s->format->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
    snprintf(info->codec, sizeof info->codec, "%s", avcodec_get_name(p->codec_id));
    snprintf(info->timecode, sizeof info->timecode, "%s", find_timecode(s));
}

static void describe_pictures(const kn_source *s, kn_film_info *info) {
    const AVFrame *f = s->frame;
    info->color = (kn_color){f->color_primaries, f->color_trc, f->colorspace, f->color_range, f->chroma_location};
    if (s->decoder->id == AV_CODEC_ID_EXR) info->color.transfer = AVCOL_TRC_LINEAR;
    info->pictures = true;
    snprintf(info->codec, sizeof info->codec, "%s", avcodec_get_name(s->decoder->id));
    kn_picture_header_timecode(s->header, s->header_size, info->timecode, sizeof info->timecode);
}

void kn_source_describe(const kn_source *s, kn_film_info *info) {
    enum AVPixelFormat format = s->format ? s->codec->pix_fmt : (enum AVPixelFormat)s->frame->format;
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    int width = s->format ? s->codec->width : s->frame->width, height = s->format ? s->codec->height : s->frame->height;
    bool swaps = kn_orientation_swaps(s->orientation), palette = d->flags & AV_PIX_FMT_FLAG_PAL;
    *info = (kn_film_info){.width = swaps ? height : width,
                           .height = swaps ? width : height,
                           .rate = s->rate,
                           .time_base = s->time_base,
                           .pixel_aspect =
                               swaps ? (kn_rational){s->pixel_aspect.den, s->pixel_aspect.num} : s->pixel_aspect,
                           .frame_count = s->frame_count,
                           .quarter_turns = s->orientation.quarter_turns,
                           .mirrored = s->orientation.mirrored};
    info->channels = palette || (d->flags & AV_PIX_FMT_FLAG_ALPHA) ? 4 : 3;
    info->depth = palette ? 8 : d->comp[0].depth;
    info->rgb = palette || (d->flags & AV_PIX_FMT_FLAG_RGB);
    info->floating = d->flags & AV_PIX_FMT_FLAG_FLOAT;
    info->chroma = info->rgb || d->nb_components < 3 || !d->log2_chroma_w ? 444 : d->log2_chroma_h ? 420 : 422;
    snprintf(info->pixel_format, sizeof info->pixel_format, "%s", d->name);
    if (s->format) describe_video(s, info);
    else describe_pictures(s, info);
}

void kn_source_finish(kn_source *s) {
    av_frame_free(&s->frame);
    av_packet_free(&s->packet);
    avcodec_free_context(&s->codec);
    avformat_close_input(&s->format);
    kn_names_free(s->names, s->name_count);
    kn_free(s->header);
    kn_free(s->folder);
    kn_free(s->path);
    *s = (kn_source){.stream = -1};
}
