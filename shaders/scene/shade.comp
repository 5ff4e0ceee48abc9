#version 450
#extension GL_GOOGLE_include_directive : require
/* Shaded colours from the ray through each pixel's centre, whose hit conditions.comp kept; its radiance takes the
 * place of that hit's numbers, for antialias.comp. */
#include "scene/shade.glsl"

layout(set = 0, binding = 5) buffer writeonly planes_out { float planes[]; };
layout(set = 0, binding = 7) buffer spots_inout { vec4 spots[]; };

void main() {
    ivec2 pixel = block_pixel(), size = ivec2(frame_texel(FRAME_RAY_U).w, frame_texel(FRAME_RAY_V).w);
    bool outside = pixel.x >= size.x || pixel.y >= size.y;
    pixel = min(pixel, size - 1);
    uint plane = uint(size.x * size.y), at = uint(pixel.y * size.x + pixel.x);
    vec4 kept = spots[at * 5u];
    int triangle = floatBitsToInt(kept.w);
    vec3 ray = camera_ray(vec2(pixel) + 0.5);
    hit h = surface_at(max(triangle, 0), kept.yz, frame_texel(FRAME_CAMERA).xyz, ray, kept.x);
    float scale = length(ray), angle = 0.75 * length(frame_texel(FRAME_RAY_U).xyz);
    vec3 view = ray / scale, radiance = triangle >= 0 ? shade(h, view, h.t * scale, angle) : sky_radiance(view, 1.0);
    radiance = min(radiance, vec3(24.0));
    vec3 color = display(radiance);
    if (outside) return;
    planes[at + 27u * plane] = color.x;
    planes[at + 28u * plane] = color.y;
    planes[at + 29u * plane] = color.z;
    spots[at * 5u] = vec4(radiance, kept.w);
}
