/* Helpers that every module may use: allocation, files, strings. Internal. */
#ifndef KN_BASE_BASE_H
#define KN_BASE_BASE_H

#include "kinora/base.h"

#include <stdio.h>

#define KN_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline size_t kn_min_size(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t kn_max_size(size_t a, size_t b) { return a > b ? a : b; }

/* --- allocation ------------------------------------------------------------------------------- */

/* Zeroed array of `count` elements of `size` bytes; NULL with KN_ERROR_MEMORY on overflow or when memory runs out.
 * A count of 0 gives a valid pointer. Free with kn_free. All modules allocate through these three. */
void *kn_alloc(size_t count, size_t size, kn_error *error);

/* Grows *array (elements of `size` bytes, capacity *capacity) so that it holds at least `needed` elements. */
bool kn_grow(void *array_pointer, size_t *capacity, size_t needed, size_t size, kn_error *error);

void kn_free(void *memory);

/* Gives freed memory that lies between memory in use back to the system, where the C library can. For after much was
 * freed. */
void kn_trim(void);

/* Copy of a string; NULL with KN_ERROR_MEMORY. */
char *kn_strdup(const char *text, kn_error *error);

/* printf into a new string; NULL with KN_ERROR_MEMORY. */
char *kn_format(kn_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Tests only: the n-th allocation from now fails (1 = the next one); 0 switches it off. Per thread. Returns how many
 * were left to go: 0 when the failure has happened. */
uint64_t kn_alloc_fail_after(uint64_t n);

/* Bump allocator whose blocks are all freed at once. */
typedef struct kn_arena {
    struct kn_arena_block *blocks;
} kn_arena;

/* Zeroed, 16-byte aligned memory that lives until kn_arena_finish. */
void *kn_arena_alloc(kn_arena *arena, size_t count, size_t size, kn_error *error);
char *kn_arena_strdup(kn_arena *arena, const char *text, kn_error *error);
void kn_arena_finish(kn_arena *arena);

/* --- files ------------------------------------------------------------------------------------ */

/* Reads a whole file; adds a final NUL that is not counted. Files above `limit` bytes are refused. */
bool kn_file_read(const char *path, size_t limit, uint8_t **data, size_t *size, kn_error *error);

/* A read-only memory map of a file, for weights. The file must not be shortened while it is mapped: the system ends a
 * process that reads beyond the new end. Everything else is read with kn_file_read, which does not mind. */
typedef struct kn_file_map {
    const uint8_t *data;
    size_t size;
} kn_file_map;
bool kn_file_map_init(kn_file_map *map, const char *path, kn_error *error);
void kn_file_map_finish(kn_file_map *map);
/* Takes the whole pages of [from, from + size) that lie in the map out of the process's memory; they are read again
 * when used. */
void kn_file_map_drop(const kn_file_map *map, const void *from, size_t size);

/* A file that appears under its final name only when it is complete: written to "<path>.part", flushed, renamed. */
typedef struct kn_file_writer {
    FILE *stream;
    char *path, *part_path;
} kn_file_writer;
bool kn_file_writer_init(kn_file_writer *writer, const char *path, kn_error *error);
bool kn_file_writer_commit(kn_file_writer *writer, kn_error *error); /* also finishes, whatever the outcome */
void kn_file_writer_finish(kn_file_writer *writer);                  /* drops an uncommitted file */

/* Whether a file can be made at `path`, asked before minutes are spent on what goes into it; leaves nothing.
 * KN_ERROR_IO. */
bool kn_file_try(const char *path, kn_error *error);

/* Writes a whole file through kn_file_writer. */
bool kn_file_write(const char *path, const void *data, size_t size, kn_error *error);

/* kn_image_read without turning: pixels as they are stored, which is what camera files from elsewhere are about. */
bool kn_image_read_stored(kn_image *image, const char *path, int channels, kn_error *error);

/* Writes an 8-bit PNG as kn_image_write_png does, with text chunks: texts[i] is a keyword (Latin-1, 1..79 bytes) and
 * its UTF-8 text. */
bool kn_image_write_png_text(const kn_image *image, const char *path, const char *const (*texts)[2], int count,
                             kn_error *error);

bool kn_file_exists(const char *path);
bool kn_make_directories(const char *path, kn_error *error);

/* The length of the longest leading part of `path` that exists, in whole names; 0 when not even its first one does. */
size_t kn_path_existing(const char *path);
/* Takes back kn_make_directories: removes the folder `path` and its parents from the innermost outwards, down to the
 * leading part of `kept` bytes (from kn_path_existing before), as far as they are empty. */
void kn_remove_made_directories(const char *path, size_t kept);

/* "dir/of/base" joined with `path` unless that is absolute; new string. */
char *kn_path_beside(const char *base_file, const char *path, kn_error *error);
char *kn_path_join(const char *directory, const char *name, kn_error *error);

/* --- hashing ---------------------------------------------------------------------------------- */

/* SHA-256 (FIPS 180-4) as 64 lower-case hexadecimal digits and a NUL. */
void kn_sha256_hex(const void *data, size_t size, char hex[65]);

/* 64-bit mixing function (splitmix64 finaliser) and hash for seeded, order-independent choices. */
uint64_t kn_hash64(uint64_t value);

#endif
