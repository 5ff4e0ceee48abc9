#include "encoders/av.h"
#include "encoders/sequence.h"

#include <errno.h>
#include <fcntl.h>
#include <libavutil/cpu.h>
#include <string.h>
#include <unistd.h>

struct kn_video_writer {
    kn_video_params params;
    char *path, *part_path, *url, *aigc; /* url: "file:" + part_path, so that no name is taken for a protocol */
    AVFormatContext *format;
    AVCodecContext *codec;
    AVStream *stream;
    struct SwsContext *sws;
    AVFrame *frame, *source; /* what is encoded; RGB24 with the room around it that swscale's vector code reads */
    AVPacket *packet;
    int coded_width, coded_height;
    int64_t frame_count;
    bool started, committed;
};

/* How each codec is set up; PNG sequences do not come here. */
static const struct {
    const char *encoder, *muxer;
    enum AVPixelFormat format;
    bool even; /* chroma is subsampled */
} setups[KN_CODEC_COUNT] = {
    [KN_CODEC_H264] = {"libx264", "mp4", AV_PIX_FMT_YUV420P, true},
    [KN_CODEC_HEVC] = {"libx265", "mp4", AV_PIX_FMT_YUV420P, true},
    [KN_CODEC_PRORES] = {"prores_ks", "mov", AV_PIX_FMT_YUV422P10LE, true},
    [KN_CODEC_FFV1] = {"ffv1", "matroska", AV_PIX_FMT_0RGB32, false},
};

static bool check_params(const char *path, const kn_video_params *params, kn_error *error) {
    if (params->codec >= KN_CODEC_COUNT) return kn_fail(error, KN_ERROR_INPUT, "%s: unknown codec", path);
    if (params->width < 1 || params->height < 1 || params->width > KN_MAX_SIDE || params->height > KN_MAX_SIDE)
        return kn_fail(error, KN_ERROR_INPUT, "%s: video size %dx%d is outside 1..%d", path, params->width,
                       params->height, KN_MAX_SIDE);
    /* libx265 199 writes outside its memory when a side is shorter (seen with valgrind at 48x48). */
    if (params->codec == KN_CODEC_HEVC && (params->width < 64 || params->height < 48))
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: HEVC needs at least 64x48 pixels, got %dx%d", path,
                       params->width, params->height);
    if (params->rate.num < 1 || params->rate.den < 1 || params->rate.num / 1000 > params->rate.den ||
        params->rate.den / 1000 > params->rate.num)
        return kn_fail(error, KN_ERROR_INPUT, "%s: frame rate %d/%d is outside 1/1000..1000", path, params->rate.num,
                       params->rate.den);
    if (params->quality != 0 && !(params->quality >= 1 && params->quality <= 51))
        return kn_fail(error, KN_ERROR_INPUT, "%s: quality %g is outside 1..51", path, params->quality);
    return true;
}

/* One thread each, so that the same frames give the same bytes on every machine; looking only a few frames ahead, so
 * that a long clip takes no more memory than a short one. */
static int set_codec_options(AVCodecContext *codec, const kn_video_params *params) {
    char quality[16];
    int code = 0;
    switch (params->codec) {
    case KN_CODEC_H264:
        snprintf(quality, sizeof quality, "%g", params->quality > 0 ? params->quality : 18);
        code = av_opt_set(codec->priv_data, "crf", quality, 0);
        if (code >= 0) code = av_opt_set(codec->priv_data, "preset", "medium", 0);
        /* x264 164 reads memory that it did not write in its AVX-512 code, so that runs differ. */
        bool wide = av_get_cpu_flags() & AV_CPU_FLAG_AVX512;
        const char *options = wide ? "threads=1:lookahead-threads=1:rc-lookahead=8:asm=avx2"
                                   : "threads=1:lookahead-threads=1:rc-lookahead=8";
        return code < 0 ? code : av_opt_set(codec->priv_data, "x264-params", options, 0);
    case KN_CODEC_HEVC:
        snprintf(quality, sizeof quality, "%g", params->quality > 0 ? params->quality : 20);
        codec->codec_tag = MKTAG('h', 'v', 'c', '1');
        code = av_opt_set(codec->priv_data, "crf", quality, 0);
        if (code >= 0) code = av_opt_set(codec->priv_data, "preset", "medium", 0);
        return code < 0 ? code
                        : av_opt_set(codec->priv_data, "x265-params",
                                     "log-level=none:pools=none:frame-threads=1:wpp=0:rc-lookahead=8", 0);
    case KN_CODEC_PRORES:
        codec->profile = 3; /* HQ */
        return av_opt_set(codec->priv_data, "vendor", "apl0", 0);
    case KN_CODEC_FFV1:
        codec->level = 3;
        codec->gop_size = 1;
        codec->slices = 4;
        return av_opt_set_int(codec->priv_data, "slicecrc", 1, 0);
    default: return 0;
    }
}

