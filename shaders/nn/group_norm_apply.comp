#version 460
// Last pass of group normalisation: y = activation(x * factor + offset) with a factor and an offset per member and
// channel. gl_WorkGroupID: chunk of rows (pixels), block of channels, batch member.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"
#include "activation.glsl"

layout(constant_id = 4) const int activation = 0;

layout(push_constant) uniform Push {
    int columns, rows, rows_per_group;
    int digits[8];
} p;
#include "walk_shared.glsl"

KN_INPUT(x, 0)
KN_INPUT(factors, 1)
KN_STORE(y, 2)

void main() {
    Walk w = walk_rows(p.columns, p.rows, p.rows_per_group);
    int member = int(gl_WorkGroupID.z), first = member * p.rows * p.columns;
    int factor_at = (member * p.columns + min(w.column, p.columns - 1)) * 2;
    vec4 factor = factors(factor_at), offset = factors(factor_at + 1);
    KN_WALK(y, first, w, row, at, activate(x(at) * factor + offset, activation))
}
