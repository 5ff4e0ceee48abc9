/* Video and image files: H.264, HEVC, ProRes, FFV1 and PNG sequences out; whatever FFmpeg decodes in. */
#ifndef KINORA_ENCODERS_H
#define KINORA_ENCODERS_H

#include "kinora/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An exact frame rate: num / den frames per second, both above 0. */
typedef struct kn_rational {
    int num, den;
} kn_rational;

/* Reads "12", "23.976" (taken as 24000/1001), "24000/1001", "12.5"; rates from 1/1000 to 1000. Returns false
 * otherwise. */
bool kn_rational_parse(kn_rational *rate, const char *text);

typedef enum kn_codec {
    KN_CODEC_H264,   /* MP4, yuv420p */
    KN_CODEC_HEVC,   /* MP4, yuv420p; at least 64 x 48 pixels */
    KN_CODEC_PRORES, /* MOV, ProRes 422 HQ, 10 bit */
    KN_CODEC_FFV1,   /* MKV, lossless RGB */
    KN_CODEC_PNG,    /* a folder of 00000.png, 00001.png, ...; lossless RGB */
    KN_CODEC_COUNT
} kn_codec;

/* "h264", "hevc", "prores", "ffv1", "png". */
const char *kn_codec_name(kn_codec codec);
bool kn_codec_parse(kn_codec *codec, const char *name);
/* ".mp4", ".mov", ".mkv"; "" for the folder of a PNG sequence. */
const char *kn_codec_extension(kn_codec codec);

typedef struct kn_video_params {
    int width, height; /* pixels, 1..16384; the subsampled codecs repeat the last column or row of an odd size */
    kn_rational rate;
    kn_codec codec;
    double quality;              /* constant rate factor of H.264 and HEVC, 1..51, lower is better; 0: 18 and 20 */
    const char *title, *comment; /* metadata; NULL: none */
    const char *aigc; /* JSON for the key AIGC (GB 45438-2025); NULL: none. A PNG sequence gets it as AIGC.json */
} kn_video_params;

/* Writes one video. RGB is converted with BT.709 coefficients to limited range, and the stream is tagged BT.709 for
 * primaries, transfer and matrix. The same frames and parameters give the same bytes. The file grows as "<path>.part"
 * and gets its name in kn_video_writer_commit. Not thread-safe. */
typedef struct kn_video_writer kn_video_writer;

/* Fails with KN_ERROR_INPUT for bad parameters and KN_ERROR_IO when the file cannot be made. */
bool kn_video_writer_create(kn_video_writer **writer, const char *path, const kn_video_params *params, kn_error *error);

/* Appends one frame: rgb [height][width][3], sRGB-encoded. The last frames are encoded by kn_video_writer_commit. A
 * full disk gives KN_ERROR_IO with the path. */
bool kn_video_writer_add(kn_video_writer *writer, const uint8_t *rgb, kn_error *error);

/* Ends the file, flushes it to the disk and renames it. At least one frame must have been added. */
bool kn_video_writer_commit(kn_video_writer *writer, kn_error *error);

/* Removes the partial file unless it was committed. */
void kn_video_writer_destroy(kn_video_writer **writer);

/* Reads the frames of a video file, a folder of pictures in natural order (img2 before img10) or a pattern of names
 * ("shot_%04d.exr") as a screen shows them: upright (display matrix, Exif), with square pixels (sample aspect ratio),
 * sRGB (limited or full range, the stream's matrix; PQ, HLG and linear pictures are tone-mapped, see docs/film.md).
 * Decodes on several threads. Only local files are opened. Not thread-safe. For film as it is stored see kinora/film.h.
 */
typedef struct kn_video_reader kn_video_reader;

typedef struct kn_video_info {
    int width, height;   /* of the upright picture with square pixels */
    kn_rational rate;    /* nominal */
    int64_t frame_count; /* as the container says; 0: unknown */
    char codec[32];      /* FFmpeg's name; "images" for a folder */
    char primaries[32], transfer[32], matrix[32], range[16], pixel_format[32];
} kn_video_info;

/* `rate` is that of a folder of images, ignored for video files; {0, 0}: 24. */
bool kn_video_reader_create(kn_video_reader **reader, const char *path, kn_rational rate, kn_error *error);
const kn_video_info *kn_video_reader_info(const kn_video_reader *reader);
/* A metadata entry of the container, NULL when absent; belongs to the reader. */
const char *kn_video_reader_metadata(const kn_video_reader *reader, const char *key);
/* Decodes the next frame into rgb [height][width][3]; *seconds (may be NULL) is its time stamp. *end is set, and rgb
 * untouched, after the last frame. Broken data gives KN_ERROR_INPUT. */
bool kn_video_reader_next(kn_video_reader *reader, uint8_t *rgb, double *seconds, bool *end, kn_error *error);
void kn_video_reader_destroy(kn_video_reader **reader);

/* Baseline JPEG (JFIF, 4:2:0, full-range BT.601) of rgb [height][width][3]; quality 1..31, lower is better (2: near
 * lossless). Written beside `path` and renamed. */
bool kn_jpeg_write(const char *path, const uint8_t *rgb, int width, int height, int quality, kn_error *error);

/* Grey PNG of 8 or 16 bits per pixel. Written beside `path` and renamed. */
bool kn_png_write_gray8(const char *path, const uint8_t *pixels, int width, int height, kn_error *error);
bool kn_png_write_gray16(const char *path, const uint16_t *pixels, int width, int height, kn_error *error);
/* EXR with one channel, Y, of 32-bit floats (ZIP). Written beside `path` and renamed. */
bool kn_exr_write_gray(const char *path, const float *values, int width, int height, kn_error *error);
/* Reads a grey PNG of 8 or 16 bits as 16-bit values (8-bit ones are not scaled). *pixels is freed with
 * kn_pixels_free. */
bool kn_png_read_gray(const char *path, uint16_t **pixels, int *width, int *height, kn_error *error);
void kn_pixels_free(uint16_t *pixels);

/* What FFmpeg may print on stderr: errors only (the state is one per process, as FFmpeg's is). */
void kn_encoders_quiet(void);

#ifdef __cplusplus
}
#endif
#endif
