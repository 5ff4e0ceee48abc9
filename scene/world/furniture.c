/* Street furniture: lamps, signs, traffic lights, benches and such. */
#include "scene/world/props.h"

static kn_material pole_matter(void) {
    kn_material m = kn_matter(.20, .205, .21, .5, KN_TEXTURE_METAL, KN_SEMANTIC_POLE, .3);
    m.metallic = .4f;
    return m;
}

static kn_material thing(double r, double g, double b, double roughness, kn_texture texture) {
    return kn_matter(r, g, b, roughness, texture, KN_SEMANTIC_OBJECT, .4);
}

static void post(kn_build *b, kn_vec3 a, kn_vec3 c, double r0, double r1) { kn_build_cylinder(b, a, c, r0, r1, 8, 2); }

kn_light kn_lamp_post_draw(kn_build *b, double h, double arm, int style) {
    kn_vec3 head = kn_v3(0, -arm, h - .05);
    kn_build_use(b, pole_matter());
    post(b, kn_v3(0, 0, -.2), kn_v3(0, 0, 1.2), .085, .08);
    post(b, kn_v3(0, 0, 1.2), kn_v3(0, 0, h - .35), .065, .045);
    if (style == 0) { /* curved arm with a flat head */
        kn_vec3 previous = kn_v3(0, 0, h - .38);
        for (int i = 1; i <= 4; i++) {
            double t = i / 4.;
            kn_vec3 p = kn_v3(0, -arm * t, h - .38 + .38 * sin(t * M_PI / 2));
            kn_build_cylinder(b, previous, p, .04, .038, 6, 0);
            previous = p;
        }
        kn_build_soft_box(b, kn_v3(-.13, -arm - .50, h - .07), kn_v3(.13, -arm + .12, h + .05), .03);
    } else { /* lantern on the top */
        head = kn_v3(0, 0, h + .1);
        kn_build_cylinder(b, kn_v3(0, 0, h + .28), kn_v3(0, 0, h + .45), .26, .05, 10, 3);
        post(b, kn_v3(0, 0, h - .36), kn_v3(0, 0, h), .05, .11);
    }
    kn_build_use(b, kn_lamp_matter(.85, .80, .66, KN_EMITTER_STREET, 6, KN_SEMANTIC_POLE));
    if (style == 0) {
        kn_build_quad(b, kn_v3(-.09, -arm + .02, h - .075), kn_v3(-.09, -arm - .44, h - .075),
                      kn_v3(.09, -arm - .44, h - .075), kn_v3(.09, -arm + .02, h - .075));
        kn_build_box(b, kn_v3(-.08, -arm - .42, h - .10), kn_v3(.08, -arm, h - .076), KN_BOX_ALL);
    } else {
        kn_build_cylinder(b, kn_v3(0, 0, h), kn_v3(0, 0, h + .28), .12, .19, 10, 0);
    }
    kn_light light = {.color = {95, 82, 55}, .cone_cos = style == 0 ? .2f : -1, .range = 28};
    light.position = kn_pose_point(&b->pose, kn_vec3_sub(head, kn_v3(0, style == 0 ? .2 : 0, style == 0 ? .15 : 0)));
    light.direction = style == 0 ? kn_v3(0, 0, -1) : kn_v3(0, 0, 0);
    return light;
}

void kn_bench_draw(kn_build *b) {
    kn_build_use(b, thing(.22, .12, .055, .7, KN_TEXTURE_BARK));
    for (int i = 0; i < 4; i++)
        kn_build_box(b, kn_v3(-.85, -.42 + i * .12, .43), kn_v3(.85, -.33 + i * .12, .47), KN_BOX_ALL);
    for (int i = 0; i < 3; i++)
        kn_build_box(b, kn_v3(-.85, .10 + i * .03, .56 + i * .13), kn_v3(.85, .13 + i * .03, .65 + i * .13),
                     KN_BOX_ALL);
    kn_build_use(b, pole_matter());
    for (int s = -1; s <= 1; s += 2) {
        kn_build_box(b, kn_v3(s * .7 - .03, -.40, -.1), kn_v3(s * .7 + .03, -.34, .43), KN_BOX_ALL);
        kn_build_box(b, kn_v3(s * .7 - .03, .06, -.1), kn_v3(s * .7 + .03, .12, .90), KN_BOX_ALL);
        kn_build_box(b, kn_v3(s * .7 - .03, -.40, .39), kn_v3(s * .7 + .03, .10, .43), KN_BOX_ALL);
    }
}

