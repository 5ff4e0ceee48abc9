#include "mesh_readers.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static uint8_t *bytes_of(const char *path, size_t *size) {
    uint8_t *data;
    kn_error error = {0};
    cr_assert(kn_file_read(path, 1 << 28, &data, size, &error), "%s", error.message);
    return data;
}

static uint32_t word(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static size_t half(const uint8_t *p) { return (size_t)p[0] | (size_t)p[1] << 8; }

static kn_tris reserve(size_t vertices, size_t triangles) {
    return (kn_tris){.positions = kn_alloc(vertices + 1, 12, NULL),
                     .triangles = kn_alloc(triangles + 1, 12, NULL),
                     .vertex_count = vertices,
                     .triangle_count = triangles};
}

static void check_indices(const kn_tris *m, const char *path) {
    for (size_t i = 0; i < 3 * m->triangle_count; i++)
        cr_assert_lt(m->triangles[i], m->vertex_count, "%s: a triangle names a vertex that is not there", path);
}

/* --- vertices that are told apart by their place alone ---------------------------------------- */

static const float *places;

static int by_place(const void *a, const void *b) {
    return memcmp(places + 3 * (size_t) * (const uint32_t *)a, places + 3 * (size_t) * (const uint32_t *)b, 12);
}

static void join_equal(kn_tris *m) {
    uint32_t *order = kn_alloc(m->vertex_count + 1, 4, NULL), *joined = kn_alloc(m->vertex_count + 1, 4, NULL);
    for (size_t v = 0; v < 3 * m->vertex_count; v++) m->positions[v] += 0.0f; /* -0 is 0 */
    for (size_t v = 0; v < m->vertex_count; v++) order[v] = (uint32_t)v;
    places = m->positions;
    qsort(order, m->vertex_count, sizeof *order, by_place);
    for (size_t v = 0; v < m->vertex_count; v++)
        joined[order[v]] = v && by_place(&order[v], &order[v - 1]) == 0 ? joined[order[v - 1]] : order[v];
    for (size_t i = 0; i < 3 * m->triangle_count; i++) m->triangles[i] = joined[m->triangles[i]];
    kn_free(order), kn_free(joined);
}

/* --- formats ---------------------------------------------------------------------------------- */

static kn_tris read_stl(const char *path) {
    size_t size;
    uint8_t *d = bytes_of(path, &size);
    cr_assert(size >= 84 && size == 84 + 50 * (size_t)word(d + 80), "%s", path);
    kn_tris m = reserve(3 * (size_t)word(d + 80), word(d + 80));
    for (size_t i = 0; i < m.vertex_count; i++) {
        memcpy(m.positions + 3 * i, d + 84 + 50 * (i / 3) + 12 + 12 * (i % 3), 12);
        m.triangles[i] = (uint32_t)i;
    }
    for (size_t i = 0; i < 3 * m.vertex_count; i++) m.positions[i] /= 1000;
    kn_free(d);
    join_equal(&m);
    return m;
}

static kn_tris read_ply(const char *path) {
    size_t size, vertices, triangles;
    uint8_t *d = bytes_of(path, &size);
    const char *head = (const char *)d, *v = strstr(head, "element vertex "), *f = strstr(head, "element face "),
               *end = strstr(head, "end_header\n");
    cr_assert(strncmp(head, "ply\nformat binary_little_endian 1.0\n", 36) == 0 && v && f && end, "%s", path);
    vertices = strtoul(v + 15, NULL, 10), triangles = strtoul(f + 13, NULL, 10);
    const uint8_t *p = (const uint8_t *)end + 11;
    cr_assert_eq(size, (size_t)(p - d) + 31 * vertices + 13 * triangles, "%s",
                 path); /* 6 floats, 3 colours, confidence; 3 and 3 indices */
    kn_tris m = reserve(vertices, triangles);
    for (size_t i = 0; i < vertices; i++) memcpy(m.positions + 3 * i, p + 31 * i, 12);
    for (size_t i = 0; i < triangles; i++) {
        cr_assert_eq(p[31 * vertices + 13 * i], 3);
        memcpy(m.triangles + 3 * i, p + 31 * vertices + 13 * i + 1, 12);
    }
    kn_free(d);
    return m;
}

static kn_tris read_obj(const char *path) {
    size_t size, counts[4] = {0}; /* v, vn, vt, f */
    char *text = (char *)bytes_of(path, &size);
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        counts[0] += strncmp(line, "v ", 2) == 0, counts[1] += strncmp(line, "vn ", 3) == 0;
        counts[2] += strncmp(line, "vt ", 3) == 0, counts[3] += strncmp(line, "f ", 2) == 0;
    }
    kn_tris m = reserve(counts[0], counts[3]);
    size_t v = 0, t = 0;
    for (char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        float p[3];
        if (strncmp(line, "v ", 2) == 0) { /* +Y up, front +Z */
            cr_assert_eq(sscanf(line, "v %f %f %f", p, p + 1, p + 2), 3);
            m.positions[3 * v] = p[2], m.positions[3 * v + 1] = p[0], m.positions[3 * v++ + 2] = p[1];
        }
        char *at = line + 2;
        for (size_t k = 0; line[0] == 'f' && k < 3; k++) {
            size_t i[3];
            for (int c = 0; c < 3; c++) i[c] = strtoul(at, &at, 10), at += *at == '/';
            cr_assert(i[0] >= 1 && i[1] >= 1 && i[2] >= 1 && i[0] <= counts[0] && i[1] <= counts[2] &&
                          i[2] <= counts[1],
                      "%s", path);
            m.triangles[3 * t + k] = (uint32_t)i[0] - 1;
        }
        t += line[0] == 'f';
    }
    kn_free(text);
    return m;
}

