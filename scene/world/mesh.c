/* Indexed triangle meshes: see world.h. */
#include "scene/world/world.h"

bool kn_mesh_add_vertex(kn_mesh *mesh, kn_vec3 position, kn_vec3 normal, kn_vec2 uv, uint32_t *index, kn_error *error) {
    size_t needed = mesh->vertex_count + 1;
    if (needed > UINT32_MAX) return kn_fail(error, KN_ERROR_UNSUPPORTED, "a mesh has more than 2^32 - 1 vertices");
    if (needed > mesh->vertex_capacity) {
        /* Three arrays share one capacity: each grows from the old value, which is stored when all have succeeded. */
        size_t old = mesh->vertex_capacity, want = needed < 64 ? 64 : needed + needed / 2, a = old, b = old, c = old;
        if (!kn_grow(&mesh->position, &a, want, sizeof *mesh->position, error)) return false;
        if (!kn_grow(&mesh->normal, &b, want, sizeof *mesh->normal, error)) return false;
        if (!kn_grow(&mesh->uv, &c, want, sizeof *mesh->uv, error)) return false;
        mesh->vertex_capacity = kn_min_size(a, kn_min_size(b, c));
    }
    size_t i = mesh->vertex_count++;
    mesh->position[i][0] = (float)position.x;
    mesh->position[i][1] = (float)position.y;
    mesh->position[i][2] = (float)position.z;
    mesh->normal[i][0] = (float)normal.x;
    mesh->normal[i][1] = (float)normal.y;
    mesh->normal[i][2] = (float)normal.z;
    mesh->uv[i][0] = (float)uv.x;
    mesh->uv[i][1] = (float)uv.y;
    *index = (uint32_t)i;
    return true;
}

bool kn_mesh_add_triangle(kn_mesh *mesh, uint32_t a, uint32_t b, uint32_t c, uint16_t material, uint16_t instance,
                          kn_error *error) {
    size_t needed = mesh->triangle_count + 1;
    if (needed > mesh->triangle_capacity) {
        size_t old = mesh->triangle_capacity, want = needed < 64 ? 64 : needed + needed / 2, x = old, y = old, z = old;
        if (!kn_grow(&mesh->triangle, &x, want, sizeof *mesh->triangle, error)) return false;
        if (!kn_grow(&mesh->material, &y, want, sizeof *mesh->material, error)) return false;
        if (!kn_grow(&mesh->instance, &z, want, sizeof *mesh->instance, error)) return false;
        mesh->triangle_capacity = kn_min_size(x, kn_min_size(y, z));
    }
    size_t i = mesh->triangle_count++;
    mesh->triangle[i][0] = a;
    mesh->triangle[i][1] = b;
    mesh->triangle[i][2] = c;
    mesh->material[i] = material;
    mesh->instance[i] = instance;
    return true;
}

bool kn_mesh_append(kn_mesh *mesh, const kn_mesh *part, const kn_pose *pose, uint16_t material_base, uint16_t instance,
                    kn_error *error) {
    size_t base = mesh->vertex_count;
    uint32_t index;
    for (size_t i = 0; i < part->vertex_count; i++) {
        const float *p = part->position[i], *n = part->normal[i], *t = part->uv[i];
        if (!kn_mesh_add_vertex(mesh, kn_pose_point(pose, (kn_vec3){p[0], p[1], p[2]}),
                                kn_pose_direction(pose, (kn_vec3){n[0], n[1], n[2]}), (kn_vec2){t[0], t[1]}, &index,
                                error)) {
            return false;
        }
    }
    for (size_t i = 0; i < part->triangle_count; i++) {
        const uint32_t *t = part->triangle[i];
        if (!kn_mesh_add_triangle(mesh, (uint32_t)(base + t[0]), (uint32_t)(base + t[1]), (uint32_t)(base + t[2]),
                                  (uint16_t)(material_base + part->material[i]), instance, error)) {
            return false;
        }
    }
    return true;
}

void kn_mesh_finish(kn_mesh *mesh) {
    if (!mesh) return;
    kn_free(mesh->position);
    kn_free(mesh->normal);
    kn_free(mesh->uv);
    kn_free(mesh->triangle);
    kn_free(mesh->material);
    kn_free(mesh->instance);
    *mesh = (kn_mesh){0};
}