void kn_bin_draw(kn_build *b, uint64_t seed) {
    static const double c[][3] = {{.03, .08, .04}, {.10, .10, .105}, {.45, .16, .02}, {.03, .06, .13}};
    const double *k = c[seed % 4];
    kn_build_use(b, thing(k[0], k[1], k[2], .5, KN_TEXTURE_PAINT));
    kn_build_cylinder(b, kn_v3(0, 0, -.05), kn_v3(0, 0, .85), .22, .27, 10, 0);
    kn_build_use(b, thing(.03, .03, .03, .6, KN_TEXTURE_METAL));
    kn_build_cylinder(b, kn_v3(0, 0, .85), kn_v3(0, 0, .98), .28, .18, 10, 2);
}

void kn_bollard_draw(kn_build *b) {
    kn_build_use(b, thing(.045, .045, .05, .5, KN_TEXTURE_METAL));
    kn_build_cylinder(b, kn_v3(0, 0, -.1), kn_v3(0, 0, .85), .06, .055, 8, 0);
    kn_build_ellipsoid(b, kn_v3(0, 0, .87), kn_v3(.075, .075, .07), 8, 4);
    kn_build_use(b, thing(.6, .6, .58, .5, KN_TEXTURE_PAINT));
    kn_build_cylinder(b, kn_v3(0, 0, .66), kn_v3(0, 0, .74), .063, .062, 8, 0);
}

void kn_bicycle_stand_draw(kn_build *b) {
    kn_build_use(b, pole_matter());
    for (int i = 0; i < 4; i++) {
        double x = i * .8 - 1.2;
        kn_build_cylinder(b, kn_v3(x, -.35, -.1), kn_v3(x, -.35, .78), .024, .024, 6, 0);
        kn_build_cylinder(b, kn_v3(x, .35, -.1), kn_v3(x, .35, .78), .024, .024, 6, 0);
        kn_build_cylinder(b, kn_v3(x, -.36, .78), kn_v3(x, .36, .78), .024, .024, 6, 3);
    }
}

void kn_bus_shelter_draw(kn_build *b) {
    kn_build_use(b, thing(.05, .055, .06, .4, KN_TEXTURE_METAL));
    for (int i = 0; i < 4; i++) {
        double x = i & 1 ? 1.9 : -1.9, y = i & 2 ? .65 : -.55;
        kn_build_box(b, kn_v3(x - .04, y - .04, -.1), kn_v3(x + .04, y + .04, 2.4), KN_BOX_ALL);
    }
    kn_build_soft_box(b, kn_v3(-2.1, -.85, 2.4), kn_v3(2.1, .8, 2.55), .04);
    kn_build_box(b, kn_v3(-1.4, .2, .45), kn_v3(1.4, .58, .5), KN_BOX_ALL);
    kn_build_use(b, kn_matter(.10, .12, .125, .05, KN_TEXTURE_GLASS, KN_SEMANTIC_OBJECT, .2));
    kn_build_box(b, kn_v3(-1.86, .64, .3), kn_v3(1.86, .66, 2.3), KN_BOX_ALL);
    kn_build_box(b, kn_v3(-1.91, -.5, .3), kn_v3(-1.89, .6, 2.3), KN_BOX_ALL);
    kn_material poster = kn_lamp_matter(.55, .48, .30, KN_EMITTER_STREET, 1, KN_SEMANTIC_OBJECT);
    kn_build_use(b, poster);
    kn_build_box(b, kn_v3(1.86, -.5, .4), kn_v3(1.94, .6, 2.2), KN_BOX_ALL);
}

