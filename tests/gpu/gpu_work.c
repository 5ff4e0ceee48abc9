/* Buffers, kernels, hazards, replay, lifetimes, limits. */
#include "gpu_common.h"

#include <math.h>
#include <stdlib.h>

Test(work, buffers_begin_at_zero_and_keep_what_is_uploaded) {
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    static const size_t sizes[] = {1, 3, 255, 256, 257, 100000, (1 << 20) + 5};
    for (int memory = 0; memory < 2; memory++)
        for (size_t i = 0; i < KN_COUNT(sizes); i++) {
            kn_gpu_buffer *buffer;
            size_t size = sizes[i];
            uint8_t *data = malloc(size), *back = malloc(size);
            good(kn_gpu_buffer_create(&buffer, gpu, size, memory ? KN_GPU_MEMORY_HOST : KN_GPU_MEMORY_DEVICE, &error));
            cr_assert_eq(kn_gpu_buffer_size(buffer), size);
            cr_assert(memory == 0 || kn_gpu_buffer_map(buffer));
            good(kn_gpu_download(buffer, 0, back, size, &error));
            for (size_t j = 0; j < size; j++) cr_assert_eq(back[j], 0);
            for (size_t j = 0; j < size; j++) data[j] = (uint8_t)(kn_hash64(j) >> 3);
            good(kn_gpu_upload(buffer, 0, data, size, &error));
            good(kn_gpu_download(buffer, size / 2, back, size - size / 2, &error));
            cr_assert_eq(memcmp(back, data + size / 2, size - size / 2), 0);
            bad(KN_ERROR_INTERNAL, kn_gpu_upload(buffer, 1, data, size, &error));
            bad(KN_ERROR_INTERNAL, kn_gpu_download(buffer, size + 1, back, 0, &error));
            bad(KN_ERROR_INTERNAL, kn_gpu_upload(buffer, SIZE_MAX, data, 2, &error));
            kn_gpu_buffer_destroy(&buffer);
            cr_assert_null(buffer);
            free(data);
            free(back);
        }
    kn_gpu_buffer *none;
    bad(KN_ERROR_INTERNAL, kn_gpu_buffer_create(&none, gpu, 0, KN_GPU_MEMORY_DEVICE, &error));
    bad(KN_ERROR_MEMORY, kn_gpu_buffer_create(&none, gpu, SIZE_MAX - 10, KN_GPU_MEMORY_DEVICE, &error));
    gpu_close(gpu);
}

Test(work, reused_memory_is_zero_again) {
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    kn_gpu_buffer *keep = gpu_buffer(gpu, 256, NULL);
    uint8_t data[5000];
    for (int i = 0; i < 3; i++) {
        memset(data, 0xaa, sizeof(data));
        kn_gpu_buffer *buffer = gpu_buffer(gpu, sizeof(data), NULL);
        good(kn_gpu_download(buffer, 0, data, sizeof(data), &error));
        for (size_t j = 0; j < sizeof(data); j++) cr_assert_eq(data[j], 0);
        memset(data, 0xaa, sizeof(data));
        good(kn_gpu_upload(buffer, 0, data, sizeof(data), &error));
        kn_gpu_buffer_destroy(&buffer);
    }
    kn_gpu_buffer_destroy(&keep);
    gpu_close(gpu);
}

/* Many small buffers made and freed in random order keep their contents apart. */
Test(work, small_buffers_do_not_overlap) {
    enum { SLOTS = 60 };
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    kn_gpu_buffer *slots[SLOTS] = {0};
    uint8_t data[40000];
    for (uint64_t i = 0; i < 400; i++) {
        size_t at = kn_hash64(i) % SLOTS;
        if (slots[at]) {
            size_t size = kn_gpu_buffer_size(slots[at]);
            good(kn_gpu_download(slots[at], 0, data, size, &error));
            for (size_t j = 0; j < size; j++) cr_assert_eq(data[j], at);
            kn_gpu_buffer_destroy(&slots[at]);
        } else {
            memset(data, (int)at, sizeof(data));
            slots[at] = gpu_buffer(gpu, 1 + kn_hash64(i + 1000) % sizeof(data), data);
        }
    }
    for (int i = 0; i < SLOTS; i++) kn_gpu_buffer_destroy(&slots[i]);
    uint64_t now, peak;
    kn_gpu_memory_use(gpu, &now, &peak);
    cr_assert(now == 0 && peak > 0);
    gpu_close(gpu);
}

