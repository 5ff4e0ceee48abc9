/* Drawing primitives: see build.h. */
#include "scene/world/build.h"

#include <string.h>

void kn_build_init(kn_build *build, kn_world *world, kn_mesh *mesh, kn_error *error) {
    *build = (kn_build){.world = world, .mesh = mesh, .pose = kn_pose_identity(), .error = error};
}

kn_material kn_matter(double r, double g, double b, double roughness, kn_texture texture, kn_semantic semantic,
                      double wettable) {
    kn_material m;
    memset(&m, 0, sizeof m); /* compared with memcmp: padding too */
    m.color[0] = (float)r;
    m.color[1] = (float)g;
    m.color[2] = (float)b;
    m.roughness = (float)roughness;
    m.texture = texture;
    m.semantic = semantic;
    m.wettable = (float)wettable;
    return m;
}

kn_material kn_lamp_matter(double r, double g, double b, kn_emitter emitter, double power, kn_semantic semantic) {
    kn_material m = kn_matter(r, g, b, .25, KN_TEXTURE_FLAT, semantic, 0);
    m.emitter = emitter;
    m.emission[0] = (float)(r * power);
    m.emission[1] = (float)(g * power);
    m.emission[2] = (float)(b * power);
    return m;
}

uint16_t kn_build_material(kn_build *build, const kn_material *material) {
    if (build->failed) return 0;
    kn_world *world = build->world;
    for (size_t i = world->material_count; i-- > 0;) {
        if (memcmp(&world->materials[i], material, sizeof *material) == 0) return (uint16_t)i;
    }
    if (world->material_count >= UINT16_MAX) {
        build->failed = !kn_fail(build->error, KN_ERROR_UNSUPPORTED, "a world has more than 65535 materials");
        return 0;
    }
    if (!kn_grow(&world->materials, &world->material_capacity, world->material_count + 1, sizeof *world->materials,
                 build->error)) {
        build->failed = true;
        return 0;
    }
    world->materials[world->material_count] = *material;
    return (uint16_t)world->material_count++;
}

void kn_build_use(kn_build *build, kn_material material) { build->material = kn_build_material(build, &material); }

uint32_t kn_build_vertex(kn_build *build, kn_vec3 position, kn_vec3 normal, double u, double v) {
    uint32_t index = 0;
    if (build->failed) return 0;
    if (build->plan) u = position.x - build->plan->x, v = position.y - build->plan->y;
    kn_vec3 at = kn_vec3_sub(kn_pose_point(&build->pose, position), build->origin);
    if (!kn_mesh_add_vertex(build->mesh, at, kn_pose_direction(&build->pose, normal), (kn_vec2){u, v}, &index,
                            build->error)) {
        build->failed = true;
    }
    return index;
}

void kn_build_triangle(kn_build *build, uint32_t a, uint32_t b, uint32_t c) {
    if (build->failed || a == b || b == c || a == c) return;
    if (!kn_mesh_add_triangle(build->mesh, a, b, c, build->material, build->instance, build->error))
        build->failed = true;
}

void kn_build_polygon(kn_build *build, const kn_vec3 *points, size_t count) {
    kn_vec3 normal = {0, 0, 0};
    for (size_t i = 2; i < count; i++) { /* the sum copes with collinear corners */
        normal = kn_vec3_add(normal,
                             kn_vec3_cross(kn_vec3_sub(points[i - 1], points[0]), kn_vec3_sub(points[i], points[0])));
    }
    if (kn_vec3_length(normal) < 1e-12) return;
    normal = kn_vec3_normalize(normal);
    kn_vec3 along = kn_vec3_normalize(kn_vec3_sub(points[1], points[0])), up = kn_vec3_cross(normal, along);
    uint32_t first = 0, previous = 0;
    for (size_t i = 0; i < count; i++) {
        kn_vec3 d = kn_vec3_sub(points[i], points[0]);
        uint32_t index = kn_build_vertex(build, points[i], normal, kn_vec3_dot(d, along), kn_vec3_dot(d, up));
        if (i == 0) first = index;
        if (i >= 2) kn_build_triangle(build, first, previous, index);
        previous = index;
    }
}

void kn_build_flat_triangle(kn_build *build, kn_vec3 p0, kn_vec3 p1, kn_vec3 p2) {
    kn_build_polygon(build, (kn_vec3[]){p0, p1, p2}, 3);
}

void kn_build_quad(kn_build *build, kn_vec3 p0, kn_vec3 p1, kn_vec3 p2, kn_vec3 p3) {
    kn_build_polygon(build, (kn_vec3[]){p0, p1, p2, p3}, 4);
}