void kn_delineator_draw(kn_build *b) {
    kn_build_use(b, kn_matter(.68, .68, .66, .6, KN_TEXTURE_FLAT, KN_SEMANTIC_POLE, .3));
    kn_build_box(b, kn_v3(-.05, -.06, -.1), kn_v3(.05, .06, .62), KN_BOX_ALL);
    kn_build_use(b, kn_matter(.02, .02, .02, .6, KN_TEXTURE_FLAT, KN_SEMANTIC_POLE, .3));
    kn_build_box(b, kn_v3(-.052, -.062, .62), kn_v3(.052, .062, .86), KN_BOX_ALL);
    kn_build_use(b, kn_matter(.68, .68, .66, .6, KN_TEXTURE_FLAT, KN_SEMANTIC_POLE, .3));
    kn_build_box(b, kn_v3(-.05, -.06, .86), kn_v3(.05, .06, 1.0), KN_BOX_ALL);
    kn_build_use(b, kn_matter(.70, .40, .05, .3, KN_TEXTURE_FLAT, KN_SEMANTIC_POLE, .3));
    kn_build_box(b, kn_v3(-.058, -.03, .66), kn_v3(.058, .03, .82), KN_BOX_BACK | KN_BOX_FRONT);
}

void kn_mailbox_draw(kn_build *b) {
    kn_build_use(b, thing(.62, .38, .02, .4, KN_TEXTURE_PAINT));
    kn_build_soft_box(b, kn_v3(-.25, -.2, .5), kn_v3(.25, .2, 1.3), .06);
    kn_build_use(b, thing(.04, .04, .04, .5, KN_TEXTURE_METAL));
    kn_build_box(b, kn_v3(-.06, -.06, -.1), kn_v3(.06, .06, .5), KN_BOX_ALL);
    kn_build_box(b, kn_v3(-.17, -.206, 1.08), kn_v3(.17, -.2, 1.13), KN_BOX_RIGHT);
}

void kn_power_box_draw(kn_build *b, uint64_t seed) {
    double w = .5 + .3 * (double)(seed % 3);
    kn_build_use(b, thing(.30, .32, .30, .7, KN_TEXTURE_PAINT));
    kn_build_soft_box(b, kn_v3(-w, -.2, .08), kn_v3(w, .2, 1.15), .03);
    kn_build_use(b, thing(.2, .2, .2, .9, KN_TEXTURE_CONCRETE));
    kn_build_box(b, kn_v3(-w, -.2, -.2), kn_v3(w, .2, .08), KN_BOX_ALL);
    kn_build_quad(b, kn_v3(-.008, -.203, .14), kn_v3(.008, -.203, .14), kn_v3(.008, -.203, 1.1),
                  kn_v3(-.008, -.203, 1.1));
}

/* --- signs ------------------------------------------------------------------------------------ */

/* A regular polygon facing -x at x, first corner at `turn` from up. */
static void plate(kn_build *b, double x, double z, double r, int n, double turn) {
    kn_vec3 p[24];
    for (int i = 0; i < n; i++) {
        double a = turn + 2 * M_PI * i / n; /* counter-clockwise seen from -x */
        p[i] = kn_v3(x, r * sin(a), z + r * cos(a));
    }
    kn_build_polygon(b, p, (size_t)n);
}

static void panel(kn_build *b, double x, double y0, double y1, double z0, double z1) {
    kn_build_quad(b, kn_v3(x, y1, z0), kn_v3(x, y0, z0), kn_v3(x, y0, z1), kn_v3(x, y1, z1));
}

static kn_material sign_matter(double r, double g, double b) {
    return kn_matter(r, g, b, .35, KN_TEXTURE_FLAT, KN_SEMANTIC_TRAFFIC_SIGN, .2);
}

