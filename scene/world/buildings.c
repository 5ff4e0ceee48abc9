/* Town houses: facades with recessed windows, shops, doors, balconies, cornices and roofs. */
#include "scene/world/props.h"

#include <string.h>

/* The materials of one house. */
typedef struct palette {
    kn_material wall, trim, plinth, frame, glass, glass_lit, curtain, door, roof, sign, metal;
} palette;

static kn_material building_matter(double r, double g, double b, double roughness, kn_texture texture) {
    return kn_matter(r, g, b, roughness, texture, KN_SEMANTIC_BUILDING, .35);
}

static palette make_palette(const kn_building *s, kn_rng *rng) {
    static const double brick[][3] = {
        {.30, .105, .065}, {.36, .16, .09}, {.22, .085, .06}, {.42, .30, .20}, {.27, .13, .10}};
    static const double plaster[][3] = {{.62, .57, .46}, {.55, .46, .32}, {.60, .60, .56}, {.50, .36, .28},
                                        {.42, .46, .48}, {.58, .50, .44}, {.64, .54, .34}, {.46, .50, .40}};
    static const double stone[][3] = {{.42, .38, .31}, {.36, .34, .31}, {.50, .46, .38}};
    static const double modern[][3] = {{.36, .37, .38}, {.52, .52, .52}, {.16, .17, .18}, {.44, .40, .36}};
    static const double doors[][3] = {
        {.10, .03, .02}, {.03, .07, .05}, {.03, .05, .12}, {.12, .07, .035}, {.025, .025, .03}};
    static const double signs[][3] = {{.45, .03, .03},  {.03, .12, .35}, {.04, .22, .09}, {.55, .34, .03},
                                      {.03, .03, .035}, {.40, .05, .22}, {.5, .5, .48}};
    static const double tiles[][3] = {{.26, .085, .045}, {.19, .07, .045}, {.07, .07, .075}, {.14, .09, .07}};
    palette p;
    const double *c = s->style == 0   ? brick[kn_rng_int(rng, 0, 4)]
                      : s->style == 1 ? plaster[kn_rng_int(rng, 0, 7)]
                      : s->style == 2 ? stone[kn_rng_int(rng, 0, 2)]
                                      : modern[kn_rng_int(rng, 0, 3)];
    p.wall = building_matter(c[0], c[1], c[2], .9,
                             s->style == 0   ? KN_TEXTURE_BRICK
                             : s->style == 3 ? KN_TEXTURE_CONCRETE
                                             : KN_TEXTURE_PLASTER);
    double t = s->style == 3 ? .30 : .58;
    p.trim = building_matter(t, t * .97, t * .90, .85, KN_TEXTURE_PLASTER);
    p.plinth = building_matter(.22, .21, .20, .9, KN_TEXTURE_CONCRETE);
    double f = kn_rng_uniform(rng, 0, 1) < .6 && s->style != 3 ? .66 : .05;
    p.frame = building_matter(f, f, f * .98, .5, KN_TEXTURE_PAINT);
    p.glass = building_matter(.045, .055, .065, .06, KN_TEXTURE_WINDOW);
    p.glass_lit = p.glass;
    p.glass_lit.emitter = KN_EMITTER_WINDOW;
    p.glass_lit.emission[0] = 1.25f, p.glass_lit.emission[1] = .85f, p.glass_lit.emission[2] = .45f;
    p.curtain = building_matter(.34, .33, .30, .25, KN_TEXTURE_WINDOW);
    const double *d = doors[kn_rng_int(rng, 0, 4)], *g = signs[kn_rng_int(rng, 0, 6)],
                 *r = tiles[kn_rng_int(rng, 0, 3)];
    p.door = building_matter(d[0], d[1], d[2], .45, KN_TEXTURE_PAINT);
    p.sign = building_matter(g[0], g[1], g[2], .5, KN_TEXTURE_PAINT);
    p.roof = s->roof == KN_ROOF_FLAT ? building_matter(.16, .155, .15, .95, KN_TEXTURE_CONCRETE)
                                     : building_matter(r[0], r[1], r[2], .8, KN_TEXTURE_ROOF_TILES);
    p.metal = building_matter(.06, .06, .065, .5, KN_TEXTURE_METAL);
    return p;
}

