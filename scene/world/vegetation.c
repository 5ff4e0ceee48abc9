/* Trees, bushes and hedges: limbs, and crowns of lumpy cores with many small leaf sprays on them. */
#include "scene/world/props.h"

typedef struct species {
    double leaf[3], bark[3];
    double trunk_radius, bare, crown_width; /* fractions of the height */
    double spray;                           /* size of a leaf spray, metres */
} species;

static const species kinds[KN_TREE_COUNT] = {
    [KN_TREE_LIME] = {{.085, .150, .030}, {.10, .075, .055}, .018, .30, .27, .62},
    [KN_TREE_MAPLE] = {{.070, .125, .030}, {.09, .07, .055}, .020, .27, .31, .66},
    [KN_TREE_BIRCH] = {{.120, .175, .045}, {.52, .50, .46}, .012, .22, .19, .50},
    [KN_TREE_POPLAR] = {{.075, .135, .035}, {.13, .11, .085}, .015, .10, .115, .55},
    [KN_TREE_SPRUCE] = {{.025, .065, .025}, {.085, .055, .04}, .014, .08, .20, .60},
    [KN_TREE_STREET] = {{.080, .140, .030}, {.11, .085, .06}, .014, .46, .20, .58}, /* crown above the traffic */
    [KN_TREE_PINE] = {{.045, .085, .035}, {.20, .095, .05}, .016, .45, .24, .60},
};

static void use_leaf(kn_build *b, const double c[3], double k, double warm) {
    kn_build_use(b,
                 kn_matter(c[0] * k * warm, c[1] * k, c[2] * k, .85, KN_TEXTURE_LEAVES, KN_SEMANTIC_VEGETATION, .25));
}

static kn_vec3 on_sphere(kn_rng *rng) {
    double z = kn_rng_uniform(rng, -1, 1), a = kn_rng_uniform(rng, 0, 2 * M_PI), r = sqrt(1 - z * z);
    return kn_v3(r * cos(a), r * sin(a), z);
}

/* A spray of leaves: a bent kite of two triangles, shaded as part of the crown around it. */
static void spray(kn_build *b, kn_vec3 at, kn_vec3 shade, double size, kn_rng *rng) {
    kn_vec3 d = on_sphere(rng), e = kn_vec3_normalize(kn_vec3_cross(d, kn_vec3_add(shade, kn_v3(.1, .2, .05))));
    kn_vec3 f = kn_vec3_normalize(kn_vec3_add(kn_vec3_cross(e, shade), kn_vec3_scale(d, .6)));
    double w = size * kn_rng_uniform(rng, .55, .8), l = size * kn_rng_uniform(rng, .8, 1.2);
    kn_vec3 p[4] = {kn_vec3_sub(at, kn_vec3_scale(f, l * .5)), kn_vec3_add(at, kn_vec3_scale(e, w * .5)),
                    kn_vec3_add(at, kn_vec3_scale(f, l * .5)), kn_vec3_sub(at, kn_vec3_scale(e, w * .5))};
    p[1] = kn_vec3_add(p[1], kn_vec3_scale(shade, size * .12));
    p[3] = kn_vec3_add(p[3], kn_vec3_scale(shade, size * .12));
    uint32_t i[4];
    for (int k = 0; k < 4; k++)
        i[k] = kn_build_vertex(b, p[k], kn_vec3_normalize(kn_vec3_add(shade, kn_vec3_scale(d, .25))), p[k].x + p[k].y,
                               p[k].z);
    kn_build_triangle(b, i[0], i[1], i[2]);
    kn_build_triangle(b, i[0], i[2], i[3]);
}

