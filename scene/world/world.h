/* World geometry as triangles with materials: what the importers and builders make and the renderer draws.
 * Internal to scene/. */
#ifndef KN_SCENE_WORLD_H
#define KN_SCENE_WORLD_H

#include "base/base.h"
#include "base/vecmath.h"
#include "kinora/scene.h"
#include "scene/road/road.h"
#include "scene/simulation/timeline.h"

/* How a surface gets its detail in beauty renders; in control maps only base colour and geometry appear.
 * The shader evaluates these procedurally in the coordinates of the surface (world for static, actor for moving ones),
 * with `uv` in metres along the surface. Values are shared with shaders/scene/material.glsl. */
typedef enum kn_texture {
    KN_TEXTURE_FLAT = 0,
    KN_TEXTURE_ASPHALT,
    KN_TEXTURE_CONCRETE,
    KN_TEXTURE_PAVING,
    KN_TEXTURE_GRASS,
    KN_TEXTURE_SOIL,
    KN_TEXTURE_BRICK,
    KN_TEXTURE_PLASTER,
    KN_TEXTURE_ROOF_TILES,
    KN_TEXTURE_LEAVES,
    KN_TEXTURE_BARK,
    KN_TEXTURE_PAINT,
    KN_TEXTURE_CAR_PAINT,
    KN_TEXTURE_GLASS,
    KN_TEXTURE_METAL,
    KN_TEXTURE_RUBBER,
    KN_TEXTURE_FABRIC,
    KN_TEXTURE_WINDOW,
    KN_TEXTURE_SKIN,
    KN_TEXTURE_COUNT
} kn_texture;

/* What switches the emission on. */
typedef enum kn_emitter {
    KN_EMITTER_NONE = 0,
    KN_EMITTER_ALWAYS, /* traffic lights */
    KN_EMITTER_HEAD,
    KN_EMITTER_TAIL,
    KN_EMITTER_BRAKE,
    KN_EMITTER_LEFT,
    KN_EMITTER_RIGHT,
    KN_EMITTER_REVERSE,
    KN_EMITTER_STREET, /* street lamps: dusk and night */
    KN_EMITTER_WINDOW  /* windows that are lit at dusk and night; which ones is up to the builder */
} kn_emitter;

typedef struct kn_material {
    float color[3];    /* linear base colour */
    float roughness;   /* 0..1 */
    float metallic;    /* 0..1 */
    float emission[3]; /* linear radiance when switched on, 1 = white paper in daylight */
    kn_texture texture;
    kn_emitter emitter;
    kn_semantic semantic;
    float wettable; /* 0..1: how much rain darkens it and makes it a mirror */
} kn_material;

/* Indexed triangles. normal: unit shading normal. uv: metres. */
typedef struct kn_mesh {
    float (*position)[3];
    float (*normal)[3];
    float (*uv)[2];
    size_t vertex_count, vertex_capacity;
    uint32_t (*triangle)[3];
    uint16_t *material; /* per triangle */
    uint16_t *instance; /* per triangle: 0 for the world, else a static instance id (parked car, building, pole) */
    size_t triangle_count, triangle_capacity;
} kn_mesh;

bool kn_mesh_add_vertex(kn_mesh *mesh, kn_vec3 position, kn_vec3 normal, kn_vec2 uv, uint32_t *index, kn_error *error);
bool kn_mesh_add_triangle(kn_mesh *mesh, uint32_t a, uint32_t b, uint32_t c, uint16_t material, uint16_t instance,
                          kn_error *error);
/* Appends `part` transformed by `pose`, its materials shifted by `material_base`, with this instance id. */
bool kn_mesh_append(kn_mesh *mesh, const kn_mesh *part, const kn_pose *pose, uint16_t material_base, uint16_t instance,
                    kn_error *error);
void kn_mesh_finish(kn_mesh *mesh);

/* A point light that beauty renders take into account (street lamps; head lamps are added per frame). */
typedef struct kn_light {
    kn_vec3 position, direction; /* direction: of the cone's axis; zero vector: all round */
    float color[3];              /* radiant intensity, arbitrary but consistent with emission */
    float cone_cos;              /* cosine of the half angle */
    float range;                 /* metres beyond which it is ignored */
} kn_light;

