/* What the tests of gpu/ share: a context whose errors, validation messages included, fail the test. */
#ifndef KN_TESTS_GPU_COMMON_H
#define KN_TESTS_GPU_COMMON_H

#include <criterion/criterion.h>
#include <string.h>

#include "base/base.h"
#include "gpu/gpu.h"

/* A context with the validation layer where it is installed. `changes` may be NULL. */
kn_gpu *gpu_open(const kn_gpu_params *changes);
/* Closes it and fails if anything was logged as an error since the process began, or leaked in a sanitizer build. */
void gpu_close(kn_gpu *gpu);
kn_log gpu_test_log(void);

kn_gpu_buffer *gpu_buffer(kn_gpu *gpu, size_t size, const void *data);
kn_gpu_recorder *gpu_recorder(kn_gpu *gpu);

/* y = SCALE x + add on `count` ints through test/affine with groups of 32. */
bool gpu_record_affine(kn_gpu_recorder *recorder, kn_gpu_slice x, kn_gpu_slice y, uint32_t count, const int *scale,
                       int add, kn_error *error);
/* x = 3 x + add in place on `count` values. */
bool gpu_record_accumulate(kn_gpu_recorder *recorder, kn_gpu_slice x, uint32_t count, uint32_t add, kn_error *error);

/* Asserts that a call succeeds; the call uses `&error`, declared by the test. */
#define good(call) cr_assert((call), "%s: %s", #call, error.message)
/* Asserts that a call fails with this kind and some message. */
#define bad(expected, call)                                                                                       \
    do {                                                                                                          \
        error = (kn_error){0};                                                                                    \
        cr_assert(!(call), "%s should fail", #call);                                                              \
        cr_assert_eq(error.kind, expected, "%s: kind %d, message \"%s\"", #call, (int)error.kind, error.message); \
        cr_assert(error.message[0] && !strchr(error.message, '\n'));                                              \
    } while (0)

#endif