Test(work, constants_and_push_constants) {
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    int x[77], y[77];
    for (int i = 0; i < 77; i++) x[i] = i * i - 100;
    kn_gpu_buffer *a = gpu_buffer(gpu, sizeof(x), x), *b = gpu_buffer(gpu, sizeof(y), NULL);
    static const int scales[] = {2, -5, 7, -5};
    for (int run = 0; run < 4; run++) {
        kn_gpu_recorder *recorder = gpu_recorder(gpu);
        good(gpu_record_affine(recorder, (kn_gpu_slice){.buffer = a}, (kn_gpu_slice){.buffer = b}, 77,
                               run ? &scales[run] : NULL, 10 * run, &error));
        good(kn_gpu_submit(recorder, &error));
        good(kn_gpu_download(b, 0, y, sizeof(y), &error)); /* waits by itself */
        for (int i = 0; i < 77; i++)
            cr_assert_eq(y[i], scales[run] * x[i] + 10 * run, "run %d, element %d: %d", run, i, y[i]);
        kn_gpu_recorder_destroy(&recorder);
    }
    kn_gpu_buffer_destroy(&a);
    kn_gpu_buffer_destroy(&b);
    gpu_close(gpu);
}

static float half_to_float(uint16_t half) {
    int exponent = half >> 10 & 31, mantissa = half & 1023;
    float value = exponent ? ldexpf((float)(mantissa + 1024), exponent - 25) : ldexpf((float)mantissa, -24);
    return half & 0x8000 ? -value : value;
}

/* Reads `count` texels through a format and compares with `want` [count][4]; texels beyond the slice read as zero. */
static void check_texels(kn_gpu *gpu, kn_gpu_format format, const void *data, size_t size, const float *want,
                         uint32_t count) {
    kn_error error = {0};
    float got[64][4];
    kn_gpu_buffer *source = gpu_buffer(gpu, 512 + size, NULL), *target = gpu_buffer(gpu, sizeof(got), NULL);
    good(kn_gpu_upload(source, 512, data, size, &error));
    kn_gpu_recorder *recorder = gpu_recorder(gpu);
    uint32_t push = 64;
    bool integers = format == KN_GPU_FORMAT_RGBA32U || format == KN_GPU_FORMAT_R32U;
    for (int twice = 0; twice < 2; twice++) /* the second time the view comes from the cache */
        good(kn_gpu_record(
            recorder,
            &(kn_gpu_dispatch){
                .kernel = integers ? KN_KERNEL_TEST_TEXEL_UINT : KN_KERNEL_TEST_TEXEL,
                .groups = {2, 1, 1},
                .slices = (kn_gpu_slice[]){{.buffer = source, .offset = 512, .format = format}, {.buffer = target}},
                .slice_count = 2,
                .push = &push,
                .push_size = 4},
            &error));
    good(kn_gpu_submit(recorder, &error));
    good(kn_gpu_download(target, 0, got, sizeof(got), &error));
    for (uint32_t i = 0; i < 64; i++)
        for (int c = 0; c < 4; c++) {
            float value = got[i][c];
            if (integers) {
                uint32_t bits;
                memcpy(&bits, &got[i][c], 4);
                value = (float)bits;
            }
            if (i < count)
                cr_assert_float_eq(value, want[4 * i + c], 1e-6, "format %d, texel %u.%d: %g, expected %g", (int)format,
                                   i, c, (double)value, (double)want[4 * i + c]);
            else if (c < 3) /* the fourth may read as one where a format has fewer channels */
                cr_assert_float_eq(value, 0, 0, "format %d, texel %u beyond the end: %g", (int)format, i,
                                   (double)value);
        }
    kn_gpu_recorder_destroy(&recorder);
    kn_gpu_buffer_destroy(&source);
    kn_gpu_buffer_destroy(&target);
}