/* Seven-segment digits; y grows to the left of the reader. */
static void digits(kn_build *b, double x, double z, double size, int value) {
    static const unsigned char segments[10] = {0x77, 0x24, 0x5d, 0x6d, 0x2e, 0x6b, 0x7b, 0x25, 0x7f, 0x6f};
    int count = value >= 100 ? 3 : value >= 10 ? 2 : 1, divisor = count == 3 ? 100 : count == 2 ? 10 : 1;
    double w = size * .52, t = size * .15, step = w * 1.35, y = (count - 1) * step / 2;
    for (int i = 0; i < count; i++, y -= step, divisor /= 10) {
        unsigned s = segments[value / divisor % 10];
        double l = y + w / 2, r = y - w / 2, top = z + size / 2, low = z - size / 2;
        if (s & 1) panel(b, x, r, l, top - t, top);
        if (s & 2) panel(b, x, l - t, l, z, top);
        if (s & 4) panel(b, x, r, r + t, z, top);
        if (s & 8) panel(b, x, r, l, z - t / 2, z + t / 2);
        if (s & 16) panel(b, x, l - t, l, low, z);
        if (s & 32) panel(b, x, r, r + t, low, z);
        if (s & 64) panel(b, x, r, l, low, low + t);
    }
}

static void sign_face(kn_build *b, kn_sign sign, double value, double z, double r) {
    kn_material red = sign_matter(.48, .02, .025), white = sign_matter(.72, .72, .70),
                blue = sign_matter(.02, .10, .42), black = sign_matter(.015, .015, .015),
                yellow = sign_matter(.72, .48, .02);
    double x = -.05, up = M_PI;
    kn_build_use(b, sign_matter(.3, .3, .3)); /* the grey back */
    switch (sign) {
    case KN_SIGN_YIELD:
        kn_build_use(b, red), plate(b, x, z, r * 1.25, 3, up);
        kn_build_use(b, white), plate(b, x - .004, z, r * .82, 3, up);
        break;
    case KN_SIGN_WARNING:
        kn_build_use(b, red), plate(b, x, z, r * 1.25, 3, 0);
        kn_build_use(b, white), plate(b, x - .004, z, r * .85, 3, 0);
        kn_build_use(b, black), panel(b, x - .008, -.03, .03, z - .1, z + .22),
            panel(b, x - .008, -.035, .035, z - .22, z - .15);
        break;
    case KN_SIGN_STOP:
        kn_build_use(b, white), plate(b, x, z, r * 1.1, 8, M_PI / 8);
        kn_build_use(b, red), plate(b, x - .004, z, r * 1.02, 8, M_PI / 8);
        kn_build_use(b, white);
        for (int i = 0; i < 4; i++)
            panel(b, x - .008, r * (.62 - .36 * i) - r * .22, r * (.62 - .36 * i), z - r * .22, z + r * .22);
        break;
    case KN_SIGN_PRIORITY:
        kn_build_use(b, white), plate(b, x, z, r * 1.1, 4, 0);
        kn_build_use(b, yellow), plate(b, x - .004, z, r * .8, 4, 0);
        break;
    case KN_SIGN_INFO:
    case KN_SIGN_PARKING:
    case KN_SIGN_CROSSING:
        kn_build_use(b, blue), panel(b, x, -r, r, z - r, z + r);
        kn_build_use(b, white);
        if (sign == KN_SIGN_CROSSING) {
            plate(b, x - .004, z - r * .1, r * .85, 3, 0);
            kn_build_use(b, black), panel(b, x - .008, -.05, .05, z - r * .4, z + r * .25);
        } else {
            panel(b, x - .004, r * .25, r * .5, z - r * .7, z + r * .7),
                panel(b, x - .004, -r * .35, r * .25, z + r * .45, z + r * .7);
            panel(b, x - .004, -r * .35, r * .25, z - r * .1, z + r * .12),
                panel(b, x - .004, -r * .45, -r * .2, z - r * .1, z + r * .7);
        }
        break;
    default:
        kn_build_use(b, red), plate(b, x, z, r, 18, 0);
        kn_build_use(b, white), plate(b, x - .004, z, r * .78, 18, 0);
        kn_build_use(b, black);
        if (sign == KN_SIGN_LIMIT && value > 0 && value < 1000) digits(b, x - .008, z, r * .75, (int)(value + .5));
        break;
    }
}

