/* Variants and tiles: see ops_variant.h. The numbers are what the kernels were designed for; `kinora tune` measures
 * which suit a device (gpu/tuning.h). */
#include "diffusion/ops/ops_variant.h"

#include "diffusion/ops/host_kernels.h"

enum {
    PLAIN_ROWS = 8,
    FULL_HEAD = 160, /* cooperative attention keeps a head in registers */
    MATRIX_LEAST = 8,
    MATRIX_MOST = 32,
    BUSY_DISCRETE = 160,
    BUSY_OTHER = 32 /* workgroups that keep a device busy; below, smaller tiles are better */
};

static bool has_subgroups(const kn_gpu_info *info) {
    return info->kind == KN_GPU_SOFTWARE && (info->subgroup_size == 8 || info->subgroup_size == 16) &&
           info->max_texel_elements >= 8u << 20;
}

/* Matrices of a size that the kernels' tiles are multiples of; a row of them has one or more lanes in the softmax. */
static bool matrix_fits(const kn_gpu_info *info) {
    const uint32_t sizes[] = {info->matrix_m, info->matrix_n, info->matrix_k};
    for (size_t i = 0; i < KN_COUNT(sizes); i++)
        if (sizes[i] < MATRIX_LEAST || sizes[i] > MATRIX_MOST || (sizes[i] & (sizes[i] - 1)) != 0) return false;
    return info->subgroup_size <= 64 && info->subgroup_size % info->matrix_m == 0 &&
           info->subgroup_size / info->matrix_m <= KN_PLAN_KEYS / 4;
}

bool kn_variant_runs(const kn_gpu_info *info, kn_variant variant) {
    switch (variant) {
    case KN_VARIANT_HOST: return has_subgroups(info) && kn_host_kernels_find() != NULL;
    case KN_VARIANT_SUBGROUP: return has_subgroups(info);
    case KN_VARIANT_COOPERATIVE:
        if (info->kind == KN_GPU_SOFTWARE && info->subgroup_size > 8)
            return false; /* Mesa 26.2 crashes on 512-bit vectors */
        return info->cooperative_matrix && info->half_arithmetic && matrix_fits(info);
    default: return true;
    }
}

kn_variant kn_variant_of(const kn_gpu_info *info, const kn_tuning *tuning) {
    if (info->kind == KN_GPU_SOFTWARE && kn_variant_runs(info, KN_VARIANT_HOST)) return KN_VARIANT_HOST;
    if (info->kind == KN_GPU_SOFTWARE) return has_subgroups(info) ? KN_VARIANT_SUBGROUP : KN_VARIANT_PLAIN;
    return tuning->cooperative && kn_variant_runs(info, KN_VARIANT_COOPERATIVE) ? KN_VARIANT_COOPERATIVE
                                                                                : KN_VARIANT_TILED;
}

const char *kn_variant_name(kn_variant variant) {
    static const char *const names[] = {"host", "subgroup", "plain", "tiled", "cooperative"};
    return names[variant];
}

static int64_t busy(const kn_gpu_info *info, const kn_tuning *tuning) {
    if (tuning->busy_groups) return tuning->busy_groups;
    return info->kind == KN_GPU_DISCRETE ? BUSY_DISCRETE : BUSY_OTHER;
}

/* --- convolutions and linear layers ----------------------------------------------------------- */

/* Bytes of shared memory, as the kernels declare it. */
static int64_t conv_bytes(const kn_gpu_info *info, const kn_conv_plan *p, int lanes, bool gated) {
    int64_t columns = (int64_t)p->panels * lanes;
    if (p->variant == KN_VARIANT_TILED) return 16 * (p->tile_rows * p->depth + 4 * p->depth * columns);
    int64_t subgroups = p->threads / (int)info->subgroup_size;
    return 8 * (p->tile_rows * (p->depth + 2) + 4 * p->depth * (columns + 2)) +
           4 * subgroups * (gated ? 2 : 1) * info->matrix_m * info->matrix_n;
}

static int64_t conv_groups(const kn_conv_plan *p, const kn_weight *weight, int64_t rows) {
    return (rows + p->tile_rows - 1) / p->tile_rows * (weight->panels / p->panels);
}

static bool conv_fits(const kn_gpu_info *info, const kn_conv_plan *p, const kn_weight *weight, bool gated) {
    return weight->panels % p->panels == 0 && p->panels == (gated ? 2 : p->panels) &&
           conv_bytes(info, p, weight->lanes, gated) <= info->shared_memory;
}

