/* Film in and out: frames as float planes with everything that a file says about them (exact rate, colour, timecode,
 * alpha, orientation), from any video that FFmpeg reads or a sequence of pictures to a mastering or delivery codec or
 * another sequence. Reading and writing again changes neither values nor tags: 4:2:0 and 4:2:2 chroma come back exactly
 * what they were, and values outside 0..1 are kept where the format can.
 *
 * Pixels: a frame is [channels][height][width] floats; channels 3 (R, G, B) or 4 (and alpha, straight or premultiplied
 * as the file has it). Values are encoded as the file's transfer says (kn_color.transfer), 0 black and 1 nominal white;
 * EXR is linear and may exceed 1. Pictures stand upright whatever the file's rotation is. Sample aspect ratios are
 * reported, pixels are not resampled. */
#ifndef KINORA_FILM_H
#define KINORA_FILM_H

#include "kinora/encoders.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Colour by the code points of ITU-T H.273; 2 is "unspecified" for the first three. */
typedef struct kn_color {
    int primaries; /* 1 BT.709, 9 BT.2020, 12 P3 D65, ... */
    int transfer;  /* 1 BT.709, 8 linear, 13 sRGB, 16 PQ, 18 HLG, ... */
    int matrix;    /* 0 RGB, 1 BT.709, 5 or 6 BT.601, 9 BT.2020 */
    int range;     /* 0 unspecified, 1 limited ("tv"), 2 full ("pc") */
    int chroma;    /* place of subsampled chroma: 0 unspecified, 1 left, 2 centre, 3 top left */
} kn_color;
#define KN_COLOR_BT709 ((kn_color){1, 1, 1, 1, 1})

typedef enum kn_film_codec {
    KN_FILM_PRORES, /* MOV: 422 HQ, or 4444 for 4:4:4 or alpha; 10 bit */
    KN_FILM_DNXHR,  /* MOV: HQX 4:2:2 10 bit or HQ 8 bit, 444 10 bit */
    KN_FILM_H264,   /* MP4, MOV or MKV: 8 or 10 bit, 4:2:0 to 4:4:4 */
    KN_FILM_H265,   /* the same, 8, 10 or 12 bit */
    KN_FILM_FFV1,   /* MKV or MOV, lossless: 8 to 16 bit, YUV or RGB, alpha */
    KN_FILM_EXR,    /* pictures: half or 32-bit float, linear */
    KN_FILM_DPX,    /* pictures: 10, 12 or 16 bit RGB; 16 bit with alpha */
    KN_FILM_TIFF,   /* pictures: 8 or 16 bit, alpha */
    KN_FILM_PNG,    /* pictures: 8 or 16 bit, alpha */
    KN_FILM_CODEC_COUNT
} kn_film_codec;

/* "prores", "dnxhr", "h264", "h265", "ffv1", "exr", "dpx", "tiff", "png". */
const char *kn_film_codec_name(kn_film_codec codec);
bool kn_film_codec_parse(kn_film_codec *codec, const char *name);

/* --- reading
 * ----------------------------------------------------------------------------------------------------------- */

typedef struct kn_film_info {
    int width, height;        /* pixels of the upright pictures */
    int channels;             /* 3, or 4 with alpha */
    kn_rational rate;         /* nominal, exact */
    kn_rational time_base;    /* seconds of one unit of kn_film_frame.time */
    kn_rational pixel_aspect; /* of the upright pictures; {1, 1} where the file says nothing */
    int64_t frame_count;      /* as the file says; 0: unknown */
    int quarter_turns;        /* by which stored pictures were turned clockwise to stand upright, 0..3 */
    bool mirrored;            /* and mirrored left to right before */
    int depth;                /* bits per sample; 32 for float */
    int chroma;               /* 420, 422 or 444 (RGB, too); other subsamplings are reported as the next finer one */
    bool rgb, floating;       /* stored as RGB; as floating point */
    bool interlaced;          /* the stored fields make up the frames, which are delivered whole */
    bool top_first;           /* the upper field is the earlier one */
    bool pictures;            /* a sequence of single files */
    kn_color color;
    int audio_streams;
    char codec[32], pixel_format[32]; /* FFmpeg's names */
    char timecode[32];                /* of the first frame, "01:00:00:00"; "" without one */
} kn_film_info;

/* Reads one film. Memory does not depend on its length. Decodes on several threads; the handle itself is not
 * thread-safe. Only local files are opened. */
typedef struct kn_film_reader kn_film_reader;

/* `path` is a video file, a folder of pictures (all of one kind, in natural order), or a pattern such as
 * "plates/shot_%06d.exr" (also %d); numbers must not be missing between the first and the last. `rate` is that of
 * pictures, {0, 0}: what they say, or 24; ignored for video files. Fails with KN_ERROR_INPUT for what is not there or
 * not a film, KN_ERROR_UNSUPPORTED for colour that Kinora cannot turn into RGB. */
bool kn_film_reader_create(kn_film_reader **reader, const char *path, kn_rational rate, kn_error *error);

/* Belongs to the reader. */
const kn_film_info *kn_film_reader_info(const kn_film_reader *reader);

