#version 460
// The 36 matrix products of winograd.glsl: m[36][tile][channel] = v[36][tile / lanes][k][tile % lanes]
// u[36][panel][k][lane], tiled as in conv.comp. gl_WorkGroupID: block of tiles, panel, which of the 36.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "winograd.glsl"
#include "store_shared.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 4) const uint row_blocks = 4;

layout(set = 0, binding = 0) uniform samplerBuffer v;
layout(set = 0, binding = 1) uniform samplerBuffer u;
KN_STORE(m, 2)

const uint lanes = gl_WorkGroupSize.x;

void main() {
    int lane = int(gl_SubgroupInvocationID), row0 = int(gl_WorkGroupID.x * row_blocks * lanes);
    int place = int(gl_WorkGroupID.z), panel = int(gl_WorkGroupID.y);
    int weight = place * p.u_plane + panel * p.in_vectors * 4 * int(lanes) + lane;
    int at[row_blocks];
    vec4 acc[row_blocks * lanes];
    [[unroll]] for (uint r = 0; r < row_blocks; r++) at[r] =
        place * p.v_plane + min(row0 / int(lanes) + int(r), (p.tiles - 1) / int(lanes)) * p.in_vectors * int(lanes) +
        lane;
    [[unroll]] for (uint i = 0; i < row_blocks * lanes; i++) acc[i] = vec4(0.0);
    for (int k = 0; k < p.in_vectors; k++) {
        vec4 b[4];
        [[unroll]] for (int i = 0; i < 4; i++) b[i] = texelFetch(u, weight + i * int(lanes));
        [[unroll]] for (uint r = 0; r < row_blocks; r++) {
            vec4 a = texelFetch(v, at[r] + k * int(lanes));
            [[unroll]] for (uint i = 0; i < lanes; i++) {
                vec4 t = subgroupShuffle(a.x, i) * b[0];
                t += subgroupShuffle(a.y, i) * b[1];
                t += subgroupShuffle(a.z, i) * b[2];
                t += subgroupShuffle(a.w, i) * b[3];
                acc[r * lanes + i] += t;
            }
        }
        weight += 4 * int(lanes);
    }
    int columns = p.panels * int(lanes);
    int first = place * p.m_plane + row0 * columns + panel * int(lanes),
        rows = min(p.tiles - row0, int(row_blocks * lanes));
    first = shared_int(first, 27);
    rows = shared_int(rows, 9);
    [[unroll]] for (uint i = 0; i < row_blocks * lanes; i++)
        KN_STORE_LANES(m, first + min(int(i), rows - 1) * columns, 1, int(lanes), acc[i])
}
