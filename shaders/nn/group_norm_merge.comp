#version 460
// Second pass of group normalisation: merges the parts of a group (Chan, Golub and LeVeque 1983) and writes, per member
// and channel, the factor and the offset that normalise it. One invocation per group and member.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"

layout(push_constant) uniform Push {
    int columns, pixels, pixels_per_group, parts;
    int step; // lanes that share a chunk: part = chunk * step + lane's slot
    int members, groups, group_channels;
    float epsilon;
} p;

layout(set = 0, binding = 0, std430) readonly buffer Partials { float partials[]; };
layout(set = 0, binding = 1, std430) readonly buffer Gamma { float gamma[]; };
layout(set = 0, binding = 2, std430) readonly buffer Beta { float beta[]; };
// [member][column][factor, offset] vec4
layout(set = 0, binding = 3, std430) writeonly buffer Factors { float factors[]; };

// Pixels that part `part` saw.
float part_count(int part) {
    int chunk = part / p.step, slot = part - chunk * p.step;
    int pixels = min(p.pixels - chunk * p.pixels_per_group, p.pixels_per_group);
    return float(max((pixels - slot + p.step - 1) / p.step, 0));
}

void main() {
    int index = int(gl_GlobalInvocationID.x);
    if (index >= p.members * p.groups) return;
    int member = index / p.groups, group = index - member * p.groups;
    int first = group * p.group_channels, last = first + p.group_channels;
    float count = 0.0, mean = 0.0, squares = 0.0;
    for (int part = 0; part < p.parts; part++) {
        float n = part_count(part);
        if (n > 0.0) {
            for (int c = first; c < last; c++) {
                int at = ((member * p.columns + c / 4) * p.parts + part) * 8 + c % 4;
                float delta = partials[at] - mean, total = count + n;
                mean += delta * n / total;
                squares += partials[at + 4] + delta * delta * (count * n / total);
                count = total;
            }
        }
    }
    float scale = inversesqrt(squares / count + p.epsilon);
    for (int c = first; c < last; c++) {
        int at = (member * p.columns + c / 4) * 8 + c % 4;
        float factor = gamma[c] * scale;
        factors[at] = factor;
        factors[at + 4] = beta[c] - mean * factor;
    }
    // Padding channels of the last vec4 stay zero.
    if (group == p.groups - 1) {
        for (int c = last; c < p.columns * 4; c++) {
            int at = (member * p.columns + c / 4) * 8 + c % 4;
            factors[at] = 0.0;
            factors[at + 4] = 0.0;
        }
    }
}
