/* Bundle adjustment: Levenberg-Marquardt whose points are eliminated (Triggs et al., "Bundle adjustment - a modern
 * synthesis"). */
#include "mesh/sfm/sfm.h"

#include <string.h>

enum { LENS = KN_LENS_NUMBERS };

static void lens_values(kn_lens *lens, double *values[LENS]) {
    double *const order[LENS] = {&lens->f, &lens->d[0], &lens->d[1], &lens->cx, &lens->cy, &lens->d[2], &lens->d[3]};
    memcpy(values, order, sizeof order);
}

static bool is_free(const kn_bundle *b, int k) {
    return b->free & (unsigned)(k == 0   ? KN_FREE_FOCAL
                                : k == 1 ? KN_FREE_K1
                                : k == 2 ? KN_FREE_K2
                                : k < 5  ? KN_FREE_MIDDLE
                                         : KN_FREE_TANGENTIAL);
}

typedef struct normal_equations {
    size_t size;           /* LENS + 6 * views */
    double *s, *g;         /* [size][size], [size] of the cameras, points eliminated */
    double (*v)[3][3];     /* [point_count] inverse of the damped 3x3 block */
    double (*gp)[3];       /* [point_count] */
    double (*wc)[6][3];    /* [count] camera times point */
    double (*wl)[LENS][3]; /* [point_count] lens times point */
    double *diagonal;      /* [size] of the undamped cameras */
} normal_equations;

static void equations_finish(normal_equations *n) {
    kn_free(n->s), kn_free(n->g), kn_free(n->v), kn_free(n->gp), kn_free(n->wc), kn_free(n->wl), kn_free(n->diagonal);
    *n = (normal_equations){0};
}

static bool equations_init(normal_equations *n, const kn_bundle *b, kn_error *error) {
    *n = (normal_equations){.size = LENS + 6 * b->view_count};
    bool ok = (n->s = kn_alloc(n->size * n->size, sizeof *n->s, error)) &&
              (n->g = kn_alloc(n->size, sizeof *n->g, error)) &&
              (n->v = kn_alloc(b->point_count + 1, sizeof *n->v, error)) &&
              (n->gp = kn_alloc(b->point_count + 1, sizeof *n->gp, error)) &&
              (n->wc = kn_alloc(b->count + 1, sizeof *n->wc, error)) &&
              (n->wl = kn_alloc(b->point_count + 1, sizeof *n->wl, error)) &&
              (n->diagonal = kn_alloc(n->size, sizeof *n->diagonal, error));
    if (!ok) equations_finish(n);
    return ok;
}

/* Residual and derivatives of one observation; false when the point is behind the camera. */
static bool linearise(const kn_bundle *b, const kn_observation *o, double e[2], double jl[2][LENS], double jc[2][6],
                      double jp[2][3]) {
    const kn_sfm_pose *pose = &b->poses[o->view];
    const kn_lens *lens = b->lens;
    double q[3], c[3];
    kn_mul3(pose->r, b->points[o->point], q);
    for (int k = 0; k < 3; k++) c[k] = q[k] + pose->t[k];
    if (c[2] <= 1e-9) return false;
    double x = c[0] / c[2], y = c[1] / c[2], r2 = x * x + y * y, k1 = lens->d[0], k2 = lens->d[1], p1 = lens->d[2],
           p2 = lens->d[3], f = lens->f;
    double radial = 1 + r2 * (k1 + r2 * k2), dr = 2 * (k1 + 2 * r2 * k2);
    double bent[2] = {x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                      y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y};
    double xy = f * (x * y * dr + 2 * p1 * x + 2 * p2 * y);
    double m[2][2] = {{f * (radial + x * x * dr + 2 * p1 * y + 6 * p2 * x), xy},
                      {xy, f * (radial + y * y * dr + 6 * p1 * y + 2 * p2 * x)}};
    const double n[2] = {x, y}, tangential[2][2] = {{2 * x * y, r2 + 2 * x * x}, {r2 + 2 * y * y, 2 * x * y}};
    e[0] = f * bent[0] + lens->cx - o->pixel[0], e[1] = f * bent[1] + lens->cy - o->pixel[1];
    for (int i = 0; i < 2; i++) {
        const double s[3] = {m[i][0] / c[2], m[i][1] / c[2], -(m[i][0] * x + m[i][1] * y) / c[2]};
        const double lens_slope[LENS] = {bent[i], f * n[i] * r2,        f * n[i] * r2 * r2,  i == 0,
                                         i == 1,  f * tangential[i][0], f * tangential[i][1]};
        const double camera_slope[6] = {
            s[2] * q[1] - s[1] * q[2], s[0] * q[2] - s[2] * q[0], s[1] * q[0] - s[0] * q[1], s[0], s[1], s[2]};
        for (int k = 0; k < LENS; k++) {
            jl[i][k] = is_free(b, k) ? lens_slope[k] : 0;
        }
        memcpy(jc[i], camera_slope, sizeof jc[i]);
        for (int k = 0; k < 3; k++) jp[i][k] = s[0] * pose->r[0][k] + s[1] * pose->r[1][k] + s[2] * pose->r[2][k];
    }
    return true;
}

