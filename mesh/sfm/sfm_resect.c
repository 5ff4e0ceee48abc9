/* A camera from points, and points from cameras. */
#include "mesh/sfm/sfm.h"

#include <string.h>

/* --- three points ----------------------------------------------------------------------------- */

static kn_vec3 vec(const double v[3]) { return (kn_vec3){v[0], v[1], v[2]}; }

/* Axes that three points span; false when they are on one line. */
static bool frame_of(const double p[3][3], double axes[3][3]) {
    kn_vec3 x = kn_vec3_sub(vec(p[1]), vec(p[0])), y = kn_vec3_sub(vec(p[2]), vec(p[0])), z = kn_vec3_cross(x, y);
    if (!(kn_vec3_length(z) > 1e-12 * kn_vec3_length(x) * kn_vec3_length(y))) return false;
    x = kn_vec3_normalize(x), z = kn_vec3_normalize(z), y = kn_vec3_cross(z, x);
    const kn_vec3 rows[3] = {x, y, z};
    for (int i = 0; i < 3; i++) axes[i][0] = rows[i].x, axes[i][1] = rows[i].y, axes[i][2] = rows[i].z;
    return true;
}

static bool align(const double world[3][3], const double camera[3][3], kn_sfm_pose *pose) {
    double w[3][3], c[3][3], moved[3];
    if (!frame_of(world, w) || !frame_of(camera, c)) return false;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) pose->r[i][j] = c[0][i] * w[0][j] + c[1][i] * w[1][j] + c[2][i] * w[2][j];
    kn_mul3(pose->r, world[0], moved);
    for (int i = 0; i < 3; i++) pose->t[i] = camera[0][i] - moved[i];
    return true;
}

int kn_p3p(const double p[3][3], const double normal[3][2], kn_sfm_pose poses[4]) {
    kn_vec3 j[3];
    for (int i = 0; i < 3; i++) j[i] = kn_vec3_normalize((kn_vec3){normal[i][0], normal[i][1], 1});
    double ca = kn_vec3_dot(j[1], j[2]), cb = kn_vec3_dot(j[0], j[2]), cg = kn_vec3_dot(j[0], j[1]);
    kn_vec3 da = kn_vec3_sub(vec(p[1]), vec(p[2])), db = kn_vec3_sub(vec(p[0]), vec(p[2])),
            dc = kn_vec3_sub(vec(p[0]), vec(p[1]));
    double a2 = kn_vec3_dot(da, da), b2 = kn_vec3_dot(db, db), c2 = kn_vec3_dot(dc, dc);
    if (!(b2 > 0)) return 0;
    double d = (a2 - c2) / b2, s = (a2 + c2) / b2, c = c2 / b2, a = a2 / b2;
    const double quartic[5] = {
        (1 + d) * (1 + d) - 4 * a * cg * cg,
        4 * (-d * (1 + d) * cb + 2 * a * cg * cg * cb - (1 - s) * ca * cg),
        2 * (d * d - 1 + 2 * d * d * cb * cb + 2 * (1 - c) * ca * ca - 4 * s * ca * cb * cg + 2 * (1 - a) * cg * cg),
        4 * (d * (1 - d) * cb - (1 - s) * ca * cg + 2 * c * ca * ca * cb),
        (d - 1) * (d - 1) - 4 * c * ca * ca,
    };
    double roots[4];
    int count = kn_real_roots(quartic, 4, roots), kept = 0;
    for (int i = 0; i < count; i++) {
        double v = roots[i], below = 2 * (cg - v * ca), s1 = b2 / (1 + v * v - 2 * v * cb);
        if (!(v > 0) || fabs(below) < 1e-12 || !(s1 > 0)) continue;
        double u = ((-1 + d) * v * v - 2 * d * cb * v + 1 + d) / below, length = sqrt(s1);
        if (!(u > 0)) continue;
        const double along[3] = {length, u * length, v * length};
        double camera[3][3];
        for (int k = 0; k < 3; k++)
            camera[k][0] = along[k] * j[k].x, camera[k][1] = along[k] * j[k].y, camera[k][2] = along[k] * j[k].z;
        kept += align(p, camera, &poses[kept]);
    }
    return kept;
}

