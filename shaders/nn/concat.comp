#version 460
// y[row] = [a[row], b[row]] along the channels. When a's channel count is not a multiple of 4, b's channels move across
// vec4 borders.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"

layout(push_constant) uniform Push {
    int columns, rows, rows_per_group; // columns: vec4 of an output row
    int a_channels, b_channels, a_columns, b_columns;
} p;

KN_INPUT(a, 0)
KN_INPUT(b, 1)
KN_STORE(y, 2)

float channel(int row, int c) {
    if (c < p.a_channels) return a(row * p.a_columns + c / 4)[c % 4];
    c -= p.a_channels;
    return c < p.b_channels ? b(row * p.b_columns + c / 4)[c % 4] : 0.0;
}

void main() {
    Walk w = walk_rows(p.columns, p.rows, p.rows_per_group);
    if (!w.used) return;
    bool from_a = w.column < p.a_columns;
    for (int row = w.row; row < w.end; row += w.step) {
        vec4 v;
        if (p.a_channels % 4 == 0) {
            vec4 va = a(row * p.a_columns + min(w.column, p.a_columns - 1));
            vec4 vb = b(row * p.b_columns + max(w.column - p.a_columns, 0));
            v = from_a ? va : vb;
        } else {
            int c = w.column * 4;
            v = vec4(channel(row, c), channel(row, c + 1), channel(row, c + 2), channel(row, c + 3));
        }
        y(row * p.columns + w.column, v);
    }
}
