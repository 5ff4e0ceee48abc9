/* Small vectors and rigid transforms, double precision on the host. Internal. */
#ifndef KN_BASE_VECMATH_H
#define KN_BASE_VECMATH_H

#include <math.h>

#ifndef M_PI
#define M_PI 3.14159265358979323846
#endif

typedef struct kn_vec2 {
    double x, y;
} kn_vec2;
typedef struct kn_vec3 {
    double x, y, z;
} kn_vec3;

static inline kn_vec3 kn_vec3_add(kn_vec3 a, kn_vec3 b) { return (kn_vec3){a.x + b.x, a.y + b.y, a.z + b.z}; }
static inline kn_vec3 kn_vec3_sub(kn_vec3 a, kn_vec3 b) { return (kn_vec3){a.x - b.x, a.y - b.y, a.z - b.z}; }
static inline kn_vec3 kn_vec3_scale(kn_vec3 a, double s) { return (kn_vec3){a.x * s, a.y * s, a.z * s}; }
static inline double kn_vec3_dot(kn_vec3 a, kn_vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline kn_vec3 kn_vec3_cross(kn_vec3 a, kn_vec3 b) {
    return (kn_vec3){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
static inline double kn_vec3_length(kn_vec3 a) { return sqrt(kn_vec3_dot(a, a)); }
static inline kn_vec3 kn_vec3_normalize(kn_vec3 a) {
    double length = kn_vec3_length(a);
    return length > 0 ? kn_vec3_scale(a, 1 / length) : (kn_vec3){0, 0, 0};
}

/* A rigid transform, child to parent: parent = rotation * child + translation. Row-major rotation. */
typedef struct kn_pose {
    double rotation[3][3];
    kn_vec3 translation;
} kn_pose;

kn_pose kn_pose_identity(void);
/* Intrinsic z-y-x angles (yaw, then pitch, then roll), the OpenDRIVE and OpenSCENARIO order. */
kn_pose kn_pose_from_euler(kn_vec3 translation, double yaw, double pitch, double roll);
/* Unit quaternion (w, x, y, z); normalised on the way in. */
kn_pose kn_pose_from_quaternion(kn_vec3 translation, const double wxyz[4]);
void kn_pose_quaternion(const kn_pose *pose, double wxyz[4]); /* w >= 0 */
kn_vec3 kn_pose_point(const kn_pose *pose, kn_vec3 point);
kn_vec3 kn_pose_direction(const kn_pose *pose, kn_vec3 direction);
kn_pose kn_pose_multiply(const kn_pose *outer, const kn_pose *inner); /* outer(inner(x)) */
kn_pose kn_pose_inverse(const kn_pose *pose);

/* Angle wrapped to (-pi, pi]. */
double kn_wrap_angle(double angle);

#endif