/* --- robust ----------------------------------------------------------------------------------- */

static size_t support(const kn_sfm_pose *pose, const kn_lens *lens, const double (*points)[3],
                      const double (*pixels)[2], size_t count, double limit, bool *inlier) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        double at[2];
        bool in = kn_sfm_project(lens, pose, points[i], at) &&
                  (at[0] - pixels[i][0]) * (at[0] - pixels[i][0]) + (at[1] - pixels[i][1]) * (at[1] - pixels[i][1]) <
                      limit * limit;
        found += in;
        if (inlier) inlier[i] = in;
    }
    return found;
}

/* 2 x 3 derivative of the pixel by the point in the camera. */
static void pixel_slope(const kn_lens *lens, const double c[3], double slope[2][3]) {
    double x = c[0] / c[2], y = c[1] / c[2], r2 = x * x + y * y, k1 = lens->d[0], k2 = lens->d[1], p1 = lens->d[2],
           p2 = lens->d[3];
    double radial = 1 + r2 * (k1 + r2 * k2), dr = 2 * (k1 + 2 * r2 * k2), f = lens->f;
    double m[2][2] = {
        {f * (radial + x * x * dr + 2 * p1 * y + 6 * p2 * x), f * (x * y * dr + 2 * p1 * x + 2 * p2 * y)},
        {f * (x * y * dr + 2 * p1 * x + 2 * p2 * y), f * (radial + y * y * dr + 6 * p1 * y + 2 * p2 * x)}};
    for (int i = 0; i < 2; i++)
        slope[i][0] = m[i][0] / c[2], slope[i][1] = m[i][1] / c[2], slope[i][2] = -(m[i][0] * x + m[i][1] * y) / c[2];
}

void kn_resect_refine(kn_sfm_pose *pose, const kn_lens *lens, const double (*points)[3], const double (*pixels)[2],
                      size_t count, double limit, const bool *use) {
    for (int round = 0; round < 10; round++) {
        double h[36] = {0}, g[6] = {0};
        for (size_t i = 0; i < count; i++) {
            double c[3], at[2], slope[2][3], q[3];
            if ((use && !use[i]) || !kn_sfm_project(lens, pose, points[i], at)) continue;
            kn_mul3(pose->r, points[i], q);
            for (int k = 0; k < 3; k++) c[k] = q[k] + pose->t[k];
            pixel_slope(lens, c, slope);
            double e[2] = {at[0] - pixels[i][0], at[1] - pixels[i][1]}, length = sqrt(e[0] * e[0] + e[1] * e[1]),
                   w = length > limit ? limit / length : 1;
            for (int r = 0; r < 2; r++) {
                const double *s = slope[r];
                const double j[6] = {
                    s[2] * q[1] - s[1] * q[2], s[0] * q[2] - s[2] * q[0], s[1] * q[0] - s[0] * q[1], s[0], s[1], s[2]};
                for (int a = 0; a < 6; a++) {
                    g[a] -= w * j[a] * e[r];
                    for (int b = 0; b < 6; b++) h[a * 6 + b] += w * j[a] * j[b];
                }
            }
        }
        for (int a = 0; a < 6; a++) h[a * 7] *= 1 + 1e-9, h[a * 7] += 1e-12;
        if (!kn_cholesky(h, 6)) return;
        kn_cholesky_solve(h, 6, g);
        double turn[3][3];
        kn_rotation_exp(g, turn);
        kn_mul33(turn, pose->r, pose->r);
        for (int k = 0; k < 3; k++) pose->t[k] += g[3 + k];
        if (fabs(g[0]) + fabs(g[1]) + fabs(g[2]) < 1e-8) break;
    }
    kn_nearest_rotation(pose->r, pose->r);
}

