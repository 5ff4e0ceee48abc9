/* The members of a zip archive in memory, as far as PyTorch's files need it: stored or deflated members, zip64. Format:
 * PKWARE's APPNOTE 6.3. Internal to diffusion/. */
#ifndef KN_DIFFUSION_UNZIP_H
#define KN_DIFFUSION_UNZIP_H

#include "base/base.h"

typedef struct kn_unzip_entry {
    const char *name; /* `name_length` bytes, no NUL */
    size_t name_length;
    const uint8_t *data; /* packed bytes */
    size_t packed, size; /* equal when stored */
    bool deflated;
} kn_unzip_entry;

typedef struct kn_unzip {
    kn_unzip_entry *entries;
    size_t count, capacity;
    size_t budget; /* bytes that may still be unpacked: members that share their bytes must not multiply them */
} kn_unzip;

/* Reads the central directory; members that are encrypted or packed in another way are refused. Finish also after
 * failure. */
bool kn_unzip_init(kn_unzip *zip, const uint8_t *data, size_t size, const char *label, kn_error *error);
void kn_unzip_finish(kn_unzip *zip);
/* The member whose name ends with `suffix` after a '/' (or is it); NULL when there is none. */
const kn_unzip_entry *kn_unzip_find(const kn_unzip *zip, const char *suffix);
/* The member's bytes: in place when stored, else unpacked into the arena. NULL with the error set. */
const uint8_t *kn_unzip_bytes(kn_unzip *zip, const kn_unzip_entry *entry, kn_arena *arena, const char *label,
                              kn_error *error);

#endif
