/* Masks of an object before a background that is neither plain nor still in the pictures, as an orbiting camera sees a
 * room: colour models of object and surroundings, learnt from where the object must be and cannot be, and refined over
 * the views through the space that all of them leave it (Lee, Woo & Boyer 2007; the edges follow the picture as in He,
 * Sun & Tang 2010). */
#include "mesh/views/mesh.h"

#include <string.h>

#define BINS 16 /* a channel */
#define CELLS (BINS * BINS * BINS)
#define VOXELS 60 /* along a side of the space looked at */
#define ROUNDS 6
#define LONGEST 256 /* pixels of the pictures that are worked on */

typedef struct look {
    uint8_t *rgb;        /* [height][width][3] */
    float *odds;         /* [height][width] log of object against background */
    float *edge;         /* [height][width] pixels to the border of the space's shadow, negative inside */
    uint8_t *shadow;     /* [height][width] */
    double scale, focal; /* picture pixels a pixel; focal length */
    const kn_view_camera *camera;
    double fx, fy, cx, cy; /* of the small picture */
} look;

typedef struct colors {
    look *looks;
    size_t count;
    int width, height, longest;
    double center[3], radius;
    float *ratio;             /* [CELLS] log of object against background for a colour */
    double *inside, *outside; /* [CELLS] */
    uint8_t *space;           /* [VOXELS^3] the object may be here */
    float *scratch;
} colors;

static size_t cell_of(const uint8_t *p) { return ((size_t)(p[0] >> 4) * BINS + (p[1] >> 4)) * BINS + (p[2] >> 4); }

/* --- geometry --------------------------------------------------------------------------------- */

static bool project(const look *l, const double p[3], double pixel[2], double *depth) {
    const kn_camera *c = &l->camera->camera;
    double x[3] = {0}, away[3] = {p[0] - c->translation[0], p[1] - c->translation[1], p[2] - c->translation[2]};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) x[i] += c->rotation[j][i] * away[j];
    *depth = x[2];
    if (x[2] < 1e-9) return false;
    const double *k = l->camera->distortion;
    double u = x[0] / x[2], v = x[1] / x[2], r2 = u * u + v * v, radial = 1 + r2 * (k[0] + r2 * k[1]);
    pixel[0] = l->fx * (u * radial + 2 * k[2] * u * v + k[3] * (r2 + 2 * u * u)) + l->cx;
    pixel[1] = l->fy * (v * radial + k[2] * (r2 + 2 * v * v) + 2 * k[3] * u * v) + l->cy;
    return true;
}

/* The point nearest to all optical axes, and the largest ball around it that no picture cuts off. */
static bool find_ball(colors *c) {
    double a[3][4] = {{0}};
    for (size_t v = 0; v < c->count; v++) {
        const kn_camera *k = &c->looks[v].camera->camera;
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++) {
                double m = (i == j) - k->rotation[i][2] * k->rotation[j][2];
                a[i][j] += m, a[i][3] += m * k->translation[j];
            }
    }
    for (int i = 0; i < 3; i++) { /* Gauss-Jordan; the matrix is symmetric and positive */
        if (a[i][i] < 1e-4 * (double)c->count) return false;
        for (int k = 0; k < 3; k++) {
            double f = k == i ? 0 : a[k][i] / a[i][i];
            for (int j = i; j < 4; j++) a[k][j] -= f * a[i][j];
        }
    }
    c->radius = 1e30;
    for (int i = 0; i < 3; i++) c->center[i] = a[i][3] / a[i][i];
    for (size_t v = 0; v < c->count; v++) {
        const look *l = &c->looks[v];
        double pixel[2], depth;
        if (!project(l, c->center, pixel, &depth)) return false;
        double border = fmin(fmin(pixel[0], c->width - pixel[0]), fmin(pixel[1], c->height - pixel[1]));
        c->radius = fmin(c->radius, border * depth / hypot(l->fx, border));
    }
    return c->radius > 0;
}

/* --- colour models ---------------------------------------------------------------------------- */

/* Means over neighbouring colours, along one channel. */
static void blur(double *h, size_t step) {
    for (size_t line = 0; line < CELLS / BINS; line++) {
        size_t first = step == 1 ? line * BINS : step == BINS ? line / BINS * BINS * BINS + line % BINS : line;
        double before = h[first];
        for (size_t i = 0; i < BINS; i++) {
            double here = h[first + i * step], after = h[first + (i + 1 < BINS ? i + 1 : i) * step];
            h[first + i * step] = 0.25 * before + 0.5 * here + 0.25 * after;
            before = here;
        }
    }
}

