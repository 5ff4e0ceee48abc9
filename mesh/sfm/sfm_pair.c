/* The relative pose of two pictures. */
#include "mesh/sfm/sfm.h"

#include <stdlib.h>
#include <string.h>

/* The essential matrix of a relative pose. */
static void essential(const double r[3][3], const double t[3], double e[3][3]) {
    const double cross[3][3] = {{0, -t[2], t[1]}, {t[2], 0, -t[0]}, {-t[1], t[0], 0}};
    kn_mul33(cross, r, e);
}

/* Sum of truncated squared distances; inlier may be NULL. */
static double score(const double e[3][3], const double (*a)[2], const double (*b)[2], size_t count, double limit,
                    double stop, bool *inlier) {
    double sum = 0, limit2 = limit * limit;
    for (size_t i = 0; i < count && sum < stop; i++) {
        double d = kn_epipolar_error(e, a[i], b[i]);
        if (inlier) inlier[i] = d < limit2;
        sum += d < limit2 ? d / limit2 : 1;
    }
    return sum;
}

/* Depths along both rays are positive. */
static bool before(const kn_two_view *v, const double a[2], const double b[2]) {
    double d[3], n[3] = {b[0], b[1], 1};
    kn_mul3(v->r, (const double[3]){a[0], a[1], 1}, d);
    /* s d + t = u n: least squares in s, u */
    double dd = 0, dn = 0, nn = 0, dt = 0, nt = 0;
    for (int i = 0; i < 3; i++)
        dd += d[i] * d[i], dn += d[i] * n[i], nn += n[i] * n[i], dt += d[i] * v->t[i], nt += n[i] * v->t[i];
    double determinant = dd * nn - dn * dn;
    return (dn * nt - nn * dt) * determinant > 0 && (dd * nt - dn * dt) * determinant > 0;
}

/* The one of four poses that has most points before both pictures. */
static size_t decompose(const double e[3][3], const double (*a)[2], const double (*b)[2], const bool *inlier,
                        size_t count, kn_two_view *best) {
    double m[9], values[3], vectors[9];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) m[i * 3 + j] = e[i][0] * e[j][0] + e[i][1] * e[j][1] + e[i][2] * e[j][2];
    kn_eigen(3, m, values, vectors); /* t: the left null vector */
    size_t most = 0;
    for (int choice = 0; choice < 4; choice++) {
        kn_two_view v = {.inliers = 0};
        double sign = choice & 1 ? -1 : 1, cofactor[3][3], te[3][3], r[3][3];
        for (int i = 0; i < 3; i++) v.t[i] = sign * vectors[i];
        /* Horn 1990: R = (cof(E) -+ t x E) / |t|^2 for E of norm sqrt(2) */
        double norm = sqrt((values[1] + values[2]) / 2), flip = choice & 2 ? -1 : 1;
        if (!(norm > 0)) return 0;
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++) {
                int p = (i + 1) % 3, q = (i + 2) % 3, k = (j + 1) % 3, l = (j + 2) % 3;
                cofactor[i][j] = (e[p][k] * e[q][l] - e[p][l] * e[q][k]) / (norm * norm);
            }
        essential(e, v.t, te); /* e is in place of r: t x E */
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++) r[i][j] = cofactor[i][j] - flip * te[i][j] / norm;
        kn_nearest_rotation((const double(*)[3])r, v.r);
        for (size_t i = 0; i < count; i++) v.inliers += inlier[i] && before(&v, a[i], b[i]);
        if (v.inliers > most) most = v.inliers, *best = v;
    }
    return most;
}

/* Moves a pose by five numbers: a turn and two along the sphere of directions. */
static void move(const kn_two_view *from, const double step[5], kn_two_view *to) {
    double turn[3][3];
    kn_vec3 t = {from->t[0], from->t[1], from->t[2]},
            x = kn_vec3_normalize(kn_vec3_cross(t, fabs(t.x) < 0.6 ? (kn_vec3){1, 0, 0} : (kn_vec3){0, 1, 0}));
    kn_vec3 y = kn_vec3_cross(t, x),
            moved =
                kn_vec3_normalize(kn_vec3_add(t, kn_vec3_add(kn_vec3_scale(x, step[3]), kn_vec3_scale(y, step[4]))));
    kn_rotation_exp(step, turn);
    *to = *from;
    kn_mul33(turn, from->r, to->r);
    to->t[0] = moved.x, to->t[1] = moved.y, to->t[2] = moved.z;
}

static double signed_sampson(const double e[3][3], const double a[2], const double b[2]) {
    double distance = sqrt(kn_epipolar_error(e, a, b)), ea[3];
    for (int i = 0; i < 3; i++) ea[i] = e[i][0] * a[0] + e[i][1] * a[1] + e[i][2];
    return b[0] * ea[0] + b[1] * ea[1] + ea[2] < 0 ? -distance : distance;
}

