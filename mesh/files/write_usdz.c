/* USDZ (OpenUSD 1.3): an uncompressed archive whose files start at multiples of 64 bytes; the scene as usda text. */
#include "mesh/views/mesh.h"

static void list(kn_bytes *out, const char *name, const float *values, size_t count) {
    kn_bytes_print(out, "        %s = [", name);
    for (size_t v = 0; v < count; v++) {
        const float *p = values + 3 * v;
        kn_bytes_print(out, "%s(%.7g, %.7g, %.7g)", v ? ", " : "", p[1], p[2], p[0]);
    }
    kn_bytes_print(out, "]");
}

/* The box around the points, which viewers need before they read them. */
static void extent(kn_bytes *out, const kn_surface *s) {
    float low[3] = {1e30f, 1e30f, 1e30f}, high[3] = {-1e30f, -1e30f, -1e30f};
    for (size_t v = 0; v < 3 * s->vertex_count; v++)
        low[v % 3] = fminf(low[v % 3], s->positions[v]), high[v % 3] = fmaxf(high[v % 3], s->positions[v]);
    kn_bytes_print(out, "        float3[] extent = [(%.7g, %.7g, %.7g), (%.7g, %.7g, %.7g)]\n", low[1], low[2], low[0],
                   high[1], high[2], high[0]);
}

static void describe(kn_bytes *out, const kn_surface *s, const kn_split *split) {
    kn_bytes_print(out,
                   "#usda 1.0\n(\n    defaultPrim = \"Object\"\n    metersPerUnit = 1\n    upAxis = \"Y\"\n)\n\ndef "
                   "Xform \"Object\" (\n    kind = \"component\"\n)\n{\n"
                   "    def Mesh \"Surface\" (\n        prepend apiSchemas = [\"MaterialBindingAPI\"]\n    )\n    {\n");
    extent(out, s);
    kn_bytes_print(out, "        uniform token subdivisionScheme = \"none\"\n        rel material:binding = "
                        "</Object/Material>\n        int[] faceVertexCounts = [");
    for (size_t t = 0; t < s->triangle_count; t++) kn_bytes_print(out, t ? ", 3" : "3");
    kn_bytes_print(out, "]\n        int[] faceVertexIndices = [");
    for (size_t i = 0; i < 3 * s->triangle_count; i++) kn_bytes_print(out, i ? ", %u" : "%u", s->triangles[i]);
    kn_bytes_print(out, "]\n");
    list(out, "point3f[] points", s->positions, s->vertex_count);
    kn_bytes_print(out, "\n");
    list(out, "normal3f[] normals", s->normals, s->vertex_count);
    kn_bytes_print(out, " (\n            interpolation = \"vertex\"\n        )\n        texCoord2f[] primvars:st = [");
    for (size_t v = 0; v < split->count; v++)
        kn_bytes_print(out, "%s(%.6f, %.6f)", v ? ", " : "", split->uv[2 * v], 1 - split->uv[2 * v + 1]);
    kn_bytes_print(
        out, "] (\n            interpolation = \"faceVarying\"\n        )\n        int[] primvars:st:indices = [");
    for (size_t i = 0; i < 3 * s->triangle_count; i++) kn_bytes_print(out, i ? ", %u" : "%u", split->triangles[i]);
    kn_bytes_print(
        out, "]\n    }\n\n    def Material \"Material\"\n    {\n        token outputs:surface.connect = "
             "</Object/Material/Shader.outputs:surface>\n\n"
             "        def Shader \"Shader\"\n        {\n            uniform token info:id = \"UsdPreviewSurface\"\n"
             "            color3f inputs:diffuseColor.connect = </Object/Material/Texture.outputs:rgb>\n            "
             "float inputs:roughness = 0.8\n"
             "            float inputs:metallic = 0\n            token outputs:surface\n        }\n\n");
    kn_bytes_print(out, "        def Shader \"Reader\"\n        {\n            uniform token info:id = "
                        "\"UsdPrimvarReader_float2\"\n            string inputs:varname = \"st\"\n"
                        "            float2 outputs:result\n        }\n\n        def Shader \"Texture\"\n        {\n   "
                        "         uniform token info:id = \"UsdUVTexture\"\n"
                        "            asset inputs:file = @texture.png@\n            float2 inputs:st.connect = "
                        "</Object/Material/Reader.outputs:result>\n"
                        "            token inputs:sourceColorSpace = \"sRGB\"\n            token inputs:wrapS = "
                        "\"clamp\"\n            token inputs:wrapT = \"clamp\"\n"
                        "            float3 outputs:rgb\n        }\n    }\n}\n");
}

bool kn_write_usdz(const kn_surface *s, const char *path, kn_error *error) {
    kn_split split;
    if (!kn_split_init(&split, s, error)) return false;
    kn_bytes scene = {0};
    kn_zip zip = {0};
    uint8_t *png = NULL;
    size_t size;
    describe(&scene, s, &split);
    bool ok = scene.failed
                  ? kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path)
                  : kn_png_encode(&s->texture, &png, &size, error) &&
                        kn_zip_add(&zip, "object.usda", scene.data, scene.size, false, 64, error) &&
                        kn_zip_add(&zip, "texture.png", png, size, false, 64, error) && kn_zip_write(&zip, path, error);
    kn_bytes_finish(&scene);
    kn_zip_finish(&zip);
    kn_free(png);
    kn_split_finish(&split);
    return ok;
}