/* The mass under the sprays: a rough ellipsoid whose facets differ in tone and tilt, so that it reads as leaves. */
static void core(kn_build *b, const species *k, kn_vec3 c, kn_vec3 r, kn_vec3 heart, bool fine, kn_rng *rng) {
    enum { SEGMENTS = 9, RINGS = 6 };
    int segments = fine ? SEGMENTS : 6, rings = fine ? RINGS : 4;
    kn_vec3 points[SEGMENTS * (RINGS + 1)];
    for (int v = 0; v <= rings; v++) {
        double elevation = M_PI * (v / (double)rings - .5);
        bool pole = v == 0 || v == rings;
        double same = kn_rng_uniform(rng, .7, .95);
        for (int u = 0; u < segments; u++) {
            double a = 2 * M_PI * (u + (v % 2) * .5) / segments, ce = pole ? 0 : cos(elevation),
                   wobble = pole ? same : kn_rng_uniform(rng, .66, 1.0);
            points[v * segments + u] = kn_vec3_add(
                c, kn_v3(r.x * wobble * ce * cos(a), r.y * wobble * ce * sin(a), r.z * wobble * sin(elevation)));
        }
    }
    for (int v = 0; v < rings; v++) {
        for (int u = 0; u < segments; u++) {
            int w = (u + 1) % segments;
            const kn_vec3 q[4] = {points[v * segments + u], points[v * segments + w], points[(v + 1) * segments + w],
                                  points[(v + 1) * segments + u]};
            for (int half = 0; half < 2; half++) {
                if ((half == 0 && v == 0) || (half == 1 && v == rings - 1)) continue; /* degenerate at the poles */
                kn_vec3 t[3] = {q[0], q[half ? 2 : 1], q[half ? 3 : 2]},
                        mid = kn_vec3_scale(kn_vec3_add(t[0], kn_vec3_add(t[1], t[2])), 1 / 3.);
                kn_vec3 out = kn_vec3_normalize(kn_vec3_sub(mid, heart)), tilt = kn_vec3_scale(on_sphere(rng), .45);
                double tone = .68 + .16 * kn_rng_int(rng, 0, 2) + (out.z > .3 ? .12 : 0);
                use_leaf(b, k->leaf, tone, 1);
                uint32_t index[3];
                for (int i = 0; i < 3; i++) {
                    kn_vec3 n = kn_vec3_normalize(kn_vec3_add(kn_vec3_normalize(kn_vec3_sub(t[i], heart)), tilt));
                    index[i] = kn_build_vertex(b, t[i], n, t[i].x + t[i].y, t[i].z);
                }
                kn_build_triangle(b, index[0], index[1], index[2]);
            }
        }
    }
}

/* A lump of foliage: core, sprays over it. `heart` is what the shading normals point away from. */
static void lump(kn_build *b, const species *k, kn_vec3 c, kn_vec3 r, kn_vec3 heart, int sprays, double size,
                 kn_rng *rng) {
    core(b, k, c, kn_vec3_scale(r, .92), heart, sprays > 25, rng);
    for (int i = 0; i < sprays; i++) {
        kn_vec3 d = on_sphere(rng);
        double q = kn_rng_uniform(rng, .80, 1.10);
        kn_vec3 at = kn_vec3_add(c, kn_v3(d.x * r.x * q, d.y * r.y * q, d.z * r.z * q));
        kn_vec3 shade = kn_vec3_normalize(kn_vec3_add(kn_vec3_normalize(kn_vec3_sub(at, heart)), kn_vec3_scale(d, .8)));
        double light = kn_rng_uniform(rng, 0, 1) + .3 * shade.z; /* sunlit sprays are on top */
        use_leaf(b, k->leaf, light < .2 ? .82 : light < .6 ? 1 : light < .95 ? 1.18 : 1.4, light < .6 ? 1 : 1.12);
        spray(b, at, shade, size * kn_rng_uniform(rng, .75, 1.25), rng);
    }
}

static void trunk(kn_build *b, const species *k, double radius, double height, double detail) {
    kn_build_use(b, kn_matter(k->bark[0], k->bark[1], k->bark[2], .95, KN_TEXTURE_BARK, KN_SEMANTIC_VEGETATION, .4));
    int n = detail > .6 ? 8 : 5;
    kn_build_cylinder(b, kn_v3(0, 0, -.3), kn_v3(0, 0, height * .12), radius * 1.35, radius, n, 0);
    kn_build_cylinder(b, kn_v3(0, 0, height * .12), kn_v3(0, 0, height), radius, radius * .45, n, 0);
}

static void limb(kn_build *b, kn_vec3 from, kn_vec3 to, double radius) {
    kn_build_cylinder(b, from, to, radius, radius * .4, 5, 0);
}

