/* PLY, binary little-endian, with normals, colours and confidence. */
#include "mesh/views/mesh.h"

bool kn_write_ply(const kn_surface *s, const char *path, kn_error *error) {
    kn_bytes out = {0};
    kn_bytes_print(&out,
                   "ply\nformat binary_little_endian 1.0\ncomment Kinora; metres, +Z up\nelement vertex %zu\nproperty "
                   "float x\nproperty float y\nproperty float z\n"
                   "property float nx\nproperty float ny\nproperty float nz\nproperty uchar red\nproperty uchar "
                   "green\nproperty uchar blue\nproperty float confidence\n"
                   "element face %zu\nproperty list uchar uint vertex_indices\nend_header\n",
                   s->vertex_count, s->triangle_count);
    for (size_t v = 0; v < s->vertex_count; v++) {
        kn_bytes_add(&out, s->positions + 3 * v, 12), kn_bytes_add(&out, s->normals + 3 * v, 12);
        kn_bytes_add(&out, s->colors + 3 * v, 3), kn_bytes_add(&out, s->confidence + v, 4);
    }
    for (size_t t = 0; t < s->triangle_count; t++)
        kn_bytes_add(&out, "\3", 1), kn_bytes_add(&out, s->triangles + 3 * t, 12);
    bool ok = out.failed ? kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path)
                         : kn_file_write(path, out.data, out.size, error);
    kn_bytes_finish(&out);
    return ok;
}
