#version 460
// Nearest-neighbour resize to any size: y[n][i][j] = x[n][floor(i in_h / out_h)][floor(j in_w / out_w)].
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"

layout(push_constant) uniform Push {
    int columns, rows, rows_per_group; // rows: n * out_h * out_w
    int in_h, in_w, out_h, out_w;
} p;

KN_INPUT(x, 0)
KN_STORE(y, 1)

void main() {
    Walk w = walk_rows(p.columns, p.rows, p.rows_per_group);
    if (!w.used) return;
    for (int row = w.row; row < w.end; row += w.step) {
        int line = row / p.out_w, member = line / p.out_h;
        int sy = (line - member * p.out_h) * p.in_h / p.out_h, sx = (row - line * p.out_w) * p.in_w / p.out_w;
        y(row * p.columns + w.column, x(((member * p.in_h + sy) * p.in_w + sx) * p.columns + w.column));
    }
}
