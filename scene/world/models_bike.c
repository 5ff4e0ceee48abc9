/* Motorbikes and bicycles with their riders. */
#include "scene/world/models.h"

static void tube(kn_model_build *m, kn_vec3 a, kn_vec3 b, double r) {
    kn_build_cylinder(&m->body, a, b, r, r, m->detail > .7 ? 7 : 4, 3);
}

/* A rider on `seat` whose hands hold `grip` and whose feet stand on the two pedals. */
static void rider(kn_model_build *m, kn_vec3 seat, double h, double lean, kn_vec3 grip, kn_vec3 left, kn_vec3 right,
                  bool pedals) {
    kn_human_pose pose = {.lean = lean};
    kn_vec3 shoulder = kn_vec3_add(seat, kn_v3(.265 * h * sin(lean), 0, .26 * h * cos(lean))),
            hip = kn_vec3_sub(seat, kn_v3(0, 0, .02 * h));
    kn_limb_reach(shoulder, grip, .165 * h, .175 * h, false, &pose.shoulder_left, &pose.elbow);
    pose.shoulder_right = pose.shoulder_left;
    kn_limb_reach(hip, left, .235 * h, .235 * h, true, &pose.hip_left, &pose.knee_left);
    kn_limb_reach(hip, right, .235 * h, .235 * h, true, &pose.hip_right, &pose.knee_right);
    kn_model_human(m, seat, h, &pose, true, pedals);
}

/* Chain wheel, crank arms and pedals, as one part that turns. */
static void draw_crank(kn_model_build *m, kn_vec3 crank) {
    kn_model_build part;
    if (!kn_model_part(m, KN_PART_CRANK, 0, 0, crank, &part)) return;
    kn_model_metal(&part, .45);
    kn_build_cylinder(&part.body, kn_v3(0, -.03, 0), kn_v3(0, -.024, 0), .09, .09, 14, 3);
    for (int side = -1; side <= 1; side += 2)
        tube(&part, kn_v3(0, .045 * side, 0), kn_v3(.085 * side, .055 * side, -.145 * side), .011);
    kn_model_rubber(&part);
    for (int side = -1; side <= 1; side += 2)
        tube(&part, kn_v3(.085 * side, .05 * side, -.145 * side), kn_v3(.085 * side, .15 * side, -.145 * side), .014);
    m->body.failed |= part.body.failed;
}

void kn_model_bicycle(kn_model_build *m) {
    double length = m->x1 - m->x0, r = kn_clamp(length * .195, .2, .36), h = m->z1 - m->z0;
    double xr = m->x0 + r, xf = m->x1 - r, z = m->z0 + r;
    kn_model_single_wheel(m, xr, r, .04, false, 14);
    kn_model_single_wheel(m, xf, r, .04, true, 14);
    kn_vec3 crank = kn_v3(kn_mix(xr, xf, .42), 0, z - .05), saddle = kn_v3(kn_mix(xr, xf, .27), 0, z + .58 * h / 1.8),
            headset = kn_v3(kn_mix(xr, xf, .84), 0, z + .50 * h / 1.8);
    kn_vec3 fork = kn_v3(xf, 0, z), rear = kn_v3(xr, 0, z), low = kn_mix3(saddle, crank, .16);
    kn_model_paint(m);
    tube(m, crank, saddle, .018);
    tube(m, low, headset, .018);
    tube(m, crank, headset, .022);
    tube(m, headset, fork, .016);
    for (int side = -1; side <= 1; side += 2) {
        kn_vec3 out = kn_v3(0, .05 * side, 0);
        tube(m, crank, kn_vec3_add(rear, out), .011);
        tube(m, low, kn_vec3_add(rear, out), .010);
    }
    kn_vec3 bar = kn_vec3_add(headset, kn_v3(-.03, 0, .09));
    kn_model_metal(m, .45);
    tube(m, headset, bar, .014);
    tube(m, kn_vec3_add(bar, kn_v3(0, -m->hw, 0)), kn_vec3_add(bar, kn_v3(0, m->hw, 0)), .012);
    draw_crank(m, crank);
    kn_model_rubber(m);
    kn_build_ellipsoid(&m->body, kn_vec3_add(saddle, kn_v3(.02, 0, .02)), kn_v3(.14, .07, .03), 8, 4);
    kn_model_lamp(m, KN_EMITTER_TAIL);
    kn_build_box(&m->body, kn_vec3_add(saddle, kn_v3(-.14, -.025, -.10)), kn_vec3_add(saddle, kn_v3(-.11, .025, -.05)),
                 KN_BOX_ALL);
    kn_model_lamp(m, KN_EMITTER_HEAD);
    kn_build_cylinder(&m->body, kn_vec3_add(bar, kn_v3(.03, 0, -.05)), kn_vec3_add(bar, kn_v3(.09, 0, -.05)), .02, .03,
                      8, 2);
    kn_vec3 left = kn_vec3_add(crank, kn_v3(.08, 0, -.11)), right = kn_vec3_add(crank, kn_v3(-.08, 0, .19));
    double size = fmax(.5, (h - (saddle.z - m->z0) - .09) / .47);
    rider(m, kn_vec3_add(saddle, kn_v3(.02, 0, .09)), size, .55, kn_vec3_add(bar, kn_v3(0, 0, .02)), left, right, true);
    m->model->crank = kn_vec3_add(crank, kn_v3(0, m->y0, 0));
}

