#version 450
#extension GL_GOOGLE_include_directive : require
/* Edge channel: 1 where the instance or the material differs from the right or the lower neighbour's. */
#include "scene/trace.glsl"

layout(set = 0, binding = 5) buffer planes_inout { float planes[]; };

void main() {
    ivec2 pixel = block_pixel(), size = ivec2(frame_texel(FRAME_RAY_U).w, frame_texel(FRAME_RAY_V).w);
    if (pixel.x >= size.x || pixel.y >= size.y) return;
    uint plane = uint(size.x * size.y), at = uint(pixel.y * size.x + pixel.x);
    uint instance = at + 18u * plane, material = at + 21u * plane;
    uint right = pixel.x + 1 < size.x ? 1u : 0u, below = pixel.y + 1 < size.y ? uint(size.x) : 0u;
    bool edge = planes[instance] != planes[instance + right] || planes[instance] != planes[instance + below] ||
                planes[material] != planes[material + right] || planes[material] != planes[material + below];
    planes[at + 7u * plane] = edge ? 1.0 : 0.0;
}
