#version 460
// 3x3 convolution with stride 1 and a padding of 1 to at most four channels (the last layer of most networks), for
// software devices.
//
// Lanes lie along the input pixels of a line and the weights are broadcast. A lane adds its pixel's products with the
// three taps of a line to three sums, and only at the end each output pixel collects one sum from itself and from both
// neighbours: an input is fetched once for three outputs of its line, and once for the `out_rows` lines above each
// other that a workgroup (one subgroup) makes. Pixels are numbered along lines, then from one block of `out_rows` lines
// to the next; the first and the last lane only help their neighbours. Same weights as conv.comp: of each tap and input
// channel the first vec4. gl_WorkGroupID: block of lanes - 2 pixels, 0, batch member.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "activation.glsl"
#include "store.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 4) const int out_rows = 4;
layout(constant_id = 6) const int activation = 0;

#include "conv_push.glsl"

layout(set = 0, binding = 0) uniform samplerBuffer inputs;
layout(set = 0, binding = 1) uniform samplerBuffer weights;
KN_STORE(outputs, 2)
layout(set = 0, binding = 3) uniform samplerBuffer biases;

const int lanes = int(gl_WorkGroupSize.x), taps = 3;

#define EACH_ROW [[unroll]] for (int r = 0; r < out_rows; r++)
#define EACH_TAP(t) [[unroll]] for (int t = 0; t < taps; t++)

vec4 shuffled(vec4 v, uint lane) {
    return vec4(subgroupShuffle(v.x, lane), subgroupShuffle(v.y, lane), subgroupShuffle(v.z, lane),
                subgroupShuffle(v.w, lane));
}

void main() {
    int lane = int(gl_SubgroupInvocationID), member = int(gl_WorkGroupID.z),
        first = int(gl_WorkGroupID.x) * (lanes - 2);
    int pixels = p.out_w * ((p.out_h + out_rows - 1) / out_rows), pixel = clamp(first + lane - 1, 0, pixels - 1);
    int x = pixel % p.out_w, y = pixel / p.out_w * out_rows;

    vec4 sums[out_rows][taps];
    int at[out_rows + 2];
    bool inside[out_rows + 2];
    EACH_ROW EACH_TAP(t) sums[r][t] = vec4(0.0);
    [[unroll]] for (int i = 0; i < out_rows + 2; i++) {
        int row = y + i - 1;
        inside[i] = uint(row) < uint(p.in_h);
        at[i] = inside[i] ? ((member * p.in_h + row) * p.in_w + x) * p.in_vectors : 0;
    }
    int weight = min(lane, taps * taps - 1) * p.in_vectors * 4 * lanes; // lane t reads tap t
    for (int k = 0; k < p.in_vectors; k++) {
        vec4 b[4];
        [[unroll]] for (int u = 0; u < 4; u++) b[u] = texelFetch(weights, weight + (k * 4 + u) * lanes);
        vec4 a[out_rows + 2];
        [[unroll]] for (int i = 0; i < out_rows + 2; i++) {
            a[i] = texelFetch(inputs, at[i] + k);
            a[i] = inside[i] ? a[i] : vec4(0.0);
        }
        EACH_TAP(ty) EACH_TAP(tx) {
            uint tap = uint(ty * taps + tx);
            vec4 b0 = shuffled(b[0], tap), b1 = shuffled(b[1], tap), b2 = shuffled(b[2], tap), b3 = shuffled(b[3], tap);
            EACH_ROW {
                vec4 t = a[r + ty].x * b0;
                t += a[r + ty].y * b1;
                t += a[r + ty].z * b2;
                t += a[r + ty].w * b3;
                sums[r][tx] += t;
            }
        }
    }

    // Lane l makes the output of lane l + 1's pixel.
    int out_pixel = first + lane, out_x = out_pixel % p.out_w, out_y = out_pixel / p.out_w * out_rows;
    bool used = lane < lanes - 2 && out_pixel < pixels;
    vec4 bias = texelFetch(biases, 0);
    EACH_ROW {
        vec4 left = sums[r][0], middle = shuffled(sums[r][1], uint(min(lane + 1, lanes - 1))),
             right = shuffled(sums[r][2], uint(min(lane + 2, lanes - 1)));
        vec4 v = middle + (out_x > 0 ? left : vec4(0.0)) + (out_x < p.out_w - 1 ? right : vec4(0.0)) + bias;
        if (used && out_y + r < p.out_h)
            outputs((member * p.out_h + out_y + r) * p.out_w + out_x, activate(v, activation));
    }
}
