/* The simulation: road users that move along lanes and paths at a fixed step. Scenarios, Kinora's JSON and generated
 * traffic all drive it. Internal to scene/. */
#ifndef KN_SCENE_SIMULATION_H
#define KN_SCENE_SIMULATION_H

#include "kinora/scene.h"
#include "scene/road/road_walk.h"
#include "scene/road/signals.h"
#include "scene/simulation/timeline.h"

#define KN_SIM_STEP (1.0 / 120) /* seconds */
#define KN_SIM_LONGEST 120.0    /* seconds of a clip without a given length whose scenario never stops by itself */

typedef enum kn_shape { KN_SHAPE_LINEAR, KN_SHAPE_CUBIC, KN_SHAPE_SINUSOIDAL, KN_SHAPE_STEP } kn_shape;

/* A value on its way from one level to another, over seconds or metres. */
typedef struct kn_transition {
    kn_shape shape;
    bool by_distance;
    double from, to;
    double span;     /* seconds or metres */
    double progress; /* in the same unit */
} kn_transition;

/* 0..1 at x in 0..1, and the slope's largest value. */
double kn_shape_at(kn_shape shape, double x);
double kn_shape_peak_slope(kn_shape shape);

/* A path to follow, in the world. Immutable. */
typedef struct kn_path {
    double (*points)[4]; /* [count] x, y, z, seconds since the path's start (NAN without timing) */
    double *along;       /* [count] metres from the start */
    double *yaw;         /* [count] direction of travel, or the given orientation */
    size_t count;
    bool timed, has_yaw;
    bool halt;   /* who leaves the roads on it stands at its end */
    bool closed; /* leads into itself: is followed for ever */
} kn_path;

typedef enum kn_speed_mode {
    KN_SPEED_HOLD,     /* keeps the speed */
    KN_SPEED_RAMP,     /* transition to a speed */
    KN_SPEED_FOLLOW,   /* speed of another + delta, for ever */
    KN_SPEED_PROFILE,  /* table of speeds */
    KN_SPEED_DISTANCE, /* keeps a distance or time gap to another */
    KN_SPEED_DRIVER,   /* car-following (IDM) */
    KN_SPEED_SYNC      /* reaches a place when another reaches his */
} kn_speed_mode;

/* Who commands an axis (longitudinal, lateral); an action whose owner was replaced has ended. */
typedef struct kn_axis {
    unsigned owner;
    bool active;
} kn_axis;

typedef struct kn_sim_actor {
    kn_actor look;
    const char *file;      /* where it is declared */
    int line, action_line; /* action_line: of the action that moved it last; 0: none */
    bool present, placed;
    bool removed; /* by an override: stays for conditions that name it, but is never present */

    bool on_lane; /* else free: straight on, or on a path */
    kn_walker walker;
    const int *route;
    size_t route_count;
    int turn; /* at junctions */
    kn_pose pose;
    double yaw; /* of a free actor */
    double speed, acceleration, curvature, odometer, wheel_angle, standstill;
    double drift; /* lateral slope, metres per metre */

    kn_axis longitudinal, lateral;
    kn_speed_mode speed_mode;
    kn_transition ramp;
    int leader;                       /* FOLLOW, DISTANCE: other actor */
    double speed_delta, speed_factor; /* FOLLOW */
    const double (*profile)[2];       /* PROFILE: [count] time, speed */
    size_t profile_count;
    double profile_time, profile_start;
    double gap, max_acceleration, max_deceleration, max_speed; /* DISTANCE */
    bool gap_is_time, gap_freespace, gap_continuous;
    double desired_speed, driver_acceleration; /* DRIVER */
    int granted;          /* connecting road that it may drive through its junction; -1: none (DRIVER) */
    double granted_until; /* odometer at which it has left it */
    double waiting;       /* seconds that it has stood before a junction */
    double fixed_speed;   /* >= 0: overrides every speed (--ego-speed) */

    bool offset_active;
    kn_transition offset; /* of walker.offset */
    const kn_path *path;
    double path_position; /* seconds or metres */
    double path_offset, path_scale;
    bool path_timed;

    int indicator; /* +1 left, -1 right while it changes lanes */
    unsigned lamps_forced_on, lamps_forced_off;
    int watched; /* by a collision condition of the scenario: 1 with others that are, 2 with anybody */
    bool at_dead_end, left_network, followed_path; /* the last two for the check: since when does not matter */

    const char *trailer;   /* name of the entity that this one tows; NULL: none */
    int tower;             /* actor that tows this one; -1: none */
    int towed_by;          /* the last one that did, plus 1; 0: nobody */
    double hitch, coupler; /* metres ahead of the origin: of the hitch for a trailer, of the point that hangs on the
                              tower's hitch */
    bool standing_free;    /* put above the ground by its file: follows no road surface while it stands */
    const struct kn_action *sync;   /* SYNC: whom to meet where */
    const struct kn_action *beside; /* keeps a lateral distance; NULL: no */
    double beside_speed;            /* m/s of that motion, left positive */
} kn_sim_actor;

