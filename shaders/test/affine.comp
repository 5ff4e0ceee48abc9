// y[i] = SCALE * x[i] + push.add, for the tests of constants, push constants and bindings.
#version 460
layout(local_size_x_id = 0) in;
layout(constant_id = 3) const int SCALE = 2;
layout(push_constant) uniform Push { uint count; int add; } push;
layout(set = 0, binding = 0) readonly buffer X { int x[]; };
layout(set = 0, binding = 2) writeonly buffer Y { int y[]; };

void main() {
    uint i = gl_GlobalInvocationID.x;
    if (i < push.count) y[i] = SCALE * x[i] + push.add;
}
