/* Between libav's pictures and float planes, without loss: RGB float planes from any pixel format and back. */
#ifndef KN_ENCODERS_PLANES_H
#define KN_ENCODERS_PLANES_H

#include "encoders/av.h"

/* How numbers stand for colour in a stream; the same on the way in and out, so that one undoes the other. */
typedef struct kn_planes_coding {
    double kr, kb;  /* of the YCbCr matrix */
    bool identity;  /* the three planes are G, B, R (matrix 0) */
    bool full;      /* full range */
    bool left, top; /* subsampled chroma lies on the left (upper) luma sample; else between two */
} kn_planes_coding;

/* From H.273 tags; unspecified ones take the usual guess for a stream of `height` stored lines. False for a matrix that
 * needs more than a matrix (ICtCp, constant luminance, YCgCo). */
bool kn_planes_coding_init(kn_planes_coding *coding, int matrix, int range, int chroma, enum AVPixelFormat format,
                           int height);

/* Scratch memory that is kept from frame to frame. */
typedef struct kn_planes {
    float *sub, *wide; /* a component as stored; stretched along x */
    uint32_t *line;
    size_t capacity;
} kn_planes;

/* frame -> [channels][height][width]; channels 4 reads alpha (1 where the format has none). */
bool kn_planes_read(kn_planes *planes, const AVFrame *frame, const kn_planes_coding *coding, int channels, float *out,
                    kn_error *error);

/* [channels][height][width] -> frame, whose buffers are writable. Values that integers cannot hold are clipped; NaN
 * becomes the lowest value, but see kn_planes_finite. Overwrites nothing but the frame's pixels; alpha is 1 where
 * channels is 3. */
bool kn_planes_write(kn_planes *planes, AVFrame *frame, const kn_planes_coding *coding, int channels, const float *in,
                     kn_error *error);

/* Is every value finite? */
bool kn_planes_finite(const float *values, size_t count);

void kn_planes_finish(kn_planes *planes);

/* --- chroma.c --- */
/* Stretches `count` samples of `lanes` floats each to `target` (count * 2, or * 2 - 1) samples: linear interpolation
 * for samples that lie on every second target, or (centred) between two. */
void kn_chroma_widen(const float *from, size_t count, float *to, size_t target, size_t lanes, bool centred);
/* Its inverse: kn_chroma_narrow(kn_chroma_widen(x)) is x, and the filter is a low pass. */
void kn_chroma_narrow(const float *from, size_t count, float *to, size_t target, size_t lanes, bool centred);

#endif
