/* Choosing devices, limits, several contexts, wide vectors. */
#include "gpu/vk.h"
#include "gpu_common.h"

#include <pthread.h>
#include <stdlib.h>

Test(device, list_and_choose) {
    kn_error error = {0};
    kn_gpu_info infos[16];
    size_t count = 0;
    good(kn_gpu_list(infos, KN_COUNT(infos), &count, &error));
    cr_assert(count >= 1);
    for (size_t i = 1; i < count && i < KN_COUNT(infos); i++)
        cr_assert(infos[i - 1].kind <= infos[i].kind, "the list is not sorted by kind");
    cr_assert(infos[0].name[0] && infos[0].driver[0] && infos[0].subgroup_size >= 1 && infos[0].memory > 0);

    kn_gpu *first = gpu_open(NULL), *zero = gpu_open(&(kn_gpu_params){.device = "0"});
    char part[5];
    snprintf(part, sizeof(part), "%c%.3s", infos[0].name[0] ^ 0x20, infos[0].name + 1); /* case does not matter */
    kn_gpu *named = gpu_open(&(kn_gpu_params){.device = part});
    cr_assert_str_eq(kn_gpu_get_info(first)->name, kn_gpu_get_info(zero)->name);
    cr_assert_str_eq(kn_gpu_get_info(first)->name, kn_gpu_get_info(named)->name);
    gpu_close(first);
    gpu_close(zero);
    gpu_close(named);
}

Test(device, absent_ones_are_refused) {
    kn_error error;
    kn_gpu *gpu = NULL;
    bad(KN_ERROR_INPUT, kn_gpu_create(&gpu, &(kn_gpu_params){.device = "99"}, &error));
    bad(KN_ERROR_INPUT, kn_gpu_create(&gpu, &(kn_gpu_params){.device = "no such device"}, &error));
    cr_assert_null(gpu);
    kn_gpu_destroy(&gpu);
    kn_gpu_destroy(NULL);
}

Test(device, kernel_names) {
    cr_assert_str_eq(kn_kernel_name(KN_KERNEL_TEST_AFFINE), "test/affine");
    cr_assert_str_eq(kn_kernel_name(KN_KERNEL_COUNT), "?");
}

Test(device, interfaces_are_read_from_spirv) {
    const kn_kernel_info *affine = &kn_kernel_infos[KN_KERNEL_TEST_AFFINE];
    cr_assert_eq(affine->binding_count, 3);
    cr_assert(affine->bindings[0].kind == KN_BINDING_STORAGE && affine->bindings[0].reads &&
              !affine->bindings[0].writes);
    cr_assert(affine->bindings[1].kind == KN_BINDING_NONE);
    cr_assert(affine->bindings[2].kind == KN_BINDING_STORAGE && !affine->bindings[2].reads &&
              affine->bindings[2].writes);
    cr_assert(affine->push_size == 8 && affine->constants == 9);
    cr_assert(affine->local_size_id[0] == 0 && affine->local_size_id[1] == -1 && affine->local_size[1] == 1);
    const kn_kernel_info *accumulate = &kn_kernel_infos[KN_KERNEL_TEST_ACCUMULATE];
    cr_assert(accumulate->bindings[0].reads && accumulate->bindings[0].writes && accumulate->local_size[0] == 64);
    const kn_kernel_info *texel = &kn_kernel_infos[KN_KERNEL_TEST_TEXEL];
    cr_assert(texel->bindings[0].kind == KN_BINDING_TEXEL && texel->bindings[0].reads && !texel->bindings[0].writes);
}

/* A context of its own, a chain of launches on it, and whether the result is right. Runs in any thread: no asserts. */
typedef struct chain {
    uint32_t add;
    bool right;
    kn_error error;
} chain;

static bool run_chain(chain *c, kn_gpu *gpu, kn_gpu_buffer *x, kn_gpu_recorder *recorder) {
    uint32_t got[100], want = 0;
    for (int i = 0; i < 20; i++) {
        if (!gpu_record_accumulate(recorder, (kn_gpu_slice){.buffer = x}, 100, c->add, &c->error)) return false;
        want = 3 * want + c->add;
    }
    if (!kn_gpu_submit(recorder, &c->error) || !kn_gpu_wait(recorder, &c->error) ||
        !kn_gpu_download(x, 0, got, sizeof(got), &c->error))
        return false;
    for (int i = 0; i < 100; i++)
        if (got[i] != want)
            return kn_fail(&c->error, KN_ERROR_INTERNAL, "element %d is %u, expected %u", i, got[i], want);
    return true;
}

