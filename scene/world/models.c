/* Parametric actors: which builder makes what. */
#include "scene/world/models.h"

#include <string.h>

/* --- small things ----------------------------------------------------------------------------- */

void kn_model_cone(kn_model_build *m) {
    double h = m->z1 - m->z0, r = fmin(m->hw, (m->x1 - m->x0) / 2), xc = (m->x0 + m->x1) / 2;
    static const double z[] = {.06, .30, .46, .62, .78, 1}, orange[3] = {.72, .12, .02};
    kn_model_rubber(m);
    kn_build_soft_box(&m->body, kn_v3(m->x0, -m->hw, m->z0), kn_v3(m->x1, m->hw, m->z0 + .06 * h), .02);
    for (int i = 0; i < 5; i++) {
        double c = i % 2 ? .72 : 0;
        kn_model_plain(m, fmax(orange[0], c), fmax(orange[1], c), fmax(orange[2], c), .5, KN_TEXTURE_FLAT);
        kn_build_cylinder(&m->body, kn_v3(xc, 0, m->z0 + z[i] * h), kn_v3(xc, 0, m->z0 + z[i + 1] * h),
                          r * .78 * (1.06 - z[i]), r * .78 * (1.06 - z[i + 1]), 14, i == 4 ? 2 : 0);
    }
}

void kn_model_barrier(kn_model_build *m) {
    double h = m->z1 - m->z0;
    bool across = m->hw * 2 > m->x1 - m->x0; /* which way it is long */
    kn_pose keep = m->body.pose;
    double length = across ? 2 * m->hw : m->x1 - m->x0, half = across ? (m->x1 - m->x0) / 2 : m->hw;
    kn_vec3 mid = kn_v3((m->x0 + m->x1) / 2, 0, m->z0);
    kn_pose turn = kn_pose_from_euler(mid, across ? M_PI / 2 : 0, 0, 0);
    m->body.pose = kn_pose_multiply(&keep, &turn);
    int boards = (int)fmax(2, round(length / .35));
    for (int i = 0; i < boards; i++) { /* red and white boards with chevrons as slanted pieces */
        double x0 = -length / 2 + length * i / boards, x1 = -length / 2 + length * (i + 1) / boards;
        if (i % 2) kn_model_plain(m, .75, .75, .73, .4, KN_TEXTURE_FLAT);
        else kn_model_plain(m, .55, .03, .025, .4, KN_TEXTURE_FLAT);
        kn_build_box(&m->body, kn_v3(x0, -half * .25, h * .62), kn_v3(x1, half * .25, h), KN_BOX_ALL);
        kn_build_box(&m->body, kn_v3(x0, -half * .25, h * .22), kn_v3(x1, half * .25, h * .38), KN_BOX_ALL);
    }
    kn_model_rubber(m);
    for (int i = -1; i <= 1; i += 2) {
        double x = i * (length / 2 - .14 * fmin(length, 1));
        kn_build_box(&m->body, kn_v3(x - .04, -half * .2, .05), kn_v3(x + .04, half * .2, h * .97), KN_BOX_ALL);
        kn_build_box(&m->body, kn_v3(fmax(x - .12, -length / 2), -half, 0),
                     kn_v3(fmin(x + .12, length / 2), half, fmin(.12, h * .2)), KN_BOX_ALL);
    }
    m->body.pose = keep;
}

void kn_model_object(kn_model_build *m) {
    double bevel = fmin(.05, fmin(m->hw, fmin(m->x1 - m->x0, m->z1 - m->z0)) * .15);
    kn_model_plain(m, m->actor->color[0], m->actor->color[1], m->actor->color[2], .6, KN_TEXTURE_PAINT);
    kn_build_soft_box(&m->body, kn_v3(m->x0, -m->hw, m->z0), kn_v3(m->x1, m->hw, m->z1), bevel);
}

/* --- dispatch --------------------------------------------------------------------------------- */

static kn_semantic semantic_of(kn_actor_class kind) {
    switch (kind) {
    case KN_ACTOR_CAR:
    case KN_ACTOR_VAN: return KN_SEMANTIC_CAR;
    case KN_ACTOR_TRUCK:
    case KN_ACTOR_TRAILER: return KN_SEMANTIC_TRUCK;
    case KN_ACTOR_BUS: return KN_SEMANTIC_BUS;
    case KN_ACTOR_MOTORBIKE: return KN_SEMANTIC_MOTORCYCLE;
    case KN_ACTOR_BICYCLE: return KN_SEMANTIC_BICYCLE;
    case KN_ACTOR_PEDESTRIAN: return KN_SEMANTIC_PEDESTRIAN;
    default: return KN_SEMANTIC_OBJECT;
    }
}

