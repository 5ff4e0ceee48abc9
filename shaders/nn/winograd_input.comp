#version 460
// Input transform of winograd.glsl: v[36][tile / lanes][channel][tile % lanes]. gl_WorkGroupID: chunk of tiles, block of channels.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"
#include "winograd.glsl"

layout(constant_id = 4) const bool resized = false; // the view has another size than the input
layout(constant_id = 5) const int lanes = 16;       // of winograd_multiply.comp

KN_INPUT(x, 0)
KN_STORE(v, 1)

void main() {
    Walk w = walk_rows(p.in_vectors, p.tiles, p.tiles_per_group);
    if (!w.used) return;
    for (int tile = w.row; tile < w.end; tile += w.step) {
        int line = (tile + p.first_tile) / p.tiles_x, member = line / p.tiles_y;
        int y0 = (line - member * p.tiles_y) * 4 - 1, x0 = (tile + p.first_tile - line * p.tiles_x) * 4 - 1;
        vec4 d[6][6];
        [[unroll]] for (int i = 0; i < 6; i++) {
            int sy = y0 + i, row = clamp(sy, 0, p.view_h - 1);
            if (resized) row = row * p.in_h / p.view_h;
            row = (member * p.in_h + row) * p.in_w;
            [[unroll]] for (int j = 0; j < 6; j++) {
                int sx = x0 + j, at = clamp(sx, 0, p.view_w - 1);
                if (resized) at = at * p.in_w / p.view_w;
                vec4 value = x((row + at) * p.in_vectors + w.column);
                bool inside = uint(sy) < uint(p.view_h) && uint(sx) < uint(p.view_w);
                d[i][j] = inside ? value : vec4(0.0);
            }
            winograd_input(d[i]);
        }
        [[unroll]] for (int j = 0; j < 6; j++) {
            vec4 column[6] = vec4[6](d[0][j], d[1][j], d[2][j], d[3][j], d[4][j], d[5][j]);
            winograd_input(column);
            [[unroll]] for (int i = 0; i < 6; i++)
                v((i * 6 + j) * p.v_plane + (tile / lanes * p.in_vectors + w.column) * lanes + tile % lanes, column[i]);
        }
    }
}