static void *work(void *argument) {
    chain *c = argument;
    kn_gpu *gpu = NULL;
    kn_gpu_buffer *x = NULL;
    kn_gpu_recorder *recorder = NULL;
    c->right = kn_gpu_create(&gpu, &(kn_gpu_params){.validation = true, .log = gpu_test_log()}, &c->error) &&
               kn_gpu_buffer_create(&x, gpu, 400, KN_GPU_MEMORY_DEVICE, &c->error) &&
               kn_gpu_recorder_create(&recorder, gpu, &c->error) && run_chain(c, gpu, x, recorder);
    kn_gpu_recorder_destroy(&recorder);
    kn_gpu_buffer_destroy(&x);
    kn_gpu_destroy(&gpu);
    return NULL;
}

Test(device, two_contexts_in_two_threads) {
    pthread_t threads[2];
    chain chains[2] = {{.add = 1}, {.add = 7}};
    for (int i = 0; i < 2; i++) cr_assert_eq(pthread_create(&threads[i], NULL, work, &chains[i]), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        cr_assert(chains[i].right, "%s", chains[i].error.message);
    }
    gpu_close(NULL);
}

Test(device, a_buffer_of_another_context_is_refused) {
    kn_error error;
    kn_gpu *a = gpu_open(NULL), *b = gpu_open(NULL);
    kn_gpu_buffer *x = gpu_buffer(a, 400, NULL), *y = gpu_buffer(b, 400, NULL);
    kn_gpu_recorder *recorder = gpu_recorder(a);
    bad(KN_ERROR_INTERNAL, gpu_record_accumulate(recorder, (kn_gpu_slice){.buffer = y}, 100, 1, &error));
    bad(KN_ERROR_INTERNAL,
        kn_gpu_record_copy(recorder, (kn_gpu_slice){.buffer = y}, (kn_gpu_slice){.buffer = x}, 4, &error));
    bad(KN_ERROR_INTERNAL, kn_gpu_record_fill(recorder, (kn_gpu_slice){.buffer = y}, 1, &error));
    kn_gpu_recorder_destroy(&recorder);
    kn_gpu_buffer_destroy(&x);
    kn_gpu_buffer_destroy(&y);
    gpu_close(a);
    gpu_close(b);
}

Test(device, wide_vectors_that_compute_wrongly_are_given_up) {
#ifdef __SANITIZE_ADDRESS__
    cr_skip("tests/sanitize.c keeps the driver loaded, which reads the width once");
#endif
    kn_error error = {0};
    kn_gpu *gpu = NULL;
    unsetenv("LP_NATIVE_VECTOR_WIDTH");
    kn_vk_wide_request();
    if (!getenv("LP_NATIVE_VECTOR_WIDTH")) cr_skip("the processor has no 512-bit vectors");
    kn_vk_wide_fail_check();
    bool made = kn_gpu_create(&gpu, &(kn_gpu_params){.log = gpu_test_log()}, &error);
    if (made && kn_gpu_get_info(gpu)->kind != KN_GPU_SOFTWARE) cr_skip("not a software device");
    cr_assert(made, "%s", error.message);
    cr_assert_eq(kn_gpu_get_info(gpu)->subgroup_size, 8);
    gpu_close(gpu);
    chain narrow = {.add = 5};
    work(&narrow);
    cr_assert(narrow.right, "%s", narrow.error.message);
    gpu_close(NULL);
}

Test(device, a_chosen_width_is_respected) {
    setenv("LP_NATIVE_VECTOR_WIDTH", "256", 1);
    kn_gpu *gpu = gpu_open(NULL);
    if (kn_gpu_get_info(gpu)->kind == KN_GPU_SOFTWARE) cr_assert_eq(kn_gpu_get_info(gpu)->subgroup_size, 8);
    gpu_close(gpu);
}

