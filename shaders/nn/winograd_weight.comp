#version 460
// Weight transform of winograd.glsl: packed weights [panel][tap][k][lane] (see conv.comp) become u[36][panel][k][lane].
// gl_WorkGroupID: input channel, panel. One invocation a lane.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "winograd.glsl"
#include "store_shared.glsl"

layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) uniform samplerBuffer weights;
KN_STORE(u, 1)

void main() {
    int lanes = int(gl_WorkGroupSize.x), lane = int(gl_LocalInvocationID.x), k = int(gl_WorkGroupID.x),
        panel = int(gl_WorkGroupID.y);
    int channels = p.in_vectors * 4, base = ((panel + p.first_panel) * 9 * channels + k) * lanes + lane;
    vec4 rows[3][6]; // every row of the kernel, transformed along x
    [[unroll]] for (int i = 0; i < 3; i++) {
        vec4 g[3];
        [[unroll]] for (int j = 0; j < 3; j++) g[j] = texelFetch(weights, base + (i * 3 + j) * channels * lanes);
        winograd_weight(g[0], g[1], g[2], rows[i]);
    }
    int at = shared_int((panel * channels + k) * lanes, 24);
    [[unroll]] for (int j = 0; j < 6; j++) {
        vec4 column[6];
        winograd_weight(rows[0][j], rows[1][j], rows[2][j], column);
        [[unroll]] for (int i = 0; i < 6; i++) KN_STORE_LANES(u, (i * 6 + j) * p.u_plane + at, 1, lanes, column[i])
    }
}