/* Turns the counts into the ratio of the colours' shares. */
static void learn(colors *c) {
    double in = 0, out = 0;
    for (size_t step = 1; step < CELLS; step *= BINS) blur(c->inside, step), blur(c->outside, step);
    for (size_t i = 0; i < CELLS; i++) in += c->inside[i], out += c->outside[i];
    for (size_t i = 0; i < CELLS; i++) {
        double p = c->inside[i] / fmax(in, 1) + 3e-5, q = c->outside[i] / fmax(out, 1) + 3e-5;
        c->ratio[i] = (float)fmin(fmax(log(p / q), -4), 4);
    }
    memset(c->inside, 0, CELLS * sizeof *c->inside), memset(c->outside, 0, CELLS * sizeof *c->outside);
}

/* First models: the middle of the ball's picture against what lies outside the ball. */
static void begin(colors *c) {
    for (size_t v = 0; v < c->count; v++) {
        const look *l = &c->looks[v];
        double pixel[2], depth;
        project(l, c->center, pixel, &depth);
        double radius = l->fx * c->radius / sqrt(fmax(depth * depth - c->radius * c->radius, 1e-12));
        for (int i = 0; i < c->width * c->height; i++) {
            double far = hypot(i % c->width + 0.5 - pixel[0], i / c->width + 0.5 - pixel[1]) / radius;
            if (far < 0.3) c->inside[cell_of(l->rgb + 3 * i)]++;
            if (far > 1) c->outside[cell_of(l->rgb + 3 * i)]++;
        }
    }
    learn(c);
}

/* Later ones: what is taken for object inside the space's shadow against what lies outside it. */
static void relearn(colors *c) {
    for (size_t v = 0; v < c->count; v++) {
        const look *l = &c->looks[v];
        for (int i = 0; i < c->width * c->height; i++) {
            if (l->edge[i] < 0 && l->odds[i] > 0.5f) c->inside[cell_of(l->rgb + 3 * i)]++;
            if (l->edge[i] > 1.5f || l->odds[i] < -2) c->outside[cell_of(l->rgb + 3 * i)]++;
        }
    }
    learn(c);
}

/* Odds of every pixel: its colour's and the shadow's, averaged over neighbours of about the same colour. */
static void rate(colors *c, look *l, bool shadowed) {
    int w = c->width, h = c->height;
    for (int i = 0; i < w * h; i++)
        c->scratch[i] = c->ratio[cell_of(l->rgb + 3 * i)] + (shadowed ? fminf(fmaxf(-0.5f * l->edge[i], -3), 1) : 0);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const uint8_t *p = l->rgb + 3 * (y * w + x);
            float sum = 0, total = 0;
            for (int j = y > 2 ? y - 2 : 0; j <= y + 2 && j < h; j++)
                for (int i = x > 2 ? x - 2 : 0; i <= x + 2 && i < w; i++) {
                    const uint8_t *q = l->rgb + 3 * (j * w + i);
                    int d =
                        (p[0] - q[0]) * (p[0] - q[0]) + (p[1] - q[1]) * (p[1] - q[1]) + (p[2] - q[2]) * (p[2] - q[2]);
                    float weight = 1.0f / (1.0f + (float)d * (float)d / 160000.0f); /* half at 20 of 255 */
                    sum += weight * c->scratch[j * w + i], total += weight;
                }
            l->odds[y * w + x] = sum / total;
        }
}

/* --- space ------------------------------------------------------------------------------------ */

