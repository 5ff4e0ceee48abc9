#version 460
// Locked sampling, patches and cells: the weighted mean of a patch's places or of a cell's patches. One invocation
// makes four channels of one.
#extension GL_GOOGLE_include_directive : require
#include "lock.glsl"

layout(push_constant) uniform Push {
    int count, count_per_group, stride; // groups * quads; scalars of a row of x
} p;

KN_FLOATS(x, 0)
KN_INDICES(first, 1)
KN_INDICES(member, 2)
KN_FLOATS(weight, 3)
layout(set = 0, binding = 4, std430) writeonly buffer values_block { vec4 values[]; };
layout(set = 0, binding = 5, std430) writeonly buffer sums_block { float sums[]; };

const int ROUND = 16384; // software devices end a loop after 65535 rounds

void main() {
    int end = min(int(gl_WorkGroupID.x + 1u) * p.count_per_group, p.count);
    int start = int(gl_WorkGroupID.x) * p.count_per_group + int(gl_LocalInvocationID.x);
    for (int i = start; i < end; i += int(gl_WorkGroupSize.x)) {
        int cell = i / quads, quad = i - cell * quads, from = int(first(cell)), to = int(first(cell + 1));
        vec4 sum = vec4(0.0);
        float total = 0.0;
        for (int round = from; round < to; round += ROUND) {
            int last = min(round + ROUND, to);
            for (int m = round; m < last; m++) {
                int place = int(member(m)), base = place / block_area * p.stride + place % block_area;
                float w = weight(place);
                for (int k = 0; k < 4; k++)
                    if (4 * quad + k < channels) sum[k] += w * x(base + (4 * quad + k) * block_area);
                total += w;
            }
        }
        values[i] = sum / max(total, 1e-30);
        if (quad == 0) sums[cell] = total;
    }
}
