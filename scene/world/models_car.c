/* Cars and vans: a smooth shell of rings around the body, a greenhouse with pillars and glass on it, and details that
 * lie a few millimetres off the shell. */
#include "scene/world/models.h"

/* Proportions. Distances along the car are fractions of its length from the front, heights of its height. */
typedef struct car_style {
    double cowl, screen_top, roof_end, rear_base; /* of the greenhouse */
    double sill, nose, bonnet, belt, tail; /* heights: bottom edge, bonnet's lip, cowl, side windows' base, boot */
    double roof_width, crown, wheel;       /* of half the width; of height; radius of height */
    int side_windows;                      /* 1 (van cab), 2 or 3 per side */
} car_style;

static const car_style styles[] = {
    {.270, .430, .725, .870, .135, .475, .640, .655, .690, .74, .030, .222, 2}, /* saloon */
    {.265, .420, .890, .975, .135, .480, .640, .655, .670, .75, .028, .222, 3}, /* estate */
    {.235, .400, .840, .965, .135, .480, .630, .645, .660, .75, .030, .212, 2}, /* hatchback */
    {.245, .375, .880, .970, .165, .500, .620, .635, .650, .77, .026, .208, 3}, /* SUV */
    {.130, .255, .975, .992, .120, .360, .490, .500, .510, .88, .020, .165, 1}, /* van */
};

typedef struct car {
    const car_style *style;
    double x0, x1, hw, z0, height, length;
    double axle[2], wheel, arch; /* axles' x (rear, front), wheel radius, arch radius */
    double bow, corner;          /* of front and rear seen from above, metres */
} car;

static double fraction_x(const car *c, double f) { return c->x1 - f * c->length; }

/* Height of the shoulder at x: nose, bonnet, belt, boot. */
static double shoulder_z(const car *c, double x) {
    const car_style *s = c->style;
    double f = (c->x1 - x) / c->length, z;
    if (f < s->cowl) {
        double t = kn_clamp(f / s->cowl, 0, 1);
        z = kn_mix(s->nose, s->bonnet, 1 - pow(1 - t, 1.7));
    } else if (f < s->rear_base) {
        z = kn_mix(s->bonnet, s->tail, (f - s->cowl) / (s->rear_base - s->cowl));
    } else {
        z = s->tail - .03 * (f - s->rear_base) / (1 - s->rear_base);
    }
    return c->z0 + z * c->height;
}

/* Lower edge of the body at x: sill, or the arch over a wheel. */
static double bottom_z(const car *c, double x) {
    double z = c->z0 + c->style->sill * c->height;
    double end = fmin(x - c->x0, c->x1 - x) / c->length;
    z += .05 * c->height * (1 - kn_smooth(0, .16, end)); /* approach angle */
    for (int i = 0; i < 2; i++) {
        double d = x - c->axle[i];
        if (fabs(d) <= c->arch) z = fmax(z, c->z0 + c->wheel + sqrt(fmax(0, c->arch * c->arch - d * d)));
    }
    return z;
}

/* How far the side stands in at level v: tucked under, full at the middle, tumblehome above the crease. */
enum { LEVELS = 7 };
static const double levels[LEVELS] = {0, .12, .35, .60, .70, .88, 1};
static double side_inset(double v) {
    static const double inset[LEVELS] = {.030, .010, .003, .0, .007, .014, .050};
    int i = 0;
    while (i < LEVELS - 2 && v > levels[i + 1]) i++;
    return kn_mix(inset[i], inset[i + 1], kn_clamp((v - levels[i]) / (levels[i + 1] - levels[i]), 0, 1));
}

static double end_inset(double v, bool front) {
    double low = .10 * (1 - kn_smooth(0, .25, v)), high = (front ? .16 : .07) * kn_smooth(.55, 1, v);
    return low + high; /* metres */
}

/* A point of the shell. phi: 0 front centre, .2 .. .3 front corner, .3 .. .7 along the left side, .7 .. .8 rear corner,
 * 1 rear centre; v: 0 bottom edge, 1 shoulder. */
