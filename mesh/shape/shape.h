/* What the files of shapes share. Internal to mesh/shape. */
#ifndef KN_MESH_SHAPE_H
#define KN_MESH_SHAPE_H

#include "base/base.h"
#include "kinora/design.h"
#include "mesh/views/mesh.h"

/* --- the grid of a sample --------------------------------------------------------------------- */

/* Middle of cell i along an axis, units. */
static inline double kn_shape_at(const kn_shape_class *kind, const int size[3], int axis, double i) {
    double extent = kind->frame[axis], low = axis == 2 ? -0.02 * extent : -extent / 2;
    return low + (i + 0.5) * extent / size[axis];
}
/* The other way: cell, with its fraction. */
static inline double kn_shape_cell(const kn_shape_class *kind, const int size[3], int axis, double at) {
    double extent = kind->frame[axis], low = axis == 2 ? -0.02 * extent : -extent / 2;
    return (at - low) * size[axis] / extent - 0.5;
}
static inline double kn_shape_mean_cell(const kn_shape_class *kind, const int size[3]) {
    return (kind->frame[0] / size[0] + kind->frame[1] / size[1] + kind->frame[2] / size[2]) / 3;
}
/* Where cell (x, y, z) lies in a plane stack of `size[1]` slices. */
static inline size_t kn_shape_index(const int size[3], int x, int y, int z) {
    return ((size_t)y * (size_t)size[2] + (size_t)(size[2] - 1 - z)) * (size_t)size[0] + (size_t)x;
}
/* Trilinear value of a stack of slices at a point in units; the border's beyond it. */
double kn_shape_value(const kn_shape_class *kind, const int size[3], const float *slices, const double point[3]);

/* --- cameras of drawings ---------------------------------------------------------------------- */

/* An eye of KN_DRAWING_SIZE pixels that sees a box (low x, y, z, high x, y, z) from a view so that the box of its
 * corners has the geometric mean of sides and the middle of the drawing's silhouette. */
void kn_shape_eye(kn_eye *eye, const double box[6], const kn_drawing_pose *drawing);

/* The smallest distance, in units, on each ray of a `side` x `side` raster over the drawing, and the point where it
 * is. low [side][side], points [side][side][3] (may be NULL). Rays that miss the frame get 1e9. */
void kn_shape_march(const kn_shape_class *kind, const int size[3], const float *slices, const kn_eye *eye, int side,
                    float *low, float *points);

/* Box of what is inside; false: nothing is. */
bool kn_shape_bounds(const kn_shape_class *kind, const int size[3], const float *slices, double box[6]);
/* The class's mean box, or one of this length, width and height. */
void kn_shape_mean_box(const kn_shape_class *kind, const double lengths[3], double box[6]);

#endif
