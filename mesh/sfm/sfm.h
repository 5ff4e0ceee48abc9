/* Cameras from pictures: features, matches, two-view geometry, resection, triangulation, bundle adjustment, orbits.
 * Internal to mesh/.
 *
 * A pose maps world to camera: camera = r * world + t; x right, y down, z forward. Pixels are those of the pictures,
 * with the upper left corner of the picture at (0, 0). "Normal" coordinates are x / z, y / z of an undistorted ray. */
#ifndef KN_MESH_SFM_H
#define KN_MESH_SFM_H

#include "base/base.h"
#include "base/vecmath.h"
#include "kinora/mesh.h"

/* --- small linear algebra (sfm_math.c); no allocation, thread-safe ---------------------------- */

#define KN_EIGEN_MAX 12
/* Eigenvalues (ascending) and unit eigenvectors (rows of v) of the symmetric a[n][n], n up to KN_EIGEN_MAX; a is
 * destroyed. Jacobi. */
void kn_eigen(int n, double *a, double *values, double *vectors);
/* Real roots of c[0] + c[1] x + ... + c[degree] x^degree, degree up to 10, in ascending order; returns their number. */
int kn_real_roots(const double *c, int degree, double *roots);
/* a = L L^T in the lower triangle of the symmetric a[n][n]; false when a is not positive definite. */
bool kn_cholesky(double *a, size_t n);
/* Solves L L^T x = b in place. */
void kn_cholesky_solve(const double *l, size_t n, double *b);
/* Solves the symmetric positive 3x3 system; false when singular. */
bool kn_solve3(const double a[3][3], const double b[3], double x[3]);
/* Rotation of the vector w (axis times angle), and back. */
void kn_rotation_exp(const double w[3], double r[3][3]);
void kn_rotation_log(const double r[3][3], double w[3]);
void kn_mul33(const double a[3][3], const double b[3][3], double out[3][3]);
void kn_mul3(const double a[3][3], const double v[3], double out[3]);
void kn_mul3t(const double a[3][3], const double v[3], double out[3]); /* a transposed */
double kn_det3(const double a[3][3]);
/* The rotation nearest to m (Frobenius norm). */
void kn_nearest_rotation(const double m[3][3], double r[3][3]);
/* scale, r, t that take from[] to to[] with least squares (Umeyama 1991); points [count][3], count >= 3. False when
 * degenerate. */
bool kn_similarity(const double *from, const double *to, size_t count, double *scale, double r[3][3], double t[3]);

/* --- cameras (sfm_lens.c) --------------------------------------------------------------------- */

/* The lens that all pictures share: one focal length, OpenCV's distortion. */
typedef struct kn_lens {
    double f, cx, cy; /* pixels */
    double d[4];      /* k1, k2, p1, p2 */
} kn_lens;

typedef struct kn_sfm_pose {
    double r[3][3], t[3];
} kn_sfm_pose;

void kn_lens_distort(const kn_lens *lens, const double normal[2], double pixel[2]);
void kn_lens_undistort(const kn_lens *lens, const double pixel[2], double normal[2]);
/* False when the point is not in front of the camera. */
bool kn_sfm_project(const kn_lens *lens, const kn_sfm_pose *pose, const double point[3], double pixel[2]);
void kn_sfm_center(const kn_sfm_pose *pose, double center[3]);

/* --- features (sfm_features.c, sfm_match.c) --------------------------------------------------- */

typedef struct kn_features {
    size_t count;
    float *xy;            /* [count][2] pixels */
    float *scale;         /* [count] pixels; largest first */
    uint8_t *colors;      /* [count][3] sRGB */
    int16_t *descriptors; /* [count][128] 0..255: square roots of SIFT's histograms (Arandjelovic & Zisserman 2012) */
} kn_features;

/* SIFT (Lowe 2004) of a picture, reduced to `size` pixels along its longer side first; at most `limit` features. */
bool kn_features_find(kn_features *features, const kn_image *picture, int size, size_t limit, kn_error *error);
void kn_features_finish(kn_features *features);