static kn_vec3 shell(const car *c, double phi, double v) {
    bool front = phi < .5;
    double q = front ? phi : 1 - phi; /* distance from the nearer end, 0 .. .5 */
    double hw = c->hw * (1 - side_inset(v)), tip = (front ? c->x1 : c->x0), sign = front ? -1 : 1;
    double inset = end_inset(v, front), flat = .68, x, y;
    double corner_x = tip + sign * (inset + c->bow * flat * flat), start = tip + sign * (inset + c->bow + c->corner);
    if (q < .2) {
        double t = q / .2 * flat;
        y = hw * t;
        x = tip + sign * (inset + c->bow * t * t);
    } else if (q < .3) {
        double a = (q - .2) / .1 * M_PI / 2;
        y = hw * (flat + (1 - flat) * sin(a) * .985);
        x = kn_mix(corner_x, start, 1 - cos(a));
    } else {
        double other = front ? c->x0 + c->bow + c->corner : c->x1 - c->bow - c->corner, mid = (c->x0 + c->x1) / 2;
        double t = (q - .3) / .2, end = tip + sign * (c->bow + c->corner + inset);
        x = kn_mix(end, (end + other) / 2, t);
        double e = (x - mid) / (c->length / 2);
        y = hw * (1 - .015 * e * e * e * e - .0 * e) * (t < .12 ? kn_mix(.985 + .015, 1, t / .12) : 1);
    }
    double zb = bottom_z(c, x), zs = shoulder_z(c, x);
    return kn_v3(x, y, kn_mix(zb, zs, v));
}

/* phi on the left side or its corners at which the shell passes x (at level .5). */
static double side_phi(const car *c, double x) {
    double low = .21, high = .79;
    for (int i = 0; i < 30; i++) {
        double mid = (low + high) / 2;
        if (shell(c, mid, .5).x > x) low = mid;
        else high = mid;
    }
    return (low + high) / 2;
}

static kn_vec3 mirrored(kn_vec3 p, int side) { return kn_v3(p.x, p.y * side, p.z); }

/* A patch [phi0, phi1] x [v0, v1] lifted `lift` metres off the shell, on one side (+1 left, -1 right). The lower and
 * upper edges run from v*a at phi0 to v*b at phi1. */
static void patch_swept(kn_model_build *m, const car *c, double phi0, double phi1, double v0a, double v0b, double v1a,
                        double v1b, double lift, int nu, int nv, int side) {
    kn_vec3 points[24 * 8];
    for (int j = 0; j <= nv; j++) {
        for (int i = 0; i <= nu; i++) {
            int k = side > 0 ? i : nu - i;
            double t = k / (double)nu, phi = kn_mix(phi0, phi1, t);
            double v = kn_mix(kn_mix(v0a, v0b, t), kn_mix(v1a, v1b, t), j / (double)nv);
            v = fmin(v, 1);
            kn_vec3 p = shell(c, phi, v), a = shell(c, phi - .004, v), b = shell(c, phi + .004, v);
            kn_vec3 out = kn_vec3_normalize(kn_v3(b.y - a.y, -(b.x - a.x), 0));
            if (phi <= .004 || phi >= .996) out = kn_v3(phi < .5 ? 1 : -1, 0, 0);
            p = kn_vec3_add(p, kn_vec3_scale(out, lift));
            points[j * (nu + 1) + i] = mirrored(p, side);
        }
    }
    kn_build_grid(&m->body, points, (size_t)nu + 1, (size_t)nv + 1, false, NULL);
}

static void patch(kn_model_build *m, const car *c, double phi0, double phi1, double v0, double v1, double lift, int nu,
                  int nv, int side) {
    patch_swept(m, c, phi0, phi1, v0, v0, v1, v1, lift, nu, nv, side);
}

/* A dark upright line at x from v0 to v1, following the levels of the shell exactly. */
static void seam(kn_model_build *m, const car *c, double x, double v0, double v1, int side) {
    double phi = side_phi(c, x), w = .0045 / c->length;
    for (int i = 0; i < LEVELS - 1; i++) {
        double a = fmax(v0, levels[i]), b = fmin(v1, levels[i + 1]);
        if (b > a) patch(m, c, phi - w, phi + w, a, b, .005, 1, 1, side);
    }
}

enum { MAX_STATIONS = 64 };

