/* What tools leave in weight files that belongs to no network's own names: prefixes of wrappers, scales of fp8. */
#include "diffusion/files/settle.h"

#include "diffusion/files/names.h"

#include <string.h>

/* torch.nn.DataParallel and torch.compile wrap a network: all its names begin so. */
static void strip_wrapper(kn_archive *archive, const char *prefix) {
    size_t length = strlen(prefix);
    for (size_t i = 0; i < archive->count; i++)
        if (!kn_name_starts(archive->tensors[i].name, prefix) || !archive->tensors[i].name[length]) return;
    for (size_t i = 0; i < archive->count; i++) archive->tensors[i].name += length;
}

/* A tensor that tells about the fp8 weight of the same layer. */
typedef enum fp8_role { FP8_NONE, FP8_SCALE, FP8_NOTE } fp8_role;

static fp8_role role_of(const char *name, size_t *layer_length) {
    static const struct {
        const char *end;
        fp8_role role;
    } ends[] = {{".scale_weight", FP8_SCALE}, {".weight_scale", FP8_SCALE}, {".scale_input", FP8_NOTE},
                {".input_scale", FP8_NOTE},   {".comfy_quant", FP8_NOTE},   {"scaled_fp8", FP8_NOTE}};
    for (size_t i = 0; i < KN_COUNT(ends); i++) {
        *layer_length = kn_name_ends(name, ends[i].end) ? strlen(name) - strlen(ends[i].end) : 0;
        if (kn_name_ends(name, ends[i].end)) return ends[i].role;
    }
    return FP8_NONE;
}

static kn_stored_tensor *weight_of(const kn_archive *archive, const char *name, size_t layer_length) {
    char weight[KN_TENSOR_NAME_SIZE * 4];
    int length = snprintf(weight, sizeof weight, "%.*s.weight", (int)layer_length, name);
    if (length < 0 || (size_t)length >= sizeof weight) return NULL;
    return (kn_stored_tensor *)(uintptr_t)kn_archive_find(archive, weight);
}

static bool is_fp8(const kn_stored_tensor *tensor) {
    return tensor && (tensor->dtype == KN_DTYPE_F8_E4M3 || tensor->dtype == KN_DTYPE_F8_E5M2);
}

/* Scales go into their weights, notes go; nothing happens in files without fp8. */
static bool fold_scales(kn_archive *archive, kn_error *error) {
    size_t kept = 0, layer_length;
    bool found = false;
    for (size_t i = 0; i < archive->count && !found; i++) found = is_fp8(&archive->tensors[i]);
    if (!found) return true;
    for (size_t i = 0; i < archive->count; i++) {
        const kn_stored_tensor *tensor = &archive->tensors[i];
        fp8_role role = role_of(tensor->name, &layer_length);
        kn_stored_tensor *weight = role == FP8_SCALE ? weight_of(archive, tensor->name, layer_length) : NULL;
        if (!is_fp8(weight)) continue;
        if (tensor->count != 1 || !kn_dtype_is_float(tensor->dtype))
            return kn_archive_refuse(archive, tensor->name, "expected one number: a scale for the whole weight", error);
        kn_stored_tensor_to_float(tensor, &weight->scale);
    }
    for (size_t i = 0; i < archive->count; i++) {
        fp8_role role = role_of(archive->tensors[i].name, &layer_length);
        if (role == FP8_NONE) archive->tensors[kept++] = archive->tensors[i];
    }
    archive->count = kept;
    return true;
}

bool kn_archive_settle(kn_archive *archive, kn_error *error) {
    strip_wrapper(archive, "module.");
    strip_wrapper(archive, "_orig_mod.");
    return fold_scales(archive, error);
}
