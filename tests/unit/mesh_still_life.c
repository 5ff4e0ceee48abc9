#include "tests/unit/mesh_still_life.h"

#include <math.h>
#include <string.h>

kn_eye still_life_eye(double turn, double height, int width, int height_pixels) {
    kn_eye eye = {.width = width,
                  .height = height_pixels,
                  .fx = 1.1 * width,
                  .fy = 1.1 * width,
                  .cx = width / 2.0,
                  .cy = height_pixels / 2.0};
    const double c[3] = {2.2 * cos(turn), 2.2 * sin(turn), height};
    kn_vec3 z = kn_vec3_normalize((kn_vec3){-c[0], -c[1], 0.2 - c[2]}),
            x = kn_vec3_normalize(kn_vec3_cross(z, (kn_vec3){0, 0, 1})), y = kn_vec3_cross(z, x);
    const double r[3][3] = {{x.x, x.y, x.z}, {y.x, y.y, y.z}, {z.x, z.y, z.z}};
    memcpy(eye.r, r, sizeof r), memcpy(eye.center, c, sizeof c);
    for (int i = 0; i < 3; i++) eye.t[i] = -(r[i][0] * c[0] + r[i][1] * c[1] + r[i][2] * c[2]);
    return eye;
}

double still_life_distance(const double p[3]) {
    double table = hypot(p[0], p[1]) < 1.6 ? p[2] : 1e3,
           ball = sqrt(p[0] * p[0] + p[1] * p[1] + (p[2] - 0.45) * (p[2] - 0.45)) - 0.2;
    double q[3] = {fabs(p[0]) - 0.3, fabs(p[1]) - 0.2, fabs(p[2] - 0.175) - 0.175}, out = 0;
    for (int i = 0; i < 3; i++) out += fmax(q[i], 0) * fmax(q[i], 0);
    double box = sqrt(out) + fmin(fmax(q[0], fmax(q[1], q[2])), 0);
    return fmin(table, fmin(ball, box));
}

static double corner(int x, int y, int z, int octave) {
    return (double)(kn_hash64((uint64_t)(x + 1000) * 73856093u ^ (uint64_t)(y + 1000) * 19349663u ^
                              (uint64_t)(z + 1000) * 83492791u ^ (uint64_t)octave << 40) &
                    255);
}

/* Value noise in space. */
static double noise(const double p[3], double frequency, int octave) {
    double f[3], sum = 0;
    int base[3];
    for (int i = 0; i < 3; i++) base[i] = (int)floor(p[i] * frequency), f[i] = p[i] * frequency - base[i];
    for (int c = 0; c < 8; c++) {
        double w = 1;
        for (int i = 0; i < 3; i++) w *= c >> i & 1 ? f[i] : 1 - f[i];
        sum += w * corner(base[0] + (c & 1), base[1] + (c >> 1 & 1), base[2] + (c >> 2), octave);
    }
    return sum;
}

void still_life_render(const kn_eye *eye, uint8_t *rgb, float *planes) {
    for (int i = 0; i < eye->width * eye->height; i++) {
        double c[3] = {(i % eye->width + 0.5 - eye->cx) / eye->fx, (i / eye->width + 0.5 - eye->cy) / eye->fy, 1}, d[3],
               p[3], z = 0.5;
        double length = sqrt(c[0] * c[0] + c[1] * c[1] + 1), distance = 1;
        for (int k = 0; k < 3; k++) d[k] = eye->r[0][k] * c[0] + eye->r[1][k] * c[1] + eye->r[2][k];
        for (int step = 0; step < 200 && z < 8 && fabs(distance) > 1e-4; step++) {
            for (int k = 0; k < 3; k++) p[k] = eye->center[k] + z * d[k];
            distance = fmin(still_life_distance(p), 0.3);
            z += 0.7 * distance / length;
        }
        bool hit = z < 8;
        for (int k = 0; k < 3; k++)
            rgb[3 * i + k] =
                hit ? (uint8_t)(30 + 0.5 * noise(p, 9 + k, k) + 0.3 * noise(p, 23, 5 + k)) : (uint8_t)(100 + 30 * k);
        if (!planes) continue;
        memset(planes + 4 * i, 0, 16);
        if (!hit) continue;
        double n[3], m[3];
        for (int k = 0; k < 3; k++) {
            double q[3] = {p[0], p[1], p[2]}, o[3] = {p[0], p[1], p[2]};
            q[k] += 1e-3, o[k] -= 1e-3, n[k] = (still_life_distance(q) - still_life_distance(o)) / 2e-3;
        }
        for (int k = 0; k < 3; k++) m[k] = eye->r[k][0] * n[0] + eye->r[k][1] * n[1] + eye->r[k][2] * n[2];
        planes[4 * i] = (float)m[0], planes[4 * i + 1] = (float)m[1], planes[4 * i + 2] = (float)z,
                   planes[4 * i + 3] = 0.8f;
    }
}
