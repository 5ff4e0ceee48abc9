/* Weights on the device: packed once, by all processors, straight into device memory where that is mapped. */
#include "diffusion/ops/ops_internal.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { FULL_WEIGHTS = 1 << 19 }; /* software devices read fp32 6 percent faster: small weights are kept so */
enum { MAX_THREADS = 8, THREAD_ELEMENTS = 1 << 18, BLOCK = 16, AHEAD = 192 /* bytes */ };

/* IEEE 754 binary16, rounded to nearest even; overflow becomes infinity. */
static uint16_t half_from_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000) { /* subnormal: units of 2^-24 */
        float scaled;
        memcpy(&scaled, &magnitude, sizeof scaled);
        scaled = scaled * 16777216.0f + 8388608.0f; /* rounds to an integer in the low mantissa bits */
        memcpy(&bits, &scaled, sizeof bits);
        return (uint16_t)(sign | (bits & 0xffff));
    }
    uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (rounded - 0x38000000) >> 13);
}

static float float_from_half(uint16_t half) {
    uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13, sign = (uint32_t)(half & 0x8000) << 16;
    float value;
    memcpy(&value, &magnitude, sizeof value);
    value *= 0x1p112f; /* moves the exponent's bias, subnormal numbers included */
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((half & 0x7c00) == 0x7c00) bits = 0x7f800000 | magnitude;
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* --- packing ---------------------------------------------------------------------------------- */

/* A share of a weight: panels first, first + step, ... */
typedef struct packing {
    const kn_weight *weight;
    const void *source;
    void *target;
    bool half_source;
    int first, step;
} packing;

static inline void convert(void *target, size_t to, const void *source, size_t from, bool half_target,
                           bool half_source) {
    if (half_source && half_target) {
        memcpy((uint16_t *)target + to, (const uint8_t *)source + 2 * from, 2);
        return;
    }
    float value;
    uint16_t half;
    if (half_source) {
        memcpy(&half, (const uint8_t *)source + 2 * from, 2);
        value = float_from_half(half);
    } else {
        memcpy(&value, (const uint8_t *)source + 4 * from, 4);
    }
    if (half_target) ((uint16_t *)target)[to] = half_from_float(value);
    else ((float *)target)[to] = value;
}

/* Element order of kn_weight (ops.h). Blocks of input channels keep the lines of all lanes of a panel in the cache. */
static inline __attribute__((always_inline)) void pack_panel(const packing *p, int panel, bool half_target,
                                                             bool half_source) {
    const kn_weight *w = p->weight;
    size_t taps = (size_t)w->kernel_h * w->kernel_w, in = (size_t)w->in, padded = (in + 3) / 4 * 4,
           lanes = 4 * (size_t)w->lanes;
    size_t out0 = (size_t)panel * lanes, real = (size_t)w->out - out0 < lanes ? (size_t)w->out - out0 : lanes,
           base = panel * lanes * taps * padded;
    size_t element = half_target ? sizeof(uint16_t) : sizeof(float);
    for (size_t k0 = 0; k0 < padded; k0 += BLOCK) {
        size_t k1 = k0 + BLOCK < padded ? k0 + BLOCK : padded;
        for (size_t k = k0; k < k1; k++)
            for (size_t tap = 0; tap < taps; tap++) {
                size_t to = base + (tap * padded + k) * lanes, filled = k < in ? real : 0;
                for (size_t lane = 0; lane < filled; lane++)
                    convert(p->target, to + lane, p->source, ((out0 + lane) * in + k) * taps + tap, half_target,
                            half_source);
                if (filled < lanes)
                    memset((uint8_t *)p->target + (to + filled) * element, 0, (lanes - filled) * element);
            }
    }
}

/* --- fp16 to fp16: blocks of 8 x 8 are transposed in registers -------------------------------- */

typedef uint16_t halves __attribute__((vector_size(16)));

/* Rounds of perfect shuffles: each moves one bit of the row's number to the column's. */
static inline void transpose(halves rows[8]) {
    for (int round = 0; round < 3; round++) {
        halves next[8];
        for (int i = 0; i < 4; i++) {
            next[2 * i] = __builtin_shuffle(rows[i], rows[i + 4], (halves){0, 8, 1, 9, 2, 10, 3, 11});
            next[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + 4], (halves){4, 12, 5, 13, 6, 14, 7, 15});
        }
        memcpy(rows, next, sizeof next);
    }
}

/* Columns [column, column + 8) of a panel's rows in the file, which lie row_halves apart; to[j]: where column j
 * goes. */
