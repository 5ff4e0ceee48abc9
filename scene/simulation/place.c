/* Where road users stand: on a lane, or free on the surface of a road. */
#include "scene/simulation/simulation.h"

void kn_sim_place_on_lane(kn_sim *sim, kn_sim_actor *actor, kn_walker walker) {
    actor->walker = walker;
    actor->on_lane = true;
    actor->placed = true;
    actor->present = !actor->removed;
    actor->path = NULL;
    actor->offset_active = false;
    actor->drift = 0;
    actor->indicator = 0;
    actor->at_dead_end = false;
    actor->pose = kn_walker_pose(sim->network, &actor->walker, 0);
    actor->yaw = atan2(actor->pose.rotation[1][0], actor->pose.rotation[0][0]);
}

kn_pose kn_sim_surface_pose(const kn_sim *sim, kn_vec3 position, double yaw) {
    kn_road_position at = kn_road_locate(sim->network, position.x, position.y, 3);
    if (at.road < 0) return kn_pose_from_euler(position, yaw, 0, 0);
    kn_pose pose = kn_road_surface_pose(&sim->network->roads[at.road], at.s, at.t, yaw);
    if (fabs(pose.translation.z - position.z) > 4 && position.z != 0)
        return kn_pose_from_euler(position, yaw, 0, 0); /* another level */
    pose.translation.x = position.x;
    pose.translation.y = position.y;
    return pose;
}

void kn_sim_place_in_world(kn_sim *sim, kn_sim_actor *actor, kn_vec3 position, double yaw) {
    kn_road_position at = kn_road_locate(sim->network, position.x, position.y, 0.5);
    if (at.road >= 0 && at.lane != KN_NO_LANE && !sim->network->roads[at.road].open_ground) {
        const kn_road *road = &sim->network->roads[at.road];
        double heading = kn_road_at(road, at.s, 0).heading, turn = kn_wrap_angle(yaw - heading);
        if (cos(turn) * cos(turn) > 0.75) {
            int direction = cos(turn) > 0 ? 1 : -1;
            double center = kn_lane_span_at(road, at.s, at.lane).center;
            kn_sim_place_on_lane(sim, actor,
                                 (kn_walker){at.road, at.lane, direction, at.s, direction * (at.t - center)});
            return;
        }
    }
    actor->on_lane = false;
    actor->placed = true;
    actor->present = !actor->removed;
    actor->path = NULL;
    actor->offset_active = false;
    actor->indicator = 0;
    actor->yaw = yaw;
    actor->pose = kn_sim_surface_pose(sim, position, yaw);
}
