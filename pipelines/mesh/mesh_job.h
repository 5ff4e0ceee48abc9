/* The mesh pipeline: pictures or a video and their cameras in, surface files and a report out. */
#ifndef KN_PIPELINES_MESH_JOB_H
#define KN_PIPELINES_MESH_JOB_H

#include "kinora/mesh.h"

#define KN_MESH_MAX_OUTPUTS 16

typedef struct kn_mesh_job {
    const char *input;   /* video, folder of numbered pictures, or NULL: the pictures that the camera file names */
    const char *cameras; /* transforms.json, a COLMAP text model or Kinora's sidecar; NULL: found in the pictures */
    const char *masks;   /* folder of grey pictures in the order of the frames; NULL: found in the pictures */
    const char *depth;   /* folder of depth maps (PFM or PNG), one for each frame, each in units and with a shift of its
                            own; NULL: measured */
    const char *normals; /* folder of normal maps, in the cameras; NULL: none. Only with depth */
    const char *outputs[KN_MESH_MAX_OUTPUTS];
    int output_count;
    const char *report;    /* report.json; NULL: beside the first output */
    const char *turntable; /* PNG; NULL: beside the first output */
    int frames;            /* at most so many: the sharpest, spread over the orbit; 0: at most 120 */
    kn_surface_params params;
    kn_gpu_params gpu;
} kn_mesh_job;

typedef struct kn_mesh_result {
    kn_surface_facts facts;
    size_t frames;       /* used */
    kn_find_facts found; /* pictures 0: the cameras were given */
    double seconds;      /* wall time of the reconstruction */
} kn_mesh_result;

/* Runs a job. Every output appears under its name only when it is complete; nothing is written when the input is
 * bad. */
bool kn_mesh_run(const kn_mesh_job *job, kn_mesh_result *result, kn_error *error);

#endif
