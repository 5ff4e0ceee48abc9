/* Trailers: each hangs with its coupler on the hitch of what tows it and rolls after it without side slip. */
#include "scene/simulation/simulation.h"

enum { MAX_CHAIN = 8 };

bool kn_sim_coupled(const kn_sim *sim, size_t a, size_t b) {
    size_t ends[2] = {a, b};
    for (int k = 0; k < 2; k++) {
        size_t at = ends[k];
        for (int i = 0; i < MAX_CHAIN && sim->actors[at].tower >= 0; i++) {
            at = (size_t)sim->actors[at].tower;
            if (at == ends[1 - k]) return true;
        }
    }
    return false;
}

static double pose_yaw(const kn_pose *pose) { return atan2(pose->rotation[1][0], pose->rotation[0][0]); }

/* How many vehicles are in front. */
static int rank_of(const kn_sim *sim, size_t index) {
    int rank = 0;
    while (sim->actors[index].tower >= 0 && rank < MAX_CHAIN) {
        index = (size_t)sim->actors[index].tower;
        rank++;
    }
    return rank;
}

/* The towed axle is drawn after the hitch: over a short step it moves straight towards it (a tractrix). */
static void follow(kn_sim *sim, kn_sim_actor *trailer, const kn_sim_actor *tower, bool settle) {
    kn_vec3 hitch = kn_pose_point(&tower->pose, (kn_vec3){tower->hitch, 0, 0}), axle = trailer->pose.translation;
    double dx = hitch.x - axle.x, dy = hitch.y - axle.y, away = hypot(dx, dy), before = trailer->yaw;
    bool torn = !trailer->placed || away > fabs(trailer->coupler) + 5; /* teleported */
    double yaw = settle || torn || trailer->coupler < 0.5 || away < 1e-3 ? pose_yaw(&tower->pose) : atan2(dy, dx);
    kn_vec3 position = {hitch.x - trailer->coupler * cos(yaw), hitch.y - trailer->coupler * sin(yaw),
                        tower->pose.translation.z};
    double moved = hypot(position.x - axle.x, position.y - axle.y);
    trailer->on_lane = false;
    trailer->towed_by = trailer->tower + 1;
    trailer->path = NULL;
    trailer->placed = true;
    trailer->present = tower->present && !trailer->removed;
    trailer->yaw = yaw;
    trailer->pose = kn_sim_surface_pose(sim, position, yaw);
    double speed = tower->speed * cos(yaw - pose_yaw(&tower->pose));
    trailer->acceleration = tower->acceleration;
    trailer->curvature = moved > 1e-3 && !torn ? 0.8 * trailer->curvature + 0.2 * kn_wrap_angle(yaw - before) / moved
                                               : trailer->curvature;
    trailer->speed = speed;
    trailer->wheel_angle += speed * KN_SIM_STEP / 0.5;
    trailer->odometer += fabs(speed) * KN_SIM_STEP;
    trailer->indicator = tower->indicator;
    trailer->left_network = trailer->left_network || tower->left_network;
    trailer->followed_path = trailer->followed_path || tower->followed_path;
}

void kn_sim_tow(kn_sim *sim, bool settle) {
    int deepest = 0;
    for (size_t i = 0; i < sim->actor_count; i++) deepest = sim->actors[i].tower >= 0 && !deepest ? MAX_CHAIN : deepest;
    for (int rank = 1; rank <= deepest; rank++)
        for (size_t i = 0; i < sim->actor_count; i++) {
            kn_sim_actor *trailer = &sim->actors[i];
            if (trailer->tower >= 0 && rank_of(sim, i) == rank && sim->actors[trailer->tower].placed)
                follow(sim, trailer, &sim->actors[trailer->tower], settle);
        }
}