/* The voxels that at most an eighth of the views deny. Returns how many. */
static size_t carve(colors *c) {
    size_t left = 0;
    double step = 2 * c->radius / VOXELS;
    for (int i = 0; i < VOXELS * VOXELS * VOXELS; i++) {
        double p[3] = {(i % VOXELS + 0.5) * step, (i / VOXELS % VOXELS + 0.5) * step,
                       (i / (VOXELS * VOXELS) + 0.5) * step},
               far = 0, pixel[2], depth;
        size_t seen = 0, denied = 0;
        for (int k = 0; k < 3; k++) p[k] -= c->radius, far += p[k] * p[k], p[k] += c->center[k];
        for (size_t v = 0; v < c->count && far < c->radius * c->radius; v++) {
            const look *l = &c->looks[v];
            if (!project(l, p, pixel, &depth) || pixel[0] < 0 || pixel[1] < 0 || pixel[0] >= c->width ||
                pixel[1] >= c->height)
                continue;
            seen++, denied += l->odds[(int)pixel[1] * c->width + (int)pixel[0]] < 0;
        }
        c->space[i] = seen * 2 > c->count && denied * 8 <= seen;
        left += c->space[i];
    }
    return left;
}

/* Draws the space into a view. */
static bool cast(const colors *c, look *l, kn_error *error) {
    double step = 2 * c->radius / VOXELS;
    memset(l->shadow, 0, (size_t)c->width * (size_t)c->height);
    for (int i = 0; i < VOXELS * VOXELS * VOXELS; i++) {
        double p[3] = {(i % VOXELS + 0.5) * step, (i / VOXELS % VOXELS + 0.5) * step,
                       (i / (VOXELS * VOXELS) + 0.5) * step},
               pixel[2], depth;
        for (int k = 0; k < 3; k++) p[k] += c->center[k] - c->radius;
        if (!c->space[i] || !project(l, p, pixel, &depth)) continue;
        double half = 0.6 * step * l->fx / depth;
        int x0 = (int)fmax(pixel[0] - half, 0), x1 = (int)fmin(pixel[0] + half, c->width - 1),
            y0 = (int)fmax(pixel[1] - half, 0), y1 = (int)fmin(pixel[1] + half, c->height - 1);
        for (int y = y0; y <= y1; y++)
            for (int x = x0; x <= x1; x++) l->shadow[y * c->width + x] = 255;
    }
    return kn_mask_distance(l->shadow, c->width, c->height, l->edge, error);
}

static bool refine(colors *c, bool *found, kn_error *error) {
    begin(c);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t v = 0; v < c->count; v++) rate(c, &c->looks[v], round > 0);
        size_t left = carve(c);
        *found = left * 500 > VOXELS * VOXELS * VOXELS;
        if (!*found) return true;
        for (size_t v = 0; v < c->count; v++)
            if (!cast(c, &c->looks[v], error)) return false;
        relearn(c);
    }
    return true;
}

/* Whether the views agree: masks are the shadows of one thing that no picture cuts off, and colours alone tell it
 * apart. */
static bool trusted(const colors *c, const kn_log *log) {
    double common = 0, either = 0, told = 0, all = 0, border = 0;
    for (size_t v = 0; v < c->count; v++) {
        const look *l = &c->looks[v];
        for (int i = 0; i < c->width * c->height; i++) {
            bool mask = l->odds[i] > 0, shadow = l->shadow[i] != 0;
            if (mask &&
                (i % c->width < 1 || i % c->width == c->width - 1 || i < c->width || i >= c->width * (c->height - 1)))
                border++;
            common += mask && shadow, either += mask || shadow;
            if (l->edge[i] < 8) all++, told += (c->ratio[cell_of(l->rgb + 3 * i)] > 0) == mask;
        }
    }
    kn_log_line(log, KN_LOG_DEBUG, "masks by colour: views agree to %.2f, colours tell %.2f", common / fmax(either, 1),
                told / fmax(all, 1));
    return common > 0.75 * either && told > 0.8 * all && border < 0.02 * (c->width + c->height) * 2 * (double)c->count;
}

/* --- pictures --------------------------------------------------------------------------------- */