Test(work, texel_formats) {
    enum { COUNT = 37 };
    kn_gpu *gpu = gpu_open(NULL);
    float floats[COUNT * 4], want[COUNT * 4];
    uint16_t halves[COUNT * 4];
    uint32_t integers[COUNT * 4];
    uint8_t bytes[COUNT * 4];
    for (int i = 0; i < COUNT * 4; i++) {
        floats[i] = (float)i * 0.25f - 9;
        halves[i] = (uint16_t)((kn_hash64((uint64_t)i) & 0x83ff) | (uint32_t)(i % 30) << 10);
        integers[i] = (uint32_t)i * 100000;
        bytes[i] = (uint8_t)(i * 7);
    }
    check_texels(gpu, KN_GPU_FORMAT_RGBA32F, floats, sizeof(floats), floats, COUNT);
    for (int i = 0; i < COUNT * 4; i++) want[i] = half_to_float(halves[i]);
    check_texels(gpu, KN_GPU_FORMAT_RGBA16F, halves, sizeof(halves), want, COUNT);
    for (int i = 0; i < COUNT * 4; i++) want[i] = (float)integers[i];
    check_texels(gpu, KN_GPU_FORMAT_RGBA32U, integers, sizeof(integers), want, COUNT);
    for (int i = 0; i < COUNT * 4; i++) want[i] = (float)bytes[i] / 255;
    check_texels(gpu, KN_GPU_FORMAT_RGBA8, bytes, sizeof(bytes), want, COUNT);
    for (int i = 0; i < COUNT * 4; i++) want[i] = i % 4 == 0 ? floats[i / 4] : (float)(i % 4 == 3);
    check_texels(gpu, KN_GPU_FORMAT_R32F, floats, COUNT * 4, want, COUNT);
    for (int i = 0; i < COUNT * 4; i++) want[i] = i % 4 == 0 ? (float)integers[i / 4] : (float)(i % 4 == 3);
    check_texels(gpu, KN_GPU_FORMAT_R32U, integers, COUNT * 4, want, COUNT);
    gpu_close(gpu);
}

/* 1000 dependent launches, replayed; each is wrong if it starts before the last ends. */
Test(work, a_long_chain_is_ordered_and_replays) {
    enum { COUNT = 3000, LAUNCHES = 1000 };
    static uint32_t got[COUNT];
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    kn_gpu_buffer *x = gpu_buffer(gpu, sizeof(got), NULL);
    kn_gpu_recorder *recorder = gpu_recorder(gpu);
    for (uint32_t i = 0; i < LAUNCHES; i++)
        good(gpu_record_accumulate(recorder, (kn_gpu_slice){.buffer = x}, COUNT, i, &error));
    uint32_t want = 0;
    for (int replay = 0; replay < 3; replay++) {
        good(kn_gpu_submit(recorder, &error));
        for (uint32_t i = 0; i < LAUNCHES; i++) want = 3 * want + i;
    }
    good(kn_gpu_wait(recorder, &error));
    good(kn_gpu_download(x, 0, got, sizeof(got), &error));
    for (int i = 0; i < COUNT; i++) cr_assert_eq(got[i], want);
    bad(KN_ERROR_INTERNAL, gpu_record_accumulate(recorder, (kn_gpu_slice){.buffer = x}, COUNT, 1, &error));
    good(kn_gpu_recorder_reset(recorder, &error));
    good(gpu_record_accumulate(recorder, (kn_gpu_slice){.buffer = x}, COUNT, 1, &error));
    good(kn_gpu_submit(recorder, &error));
    good(kn_gpu_download(x, 0, got, 4, &error));
    cr_assert_eq(got[0], 3 * want + 1);
    kn_gpu_recorder_destroy(&recorder);
    kn_gpu_buffer_destroy(&x);
    gpu_close(gpu);
}

/* Reads after writes, writes after reads, copies and fills, against the same steps in C. Synchronization validation
 * watches the barriers. */