size_t kn_resect(kn_sfm_pose *pose, const kn_lens *lens, const double (*points)[3], const double (*pixels)[2],
                 size_t count, double limit, uint64_t seed, bool *inlier) {
    size_t best = 0;
    double wanted = 3000;
    for (size_t trial = 0; count >= 4 && (double)trial < wanted; trial++) {
        double p[3][3], n[3][2];
        kn_sfm_pose poses[4];
        for (int k = 0; k < 3; k++) {
            size_t pick = kn_hash64(seed + 3 * trial + (uint64_t)k) % count;
            memcpy(p[k], points[pick], sizeof p[k]);
            kn_lens_undistort(lens, pixels[pick], n[k]);
        }
        int found = kn_p3p((const double(*)[3])p, (const double(*)[2])n, poses);
        for (int k = 0; k < found; k++) {
            size_t inliers = support(&poses[k], lens, points, pixels, count, limit, NULL);
            if (inliers <= best || inliers < 4) continue;
            best = inliers, *pose = poses[k];
            double share = (double)best / (double)count, miss = log(fmax(1e-12, 1 - share * share * share));
            wanted = fmin(wanted, fmax(30, log(1e-4) / miss));
        }
    }
    if (best < 4) return 0;
    support(pose, lens, points, pixels, count, limit, inlier);
    for (int round = 0; round < 3; round++) {
        kn_sfm_pose before = *pose;
        kn_resect_refine(pose, lens, points, pixels, count, limit / 2, inlier);
        size_t inliers = support(pose, lens, points, pixels, count, limit, inlier);
        if (inliers < best) {
            *pose = before;
            support(pose, lens, points, pixels, count, limit, inlier);
            break;
        }
        best = inliers;
    }
    return best;
}

/* --- points ----------------------------------------------------------------------------------- */

static bool meet(double point[3], const kn_sfm_pose *const *poses, const double (*normal)[2], size_t count,
                 double min_angle) {
    double a[3][3] = {{0}}, b[3] = {0}, least = 1;
    kn_vec3 rays[64];
    size_t kept = kn_min_size(count, KN_COUNT(rays));
    for (size_t i = 0; i < count; i++) {
        double d[3], c[3];
        kn_mul3t(poses[i]->r, (const double[3]){normal[i][0], normal[i][1], 1}, d);
        kn_sfm_center(poses[i], c);
        kn_vec3 ray = kn_vec3_normalize(vec(d));
        if (i < kept) rays[i] = ray;
        const double u[3] = {ray.x, ray.y, ray.z};
        for (int r = 0; r < 3; r++)
            for (int k = 0; k < 3; k++) {
                double m = (r == k) - u[r] * u[k];
                a[r][k] += m, b[r] += m * c[k];
            }
    }
    for (size_t i = 0; i < kept; i++)
        for (size_t j = i + 1; j < kept; j++) least = fmin(least, kn_vec3_dot(rays[i], rays[j]));
    return least < cos(min_angle) && kn_solve3((const double(*)[3])a, b, point);
}

bool kn_triangulate(double point[3], const kn_sfm_pose *const *poses, const double (*normal)[2], size_t count,
                    double min_angle) {
    if (count < 2 || !meet(point, poses, normal, count, min_angle)) return false;
    for (int round = 0; round < 4; round++) { /* Gauss-Newton on normal coordinates */
        double h[3][3] = {{0}}, g[3] = {0}, step[3];
        for (size_t i = 0; i < count; i++) {
            const kn_sfm_pose *p = poses[i];
            double c[3];
            kn_mul3(p->r, point, c);
            for (int k = 0; k < 3; k++) c[k] += p->t[k];
            if (c[2] <= 1e-9) return false;
            for (int r = 0; r < 2; r++) {
                double e = c[r] / c[2] - normal[i][r], j[3];
                for (int k = 0; k < 3; k++) j[k] = (p->r[r][k] - p->r[2][k] * c[r] / c[2]) / c[2];
                for (int k = 0; k < 3; k++) {
                    g[k] -= j[k] * e;
                    for (int l = 0; l < 3; l++) h[k][l] += j[k] * j[l];
                }
            }
        }
        if (!kn_solve3((const double(*)[3])h, g, step)) break;
        for (int k = 0; k < 3; k++) point[k] += step[k];
    }
    for (size_t i = 0; i < count; i++)
        if (poses[i]->r[2][0] * point[0] + poses[i]->r[2][1] * point[1] + poses[i]->r[2][2] * point[2] +
                poses[i]->t[2] <=
            1e-9)
            return false;
    return true;
}
