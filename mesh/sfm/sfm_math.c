/* Small dense linear algebra of the camera finder. */
#include "mesh/sfm/sfm.h"

#include <string.h>

static void jacobi_rotate(int n, double *a, double *v, int p, int q) {
    double apq = a[p * n + q];
    if (apq == 0) return;
    double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq),
           t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(t * t + 1), s = t * c;
    for (int k = 0; k < n; k++) {
        double x = a[k * n + p], y = a[k * n + q];
        a[k * n + p] = c * x - s * y, a[k * n + q] = s * x + c * y;
    }
    for (int k = 0; k < n; k++) {
        double x = a[p * n + k], y = a[q * n + k];
        a[p * n + k] = c * x - s * y, a[q * n + k] = s * x + c * y;
        x = v[p * n + k], y = v[q * n + k];
        v[p * n + k] = c * x - s * y, v[q * n + k] = s * x + c * y;
    }
}

void kn_eigen(int n, double *a, double *values, double *vectors) {
    double total = 0;
    for (int i = 0; i < n * n; i++) vectors[i] = i % (n + 1) == 0, total += a[i] * a[i];
    for (int sweep = 0; sweep < 40; sweep++) {
        double off = 0;
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) off += a[p * n + q] * a[p * n + q];
        if (off <= 1e-30 * total) break;
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) jacobi_rotate(n, a, vectors, p, q);
    }
    for (int i = 0; i < n; i++) values[i] = a[i * n + i];
    for (int i = 0; i < n; i++) {
        int least = i;
        for (int j = i + 1; j < n; j++)
            if (values[j] < values[least]) least = j;
        if (least == i) continue;
        double keep = values[i];
        values[i] = values[least], values[least] = keep;
        for (int k = 0; k < n; k++)
            keep = vectors[i * n + k], vectors[i * n + k] = vectors[least * n + k], vectors[least * n + k] = keep;
    }
}

static double horner(const double *c, int degree, double x) {
    double value = c[degree];
    for (int i = degree - 1; i >= 0; i--) value = value * x + c[i];
    return value;
}

/* The root between low and high, where the signs differ. */
static double between(const double *c, int degree, double low, double high, double at_low) {
    for (int i = 0; i < 80 && high - low > 1e-15 * (fabs(low) + fabs(high)); i++) {
        double middle = (low + high) / 2, value = horner(c, degree, middle);
        if ((value < 0) == (at_low < 0)) low = middle;
        else high = middle;
        if (i < 8) continue;
        double slope = 0, x = (low + high) / 2, y; /* Newton, where it stays inside */
        for (int k = degree; k >= 1; k--) slope = slope * x + k * c[k];
        y = x - horner(c, degree, x) / slope;
        if (y > low && y < high && fabs(y - x) < 1e-9 * fabs(x)) return y;
    }
    return (low + high) / 2;
}

int kn_real_roots(const double *given, int degree, double *roots) {
    double c[11], derivative[11], turns[12], largest = 0;
    for (int i = 0; i <= degree; i++) largest = fmax(largest, fabs(given[i]));
    if (!(largest > 0) || !isfinite(largest)) return 0;
    while (degree > 0 && fabs(given[degree]) < 1e-14 * largest) degree--;
    if (degree < 1) return 0;
    for (int i = 0; i <= degree; i++) c[i] = given[i] / given[degree];
    double bound = 0;
    for (int i = 0; i < degree; i++) bound = fmax(bound, fabs(c[i]));
    bound += 1;
    for (int i = 1; i <= degree; i++) derivative[i - 1] = i * c[i];
    int count = 1, found = 0;
    turns[0] = -bound;
    if (degree > 1) count += kn_real_roots(derivative, degree - 1, turns + 1);
    turns[count] = bound;
    for (int i = 0; i < count; i++) {
        double a = horner(c, degree, turns[i]), b = horner(c, degree, turns[i + 1]);
        if (a == 0) roots[found++] = turns[i];
        else if ((a < 0) != (b < 0) && b != 0) roots[found++] = between(c, degree, turns[i], turns[i + 1], a);
        if (found == degree) break;
    }
    return found;
}

bool kn_cholesky(double *a, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = a[i * n + j];
            const double *p = a + i * n, *q = a + j * n;
            for (size_t k = 0; k < j; k++) sum -= p[k] * q[k];
            if (i == j) {
                if (!(sum > 0)) return false;
                a[i * n + i] = sqrt(sum);
            } else a[i * n + j] = sum / q[j];
        }
    return true;
}

void kn_cholesky_solve(const double *l, size_t n, double *b) {
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) b[i] -= l[i * n + k] * b[k];
        b[i] /= l[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        b[i] /= l[i * n + i];
        for (size_t k = 0; k < i; k++) b[k] -= l[i * n + k] * b[i];
    }
}

double kn_det3(const double a[3][3]) {
    return a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) - a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0]) +
           a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
}

bool kn_solve3(const double a[3][3], const double b[3], double x[3]) {
    double scale = fabs(a[0][0]) + fabs(a[1][1]) + fabs(a[2][2]), determinant = kn_det3(a);
    if (!(fabs(determinant) > 1e-24 * scale * scale * scale)) return false;
    for (int i = 0; i < 3; i++) {
        double m[3][3];
        memcpy(m, a, sizeof m);
        for (int r = 0; r < 3; r++) m[r][i] = b[r];
        x[i] = kn_det3(m) / determinant;
    }
    return true;
}