static void broadleaf(kn_build *b, const species *k, double h, double detail, kn_rng *rng) {
    double bare = h * k->bare, rx = h * k->crown_width, rz = (h - bare) / 2, cz = bare + rz,
           radius = h * k->trunk_radius;
    int lumps = detail > .7    ? 9
                : detail > .35 ? 5
                : detail > .15 ? 3
                               : 1,
        total = detail > .7    ? 450
                : detail > .35 ? 190
                : detail > .15 ? 60
                               : 16;
    double size = k->spray * (detail > .7 ? 1 : detail > .35 ? 1.5 : detail > .15 ? 2.4 : 4) * kn_clamp(h / 9, .6, 1.5);
    trunk(b, k, radius, cz, detail);
    kn_vec3 heart = kn_v3(0, 0, cz - rz * .3), at[16], r[16];
    for (int i = 0; i < lumps; i++) {
        double a = 2 * M_PI * i * .381966 * (i ? 1 : 0) + kn_rng_uniform(rng, 0, .5),
               up = lumps > 1 ? -.62 + 1.32 * i / (lumps - 1.) : 0, out = .55 * sqrt(fmax(0, 1 - up * up));
        at[i] = kn_v3(rx * out * cos(a), rx * out * sin(a), cz + rz * up * .72);
        double f = kn_rng_uniform(rng, .50, .66) * (lumps == 3 ? 1.3 : lumps == 1 ? 1.7 : 1);
        r[i] = kn_v3(rx * f, rx * f, lumps == 1 ? rz : fmin(rz * .55, rx * f * 1.1) * (rz > 2 * rx ? 1.6 : 1));
        if (detail > .6) limb(b, kn_v3(0, 0, kn_mix(bare * .9, cz, kn_rng_uniform(rng, 0, .8))), at[i], radius * .42);
    }
    for (int i = 0; i < lumps; i++) lump(b, k, at[i], r[i], heart, total / lumps, size, rng);
}

/* Whorls of drooping branches, as cones with a ragged lower edge. */
static void conifer(kn_build *b, const species *k, double h, double detail, kn_rng *rng) {
    int tiers = detail > .7 ? 11 : detail > .35 ? 7 : 4, n = detail > .7 ? 13 : detail > .35 ? 10 : 7;
    trunk(b, k, h * k->trunk_radius, h * .92, detail);
    double bare = h * k->bare;
    for (int t = 0; t < tiers; t++) {
        double f = t / (double)tiers, z0 = kn_mix(bare, h * .93, f),
               r = h * k->crown_width * (1 - f * .93) * kn_rng_uniform(rng, .9, 1.1), tall = (h - bare) / tiers * 1.9;
        kn_vec3 tip = kn_v3(0, 0, fmin(z0 + tall, h));
        double phase = kn_rng_uniform(rng, 0, 7);
        for (int i = 0; i < n; i++) {
            double a0 = phase + 2 * M_PI * i / n, a1 = a0 + 2 * M_PI * kn_rng_uniform(rng, 1.1, 1.5) / n,
                   am = (a0 + a1) / 2, reach = r * kn_rng_uniform(rng, .75, 1.12),
                   droop = reach * kn_rng_uniform(rng, .15, .4);
            double g = kn_rng_uniform(rng, 0, 1);
            use_leaf(b, k->leaf, g < .3 ? .75 : g < .7 ? 1 : 1.35, 1);
            kn_vec3 p[4] = {kn_v3(reach * cos(am), reach * sin(am), z0 - droop),
                            kn_v3(.62 * reach * cos(a1), .62 * reach * sin(a1), z0 + .1 * tall), tip,
                            kn_v3(.62 * reach * cos(a0), .62 * reach * sin(a0), z0 + .1 * tall)};
            uint32_t index[4];
            for (int c = 0; c < 4; c++) {
                kn_vec3 out = c == 2 ? kn_v3(cos(am), sin(am), .8) : kn_v3(p[c].x, p[c].y, .45 * reach);
                index[c] = kn_build_vertex(b, p[c], kn_vec3_normalize(out), p[c].x + p[c].y, p[c].z);
            }
            kn_build_triangle(b, index[0], index[1], index[2]);
            kn_build_triangle(b, index[0], index[2], index[3]);
        }
    }
}

