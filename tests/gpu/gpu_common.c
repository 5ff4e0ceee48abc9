#include "gpu_common.h"

static int errors;

#ifdef __SANITIZE_ADDRESS__
/* Criterion does not look at what the leak checker says when a test's process ends, so gpu_close asks it. */
int __lsan_do_recoverable_leak_check(void);
static void check_leaks(void) { cr_assert_eq(__lsan_do_recoverable_leak_check(), 0, "memory was leaked"); }
#else
static void check_leaks(void) {}
#endif

static void on_line(void *user, kn_log_level level, const char *line) {
    if (level == KN_LOG_ERROR) {
        errors++;
        fprintf(stderr, "%s\n", line);
    }
}

kn_log gpu_test_log(void) { return (kn_log){.callback = on_line, .level = KN_LOG_ERROR}; }

kn_gpu *gpu_open(const kn_gpu_params *changes) {
    kn_gpu_params params = changes ? *changes : KN_GPU_PARAMS_DEFAULT;
    params.validation = true;
    params.log = gpu_test_log();
    kn_error error = {0};
    kn_gpu *gpu = NULL;
    cr_assert(kn_gpu_create(&gpu, &params, &error), "%s", error.message);
    return gpu;
}

void gpu_close(kn_gpu *gpu) {
    kn_gpu_destroy(&gpu);
    cr_assert_eq(errors, 0, "%d errors or validation messages were logged", errors);
    check_leaks();
}

kn_gpu_buffer *gpu_buffer(kn_gpu *gpu, size_t size, const void *data) {
    kn_error error = {0};
    kn_gpu_buffer *buffer = NULL;
    good(kn_gpu_buffer_create(&buffer, gpu, size, KN_GPU_MEMORY_DEVICE, &error));
    if (data) good(kn_gpu_upload(buffer, 0, data, size, &error));
    return buffer;
}

kn_gpu_recorder *gpu_recorder(kn_gpu *gpu) {
    kn_error error = {0};
    kn_gpu_recorder *recorder = NULL;
    good(kn_gpu_recorder_create(&recorder, gpu, &error));
    return recorder;
}

bool gpu_record_affine(kn_gpu_recorder *recorder, kn_gpu_slice x, kn_gpu_slice y, uint32_t count, const int *scale,
                       int add, kn_error *error) {
    struct {
        uint32_t count;
        int add;
    } push = {count, add};
    uint32_t constants[] = {32, 0, 0, scale ? (uint32_t)*scale : 0};
    return kn_gpu_record(recorder,
                         &(kn_gpu_dispatch){.kernel = KN_KERNEL_TEST_AFFINE,
                                            .groups = {(count + 31) / 32, 1, 1},
                                            .slices = (kn_gpu_slice[]){x, {0}, y},
                                            .slice_count = 3,
                                            .constants = constants,
                                            .constant_count = scale ? 4 : 1,
                                            .push = &push,
                                            .push_size = sizeof(push)},
                         error);
}

bool gpu_record_accumulate(kn_gpu_recorder *recorder, kn_gpu_slice x, uint32_t count, uint32_t add, kn_error *error) {
    uint32_t push[] = {count, add};
    return kn_gpu_record(recorder,
                         &(kn_gpu_dispatch){.kernel = KN_KERNEL_TEST_ACCUMULATE,
                                            .groups = {(count + 63) / 64, 1, 1},
                                            .slices = &x,
                                            .slice_count = 1,
                                            .push = push,
                                            .push_size = sizeof(push)},
                         error);
}
