/* The moving parts of road users: wheels roll and steer, people walk, cyclists pedal. */
#include "scene/world/models.h"

static const double ROLLING_RADIUS =
    0.33;                        /* metres of the wheel that kn_actor_state.wheel_angle counts for (motion.c) */
static const double GEAR = 0.42; /* turns of a crank per turn of that wheel */

void kn_limb_reach(kn_vec3 from, kn_vec3 to, double a, double b, bool bends_back, double *upper, double *bend) {
    double dx = to.x - from.x, dz = to.z - from.z, d = kn_clamp(hypot(dx, dz), fabs(a - b) + .01, (a + b) * .999);
    double line = atan2(dx, -dz), alpha = acos(kn_clamp((a * a + d * d - b * b) / (2 * a * d), -1, 1));
    *bend = M_PI - acos(kn_clamp((a * a + b * b - d * d) / (2 * a * b), -1, 1));
    *upper = bends_back ? line + alpha : line - alpha;
}

/* Where somebody is in a walking cycle of two steps (radians), and how far the limbs swing (0 standing .. 1). */
static double gait(const kn_actor_model *model, const kn_actor_state *state, double *swing) {
    *swing = kn_smooth(0.05, 1.1, fabs(state->speed)) * (1 + 0.3 * kn_smooth(1.6, 3.5, fabs(state->speed)));
    double cycle =
        1.15 * 8 * model->limb * sin(model->stride); /* metres; a little more than the feet's way: people also roll */
    return state->wheel_angle * ROLLING_RADIUS / cycle * 2 * M_PI + model->phase;
}

static double hip_angle(const kn_actor_model *model, const kn_actor_state *state, int side) {
    double swing, phase = gait(model, state, &swing);
    return model->stride * swing * side * sin(phase) + .02;
}

/* Bent while the leg swings forward, nearly straight while it carries. */
static double knee_angle(const kn_actor_model *model, const kn_actor_state *state, int side) {
    double swing, phase = gait(model, state, &swing), forward = fmax(side * cos(phase), 0);
    return .04 + swing * (.06 + .85 * forward * forward);
}

/* A pedal under the left (+1) or right foot, in the actor's frame. */
static kn_vec3 pedal(const kn_actor_model *model, const kn_actor_state *state, int side) {
    double a = state->wheel_angle * GEAR + model->phase, x = .085 * side, z = -.145 * side;
    return kn_v3(model->crank.x + x * cos(a) + z * sin(a), model->crank.y,
                 model->crank.z + z * cos(a) - x * sin(a) + .075);
}

/* Forward angle of a part about its joint. */
static double joint_angle(const kn_actor_model *model, const kn_actor_wheel *part, const kn_actor_state *state) {
    double upper, bend, swing, phase;
    switch (part->motion) {
    case KN_PART_THIGH: return hip_angle(model, state, part->side);
    case KN_PART_SHIN: return -knee_angle(model, state, part->side);
    case KN_PART_ARM: return -.75 * hip_angle(model, state, part->side);
    case KN_PART_FOREARM:
        phase = gait(model, state, &swing);
        return .12 + swing * (.35 - .15 * part->side * sin(phase));
    case KN_PART_CRANK: return -(state->wheel_angle * GEAR + model->phase);
    case KN_PART_PEDAL_THIGH:
    case KN_PART_PEDAL_SHIN: {
        const kn_actor_wheel *thigh = part->motion == KN_PART_PEDAL_THIGH ? part : &model->wheels[part->parent - 1];
        kn_limb_reach(thigh->position, pedal(model, state, part->side), model->limb, model->limb, true, &upper, &bend);
        return part->motion == KN_PART_PEDAL_THIGH ? upper : -bend;
    }
    case KN_PART_WHEEL: break;
    }
    return 0;
}

kn_pose kn_actor_part_pose(const kn_actor_model *model, int index, const kn_actor_state *state) {
    kn_pose body = kn_pose_identity();
    if (model->walks) { /* the hips sink as the legs spread */
        double a = hip_angle(model, state, 1) - .02;
        body.translation.z = -2 * model->limb * (1 - cos(a));
    }
    if (index < 0) return body;
    const kn_actor_wheel *part = &model->wheels[index];
    if (part->motion == KN_PART_WHEEL) {
        /* Ackermann: a wheel this far in front of the rear axle points along the circle. */
        double steer = part->steers ? atan(part->position.x * state->curvature) : 0;
        return kn_pose_from_euler(part->position, steer, state->wheel_angle, 0);
    }
    kn_pose parent = part->parent > 0 ? kn_actor_part_pose(model, part->parent - 1, state) : body;
    kn_pose joint = kn_pose_from_euler(part->position, 0, -joint_angle(model, part, state), 0);
    return kn_pose_multiply(&parent, &joint);
}
