/* Pictures around a shape: an orbit video with cameras, masks and depth. Internal to pipelines/design. */
#ifndef KN_PIPELINES_DESIGN_ORBIT_H
#define KN_PIPELINES_DESIGN_ORBIT_H

#include "kinora/design.h"
#include "kinora/gpu.h"

typedef enum kn_orbit_light { KN_ORBIT_NOON, KN_ORBIT_EVENING, KN_ORBIT_STUDIO } kn_orbit_light;

typedef struct kn_orbit_params {
    const char *folder; /* receives orbit.mp4, frames/, masks/, depth/, transforms.json, orbit.png */
    int views, rings;   /* pictures a ring, 3..360; rings at growing elevations, 1..3 */
    int size[2];        /* width and height, pixels, 64..4096 */
    kn_orbit_light light;
    kn_progress_callback progress; /* stage "orbit", in pictures */
    void *progress_user;
} kn_orbit_params;

/* The surface, with materials[triangle_count] that index the class's (NULL: all matt). */
bool kn_orbit_write(const kn_surface *surface, const uint8_t *materials, const kn_shape_class *kind, kn_gpu *gpu,
                    const kn_orbit_params *params, kn_error *error);

#endif
