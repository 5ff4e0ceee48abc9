/* An OpenSCENARIO file as read: entities, actions, conditions, storyboard. Internal to scene/. */
#ifndef KN_SCENE_SCENARIO_H
#define KN_SCENE_SCENARIO_H

#include "scene/read/scenario_xml.h"
#include "scene/simulation/simulation.h"

typedef enum kn_position_kind {
    KN_POSITION_WORLD,
    KN_POSITION_RELATIVE_WORLD,
    KN_POSITION_RELATIVE_OBJECT,
    KN_POSITION_LANE,
    KN_POSITION_RELATIVE_LANE,
    KN_POSITION_ROAD,
    KN_POSITION_RELATIVE_ROAD
} kn_position_kind;

typedef struct kn_position {
    kn_position_kind kind;
    int line;
    int entity;     /* of the relative kinds */
    int road, lane; /* lane: id, or difference in RELATIVE_LANE */
    double s, t;    /* along and across (offset of LANE kinds); differences in relative kinds; metres */
    bool ds_lane;   /* RELATIVE_LANE: dsLane rather than ds */
    double x, y, z; /* WORLD, RELATIVE_WORLD, RELATIVE_OBJECT (dx, dy, dz) */
    double heading, pitch, roll;
    bool has_heading, heading_relative;
} kn_position;

typedef struct kn_dynamics {
    kn_shape shape;
    int dimension; /* 0 time, 1 rate, 2 distance */
    double value;
} kn_dynamics;

/* A trajectory before its positions are looked up. */
typedef struct kn_trajectory {
    enum { KN_TRAJECTORY_POLYLINE, KN_TRAJECTORY_CLOTHOID, KN_TRAJECTORY_NURBS } kind;
    kn_position *vertices; /* polyline, control points; clothoid: the starts of the segments (has_start) */
    double *times;         /* [vertex_count], NAN without */
    size_t vertex_count;
    double (*segments)[4]; /* clothoids: start curvature, end curvature, length, heading offset (NAN: continue) */
    bool *has_start;
    size_t segment_count;
    double clothoid_times[2]; /* start and stop, NAN without */
    double *segment_times;    /* [segment_count] at which each starts, NAN without */
    int order;                /* nurbs */
    double *weights, *knots;  /* [vertex_count], [knot_count] */
    size_t knot_count;
    bool closed;
    int line;
} kn_trajectory;

typedef enum kn_action_kind {
    KN_ACTION_NONE, /* unsupported: was reported, ends at once */
    KN_ACTION_SPEED,
    KN_ACTION_SPEED_PROFILE,
    KN_ACTION_DISTANCE,
    KN_ACTION_LANE_CHANGE,
    KN_ACTION_LANE_OFFSET,
    KN_ACTION_TELEPORT,
    KN_ACTION_TRAJECTORY,
    KN_ACTION_ROUTE,
    KN_ACTION_CONTROLLER,
    KN_ACTION_VISIBILITY,
    KN_ACTION_LIGHT,
    KN_ACTION_ENVIRONMENT,
    KN_ACTION_ADD,
    KN_ACTION_DELETE,
    KN_ACTION_PARAMETER,
    KN_ACTION_SYNCHRONIZE,
    KN_ACTION_BESIDE,
    KN_ACTION_TRAILER,
    KN_ACTION_SIGNAL
} kn_action_kind;

/* Weather that a file sets; NAN where it says nothing. */
typedef struct kn_environment {
    double sun_azimuth, sun_elevation, cloud_cover, rain, wetness, fog_range, seconds_of_day;
} kn_environment;

