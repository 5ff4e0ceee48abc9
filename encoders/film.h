/* What the files of the film writer share. */
#ifndef KN_ENCODERS_FILM_H
#define KN_ENCODERS_FILM_H

#include "encoders/av.h"
#include "kinora/film.h"

/* --- film_codec.c --- */
/* How a film of these parameters is stored. */
typedef struct kn_film_setup {
    const char *encoder, *muxer; /* libav's; muxer NULL: single pictures */
    enum AVPixelFormat format;
    bool turns; /* the container carries a rotation */
} kn_film_setup;
bool kn_film_setup_init(kn_film_setup *setup, const char *path, const kn_film_params *params, kn_error *error);
/* Options of the encoder, before it is opened. */
bool kn_film_codec_options(AVCodecContext *codec, const kn_film_params *params, kn_error *error);

/* --- film_sound.c --- */
/* Audio packets on their way from one file to another. */
typedef struct kn_film_sound {
    AVFormatContext *from;
    AVPacket *packet;
    int *map;            /* [streams of `from`] stream of the output, or -1 */
    bool pending, ended; /* packet holds one that is too early; nothing is left */
} kn_film_sound;
/* Adds a stream to `to` for each audio stream of the file at `path`. */
bool kn_film_sound_init(kn_film_sound *sound, const char *path, AVFormatContext *to, kn_error *error);
/* Writes the packets that begin before `seconds` to `to`; INFINITY: all that are left. Returns a libav code. */
int kn_film_sound_write(kn_film_sound *sound, AVFormatContext *to, double seconds);
void kn_film_sound_finish(kn_film_sound *sound);

/* --- film_sequence.c --- */
/* Pictures on their way into a pattern of names. */
typedef struct kn_film_sequence {
    char *pattern, *folder, *part; /* the folder of the pictures; where they grow */
    char *format;                  /* of a name: the pattern's last part */
    size_t existed;                /* leading part of `folder` that was there before */
    int64_t first, count;
    bool overwrite;
} kn_film_sequence;
bool kn_film_sequence_init(kn_film_sequence *sequence, const char *pattern, int64_t first, bool overwrite,
                           kn_error *error);
/* Writes the bytes of the next picture. */
bool kn_film_sequence_add(kn_film_sequence *sequence, const uint8_t *data, size_t size, kn_error *error);
/* Gives all pictures their names, and `name` beside them those bytes (NULL: none). */
bool kn_film_sequence_commit(kn_film_sequence *sequence, const char *name, const char *text, kn_error *error);
/* Removes what was not committed. */
void kn_film_sequence_finish(kn_film_sequence *sequence);

#endif
