/* Lorries, trailers and buses: rounded boxes with cab, windows, lamps and many wheels. */
#include "scene/world/models.h"

/* A panel on the plane x = const facing `facing` (+1 front). */
static void panel_x(kn_model_build *m, double x, double y0, double y1, double z0, double z1, int facing) {
    double a = facing > 0 ? y0 : y1, b = facing > 0 ? y1 : y0;
    kn_build_quad(&m->body, kn_v3(x, a, z0), kn_v3(x, b, z0), kn_v3(x, b, z1), kn_v3(x, a, z1));
}

/* A panel on the plane y = const, on the left (side +1) or right. */
static void panel_y(kn_model_build *m, double y, double x0, double x1, double z0, double z1, int side) {
    double a = side > 0 ? x1 : x0, b = side > 0 ? x0 : x1;
    kn_build_quad(&m->body, kn_v3(a, y, z0), kn_v3(b, y, z0), kn_v3(b, y, z1), kn_v3(a, y, z1));
}

static void rear_lamps(kn_model_build *m, double x, double hw, double z) {
    for (int side = -1; side <= 1; side += 2) {
        double y = side * (hw - .22), w = .16;
        kn_model_lamp(m, KN_EMITTER_TAIL);
        panel_x(m, x, y - w, y + w, z, z + .10, -1);
        kn_model_lamp(m, KN_EMITTER_BRAKE);
        panel_x(m, x - .003, y - w * .5, y + w * .5, z + .015, z + .085, -1);
        kn_model_lamp(m, side > 0 ? KN_EMITTER_LEFT : KN_EMITTER_RIGHT);
        panel_x(m, x, y - w, y + w, z + .10, z + .16, -1);
        kn_model_lamp(m, KN_EMITTER_REVERSE);
        panel_x(m, x - .003, y - side * w * .95 - .02, y - side * w * .95 + .02, z + .02, z + .08, -1);
    }
    kn_model_plain(m, .62, .62, .58, .5, KN_TEXTURE_FLAT);
    panel_x(m, x - .004, -.26, .26, z - .02, z + .10, -1);
}

static void mudguard(kn_model_build *m, double x, double hw, double r) {
    kn_model_rubber(m);
    for (int side = -1; side <= 1; side += 2) {
        double y0 = side > 0 ? hw - .40 : -hw + .02, y1 = side > 0 ? hw - .02 : -hw + .40;
        kn_build_box(&m->body, kn_v3(x - r * 1.05, y0, m->z0 + r * 2.02), kn_v3(x + r * 1.05, y1, m->z0 + r * 2.06),
                     KN_BOX_ALL);
        kn_build_box(&m->body, kn_v3(x - r * 1.15, y0, m->z0 + .25), kn_v3(x - r * 1.12, y1, m->z0 + r * 1.9),
                     KN_BOX_ALL);
    }
}

/* A dark half disc around the wheel at x on both skins y = +-half. */
static void arch(kn_model_build *m, double x, double half, double r, double base) {
    kn_model_rubber(m);
    for (int side = -1; side <= 1; side += 2) {
        kn_vec3 points[10];
        for (int k = 0; k < 10; k++) {
            double a = M_PI * k / 9. * -side; /* counter-clockwise seen from its side */
            points[k] =
                kn_v3(x + side * -r * 1.15 * cos(a), side * half, fmax(base, m->z0 + r + r * 1.15 * fabs(sin(a))));
        }
        kn_build_polygon(&m->body, points, 10);
    }
}

