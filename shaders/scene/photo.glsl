/* Photographs of surfaces (scene/render/render_materials.c), in proportion to their means. They lie behind the
 * materials in their buffer: a texel for each (first texel of its levels, metres across), then levels of 256 x 256
 * values and less. */
#ifndef KN_PHOTO_GLSL
#define KN_PHOTO_GLSL
#include "scene/scene.glsl"

const int PHOTO_SIZE = 256;

vec3 photo_value(int first, int n, ivec2 place) {
    place &= n - 1;
    int index = place.y * n + place.x;
    vec4 four = texelFetch(materials, first + (index >> 2));
    uint number = uint((index & 2) == 0 ? ((index & 1) == 0 ? four.x : four.y) : ((index & 1) == 0 ? four.z : four.w));
    vec3 root = vec3(uvec3(number >> 16, number >> 8, number) & 255u) * (2.0 / 255.0);
    return root * root;
}

/* The photograph at a place of its plane (metres), seen over `footprint` metres. `slope`: how its brightness rises
 * along both axes, 1/m. */
vec3 photo_at(int picture, vec2 q, float footprint, out vec2 slope) {
    vec4 head = texelFetch(materials, int(frame_texel(FRAME_GRID_LOW).w) + picture - 1);
    int level = clamp(int(log2(max(footprint * float(PHOTO_SIZE) / head.y, 1.0)) + 0.5), 0, 7);
    int n = PHOTO_SIZE >> level, whole = PHOTO_SIZE * PHOTO_SIZE;
    int first = int(head.x) + (whole - (whole >> (2 * level))) / 3;
    vec2 at = q * (float(n) / head.y) - 0.5, base = floor(at), f = at - base;
    ivec2 place = ivec2(base);
    vec3 a = photo_value(first, n, place), b = photo_value(first, n, place + ivec2(1, 0));
    vec3 c = photo_value(first, n, place + ivec2(0, 1)), d = photo_value(first, n, place + ivec2(1, 1));
    const vec3 luma = vec3(0.2126, 0.7152, 0.0722);
    slope = vec2(dot(mix(b - a, d - c, f.y), luma), dot(mix(c - a, d - b, f.x), luma)) * (float(n) / head.y);
    return mix(mix(a, b, f.x), mix(c, d, f.x), f.y);
}

/* The same for ground, whose repetition would show: two turned copies that take turns. */
vec3 photo_ground(int picture, vec2 q, float turns, float footprint, out vec2 slope) {
    vec2 other;
    vec3 one = photo_at(picture, q, footprint, slope);
    vec3 two = photo_at(picture, mat2(0.8, 0.6, -0.6, 0.8) * q * 0.81 + 17.3, footprint, other);
    float share = smoothstep(-0.15, 0.15, turns);
    slope = mix(slope, mat2(0.8, -0.6, 0.6, 0.8) * other, share);
    return mix(one, two, share);
}

#endif