static int open_codec(kn_video_writer *w) {
    const kn_video_params *params = &w->params;
    const AVCodec *encoder = avcodec_find_encoder_by_name(setups[params->codec].encoder);
    if (!encoder) return AVERROR_ENCODER_NOT_FOUND;
    if (!(w->codec = avcodec_alloc_context3(encoder))) return AVERROR(ENOMEM);
    AVCodecContext *codec = w->codec;
    codec->width = w->coded_width;
    codec->height = w->coded_height;
    codec->pix_fmt = setups[params->codec].format;
    codec->time_base = (AVRational){params->rate.den, params->rate.num};
    codec->framerate = (AVRational){params->rate.num, params->rate.den};
    codec->sample_aspect_ratio = (AVRational){1, 1};
    codec->thread_count = 1;
    codec->flags |= AV_CODEC_FLAG_BITEXACT;
    if (setups[params->codec].even) {
        codec->color_primaries = AVCOL_PRI_BT709;
        codec->color_trc = AVCOL_TRC_BT709;
        codec->colorspace = AVCOL_SPC_BT709;
        codec->color_range = AVCOL_RANGE_MPEG;
        codec->chroma_sample_location = AVCHROMA_LOC_LEFT;
    }
    if (w->format->oformat->flags & AVFMT_GLOBALHEADER) codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    int code = set_codec_options(codec, params);
    return code < 0 ? code : avcodec_open2(codec, encoder, NULL);
}

static int open_format(kn_video_writer *w) {
    const kn_video_params *params = &w->params;
    int code = avformat_alloc_output_context2(&w->format, NULL, setups[params->codec].muxer, w->url);
    if (code < 0) return code;
    w->format->flags |= AVFMT_FLAG_BITEXACT; /* no library versions, no dates */
    if ((code = open_codec(w)) < 0) return code;
    if (!(w->stream = avformat_new_stream(w->format, NULL))) return AVERROR(ENOMEM);
    w->stream->time_base = w->codec->time_base;
    w->stream->avg_frame_rate = w->stream->r_frame_rate = w->codec->framerate;
    if ((code = avcodec_parameters_from_context(w->stream->codecpar, w->codec)) < 0) return code;
    if (params->title) av_dict_set(&w->format->metadata, "title", params->title, 0);
    if (params->comment) av_dict_set(&w->format->metadata, "comment", params->comment, 0);
    if (params->aigc) av_dict_set(&w->format->metadata, "AIGC", params->aigc, 0);
    if ((code = avio_open(&w->format->pb, w->url, AVIO_FLAG_WRITE)) < 0) return code;
    w->started = true; /* the partial file exists from here on */
    AVDictionary *options = NULL;
    if (params->codec != KN_CODEC_FFV1) av_dict_set(&options, "movflags", "use_metadata_tags+faststart", 0);
    code = avformat_write_header(w->format, &options);
    av_dict_free(&options);
    return code;
}

static int make_frames(kn_video_writer *w) {
    if (!(w->frame = av_frame_alloc()) || !(w->source = av_frame_alloc()) || !(w->packet = av_packet_alloc()))
        return AVERROR(ENOMEM);
    AVFrame *frame = w->frame;
    frame->width = w->source->width = w->coded_width;
    frame->height = w->source->height = w->coded_height;
    frame->format = setups[w->params.codec].format;
    w->source->format = AV_PIX_FMT_RGB24;
    frame->color_primaries = w->codec->color_primaries;
    frame->color_trc = w->codec->color_trc;
    frame->colorspace = w->codec->colorspace;
    frame->color_range = w->codec->color_range;
    frame->chroma_location = w->codec->chroma_sample_location;
    frame->sample_aspect_ratio = (AVRational){1, 1};
    int code = av_frame_get_buffer(w->source, 0);
    return code < 0 ? code : av_frame_get_buffer(frame, 0);
}

static bool open_video(kn_video_writer *w, kn_error *error) {
    const kn_video_params *params = &w->params;
    bool even = setups[params->codec].even;
    w->coded_width = even ? (params->width + 1) & ~1 : params->width;
    w->coded_height = even ? (params->height + 1) & ~1 : params->height;
    int code = open_format(w);
    if (code >= 0) code = make_frames(w);
    if (code < 0) return kn_av_fail(error, code, w->path, "cannot begin the video");
    w->sws = kn_sws_create(w->coded_width, w->coded_height, w->coded_width, w->coded_height, AV_PIX_FMT_RGB24,
                           setups[params->codec].format, SWS_CS_ITU709, 1, !even, error);
    return w->sws != NULL;
}

bool kn_video_writer_create(kn_video_writer **writer, const char *path, const kn_video_params *params,
                            kn_error *error) {
    *writer = NULL;
    if (!check_params(path, params, error)) return false;
    kn_video_writer *w = kn_alloc(1, sizeof *w, error);
    if (!w) return false;
    w->params = *params;
    bool ok = (w->path = kn_strdup(path, error)) && (w->part_path = kn_format(error, "%s.part", path)) &&
              (w->url = kn_format(error, "file:%s", w->part_path));
    if (ok && params->aigc) ok = (w->aigc = kn_strdup(params->aigc, error)) != NULL;
    if (ok && params->codec == KN_CODEC_PNG)
        ok = kn_sequence_check(path, error) && (w->started = kn_sequence_prepare(w->part_path, error));
    else if (ok) ok = open_video(w, error);
    w->params.title = w->params.comment = NULL; /* the caller's; used above */
    w->params.aigc = w->aigc;
    if (!ok) kn_video_writer_destroy(&w);
    *writer = w;
    return ok;
}

