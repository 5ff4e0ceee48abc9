/* People: a walking figure with clothes, also used as rider. */
#include "scene/world/models.h"

static const double skins[][3] = {{.58, .36, .26}, {.46, .27, .18}, {.28, .15, .09}, {.12, .065, .04}, {.62, .42, .32}};
static const double hairs[][3] = {
    {.02, .015, .012}, {.07, .035, .015}, {.22, .13, .05}, {.30, .28, .26}, {.14, .05, .02}};
static const double trousers_colors[][3] = {{.03, .05, .11},  {.02, .02, .025}, {.16, .13, .09},
                                            {.08, .08, .085}, {.05, .06, .04},  {.25, .21, .15}};

/* A limb from a to b with a round joint at b. */
static void limb(kn_model_build *m, kn_vec3 a, kn_vec3 b, double ra, double rb) {
    int segments = m->detail > .7 ? 9 : 6;
    kn_build_cylinder(&m->body, a, b, ra, rb, segments, 0);
    kn_build_ellipsoid(&m->body, b, kn_v3(rb, rb, rb), segments, 4);
}

static kn_vec3 swing(kn_vec3 from, double length, double angle, double outward) {
    return kn_vec3_add(from, kn_v3(length * sin(angle), length * outward, -length * cos(angle)));
}

static void thigh(kn_model_build *m, kn_vec3 hip, kn_vec3 knee, double h, double out, const double cloth[3]) {
    kn_model_plain(m, cloth[0], cloth[1], cloth[2], .85, KN_TEXTURE_FABRIC);
    kn_build_ellipsoid(&m->body, kn_vec3_add(hip, kn_v3(0, out * -.006 * h, .005 * h)),
                       kn_v3(.062 * h, .056 * h, .06 * h), 8, 5);
    limb(m, hip, knee, .048 * h, .034 * h);
}

static void shin(kn_model_build *m, kn_vec3 knee, kn_vec3 foot, double h, double pitch, const double cloth[3],
                 const double shoe[3]) {
    kn_model_plain(m, cloth[0], cloth[1], cloth[2], .85, KN_TEXTURE_FABRIC);
    limb(m, knee, foot, .034 * h, .024 * h);
    kn_model_plain(m, shoe[0], shoe[1], shoe[2], .6, KN_TEXTURE_FABRIC);
    kn_vec3 toe = kn_vec3_add(foot, kn_v3(.075 * h * cos(pitch), 0, .075 * h * sin(pitch) - .015 * h));
    kn_build_ellipsoid(&m->body, kn_mix3(foot, toe, .45), kn_v3(.078 * h, .028 * h, .024 * h), 8, 5);
}

/* Fixed at these angles, or as parts that hang straight down and are turned by kn_actor_part_pose. */
static void leg(kn_model_build *m, kn_vec3 hip, double h, double angle, double knee, const double cloth[3],
                const double shoe[3], int split) {
    double out = hip.y > 0 ? 1 : -1;
    if (!split) {
        kn_vec3 k = swing(hip, .235 * h, angle, 0), f = swing(k, .235 * h, angle - knee, 0);
        thigh(m, hip, k, h, -out, cloth);
        shin(m, k, f, h, angle - knee, cloth, shoe);
        return;
    }
    bool rides = m->actor->kind != KN_ACTOR_PEDESTRIAN;
    kn_vec3 joint = kn_v3(0, 0, 0), below = kn_v3(0, 0, -.235 * h);
    kn_model_build part;
    if (!kn_model_part(m, rides ? KN_PART_PEDAL_THIGH : KN_PART_THIGH, 0, (int)out, hip, &part)) return;
    int carrier = m->model->wheel_count;
    thigh(&part, joint, below, h, -out, cloth);
    m->body.failed |= part.body.failed;
    if (!kn_model_part(m, rides ? KN_PART_PEDAL_SHIN : KN_PART_SHIN, carrier, (int)out, below, &part)) return;
    shin(&part, joint, below, h, rides ? .6 : 0, cloth, shoe);
    m->body.failed |= part.body.failed;
}

static void upper_arm(kn_model_build *m, kn_vec3 shoulder, kn_vec3 elbow, double h, const double cloth[3]) {
    kn_model_plain(m, cloth[0], cloth[1], cloth[2], .85, KN_TEXTURE_FABRIC);
    kn_build_ellipsoid(&m->body, shoulder, kn_v3(.038 * h, .034 * h, .036 * h), 8, 4);
    limb(m, shoulder, elbow, .031 * h, .024 * h);
}

