/* What the renderer's files share: the scene on the device, the frame's parameters, one recorded list per kind of
 * picture. Internal to scene/render/. */
#ifndef KN_SCENE_RENDER_INTERNAL_H
#define KN_SCENE_RENDER_INTERNAL_H

#include "gpu/gpu.h"
#include "kinora/render.h"
#include "scene/render/bvh.h"
#include "scene/render/light.h"
#include "scene/world/scene.h"

enum { KN_RENDER_MAX_LIGHTS = 64, KN_RENDER_HEADER_TEXELS = 24, KN_RENDER_MAX_SPRAYS = 8, KN_RENDER_SPRAY_TEXELS = 3 };

/* One picture kernel with its output buffer, recorded for one size. */
typedef struct kn_render_pass {
    kn_gpu_recorder *recorder;
    kn_gpu_buffer *output; /* host-visible: [planes][height][width] fp32 */
    /* Pixels to be looked at again: their number, then at byte 256 their indices; NULL when unused. */
    kn_gpu_buffer *list;
    kn_gpu_buffer
        *spots; /* [pixels][5] vec4: what the centre and the spots show (conditions.comp); there when list is */
    int width, height, planes;
    bool shaded, rain; /* recorded with shaded colours; with kn_render_rain_record */
} kn_render_pass;

/* The actors' triangles of one frame, rebuilt on the host. */
typedef struct kn_render_moving {
    kn_bvh bvh;
    size_t triangle_max, vertex_max;    /* of all actors together */
    float radius;                       /* around an actor's origin that holds any of them, metres */
    size_t *part_first;                 /* [actor_count]: the actor's body; its wheels follow */
    size_t lens_first;                  /* part of the first traffic light's lenses; those of the others follow */
    float (*position)[3], (*normal)[3]; /* [vertex_max], placed in the world */
    struct kn_render_piece *pieces;     /* [triangle_max] */
    kn_bvh_box *boxes;                  /* [triangle_max] */
    uint32_t *scratch;                  /* of kn_bvh_emit */
    kn_bvh_packed *nodes;               /* [4][2 triangle_max] */
    float *triangles, *attributes;      /* [triangle_max][12], [triangle_max][16] */
} kn_render_moving;

/* Photographs of surfaces: render_materials.c. */
enum {
    KN_RENDER_PICTURE_SIZE = 256,
    KN_RENDER_PICTURE_TEXELS = (KN_RENDER_PICTURE_SIZE * KN_RENDER_PICTURE_SIZE - 1) / 3
};
typedef struct kn_render_picture {
    kn_texture texture;
    float metres; /* across */
} kn_render_picture;
typedef struct kn_render_materials {
    kn_render_picture *pictures; /* [count] */
    float (*texels)[4];          /* [count][KN_RENDER_PICTURE_TEXELS]: levels from the largest on */
    size_t count;
} kn_render_materials;

/* The beams of a lidar: render_lidar.c. */
struct kn_render_beams {
    kn_gpu_recorder *recorder;
    kn_gpu_buffer *beams, *echoes; /* host-visible */
    float (*words)[4];             /* as many as either holds */
    size_t beam_count, bytes;
};

/* A photographed sky: render_sky.c. */
typedef struct kn_render_sky {
    int width, height;                 /* 0: none */
    float (*texels)[4];                /* [height][width] linear; NULL once it is on the device */
    float zenith[3], horizon[3], mean; /* of its upper half; the sun held back */
    float brightest;                   /* column, 0..1 */
} kn_render_sky;

struct kn_renderer {
    kn_gpu *gpu;
    const kn_scene *scene;
    const kn_world *world; /* around the ego at the frame that was drawn last; of the scene */
    size_t window;         /* kn_scene_window of it */
    kn_renderer_params params;
    kn_weather weather, beauty_weather; /* of the frame; that `beauty` was recorded for */
    kn_light_setup light;               /* of the frame */
    kn_vec3 origin;                     /* of the shaders' world coordinates */
    /* slots 0..4 of every scene kernel (shaders/scene/scene.glsl) */
    kn_gpu_buffer *nodes, *triangles, *attributes, *materials, *frame_data;
    kn_gpu_buffer *flats; /* of flat.comp, one texel a material; NULL until conditions are asked for */
    size_t first_picture; /* texel of `materials` where photographs begin */
    kn_render_sky sky;
    size_t first_sky; /* texel of `materials` */
    size_t static_triangles;
    size_t static_nodes;    /* of one order, with its way out; the four orders lie one behind the other */
    kn_bvh_grid grid;       /* of all packed nodes */
    size_t lights_left_out; /* the most that a frame had beyond KN_RENDER_MAX_LIGHTS */
    size_t part_count;      /* the world, then each actor's body and wheels */
    size_t built_frame;     /* the frame whose actors the buffers hold; SIZE_MAX: none */
    float roots[4];         /* FRAME_ROOTS of that frame */
    kn_render_moving moving;
    float (*frame_words)[4]; /* host copy of frame_data */
    size_t frame_texels;
    kn_render_pass conditions, noise, beauty;
    struct kn_render_beams lidar;
    struct kn_render_beauty *beauty_work; /* of render_beauty.c */
};

/* kn_render_lidar, with the world of the frame on the device and valid beams. */
bool kn_render_lidar_cast(kn_renderer *renderer, const kn_lidar_beams *lidar, size_t frame, kn_echo *echoes,
                          kn_error *error);
