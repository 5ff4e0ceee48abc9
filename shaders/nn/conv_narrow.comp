#version 460
// Convolution and linear layers with few output channels, for software devices: lanes lie along the rows (output
// pixels) and the weights are broadcast, so that no lane idles. One workgroup is one subgroup and computes `row_blocks`
// x lanes rows by all channels. Same weights as conv.comp: lane j of a fetch holds output channels 4 j to 4 j + 3 of
// one input channel.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "activation.glsl"
#include "store.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 4) const uint row_blocks = 4;
layout(constant_id = 5) const uint vectors = 1; // vec4 per output pixel
layout(constant_id = 6) const int activation = 0;
layout(constant_id = 7) const bool has_broadcast = false;
layout(constant_id = 8) const bool has_residual = false;
layout(constant_id = 11) const bool resized = false;

#include "conv_push.glsl"

layout(set = 0, binding = 0) uniform samplerBuffer inputs;
layout(set = 0, binding = 1) uniform samplerBuffer weights;
KN_STORE(outputs, 2)
layout(set = 0, binding = 3) uniform samplerBuffer biases;
layout(set = 0, binding = 4) uniform samplerBuffer residuals;
layout(set = 0, binding = 5) uniform samplerBuffer broadcasts;

const uint lanes = gl_WorkGroupSize.x;

#define EACH_BLOCK [[unroll]] for (uint r = 0; r < row_blocks; r++)
#define EACH_VECTOR [[unroll]] for (uint j = 0; j < vectors; j++)

vec4 broadcast_of(vec4 v, uint lane) {
    return vec4(subgroupShuffle(v.x, lane), subgroupShuffle(v.y, lane), subgroupShuffle(v.z, lane),
                subgroupShuffle(v.w, lane));
}

void main() {
    int lane = int(gl_SubgroupInvocationID);
    int row0 = int(gl_WorkGroupID.x * row_blocks * lanes) + lane;
    ConvRow rows[row_blocks];
    vec4 acc[row_blocks][vectors];
    EACH_BLOCK {
        rows[r] = conv_row(row0 + int(r * lanes));
        EACH_VECTOR acc[r][j] = texelFetch(biases, int(j));
    }

    int weight = lane;
    for (int ty = 0; ty < p.taps_y; ty++) {
        for (int tx = 0; tx < p.taps_x; tx++) {
            int at[row_blocks];
            bool inside[row_blocks];
            EACH_BLOCK inside[r] = conv_tap(rows[r], ty, tx, resized, at[r]);
            for (int k = 0; k < p.in_vectors; k++) {
                vec4 b[4], a[row_blocks];
                [[unroll]] for (int u = 0; u < 4; u++) b[u] = texelFetch(weights, weight + u * int(lanes));
                EACH_BLOCK {
                    a[r] = texelFetch(inputs, at[r] + k);
                    a[r] = inside[r] ? a[r] : vec4(0.0);
                }
                EACH_VECTOR {
                    vec4 b0 = broadcast_of(b[0], j), b1 = broadcast_of(b[1], j);
                    vec4 b2 = broadcast_of(b[2], j), b3 = broadcast_of(b[3], j);
                    EACH_BLOCK {
                        vec4 t = a[r].x * b0;
                        t += a[r].y * b1;
                        t += a[r].z * b2;
                        t += a[r].w * b3;
                        acc[r][j] += t;
                    }
                }
                weight += 4 * int(lanes);
            }
        }
    }

    EACH_BLOCK {
        int row = row0 + int(r * lanes), safe = min(row, p.rows - 1);
        EACH_VECTOR {
            vec4 v = acc[r][j];
            if (has_broadcast) v += texelFetch(broadcasts, (rows[r].member + p.first_member) * int(vectors) + int(j));
            v = activate(v, activation);
            if (has_residual) v += texelFetch(residuals, safe * int(vectors) + int(j));
            if (row < p.rows) outputs(row * int(vectors) + int(j), v);
        }
    }
}