static void forearm(kn_model_build *m, kn_vec3 elbow, kn_vec3 wrist, kn_vec3 hand, double h, const double cloth[3],
                    const double skin[3], bool bare) {
    const double *sleeve = bare ? skin : cloth;
    kn_model_plain(m, sleeve[0], sleeve[1], sleeve[2], bare ? .55 : .85, bare ? KN_TEXTURE_SKIN : KN_TEXTURE_FABRIC);
    limb(m, elbow, wrist, .024 * h, .018 * h);
    kn_model_plain(m, skin[0], skin[1], skin[2], .55, KN_TEXTURE_SKIN);
    kn_build_ellipsoid(&m->body, hand, kn_v3(.022 * h, .016 * h, .03 * h), 7, 4);
}

static void arm(kn_model_build *m, kn_vec3 shoulder, double h, double angle, double elbow, double outward,
                const double cloth[3], const double skin[3], bool bare, bool split) {
    kn_vec3 joint = kn_v3(0, 0, 0);
    if (!split) {
        kn_vec3 e = swing(shoulder, .165 * h, angle, outward), w = swing(e, .15 * h, angle + elbow, -outward * .4);
        upper_arm(m, shoulder, e, h, cloth);
        forearm(m, e, w, swing(w, .03 * h, angle + elbow, 0), h, cloth, skin, bare);
        return;
    }
    kn_model_build part;
    int side = outward > 0 ? 1 : -1;
    kn_vec3 e = swing(joint, .165 * h, 0, outward), w = swing(joint, .15 * h, 0, -outward * .4);
    if (!kn_model_part(m, KN_PART_ARM, 0, side, shoulder, &part)) return;
    int carrier = m->model->wheel_count;
    upper_arm(&part, joint, e, h, cloth);
    m->body.failed |= part.body.failed;
    if (!kn_model_part(m, KN_PART_FOREARM, carrier, side, e, &part)) return;
    forearm(&part, joint, w, swing(w, .03 * h, 0, 0), h, cloth, skin, bare);
    m->body.failed |= part.body.failed;
}

/* The trunk as a loft of ellipses from the seat to the neck. */
static void trunk(kn_model_build *m, kn_vec3 pelvis, double h, double lean, bool coat) {
    static const double z[] = {-.035, -.01, .05, .12, .20, .262, .297, .33},
                        rx[] = {.056, .066, .062, .058, .068, .064, .050, .026},
                        ry[] = {.086, .092, .084, .082, .102, .118, .096, .030};
    enum { RINGS = 8, N = 12 };
    kn_vec3 points[RINGS * N];
    for (int r = 0; r < RINGS; r++) {
        double flare = coat && r < 2 ? 1.25 : 1, drop = coat && r == 0 ? -.10 : 0, up = (z[r] + drop) * h;
        for (int i = 0; i < N; i++) {
            double a = 2 * M_PI * i / N;
            kn_vec3 p = kn_v3(rx[r] * h * flare * cos(a), ry[r] * h * flare * sin(a), 0);
            points[r * N + i] =
                kn_vec3_add(pelvis, kn_v3(p.x * cos(lean) + up * sin(lean), p.y, up * cos(lean) - p.x * sin(lean)));
        }
    }
    kn_build_grid(&m->body, points, N, RINGS, true, NULL);
}

static void head(kn_model_build *m, kn_vec3 neck, double h, const double skin[3], const double hair[3], bool helmet) {
    int n = m->detail > .7 ? 12 : 8;
    kn_model_plain(m, skin[0], skin[1], skin[2], .55, KN_TEXTURE_SKIN);
    kn_build_cylinder(&m->body, kn_vec3_sub(neck, kn_v3(0, 0, .03 * h)), kn_vec3_add(neck, kn_v3(.005 * h, 0, .05 * h)),
                      .028 * h, .026 * h, 8, 0);
    kn_vec3 c = kn_vec3_add(neck, kn_v3(.012 * h, 0, .088 * h));
    kn_build_ellipsoid(&m->body, c, kn_v3(.050 * h, .042 * h, .064 * h), n, 8);
    kn_build_ellipsoid(&m->body, kn_vec3_add(c, kn_v3(.05 * h, 0, -.008 * h)), kn_v3(.012 * h, .008 * h, .012 * h), 5,
                       3); /* nose */
    if (helmet) {
        const double *paint = m->actor->color;
        kn_model_plain(m, kn_mix(paint[0], .8, .3), kn_mix(paint[1], .8, .3), kn_mix(paint[2], .8, .3), .25,
                       KN_TEXTURE_PAINT);
        kn_build_ellipsoid(&m->body, kn_vec3_add(c, kn_v3(-.008 * h, 0, .018 * h)), kn_v3(.067 * h, .057 * h, .060 * h),
                           n, 8);
    } else {
        kn_model_plain(m, hair[0], hair[1], hair[2], .8, KN_TEXTURE_FABRIC);
        kn_build_ellipsoid(&m->body, kn_vec3_add(c, kn_v3(-.012 * h, 0, .014 * h)), kn_v3(.050 * h, .047 * h, .060 * h),
                           n, 7);
    }
}