/* Cauchy's loss of a squared residual in units of the squared width. */
static double loss_of(double squared, double width) { return width * width * log1p(squared / (width * width)); }

static double total_cost(const kn_bundle *b) {
    double sum = 0;
    for (size_t i = 0; i < b->count; i++) {
        const kn_observation *o = &b->observations[i];
        double at[2];
        if (!kn_sfm_project(b->lens, &b->poses[o->view], b->points[o->point], at)) {
            sum += loss_of(1e8, b->loss);
            continue;
        }
        double dx = at[0] - o->pixel[0], dy = at[1] - o->pixel[1];
        sum += loss_of(dx * dx + dy * dy, b->loss);
    }
    for (size_t v = 0; b->priors && v < b->view_count; v++) {
        double c[3];
        kn_sfm_center(&b->poses[v], c);
        for (int k = 0; k < 3; k++)
            sum += b->priors[v].weight * (c[k] - b->priors[v].center[k]) * (c[k] - b->priors[v].center[k]);
    }
    double *lens[LENS];
    lens_values(b->lens, lens);
    for (int k = 0; k < LENS; k++)
        if (is_free(b, k))
            sum += b->lens_prior[k].weight * (*lens[k] - b->lens_prior[k].value) * (*lens[k] - b->lens_prior[k].value);
    return sum;
}

/* Pulls the cameras' centres and the lens to their priors. C = -r^T t, so that dC = -r^T (t x w) - r^T dt for a turn
 * w. */
static void add_priors(const kn_bundle *b, normal_equations *n) {
    double *lens[LENS];
    lens_values(b->lens, lens);
    for (size_t k = 0; k < LENS; k++) {
        if (b->lens_prior[k].weight <= 0 || !is_free(b, (int)k)) continue;
        n->g[k] -= b->lens_prior[k].weight * (*lens[k] - b->lens_prior[k].value);
        n->s[k * n->size + k] += b->lens_prior[k].weight;
    }
    for (size_t v = 0; b->priors && v < b->view_count; v++) {
        const kn_center_prior *prior = &b->priors[v];
        const kn_sfm_pose *p = &b->poses[v];
        double c[3], j[3][6];
        if (prior->weight <= 0) continue;
        kn_sfm_center(p, c);
        const double cross[3][3] = {{0, -p->t[2], p->t[1]}, {p->t[2], 0, -p->t[0]}, {-p->t[1], p->t[0], 0}};
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 3; k++) {
                j[i][k] = -(p->r[0][i] * cross[0][k] + p->r[1][i] * cross[1][k] + p->r[2][i] * cross[2][k]);
                j[i][3 + k] = -p->r[k][i];
            }
        size_t at = LENS + 6 * v;
        for (int i = 0; i < 3; i++)
            for (size_t k = 0; k < 6; k++) {
                n->g[at + k] -= prior->weight * j[i][k] * (c[i] - prior->center[i]);
                for (size_t l = 0; l < 6; l++) n->s[(at + k) * n->size + at + l] += prior->weight * j[i][k] * j[i][l];
            }
    }
}

