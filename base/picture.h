/* Picture files with texts in them. Internal to Kinora. */
#ifndef KN_BASE_PICTURE_H
#define KN_BASE_PICTURE_H

#include "base/base.h"

/* Writes a JPEG of a colour or grey picture (quality 1..100) with the texts "parameters" as EXIF's UserComment, where
 * other tools look for them, and others as XMP properties TC260:<keyword>. Written beside `path` and renamed. */
bool kn_image_write_jpeg_text(const kn_image *image, const char *path, int quality, const char *const (*texts)[2],
                              int count, kn_error *error);

#endif
