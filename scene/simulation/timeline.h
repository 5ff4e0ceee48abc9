/* A scenario played at a fixed step: who is where at every frame, and in which weather. Internal to scene/. */
#ifndef KN_SCENE_TIMELINE_H
#define KN_SCENE_TIMELINE_H

#include "base/base.h"
#include "base/vecmath.h"

#include <math.h>
#include "kinora/scene.h"

/* What a road user looks like; constant over a clip. */
typedef struct kn_actor {
    char name[64]; /* the scenario's entity name, or "traffic_<n>" */
    kn_actor_class kind;
    double length, width, height; /* metres, of the bounding box */
    double center[3];       /* of the bounding box in the actor's frame (x forward, y left, z up, origin on the ground
                               under the rear axle for vehicles, under the centre for the others) */
    double color[3];        /* body colour, linear RGB 0..1 */
    uint64_t seed;          /* of its parametric model */
    bool is_ego, is_static; /* static: parked or misc object that never moves */
    bool towed_by_ego;      /* directly or behind another trailer, for some of the clip */
    int instance;           /* 1..65535, unique and stable; 0 is "no instance" */
} kn_actor;

enum { /* kn_actor_state.lamps */
       KN_LAMP_HEAD = 1,
       KN_LAMP_TAIL = 2,
       KN_LAMP_BRAKE = 4,
       KN_LAMP_LEFT = 8,
       KN_LAMP_RIGHT = 16,
       KN_LAMP_REVERSE = 32
};

typedef struct kn_actor_state {
    kn_pose pose;        /* actor to world */
    double speed;        /* m/s along x; negative backwards */
    double acceleration; /* m/s^2 along x */
    double curvature;    /* 1/m of the path, for the steering angle */
    double wheel_angle;  /* radians the wheels have turned, for their spokes */
    unsigned lamps;
    bool present; /* in the scene at this frame */
} kn_actor_state;

typedef struct kn_timeline {
    double frame_rate; /* frames/s of the states */
    double start;      /* seconds of the scenario at which frame 0 stands */
    bool cut;          /* the scenario would go on: it never stops by itself, and no length was asked for */
    size_t frame_count, actor_count;
    kn_actor *actors;       /* [actor_count]; the ego is actors[0] */
    kn_actor_state *states; /* [frame_count][actor_count] */
    size_t signal_count;
    uint8_t *signals;     /* [frame_count][signal_count] kn_signal_state of the network's lights */
    kn_weather weather;   /* at the start */
    kn_weather *weathers; /* [frame_count] at every frame; NULL: `weather` throughout */
} kn_timeline;

/* The weather of a frame. */
static inline const kn_weather *kn_timeline_weather(const kn_timeline *timeline, size_t frame) {
    return timeline->weathers && frame < timeline->frame_count ? &timeline->weathers[frame] : &timeline->weather;
}

/* Which of these lamps shine at a time of the scenario: indicators blink at 1.5 Hz, lit in the first half of every
 * period. */
static inline unsigned kn_lamps_lit(unsigned lamps, double seconds) {
    double phase = 1.5 * seconds;
    return phase - floor(phase) < .5 ? lamps : lamps & ~(unsigned)(KN_LAMP_LEFT | KN_LAMP_RIGHT);
}

void kn_timeline_finish(kn_timeline *timeline);

#endif
