// Start-up check of wide vectors on software devices: a small matrix product in the style of the real kernels
// (rows in lanes, broadcast by subgroupShuffle), a divergent loop, and a subgroup sum.
#version 460
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_KHR_shader_subgroup_arithmetic : require
layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint LANES = 8; // the subgroup size: one subgroup per workgroup
const uint K4 = 5;

layout(set = 0, binding = 0) uniform samplerBuffer a;                    // [groups][K4][LANES] vec4, a lane holds a row
layout(set = 0, binding = 1) uniform samplerBuffer b;                    // [4*K4][LANES] vec4, lanes along columns
layout(set = 0, binding = 2) writeonly buffer C { vec4 c[]; };           // [groups][LANES + 1][LANES]

void main() {
    uint lane = gl_SubgroupInvocationID, group = gl_WorkGroupID.x;
    vec4 sum[LANES];
    [[unroll]] for (uint i = 0; i < LANES; i++) sum[i] = vec4(0);
    for (uint k = 0; k < K4; k++) {
        vec4 row = texelFetch(a, int((group * K4 + k) * LANES + lane));
        vec4 panel[4];
        [[unroll]] for (uint u = 0; u < 4; u++) panel[u] = texelFetch(b, int((4 * k + u) * LANES + lane));
        [[unroll]] for (uint i = 0; i < LANES; i++) {
            sum[i] += subgroupShuffle(row.x, i) * panel[0] + subgroupShuffle(row.y, i) * panel[1] +
                      subgroupShuffle(row.z, i) * panel[2] + subgroupShuffle(row.w, i) * panel[3];
        }
    }
    uint base = group * (LANES + 1) * LANES;
    [[unroll]] for (uint i = 0; i < LANES; i++) c[base + i * LANES + lane] = sum[i];

    float steps = 0;
    for (uint i = 0; i < lane + group; i++) steps += float(i % 3u == 0u ? i : 1u);
    c[base + LANES * LANES + lane] = vec4(steps, subgroupAdd(steps), sqrt(float(lane)), float(lane) * 0.5);
}