/* The phis of half the shell, ascending: ends, corners, arches, doors. */
static int stations(const car *c, double detail, double *phi) {
    int n = 0, arch_steps = detail > .7 ? 8 : 5;
    static const double fine[] = {0, .07, .14, .2, .225, .25, .275, .3}, coarse[] = {0, .1, .2, .25, .3};
    const double *ends = detail > .7 ? fine : coarse;
    int count = detail > .7 ? 8 : 5;
    for (int i = 0; i < count; i++) phi[n++] = ends[i];
    for (int a = 1; a >= 0; a--) {
        phi[n++] = side_phi(c, c->axle[a] + c->arch * 1.02);
        for (int i = 0; i <= arch_steps; i++)
            phi[n++] = side_phi(c, c->axle[a] + c->arch * .999 * cos(M_PI * i / arch_steps));
        phi[n++] = side_phi(c, c->axle[a] - c->arch * 1.02);
        if (a == 1) {
            for (int i = 1; i < 3; i++)
                phi[n++] = side_phi(c, kn_mix(c->axle[1] - c->arch, c->axle[0] + c->arch, i / 3.));
        }
    }
    for (int i = count - 1; i >= 0; i--) phi[n++] = 1 - ends[i];
    for (int i = 1; i < n; i++) { /* insertion sort: arches may reach into the corners */
        double value = phi[i];
        int j = i;
        for (; j > 0 && phi[j - 1] > value; j--) phi[j] = phi[j - 1];
        phi[j] = value;
    }
    return n;
}

/* Shell, bonnet and boot as one smooth surface around the car. */
static void build_shell(kn_model_build *m, const car *c) {
    enum { DECK = 4, ROWS = LEVELS + DECK };
    static const double deck_t[DECK] = {.05, .3, .65, 1}, deck_z[DECK] = {.6, .75, .93, 1};
    double phi[MAX_STATIONS];
    int half = stations(c, m->detail, phi), nu = 2 * half - 2;
    kn_vec3 points[ROWS * 2 * MAX_STATIONS];
    double crown = .022 * c->height;
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < nu; i++) {
            int k = i < half ? i : nu - i, side = i < half ? 1 : -1;
            kn_vec3 p = shell(c, phi[k], r < LEVELS ? levels[r] : 1);
            if (r >= LEVELS) {
                double t = deck_t[r - LEVELS], lip = .02 * c->length;
                double xc = kn_clamp(p.x, shell(c, 1, 1).x + lip, shell(c, 0, 1).x - lip);
                p.x = kn_mix(p.x, xc, t);
                p.y *= 1 - t;
                p.z = shoulder_z(c, p.x) + crown * deck_z[r - LEVELS];
            }
            points[r * nu + i] = mirrored(p, side);
        }
    }
    kn_model_paint(m);
    uint16_t materials[(ROWS - 1) * 2 * MAX_STATIONS];
    double hidden0 = fraction_x(c, c->style->cowl + .10), hidden1 = fraction_x(c, c->style->rear_base - .02);
    for (int r = 0; r < ROWS - 1; r++) { /* what the greenhouse covers stays open */
        for (int i = 0; i < nu; i++) {
            double x = points[r * nu + i].x, next = points[r * nu + (i + 1) % nu].x;
            bool hidden = r > LEVELS && fmax(x, next) < hidden0 && fmin(x, next) > hidden1;
            materials[r * nu + i] = hidden ? KN_NO_MATERIAL : m->body.material;
        }
    }
    kn_build_grid(&m->body, points, (size_t)nu, ROWS, true, materials);
    /* Underneath: from the lower edge inwards, up into the arches, dark. */
    double inner = c->hw - fmax(.24, c->hw * .28), floor_z = c->z0 + (c->style->sill + .02) * c->height;
    for (int i = 0; i < nu; i++) {
        int k = i < half ? i : nu - i, side = i < half ? 1 : -1;
        kn_vec3 p = shell(c, phi[k], 0);
        double y = fmin(p.y, inner);
        points[3 * nu + i] = mirrored(p, side);
        points[2 * nu + i] = kn_v3(p.x, y * side, p.z);
        points[1 * nu + i] = kn_v3(p.x, y * side, fmin(floor_z, p.z));
        points[0 * nu + i] = kn_v3(kn_clamp(p.x, c->x0 + .2, c->x1 - .2), 0, floor_z);
    }
    kn_model_rubber(m);
    kn_build_grid(&m->body, points, (size_t)nu, 4, true, NULL);
}

/* One upright line of the greenhouse: where it stands, where it ends, and what follows up to the next one. */
typedef struct pillar {
    double bx, by, tx, ty;
    enum { GLASS, PAINT, BLACK } next;
} pillar;