typedef struct kn_action {
    kn_action_kind kind;
    int line;
    int actor; /* initial and global entity actions; -1: the actors of the maneuver group */
    kn_dynamics dynamics;
    bool absolute, continuous, factor;
    int entity;   /* relative to, -1: none */
    double value; /* speed m/s, lane, offset m, gap m or s, parameter modification */
    double target_offset, max_lateral_acceleration;
    double max_acceleration, max_deceleration, max_speed;
    bool freespace, by_time;
    double (*profile)[2]; /* [profile_count] */
    size_t profile_count;
    kn_position position;   /* teleport, add, acquire */
    kn_position *waypoints; /* route */
    size_t waypoint_count;
    kn_trajectory *trajectory;
    bool timed;
    double time_scale, time_offset;
    bool relative_times;
    unsigned lamps;
    int light_mode; /* 0 off, 1 on, 2 flashing */
    kn_environment environment;
    double tolerance,
        master_tolerance; /* SYNCHRONIZE: metres; waypoints[0] is the master's place, `position` the own one */
    double steady_metres, steady_seconds; /* SYNCHRONIZE: at the final speed so long before the place */
    bool has_final; /* a final speed is given: `value`, absolute or relative to the master (factor: times his) */
    int side;       /* BESIDE: +1 left of the other, -1 right of him, 0 where it is */
    const char *name, *text; /* parameter and its new value; kind of modification in `by_time` (add) or `factor` */
    bool modify;
} kn_action;

typedef enum kn_condition_kind {
    KN_CONDITION_FALSE, /* unsupported: was reported */
    KN_CONDITION_TIME,
    KN_CONDITION_TIME_OF_DAY,
    KN_CONDITION_PARAMETER,
    KN_CONDITION_ELEMENT,
    KN_CONDITION_HEADWAY,
    KN_CONDITION_TTC,
    KN_CONDITION_RELATIVE_DISTANCE,
    KN_CONDITION_DISTANCE,
    KN_CONDITION_REACH,
    KN_CONDITION_SPEED,
    KN_CONDITION_RELATIVE_SPEED,
    KN_CONDITION_ACCELERATION,
    KN_CONDITION_TRAVELED,
    KN_CONDITION_STAND_STILL,
    KN_CONDITION_END_OF_ROAD,
    KN_CONDITION_OFFROAD,
    KN_CONDITION_COLLISION,
    KN_CONDITION_CLEARANCE,
    KN_CONDITION_SIGNAL,
    KN_CONDITION_SIGNAL_PHASE
} kn_condition_kind;

enum { KN_RULE_EQUAL, KN_RULE_GREATER, KN_RULE_LESS, KN_RULE_GREATER_EQUAL, KN_RULE_LESS_EQUAL, KN_RULE_NOT_EQUAL };
enum { KN_DISTANCE_EUCLIDEAN, KN_DISTANCE_LONGITUDINAL, KN_DISTANCE_LATERAL };
enum { KN_EDGE_NONE, KN_EDGE_RISING, KN_EDGE_FALLING, KN_EDGE_BOTH };
enum { KN_CONDITION_TOGGLES = 16 };

typedef struct kn_condition {
    kn_condition_kind kind;
    int line, edge, rule, axis;
    double delay, value, tolerance;
    bool freespace, alongside_road; /* alongside_road: distances along lanes rather than in the actor's axes */
    bool any;                       /* any or all of the triggering entities */
    int *entities;
    size_t entity_count;
    int entity; /* the other one; -1: `position` */
    kn_position position;
    double forward, backward; /* CLEARANCE: metres */
    int lane_from, lane_to;   /* CLEARANCE: lanes relative to the actor's, left positive */
    bool opposite;            /* CLEARANCE: lanes of oncoming traffic count too */
    int *others;              /* CLEARANCE: [other_count] whom to look at; none: everybody */
    size_t other_count;
    int element_type, element_state; /* ELEMENT */
    const char *name, *text;         /* element or parameter name; value */
    struct kn_element *element;

    bool evaluated, last, value_now;      /* run state */
    double toggles[KN_CONDITION_TOGGLES]; /* times at which the edge-evaluated value changed, oldest first */
    size_t toggle_count;
} kn_condition;

typedef struct kn_condition_group {
    kn_condition *conditions;
    size_t count;
} kn_condition_group;

typedef struct kn_trigger {
    bool given;
    kn_condition_group *groups;
    size_t count;
} kn_trigger;

enum { KN_ELEMENT_STORY, KN_ELEMENT_ACT, KN_ELEMENT_GROUP, KN_ELEMENT_MANEUVER, KN_ELEMENT_EVENT, KN_ELEMENT_ACTION };
enum { KN_STATE_STANDBY, KN_STATE_RUNNING, KN_STATE_COMPLETE };
/* The order of OpenSCENARIO's StoryboardElementState words as scenario_conditions.c lists them. */
enum { KN_WHEN_COMPLETE, KN_WHEN_END, KN_WHEN_RUNNING, KN_WHEN_SKIP, KN_WHEN_STANDBY, KN_WHEN_START, KN_WHEN_STOP };