typedef struct kn_sim {
    const kn_road_network *network;
    kn_sim_actor *actors; /* [actor_count]; the ego first */
    size_t actor_count, actor_capacity;
    double time; /* seconds */
    uint64_t step;
    kn_weather weather;
    bool stopped;              /* the scenario has ended */
    struct kn_way_ahead *ways; /* [ways_capacity] scratch of kn_traffic_drive */
    size_t ways_capacity;
    int8_t *signal_set; /* [network->signals->count] state that an action has set, -1: none; NULL: none at all */
} kn_sim;

/* Called at every step before anybody moves. */
typedef bool (*kn_sim_hook)(void *user, kn_sim *sim, kn_error *error);

kn_sim_actor *kn_sim_add(kn_sim *sim, kn_error *error);
void kn_sim_finish(kn_sim *sim);

/* Work memory for as many actors as there are now; before the first step. */
bool kn_sim_prepare(kn_sim *sim, kn_error *error);

/* Moves everybody by one step. */
void kn_sim_step(kn_sim *sim);

/* What lies ahead of somebody on a lane up to and through the next junction. */
typedef struct kn_way_ahead {
    int junction, road;       /* the junction and its connecting road; -1: none near */
    int from, from_direction; /* the road that leads into it */
    bool inside;              /* its origin is in the junction */
    double entry, exit;       /* metres from its front to the junction, and from its origin to the junction's far end */
    double turn;              /* heading change over the junction, left positive */
    double heading;           /* in which it enters */
    bool held;                /* a light holds it back */
    double light;             /* metres from its front to the red light that it has to stop at; INFINITY: none */
    int rank;                 /* by signs: 0 gives way, 1 nothing, 2 has priority */
} kn_way_ahead;
/* Right of way (traffic_rules.c): looks at everybody's way ahead and grants drivers their junctions.
 * ways[actor_count] */
void kn_traffic_rules(kn_sim *sim, kn_way_ahead *ways, double dt);
/* Metres from an actor's front to where it may have to stop: a red light, the line of a junction without lights. */
double kn_traffic_line(const kn_sim *sim, const kn_sim_actor *actor);
kn_signal_state kn_sim_signal(const kn_sim *sim, size_t index);

/* The speed at which an actor on a lane can take what lies ahead of it without braking hard. */
double kn_traffic_comfortable_speed(const kn_sim *sim, const kn_sim_actor *actor);

/* Trailers follow the hitches of what tows them (trailers.c). `settle` puts them straight behind. */
void kn_sim_tow(kn_sim *sim, bool settle);
/* Is one of the two towed by the other, over any number of trailers? */
bool kn_sim_coupled(const kn_sim *sim, size_t a, size_t b);

/* Speed after dt of an actor that synchronises with another; clears longitudinal.active when both have arrived. */
double kn_sync_speed(const kn_sim *sim, kn_sim_actor *actor, double dt);
/* Moves walker.offset towards the lateral distance that actor->beside asks for. */
void kn_beside_offset(const kn_sim *sim, kn_sim_actor *actor, double dt);

