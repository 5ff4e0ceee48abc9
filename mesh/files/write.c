/* Which format a surface is written in, by the ending of its name. */
#include "mesh/views/mesh.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *extension;
    bool (*write)(const kn_surface *surface, const char *path, kn_error *error);
} formats[] = {{".glb", kn_write_glb}, {".obj", kn_write_obj}, {".ply", kn_write_ply},
               {".stl", kn_write_stl}, {".3mf", kn_write_3mf}, {".usdz", kn_write_usdz}};

static int format_of(const char *path) {
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < KN_COUNT(formats); i++)
        if (strcmp(dot, formats[i].extension) == 0) return (int)i;
    return -1;
}

bool kn_surface_format_known(const char *path) { return format_of(path) >= 0; }

bool kn_surface_write(const kn_surface *surface, const char *path, kn_error *error) {
    int format = format_of(path);
    if (format < 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: expected a name ending in .glb, .obj, .ply, .stl, .3mf or .usdz",
                       path);
    return formats[format].write(surface, path, error);
}
