#version 460
// Locked sampling, places: each place moves as the patches that it shows must to reach their cells' values. One
// invocation writes one vec4 of the tensor.
#extension GL_GOOGLE_include_directive : require
#include "lock.glsl"

layout(push_constant) uniform Push {
    int count, count_per_group, vectors; // vec4s of the tensor, and of one of its cells
} p;

KN_INDICES(id, 0)
KN_FLOATS(hold, 1)
KN_FLOATS(value, 2)
KN_FLOATS(own, 5)
KN_INDICES(cell_of, 6)
layout(set = 0, binding = 3, std430) readonly buffer strength_block { float strength[]; };
layout(set = 0, binding = 4, std430) buffer x_block { vec4 x[]; };

void main() {
    float most = strength[0];
    int end = min(int(gl_WorkGroupID.x + 1u) * p.count_per_group, p.count);
    int start = int(gl_WorkGroupID.x) * p.count_per_group + int(gl_LocalInvocationID.x);
    for (int i = start; i < end; i += int(gl_WorkGroupSize.x)) {
        int cell = i / p.vectors, scalar = 4 * (i - cell * p.vectors);
        vec4 now = x[i];
        for (int k = 0; k < 4; k++) {
            int channel = (scalar + k) / block_area, place = cell * block_area + (scalar + k) % block_area;
            if (channel >= channels) continue;
            float sum = 0.0, found = 0.0;
            for (int s = 0; s < samples; s++) {
                uint of = id(place * samples + s);
                if (of == KN_LOCK_FREE) continue;
                sum += value(int(cell_of(int(of))) * 4 * quads + channel) - own(int(of) * 4 * quads + channel);
                found += 1.0;
            }
            if (found > 0.0) now[k] += most * hold(place) * (found / float(samples)) * (sum / found);
        }
        x[i] = now;
    }
}
