#version 460
// Convolution and linear layers as an implicit matrix product, channels last, for software devices.
//
// One workgroup is one subgroup. It computes `row_blocks` x lanes output pixels (rows) by `panels` x 4 x lanes output
// channels. Lanes lie along the output channels; a block of input rows is held one row a lane and broadcast with
// constant subgroup shuffles. Weights are packed [panel][tap_y][tap_x][k][lane] as vec4 of four output channels.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "activation.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 4) const uint row_blocks = 2;
layout(constant_id = 5) const uint panels = 1;
layout(constant_id = 6) const int activation = 0;
layout(constant_id = 7) const bool has_broadcast = false;
layout(constant_id = 8) const bool has_residual = false;
layout(constant_id = 9) const bool gated = false; // panel 1 is the gate of panel 0: out = panel0 * gelu(panel1)
// 1 x 1, stride 1, no padding: row i of the output is row i of the input
layout(constant_id = 10) const bool pointwise = false;
layout(constant_id = 11) const bool resized = false;
// store_shared.glsl: worth its longer compilation where inputs are few
layout(constant_id = 12) const bool shared_stores = false;

#include "conv_push.glsl"
#include "store_shared.glsl"

layout(set = 0, binding = 0) uniform samplerBuffer inputs;
layout(set = 0, binding = 1) uniform samplerBuffer weights;
KN_STORE(outputs, 2)
layout(set = 0, binding = 3) uniform samplerBuffer biases;
layout(set = 0, binding = 4) uniform samplerBuffer residuals;
layout(set = 0, binding = 5) uniform samplerBuffer broadcasts;

const uint lanes = gl_WorkGroupSize.x;
const uint tile_rows = row_blocks * lanes;

// acc += four input channels of every row of the tile times the weights of those channels.
#define ACCUMULATE(block, a4, b) \
    [[unroll]] for (uint i = 0; i < lanes; i++) { \
        float a0 = subgroupShuffle(a4.x, i), a1 = subgroupShuffle(a4.y, i); \
        float a2 = subgroupShuffle(a4.z, i), a3 = subgroupShuffle(a4.w, i); \
        [[unroll]] for (uint j = 0; j < panels; j++) { \
            vec4 t = a0 * b[0][j]; \
            t += a1 * b[1][j]; \
            t += a2 * b[2][j]; \
            t += a3 * b[3][j]; \
            acc[block * lanes + i][j] += t; \
        } \
    }

void main() {
    int lane = int(gl_SubgroupInvocationID);
    int row0 = int(gl_WorkGroupID.x * tile_rows);
    int panel0 = int(gl_WorkGroupID.y) * (gated ? 1 : int(panels));
    int panel_size = p.taps_y * p.taps_x * p.in_vectors * 4 * int(lanes);
    int panel_step = gated ? p.gate_panels : 1;

    ConvRow rows[row_blocks];
    if (!pointwise || has_broadcast)
        [[unroll]] for (uint r = 0; r < row_blocks; r++) rows[r] = conv_row(row0 + int(r * lanes) + lane);

    vec4 acc[tile_rows][panels];
    [[unroll]] for (uint i = 0; i < tile_rows; i++)
        [[unroll]] for (uint j = 0; j < panels; j++) acc[i][j] = vec4(0.0);

    int weight = panel0 * panel_size + lane;
    for (int ty = 0; ty < p.taps_y; ty++) {
        for (int tx = 0; tx < p.taps_x; tx++) {
            int at[row_blocks];
            bool inside[row_blocks];
            [[unroll]] for (uint r = 0; r < row_blocks; r++) {
                inside[r] = true;
                if (pointwise) at[r] = min(row0 + int(r * lanes) + lane, p.rows - 1) * p.in_vectors;
                else inside[r] = conv_tap(rows[r], ty, tx, resized, at[r]);
            }
            for (int k = 0; k < p.in_vectors; k++) {
                vec4 b[4][panels];
                [[unroll]] for (int u = 0; u < 4; u++)
                    [[unroll]] for (int j = 0; j < panels; j++)
                        b[u][j] = texelFetch(weights, weight + j * panel_step * panel_size + u * int(lanes));
                [[unroll]] for (uint r = 0; r < row_blocks; r++) {
                    vec4 a4 = texelFetch(inputs, at[r] + k);
                    a4 = inside[r] ? a4 : vec4(0.0);
                    ACCUMULATE(r, a4, b)
                }
                weight += 4 * int(lanes);
            }
        }
    }

    int rows_left = shared_int(min(p.rows - row0, int(tile_rows)), 9);
    [[unroll]] for (uint j = 0; j < (gated ? 1 : panels); j++) {
        int column = (panel0 + int(j)) * int(lanes) + lane;
        int first = shared_int(row0 * p.out_vectors + column - lane, 27);
        int columns_left = shared_int(clamp(p.out_vectors - column + lane, 1, int(lanes)), 6);
        int safe = min(column, p.out_vectors - 1);
        vec4 bias = texelFetch(biases, column);
        vec4 gate_bias = gated ? texelFetch(biases, column + p.gate_panels * int(lanes)) : vec4(0.0);
        [[unroll]] for (uint i = 0; i < tile_rows; i++) {
            int row = row0 + int(i);
            vec4 v = acc[i][j] + bias;
            if (has_broadcast) {
                int member = subgroupShuffle(rows[i / lanes].member, i % lanes) + p.first_member;
                v += texelFetch(broadcasts, member * p.out_vectors + safe);
            }
            if (gated) v *= gelu_of(acc[i][panels - 1] + gate_bias);
            else v = activate(v, activation);
            if (has_residual) v += texelFetch(residuals, min(row, p.rows - 1) * p.out_vectors + safe);
            if (shared_stores)
                KN_STORE_LANES(outputs, first + min(int(i), rows_left - 1) * p.out_vectors, 1, columns_left, v)
            else if (row < p.rows && column < p.out_vectors) outputs(row * p.out_vectors + column, v);
        }
    }
}
