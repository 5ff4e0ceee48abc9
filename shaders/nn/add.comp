#version 460
// y = a * scale_a + b * scale_b, element by element; four vec4 an invocation. `b` repeats every `period` vec4.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"

layout(push_constant) uniform Push {
    int count, period;
    float scale_a, scale_b;
} p;

KN_INPUT(a, 0)
KN_INPUT(b, 1)
KN_OUTPUT(y, 2)

void main() {
    int first = int(gl_WorkGroupID.x * gl_WorkGroupSize.x * 4u + gl_LocalInvocationID.x);
    [[unroll]] for (int i = 0; i < 4; i++) {
        int at = first + i * int(gl_WorkGroupSize.x);
        if (at < p.count) {
            int other = p.period == p.count ? at : at % p.period;
            y[at] = a(at) * p.scale_a + b(other) * p.scale_b;
        }
    }
}
