/* Scenes: pictures without masks. What is reconstructed lies in a region around what the cameras look at; everything
 * else tells only that the space before it is empty. Internal to mesh/. */
#ifndef KN_MESH_SCENE_H
#define KN_MESH_SCENE_H

#include "mesh/views/mesh.h"

/* Sparse points in the work frame. */
typedef struct kn_cloud {
    double (*points)[3]; /* [count] */
    size_t *first;       /* [count + 1] into seen */
    uint32_t *seen;      /* eyes that see each point, two at least */
    size_t count;
} kn_cloud;

/* Points from matches of SIFT features that agree with the eyes' poses. Fails with KN_ERROR_INPUT when there are hardly
 * any. Deterministic. */
bool kn_cloud_find(kn_cloud *cloud, const kn_eyes *eyes, const kn_log *log, kn_error *error);
void kn_cloud_finish(kn_cloud *cloud);

/* What is reconstructed, in the work frame: an upright (along axes[2]) cylinder with an elliptic base, or a box. */
typedef struct kn_region {
    double center[3];   /* of the ellipse or rectangle; along axes[2] the work frame's origin counts */
    double axes[3][3];  /* orthonormal; [2] is the normal of what the object stands on, towards the eyes */
    double radius[2];   /* half sizes along axes[0] and axes[1] */
    double bottom, top; /* along axes[2] */
    double ground[4];   /* plane on which the object stands: normal towards the eyes, distance along it */
    bool has_ground, box;
} kn_region;

/* The region of what most eyes look at: points above the largest plane that has nothing behind it, and a slice of that
 * plane. */
bool kn_region_find(kn_region *region, const kn_cloud *cloud, const kn_eyes *eyes, const kn_log *log, kn_error *error);
/* Makes the region a box of the cameras' world: low x, y, z, high x, y, z; the ground stays. */
void kn_region_set_box(kn_region *region, const double box[6], const kn_eyes *eyes);
/* The smallest such box around the region. */
void kn_region_get_box(const kn_region *region, double box[6], const kn_eyes *eyes);
/* Signed distance, negative inside; exact up to the ellipse's flattening. */
double kn_region_distance(const kn_region *region, const double point[3]);
/* The same of the region without an end at its underside. */
double kn_region_distance_sides(const kn_region *region, const double point[3]);
/* Smallest upright box of the work frame around it. */
void kn_region_bounds(const kn_region *region, double low[3], double high[3]);
/* Follows kn_eyes_turn and kn_eyes_move. */
void kn_region_turn(kn_region *region, const double turn[3][3]);
void kn_region_move(kn_region *region, const double center[3], double scale);

/* Per eye: which others it is compared with, and the depths between which everything lies. */
typedef struct kn_scan_view {
    int32_t sources[KN_MAX_NEIGHBOURS];
    int count;
    double near, far;
} kn_scan_view;
/* views[eyes->count]: sources share many points with the eye at useful angles. */
bool kn_scan_plan(kn_scan_view *views, const kn_cloud *cloud, const kn_region *region, const kn_eyes *eyes,
                  kn_error *error);

/* Depth maps of all eyes by PatchMatch over each view's whole range of depths: depths[eyes->count] get planes (normal
 * x, y, depth, weight) [height][width][4], owned by the caller. start (NULL: none): coarser maps that the search begins
 * with, of an eye half as wide; ground: the plane on which the object stands, normal and distance in the work frame, or
 * NULL. */
bool kn_scan_run(kn_depth *depths, kn_gpu *gpu, const kn_eyes *eyes, const kn_scan_view *views, const kn_eyes *coarse,
                 const kn_depth *start, const double ground[4], const kn_surface_params *params, int first_percent,
                 int last_percent, kn_error *error);
#define KN_WEAK 0.04f /* weight of what is only guessed */
/* Drops patches of fewer than `least` pixels whose depth does not continue into their neighbours'. Large even patches
 * without weight, which the search found but no other picture confirms, get KN_WEAK. */
bool kn_scan_despeckle(kn_depth *depth, int width, int height, int least, kn_error *error);

/* Fills holes between pixels of one surface by interpolation, with a small weight. */
bool kn_scan_fill(kn_depth *depth, int width, int height, kn_error *error);

/* Distance field from depth maps in a scene: where the eyes look through is free, what lies behind all that was seen is
 * solid, what nothing tells about is filled smoothly (pull-push and relaxation: Gortler et al. 1996; Davis et al.
 * 2002); cut by the region. field and weight are [voxels]. */
bool kn_scene_fuse(float *field, float *weight, const kn_grid *grid, const kn_region *region, kn_gpu *gpu,
                   const kn_eyes *eyes, const kn_depth *depths, kn_error *error);
/* Fills field[] (on entry values that are known with weight[] above 0) smoothly. */
bool kn_field_fill(float *field, const float *weight, const int size[3], kn_error *error);

/* Changes the eyes' colours so that pixels that show the same point (by the depth maps of the reduced pictures) look
 * alike. */
bool kn_scene_even_colors(kn_eyes *eyes, const kn_eyes *small, const kn_scan_view *views, const kn_depth *depths,
                          kn_error *error);
/* Turns the work frame: what was at p is at turn * p. */
void kn_eyes_turn(kn_eyes *eyes, const double turn[3][3]);
/* Pictures reduced to `size` pixels along the longer side at most, with the same poses. */
bool kn_eyes_reduce(kn_eyes *small, const kn_eyes *eyes, int size, kn_error *error);

/* The whole way from eyes without masks to a field on a grid and the region's own distances (both owned by the caller);
 * moves the eyes. */
bool kn_scene_build(kn_grid *grid, float **region, float **field, float **weight, kn_gpu *gpu, kn_eyes *eyes,
                    const kn_surface_params *params, kn_error *error);

#endif
