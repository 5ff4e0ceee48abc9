/* A folder of numbered PNG files as a kn_video_writer's target. */
#ifndef KN_ENCODERS_SEQUENCE_H
#define KN_ENCODERS_SEQUENCE_H

#include "base/base.h"

/* Is `path` free, or a folder that holds nothing but an earlier sequence, which may be replaced? KN_ERROR_INPUT. */
bool kn_sequence_check(const char *path, kn_error *error);
/* Makes an empty folder; removes what an earlier, killed writer left in it, but nothing else. */
bool kn_sequence_prepare(const char *folder, kn_error *error);
/* Writes rgb [height][width][3] as folder/NNNNN.png. */
bool kn_sequence_write(const char *folder, int64_t index, const uint8_t *rgb, int width, int height, kn_error *error);
/* Renames the folder to `path`, which it replaces if kn_sequence_check allows it. */
bool kn_sequence_commit(const char *folder, const char *path, kn_error *error);
/* Removes a folder and the files in it, as far as that is possible. */
void kn_sequence_remove(const char *folder);

#endif
