/* Writes rendered samples as safetensors (https://github.com/huggingface/safetensors#format). */
#include "tools/render_clip_raw.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { RAW_CONDITIONS, RAW_BEAUTY, RAW_DEPTH, RAW_INSTANCE, RAW_MOTION, RAW_NOISE, RAW_SEMANTIC, RAW_COUNT };

static const struct {
    const char *name, *type;
    int channels, bytes; /* channels 0: [N,H,W] */
} raw_tensors[RAW_COUNT] = {
    {"conditions", "U8", KN_CONDITION_CHANNELS, 1},
    {"beauty", "U8", 3, 1},
    {"depth", "F16", 0, 2},
    {"instance", "U16", 0, 2},
    {"motion", "F16", 2, 2},
    {"noise", "F16", 3, 2},
    {"semantic", "U8", 0, 1},
};

static bool raw_has(const kn_raw_params *p, int tensor) {
    const bool has[RAW_COUNT] = {true, true, p->depth, p->instance, p->motion, p->noise, p->semantic};
    return has[tensor];
}

/* Bytes of one sample of a tensor. */
static uint64_t raw_sample_bytes(const kn_raw_params *p, int tensor) {
    int channels = raw_tensors[tensor].channels ? raw_tensors[tensor].channels : 1;
    return (uint64_t)channels * (uint64_t)raw_tensors[tensor].bytes * (uint64_t)p->width * (uint64_t)p->height;
}

static bool raw_write_header(kn_raw_writer *writer, kn_error *error) {
    const kn_raw_params *p = &writer->params;
    char *header = kn_format(error, "{\"__metadata__\":{%s}", p->metadata);
    uint64_t offset = 0;
    for (int t = 0; t < RAW_COUNT && header; t++) {
        if (!raw_has(p, t)) continue;
        uint64_t size = raw_sample_bytes(p, t) * p->sample_count;
        char channels[16] = "";
        if (raw_tensors[t].channels) snprintf(channels, sizeof channels, "%d,", raw_tensors[t].channels);
        char *longer = kn_format(
            error, "%s,\"%s\":{\"dtype\":\"%s\",\"shape\":[%zu,%s%d,%d],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}",
            header, raw_tensors[t].name, raw_tensors[t].type, p->sample_count, channels, p->height, p->width, offset,
            offset + size);
        kn_free(header);
        header = longer;
        writer->offsets[t] = offset;
        offset += size;
    }
    if (!header) return false;
    size_t length = strlen(header) + 1, padded = (length + 7) / 8 * 8;
    uint8_t size_bytes[8];
    for (int i = 0; i < 8; i++) size_bytes[i] = (uint8_t)((uint64_t)padded >> (8 * i));
    bool ok = fwrite(size_bytes, 8, 1, writer->file.stream) == 1 &&
              fprintf(writer->file.stream, "%s}%*s", header, (int)(padded - length), "") >= 0;
    kn_free(header);
    writer->data_start = 8 + padded;
    return ok || kn_fail(error, KN_ERROR_IO, "%s: cannot write", writer->file.path);
}

bool kn_raw_writer_init(kn_raw_writer *writer, const char *path, const kn_raw_params *params, kn_error *error) {
    *writer = (kn_raw_writer){.params = *params};
    if (!kn_file_writer_init(&writer->file, path, error)) return false;
    writer->row = kn_alloc(raw_sample_bytes(params, RAW_CONDITIONS), 1, error);
    if (writer->row && raw_write_header(writer, error)) return true;
    kn_raw_writer_finish(writer);
    return false;
}

/* 0..1 (or -1..1 for `is_signed`) to 0..255. */
static uint8_t raw_byte(float value, bool is_signed) {
    if (is_signed) value = value * 0.5f + 0.5f;
    return (uint8_t)lrintf(fminf(fmaxf(value, 0), 1) * 255); /* fmaxf makes 0 of NaN */
}

static bool raw_put_tensor(kn_raw_writer *writer, int tensor, size_t index, kn_error *error) {
    uint64_t size = raw_sample_bytes(&writer->params, tensor);
    off_t place = (off_t)(writer->data_start + writer->offsets[tensor] + size * index);
    if (fseeko(writer->file.stream, place, SEEK_SET) == 0 && fwrite(writer->row, 1, size, writer->file.stream) == size)
        return true;
    return kn_fail(error, KN_ERROR_IO, "%s: cannot write sample %zu", writer->file.path, index);
}

static void raw_half(_Float16 *out, const float *in, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = (_Float16)in[i];
}

bool kn_raw_writer_put(kn_raw_writer *writer, size_t index, const kn_render_target *target, kn_error *error) {
    const kn_raw_params *p = &writer->params;
    size_t pixels = (size_t)p->width * (size_t)p->height;
    uint8_t *bytes = writer->row;
    for (size_t i = 0; i < pixels * KN_CONDITION_CHANNELS; i++) {
        size_t channel = i / pixels;
        bytes[i] = raw_byte(target->conditions[i], channel >= KN_CONDITION_NORMAL && channel < KN_CONDITION_NORMAL + 3);
    }
    bool ok = raw_put_tensor(writer, RAW_CONDITIONS, index, error);
    for (size_t i = 0; i < pixels * 3; i++) bytes[i] = raw_byte(target->beauty[i], false);
    ok = ok && raw_put_tensor(writer, RAW_BEAUTY, index, error);
    if (ok && p->depth) {
        raw_half(writer->row, target->depth, pixels);
        ok = raw_put_tensor(writer, RAW_DEPTH, index, error);
    }
    if (ok && p->instance) {
        memcpy(writer->row, target->instance, pixels * 2);
        ok = raw_put_tensor(writer, RAW_INSTANCE, index, error);
    }
    if (ok && p->motion) {
        raw_half(writer->row, target->motion, pixels * 2);
        ok = raw_put_tensor(writer, RAW_MOTION, index, error);
    }
    if (ok && p->noise) {
        raw_half(writer->row, target->noise, pixels * 3);
        ok = raw_put_tensor(writer, RAW_NOISE, index, error);
    }
    if (ok && p->semantic) {
        memcpy(writer->row, target->semantic, pixels);
        ok = raw_put_tensor(writer, RAW_SEMANTIC, index, error);
    }
    return ok;
}

bool kn_raw_writer_commit(kn_raw_writer *writer, kn_error *error) {
    bool ok = kn_file_writer_commit(&writer->file, error);
    kn_free(writer->row);
    writer->row = NULL;
    return ok;
}

void kn_raw_writer_finish(kn_raw_writer *writer) {
    kn_file_writer_finish(&writer->file);
    kn_free(writer->row);
    *writer = (kn_raw_writer){0};
}