/* Sums the blocks of one observation. */
static void add_observation(const kn_bundle *b, normal_equations *n, size_t index) {
    const kn_observation *o = &b->observations[index];
    double e[2], jl[2][LENS], jc[2][6], jp[2][3];
    memset(n->wc[index], 0, sizeof n->wc[index]);
    if (!linearise(b, o, e, jl, jc, jp)) return;
    double w = 1 / (1 + (e[0] * e[0] + e[1] * e[1]) / (b->loss * b->loss));
    size_t at = LENS + 6 * o->view;
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < LENS; k++) {
            if (jl[i][k] == 0) continue;
            n->g[k] -= w * jl[i][k] * e[i];
            for (size_t l = 0; l < LENS; l++) n->s[k * n->size + l] += w * jl[i][k] * jl[i][l];
            for (int l = 0; l < 3; l++) n->wl[o->point][k][l] += w * jl[i][k] * jp[i][l];
        }
        for (size_t k = 0; k < 6; k++) {
            n->g[at + k] -= w * jc[i][k] * e[i];
            for (size_t l = 0; l < 6; l++) n->s[(at + k) * n->size + at + l] += w * jc[i][k] * jc[i][l];
            for (size_t l = 0; l < LENS; l++) n->s[(at + k) * n->size + l] += w * jc[i][k] * jl[i][l];
            for (int l = 0; l < 3; l++) n->wc[index][k][l] += w * jc[i][k] * jp[i][l];
        }
        for (int k = 0; k < 3; k++) {
            n->gp[o->point][k] -= w * jp[i][k] * e[i];
            for (int l = 0; l < 3; l++) n->v[o->point][k][l] += w * jp[i][k] * jp[i][l];
        }
    }
}

static void build(const kn_bundle *b, normal_equations *n) {
    memset(n->s, 0, n->size * n->size * sizeof *n->s);
    memset(n->g, 0, n->size * sizeof *n->g);
    memset(n->v, 0, b->point_count * sizeof *n->v);
    memset(n->gp, 0, b->point_count * sizeof *n->gp);
    memset(n->wl, 0, b->point_count * sizeof *n->wl);
    for (size_t i = 0; i < b->count; i++) add_observation(b, n, i);
    add_priors(b, n);
    for (size_t i = 0; i < n->size; i++) n->diagonal[i] = n->s[i * n->size + i];
}

static bool invert3(double m[3][3]) {
    double out[3][3];
    for (int i = 0; i < 3; i++) {
        const double unit[3] = {i == 0, i == 1, i == 2};
        double column[3];
        if (!kn_solve3((const double(*)[3])m, unit, column)) return false;
        for (int k = 0; k < 3; k++) out[k][i] = column[k];
    }
    memcpy(m, out, sizeof out);
    return true;
}

/* S -= W V^-1 W^T and g -= W V^-1 gp for the observations [first, last) of one point. Lower triangle. */
static void eliminate(const kn_bundle *b, normal_equations *n, size_t first, size_t last, double damping) {
    size_t point = b->observations[first].point;
    double(*v)[3] = n->v[point];
    for (int k = 0; k < 3; k++) v[k][k] = v[k][k] * (1 + damping) + 1e-12;
    if (!invert3(v)) memset(v, 0, 9 * sizeof(double));
    for (size_t i = first; i <= last; i++) { /* index `last` stands for the lens */
        bool lens = i == last;
        size_t rows = lens ? LENS : 6, row = lens ? 0 : LENS + 6 * b->observations[i].view;
        double(*w)[3] = lens ? n->wl[point] : n->wc[i], wv[LENS][3];
        for (size_t k = 0; k < rows; k++) {
            for (int l = 0; l < 3; l++) wv[k][l] = w[k][0] * v[0][l] + w[k][1] * v[1][l] + w[k][2] * v[2][l];
            n->g[row + k] -= wv[k][0] * n->gp[point][0] + wv[k][1] * n->gp[point][1] + wv[k][2] * n->gp[point][2];
        }
        for (size_t j = first; j <= last; j++) {
            bool to_lens = j == last;
            size_t columns = to_lens ? LENS : 6, column = to_lens ? 0 : LENS + 6 * b->observations[j].view;
            if (column > row || (lens && !to_lens)) continue;
            double(*u)[3] = to_lens ? n->wl[point] : n->wc[j];
            for (size_t k = 0; k < rows; k++) {
                double *out = n->s + (row + k) * n->size + column;
                for (size_t l = 0; l < columns; l++)
                    out[l] -= wv[k][0] * u[l][0] + wv[k][1] * u[l][1] + wv[k][2] * u[l][2];
            }
        }
    }
}

