/* GLB: glTF 2.0 in one file (Khronos glTF 2.0 specification, section 4.4). */
#include "mesh/views/mesh.h"

#include <string.h>

/* Surface axes (x forward, y left, z up) to glTF's (x left, y up, z forward). */
static void turned(const float in[3], float out[3]) { out[0] = in[1], out[1] = in[2], out[2] = in[0]; }

/* The parts of the binary chunk, in this order. */
enum { POSITIONS, NORMALS, TEXTURE_COORDINATES, TANGENTS, INDICES, COLOR_PICTURE, NORMAL_PICTURE, PARTS };

static bool add_picture(kn_bytes *out, const kn_image *image, kn_error *error) {
    uint8_t *png;
    size_t size;
    if (!kn_png_encode(image, &png, &size, error)) return false;
    kn_bytes_add(out, png, size);
    kn_free(png);
    return true;
}

static void align(kn_bytes *out, const char *with) {
    while (out->size % 4 && !out->failed) kn_bytes_add(out, with, 1);
}

/* sizes[] of the parts; each begins at a multiple of 4. */
static bool binary(kn_bytes *out, const kn_surface *s, const kn_split *split, size_t offsets[PARTS],
                   size_t sizes[PARTS], float low[3], float high[3], kn_error *error) {
    bool ok = true;
    for (int i = 0; i < 3; i++) low[i] = 1e30f, high[i] = -1e30f;
    for (int part = 0; ok && part < PARTS; part++) {
        offsets[part] = out->size;
        for (size_t v = 0; part <= TANGENTS && part != TEXTURE_COORDINATES && v < split->count; v++) {
            uint32_t from = split->source[v];
            float value[4], given[4] = {0};
            if (part == TANGENTS) kn_surface_tangent(s, from, split->chart[v], given);
            turned(part == TANGENTS ? given : (part == POSITIONS ? s->positions : s->normals) + 3 * (size_t)from,
                   value);
            value[3] = given[3];
            for (int i = 0; part == POSITIONS && i < 3; i++)
                low[i] = fminf(low[i], value[i]), high[i] = fmaxf(high[i], value[i]);
            kn_bytes_add(out, value, (part == TANGENTS ? 4 : 3) * sizeof(float));
        }
        if (part == TEXTURE_COORDINATES) kn_bytes_add(out, split->uv, split->count * 2 * sizeof(float));
        if (part == INDICES) kn_bytes_add(out, split->triangles, s->triangle_count * 3 * sizeof(uint32_t));
        if (part == COLOR_PICTURE) ok = add_picture(out, &s->texture, error);
        if (part == NORMAL_PICTURE && s->normal_map.data) ok = add_picture(out, &s->normal_map, error);
        sizes[part] = out->size - offsets[part];
        align(out, "\0");
    }
    return ok && (!out->failed || kn_fail(error, KN_ERROR_MEMORY, "out of memory"));
}

static void describe(kn_bytes *j, const kn_surface *s, const kn_split *split, const size_t offsets[PARTS],
                     const size_t sizes[PARTS], const float low[3], const float high[3], size_t total) {
    bool bumps = s->normal_map.data != NULL;
    kn_bytes_print(j,
                   "{\"asset\":{\"version\":\"2.0\",\"generator\":\"Kinora\"},\"scene\":0,\"scenes\":[{\"nodes\":[0]}],"
                   "\"nodes\":[{\"mesh\":0,\"name\":\"object\"}],"
                   "\"meshes\":[{\"primitives\":[{\"attributes\":{\"POSITION\":0,\"NORMAL\":1,\"TEXCOORD_0\":2%s},"
                   "\"indices\":4,\"material\":0}]}],",
                   bumps ? ",\"TANGENT\":3" : "");
    kn_bytes_print(j,
                   "\"materials\":[{\"name\":\"surface\",\"pbrMetallicRoughness\":{\"baseColorTexture\":{\"index\":0},"
                   "\"metallicFactor\":0,\"roughnessFactor\":0.8}%s}],",
                   bumps ? ",\"normalTexture\":{\"index\":1}" : "");
    kn_bytes_print(j,
                   "\"textures\":[{\"sampler\":0,\"source\":0}%s],\"samplers\":[{\"magFilter\":9729,\"minFilter\":9987,"
                   "\"wrapS\":33071,\"wrapT\":33071}],"
                   "\"images\":[{\"bufferView\":5,\"mimeType\":\"image/png\"}%s],",
                   bumps ? ",{\"sampler\":0,\"source\":1}" : "",
                   bumps ? ",{\"bufferView\":6,\"mimeType\":\"image/png\"}" : "");
    kn_bytes_print(j,
                   "\"accessors\":[{\"bufferView\":0,\"componentType\":5126,\"count\":%zu,\"type\":\"VEC3\",\"min\":[%."
                   "9g,%.9g,%.9g],\"max\":[%.9g,%.9g,%.9g]},",
                   split->count, low[0], low[1], low[2], high[0], high[1], high[2]);
    kn_bytes_print(j,
                   "{\"bufferView\":1,\"componentType\":5126,\"count\":%zu,\"type\":\"VEC3\"},{\"bufferView\":2,"
                   "\"componentType\":5126,\"count\":%zu,\"type\":\"VEC2\"},"
                   "{\"bufferView\":3,\"componentType\":5126,\"count\":%zu,\"type\":\"VEC4\"},{\"bufferView\":4,"
                   "\"componentType\":5125,\"count\":%zu,\"type\":\"SCALAR\"}],"
                   "\"bufferViews\":[",
                   split->count, split->count, split->count, 3 * s->triangle_count);
    for (int i = 0; i < (bumps ? PARTS : NORMAL_PICTURE); i++)
        kn_bytes_print(j, "%s{\"buffer\":0,\"byteOffset\":%zu,\"byteLength\":%zu%s}", i ? "," : "", offsets[i],
                       sizes[i],
                       i < INDICES    ? ",\"target\":34962"
                       : i == INDICES ? ",\"target\":34963"
                                      : "");
    kn_bytes_print(j, "],\"buffers\":[{\"byteLength\":%zu}]}", total);
    align(j, " ");
}

bool kn_write_glb(const kn_surface *surface, const char *path, kn_error *error) {
    kn_split split;
    if (!kn_split_init(&split, surface, error)) return false;
    kn_bytes data = {0}, json = {0}, file = {0};
    size_t offsets[PARTS] = {0}, sizes[PARTS] = {0};
    float low[3], high[3];
    bool ok = binary(&data, surface, &split, offsets, sizes, low, high, error);
    if (ok) {
        describe(&json, surface, &split, offsets, sizes, low, high, data.size);
        uint32_t header[5] = {0x46546c67, 2, (uint32_t)(28 + json.size + data.size), (uint32_t)json.size, 0x4e4f534a},
                 chunk[2] = {(uint32_t)data.size, 0x004e4942};
        kn_bytes_add(&file, header, sizeof header), kn_bytes_add(&file, json.data, json.size);
        kn_bytes_add(&file, chunk, sizeof chunk), kn_bytes_add(&file, data.data, data.size);
        ok = json.failed || file.failed ? kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path)
                                        : kn_file_write(path, file.data, file.size, error);
    }
    kn_bytes_finish(&data), kn_bytes_finish(&json), kn_bytes_finish(&file);
    kn_split_finish(&split);
    return ok;
}
