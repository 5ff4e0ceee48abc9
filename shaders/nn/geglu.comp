#version 460
// y[row][i] = x[row][i] * gelu(x[row][half + i]) for whole vec4 columns.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"
#include "activation.glsl"

layout(push_constant) uniform Push {
    int columns, rows, rows_per_group; // columns: vec4 of an output row
} p;

KN_INPUT(x, 0)
KN_STORE(y, 1)

void main() {
    Walk w = walk_rows(p.columns, p.rows, p.rows_per_group);
    if (!w.used) return;
    for (int row = w.row; row < w.end; row += w.step) {
        int at = row * 2 * p.columns + w.column;
        y(row * p.columns + w.column, x(at) * gelu_of(x(at + p.columns)));
    }
}
