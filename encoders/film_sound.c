#include "encoders/film.h"

#include <math.h>
#include <string.h>

static int open_from(kn_film_sound *s, const char *url) {
    AVDictionary *options = NULL;
    av_dict_set(&options, "protocol_whitelist", "file", 0);
    int code = avformat_open_input(&s->from, url, NULL, &options);
    av_dict_free(&options);
    if (code >= 0) code = avformat_find_stream_info(s->from, NULL);
    if (code >= 0 && !(s->packet = av_packet_alloc())) code = AVERROR(ENOMEM);
    return code;
}

static bool add_stream(kn_film_sound *s, unsigned index, const char *path, AVFormatContext *to, kn_error *error) {
    AVStream *from = s->from->streams[index];
    const char *name = avcodec_get_name(from->codecpar->codec_id);
    if (avformat_query_codec(to->oformat, from->codecpar->codec_id, FF_COMPLIANCE_NORMAL) == 0)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: its %s audio cannot be kept in an .%s file; use .mov or .mkv",
                       path, name, to->oformat->name);
    AVStream *stream = avformat_new_stream(to, NULL);
    int code = stream ? avcodec_parameters_copy(stream->codecpar, from->codecpar) : AVERROR(ENOMEM);
    if (code < 0) return kn_av_fail(error, code, path, "audio");
    stream->codecpar->codec_tag = 0;
    stream->time_base = from->time_base;
    stream->disposition = from->disposition;
    const AVDictionaryEntry *language = av_dict_get(from->metadata, "language", NULL, 0);
    if (language) av_dict_set(&stream->metadata, "language", language->value, 0);
    s->map[index] = stream->index;
    return true;
}

bool kn_film_sound_init(kn_film_sound *s, const char *path, AVFormatContext *to, kn_error *error) {
    *s = (kn_film_sound){0};
    char *url = kn_format(error, "file:%s", path);
    if (!url) return false;
    int code = open_from(s, url);
    kn_free(url);
    if (code < 0) return kn_av_fail(error, code, path, "cannot open the sound");
    if (!(s->map = kn_alloc(s->from->nb_streams, sizeof *s->map, error))) return false;
    for (unsigned i = 0; i < s->from->nb_streams; i++) {
        bool audio = s->from->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
        s->map[i] = -1;
        if (!audio) s->from->streams[i]->discard = AVDISCARD_ALL;
        else if (!add_stream(s, i, path, to, error)) return false;
    }
    return true;
}

/* Writes the packet that is held, with times since the beginning of its file. */
static int write_packet(kn_film_sound *s, AVFormatContext *to) {
    AVStream *from = s->from->streams[s->packet->stream_index], *stream = to->streams[s->map[s->packet->stream_index]];
    int64_t start =
        s->from->start_time == AV_NOPTS_VALUE ? 0 : av_rescale_q(s->from->start_time, AV_TIME_BASE_Q, from->time_base);
    if (s->packet->pts != AV_NOPTS_VALUE) s->packet->pts -= start;
    if (s->packet->dts != AV_NOPTS_VALUE) s->packet->dts -= start;
    av_packet_rescale_ts(s->packet, from->time_base, stream->time_base);
    s->packet->stream_index = stream->index;
    s->packet->pos = -1;
    s->pending = false;
    return av_interleaved_write_frame(to, s->packet);
}

int kn_film_sound_write(kn_film_sound *s, AVFormatContext *to, double seconds) {
    while (s->from && !s->ended) {
        if (!s->pending) {
            int code = av_read_frame(s->from, s->packet);
            s->ended = code == AVERROR_EOF;
            if (s->ended) break;
            if (code < 0) return code;
            s->pending = s->map[s->packet->stream_index] >= 0;
            if (!s->pending) {
                av_packet_unref(s->packet);
                continue;
            }
        }
        const AVStream *from = s->from->streams[s->packet->stream_index];
        double start = s->from->start_time == AV_NOPTS_VALUE ? 0 : (double)s->from->start_time / AV_TIME_BASE;
        if (s->packet->dts != AV_NOPTS_VALUE && (double)s->packet->dts * av_q2d(from->time_base) - start >= seconds)
            return 0;
        int code = write_packet(s, to);
        if (code < 0) return code;
    }
    return 0;
}

void kn_film_sound_finish(kn_film_sound *s) {
    av_packet_free(&s->packet);
    avformat_close_input(&s->from);
    kn_free(s->map);
    *s = (kn_film_sound){0};
}