static void motorbike_body(kn_model_build *m, double xr, double xf, double z, double s) {
    kn_model_paint(m);
    kn_build_ellipsoid(&m->body, kn_v3(kn_mix(xr, xf, .62), 0, z + .42 * s), kn_v3(.30 * s, .15 * s, .14 * s), 14,
                       8); /* tank */
    kn_build_ellipsoid(&m->body, kn_v3(kn_mix(xr, xf, .86), 0, z + .42 * s), kn_v3(.20 * s, .17 * s, .20 * s), 12,
                       8); /* fairing */
    kn_build_ellipsoid(&m->body, kn_v3(xr - .12 * s, 0, z + .40 * s), kn_v3(.26 * s, .10 * s, .07 * s), 10,
                       6);                                                                             /* tail */
    kn_build_ellipsoid(&m->body, kn_v3(xf, 0, z + .33 * s), kn_v3(.24 * s, .065 * s, .05 * s), 10, 5); /* mudguard */
    kn_model_rubber(m);
    kn_build_ellipsoid(&m->body, kn_v3(kn_mix(xr, xf, .33), 0, z + .42 * s), kn_v3(.34 * s, .13 * s, .06 * s), 12,
                       6); /* seat */
    kn_model_metal(m, .22);
    kn_build_soft_box(&m->body, kn_v3(kn_mix(xr, xf, .36), -.14 * s, z - .12 * s),
                      kn_v3(kn_mix(xr, xf, .72), .14 * s, z + .26 * s), .05 * s);
    for (int side = -1; side <= 1; side += 2) {
        tube(m, kn_v3(xf, side * .085 * s, z), kn_v3(kn_mix(xr, xf, .87), side * .085 * s, z + .52 * s), .026 * s);
        tube(m, kn_v3(xr, side * .08 * s, z), kn_v3(kn_mix(xr, xf, .40), side * .10 * s, z), .025 * s);
    }
    kn_model_metal(m, .5);
    kn_build_cylinder(&m->body, kn_v3(kn_mix(xr, xf, .40), -.16 * s, z - .06 * s),
                      kn_v3(xr - .18 * s, -.17 * s, z + .08 * s), .035 * s, .05 * s, 9, 3);
}

void kn_model_motorbike(kn_model_build *m) {
    double length = m->x1 - m->x0, h = m->z1 - m->z0, s = kn_clamp(length / 2.15, .6, 1.3), r = .31 * s;
    double xr = m->x0 + r + .10 * s, xf = m->x1 - r, z = m->z0 + r;
    kn_model_single_wheel(m, xr, r, .15 * s, false, 5);
    kn_model_single_wheel(m, xf, r, .11 * s, true, 5);
    motorbike_body(m, xr, xf, z, s);
    kn_vec3 bar = kn_v3(kn_mix(xr, xf, .80), 0, z + .66 * s);
    kn_model_rubber(m);
    tube(m, kn_vec3_add(bar, kn_v3(-.05, -m->hw, 0)), kn_vec3_add(bar, kn_v3(-.05, m->hw, 0)), .018);
    kn_model_glass(m);
    kn_build_quad(&m->body, kn_v3(bar.x + .18, -.12, bar.z - .04), kn_v3(bar.x + .18, .12, bar.z - .04),
                  kn_v3(bar.x + .05, .09, bar.z + .2), kn_v3(bar.x + .05, -.09, bar.z + .2));
    kn_vec3 lamp = kn_v3(kn_mix(xr, xf, .86) + .16 * s, 0, z + .45 * s);
    kn_model_lamp(m, KN_EMITTER_HEAD);
    kn_build_ellipsoid(&m->body, lamp, kn_v3(.05, .10 * s, .07 * s), 10, 6);
    kn_model_head_light(m, lamp.x, 0, lamp.z);
    double tail = m->x0;
    kn_model_lamp(m, KN_EMITTER_TAIL);
    kn_build_box(&m->body, kn_v3(tail, -.09, z + .36 * s), kn_v3(tail + .05, .09, z + .41 * s), KN_BOX_ALL);
    kn_model_lamp(m, KN_EMITTER_BRAKE);
    kn_build_box(&m->body, kn_v3(tail + .004, -.06, z + .41 * s), kn_v3(tail + .05, .06, z + .45 * s), KN_BOX_ALL);
    for (int side = -1; side <= 1; side += 2) {
        kn_model_lamp(m, side > 0 ? KN_EMITTER_LEFT : KN_EMITTER_RIGHT);
        kn_build_ellipsoid(&m->body, kn_v3(tail + .08, side * .17 * s, z + .38 * s), kn_v3(.03, .04, .025), 6, 4);
        kn_build_ellipsoid(&m->body, kn_v3(lamp.x - .1, side * .2 * s, z + .42 * s), kn_v3(.03, .04, .025), 6, 4);
    }
    kn_model_plain(m, .6, .6, .58, .5, KN_TEXTURE_FLAT);
    kn_build_quad(&m->body, kn_v3(tail + .06, .09, z + .1), kn_v3(tail + .06, -.09, z + .1),
                  kn_v3(tail + .03, -.09, z + .26), kn_v3(tail + .03, .09, z + .26));
    double seat = z + .52 * s;
    kn_vec3 foot = kn_v3(kn_mix(xr, xf, .42), 0, z + .02);
    double size = fmax(.6, (h - (seat - m->z0)) / .47);
    rider(m, kn_v3(kn_mix(xr, xf, .34), 0, seat), size, .45, kn_vec3_add(bar, kn_v3(-.06, 0, .02)), foot, foot, false);
}
