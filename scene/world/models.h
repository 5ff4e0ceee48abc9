/* Builders of parametric actors. Internal to scene/. All draw in the actor's frame. */
#ifndef KN_SCENE_MODELS_H
#define KN_SCENE_MODELS_H

#include "scene/world/build.h"

/* What a builder works on. `detail` 1 is full; below .7 a coarser version for things far away. */
typedef struct kn_model_build {
    kn_build body; /* draws into model->body */
    kn_actor_model *model;
    const kn_actor *actor;
    kn_rng rng;
    double detail;
    kn_semantic semantic;
    double x0, x1, hw, z0, z1; /* the box: rear, front, half width, bottom, top; metres in the actor's frame */
    double y0;                 /* of the box's centre line */
} kn_model_build;

void kn_model_car(kn_model_build *m); /* cars and vans */
void kn_model_truck(kn_model_build *m);
void kn_model_trailer(kn_model_build *m);
void kn_model_bus(kn_model_build *m);
void kn_model_motorbike(kn_model_build *m);
void kn_model_bicycle(kn_model_build *m);
void kn_model_pedestrian(kn_model_build *m);
void kn_model_cone(kn_model_build *m);
void kn_model_barrier(kn_model_build *m);
void kn_model_object(kn_model_build *m);

/* Adds a pair of road wheels with spoked rims, outer faces outwards, on an axle at x; half_track is to their outer
 * face. */
void kn_model_axle(kn_model_build *m, double x, double half_track, double radius, double width, bool steers,
                   bool steel);
/* One wheel with wire spokes (bicycle) or few thick ones, in the middle plane. */
void kn_model_single_wheel(kn_model_build *m, double x, double radius, double width, bool steers, int spokes);

void kn_model_paint(kn_model_build *m); /* body colour */
void kn_model_glass(kn_model_build *m);
void kn_model_rubber(kn_model_build *m); /* black trim, tyres, underbody */
void kn_model_metal(kn_model_build *m, double brightness);
void kn_model_lamp(kn_model_build *m, kn_emitter emitter); /* colour and power that belong to it */
void kn_model_plain(kn_model_build *m, double r, double g, double b, double roughness, kn_texture texture);
void kn_model_head_light(kn_model_build *m, double x, double y, double z);

/* A person of `height` standing at the origin facing +x, limbs posed by angles in radians (forward positive). */
typedef struct kn_human_pose {
    double hip_left, hip_right, knee_left, knee_right; /* knees bend backwards with positive angles */
    double shoulder_left, shoulder_right, elbow;       /* elbows bend forwards */
    double lean;                                       /* of the trunk */
} kn_human_pose;
/* With `split`, legs and (of people on foot) arms are parts that move; else everything is drawn into the body. */
void kn_model_human(kn_model_build *m, kn_vec3 pelvis, double height, const kn_human_pose *pose, bool helmet,
                    bool split);
/* Angles of a two-part limb of lengths a and b between two points: of the upper part against straight down (forward
 * positive), and the bend between the parts. */
void kn_limb_reach(kn_vec3 from, kn_vec3 to, double a, double b, bool bends_back, double *upper, double *bend);
/* A new part that hangs at `position` (in the actor's frame, or its parent's); draw into *part. NULL when there are too
 * many. */
kn_actor_wheel *kn_model_part(kn_model_build *m, kn_part_motion motion, int parent, int side, kn_vec3 position,
                              kn_model_build *part);

/* kn_actor_model_build with a level of detail, for static copies. */
bool kn_actor_model_build_detail(kn_actor_model *model, kn_world *world, const kn_actor *actor, double detail,
                                 kn_error *error);
void kn_actor_model_finish(kn_actor_model *model);

#endif
