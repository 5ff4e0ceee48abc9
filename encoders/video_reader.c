#include "encoders/av.h"
#include "encoders/sequence.h"

#include <errno.h>
#include <libavutil/pixdesc.h>
#include <string.h>
#include <sys/stat.h>

struct kn_video_reader {
    kn_video_info info;
    char *path;
    AVFormatContext *format; /* NULL for a folder of images */
    AVCodecContext *codec;
    struct SwsContext *sws;
    AVFrame *frame, *picture; /* as decoded; as RGB24, with the room that swscale's vector code writes into */
    AVPacket *packet;
    int stream;
    bool draining;
    int sws_format, sws_matrix, sws_range; /* what sws was made for */
    char **names;                          /* of a folder's images */
    size_t name_count, next_name;
};

static void copy_name(char *target, size_t size, const char *name) {
    snprintf(target, size, "%s", name ? name : "unknown");
}

static bool open_folder(kn_video_reader *r, kn_rational rate, kn_error *error) {
    if (!kn_sequence_list(r->path, &r->names, &r->name_count, error)) return false;
    char *first = kn_path_join(r->path, r->names[0], error);
    kn_image image = {0};
    bool ok = first && kn_image_read(&image, first, 3, error);
    kn_free(first);
    if (!ok) return false;
    r->info.width = image.width;
    r->info.height = image.height;
    r->info.rate = rate.num > 0 && rate.den > 0 ? rate : (kn_rational){24, 1};
    r->info.frame_count = (int64_t)r->name_count;
    copy_name(r->info.codec, sizeof r->info.codec, "images");
    copy_name(r->info.primaries, sizeof r->info.primaries, "bt709");
    copy_name(r->info.transfer, sizeof r->info.transfer, "iec61966-2-1");
    copy_name(r->info.matrix, sizeof r->info.matrix, "gbr");
    copy_name(r->info.range, sizeof r->info.range, "pc");
    copy_name(r->info.pixel_format, sizeof r->info.pixel_format, "rgb24");
    kn_image_finish(&image);
    return true;
}

static void fill_info(kn_video_reader *r, const AVStream *stream) {
    const AVCodecParameters *p = stream->codecpar;
    AVRational rate = av_guess_frame_rate(r->format, (AVStream *)stream, NULL);
    if (rate.num <= 0 || rate.den <= 0) rate = (AVRational){25, 1};
    r->info.width = r->codec->width;
    r->info.height = r->codec->height;
    r->info.rate = (kn_rational){rate.num, rate.den};
    r->info.frame_count = stream->nb_frames;
    copy_name(r->info.codec, sizeof r->info.codec, avcodec_get_name(p->codec_id));
    copy_name(r->info.primaries, sizeof r->info.primaries, av_color_primaries_name(p->color_primaries));
    copy_name(r->info.transfer, sizeof r->info.transfer, av_color_transfer_name(p->color_trc));
    copy_name(r->info.matrix, sizeof r->info.matrix, av_color_space_name(p->color_space));
    copy_name(r->info.range, sizeof r->info.range, av_color_range_name(p->color_range));
    copy_name(r->info.pixel_format, sizeof r->info.pixel_format, av_get_pix_fmt_name(r->codec->pix_fmt));
}

static int open_streams(kn_video_reader *r, const char *url) {
    AVDictionary *options = NULL;
    av_dict_set(&options, "protocol_whitelist", "file", 0); /* a play list must not reach the network */
    int code = avformat_open_input(&r->format, url, NULL, &options);
    av_dict_free(&options);
    if (code < 0) return code;
    if ((code = avformat_find_stream_info(r->format, NULL)) < 0) return code;
    const AVCodec *decoder = NULL;
    if ((r->stream = av_find_best_stream(r->format, AVMEDIA_TYPE_VIDEO, -1, -1, &decoder, 0)) < 0) return r->stream;
    if (!(r->codec = avcodec_alloc_context3(decoder))) return AVERROR(ENOMEM);
    if ((code = avcodec_parameters_to_context(r->codec, r->format->streams[r->stream]->codecpar)) < 0) return code;
    r->codec->thread_count = 1;
    r->codec->err_recognition |= AV_EF_EXPLODE | AV_EF_CRCCHECK;
    return avcodec_open2(r->codec, decoder, NULL);
}

static bool open_file(kn_video_reader *r, kn_error *error) {
    char *url = kn_format(error, "file:%s", r->path);
    if (!url) return false;
    int code = open_streams(r, url);
    kn_free(url);
    if (code == AVERROR_STREAM_NOT_FOUND) return kn_fail(error, KN_ERROR_INPUT, "%s: holds no video", r->path);
    if (code < 0) return kn_av_fail(error, code, r->path, "cannot open the video");
    if (r->codec->width < 1 || r->codec->height < 1 || r->codec->width > KN_MAX_SIDE || r->codec->height > KN_MAX_SIDE)
        return kn_fail(error, KN_ERROR_INPUT, "%s: video size %dx%d is outside 1..%d", r->path, r->codec->width,
                       r->codec->height, KN_MAX_SIDE);
    r->frame = av_frame_alloc();
    r->packet = av_packet_alloc();
    if (!r->frame || !r->packet) return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", r->path);
    fill_info(r, r->format->streams[r->stream]);
    return true;
}