/* Facade frame: x along the wall as seen from outside, y into the wall, z up. A rectangle facing outwards at depth
 * y. */
static void pane(kn_build *b, double x0, double x1, double z0, double z1, double y) {
    if (x1 - x0 < .005 || z1 - z0 < .005) return;
    kn_build_quad(b, kn_v3(x0, y, z0), kn_v3(x1, y, z0), kn_v3(x1, y, z1), kn_v3(x0, y, z1));
}

static void ledge(kn_build *b, double x0, double x1, double z0, double z1, double out) {
    kn_build_box(b, kn_v3(x0, -out, z0), kn_v3(x1, .02, z1), KN_BOX_RIGHT | KN_BOX_TOP | KN_BOX_BOTTOM);
}

/* The sides of an opening, from the wall to depth. */
static void reveal(kn_build *b, double x0, double x1, double z0, double z1, double depth) {
    kn_build_quad(b, kn_v3(x0, 0, z0), kn_v3(x0, depth, z0), kn_v3(x0, depth, z1), kn_v3(x0, 0, z1));
    kn_build_quad(b, kn_v3(x1, depth, z0), kn_v3(x1, 0, z0), kn_v3(x1, 0, z1), kn_v3(x1, depth, z1));
    kn_build_quad(b, kn_v3(x0, 0, z1), kn_v3(x0, depth, z1), kn_v3(x1, depth, z1), kn_v3(x1, 0, z1));
    kn_build_quad(b, kn_v3(x0, depth, z0), kn_v3(x0, 0, z0), kn_v3(x1, 0, z0), kn_v3(x1, depth, z0));
}

static void window_panes(kn_build *b, const palette *p, double x0, double x1, double z0, double z1, double y,
                         int columns, int rows, kn_rng *rng) {
    double roll = kn_rng_uniform(rng, 0, 1), bar = .055;
    kn_build_use(b, p->frame);
    pane(b, x0, x1, z0, z1, y);
    kn_build_use(b, roll < .30 ? p->glass_lit : p->glass);
    double w = (x1 - x0 - bar) / columns, h = (z1 - z0 - bar) / rows;
    for (int i = 0; i < columns; i++) {
        for (int j = 0; j < rows; j++)
            pane(b, x0 + bar + i * w, x0 + (i + 1) * w, z0 + bar + j * h, z0 + (j + 1) * h, y - .012);
    }
    if (roll > .72 && roll < .9) { /* a curtain or blind in the upper part */
        kn_build_use(b, p->curtain);
        pane(b, x0 + bar, x1 - bar, kn_mix(z0, z1, kn_rng_uniform(rng, .35, .75)), z1 - bar, y - .016);
    }
}

/* A window in the cell [cx0, cx1] x [cz0, cz1] of the wall. */
static void window_cell(kn_build *b, const kn_building *s, const palette *p, const double cell[4], const double hole[4],
                        kn_rng *rng) {
    double x0 = hole[0], x1 = hole[1], z0 = hole[2], z1 = hole[3];
    bool wide = x1 - x0 > 1.7;
    if (s->detail < .45) { /* flat, on one wall that facade() draws */
        window_panes(b, p, x0, x1, z0, z1, -.01, 1, 1, rng);
        return;
    }
    kn_build_use(b, p->wall);
    pane(b, cell[0], x0, cell[2], cell[3], 0);
    pane(b, x1, cell[1], cell[2], cell[3], 0);
    pane(b, x0, x1, cell[2], z0, 0);
    pane(b, x0, x1, z1, cell[3], 0);
    kn_build_use(b, s->style == 0 || s->style == 3 ? p->wall : p->trim);
    reveal(b, x0, x1, z0, z1, .16);
    window_panes(b, p, x0, x1, z0, z1, .15, wide ? 3 : 2,
                 s->style == 3               ? 1
                 : kn_rng_int(rng, 0, 9) < 1 ? 1
                                             : (z1 - z0 > 1.4 ? 2 : 1),
                 rng);
    if (s->detail < .7) return;
    kn_build_use(b, p->trim);
    ledge(b, x0 - .08, x1 + .08, z0 - .07, z0, .09);
    if (s->style == 2 || s->style == 1) { /* surrounds */
        kn_build_box(b, kn_v3(x0 - .12, -.03, z1), kn_v3(x1 + .12, 0, z1 + .16),
                     KN_BOX_RIGHT | KN_BOX_TOP | KN_BOX_BOTTOM | KN_BOX_BACK | KN_BOX_FRONT);
        pane(b, x0 - .12, x0, z0, z1, -.02);
        pane(b, x1, x1 + .12, z0, z1, -.02);
    } else if (s->style == 0) {
        pane(b, x0 - .1, x1 + .1, z1, z1 + .22, -.012);
    }
}

