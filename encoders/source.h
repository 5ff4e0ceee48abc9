/* Where pictures come from: a video file, or a sequence of single files; decoded one after another, as stored. What the
 * readers of RGB and of float planes have in common. */
#ifndef KN_ENCODERS_SOURCE_H
#define KN_ENCODERS_SOURCE_H

#include "base/folder.h"
#include "base/orient.h"
#include "encoders/av.h"
#include "kinora/film.h"

typedef struct kn_source {
    char *path;
    AVFormatContext *format; /* NULL for pictures */
    AVCodecContext *codec;
    const AVCodec *decoder; /* of `codec`, for pictures */
    AVFrame *frame;         /* the last decoded one */
    AVPacket *packet;
    int stream;
    bool draining;
    char *folder, **names; /* of pictures */
    size_t name_count, next_name;
    uint8_t *header; /* kn_picture_header of the last picture; NULL without one */
    size_t header_size;
    kn_orientation orientation;
    kn_rational rate, time_base, pixel_aspect; /* of the stored pixels */
    int64_t frame_count, index, start;         /* index: of the next frame; start: the file's first time stamp */
    int64_t promised;                          /* frames that the container's index lists; 0: unknown */
} kn_source;

/* Opens the file, folder or pattern and, for pictures, decodes the first one's properties. */
bool kn_source_init(kn_source *source, const char *path, kn_rational rate, kn_error *error);

/* Decodes the next frame into source->frame (until the next call) with its time in source->time_base since the
 * beginning of the file. */
bool kn_source_next(kn_source *source, int64_t *time, bool *end, kn_error *error);

/* The frame's size, format and colour tags; of a video before its first frame as the container says. */
void kn_source_describe(const kn_source *source, kn_film_info *info);

void kn_source_finish(kn_source *source);

/* --- pictures.c --- */
/* Lists the pictures of a folder or of a pattern ("plates/shot_%06d.exr"). */
bool kn_source_list(kn_source *source, kn_error *error);
/* Decodes one picture file into source->frame. */
bool kn_source_decode_picture(kn_source *source, const char *path, kn_error *error);
/* Is there one %d or %0Nd in the file name of `path`? Where it begins and ends, and the digits it asks for. */
bool kn_pattern_parse(const char *path, size_t *begin, size_t *end, int *digits);

#endif
