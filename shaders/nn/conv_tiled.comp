#version 460
// Convolution and linear layers as an implicit matrix product through shared memory, for GPUs without matrix units;
// fp32 throughout, weights fp32 or fp16 in storage.
//
// A workgroup computes `tile_rows` output pixels (rows) by `panels` panels of 4 x panel_lanes channels, in steps of
// `depth` vec4 of input channels; what the next step reads is fetched to registers while this one is multiplied. An
// invocation has one vec4 column of each panel and every `row_threads`-th row. Weights are packed as for conv.comp.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "activation.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 4) const uint tile_rows = 64;
layout(constant_id = 5) const uint panel_lanes = 16;
layout(constant_id = 6) const int activation = 0;
layout(constant_id = 7) const bool half_weights = false;
layout(constant_id = 8) const uint panels = 1;
layout(constant_id = 9) const bool gated = false; // panel 1 is the gate of panel 0
layout(constant_id = 10) const uint depth = 4;
layout(constant_id = 11) const bool resized = false;

#include "conv_push.glsl"
#include "conv_storage.glsl"

const uint threads = gl_WorkGroupSize.x;
const uint row_threads = threads / panel_lanes, rows_each = tile_rows / row_threads;
const uint tile_columns = panels * panel_lanes; // vec4
const uint input_loads = (tile_rows * depth + threads - 1) / threads;
const uint weight_loads = (4 * depth * tile_columns + threads - 1) / threads;

shared vec4 input_tile[tile_rows * depth];           // [row][k / 4]
shared vec4 weight_tile[4 * depth * tile_columns];   // [k][column]

#define EACH_INPUT [[unroll]] for (uint i = 0; i < input_loads; i++)
#define EACH_WEIGHT [[unroll]] for (uint i = 0; i < weight_loads; i++)
#define EACH_ROW [[unroll]] for (uint r = 0; r < rows_each; r++)
#define EACH_PANEL [[unroll]] for (uint j = 0; j < panels; j++)

void main() {
    uint thread = gl_LocalInvocationID.x, column = thread % panel_lanes, row_thread = thread / panel_lanes;
    int row0 = int(gl_WorkGroupID.x * tile_rows);
    ConvTile tile = conv_tile(int(gl_WorkGroupID.y), int(panels), int(panel_lanes), gated, int(depth));

    ConvRow rows[input_loads];
    EACH_INPUT rows[i] = conv_row(row0 + int((thread + i * threads) / depth));
    vec4 acc[rows_each][panels], next_input[input_loads], next_weight[weight_loads];
    EACH_ROW EACH_PANEL acc[r][j] = vec4(0.0);

    for (int step = 0; step <= tile.steps; step++) {
        if (step > 0) {
            barrier();
            EACH_INPUT if (thread + i * threads < tile_rows * depth) input_tile[thread + i * threads] = next_input[i];
            EACH_WEIGHT if (thread + i * threads < 4 * depth * tile_columns) weight_tile[thread + i * threads] =
                next_weight[i];
            barrier();
        }
        if (step < tile.steps) {
            int tap = step / tile.blocks, k0 = (step - tap * tile.blocks) * int(depth);
            EACH_INPUT next_input[i] = conv_input(rows[i], tap, k0 + int((thread + i * threads) % depth), resized);
            EACH_WEIGHT {
                uint at = thread + i * threads;
                next_weight[i] =
                    conv_weight(tile, tap, 4 * k0 + int(at / tile_columns), int(at % tile_columns), half_weights);
            }
        }
        if (step > 0) {
            [[unroll]] for (uint k = 0; k < depth; k++) {
                vec4 b[4][panels];
                [[unroll]] for (uint u = 0; u < 4; u++) EACH_PANEL b[u][j] =
                    weight_tile[(4 * k + u) * tile_columns + j * panel_lanes + column];
                EACH_ROW {
                    vec4 a = input_tile[(r * row_threads + row_thread) * depth + k];
                    EACH_PANEL acc[r][j] += a.x * b[0][j] + a.y * b[1][j] + (a.z * b[2][j] + a.w * b[3][j]);
                }
            }
        }
    }

    EACH_ROW {
        int row = row0 + int(r * row_threads + row_thread);
        if (gated) conv_finish_gated(tile, row, int(column), acc[r][0], acc[r][panels - 1]);
        else EACH_PANEL conv_finish(tile, row, int(j * panel_lanes + column), acc[r][j], activation);
    }
}