/* A goods box with frame, rear doors and side stripes between x0 and x1. */
static void goods_box(kn_model_build *m, double x0, double x1, double floor_z, double top) {
    double hw = m->hw;
    const double *c = m->actor->color;
    bool white = kn_rng_uniform(&m->rng, 0, 1) < .55;
    double k = white ? .62 : .45;
    kn_model_plain(m, white ? .72 : kn_mix(c[0], .5, .2), white ? .72 : kn_mix(c[1], .5, .2),
                   white ? .70 : kn_mix(c[2], .5, .2), .45, KN_TEXTURE_PAINT);
    kn_build_soft_box(&m->body, kn_v3(x0, -hw, floor_z), kn_v3(x1, hw, top), .04);
    kn_model_paint(m);
    double band = kn_rng_uniform(&m->rng, .35, .55), h = top - floor_z, L = x1 - x0;
    for (int side = -1; side <= 1 && white; side += 2) { /* a company's stripe and sign */
        panel_y(m, side * (hw + .004), x0 + .06 * L, x1 - .06 * L, floor_z + band * h, floor_z + (band + .18) * h,
                side);
        panel_y(m, side * (hw + .004), x0 + .55 * L, x1 - .06 * L, floor_z + (band - .09) * h,
                floor_z + (band - .04) * h, side);
    }
    kn_model_metal(m, k);
    for (int side = -1; side <= 1; side += 2) {
        panel_y(m, side * (hw + .003), x0, x1, floor_z, floor_z + .12, side);
        panel_x(m, x0 - .003, side * hw - .03, side * hw + .03, floor_z, top, -1);
        for (int i = 0; i < 2; i++) { /* bars of the doors */
            double y = side * (.12 + .45 * i) * hw;
            kn_build_cylinder(&m->body, kn_v3(x0 - .02, y, floor_z + .05), kn_v3(x0 - .02, y, top - .05), .018, .018, 5,
                              0);
        }
    }
    kn_model_rubber(m);
    panel_x(m, x0 - .002, -.012, .012, floor_z + .05, top - .05, -1);
}

static void chassis(kn_model_build *m, double x0, double x1, double floor_z) {
    kn_model_rubber(m);
    kn_build_box(&m->body, kn_v3(x0, -.45, floor_z - .32), kn_v3(x1, .45, floor_z), KN_BOX_ALL);
}

static void side_skirts(kn_model_build *m, double x0, double x1, double z0, double z1) {
    if (x1 - x0 < .5) return;
    for (int side = -1; side <= 1; side += 2) {
        double y = side * (m->hw - .06);
        kn_model_metal(m, .30);
        kn_build_box(&m->body, kn_v3(x0, fmin(y, y - side * .04), z0),
                     kn_v3(x1, fmax(y, y - side * .04), kn_mix(z0, z1, .35)), KN_BOX_ALL);
        kn_build_box(&m->body, kn_v3(x0, fmin(y, y - side * .04), kn_mix(z0, z1, .65)),
                     kn_v3(x1, fmax(y, y - side * .04), z1), KN_BOX_ALL);
    }
}

/* The cab's outline in (x, z) from the lower front edge over the windscreen to the back, lofted across with
 * narrowing. */
