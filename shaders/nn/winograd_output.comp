#version 460
// Output transform of winograd.glsl with the epilogue of conv.comp: bias, broadcast, activation, residual.
// gl_WorkGroupID: chunk of tiles, block of channels.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"
#include "activation.glsl"
#include "winograd.glsl"

layout(constant_id = 4) const int activation = 0;
layout(constant_id = 5) const bool has_broadcast = false;
layout(constant_id = 6) const bool has_residual = false;
layout(constant_id = 7) const int lanes = 16; // of a panel

KN_INPUT(m, 0)
KN_INPUT(biases, 1)
KN_INPUT(broadcasts, 2)
KN_INPUT(residuals, 3)
KN_STORE(outputs, 4)

void main() {
    int columns = p.panels * lanes, first_column = p.first_panel * lanes;
    Walk w = walk_rows(columns, p.tiles, p.tiles_per_group);
    int column = first_column + w.column;
    if (!w.used || column >= p.out_vectors) return;
    vec4 bias = biases(column);
    for (int tile = w.row; tile < w.end; tile += w.step) {
        int line = (tile + p.first_tile) / p.tiles_x, member = line / p.tiles_y;
        int y0 = (line - member * p.tiles_y) * 4, x0 = (tile + p.first_tile - line * p.tiles_x) * 4;
        vec4 shift = bias, rows[6][4];
        if (has_broadcast) shift += broadcasts(member * p.out_vectors + column);
        [[unroll]] for (int i = 0; i < 6; i++) {
            vec4 row[6];
            [[unroll]] for (int j = 0; j < 6; j++) row[j] = m((i * 6 + j) * p.m_plane + tile * columns + w.column);
            winograd_output(row, rows[i]);
        }
        [[unroll]] for (int j = 0; j < 4; j++) {
            vec4 y[4], down[6] = vec4[6](rows[0][j], rows[1][j], rows[2][j], rows[3][j], rows[4][j], rows[5][j]);
            winograd_output(down, y);
            [[unroll]] for (int i = 0; i < 4; i++) {
                int at = ((member * p.view_h + y0 + i) * p.view_w + x0 + j) * p.out_vectors + column;
                bool inside = y0 + i < p.view_h && x0 + j < p.view_w;
                vec4 value = activate(y[i] + shift, activation);
                if (has_residual) value += residuals(inside ? at : 0);
                if (inside) outputs(at - p.out_base, value);
            }
        }
    }
}
