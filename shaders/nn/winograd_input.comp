#version 460
// Input transform of winograd.glsl: v[36][tile / lanes][channel][tile % lanes]. gl_WorkGroupID: block of tiles, vec4 of
// channels.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"
#include "winograd.glsl"
#include "store_shared.glsl"

layout(constant_id = 4) const bool resized = false; // the view has another size than the input

KN_INPUT(x, 0)
KN_STORE(v, 1)

void main() {
    int lanes = int(gl_WorkGroupSize.x), block = int(gl_WorkGroupID.x), column = int(gl_WorkGroupID.y);
    int tile = min(block * lanes + int(gl_LocalInvocationID.x), p.tiles - 1);
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
            vec4 value = x((row + at) * p.in_vectors + column);
            bool inside = uint(sy) < uint(p.view_h) && uint(sx) < uint(p.view_w);
            d[i][j] = inside ? value : vec4(0.0);
        }
        winograd_input(d[i]);
    }
    int base = shared_int((block * p.in_vectors + column) * lanes, 24);
    [[unroll]] for (int j = 0; j < 6; j++) {
        vec4 transformed[6] = vec4[6](d[0][j], d[1][j], d[2][j], d[3][j], d[4][j], d[5][j]);
        winograd_input(transformed);
        [[unroll]] for (int i = 0; i < 6; i++)
            KN_STORE_LANES(v, (i * 6 + j) * p.v_plane + base, 1, lanes, transformed[i])
    }
}