void kn_render_lidar_finish(kn_renderer *renderer);

/* The five slices that every scene kernel starts with. */
void kn_render_scene_slices(const kn_renderer *renderer, kn_gpu_slice slices[5]);

/* Pixels covered by one workgroup (a subgroup) for this device's subgroup size; see block_pixel in trace.glsl. */
void kn_render_block(const kn_renderer *renderer, uint32_t *lanes, int *wide, int *high);

/* Makes pass->output hold `planes` planes of this size. *fresh tells that the pass must be recorded (again): its
 * recorder is then empty. */
bool kn_render_pass_prepare(kn_renderer *renderer, kn_render_pass *pass, int width, int height, int planes, bool *fresh,
                            kn_error *error);
void kn_render_pass_finish(kn_render_pass *pass);

/* The same for a pass whose recording failed, which must not be taken for a good one; returns false. */
bool kn_render_pass_drop(kn_render_pass *pass);

/* Records one dispatch of `kernel` over the picture: slots 0..4 the scene, 5 pass->output; if there is a list 6
 * pass->list, 7 pass->spots and 8 renderer->flats. Specialization constant 0 is the subgroup size, 1 the number of
 * planes, 2 pass->shaded. One workgroup a block, or in a row when they work on the list. */
bool kn_render_pass_record(kn_renderer *renderer, kn_render_pass *pass, kn_kernel kernel, bool in_a_row,
                           kn_error *error);

/* Downloads `count` planes from plane `first` on. */
bool kn_render_pass_read(kn_render_pass *pass, int first, int count, float *out, kn_error *error);

/* Packs one triangle as trace.glsl reads it: triangle[12], attributes[16]. */
void kn_render_pack_triangle(const float position[3][3], const float normal[3][3], const float uv[3][2],
                             uint16_t material, uint16_t instance, size_t part, bool last, float *triangle,
                             float *attributes);

/* Checks the scene's meshes and puts everything that never changes onto the device. */
bool kn_render_upload_static(kn_renderer *renderer, kn_error *error);

/* Reads folder/materials.json and its pictures. */
bool kn_render_materials_read(kn_render_materials *pack, const char *folder, kn_error *error);
void kn_render_materials_finish(kn_render_materials *pack);
/* The picture for a material, counted from 1; 0: none fits. The same for the same seed. */
int kn_render_materials_choose(const kn_render_materials *pack, const kn_material *material, uint64_t seed);

bool kn_render_sky_read(kn_render_sky *sky, const char *path, double lift, kn_error *error);
void kn_render_sky_finish(kn_render_sky *sky);
/* Gives the sky's light its colours at the brightness that it had; frame[1..3]: FRAME_SKY. */
void kn_render_sky_light(const kn_render_sky *sky, kn_light_setup *light, float frame[4]);

/* Workspace for the actors of any frame; sets part_count. */
bool kn_render_moving_init(kn_renderer *renderer, kn_error *error);
void kn_render_moving_finish(kn_render_moving *moving);
/* Places the actors of `frame` and brings their triangles and tree onto the device, unless they are there already. */
bool kn_render_moving_upload(kn_renderer *renderer, size_t frame, kn_error *error);
/* A part of an actor at a frame: its frame to the world. wheel -1: the body. */
kn_pose kn_render_part_pose(const kn_renderer *renderer, size_t actor, int wheel, size_t frame);

/* Brings the actors of `frame` and the camera's parameters onto the device. */
bool kn_render_upload_frame(kn_renderer *renderer, const kn_camera *camera, size_t frame, uint64_t noise_seed,
                            kn_error *error);

/* render_conditions.c: submits what conditions, depth, labels and motion need, after kn_render_upload_frame; the second
 * one waits for it and fills the target. */
bool kn_render_conditions_submit(kn_renderer *renderer, const kn_camera *camera, const kn_render_target *target,
                                 kn_error *error);
bool kn_render_conditions_read(kn_renderer *renderer, size_t frame, const kn_render_target *target, kn_error *error);

/* render_rain.c: records falling rain and spray over three planes of pass->output from plane `colors` on, display
 * values. The distance of what a pixel shows is the float `first` + `stride` x pixel of `away`: metres along the ray,
 * or along the view axis. */
bool kn_render_rain_record(kn_renderer *renderer, kn_render_pass *pass, uint32_t colors, kn_gpu_buffer *away,
                           uint32_t first, uint32_t stride, bool along_ray, kn_error *error);
/* Whether this frame's pictures need that. */
bool kn_render_rains(const kn_renderer *renderer);
/* Puts what the wheels of the vehicles nearest to `eye` (relative to the renderer's origin) throw up into frame_words
 * from texel `first` on, in rain; returns how many vehicles. */
size_t kn_render_put_sprays(kn_renderer *renderer, kn_vec3 eye, size_t frame, size_t first);

/* render_beauty.c: submits the beauty picture (recording it at its first use for this size) after
 * kn_render_upload_frame; kn_render waits for it and reads [3][height][width] from plane 0 of renderer->beauty. */
bool kn_render_beauty_submit(kn_renderer *renderer, const kn_camera *camera, kn_error *error);
void kn_render_beauty_finish(kn_renderer *renderer); /* what it owns beside renderer->beauty */

#endif