/* Moves the body's extremes in y and z onto the box exactly (x: both ends); what is built is within 2 % of it. */
static void fit_to_box(kn_model_build *m) {
    kn_mesh *mesh = &m->model->body;
    double low[3] = {1e30, 1e30, 1e30}, high[3] = {-1e30, -1e30, -1e30};
    double want_low[3] = {m->x0, m->y0 - m->hw, m->z0}, want_high[3] = {m->x1, m->y0 + m->hw, m->z1};
    for (size_t i = 0; i < mesh->vertex_count; i++) {
        for (int k = 0; k < 3; k++) {
            low[k] = fmin(low[k], mesh->position[i][k]);
            high[k] = fmax(high[k], mesh->position[i][k]);
        }
    }
    if (mesh->vertex_count == 0 || m->model->limb > 0) return; /* people are drawn to size; limbs would not follow */
    if (m->model->wheel_count > 0) want_low[2] = low[2];       /* the wheels stand on the ground, not the body */
    for (size_t i = 0; i < mesh->vertex_count; i++) {
        for (int k = 0; k < 3; k++) {
            double size = high[k] - low[k];
            if (size < 1e-6) continue;
            double t = (mesh->position[i][k] - low[k]) / size;
            mesh->position[i][k] = (float)kn_mix(want_low[k], want_high[k], t);
        }
    }
}

/* Scales a standing person (body and limbs) so that feet and head are where the box ends. */
static void fit_person(kn_model_build *m) {
    kn_actor_model *model = m->model;
    const kn_actor_state standing = {.pose = kn_pose_identity()};
    double low = INFINITY, high = -INFINITY;
    for (int i = -1; i < model->wheel_count; i++) {
        const kn_mesh *mesh = i < 0 ? &model->body : &model->wheels[i].mesh;
        kn_pose pose = kn_actor_part_pose(model, i, &standing);
        for (size_t v = 0; v < mesh->vertex_count; v++) {
            double z = kn_pose_point(&pose, kn_v3(mesh->position[v][0], mesh->position[v][1], mesh->position[v][2])).z;
            low = fmin(low, z), high = fmax(high, z);
        }
    }
    if (!(high - low > .05)) return;
    double scale = (m->z1 - m->z0) / (high - low), shift = m->z0 - low * scale;
    for (int i = -1; i < model->wheel_count; i++) {
        kn_mesh *mesh = i < 0 ? &model->body : &model->wheels[i].mesh;
        double up = i < 0 ? shift : 0;
        for (size_t v = 0; v < mesh->vertex_count; v++)
            for (int k = 0; k < 3; k++)
                mesh->position[v][k] = (float)(mesh->position[v][k] * scale + (k == 2 ? up : 0));
        if (i < 0) continue;
        kn_actor_wheel *part = &model->wheels[i];
        part->position = kn_vec3_scale(part->position, scale);
        part->position.z += part->parent ? 0 : shift;
    }
    model->limb *= scale;
}

static void build_kind(kn_model_build *m) {
    switch (m->actor->kind) {
    case KN_ACTOR_CAR:
    case KN_ACTOR_VAN: kn_model_car(m); break;
    case KN_ACTOR_TRUCK: kn_model_truck(m); break;
    case KN_ACTOR_TRAILER: kn_model_trailer(m); break;
    case KN_ACTOR_BUS: kn_model_bus(m); break;
    case KN_ACTOR_MOTORBIKE: kn_model_motorbike(m); break;
    case KN_ACTOR_BICYCLE: kn_model_bicycle(m); break;
    case KN_ACTOR_PEDESTRIAN: kn_model_pedestrian(m); break;
    case KN_ACTOR_CONE: kn_model_cone(m); break;
    case KN_ACTOR_BARRIER: kn_model_barrier(m); break;
    default: kn_model_object(m); break;
    }
}

void kn_actor_model_finish(kn_actor_model *model) {
    if (!model) return;
    kn_mesh_finish(&model->body);
    for (int i = 0; i < (int)KN_COUNT(model->wheels); i++) kn_mesh_finish(&model->wheels[i].mesh);
    memset(model, 0, sizeof *model);
}

bool kn_actor_model_build_detail(kn_actor_model *model, kn_world *world, const kn_actor *actor, double detail,
                                 kn_error *error) {
    memset(model, 0, sizeof *model);
    /* out of 5 cm .. 100 m nothing is sensible: cut; NaN counts as 5 cm */
    double length = fmin(fmax(actor->length, .05), 100), width = fmin(fmax(actor->width, .05), 100),
           height = fmin(fmax(actor->height, .05), 100);
    kn_model_build m = {.model = model,
                        .actor = actor,
                        .detail = detail,
                        .semantic = semantic_of(actor->kind),
                        .x0 = actor->center[0] - length / 2,
                        .x1 = actor->center[0] + length / 2,
                        .hw = width / 2,
                        .z0 = actor->center[2] - height / 2,
                        .z1 = actor->center[2] + height / 2,
                        .y0 = actor->center[1]};
    kn_build_init(&m.body, world, &model->body, error);
    m.body.pose.translation = kn_v3(0, m.y0, 0);
    m.body.instance = (uint16_t)actor->instance;
    kn_rng_init(&m.rng, actor->seed);
    build_kind(&m);
    if (m.body.failed) {
        kn_actor_model_finish(model);
        return false;
    }
    if (model->walks) fit_person(&m);
    else fit_to_box(&m);
    return true;
}

bool kn_actor_model_build(kn_actor_model *model, kn_world *world, const kn_actor *actor, kn_error *error) {
    return kn_actor_model_build_detail(model, world, actor, 1, error);
}
