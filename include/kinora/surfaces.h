/* Which places of a clip's pictures show the same surface, and what was decided about each surface before: what locked
 * sampling needs of a scene. A place is what the sampler makes one vector for: a pixel, or a latent cell.
 *
 * Surfaces are cut into cells: static ones in the world, those of road users and labelled things in their own
 * coordinates, the sky by direction. The size of a cell follows from the shortest distance at which the ego passes it
 * during the window, so that it is the same for all pictures. Only what a picture really shows belongs to a cell, so
 * that nothing hidden takes part, and the two sides of a wall are different cells.
 *
 *     kn_surface_window_begin(window, first, frames, &error);
 *     for (every picture) kn_surface_window_add(window, picture, &(kn_surface_picture){...}, &error);
 *     kn_surface_store_recall(store, window, &error);
 *     ... sample with kn_surface_window_links(window), which gives one value per cell and channel ...
 *     kn_surface_store_keep(store, window, values, &error);
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
    int width, height;  /* places of one picture */
    int samples;        /* points looked at in a place, along each axis: 1..8 */
    double place_angle; /* radians that a place covers: 1 / focal length in places, of the rig's longest lens */
    double detail;      /* size of a cell, at most, over that of a place seen squarely from the shortest distance; 1 */
} kn_surface_params;

/* One picture as the renderer drew it, of any size whose sides are multiples of width and height. */
typedef struct kn_surface_picture {
    const kn_camera *camera; /* relative to the ego */
    size_t frame;
    const float *depth;       /* [height][width]: metres along the view axis; INFINITY: sky */
    const float *normal;      /* [3][height][width]: camera axes */
    const uint16_t *instance; /* [height][width] */
    const float *matte;       /* [height][width]: 1 looks the same from everywhere .. 0 a mirror; NULL: 1 */
} kn_surface_picture;

/* The correspondences of a window of N pictures with S = samples^2 points a place. They belong to the window. */
typedef struct kn_surface_links {
    size_t picture_count;
    int samples;           /* S */
    const uint32_t *cells; /* [N][height][width][S] */
    const float *weights;  /* [N][height][width]: how much a place tells about its cells; above 0 */
    const float *hold;     /* [N][height][width]: how far it lets itself be changed, 0..1 */
    size_t cell_count;
    size_t parent_count;       /* of the larger cells about which something is known; 0 before recall, like the rest */
    const float *prior;        /* [cell_count][channels] */
    const float *prior_share;  /* [cell_count]: 0 unknown .. 1 */
    const uint32_t *parents;   /* [cell_count]: KN_SURFACE_NONE: none */
    const float *parent_prior; /* [parent_count][channels] */
    const float *parent_share; /* [parent_count] */
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

typedef struct kn_surface_store_params {
    int channels;    /* of the values */
    size_t capacity; /* cells kept; the farthest ones from the ego go first */
    double memory;   /* share of what is known in a cell's value, 0..1 */
    double adapt;    /* how fast what is known follows what is kept, 0 never .. 1 at once */
} kn_surface_store_params;
#define KN_SURFACE_STORE_PARAMS_DEFAULT ((kn_surface_store_params){.memory = 0.85, .adapt = 0.2})

/* What earlier windows decided. Not thread-safe. */
typedef struct kn_surface_store kn_surface_store;
bool kn_surface_store_create(kn_surface_store **store, const kn_surface_store_params *params, kn_error *error);
void kn_surface_store_destroy(kn_surface_store **store);
/* Fills the window's priors: of the same cell, else of the smallest larger cell that is known. */
bool kn_surface_store_recall(kn_surface_store *store, kn_surface_window *window, kn_error *error);
/* Enters values [cell_count][channels] of a sampled window, then drops the farthest cells beyond the capacity. Refuses
 * values that are not finite. */
bool kn_surface_store_keep(kn_surface_store *store, const kn_surface_window *window, const float *values,
                           kn_error *error);
size_t kn_surface_store_count(const kn_surface_store *store);
/* The store as a file, so that a job can go on later; reading replaces the content and checks every number. */
bool kn_surface_store_write(const kn_surface_store *store, const char *path, kn_error *error);
bool kn_surface_store_read(kn_surface_store *store, const char *path, kn_error *error);

#ifdef __cplusplus
}
#endif
#endif
