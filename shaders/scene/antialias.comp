#version 450
#extension GL_GOOGLE_include_directive : require
/* Colour, lamps and class codes of the pixels that edge.comp listed, from four spots on a rotated grid. Spots that show one
 * surface are shaded once, with the mean of their shadows; where all four do, they are shaded as two pairs. */
#include "scene/shade.glsl"

layout(set = 0, binding = 5) buffer writeonly planes_out { float planes[]; };
layout(set = 0, binding = 6) buffer readonly list_in { uint listed, unused[63], list[]; };

vec3 triangle_normal(int triangle) {
    return normalize(cross(texelFetch(triangles, max(triangle, 0) * 3 + 1).xyz, texelFetch(triangles, max(triangle, 0) * 3 + 2).xyz));
}

/* Spots that show what the leader does: the same thing, facing about the same way. */
bvec4 alike(ivec4 spots, uvec4 keys, uint key, vec3 normal) {
    vec4 facing = vec4(dot(triangle_normal(spots.x), normal), dot(triangle_normal(spots.y), normal),
                       dot(triangle_normal(spots.z), normal), dot(triangle_normal(spots.w), normal));
    return bvec4(uvec4(equal(keys, uvec4(key))) & (uvec4(greaterThan(facing, vec4(0.9))) | uvec4(key == SKY_KEY)));
}

void main() {
    uint slot = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    uint count = listed;
    if (slot >= count) return;
    uint at = list[slot];
    ivec2 size = ivec2(frame_texel(FRAME_RAY_U).w, frame_texel(FRAME_RAY_V).w);
    vec3 along_u = frame_texel(FRAME_RAY_U).xyz, along_v = frame_texel(FRAME_RAY_V).xyz;
    vec3 eye = frame_texel(FRAME_CAMERA).xyz, middle = camera_ray(vec2(float(at % uint(size.x)), float(at / uint(size.x))) + 0.5);
    vec3 color = vec3(0.0), lamps = vec3(0.0);
    vec4 code = vec4(0.0);
    float angle = 0.6 * length(along_u);

    pixel_hits met = trace_pixel(eye, middle);
    uvec4 keys = pixel_keys(met.spots);
    /* where the spots' rays meet, relative to the eye */
    vec4 x = met.spot_t * (middle.x + SPOT_U * along_u.x + SPOT_V * along_v.x);
    vec4 y = met.spot_t * (middle.y + SPOT_U * along_u.y + SPOT_V * along_v.y);
    vec4 z = met.spot_t * (middle.z + SPOT_U * along_u.z + SPOT_V * along_v.z);
    uvec4 left = uvec4(1u);
    while (left != uvec4(0u)) {
        uint leader = left.x != 0u ? 0u : left.y != 0u ? 1u : left.z != 0u ? 2u : 3u;
        vec4 own = vec4(equal(uvec4(leader), uvec4(0u, 1u, 2u, 3u)));
        int triangle = int(leader == 0u ? met.spots.x : leader == 1u ? met.spots.y : leader == 2u ? met.spots.z : met.spots.w);
        vec2 barycentric = vec2(dot(own, met.spot_u), dot(own, met.spot_v));
        vec3 ray = middle + dot(own, SPOT_U) * along_u + dot(own, SPOT_V) * along_v;
        float t = triangle < 0 ? 1e9 : dot(mix(vec4(0.0), met.spot_t, greaterThanEqual(met.spots, ivec4(0))), own), scale = length(ray);
        uvec4 group = uvec4(alike(met.spots, keys, pixel_key(triangle), triangle_normal(triangle))) & left;
        if (group == uvec4(1u)) group = uvec4(1u, 0u, 0u, 1u);
        group |= uvec4(own);
        left &= ~group;
        float weight = dot(vec4(group), vec4(0.25));
        if (triangle < 0) {
            color += weight * min(sky_radiance(ray / scale, 1.0), vec3(24.0));
        } else {
            hit h = surface_at(triangle, barycentric, eye, ray, t);
            surface_material m = fetch_material(h.material);
            vec3 from = ray * t;
            color += weight * min(shade_points(h, ray / scale, t * scale, angle, x - from.x, y - from.y, z - from.z, bvec4(group)), vec3(24.0));
            lamps += weight * srgb(emitted(h, m));
            code += weight * class_code(m.semantic);
        }
    }
    color = display(color);
    uint plane = uint(size.x * size.y);
    planes[at] = color.x;
    planes[at + plane] = color.y;
    planes[at + 2u * plane] = color.z;
    planes[at + 8u * plane] = code.x;
    planes[at + 9u * plane] = code.y;
    planes[at + 10u * plane] = code.z;
    planes[at + 11u * plane] = code.w;
    planes[at + 12u * plane] = lamps.x;
    planes[at + 13u * plane] = lamps.y;
    planes[at + 14u * plane] = lamps.z;
}
