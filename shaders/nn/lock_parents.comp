#version 460
// Locked sampling, parents: the mean of a larger cell's cells is moved towards what is known of it; their differences
// stay. One invocation does four channels of a parent.
#extension GL_GOOGLE_include_directive : require
#include "lock.glsl"

layout(push_constant) uniform Push {
    int count, count_per_group; // parents * quads
} p;

KN_INDICES(first, 0)
KN_INDICES(child, 1)
KN_FLOATS(sums, 2)
KN_VECTORS(prior, 3)
KN_FLOATS(share, 4)
layout(set = 0, binding = 5, std430) buffer values_block { vec4 values[]; };

void main() {
    int end = min(int(gl_WorkGroupID.x + 1u) * p.count_per_group, p.count);
    int start = int(gl_WorkGroupID.x) * p.count_per_group + int(gl_LocalInvocationID.x);
    for (int i = start; i < end; i += int(gl_WorkGroupSize.x)) {
        int parent = i / quads, quad = i - parent * quads, from = int(first(parent)), to = int(first(parent + 1));
        vec4 sum = vec4(0.0);
        float total = 0.0;
        for (int m = from; m < to; m++) {
            int cell = int(child(m));
            float w = sums(cell);
            sum += w * values[cell * quads + quad];
            total += w;
        }
        vec4 move = share(parent) * (prior(i) - sum / max(total, 1e-30));
        for (int m = from; m < to; m++) values[int(child(m)) * quads + quad] += move;
    }
}
