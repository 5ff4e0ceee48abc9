#version 450
#extension GL_GOOGLE_include_directive : require
/* The facts of one camera (include/kinora/render.h): planes 0..26 the conditions without the shaded colours, then
 * (behind three planes for those) depth, semantic class, instance, motion (2), a key of material and instance.
 * Depth, normal, wetness, visibility and labels are those of the pixel's centre, flat colour, classes and lamps
 * means over its four spots. When shaded colours are wanted the hits are kept for shade.comp and antialias.comp,
 * with 1 in the edge plane where the spots do not all show the centre's surface; edge.comp then fills that plane. */
#include "scene/trace.glsl"
#include "scene/film.glsl"

layout(constant_id = 2) const bool SHADED = false;
layout(set = 0, binding = 5) buffer writeonly planes_out { float planes[]; };
layout(set = 0, binding = 7) buffer writeonly spots_out { vec4 spots[]; };
layout(set = 0, binding = 8) uniform samplerBuffer flats; /* of flat.comp */

const int CLASSES = 14;
const float SKY_CLASS = 12.0; /* KN_CLASS_SKY */

/* What one spot shows, in weights of a quarter. */
struct fact {
    vec3 flat_color, lamps;
    float kind;
};

fact fact_of(int triangle) {
    bool found = triangle >= 0;
    int known = max(triangle, 0), material = int(texelFetch(triangles, known * 3 + 1).w);
    vec4 color = texelFetch(flats, material), glow = texelFetch(materials, material * 3 + 1);
    vec4 lit = texelFetch(materials, material * 3 + 2);
    int emitter = found ? int(lit.y) : 0;
    vec3 lamps = vec3(0.0);
    if (emitter != 0) { /* never brighter than 1, so that lamps keep their hue */
        float state = emitter_state(emitter, uint(texelFetch(attributes, known * 4 + 3).w));
        vec3 light = glow.xyz * (state * frame_texel(FRAME_LAMPS).w);
        lamps = srgb(light / max(max(1.0, light.x), max(light.y, light.z)));
    }
    return fact(found ? color.xyz : vec3(0.0), lamps, found ? color.w : SKY_CLASS);
}

void write_facts(uint at, uint plane, ivec4 seen) {
    fact a = fact_of(seen.x), b = fact_of(seen.y), c = fact_of(seen.z), d = fact_of(seen.w);
    vec3 color = 0.25 * (a.flat_color + b.flat_color + c.flat_color + d.flat_color);
    vec3 lamps = 0.25 * (a.lamps + b.lamps + c.lamps + d.lamps);
    vec4 kinds = vec4(a.kind, b.kind, c.kind, d.kind);
    planes[at] = color.x;
    planes[at + plane] = color.y;
    planes[at + 2u * plane] = color.z;
    for (int i = 0; i < CLASSES; i++) planes[at + uint(8 + i) * plane] = dot(vec4(equal(kinds, vec4(i))), vec4(0.25));
    planes[at + 22u * plane] = lamps.x;
    planes[at + 23u * plane] = lamps.y;
    planes[at + 24u * plane] = lamps.z;
}

void keep_hits(uint at, uint plane, pixel_hits met) {
    facet own = facet_of(met.center);
    bool mixed = !(alike(own, facet_of(met.spots.x)) && alike(own, facet_of(met.spots.y)) &&
                   alike(own, facet_of(met.spots.z)) && alike(own, facet_of(met.spots.w)));
    planes[at + 7u * plane] = mixed ? 1.0 : 0.0;
    spots[at * 5u] = vec4(met.t, met.barycentric, intBitsToFloat(met.center));
    if (mixed) {
        spots[at * 5u + 1u] = intBitsToFloat(met.spots);
        spots[at * 5u + 2u] = met.spot_t;
        spots[at * 5u + 3u] = met.spot_u;
        spots[at * 5u + 4u] = met.spot_v;
    }
}

void main() {
    ivec2 pixel = block_pixel(), size = ivec2(frame_texel(FRAME_RAY_U).w, frame_texel(FRAME_RAY_V).w);
    if (pixel.x >= size.x || pixel.y >= size.y) return;
    vec3 eye = frame_texel(FRAME_CAMERA).xyz;
    vec2 center = vec2(pixel) + 0.5;
    vec3 ray = camera_ray(center);
    pixel_hits met = trace_pixel(eye, ray);
    bool found = met.center >= 0;
    hit h = surface_at(max(met.center, 0), met.barycentric, eye, ray, met.t);
    vec4 matter = texelFetch(materials, int(h.material) * 3 + 2);
    vec3 normal = vec3(dot(frame_texel(FRAME_VIEW).xyz, h.normal), dot(frame_texel(FRAME_VIEW + 1).xyz, h.normal),
                       dot(frame_texel(FRAME_VIEW + 2).xyz, h.normal));
    normal = found ? normal : vec3(0.0);
    /* the sky moves as turned only */
    vec4 before = found ? vec4(part_previous(h.part, h.position), 1.0) : vec4(ray, 0.0);
    vec3 there = vec3(dot(frame_texel(FRAME_PREVIOUS), before), dot(frame_texel(FRAME_PREVIOUS + 1), before),
                      dot(frame_texel(FRAME_PREVIOUS + 2), before));
    vec2 motion = center - there.xy / (abs(there.z) < 1e-6 ? 1e-6 : there.z);
    float longer = length(ray);

    uint plane = uint(size.x * size.y), at = uint(pixel.y * size.x + pixel.x);
    write_facts(at, plane, met.spots);
    planes[at + 3u * plane] = found ? 2.0 / (2.0 + h.t) : 0.0;
    planes[at + 4u * plane] = normal.x;
    planes[at + 5u * plane] = normal.y;
    planes[at + 6u * plane] = normal.z;
    planes[at + 25u * plane] = found ? matter.w * frame_texel(FRAME_GROUND).w : 0.0;
    planes[at + 26u * plane] = found ? fog_transmission(h.t * longer) : sky_visibility(ray.z / longer);
    planes[at + 30u * plane] = found ? h.t : uintBitsToFloat(0x7f800000u);
    planes[at + 31u * plane] = found ? matter.z : 0.0;
    planes[at + 32u * plane] = found ? float(h.instance) : 0.0;
    planes[at + 33u * plane] = motion.x;
    planes[at + 34u * plane] = motion.y;
    planes[at + 35u * plane] = uintBitsToFloat(pixel_key(met.center));
    if (SHADED) keep_hits(at, plane, met);
}
