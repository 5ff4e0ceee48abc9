/* Which side of a stored picture is up, and what a camera wrote into its file. */
#ifndef KN_BASE_ORIENT_H
#define KN_BASE_ORIENT_H

#include "kinora/base.h"

/* How stored pixels are brought upright: first mirrored left to right, then turned clockwise. {0}: as stored. */
typedef struct kn_orientation {
    int quarter_turns; /* 0..3, clockwise */
    bool mirrored;
} kn_orientation;

/* Exif's Orientation tag, 1..8; any other value: as stored. */
kn_orientation kn_orientation_of_exif(int value);

/* What undoes `orientation`. */
kn_orientation kn_orientation_inverse(kn_orientation orientation);

/* Does it swap width and height? */
static inline bool kn_orientation_swaps(kn_orientation orientation) { return orientation.quarter_turns & 1; }

/* Copies source [height][width] of pixels of `bytes` bytes to target, upright: [width][height] where the sides swap. */
void kn_orient(void *target, const void *source, int width, int height, size_t bytes, kn_orientation orientation);

/* What Kinora reads of Exif 2.3. */
typedef struct kn_exif {
    int orientation; /* 1..8; 1 where the file says nothing */
    int focal_35mm;  /* FocalLengthIn35mmFilm, 5..1000 mm; 0: unknown */
} kn_exif;

/* From the bytes of a JPEG (APP1), PNG (eXIf) or TIFF file; only its beginning is needed. Hostile bytes do no harm. */
kn_exif kn_exif_read(const uint8_t *data, size_t size);

#endif