static void balcony(kn_build *b, const palette *p, double x0, double x1, double z) {
    kn_build_use(b, p->trim);
    kn_build_box(b, kn_v3(x0, -1.1, z - .15), kn_v3(x1, 0, z), KN_BOX_ALL & ~KN_BOX_LEFT);
    kn_build_use(b, p->metal);
    kn_build_box(b, kn_v3(x0, -1.1, z + .98), kn_v3(x1, -1.05, z + 1.03), KN_BOX_ALL);
    kn_build_box(b, kn_v3(x0, -1.1, z + .98), kn_v3(x0 + .05, 0, z + 1.03), KN_BOX_ALL);
    kn_build_box(b, kn_v3(x1 - .05, -1.1, z + .98), kn_v3(x1, 0, z + 1.03), KN_BOX_ALL);
    for (double x = x0 + .02; x < x1; x += .22)
        kn_build_quad(b, kn_v3(x, -1.08, z), kn_v3(x + .035, -1.08, z), kn_v3(x + .035, -1.08, z + 1),
                      kn_v3(x, -1.08, z + 1));
    for (double y = -1.0; y < -.05; y += .22) {
        kn_build_quad(b, kn_v3(x0 + .02, y + .035, z), kn_v3(x0 + .02, y, z), kn_v3(x0 + .02, y, z + 1),
                      kn_v3(x0 + .02, y + .035, z + 1));
        kn_build_quad(b, kn_v3(x1 - .02, y, z), kn_v3(x1 - .02, y + .035, z), kn_v3(x1 - .02, y + .035, z + 1),
                      kn_v3(x1 - .02, y, z + 1));
    }
}

static double half_door(const kn_building *s) { return s->storeys > 2 ? .72 : .52; }

/* The base of a wall; it leaves a door's opening, about `door`, free. door < 0: none. */
static void base(kn_build *b, const kn_building *s, const palette *p, double width, double door) {
    double half = half_door(s) + .15, from = door < 0 ? width : kn_clamp(door - half, 0, width),
           to = door < 0 ? width : kn_clamp(door + half, 0, width);
    kn_build_use(b, p->plinth);
    if (from > .01)
        kn_build_box(b, kn_v3(0, -.03, -1.5), kn_v3(from, .02, .35), KN_BOX_RIGHT | KN_BOX_TOP | KN_BOX_FRONT);
    if (width - to > .01)
        kn_build_box(b, kn_v3(to, -.03, -1.5), kn_v3(width, .02, .35), KN_BOX_RIGHT | KN_BOX_TOP | KN_BOX_BACK);
}