static size_t number(const json_t *object, const char *key) {
    return (size_t)json_integer_value(json_object_get(object, key));
}

static kn_tris read_glb(const char *path) {
    size_t size;
    uint8_t *d = bytes_of(path, &size);
    cr_assert(size > 28 && word(d) == 0x46546c67 && word(d + 8) == size && word(d + 12) + 28 < size, "%s", path);
    json_t *root = json_loadb((char *)d + 20, word(d + 12), 0, NULL);
    cr_assert(root, "%s", path);
    const uint8_t *bin = d + 28 + word(d + 12);
    json_t *accessors = json_object_get(root, "accessors"), *views = json_object_get(root, "bufferViews"),
           *mesh = json_array_get(json_object_get(root, "meshes"), 0);
    json_t *primitive = json_array_get(json_object_get(mesh, "primitives"), 0);
    json_t *points = json_array_get(accessors, number(json_object_get(primitive, "attributes"), "POSITION")),
           *corners = json_array_get(accessors, number(primitive, "indices"));
    size_t at = number(json_array_get(views, number(points, "bufferView")), "byteOffset"),
           from = number(json_array_get(views, number(corners, "bufferView")), "byteOffset");
    kn_tris m = reserve(number(points, "count"), number(corners, "count") / 3);
    for (size_t v = 0; v < m.vertex_count; v++) {
        float p[3];
        memcpy(p, bin + at + 12 * v, 12);
        m.positions[3 * v] = p[2], m.positions[3 * v + 1] = p[0], m.positions[3 * v + 2] = p[1];
    }
    memcpy(m.triangles, bin + from, 12 * m.triangle_count);
    json_decref(root), kn_free(d);
    check_indices(&m, path);
    join_equal(&m);
    return m;
}

char *read_zip_entry(const char *path, const char *name, size_t *size, size_t *begin) {
    size_t all;
    uint8_t *d = bytes_of(path, &all);
    char *out = NULL;
    for (size_t at = 0; !out && at + 30 < all && word(d + at) == 0x04034b50;) {
        size_t packed = word(d + at + 18), from = at + 30 + half(d + at + 26) + half(d + at + 28);
        if (strncmp((char *)d + at + 30, name, half(d + at + 26)) == 0 && strlen(name) == half(d + at + 26)) {
            *size = word(d + at + 22), *begin = from;
            out = kn_alloc(*size + 1, 1, NULL);
            z_stream z = {
                .next_in = d + from, .avail_in = (uInt)packed, .next_out = (Bytef *)out, .avail_out = (uInt)*size};
            if (half(d + at + 8) == 0) memcpy(out, d + from, *size);
            else
                cr_assert(inflateInit2(&z, -15) == Z_OK && inflate(&z, Z_FINISH) == Z_STREAM_END &&
                              inflateEnd(&z) == Z_OK,
                          "%s: %s", path, name);
            cr_assert_eq(crc32(0, (Bytef *)out, (uInt)*size), word(d + at + 14), "%s: %s", path, name);
        }
        at = from + packed;
    }
    kn_free(d);
    return out;
}

static size_t count_of(const char *text, const char *what) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what)) n++;
    return n;
}

/* 3MF Core 1.3: millimetres as declared, three different vertices a triangle, colours that exist, a build item that
 * names the object. */