void kn_sign_draw(kn_build *b, kn_sign sign, double value, double height) {
    double r = .32;
    kn_build_use(b, pole_matter());
    kn_build_cylinder(b, kn_v3(0, 0, -.3), kn_v3(0, 0, height + r), .035, .035, 7, 2);
    kn_build_use(b, sign_matter(.25, .25, .25)); /* grey back, just behind the face */
    int n = sign == KN_SIGN_YIELD || sign == KN_SIGN_WARNING ? 3
            : sign == KN_SIGN_STOP                           ? 8
            : sign == KN_SIGN_PRIORITY                       ? 4
                                                             : 18;
    if (sign >= KN_SIGN_INFO) panel(b, -.045, -r, r, height - r, height + r);
    else
        plate(b, -.045, height,
              n == 3    ? r * 1.24
              : n == 18 ? r * .99
                        : r * 1.09,
              n,
              sign == KN_SIGN_YIELD ? M_PI
              : n == 8              ? M_PI / 8
                                    : 0);
    sign_face(b, sign, value, height, r);
}

static kn_material signal_black(void) {
    return kn_matter(.018, .02, .02, .5, KN_TEXTURE_PAINT, KN_SEMANTIC_TRAFFIC_LIGHT, .2);
}

static void signal_head(kn_build *b, double x, double y, double z) {
    kn_build_use(b, signal_black());
    kn_build_soft_box(b, kn_v3(x - .12, y - .17, z - .5), kn_v3(x + .12, y + .17, z + .5), .03);
    kn_build_box(b, kn_v3(x - .122, y - .28, z - .62), kn_v3(x - .118, y + .28, z + .62),
                 KN_BOX_BACK | KN_BOX_FRONT); /* backing board */
    for (int i = 0; i < 3; i++) {
        double lz = z + .32 * (1 - i);
        for (int k = 0; k < 5; k++) { /* visor */
            double a0 = M_PI * k / 5., a1 = M_PI * (k + 1) / 5.;
            kn_build_quad(b, kn_v3(x - .12, y + .13 * cos(a0), lz + .13 * sin(a0)),
                          kn_v3(x - .12, y + .13 * cos(a1), lz + .13 * sin(a1)),
                          kn_v3(x - .30, y + .125 * cos(a1), lz + .125 * sin(a1)),
                          kn_v3(x - .30, y + .125 * cos(a0), lz + .125 * sin(a0)));
        }
    }
}

static void signal_lenses(kn_build *b, double x, double y, double z) {
    static const double c[3][3] = {{.75, .03, .02}, {.80, .38, .02}, {.04, .65, .28}};
    static const kn_emitter emitters[3] = {KN_EMITTER_TAIL, KN_EMITTER_REVERSE, KN_EMITTER_BRAKE};
    for (int i = 0; i < 3; i++) {
        kn_material lens = kn_lamp_matter(c[i][0], c[i][1], c[i][2], emitters[i], 3, KN_SEMANTIC_TRAFFIC_LIGHT);
        for (int k = 0; k < 3; k++) lens.color[k] *= .12f; /* dark glass when off */
        kn_build_use(b, lens);
        double lz = z + .32 * (1 - i);
        kn_build_cylinder(b, kn_v3(x - .12, y, lz), kn_v3(x - .14, y, lz), .115, .10, 12, 2);
    }
}