static void door_cell(kn_build *b, const kn_building *s, const palette *p, const double cell[4], kn_rng *rng) {
    double mid = (cell[0] + cell[1]) / 2, w = half_door(s), z0 = .12, z1 = 2.35, x0 = mid - w, x1 = mid + w;
    kn_build_use(b, p->wall);
    pane(b, cell[0], x0, cell[2], cell[3], 0);
    pane(b, x1, cell[1], cell[2], cell[3], 0);
    pane(b, x0, x1, z1, cell[3], 0);
    kn_build_use(b, p->trim);
    reveal(b, x0, x1, z0, z1, .3);
    kn_build_box(b, kn_v3(x0 - .14, -.05, z1), kn_v3(x1 + .14, 0, z1 + .2), KN_BOX_ALL & ~KN_BOX_LEFT);
    pane(b, x0 - .14, x0, z0, z1, -.03);
    pane(b, x1, x1 + .14, z0, z1, -.03);
    kn_build_use(b, p->plinth);
    kn_build_box(b, kn_v3(x0 - .15, -.30, -.1), kn_v3(x1 + .15, .02, z0), KN_BOX_ALL & ~KN_BOX_LEFT); /* step */
    kn_build_use(b, p->door);
    pane(b, x0, x1, z0, z1, .28);
    kn_build_use(b, kn_rng_int(rng, 0, 1) ? p->glass_lit : p->glass);
    pane(b, x0 + .15, x1 - .15, 1.5, 2.1, .265);
    kn_build_use(b, p->metal);
    pane(b, x1 - .16, x1 - .11, 1.0, 1.25, .262);
    if (s->porch) {
        kn_build_use(b, p->roof);
        kn_build_box(b, kn_v3(x0 - .4, -.95, z1 + .22), kn_v3(x1 + .4, .02, z1 + .32), KN_BOX_ALL);
    }
}

static void shop_front(kn_build *b, const kn_building *s, const palette *p, double x0, double x1, double height,
                       kn_rng *rng) {
    double sign0 = height - .75, door = kn_mix(x0, x1, kn_rng_uniform(rng, .2, .7));
    kn_build_use(b, p->wall);
    pane(b, x0, x0 + .3, 0, height, 0);
    pane(b, x1 - .3, x1, 0, height, 0);
    pane(b, x0 + .3, x1 - .3, height - .1, height, 0);
    double a = x0 + .3, e = x1 - .3;
    kn_build_use(b, p->frame);
    reveal(b, a, e, 0, height - .1, .28);
    pane(b, a, e, 0, height - .1, .28);
    double d0 = kn_clamp(door - .55, a + .1, fmax(a + .1, e - 1.2)), d1 = fmin(d0 + 1.1, e - .1);
    kn_build_use(b, kn_rng_uniform(rng, 0, 1) < .7 ? p->glass_lit : p->glass);
    double gaps[2][2] = {{a, d0 - .08}, {d1 + .08, e}};
    for (int g = 0; g < 2; g++) {
        double span = gaps[g][1] - gaps[g][0];
        int n = (int)fmax(1, round(span / 1.9));
        for (int i = 0; i < n && span > .5; i++)
            pane(b, gaps[g][0] + span * i / n + .06, gaps[g][0] + span * (i + 1) / n - .02, .45, sign0 - .1, .265);
    }
    pane(b, d0 + .1, d1 - .1, .25, 2.2, .262);
    kn_build_use(b, p->plinth);
    pane(b, a, d0 - .08, .0, .38, .25);
    pane(b, d1 + .08, e, .0, .38, .25);
    kn_build_use(b, p->sign);
    kn_build_box(b, kn_v3(a, -.10, sign0), kn_v3(e, .28, height - .12), KN_BOX_ALL & ~KN_BOX_LEFT);
    kn_material text = p->trim; /* lettering as strokes, unreadable on purpose */
    text.emitter = KN_EMITTER_WINDOW;
    text.emission[0] = text.emission[1] = .9f, text.emission[2] = .8f;
    kn_build_use(b, text);
    int letters = kn_rng_int(rng, 4, 8);
    double lw = fmin(.32, (e - a) * .6 / letters), start = (a + e) / 2 - letters * lw / 2, lz = sign0 + .16;
    for (int i = 0; i < letters && s->detail > .5; i++) {
        double x = start + i * lw, top = lz + .30;
        pane(b, x, x + .05, lz, top, -.11);
        if (kn_rng_int(rng, 0, 3)) pane(b, x + .05, x + lw * .7, top - .05, top, -.11);
        if (kn_rng_int(rng, 0, 2)) pane(b, x + .05, x + lw * .65, lz, lz + .05, -.11);
        if (kn_rng_int(rng, 0, 1)) pane(b, x + lw * .62, x + lw * .62 + .05, lz, top, -.11);
    }
    if (kn_rng_uniform(rng, 0, 1) < .35) { /* awning in stripes */
        kn_material white = building_matter(.6, .6, .57, .8, KN_TEXTURE_FABRIC);
        int n = (int)fmax(4, round((e - a) / .45));
        for (int i = 0; i < n; i++) {
            double u0 = kn_mix(a, e, i / (double)n), u1 = kn_mix(a, e, (i + 1) / (double)n), z = sign0 - .02;
            kn_build_use(b, i % 2 ? white : p->sign);
            kn_build_quad(b, kn_v3(u0, -1.15, z - .5), kn_v3(u1, -1.15, z - .5), kn_v3(u1, -.02, z),
                          kn_v3(u0, -.02, z));
            pane(b, u0, u1, z - .68, z - .5, -1.15);
        }
    }
}

