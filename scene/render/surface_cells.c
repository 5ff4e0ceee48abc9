/* Cells of surfaces and tables of them. */
#include "scene/render/surfaces.h"

#include <math.h>
#include <string.h>

/* Coordinates are shifted by this, so that floors and walls at round numbers do not lie on the border of two cells. */
static const double SHIFT[3] = {1024.3719, 1024.2127, 1024.4391};
static const double ACROSS = 4; /* a cell's extent across its surface, in sizes */

/* --- tables ------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t value) {
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

static uint64_t hash_of(const kn_cell *cell) {
    uint64_t words[2];
    memcpy(words, cell, sizeof words);
    return mix(mix(words[0] + 0x9e3779b97f4a7c15u) ^ words[1]);
}

static bool same(const kn_cell *a, const kn_cell *b) { return memcmp(a, b, sizeof *a) == 0; }

void kn_cell_table_finish(kn_cell_table *table) {
    kn_free(table->cells);
    kn_free(table->slots);
    *table = (kn_cell_table){0};
}

void kn_cell_table_clear(kn_cell_table *table) {
    if (table->slots) memset(table->slots, 0, table->slot_count * sizeof *table->slots);
    table->count = 0;
}

/* Where the cell is or would be. */
static size_t slot_of(const kn_cell_table *table, const kn_cell *cell) {
    size_t slot = hash_of(cell) & (table->slot_count - 1);
    while (table->slots[slot] && !same(&table->cells[table->slots[slot] - 1], cell))
        slot = (slot + 1) & (table->slot_count - 1);
    return slot;
}

static bool grow_slots(kn_cell_table *table, kn_error *error) {
    size_t count = table->slot_count ? 2 * table->slot_count : 1024;
    uint32_t *slots = kn_alloc(count, sizeof *slots, error);
    if (!slots) return false;
    kn_free(table->slots);
    table->slots = slots;
    table->slot_count = count;
    for (size_t i = 0; i < table->count; i++) slots[slot_of(table, &table->cells[i])] = (uint32_t)i + 1;
    return true;
}

bool kn_cell_table_enter(kn_cell_table *table, const kn_cell *cell, uint32_t *index, kn_error *error) {
    if (2 * (table->count + 1) > table->slot_count && !grow_slots(table, error)) return false;
    size_t slot = slot_of(table, cell);
    if (!table->slots[slot]) {
        if (table->count >= KN_SURFACE_NONE - 1) return kn_fail(error, KN_ERROR_UNSUPPORTED, "too many surface cells");
        if (!kn_grow(&table->cells, &table->capacity, table->count + 1, sizeof *cell, error)) return false;
        table->cells[table->count] = *cell;
        table->slots[slot] = (uint32_t)++table->count;
    }
    *index = table->slots[slot] - 1;
    return true;
}

/* --- cells ------------------------------------------------------------------------------------- */

/* The axis that a normal lies along; the factors decide the many surfaces at exactly 45 degrees the same way in every
 * picture. */
static int axis_of(kn_vec3 n) {
    double x = fabs(n.x), y = 1.013 * fabs(n.y), z = 1.029 * fabs(n.z);
    return x >= y && x >= z ? 0 : y >= z ? 1 : 2;
}

static int32_t step_of(double value, double size) {
    double step = floor(value / size);
    return (int32_t)fmin(fmax(step, -2147483000.0), 2147483000.0);
}

kn_cell kn_cell_at(kn_vec3 point, kn_vec3 normal, int level, uint16_t domain, uint8_t flags) {
    const double p[3] = {point.x, point.y, point.z}, n[3] = {normal.x, normal.y, normal.z}, size = ldexp(1, level);
    int axis = axis_of(normal);
    kn_cell cell = {.domain = domain, .level = (int8_t)level};
    cell.face = (uint8_t)(2 * axis + (n[axis] > 0)) | flags;
    for (int i = 0; i < 3; i++) {
        bool flat = i == axis && flags & KN_CELL_SKY;
        cell.at[i] = flat ? 0 : step_of(p[i] + SHIFT[i], i == axis ? ACROSS * size : size);
    }
    return cell;
}

/* --- instances --------------------------------------------------------------------------------- */

bool kn_instances_read(kn_instances *instances, const kn_scene *scene, size_t frame, kn_error *error) {
    size_t count = kn_scene_boxes(scene, frame, NULL, 0);
    if (!kn_grow(&instances->boxes, &instances->capacity, count + 1, sizeof *instances->boxes, error) ||
        !kn_grow(&instances->poses, &instances->pose_capacity, count + 1, sizeof *instances->poses, error) ||
        (!instances->index && !(instances->index = kn_alloc(65536, sizeof *instances->index, error))))
        return false;
    kn_scene_boxes(scene, frame, instances->boxes, count);
    memset(instances->index, -1, 65536 * sizeof *instances->index);
    for (size_t i = 0; i < count; i++) {
        const kn_box *box = &instances->boxes[i];
        kn_vec3 middle = {box->translation[0], box->translation[1], box->translation[2]};
        instances->poses[i] = kn_pose_from_quaternion(middle, box->rotation);
        if (box->instance > 0 && box->instance < 65536) instances->index[box->instance] = (int32_t)i;
    }
    return true;
}

void kn_instances_finish(kn_instances *instances) {
    kn_free(instances->boxes);
    kn_free(instances->index);
    kn_free(instances->poses);
    *instances = (kn_instances){0};
}
