/* Drawing primitives with which the builders of worlds and actors make their meshes. Internal to scene/.
 *
 * Errors are sticky: after the first failure every call does nothing, `failed` is set and `error` says why, so that
 * builders check once at their end. Winding is counter-clockwise seen from outside; uv is in metres. */
#ifndef KN_SCENE_BUILD_H
#define KN_SCENE_BUILD_H

#include "base/random.h"
#include "scene/world/world.h"

typedef struct kn_build {
    kn_world *world; /* owns the materials */
    kn_mesh *mesh;   /* receives the triangles */
    kn_pose pose;    /* from the coordinates of the calls to those of the mesh */
    kn_error *error;
    kn_vec3 origin;    /* of the mesh's coordinates, in those of the world */
    uint16_t material; /* of the triangles to come */
    uint16_t instance;
    const kn_vec2 *plan; /* uv are x and y from this point on, so that surfaces that overlap look the same; NULL: along
                            the shape */
    bool failed;
} kn_build;

void kn_build_init(kn_build *build, kn_world *world, kn_mesh *mesh, kn_error *error);

static inline kn_vec3 kn_v3(double x, double y, double z) { return (kn_vec3){x, y, z}; }
static inline double kn_mix(double a, double b, double t) { return a + (b - a) * t; }
static inline double kn_clamp(double x, double low, double high) { return x < low ? low : x > high ? high : x; }
static inline double kn_smooth(double low, double high, double x) {
    double t = kn_clamp((x - low) / (high - low), 0, 1);
    return t * t * (3 - 2 * t);
}
static inline kn_vec3 kn_mix3(kn_vec3 a, kn_vec3 b, double t) {
    return kn_v3(kn_mix(a.x, b.x, t), kn_mix(a.y, b.y, t), kn_mix(a.z, b.z, t));
}

/* A dielectric surface. */
kn_material kn_matter(double r, double g, double b, double roughness, kn_texture texture, kn_semantic semantic,
                      double wettable);
/* Switched emission with the radiance of its own colour times `power`. */
kn_material kn_lamp_matter(double r, double g, double b, kn_emitter emitter, double power, kn_semantic semantic);

/* The index of an equal material, appended when new. 0 after a failure. */
uint16_t kn_build_material(kn_build *build, const kn_material *material);
/* The same, and makes it the current one. */
void kn_build_use(kn_build *build, kn_material material);

uint32_t kn_build_vertex(kn_build *build, kn_vec3 position, kn_vec3 normal, double u, double v);
void kn_build_triangle(kn_build *build, uint32_t a, uint32_t b, uint32_t c);

/* Flat shapes; u runs from p0 to p1, v from p0 towards the rest. */
void kn_build_flat_triangle(kn_build *build, kn_vec3 p0, kn_vec3 p1, kn_vec3 p2);
void kn_build_quad(kn_build *build, kn_vec3 p0, kn_vec3 p1, kn_vec3 p2, kn_vec3 p3);
/* Convex polygon. */
void kn_build_polygon(kn_build *build, const kn_vec3 *points, size_t count);

enum {
    KN_BOX_LEFT = 1,
    KN_BOX_RIGHT = 2,
    KN_BOX_FRONT = 4,
    KN_BOX_BACK = 8,
    KN_BOX_TOP = 16,
    KN_BOX_BOTTOM = 32,
    KN_BOX_ALL = 63
};
/* Axis-aligned in the current pose; x front/back, y left/right. */
void kn_build_box(kn_build *build, kn_vec3 low, kn_vec3 high, unsigned faces);
/* A box whose upright edges are chamfered and whose top edges are too, by `bevel`. */
void kn_build_soft_box(kn_build *build, kn_vec3 low, kn_vec3 high, double bevel);

/* Smooth surface through points[v * nu + u]; normal = d/du x d/dv. Rows may be closed (last joins first). materials:
 * [nv - 1][nu, or nu - 1 when open], one a cell; NULL: the current one. KN_NO_MATERIAL leaves a cell open. */
#define KN_NO_MATERIAL 0xffff
void kn_build_grid(kn_build *build, const kn_vec3 *points, size_t nu, size_t nv, bool closed_u,
                   const uint16_t *materials);

/* Smooth cone frustum from p0 (radius r0) to p1 (radius r1); caps: 1 = at p0, 2 = at p1. */
void kn_build_cylinder(kn_build *build, kn_vec3 p0, kn_vec3 p1, double r0, double r1, int segments, unsigned caps);
void kn_build_ellipsoid(kn_build *build, kn_vec3 center, kn_vec3 radii, int segments, int rings);
/* Surface of revolution about the y axis through `center`: profile (radius, y), from one end to the other. */
void kn_build_lathe_y(kn_build *build, kn_vec3 center, const kn_vec2 *profile, size_t count, int segments);

#endif