static double ground_height(const kn_building *s) { return s->shop ? 3.9 : s->storey + .2; }

double kn_building_height(const kn_building *s) { return ground_height(s) + (s->storeys - 1) * s->storey; }

/* One wall of `width` starting at x = 0 in the facade frame. */
static void facade(kn_build *b, const kn_building *s, const palette *p, double width, bool open, bool street,
                   kn_rng *rng) {
    double top = kn_building_height(s), ground = ground_height(s);
    if (!open) {
        base(b, s, p, width, -1);
        kn_build_use(b, p->wall);
        pane(b, 0, width, -.1, top, 0);
        return;
    }
    if (s->detail < .45) {
        kn_build_use(b, p->wall);
        pane(b, 0, width, -.1, top, 0);
    }
    int columns = (int)fmax(1, floor(width / kn_rng_uniform(rng, 2.5, 3.3)));
    double bay = width / columns, wide = s->style == 3 ? bay * .72 : kn_clamp(bay * .42, .8, 1.35),
           tall = s->style == 3 ? 1.75 : kn_clamp(s->storey * .5, 1.2, 1.75);
    int door = columns / 2, balcony_column = s->balconies ? kn_rng_int(rng, 0, columns - 1) : -1;
    bool entered = street && s->detail >= .45 && !(s->shop && columns <= 3);
    base(b, s, p, width, !entered ? -1 : s->shop ? width - bay / 2 : (door + .5) * bay);
    for (int f = 0; f < s->storeys; f++) {
        double z0 = f ? ground + (f - 1) * s->storey : 0, z1 = f ? z0 + s->storey : ground;
        if (f == 0 && street && s->shop && s->detail >= .45) {
            double gate = columns > 3 ? bay : 0; /* the way up to the flats */
            shop_front(b, s, p, 0, width - gate, ground, rng);
            if (gate > 0) door_cell(b, s, p, (double[]){width - gate, width, 0, ground}, rng);
            continue;
        }
        for (int c = 0; c < columns; c++) {
            double cell[4] = {c * bay, (c + 1) * bay, z0, z1}, mid = (c + .5) * bay;
            if (f == 0 && street && c == door && s->detail >= .45) {
                door_cell(b, s, p, cell, rng);
                continue;
            }
            bool french = street && f > 0 && (c == balcony_column || c == columns - 1 - balcony_column) && s->balconies;
            double sill = z0 + (french ? .12
                                : f    ? .85
                                       : 1.05),
                   hole[4] = {mid - wide / 2, mid + wide / 2, sill, fmin(sill + (french ? 2.1 : tall), z1 - .25)};
            window_cell(b, s, p, cell, hole, rng);
            if (french && s->detail > .6) balcony(b, p, mid - bay * .44, mid + bay * .44, z0 + .1);
        }
    }
    if (!street || s->detail < .45) return;
    kn_build_use(b, p->trim);
    if (s->style != 3 && s->storeys > 1) ledge(b, 0, width, ground - .12, ground + .06, .07);
    ledge(b, 0, width, top - .28, top, s->style == 2 ? .28 : .14);
    if (s->style == 2) ledge(b, 0, width, top - .42, top - .28, .14);
    kn_build_use(b, p->metal); /* downpipe */
    kn_build_box(b, kn_v3(width - .16, -.11, 0), kn_v3(width - .06, -.02, top - .2),
                 KN_BOX_RIGHT | KN_BOX_BACK | KN_BOX_FRONT);
}