void kn_tree_draw(kn_build *b, kn_species which, double height, double detail, uint64_t seed) {
    kn_rng rng;
    kn_rng_init(&rng, seed);
    species k = kinds[which < KN_TREE_COUNT ? which : 0];
    double tint = kn_rng_uniform(&rng, .85, 1.15), step = round(tint * 6) / 6; /* few materials */
    for (int c = 0; c < 3; c++) k.leaf[c] *= step;
    kn_pose keep = b->pose, turn = kn_pose_from_euler(kn_v3(0, 0, 0), kn_rng_uniform(&rng, 0, 6.28), 0, 0);
    b->pose = kn_pose_multiply(&keep, &turn);
    if (which == KN_TREE_SPRUCE) conifer(b, &k, height, detail, &rng);
    else broadleaf(b, &k, height, detail, &rng);
    b->pose = keep;
}

void kn_bush_draw(kn_build *b, double radius, double height, double detail, uint64_t seed) {
    kn_rng rng;
    kn_rng_init(&rng, seed);
    species k = kinds[seed % 2 ? KN_TREE_LIME : KN_TREE_MAPLE];
    int lumps = detail > .6 ? 3 : 1, sprays = detail > .6 ? 30 : detail > .3 ? 24 : 10;
    for (int i = 0; i < lumps; i++) { /* hearts below the ground: lit from above */
        double a = kn_rng_uniform(&rng, 0, 6.28), d = lumps > 1 ? radius * .4 : 0, f = lumps > 1 ? .68 : 1;
        lump(b, &k, kn_v3(d * cos(a), d * sin(a), height * .42), kn_v3(radius * f, radius * f, height * .55),
             kn_v3(0, 0, -.2), sprays, detail > .6 ? .34 : .6, &rng);
    }
}

void kn_hedge_draw(kn_build *b, double length, double width, double height, double detail, uint64_t seed) {
    kn_rng rng;
    kn_rng_init(&rng, seed);
    const double leaf[3] = {.055, .105, .03};
    double step = detail > .6 ? .8 : 2;
    int n = (int)fmax(1, ceil(length / step));
    enum { COLUMNS = 6, MAX = 128 };
    if (n > MAX - 1) n = MAX - 1;
    kn_vec3 points[COLUMNS * MAX];
    for (int i = 0; i <= n; i++) { /* a rounded box with an uneven skin */
        double x = length * i / n, w = width / 2 * kn_rng_uniform(&rng, .88, 1.06),
               h = height * kn_rng_uniform(&rng, .94, 1.04);
        const double y[COLUMNS] = {w, w, w * .8, -w * .8, -w, -w}, z[COLUMNS] = {-.2, h * .88, h, h, h * .88, -.2};
        for (int c = 0; c < COLUMNS; c++) points[i * COLUMNS + c] = kn_v3(x, y[c], z[c]);
    }
    use_leaf(b, leaf, .9, 1);
    kn_build_grid(b, points, COLUMNS, (size_t)n + 1, false, NULL);
    for (int e = 0; e < 2; e++) {
        kn_vec3 cap[COLUMNS];
        for (int c = 0; c < COLUMNS; c++) cap[c] = points[(e ? n : 0) * COLUMNS + (e ? COLUMNS - 1 - c : c)];
        kn_build_polygon(b, cap, COLUMNS);
    }
    int sprays = (int)(length * (detail > .6 ? 26 : detail > .3 ? 8 : 0));
    for (int i = 0; i < sprays; i++) {
        double x = kn_rng_uniform(&rng, 0, length), u = kn_rng_uniform(&rng, -1, 1);
        kn_vec3 at, out;
        if (fabs(u) < .4) at = kn_v3(x, u / .4 * width * .45, height), out = kn_v3(0, u, 1);
        else
            at = kn_v3(x, (u > 0 ? .5 : -.5) * width, kn_rng_uniform(&rng, .05, 1) * height),
            out = kn_v3(0, u > 0 ? 1 : -1, .4);
        use_leaf(b, leaf, i % 3 == 0 ? .8 : i % 3 == 1 ? 1.15 : 1.4, 1);
        spray(b, at, kn_vec3_normalize(out), detail > .6 ? .26 : .5, &rng);
    }
}
