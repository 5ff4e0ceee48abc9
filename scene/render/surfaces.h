/* What the files of the surface cells share. Internal to scene/render/surface_*.c and tests. */
#ifndef KN_SCENE_RENDER_SURFACES_H
#define KN_SCENE_RENDER_SURFACES_H

#include "base/base.h"
#include "base/vecmath.h"
#include "kinora/render.h"
#include "kinora/surfaces.h"

enum { KN_CELL_LOCAL = 8, KN_CELL_SKY = 16 };

/* A piece of a surface: a box of 2^level metres along the surface's plane and four times that across it. Cells of one
 * level lie in those of the next; all bytes count when two are compared. */
typedef struct kn_cell {
    int32_t at[3];
    uint16_t domain; /* instance */
    uint8_t face;    /* 0..5: the axis that the surface faces; KN_CELL_LOCAL: in the instance's own coordinates */
    int8_t level;    /* of the sky: 2^level is the size on a cube of half-width 1 */
} kn_cell;
_Static_assert(sizeof(kn_cell) == 16, "cells are compared as bytes");

/* Distinct cells in the order of their arrival. Zero-initialise. */
typedef struct kn_cell_table {
    kn_cell *cells; /* [count] */
    size_t count, capacity;
    uint32_t *slots; /* [slot_count], a power of two: index + 1, 0 free */
    size_t slot_count;
} kn_cell_table;

void kn_cell_table_finish(kn_cell_table *table);
void kn_cell_table_clear(kn_cell_table *table); /* the memory stays */
/* Index of the cell, which is entered when it is new. */
bool kn_cell_table_enter(kn_cell_table *table, const kn_cell *cell, uint32_t *index, kn_error *error);

/* The cell of 2^level metres that `point` of a surface with this normal lies in. */
kn_cell kn_cell_at(kn_vec3 point, kn_vec3 normal, int level, uint16_t domain, uint8_t flags);

/* Instances that have a pose of their own at a frame, by number. Zero-initialise. */
typedef struct kn_instances {
    kn_box *boxes;
    size_t capacity;
    int32_t *index; /* [65536]: into boxes and poses; -1 none */
    kn_pose *poses; /* instance to world */
    size_t pose_capacity;
} kn_instances;
bool kn_instances_read(kn_instances *instances, const kn_scene *scene, size_t frame, kn_error *error);
void kn_instances_finish(kn_instances *instances);

struct kn_surface_window {
    const kn_scene *scene;
    kn_surface_params params;
    size_t first, frames, pictures, picture_capacity;
    kn_instances instances;
    size_t instances_frame; /* that `instances` holds; SIZE_MAX none */
    kn_cell_table table;
    uint32_t *cells;
    float *weights, *hold;
    size_t cells_capacity, weights_capacity, hold_capacity;
    kn_surface_links links;
};

#endif
