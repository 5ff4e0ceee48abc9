/* Constants by which kernels and their tiles are chosen on a device. `kinora tune` measures them
 * (diffusion/bench/tune.h); they never change what is computed, only how, so that results differ in rounding at most.
 * Internal. */
#ifndef KN_GPU_TUNING_H
#define KN_GPU_TUNING_H

#include "kinora/gpu.h"

/* A zeroed one is not valid: start from KN_TUNING_DEFAULT. Ranges are checked when a file is read. */
typedef struct kn_tuning {
    /* Software devices (the subgroup kernels). */
    double
        winograd_store;  /* a 3x3 layer in Winograd's form: products, in floating-point operations, that take as long as
                            storing  one element of a transform, 1..1000; larger: more layers are computed directly */
    double winograd_few; /* ... and inputs that its short products cost on top of those they have, 0..1000 */
    int conv_shared;     /* inputs of an output, in vec4, up to which a layer stores by shared addresses, 0..4096
                            (docs/gpu.md) */
    int conv_blocks;     /* subgroups of rows in a tile of a layer with more inputs: 1, 2 or 4 */
    int attention_shared; /* keys up to which attention stores by shared addresses, 0..65536 */
    int attention_blocks; /* most subgroups of queries in a tile of heads of up to 80 channels: 1, 2 or 4 */
    /* GPUs (the tiled and cooperative kernels). */
    int busy_groups; /* workgroups that keep the device busy: below, smaller tiles are taken, 1..4096; 0: by its kind */
    int cooperative; /* 1: matrix units where the device has them; 0: never */
} kn_tuning;

/* Winograd, conv and attention: measured on two Xeon cores (AVX-512) with Mesa 22.3.6 (docs/gpu.md); GPUs: from the
 * kernels' design. */
#define KN_TUNING_DEFAULT                 \
    ((kn_tuning){.winograd_store = 30,    \
                 .winograd_few = 64,      \
                 .conv_shared = 64,       \
                 .conv_blocks = 4,        \
                 .attention_shared = 512, \
                 .attention_blocks = 4,   \
                 .busy_groups = 0,        \
                 .cooperative = 1})

/* The device's constants: from kn_gpu_params.tuning_folder, or the defaults. Lives as long as the device. */
const kn_tuning *kn_gpu_get_tuning(const kn_gpu *gpu);

/* Where a folder has the constants of this device, driver and subgroup size. New string, kn_free; NULL with an
 * error. */
char *kn_tuning_path(const char *folder, const kn_gpu_info *info, kn_error *error);

/* Reads what kn_tuning_write wrote. KN_ERROR_INPUT: absent, damaged, of another device or driver, or a constant out of
 * range; then *tuning is untouched. Thread-safe. */
bool kn_tuning_read(kn_tuning *tuning, const char *path, const kn_gpu_info *info, kn_error *error);
/* Written beside the name and renamed. Thread-safe for different paths. */
bool kn_tuning_write(const kn_tuning *tuning, const char *path, const kn_gpu_info *info, kn_error *error);

/* Whether two are the same, constant by constant. */
bool kn_tuning_equal(const kn_tuning *a, const kn_tuning *b);

/* Calls `visit` for each constant: its name in the file and value. For display. */
void kn_tuning_each(const kn_tuning *tuning, void (*visit)(void *user, const char *name, double value), void *user);

#endif
