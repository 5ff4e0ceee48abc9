/* What the files of mesh/ share. Internal to mesh/.
 *
 * Work frame: z up, the object around the origin, about one unit large. Eyes are the pictures' cameras in it. */
#ifndef KN_MESH_MESH_H
#define KN_MESH_MESH_H

#include "base/base.h"
#include "base/vecmath.h"
#include "kinora/mesh.h"

/* A prepared picture: undistorted, with its mask. All eyes of a job have one size. */
typedef struct kn_eye {
    int width, height;     /* pixels */
    double fx, fy, cx, cy; /* pixels */
    double r[3][3], t[3];  /* camera = r * work + t; x right, y down, z forward */
    double center[3];      /* in the work frame */
    uint8_t *rgb;          /* [height][width][3] */
    uint8_t *mask;         /* [height][width], 255 inside */
    float *edge;           /* [height][width] pixels to the silhouette, negative inside */
    float *depth,
        *normals; /* [height][width] given z, 0: none, and [height][width][3] normals in the camera; NULL: not given */
} kn_eye;

typedef struct kn_eyes {
    kn_eye *items;
    size_t count;
    double from_input[3][4]; /* cameras' world to the work frame */
    bool no_mask;
} kn_eyes;

/* Checks, undistorts, masks and places the views in the work frame. */
bool kn_eyes_init(kn_eyes *eyes, const kn_surface_view *views, size_t count, const kn_surface_params *params,
                  kn_error *error);
void kn_eyes_finish(kn_eyes *eyes);
#define KN_MAX_NEIGHBOURS 8
/* The eyes that see the object from a useful angle, best first: 12 degrees away, up to 65. Returns how many, 7 at
 * most. */
int kn_eyes_neighbours(const kn_eyes *eyes, size_t eye, int32_t neighbours[KN_MAX_NEIGHBOURS]);
/* Work frame becomes scale * (old - center). */
void kn_eyes_move(kn_eyes *eyes, const double center[3], double scale);
/* Pixel and depth of a point; false behind the camera. */
bool kn_eye_project(const kn_eye *eye, const double point[3], double pixel[2], double *depth);

/* Brightness 0..255 of a pixel, or its chroma (largest minus smallest channel), to which white highlights add
 * nothing. */
static inline int kn_eye_grey(const kn_eye *eye, size_t at, bool chroma) {
    const uint8_t *p = eye->rgb + 3 * at;
    if (!chroma) return (77 * p[0] + 150 * p[1] + 29 * p[2]) >> 8;
    int high = p[0] > p[1] ? p[0] : p[1], low = p[0] < p[1] ? p[0] : p[1];
    return (high > p[2] ? high : p[2]) - (low < p[2] ? low : p[2]);
}

/* Mask of one picture from alpha or a plain background: mask [height][width]. False without an error when neither
 * helps. */
bool kn_mask_alpha(const kn_image *picture, uint8_t *mask);
bool kn_mask_plain(const kn_image *picture, uint8_t *mask, kn_error *error);
/* Masks from the background that does not move: pictures[count] of one size, masks[count]. */
bool kn_mask_static(const kn_image *const *pictures, uint8_t *const *masks, size_t count, kn_error *error);
/* Masks of what the cameras go around, from colours that it has and its surroundings have not: masks[count] of the
 * views' size. *found: the views agree about one object that no picture cuts off; needs 8 views. */
bool kn_mask_colors(const kn_surface_view *views, uint8_t *const *masks, size_t count, const kn_log *log, bool *found,
                    kn_error *error);
/* A map of 0 and 1 becomes a mask: small pieces go, holes that the border does not reach are filled. */
bool kn_mask_tidy(uint8_t *mask, int width, int height, kn_error *error);
/* Signed distance in pixels to the border of a mask, negative inside (Felzenszwalb & Huttenlocher 2012). */
bool kn_mask_distance(const uint8_t *mask, int width, int height, float *distance, kn_error *error);
/* Binomial 5 x 5 mean of distances: the stairs of a silhouette's pixels would become grooves in the hull. */
bool kn_mask_soften(float *distance, int width, int height, kn_error *error);

/* A cubic grid: voxel (x, y, z) has its centre at origin + step * (x, y, z); index (z * size[1] + y) * size[0] + x. */
typedef struct kn_grid {
    int size[3];
    double origin[3], step;
} kn_grid;
static inline size_t kn_grid_count(const kn_grid *grid) {
    return (size_t)grid->size[0] * (size_t)grid->size[1] * (size_t)grid->size[2];
}
/* Trilinear value; the border's beyond it. */
float kn_grid_sample(const kn_grid *grid, const float *values, const double point[3]);

