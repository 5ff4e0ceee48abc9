#include "encoders/av.h"

#include <libavutil/imgutils.h>
#include <string.h>

bool kn_encode_still(enum AVCodecID id, AVFrame *frame, int quality, uint8_t **data, size_t *size, kn_error *error) {
    bool ok = false;
    const AVCodec *encoder = avcodec_find_encoder(id);
    AVCodecContext *codec = encoder ? avcodec_alloc_context3(encoder) : NULL;
    AVPacket *packet = av_packet_alloc();
    int code = AVERROR(ENOMEM);
    if (!codec || !packet) goto failed;
    codec->width = frame->width;
    codec->height = frame->height;
    codec->pix_fmt = frame->format;
    codec->color_range = frame->color_range;
    codec->time_base = (AVRational){1, 25};
    codec->thread_count = 1;
    codec->flags |= AV_CODEC_FLAG_BITEXACT;
    if (quality > 0) {
        codec->flags |= AV_CODEC_FLAG_QSCALE;
        codec->global_quality = frame->quality = quality * FF_QP2LAMBDA;
    }
    if (id == AV_CODEC_ID_EXR) av_opt_set(codec->priv_data, "compression", "zip16", 0);
    if ((code = avcodec_open2(codec, encoder, NULL)) < 0) goto failed;
    if ((code = avcodec_send_frame(codec, frame)) < 0) goto failed;
    if ((code = avcodec_receive_packet(codec, packet)) == AVERROR(EAGAIN)) {
        avcodec_send_frame(codec, NULL);
        code = avcodec_receive_packet(codec, packet);
    }
    if (code < 0) goto failed;
    *data = kn_alloc((size_t)packet->size, 1, error);
    if (*data) {
        memcpy(*data, packet->data, (size_t)packet->size);
        *size = (size_t)packet->size;
        ok = true;
    }
    goto done;
failed:
    kn_av_fail(error, code, "image", "encoding");
done:
    av_packet_free(&packet);
    avcodec_free_context(&codec);
    return ok;
}

static bool valid_size(const char *path, int width, int height, kn_error *error) {
    if (width >= 1 && height >= 1 && width <= KN_MAX_SIDE && height <= KN_MAX_SIDE) return true;
    return kn_fail(error, KN_ERROR_INPUT, "%s: image size %dx%d is outside 1..%d", path, width, height, KN_MAX_SIDE);
}

bool kn_png_write(const char *path, const void *pixels, int width, int height, int stride, enum AVPixelFormat format,
                  kn_error *error) {
    if (!valid_size(path, width, height, error)) return false;
    AVFrame *frame = av_frame_alloc();
    if (!frame) return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path);
    frame->width = width;
    frame->height = height;
    frame->format = format;
    frame->data[0] = (uint8_t *)pixels; /* only read by the encoder */
    frame->linesize[0] = stride;
    uint8_t *data = NULL;
    size_t size = 0;
    bool ok = kn_encode_still(AV_CODEC_ID_PNG, frame, 0, &data, &size, error) && kn_file_write(path, data, size, error);
    kn_free(data);
    av_frame_free(&frame);
    return ok;
}

bool kn_png_write_gray8(const char *path, const uint8_t *pixels, int width, int height, kn_error *error) {
    return kn_png_write(path, pixels, width, height, width, AV_PIX_FMT_GRAY8, error);
}

bool kn_png_write_gray16(const char *path, const uint16_t *pixels, int width, int height, kn_error *error) {
    if (!valid_size(path, width, height, error)) return false;
    size_t count = (size_t)width * (size_t)height;
    uint8_t *big_endian = kn_alloc(count, 2, error); /* PNG's byte order */
    if (!big_endian) return false;
    for (size_t i = 0; i < count; i++) {
        big_endian[2 * i] = (uint8_t)(pixels[i] >> 8);
        big_endian[2 * i + 1] = (uint8_t)pixels[i];
    }
    bool ok = kn_png_write(path, big_endian, width, height, 2 * width, AV_PIX_FMT_GRAY16BE, error);
    kn_free(big_endian);
    return ok;
}

bool kn_exr_write_gray(const char *path, const float *values, int width, int height, kn_error *error) {
    if (!valid_size(path, width, height, error)) return false;
    AVFrame *frame = av_frame_alloc();
    if (!frame) return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path);
    frame->width = width, frame->height = height, frame->format = AV_PIX_FMT_GRAYF32;
    frame->data[0] = (uint8_t *)(uintptr_t)values; /* only read by the encoder */
    frame->linesize[0] = width * (int)sizeof *values;
    uint8_t *data = NULL;
    size_t size = 0;
    bool ok = kn_encode_still(AV_CODEC_ID_EXR, frame, 0, &data, &size, error) && kn_file_write(path, data, size, error);
    kn_free(data);
    av_frame_free(&frame);
    return ok;
}