static void cab(kn_model_build *m, double x0, double x1, double base, double top) {
    double h = top - base, hw = m->hw;
    const double px[] = {x1 - .10, x1 - .02, x1, x1 - .01, x1 - .05, x1 - .22, x1 - .34, x0 + .1, x0};
    const double pz[] = {base,           base + .06,     base + .2 * h, base + .42 * h, base + .47 * h,
                         base + .86 * h, base + .96 * h, base + h,      base + .97 * h};
    enum { N = 9, COLUMNS = 7 };
    static const double across[COLUMNS] = {-1, -.97, -.8, 0, .8, .97, 1},
                        back[COLUMNS] = {.14, .05, .02, 0, .02, .05, .14};
    kn_vec3 points[N * COLUMNS];
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < COLUMNS; j++) {
            points[i * COLUMNS + j] = kn_v3(px[i] - back[j] * (i < 7), across[j] * hw * (i >= 5 ? .965 : .99),
                                            pz[i] - (i >= 6 ? back[j] * .3 : 0));
        }
    }
    uint16_t materials[(N - 1) * (COLUMNS - 1)], kinds[3];
    kn_model_paint(m), kinds[0] = m->body.material;
    kn_model_glass(m), kinds[1] = m->body.material;
    kn_model_rubber(m), kinds[2] = m->body.material;
    for (int i = 0; i < N - 1; i++) {
        for (int j = 0; j < COLUMNS - 1; j++)
            materials[i * (COLUMNS - 1) + j] = kinds[i == 4 && j > 0 && j < COLUMNS - 2 ? 1 : i == 0 ? 2 : 0];
    }
    kn_build_grid(&m->body, points, COLUMNS, N, false, materials);
    for (int side = -1; side <= 1; side += 2) { /* sides: outline as a fan, then door glass and lines */
        kn_vec3 outline[N + 1];
        for (int i = 0; i < N; i++) outline[i] = points[i * COLUMNS + (side > 0 ? COLUMNS - 1 : 0)];
        outline[N] = kn_v3(x0, side * hw * .99, base);
        kn_vec3 ordered[N + 1];
        for (int i = 0; i <= N; i++) ordered[i] = side > 0 ? outline[i] : outline[N - i];
        kn_model_paint(m);
        kn_build_polygon(&m->body, ordered, N + 1);
        kn_model_glass(m);
        double y = side * (hw * .99 + .004), d0 = x1 - .46, d1 = kn_mix(x0, x1, .36);
        panel_y(m, y, d1, d0, base + .50 * h, base + .80 * h, side);
        kn_model_rubber(m);
        panel_y(m, y, d1 - .06, d1 - .04, base + .12 * h, base + .86 * h, side);
        panel_y(m, y, x1 - .32, x1 - .30, base + .12 * h, base + .50 * h, side);
        panel_y(m, y, d1 + .05, d1 + .25, base + .42 * h, base + .44 * h, side);
        double mx = x1 - .15, my = side * (hw - .07);
        kn_build_soft_box(&m->body, kn_v3(mx - .08, my - .07, base + .5 * h), kn_v3(mx + .06, my + .07, base + .74 * h),
                          .03);
    }
}

static void cab_face(kn_model_build *m, double x1, double base, double h) {
    kn_model_rubber(m);
    for (int i = 0; i < 4; i++)
        panel_x(m, x1 + .006, -m->hw * .6, m->hw * .6, base + (.20 + .055 * i) * h, base + (.235 + .055 * i) * h, 1);
    panel_x(m, x1 - .012, -m->hw * .8, m->hw * .8, base + .04, base + .09, 1);
    for (int side = -1; side <= 1; side += 2) {
        double y = side * m->hw * .74;
        kn_model_lamp(m, KN_EMITTER_HEAD);
        panel_x(m, x1 + .002, y - .17, y + .17, base + .10 * h, base + .16 * h, 1);
        kn_model_head_light(m, x1, y, base + .13 * h);
        kn_model_lamp(m, side > 0 ? KN_EMITTER_LEFT : KN_EMITTER_RIGHT);
        panel_x(m, x1 + .002, y - .17, y + .17, base + .165 * h, base + .185 * h, 1);
    }
    kn_model_plain(m, .62, .62, .58, .5, KN_TEXTURE_FLAT);
    panel_x(m, x1 + .006, -.26, .26, base + .08 * h, base + .08 * h + .11, 1);
}

