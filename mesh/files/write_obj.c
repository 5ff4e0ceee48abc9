/* Wavefront OBJ with its material and texture beside it. */
#include "mesh/views/mesh.h"

#include <string.h>

static bool write_material(const kn_surface *s, const char *stem, const char *base, kn_error *error) {
    char *mtl = kn_format(error, "%s.mtl", stem), *png = kn_format(error, "%s.png", stem);
    char *text = kn_format(error, "newmtl surface\nKd 1 1 1\nKs 0 0 0\nmap_Kd %s.png\n", base);
    uint8_t *data = NULL;
    size_t size;
    bool ok = mtl && png && text && kn_png_encode(&s->texture, &data, &size, error) &&
              kn_file_write(png, data, size, error) && kn_file_write(mtl, text, strlen(text), error);
    kn_free(data), kn_free(mtl), kn_free(png), kn_free(text);
    return ok;
}

bool kn_write_obj(const kn_surface *s, const char *path, kn_error *error) {
    kn_split split;
    char *stem = kn_format(error, "%.*s", (int)(strlen(path) - 4), path);
    if (!stem || !kn_split_init(&split, s, error)) return kn_free(stem), false;
    const char *slash = strrchr(stem, '/'), *base = slash ? slash + 1 : stem;
    kn_bytes out = {0};
    kn_bytes_print(&out, "# Kinora; metres, +Y up\nmtllib %s.mtl\nusemtl surface\n", base);
    for (size_t v = 0; v < s->vertex_count; v++)
        kn_bytes_print(&out, "v %.7g %.7g %.7g\n", s->positions[3 * v + 1], s->positions[3 * v + 2],
                       s->positions[3 * v]);
    for (size_t v = 0; v < s->vertex_count; v++)
        kn_bytes_print(&out, "vn %.5f %.5f %.5f\n", s->normals[3 * v + 1], s->normals[3 * v + 2], s->normals[3 * v]);
    for (size_t v = 0; v < split.count; v++)
        kn_bytes_print(&out, "vt %.7f %.7f\n", split.uv[2 * v], 1 - split.uv[2 * v + 1]);
    for (size_t t = 0; t < s->triangle_count; t++) {
        kn_bytes_print(&out, "f");
        for (size_t k = 3 * t; k < 3 * t + 3; k++)
            kn_bytes_print(&out, " %u/%u/%u", s->triangles[k] + 1, split.triangles[k] + 1, s->triangles[k] + 1);
        kn_bytes_print(&out, "\n");
    }
    bool ok = out.failed ? kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path)
                         : write_material(s, stem, base, error) && kn_file_write(path, out.data, out.size, error);
    kn_bytes_finish(&out);
    kn_split_finish(&split);
    kn_free(stem);
    return ok;
}
