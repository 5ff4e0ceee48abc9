/* Any bytes as a pickle, as PyTorch's zip archive, and as the data.pkl of an archive whose storages are there. */
#include "diffusion/files/pickle.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(kn_archive *archive) {
    for (size_t i = 0; i < archive->count; i++) {
        const kn_stored_tensor *tensor = &archive->tensors[i];
        float *values = tensor->count < 1 << 20 ? kn_alloc(tensor->count, sizeof *values, NULL) : NULL;
        if (values) kn_stored_tensor_to_float(tensor, values);
        kn_free(values);
    }
    kn_archive_close(&archive);
}

static void put(uint8_t **at, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) *(*at)++ = i < 8 ? (uint8_t)(value >> (8 * i)) : 0;
}

/* One stored member at `start`; its entry of the directory goes to *directory. */
static void member(uint8_t **at, uint8_t **directory, const uint8_t *start, const char *name, const uint8_t *data,
                   size_t size) {
    size_t length = strlen(name), offset = (size_t)(*at - start);
    put(at, 0x04034b50, 4), put(at, 0, 22), put(at, length, 2), put(at, 0, 2);
    memcpy(*at, name, length), *at += length;
    memcpy(*at, data, size), *at += size;
    put(directory, 0x02014b50, 4), put(directory, 0, 16), put(directory, size, 4), put(directory, size, 4),
        put(directory, length, 2), put(directory, 0, 12), put(directory, offset, 4);
    memcpy(*directory, name, length), *directory += length;
}

static void as_archive(const uint8_t *data, size_t size) {
    static const uint8_t storage[96];
    uint8_t directory[512], *entries = directory, *bytes = kn_alloc(size + 1024, 1, NULL), *at = bytes;
    kn_archive *archive;
    if (!bytes) return;
    member(&at, &entries, bytes, "a/data.pkl", data, size);
    member(&at, &entries, bytes, "a/data/0", storage, sizeof storage);
    member(&at, &entries, bytes, "a/data/1", storage, 10);
    size_t offset = (size_t)(at - bytes), length = (size_t)(entries - directory);
    memcpy(at, directory, length), at += length;
    put(&at, 0x06054b50, 4), put(&at, 0, 4), put(&at, 3, 2), put(&at, 3, 2), put(&at, length, 4), put(&at, offset, 4),
        put(&at, 0, 2);
    if (kn_archive_parse_as(&archive, bytes, (size_t)(at - bytes), "fuzz", kn_torch_read, NULL)) touch(archive);
    kn_free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    kn_pickle pickle;
    kn_archive *archive;
    kn_pickle_init(&pickle, data, size, "fuzz", NULL);
    kn_pickle_finish(&pickle);
    if (kn_archive_parse_as(&archive, data, size, "fuzz", kn_torch_read, NULL)) touch(archive);
    as_archive(data, size);
    return 0;
}