/* Car-following accelerations of all actors with KN_SPEED_DRIVER. */
void kn_traffic_drive(kn_sim *sim);

/* Puts an actor onto a lane, or free into the world; keeps its speed. */
void kn_sim_place_on_lane(kn_sim *sim, kn_sim_actor *actor, kn_walker walker);
/* At a world point: on a lane where there is one under it in about that direction, else free. */
void kn_sim_place_in_world(kn_sim *sim, kn_sim_actor *actor, kn_vec3 position, double yaw);

/* Pose of a free actor: on the road's surface where there is a road. */
kn_pose kn_sim_surface_pose(const kn_sim *sim, kn_vec3 position, double yaw);

/* Commands. `owner` identifies the action (0: none). */
void kn_sim_set_speed(kn_sim_actor *actor, unsigned owner, kn_transition ramp);
void kn_sim_set_offset(kn_sim_actor *actor, unsigned owner, kn_transition offset);
/* Changes to another lane of the same road; false when the road has no such lane there. */
bool kn_sim_change_lane(kn_sim *sim, kn_sim_actor *actor, unsigned owner, int lane, double target_offset,
                        kn_transition dynamics);
/* From `first` metres behind the path's start on; who stands nowhere yet stands there at once. */
void kn_sim_follow_path(const kn_sim *sim, kn_sim_actor *actor, unsigned owner, const kn_path *path, bool timed,
                        double scale, double offset, double first);

/* Transition from..to that takes `value` seconds or metres or has `value` as its rate. */
kn_transition kn_transition_of(kn_shape shape, int dimension, double value, double from,
                               double to); /* 0 time 1 rate 2 distance */

/* Distance between the oriented boxes of two actors in the plane; 0 when they overlap. */
double kn_box_distance(const kn_actor *a, const kn_pose *pose_a, const kn_actor *b, const kn_pose *pose_b);
/* True when the boxes, grown by `margin` on every side, overlap in the plane. */
bool kn_boxes_overlap(const kn_actor *a, const kn_pose *pose_a, const kn_actor *b, const kn_pose *pose_b,
                      double margin);

/* Runs the simulation and records frames. `hook` may be NULL. timeline->actors is copied from the simulation's. */
/* Removed actors do not appear in the timeline. */
bool kn_sim_record(kn_sim *sim, kn_sim_hook hook, void *user, const kn_scene_params *params, kn_timeline *timeline,
                   kn_error *error);

/* Weather of a scene whose file says nothing: a clear day. */
kn_weather kn_weather_default(void);
/* Weather and time of day as the caller's overrides want them; layout and colours do not depend on it. */
void kn_weather_override_apply(kn_weather *weather, const kn_scene_params *params);

/* Replaces everybody but the ego by `count` lawful vehicles around the ego's way (after `prepare` has reset the
 * scenario's state); they never touch the ego or each other. */
typedef struct kn_traffic_plan {
    int count;
    bool keep_actors; /* add to the actors that are there instead of replacing them */
    size_t droppable; /* actors from this index on may be left out when they touch somebody; 0: none */
    uint64_t seed;
    kn_sim_hook hook; /* the ego's scenario */
    void (*reset)(void *user);
    void *user;
} kn_traffic_plan;
/* *placed tells how many of plan->count found a place. Depends on scene and seed alone, not on the part that `params`
 * shows. */
bool kn_traffic_populate(kn_sim *sim, const kn_traffic_plan *plan, const kn_scene_params *params, int *placed,
                         kn_error *error);

/* Typical look of a class; length, width, height in metres, colour from the seed in the frequencies of real traffic. */
void kn_actor_look(kn_actor *actor, kn_actor_class kind, uint64_t seed);
void kn_actor_paint(kn_actor *actor); /* colour from actor->seed */
/* Colour from a word in a name such as "car_red"; false when there is none. */
bool kn_actor_paint_by_name(kn_actor *actor, const char *name);

#endif
