/* Errors, logging and images shared by every Kinora module.
 *
 * Rules of the whole API (stated once):
 *  - Parameters and what they point to need to live only until the call returns, unless a comment says otherwise.
 *  - `create` allocates a handle and `destroy` takes a pointer to it, accepts NULL, frees it and clears it.
 *    `init`/`finish` do the same for memory that the caller owns.
 *  - Functions that can fail return true on success. On failure they return false, fill `error` (which may be NULL),
 *    leave outputs untouched or cleared, and have released whatever they had acquired.
 *  - Handles are not thread-safe unless their comment says so; different handles may be used from different threads.
 *  - Units: metres, radians, seconds, pixels, unless a name or comment says
 * otherwise. */
#ifndef KINORA_BASE_H
#define KINORA_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What went wrong; the command line turns any kind into exit code 2 except KN_ERROR_INTERNAL (1). */
typedef enum kn_error_kind {
    KN_ERROR_NONE = 0,
    KN_ERROR_INPUT,       /* a file or an argument is wrong: message names file, place and what was expected */
    KN_ERROR_IO,          /* the operating system refused: absent file, full disk, no permission */
    KN_ERROR_MEMORY,      /* host or device memory ran out */
    KN_ERROR_DEVICE,      /* no usable device, device lost, driver error */
    KN_ERROR_UNSUPPORTED, /* valid input outside what Kinora does */
    KN_ERROR_CANCELLED,   /* the caller's callback asked to stop */
    KN_ERROR_INTERNAL     /* a broken invariant: a bug in Kinora */
} kn_error_kind;

/* An error. The message is one line, without a final full stop or newline. */
typedef struct kn_error {
    kn_error_kind kind;
    char message[1000];
} kn_error;

/* Fills `error` (may be NULL) and returns false, so that `return kn_fail(...)` reads well. */
bool kn_fail(kn_error *error, kn_error_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "format: " before the message of an error that is being passed up. Returns false. */
bool kn_fail_prefix(kn_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

typedef enum kn_log_level { KN_LOG_ERROR, KN_LOG_WARNING, KN_LOG_INFO, KN_LOG_DEBUG } kn_log_level;

/* Receives one line without a newline. May be called from any thread that uses Kinora. */
typedef void (*kn_log_callback)(void *user, kn_log_level level, const char *line);

/* A place for messages; passed by value into create functions. A zeroed one is silent. */
typedef struct kn_log {
    kn_log_callback callback;
    void *user;
    kn_log_level level; /* lines above this level are dropped */
} kn_log;

void kn_log_line(const kn_log *log, kn_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Reports progress: `done` of `total` units of `stage`. Returns false to ask for a stop (KN_ERROR_CANCELLED). */
typedef bool (*kn_progress_callback)(void *user, const char *stage, uint64_t done, uint64_t total);

/* An 8-bit image, interleaved, rows without padding: data[(y * width + x) * channels + c]. */
typedef struct kn_image {
    int width, height, channels; /* channels: 1, 3 or 4 */
    uint8_t *data;               /* owned; NULL when empty */
} kn_image;

bool kn_image_init(kn_image *image, int width, int height, int channels, kn_error *error);
void kn_image_finish(kn_image *image);

/* Reads PNG, JPEG, BMP or TGA, upright as the file's Exif orientation says; `channels` 0 keeps the file's. At most
 * 16384 x 16384. */
bool kn_image_read(kn_image *image, const char *path, int channels, kn_error *error);

/* Writes an 8-bit PNG beside `path` and renames it into place. */
bool kn_image_write_png(const kn_image *image, const char *path, kn_error *error);

#ifdef __cplusplus
}
#endif
#endif
