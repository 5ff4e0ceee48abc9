/* A naive z-buffer renderer in plain C: the oracle of the renderer's tests and a way to look at worlds without a
 * GPU. */
#ifndef KN_TESTS_RENDER_NAIVE_H
#define KN_TESTS_RENDER_NAIVE_H

#include "kinora/camera.h"
#include "scene/world/world.h"

/* Caller-owned arrays; NULL ones are not wanted. A pixel's ray goes through its centre. */
typedef struct kn_naive_target {
    float *depth;       /* [height][width] metres along the view axis; INFINITY for sky */
    uint8_t *semantic;  /* [height][width] kn_semantic; 0 for sky */
    uint16_t *instance; /* [height][width]; 0: none */
    float *normal;      /* [3][height][width] unit shading normal in the world, towards the camera; 0 for sky */
    float *color;       /* [3][height][width] linear base colour; 0 for sky */
    uint16_t *material; /* [height][width]; 65535 for sky */
} kn_naive_target;

/* Draws the world and, when `timeline` is not NULL, its actors as they stand at `frame` (the ego is not drawn; wheels
 * turned by wheel_angle). `camera` is posed in the world. Surfaces nearer than 5 cm are cut. Triangles are
 * two-sided. */
bool kn_naive_render(const kn_world *world, const kn_timeline *timeline, size_t frame, const kn_camera *camera,
                     const kn_naive_target *target, kn_error *error);

#endif
