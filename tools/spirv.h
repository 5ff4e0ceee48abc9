/* The little that the shader embedder needs to know of a SPIR-V module (SPIR-V specification 1.6, chapters 2 and 3). */
#ifndef KN_TOOLS_SPIRV_H
#define KN_TOOLS_SPIRV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPIRV_BINDINGS 32

typedef struct spirv_binding {
    int kind; /* as kn_binding_kind: 0 none, 1 storage buffer, 2 uniform texel buffer */
    bool reads, writes;
} spirv_binding;

typedef struct spirv_info {
    spirv_binding bindings[SPIRV_BINDINGS];
    uint32_t binding_count;
    uint32_t push_size;
    uint64_t constants;
    uint32_t local_size[3];
    int local_size_id[3];
    bool matrices; /* SPV_KHR_cooperative_matrix */
} spirv_info;

/* Reads the interface of a compute module. On failure returns false with a reason in `reason` (static string). */
bool spirv_read(const uint32_t *words, size_t count, spirv_info *info, const char **reason);

#endif