Test(work, hazards_between_kernels_copies_and_fills) {
    enum { PARTS = 6, COUNT = 64, PART = 256, STEPS = 300 };
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    static int want[PARTS][COUNT], got[PARTS][COUNT];
    kn_gpu_buffer *all = gpu_buffer(gpu, sizeof(want), NULL);
    kn_gpu_recorder *recorder = gpu_recorder(gpu);
    for (uint64_t step = 0; step < STEPS; step++) {
        uint64_t h = kn_hash64(step);
        size_t from = h % PARTS, to = (from + 1 + (h >> 8) % (PARTS - 1)) % PARTS;
        int what = (int)(h >> 20) % 5, value = (int)(h >> 40 & 15);
        kn_gpu_slice source = {.buffer = all, .offset = from * PART, .size = PART};
        kn_gpu_slice target = {.buffer = all, .offset = to * PART, .size = PART};
        if (what == 0) {
            good(kn_gpu_record_fill(recorder, target, (uint32_t)value, &error));
            for (int i = 0; i < COUNT; i++) want[to][i] = value;
        } else if (what == 1) {
            good(kn_gpu_record_copy(recorder, source, target, PART, &error));
            memcpy(want[to], want[from], PART);
        } else {
            int scale = what - 1;
            good(gpu_record_affine(recorder, source, target, COUNT, &scale, value, &error));
            for (int i = 0; i < COUNT; i++)
                want[to][i] = (int)((uint32_t)scale * (uint32_t)want[from][i] + (uint32_t)value);
        }
    }
    good(kn_gpu_submit(recorder, &error));
    good(kn_gpu_wait(recorder, &error));
    good(kn_gpu_download(all, 0, got, sizeof(got), &error));
    cr_assert_eq(memcmp(got, want, sizeof(got)), 0);
    kn_gpu_recorder_destroy(&recorder);
    kn_gpu_buffer_destroy(&all);
    gpu_close(gpu);
}

Test(work, a_destroyed_buffer_lives_until_its_work_is_done) {
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    static int x[50000], y[50000];
    for (int i = 0; i < 50000; i++) x[i] = i;
    kn_gpu_buffer *a = gpu_buffer(gpu, 2 << 20, NULL), *b = gpu_buffer(gpu, sizeof(y), NULL);
    good(kn_gpu_upload(a, 0, x, sizeof(x), &error));
    kn_gpu_recorder *recorder = gpu_recorder(gpu);
    for (int i = 0; i < 50; i++)
        good(gpu_record_affine(recorder, (kn_gpu_slice){.buffer = a}, (kn_gpu_slice){.buffer = b}, 50000, NULL, i,
                               &error));
    good(kn_gpu_submit(recorder, &error));
    kn_gpu_buffer_destroy(&a);
    good(kn_gpu_wait(recorder, &error));
    uint64_t now, peak;
    kn_gpu_memory_use(gpu, &now, &peak);
    cr_assert(now < 6 << 20 && peak > now, "%llu bytes are still held", (unsigned long long)now);
    good(kn_gpu_download(b, 0, y, sizeof(y), &error));
    for (int i = 0; i < 50000; i++) cr_assert_eq(y[i], 2 * i + 49);
    bad(KN_ERROR_INTERNAL, kn_gpu_submit(recorder, &error));
    good(kn_gpu_recorder_reset(recorder, &error));
    kn_gpu_recorder_destroy(&recorder);
    kn_gpu_buffer_destroy(&b);
    gpu_close(gpu);
}

Test(work, memory_limit) {
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(&(kn_gpu_params){.memory_limit = 10 << 20});
    kn_gpu_buffer *small = gpu_buffer(gpu, 1000, NULL), *large, *none;
    bad(KN_ERROR_MEMORY, kn_gpu_buffer_create(&none, gpu, 10 << 20, KN_GPU_MEMORY_DEVICE, &error));
    cr_assert_null(none);
    good(kn_gpu_buffer_create(&large, gpu, 5 << 20, KN_GPU_MEMORY_DEVICE, &error));
    bad(KN_ERROR_MEMORY, kn_gpu_buffer_create(&none, gpu, 5 << 20, KN_GPU_MEMORY_DEVICE, &error));
    kn_gpu_buffer_destroy(&large);
    good(kn_gpu_buffer_create(&large, gpu, 5 << 20, KN_GPU_MEMORY_DEVICE, &error));
    uint64_t now, peak;
    kn_gpu_memory_use(gpu, &now, &peak);
    cr_assert(now <= 10 << 20 && peak <= 10 << 20 && peak >= now);
    kn_gpu_buffer_destroy(&large);
    kn_gpu_buffer_destroy(&small);
    gpu_close(gpu);
    gpu = gpu_open(&(kn_gpu_params){.memory_limit = 64 << 10}); /* less than a shared block */
    small = gpu_buffer(gpu, 1000, NULL);
    bad(KN_ERROR_MEMORY, kn_gpu_buffer_create(&none, gpu, 64 << 10, KN_GPU_MEMORY_DEVICE, &error));
    kn_gpu_buffer_destroy(&small);
    gpu_close(gpu);
}

