#version 460
// y = a * scale_a + b * scale_b. Members of b repeat after `b_members`; b has as many pixels as a, or one for all of
// a's. gl_WorkGroupID: chunk of pixels, block of channels, batch member.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"

layout(push_constant) uniform Push {
    int columns, pixels, pixels_per_group;
    int first_member, b_members, b_pixels;
    float scale_a, scale_b;
} p;

KN_INPUT(a, 0)
KN_INPUT(b, 1)
KN_STORE(y, 2)

void main() {
    Walk w = walk_rows(p.columns, p.pixels, p.pixels_per_group);
    if (!w.used) return;
    int member = int(gl_WorkGroupID.z), base = member * p.pixels * p.columns + w.column;
    int b_base = (member + p.first_member) % p.b_members * p.b_pixels * p.columns + w.column;
    int b_step = p.b_pixels == 1 ? 0 : p.columns;
    for (int row = w.row; row < w.end; row += w.step)
        y(base + row * p.columns, a(base + row * p.columns) * p.scale_a + b(b_base + row * b_step) * p.scale_b);
}