/* Triangles that share vertices. */
typedef struct kn_tris {
    float *positions;    /* [vertex_count][3] */
    uint32_t *triangles; /* [triangle_count][3] */
    size_t vertex_count, vertex_capacity, triangle_count, triangle_capacity;
} kn_tris;
void kn_tris_finish(kn_tris *mesh);

/* The zero level of values[] on the grid, negative inside, by marching tetrahedra (Doi & Koide 1991) over the
 * Freudenthal subdivision: closed and manifold when the grid's border is positive, which is enforced. */
bool kn_tets_extract(kn_tris *mesh, const kn_grid *grid, float *values, kn_error *error);

typedef struct kn_topology {
    size_t components, open_edges, bad_vertices, degenerate;
    bool outward;
    double volume, area;
} kn_topology;
bool kn_topology_check(const kn_tris *mesh, kn_topology *topology, kn_error *error);
/* Keeps the components whose volume is at least `share` of the largest one's; 1: only the largest. */
bool kn_topology_keep_large(kn_tris *mesh, double share, kn_error *error);

/* At most about `target` triangles, still closed and manifold: by meshoptimizer when what it gives is sound, else
 * kn_collapse. */
bool kn_simplify(kn_tris *mesh, size_t target, kn_error *error);
/* Edge collapse that keeps a closed manifold surface one. */
bool kn_collapse(kn_tris *mesh, size_t target, kn_error *error);
/* Area-weighted vertex normals [vertex_count][3]; owned by the caller. */
float *kn_tris_normals(const kn_tris *mesh, kn_error *error);

/* --- rasteriser ------------------------------------------------------------------------------- */

/* For each pixel the nearest (or farthest) triangle. */
typedef struct kn_raster {
    int width, height;
    float *depth;       /* camera z; 0: nothing */
    uint32_t *triangle; /* index + 1; 0: nothing */
    float *weights;     /* [2] perspective-correct weights of the second and third vertex */
} kn_raster;
bool kn_raster_init(kn_raster *raster, int width, int height, kn_error *error);
void kn_raster_finish(kn_raster *raster);
void kn_raster_draw(kn_raster *raster, const kn_eye *eye, const kn_tris *mesh, bool farthest);

/* --- reconstruction --------------------------------------------------------------------------- */

/* Visual hull as a signed distance, on a grid that fits it. *values is owned by the caller. */
bool kn_hull_carve(kn_grid *grid, float **values, kn_gpu *gpu, kn_eyes *eyes, int resolution, kn_error *error);

/* Cuts the hull's values (its surface is `hull`) off flat at the bottom, as high as the silhouettes allow; *height:
 * where. */
bool kn_ground_cut(float *values, const kn_grid *grid, const kn_eyes *eyes, const kn_tris *hull, double *height,
                   kn_error *error);

/* One picture's measured surface. */
typedef struct kn_depth {
    float *planes; /* [height][width][4]: normal x, y in the camera, depth (0: none), weight 0..1 */
} kn_depth;

/* Whether what the eyes see near the surface shines: brightness changes from eye to eye, chroma does not. */
bool kn_gloss_find(bool *glossy, const kn_eyes *eyes, const kn_tris *mesh, const kn_log *log, kn_error *error);

typedef struct kn_stereo kn_stereo;
/* Holds the pictures on the device; `glossy`: their chroma instead of their brightness, so that highlights do not
 * count. */
bool kn_stereo_create(kn_stereo **stereo, kn_gpu *gpu, const kn_eyes *eyes, bool glossy, kn_error *error);
void kn_stereo_destroy(kn_stereo **stereo);
/* Depth maps of all eyes, near the surface `start` (its front faces bound the search) and within `reach` work units
 * behind it; `refine`: `start` is already good. depths[eyes->count] get planes [height][width][4], owned by the
 * caller. */
bool kn_stereo_run(kn_stereo *stereo, const kn_tris *start, double reach, bool refine, kn_depth *depths,
                   const kn_surface_params *params, int first_percent, int last_percent, kn_error *error);

/* The eyes' given depths as planes, with a unit and a shift per eye so that all agree; eyes without depth are left
 * alone. */
bool kn_given_depths(kn_depth *depths, const kn_eyes *eyes, const kn_tris *start, kn_error *error);

/* Distance field from depth maps with the hull as its prior: values[] becomes the field; weight[] (may be NULL) how
 * well each voxel was measured. */
bool kn_fuse(float *values, float *weight, const kn_grid *grid, const float *hull, kn_gpu *gpu, const kn_eyes *eyes,
             const kn_depth *depths, kn_error *error);

/* Averages the field with its mirror image by weight, when the surface (mesh) has an upright mirror plane; else
 * warns. */
bool kn_symmetrize(float *field, float *weight, const kn_grid *grid, const kn_tris *mesh, const kn_log *log,
                   kn_error *error);