static inline void pack_columns(uint16_t *const to[8], const uint8_t *rows, size_t row_halves, size_t count) {
    for (size_t row = 0; row < count; row += 8) {
        halves block[8];
        for (int i = 0; i < 8; i++) {
            const uint8_t *from = rows + 2 * (row + (size_t)i) * row_halves;
            memcpy(&block[i], from, sizeof block[i]);
            __builtin_prefetch(from + AHEAD); /* more rows than the processor follows by itself */
        }
        transpose(block);
        for (int i = 0; i < 8; i++) memcpy(to[i] + row, &block[i], sizeof block[i]);
    }
}

/* pack_panel(p, panel, true, true) for a whole panel of channels. */
static void pack_halves(const packing *p, int panel) {
    const kn_weight *w = p->weight;
    size_t taps = (size_t)w->kernel_h * w->kernel_w, in = (size_t)w->in, padded = (in + 3) / 4 * 4,
           lanes = 4 * (size_t)w->lanes, columns = in * taps;
    const uint8_t *rows = (const uint8_t *)p->source + 2 * panel * lanes * columns;
    uint16_t *base = (uint16_t *)p->target + panel * lanes * taps * padded, *to[8];
    size_t column = 0, k = 0, tap = 0;
    for (; column + 8 <= columns; column += 8) {
        for (int i = 0; i < 8; i++) {
            to[i] = base + (tap * padded + k) * lanes;
            if (++tap == taps) {
                tap = 0;
                k++;
            }
        }
        pack_columns(to, rows + 2 * column, columns, lanes);
    }
    for (; column < columns; column++)
        for (size_t lane = 0; lane < lanes; lane++)
            memcpy(base + (column % taps * padded + column / taps) * lanes + lane, rows + 2 * (lane * columns + column),
                   2);
    for (size_t t = 0; t < taps && in < padded; t++)
        memset(base + (t * padded + in) * lanes, 0, (padded - in) * lanes * sizeof *base);
}

static void *pack_share(void *argument) {
    const packing *p = argument;
    for (int panel = p->first; panel < p->weight->panels; panel += p->step) {
        bool whole = (panel + 1) * 4 * p->weight->lanes <= p->weight->out && p->weight->lanes % 2 == 0;
        if (p->weight->half && p->half_source && whole) pack_halves(p, panel);
        else if (p->weight->half && p->half_source) pack_panel(p, panel, true, true);
        else if (p->weight->half) pack_panel(p, panel, true, false);
        else if (p->half_source) pack_panel(p, panel, false, true);
        else pack_panel(p, panel, false, false);
    }
    return NULL;
}

