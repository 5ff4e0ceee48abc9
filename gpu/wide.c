/* Mesa's software device runs these kernels about 1.5 times faster on 512-bit vectors, but only some versions compute
 * rightly with them, and the width is chosen by an environment variable that the driver reads once. So: ask for 512
 * before the first instance, look at what the device reports, check results where the version is known to survive
 * that, and fall back. The state is the process's because the variable is. */
#include "gpu/vk.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH_VARIABLE "LP_NATIVE_VECTOR_WIDTH"
#define CACHE_VARIABLE "MESA_SHADER_CACHE_DIR"
#define WIDE_LANES 16

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum { UNDECIDED, NOT_OURS, REQUESTED, TRUSTED, REFUSED } state;
static bool check_must_fail;

static bool processor_is_wide(void) {
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("avx512f");
#else
    return false;
#endif
}

/* Mesa's cache of compiled shaders does not tell widths apart (22.3): code for one width would be run in a process of
 * the other. So the wide ones get a folder of their own inside the one that Mesa would use. */
static void separate_cache(void) {
    const char *chosen = getenv(CACHE_VARIABLE), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *folder = NULL;
    if (chosen && *chosen) folder = kn_format(NULL, "%s/vectors-512", chosen);
    else if (xdg && *xdg) folder = kn_format(NULL, "%s/kinora/vectors-512", xdg);
    else if (home && *home) folder = kn_format(NULL, "%s/.cache/kinora/vectors-512", home);
    if (folder && kn_make_directories(folder, NULL)) setenv(CACHE_VARIABLE, folder, 1);
    kn_free(folder);
}

void kn_vk_wide_request(void) {
    pthread_mutex_lock(&lock);
    if (state == UNDECIDED) {
        state = NOT_OURS;
        if (processor_is_wide() && !getenv(WIDTH_VARIABLE) && setenv(WIDTH_VARIABLE, "512", 0) == 0) {
            state = REQUESTED;
            separate_cache();
        }
    }
    pthread_mutex_unlock(&lock);
}

bool kn_vk_wide_needs_check(const kn_gpu *gpu) {
    pthread_mutex_lock(&lock);
    bool check = (state == REQUESTED || state == REFUSED) && gpu->info.kind == KN_GPU_SOFTWARE &&
                 gpu->info.subgroup_size == WIDE_LANES;
    pthread_mutex_unlock(&lock);
    return check;
}

/* Mesa 26 writes past its stack when it runs 512-bit code, which no check in this process would survive. */
bool kn_vk_wide_is_tried(const kn_gpu *gpu) { return strstr(gpu->info.driver, "Mesa 22.") != NULL; }

/* Leaves ".../vectors-512" for its sibling; an inherited folder without that ending stays. */
static void move_cache(void) {
    const char *now = getenv(CACHE_VARIABLE), *ending = "/vectors-512";
    size_t size = now ? strlen(now) : 0, tail = strlen(ending);
    if (size < tail || strcmp(now + size - tail, ending) != 0) return;
    char *folder = kn_format(NULL, "%.*s/vectors-256", (int)(size - tail), now);
    if (folder && kn_make_directories(folder, NULL)) setenv(CACHE_VARIABLE, folder, 1);
    kn_free(folder);
}

void kn_vk_wide_refuse(void) {
    pthread_mutex_lock(&lock);
    state = REFUSED;
    setenv(WIDTH_VARIABLE, "256", 1);
    move_cache();
    pthread_mutex_unlock(&lock);
}

void kn_vk_wide_fail_check(void) { check_must_fail = true; }

/* --- the self-test: shaders/test/selftest.comp against plain C -------------------------------- */

enum { GROUPS = 3, STEPS = 20 /* length of the products, 4 * K4 */, LANES = WIDE_LANES };

static float value(uint64_t seed) { return (float)(kn_hash64(seed) >> 40) / 16777216.0f - 0.5f; }

static bool close_to(float got, double want) { return fabs((double)got - want) <= 1e-4 * (1 + fabs(want)); }

