// As texel.comp, for the unsigned formats.
#version 460
layout(local_size_x = 32) in;
layout(push_constant) uniform Push { uint count; } push;
layout(set = 0, binding = 0) uniform usamplerBuffer source;
layout(set = 0, binding = 1) writeonly buffer Target { uvec4 target[]; };

void main() {
    uint i = gl_GlobalInvocationID.x;
    if (i < push.count) target[i] = texelFetch(source, int(i));
}
