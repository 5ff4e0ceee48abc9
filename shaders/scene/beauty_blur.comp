/* One direction of a Gaussian blur; pixels beyond the edge count as black. */
#version 450
layout(local_size_x_id = 0) in;
/* step: (1,0) or (0,1); sigma in pixels */
layout(push_constant) uniform Push { ivec2 size; ivec2 step; float sigma; } push;
layout(set = 0, binding = 0) uniform samplerBuffer source;
layout(set = 0, binding = 1, std430) writeonly buffer Blurred { vec4 blurred[]; };

void main() {
    ivec2 pixel = ivec2(gl_GlobalInvocationID.xy);
    if (pixel.x >= push.size.x) return;
    int reach = min(int(ceil(3.0 * push.sigma)), 64);
    vec3 sum = vec3(0.0);
    float weights = 0.0;
    for (int i = -reach; i <= reach; i++) {
        ivec2 other = pixel + i * push.step;
        float weight = exp(-0.5 * float(i * i) / (push.sigma * push.sigma));
        bool inside = all(greaterThanEqual(other, ivec2(0))) && all(lessThan(other, push.size));
        ivec2 held = clamp(other, ivec2(0), push.size - 1);
        sum += inside ? weight * texelFetch(source, held.y * push.size.x + held.x).rgb : vec3(0.0);
        weights += weight;
    }
    blurred[pixel.y * push.size.x + pixel.x] = vec4(sum / weights, 1.0);
}