typedef struct kn_match {
    uint32_t a, b; /* features */
} kn_match;

/* Mutually best matches whose second-best is farther by 1 / ratio; among the first `limit` features of each. *matches
 * [*count] is owned by the caller. */
bool kn_features_match(const kn_features *a, const kn_features *b, size_t limit, double ratio, kn_match **matches,
                       size_t *count, kn_error *error);

/* --- two views (sfm_pair.c, sfm_essential.c) -------------------------------------------------- */

/* Essential matrices of five normal points in two pictures: a[5][2], b[5][2] (Nister 2004); returns their number, up
 * to 10. */
int kn_essential_five(const double (*a)[2], const double (*b)[2], double e[10][3][3]);
/* Squared Sampson distance in the units of the points. */
double kn_epipolar_error(const double e[3][3], const double a[2], const double b[2]);

typedef struct kn_two_view {
    double r[3][3], t[3]; /* second = r * first + t, |t| = 1 */
    size_t inliers;
    double angle;         /* median angle between rays that meet, radians */
    double rotation_only; /* share of the inliers that a rotation alone explains */
} kn_two_view;

/* Robust relative pose of normal points a[count][2], b[count][2] (locally optimised RANSAC: Chum et al. 2003). `limit`
 * is the Sampson distance of an inlier. inlier[count] is set. False when there is no support of 8 points. */
bool kn_two_view_find(kn_two_view *found, const double (*a)[2], const double (*b)[2], size_t count, double limit,
                      uint64_t seed, bool *inlier, kn_error *error);

/* --- one view and points (sfm_resect.c) ------------------------------------------------------- */

/* Up to four poses from three points and their normal coordinates (Grunert 1841; Haralick et al. 1994). */
int kn_p3p(const double points[3][3], const double normal[3][2], kn_sfm_pose poses[4]);
/* Robust pose from points[count][3] and pixels[count][2]: RANSAC, then a robust least-squares refinement. `limit` in
 * pixels. Returns the number of inliers (inlier[count] is set); 0: none. */
size_t kn_resect(kn_sfm_pose *pose, const kn_lens *lens, const double (*points)[3], const double (*pixels)[2],
                 size_t count, double limit, uint64_t seed, bool *inlier);
/* Refines a pose by Gauss-Newton with Huber's loss at `limit` pixels; `use` (may be NULL) selects points. */
void kn_resect_refine(kn_sfm_pose *pose, const kn_lens *lens, const double (*points)[3], const double (*pixels)[2],
                      size_t count, double limit, const bool *use);
/* The point nearest to rays from `count` poses through normal coordinates, refined on the reprojection. False when the
 * rays meet at less than `min_angle` radians, or behind a camera. */
bool kn_triangulate(double point[3], const kn_sfm_pose *const *poses, const double (*normal)[2], size_t count,
                    double min_angle);

/* --- bundle adjustment (sfm_bundle.c) --------------------------------------------------------- */

typedef struct kn_observation {
    uint32_t view, point;
    double pixel[2];
} kn_observation;

/* What is known beforehand about a camera's centre. */
typedef struct kn_center_prior {
    double center[3], weight; /* weight: 1 / sigma^2 in world units; 0: none */
} kn_center_prior;

enum { KN_FREE_FOCAL = 1, KN_FREE_K1 = 2, KN_FREE_K2 = 4, KN_FREE_MIDDLE = 8, KN_FREE_TANGENTIAL = 16 };

/* What is known beforehand about a number of the lens. */
typedef struct kn_lens_prior {
    double value, weight; /* weight: pixels^2 per unit^2 */
} kn_lens_prior;
enum { KN_LENS_NUMBERS = 7 }; /* f, k1, k2, cx, cy, p1, p2 */

typedef struct kn_bundle {
    kn_lens *lens;
    kn_sfm_pose *poses; /* [view_count] */
    size_t view_count;
    double (*points)[3]; /* [point_count] */
    size_t point_count;
    const kn_observation *observations; /* [count], sorted by point */
    size_t count;
    const kn_center_prior *priors; /* [view_count] or NULL */
    kn_lens_prior lens_prior[KN_LENS_NUMBERS];
    unsigned free; /* KN_FREE_... */
    double loss;   /* pixels at which Cauchy's loss sets in */
    int iterations;
} kn_bundle;

