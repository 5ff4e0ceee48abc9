/* The top view of a clip: roads and lanes, road users as boxes with their trails and speeds, the ego heading up.
 * Internal to pipelines/. */
#ifndef KN_PIPELINES_BEV_H
#define KN_PIPELINES_BEV_H

#include "pipelines/drive/facts.h"

#define KN_BEV_SIZE 720 /* pixels along each side */

typedef struct kn_bev kn_bev;

/* `lines` are the scene's map in world coordinates and must outlive the view. */
bool kn_bev_create(kn_bev **bev, const kn_map_line *lines, size_t line_count, const char *title, kn_rational rate,
                   kn_error *error);
/* Draws a frame into image (KN_BEV_SIZE x KN_BEV_SIZE, 3 channels). Frames must come in order: trails are
 * remembered. */
bool kn_bev_draw(kn_bev *bev, kn_image *image, const kn_frame_facts *facts, kn_error *error);
void kn_bev_destroy(kn_bev **bev);

#endif
