/* Scenes: a scenario and its road network, checked and played, and the world that is built from them. */
#ifndef KINORA_SCENE_H
#define KINORA_SCENE_H

#include "kinora/base.h"
#include "kinora/camera.h"
#include "kinora/gpu.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum kn_actor_class {
    KN_ACTOR_CAR,
    KN_ACTOR_VAN,
    KN_ACTOR_TRUCK,
    KN_ACTOR_BUS,
    KN_ACTOR_TRAILER,
    KN_ACTOR_MOTORBIKE,
    KN_ACTOR_BICYCLE,
    KN_ACTOR_PEDESTRIAN,
    KN_ACTOR_BARRIER,
    KN_ACTOR_CONE,
    KN_ACTOR_OBJECT
} kn_actor_class;

/* Semantic classes of the label maps; the values are what the PNG files hold. */
typedef enum kn_semantic {
    KN_SEMANTIC_SKY = 0,
    KN_SEMANTIC_ROAD,
    KN_SEMANTIC_LANE_MARK,
    KN_SEMANTIC_SIDEWALK,
    KN_SEMANTIC_KERB,
    KN_SEMANTIC_TERRAIN,
    KN_SEMANTIC_BUILDING,
    KN_SEMANTIC_WALL,
    KN_SEMANTIC_FENCE,
    KN_SEMANTIC_POLE,
    KN_SEMANTIC_TRAFFIC_LIGHT,
    KN_SEMANTIC_TRAFFIC_SIGN,
    KN_SEMANTIC_VEGETATION,
    KN_SEMANTIC_CAR,
    KN_SEMANTIC_TRUCK,
    KN_SEMANTIC_BUS,
    KN_SEMANTIC_MOTORCYCLE,
    KN_SEMANTIC_BICYCLE,
    KN_SEMANTIC_PEDESTRIAN,
    KN_SEMANTIC_OBJECT,
    KN_SEMANTIC_COUNT
} kn_semantic;

typedef struct kn_weather {
    double sun_azimuth;    /* radians, from north (+y) clockwise */
    double sun_elevation;  /* radians; below 0 the sun is set */
    double cloud_cover;    /* 0 clear .. 1 overcast */
    double rain;           /* 0 .. 1 (1: heavy) */
    double wetness;        /* 0 dry .. 1 wet road with puddles */
    double fog_range;      /* visual range in metres; 0: no fog */
    double seconds_of_day; /* 0..86400 */
} kn_weather;

typedef enum kn_weather_override {
    KN_WEATHER_KEEP,
    KN_WEATHER_CLEAR,
    KN_WEATHER_OVERCAST,
    KN_WEATHER_RAIN,
    KN_WEATHER_FOG
} kn_weather_override;
typedef enum kn_time_override { KN_TIME_KEEP, KN_TIME_DAY, KN_TIME_DUSK, KN_TIME_NIGHT } kn_time_override;

typedef struct kn_scene_params {
    double frame_rate;  /* frames/s; 12 */
    size_t frame_count; /* 0: until the scenario stops */
    double start;       /* seconds of scenario time at which frame 0 stands */
    uint64_t seed;      /* surroundings, colours and traffic */
    kn_weather_override weather;
    kn_time_override time;
    int traffic;            /* -1: as the scenario says; 0: the ego alone; N: N lawful vehicles */
    double ego_speed;       /* m/s; <= 0: as the scenario says */
    bool grow_surroundings; /* buildings, trees, poles, parked cars where the file gives none */
    /* "Name=Value,Name=Value": values of the scenario's global parameters (ParameterDeclaration) instead of the
     * declared ones; NULL: none. A name that is not declared, or a value that its type or ConstraintGroups do not
     * allow, is KN_ERROR_INPUT. Read while the scene is created only. */
    const char *parameters;
    int variation; /* of a parameter value distribution: which of its combinations or test runs, from 0 on */
} kn_scene_params;
#define KN_SCENE_PARAMS_DEFAULT ((kn_scene_params){.frame_rate = 12, .traffic = -1, .grow_surroundings = true})

/* A scene ready to be rendered: trajectories, weather and world geometry. Immutable after creation, so it may be read
 * from several threads. */
typedef struct kn_scene kn_scene;

/* Reads .xosc (with the .xodr and catalogs it names) or Kinora's own .json. */
bool kn_scene_create(kn_scene **scene, const char *path, const kn_scene_params *params, const kn_log *log,
                     kn_error *error);
void kn_scene_destroy(kn_scene **scene);

/* How the surface of an object looks in beauty pictures. */
typedef enum kn_finish {
    KN_FINISH_MATT,
    KN_FINISH_PAINT,
    KN_FINISH_GLASS,
    KN_FINISH_RUBBER,
    KN_FINISH_PLASTER,
    KN_FINISH_TILES
} kn_finish;
enum { KN_OBJECT_INSTANCE = 2 }; /* its number in instance maps */

/* One object, in metres, x forward, y left, z up, standing on z = 0. Everything is borrowed for the call. */
typedef struct kn_scene_object {
    size_t vertex_count, triangle_count;
    const float *positions, *normals; /* [vertex_count][3] */
    const uint32_t *triangles;        /* [triangle_count][3] */
    const uint8_t *colors;            /* [triangle_count][3] sRGB */
    const uint8_t *finishes;          /* [triangle_count] kn_finish; NULL: matt */
    bool studio;                      /* it stands on plain grey, not on concrete */
} kn_scene_object;

/* A scene of one frame in which the object stands on a wide ground. Cameras of kn_render are given in the object's
 * frame. At most 65000 different colours. */
bool kn_scene_create_object(kn_scene **scene, const kn_scene_object *object, const kn_weather *weather,
                            kn_error *error);

/* SHA-256 over the contents of every file that kn_scene_create would read for `path`: the scene, its road network, the
 * catalogs, whatever way they are named, with the `parameters` and the `variation` of `params` in force (NULL: none,
 * 0). The scene is parsed for it, and what is wrong with it is an error here. Safe from any thread. */
bool kn_scene_hash(const char *path, const kn_scene_params *params, char hex[65], kn_error *error);

/* Moves the cameras of the default rig (kn_rig_init_nuscenes) to where they sit on the scene's ego: cars and all that
 * is smaller keep them; on vans, lorries and buses they hang outside on front, sides and tail, at most 2.2 m high. None
 * is ever inside what the ego tows: above it the rear camera looks over the load. */
void kn_scene_mount_rig(const kn_scene *scene, kn_rig *rig);

/* One finding of a check. */
typedef struct kn_finding {
    bool is_error; /* physically wrong or unusable; else unsupported but harmless */
    char file[256];
    int line; /* 0 when no line applies */
    char message[400];
} kn_finding;

/* What the scene's file asks for that is unsupported or was cut off, and what is physically wrong in the clip: the
 * findings of kn_scene_check for these parameters. Returns how many; they belong to the scene. Also logged as warnings
 * when the scene is created. */
size_t kn_scene_findings(const kn_scene *scene, const kn_finding **findings);

/* Reads and plays the scenario and reports what is unsupported or physically wrong. *findings is freed with
 * kn_findings_free. Fails only when the scenario cannot be read at all. */
bool kn_scene_check(const char *path, const kn_scene_params *params, kn_finding **findings, size_t *count,
                    kn_error *error);
void kn_findings_free(kn_finding *findings);

#ifdef __cplusplus
}
#endif
#endif
