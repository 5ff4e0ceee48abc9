/* The pictures of a mesh job with their cameras, masks and given depth. */
#ifndef KN_PIPELINES_MESH_INPUT_H
#define KN_PIPELINES_MESH_INPUT_H

#include "pipelines/mesh/mesh_job.h"

typedef struct kn_mesh_frames {
    kn_surface_view *views; /* [count], owned with their pictures, masks and maps */
    size_t *index;          /* [count] which frame of the input each is */
    size_t count, capacity, index_capacity;
    size_t total;        /* frames of the input */
    kn_find_facts found; /* pictures 0: the cameras were given */
} kn_mesh_frames;

/* Reads what the job names. At most job->frames frames are kept: the sharpest of stretches in which the picture changes
 * equally much. Without job->cameras the cameras are found, and frames whose camera is not found are left out with a
 * warning. */
bool kn_mesh_frames_init(kn_mesh_frames *frames, const kn_mesh_job *job, kn_error *error);
void kn_mesh_frames_finish(kn_mesh_frames *frames);

#endif
