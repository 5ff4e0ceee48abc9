/* Joins beauty.comp's parts: the sky's visibility (4 rays a pixel, turned from pixel to pixel) is averaged over the
 * neighbours that lie at the same depth, then multiplied with the sky's light. Joint bilateral filter after Petschnigg
 * et al. 2004. What a rough mirror shows is drawn out along the picture's columns, as on a wet road. */
#version 450
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Push { ivec2 size; float exposure; } push;
layout(set = 0, binding = 0) uniform samplerBuffer radiance; /* [h][w][3] vec4, see beauty.comp */
layout(set = 0, binding = 1, std430) writeonly buffer Linear { vec4 linear[]; }; /* [h][w] vec4: rgb, 1 */

const int REACH = 3, LONGEST = 12;
const float BOUNCE = 0.18; /* what comes back from surfaces that hide the sky */

float inverse_depth(ivec2 pixel) {
    ivec2 other = clamp(pixel, ivec2(0), push.size - 1);
    return 1.0 / texelFetch(radiance, 3 * (other.y * push.size.x + other.x) + 1).w;
}

/* The smaller of the differences to both sides: the surface's own slope where one side is another surface. Inverse
 * depth is linear over the picture of a plane. */
float slope(float here, ivec2 pixel, ivec2 step) {
    float after = inverse_depth(pixel + step) - here, before = here - inverse_depth(pixel - step);
    return abs(after) < abs(before) ? after : before;
}

/* 1 where a pixel continues this one's surface, falling to almost 0. */
float alike(int index, float here, vec2 slopes, vec2 offset) {
    float there = 1.0 / texelFetch(radiance, index + 1).w;
    return max(1.0 - abs(there - here - dot(slopes, offset)) / (0.04 * here), 0.0) + 1e-5;
}

void main() {
    ivec2 pixel = ivec2(gl_GlobalInvocationID.xy);
    if (pixel.x >= push.size.x) return;
    int at = pixel.y * push.size.x + pixel.x;
    vec4 color = texelFetch(radiance, 3 * at), sky = texelFetch(radiance, 3 * at + 1),
         mirror = texelFetch(radiance, 3 * at + 2);
    float here = 1.0 / sky.w;
    vec2 slopes = vec2(slope(here, pixel, ivec2(1, 0)), slope(here, pixel, ivec2(0, 1)));
    float sum = 0.0, weights = 0.0;
    for (int y = -REACH; y <= REACH; y++)
        for (int x = -REACH; x <= REACH; x++) {
            ivec2 other = clamp(pixel + ivec2(x, y), ivec2(0), push.size - 1);
            int index = 3 * (other.y * push.size.x + other.x);
            float weight = alike(index, here, slopes, vec2(other - pixel));
            sum += weight * texelFetch(radiance, index).w;
            weights += weight;
        }
    float length = min(mirror.w, float(LONGEST) * 0.5);
    if (length > 0.3) {
        vec4 drawn = vec4(0.0);
        for (int y = -LONGEST; y <= LONGEST; y++) {
            ivec2 other = clamp(pixel + ivec2(0, y), ivec2(0), push.size - 1);
            int index = 3 * (other.y * push.size.x + other.x);
            vec4 shown = texelFetch(radiance, index + 2);
            float weight =
                exp(-0.5 * float(y * y) / (length * length)) * alike(index, here, slopes, vec2(other - pixel));
            drawn += weight * vec4(shown.rgb, 1.0);
        }
        mirror.rgb = drawn.rgb / drawn.w;
    }
    linear[at] = vec4(push.exposure * (color.rgb + mirror.rgb + sky.rgb * mix(BOUNCE, 1.0, sum / weights)), 1.0);
}