typedef struct kn_element {
    int type, line;
    const char *name;
    struct kn_element *children;
    size_t child_count;
    kn_trigger start, stop;       /* act, event; act */
    int max_executions, priority; /* group, event; event: 0 override, 1 skip, 2 parallel */
    int *actors;                  /* group: fixed actors */
    size_t actor_count;
    bool select_triggering;
    kn_action action;

    int state, executions; /* run state */
    int transition;        /* KN_WHEN_END, _SKIP, _START, _STOP */
    uint64_t transition_step;
    unsigned owner; /* of the running action */
    bool instant;
} kn_element;

/* <TrafficSignalController> as read. */
typedef struct kn_osc_phase {
    const char *name;
    double duration;
    const char **ids;
    kn_signal_state *states; /* [count] of the lights `ids` */
    size_t count;
} kn_osc_phase;

typedef struct kn_osc_controller {
    const char *name, *reference;
    double delay;
    int line;
    kn_osc_phase *phases;
    size_t phase_count;
} kn_osc_controller;

typedef struct kn_scenario {
    kn_arena arena;
    char *path;
    kn_road_network network;
    kn_sim sim; /* actors as declared, not yet placed */
    kn_action *init;
    size_t init_count;
    kn_element *stories;
    size_t story_count;
    kn_trigger stop;
    kn_parameter *parameters; /* global ones; values change while playing */
    kn_parameter *parameters_at_start;
    size_t parameter_count;
    unsigned next_owner;
    uint64_t seed;
    uint64_t content; /* hash of entities and storyboard without weather and time of day */
    bool initialised;
    kn_osc_controller *controllers;
    size_t controller_count;
} kn_scenario;

/* Reads an .xosc file, its catalogs and its road network, with the values that `params` give to its parameters; of a
 * parameter value distribution, the scenario that it names. Unsupported elements go to `report`. */
bool kn_scenario_read(kn_scenario *scenario, const char *path, const kn_scene_params *params, kn_report *report,
                      kn_error *error);
/* The same from text in memory; when `network` is given it is taken over instead of reading the file's (fuzzing). */
bool kn_scenario_parse(kn_scenario *scenario, const char *path, const void *data, size_t size, kn_road_network *network,
                       uint64_t seed, kn_report *report, kn_error *error);
void kn_scenario_finish(kn_scenario *scenario);

/* A paved ground without lanes around all world positions of a scenario that has no road network. */
bool kn_scenario_open_ground(kn_scenario *scenario, kn_error *error);

/* The scenario's controllers take over lights of the network (after kn_signals_plan). */
bool kn_scenario_link_signals(kn_scenario *scenario, kn_report *report, kn_error *error);
void kn_signal_action(kn_scenario *scenario, kn_sim *sim, const kn_action *action);
bool kn_signal_condition(const kn_scenario *scenario, const kn_sim *sim, const kn_condition *condition);

/* kn_sim_hook of a scenario: evaluates triggers and starts actions. `user` is the kn_scenario. */
bool kn_storyboard_step(void *user, kn_sim *sim, kn_error *error);
/* Back to the state before the first step (the simulation's actors are the caller's business). */
void kn_storyboard_reset(void *user);

/* --- parts of the reader ---------------------------------------------------------------------- */

/* What the reader's parts share. */
typedef struct kn_osc {
    kn_xml xml;
    kn_scenario *scenario;
    struct kn_catalogs *catalogs;
    int catalog_depth;
    kn_scope assigned;  /* values of parameters from outside: */
    size_t given_count; /* so many by name, the rest from a distribution */
} kn_osc;

/* Fills osc->assigned. Of a parameter value distribution, `doc` and `path` become those of its scenario; on failure
 * *doc may be NULL. */
bool kn_osc_assign(kn_osc *osc, const kn_scene_params *params, xmlDoc **doc, const char **path);
/* Whether the declarations know the assigned parameters and allow their values. */
bool kn_osc_check_assigned(kn_osc *osc, xmlNode *declarations);

