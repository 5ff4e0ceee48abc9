#version 460
// Swaps the two inner row indices: y[o][j][i] = x[o][i][j], rows of `columns` vec4; i < inner_a, j < inner_b.
// Frames to tokens: i = frame, j = pixel; back: i = pixel, j = frame.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"

layout(push_constant) uniform Push {
    int columns, rows, rows_per_group;
    int inner_a, inner_b;
} p;

KN_INPUT(x, 0)
KN_STORE(y, 1)

void main() {
    Walk w = walk_rows(p.columns, p.rows, p.rows_per_group);
    if (!w.used) return;
    for (int row = w.row; row < w.end; row += w.step) {
        int line = row / p.inner_a, outer = line / p.inner_b;
        int i = row - line * p.inner_a, j = line - outer * p.inner_b;
        y(row * p.columns + w.column, x(((outer * p.inner_a + i) * p.inner_b + j) * p.columns + w.column));
    }
}
