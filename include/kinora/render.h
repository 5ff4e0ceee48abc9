/* The renderer: what the sampler is conditioned on, exact labels, anchored noise, and the beauty renders that
 * the shipped weights are trained on. One ray caster in Vulkan compute draws them all. */
#ifndef KINORA_RENDER_H
#define KINORA_RENDER_H

#include "kinora/camera.h"
#include "kinora/gpu.h"
#include "kinora/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Channels of the conditions: facts about what is seen, planar [KN_CONDITION_CHANNELS][height][width], fp32. This order
 * is part of the weights' contract (docs/formats.md). "Spots" are four points of a pixel on a rotated grid. */
enum {
    KN_CONDITION_FLAT = 0,   /* 3: flat colour, sRGB-encoded, 0..1: base colour times the mean of its texture; no light,
                                shadow, reflection or wetness; sky 0; mean over the spots */
    KN_CONDITION_DEPTH = 3,  /* 1: inverse depth, 2 / (2 + metres along the view axis); sky 0 */
    KN_CONDITION_NORMAL = 4, /* 3: normal in camera axes, -1..1; sky 0 */
    KN_CONDITION_EDGE = 7,   /* 1: 1 where the instance or the material changes to the right or below, else 0 */
    KN_CONDITION_CLASS = 8,  /* KN_CLASS_COUNT: share of the spots that show each class, 0..1; they sum to 1 */
    KN_CONDITION_LAMP = 22,  /* 3: emitted light, sRGB-encoded, 0..1; mean over the spots */
    KN_CONDITION_WET = 25,   /* 1: wetness of the surface, 0..1 */
    KN_CONDITION_VISIBILITY = 26, /* 1: share of light that fog lets through on the way to the surface, 0..1; of the
                                     sky: what fog leaves of it, least at the horizon */
    KN_CONDITION_SHADED = 27,     /* 3: base colour and texture lit by sun (with its shadow), sky, lamps and fog;
                                     sRGB-encoded, 0..1 */
    KN_CONDITION_CHANNELS = 30
};

/* Classes among the conditions. A vehicle's glass is the vehicle. */
enum {
    KN_CLASS_ROAD = 0,
    KN_CLASS_MARKING,
    KN_CLASS_PAVEMENT /* and kerb */,
    KN_CLASS_TERRAIN,
    KN_CLASS_VEGETATION,
    KN_CLASS_BUILDING /* and wall */,
    KN_CLASS_WINDOW /* of buildings */,
    KN_CLASS_POLE /* fences, traffic lights, signs */,
    KN_CLASS_CAR,
    KN_CLASS_TRUCK /* and bus */,
    KN_CLASS_PERSON,
    KN_CLASS_TWO_WHEELER,
    KN_CLASS_SKY,
    KN_CLASS_OTHER,
    KN_CLASS_COUNT
};

/* The 16 channels that weights with `conditioning_channels` 16 take: shaded colours (3), inverse depth, normal (3),
 * edge, shares of road and marking, of vegetation and terrain, of road users, and of the rest without sky; lamps (3),
 * wetness. */
enum { KN_CONTROL_CHANNELS = 16 };
/* conditions[KN_CONDITION_CHANNELS][pixels], rendered with shaded colours, to control[KN_CONTROL_CHANNELS][pixels]. */
void kn_control_from_conditions(const float *conditions, size_t pixels, float *control);

/* Of a latent's noise: kn_render_target.noise_channels. */
#define KN_NOISE_MAX_CHANNELS 128

/* What a render is asked for. Unwanted pointers are NULL. All are planar or [height][width], caller-owned. */
typedef struct kn_render_target {
    float *conditions;   /* [KN_CONDITION_CHANNELS][height][width] */
    bool shaded;         /* whether the shaded colours among them are wanted, which take most of the time; 0 without */
    float *noise;        /* [noise_channels][height][width]: anchored noise, unit Gaussian, channels independent */
    int noise_channels;  /* 1..KN_NOISE_MAX_CHANNELS; 0 means 3 */
    uint64_t noise_seed; /* another seed, other noise in every channel */
    float *beauty;       /* [3][height][width]: sRGB-encoded, 0..1 */
    float *depth;        /* metres along the view axis; INFINITY for sky */
    uint8_t *semantic;   /* kn_semantic */
    uint16_t *instance;  /* 0: none */
    float *motion;       /* [2][height][width]: pixels by which the surface point seen here moved since the previous
                            frame (its position now minus its position then); 0 at frame 0 */
} kn_render_target;

/* Draws frames of one scene. Holds the scene's geometry on the device. Not thread-safe. The scene outlives it. */
typedef struct kn_renderer kn_renderer;

