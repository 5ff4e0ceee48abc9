/* Projection with OpenCV's distortion. */
#include "mesh/sfm/sfm.h"

void kn_lens_distort(const kn_lens *lens, const double n[2], double pixel[2]) {
    double x = n[0], y = n[1], r2 = x * x + y * y, radial = 1 + r2 * (lens->d[0] + r2 * lens->d[1]);
    pixel[0] = lens->f * (x * radial + 2 * lens->d[2] * x * y + lens->d[3] * (r2 + 2 * x * x)) + lens->cx;
    pixel[1] = lens->f * (y * radial + lens->d[2] * (r2 + 2 * y * y) + 2 * lens->d[3] * x * y) + lens->cy;
}

void kn_lens_undistort(const kn_lens *lens, const double pixel[2], double n[2]) {
    double x0 = (pixel[0] - lens->cx) / lens->f, y0 = (pixel[1] - lens->cy) / lens->f, x = x0, y = y0;
    for (int i = 0; i < 12; i++) { /* fixed point: converges for lenses that do not fold */
        double r2 = x * x + y * y, radial = 1 + r2 * (lens->d[0] + r2 * lens->d[1]);
        if (radial < 0.3) radial = 0.3; /* folded */
        double nx = (x0 - 2 * lens->d[2] * x * y - lens->d[3] * (r2 + 2 * x * x)) / radial;
        double ny = (y0 - lens->d[2] * (r2 + 2 * y * y) - 2 * lens->d[3] * x * y) / radial;
        bool done = fabs(nx - x) + fabs(ny - y) < 1e-12;
        x = nx, y = ny;
        if (done) break;
    }
    n[0] = x, n[1] = y;
}

bool kn_sfm_project(const kn_lens *lens, const kn_sfm_pose *pose, const double point[3], double pixel[2]) {
    double c[3];
    kn_mul3(pose->r, point, c);
    for (int i = 0; i < 3; i++) c[i] += pose->t[i];
    if (c[2] <= 1e-9) return false;
    kn_lens_distort(lens, (const double[2]){c[0] / c[2], c[1] / c[2]}, pixel);
    return true;
}

void kn_sfm_center(const kn_sfm_pose *pose, double center[3]) {
    kn_mul3t(pose->r, pose->t, center);
    for (int i = 0; i < 3; i++) center[i] = -center[i];
}
