/* What the files of the optical flow share. Internal to encoders/flow*.c. */
#ifndef KN_ENCODERS_FLOW_H
#define KN_ENCODERS_FLOW_H

#include "base/base.h"
#include "kinora/flow.h"

enum { KN_FLOW_LEVELS = 12, KN_FLOW_PATCH = 8, KN_FLOW_STRIDE = 4 };

/* One picture of a pyramid: brightness 0..255 and its central differences, [h][w]. */
typedef struct kn_flow_image {
    int w, h;
    float *light, *dx, *dy;
} kn_flow_image;

/* Memory for one direction, of the finest level's size. */
typedef struct kn_flow_scratch {
    float *u, *v;               /* flow of the level at hand */
    float *coarse_u, *coarse_v; /* of the level before */
    float *weight;              /* of patches over each pixel */
    float *patches;             /* [patches of a row][2]: motion of those to the left and above */
    float *planes[8];           /* of the refinement */
} kn_flow_scratch;

/* Fills s->u and s->v with where the pixels of `from` are in `to`, beginning at the coarsest level. */
void kn_flow_search(const kn_flow_image *from, const kn_flow_image *to, int levels, kn_flow_scratch *s);
/* Variational refinement in place. */
void kn_flow_refine(const kn_flow_image *from, const kn_flow_image *to, kn_flow_scratch *s);

/* Bilinear, clamped at the border. */
static inline float kn_flow_at(const float *plane, int w, int h, float x, float y) {
    x = x > 0 ? x < (float)(w - 1) ? x : (float)(w - 1) : 0;
    y = y > 0 ? y < (float)(h - 1) ? y : (float)(h - 1) : 0;
    int x0 = (int)x, y0 = (int)y, x1 = x0 + 1 < w ? x0 + 1 : x0, y1 = y0 + 1 < h ? y0 + 1 : y0;
    float fx = x - (float)x0, fy = y - (float)y0;
    const float *a = plane + (size_t)y0 * (size_t)w, *b = plane + (size_t)y1 * (size_t)w;
    float top = a[x0] + fx * (a[x1] - a[x0]), bottom = b[x0] + fx * (b[x1] - b[x0]);
    return top + fy * (bottom - top);
}

#endif
