#version 460
// Last pass of group normalisation: y = activation(x * factor + offset) with a factor and an offset per member and channel.
// gl_WorkGroupID: chunk of pixels, block of channels, batch member.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"
#include "activation.glsl"

layout(constant_id = 4) const int activation = 0;

layout(push_constant) uniform Push {
    int columns, pixels, pixels_per_group;
} p;

KN_INPUT(x, 0)
KN_INPUT(factors, 1)
KN_STORE(y, 2)

void main() {
    Walk w = walk_rows(p.columns, p.pixels, p.pixels_per_group);
    if (!w.used) return;
    int member = int(gl_WorkGroupID.z), base = member * p.pixels * p.columns + w.column;
    vec4 factor = factors((member * p.columns + w.column) * 2), offset = factors((member * p.columns + w.column) * 2 + 1);
    for (int row = w.row; row < w.end; row += w.step) {
        int at = base + row * p.columns;
        y(at, activate(x(at) * factor + offset, activation));
    }
}
