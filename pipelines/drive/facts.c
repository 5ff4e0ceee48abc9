#include "pipelines/drive/facts.h"

#include <math.h>

bool kn_frame_facts_read(kn_frame_facts *facts, const kn_scene *scene, size_t frame, kn_error *error) {
    size_t count = kn_scene_boxes(scene, frame, NULL, 0);
    if (!kn_grow(&facts->boxes, &facts->box_capacity, count, sizeof *facts->boxes, error)) return false;
    facts->frame = frame;
    facts->box_count =
        kn_min_size(kn_scene_boxes(scene, frame, facts->boxes, facts->box_capacity), facts->box_capacity);
    kn_scene_ego_pose(scene, frame, facts->ego_translation, facts->ego_rotation, &facts->ego_speed);
    return true;
}

void kn_frame_facts_finish(kn_frame_facts *facts) {
    kn_free(facts->boxes);
    *facts = (kn_frame_facts){0};
}

const char *kn_category_name(kn_actor_class kind) {
    switch (kind) {
    case KN_ACTOR_CAR:
    case KN_ACTOR_VAN: return "vehicle.car";
    case KN_ACTOR_TRUCK: return "vehicle.truck";
    case KN_ACTOR_BUS: return "vehicle.bus.rigid";
    case KN_ACTOR_TRAILER: return "vehicle.trailer";
    case KN_ACTOR_MOTORBIKE: return "vehicle.motorcycle";
    case KN_ACTOR_BICYCLE: return "vehicle.bicycle";
    case KN_ACTOR_PEDESTRIAN: return "human.pedestrian.adult";
    case KN_ACTOR_BARRIER: return "movable_object.barrier";
    case KN_ACTOR_CONE: return "movable_object.trafficcone";
    case KN_ACTOR_OBJECT: break;
    }
    return "movable_object.debris";
}

kn_pose kn_camera_world_pose(const kn_frame_facts *facts, const kn_camera *camera) {
    kn_pose ego = {.translation = {facts->ego_translation[0], facts->ego_translation[1], facts->ego_translation[2]}},
            local;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            ego.rotation[i][j] = facts->ego_rotation[i][j];
            local.rotation[i][j] = camera->rotation[i][j];
        }
    local.translation = (kn_vec3){camera->translation[0], camera->translation[1], camera->translation[2]};
    return kn_pose_multiply(&ego, &local);
}

static void extend(float rect[4], double x, double y) {
    rect[0] = fminf(rect[0], (float)x);
    rect[1] = fminf(rect[1], (float)y);
    rect[2] = fmaxf(rect[2], (float)x);
    rect[3] = fmaxf(rect[3], (float)y);
}

/* The rectangle around the projection of the part of the box in front of the camera; false when it is out of view. */
static bool project_box(const kn_pose *box_to_camera, const double half[3], const kn_camera *camera, float rect[4]) {
    enum { NEAR_MM = 50 };
    const double near = NEAR_MM / 1000.0;
    kn_vec3 corners[8];
    for (int i = 0; i < 8; i++)
        corners[i] = kn_pose_point(box_to_camera, (kn_vec3){i & 1 ? half[0] : -half[0], i & 2 ? half[1] : -half[1],
                                                            i & 4 ? half[2] : -half[2]});
    rect[0] = rect[1] = INFINITY;
    rect[2] = rect[3] = -INFINITY;
    for (int a = 0; a < 8; a++)
        for (int bit = 1; bit < 8; bit <<= 1) {
            if (a & bit) continue;
            kn_vec3 p = corners[a], q = corners[a | bit]; /* an edge, clipped at the near plane */
            if (p.z < near && q.z < near) continue;
            if (p.z < near || q.z < near) {
                kn_vec3 cut = kn_vec3_add(p, kn_vec3_scale(kn_vec3_sub(q, p), (near - p.z) / (q.z - p.z)));
                *(p.z < near ? &p : &q) = cut;
            }
            for (int end = 0; end < 2; end++) {
                kn_vec3 v = end ? q : p;
                extend(rect, (camera->k[0][0] * v.x + camera->k[0][1] * v.y) / v.z + camera->k[0][2],
                       camera->k[1][1] * v.y / v.z + camera->k[1][2]);
            }
        }
    rect[0] = fmaxf(rect[0], 0);
    rect[1] = fmaxf(rect[1], 0);
    rect[2] = fminf(rect[2], (float)camera->width);
    rect[3] = fminf(rect[3], (float)camera->height);
    return rect[0] < rect[2] && rect[1] < rect[3];
}