static int greenhouse_lines(const car *c, double taper, pillar *p) {
    const car_style *s = c->style;
    double hb = c->hw * .925, ht = c->hw * s->roof_width, L = c->length;
    double xc = fraction_x(c, s->cowl), xw = fraction_x(c, s->screen_top), xe = fraction_x(c, s->roof_end),
           xr = fraction_x(c, s->rear_base);
    bool van = s->side_windows == 1;
    int n = 0;
    p[n++] = (pillar){xc, 0, xw, 0, GLASS};
    p[n++] = (pillar){xc - .010 * L, .40 * hb, xw - .004 * L, .40 * ht, GLASS};
    p[n++] = (pillar){xc - .030 * L, .75 * hb, xw - .014 * L, .75 * ht, GLASS};
    p[n++] = (pillar){xc - .048 * L, .92 * hb, xw - .022 * L, .91 * ht, PAINT};
    p[n++] = (pillar){xc - .080 * L, hb, xw - .045 * L, ht, GLASS};
    double a = xc - .080 * L, at = xw - .045 * L, end = xr + .075 * L, top_end = xe + .02 * L;
    double b = van ? fmin(a, at) - .12 * L : kn_mix(a, end, .42),
           bt = van ? b : fmin(kn_mix(at, top_end, .40), b + .03 * L);
    p[n++] = (pillar){b, hb, bt, ht, van ? PAINT : BLACK};
    p[n++] = (pillar){b - .02 * L, hb, bt - .02 * L, ht, van ? PAINT : GLASS};
    if (s->side_windows == 3) {
        double d = kn_mix(a, end, .76), dt = kn_mix(at, top_end, .76);
        p[n++] = (pillar){d, hb * .995, dt, ht, BLACK};
        p[n++] = (pillar){d - .016 * L, hb * .995, dt - .016 * L, ht, GLASS};
        p[n++] = (pillar){end + .02 * L, hb * .98, top_end + .035 * L, ht * .985, PAINT};
    } else if (!van) {
        p[n++] = (pillar){kn_mix(a, end, .86), hb * .99, kn_mix(at, top_end, .92), ht, PAINT};
    }
    p[n++] = (pillar){end - .035 * L, hb * .94, top_end - .004 * L, ht * .96, PAINT};
    p[n++] = (pillar){xr + .022 * L, hb * taper, xe + .004 * L, ht * .88, GLASS};
    p[n++] = (pillar){xr + .006 * L, .5 * hb, xe, .5 * ht, GLASS};
    p[n++] = (pillar){xr, 0, xe, 0, GLASS};
    return n;
}

static void build_greenhouse(kn_model_build *m, const car *c) {
    enum { LINES = 20, ROWS = 9, ROOF = 5 }; /* row ROOF is the roof's edge */
    static const double rise[ROWS] = {-.06, .05, .35, .68, .92, 1, 1, 1, 1},
                        inward[ROWS] = {0, 0, 0, 0, 0, .03, .3, .65, 1};
    pillar p[LINES];
    kn_vec3 points[ROWS * 2 * LINES];
    uint16_t materials[(ROWS - 1) * 2 * LINES], kinds[3];
    int half = greenhouse_lines(c, .84, p), nu = 2 * half - 2;
    double roof = c->z0 + c->height, crown = c->style->crown * c->height;
    bool van = c->style->side_windows == 1;
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < nu; i++) {
            int k = i < half ? i : nu - i, side = i < half ? 1 : -1;
            const pillar *q = &p[k];
            double t = kn_clamp(rise[r], -.06, 1), bulge = .05 * c->hw * 4 * fmax(t, 0) * (1 - fmin(t, 1)) * .5;
            double x = kn_mix(q->bx, q->tx, t), y = kn_mix(q->by, q->ty, t) + (q->by > 0 ? bulge * q->by / c->hw : 0);
            double base = shoulder_z(c, q->bx) + .01 * c->height,
                   top = roof - crown - .012 * c->height * (r <= ROOF - 1);
            double z = kn_mix(base, top, fmin(t, 1));
            if (r >= ROOF) {
                double f = inward[r],
                       middle = (fraction_x(c, c->style->screen_top) + fraction_x(c, c->style->roof_end)) / 2;
                double e = (x - middle) / (c->length * (c->style->roof_end - c->style->screen_top) / 2);
                y *= 1 - f;
                x = kn_mix(x, kn_mix(x, middle, fabs(e) > .9 ? .06 : .0), f);
                z = roof - crown * (.25 + .75 * fmin(e * e, 1)) + (crown * .25) * (1 - (1 - f) * (1 - f)) -
                    (r == ROOF ? .25 * crown : 0);
            }
            points[r * nu + i] = mirrored(kn_v3(x, y, z), side);
        }
    }
    kn_model_glass(m), kinds[GLASS] = m->body.material;
    kn_model_rubber(m), kinds[BLACK] = m->body.material;
    kn_model_paint(m), kinds[PAINT] = m->body.material;
    for (int r = 0; r + 1 < ROWS; r++) {
        for (int i = 0; i < nu; i++) {
            int k = i < half - 1 ? i : nu - 1 - i, what = p[k].next;
            if (van && k > 6 && k < half - 1 && what == GLASS && k < half - 3) what = PAINT;
            if (r == 0 && what == GLASS) what = BLACK; /* rubber along the foot of the windows */
            if (r >= ROOF - 1) what = PAINT;
            materials[r * nu + i] = kinds[what];
        }
    }
    kn_build_grid(&m->body, points, (size_t)nu, ROWS, true, materials);
}

