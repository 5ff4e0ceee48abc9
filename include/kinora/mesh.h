/* From posed pictures of one object or building to a closed, textured surface and its files.
 *
 *     kn_view_list cameras;
 *     kn_view_list_read(&cameras, "transforms.json", &error);
 *     ... fill kn_surface_view views[] with cameras.items[i] and pictures ...
 *     kn_surface_params params = KN_SURFACE_PARAMS_DEFAULT;
 *     kn_surface_build(&surface, gpu, views, count, &params, &error);
 *     kn_surface_write(surface, "car.glb",
 * &error); */
#ifndef KINORA_MESH_H
#define KINORA_MESH_H

#include "kinora/camera.h"
#include "kinora/gpu.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- cameras ---------------------------------------------------------------------------------- */

/* A picture's camera, posed in the world of the camera file. */
typedef struct kn_view_camera {
    kn_camera camera;     /* without distortion; width and height 0: the file does not say */
    double distortion[4]; /* k1, k2, p1, p2 of OpenCV's model; zeros: none */
    char file[512];       /* the picture that the camera file names, as written there; "" when it names none */
} kn_view_camera;

typedef struct kn_view_list {
    kn_view_camera *items; /* [count], owned */
    size_t count;
} kn_view_list;

/* Reads a NeRF transforms.json (camera-to-world, OpenGL camera axes; fl_x, fl_y, cx, cy or camera_angle_x; k1, k2, p1,
 * p2; per file or per frame), Kinora's sidecar ({"cameras": [{"width", "height", "K", "rotation", "translation"}]} as a
 * rig has them, one entry a frame, and optional "file" and "distortion" [k1, k2, p1, p2]), or a COLMAP text model: a
 * folder with cameras.txt and images.txt, or either of these files. COLMAP models SIMPLE_PINHOLE, PINHOLE,
 * SIMPLE_RADIAL, RADIAL and OPENCV. At most 100000 cameras. Poses that are not finite rigid motions are KN_ERROR_INPUT
 * and name the frame. */
bool kn_view_list_read(kn_view_list *list, const char *path, kn_error *error);
/* The same from memory; `name` stands in messages. For COLMAP both texts are given. */
bool kn_view_list_parse_transforms(kn_view_list *list, const char *name, const char *text, size_t size,
                                   kn_error *error);
bool kn_view_list_parse_colmap(kn_view_list *list, const char *name, const char *cameras, const char *images,
                               kn_error *error);
/* Writes a transforms.json that kn_view_list_read reads back. */
bool kn_view_list_write(const kn_view_list *list, const char *path, kn_error *error);
void kn_view_list_finish(kn_view_list *list);

/* How sharp a frame is, and a thumbnail that tells how much changes between frames. */
typedef struct kn_frame_look {
    double sharpness; /* variance of the Laplacian of the grey values (Pech-Pacheco et al. 2000), mean over windows */
    uint8_t thumbnail[16 * 16];
} kn_frame_look;
kn_frame_look kn_frame_look_at(const kn_image *picture);
/* Sets chosen[i] for at most `wanted` of looks[count]: the frames are cut into stretches in which the picture changes
 * equally much (and which last about equally long), and the sharpest of each is taken. */
void kn_frames_choose(const kn_frame_look *looks, size_t count, size_t wanted, bool *chosen);

/* Focal length in pixels of a width x height picture, from the EXIF data of a JPEG file; 0 when it does not say. */
double kn_exif_focal(const char *path, int width, int height);
/* The same from memory. */
double kn_exif_parse(const uint8_t *data, size_t size, int width, int height);

/* What the search for cameras may know. Zeros: nothing. */
typedef struct kn_find_params {
    double focal; /* pixels of the pictures; 0: unknown */
    kn_log log;
    kn_progress_callback progress; /* done and total in percent; NULL: none */
    void *progress_user;
} kn_find_params;

/* What was found. */
typedef struct kn_find_facts {
    size_t pictures, used; /* used: those whose camera was found */
    size_t points, observations;
    double error;         /* mean reprojection error, pixels of the pictures */
    double focal;         /* pixels */
    double distortion[4]; /* k1, k2, p1, p2 */
} kn_find_facts;

/* Finds the cameras of pictures[count] (3 to 600 of one size, in the order of the film) from the pictures alone: SIFT
 * (Lowe 2004), matches of neighbouring and of alike pictures, five-point relative poses, incremental reconstruction
 * (Snavely et al. 2006; Schoenberger & Frahm 2016) and bundle adjustment with one shared lens. list->items[i] is the
 * camera of pictures[i]; its width is 0 when it was not found. The world has no scale: the mean distance from the
 * cameras to what they look at is 1, z is up. Fails with KN_ERROR_INPUT when the pictures are no orbit: a still or
 * merely turning camera, too few pictures that fit together, cameras that do not go around anything. Uses no device;
 * deterministic. */
bool kn_cameras_find(kn_view_list *list, const kn_image *const *pictures, size_t count, const kn_find_params *params,
                     kn_find_facts *facts, kn_error *error);

/* --- surfaces --------------------------------------------------------------------------------- */

/* One picture with its camera. Everything is borrowed for the call. All pictures have one size. */
typedef struct kn_surface_view {
    kn_view_camera camera; /* intrinsics are scaled when the camera's size is a multiple of the picture's */
    kn_image picture;      /* sRGB, 3 channels, or 4 with the mask in alpha */
    kn_image mask;         /* 1 channel, >= 128 is the object; empty: found from alpha or the background */
    const float *depth; /* [height][width] along the camera's z, 0: unknown, in units and with a shift of its own; NULL:
                           measured */
    const float
        *normals; /* [height][width][3] in the camera (x right, y down, z forward), towards it; NULL: from the depth */
} kn_surface_view;

