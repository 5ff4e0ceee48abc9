/* The essential matrix of five points (Nister, "An efficient solution to the five-point relative pose problem",
 * 2004). */
#include "mesh/sfm/sfm.h"

#include <string.h>

/* Polynomials in x, y, z. Degree 1: x y z 1. Degree 2 and 3 in these orders; each entry is the exponents. */
static const uint8_t order2[10][3] = {{2, 0, 0}, {1, 1, 0}, {0, 2, 0}, {1, 0, 1}, {0, 1, 1},
                                      {0, 0, 2}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0, 0, 0}};
static const uint8_t order3[20][3] = {{3, 0, 0}, {0, 3, 0}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}, {2, 0, 0}, {0, 2, 1},
                                      {0, 2, 0}, {1, 1, 1}, {1, 1, 0}, {1, 0, 2}, {1, 0, 1}, {1, 0, 0}, {0, 1, 2},
                                      {0, 1, 1}, {0, 1, 0}, {0, 0, 3}, {0, 0, 2}, {0, 0, 1}, {0, 0, 0}};

typedef struct tables {
    uint8_t at11[4][4], at21[10][4]; /* where a product of two terms lands */
} tables;

static int place(const uint8_t (*order)[3], int count, int x, int y, int z) {
    for (int i = 0; i < count; i++)
        if (order[i][0] == x && order[i][1] == y && order[i][2] == z) return i;
    return 0;
}

static void make_tables(tables *t) {
    static const uint8_t order1[4][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0, 0, 0}};
    for (int j = 0; j < 4; j++) {
        const uint8_t *b = order1[j];
        for (int i = 0; i < 4; i++)
            t->at11[i][j] = (uint8_t)place(order2, 10, order1[i][0] + b[0], order1[i][1] + b[1], order1[i][2] + b[2]);
        for (int i = 0; i < 10; i++)
            t->at21[i][j] = (uint8_t)place(order3, 20, order2[i][0] + b[0], order2[i][1] + b[1], order2[i][2] + b[2]);
    }
}

static void add11(const tables *t, const double a[4], const double b[4], double sign, double out[10]) {
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) out[t->at11[i][j]] += sign * a[i] * b[j];
}

static void add21(const tables *t, const double a[10], const double b[4], double sign, double out[20]) {
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < 4; j++) out[t->at21[i][j]] += sign * a[i] * b[j];
}

/* e[3][3] of degree 1 -> the ten cubic constraints: det E = 0 and 2 E E^T E - trace(E E^T) E = 0. */
static void constraints(const tables *t, const double e[3][3][4], double m[10][20]) {
    double square[3][3][10], trace[10] = {0};
    memset(square, 0, sizeof square);
    memset(m, 0, 200 * sizeof(double));
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 3; k++) add11(t, e[i][k], e[j][k], 1, square[i][j]);
    for (int i = 0; i < 10; i++) trace[i] = square[0][0][i] + square[1][1][i] + square[2][2][i];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            for (int k = 0; k < 3; k++) add21(t, square[i][k], e[k][j], 2, m[i * 3 + j]);
            add21(t, trace, e[i][j], -1, m[i * 3 + j]);
        }
    for (int k = 0; k < 3; k++) {
        int p = (k + 1) % 3, q = (k + 2) % 3;
        double minor[10] = {0};
        add11(t, e[1][p], e[2][q], 1, minor);
        add11(t, e[1][q], e[2][p], -1, minor);
        add21(t, minor, e[0][k], 1, m[9]);
    }
}

static bool eliminate(double m[10][20]) {
    for (int c = 0; c < 10; c++) {
        int pivot = c;
        for (int r = c + 1; r < 10; r++)
            if (fabs(m[r][c]) > fabs(m[pivot][c])) pivot = r;
        if (fabs(m[pivot][c]) < 1e-14) return false;
        for (int k = c; k < 20 && pivot != c; k++) {
            double keep = m[c][k];
            m[c][k] = m[pivot][k], m[pivot][k] = keep;
        }
        double factor = 1 / m[c][c];
        for (int k = c; k < 20; k++) m[c][k] *= factor;
        for (int r = 0; r < 10; r++) {
            if (r == c || m[r][c] == 0) continue;
            double f = m[r][c];
            for (int k = c; k < 20; k++) m[r][k] -= f * m[c][k];
        }
    }
    return true;
}

