/* The last pass: glow around bright things, a film curve, sRGB. The curve is Narkowicz' fit of the ACES reference rendering
 * ("ACES Filmic Tone Mapping Curve", 2016) between a slight desaturation and its undoing, so that lamps burn out to white. */
#version 450
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Push { ivec2 size; ivec2 small; float narrow; float wide; } push; /* strengths of the glows */
layout(set = 0, binding = 0) uniform samplerBuffer linear;     /* [h][w] */
layout(set = 0, binding = 1) uniform samplerBuffer narrow_glow; /* [h / 4][w / 4] */
layout(set = 0, binding = 2) uniform samplerBuffer wide_glow;
layout(set = 0, binding = 3, std430) writeonly buffer Display { float display[]; }; /* [3][h][w] */

vec3 film(vec3 x) {
    const vec3 luma = vec3(0.2126, 0.7152, 0.0722);
    x = mix(max(x, vec3(0.0)), vec3(max(dot(x, luma), 0.0)), 0.06);
    vec3 y = clamp((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0);
    y = clamp(mix(vec3(dot(y, luma)), y, 1.05), 0.0, 1.0);
    return mix(12.92 * y, 1.055 * pow(max(y, vec3(1e-6)), vec3(1.0 / 2.4)) - 0.055, greaterThan(y, vec3(0.0031308)));
}

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