/* A metadata entry of the container, NULL when absent; belongs to the reader. */
const char *kn_film_reader_metadata(const kn_film_reader *reader, const char *key);

typedef struct kn_film_frame {
    float *planes;      /* [channels][height][width]; the caller's memory */
    int64_t index;      /* 0, 1, ... */
    int64_t time;       /* since the beginning of the file, in kn_film_info.time_base */
    const void *header; /* what a picture's header says beside its pixels (EXR attributes, DPX fields); belongs to the
                           reader until the next call; NULL without one */
    size_t header_size;
} kn_film_frame;

/* Decodes the next frame into frame->planes, which the caller has set, and fills the rest. *end is set, and the frame
 * untouched, after the last one. Broken or truncated data gives KN_ERROR_INPUT with the number of the frame. */
bool kn_film_reader_next(kn_film_reader *reader, kn_film_frame *frame, bool *end, kn_error *error);

void kn_film_reader_destroy(kn_film_reader **reader);

/* --- writing
 * ----------------------------------------------------------------------------------------------------------- */

typedef struct kn_film_params {
    int width, height, channels; /* of the upright pictures that are added; alpha needs a codec with alpha */
    kn_rational rate, time_base, pixel_aspect; /* time_base {0, 0}: one frame of `rate`; pixel_aspect {0, 0}: square */
    kn_film_codec codec;
    int depth;         /* bits; 0: the codec's usual (8 for H.264, 10 for ProRes, DNxHR, H.265 and DPX, half for EXR) */
    int chroma;        /* 420, 422, 444; 0: the codec's usual; EXR, DPX, TIFF and PNG are RGB */
    bool rgb;          /* FFV1 only: store RGB instead of YUV */
    double quality;    /* constant rate factor of H.264 and H.265, 1..51; 0: 18 */
    kn_color color;    /* {0}: BT.709, limited */
    int quarter_turns; /* the file shall carry this rotation (MP4 and MOV; elsewhere pictures are stored upright) */
    bool mirrored;
    bool interlaced, top_first;
    const char *timecode;               /* MOV, MP4, MKV, DPX; NULL or "": none */
    const char *title, *comment, *aigc; /* metadata; NULL: none */
    const char *sound;    /* a file whose audio packets are copied, in step with the frames' times; NULL: none */
    int64_t first_number; /* of the first picture of a sequence */
    bool overwrite;       /* a sequence may replace one that is there */
    kn_log log;           /* is told what the chosen format cannot keep */
} kn_film_params;

/* What writes a film like `info` to `path`: the codec by the name's ending (.mov ProRes, .mp4 H.264 or, for more than 8
 * bits, H.265, .mkv FFV1, .exr, .dpx, .tif, .png), depth, chroma, alpha, colour, rate, aspect, rotation and timecode as
 * the film has them, as far as the codec can. `sound` is left to the caller. The timecode points into `info`. Fails
 * with KN_ERROR_INPUT for a name with another ending. */
bool kn_film_params_like(kn_film_params *params, const kn_film_info *info, const char *path, kn_error *error);

/* Writes one film. The same frames and parameters give the same bytes. Not thread-safe. */
typedef struct kn_film_writer kn_film_writer;

/* `path` is a file, or for pictures a pattern such as "out/shot_%06d.exr". Everything grows beside its final name (a
 * file as
 * "<path>.part", pictures in a folder ".<name>.part") and gets it in kn_film_writer_commit. Strings of `params` must
 * live until the call returns. Fails with KN_ERROR_INPUT for bad parameters and for pictures that are there already,
 * KN_ERROR_UNSUPPORTED for a combination that the codec or the container cannot hold, KN_ERROR_IO when nothing can be
 * written there. */
bool kn_film_writer_create(kn_film_writer **writer, const char *path, const kn_film_params *params, kn_error *error);

/* Appends a frame; planes, time (rising) and header are read. KN_ERROR_INPUT for a NaN or an infinity that the format
 * cannot hold; KN_ERROR_IO for a full disk. */
bool kn_film_writer_add(kn_film_writer *writer, const kn_film_frame *frame, kn_error *error);

/* Ends the file with the rest of the sound, flushes it to the disk and gives it its name. */
bool kn_film_writer_commit(kn_film_writer *writer, kn_error *error);

/* Removes what is unfinished unless it was committed. */
void kn_film_writer_destroy(kn_film_writer **writer);

/* --- shots
 * ------------------------------------------------------------------------------------------------------------- */

/* Finds cuts in frames that are given one after another. */
typedef struct kn_shots kn_shots;

/* Frames of 3 or 4 planes of this size. `threshold` 0..100: 0 takes 10, which finds hard cuts and leaves motion and
 * exposure changes alone. */
bool kn_shots_create(kn_shots **shots, int width, int height, double threshold, kn_error *error);

/* Does a new shot begin with this frame? True for the first one. NaN in the planes counts as black. */
bool kn_shots_next(kn_shots *shots, const float *planes);

void kn_shots_destroy(kn_shots **shots);

#ifdef __cplusplus
}
#endif
#endif
