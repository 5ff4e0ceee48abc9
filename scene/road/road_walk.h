/* Moving along lanes. Internal to scene/. */
#ifndef KN_SCENE_ROAD_WALK_H
#define KN_SCENE_ROAD_WALK_H

#include "scene/road/road.h"

/* Somebody on a lane who moves towards growing s (direction +1) or falling s (-1), which need not be the lane's own
 * driving direction. offset: metres from the lane's centre to the left of that motion. */
typedef struct kn_walker {
    int road, lane, direction;
    double s, offset;
} kn_walker;

/* Which way to go at junctions: the first road of `route` (indices, in order of travel) that can be reached; without a
 * match the smallest turn, or the largest to the left (turn +1) or right (-1). */
typedef struct kn_walk_plan {
    const int *route;
    size_t route_count;
    int turn;
} kn_walk_plan;

/* Driving direction of a lane in s: +1 or -1. */
int kn_lane_direction(const kn_road *road, int lane);

/* Moves by `distance` >= 0 metres along the lane. False at a dead end (the walker then stands there). `left` (may be
 * NULL) receives the metres that were not walked. */
bool kn_road_walk(const kn_road_network *network, kn_walker *walker, double distance, const kn_walk_plan *plan,
                  double *left);

/* Pose facing along the motion; `drift` is d(offset)/d(distance) and turns the pose. */
kn_pose kn_walker_pose(const kn_road_network *network, const kn_walker *walker, double drift);

/* Curvature of the walker's path, 1/m, left of the motion positive. */
double kn_walker_curvature(const kn_road_network *network, const kn_walker *walker);

/* Pose at a road's (s, t) with a free heading in the world: stands on the (tilted) surface. */
kn_pose kn_road_surface_pose(const kn_road *road, double s, double t, double yaw);

/* Lane whose span contains t at s, KN_NO_LANE beside the road. Among lanes without width the nearest is not taken. */
int kn_road_lane_at(const kn_road *road, double s, double t);

/* True for lanes on which motor vehicles drive. */
bool kn_lane_is_drivable(kn_lane_type type);

/* The shortest way in metres over lane links from a walker to the beginning of a road: the roads' indices go to `route`
 * (the first `capacity`), their number to *count; 0: there is no way. False when memory runs out. */
bool kn_road_route(const kn_road_network *network, const kn_walker *from, int to_road, int *route, size_t capacity,
                   size_t *count, kn_error *error);

#endif
