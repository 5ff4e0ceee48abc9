/* Small helpers around gpu/ for the kernels of mesh/. Internal to mesh/. */
#ifndef KN_MESH_DEVICE_H
#define KN_MESH_DEVICE_H

#include "gpu/gpu.h"
#include "mesh/views/mesh.h"

#define KN_LANES 256 /* invocations of a group in kernels over voxels */
#define KN_ALL_GROUPS(count) ((uint32_t)(((count) + KN_LANES - 1) / KN_LANES))
/* Groups of a launch over `count` voxels: rows of at most 32768. */
#define KN_GROUPS(count) \
    { KN_ALL_GROUPS(count) < 32768 ? KN_ALL_GROUPS(count) : 32768, (KN_ALL_GROUPS(count) + 32767) / 32768, 1 }

/* A device buffer with this content; data NULL: zeros. */
bool kn_device_upload(kn_gpu_buffer **buffer, kn_gpu *gpu, const void *data, size_t size, kn_error *error);
/* Per eye four vec4: rows of r|t, then fx fy cx cy. */
bool kn_device_eyes(kn_gpu_buffer **buffer, kn_gpu *gpu, const kn_eyes *eyes, kn_error *error);
/* Records one launch, submits it and waits. */
bool kn_device_run(kn_gpu *gpu, const kn_gpu_dispatch *dispatch, kn_error *error);

#endif
