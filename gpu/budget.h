/* What the driver says about memory that other processes take part in. */
#ifndef KN_GPU_BUDGET_H
#define KN_GPU_BUDGET_H

#include "kinora/gpu.h"

/* Bytes of device memory that this process may hold in all, by what the driver says now: other processes take theirs. 0
 * when it does not say (VK_EXT_memory_budget). */
uint64_t kn_gpu_memory_budget(const kn_gpu *gpu);

#endif
