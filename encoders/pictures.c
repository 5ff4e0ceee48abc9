/* Sequences of single picture files as a source. */
#include "encoders/header.h"
#include "encoders/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const struct {
    const char *extension;
    enum AVCodecID codec;
} kinds[] = {{".png", AV_CODEC_ID_PNG},  {".jpg", AV_CODEC_ID_MJPEG}, {".jpeg", AV_CODEC_ID_MJPEG},
             {".bmp", AV_CODEC_ID_BMP},  {".tga", AV_CODEC_ID_TARGA}, {".exr", AV_CODEC_ID_EXR},
             {".dpx", AV_CODEC_ID_DPX},  {".tif", AV_CODEC_ID_TIFF},  {".tiff", AV_CODEC_ID_TIFF},
             {".webp", AV_CODEC_ID_WEBP}};

bool kn_pattern_parse(const char *path, size_t *begin, size_t *end, int *digits) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *percent = strchr(name, '%');
    if (!percent || strchr(percent + 1, '%')) return false;
    const char *p = percent + 1;
    int wanted = 0;
    if (*p == '0') p++;
    while (*p >= '0' && *p <= '9' && wanted < 20) wanted = 10 * wanted + *p++ - '0';
    if (*p != 'd' || wanted > 18) return false;
    if (begin) *begin = (size_t)(percent - path);
    if (end) *end = (size_t)(p + 1 - path);
    if (digits) *digits = wanted;
    return true;
}

/* The number in a name that fits prefix, digits, suffix; -1 for others. */
static int64_t number_in(const char *name, const char *prefix, size_t prefix_length, const char *suffix, int digits) {
    if (strncmp(name, prefix, prefix_length) != 0) return -1;
    size_t count = strspn(name + prefix_length, "0123456789");
    if (count < 1 || count > 18 || (int)count < digits || strcmp(name + prefix_length + count, suffix) != 0) return -1;
    if ((int)count > digits && digits > 0 && name[prefix_length] == '0') return -1; /* "%03d" never writes 0001 */
    return strtoll(name + prefix_length, NULL, 10);
}

/* Keeps the names that fit the pattern; none may be missing between the first and the last. */
static bool keep_pattern(kn_source *s, size_t begin, size_t end, int digits, kn_error *error) {
    const char *slash = strrchr(s->path, '/');
    size_t folder = slash ? (size_t)(slash - s->path) + 1 : 0, kept = 0;
    int64_t before = -1;
    for (size_t i = 0; i < s->name_count; i++) {
        char *name = s->names[i];
        int64_t number = number_in(name, s->path + folder, begin - folder, s->path + end, digits);
        s->names[i] = NULL;
        if (number < 0) {
            kn_free(name);
            continue;
        }
        bool gap = kept > 0 && number != before + 1;
        if (gap)
            kn_fail(error, KN_ERROR_INPUT, "%s: picture %lld is missing: %lld is followed by %lld", s->path,
                    (long long)before + 1, (long long)before, (long long)number);
        s->names[kept++] = name;
        before = number;
        if (gap) return false;
    }
    s->name_count = kept;
    return kept > 0 || kn_fail(error, KN_ERROR_INPUT, "%s: no file fits this pattern", s->path);
}

bool kn_source_list(kn_source *s, kn_error *error) {
    const char *extensions[KN_COUNT(kinds) + 1] = {0};
    for (size_t i = 0; i < KN_COUNT(kinds); i++) extensions[i] = kinds[i].extension;
    size_t begin, end;
    int digits;
    struct stat info;
    bool pattern = stat(s->path, &info) != 0 && kn_pattern_parse(s->path, &begin, &end, &digits);
    const char *slash = strrchr(s->path, '/');
    s->folder = !pattern ? kn_strdup(s->path, error)
                : slash  ? kn_format(error, "%.*s", (int)(slash - s->path + 1), s->path)
                         : kn_strdup(".", error);
    if (!s->folder || !kn_folder_list(s->folder, extensions, &s->names, &s->name_count, error)) return false;
    if (pattern) return keep_pattern(s, begin, end, digits, error);
    return s->name_count > 0 ||
           kn_fail(error, KN_ERROR_INPUT,
                   "%s: the folder holds no pictures (PNG, JPEG, EXR, DPX, TIFF, BMP, TGA or WebP)", s->path);
}

static enum AVCodecID codec_of(const char *path) {
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < KN_COUNT(kinds); i++)
        if (strcasecmp(dot, kinds[i].extension) == 0) return kinds[i].codec;
    return AV_CODEC_ID_NONE;
}

/* A decoder for this kind of file; the last one is kept. */
static int open_decoder(kn_source *s, const char *path) {
    const AVCodec *decoder = avcodec_find_decoder(codec_of(path));
    if (s->codec && decoder == s->decoder) return 0;
    avcodec_free_context(&s->codec);
    if (!(s->decoder = decoder)) return AVERROR_DECODER_NOT_FOUND;
    if (!(s->codec = avcodec_alloc_context3(decoder))) return AVERROR(ENOMEM);
    s->codec->thread_type = FF_THREAD_SLICE; /* threads by frame would hold pictures back */
    s->codec->thread_count = decoder->capabilities & AV_CODEC_CAP_SLICE_THREADS ? 0 : 1;
    if (decoder->id != AV_CODEC_ID_TIFF)
        s->codec->err_recognition |= AV_EF_EXPLODE | AV_EF_CRCCHECK; /* libav's TIFF stops at tags unknown to it */
    return avcodec_open2(s->codec, decoder, NULL);
}

static int decode_bytes(kn_source *s, const uint8_t *data, size_t size) {
    int code = av_new_packet(s->packet, (int)size);
    if (code < 0) return code;
    memcpy(s->packet->data, data, size);
    s->packet->flags |= AV_PKT_FLAG_KEY; /* else the PNG decoder adds the picture to the one before */
    code = avcodec_send_packet(s->codec, s->packet);
    av_packet_unref(s->packet);
    if (code < 0) return code;
    code = avcodec_receive_frame(s->codec, s->frame);
    if (code != AVERROR(EAGAIN)) return code;
    avcodec_send_packet(s->codec, NULL);
    code = avcodec_receive_frame(s->codec, s->frame);
    avcodec_flush_buffers(s->codec);
    return code == AVERROR_EOF ? AVERROR_INVALIDDATA : code;
}

bool kn_source_decode_picture(kn_source *s, const char *path, kn_error *error) {
    uint8_t *data = NULL;
    size_t size = 0;
    if (!kn_file_read(path, (size_t)1 << 30, &data, &size, error)) return false;
    av_frame_unref(s->frame);
    int code = open_decoder(s, path);
    if (code >= 0) code = decode_bytes(s, data, size);
    bool ok = code >= 0 || kn_av_fail(error, code, path, "reading the picture");
    if (ok && (s->frame->width < 1 || s->frame->height < 1 || s->frame->width > KN_MAX_SIDE ||
               s->frame->height > KN_MAX_SIDE))
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: picture size %dx%d is outside 1..%d", path, s->frame->width,
                     s->frame->height, KN_MAX_SIDE);
    if (ok) {
        s->orientation = kn_orientation_of_exif(kn_exif_read(data, size).orientation);
        kn_free(s->header);
        s->header = NULL, s->header_size = 0;
        ok = kn_picture_header_read(data, size, &s->header, &s->header_size, error);
    }
    kn_free(data);
    return ok;
}
