/* A folder of numbered PNG files as a kn_video_writer's target, and a folder of images as a reader's source. */
#ifndef KN_ENCODERS_SEQUENCE_H
#define KN_ENCODERS_SEQUENCE_H

#include "base/base.h"

/* Makes an empty folder; removes files that an earlier, killed writer left in it. */
bool kn_sequence_prepare(const char *folder, kn_error *error);
/* Writes rgb [height][width][3] as folder/NNNNN.png. */
bool kn_sequence_write(const char *folder, int64_t index, const uint8_t *rgb, int width, int height, kn_error *error);
/* Renames the folder to `path`, which it replaces if that holds only files. */
bool kn_sequence_commit(const char *folder, const char *path, kn_error *error);
/* Removes a folder and the files in it, as far as that is possible. */
void kn_sequence_remove(const char *folder);

/* Names of the PNG, JPEG, BMP and TGA files of a folder, sorted; each and the array are freed with kn_free. */
bool kn_sequence_list(const char *folder, char ***names, size_t *count, kn_error *error);

#endif
