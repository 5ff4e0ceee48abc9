#include "diffusion/files/unzip.h"

#include <string.h>
#include <zlib.h>

enum {
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR_SIZE = 20,
    CENTRAL_SIZE = 46,
    LOCAL_SIZE = 30,
    MAX_COMMENT = 65535,
    MAX_ENTRIES = 1 << 20
};

static uint64_t number(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | at[i];
    return value;
}

/* --- directory -------------------------------------------------------------------------------- */

typedef struct directory {
    uint64_t offset, size, count;
} directory;

/* The end record lies before a comment of at most 65535 bytes. */
static const uint8_t *find_end(const uint8_t *data, size_t size) {
    for (size_t back = END_SIZE; back <= size && back <= END_SIZE + MAX_COMMENT; back++) {
        const uint8_t *at = data + size - back;
        if (memcmp(at, "PK\5\6", 4) == 0 && number(at + 20, 2) + END_SIZE == back) return at;
    }
    return NULL;
}

static bool find_directory(directory *found, const uint8_t *data, size_t size, const char *label, kn_error *error) {
    const uint8_t *end = find_end(data, size);
    if (!end)
        return kn_fail(error, KN_ERROR_INPUT, "%s: the zip archive has no directory at its end (truncated file?)",
                       label);
    *found = (directory){number(end + 16, 4), number(end + 12, 4), number(end + 10, 2)};
    size_t before = (size_t)(end - data);
    if (before >= LOCATOR_SIZE && memcmp(end - LOCATOR_SIZE, "PK\6\7", 4) == 0) {
        uint64_t at = number(end - LOCATOR_SIZE + 8, 8);
        if (at > size || size - at < END64_SIZE || memcmp(data + at, "PK\6\6", 4) != 0)
            return kn_fail(error, KN_ERROR_INPUT, "%s: the zip archive's 64-bit end record is not where it should be",
                           label);
        *found = (directory){number(data + at + 48, 8), number(data + at + 40, 8), number(data + at + 32, 8)};
    }
    if (found->offset > size || found->size > size - found->offset || found->count > MAX_ENTRIES)
        return kn_fail(error, KN_ERROR_INPUT, "%s: the zip archive's directory lies outside the file", label);
    return true;
}

/* Values of 32 bits that are all ones stand in the zip64 extra field, in this order. */
static bool read_extra(const uint8_t *extra, size_t size, uint64_t *const values[3]) {
    while (size >= 4) {
        size_t id = (size_t)number(extra, 2), length = (size_t)number(extra + 2, 2);
        if (length > size - 4) return false;
        if (id == 1) {
            const uint8_t *at = extra + 4;
            for (int i = 0; i < 3; i++) {
                if (*values[i] != 0xffffffffu) continue;
                if (length < 8) return false;
                *values[i] = number(at, 8);
                at += 8, length -= 8;
            }
            return true;
        }
        extra += 4 + length;
        size -= 4 + length;
    }
    return true;
}

