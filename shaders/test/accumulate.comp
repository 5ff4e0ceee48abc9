// x[i] = 3 * x[i] + push.add in place: a chain of these is right only when every one waits for the one before.
#version 460
layout(local_size_x = 64) in;
layout(push_constant) uniform Push { uint count; uint add; } push;
layout(set = 0, binding = 0) buffer X { uint x[]; };

void main() {
    uint i = gl_GlobalInvocationID.x;
    if (i < push.count) x[i] = 3 * x[i] + push.add;
}
