#version 450
#extension GL_GOOGLE_include_directive : require
/* The control maps and labels of one camera (include/kinora/render.h): planes 0..15 the control channels, then depth,
 * semantic class, instance, motion (2), a key of material and instance. Everything is exact at the pixel's centre; the
 * same walk finds what the pixel's four spots show; if that is not all one surface it is kept for antialias.comp, with
 * 1 in the edge plane. edge.comp then fills that plane and lists the pixels for antialias.comp. */
#include "scene/shade.glsl"

layout(set = 0, binding = 5) buffer writeonly planes_out { float planes[]; };
layout(set = 0, binding = 7) buffer writeonly spots_out { vec4 spots[]; };

void main() {
    ivec2 pixel = block_pixel(), size = ivec2(frame_texel(FRAME_RAY_U).w, frame_texel(FRAME_RAY_V).w);
    bool outside = pixel.x >= size.x || pixel.y >= size.y;
    vec3 eye = frame_texel(FRAME_CAMERA).xyz;
    vec2 center = vec2(pixel) + 0.5;
    vec3 ray = camera_ray(center);
    pixel_hits met = trace_pixel(eye, ray);
    bool found = met.center >= 0;
    hit h = surface_at(max(met.center, 0), met.barycentric, eye, ray, met.t);
    surface_material m = fetch_material(h.material);
    float scale = length(ray), angle = 0.75 * length(frame_texel(FRAME_RAY_U).xyz);
    vec3 radiance = min(found ? shade(h, ray / scale, h.t * scale, angle) : sky_radiance(ray / scale, 1.0), vec3(24.0)),
         color = display(radiance);
    vec3 lamps = found ? srgb(emitted(h, m)) : vec3(0.0);
    vec4 code = found ? class_code(m.semantic) : vec4(0.0);

    facet own = facet_of(met.center);
    uint key = own.key;
    bool mixed = !(alike(own, facet_of(met.spots.x)) && alike(own, facet_of(met.spots.y)) &&
                   alike(own, facet_of(met.spots.z)) && alike(own, facet_of(met.spots.w)));
    vec3 normal = vec3(dot(frame_texel(FRAME_VIEW).xyz, h.normal), dot(frame_texel(FRAME_VIEW + 1).xyz, h.normal),
                       dot(frame_texel(FRAME_VIEW + 2).xyz, h.normal));
    normal = found ? normal : vec3(0.0);
    /* the sky moves as turned only */
    vec4 before = found ? vec4(part_previous(h.part, h.position), 1.0) : vec4(ray, 0.0);
    vec3 there = vec3(dot(frame_texel(FRAME_PREVIOUS), before), dot(frame_texel(FRAME_PREVIOUS + 1), before),
                      dot(frame_texel(FRAME_PREVIOUS + 2), before));
    vec2 motion = center - there.xy / (abs(there.z) < 1e-6 ? 1e-6 : there.z);
    if (outside) return;

    uint plane = uint(size.x * size.y), at = uint(pixel.y * size.x + pixel.x);
    planes[at] = color.x;
    planes[at + plane] = color.y;
    planes[at + 2u * plane] = color.z;
    planes[at + 3u * plane] = found ? 2.0 / (2.0 + h.t) : 0.0;
    planes[at + 4u * plane] = normal.x;
    planes[at + 5u * plane] = normal.y;
    planes[at + 6u * plane] = normal.z;
    planes[at + 7u * plane] = mixed ? 1.0 : 0.0;
    planes[at + 8u * plane] = code.x;
    planes[at + 9u * plane] = code.y;
    planes[at + 10u * plane] = code.z;
    planes[at + 11u * plane] = code.w;
    planes[at + 12u * plane] = lamps.x;
    planes[at + 13u * plane] = lamps.y;
    planes[at + 14u * plane] = lamps.z;
    planes[at + 15u * plane] = found ? wetness_of(m) : 0.0;
    planes[at + 16u * plane] = found ? h.t : uintBitsToFloat(0x7f800000u);
    planes[at + 17u * plane] = found ? float(m.semantic) : 0.0;
    planes[at + 18u * plane] = found ? float(h.instance) : 0.0;
    planes[at + 19u * plane] = motion.x;
    planes[at + 20u * plane] = motion.y;
    planes[at + 21u * plane] = uintBitsToFloat(key);
    spots[at * 5u] = vec4(radiance, intBitsToFloat(met.center));
    if (mixed) {
        spots[at * 5u + 1u] = intBitsToFloat(met.spots);
        spots[at * 5u + 2u] = met.spot_t;
        spots[at * 5u + 3u] = met.spot_u;
        spots[at * 5u + 4u] = met.spot_v;
    }
}
