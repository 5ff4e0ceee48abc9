/* Joins beauty.comp's two parts: the sky's visibility (4 rays a pixel, turned from pixel to pixel) is averaged over the
 * neighbours that lie at the same depth, then multiplied with the sky's light. Joint bilateral filter after Petschnigg et
 * al. 2004. */
#version 450
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Push { ivec2 size; } push;
layout(set = 0, binding = 0) uniform samplerBuffer radiance; /* [h][w][2] vec4, see beauty.comp */
layout(set = 0, binding = 1, std430) writeonly buffer Linear { vec4 linear[]; }; /* [h][w] vec4: rgb, 1 */

const int REACH = 3;

float inverse_depth(ivec2 pixel) {
    ivec2 other = clamp(pixel, ivec2(0), push.size - 1);
    return 1.0 / texelFetch(radiance, 2 * (other.y * push.size.x + other.x) + 1).w;
}

/* The smaller of the differences to both sides: the surface's own slope where one side is another surface. Inverse depth is
 * linear over the picture of a plane. */
float slope(float here, ivec2 pixel, ivec2 step) {
    float after = inverse_depth(pixel + step) - here, before = here - inverse_depth(pixel - step);
    return abs(after) < abs(before) ? after : before;
}

void main() {
    ivec2 pixel = ivec2(gl_GlobalInvocationID.xy);
    if (pixel.x >= push.size.x) return;
    int at = pixel.y * push.size.x + pixel.x;
    vec4 color = texelFetch(radiance, 2 * at), sky = texelFetch(radiance, 2 * at + 1);
    float here = 1.0 / sky.w;
    vec2 slopes = vec2(slope(here, pixel, ivec2(1, 0)), slope(here, pixel, ivec2(0, 1)));
    float sum = 0.0, weights = 0.0;
    for (int y = -REACH; y <= REACH; y++)
        for (int x = -REACH; x <= REACH; x++) {
            ivec2 other = clamp(pixel + ivec2(x, y), ivec2(0), push.size - 1);
            int index = 2 * (other.y * push.size.x + other.x);
            float visible = texelFetch(radiance, index).w, there = 1.0 / texelFetch(radiance, index + 1).w;
            float away = abs(there - here - dot(slopes, vec2(other - pixel)));
            float weight = max(1.0 - away / (0.04 * here), 0.0) + 1e-5;
            sum += weight * visible;
            weights += weight;
        }
    linear[at] = vec4(color.rgb + sky.rgb * (sum / weights), 1.0);
}