/* Every allocation of the host fails in turn: a clear error, nothing leaked (run under valgrind or ASan), no crash. */
Test(device, allocation_failures) {
    bool done = false;
    gpu_close(gpu_open(NULL)); /* the process has now decided about wide vectors */
    for (uint64_t n = 1; !done && n < 200; n++) {
        kn_error error = {0};
        kn_gpu *gpu = NULL;
        kn_gpu_buffer *x = NULL, *y = NULL;
        kn_gpu_recorder *recorder = NULL;
        int values[64] = {0};
        kn_alloc_fail_after(n);
        done = kn_gpu_create(&gpu, &(kn_gpu_params){.profile = true, .log = gpu_test_log()}, &error) &&
               kn_gpu_buffer_create(&x, gpu, sizeof(values), KN_GPU_MEMORY_DEVICE, &error) &&
               kn_gpu_buffer_create(&y, gpu, sizeof(values), KN_GPU_MEMORY_HOST, &error) &&
               kn_gpu_upload(x, 0, values, sizeof(values), &error) && kn_gpu_recorder_create(&recorder, gpu, &error) &&
               gpu_record_affine(recorder, (kn_gpu_slice){.buffer = x}, (kn_gpu_slice){.buffer = y}, 64, &(int){3}, 1,
                                 &error) &&
               kn_gpu_record_copy(recorder, (kn_gpu_slice){.buffer = y}, (kn_gpu_slice){.buffer = x}, 256, &error) &&
               kn_gpu_submit(recorder, &error) && kn_gpu_wait(recorder, &error) &&
               kn_gpu_download(x, 0, values, sizeof(values), &error);
        kn_alloc_fail_after(0);
        if (!done)
            cr_assert(error.message[0] && error.kind == KN_ERROR_MEMORY, "allocation %llu: kind %d, \"%s\"",
                      (unsigned long long)n, (int)error.kind, error.message);
        else cr_assert(n > 8 && values[63] == 1);
        kn_gpu_recorder_destroy(&recorder);
        kn_gpu_buffer_destroy(&x);
        kn_gpu_buffer_destroy(&y);
        kn_gpu_destroy(&gpu);
    }
    cr_assert(done);
    gpu_close(NULL);
}

/* Copies, zeros and pieces larger than the staging buffer, as on a device whose memory is not mapped. */
Test(device, memory_that_is_not_mapped) {
    enum { SIZE = (33 << 20) + 7 };
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    gpu->hide_mapping = true;
    uint8_t *data = malloc(SIZE), *back = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) data[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int i = 0; i < 2; i++) {
        kn_gpu_buffer *buffer = gpu_buffer(gpu, SIZE, NULL), *small = gpu_buffer(gpu, 1000, NULL);
        cr_assert_null(kn_gpu_buffer_map(buffer));
        good(kn_gpu_download(buffer, 0, back, SIZE, &error));
        for (size_t j = 0; j < SIZE; j++) cr_assert(back[j] == 0);
        good(kn_gpu_upload(buffer, 0, data, SIZE, &error));
        good(kn_gpu_download(buffer, 3, back, SIZE - 3, &error));
        cr_assert_eq(memcmp(back, data + 3, SIZE - 3), 0);
        good(kn_gpu_upload(small, 8, data, 400, &error));
        kn_gpu_recorder *recorder = gpu_recorder(gpu);
        good(gpu_record_accumulate(recorder, (kn_gpu_slice){.buffer = small}, 250, 1, &error));
        good(kn_gpu_submit(recorder, &error));
        uint32_t got[250] = {0}, want[250] = {0};
        memcpy(want + 2, data, 400);
        good(kn_gpu_download(small, 0, got, 1000, &error));
        for (int j = 0; j < 250; j++) cr_assert_eq(got[j], 3 * want[j] + 1);
        kn_gpu_recorder_destroy(&recorder);
        kn_gpu_buffer_destroy(&small);
        kn_gpu_buffer_destroy(&buffer);
    }
    free(data);
    free(back);
    gpu_close(gpu);
}

/* Once the device is lost every call says so, and everything can still be destroyed. */
Test(device, a_lost_device) {
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    kn_gpu_buffer *x = gpu_buffer(gpu, 400, NULL), *none;
    kn_gpu_recorder *recorder = gpu_recorder(gpu);
    good(gpu_record_accumulate(recorder, (kn_gpu_slice){.buffer = x}, 100, 1, &error));
    good(kn_gpu_submit(recorder, &error));
    good(kn_gpu_wait(recorder, &error));
    gpu->lost = true;
    uint32_t values[100];
    bad(KN_ERROR_DEVICE, kn_gpu_submit(recorder, &error));
    bad(KN_ERROR_DEVICE, gpu_record_accumulate(recorder, (kn_gpu_slice){.buffer = x}, 100, 1, &error));
    bad(KN_ERROR_DEVICE, kn_gpu_download(x, 0, values, 400, &error));
    bad(KN_ERROR_DEVICE, kn_gpu_buffer_create(&none, gpu, 4, KN_GPU_MEMORY_DEVICE, &error));
    kn_gpu_recorder_destroy(&recorder);
    kn_gpu_buffer_destroy(&x);
    gpu_close(gpu);
}
