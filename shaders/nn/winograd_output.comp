#version 460
// Output transform of winograd.glsl with the epilogue of conv.comp: bias, broadcast, activation, residual.
// gl_WorkGroupID: tile, panel.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"
#include "activation.glsl"
#include "winograd.glsl"
#include "store_shared.glsl"

layout(constant_id = 4) const int activation = 0;
layout(constant_id = 5) const bool has_broadcast = false;
layout(constant_id = 6) const bool has_residual = false;

KN_INPUT(m, 0)
KN_INPUT(biases, 1)
KN_INPUT(broadcasts, 2)
KN_INPUT(residuals, 3)
KN_STORE(outputs, 4)

void main() {
    int lanes = int(gl_WorkGroupSize.x), tile = int(gl_WorkGroupID.x), columns = p.panels * lanes;
    int own = int(gl_WorkGroupID.y) * lanes, first = p.first_panel * lanes + own, lane = int(gl_LocalInvocationID.x);
    int column = min(first + lane, p.out_vectors - 1);
    int line = (tile + p.first_tile) / p.tiles_x, member = line / p.tiles_y;
    int y0 = (line - member * p.tiles_y) * 4, x0 = (tile + p.first_tile - line * p.tiles_x) * 4;
    vec4 shift = biases(column), rows[6][4];
    if (has_broadcast) shift += broadcasts(member * p.out_vectors + column);
    [[unroll]] for (int i = 0; i < 6; i++) {
        vec4 row[6];
        [[unroll]] for (int j = 0; j < 6; j++) row[j] = m((i * 6 + j) * p.m_plane + tile * columns + own + lane);
        winograd_output(row, rows[i]);
    }
    int corner = ((member * p.view_h + y0) * p.view_w + x0) * p.out_vectors; // the tile's first pixel, which comes last
    int at = shared_int(corner - p.out_base + first, 27), used = shared_int(min(p.out_vectors - first, lanes), 6);
    int height = shared_int(min(p.view_h - y0, 4), 3), width = shared_int(min(p.view_w - x0, 4), 3);
    [[unroll]] for (int j = 3; j >= 0; j--) {
        vec4 y[4], down[6] = vec4[6](rows[0][j], rows[1][j], rows[2][j], rows[3][j], rows[4][j], rows[5][j]);
        winograd_output(down, y);
        [[unroll]] for (int i = 3; i >= 0; i--) {
            vec4 value = activate(y[i] + shift, activation);
            int pixel = i < height && j < width ? (i * p.view_w + j) * p.out_vectors : 0;
            if (has_residual) value += residuals(corner + pixel + column);
            KN_STORE_LANES(outputs, at + pixel, 1, used, value)
        }
    }
}