/* a [GROUPS][STEPS/4][LANES][4], b [STEPS][LANES][4], c [GROUPS][LANES + 1][LANES][4]. */
static bool results_right(const float *a, const float *b, const float *c) {
    for (int group = 0; group < GROUPS; group++) {
        const float *out = c + (size_t)group * (LANES + 1) * LANES * 4;
        for (int row = 0; row < LANES; row++)
            for (int column = 0; column < LANES * 4; column++) {
                double sum = 0;
                for (int k = 0; k < STEPS; k++)
                    sum += (double)a[((group * (STEPS / 4) + k / 4) * LANES + row) * 4 + k % 4] *
                           b[k * LANES * 4 + column];
                if (!close_to(out[row * LANES * 4 + column], sum)) return false;
            }
        double steps[LANES], total = 0;
        for (int lane = 0; lane < LANES; lane++) {
            steps[lane] = 0;
            for (int i = 0; i < lane + group; i++) steps[lane] += i % 3 == 0 ? i : 1;
            total += steps[lane];
        }
        out += LANES * LANES * 4;
        for (int lane = 0; lane < LANES; lane++)
            if (!close_to(out[4 * lane], steps[lane]) || !close_to(out[4 * lane + 1], total) ||
                !close_to(out[4 * lane + 2], sqrt(lane)) || !close_to(out[4 * lane + 3], lane * 0.5))
                return false;
    }
    return true;
}

typedef struct selftest {
    kn_gpu_buffer *a, *b, *c;
    kn_gpu_recorder *recorder;
    float *values; /* a, b, c in this order */
} selftest;

enum { A_COUNT = GROUPS * STEPS * LANES, B_COUNT = STEPS * LANES * 4, C_COUNT = GROUPS * (LANES + 1) * LANES * 4 };

static bool run_selftest(selftest *t, kn_gpu *gpu, kn_error *error) {
    t->values = kn_alloc(A_COUNT + B_COUNT + C_COUNT, sizeof(float), error);
    if (!t->values) return false;
    for (uint64_t i = 0; i < A_COUNT + B_COUNT; i++) t->values[i] = value(i);
    uint32_t constants[] = {LANES};
    return kn_gpu_buffer_create(&t->a, gpu, A_COUNT * sizeof(float), KN_GPU_MEMORY_HOST, error) &&
           kn_gpu_buffer_create(&t->b, gpu, B_COUNT * sizeof(float), KN_GPU_MEMORY_HOST, error) &&
           kn_gpu_buffer_create(&t->c, gpu, C_COUNT * sizeof(float), KN_GPU_MEMORY_HOST, error) &&
           kn_gpu_upload(t->a, 0, t->values, A_COUNT * sizeof(float), error) &&
           kn_gpu_upload(t->b, 0, t->values + A_COUNT, B_COUNT * sizeof(float), error) &&
           kn_gpu_recorder_create(&t->recorder, gpu, error) &&
           kn_gpu_record(
               t->recorder,
               &(kn_gpu_dispatch){.kernel = KN_KERNEL_TEST_SELFTEST,
                                  .groups = {GROUPS, 1, 1},
                                  .slice_count = 3,
                                  .slices = (kn_gpu_slice[]){{.buffer = t->a, .format = KN_GPU_FORMAT_RGBA32F},
                                                             {.buffer = t->b, .format = KN_GPU_FORMAT_RGBA32F},
                                                             {.buffer = t->c}},
                                  .constants = constants,
                                  .constant_count = 1},
               error) &&
           kn_gpu_submit(t->recorder, error) && kn_gpu_wait(t->recorder, error) &&
           kn_gpu_download(t->c, 0, t->values + A_COUNT + B_COUNT, C_COUNT * sizeof(float), error);
}

bool kn_vk_wide_check(kn_gpu *gpu, bool *good, kn_error *error) {
    selftest t = {0};
    bool profile = gpu->profile;
    uint64_t limit = gpu->memory_limit;
    gpu->profile = false;
    gpu->memory_limit = 0;
    bool ran = run_selftest(&t, gpu, error);
    gpu->profile = profile;
    gpu->memory_limit = limit;
    *good = ran && !check_must_fail && results_right(t.values, t.values + A_COUNT, t.values + A_COUNT + B_COUNT);
    kn_gpu_recorder_destroy(&t.recorder);
    kn_gpu_buffer_destroy(&t.a);
    kn_gpu_buffer_destroy(&t.b);
    kn_gpu_buffer_destroy(&t.c);
    kn_free(t.values);
    gpu->memory_peak = gpu->memory_now;
    if (*good) {
        pthread_mutex_lock(&lock);
        state = state == REQUESTED ? TRUSTED : state;
        pthread_mutex_unlock(&lock);
    }
    return ran;
}
