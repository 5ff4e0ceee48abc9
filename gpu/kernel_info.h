/* What the build learnt from each kernel's SPIR-V; the table itself is generated (kernels.c). Internal. */
#ifndef KN_GPU_KERNEL_INFO_H
#define KN_GPU_KERNEL_INFO_H

#include <stdbool.h>
#include <stdint.h>

typedef enum kn_binding_kind {
    KN_BINDING_NONE,    /* the kernel does not declare this binding */
    KN_BINDING_STORAGE, /* storage buffer */
    KN_BINDING_TEXEL    /* uniform texel buffer */
} kn_binding_kind;

typedef struct kn_kernel_binding {
    kn_binding_kind kind;
    bool reads, writes;
} kn_kernel_binding;

typedef struct kn_kernel_info {
    const char *name;      /* "nn/gemm" */
    const uint32_t *words; /* SPIR-V, [word_count] */
    uint32_t word_count;
    const kn_kernel_binding *bindings; /* set 0, [binding_count] */
    uint32_t binding_count;
    uint32_t push_size;     /* bytes of the push-constant block, 0 without one */
    uint64_t constants;     /* bit i: specialization constant id i exists (id < 64) */
    uint32_t local_size[3]; /* invocations per group unless a constant replaces them */
    int local_size_id[3];   /* that constant's id, or -1 */
    bool matrices;          /* multiplies cooperative matrices, and so needs full subgroups */
} kn_kernel_info;

/* [KN_KERNEL_COUNT], in the order of enum kn_kernel. */
extern const kn_kernel_info kn_kernel_infos[];

#endif