typedef struct kn_renderer_params {
    uint64_t rain_seed; /* where drops fall */
    int beauty_samples; /* rays per pixel of beauty renders; 4 */
    /* A material pack, or NULL: a folder whose materials.json names photographs of surfaces (docs/formats.md). They
     * take the place of procedural grain in beauty pictures and shaded colours; facts stay as they are. */
    const char *materials;
    /* A photographed sky, or NULL: a Radiance picture (.hdr) of all directions, zenith in its first row. It takes the
     * place of sky and clouds and colours the sky's light; its brightest side turns to where the sun of the scene
     * stands. */
    const char *sky;
    double sky_lift; /* degrees above its horizon where that picture begins: what stands there is cut off; 0..80 */
    uint64_t materials_seed; /* which of several photographs a surface gets */
} kn_renderer_params;

bool kn_renderer_create(kn_renderer **renderer, kn_gpu *gpu, const kn_scene *scene, const kn_renderer_params *params,
                        kn_error *error);
void kn_renderer_destroy(kn_renderer **renderer);
/* Of the frames drawn so far: how many lamps the frame with the most of them had beyond the 64 that light it. */
size_t kn_renderer_lights_left_out(const kn_renderer *renderer);

/* Draws `frame` of the scene as `camera` (given relative to the ego) sees it. */
bool kn_render(kn_renderer *renderer, const kn_camera *camera, size_t frame, const kn_render_target *target,
               kn_error *error);

/* --- a lidar ---------------------------------------------------------------------------------- */

typedef struct kn_lidar_beams {
    double translation[3];        /* the sensor's centre on the ego, metres (axes as kn_camera.translation) */
    double rotation[3][3];        /* sensor to ego, row-major */
    const float (*directions)[3]; /* [count] unit vectors in the sensor's axes; the caller's */
    size_t count;                 /* 1 to 2^20 */
    double reach;                 /* metres beyond which nothing is met */
} kn_lidar_beams;

/* What one beam meets first. */
typedef struct kn_echo {
    float range;       /* metres; 0: nothing within reach, and nothing else is set */
    float cosine;      /* of the angle between beam and surface normal, 0..1 */
    float albedo;      /* luminance of the surface's base colour, 0..1 */
    uint16_t instance; /* 0: the unlabelled world */
    uint8_t semantic;  /* kn_semantic */
} kn_echo;

/* Casts all beams at once, as the world stands at `frame`; the ego itself is not met. echoes[lidar->count]. Not
 * thread-safe, like the renderer. KN_ERROR_INPUT for a frame that the scene does not have or a wrong number of beams.
 */
bool kn_render_lidar(kn_renderer *renderer, const kn_lidar_beams *lidar, size_t frame, kn_echo *echoes,
                     kn_error *error);

/* --- what labels need ------------------------------------------------------------------------- */

typedef struct kn_box {
    int instance;
    kn_actor_class kind;
    char name[64];
    double translation[3]; /* centre in the world, metres */
    double rotation[4];    /* quaternion wxyz, box to world */
    double size[3];        /* width, length, height (nuScenes' order) */
    double velocity[3];    /* m/s in the world */
    bool is_moving, is_parked, is_ego;
} kn_box;

size_t kn_scene_frame_count(const kn_scene *scene);
double kn_scene_frame_rate(const kn_scene *scene);
const kn_weather *kn_scene_weather(const kn_scene *scene);
/* Ego to world at a frame: translation and rotation (row-major). Speed in m/s. */
void kn_scene_ego_pose(const kn_scene *scene, size_t frame, double translation[3], double rotation[3][3],
                       double *speed);
/* Boxes present at a frame (all road users and labelled static things except the ego). Returns how many there are;
 * fills at most `capacity`. */
size_t kn_scene_boxes(const kn_scene *scene, size_t frame, kn_box *boxes, size_t capacity);
/* A caption of the scene in the words the shipped text encoder was trained on. */
void kn_scene_caption(const kn_scene *scene, char *text, size_t size);

/* Line strips for the top view: lane marks, road edges, pavements. Returns the count; fills at most `capacity`.
 * The points belong to the scene. */
typedef struct kn_map_line {
    const double (*points)[2];
    size_t point_count;
    int kind; /* 0 road edge, 1 lane mark, 2 pavement edge; surfaces, whose first half of points runs along one edge and
                 whose second half along the other: 3 road lane, 4 pavement */
} kn_map_line;
size_t kn_scene_map(const kn_scene *scene, const kn_map_line **lines);

#ifdef __cplusplus
}
#endif
#endif
