#include "encoders/header.h"

#include <libavutil/intreadwrite.h>
#include <libavutil/timecode.h>
#include <math.h>
#include <string.h>

/* --- timecode -------------------------------------------------------------------------------------------------------
 */

bool kn_timecode_at(const char *first, kn_rational rate, int64_t index, char *text, size_t size) {
    AVTimecode timecode;
    char buffer[AV_TIMECODE_STR_SIZE];
    if (!first || !*first || av_timecode_init_from_string(&timecode, (AVRational){rate.num, rate.den}, first, NULL) < 0)
        return false;
    snprintf(text, size, "%s", av_timecode_make_string(&timecode, buffer, (int)index));
    return true;
}

/* Hours, minutes, seconds and frames of a text that kn_timecode_at made. */
static bool parse_timecode(const char *text, unsigned part[4], bool *drop) {
    char mark;
    if (sscanf(text, "%2u:%2u:%2u%c%2u", &part[0], &part[1], &part[2], &mark, &part[3]) != 5) return false;
    *drop = mark != ':';
    return true;
}

static unsigned bcd(unsigned value) { return value / 10 << 4 | value % 10; }

static unsigned from_bcd(uint32_t value) { return (value >> 4 & 15) * 10 + (value & 15); }

/* --- EXR
 * ---------------------------------------------------------------------------------------------------------------- */

/* One attribute: name, type, size, value. */
typedef struct attribute {
    const char *name, *type;
    const uint8_t *value;
    size_t value_size, record; /* bytes of the whole record */
} attribute;

/* The attribute at `data`; false at the end of the header, and where the bytes are no attribute. */
static bool next_attribute(const uint8_t *data, size_t size, attribute *a) {
    if (size == 0 || data[0] == 0) return false;
    const uint8_t *name_end = memchr(data, 0, size < 256 ? size : 256);
    if (!name_end) return false;
    size_t at = (size_t)(name_end - data) + 1, left = size - at;
    const uint8_t *type_end = left ? memchr(data + at, 0, left < 256 ? left : 256) : NULL;
    if (!type_end) return false;
    a->name = (const char *)data;
    a->type = (const char *)data + at;
    at = (size_t)(type_end - data) + 1;
    if (size - at < 4) return false;
    a->value_size = AV_RL32(data + at);
    a->value = data + at + 4;
    if (a->value_size > size - at - 4) return false;
    a->record = at + 4 + a->value_size;
    return true;
}

static bool exr_find(const uint8_t *data, size_t size, const char *name, attribute *a) {
    for (; next_attribute(data, size, a); data += a->record, size -= a->record)
        if (strcmp(a->name, name) == 0) return true;
    return false;
}

