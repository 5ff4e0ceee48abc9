#version 460
// Space to depth (`unshuffle`) and depth to space with PyTorch's channel order: channel c * block^2 + by * block + bx
// of the packed tensor is channel c at (y * block + by, x * block + bx) of the wide one.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"

layout(constant_id = 4) const bool unshuffle = false;

layout(push_constant) uniform Push {
    int columns, rows, rows_per_group; // of the output
    int out_h, out_w, out_channels, in_columns, block;
} p;

KN_INPUT(x, 0)
KN_STORE(y, 1)

float source(int member, int oy, int ox, int c) {
    if (c >= p.out_channels) return 0.0;
    int b = p.block, pixel, channel;
    if (unshuffle) {
        int tap = c % (b * b);
        channel = c / (b * b);
        pixel = (member * p.out_h * b + oy * b + tap / b) * p.out_w * b + ox * b + tap % b;
    } else {
        channel = c * b * b + (oy % b) * b + ox % b;
        pixel = (member * (p.out_h / b) + oy / b) * (p.out_w / b) + ox / b;
    }
    return x(pixel * p.in_columns + channel / 4)[channel % 4];
}

void main() {
    Walk w = walk_rows(p.columns, p.rows, p.rows_per_group);
    if (!w.used) return;
    for (int row = w.row; row < w.end; row += w.step) {
        int line = row / p.out_w, member = line / p.out_h;
        int oy = line - member * p.out_h, ox = row - line * p.out_w, c = w.column * 4;
        y(row * p.columns + w.column, vec4(source(member, oy, ox, c), source(member, oy, ox, c + 1),
                                           source(member, oy, ox, c + 2), source(member, oy, ox, c + 3)));
    }
}