void kn_model_truck(kn_model_build *m) {
    double length = m->x1 - m->x0, h = m->z1 - m->z0, r = kn_clamp(.135 * h, .3, .52), base = m->z0 + .12 * h;
    double floor_z = m->z0 + fmax(2.12 * r, .30 * h), cab_length = kn_clamp(.19 * length, 1.5, 2.25);
    bool articulated = length > 11;
    double back = m->x1 - cab_length, box1 = back - (articulated ? .55 : .15);
    cab(m, back, m->x1, base, m->z0 + h * (articulated ? .95 : .80));
    cab_face(m, m->x1, base, (articulated ? .95 : .80) * h - .12 * h);
    goods_box(m, m->x0 + .02, box1, floor_z, m->z1);
    chassis(m, m->x0 + .1, m->x1 - .3, floor_z);
    rear_lamps(m, m->x0 + .012, m->hw, floor_z - .26);
    double front = m->x1 - .30 * cab_length - r, w = fmin(.32, r * .65);
    arch(m, front, m->hw * .99 + .005, r, base);
    kn_model_axle(m, front, m->hw, r, w, true, true);
    if (articulated) {
        double drive = front - 3.4, t = m->x0 + .19 * length;
        kn_model_axle(m, drive, m->hw - .03, r, w * 1.6, false, true);
        kn_model_axle(m, t + 1.3, m->hw - .03, r, w, false, true);
        kn_model_axle(m, t, m->hw - .03, r, w, false, true);
        mudguard(m, drive, m->hw, r);
        side_skirts(m, t + 2, drive - 1, m->z0 + .4, floor_z - .1);
        kn_model_metal(m, .5);
        for (int side = -1; side <= 1; side += 2) {
            kn_build_cylinder(&m->body, kn_v3(drive + .9, side * (m->hw - .35), m->z0 + .68),
                              kn_v3(drive + 2.0, side * (m->hw - .35), m->z0 + .68), .30, .30, 12, 3);
        }
    } else {
        double rear = fabs(m->x0) > .1 * length && m->x0 < 0 && -m->x0 < .4 * length ? 0 : m->x0 + .24 * length;
        kn_model_axle(m, rear, m->hw - .03, r, w * 1.6, false, true);
        mudguard(m, rear, m->hw, r);
        side_skirts(m, rear + r * 1.3, front - r * 1.4, m->z0 + .4, floor_z - .1);
    }
}

void kn_model_trailer(kn_model_build *m) {
    double length = m->x1 - m->x0, h = m->z1 - m->z0, r = kn_clamp(.13 * h, .2, .5), floor_z = m->z0 + 2.2 * r;
    goods_box(m, m->x0 + .02, m->x1, floor_z, m->z1);
    chassis(m, m->x0 + .1, m->x1 - .5, floor_z);
    rear_lamps(m, m->x0 + .012, m->hw, floor_z - .24);
    int axles = length > 8 ? 3 : length > 4 ? 2 : 1;
    for (int i = 0; i < axles; i++)
        kn_model_axle(m, m->x0 + .2 * length + i * r * 2.6, m->hw - .03, r, .3 * fmin(1, r * 2), false, true);
    side_skirts(m, m->x0 + .2 * length + axles * r * 2.6, m->x1 - .2 * length, m->z0 + .4 * h * .3, floor_z - .1);
}

static void bus_sides(kn_model_build *m, double base, double h) {
    double L = m->x1 - m->x0, glass0 = base + .36 * h, glass1 = base + .80 * h;
    int panes = (int)kn_clamp(L / 1.5, 3, 10);
    for (int side = -1; side <= 1; side += 2) {
        double y = side * (m->hw + .001), x0 = m->x0 + .35, x1 = m->x1 - .55;
        kn_model_rubber(m);
        panel_y(m, y, x0, x1, glass0 - .04, glass1 + .04, side);
        kn_model_glass(m);
        for (int i = 0; i < panes; i++) {
            double a = kn_mix(x0, x1, i / (double)panes) + .05, b = kn_mix(x0, x1, (i + 1) / (double)panes) - .05;
            panel_y(m, y + side * .004, a, b, glass0, glass1, side);
        }
        if (side < 0) { /* doors */
            for (int i = 0; i < 2; i++) {
                double c = i ? m->x1 - 1.0 : kn_mix(m->x0, m->x1, .42);
                for (int k = 0; k < 2; k++) {
                    kn_model_rubber(m);
                    panel_y(m, y - .006, c - .62 + .62 * k, c - .02 + .62 * k, base + .05, glass1 + .1, side);
                    kn_model_glass(m);
                    panel_y(m, y - .009, c - .55 + .62 * k, c - .09 + .62 * k, base + .22, glass1 + .04, side);
                }
            }
        }
        kn_model_plain(m, .7, .7, .68, .4, KN_TEXTURE_PAINT);
        panel_y(m, y + side * .002, m->x0 + .1, m->x1 - .1, base + .26 * h, base + .30 * h, side);
        double w = m->hw + .03;
        kn_model_rubber(m);
        kn_build_soft_box(&m->body, kn_v3(m->x1 - .12, side > 0 ? w - .15 : -w, base + .55 * h),
                          kn_v3(m->x1, side > 0 ? w : -w + .15, base + .75 * h), .03);
    }
}