static void chimney(kn_build *b, const palette *p, double x, double y, double z0, double z1) {
    kn_material brick = building_matter(.24, .10, .07, .9, KN_TEXTURE_BRICK);
    kn_build_use(b, brick);
    kn_build_box(b, kn_v3(x - .4, y - .3, z0), kn_v3(x + .4, y + .3, z1), KN_BOX_ALL & ~KN_BOX_BOTTOM);
    kn_build_use(b, p->plinth);
    kn_build_box(b, kn_v3(x - .46, y - .36, z1), kn_v3(x + .46, y + .36, z1 + .12), KN_BOX_ALL);
}

static void dormer(kn_build *b, const palette *p, double x, double eave, double slope, kn_rng *rng) {
    double w = .75, y = .9, z0 = eave + y * slope, h = 1.35, back = y + h / slope;
    kn_build_use(b, p->wall);
    pane(b, x - w, x + w, z0 - .3, z0 + h, y);
    kn_build_flat_triangle(b, kn_v3(x - w, back, z0 + h), kn_v3(x - w, y, z0), kn_v3(x - w, y, z0 + h));
    kn_build_flat_triangle(b, kn_v3(x + w, y, z0), kn_v3(x + w, back, z0 + h), kn_v3(x + w, y, z0 + h));
    window_panes(b, p, x - w + .18, x + w - .18, z0 + .15, z0 + h - .12, y - .01, 2, 1, rng);
    kn_build_use(b, p->roof);
    kn_build_box(b, kn_v3(x - w - .15, y - .2, z0 + h), kn_v3(x + w + .15, back + .1, z0 + h + .12), KN_BOX_ALL);
}

static void gable_roof(kn_build *b, const kn_building *s, const palette *p, kn_rng *rng) {
    double hw = s->width / 2, d = s->depth, top = kn_building_height(s),
           slope = kn_clamp(kn_rng_uniform(rng, .6, .95), 0, 9 / d), rise = slope * d / 2, e = .35;
    double hip = s->roof == KN_ROOF_HIP ? fmin(hw * .6, d / 2) : 0, over = s->open & (KN_WEST | KN_EAST) ? .3 : 0;
    kn_vec3 ridge[2] = {{-hw - over + hip, d / 2, top + rise}, {hw + over - hip, d / 2, top + rise}};
    kn_vec3 eave[4] = {{-hw - over, -e, top - e * slope},
                       {hw + over, -e, top - e * slope},
                       {hw + over, d + e, top - e * slope},
                       {-hw - over, d + e, top - e * slope}};
    kn_build_use(b, p->roof);
    kn_build_quad(b, eave[0], eave[1], ridge[1], ridge[0]);
    kn_build_quad(b, eave[2], eave[3], ridge[0], ridge[1]);
    if (hip > 0) {
        kn_build_flat_triangle(b, eave[1], eave[2], ridge[1]);
        kn_build_flat_triangle(b, eave[3], eave[0], ridge[0]);
    } else {
        kn_build_use(b, p->wall);
        kn_build_flat_triangle(b, kn_v3(hw, 0, top), kn_v3(hw, d, top), kn_v3(hw, d / 2, top + rise));
        kn_build_flat_triangle(b, kn_v3(-hw, d, top), kn_v3(-hw, 0, top), kn_v3(-hw, d / 2, top + rise));
    }
    kn_build_use(b, p->trim); /* fascia, gutter */
    for (int k = 0; k < 4; k++) {
        kn_vec3 a = eave[k], c = eave[(k + 1) % 4];
        if (k % 2 == 1 && hip == 0) continue;
        kn_build_quad(b, kn_vec3_sub(a, kn_v3(0, 0, .16)), kn_vec3_sub(c, kn_v3(0, 0, .16)), c, a);
    }
    kn_vec3 soffit[4];
    for (int k = 0; k < 4; k++) soffit[k] = kn_vec3_sub(eave[3 - k], kn_v3(0, 0, .16));
    kn_build_polygon(b, soffit, 4);
    for (int i = 0, n = kn_rng_int(rng, 1, 2); i < n; i++) {
        chimney(b, p, kn_rng_uniform(rng, -hw * .8, hw * .8) * (hip > 0 ? .3 : 1), d / 2 + (i ? .5 : -.4),
                top + rise * .6, top + rise + .9);
    }
    if (s->detail > .5 && rise > 2.6 && kn_rng_uniform(rng, 0, 1) < .6) {
        int n = (int)floor((s->width - 2 * hip - 1) / 3.2);
        for (int i = 0; i < n; i++) dormer(b, p, -hw + hip + (s->width - 2 * hip) * (i + .5) / n, top, slope, rng);
    }
}