/* Takes what the encoder has ready to the file. */
static int drain(kn_video_writer *w) {
    for (;;) {
        int code = avcodec_receive_packet(w->codec, w->packet);
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return 0;
        if (code < 0) return code;
        if (w->packet->duration == 0) w->packet->duration = 1;
        av_packet_rescale_ts(w->packet, w->codec->time_base, w->stream->time_base);
        w->packet->stream_index = 0;
        code = av_interleaved_write_frame(w->format, w->packet);
        if (code < 0) return code;
        if (w->format->pb->error < 0) return w->format->pb->error;
    }
}

/* Copies the picture into w->source and repeats the last column and row of an odd size. */
static void fill_source(kn_video_writer *w, const uint8_t *rgb) {
    size_t width = (size_t)w->params.width, coded = (size_t)w->coded_width;
    for (int y = 0; y < w->coded_height; y++) {
        const uint8_t *from = rgb + 3 * width * (size_t)(y < w->params.height ? y : w->params.height - 1);
        uint8_t *to = w->source->data[0] + (ptrdiff_t)y * w->source->linesize[0];
        memcpy(to, from, 3 * width);
        if (coded > width) memcpy(to + 3 * width, from + 3 * (width - 1), 3);
    }
}

bool kn_video_writer_add(kn_video_writer *w, const uint8_t *rgb, kn_error *error) {
    if (w->params.codec == KN_CODEC_PNG) {
        if (!kn_sequence_write(w->part_path, w->frame_count, rgb, w->params.width, w->params.height, error))
            return false;
        w->frame_count++;
        return true;
    }
    int code = av_frame_make_writable(w->frame);
    if (code < 0) return kn_av_fail(error, code, w->path, "picture memory");
    fill_source(w, rgb);
    sws_scale(w->sws, (const uint8_t *const *)w->source->data, w->source->linesize, 0, w->coded_height, w->frame->data,
              w->frame->linesize);
    w->frame->pts = w->frame_count;
    code = avcodec_send_frame(w->codec, w->frame);
    if (code >= 0) code = drain(w);
    if (code < 0) return kn_av_fail(error, code, w->path, "writing the video");
    w->frame_count++;
    return true;
}

static int finish_file(kn_video_writer *w) {
    int code = avcodec_send_frame(w->codec, NULL);
    if (code >= 0) code = drain(w);
    if (code >= 0) code = av_write_trailer(w->format);
    if (code >= 0 && w->format->pb->error < 0) code = w->format->pb->error;
    int closed = avio_closep(&w->format->pb);
    if (code >= 0) code = closed;
    if (code < 0) return code;
    int file = open(w->part_path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return AVERROR(errno);
    code = fsync(file) == 0 ? 0 : AVERROR(errno);
    close(file);
    return code;
}

bool kn_video_writer_commit(kn_video_writer *w, kn_error *error) {
    if (w->frame_count == 0) return kn_fail(error, KN_ERROR_INPUT, "%s: a video needs at least one frame", w->path);
    if (w->params.codec == KN_CODEC_PNG) {
        if (w->aigc) {
            char *path = kn_path_join(w->part_path, "AIGC.json", error);
            bool ok = path && kn_file_write(path, w->aigc, strlen(w->aigc), error);
            kn_free(path);
            if (!ok) return false;
        }
        return w->committed = kn_sequence_commit(w->part_path, w->path, error);
    }
    int code = finish_file(w);
    if (code < 0) return kn_av_fail(error, code, w->path, "finishing the video");
    if (rename(w->part_path, w->path) != 0)
        return kn_fail(error, KN_ERROR_IO, "%s: cannot rename into place: %s", w->path, strerror(errno));
    w->committed = true;
    return true;
}

void kn_video_writer_destroy(kn_video_writer **writer) {
    kn_video_writer *w = *writer;
    if (!w) return;
    sws_freeContext(w->sws);
    av_frame_free(&w->frame);
    av_frame_free(&w->source);
    av_packet_free(&w->packet);
    avcodec_free_context(&w->codec);
    if (w->format) {
        if (w->format->pb) avio_closep(&w->format->pb);
        avformat_free_context(w->format);
    }
    if (w->started && !w->committed) {
        if (w->params.codec == KN_CODEC_PNG) kn_sequence_remove(w->part_path);
        else unlink(w->part_path);
    }
    kn_free(w->path);
    kn_free(w->part_path);
    kn_free(w->url);
    kn_free(w->aigc);
    kn_free(w);
    *writer = NULL;
}
