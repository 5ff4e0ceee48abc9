#version 450
#extension GL_GOOGLE_include_directive : require
/* Shaded colours of the pixels that edge.comp listed, from four spots on a rotated grid. Spots that show the surface of
 * the centre have its shade, known from shade.comp; others that show one surface are shaded once, with the mean of
 * their shadows. */
#include "scene/shade.glsl"

layout(set = 0, binding = 5) buffer planes_inout { float planes[]; };
layout(set = 0, binding = 6) buffer readonly list_in { uint listed, unused[63], list[]; };
layout(set = 0, binding = 7) buffer readonly spots_in { vec4 spots[]; };

void main() {
    uint slot =
        (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    uint count = listed;
    if (slot >= count) return;
    uint at = list[slot] & 0x7fffffffu;
    bool mixed = list[slot] != at;
    ivec2 size = ivec2(frame_texel(FRAME_RAY_U).w, frame_texel(FRAME_RAY_V).w);
    uvec2 pixel = uvec2(at % uint(size.x), at / uint(size.x));
    vec3 along_u = frame_texel(FRAME_RAY_U).xyz, along_v = frame_texel(FRAME_RAY_V).xyz;
    vec3 eye = frame_texel(FRAME_CAMERA).xyz, middle = camera_ray(vec2(pixel) + 0.5);
    float angle = 0.6 * length(along_u);

    uint plane = uint(size.x * size.y);
    vec4 kept = spots[at * 5u];
    pixel_hits met = spread_pixel(floatBitsToInt(kept.w), eye, middle);
    if (mixed) {
        met.spots = floatBitsToInt(spots[at * 5u + 1u]);
        met.spot_t = spots[at * 5u + 2u];
        met.spot_u = spots[at * 5u + 3u];
        met.spot_v = spots[at * 5u + 4u];
    }
    facet a = facet_of(met.spots.x), b = facet_of(met.spots.y), c = facet_of(met.spots.z), d = facet_of(met.spots.w);
    /* what shows the centre's surface has its shade; a pixel of that alone is half that, half another of its spots */
    facet own = facet_of(met.center);
    uvec4 left = uvec4(!alike(a, own), !alike(b, own), !alike(c, own), !alike(d, own));
    bool pure = left == uvec4(0u), odd = ((pixel.x + pixel.y) & 1u) != 0u;
    float share = pure ? 0.5 : 1.0 - dot(vec4(left), vec4(0.25)), rest = pure ? 0.125 : 0.25;
    vec3 color = share * kept.xyz;
    left = pure ? uvec4(1u) : left;
    /* where the spots' rays meet, relative to the eye */
    vec4 x = met.spot_t * (middle.x + SPOT_U * along_u.x + SPOT_V * along_v.x);
    vec4 y = met.spot_t * (middle.y + SPOT_U * along_u.y + SPOT_V * along_v.y);
    vec4 z = met.spot_t * (middle.z + SPOT_U * along_u.z + SPOT_V * along_v.z);
    while (left != uvec4(0u)) {
        uint leader = pure && odd ? 3u : left.x != 0u ? 0u : left.y != 0u ? 1u : left.z != 0u ? 2u : 3u;
        vec4 lead = vec4(equal(uvec4(leader), uvec4(0u, 1u, 2u, 3u)));
        int triangle = int(leader == 0u   ? met.spots.x
                           : leader == 1u ? met.spots.y
                           : leader == 2u ? met.spots.z
                                          : met.spots.w);
        vec2 barycentric = vec2(dot(lead, met.spot_u), dot(lead, met.spot_v));
        vec3 ray = middle + dot(lead, SPOT_U) * along_u + dot(lead, SPOT_V) * along_v;
        float t = leader == 0u   ? met.spot_t.x
                  : leader == 1u ? met.spot_t.y
                  : leader == 2u ? met.spot_t.z
                                 : met.spot_t.w,
              scale = length(ray);
        facet led = facet_of(triangle);
        uvec4 group = (uvec4(alike(a, led), alike(b, led), alike(c, led), alike(d, led)) | uvec4(lead)) & left;
        left &= ~group;
        float weight = rest * dot(vec4(group), vec4(1.0));
        if (triangle < 0) {
            color += weight * min(sky_radiance(ray / scale, 1.0), vec3(24.0));
        } else {
            hit h = surface_at(triangle, barycentric, eye, ray, t);
            vec3 from = ray * t;
            color += weight * min(shade_points(h, ray / scale, t * scale, angle, x - from.x, y - from.y, z - from.z,
                                               bvec4(group)),
                                  vec3(24.0));
        }
    }
    color = display(color);
    planes[at + 27u * plane] = color.x;
    planes[at + 28u * plane] = color.y;
    planes[at + 29u * plane] = color.z;
}