/* Smooths waves of a few voxels and flattens large planes of a fused field (distances within three voxels of the
 * surface; weight[]: how well each voxel was measured, hull: the field's lower bound) without rounding edges. planar:
 * also what bends a little. */
bool kn_relief(float *field, const float *weight, const float *hull, const kn_grid *grid, bool planar,
               const kn_log *log, kn_error *error);

/* --- finish ----------------------------------------------------------------------------------- */

/* Vertex normals [vertex_count][3] from the field's gradient where the vertex lies near its zero level, else from the
 * triangles; owned by the caller. */
float *kn_field_normals(const kn_tris *mesh, const kn_grid *grid, const float *field, kn_error *error);
/* Scale, ground contact and frame: fills positions, triangles and from_input, and takes the normals over. */
bool kn_place(kn_surface *surface, const kn_tris *work, float *normals, const kn_eyes *eyes,
              const kn_surface_params *params, kn_error *error);
/* Longer and shorter side of the smallest upright box around the points; returns its turn around z, radians. */
double kn_upright_box(const float *positions, size_t count, double sides[2]);
/* Cuts into charts without overlaps and packs them: fills corners, charts, chart_count of the surface. */
bool kn_atlas(kn_surface *surface, int texture, kn_error *error);
/* Calls visit for every texel whose centre lies in a triangle, once, with the weights of its second and third corner;
 * marks it in done[size * size]. */
typedef void (*kn_texel_visit)(void *user, size_t triangle, double w1, double w2, size_t texel);
void kn_texels_visit(const kn_surface *surface, int size, uint8_t *done, kn_texel_visit visit, void *user);
/* Grows RGB charts four texels into their padding; what remains gets the mean colour. */
void kn_texels_pad(kn_image *image, uint8_t *done);
/* Tangent of a vertex in a chart (along u) and its handedness, as glTF has them. */
void kn_surface_tangent(const kn_surface *surface, uint32_t vertex, uint32_t chart, float tangent[4]);
/* Normal map in tangent space from the field's gradient. `work` as for kn_bake. */
bool kn_bake_normals(kn_surface *surface, const kn_tris *work, const kn_grid *grid, const float *field, int texture,
                     kn_error *error);
/* Texture, vertex colours and confidence. `work` is the surface in the work frame, vertex for vertex. */
bool kn_bake(kn_surface *surface, const kn_tris *work, const kn_eyes *eyes, int texture, kn_error *error);

/* --- files ------------------------------------------------------------------------------------ */

/* PNG bytes of an image with 1, 3 or 4 channels; *data is freed with kn_free. */
bool kn_png_encode(const kn_image *image, uint8_t **data, size_t *size, kn_error *error);

/* Bytes that grow. */
typedef struct kn_bytes {
    uint8_t *data;
    size_t size, capacity;
    bool failed; /* an append ran out of memory; later ones do nothing */
} kn_bytes;
void kn_bytes_add(kn_bytes *bytes, const void *data, size_t size);
void kn_bytes_print(kn_bytes *bytes, const char *format, ...) __attribute__((format(printf, 2, 3)));
void kn_bytes_finish(kn_bytes *bytes);

/* A ZIP archive in memory (APPNOTE 6.3.10 without ZIP64). `align` > 1 starts the entry's data at a multiple of it. */
typedef struct kn_zip {
    kn_bytes file, directory;
    unsigned entries;
} kn_zip;
bool kn_zip_add(kn_zip *zip, const char *name, const void *data, size_t size, bool deflated, unsigned align,
                kn_error *error);
bool kn_zip_write(kn_zip *zip, const char *path, kn_error *error);
void kn_zip_finish(kn_zip *zip);

bool kn_write_glb(const kn_surface *surface, const char *path, kn_error *error);
bool kn_write_obj(const kn_surface *surface, const char *path, kn_error *error);
bool kn_write_ply(const kn_surface *surface, const char *path, kn_error *error);
bool kn_write_stl(const kn_surface *surface, const char *path, kn_error *error);
bool kn_write_3mf(const kn_surface *surface, const char *path, kn_error *error);
bool kn_write_usdz(const kn_surface *surface, const char *path, kn_error *error);

/* Vertices split where charts meet: for files with one texture coordinate a vertex. */
typedef struct kn_split {
    uint32_t *source;    /* [count] vertex of the surface */
    uint32_t *chart;     /* [count] */
    float *uv;           /* [count][2] */
    uint32_t *triangles; /* [triangle_count][3] */
    size_t count;
} kn_split;
bool kn_split_init(kn_split *split, const kn_surface *surface, kn_error *error);
void kn_split_finish(kn_split *split);

#endif