int kn_osc_entity(kn_osc *osc, xmlNode *node, const char *attribute); /* index; an error when unknown; -1 when absent */
bool kn_osc_read_entities(kn_osc *osc, xmlNode *entities);
bool kn_osc_link_trailers(kn_osc *osc); /* names of trailers to actors, when the order of actors is final */
/* The position inside the element `holder` of parent, or inside parent itself (NULL). */
bool kn_osc_read_position(kn_osc *osc, xmlNode *parent, const char *holder, kn_position *position);
/* Starts a position: the element that says its kind, NULL when there is none. */
xmlNode *kn_osc_enter_position(kn_osc *osc, xmlNode *parent, const char *holder, kn_position *position);
bool kn_osc_read_route_position(kn_osc *osc, xmlNode *node, kn_position *position);
/* One of any kind but RoutePosition and TrajectoryPosition, from the element that names its kind. */
bool kn_osc_read_place(kn_osc *osc, xmlNode *kind, kn_position *position);
void kn_osc_read_orientation(kn_osc *osc, xmlNode *kind, kn_position *position);
bool kn_osc_read_trajectory(kn_osc *osc, xmlNode *node, kn_trajectory **trajectory);
bool kn_osc_read_private(kn_osc *osc, xmlNode *node, kn_action *action);
bool kn_osc_read_global(kn_osc *osc, xmlNode *node, kn_action *action);
bool kn_osc_read_environment(kn_osc *osc, xmlNode *environment, kn_environment *out);
bool kn_osc_read_trigger(kn_osc *osc, xmlNode *node, kn_trigger *trigger);
bool kn_osc_read_signals(kn_osc *osc, xmlNode *signals); /* may be NULL */
bool kn_osc_read_signal_action(kn_osc *osc, xmlNode *node, kn_action *action);
kn_signal_state kn_signal_state_of(const char *text);
bool kn_osc_read_stories(kn_osc *osc, xmlNode *storyboard);
bool kn_osc_link_elements(kn_osc *osc); /* resolves names in StoryboardElementStateConditions */

/* Parameter declarations below `node` (its <ParameterDeclarations>) as a new scope inside the present one, except those
 * that `assigned` overrides. */
bool kn_osc_open_scope(kn_osc *osc, xmlNode *node, const char *list, const kn_scope *assigned, kn_scope *scope);

/* A <CatalogReference>: finds the entry and its file, opens a scope with its parameters. Closed with kn_osc_leave. */
typedef struct kn_catalog_visit {
    xmlNode *entry;
    kn_xml before;
    kn_scope assigned, scope;
    bool entered;
} kn_catalog_visit;
bool kn_osc_enter_catalog(kn_osc *osc, xmlNode *reference, const char *element, kn_catalog_visit *visit);
void kn_osc_leave_catalog(kn_osc *osc, kn_catalog_visit *visit);
bool kn_osc_read_catalog_locations(kn_osc *osc, xmlNode *locations);
void kn_osc_free_catalogs(kn_osc *osc);

/* --- parts of the player ---------------------------------------------------------------------- */

typedef struct kn_placement {
    bool on_lane;
    kn_walker walker;
    kn_vec3 position;
    double yaw;
} kn_placement;
/* Where a position is now. False when there is no such place (a lane that does not exist). */
bool kn_position_resolve(const kn_sim *sim, const kn_position *position, int self, kn_placement *out);
/* Samples a trajectory into a path in arena memory. NULL with an error. */
kn_path *kn_trajectory_path(kn_scenario *scenario, const kn_sim *sim, const kn_trajectory *trajectory, int self,
                            kn_error *error);
/* Starts an action for an actor; true with *instant when it has ended already. */
bool kn_action_start(kn_scenario *scenario, kn_sim *sim, const kn_action *action, int actor, unsigned owner,
                     kn_error *error);
bool kn_action_running(const kn_sim *sim, const kn_action *action, int actor, unsigned owner);
bool kn_trigger_check(kn_scenario *scenario, const kn_sim *sim, kn_trigger *trigger, bool empty);

#endif
