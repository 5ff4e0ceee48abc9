/* What glows: the part of the picture above 1, averaged over blocks of 4 x 4 pixels. */
#version 450
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Push { ivec2 size; ivec2 small; } push; /* small = ceil(size / 4) */
layout(set = 0, binding = 0) uniform samplerBuffer linear;
layout(set = 0, binding = 1, std430) writeonly buffer Bright { vec4 bright[]; };

void main() {
    ivec2 block = ivec2(gl_GlobalInvocationID.xy);
    if (block.x >= push.small.x) return;
    vec3 sum = vec3(0.0);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 4; x++) {
            ivec2 pixel = min(block * 4 + ivec2(x, y), push.size - 1);
            sum += clamp(texelFetch(linear, pixel.y * push.size.x + pixel.x).rgb - 1.0, vec3(0.0), vec3(12.0));
        }
    bright[block.y * push.small.x + block.x] = vec4(sum / 16.0, 1.0);
}