void kn_model_human(kn_model_build *m, kn_vec3 pelvis, double h, const kn_human_pose *pose, bool helmet, bool split) {
    const double *skin = skins[kn_rng_int(&m->rng, 0, 4)], *hair = hairs[kn_rng_int(&m->rng, 0, 4)];
    const double *cloth = trousers_colors[kn_rng_int(&m->rng, 0, 5)], *top = m->actor->color;
    double other[3] = {.08, .09, .11};
    bool coat = !helmet && kn_rng_uniform(&m->rng, 0, 1) < .35, bare = !coat && kn_rng_uniform(&m->rng, 0, 1) < .4;
    if (m->actor->kind != KN_ACTOR_PEDESTRIAN) top = other; /* riders: the colour is their vehicle's */
    static const double shoes[][3] = {{.02, .018, .016}, {.6, .6, .58}, {.10, .05, .025}};
    const double *shoe = shoes[kn_rng_int(&m->rng, 0, 2)];
    bool walks = m->actor->kind == KN_ACTOR_PEDESTRIAN;
    if (split) {
        m->model->limb = .235 * h;
        m->model->walks = walks;
        m->model->stride = asin(kn_clamp(((m->x1 - m->x0) / 2 + .12 - .06 * h) / (.47 * h), .2, .42));
        m->model->phase = (double)(kn_hash64(m->actor->seed ^ 0x67616974) % 6283) / 1000;
    }
    leg(m, kn_vec3_add(pelvis, kn_v3(0, .052 * h, -.02 * h)), h, pose->hip_left, pose->knee_left, cloth, shoe, split);
    leg(m, kn_vec3_add(pelvis, kn_v3(0, -.052 * h, -.02 * h)), h, pose->hip_right, pose->knee_right, cloth, shoe,
        split);
    kn_model_plain(m, top[0], top[1], top[2], .85, KN_TEXTURE_FABRIC);
    trunk(m, pelvis, h, pose->lean, coat);
    kn_vec3 chest = kn_vec3_add(pelvis, kn_v3(.265 * h * sin(pose->lean), 0, .265 * h * cos(pose->lean)));
    arm(m, kn_vec3_add(chest, kn_v3(0, .102 * h, -.006 * h)), h, pose->shoulder_left, pose->elbow, walks ? .14 : .05,
        top, skin, bare, split && walks);
    arm(m, kn_vec3_add(chest, kn_v3(0, -.102 * h, -.006 * h)), h, pose->shoulder_right, pose->elbow,
        walks ? -.14 : -.05, top, skin, bare, split && walks);
    kn_vec3 neck = kn_vec3_add(pelvis, kn_v3(.335 * h * sin(pose->lean), 0, .335 * h * cos(pose->lean)));
    head(m, neck, h, skin, hair, helmet);
}

void kn_model_pedestrian(kn_model_build *m) {
    double h = m->z1 - m->z0, stride = kn_rng_uniform(&m->rng, .32, .48), sign = kn_rng_int(&m->rng, 0, 1) ? 1 : -1;
    kn_human_pose pose = {.hip_left = stride * sign,
                          .hip_right = -stride * sign,
                          .knee_left = sign > 0 ? .12 : .55,
                          .knee_right = sign > 0 ? .55 : .12,
                          .shoulder_left = -.45 * sign,
                          .shoulder_right = .45 * sign,
                          .elbow = .45,
                          .lean = .04};
    double xc = (m->x0 + m->x1) / 2;
    kn_model_human(m, kn_v3(xc, 0, m->z0 + .515 * h), h, &pose, false, true);
    if (kn_rng_uniform(&m->rng, 0, 1) < .35) { /* a rucksack */
        static const double colors[][3] = {{.05, .06, .10}, {.25, .04, .03}, {.05, .10, .06}};
        const double *c = colors[kn_rng_int(&m->rng, 0, 2)];
        kn_model_plain(m, c[0], c[1], c[2], .8, KN_TEXTURE_FABRIC);
        kn_build_soft_box(&m->body, kn_v3(xc - .125 * h, -.07 * h, m->z0 + .56 * h),
                          kn_v3(xc - .045 * h, .07 * h, m->z0 + .78 * h), .02 * h);
    }
}
