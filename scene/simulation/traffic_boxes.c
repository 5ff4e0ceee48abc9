/* Oriented boxes of road users in the plane. */
#include "scene/simulation/simulation.h"

typedef struct rectangle {
    double x, y, ux, uy, half_length, half_width;
} rectangle;

static rectangle rectangle_of(const kn_actor *actor, const kn_pose *pose, double margin) {
    kn_vec3 center = kn_pose_point(pose, (kn_vec3){actor->center[0], actor->center[1], 0});
    double x = pose->rotation[0][0], y = pose->rotation[1][0], n = hypot(x, y);
    n = n > 0 ? n : 1;
    return (rectangle){center.x, center.y, x / n, y / n, actor->length / 2 + margin, actor->width / 2 + margin};
}

/* Gap between the projections of two rectangles on a direction; negative when they overlap. */
static double axis_gap(const rectangle *a, const rectangle *b, double x, double y) {
    double reach_a = a->half_length * fabs(a->ux * x + a->uy * y) + a->half_width * fabs(-a->uy * x + a->ux * y);
    double reach_b = b->half_length * fabs(b->ux * x + b->uy * y) + b->half_width * fabs(-b->uy * x + b->ux * y);
    return fabs((b->x - a->x) * x + (b->y - a->y) * y) - reach_a - reach_b;
}

static double separation(const rectangle *a, const rectangle *b) {
    double best = axis_gap(a, b, a->ux, a->uy);
    best = fmax(best, axis_gap(a, b, -a->uy, a->ux));
    best = fmax(best, axis_gap(a, b, b->ux, b->uy));
    return fmax(best, axis_gap(a, b, -b->uy, b->ux));
}

bool kn_boxes_overlap(const kn_actor *a, const kn_pose *pose_a, const kn_actor *b, const kn_pose *pose_b,
                      double margin) {
    rectangle ra = rectangle_of(a, pose_a, margin), rb = rectangle_of(b, pose_b, 0);
    if (hypot(ra.x - rb.x, ra.y - rb.y) > ra.half_length + ra.half_width + rb.half_length + rb.half_width) return false;
    double za = pose_a->translation.z, zb = pose_b->translation.z;
    if (za + a->height < zb || zb + b->height < za) return false; /* on a bridge above */
    return separation(&ra, &rb) < 0;
}

static double corner_distance(const rectangle *a, const rectangle *b) {
    double best = INFINITY;
    for (int i = 0; i < 4; i++) {
        double l = i & 1 ? a->half_length : -a->half_length, w = i & 2 ? a->half_width : -a->half_width;
        double dx = a->x + a->ux * l - a->uy * w - b->x, dy = a->y + a->uy * l + a->ux * w - b->y;
        double u = fmax(fabs(dx * b->ux + dy * b->uy) - b->half_length, 0),
               v = fmax(fabs(-dx * b->uy + dy * b->ux) - b->half_width, 0);
        best = fmin(best, hypot(u, v));
    }
    return best;
}

double kn_box_distance(const kn_actor *a, const kn_pose *pose_a, const kn_actor *b, const kn_pose *pose_b) {
    rectangle ra = rectangle_of(a, pose_a, 0), rb = rectangle_of(b, pose_b, 0);
    if (separation(&ra, &rb) < 0) return 0;
    return fmin(corner_distance(&ra, &rb), corner_distance(&rb, &ra));
}
