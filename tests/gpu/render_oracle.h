/* The renderer's kernels in naive C: every ray against every triangle. */
#ifndef KN_TESTS_RENDER_ORACLE_H
#define KN_TESTS_RENDER_ORACLE_H

#include "kinora/render.h"
#include "scene/render/light.h"
#include "scene/world/scene.h"

typedef struct oracle_triangle {
    kn_vec3 corner[3], normal[3];
    uint16_t material, instance;
    int actor, wheel; /* actor -1: the world; wheel -1: the body */
} oracle_triangle;

/* The triangles of one frame, in the world. */
typedef struct oracle {
    const kn_scene *scene;
    size_t frame;
    kn_light_setup light;
    kn_vec3 origin; /* of noise coordinates: the renderer's */
    oracle_triangle *triangles;
    size_t count;
} oracle;

typedef struct oracle_hit {
    const oracle_triangle *triangle; /* NULL: sky */
    double t;
    kn_vec3 position, normal, geometric_normal;
} oracle_hit;

bool oracle_init(oracle *o, const kn_scene *scene, size_t frame, kn_error *error);
void oracle_finish(oracle *o);

oracle_hit oracle_trace(const oracle *o, kn_vec3 origin, kn_vec3 direction, double t_min, double t_max);

/* World position of the camera's centre and the ray through an image point (depth 1). */
void oracle_ray(const oracle *o, const kn_camera *camera, double u, double v, kn_vec3 *origin, kn_vec3 *direction);

/* Radiance of shaded colours along a ray (materials without texture), and the film's display values of it. */
void oracle_color(const oracle *o, kn_vec3 origin, kn_vec3 direction, double rgb[3]);
/* The same for a pixel from four spots: those that show the centre's surface have its shade, others that show one
 * surface are shaded once, with the mean of their shadows. */
void oracle_spots(const oracle *o, const kn_camera *camera, int x, int y, double rgb[3]);
void oracle_film(const oracle *o, double rgb[3]);

/* Means over a pixel's spots: flat colour and emitted light, sRGB-encoded, and the share of each class. */
typedef struct oracle_facts {
    double flat_color[3], lamps[3], classes[KN_CLASS_COUNT];
} oracle_facts;
void oracle_spot_facts(const oracle *o, const kn_camera *camera, int x, int y, oracle_facts *facts);
/* Share of light that fog lets through on the way to a hit of this ray. */
double oracle_visibility(const oracle *o, const oracle_hit *hit, kn_vec3 direction);

/* Every lamp that is on, in the world; room for ORACLE_LIGHTS. Returns how many. */
enum { ORACLE_LIGHTS = 16 };
size_t oracle_lights(const oracle *o, kn_light *out);
/* Share of its colour that a light gives to a point facing it, its direction from there and its distance. */
double oracle_light_share(const kn_light *light, kn_vec3 position, kn_vec3 *direction, double *metres);

/* What rain.comp lays over a pixel's display values: first the mist of wheels, then drops. */
typedef struct oracle_veil {
    double mist_cover, mist[3], water_cover, water[3];
} oracle_veil;
/* `away`: metres to what the ray through (u, v) meets; `seed`: the renderer's seed of rain. */
oracle_veil oracle_rain(const oracle *o, const kn_camera *camera, double u, double v, double away, uint64_t seed);
void oracle_rain_over(const oracle_veil *over, double rgb[3]);

/* Movement in pixels of what is seen at a pixel's centre. */
void oracle_motion(const oracle *o, const kn_camera *camera, double u, double v, const oracle_hit *hit,
                   kn_vec3 direction, double motion[2]);

/* Part of the renderer's parts table that a triangle belongs to. */
unsigned oracle_part(const oracle *o, const oracle_triangle *triangle);
kn_pose oracle_part_pose(const oracle *o, int actor, int wheel, size_t frame);

/* noise.comp at a pixel's centre: channels 4 group .. 4 group + 3. */
void oracle_noise(const oracle *o, const kn_camera *camera, double u, double v, uint64_t seed, int group,
                  double value[4]);

#endif