Test(work, wrong_slices_are_refused) {
    kn_error error;
    kn_gpu *gpu = gpu_open(NULL);
    kn_gpu_buffer *x = gpu_buffer(gpu, 1000, NULL);
    kn_gpu_recorder *recorder = gpu_recorder(gpu);
    kn_gpu_slice whole = {.buffer = x};
    bad(KN_ERROR_INTERNAL, gpu_record_accumulate(recorder, (kn_gpu_slice){.buffer = x, .offset = 128}, 1, 1, &error));
    bad(KN_ERROR_INTERNAL, gpu_record_accumulate(recorder, (kn_gpu_slice){.buffer = x, .offset = 1024}, 1, 1, &error));
    bad(KN_ERROR_INTERNAL,
        gpu_record_accumulate(recorder, (kn_gpu_slice){.buffer = x, .offset = 256, .size = 800}, 1, 1, &error));
    bad(KN_ERROR_INTERNAL,
        gpu_record_accumulate(recorder, (kn_gpu_slice){.buffer = x, .size = SIZE_MAX}, 1, 1, &error));
    bad(KN_ERROR_INTERNAL, gpu_record_accumulate(recorder, (kn_gpu_slice){0}, 1, 1, &error));
    bad(KN_ERROR_INTERNAL, gpu_record_affine(recorder, whole, (kn_gpu_slice){0}, 1, NULL, 1, &error));
    bad(KN_ERROR_UNSUPPORTED, gpu_record_accumulate(recorder, whole, 0, 1, &error));
    bad(KN_ERROR_INTERNAL, kn_gpu_record_copy(recorder, whole, (kn_gpu_slice){.buffer = x, .offset = 4}, 900, &error));
    bad(KN_ERROR_INTERNAL,
        kn_gpu_record_copy(recorder, whole, (kn_gpu_slice){.buffer = x, .offset = 500}, 501, &error));
    bad(KN_ERROR_INTERNAL, kn_gpu_record_fill(recorder, (kn_gpu_slice){.buffer = x, .size = 5}, 1, &error));
    kn_gpu_recorder_destroy(&recorder);
    kn_gpu_buffer_destroy(&x);
    gpu_close(gpu);
}