/* row e - z * row f as polynomials in z: those of x, y (degree 3) and 1 (degree 4), lowest first. */
static void subtract(const double e[20], const double f[20], double out[3][5]) {
    for (int k = 0; k < 2; k++) {
        const double *a = e + 10 + 3 * k, *b = f + 10 + 3 * k; /* z^2, z, 1 */
        out[k][0] = a[2], out[k][1] = a[1] - b[2], out[k][2] = a[0] - b[1], out[k][3] = -b[0], out[k][4] = 0;
    }
    const double *a = e + 16, *b = f + 16; /* z^3, z^2, z, 1 */
    out[2][0] = a[3], out[2][1] = a[2] - b[3], out[2][2] = a[1] - b[2], out[2][3] = a[0] - b[1], out[2][4] = -b[0];
}

static void add_product(const double *a, int na, const double *b, int nb, double sign, double *out) {
    for (int i = 0; i <= na; i++)
        for (int j = 0; j <= nb; j++) out[i + j] += sign * a[i] * b[j];
}

static double value(const double c[5], double z) { return (((c[4] * z + c[3]) * z + c[2]) * z + c[1]) * z + c[0]; }

/* The null space of the five epipolar equations: four matrices, rows of basis. */
static void null_space(const double (*a)[2], const double (*b)[2], double basis[4][9]) {
    double m[81] = {0}, values[9], vectors[81];
    for (int k = 0; k < 5; k++) {
        const double row[9] = {b[k][0] * a[k][0], b[k][0] * a[k][1], b[k][0],
                               b[k][1] * a[k][0], b[k][1] * a[k][1], b[k][1],
                               a[k][0],           a[k][1],           1};
        for (int i = 0; i < 9; i++)
            for (int j = 0; j < 9; j++) m[i * 9 + j] += row[i] * row[j];
    }
    kn_eigen(9, m, values, vectors);
    memcpy(basis, vectors, 36 * sizeof(double));
}

int kn_essential_five(const double (*a)[2], const double (*b)[2], double found[10][3][3]) {
    double basis[4][9], e[3][3][4], m[10][20], rows[3][3][5], polynomial[11] = {0}, roots[10];
    tables t;
    make_tables(&t);
    null_space(a, b, basis);
    for (int i = 0; i < 9; i++)
        for (int k = 0; k < 4; k++) e[i / 3][i % 3][k] = basis[k][i];
    constraints(&t, (const double(*)[3][4])e, m);
    if (!eliminate(m)) return 0;
    for (int k = 0; k < 3; k++) subtract(m[4 + 2 * k], m[5 + 2 * k], rows[k]);
    for (int k = 0; k < 3; k++) { /* determinant along the third column */
        int p = (k + 1) % 3, q = (k + 2) % 3;
        double minor[8] = {0};
        add_product(rows[p][0], 3, rows[q][1], 3, 1, minor);
        add_product(rows[q][0], 3, rows[p][1], 3, -1, minor);
        add_product(minor, 6, rows[k][2], 4, 1, polynomial);
    }
    int count = kn_real_roots(polynomial, 10, roots), kept = 0;
    for (int r = 0; r < count; r++) {
        double z = roots[r], v[3][3], best[3] = {0};
        for (int k = 0; k < 3; k++)
            for (int c = 0; c < 3; c++) v[k][c] = value(rows[k][c], z);
        for (int k = 0; k < 3; k++) { /* (x, y, 1) is normal to all rows: the best conditioned cross product */
            const double *p = v[k], *q = v[(k + 1) % 3],
                         cross[3] = {p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]};
            if (fabs(cross[2]) > fabs(best[2])) memcpy(best, cross, sizeof best);
        }
        if (!(fabs(best[2]) > 1e-300)) continue;
        double x = best[0] / best[2], y = best[1] / best[2];
        for (int i = 0; i < 9; i++)
            found[kept][i / 3][i % 3] = x * basis[0][i] + y * basis[1][i] + z * basis[2][i] + basis[3][i];
        kept++;
    }
    return kept;
}

double kn_epipolar_error(const double e[3][3], const double a[2], const double b[2]) {
    double ea[3], eb[3];
    for (int i = 0; i < 3; i++)
        ea[i] = e[i][0] * a[0] + e[i][1] * a[1] + e[i][2], eb[i] = e[0][i] * b[0] + e[1][i] * b[1] + e[2][i];
    double value_ = b[0] * ea[0] + b[1] * ea[1] + ea[2],
           slope = ea[0] * ea[0] + ea[1] * ea[1] + eb[0] * eb[0] + eb[1] * eb[1];
    return slope > 0 ? value_ * value_ / slope : 1e30;
}
