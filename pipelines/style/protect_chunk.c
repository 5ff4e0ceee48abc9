/* Painted details in the work folder: squares and with which strength they were sampled, for each file of frames, and
 * what the next frame needs. */
#include "pipelines/style/protect_job.h"

#include <string.h>

char *kn_protect_crops_path(const kn_style *style, size_t chunk, kn_error *error) {
    return kn_format(error, "%s/details-%06zu.mkv", style->work, chunk);
}

char *kn_protect_levels_path(const kn_style *style, size_t chunk, kn_error *error) {
    return kn_format(error, "%s/details-%06zu", style->work, chunk);
}

bool kn_protect_begin_chunk(kn_style *style, size_t chunk, kn_error *error) {
    struct kn_protected *p = style->protected;
    char *path = kn_protect_crops_path(style, chunk, error);
    kn_film_params params = {.width = p->side,
                             .height = p->side * (int)p->marks.count,
                             .channels = 3,
                             .rate = {25, 1},
                             .codec = KN_FILM_FFV1,
                             .depth = 16,
                             .rgb = true,
                             .overwrite = true};
    bool ok = path && kn_film_writer_create(&p->writer, path, &params, error);
    kn_free(path);
    return ok;
}

bool kn_protect_end_chunk(kn_style *style, size_t chunk, kn_error *error) {
    struct kn_protected *p = style->protected;
    char *path = kn_protect_levels_path(style, chunk, error);
    bool ok = path && kn_film_writer_commit(p->writer, error) &&
              kn_file_write(path, p->sampled, KN_STYLE_CHUNK * p->marks.count, error);
    kn_film_writer_destroy(&p->writer);
    kn_free(path);
    return ok;
}

/* --- what the next frame needs ---------------------------------------------------------------- */

static char *memory_path(const kn_style *style, size_t chunk, kn_error *error) {
    return kn_format(error, "%s/details-memory-%zu", style->work, chunk % 2);
}

typedef struct head {
    uint64_t chunk;
    uint8_t known[KN_PROTECT_DETAILS];
    int32_t levels[KN_PROTECT_DETAILS];
} head;

bool kn_protect_save_memory(const kn_style *style, size_t chunk, kn_error *error) {
    const struct kn_protected *p = style->protected;
    size_t floats = kn_clip_memory_floats(p->clips[0]), crop = 3 * (size_t)p->side * (size_t)p->side;
    char *path = memory_path(style, chunk, error);
    kn_file_writer writer = {0};
    head h = {.chunk = chunk};
    for (size_t d = 0; d < p->marks.count; d++) h.known[d] = p->known[d], h.levels[d] = p->levels[d];
    bool ok = path && kn_file_writer_init(&writer, path, error);
    bool whole = ok && fwrite(&h, sizeof h, 1, writer.stream) == 1;
    for (size_t d = 0; d < p->marks.count; d++)
        whole = whole && fwrite(p->memories[d], sizeof(float), floats, writer.stream) == floats &&
                fwrite(p->before[d], sizeof(float), crop, writer.stream) == crop;
    if (ok && !whole) ok = kn_fail(error, KN_ERROR_IO, "%s: cannot write", path);
    ok = ok && kn_file_writer_commit(&writer, error);
    kn_file_writer_finish(&writer);
    kn_free(path);
    return ok;
}

bool kn_protect_load_memory(kn_style *style, size_t chunk, kn_error *error) {
    struct kn_protected *p = style->protected;
    size_t floats = kn_clip_memory_floats(p->clips[0]), crop = 3 * (size_t)p->side * (size_t)p->side, size = 0,
           each = (floats + crop) * sizeof(float), expected = sizeof(head) + p->marks.count * each;
    uint8_t *data = NULL;
    char *path = memory_path(style, chunk, error);
    head h = {0};
    bool ok = path && kn_file_read(path, expected, &data, &size, error);
    if (ok && size == expected) memcpy(&h, data, sizeof h);
    if (ok && (size != expected || h.chunk != chunk))
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: is not what chunk %zu left; begin anew with --overwrite", path, chunk);
    for (size_t d = 0; ok && d < p->marks.count; d++) {
        const uint8_t *from = data + sizeof h + d * each;
        p->known[d] = h.known[d], p->levels[d] = h.levels[d] % KN_PROTECT_LEVELS;
        memcpy(p->memories[d], from, floats * sizeof(float));
        memcpy(p->before[d], from + floats * sizeof(float), crop * sizeof(float));
    }
    kn_free(data);
    kn_free(path);
    return ok;
}
