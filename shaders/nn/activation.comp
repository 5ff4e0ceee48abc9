#version 460
// y = activation(x) [+ residual], element by element; four vec4 an invocation.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"
#include "activation.glsl"

layout(constant_id = 4) const int activation = 0;
layout(constant_id = 5) const bool has_residual = false;
layout(push_constant) uniform Push { int count; } p;

KN_INPUT(x, 0)
KN_INPUT(residual, 1)
KN_STORE(y, 2)

void main() {
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    int first = int(group * gl_WorkGroupSize.x * 4u + gl_LocalInvocationID.x);
    [[unroll]] for (int i = 0; i < 4; i++) {
        int at = first + i * int(gl_WorkGroupSize.x);
        if (at < p.count) {
            vec4 v = activate(x(at), activation);
            if (has_residual) v += residual(at);
            y(at, v);
        }
    }
}