void kn_model_bus(kn_model_build *m) {
    double L = m->x1 - m->x0, h = m->z1 - m->z0, r = kn_clamp(.16 * h, .3, .5), base = m->z0 + .10 * h,
           H = m->z1 - base;
    double full = m->hw;
    m->hw = full - .03; /* the mirrors reach the width of the box */
    kn_model_paint(m);
    kn_build_soft_box(&m->body, kn_v3(m->x0 + .01, -m->hw, base), kn_v3(m->x1 - .01, m->hw, m->z1 - .10), .12);
    kn_model_plain(m, .6, .6, .6, .5, KN_TEXTURE_PAINT);
    kn_build_soft_box(&m->body, kn_v3(m->x0 + .15 * L, -m->hw * .7, m->z1 - .12),
                      kn_v3(m->x1 - .3 * L, m->hw * .7, m->z1), .06);
    bus_sides(m, base, H);
    double f = m->x1 - .005, b = m->x0 + .005, hw = m->hw;
    kn_model_glass(m);
    panel_x(m, f, -hw + .14, hw - .14, base + .32 * H, base + .80 * H, 1);
    panel_x(m, b, -hw + .25, hw - .25, base + .50 * H, base + .80 * H, -1);
    kn_model_rubber(m);
    panel_x(m, f, -hw + .14, hw - .14, base + .82 * H, base + .93 * H, 1);
    panel_x(m, f, -hw + .2, hw - .2, base + .03, base + .09 * H, 1);
    panel_x(m, b - .001, -hw + .35, hw - .35, base + .10 * H, base + .28 * H, -1);
    kn_material sign = kn_lamp_matter(.75, .38, .06, KN_EMITTER_ALWAYS, 1.6, m->semantic);
    kn_build_use(&m->body, sign);
    panel_x(m, f + .004, -hw * .55, hw * .55, base + .85 * H, base + .90 * H, 1);
    for (int side = -1; side <= 1; side += 2) {
        double y = side * (hw - .32);
        kn_model_lamp(m, KN_EMITTER_HEAD);
        panel_x(m, f + .002, y - .16, y + .16, base + .13 * H, base + .20 * H, 1);
        kn_model_head_light(m, f, y, base + .16 * H);
        kn_model_lamp(m, side > 0 ? KN_EMITTER_LEFT : KN_EMITTER_RIGHT);
        panel_x(m, f + .002, y - .16, y + .16, base + .205 * H, base + .225 * H, 1);
    }
    rear_lamps(m, b - .003, hw, base + .3 * H);
    double rear = m->x0 < -.1 * L && m->x0 > -.4 * L ? 0 : m->x0 + .28 * L;
    for (int i = 0; i < 2; i++) { /* wheels just inside the box, proud of the skin */
        double x = i ? m->x1 - .22 * L : rear;
        arch(m, x, hw + .006, r, base);
        kn_model_axle(m, x, hw + .028, r, .3, i == 1, true);
    }
    m->hw = full;
}