/* How a part moves: wheels roll and steer; the limbs of people turn about y at a joint from which they hang down. */
typedef enum kn_part_motion {
    KN_PART_WHEEL,
    KN_PART_THIGH,
    KN_PART_SHIN,
    KN_PART_ARM,
    KN_PART_FOREARM,
    KN_PART_CRANK,
    KN_PART_PEDAL_THIGH,
    KN_PART_PEDAL_SHIN
} kn_part_motion;

/* The geometry of one actor in its own frame. Wheels and limbs are separate so that they turn. */
typedef struct kn_actor_wheel {
    kn_mesh mesh;     /* centred on its axle, axle along y */
    kn_vec3 position; /* in the actor's frame, or the parent's */
    double radius;
    bool steers;
    kn_part_motion motion;
    int parent; /* index of the part that carries it, plus 1; 0: the body */
    int side;   /* of limbs: +1 left, -1 right */
} kn_actor_wheel;

typedef struct kn_actor_model {
    kn_mesh body;
    kn_actor_wheel wheels[12]; /* wheels and limbs */
    int wheel_count;
    bool walks;         /* a person on foot */
    double limb, phase; /* metres from hip to knee and knee to ankle; radians at the start of the walking cycle */
    double stride;      /* radians by which the legs swing at a walk: they stay near the actor's box */
    kn_vec3 crank;      /* of a bicycle */
    kn_light lamps[4];  /* head lamps in the actor's frame */
    int lamp_count;
} kn_actor_model;

/* Pose of a part in the actor's frame; index -1: the body (which bobs while somebody walks). */
kn_pose kn_actor_part_pose(const kn_actor_model *model, int index, const kn_actor_state *state);

struct kn_signal_place;

typedef struct kn_world {
    kn_material *materials; /* indexed by every mesh of this world, actors' included */
    size_t material_count, material_capacity;
    kn_mesh mesh;      /* everything that never moves */
    kn_vec3 origin;    /* of the mesh's coordinates, in those of the network */
    size_t tiles_full; /* tiles of which something was left out for want of room */
    kn_light *lights;
    size_t light_count, light_capacity;
    kn_actor_model *models; /* [timeline.actor_count]; the ego's own is empty (its cameras sit on it) */
    size_t model_count;
    uint16_t next_instance;          /* static instances (buildings, poles, parked cars) continue the actors' numbers */
    struct kn_signal_place *signals; /* [signal_count] traffic lights whose lenses switch */
    size_t signal_count, signal_capacity;
    struct kn_static_instance *instances; /* [instance_count], for 3D boxes of parked cars, cones, barriers */
    size_t instance_count, instance_capacity;
} kn_world;

/* A traffic light on its pole, as kn_traffic_light_draw draws it in `pose`. */
typedef struct kn_signal_place {
    kn_pose pose;
    int signal; /* in network->signals */
    uint16_t instance;
    double height, arm;
    kn_mesh lenses; /* in the frame of its pose: what switches */
} kn_signal_place;

/* A labelled thing that never moves. */
typedef struct kn_static_instance {
    uint16_t instance;
    kn_actor_class kind;
    kn_pose pose;
    double size[3];   /* length, width, height */
    double center[3]; /* of the box in its frame */
} kn_static_instance;

/* Builds the world within `reach` metres of the ego's way: road surface, markings, kerbs, pavements, junctions,
 * objects and signals of the network; and, if asked for, surroundings grown from the seed. Never puts anything onto a
 * lane that is driven on. All of it at once: scenes build it window by window (world_site.h). */
bool kn_world_build(kn_world *world, const kn_road_network *network, const kn_timeline *timeline, uint64_t seed,
                    double reach, bool grow_surroundings, kn_error *error);
void kn_world_finish(kn_world *world);

/* The parametric model of one actor; materials are appended to world->materials. */
bool kn_actor_model_build(kn_actor_model *model, kn_world *world, const kn_actor *actor, kn_error *error);

#endif