/* What belongs to how the pixels are stored is the writer's business. */
static bool about_storage(const char *name) {
    static const char *const names[] = {"channels",
                                        "compression",
                                        "dataWindow",
                                        "displayWindow",
                                        "lineOrder",
                                        "pixelAspectRatio",
                                        "screenWindowCenter",
                                        "screenWindowWidth",
                                        "tiles",
                                        "preview",
                                        "chunkCount",
                                        "type",
                                        "name",
                                        "version",
                                        "view",
                                        "multiView",
                                        "maxSamplesPerPixel",
                                        "dwaCompressionLevel"};
    for (size_t i = 0; i < KN_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static bool is_exr(const uint8_t *file, size_t size) {
    return size > 8 && AV_RL32(file) == 20000630 && !(AV_RL32(file + 4) & 0x1800);
}

static bool exr_read(const uint8_t *file, size_t file_size, uint8_t **header, size_t *size, kn_error *error) {
    attribute a;
    size_t used = 4;
    for (size_t at = 8; next_attribute(file + at, file_size - at, &a); at += a.record)
        if (!about_storage(a.name)) used += a.record;
    if (used == 4) return true;
    uint8_t *block = kn_alloc(used, 1, error);
    if (!block) return false;
    memcpy(block, "EXR", 4);
    size_t to = 4;
    for (size_t at = 8; next_attribute(file + at, file_size - at, &a); at += a.record)
        if (!about_storage(a.name)) memcpy(block + to, file + at, a.record), to += a.record;
    *header = block, *size = used;
    return true;
}

/* Bits of OpenEXR's timeCode: frames 0-5, drop 6, seconds 8-14, minutes 16-22, hours 24-29. */
static void exr_timecode_text(const attribute *a, char *text, size_t size) {
    if (a->value_size < 4) return;
    uint32_t v = AV_RL32(a->value);
    snprintf(text, size, "%02u:%02u:%02u%c%02u", from_bcd(v >> 24 & 0x3F), from_bcd(v >> 16 & 0x7F),
             from_bcd(v >> 8 & 0x7F), v >> 6 & 1 ? ';' : ':', from_bcd(v & 0x3F));
}

static size_t exr_timecode_record(const char *timecode, uint8_t record[40]) {
    static const char head[] = "timeCode\0timecode";
    unsigned part[4];
    bool drop;
    if (!parse_timecode(timecode, part, &drop)) return 0;
    memcpy(record, head, sizeof head);
    AV_WL32(record + sizeof head, 8);
    AV_WL32(record + sizeof head + 4,
            bcd(part[0]) << 24 | bcd(part[1]) << 16 | bcd(part[2]) << 8 | (drop ? 64u : 0) | bcd(part[3]));
    AV_WL32(record + sizeof head + 8, 0);
    return sizeof head + 12;
}

/* Makes room for `more` bytes at the end of the header and moves the offsets of the pixel blocks. */
static bool exr_insert(uint8_t **file, size_t *file_size, const uint8_t *more, size_t more_size, kn_error *error) {
    attribute a;
    size_t at = 8;
    while (next_attribute(*file + at, *file_size - at, &a)) at += a.record;
    size_t table = at + 1;
    if (*file_size < table + 8) return true;
    uint64_t first = AV_RL64(*file + table), count = first > table ? (first - table) / 8 : 0;
    if (count == 0 || count > (*file_size - table) / 8) return true; /* not what libav writes */
    uint8_t *longer = kn_alloc(*file_size + more_size, 1, error);
    if (!longer) return false;
    memcpy(longer, *file, at);
    memcpy(longer + at, more, more_size);
    memcpy(longer + at + more_size, *file + at, *file_size - at);
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *offset = longer + table + more_size + 8 * i;
        AV_WL64(offset, AV_RL64(offset) + more_size);
    }
    kn_free(*file);
    *file = longer;
    *file_size += more_size;
    return true;
}

static bool exr_apply(uint8_t **file, size_t *file_size, const uint8_t *header, size_t size, const char *timecode,
                      kn_error *error) {
    attribute a, ignored;
    uint8_t *more = kn_alloc(size + 40, 1, error);
    size_t used = 0;
    if (!more) return false;
    for (size_t at = 0; at < size && next_attribute(header + at, size - at, &a); at += a.record)
        if (!exr_find(*file + 8, *file_size - 8, a.name, &ignored))
            memcpy(more + used, header + at, a.record), used += a.record;
    if (!exr_find(more, used, "timeCode", &ignored)) used += exr_timecode_record(timecode, more + used);
    bool ok = used == 0 || exr_insert(file, file_size, more, used, error);
    kn_free(more);
    return ok;
}

/* --- DPX (SMPTE 268)
 * ----------------------------------------------------------------------------------------------------- */

enum {
    DPX_CREATOR = 160,
    DPX_TEXT = 500,
    DPX_TRANSFER = 801,
    DPX_FILM = 1664,
    DPX_TIMECODE = 1920,
    DPX_RATE = 1940,
    DPX_END = 2048
};
enum {
    BLOCK_TRANSFER = 4,
    BLOCK_TEXT = 8,
    BLOCK_FILM = BLOCK_TEXT + DPX_TEXT,
    DPX_BLOCK = BLOCK_FILM + DPX_END - DPX_FILM
};

static bool is_dpx(const uint8_t *file, size_t size) {
    return size >= DPX_END && (memcmp(file, "SDPX", 4) == 0 || memcmp(file, "XPDS", 4) == 0);
}

/* The 32-bit fields of the film and television headers, between the byte orders. */
static void dpx_swap(uint8_t *film) {
    static const int ranges[][2] = {{1712, 1732}, {1920, 1928}, {1932, 1972}};
    for (size_t r = 0; r < KN_COUNT(ranges); r++)
        for (int at = ranges[r][0]; at < ranges[r][1]; at += 4)
            AV_WB32(film + at - DPX_FILM, AV_RL32(film + at - DPX_FILM));
}

static bool dpx_read(const uint8_t *file, uint8_t **header, size_t *size, kn_error *error) {
    uint8_t *block = kn_alloc(DPX_BLOCK, 1, error);
    if (!block) return false;
    memcpy(block, "DPX", 4);
    memcpy(block + BLOCK_TRANSFER, file + DPX_TRANSFER, 2);
    memcpy(block + BLOCK_TEXT, file + DPX_CREATOR, DPX_TEXT);
    memcpy(block + BLOCK_FILM, file + DPX_FILM, DPX_END - DPX_FILM);
    if (file[0] == 'X') dpx_swap(block + BLOCK_FILM);
    *header = block, *size = DPX_BLOCK;
    return true;
}

static void dpx_apply(uint8_t *file, const uint8_t *block, size_t size, const char *timecode) {
    bool little = file[0] == 'X', drop;
    unsigned part[4];
    if (size == DPX_BLOCK) {
        memcpy(file + DPX_TRANSFER, block + BLOCK_TRANSFER, 2);
        memcpy(file + DPX_CREATOR, block + BLOCK_TEXT, DPX_TEXT);
        memcpy(file + DPX_FILM, block + BLOCK_FILM, DPX_END - DPX_FILM);
        if (little) dpx_swap(file + DPX_FILM);
    }
    bool has = size == DPX_BLOCK && AV_RB32(block + BLOCK_FILM + DPX_TIMECODE - DPX_FILM) != UINT32_MAX;
    if (has || !parse_timecode(timecode, part, &drop)) return;
    uint32_t value = bcd(part[0]) << 24 | bcd(part[1]) << 16 | bcd(part[2]) << 8 | bcd(part[3]);
    if (little) AV_WL32(file + DPX_TIMECODE, value);
    else AV_WB32(file + DPX_TIMECODE, value);
}

/* --- both
 * ------------------------------------------------------------------------------------------------------------------ */

bool kn_picture_header_read(const uint8_t *file, size_t file_size, uint8_t **header, size_t *size, kn_error *error) {
    *header = NULL, *size = 0;
    if (is_exr(file, file_size)) return exr_read(file, file_size, header, size, error);
    return !is_dpx(file, file_size) || dpx_read(file, header, size, error);
}

kn_rational kn_picture_header_rate(const uint8_t *header, size_t size) {
    attribute a;
    kn_rational rate = {0, 0};
    if (size > 4 && header[0] == 'E' && exr_find(header + 4, size - 4, "framesPerSecond", &a) && a.value_size == 8) {
        uint32_t num = AV_RL32(a.value), den = AV_RL32(a.value + 4);
        if (num > 0 && den > 0 && num < 1u << 30 && den < 1u << 30) rate = (kn_rational){(int)num, (int)den};
    } else if (size == DPX_BLOCK && header[0] == 'D') {
        float value = av_int2float(AV_RB32(header + BLOCK_FILM + DPX_RATE - DPX_FILM));
        if (!(value > 0 && value <= 1000)) value = av_int2float(AV_RB32(header + BLOCK_FILM + 1724 - DPX_FILM));
        char text[32];
        snprintf(text, sizeof text, "%.3f", value);
        if (!(value > 0 && value <= 1000) || !kn_rational_parse(&rate, text)) rate = (kn_rational){0, 0};
    }
    return rate;
}

void kn_picture_header_timecode(const uint8_t *header, size_t size, char *text, size_t text_size) {
    attribute a;
    text[0] = 0;
    if (size > 4 && header[0] == 'E' && exr_find(header + 4, size - 4, "timeCode", &a))
        exr_timecode_text(&a, text, text_size);
    if (size != DPX_BLOCK || header[0] != 'D') return;
    uint32_t v = AV_RB32(header + BLOCK_FILM + DPX_TIMECODE - DPX_FILM);
    if (v == UINT32_MAX) return;
    snprintf(text, text_size, "%02u:%02u:%02u:%02u", from_bcd(v >> 24), from_bcd(v >> 16 & 255), from_bcd(v >> 8 & 255),
             from_bcd(v & 255));
}

bool kn_picture_header_apply(uint8_t **file, size_t *file_size, const uint8_t *header, size_t size,
                             const char *timecode, kn_error *error) {
    bool ours;
    if (is_exr(*file, *file_size)) {
        ours = size > 4 && header[0] == 'E';
        return exr_apply(file, file_size, ours ? header + 4 : NULL, ours ? size - 4 : 0, timecode, error);
    }
    if (!is_dpx(*file, *file_size)) return true;
    ours = size == DPX_BLOCK && header[0] == 'D';
    dpx_apply(*file, ours ? header : NULL, ours ? size : 0, timecode);
    return true;
}
