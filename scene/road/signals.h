/* Traffic lights: which there are, for whom, and what they show when. Internal to scene/. */
#ifndef KN_SCENE_SIGNALS_H
#define KN_SCENE_SIGNALS_H

#include "scene/road/road_walk.h"

typedef enum kn_signal_state {
    KN_SIGNAL_RED,
    KN_SIGNAL_AMBER,
    KN_SIGNAL_GREEN,
    KN_SIGNAL_RED_AMBER,
    KN_SIGNAL_DARK,
    KN_SIGNAL_STATES
} kn_signal_state;

/* One light as those see it who arrive at it. */
typedef struct kn_signal {
    int road, direction; /* travel towards growing (+1) or falling (-1) s */
    double s;            /* where it stands on the road */
    int object;          /* index in the road's objects; -1: a light that the surroundings add */
    int junction;        /* that it guards; -1: none */
    int controller;      /* of the road network, which switches it with others; -1: none */
    int phase, phases;   /* of a junction's cycle: its turn, and how many there are; lights of one turn show the same */
    double offset;       /* seconds by which its cycle is ahead */
    int program;         /* of the scenario; -1: the fixed cycle */
    int same_as;         /* shows what this light shows: a <signalReference>; -1: its own cycle */
} kn_signal;

/* One phase of a scenario's TrafficSignalController. */
typedef struct kn_signal_phase {
    const char *name;
    double duration; /* seconds */
    int8_t *states;  /* [signal_count] kn_signal_state, -1: not this controller's */
} kn_signal_phase;

typedef struct kn_signal_program {
    const char *name;
    double delay; /* seconds before its first phase; until then it shows that one */
    kn_signal_phase *phases;
    size_t phase_count;
} kn_signal_program;

/* Who crosses whose way in a junction. */
typedef struct kn_conflicts {
    int *roads; /* [count] the junction's connecting roads */
    size_t count;
    uint8_t *crossing; /* [count][count]; NULL: all cross each other */
} kn_conflicts;

/* Of one network; in the network's arena. */
typedef struct kn_signals {
    kn_signal *list;
    size_t count;
    kn_signal_program *programs;
    size_t program_count;
    kn_conflicts *conflicts; /* [junction_count] */
} kn_signals;

/* Is this <signal> a traffic light? */
bool kn_object_is_light(const kn_road_object *object);
/* Does a junction without lights in the file get them from the surroundings? */
bool kn_junction_grows_lights(const kn_road_network *network, int junction);

/* Finds the lights of a network and gives them cycles from the seed. Who starts at `ego` (may be NULL) with `speed` and
 * takes `turn` at junctions usually meets green; always when `certain`. Sets network->signals. */
bool kn_signals_plan(kn_road_network *network, uint64_t seed, const kn_walker *ego, int turn, double speed,
                     bool certain, kn_error *error);

/* Gives the lights of every junction their turns: those of one controller together, in the order of the controllers'
 * sequence; those without one together when they stand along one line. Approaches that cross never share a turn.
 * (signals_phases.c) */
void kn_signals_assign_phases(const kn_road_network *network, kn_signals *signals);
/* The controller that names a road's object; -1: none. */
int kn_signal_controller(const kn_road_network *network, const kn_road_object *object);

/* The phase that a program is in; NULL when it has none. */
const kn_signal_phase *kn_signal_phase_at(const kn_signal_program *program, double time);

/* What a light shows at a time. */
kn_signal_state kn_signal_at(const kn_signals *signals, size_t index, double time);
/* The light for those who move in `direction` on a road, the first at or beyond s; -1: none. */
int kn_signal_ahead(const kn_signals *signals, int road, int direction, double s);
/* Do the ways over two connecting roads of a junction cross or join? */
bool kn_ways_cross(const kn_signals *signals, int junction, int road_a, int road_b);

#endif
