/* The last pass: glow around bright things, the film curve. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "scene/film.glsl"
layout(local_size_x_id = 0) in;
/* strengths of the glows */
layout(push_constant) uniform Push { ivec2 size; ivec2 small; float narrow; float wide; } push;
layout(set = 0, binding = 0) uniform samplerBuffer linear;     /* [h][w] */
layout(set = 0, binding = 1) uniform samplerBuffer narrow_glow; /* [h / 4][w / 4] */
layout(set = 0, binding = 2) uniform samplerBuffer wide_glow;
layout(set = 0, binding = 3, std430) writeonly buffer Display { float display[]; }; /* [3][h][w] */

vec3 glow_at(vec2 at, bool wide) {
    vec2 base = floor(at), f = at - base;
    vec3 sum = vec3(0.0);
    for (int i = 0; i < 4; i++) {
        ivec2 corner = clamp(ivec2(base) + ivec2(i & 1, i >> 1), ivec2(0), push.small - 1);
        float weight = ((i & 1) == 1 ? f.x : 1.0 - f.x) * ((i >> 1) == 1 ? f.y : 1.0 - f.y);
        int index = corner.y * push.small.x + corner.x;
        sum += weight * (wide ? texelFetch(wide_glow, index).rgb : texelFetch(narrow_glow, index).rgb);
    }
    return sum;
}

void main() {
    ivec2 pixel = ivec2(gl_GlobalInvocationID.xy);
    if (pixel.x >= push.size.x) return;
    int at = pixel.y * push.size.x + pixel.x, plane = push.size.x * push.size.y;
    vec2 small = (vec2(pixel) + 0.5) / 4.0 - 0.5;
    vec3 color = texelFetch(linear, at).rgb + push.narrow * glow_at(small, false) + push.wide * glow_at(small, true);
    color = film(color);
    display[at] = color.r;
    display[at + plane] = color.g;
    display[at + 2 * plane] = color.b;
}