static void number_plate(kn_model_build *m, double x, double z, int facing) {
    double w = fmin(.26, m->hw * .3);
    kn_model_plain(m, .62, .62, .58, .5, KN_TEXTURE_FLAT);
    kn_vec3 a = kn_v3(x, w * -facing, z), b = kn_v3(x, w * facing, z);
    kn_build_quad(&m->body, a, b, kn_v3(x, b.y, z + .11), kn_v3(x, a.y, z + .11));
    kn_model_plain(m, .03, .03, .04, .6, KN_TEXTURE_FLAT);
    for (int i = 0; i < 7 && m->detail > .7; i++) { /* characters, unreadable on purpose */
        double y0 = (-w * .8 + i * w * .235) * facing, y1 = y0 + w * .15 * facing;
        double e = x + .002 * facing;
        kn_build_quad(&m->body, kn_v3(e, y0, z + .025), kn_v3(e, y1, z + .025), kn_v3(e, y1, z + .085),
                      kn_v3(e, y0, z + .085));
    }
}

static void build_front(kn_model_build *m, const car *c, int look) {
    for (int side = 1; side >= -1; side -= 2) {
        double top = look == 2 ? .93 : .90, low = look == 1 ? .74 : .70;
        kn_model_plain(m, .05, .055, .06, .12, KN_TEXTURE_GLASS);
        patch_swept(m, c, .145, .325, low, low + .08, top, top - .01, .004, 8, 1, side);
        kn_model_lamp(m, KN_EMITTER_HEAD);
        patch_swept(m, c, .16, .225, low + .04, low + .05, top - .05, top - .05, .008, 4, 1, side);
        kn_model_lamp(m, side > 0 ? KN_EMITTER_LEFT : KN_EMITTER_RIGHT);
        patch_swept(m, c, .255, .315, low + .08, low + .10, top - .05, top - .05, .008, 3, 1, side);
        kn_vec3 p = shell(c, .19, .82);
        kn_model_head_light(m, p.x, p.y * side, p.z);
        kn_model_rubber(m); /* lower intake, fog lamp hollows, grille halves */
        patch(m, c, 0, .13, .14, .34, .004, 4, 1, side);
        patch(m, c, .165, .215, .17, .36, .004, 2, 1, side);
        patch_swept(m, c, 0, look == 1 ? .12 : .135, .54, .58, .84, .80, .004, 4, 1, side);
        kn_model_metal(m, .55); /* bars across the grille */
        int bars = m->detail > .7 ? 3 : 1;
        for (int i = 0; i < bars; i++) {
            double v = .60 + i * .075;
            patch(m, c, 0, .115, v, v + .025, .008, 4, 1, side);
        }
    }
    kn_vec3 nose = shell(c, 0, .46);
    number_plate(m, fmin(c->x1, nose.x + .008), nose.z - .05, 1);
    kn_vec3 badge = shell(c, 0, .88);
    kn_model_metal(m, .7);
    kn_build_cylinder(&m->body, kn_v3(badge.x - .02, 0, badge.z), kn_v3(badge.x + .008, 0, badge.z), .045, .04, 8, 2);
}