/* A thread that cannot be started only makes it slower. */
static void pack(void *target, const kn_weight *weight, const void *source, bool half_source) {
    int64_t elements = (int64_t)weight->panels * 4 * weight->lanes * weight->in * weight->kernel_h * weight->kernel_w;
    int64_t processors = sysconf(_SC_NPROCESSORS_ONLN), count = elements / THREAD_ELEMENTS;
    if (count > processors) count = processors;
    if (count > MAX_THREADS) count = MAX_THREADS;
    if (count > weight->panels) count = weight->panels;
    if (count < 1) count = 1;
    packing shares[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
    bool started[MAX_THREADS] = {false};
    for (int i = 0; i < (int)count; i++) {
        shares[i] = (packing){weight, source, target, half_source, i, (int)count};
        started[i] = i > 0 && pthread_create(&threads[i], NULL, pack_share, &shares[i]) == 0;
    }
    for (int i = 0; i < (int)count; i++)
        if (!started[i]) pack_share(&shares[i]);
    for (int i = 0; i < (int)count; i++)
        if (started[i]) pthread_join(threads[i], NULL);
}

/* --- buffers ---------------------------------------------------------------------------------- */

static bool upload_new(kn_gpu_buffer **buffer, kn_gpu *gpu, const void *data, size_t size, kn_error *error) {
    size_t padded = (size + KN_GPU_ALIGN - 1) / KN_GPU_ALIGN * KN_GPU_ALIGN;
    if (!kn_gpu_buffer_create(buffer, gpu, padded, KN_GPU_MEMORY_DEVICE, error)) return false;
    if (kn_gpu_upload(*buffer, 0, data, size, error)) return true;
    kn_gpu_buffer_destroy(buffer);
    return false;
}

bool kn_vector_create(kn_gpu_buffer **vector, kn_gpu *gpu, const float *data, int count, kn_error *error) {
    *vector = NULL;
    return upload_new(vector, gpu, data, (size_t)count * sizeof *data, error);
}

static size_t channels_of(const kn_weight *w) { return (size_t)w->panels * 4 * (size_t)w->lanes; }
static size_t elements_of(const kn_weight *w) {
    return channels_of(w) * (((size_t)w->in + 3) / 4 * 4) * (size_t)w->kernel_h * (size_t)w->kernel_w;
}

static size_t align_up(size_t size) { return (size + KN_GPU_ALIGN - 1) / KN_GPU_ALIGN * KN_GPU_ALIGN; }

size_t kn_weight_matrix_bytes(const kn_weight *w) {
    return align_up(elements_of(w) * (w->half ? sizeof(uint16_t) : sizeof(float)));
}

size_t kn_weight_bytes(const kn_weight *w) {
    return kn_weight_matrix_bytes(w) + align_up(channels_of(w) * sizeof(float));
}

/* The packed weight in its buffer, which is made when it is not there. */
static bool upload_packed(kn_weight *w, kn_gpu *gpu, const void *data, bool half_data, kn_error *error) {
    size_t bytes = elements_of(w) * (w->half ? sizeof(uint16_t) : sizeof(float)), padded = kn_weight_matrix_bytes(w);
    if (!w->buffer && !kn_gpu_buffer_create_raw(&w->buffer, gpu, padded, KN_GPU_MEMORY_DEVICE, error)) return false;
    uint8_t *mapped = kn_gpu_buffer_map(w->buffer);
    if (mapped) {
        pack(mapped, w, data, half_data);
        memset(mapped + bytes, 0, padded - bytes);
        return true;
    }
    void *staged = kn_alloc(padded, 1, error);
    if (!staged) return false;
    pack(staged, w, data, half_data);
    bool ok = kn_gpu_upload(w->buffer, 0, staged, padded, error);
    kn_free(staged);
    return ok;
}

bool kn_weight_init(kn_weight *weight, const kn_gpu *gpu, int out, int in, int kernel_h, int kernel_w, bool half,
                    kn_error *error) {
    *weight = (kn_weight){0};
    if (out < 1 || in < 1 || kernel_h < 1 || kernel_w < 1 || out > 1 << 20 || in > 1 << 20 || kernel_h > 64 ||
        kernel_w > 64)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "weight of %d x %d x %d x %d is out of range", out, in, kernel_h,
                       kernel_w);
    int lanes = kn_panel_lanes(gpu);
    bool small = (int64_t)out * in * kernel_h * kernel_w <= FULL_WEIGHTS;
    if (small && kn_gpu_get_info(gpu)->kind == KN_GPU_SOFTWARE) half = false;
    kn_weight w = {.out = out,
                   .in = in,
                   .kernel_h = kernel_h,
                   .kernel_w = kernel_w,
                   .lanes = lanes,
                   .panels = (out + 4 * lanes - 1) / (4 * lanes),
                   .half = half};
    if (elements_of(&w) / 4 > INT32_MAX)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "weight of %d x %d x %d x %d is too large", out, in, kernel_h,
                       kernel_w);
    *weight = w;
    return true;
}

bool kn_weight_fill(kn_weight *weight, kn_gpu *gpu, const void *data, bool half_data, const float *bias,
                    kn_error *error) {
    size_t bytes = channels_of(weight) * sizeof *bias;
    float *packed_bias = kn_alloc(channels_of(weight), sizeof *packed_bias, error);
    if (packed_bias && bias) memcpy(packed_bias, bias, (size_t)weight->out * sizeof *bias);
    bool ok = packed_bias &&
              (weight->bias ? kn_gpu_upload(weight->bias, 0, packed_bias, bytes, error)
                            : upload_new(&weight->bias, gpu, packed_bias, bytes, error)) &&
              upload_packed(weight, gpu, data, half_data, error);
    kn_free(packed_bias);
    if (!ok) kn_weight_evict(weight);
    return ok;
}

void kn_weight_evict(kn_weight *weight) {
    kn_gpu_buffer_destroy(&weight->buffer);
    kn_gpu_buffer_destroy(&weight->bias);
}

bool kn_weight_create_from(kn_weight *weight, kn_gpu *gpu, const void *data, bool half_data, const float *bias, int out,
                           int in, int kernel_h, int kernel_w, bool half, kn_error *error) {
    if (kn_weight_init(weight, gpu, out, in, kernel_h, kernel_w, half, error) &&
        kn_weight_fill(weight, gpu, data, half_data, bias, error))
        return true;
    *weight = (kn_weight){0};
    return false;
}

bool kn_weight_create(kn_weight *weight, kn_gpu *gpu, const float *data, const float *bias, int out, int in,
                      int kernel_h, int kernel_w, bool half, kn_error *error) {
    return kn_weight_create_from(weight, gpu, data, false, bias, out, in, kernel_h, kernel_w, half, error);
}

void kn_weight_destroy(kn_weight *weight) {
    kn_weight_evict(weight);
    *weight = (kn_weight){0};
}

int kn_panel_lanes(const kn_gpu *gpu) {
    uint32_t lanes = kn_gpu_get_info(gpu)->subgroup_size;
    return lanes == 8 || lanes == 16 ? (int)lanes : KN_PLAIN_LANES;
}