/* Levenberg-Marquardt with the points eliminated (Triggs et al. 2000); dense in the cameras. *cost gets the mean robust
 * cost. */
bool kn_bundle_run(const kn_bundle *bundle, double *cost, kn_error *error);

/* --- reconstruction (sfm_grow.c, sfm_orbit.c, sfm.c) ------------------------------------------ */

typedef struct kn_pair {
    uint32_t a, b;     /* views, a < b */
    kn_match *matches; /* [count] geometrically sound ones */
    size_t count;
    kn_two_view geometry;
} kn_pair;

/* A feature track: the same point in several pictures. */
typedef struct kn_track {
    size_t first, count; /* in observations */
    double point[3];
    bool solved;
} kn_track;

typedef struct kn_sfm {
    size_t view_count;
    int width, height;
    kn_features *features; /* [view_count] */
    kn_pair *pairs;
    size_t pair_count, pair_capacity;
    kn_track *tracks;
    size_t track_count;
    kn_observation *observations; /* [observation_count], by track; point: the track */
    uint32_t *observed;           /* [observation_count] feature of the view */
    bool *good;                   /* [observation_count] agrees with its point */
    size_t observation_count;
    kn_lens lens;
    kn_sfm_pose *poses;      /* [view_count] */
    bool *known;             /* [view_count] pose found */
    kn_center_prior *priors; /* [view_count] or NULL */
    double unit;             /* pixels that count as one: 1 at 1000 pixels along the longer side */
    bool focal_given;
    const kn_find_params *params;
    kn_log log;
} kn_sfm;

/* Reports progress; false when the caller wants to stop. */
bool kn_sfm_step(const kn_sfm *sfm, size_t percent, kn_error *error);
/* Matches all promising pairs of views (sfm_pairs.c); a guess of the focal length that suits them, unless it is
 * given. */
bool kn_sfm_match(kn_sfm *sfm, kn_error *error);
bool kn_sfm_guess_focal(kn_sfm *sfm, kn_error *error);
/* Keeps the matches that a relative pose explains, and the pairs that keep enough. */
bool kn_sfm_verify(kn_sfm *sfm, kn_error *error);
/* Places unknown views next to known ones where an even orbit has them and a relative rotation agrees, with a weak
 * prior on their centres (sfm_prior.c). *placed: how many. */
bool kn_sfm_place_by_orbit(kn_sfm *sfm, size_t *placed, kn_error *error);
/* Refuse what cannot be an orbit, with the reason (sfm_orbit.c): before and after kn_sfm_verify, and after kn_sfm_grow;
 * the last one turns the world so that z is up, what the cameras look at is the origin and their mean distance from it
 * is 1. */
bool kn_sfm_check_matches(const kn_sfm *sfm, kn_error *error);
bool kn_sfm_check_pairs(const kn_sfm *sfm, size_t matched, kn_error *error);
bool kn_sfm_normalise(kn_sfm *sfm, kn_error *error);
/* Joins matches into tracks: one feature a view, two views at least. */
bool kn_sfm_tracks(kn_sfm *sfm, kn_error *error);
void kn_sfm_tracks_finish(kn_sfm *sfm);
/* Solves the tracks of the known views anew, and says which observations agree with them. */
void kn_sfm_solve_points(kn_sfm *sfm, double limit);
/* Bundle adjustment of what is known. */
bool kn_sfm_bundle(kn_sfm *sfm, unsigned free, int iterations, kn_error *error);
/* Incremental reconstruction from sfm->lens; returns false only on errors, sfm->known says what was found. */
bool kn_sfm_grow(kn_sfm *sfm, kn_error *error);
size_t kn_sfm_known(const kn_sfm *sfm);
/* Mean reprojection error of the good observations in pixels, and their number. */
double kn_sfm_error(const kn_sfm *sfm, size_t *count);

#endif
