// Copies texels to vec4s, for the tests of texel formats; texels beyond the view read as zero.
#version 460
layout(local_size_x = 32) in;
layout(push_constant) uniform Push { uint count; } push;
layout(set = 0, binding = 0) uniform samplerBuffer source;
layout(set = 0, binding = 1) writeonly buffer Target { vec4 target[]; };

void main() {
    uint i = gl_GlobalInvocationID.x;
    if (i < push.count) target[i] = texelFetch(source, int(i));
}
