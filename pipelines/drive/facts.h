/* What is known about a frame without looking at its pictures; shared by the label writers and the top view.
 * Internal to pipelines/. */
#ifndef KN_PIPELINES_FACTS_H
#define KN_PIPELINES_FACTS_H

#include "base/base.h"
#include "base/vecmath.h"
#include "kinora/encoders.h"
#include "kinora/render.h"

/* One road user in one camera at one frame. */
typedef struct kn_box_2d {
    uint32_t frame;
    int32_t camera, instance, kind;
    float amodal[4];          /* x0, y0, x1, y1 of the projected 3D box, clipped to the image, pixels */
    float visible[4];         /* tight around the pixels of the instance map; x1 <= x0 when there are none */
    uint32_t visible_pixels;  /* of the instance map */
    uint32_t box_pixels;      /* whose ray meets the 3D box */
    uint32_t occluded_pixels; /* of box_pixels: something else stands in front of the box */
} kn_box_2d;

/* A frame of the scene: ego and boxes in world coordinates. */
typedef struct kn_frame_facts {
    size_t frame;
    double ego_translation[3], ego_rotation[3][3], ego_speed; /* ego to world; m/s */
    kn_box *boxes;                                            /* owned; [box_count] */
    size_t box_count, box_capacity;
} kn_frame_facts;

/* Reads them from the scene; the same kn_frame_facts can be reused for frame after frame. */
bool kn_frame_facts_read(kn_frame_facts *facts, const kn_scene *scene, size_t frame, kn_error *error);
void kn_frame_facts_finish(kn_frame_facts *facts);

/* Camera to world at this frame, for a camera given relative to the ego. */
kn_pose kn_camera_world_pose(const kn_frame_facts *facts, const kn_camera *camera);

/* Projects the boxes of a frame into a camera (given relative to the ego) and compares them with its depth and
 * instance maps [height][width]. Appends to *list. Boxes that no ray meets and no pixel shows are left out. */
bool kn_boxes_2d_append(kn_box_2d **list, size_t *count, size_t *capacity, const kn_frame_facts *facts,
                        const kn_camera *camera, int camera_index, const float *depth, const uint16_t *instance,
                        kn_error *error);

/* "vehicle.car" and so on: nuScenes' name of a class. */
const char *kn_category_name(kn_actor_class kind);

#endif
