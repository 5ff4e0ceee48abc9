/* Road networks that are made in memory: simple roads and junctions. Internal to scene/. */
#ifndef KN_SCENE_ROAD_PLAN_H
#define KN_SCENE_ROAD_PLAN_H

#include "scene/road/road_read.h"

enum { KN_PLAN_LANES = 10, KN_PLAN_SEGMENTS = 16, KN_PLAN_ROADS = 256 };

typedef struct kn_lane_plan {
    kn_lane_type type;
    double width, width_end; /* metres at the road's start and end (0: as at the start) */
    kn_mark_type mark;       /* on its outer edge */
    kn_mark_color color;
} kn_lane_plan;

/* Cross-section from the centre outward. */
typedef struct kn_profile {
    kn_lane_plan left[KN_PLAN_LANES], right[KN_PLAN_LANES];
    int left_count, right_count;
    kn_mark_type center_mark;
    kn_mark_color center_color;
    double lane_offset;
    bool town;
    double speed_limit; /* m/s */
} kn_profile;

/* A piece of reference line: curvature goes linearly from k0 to k1, 1/m. */
typedef struct kn_segment {
    double length, k0, k1;
} kn_segment;

/* Where the next road may start. */
typedef struct kn_cursor {
    double x, y, heading, z;
} kn_cursor;

/* Room for `roads` roads and `junctions` junctions in arena memory. */
bool kn_plan_init(kn_road_network *network, size_t roads, size_t junctions, kn_error *error);
/* Appends a road that starts at *cursor and moves the cursor to its end. Index, or -1 with an error. */
int kn_plan_road(kn_road_network *network, kn_cursor *cursor, const kn_segment *segments, int count,
                 const kn_profile *profile, kn_error *error);
/* Gives a road a smooth hill: heights at its ends are *cursor's before and after. */
bool kn_plan_elevation(kn_road_network *network, int road, const double (*knots)[2], int count, kn_error *error);
/* Joins the end of `a` to the start of `b`, lane by lane. */
void kn_plan_join(kn_road_network *network, int a, int b);

/* An arm of a junction: a road with one end at it. */
typedef struct kn_arm {
    int road;
    bool at_end;  /* its end is at the junction, else its start */
    double angle; /* outward direction, radians */
    const kn_profile *profile;
} kn_arm;
/* Fills the junction around (x, y) whose arms end `radius` metres from it, arms sorted counter-clockwise by angle:
 * connecting roads for every turn, corners with pavements. */
bool kn_plan_junction(kn_road_network *network, int junction, double x, double y, double radius, const kn_arm *arms,
                      int arm_count, kn_error *error);

double kn_profile_width(const kn_lane_plan *lanes, int count);

#endif