static bool shrink(colors *c, look *l, const kn_surface_view *view, kn_error *error) {
    const kn_image *picture = &view->picture;
    const kn_camera *k = &view->camera.camera;
    size_t pixels = (size_t)c->width * (size_t)c->height;
    l->camera = &view->camera;
    l->rgb = kn_alloc(pixels, 3, error), l->odds = kn_alloc(pixels, sizeof *l->odds, error),
    l->edge = kn_alloc(pixels, sizeof *l->edge, error), l->shadow = kn_alloc(pixels, 1, error);
    if (!l->rgb || !l->odds || !l->edge || !l->shadow) return false;
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++) {
            int x0 = x * picture->width / c->width, x1 = (x + 1) * picture->width / c->width,
                y0 = y * picture->height / c->height, y1 = (y + 1) * picture->height / c->height;
            long sum[3] = {0}, count = (long)(x1 - x0) * (y1 - y0);
            for (int j = y0; j < y1; j++)
                for (int i = x0; i < x1; i++)
                    for (int n = 0; n < 3; n++)
                        sum[n] +=
                            picture->data[((size_t)j * (size_t)picture->width + (size_t)i) * (size_t)picture->channels +
                                          (size_t)n];
            for (int n = 0; n < 3; n++) l->rgb[3 * (y * c->width + x) + n] = (uint8_t)(sum[n] / count);
        }
    double sx = k->width > 0 ? (double)c->width / k->width : c->width,
           sy = k->height > 0 ? (double)c->height / k->height : sx;
    l->fx = k->k[0][0] * sx, l->fy = k->k[1][1] * sy, l->cx = k->k[0][2] * sx;
    l->cy = k->k[1][2] < 0 && k->height == 0 ? c->height / 2.0 : k->k[1][2] * sy;
    return true;
}

/* The odds, enlarged; where they are small a pixel's own colour decides as well. */
static void enlarge(const colors *c, const look *l, const kn_image *picture, uint8_t *mask) {
    for (int y = 0; y < picture->height; y++)
        for (int x = 0; x < picture->width; x++) {
            double u = fmin(fmax((x + 0.5) * c->width / picture->width - 0.5, 0), c->width - 1.001),
                   v = fmin(fmax((y + 0.5) * c->height / picture->height - 0.5, 0), c->height - 1.001);
            int i = (int)u, j = (int)v;
            const float *o = l->odds + j * c->width + i;
            double a = u - i, b = v - j,
                   odds = (o[0] * (1 - a) + o[1] * a) * (1 - b) + (o[c->width] * (1 - a) + o[c->width + 1] * a) * b;
            size_t at = (size_t)y * (size_t)picture->width + (size_t)x;
            if (fabs(odds) < 1.5 && c->width < picture->width)
                odds += 0.5 * c->ratio[cell_of(picture->data + at * (size_t)picture->channels)];
            mask[at] = odds > 0 ? 1 : 0;
        }
}

bool kn_mask_colors(const kn_surface_view *views, uint8_t *const *masks, size_t count, const kn_log *log, bool *found,
                    kn_error *error) {
    int w = views[0].picture.width, h = views[0].picture.height, longest = w > h ? w : h;
    colors c = {.count = count,
                .width = longest > LONGEST ? w * LONGEST / longest : w,
                .height = longest > LONGEST ? h * LONGEST / longest : h};
    *found = false;
    if (count < 8 || c.width < 16 || c.height < 16) return true;
    c.looks = kn_alloc(count, sizeof *c.looks, error), c.ratio = kn_alloc(CELLS, sizeof *c.ratio, error),
    c.inside = kn_alloc(CELLS, sizeof *c.inside, error);
    c.outside = kn_alloc(CELLS, sizeof *c.outside, error), c.space = kn_alloc(VOXELS * VOXELS * VOXELS, 1, error);
    c.scratch = kn_alloc((size_t)c.width * (size_t)c.height, sizeof *c.scratch, error);
    bool ok = c.looks && c.ratio && c.inside && c.outside && c.space && c.scratch;
    for (size_t v = 0; ok && v < count; v++) ok = shrink(&c, &c.looks[v], &views[v], error);
    if (ok && find_ball(&c)) {
        ok = refine(&c, found, error);
        for (size_t v = 0; ok && *found && v < count; v++) rate(&c, &c.looks[v], true);
        *found = ok && *found && trusted(&c, log);
        for (size_t v = 0; ok && *found && v < count; v++) {
            enlarge(&c, &c.looks[v], &views[v].picture, masks[v]);
            ok = kn_mask_tidy(masks[v], w, h, error);
        }
    }
    for (size_t v = 0; c.looks && v < count; v++)
        kn_free(c.looks[v].rgb), kn_free(c.looks[v].odds), kn_free(c.looks[v].edge), kn_free(c.looks[v].shadow);
    kn_free(c.looks), kn_free(c.ratio), kn_free(c.inside), kn_free(c.outside), kn_free(c.space), kn_free(c.scratch);
    return ok;
}
