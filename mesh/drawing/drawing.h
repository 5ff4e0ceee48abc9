/* What the files of a drawing share. Internal to mesh/drawing. */
#ifndef KN_MESH_DRAWING_H
#define KN_MESH_DRAWING_H

#include "base/base.h"
#include "kinora/design.h"

/* A page at the size at which it is looked at. */
typedef struct kn_page {
    int width, height;
    float *lines;        /* [height][width] 0 paper .. 1 line */
    uint8_t *silhouette; /* [height][width] 255 inside */
    bool closed;         /* the outline closes */
} kn_page;

/* Evens the paper out and finds the lines: *page gets lines of at most 512 x 512. Finish also after failure. */
bool kn_page_init(kn_page *page, kn_drawing *drawing, const kn_image *image, const char *name, kn_error *error);
void kn_page_finish(kn_page *page);

/* Lines are dilated until they close, the background is flooded from the border, and the rest shrinks back. */
bool kn_page_outline(kn_page *page, kn_error *error);
/* Convex hull of the lines as the silhouette. */
bool kn_page_hull(kn_page *page, kn_error *error);
/* Numbers the connected pieces of a mask: labels[] 1.., 0 outside; areas[0..capacity) by label - 1. Returns how
 * many. */
int kn_page_pieces(const uint8_t *mask, int width, int height, int *labels, int *areas, int capacity, int *stack);

#endif
