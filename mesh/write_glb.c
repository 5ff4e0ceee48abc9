/* GLB: glTF 2.0 in one file (Khronos glTF 2.0 specification, section 4.4). */
#include "mesh/mesh.h"

#include <string.h>

/* Surface axes (x forward, y left, z up) to glTF's (x left, y up, z forward). */
static void turned(const float in[3], float out[3]) { out[0] = in[1], out[1] = in[2], out[2] = in[0]; }

/* Positions, normals, texture coordinates, indices, then the picture; offsets[5] and the end. */
static bool binary(kn_bytes *out, const kn_surface *s, const kn_split *split, size_t offsets[6], float low[3], float high[3], kn_error *error) {
    for (int i = 0; i < 3; i++) low[i] = 1e30f, high[i] = -1e30f;
    for (size_t v = 0; v < split->count; v++) {
        float p[3];
        turned(s->positions + 3 * (size_t)split->source[v], p);
        for (int i = 0; i < 3; i++) low[i] = fminf(low[i], p[i]), high[i] = fmaxf(high[i], p[i]);
        kn_bytes_add(out, p, sizeof p);
    }
    offsets[1] = out->size;
    for (size_t v = 0; v < split->count; v++) {
        float n[3];
        turned(s->normals + 3 * (size_t)split->source[v], n);
        kn_bytes_add(out, n, sizeof n);
    }
    offsets[2] = out->size;
    kn_bytes_add(out, split->uv, split->count * 2 * sizeof(float));
    offsets[3] = out->size;
    kn_bytes_add(out, split->triangles, s->triangle_count * 3 * sizeof(uint32_t));
    offsets[4] = out->size;
    uint8_t *png;
    size_t size;
    if (!kn_png_encode(&s->texture, &png, &size, error)) return false;
    kn_bytes_add(out, png, size);
    kn_free(png);
    offsets[5] = out->size;
    while (out->size % 4 && !out->failed) kn_bytes_add(out, "\0", 1);
    return !out->failed || kn_fail(error, KN_ERROR_MEMORY, "out of memory");
}

static void describe(kn_bytes *j, const kn_surface *s, const kn_split *split, const size_t offsets[6], const float low[3], const float high[3], size_t total) {
    kn_bytes_print(j, "{\"asset\":{\"version\":\"2.0\",\"generator\":\"Kinora\"},\"scene\":0,\"scenes\":[{\"nodes\":[0]}],\"nodes\":[{\"mesh\":0,\"name\":\"object\"}],"
                      "\"meshes\":[{\"primitives\":[{\"attributes\":{\"POSITION\":0,\"NORMAL\":1,\"TEXCOORD_0\":2},\"indices\":3,\"material\":0}]}],"
                      "\"materials\":[{\"name\":\"surface\",\"pbrMetallicRoughness\":{\"baseColorTexture\":{\"index\":0},\"metallicFactor\":0,\"roughnessFactor\":0.8}}],"
                      "\"textures\":[{\"sampler\":0,\"source\":0}],\"samplers\":[{\"magFilter\":9729,\"minFilter\":9987,\"wrapS\":33071,\"wrapT\":33071}],"
                      "\"images\":[{\"bufferView\":4,\"mimeType\":\"image/png\"}],");
    kn_bytes_print(j, "\"accessors\":[{\"bufferView\":0,\"componentType\":5126,\"count\":%zu,\"type\":\"VEC3\",\"min\":[%.9g,%.9g,%.9g],\"max\":[%.9g,%.9g,%.9g]},",
                   split->count, low[0], low[1], low[2], high[0], high[1], high[2]);
    kn_bytes_print(j, "{\"bufferView\":1,\"componentType\":5126,\"count\":%zu,\"type\":\"VEC3\"},{\"bufferView\":2,\"componentType\":5126,\"count\":%zu,\"type\":\"VEC2\"},"
                      "{\"bufferView\":3,\"componentType\":5125,\"count\":%zu,\"type\":\"SCALAR\"}],\"bufferViews\":[", split->count, split->count, 3 * s->triangle_count);
    for (int i = 0; i < 5; i++)
        kn_bytes_print(j, "%s{\"buffer\":0,\"byteOffset\":%zu,\"byteLength\":%zu%s}", i ? "," : "", offsets[i], offsets[i + 1] - offsets[i],
                       i < 3 ? ",\"target\":34962" : i == 3 ? ",\"target\":34963" : "");
    kn_bytes_print(j, "],\"buffers\":[{\"byteLength\":%zu}]}", total);
    while (j->size % 4 && !j->failed) kn_bytes_add(j, " ", 1);
}

bool kn_write_glb(const kn_surface *surface, const char *path, kn_error *error) {
    kn_split split;
    if (!kn_split_init(&split, surface, error)) return false;
    kn_bytes data = {0}, json = {0}, file = {0};
    size_t offsets[6] = {0};
    float low[3], high[3];
    bool ok = binary(&data, surface, &split, offsets, low, high, error);
    if (ok) {
        describe(&json, surface, &split, offsets, low, high, data.size);
        uint32_t header[5] = {0x46546c67, 2, (uint32_t)(28 + json.size + data.size), (uint32_t)json.size, 0x4e4f534a}, chunk[2] = {(uint32_t)data.size, 0x004e4942};
        kn_bytes_add(&file, header, sizeof header), kn_bytes_add(&file, json.data, json.size);
        kn_bytes_add(&file, chunk, sizeof chunk), kn_bytes_add(&file, data.data, data.size);
        ok = json.failed || file.failed ? kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path) : kn_file_write(path, file.data, file.size, error);
    }
    kn_bytes_finish(&data), kn_bytes_finish(&json), kn_bytes_finish(&file);
    kn_split_finish(&split);
    return ok;
}