static void build_rear(kn_model_build *m, const car *c, int look) {
    bool tall = c->style->side_windows == 1 || c->style->tail > .64;
    double low = look == 0 ? .66 : .62, high = look == 0 ? .88 : .94, in = c->style->side_windows == 1 ? .81 : .865;
    for (int side = 1; side >= -1; side -= 2) {
        kn_model_lamp(m, KN_EMITTER_TAIL);
        patch_swept(m, c, .69, in, low + .08, low, high, high, .005, 8, 1, side);
        kn_model_lamp(m, KN_EMITTER_BRAKE);
        patch_swept(m, c, .775, in - .03, low + .10, low + .07, high - .06, high - .06, .009, 3, 1, side);
        kn_model_lamp(m, side > 0 ? KN_EMITTER_LEFT : KN_EMITTER_RIGHT);
        patch_swept(m, c, .715, .765, low + .11, low + .10, high - .05, high - .05, .009, 3, 1, side);
        kn_model_lamp(m, KN_EMITTER_REVERSE);
        patch(m, c, in - .025, in - .005, low + .06, high - .06, .009, 1, 1, side);
        kn_model_rubber(m);
        patch(m, c, .775, 1, .04, .20, .005, 5, 1, side); /* diffuser */
        patch(m, c, .80, 1, .545, .56, .003, 4, 1, side); /* lower edge of the boot lid */
        if (m->detail > .7) patch(m, c, in - .002, in + .002, .56, 1, .003, 1, 3, side);
        kn_model_plain(m, .30, .02, .015, .3, KN_TEXTURE_FLAT); /* reflector */
        patch(m, c, .81, .85, .27, .32, .006, 1, 1, side);
        kn_model_metal(m, .4);
        kn_vec3 pipe = shell(c, .86, .05);
        if (tall)
            kn_build_cylinder(&m->body, kn_v3(pipe.x + .12, pipe.y * side, pipe.z),
                              kn_v3(pipe.x + .01, pipe.y * side, pipe.z), .035, .035, 8, 0);
    }
    kn_vec3 p = shell(c, 1, .72);
    number_plate(m, fmax(c->x0, p.x - .008), p.z - .08, -1);
    double x = fraction_x(c, c->style->roof_end), z = c->z0 + c->height * (1 - c->style->crown * 1.9);
    kn_model_lamp(m, KN_EMITTER_BRAKE);
    kn_build_box(&m->body, kn_v3(x - .03, -.16, z - .025), kn_v3(x + .04, .16, z),
                 KN_BOX_BACK | KN_BOX_TOP | KN_BOX_BOTTOM);
}

/* Door gaps, handles, mirrors, sills and arch lips. */
static void build_sides(kn_model_build *m, const car *c, bool cladding) {
    const car_style *s = c->style;
    double a = fraction_x(c, s->cowl + .075), end = fraction_x(c, fmin(s->rear_base - .09, .87)), L = c->length;
    bool van = s->side_windows == 1;
    double gaps[3] = {a, van ? a - .17 * L : kn_mix(a, end, .47),
                      van ? a - .36 * L : fmax(kn_mix(a, end, .93), c->axle[0] + c->arch * .35)};
    for (int side = 1; side >= -1; side -= 2) {
        kn_model_rubber(m);
        for (int i = 0; i < 3 && m->detail > .5; i++) {
            seam(m, c, gaps[i], .08, .99, side);
        }
        double f = side_phi(c, c->axle[1] - c->arch * 1.04), r = side_phi(c, c->axle[0] + c->arch * 1.04);
        patch(m, c, f, r, .0, cladding ? .12 : .07, .008, 12, 1, side);
        if (cladding) {
            for (int k = 0; k < 2; k++) {
                double p0 = side_phi(c, c->axle[k] + c->arch * .998), p1 = side_phi(c, c->axle[k] - c->arch * .998);
                patch(m, c, p0, p1, 0, .11, .007, 12, 1, side);
            }
        }
        for (int i = 0; i < (van ? 1 : 2); i++) {
            double x = gaps[i + 1] + .05 * L;
            kn_vec3 p = shell(c, side_phi(c, x), .80);
            double y = fmin(p.y + .022, c->hw);
            kn_model_paint(m);
            kn_build_box(&m->body, kn_v3(p.x - .11, side > 0 ? y - .05 : -y, p.z - .014),
                         kn_v3(p.x + .11, side > 0 ? y : -y + .05, p.z + .014),
                         KN_BOX_ALL & ~(side > 0 ? KN_BOX_RIGHT : KN_BOX_LEFT));
        }
        kn_vec3 q = shell(c, side_phi(c, a - .01 * L), 1);
        double mz = q.z + .075, my = c->hw - .085;
        kn_model_paint(m);
        kn_build_ellipsoid(&m->body, kn_v3(q.x - .02, side * my, mz), kn_v3(.075, .085, .065), 10, 6);
        kn_model_glass(m);
        kn_vec3 g[4] = {{q.x - .098, side * my + .06, mz - .04},
                        {q.x - .098, side * my - .06, mz - .04},
                        {q.x - .098, side * my - .06, mz + .04},
                        {q.x - .098, side * my + .06, mz + .04}};
        kn_build_quad(&m->body, g[0], g[1], g[2], g[3]);
        kn_model_rubber(m);
        kn_build_box(&m->body, kn_v3(q.x - .03, side > 0 ? my - .12 : -my - .0, q.z - .01),
                     kn_v3(q.x + .03, side > 0 ? my : -my + .12, q.z + .04), KN_BOX_ALL);
    }
}