typedef struct kn_surface_params {
    bool no_mask;     /* a scene: everything in the pictures is surface; what most of them look at is reconstructed */
    int resolution;   /* voxels along the longest side, 32..512; 0: as fine as the pictures */
    int rounds;       /* stereo rounds, 0..4; 0: the visual hull alone */
    size_t triangles; /* wanted at most; 0: all */
    int texture;      /* texture size in pixels, a power of two 64..8192 */
    double length, width, height; /* metres; at most one above 0: the true size of the object's longer or shorter
                                     horizontal side or of its height. None: the cameras' units are metres */
    double box[6];    /* no_mask: the region, low x, y, z and high x, y, z in the cameras' world; zeros: found */
    double up[3];     /* up in the cameras' world; zeros: found from the cameras */
    bool keep_pieces; /* keep every component, not only the large ones */
    bool symmetric;   /* the object has two equal halves, as cars do: what one shows is used for the other */
    bool planar;      /* flatten what is nearly flat, as walls are */
    kn_log log;
    kn_progress_callback progress; /* done and total in percent of the whole; NULL: none */
    void *progress_user;
} kn_surface_params;
#define KN_SURFACE_PARAMS_DEFAULT ((kn_surface_params){.rounds = 2, .triangles = 60000, .texture = 1024})

/* A closed triangle mesh: metres, x forward, y left, z up, standing on z = 0 around the z axis. Triangles are counter-
 * clockwise seen from outside. Immutable, so it may be read from several threads. */
typedef struct kn_surface {
    size_t vertex_count, triangle_count;
    float *positions;    /* [vertex_count][3] metres */
    float *normals;      /* [vertex_count][3] unit length */
    uint8_t *colors;     /* [vertex_count][3] sRGB */
    float *confidence;   /* [vertex_count] 0 never seen .. 1 seen well by several pictures */
    uint32_t *triangles; /* [triangle_count][3] */
    float *corners;      /* [triangle_count][3][2] texture coordinates 0..1, v down from the upper row; NULL: none */
    uint32_t *charts;    /* [triangle_count] chart of the texture */
    uint32_t chart_count;
    float *chart_axes;       /* [chart_count][4] direction of growing u in the surface's axes, and 1, or -1 where v runs
                                upwards */
    kn_image texture;        /* RGB, sRGB */
    kn_image normal_map;     /* RGB, tangent space as glTF has it: the fine surface's normals; empty: none */
    double from_input[3][4]; /* cameras' world to this frame: a similarity */
} kn_surface;

/* Reconstructs a surface: masks, visual hull, PatchMatch stereo bounded by the hull (Bleyer et al. 2011; Schoenberger
 * et al. 2016 for the consistency terms), a weighted distance field (Curless & Levoy 1996) whose prior is the hull,
 * marching tetrahedra, simplification, charts and texture. Between 3 and 2000 views. The surface is closed, manifold
 * and outward. Fails with KN_ERROR_INPUT when the views cannot show one object (masks that never overlap, a still
 * camera). */
bool kn_surface_build(kn_surface **surface, kn_gpu *gpu, const kn_surface_view *views, size_t count,
                      const kn_surface_params *params, kn_error *error);
void kn_surface_destroy(kn_surface **surface);

/* What a surface is, measured on it. */
typedef struct kn_surface_facts {
    size_t triangles, vertices, components;
    bool closed;            /* every edge has two triangles that run through it in opposite directions */
    bool manifold;          /* closed, and the triangles around every vertex form one fan */
    bool outward;           /* every component's enclosed volume is positive */
    size_t degenerate;      /* triangles without area */
    double volume, area;    /* cubic and square metres */
    double size[3];         /* metres along x, y, z */
    double length, width;   /* metres: sides of the smallest upright box */
    double unseen;          /* share of the vertices that no picture saw */
    double unseen_sides[3]; /* share of the area that no picture saw, of what looks down, sideways and up */
    double confidence[3];   /* mean of the lower, middle and upper third */
} kn_surface_facts;
bool kn_surface_measure(const kn_surface *surface, kn_surface_facts *facts, kn_error *error);

/* --- files ------------------------------------------------------------------------------------ */

/* True when the extension is one of .glb .obj .ply .stl .3mf .usdz. */
bool kn_surface_format_known(const char *path);
/* Writes by extension: GLB (glTF 2.0, +Y up, front +Z, texture inside), OBJ (+Y up; with .mtl and .png beside it), PLY
 * (binary, metres, +Z up, vertex colours), STL (binary, millimetres, +Z up), 3MF (millimetres, +Z up, vertex colours),
 * USDZ (+Y up, metres). */
bool kn_surface_write(const kn_surface *surface, const char *path, kn_error *error);
/* Eight pictures around the surface in one of `width` pixels, 64..8192; *image is finished by the caller, also after
 * failure. */
bool kn_surface_draw_turntable(const kn_surface *surface, kn_image *image, int width, kn_error *error);
/* The same as a PNG. */
bool kn_surface_write_turntable(const kn_surface *surface, const char *path, int width, kn_error *error);

#ifdef __cplusplus
}
#endif
#endif
