#version 460
// Convolution and linear layers for any device: storage buffers, no subgroup operations. One invocation computes
// `tile_rows` rows by one vec4 of output channels; neighbouring lanes share the input rows they read.
// Weights are packed as for conv.comp with `panel_lanes` lanes, as vec4 or (flags & 4) as four fp16.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "activation.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 4) const uint tile_rows = 8;
layout(constant_id = 5) const uint panel_lanes = 16;
layout(constant_id = 6) const int activation = 0;
layout(constant_id = 7) const bool half_weights = false;

#include "conv_push.glsl"

layout(set = 0, binding = 0, std430) readonly buffer Inputs { vec4 inputs[]; };
layout(set = 0, binding = 1, std430) readonly buffer Weights { vec4 weights[]; };
layout(set = 0, binding = 1, std430) readonly buffer HalfWeights { uvec2 weights_half[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Outputs { vec4 outputs[]; };
layout(set = 0, binding = 3, std430) readonly buffer Biases { vec4 biases[]; };
layout(set = 0, binding = 4, std430) readonly buffer Residuals { vec4 residuals[]; };
layout(set = 0, binding = 5, std430) readonly buffer Broadcasts { vec4 broadcasts[]; };

vec4 weight_at(uint i) {
    if (!half_weights) return weights[i];
    uvec2 h = weights_half[i];
    return vec4(unpackHalf2x16(h.x), unpackHalf2x16(h.y));
}

void main() {
    uint column = gl_WorkGroupID.y * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    int row0 = int(gl_WorkGroupID.x * tile_rows);
    if (column >= uint(p.out_vectors)) return;
    uint panel = column / panel_lanes;
    uint panel_size = uint(p.taps_y * p.taps_x * p.in_vectors * 4) * panel_lanes;
    uint weight = panel * panel_size + column % panel_lanes;

    bool resized = p.view_h != p.in_h || p.view_w != p.in_w;
    ConvRow rows[tile_rows];
    vec4 acc[tile_rows];
    [[unroll]] for (uint i = 0; i < tile_rows; i++) {
        rows[i] = conv_row(row0 + int(i));
        acc[i] = biases[column];
        if ((p.flags & 1) != 0) acc[i] += broadcasts[uint((rows[i].member + p.first_member) * p.out_vectors) + column];
    }
    for (int ty = 0; ty < p.taps_y; ty++) {
        for (int tx = 0; tx < p.taps_x; tx++) {
            int at[tile_rows];
            bool inside[tile_rows];
            [[unroll]] for (uint i = 0; i < tile_rows; i++) inside[i] = conv_tap(rows[i], ty, tx, resized, at[i]);
            for (int k = 0; k < p.in_vectors; k++) {
                vec4 b0 = weight_at(weight), b1 = weight_at(weight + panel_lanes);
                vec4 b2 = weight_at(weight + 2 * panel_lanes), b3 = weight_at(weight + 3 * panel_lanes);
                [[unroll]] for (uint i = 0; i < tile_rows; i++) {
                    vec4 a = inputs[at[i] + k];
                    a = inside[i] ? a : vec4(0.0);
                    acc[i] += a.x * b0 + a.y * b1 + (a.z * b2 + a.w * b3);
                }
                weight += 4 * panel_lanes;
            }
        }
    }
    [[unroll]] for (uint i = 0; i < tile_rows; i++) {
        int row = row0 + int(i);
        if (row < p.rows) {
            uint at = uint(row * p.out_vectors) + column;
            vec4 v = activate(acc[i], activation);
            if ((p.flags & 2) != 0) v += residuals[at];
            outputs[at] = v;
        }
    }
}