/* Gauss-Newton on the Sampson distances of the inliers. */
static void refine(kn_two_view *v, const double (*a)[2], const double (*b)[2], const bool *inlier, size_t count) {
    const double step = 1e-6;
    for (int round = 0; round < 5; round++) {
        double e[6][3][3], h[25] = {0}, g[5] = {0};
        essential(v->r, v->t, e[5]);
        for (int k = 0; k < 5; k++) {
            double by[5] = {0};
            kn_two_view moved;
            by[k] = step;
            move(v, by, &moved);
            essential(moved.r, moved.t, e[k]);
        }
        for (size_t i = 0; i < count; i++) {
            if (!inlier[i]) continue;
            double now = signed_sampson(e[5], a[i], b[i]), j[5];
            for (int k = 0; k < 5; k++) j[k] = (signed_sampson(e[k], a[i], b[i]) - now) / step;
            for (int k = 0; k < 5; k++) {
                g[k] -= j[k] * now;
                for (int l = 0; l < 5; l++) h[k * 5 + l] += j[k] * j[l];
            }
        }
        for (int k = 0; k < 5; k++) h[k * 6] = h[k * 6] * (1 + 1e-6) + 1e-12;
        if (!kn_cholesky(h, 5)) return;
        kn_cholesky_solve(h, 5, g);
        move(v, g, v);
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median angle between rays after the turn is undone, against the parallax that a turn alone leaves: fills angle,
 * rotation_only. */
static bool measure(kn_two_view *v, const double (*a)[2], const double (*b)[2], const bool *inlier, size_t count,
                    double limit, kn_error *error) {
    double *angles = kn_alloc(count, sizeof *angles, error), best[3][3];
    size_t used = 0, still = 0;
    if (!angles) return false;
    memcpy(best, v->r, sizeof best);
    double reach = 1e9; /* the turn alone: fitted to all, then to those that agree */
    for (int round = 0; round < 6; round++) {
        double m[3][3] = {{0}};
        used = still = 0;
        for (size_t i = 0; i < count; i++) {
            if (!inlier[i]) continue;
            kn_vec3 p = kn_vec3_normalize((kn_vec3){a[i][0], a[i][1], 1}),
                    q = kn_vec3_normalize((kn_vec3){b[i][0], b[i][1], 1});
            const double from[3] = {p.x, p.y, p.z}, to[3] = {q.x, q.y, q.z};
            double turned[3];
            kn_mul3(best, from, turned);
            double angle = kn_vec3_length(kn_vec3_cross((kn_vec3){turned[0], turned[1], turned[2]}, q));
            angles[used++] = angle;
            still += angle < 1.5 * limit;
            if (round && angle > reach) continue;
            for (int r = 0; r < 3; r++)
                for (int k = 0; k < 3; k++) m[r][k] += to[r] * from[k];
        }
        qsort(angles, used, sizeof *angles, ascending);
        reach = fmax(limit, used ? angles[used / 2] : 0);
        kn_nearest_rotation((const double(*)[3])m, best);
    }
    v->rotation_only = used ? (double)still / (double)used : 1;
    used = 0;
    for (size_t i = 0; i < count; i++) {
        double d[3];
        if (!inlier[i]) continue;
        kn_mul3(v->r, (const double[3]){a[i][0], a[i][1], 1}, d);
        kn_vec3 p = kn_vec3_normalize((kn_vec3){d[0], d[1], d[2]}),
                q = kn_vec3_normalize((kn_vec3){b[i][0], b[i][1], 1});
        angles[used++] = asin(fmin(1, kn_vec3_length(kn_vec3_cross(p, q))));
    }
    qsort(angles, used, sizeof *angles, ascending);
    v->angle = used ? angles[used / 2] : 0;
    kn_free(angles);
    return true;
}

/* Decomposes, refines and recounts as long as the score falls. */
static double optimise(const double e[3][3], const double (*a)[2], const double (*b)[2], size_t count, double limit,
                       double best, kn_two_view *found, bool *inlier) {
    kn_two_view v;
    score(e, a, b, count, limit, 1e300, inlier);
    if (decompose(e, a, b, inlier, count, &v) < 5) return best;
    for (int round = 0; round < 3; round++) {
        double refined[3][3];
        refine(&v, a, b, inlier, count);
        essential(v.r, v.t, refined);
        double now = score((const double(*)[3])refined, a, b, count, limit, 1e300, inlier);
        if (now >= best) break;
        best = now, *found = v;
    }
    return best;
}

bool kn_two_view_find(kn_two_view *found, const double (*a)[2], const double (*b)[2], size_t count, double limit,
                      uint64_t seed, bool *inlier, kn_error *error) {
    double best = 1e300, coarse = (double)count + 1, wanted = 2000;
    *found = (kn_two_view){0};
    for (size_t trial = 0; count >= 8 && (double)trial < wanted; trial++) {
        double p[5][2], q[5][2], e[10][3][3];
        for (int k = 0; k < 5; k++) {
            size_t pick = kn_hash64(seed + 5 * trial + (uint64_t)k) % count;
            memcpy(p[k], a[pick], sizeof p[k]), memcpy(q[k], b[pick], sizeof q[k]);
        }
        int solutions = kn_essential_five((const double(*)[2])p, (const double(*)[2])q, e);
        for (int s = 0; s < solutions; s++) {
            double now = score((const double(*)[3])e[s], a, b, count, limit, coarse, NULL);
            if (now >= coarse) continue;
            coarse = now;
            best = optimise((const double(*)[3])e[s], a, b, count, limit, best, found, inlier);
            double share = fmax(0, 1 - fmin(best, coarse) / (double)count);
            wanted = fmin(wanted, fmax(20, log(1e-4) / log(fmax(1e-12, 1 - pow(share, 5)))));
        }
    }
    if (best > 1e299) return false;
    double e[3][3];
    essential(found->r, found->t, e);
    score((const double(*)[3])e, a, b, count, limit, 1e300, inlier);
    found->inliers = 0;
    for (size_t i = 0; i < count; i++) {
        inlier[i] = inlier[i] && before(found, a[i], b[i]);
        found->inliers += inlier[i];
    }
    return found->inliers >= 8 && measure(found, a, b, inlier, count, limit, error);
}
