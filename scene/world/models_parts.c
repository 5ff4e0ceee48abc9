/* Parts that parametric actors share: paint, glass, lamps, wheels. */
#include "scene/world/models.h"

void kn_model_plain(kn_model_build *m, double r, double g, double b, double roughness, kn_texture texture) {
    kn_build_use(&m->body, kn_matter(r, g, b, roughness, texture, m->semantic, .1));
}

void kn_model_paint(kn_model_build *m) {
    const double *c = m->actor->color;
    kn_model_plain(m, kn_clamp(c[0], 0, 1), kn_clamp(c[1], 0, 1), kn_clamp(c[2], 0, 1), .28, KN_TEXTURE_CAR_PAINT);
}

void kn_model_glass(kn_model_build *m) { kn_model_plain(m, .022, .027, .032, .06, KN_TEXTURE_GLASS); }

void kn_model_rubber(kn_model_build *m) { kn_model_plain(m, .022, .022, .024, .8, KN_TEXTURE_RUBBER); }

void kn_model_metal(kn_model_build *m, double brightness) {
    kn_material metal = kn_matter(brightness, brightness, brightness * 1.02, .35, KN_TEXTURE_METAL, m->semantic, .1);
    metal.metallic = .8f;
    kn_build_use(&m->body, metal);
}

void kn_model_lamp(kn_model_build *m, kn_emitter emitter) {
    kn_material lamp;
    switch (emitter) {
    case KN_EMITTER_HEAD: lamp = kn_lamp_matter(.78, .80, .82, emitter, 9, m->semantic); break;
    case KN_EMITTER_TAIL: lamp = kn_lamp_matter(.34, .012, .012, emitter, 3, m->semantic); break;
    case KN_EMITTER_BRAKE: lamp = kn_lamp_matter(.42, .018, .014, emitter, 12, m->semantic); break;
    case KN_EMITTER_REVERSE: lamp = kn_lamp_matter(.62, .62, .62, emitter, 4, m->semantic); break;
    default: lamp = kn_lamp_matter(.62, .24, .03, emitter, 9, m->semantic); break;
    }
    if (emitter == KN_EMITTER_BRAKE || emitter == KN_EMITTER_TAIL) lamp.emission[0] *= 2;
    kn_build_use(&m->body, lamp);
}

void kn_model_head_light(kn_model_build *m, double x, double y, double z) {
    if (m->model->lamp_count >= (int)KN_COUNT(m->model->lamps)) return;
    m->model->lamps[m->model->lamp_count++] =
        (kn_light){.position = kn_v3(x + .05, y + m->y0, z),
                   .direction = kn_vec3_normalize(kn_v3(1, y > 0 ? .02 : -.02, -.035)),
                   .color = {190, 185, 170},
                   .cone_cos = (float)cos(.42),
                   .range = 60};
}

static kn_actor_wheel *new_wheel(kn_model_build *m, kn_vec3 position, double radius, bool steers, kn_build *build) {
    if (m->model->wheel_count >= (int)KN_COUNT(m->model->wheels)) return NULL;
    kn_actor_wheel *wheel = &m->model->wheels[m->model->wheel_count++];
    wheel->position = kn_v3(position.x, position.y + m->y0, position.z);
    wheel->radius = radius;
    wheel->steers = steers;
    *build = m->body;
    build->mesh = &wheel->mesh;
    build->pose = kn_pose_identity();
    return wheel;
}

kn_actor_wheel *kn_model_part(kn_model_build *m, kn_part_motion motion, int parent, int side, kn_vec3 position,
                              kn_model_build *part) {
    if (m->model->wheel_count >= (int)KN_COUNT(m->model->wheels)) return NULL;
    kn_actor_wheel *wheel = &m->model->wheels[m->model->wheel_count++];
    wheel->position = parent ? position : kn_v3(position.x, position.y + m->y0, position.z);
    wheel->motion = motion;
    wheel->parent = parent;
    wheel->side = side;
    *part = *m;
    part->body.mesh = &wheel->mesh;
    part->body.pose = kn_pose_identity();
    return wheel;
}