void kn_mul33(const double a[3][3], const double b[3][3], double out[3][3]) {
    double m[3][3];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) m[i][j] = a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j];
    memcpy(out, m, sizeof m);
}

void kn_mul3(const double a[3][3], const double v[3], double out[3]) {
    double x = v[0], y = v[1], z = v[2];
    for (int i = 0; i < 3; i++) out[i] = a[i][0] * x + a[i][1] * y + a[i][2] * z;
}

void kn_mul3t(const double a[3][3], const double v[3], double out[3]) {
    double x = v[0], y = v[1], z = v[2];
    for (int i = 0; i < 3; i++) out[i] = a[0][i] * x + a[1][i] * y + a[2][i] * z;
}

void kn_rotation_exp(const double w[3], double r[3][3]) {
    double angle2 = w[0] * w[0] + w[1] * w[1] + w[2] * w[2], angle = sqrt(angle2);
    double a = angle2 < 1e-12 ? 1 - angle2 / 6 : sin(angle) / angle,
           b = angle2 < 1e-12 ? 0.5 - angle2 / 24 : (1 - cos(angle)) / angle2;
    const double k[3][3] = {{0, -w[2], w[1]}, {w[2], 0, -w[0]}, {-w[1], w[0], 0}};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) r[i][j] = (i == j) * (1 - b * angle2) + a * k[i][j] + b * w[i] * w[j];
}

void kn_rotation_log(const double r[3][3], double w[3]) {
    kn_pose pose = {.translation = {0, 0, 0}};
    double q[4];
    memcpy(pose.rotation, r, sizeof pose.rotation);
    kn_pose_quaternion(&pose, q);
    double s = sqrt(q[1] * q[1] + q[2] * q[2] + q[3] * q[3]), factor = s < 1e-9 ? 2 : 2 * atan2(s, q[0]) / s;
    for (int i = 0; i < 3; i++) w[i] = factor * q[i + 1];
}

/* m = u diag(s) v^T with u, v rotations (the smallest value may be negative); descending. */
static void svd3(const double m[3][3], double u[3][3], double s[3], double v[3][3]) {
    double a[9], values[3], rows[9];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) a[i * 3 + j] = m[0][i] * m[0][j] + m[1][i] * m[1][j] + m[2][i] * m[2][j];
    kn_eigen(3, a, values, rows);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) v[k][i] = rows[(2 - i) * 3 + k];
    if (kn_det3(v) < 0)
        for (int k = 0; k < 3; k++) v[k][2] = -v[k][2];
    kn_vec3 c[3];
    for (int i = 0; i < 3; i++) {
        double column[3] = {v[0][i], v[1][i], v[2][i]}, out[3];
        kn_mul3(m, column, out);
        c[i] = (kn_vec3){out[0], out[1], out[2]};
    }
    s[0] = kn_vec3_length(c[0]);
    kn_vec3 x = kn_vec3_normalize(c[0]);
    if (s[0] == 0) x = (kn_vec3){1, 0, 0};
    kn_vec3 y = kn_vec3_sub(c[1], kn_vec3_scale(x, kn_vec3_dot(c[1], x)));
    s[1] = kn_vec3_length(y);
    if (s[1] <= 1e-14 * s[0]) y = kn_vec3_cross(x, fabs(x.x) < 0.9 ? (kn_vec3){1, 0, 0} : (kn_vec3){0, 1, 0});
    y = kn_vec3_normalize(y);
    kn_vec3 z = kn_vec3_cross(x, y), axes[3] = {x, y, z};
    s[2] = kn_vec3_dot(z, c[2]);
    for (int i = 0; i < 3; i++) u[0][i] = axes[i].x, u[1][i] = axes[i].y, u[2][i] = axes[i].z;
}

void kn_nearest_rotation(const double m[3][3], double r[3][3]) {
    double u[3][3], s[3], v[3][3];
    svd3(m, u, s, v);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) r[i][j] = u[i][0] * v[j][0] + u[i][1] * v[j][1] + u[i][2] * v[j][2];
}

bool kn_similarity(const double *from, const double *to, size_t count, double *scale, double r[3][3], double t[3]) {
    double a[3] = {0}, b[3] = {0}, m[3][3] = {{0}}, spread = 0, u[3][3], s[3], v[3][3];
    for (size_t k = 0; k < count; k++)
        for (int i = 0; i < 3; i++)
            a[i] += from[3 * k + (size_t)i] / (double)count, b[i] += to[3 * k + (size_t)i] / (double)count;
    for (size_t k = 0; k < count; k++)
        for (int i = 0; i < 3; i++) {
            double x = from[3 * k + (size_t)i] - a[i];
            spread += x * x;
            for (int j = 0; j < 3; j++) m[j][i] += (to[3 * k + (size_t)j] - b[j]) * x;
        }
    if (count < 3 || !(spread > 0)) return false;
    svd3(m, u, s, v);
    kn_nearest_rotation(m, r);
    *scale = (s[0] + s[1] + s[2]) / spread;
    kn_mul3(r, a, t);
    for (int i = 0; i < 3; i++) t[i] = b[i] - *scale * t[i];
    return *scale > 0 && s[1] > 1e-12 * s[0];
}
