/* Binary STL in millimetres. */
#include "mesh/views/mesh.h"

bool kn_write_stl(const kn_surface *s, const char *path, kn_error *error) {
    kn_bytes out = {0};
    char header[80] = "Kinora; millimetres; +Z up";
    uint32_t count = (uint32_t)s->triangle_count;
    kn_bytes_add(&out, header, sizeof header), kn_bytes_add(&out, &count, 4);
    for (size_t t = 0; t < s->triangle_count; t++) {
        float p[4][3]; /* the normal, then the corners */
        for (size_t i = 0; i < 9; i++)
            p[1 + i / 3][i % 3] = 1000 * s->positions[3 * (size_t)s->triangles[3 * t + i / 3] + i % 3];
        double u[3], v[3], n[3];
        for (int i = 0; i < 3; i++) u[i] = p[2][i] - p[1][i], v[i] = p[3][i] - p[1][i];
        for (int i = 0; i < 3; i++) n[i] = u[(i + 1) % 3] * v[(i + 2) % 3] - u[(i + 2) % 3] * v[(i + 1) % 3];
        double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
        for (int i = 0; i < 3; i++) p[0][i] = (float)(n[i] / fmax(length, 1e-30));
        kn_bytes_add(&out, p, sizeof p), kn_bytes_add(&out, "\0\0", 2);
    }
    bool ok = out.failed ? kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path)
                         : kn_file_write(path, out.data, out.size, error);
    kn_bytes_finish(&out);
    return ok;
}
