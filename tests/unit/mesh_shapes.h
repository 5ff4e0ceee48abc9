/* Parametric shapes, pictures of them and distances between surfaces: what the tests of mesh/ measure with. */
#ifndef KN_TESTS_MESH_SHAPES_H
#define KN_TESTS_MESH_SHAPES_H

#include "mesh/views/mesh.h"

typedef enum shape_kind { SHAPE_CAR, SHAPE_BUILDING } shape_kind;
typedef enum shape_paint { PAINT_TEXTURED, PAINT_FLAT, PAINT_GLOSSY } shape_paint;

/* The shape with its bounding box's diagonal 1, standing on z = 0, x forward. */
void shape_make(kn_tris *mesh, shape_kind kind);

/* `count` cameras on rings at these elevations (degrees), looking at the middle, pictures of size x size pixels. */
void orbit_cameras(kn_view_camera *cameras, size_t count, const double *elevations, size_t rings, int size);

/* A picture with alpha; `plain` above 0 puts a plain grey background of that value and alpha 255. */
void shape_render(kn_image *picture, const kn_tris *mesh, shape_kind kind, shape_paint paint,
                  const kn_view_camera *camera, int plain);

typedef struct shape_score {
    double precision, recall, f, chamfer;
    double precision_by_side[3], recall_by_side[3]; /* faces that look down, sideways, up */
} shape_score;
/* Both ways between the parts of two surfaces that the cameras see; `limit` is the F-score's. samples points each. */
shape_score shape_compare(const kn_tris *truth, const kn_tris *found, const kn_view_camera *cameras, size_t count,
                          double limit, size_t samples);

/* The eye of a camera. */
kn_eye shape_eye(const kn_view_camera *camera);

#endif