kn_conv_plan kn_plan_conv(const kn_gpu_info *info, const kn_tuning *tuning, kn_variant variant, const kn_weight *weight,
                          int64_t rows, bool gated) {
    int lanes = (int)info->subgroup_size;
    const kn_conv_plan cooperative[] = {
        /* largest first */
        {KN_VARIANT_COOPERATIVE, 128, 2, 8 * lanes, 8, 4},
        {KN_VARIANT_COOPERATIVE, 64, 2, 4 * lanes, 8, 2},
        {KN_VARIANT_COOPERATIVE, 64, 1, 4 * lanes, 8, 2},
        {KN_VARIANT_COOPERATIVE, 32, 1, 2 * lanes, 8, 1},
    };
    const kn_conv_plan tiled[] = {
        {KN_VARIANT_TILED, 128, 2, 256, 4, 0},
        {KN_VARIANT_TILED, 64, 2, 128, 4, 0},
        {KN_VARIANT_TILED, 64, 1, 128, 4, 0},
        {KN_VARIANT_TILED, 16, 1, 64, 4, 0},
    };
    kn_conv_plan best = {.variant = KN_VARIANT_PLAIN, .tile_rows = PLAIN_ROWS};
    if (variant == KN_VARIANT_COOPERATIVE && !weight->half) variant = KN_VARIANT_TILED;
    if (variant != KN_VARIANT_COOPERATIVE && variant != KN_VARIANT_TILED) return best;
    const kn_conv_plan *plans = variant == KN_VARIANT_COOPERATIVE ? cooperative : tiled;
    for (size_t i = 0; i < KN_COUNT(cooperative); i++) {
        if (!conv_fits(info, &plans[i], weight, gated)) continue;
        best = plans[i];
        if (conv_groups(&best, weight, rows) >= busy(info, tuning)) break;
    }
    if (best.variant == KN_VARIANT_PLAIN && variant == KN_VARIANT_COOPERATIVE)
        return kn_plan_conv(info, tuning, KN_VARIANT_TILED, weight, rows, gated);
    return best;
}

bool kn_plan_gates(const kn_gpu_info *info, const kn_tuning *tuning, kn_variant variant, const kn_weight *weight) {
    return weight->out % (8 * weight->lanes) == 0 &&
           kn_plan_conv(info, tuning, variant, weight, 1, true).variant != KN_VARIANT_PLAIN;
}

/* --- attention -------------------------------------------------------------------------------- */

static int64_t cooperative_attention_bytes(const kn_gpu_info *info, const kn_attention_plan *p) {
    int64_t n = info->matrix_n, scores = KN_PLAN_KEYS + 4 > n ? KN_PLAN_KEYS + 4 : n, stride = p->padded + 2;
    return 8 * (p->queries + KN_PLAN_KEYS) * stride + 4 * p->queries * scores +
           8 * p->queries * (KN_PLAN_KEYS / 4 + 2) + 4 * p->queries + 4;
}

static int64_t tiled_attention_bytes(const kn_attention_plan *p) {
    int64_t part = (int64_t)(p->queries + KN_PLAN_KEYS) * 5, values = KN_PLAN_KEYS * 16;
    return 16 * (part > values ? part : values) + 4 * (p->queries * (KN_PLAN_KEYS + 1) + p->threads + p->queries);
}

static bool is_busy(const kn_gpu_info *info, const kn_tuning *tuning, const kn_attention_plan *p, int queries,
                    int64_t groups) {
    return (queries + p->queries - 1) / p->queries * groups >= busy(info, tuning);
}

kn_attention_plan kn_plan_attention(const kn_gpu_info *info, const kn_tuning *tuning, kn_variant variant, int head,
                                    int queries, int64_t groups, bool half) {
    kn_attention_plan best = {.variant = KN_VARIANT_PLAIN};
    if (variant == KN_VARIANT_COOPERATIVE && half && head <= FULL_HEAD) {
        int m = (int)info->matrix_m, step = (int)(info->matrix_n > info->matrix_k ? info->matrix_n : info->matrix_k);
        int padded = (head + step - 1) / step * step / 4;
        for (int subgroups = 4; subgroups >= 1; subgroups /= 2) {
            kn_attention_plan p = {KN_VARIANT_COOPERATIVE, subgroups * m, subgroups * (int)info->subgroup_size, padded};
            if (cooperative_attention_bytes(info, &p) > info->shared_memory) continue;
            best = p;
            if (is_busy(info, tuning, &p, queries, groups)) break;
        }
    }
    if (best.variant != KN_VARIANT_PLAIN || (variant != KN_VARIANT_COOPERATIVE && variant != KN_VARIANT_TILED))
        return best;
    for (int threads = 256; threads >= 128; threads /= 2) {
        kn_attention_plan p = {.variant = KN_VARIANT_TILED, .queries = threads / 4, .threads = threads};
        if (tiled_attention_bytes(&p) > info->shared_memory) continue;
        best = p;
        if (is_busy(info, tuning, &p, queries, groups)) break;
    }
    return best;
}
