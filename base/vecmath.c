#include "base/vecmath.h"

kn_pose kn_pose_identity(void) { return (kn_pose){{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, {0, 0, 0}}; }

kn_pose kn_pose_from_euler(kn_vec3 translation, double yaw, double pitch, double roll) {
    double cy = cos(yaw), sy = sin(yaw), cp = cos(pitch), sp = sin(pitch), cr = cos(roll), sr = sin(roll);
    return (kn_pose){{{cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr},
                      {sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr},
                      {-sp, cp * sr, cp * cr}},
                     translation};
}

kn_pose kn_pose_from_quaternion(kn_vec3 translation, const double wxyz[4]) {
    double n = sqrt(wxyz[0] * wxyz[0] + wxyz[1] * wxyz[1] + wxyz[2] * wxyz[2] + wxyz[3] * wxyz[3]);
    kn_pose pose = kn_pose_identity();
    pose.translation = translation;
    if (!(n > 0)) return pose;
    double w = wxyz[0] / n, x = wxyz[1] / n, y = wxyz[2] / n, z = wxyz[3] / n;
    double r[3][3] = {{1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)},
                      {2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)},
                      {2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)}};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) pose.rotation[i][j] = r[i][j];
    return pose;
}

/* Shepperd 1978: the largest of the four squared components decides the branch. */
void kn_pose_quaternion(const kn_pose *pose, double wxyz[4]) {
    const double(*r)[3] = pose->rotation;
    double square[4] = {1 + r[0][0] + r[1][1] + r[2][2], 1 + r[0][0] - r[1][1] - r[2][2],
                        1 - r[0][0] + r[1][1] - r[2][2], 1 - r[0][0] - r[1][1] + r[2][2]};
    int best = 0;
    for (int i = 1; i < 4; i++)
        if (square[i] > square[best]) best = i;
    double scale = .5 / sqrt(square[best]);
    double xy = r[0][1] + r[1][0], yz = r[1][2] + r[2][1], zx = r[2][0] + r[0][2];
    double wx = r[2][1] - r[1][2], wy = r[0][2] - r[2][0], wz = r[1][0] - r[0][1];
    double rows[4][4] = {
        {square[0], wx, wy, wz}, {wx, square[1], xy, zx}, {wy, xy, square[2], yz}, {wz, zx, yz, square[3]}};
    double sign = rows[best][0] < 0 ? -1 : 1;
    for (int i = 0; i < 4; i++) wxyz[i] = rows[best][i] * scale * sign;
}

kn_vec3 kn_pose_direction(const kn_pose *pose, kn_vec3 d) {
    const double(*r)[3] = pose->rotation;
    return (kn_vec3){r[0][0] * d.x + r[0][1] * d.y + r[0][2] * d.z, r[1][0] * d.x + r[1][1] * d.y + r[1][2] * d.z,
                     r[2][0] * d.x + r[2][1] * d.y + r[2][2] * d.z};
}

kn_vec3 kn_pose_point(const kn_pose *pose, kn_vec3 point) {
    return kn_vec3_add(kn_pose_direction(pose, point), pose->translation);
}

kn_pose kn_pose_multiply(const kn_pose *outer, const kn_pose *inner) {
    kn_pose product = {.translation = kn_pose_point(outer, inner->translation)};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 3; k++) product.rotation[i][j] += outer->rotation[i][k] * inner->rotation[k][j];
    return product;
}

kn_pose kn_pose_inverse(const kn_pose *pose) {
    kn_pose inverse = {0};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) inverse.rotation[i][j] = pose->rotation[j][i];
    inverse.translation = kn_vec3_scale(kn_pose_direction(&inverse, pose->translation), -1);
    return inverse;
}

double kn_wrap_angle(double angle) {
    angle = fmod(angle, 2 * M_PI);
    if (angle > M_PI) return angle - 2 * M_PI;
    return angle <= -M_PI ? angle + 2 * M_PI : angle;
}
