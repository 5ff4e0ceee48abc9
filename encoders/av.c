#include "encoders/av.h"

#include <errno.h>

bool kn_av_fail(kn_error *error, int code, const char *path, const char *what) {
    char reason[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(code, reason, sizeof reason);
    kn_error_kind kind = KN_ERROR_INTERNAL;
    if (code == AVERROR(ENOMEM)) kind = KN_ERROR_MEMORY;
    else if (code == AVERROR_INVALIDDATA || code == AVERROR_EOF || code == AVERROR_DECODER_NOT_FOUND)
        kind = KN_ERROR_INPUT;
    else if (code == AVERROR(ENOSYS) || code == AVERROR_ENCODER_NOT_FOUND || code == AVERROR_MUXER_NOT_FOUND ||
             code == AVERROR_PATCHWELCOME)
        kind = KN_ERROR_UNSUPPORTED;
    else if (code > -4096 && code != AVERROR(EINVAL)) kind = KN_ERROR_IO; /* a negated errno */
    return kn_fail(error, kind, "%s: %s: %s", path, what, reason);
}

void kn_encoders_quiet(void) { av_log_set_level(AV_LOG_FATAL); }

struct SwsContext *kn_sws_create(int width, int height, int to_width, int to_height, enum AVPixelFormat from,
                                 enum AVPixelFormat to, int matrix, int from_range, int to_range, kn_error *error) {
    int flags = SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_BITEXACT;
    struct SwsContext *sws = sws_getContext(width, height, from, to_width, to_height, to, flags, NULL, NULL, NULL);
    if (!sws) {
        kn_fail(error, KN_ERROR_UNSUPPORTED, "pixel format %s cannot be converted at %dx%d", av_get_pix_fmt_name(from),
                width, height);
        return NULL;
    }
    const int *table = sws_getCoefficients(matrix);
    /* Fails only for formats without a matrix (RGB to RGB), where there is nothing to set. */
    sws_setColorspaceDetails(sws, table, from_range, table, to_range, 0, 1 << 16, 1 << 16);
    return sws;
}