bool kn_video_reader_create(kn_video_reader **reader, const char *path, kn_rational rate, kn_error *error) {
    *reader = NULL;
    struct stat info;
    if (stat(path, &info) != 0) return kn_fail(error, KN_ERROR_IO, "%s: %s", path, strerror(errno));
    kn_video_reader *r = kn_alloc(1, sizeof *r, error);
    if (!r) return false;
    bool ok = (r->path = kn_strdup(path, error)) != NULL;
    if (ok) ok = S_ISDIR(info.st_mode) ? open_folder(r, rate, error) : open_file(r, error);
    if (!ok) kn_video_reader_destroy(&r);
    *reader = r;
    return ok;
}

const kn_video_info *kn_video_reader_info(const kn_video_reader *reader) { return &reader->info; }

const char *kn_video_reader_metadata(const kn_video_reader *reader, const char *key) {
    if (!reader->format) return NULL;
    const AVDictionaryEntry *entry = av_dict_get(reader->format->metadata, key, NULL, 0);
    return entry ? entry->value : NULL;
}

static bool next_image(kn_video_reader *r, uint8_t *rgb, double *seconds, bool *end, kn_error *error) {
    if (r->next_name == r->name_count) {
        *end = true;
        return true;
    }
    char *path = kn_path_join(r->path, r->names[r->next_name], error);
    kn_image image = {0};
    bool ok = path && kn_image_read(&image, path, 3, error);
    if (ok && (image.width != r->info.width || image.height != r->info.height))
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: %dx%d differs from the first image's %dx%d", path, image.width,
                     image.height, r->info.width, r->info.height);
    if (ok) {
        memcpy(rgb, image.data, 3 * (size_t)image.width * (size_t)image.height);
        if (seconds) *seconds = (double)r->next_name * r->info.rate.den / r->info.rate.num;
        r->next_name++;
    }
    kn_image_finish(&image);
    kn_free(path);
    return ok;
}

/* Leaves the next decoded picture in r->frame; AVERROR_EOF after the last. */
static int decode(kn_video_reader *r) {
    for (;;) {
        int code = avcodec_receive_frame(r->codec, r->frame);
        if (code != AVERROR(EAGAIN)) return code;
        code = r->draining ? AVERROR_EOF : av_read_frame(r->format, r->packet);
        if (code == AVERROR_EOF) {
            if (r->draining) return code;
            r->draining = true;
            if ((code = avcodec_send_packet(r->codec, NULL)) < 0) return code;
            continue;
        }
        if (code < 0) return code;
        if (r->packet->stream_index == r->stream) code = avcodec_send_packet(r->codec, r->packet);
        av_packet_unref(r->packet);
        if (code < 0) return code;
    }
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
    if (!r->picture) return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", r->path);
    r->picture->width = r->info.width;
    r->picture->height = r->info.height;
    r->picture->format = AV_PIX_FMT_RGB24;
    int code = av_frame_get_buffer(r->picture, 0);
    if (code >= 0) return true;
    av_frame_free(&r->picture);
    return kn_av_fail(error, code, r->path, "picture memory");
}

static bool convert(kn_video_reader *r, uint8_t *rgb, kn_error *error) {
    AVFrame *frame = r->frame;
    if (frame->width != r->info.width || frame->height != r->info.height)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: the picture size changes from %dx%d to %dx%d", r->path,
                       r->info.width, r->info.height, frame->width, frame->height);
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
    bool is_rgb = format && (format->flags & AV_PIX_FMT_FLAG_RGB);
    int matrix = frame_matrix(frame), range = is_rgb || frame->color_range == AVCOL_RANGE_JPEG;
    if (!r->sws || r->sws_format != frame->format || r->sws_matrix != matrix || r->sws_range != range) {
        sws_freeContext(r->sws);
        r->sws = kn_sws_create(frame->width, frame->height, frame->format, AV_PIX_FMT_RGB24, matrix, range, 1, error);
        if (!r->sws) return false;
        r->sws_format = frame->format;
        r->sws_matrix = matrix;
        r->sws_range = range;
    }
    if (!r->picture && !make_picture(r, error)) return false;
    sws_scale(r->sws, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, r->picture->data,
              r->picture->linesize);
    size_t row = 3 * (size_t)frame->width;
    for (int y = 0; y < frame->height; y++)
        memcpy(rgb + row * (size_t)y, r->picture->data[0] + (ptrdiff_t)y * r->picture->linesize[0], row);
    return true;
}

bool kn_video_reader_next(kn_video_reader *r, uint8_t *rgb, double *seconds, bool *end, kn_error *error) {
    *end = false;
    if (!r->format) return next_image(r, rgb, seconds, end, error);
    int code = decode(r);
    if (code == AVERROR_EOF) {
        *end = true;
        return true;
    }
    if (code < 0) return kn_av_fail(error, code, r->path, "decoding");
    if (seconds) {
        const AVStream *stream = r->format->streams[r->stream];
        int64_t stamp = r->frame->best_effort_timestamp;
        if (stamp != AV_NOPTS_VALUE && stream->start_time != AV_NOPTS_VALUE) stamp -= stream->start_time;
        *seconds = stamp == AV_NOPTS_VALUE ? 0 : (double)stamp * av_q2d(stream->time_base);
    }
    bool ok = convert(r, rgb, error);
    av_frame_unref(r->frame);
    return ok;
}

void kn_video_reader_destroy(kn_video_reader **reader) {
    kn_video_reader *r = *reader;
    if (!r) return;
    sws_freeContext(r->sws);
    av_frame_free(&r->frame);
    av_frame_free(&r->picture);
    av_packet_free(&r->packet);
    avcodec_free_context(&r->codec);
    avformat_close_input(&r->format);
    for (size_t i = 0; i < r->name_count; i++) kn_free(r->names[i]);
    kn_free(r->names);
    kn_free(r->path);
    kn_free(r);
    *reader = NULL;
}
