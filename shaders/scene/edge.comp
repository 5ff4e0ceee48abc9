#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_ballot : require
/* Edge channel: 1 where the instance or the material differs from the right or the lower neighbour's. When shaded
 * colours are wanted it lists the pixels that one ray does not do justice: those whose spots show more than one thing
 * (conditions.comp left 1 in the edge plane), and those whose shade differs from that of a neighbour which is the same
 * thing. The order of the list does not matter; its upper bit tells mixed pixels. */
#include "scene/trace.glsl"

layout(constant_id = 2) const bool SHADED = false;
layout(set = 0, binding = 5) buffer planes_inout { float planes[]; };
layout(set = 0, binding = 6) buffer list_out { uint listed, unused[63], list[]; };

const float SHADE = 0.03; /* of the display range */

void list_pixel(uint at, uint plane, uint key, uint beside[4], bool inside) {
    uint own = floatBitsToUint(planes[key]), green = at + 28u * plane;
    float shade = planes[green], most = 0.0; /* between neighbours that are one thing: shadows, texture */
    for (int i = 0; i < 4; i++)
        most =
            max(most, own == floatBitsToUint(planes[key + beside[i]]) ? abs(shade - planes[green + beside[i]]) : 0.0);
    bool rough = planes[at + 7u * plane] > 0.5;
    uint entry = at | (rough ? 0x80000000u : 0u);
    rough = inside && (rough || most > SHADE);
    uvec4 vote = subgroupBallot(rough);
    uint first = 0u;
    if (subgroupElect()) first = atomicAdd(listed, subgroupBallotBitCount(vote));
    first = subgroupBroadcastFirst(first);
    if (rough) list[first + subgroupBallotExclusiveBitCount(vote)] = entry;
}

void main() {
    ivec2 pixel = block_pixel(), size = ivec2(frame_texel(FRAME_RAY_U).w, frame_texel(FRAME_RAY_V).w);
    bool inside = pixel.x < size.x && pixel.y < size.y;
    pixel = min(pixel, size - 1);
    uint plane = uint(size.x * size.y), at = uint(pixel.y * size.x + pixel.x), key = at + 35u * plane;
    uint right = pixel.x + 1 < size.x ? 1u : 0u, below = pixel.y + 1 < size.y ? uint(size.x) : 0u;
    uint left = pixel.x > 0 ? 1u : 0u, above = pixel.y > 0 ? uint(size.x) : 0u;
    uint own = floatBitsToUint(planes[key]);
    bool edge = own != floatBitsToUint(planes[key + right]) || own != floatBitsToUint(planes[key + below]);
    if (SHADED) list_pixel(at, plane, key, uint[4](right, below, 0u - left, 0u - above), inside);
    if (inside) planes[at + 7u * plane] = edge ? 1.0 : 0.0;
}
