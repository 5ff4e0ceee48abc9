/* What EXR and DPX files say beside their pixels, kept from file to file: EXR attributes (chromaticities, timeCode,
 * owner, ...), DPX's file, film and television headers. */
#ifndef KN_ENCODERS_HEADER_H
#define KN_ENCODERS_HEADER_H

#include "encoders/av.h"

/* Copies what a picture file says into a new block (kn_free); *header NULL where it is neither an EXR of one part nor a
 * DPX, or says nothing. Hostile bytes do no harm. */
bool kn_picture_header_read(const uint8_t *file, size_t file_size, uint8_t **header, size_t *size, kn_error *error);

/* Frames per second and timecode of such a block ({0, 0} and "" where it has none). */
kn_rational kn_picture_header_rate(const uint8_t *header, size_t size);
void kn_picture_header_timecode(const uint8_t *header, size_t size, char *text, size_t text_size);

/* Puts a block of the same kind and, where that has none, `timecode` ("" for none) into a file that libav's encoder
 * made; *file is replaced. Blocks of the other kind and other files are left alone. */
bool kn_picture_header_apply(uint8_t **file, size_t *file_size, const uint8_t *header, size_t size,
                             const char *timecode, kn_error *error);

/* "01:02:03:04" (";" or "." before the frames: drop frame) of the frame `index` frames after `first`; false when
 * `first` is no timecode. */
bool kn_timecode_at(const char *first, kn_rational rate, int64_t index, char *text, size_t size);

#endif
