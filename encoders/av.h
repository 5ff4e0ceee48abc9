/* What the files of encoders/ share. The only folder that includes libav headers. */
#ifndef KN_ENCODERS_AV_H
#define KN_ENCODERS_AV_H

#include "base/base.h"
#include "kinora/encoders.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#define KN_MAX_SIDE 16384

/* Turns a libav error code into `path: what: reason`. Returns false. */
bool kn_av_fail(kn_error *error, int code, const char *path, const char *what);

/* A converter between RGB24 and another format and size with explicit colour tables; NULL with an error. `matrix` is
 * one of SWS_CS_*; ranges: 0 limited, 1 full. */
struct SwsContext *kn_sws_create(int width, int height, int to_width, int to_height, enum AVPixelFormat from,
                                 enum AVPixelFormat to, int matrix, int from_range, int to_range, kn_error *error);

/* Encodes one picture with a still-image codec into a new buffer (kn_free). */
bool kn_encode_still(enum AVCodecID id, AVFrame *frame, int quality, uint8_t **data, size_t *size, kn_error *error);

/* Encodes and writes a picture whose rows are `stride` bytes; `format` is AV_PIX_FMT_*. */
bool kn_png_write(const char *path, const void *pixels, int width, int height, int stride, enum AVPixelFormat format,
                  kn_error *error);

#endif
