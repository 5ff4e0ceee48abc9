/* Which places of a clip's pictures show the same surface: what locked sampling needs of a scene. A place is what the
 * sampler makes one vector for: a pixel, or a latent cell.
 *
 * Surfaces are cut into cells: static ones in the world, those of road users and labelled things in their own
 * coordinates, the sky by direction. The size of a cell is that of the place that sees it, rounded to a power of two,
 * so that what is seen at about the same scale is compared. Only what a picture really shows belongs to a cell, so that
 * nothing hidden takes part, and the two sides of a wall are different cells. Places in which two surfaces meet are
 * left alone.
 *
 *     kn_surface_window_begin(window, first, frames, &error);
 *     for (every picture) kn_surface_window_add(window, picture, &(kn_surface_picture){...}, &error);
 *     ... sample with kn_surface_window_links(window) ...
 */
#ifndef KINORA_SURFACES_H
#define KINORA_SURFACES_H

#include "kinora/camera.h"
#include "kinora/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KN_SURFACE_NONE 0xffffffffu

typedef struct kn_surface_params {
    int width, height; /* places of one picture */
    int samples;       /* points looked at in a place, along each axis: 1..8 */
    double detail;     /* size of a cell, at most, over that of a place; 1 */
    double sky_angle;  /* radians that a place covers: 1 / focal length in places, of the rig's longest lens */
} kn_surface_params;

/* One picture as the renderer drew it, of any size whose sides are multiples of width and height. */
typedef struct kn_surface_picture {
    const kn_camera *camera; /* relative to the ego */
    size_t frame;
    const float *depth;       /* [height][width]: metres along the view axis; INFINITY: sky */
    const float *normal;      /* [3][height][width]: camera axes */
    const uint16_t *instance; /* [height][width] */
    const float *matte;       /* [height][width]: 1 looks the same from everywhere .. 0 a mirror; NULL: 1 */
    bool decided;             /* what it shows stands: it does not change, and counts as much as several others */
} kn_surface_picture;

/* The correspondences of a window of N pictures with S = samples^2 points a place. They belong to the window. */
typedef struct kn_surface_links {
    size_t picture_count;
    int samples;           /* S */
    const uint32_t *cells; /* [N][height][width][S] */
    const float *weights;  /* [N][height][width]: how much a place tells about its cells; above 0 */
    const float *hold;     /* [N][height][width]: how far it lets itself be changed, 0..1 */
    size_t cell_count;
} kn_surface_links;

/* A window of frames. The scene outlives it. Not thread-safe; different windows may be used from different threads. */
typedef struct kn_surface_window kn_surface_window;
bool kn_surface_window_create(kn_surface_window **window, const kn_scene *scene, const kn_surface_params *params,
                              kn_error *error);
void kn_surface_window_destroy(kn_surface_window **window);
/* Forgets what was added, for frames first .. first + frames - 1. */
bool kn_surface_window_begin(kn_surface_window *window, size_t first, size_t frames, kn_error *error);
/* Picture `index` of the window; indices come in the order 0, 1, 2 ... */
bool kn_surface_window_add(kn_surface_window *window, size_t index, const kn_surface_picture *picture, kn_error *error);
const kn_surface_links *kn_surface_window_links(const kn_surface_window *window);

#ifdef __cplusplus
}
#endif
#endif