static void flat_roof(kn_build *b, const kn_building *s, const palette *p, kn_rng *rng) {
    double hw = s->width / 2, d = s->depth, top = kn_building_height(s), h = .7;
    kn_build_use(b, p->roof);
    kn_build_quad(b, kn_v3(-hw, 0, top), kn_v3(hw, 0, top), kn_v3(hw, d, top), kn_v3(-hw, d, top));
    kn_build_use(b, p->wall);
    kn_build_box(b, kn_v3(-hw, 0, top), kn_v3(hw, .25, top + h), KN_BOX_ALL & ~KN_BOX_BOTTOM);
    kn_build_box(b, kn_v3(-hw, d - .25, top), kn_v3(hw, d, top + h), KN_BOX_ALL & ~KN_BOX_BOTTOM);
    kn_build_box(b, kn_v3(-hw, .25, top), kn_v3(-hw + .25, d - .25, top + h), KN_BOX_ALL & ~KN_BOX_BOTTOM);
    kn_build_box(b, kn_v3(hw - .25, .25, top), kn_v3(hw, d - .25, top + h), KN_BOX_ALL & ~KN_BOX_BOTTOM);
    kn_build_use(b, p->trim);
    kn_build_box(b, kn_v3(-hw - .05, -.06, top + h), kn_v3(hw + .05, .3, top + h + .08), KN_BOX_ALL);
    kn_build_use(b, p->plinth);
    for (int i = 0, n = kn_rng_int(rng, 1, 3); i < n; i++) { /* lift heads and plant */
        double x = kn_rng_uniform(rng, -hw * .6, hw * .6), y = kn_rng_uniform(rng, d * .35, d * .75),
               a = kn_rng_uniform(rng, .6, 1.6);
        kn_build_box(b, kn_v3(x - a, y - 1, top), kn_v3(x + a, y + 1, top + kn_rng_uniform(rng, 1, 2.4)),
                     KN_BOX_ALL & ~KN_BOX_BOTTOM);
    }
}

void kn_building_draw(kn_build *b, const kn_building *s) {
    kn_rng rng;
    kn_rng_init(&rng, s->seed);
    palette p = make_palette(s, &rng);
    kn_pose base = b->pose;
    double hw = s->width / 2;
    const struct {
        kn_vec3 at;
        double turn, width;
        unsigned side;
    } walls[4] = {{{-hw, 0, 0}, 0, s->width, KN_FRONT},
                  {{hw, 0, 0}, M_PI / 2, s->depth, KN_EAST},
                  {{hw, s->depth, 0}, M_PI, s->width, KN_BACK},
                  {{-hw, s->depth, 0}, -M_PI / 2, s->depth, KN_WEST}};
    for (int i = 0; i < 4; i++) {
        kn_pose local = kn_pose_from_euler(walls[i].at, walls[i].turn, 0, 0);
        b->pose = kn_pose_multiply(&base, &local);
        kn_building side = *s;
        if (i) side.detail = fmin(s->detail, .4);
        facade(b, &side, &p, walls[i].width, (s->open & walls[i].side) != 0, i == 0, &rng);
    }
    b->pose = base;
    if (s->roof == KN_ROOF_FLAT) flat_roof(b, s, &p, &rng);
    else gable_roof(b, s, &p, &rng);
}