void kn_build_box(kn_build *build, kn_vec3 a, kn_vec3 b, unsigned faces) {
    kn_vec3 p[8]; /* bit 0: x, bit 1: y, bit 2: z */
    for (int i = 0; i < 8; i++) p[i] = kn_v3(i & 1 ? b.x : a.x, i & 2 ? b.y : a.y, i & 4 ? b.z : a.z);
    if (faces & KN_BOX_RIGHT) kn_build_quad(build, p[0], p[1], p[5], p[4]);
    if (faces & KN_BOX_LEFT) kn_build_quad(build, p[3], p[2], p[6], p[7]);
    if (faces & KN_BOX_BACK) kn_build_quad(build, p[2], p[0], p[4], p[6]);
    if (faces & KN_BOX_FRONT) kn_build_quad(build, p[1], p[3], p[7], p[5]);
    if (faces & KN_BOX_TOP) kn_build_quad(build, p[4], p[5], p[7], p[6]);
    if (faces & KN_BOX_BOTTOM) kn_build_quad(build, p[2], p[3], p[1], p[0]);
}

/* The rectangle inset by `inset` with chamfered corners, as 8 points counter-clockwise seen from above. */
static void soft_ring(kn_vec3 *out, kn_vec3 a, kn_vec3 b, double z, double inset, double bevel) {
    double x0 = a.x + inset, x1 = b.x - inset, y0 = a.y + inset, y1 = b.y - inset, c = bevel;
    const double xy[8][2] = {{x0 + c, y0}, {x1 - c, y0}, {x1, y0 + c}, {x1, y1 - c},
                             {x1 - c, y1}, {x0 + c, y1}, {x0, y1 - c}, {x0, y0 + c}};
    for (int i = 0; i < 8; i++) out[i] = kn_v3(xy[i][0], xy[i][1], z);
}

void kn_build_soft_box(kn_build *build, kn_vec3 low, kn_vec3 high, double bevel) {
    kn_vec3 ring[3][8], bottom[8];
    soft_ring(ring[0], low, high, low.z, 0, bevel);
    soft_ring(ring[1], low, high, high.z - bevel, 0, bevel);
    soft_ring(ring[2], low, high, high.z, bevel * .6, bevel);
    for (int r = 0; r < 2; r++) {
        for (int i = 0; i < 8; i++) {
            int j = (i + 1) % 8;
            kn_build_quad(build, ring[r][i], ring[r][j], ring[r + 1][j], ring[r + 1][i]);
        }
    }
    kn_build_polygon(build, ring[2], 8);
    for (int i = 0; i < 8; i++) bottom[i] = ring[0][7 - i];
    kn_build_polygon(build, bottom, 8);
}

/* Adds the area-weighted normal of a triangle to its corners. */
static void accumulate(kn_vec3 *normals, const kn_vec3 *p, size_t a, size_t b, size_t c) {
    kn_vec3 n = kn_vec3_cross(kn_vec3_sub(p[b], p[a]), kn_vec3_sub(p[c], p[a]));
    normals[a] = kn_vec3_add(normals[a], n);
    normals[b] = kn_vec3_add(normals[b], n);
    normals[c] = kn_vec3_add(normals[c], n);
}

static void grid_normals(kn_vec3 *normals, const kn_vec3 *p, size_t nu, size_t nv, bool closed) {
    for (size_t v = 0; v + 1 < nv; v++) {
        for (size_t u = 0; u + (closed ? 0 : 1) < nu; u++) {
            size_t w = (u + 1) % nu, a = v * nu + u, b = v * nu + w, c = (v + 1) * nu + w, d = (v + 1) * nu + u;
            accumulate(normals, p, a, b, c);
            accumulate(normals, p, a, c, d);
        }
    }
    for (size_t v = 0; v < nv; v += nv - 1) { /* a row that is one point gets one normal */
        kn_vec3 sum = {0, 0, 0};
        bool pole = true;
        for (size_t u = 0; u < nu; u++) {
            if (kn_vec3_length(kn_vec3_sub(p[v * nu + u], p[v * nu])) > 1e-9) pole = false;
            sum = kn_vec3_add(sum, normals[v * nu + u]);
        }
        for (size_t u = 0; pole && u < nu; u++) normals[v * nu + u] = sum;
    }
}