static void build_roof_details(kn_model_build *m, const car *c) {
    const car_style *s = c->style;
    if (s->side_windows == 3) { /* rails */
        double y = c->hw * (s->roof_width - .06), z = c->z0 + c->height * (1 - s->crown * .9);
        double xa = fraction_x(c, s->screen_top + .09), xb = fraction_x(c, s->roof_end - .05);
        kn_model_metal(m, .35);
        for (int side = -1; side <= 1; side += 2) {
            kn_build_cylinder(&m->body, kn_v3(xb, side * y, z), kn_v3(xa, side * y, z), .018, .018, 6, 3);
        }
    }
    double x = fraction_x(c, s->roof_end - .04), z = c->z0 + c->height * (1 - s->crown * .75);
    kn_model_rubber(m); /* aerial fin */
    kn_build_flat_triangle(&m->body, kn_v3(x + .12, .008, z), kn_v3(x, .008, z + .03), kn_v3(x, .008, z));
    kn_build_flat_triangle(&m->body, kn_v3(x, -.008, z), kn_v3(x, -.008, z + .03), kn_v3(x + .12, -.008, z));
    if (m->detail > .7) { /* wipers */
        for (int i = 0; i < 2; i++) {
            double f = s->cowl + .012, y = i ? .05 : -.5;
            kn_vec3 a = kn_v3(fraction_x(c, f), y * c->hw, shoulder_z(c, fraction_x(c, f)) + .045 * c->height);
            kn_build_cylinder(&m->body, a, kn_vec3_add(a, kn_v3(-.05, .55 * c->hw, .035)), .009, .006, 4, 0);
        }
    }
}

static car car_shape(kn_model_build *m, int *style) {
    double length = m->x1 - m->x0, height = m->z1 - m->z0, ratio = height / length;
    if (m->actor->kind == KN_ACTOR_VAN) *style = 4;
    else if (height > 1.58) *style = 3;
    else if (length < 4.25) *style = 2;
    else *style = kn_rng_uniform(&m->rng, 0, 1) < .45 ? 1 : 0;
    (void)ratio;
    car c = {.style = &styles[*style],
             .x0 = m->x0,
             .x1 = m->x1,
             .hw = m->hw,
             .z0 = m->z0,
             .length = length,
             .height = height};
    c.wheel = kn_clamp(c.style->wheel * height, .07 * length * .8, .085 * length);
    c.arch = c.wheel * 1.14;
    c.bow = .022 * length;
    c.corner = .045 * length;
    double overhang = -m->x0;
    if (overhang < .12 * length || overhang > .30 * length) overhang = .205 * length; /* origin is not under the axle */
    c.axle[0] = m->x0 + overhang;
    c.axle[1] = fmin(c.axle[0] + .595 * length, m->x1 - .165 * length);
    return c;
}

void kn_model_car(kn_model_build *m) {
    int style;
    car c = car_shape(m, &style);
    int look = kn_rng_int(&m->rng, 0, 2);
    build_shell(m, &c);
    build_greenhouse(m, &c);
    build_front(m, &c, look);
    build_rear(m, &c, look);
    build_sides(m, &c, style == 3 || style == 4);
    build_roof_details(m, &c);
    double width = kn_clamp(c.wheel * .68, .15, .26);
    for (int i = 1; i >= 0; i--) kn_model_axle(m, c.axle[i], c.hw * .985, c.wheel, width, i == 1, style == 4);
}
