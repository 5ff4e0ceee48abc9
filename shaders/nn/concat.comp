#version 460
// y[row] = [a[row], b[row]] along the channels. When a's channel count is not a multiple of 4, b's channels move across
// vec4 borders.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"

layout(push_constant) uniform Push {
    int columns, rows, rows_per_group; // columns: vec4 of an output row
    int a_channels, b_channels, a_columns, b_columns;
    int digits[8];
} p;
#include "walk_shared.glsl"

KN_INPUT(a, 0)
KN_INPUT(b, 1)
KN_STORE(y, 2)

float channel(int row, int c) {
    if (c < p.a_channels) return a(row * p.a_columns + c / 4)[c % 4];
    c -= p.a_channels;
    return c < p.b_channels ? b(row * p.b_columns + c / 4)[c % 4] : 0.0;
}

vec4 joined(int row, int column) {
    if (p.a_channels % 4 == 0) {
        vec4 va = a(row * p.a_columns + min(column, p.a_columns - 1));
        vec4 vb = b(row * p.b_columns + max(column - p.a_columns, 0));
        return column < p.a_columns ? va : vb;
    }
    int c = column * 4;
    return vec4(channel(row, c), channel(row, c + 1), channel(row, c + 2), channel(row, c + 3));
}

void main() {
    Walk w = walk_rows(p.columns, p.rows, p.rows_per_group);
    KN_WALK(y, 0, w, row, at, joined(row, min(w.column, p.columns - 1)))
}