/* Solves for all steps: cameras in n->g, points in n->gp. */
static bool solve(const kn_bundle *b, normal_equations *n, double damping) {
    for (size_t first = 0, last; first < b->count; first = last) {
        for (last = first + 1; last < b->count && b->observations[last].point == b->observations[first].point;) last++;
        eliminate(b, n, first, last, damping);
    }
    for (size_t i = 0; i < n->size; i++) {
        n->s[i * n->size + i] += damping * n->diagonal[i] + 1e-9;
        if (n->diagonal[i] == 0) n->s[i * n->size + i] = 1; /* not free, or never seen */
    }
    if (!kn_cholesky(n->s, n->size)) return false;
    kn_cholesky_solve(n->s, n->size, n->g);
    for (size_t first = 0, last; first < b->count; first = last) {
        size_t point = b->observations[first].point;
        double rest[3] = {n->gp[point][0], n->gp[point][1], n->gp[point][2]};
        for (last = first; last < b->count && b->observations[last].point == point; last++)
            for (size_t k = 0; k < 6; k++)
                for (int l = 0; l < 3; l++)
                    rest[l] -= n->wc[last][k][l] * n->g[LENS + 6 * b->observations[last].view + k];
        for (size_t k = 0; k < LENS; k++)
            for (int l = 0; l < 3; l++) rest[l] -= n->wl[point][k][l] * n->g[k];
        kn_mul3((const double(*)[3])n->v[point], rest, n->gp[point]);
    }
    return true;
}

static void apply(const kn_bundle *b, const normal_equations *n) {
    double *lens[LENS];
    lens_values(b->lens, lens);
    double focal = b->lens->f;
    for (int k = 0; k < LENS; k++) *lens[k] += n->g[k];
    b->lens->f = fmin(fmax(b->lens->f, focal * 0.7), focal * 1.4); /* a step that leaves the linear range is cut */
    for (size_t v = 0; v < b->view_count; v++) {
        double turn[3][3];
        kn_rotation_exp(n->g + LENS + 6 * v, turn);
        kn_mul33((const double(*)[3])turn, b->poses[v].r, b->poses[v].r);
        for (size_t k = 0; k < 3; k++) b->poses[v].t[k] += n->g[LENS + 6 * v + 3 + k];
    }
    for (size_t p = 0; p < b->point_count; p++)
        for (int k = 0; k < 3; k++) b->points[p][k] += n->gp[p][k];
}

bool kn_bundle_run(const kn_bundle *b, double *cost, kn_error *error) {
    normal_equations n;
    kn_sfm_pose *poses = kn_alloc(b->view_count + 1, sizeof *poses, error);
    double(*points)[3] = kn_alloc(b->point_count + 1, sizeof *points, error);
    bool ok = poses && points && equations_init(&n, b, error);
    if (!ok) {
        kn_free(poses), kn_free(points);
        return false;
    }
    double now = total_cost(b), damping = 1e-4;
    for (int i = 0, rejected = 0; i < b->iterations && rejected < 6; i++) {
        kn_lens lens = *b->lens;
        memcpy(poses, b->poses, b->view_count * sizeof *poses);
        memcpy(points, b->points, b->point_count * sizeof *points);
        build(b, &n);
        bool solved = solve(b, &n, damping);
        if (solved) apply(b, &n);
        double after = solved ? total_cost(b) : 1e300;
        if (after < now) {
            bool done = now - after < 1e-5 * now;
            now = after, damping = fmax(damping / 5, 1e-10), rejected = 0;
            if (done) break;
            continue;
        }
        *b->lens = lens;
        memcpy(b->poses, poses, b->view_count * sizeof *poses);
        memcpy(b->points, points, b->point_count * sizeof *points);
        damping = fmin(damping * 10, 1e8), rejected++;
    }
    for (size_t v = 0; v < b->view_count; v++) kn_nearest_rotation((const double(*)[3])b->poses[v].r, b->poses[v].r);
    if (cost) *cost = now / (double)(b->count ? b->count : 1);
    kn_free(poses), kn_free(points);
    equations_finish(&n);
    return true;
}