/* Where the ray origin + t direction enters the box, t > 0; false when it misses. */
static bool enter_box(const double origin[3], const double direction[3], const double half[3], double *entry) {
    double low = 0, high = INFINITY;
    for (int d = 0; d < 3; d++) {
        if (fabs(direction[d]) < 1e-12) {
            if (fabs(origin[d]) > half[d]) return false;
            continue;
        }
        double a = (-half[d] - origin[d]) / direction[d], b = (half[d] - origin[d]) / direction[d];
        low = fmax(low, fmin(a, b));
        high = fmin(high, fmax(a, b));
    }
    *entry = low;
    return low <= high;
}

/* Counts, over the rectangle, rays that meet the box and those with something else in front of it. */
static void count_occlusion(kn_box_2d *out, const kn_pose *camera_to_box, const double half[3], const kn_camera *camera,
                            const float *depth, const uint16_t *instance) {
    const double origin[3] = {camera_to_box->translation.x, camera_to_box->translation.y, camera_to_box->translation.z};
    int x1 = (int)ceilf(out->amodal[2]), y1 = (int)ceilf(out->amodal[3]);
    for (int y = (int)out->amodal[1]; y < y1; y++)
        for (int x = (int)out->amodal[0]; x < x1; x++) {
            double v = (y + .5 - camera->k[1][2]) / camera->k[1][1];
            double u = (x + .5 - camera->k[0][2] - camera->k[0][1] * v) / camera->k[0][0], entry;
            kn_vec3 ray = kn_pose_direction(camera_to_box, (kn_vec3){u, v, 1}); /* t is depth along the view axis */
            if (!enter_box(origin, (const double[3]){ray.x, ray.y, ray.z}, half, &entry)) continue;
            size_t at = (size_t)y * (size_t)camera->width + (size_t)x;
            out->box_pixels++;
            if (instance[at] != out->instance && depth[at] < entry - .02) out->occluded_pixels++;
        }
}

static void find_visible(kn_box_2d *out, const kn_camera *camera, const uint16_t *instance) {
    out->visible[0] = out->visible[1] = INFINITY;
    out->visible[2] = out->visible[3] = -INFINITY;
    /* Mirrors and antennas may stick out of the box a little: look around it, too. */
    int margin = 2 + (int)(.05f * (out->amodal[2] - out->amodal[0]));
    int x0 = (int)out->amodal[0] - margin, x1 = (int)out->amodal[2] + margin, y0 = (int)out->amodal[1] - margin,
        y1 = (int)out->amodal[3] + margin;
    for (int y = y0 < 0 ? 0 : y0; y < y1 && y < camera->height; y++)
        for (int x = x0 < 0 ? 0 : x0; x < x1 && x < camera->width; x++) {
            if (instance[(size_t)y * (size_t)camera->width + (size_t)x] != out->instance) continue;
            out->visible_pixels++;
            extend(out->visible, x, y);
            extend(out->visible, x + 1, y + 1);
        }
    if (out->visible_pixels == 0)
        for (int i = 0; i < 4; i++) out->visible[i] = 0;
}

bool kn_boxes_2d_append(kn_box_2d **list, size_t *count, size_t *capacity, const kn_frame_facts *facts,
                        const kn_camera *camera, int camera_index, const float *depth, const uint16_t *instance,
                        kn_error *error) {
    kn_pose view = kn_camera_world_pose(facts, camera), world_to_camera = kn_pose_inverse(&view);
    for (size_t i = 0; i < facts->box_count; i++) {
        const kn_box *box = &facts->boxes[i];
        if (box->is_ego) continue;
        kn_pose pose = kn_pose_from_quaternion((kn_vec3){box->translation[0], box->translation[1], box->translation[2]},
                                               box->rotation);
        kn_pose to_camera = kn_pose_multiply(&world_to_camera, &pose), to_box = kn_pose_inverse(&to_camera);
        const double half[3] = {box->size[1] / 2, box->size[0] / 2,
                                box->size[2] / 2}; /* length along x, width along y */
        kn_box_2d out = {.frame = (uint32_t)facts->frame,
                         .camera = camera_index,
                         .instance = box->instance,
                         .kind = (int32_t)box->kind};
        if (!project_box(&to_camera, half, camera, out.amodal)) continue;
        count_occlusion(&out, &to_box, half, camera, depth, instance);
        find_visible(&out, camera, instance);
        if (out.box_pixels == 0 && out.visible_pixels == 0) continue;
        if (!kn_grow(list, capacity, *count + 1, sizeof **list, error)) return false;
        (*list)[(*count)++] = out;
    }
    return true;
}
