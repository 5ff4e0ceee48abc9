#version 450
#extension GL_GOOGLE_include_directive : require
/* Colour, lamps and class codes of the pixels that edge.comp listed: the mean over four rays on a rotated grid. */
#include "scene/shade.glsl"

layout(set = 0, binding = 5) buffer writeonly planes_out { float planes[]; };
layout(set = 0, binding = 6) buffer readonly list_in { uint listed, unused[63], list[]; };

void main() {
    uint slot = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    uint count = listed;
    if (slot >= count) return;
    uint at = list[slot];
    ivec2 size = ivec2(frame_texel(FRAME_RAY_U).w, frame_texel(FRAME_RAY_V).w);
    vec2 corner = vec2(float(at % uint(size.x)), float(at / uint(size.x)));
    vec3 eye = frame_texel(FRAME_CAMERA).xyz, color = vec3(0.0), lamps = vec3(0.0);
    vec4 code = vec4(0.0);
    for (uint s = 0u; s < 4u; s++) {
        vec2 offset = vec2(s == 0u ? 0.375 : s == 1u ? 0.875 : s == 2u ? 0.125 : 0.625, 0.125 + 0.25 * float(s));
        vec3 ray = camera_ray(corner + offset);
        float scale = length(ray), angle = 0.6 * length(frame_texel(FRAME_RAY_U).xyz);
        hit h;
        bool found = trace(eye, ray, 0.02, 1e9, h);
        surface_material m = fetch_material(h.material);
        color += min(found ? shade(h, ray / scale, h.t * scale, angle) : sky_radiance(ray / scale, 1.0), vec3(24.0));
        lamps += found ? srgb(emitted(h, m)) : vec3(0.0);
        code += found ? class_code(m.semantic) : vec4(0.0);
    }
    color = display(0.25 * color);
    lamps *= 0.25;
    code *= 0.25;
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
