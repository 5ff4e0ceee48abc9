/* 3MF (3MF Core 1.3 and Materials 1.2): millimetres, a colour for each corner. */
#include "mesh/views/mesh.h"

#include <string.h>

static const char content_types[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Types "
    "xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">"
    "<Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>"
    "<Default Extension=\"model\" ContentType=\"application/vnd.ms-package.3dmanufacturing-3dmodel+xml\"/></Types>\n";
static const char relationships[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Relationships "
    "xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">"
    "<Relationship Target=\"/3D/3dmodel.model\" Id=\"rel0\" "
    "Type=\"http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel\"/></Relationships>\n";

/* Colours in 5 bits a channel keep the list short; every corner names its own. */
static unsigned color_index(const uint8_t *rgb) {
    return (unsigned)(rgb[0] >> 3) << 10 | (unsigned)(rgb[1] >> 3) << 5 | (unsigned)rgb[2] >> 3;
}

static void describe(kn_bytes *out, const kn_surface *s, const uint32_t *number) {
    kn_bytes_print(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<model unit=\"millimeter\" xml:lang=\"en-US\" "
                        "xmlns=\"http://schemas.microsoft.com/3dmanufacturing/core/2015/02\""
                        " xmlns:m=\"http://schemas.microsoft.com/3dmanufacturing/material/2015/02\">\n<metadata "
                        "name=\"Application\">Kinora</metadata>\n<resources>\n<m:colorgroup id=\"1\">\n");
    for (unsigned c = 0; c < 32768; c++)
        if (number[c])
            kn_bytes_print(out, "<m:color color=\"#%02X%02X%02X\"/>\n", (c >> 10) * 255 / 31, (c >> 5 & 31) * 255 / 31,
                           (c & 31) * 255 / 31);
    kn_bytes_print(out,
                   "</m:colorgroup>\n<object id=\"2\" type=\"model\" pid=\"1\" pindex=\"0\">\n<mesh>\n<vertices>\n");
    for (size_t v = 0; v < s->vertex_count; v++)
        kn_bytes_print(out, "<vertex x=\"%.9g\" y=\"%.9g\" z=\"%.9g\"/>\n", 1000 * s->positions[3 * v],
                       1000 * s->positions[3 * v + 1], 1000 * s->positions[3 * v + 2]);
    kn_bytes_print(out, "</vertices>\n<triangles>\n");
    for (size_t t = 0; t < s->triangle_count; t++) {
        const uint32_t *i = s->triangles + 3 * t;
        unsigned p[3];
        for (int k = 0; k < 3; k++) p[k] = number[color_index(s->colors + 3 * (size_t)i[k])] - 1;
        kn_bytes_print(out, "<triangle v1=\"%u\" v2=\"%u\" v3=\"%u\" pid=\"1\" p1=\"%u\" p2=\"%u\" p3=\"%u\"/>\n", i[0],
                       i[1], i[2], p[0], p[1], p[2]);
    }
    float low[2] = {0, 0}; /* the tray's corner is the origin (section 3.3) */
    for (size_t v = 0; v < s->vertex_count; v++)
        for (size_t i = 0; i < 2; i++) low[i] = fminf(low[i], 1000 * s->positions[3 * v + i]);
    kn_bytes_print(out,
                   "</triangles>\n</mesh>\n</object>\n</resources>\n<build><item objectid=\"2\" transform=\"1 0 0 0 1 "
                   "0 0 0 1 %.9g %.9g 0\"/></build>\n</model>\n",
                   -low[0], -low[1]);
}

bool kn_write_3mf(const kn_surface *s, const char *path, kn_error *error) {
    uint32_t *number = kn_alloc(32768, sizeof *number, error), count = 0;
    if (!number) return false;
    for (size_t v = 0; v < s->vertex_count; v++) number[color_index(s->colors + 3 * v)] = 1;
    for (size_t c = 0; c < 32768; c++)
        if (number[c]) number[c] = ++count;
    kn_bytes model = {0};
    kn_zip zip = {0};
    describe(&model, s, number);
    bool ok = model.failed
                  ? kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path)
                  : kn_zip_add(&zip, "[Content_Types].xml", content_types, strlen(content_types), true, 1, error) &&
                        kn_zip_add(&zip, "_rels/.rels", relationships, strlen(relationships), true, 1, error) &&
                        kn_zip_add(&zip, "3D/3dmodel.model", model.data, model.size, true, 1, error) &&
                        kn_zip_write(&zip, path, error);
    kn_bytes_finish(&model);
    kn_zip_finish(&zip);
    kn_free(number);
    return ok;
}