void kn_build_grid(kn_build *build, const kn_vec3 *points, size_t nu, size_t nv, bool closed_u,
                   const uint16_t *materials) {
    if (build->failed || nu < 2 || nv < 2) return;
    size_t columns = closed_u ? nu + 1 : nu;
    kn_vec3 *normals = kn_alloc(nu * nv, sizeof *normals, build->error);
    uint32_t *index = normals ? kn_alloc(columns * nv, sizeof *index, build->error) : NULL;
    if (!index) build->failed = true;
    if (!build->failed) {
        grid_normals(normals, points, nu, nv, closed_u);
        for (size_t v = 0; v < nv; v++) {
            double along = 0;
            for (size_t u = 0; u < columns; u++) {
                size_t i = v * nu + u % nu;
                if (u > 0) along += kn_vec3_length(kn_vec3_sub(points[i], points[v * nu + u - 1]));
                double across = v ? kn_vec3_length(kn_vec3_sub(points[i], points[u % nu])) : 0;
                index[v * columns + u] =
                    kn_build_vertex(build, points[i], kn_vec3_normalize(normals[i]), along, across);
            }
        }
        uint16_t current = build->material;
        for (size_t v = 0; v + 1 < nv; v++) {
            for (size_t u = 0; u + 1 < columns; u++) {
                if (materials) build->material = materials[v * (columns - 1) + u];
                if (build->material == KN_NO_MATERIAL) continue;
                size_t a = v * columns + u, d = a + columns, i = v * nu + u, j = v * nu + (u + 1) % nu;
                bool flat_low = kn_vec3_length(kn_vec3_sub(points[i], points[j])) < 1e-9;
                bool flat_high = kn_vec3_length(kn_vec3_sub(points[i + nu], points[j + nu])) < 1e-9;
                if (!flat_low) kn_build_triangle(build, index[a], index[a + 1], index[d + 1]);
                if (!flat_high) kn_build_triangle(build, index[a], index[d + 1], index[d]);
            }
        }
        build->material = current;
    }
    kn_free(index);
    kn_free(normals);
}

/* Two unit vectors that make a right-handed frame with `axis`. */
static void frame_of(kn_vec3 axis, kn_vec3 *a, kn_vec3 *b) {
    kn_vec3 other = fabs(axis.z) < .9 ? kn_v3(0, 0, 1) : kn_v3(1, 0, 0);
    *a = kn_vec3_normalize(kn_vec3_cross(other, axis));
    *b = kn_vec3_cross(axis, *a);
}

void kn_build_cylinder(kn_build *build, kn_vec3 p0, kn_vec3 p1, double r0, double r1, int segments, unsigned caps) {
    kn_vec3 points[2 * 64], rim[64], a, b;
    if (segments > 64) segments = 64;
    kn_vec3 axis = kn_vec3_normalize(kn_vec3_sub(p1, p0));
    frame_of(axis, &a, &b);
    for (int i = 0; i < segments; i++) {
        double angle = 2 * M_PI * i / segments;
        kn_vec3 d = kn_vec3_add(kn_vec3_scale(a, cos(angle)), kn_vec3_scale(b, sin(angle)));
        points[i] = kn_vec3_add(p0, kn_vec3_scale(d, r0));
        points[segments + i] = kn_vec3_add(p1, kn_vec3_scale(d, r1));
    }
    kn_build_grid(build, points, (size_t)segments, 2, true, NULL);
    if (caps & 2 && r1 > 0) kn_build_polygon(build, points + segments, (size_t)segments);
    if (caps & 1 && r0 > 0) {
        for (int i = 0; i < segments; i++) rim[i] = points[segments - 1 - i];
        kn_build_polygon(build, rim, (size_t)segments);
    }
}

void kn_build_ellipsoid(kn_build *build, kn_vec3 center, kn_vec3 radii, int segments, int rings) {
    kn_vec3 points[33 * 17];
    if (segments > 32) segments = 32;
    if (rings > 16) rings = 16;
    for (int v = 0; v <= rings; v++) {
        double elevation = M_PI * (v / (double)rings - .5);
        for (int u = 0; u < segments; u++) {
            double angle = 2 * M_PI * u / segments, c = v == 0 || v == rings ? 0 : cos(elevation);
            points[v * segments + u] = kn_vec3_add(
                center, kn_v3(radii.x * c * cos(angle), radii.y * c * sin(angle), radii.z * sin(elevation)));
        }
    }
    kn_build_grid(build, points, (size_t)segments, (size_t)rings + 1, true, NULL);
}

void kn_build_lathe_y(kn_build *build, kn_vec3 center, const kn_vec2 *profile, size_t count, int segments) {
    kn_vec3 points[16 * 48];
    if (count > 16 || segments > 48) return;
    for (size_t v = 0; v < count; v++) {
        for (int u = 0; u < segments; u++) {
            double angle = 2 * M_PI * u / segments;
            points[v * (size_t)segments + (size_t)u] =
                kn_vec3_add(center, kn_v3(profile[v].x * cos(angle), profile[v].y, -profile[v].x * sin(angle)));
        }
    }
    kn_build_grid(build, points, (size_t)segments, count, true, NULL);
}