/* Five to ten spokes from the hub to the rim in the plane y = face, slightly dished. */
static void spokes(kn_build *b, int count, double hub, double rim, double face, double thickness) {
    for (int i = 0; i < count; i++) {
        double angle = 2 * M_PI * i / count, w0 = hub * .55, w1 = rim * (count > 6 ? .11 : .17);
        kn_vec3 d = kn_v3(cos(angle), 0, sin(angle)), s = kn_v3(-sin(angle), 0, cos(angle));
        kn_vec3 in = kn_vec3_scale(d, hub * .6), out = kn_vec3_scale(d, rim), f = kn_v3(0, face, 0),
                g = kn_v3(0, face - thickness, 0);
        kn_vec3 a0 = kn_vec3_add(in, kn_vec3_scale(s, w0)), a1 = kn_vec3_sub(in, kn_vec3_scale(s, w0));
        kn_vec3 b0 = kn_vec3_add(out, kn_vec3_scale(s, w1)), b1 = kn_vec3_sub(out, kn_vec3_scale(s, w1));
        kn_build_quad(b, kn_vec3_add(a0, f), kn_vec3_add(b0, f), kn_vec3_add(b1, f), kn_vec3_add(a1, f));
        kn_build_quad(b, kn_vec3_add(a0, g), kn_vec3_add(b0, g), kn_vec3_add(b0, f), kn_vec3_add(a0, f));
        kn_build_quad(b, kn_vec3_add(a1, f), kn_vec3_add(b1, f), kn_vec3_add(b1, g), kn_vec3_add(a1, g));
    }
}

/* A disc or ring in the plane y, facing +y. */
static void ring(kn_build *b, double r0, double r1, double y, int segments) {
    kn_vec2 profile[2] = {{r1, y}, {r0, y}};
    kn_build_lathe_y(b, kn_v3(0, 0, 0), profile, 2, segments);
}

static void draw_road_wheel(kn_model_build *m, kn_build *b, double r, double width, int spoke_count, bool steel) {
    int segments = m->detail > .7 ? 20 : 12;
    double h = width / 2, rim = r * .68;
    kn_model_build local = *m;
    local.body = *b;
    kn_model_rubber(&local);
    kn_vec2 tyre[] = {{rim, -h * .8}, {r * .96, -h}, {r, -h * .8}, {r, h * .8}, {r * .96, h}, {rim, h * .86}};
    kn_build_lathe_y(&local.body, kn_v3(0, 0, 0), tyre, 6, segments);
    kn_model_plain(&local, .035, .035, .037, .6, KN_TEXTURE_METAL); /* drum behind the spokes */
    ring(&local.body, 0, rim, h * .25, segments);
    kn_model_metal(&local, steel ? .20 : .52);
    ring(&local.body, rim * .88, rim, h * .86, segments);
    spokes(&local.body, spoke_count, rim * .22, rim * .92, h * .80, h * .30);
    ring(&local.body, 0, rim * .2, h * .84, 10);
    local.body.pose = kn_pose_identity();
    *b = local.body;
}

void kn_model_axle(kn_model_build *m, double x, double half_track, double radius, double width, bool steers,
                   bool steel) {
    int count = steel ? 8 : (int[]){5, 5, 6, 7, 10}[kn_hash64(m->actor->seed ^ 77) % 5];
    for (int side = 1; side >= -1; side -= 2) {
        kn_build build;
        kn_vec3 position = kn_v3(x, side * (half_track - width / 2), m->z0 + radius);
        if (!new_wheel(m, position, radius, steers, &build)) return;
        if (side < 0) build.pose = kn_pose_from_euler(kn_v3(0, 0, 0), M_PI, 0, 0);
        draw_road_wheel(m, &build, radius, width, count, steel);
        m->body.failed |= build.failed;
    }
}

void kn_model_single_wheel(kn_model_build *m, double x, double radius, double width, bool steers, int spoke_count) {
    kn_build build;
    if (!new_wheel(m, kn_v3(x, 0, m->z0 + radius), radius, steers, &build)) return;
    kn_model_build local = *m;
    local.body = build;
    int segments = m->detail > .7 ? 28 : 16;
    double h = width / 2, rim = radius - width * 1.1;
    kn_model_rubber(&local);
    kn_vec2 tyre[] = {{rim, -h * .7}, {radius * .985, -h * .8}, {radius, 0}, {radius * .985, h * .8}, {rim, h * .7},
                      {rim, -h * .7}};
    kn_build_lathe_y(&local.body, kn_v3(0, 0, 0), tyre, 6, segments);
    kn_model_metal(&local, .5);
    for (int i = 0; i < spoke_count; i++) {
        double angle = 2 * M_PI * i / spoke_count, thick = spoke_count > 8 ? .004 : .018;
        kn_vec3 d = kn_v3(cos(angle), 0, sin(angle));
        kn_build_cylinder(&local.body, kn_vec3_scale(d, .02), kn_vec3_scale(d, rim), thick, thick, 3, 0);
    }
    kn_build_cylinder(&local.body, kn_v3(0, -h * 1.2, 0), kn_v3(0, h * 1.2, 0), radius * .1, radius * .1, 8, 3);
    m->body.failed |= local.body.failed;
}