static bool read_entry(kn_unzip *zip, const uint8_t *data, size_t size, const uint8_t *central, size_t left,
                       size_t *used, const char *label, kn_error *error) {
    if (left < CENTRAL_SIZE || memcmp(central, "PK\1\2", 4) != 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: entry %zu of the zip archive's directory is damaged", label,
                       zip->count + 1);
    size_t name_length = (size_t)number(central + 28, 2), extra = (size_t)number(central + 30, 2),
           comment = (size_t)number(central + 32, 2);
    *used = CENTRAL_SIZE + name_length + extra + comment;
    uint64_t packed = number(central + 20, 4), unpacked = number(central + 24, 4), offset = number(central + 42, 4);
    int flags = (int)number(central + 8, 2), method = (int)number(central + 10, 2);
    if (*used > left ||
        !read_extra(central + CENTRAL_SIZE + name_length, extra, (uint64_t *const[3]){&unpacked, &packed, &offset}))
        return kn_fail(error, KN_ERROR_INPUT, "%s: entry %zu of the zip archive's directory is damaged", label,
                       zip->count + 1);
    const char *name = (const char *)central + CENTRAL_SIZE;
    int shown = (int)kn_min_size(name_length, 100);
    if ((flags & 1) || (method != 0 && method != 8))
        return kn_fail(
            error, KN_ERROR_UNSUPPORTED,
            "%s: member '%.*s' is encrypted or packed with method %d; stored and deflated ones are supported", label,
            shown, name, method);
    if (offset > size || size - offset < LOCAL_SIZE || memcmp(data + offset, "PK\3\4", 4) != 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: member '%.*s' does not begin where the directory says", label, shown,
                       name);
    uint64_t start = offset + LOCAL_SIZE + number(data + offset + 26, 2) + number(data + offset + 28, 2);
    if (start > size || packed > size - start || (method == 0 && packed != unpacked))
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: member '%.*s': its %llu bytes lie outside the file (truncated file?)", label, shown, name,
                       (unsigned long long)packed);
    if (!kn_grow(&zip->entries, &zip->capacity, zip->count + 1, sizeof *zip->entries, error)) return false;
    zip->entries[zip->count++] =
        (kn_unzip_entry){name, name_length, data + start, (size_t)packed, (size_t)unpacked, method == 8};
    return true;
}

bool kn_unzip_init(kn_unzip *zip, const uint8_t *data, size_t size, const char *label, kn_error *error) {
    directory found = {0};
    *zip = (kn_unzip){.budget = size > SIZE_MAX / 1032 ? SIZE_MAX : size * 1032}; /* deflate packs at most 1032 to 1 */
    if (!find_directory(&found, data, size, label, error)) return false;
    const uint8_t *at = data + found.offset;
    size_t left = (size_t)found.size, used = 0;
    for (uint64_t i = 0; i < found.count; i++) {
        if (!read_entry(zip, data, size, at, left, &used, label, error)) return false;
        at += used;
        left -= used;
    }
    return true;
}

void kn_unzip_finish(kn_unzip *zip) {
    kn_free(zip->entries);
    *zip = (kn_unzip){0};
}

const kn_unzip_entry *kn_unzip_find(const kn_unzip *zip, const char *suffix) {
    size_t length = strlen(suffix);
    for (size_t i = 0; i < zip->count; i++) {
        const kn_unzip_entry *entry = &zip->entries[i];
        if (entry->name_length >= length && memcmp(entry->name + entry->name_length - length, suffix, length) == 0 &&
            (entry->name_length == length || entry->name[entry->name_length - length - 1] == '/'))
            return entry;
    }
    return NULL;
}

/* --- members ---------------------------------------------------------------------------------- */

const uint8_t *kn_unzip_bytes(kn_unzip *zip, const kn_unzip_entry *entry, kn_arena *arena, const char *label,
                              kn_error *error) {
    int shown = (int)kn_min_size(entry->name_length, 100);
    if (!entry->deflated) return entry->data;
    if (entry->size / 1032 > entry->packed || entry->size > zip->budget || entry->packed > UINT32_MAX ||
        entry->size > UINT32_MAX) {
        kn_fail(error, KN_ERROR_INPUT, "%s: member '%.*s': %zu bytes cannot unpack to %zu", label, shown, entry->name,
                entry->packed, entry->size);
        return NULL;
    }
    zip->budget -= entry->size;
    uint8_t *out = kn_arena_alloc(arena, entry->size + 1, 1, error);
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)entry->data,
                       .avail_in = (uInt)entry->packed,
                       .next_out = out,
                       .avail_out = (uInt)entry->size};
    if (!out) return NULL;
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
        kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", label);
        return NULL;
    }
    int status = inflate(&stream, Z_FINISH);
    size_t got = stream.total_out;
    inflateEnd(&stream);
    if (status == Z_STREAM_END && got == entry->size) return out;
    kn_fail(error, KN_ERROR_INPUT, "%s: member '%.*s': the packed data is damaged", label, shown, entry->name);
    return NULL;
}
