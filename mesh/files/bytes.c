/* Growing byte strings, PNG pictures and ZIP archives in memory. */
#include "mesh/views/mesh.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

void kn_bytes_add(kn_bytes *bytes, const void *data, size_t size) {
    if (bytes->failed || size == 0) return;
    if (!kn_grow(&bytes->data, &bytes->capacity, bytes->size + size, 1, NULL)) {
        bytes->failed = true;
        return;
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

void kn_bytes_print(kn_bytes *bytes, const char *format, ...) {
    char text[2048];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (length < 0 || (size_t)length >= sizeof text) bytes->failed = true;
    else kn_bytes_add(bytes, text, (size_t)length);
}

void kn_bytes_finish(kn_bytes *bytes) {
    kn_free(bytes->data);
    *bytes = (kn_bytes){0};
}

/* --- PNG (ISO/IEC 15948) ---------------------------------------------------------------------- */

static void png_chunk(kn_bytes *out, const char *type, const uint8_t *data, size_t size) {
    uint8_t word[4] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size};
    kn_bytes_add(out, word, 4);
    kn_bytes_add(out, type, 4);
    kn_bytes_add(out, data, size);
    uLong sum = crc32(0, (const Bytef *)type, 4);
    if (size) sum = crc32(sum, data, (uInt)size); /* crc32 without data would start anew */
    for (int i = 0; i < 4; i++) word[i] = (uint8_t)(sum >> (24 - 8 * i));
    kn_bytes_add(out, word, 4);
}

/* One row with the Paeth filter: each byte less the neighbour that its left, upper and upper left predict. */
static void png_row(const uint8_t *row, const uint8_t *above, size_t size, size_t pixel, uint8_t *out) {
    *out++ = 4;
    for (size_t i = 0; i < size; i++) {
        int a = i >= pixel ? row[i - pixel] : 0, b = above ? above[i] : 0,
            c = above && i >= pixel ? above[i - pixel] : 0;
        int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
        out[i] = (uint8_t)(row[i] - (pa <= pb && pa <= pc ? a : pb <= pc ? b : c));
    }
}

bool kn_png_encode(const kn_image *image, uint8_t **data, size_t *size, kn_error *error) {
    size_t pixel = (size_t)image->channels, row = pixel * (size_t)image->width,
           raw_size = (row + 1) * (size_t)image->height;
    uLongf packed_size = compressBound((uLong)raw_size);
    uint8_t *raw = kn_alloc(raw_size, 1, error), *packed = kn_alloc(packed_size, 1, error);
    kn_bytes out = {0};
    bool ok = raw && packed;
    if (ok) {
        for (size_t y = 0; y < (size_t)image->height; y++)
            png_row(image->data + y * row, y ? image->data + (y - 1) * row : NULL, row, pixel, raw + y * (row + 1));
        uint8_t header[13] = {(uint8_t)(image->width >> 24),
                              (uint8_t)(image->width >> 16),
                              (uint8_t)(image->width >> 8),
                              (uint8_t)image->width,
                              (uint8_t)(image->height >> 24),
                              (uint8_t)(image->height >> 16),
                              (uint8_t)(image->height >> 8),
                              (uint8_t)image->height,
                              8,
                              pixel == 1   ? 0
                              : pixel == 3 ? 2
                                           : 6};
        ok = compress2(packed, &packed_size, raw, (uLong)raw_size, 6) == Z_OK;
        kn_bytes_add(&out, "\x89PNG\r\n\x1a\n", 8);
        png_chunk(&out, "IHDR", header, sizeof header);
        png_chunk(&out, "sRGB", (const uint8_t *)"\0", 1);
        png_chunk(&out, "IDAT", packed, packed_size);
        png_chunk(&out, "IEND", NULL, 0);
        ok = ok && !out.failed;
        if (!ok) kn_fail(error, KN_ERROR_MEMORY, "out of memory for a picture"), kn_bytes_finish(&out);
    }
    kn_free(raw), kn_free(packed);
    *data = out.data, *size = out.size;
    return ok;
}

/* --- ZIP -------------------------------------------------------------------------------------- */

static void put16(kn_bytes *out, unsigned value) {
    kn_bytes_add(out, (const uint8_t[]){(uint8_t)value, (uint8_t)(value >> 8)}, 2);
}
static void put32(kn_bytes *out, size_t value) {
    kn_bytes_add(
        out, (const uint8_t[]){(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)},
        4);
}

/* Raw deflate as ZIP wants it; *size becomes the packed size. */
static uint8_t *deflate_raw(const void *data, size_t *size, kn_error *error) {
    z_stream z = {0};
    if (deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return kn_fail(error, KN_ERROR_MEMORY, "out of memory"), NULL;
    uLong bound = deflateBound(&z, (uLong)*size);
    uint8_t *out = kn_alloc(bound, 1, error);
    if (out) {
        z.next_in = (Bytef *)(uintptr_t)data, z.avail_in = (uInt)*size, z.next_out = out, z.avail_out = (uInt)bound;
        deflate(&z, Z_FINISH);
        *size = z.total_out;
    }
    deflateEnd(&z);
    return out;
}

/* The fields that the local header and the directory share. */
static void zip_fields(kn_bytes *out, bool deflated, uLong sum, size_t packed, size_t size, size_t name, size_t extra) {
    put16(out, 20), put16(out, 0), put16(out, deflated ? 8 : 0), put16(out, 0),
        put16(out, 0x21); /* 1980-01-01: the same bytes every time */
    put32(out, sum), put32(out, packed), put32(out, size), put16(out, (unsigned)name), put16(out, (unsigned)extra);
}

bool kn_zip_add(kn_zip *zip, const char *name, const void *data, size_t size, bool deflated, unsigned align,
                kn_error *error) {
    if (size > 0x7fffffff || zip->file.size > 0x7fffffff)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: the archive would be larger than 2 GiB", name);
    size_t packed_size = size, at = zip->file.size, length = strlen(name), extra = 0;
    uint8_t *packed = deflated ? deflate_raw(data, &packed_size, error) : NULL;
    if (deflated && !packed) return false;
    uLong sum = crc32(0, data, (uInt)size);
    if (align > 1) { /* an extra field of at least its own header's four bytes moves the data */
        extra = align - (at + 30 + length) % align;
        if (extra < 4) extra += align;
    }
    put32(&zip->file, 0x04034b50);
    zip_fields(&zip->file, deflated, sum, packed_size, size, length, extra);
    kn_bytes_add(&zip->file, name, length);
    if (extra) {
        static const uint8_t zeros[256];
        put16(&zip->file, 0x1986), put16(&zip->file, (unsigned)extra - 4);
        kn_bytes_add(&zip->file, zeros, extra - 4);
    }
    kn_bytes_add(&zip->file, packed ? packed : data, packed_size);
    put32(&zip->directory, 0x02014b50);
    put16(&zip->directory, 20);
    zip_fields(&zip->directory, deflated, sum, packed_size, size, length, 0);
    put16(&zip->directory, 0), put16(&zip->directory, 0), put16(&zip->directory, 0), put32(&zip->directory, 0),
        put32(&zip->directory, at);
    kn_bytes_add(&zip->directory, name, length);
    zip->entries++;
    kn_free(packed);
    return zip->file.failed || zip->directory.failed ? kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", name)
                                                     : true;
}

bool kn_zip_write(kn_zip *zip, const char *path, kn_error *error) {
    size_t at = zip->file.size;
    kn_bytes_add(&zip->file, zip->directory.data, zip->directory.size);
    put32(&zip->file, 0x06054b50);
    put16(&zip->file, 0), put16(&zip->file, 0), put16(&zip->file, zip->entries), put16(&zip->file, zip->entries);
    put32(&zip->file, zip->directory.size), put32(&zip->file, at), put16(&zip->file, 0);
    if (zip->file.failed) return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path);
    return kn_file_write(path, zip->file.data, zip->file.size, error);
}

void kn_zip_finish(kn_zip *zip) {
    kn_bytes_finish(&zip->file), kn_bytes_finish(&zip->directory);
    *zip = (kn_zip){0};
}
