/* The members of a zip archive in memory, as far as PyTorch's files need it: stored or deflated members, zip64. Format: PKWARE's
 * APPNOTE 6.3. Internal to diffusion/. */
#ifndef KN_DIFFUSION_ZIP_H
#define KN_DIFFUSION_ZIP_H

#include "base/base.h"

typedef struct kn_zip_entry {
    const char *name;       /* `name_length` bytes, no NUL */
    size_t name_length;
    const uint8_t *data;    /* packed bytes */
    size_t packed, size;    /* equal when stored */
    bool deflated;
} kn_zip_entry;

typedef struct kn_zip {
    kn_zip_entry *entries;
    size_t count, capacity;
    size_t budget;          /* bytes that may still be unpacked: members that share their bytes must not multiply them */
} kn_zip;

/* Reads the central directory; members that are encrypted or packed in another way are refused. Finish also after failure. */
bool kn_zip_init(kn_zip *zip, const uint8_t *data, size_t size, const char *label, kn_error *error);
void kn_zip_finish(kn_zip *zip);
/* The member whose name ends with `suffix` after a '/' (or is it); NULL when there is none. */
const kn_zip_entry *kn_zip_find(const kn_zip *zip, const char *suffix);
/* The member's bytes: in place when stored, else unpacked into the arena. NULL with the error set. */
const uint8_t *kn_zip_bytes(kn_zip *zip, const kn_zip_entry *entry, kn_arena *arena, const char *label, kn_error *error);

#endif