/* A new picture with the room around it that vector code reads and writes; NULL when memory runs out. */
static AVFrame *make_frame(int width, int height, enum AVPixelFormat format) {
    AVFrame *frame = av_frame_alloc();
    if (!frame) return NULL;
    frame->width = width;
    frame->height = height;
    frame->format = format;
    if (av_frame_get_buffer(frame, 0) < 0) av_frame_free(&frame);
    return frame;
}

bool kn_jpeg_write(const char *path, const uint8_t *rgb, int width, int height, int quality, kn_error *error) {
    if (!valid_size(path, width, height, error)) return false;
    bool ok = false;
    uint8_t *data = NULL;
    size_t size = 0, row = 3 * (size_t)width;
    AVFrame *source = make_frame(width, height, AV_PIX_FMT_RGB24),
            *frame = make_frame(width, height, AV_PIX_FMT_YUVJ420P);
    struct SwsContext *sws = NULL;
    if (!source || !frame) {
        kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path);
        goto done;
    }
    if (!(sws = kn_sws_create(width, height, width, height, AV_PIX_FMT_RGB24, AV_PIX_FMT_YUVJ420P, SWS_CS_ITU601, 1, 1,
                              error)))
        goto done;
    frame->color_range = AVCOL_RANGE_JPEG;
    for (int y = 0; y < height; y++)
        memcpy(source->data[0] + (ptrdiff_t)y * source->linesize[0], rgb + row * (size_t)y, row);
    sws_scale(sws, (const uint8_t *const *)source->data, source->linesize, 0, height, frame->data, frame->linesize);
    ok = kn_encode_still(AV_CODEC_ID_MJPEG, frame, quality, &data, &size, error) &&
         kn_file_write(path, data, size, error);
done:
    kn_free(data);
    av_frame_free(&source);
    av_frame_free(&frame);
    sws_freeContext(sws);
    return ok;
}

void kn_pixels_free(uint16_t *pixels) { kn_free(pixels); }

static bool gray_from_frame(const AVFrame *frame, const char *path, uint16_t **pixels, int *width, int *height,
                            kn_error *error) {
    bool wide = frame->format == AV_PIX_FMT_GRAY16BE;
    if (!wide && frame->format != AV_PIX_FMT_GRAY8) return kn_fail(error, KN_ERROR_INPUT, "%s: not a grey PNG", path);
    if (!valid_size(path, frame->width, frame->height, error)) return false;
    uint16_t *out = kn_alloc((size_t)frame->width * (size_t)frame->height, sizeof *out, error);
    if (!out) return false;
    for (int y = 0; y < frame->height; y++) {
        const uint8_t *row = frame->data[0] + (ptrdiff_t)y * frame->linesize[0];
        for (int x = 0; x < frame->width; x++)
            out[(size_t)y * (size_t)frame->width + (size_t)x] =
                wide ? (uint16_t)(row[2 * x] << 8 | row[2 * x + 1]) : row[x];
    }
    *pixels = out;
    *width = frame->width;
    *height = frame->height;
    return true;
}

bool kn_png_read_gray(const char *path, uint16_t **pixels, int *width, int *height, kn_error *error) {
    uint8_t *data = NULL;
    size_t size = 0;
    if (!kn_file_read(path, (size_t)1 << 30, &data, &size, error)) return false;
    bool ok = false;
    const AVCodec *decoder = avcodec_find_decoder(AV_CODEC_ID_PNG);
    AVCodecContext *codec = decoder ? avcodec_alloc_context3(decoder) : NULL;
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    int code = AVERROR(ENOMEM);
    if (!codec || !packet || !frame || (code = av_new_packet(packet, (int)size)) < 0) goto failed;
    memcpy(packet->data, data, size);
    if ((code = avcodec_open2(codec, decoder, NULL)) < 0 || (code = avcodec_send_packet(codec, packet)) < 0)
        goto failed;
    avcodec_send_packet(codec, NULL);
    if ((code = avcodec_receive_frame(codec, frame)) < 0) goto failed;
    ok = gray_from_frame(frame, path, pixels, width, height, error);
    goto done;
failed:
    kn_av_fail(error, code, path, "reading the PNG");
done:
    av_frame_free(&frame);
    av_packet_free(&packet);
    avcodec_free_context(&codec);
    kn_free(data);
    return ok;
}
