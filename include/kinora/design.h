/* From drawings to shapes: what a drawing shows, the condition of the shape sampler, and the surface that its sample
 * stands for. The sampler itself is kinora/field.h; `kinora design` joins them (docs/design.md).
 *
 * Object frame: x forward (cars) or along the long facade (buildings), y left, z up, standing on z = 0 around the z
 * axis. Units: a class's principal length is 1. Angles: radians; azimuth 0 sees the front (from +x), pi / 2 the left
 * side (from +y); elevation 0 is level, pi / 2 from above. */
#ifndef KINORA_DESIGN_H
#define KINORA_DESIGN_H

#include "kinora/mesh.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- classes ---------------------------------------------------------------------------------- */

enum { KN_SHAPE_MATERIALS = 8, KN_SHAPE_BITS = 3, KN_SHAPE_MAX_VIEWS = 4 };

typedef struct kn_shape_material {
    char name[32];
    uint8_t color[3]; /* sRGB */
} kn_shape_material;

typedef struct kn_shape_class {
    char name[32];
    char word[32];   /* what captions call it: the first of its synonyms */
    char words[400]; /* synonyms, separated by '|' */
    double frame[3]; /* extent of the grid: x and y around 0, z from -.02 to .98 of it */
    double mean[3];  /* mean length, width, height */
    double metres;   /* typical principal length */
    bool tall;       /* the principal length is the height */
    bool symmetric;  /* y and -y are alike */
    int material_count;
    kn_shape_material materials[KN_SHAPE_MATERIALS];
} kn_shape_class;

typedef struct kn_shape_classes {
    kn_shape_class *items; /* [count], owned */
    size_t count;
    int size[3]; /* cells of the grid along x, y, z */
} kn_shape_classes;

/* Reads shape.json (docs/formats.md). KN_ERROR_INPUT names the file, the class and the key. */
bool kn_shape_classes_read(kn_shape_classes *classes, const char *path, kn_error *error);
void kn_shape_classes_finish(kn_shape_classes *classes);
/* The class of this name or synonym; NULL. */
const kn_shape_class *kn_shape_class_named(const kn_shape_classes *classes, const char *name);
/* The class whose name or synonym comes first in the text, the longer one where two begin at one place; NULL. */
const kn_shape_class *kn_shape_class_in(const kn_shape_classes *classes, const char *text);
/* The first colour that a text names: "red", "dark blue", "#a03020"; false: none. */
bool kn_shape_paint(const char *text, uint8_t rgb[3]);

/* --- drawings --------------------------------------------------------------------------------- */

enum { KN_DRAWING_SIZE = 160, KN_DRAWING_BOX = 144 };

/* What a drawing shows, cut out: the larger side of the silhouette's box has KN_DRAWING_BOX pixels, its middle is that
 * of the picture. */
typedef struct kn_drawing {
    float lines[KN_DRAWING_SIZE * KN_DRAWING_SIZE];        /* 0 paper .. 1 dark line */
    uint8_t silhouette[KN_DRAWING_SIZE * KN_DRAWING_SIZE]; /* 255 inside */
    double box[4];     /* of the silhouette: low x, y, high x, y, pixels; the high ones lie behind the last pixel */
    float ink;         /* share of the page that is line, 0..1 */
    float evened;      /* how much darker the darkest part of the paper was than the brightest, 0..1 */
    bool cut_off;      /* the object touches the edge of the page */
    bool open_outline; /* the outline does not close: its convex hull was taken */
} kn_drawing;

/* Reads a drawing: paper evened out, lines, silhouette. `name` stands in messages. KN_ERROR_INPUT for an empty page, a
 * photograph, and a page with several objects; what it did about lesser things goes to the log as warnings. */
bool kn_drawing_read(kn_drawing *drawing, const kn_image *page, const char *name, const kn_log *log, kn_error *error);

typedef struct kn_drawing_view {
    double azimuth, elevation; /* radians */
} kn_drawing_view;

/* The views that a name stands for: "front", "rear", "side", "left", "right", "top", "three-quarter",
 * "rear-three-quarter", or "AZ,EL" in degrees; "" or NULL: all that are looked for. Returns how many, at most
 * KN_VIEW_CANDIDATES; 0: the name is unknown. */
enum { KN_VIEW_CANDIDATES = 32 };
int kn_drawing_views(const char *name, kn_drawing_view views[KN_VIEW_CANDIDATES]);

/* --- condition and sample --------------------------------------------------------------------- */

/* A drawing as seen from somewhere. The drawing is borrowed. */
typedef struct kn_drawing_pose {
    const kn_drawing *drawing;
    kn_drawing_view view;
} kn_drawing_pose;

/* Floats of a sample, [(1 + KN_SHAPE_BITS) size[1]][size[2]][size[0]], and of a condition, [2 size[1]][..][..]: slices
 * along y, rows from the top, columns from low x. Of a sample: signed distance over three mean cells, then the bits of
 * the material; of a condition: signed distance to the silhouettes over 16 pixels, and closeness to lines. */
size_t kn_shape_sample_floats(const int size[3]);
size_t kn_shape_condition_floats(const int size[3]);

/* The condition for drawings[count] (0: none, what the sampler takes for no drawing). `box` (length, width, height)
 * says how large the object is thought to be; NULL: the class's mean. */
bool kn_shape_condition(float *condition, const kn_shape_class *kind, const int size[3],
                        const kn_drawing_pose *drawings, int count, const double box[3], kn_error *error);

/* How well a sample agrees with a drawing, 0..1: intersection over union of its silhouette and the drawn one. */
bool kn_shape_agreement(const float *sample, const kn_shape_class *kind, const int size[3],
                        const kn_drawing_pose *drawing, double *iou, kn_error *error);
/* Length, width and height of a sample, units; false: it is empty. */
bool kn_shape_box(const float *sample, const kn_shape_class *kind, const int size[3], double box[3]);

/* Pulls a clean estimate towards the drawings: what lies outside a silhouette is carved off, where a silhouette is not
 * covered the nearest part grows. strength 0..1. */
bool kn_shape_pull(float *sample, const kn_shape_class *kind, const int size[3], const kn_drawing_pose *drawings,
                   int count, double strength, kn_error *error);

/* --- surface ---------------------------------------------------------------------------------- */

typedef struct kn_shape_params {
    double length, width, height; /* metres; at most one above 0; none: the class's typical size */
    size_t triangles;             /* wanted at most; 0: all */
    int texture;                  /* pixels, a power of two 64..8192 */
    bool flat;                    /* flatten what is nearly flat, as walls are */
    const uint8_t *paint;         /* [3] sRGB of the first material; NULL: the class's */
} kn_shape_params;
#define KN_SHAPE_PARAMS_DEFAULT ((kn_shape_params){.triangles = 60000, .texture = 1024})

/* The surface of a sample: closed, manifold, one piece, standing flat on z = 0, in metres; materials[triangle_count]
 * (freed with kn_shape_materials_free; may be NULL) says each triangle's material. KN_ERROR_INPUT for an empty
 * sample. */
bool kn_shape_surface(kn_surface **surface, uint8_t **materials, const float *sample, const kn_shape_class *kind,
                      const int size[3], const kn_shape_params *params, kn_error *error);
void kn_shape_materials_free(uint8_t *materials);
/* kn_shape_agreement of a surface. */
bool kn_surface_agreement(const kn_surface *surface, const kn_drawing_pose *drawing, double *iou, kn_error *error);

#ifdef __cplusplus
}
#endif
#endif