Test(work, wrong_launches_are_refused) {
    kn_error error;
    kn_gpu *gpu = gpu_open(NULL);
    kn_gpu_buffer *x = gpu_buffer(gpu, 1000, NULL);
    kn_gpu_recorder *recorder = gpu_recorder(gpu);
    kn_gpu_slice whole = {.buffer = x};
    uint32_t push[64] = {0};
    kn_gpu_dispatch dispatch = {.kernel = KN_KERNEL_TEST_ACCUMULATE,
                                .groups = {1, 1, 1},
                                .slices = &whole,
                                .slice_count = 1,
                                .push = push,
                                .push_size = 8};
    kn_gpu_dispatch wrong = dispatch;
    wrong.push_size = 4;
    bad(KN_ERROR_INTERNAL, kn_gpu_record(recorder, &wrong, &error));
    wrong.push_size = sizeof(push);
    bad(KN_ERROR_INTERNAL, kn_gpu_record(recorder, &wrong, &error));
    wrong = dispatch;
    wrong.groups[1] = 0xffffffff;
    bad(KN_ERROR_UNSUPPORTED, kn_gpu_record(recorder, &wrong, &error));
    wrong = dispatch;
    wrong.kernel = KN_KERNEL_COUNT;
    bad(KN_ERROR_INTERNAL, kn_gpu_record(recorder, &wrong, &error));
    wrong = dispatch;
    wrong.slice_count = 0;
    bad(KN_ERROR_INTERNAL, kn_gpu_record(recorder, &wrong, &error));
    wrong = (kn_gpu_dispatch){.kernel = KN_KERNEL_TEST_TEXEL,
                              .groups = {1, 1, 1},
                              .slices = (kn_gpu_slice[]){whole, whole},
                              .slice_count = 2,
                              .push = push,
                              .push_size = 4};
    bad(KN_ERROR_INTERNAL, kn_gpu_record(recorder, &wrong, &error)); /* a texel binding without a format */
    wrong = (kn_gpu_dispatch){.kernel = KN_KERNEL_TEST_AFFINE,
                              .groups = {1, 1, 1},
                              .slice_count = 3,
                              .push = push,
                              .push_size = 8,
                              .slices = (kn_gpu_slice[]){whole, {0}, whole},
                              .constants = (uint32_t[]){1 << 20},
                              .constant_count = 1};
    bad(KN_ERROR_UNSUPPORTED, kn_gpu_record(recorder, &wrong, &error)); /* a group that is too large */
    good(kn_gpu_record(recorder, &dispatch, &error));                   /* after all that it still works */
    good(kn_gpu_submit(recorder, &error));
    good(kn_gpu_wait(recorder, &error));
    kn_gpu_recorder_destroy(&recorder);
    kn_gpu_buffer_destroy(&x);
    gpu_close(gpu);
}

Test(work, empty_recorder) {
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    kn_gpu_recorder *recorder = gpu_recorder(gpu);
    good(kn_gpu_wait(recorder, &error));
    good(kn_gpu_submit(recorder, &error));
    good(kn_gpu_submit(recorder, &error));
    kn_gpu_recorder_destroy(&recorder);
    cr_assert_null(recorder);
    gpu_close(gpu);
}

Test(work, profile) {
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(&(kn_gpu_params){.profile = true});
    kn_gpu_buffer *x = gpu_buffer(gpu, 4 << 20, NULL), *y = gpu_buffer(gpu, 4 << 20, NULL);
    kn_gpu_recorder *recorder = gpu_recorder(gpu);
    uint32_t push[] = {1 << 20, 1};
    for (int i = 0; i < 600; i++) { /* more than one query pool */
        char label[] = "tall";
        good(kn_gpu_record(recorder,
                           &(kn_gpu_dispatch){.kernel = KN_KERNEL_TEST_ACCUMULATE,
                                              .groups = {1 + 9 * (i % 2 == 0), 1, 1},
                                              .slices = &(kn_gpu_slice){.buffer = x},
                                              .slice_count = 1,
                                              .push = push,
                                              .push_size = 8,
                                              .label = i % 2 ? NULL : label},
                           &error));
    }
    good(gpu_record_affine(recorder, (kn_gpu_slice){.buffer = x}, (kn_gpu_slice){.buffer = y}, 1 << 20, NULL, 0,
                           &error));
    for (int i = 0; i < 2; i++) {
        good(kn_gpu_submit(recorder, &error));
        good(kn_gpu_wait(recorder, &error));
    }
    size_t count = 0;
    const kn_gpu_timing *timings = kn_gpu_profile(gpu, &count);
    cr_assert_eq(count, 3);
    uint64_t calls = 0;
    for (size_t i = 0; i < count; i++) {
        cr_assert(timings[i].seconds > 0 && timings[i].seconds < 60);
        cr_assert(i == 0 || timings[i].seconds <= timings[i - 1].seconds);
        bool tall = timings[i].label && strcmp(timings[i].label, "tall") == 0;
        cr_assert(timings[i].kernel == KN_KERNEL_TEST_AFFINE ? timings[i].calls == 2 : timings[i].calls == 600);
        cr_assert(tall || !timings[i].label);
        calls += timings[i].calls;
    }
    cr_assert_eq(calls, 1202);
    kn_gpu_profile_reset(gpu);
    kn_gpu_profile(gpu, &count);
    cr_assert_eq(count, 0);
    kn_gpu_recorder_destroy(&recorder);
    kn_gpu_buffer_destroy(&x);
    kn_gpu_buffer_destroy(&y);
    gpu_close(gpu);
}