static kn_tris read_3mf(const char *path) {
    size_t size, begin, colors;
    char *types = read_zip_entry(path, "[Content_Types].xml", &size, &begin),
         *relations = read_zip_entry(path, "_rels/.rels", &size, &begin);
    char *model = read_zip_entry(path, "3D/3dmodel.model", &size, &begin);
    cr_assert(types && relations && model && strstr(types, "3dmanufacturing-3dmodel+xml") &&
                  strstr(relations, "/3D/3dmodel.model"),
              "%s", path);
    cr_assert(strstr(model, "unit=\"millimeter\"") && strstr(model, "<item objectid=\"2\"") &&
                  strstr(model, "<object id=\"2\" type=\"model\""),
              "%s", path);
    kn_tris m = reserve(count_of(model, "<vertex "), count_of(model, "<triangle "));
    colors = count_of(model, "<m:color ");
    const char *at = model;
    for (size_t v = 0; v < m.vertex_count; v++) {
        at = strstr(at, "<vertex ");
        cr_assert_eq(sscanf(at, "<vertex x=\"%f\" y=\"%f\" z=\"%f\"/>", m.positions + 3 * v, m.positions + 3 * v + 1,
                            m.positions + 3 * v + 2),
                     3, "%s", path);
        at += 8;
    }
    for (size_t t = 0; t < m.triangle_count; t++) {
        uint32_t *i = m.triangles + 3 * t;
        size_t p[3];
        at = strstr(at, "<triangle ");
        cr_assert_eq(sscanf(at, "<triangle v1=\"%u\" v2=\"%u\" v3=\"%u\" pid=\"1\" p1=\"%zu\" p2=\"%zu\" p3=\"%zu\"/>",
                            i, i + 1, i + 2, p, p + 1, p + 2),
                     6, "%s", path);
        cr_assert(i[0] != i[1] && i[1] != i[2] && i[2] != i[0] && p[0] < colors && p[1] < colors && p[2] < colors, "%s",
                  path);
        at += 10;
    }
    for (size_t i = 0; i < 3 * m.vertex_count; i++) m.positions[i] /= 1000;
    kn_free(types), kn_free(relations), kn_free(model);
    return m;
}

/* USDZ: stored files at multiples of 64 bytes, the scene first; metres, +Y up. */
static kn_tris read_usdz(const char *path) {
    size_t size, begin, picture;
    char *scene = read_zip_entry(path, "object.usda", &size, &begin),
         *texture = read_zip_entry(path, "texture.png", &size, &picture);
    cr_assert(scene && texture && begin % 64 == 0 && picture % 64 == 0 && begin < 64 * 4, "%s", path);
    cr_assert(strstr(scene, "metersPerUnit = 1\n") && strstr(scene, "upAxis = \"Y\"") &&
                  strstr(scene, "defaultPrim = \"Object\"") && strstr(scene, "@texture.png@"),
              "%s", path);
    char *indices = strstr(scene, "faceVertexIndices = ["), *points = strstr(scene, "point3f[] points = ["),
         *counts = strstr(scene, "faceVertexCounts = [");
    cr_assert(indices && points && counts, "%s", path);
    indices += 21, points += 20;
    size_t corners = 1, vertices = 0;
    for (const char *c = indices; *c != ']'; c++) corners += *c == ',';
    for (const char *c = points; *c != ']'; c++) vertices += *c == '(';
    kn_tris m = reserve(vertices, corners / 3);
    for (size_t i = 0; i < corners; i++) m.triangles[i] = (uint32_t)strtoul(indices, &indices, 10), indices += 2;
    for (size_t v = 0; v < vertices; v++) {
        float p[3];
        points = strchr(points, '(');
        cr_assert_eq(sscanf(points++, "(%f, %f, %f)", p, p + 1, p + 2), 3, "%s", path);
        m.positions[3 * v] = p[2], m.positions[3 * v + 1] = p[0], m.positions[3 * v + 2] = p[1];
    }
    kn_free(scene), kn_free(texture);
    return m;
}

kn_tris read_mesh_file(const char *path) {
    static const struct {
        const char *extension;
        kn_tris (*read)(const char *path);
    } readers[] = {{".stl", read_stl}, {".ply", read_ply}, {".obj", read_obj},
                   {".glb", read_glb}, {".3mf", read_3mf}, {".usdz", read_usdz}};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; i < KN_COUNT(readers); i++)
        if (strcmp(dot, readers[i].extension) == 0) {
            kn_tris m = readers[i].read(path);
            check_indices(&m, path);
            return m;
        }
    cr_assert(false, "%s: no reader", path);
    return (kn_tris){0};
}