void kn_traffic_light_draw(kn_build *b, double height, double arm) {
    kn_build_use(b, pole_matter());
    double top = arm != 0 ? 6.0 : height + .4;
    kn_build_cylinder(b, kn_v3(0, 0, -.3), kn_v3(0, 0, top), .075, .06, 9, 2);
    signal_head(b, -.16, 0, height - .3);
    if (arm != 0) {
        kn_build_use(b, pole_matter());
        kn_build_cylinder(b, kn_v3(0, 0, 5.85), kn_v3(0, arm, 6.0), .055, .04, 8, 2);
        signal_head(b, -.1, arm - copysign(.2, arm), 5.75);
    }
}

void kn_traffic_lenses_draw(kn_build *b, double height, double arm) {
    signal_lenses(b, -.16, 0, height - .3);
    if (arm != 0) signal_lenses(b, -.1, arm - copysign(.2, arm), 5.75);
}

void kn_gantry_draw(kn_build *b, double half, double clearance, uint64_t seed) {
    kn_build_use(b, pole_matter());
    for (int s = -1; s <= 1; s += 2) {
        for (int k = 0; k < 2; k++)
            kn_build_box(b, kn_v3(k * .9 - .1, s * half - .14, -1), kn_v3(k * .9 + .1, s * half + .14, clearance + 1.4),
                         KN_BOX_ALL);
    }
    for (int k = 0; k < 4; k++) {
        double x = k & 1 ? .9 : 0, z = clearance + (k & 2 ? 1.3 : .2);
        kn_build_box(b, kn_v3(x - .06, -half, z - .06), kn_v3(x + .06, half, z + .06), KN_BOX_ALL);
    }
    for (double y = -half; y < half - .1; y += 1.4)
        kn_build_cylinder(b, kn_v3(0, y, clearance + .2), kn_v3(0, fmin(y + 1.4, half), clearance + 1.3), .03, .03, 4,
                          0);
    kn_material blue = sign_matter(.02, .10, .42), white = sign_matter(.72, .72, .70);
    kn_rng rng;
    kn_rng_init(&rng, seed);
    int n = (int)kn_clamp(half / 5, 1, 3);
    kn_pose keep = b->pose, turn = kn_pose_from_euler(kn_v3(.9, 0, 0), M_PI, 0, 0);
    for (int i = 0; i < 2 * n; i++) { /* each direction of travel reads those over its own half */
        if (i == n) b->pose = kn_pose_multiply(&keep, &turn);
        double c = -half + half * (i % n + .5) / n, w = fmin(3.4, half / n * .85), z0 = clearance + .05,
               z1 = clearance + 2.6;
        kn_build_use(b, white), panel(b, -.12, c - w / 2, c + w / 2, z0, z1);
        kn_build_use(b, blue), panel(b, -.125, c - w / 2 + .06, c + w / 2 - .06, z0 + .06, z1 - .06);
        kn_build_use(b, sign_matter(.2, .2, .2)),
            kn_build_quad(b, kn_v3(-.115, c - w / 2, z0), kn_v3(-.115, c + w / 2, z0), kn_v3(-.115, c + w / 2, z1),
                          kn_v3(-.115, c - w / 2, z1));
        kn_build_use(b, white);
        for (int line = 0; line < 3; line++) { /* lines of text as blocks, and an arrow */
            double z = z1 - .45 - line * .55, y = c + w / 2 - .35;
            for (int word = 0, words = kn_rng_int(&rng, 4, 8); word < words && y > c - w / 2 + .75; word++, y -= .27)
                panel(b, -.13, y - .18, y, z - .13, z + .13);
        }
        double ay = c - w / 2 + .45;
        panel(b, -.13, ay - .06, ay + .06, z0 + .5, z0 + 1.3);
        kn_build_flat_triangle(b, kn_v3(-.13, ay + .22, z0 + .55), kn_v3(-.13, ay, z0 + .22),
                               kn_v3(-.13, ay - .22, z0 + .55));
    }
    b->pose = keep;
}
