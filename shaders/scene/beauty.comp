/* The beauty picture before its post passes: textured surfaces under sun, sky and lamps, with shadows, mirrors, fog.
 * Per pixel three vec4: emitted and reflected light, and mean sky visibility | the sky's diffuse light, and depth |
 * what mirrors show, and by how many pixels it is to be drawn out upwards (beauty_resolve.comp smooths and joins them).
 * Everything is a function of the scene, the frame and the pixel: the same input gives the same bytes. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "scene/look.glsl"
#include "scene/sky.glsl"

layout(constant_id = 1) const int SAMPLES = 4;
layout(set = 0, binding = 5, std430) writeonly buffer Radiance { vec4 radiance[]; };

const float SKY_AWAY = 4000.0;

/* Rotated grid for 4 samples, the R2 sequence (Roberts 2018) for other counts. */
vec2 jitter(int index) {
    if (SAMPLES == 4) return vec2(0.125 + 0.25 * float((index * 2 + index / 2 + 1) & 3), 0.125 + 0.25 * float(index));
    return fract(vec2(0.5) + float(index) * vec2(0.7548777, 0.5698403));
}

/* Interleaved gradient noise (Jimenez 2014). */
float dither(ivec2 pixel) { return fract(52.9829189 * fract(dot(vec2(pixel), vec2(0.06711056, 0.00583715)))); }

struct path {
    vec3 origin, direction;
    vec3 throughput;
    vec3 color;       /* gathered so far */
    vec3 sky_light;   /* of the first surface, still to be multiplied by its visibility */
    vec3 mirrored_color;
    float visible_sky, depth, travelled;
    float spread, blur; /* half angle of a rough mirror's image, radians; the same in pixels */
    int mirrored;
};

/* Sun, sky and lamps on a surface. Three rays at most: sun, sky, strongest lamp. */
vec3 illuminate(hit h, surface s, inout path p, float turn, int index, float weight) {
    vec3 view = -p.direction, origin = h.position + h.geometric_normal * (0.003 + 2e-4 * (p.travelled + h.t));
    vec4 sun = frame_texel(FRAME_SUN);
    vec3 lamps = vec3(0.0), strongest = vec3(0.0), lamp_direction = vec3(0.0, 0.0, 1.0);
    float lamp_away = 0.0;
    int lights = light_count();
    for (int i = 0; i < lights; i++) {
        vec3 towards;
        float away;
        vec3 light = light_at(fetch_light(i), h.position, towards, away) * reflected(s, view, towards);
        lamps += light;
        bool more = light.x + light.y + light.z > strongest.x + strongest.y + strongest.z;
        strongest = more ? light : strongest;
        lamp_direction = more ? towards : lamp_direction;
        lamp_away = more ? away : lamp_away;
    }
    float scale = lamp_scale(s, lamps);
    vec3 sun_light = frame_texel(FRAME_SUN_COLOR).xyz * reflected(s, view, sun.xyz);
    bool sun_blocked = false, sky_blocked = false, lamp_blocked = false;
    float side = float(index) + 0.5;
    for (int ray = 0; ray < 3; ray++) {
        vec3 direction =
            ray == 0 ? normalize(sun.xyz + 0.006 * vec3(cos(side * 2.4), sin(side * 2.4), cos(side * 1.1)))
            : ray == 1
                ? hemisphere(h.normal, vec2(fract(0.309 * side + 0.25 + 0.5 * turn), fract(turn * 3.0 + side * 0.25)))
                : lamp_direction;
        bool wanted = ray == 0   ? sun.w > 0.0 && dot(sun.xyz, h.geometric_normal) > 0.0
                      : ray == 1 ? p.mirrored == 0 && (index & 1) == 0
                                 : (strongest.x + strongest.y + strongest.z) * scale > 0.004;
        float reach = ray == 0 ? 250.0 : ray == 1 ? 0.9 * exp2(1.7 * float(index & 2)) : lamp_away - 0.4;
        bool blocked = false;
        if (wanted) blocked = occluded(origin, direction, 0.005, reach);
        sun_blocked = ray == 0 ? blocked : sun_blocked;
        sky_blocked = ray == 1 ? blocked : sky_blocked;
        lamp_blocked = ray == 2 ? blocked : lamp_blocked;
    }
    vec3 color = (sun_blocked ? s.translucency * 0.3 : 1.0) * sun_light +
                 (lamps - (lamp_blocked ? strongest : vec3(0.0))) * scale;
    vec3 sky = s.albedo * (1.0 - s.metallic) * ambient(s.normal) * weight;
    sky += sky_reflection(s, p.direction);
    if (p.mirrored != 0) return color * weight + sky * 0.75;
    p.sky_light = sky;
    p.visible_sky = sky_blocked ? 0.0 : 1.0;
    return color * weight;
}

/* One step along a path; false at its end. */
bool walk(inout path p, float pixel_angle, float turn, int index, bool last) {
    hit h;
    if (!trace(p.origin, p.direction, 0.002, SKY_AWAY, h)) {
        vec3 sky = p.throughput * sky_radiance(p.direction, p.mirrored == 0 ? 1.0 : 0.4);
        if (p.mirrored == 0) p.color += sky; else p.mirrored_color += sky;
        p.blur = p.spread;
        return false;
    }
    surface s = look(h, p.direction, footprint_of(h, p.direction, p.travelled + h.t, pixel_angle));
    if (s.hole && !last) {
        p.origin = h.position + p.direction * 0.03;
        p.travelled += h.t;
        return true;
    }
    float mirror = p.mirrored == 0 && !last ? mirror_share(s, p.direction) : 0.0;
    vec3 emitted = min(s.emission * frame_texel(FRAME_LAMPS).w, p.mirrored == 0 ? 24.0 : 5.0);
    vec3 light = illuminate(h, s, p, turn, index, 1.0 - mirror) + emitted * (1.0 - mirror);
    float clear = fog_transmission(p.mirrored == 0 ? p.travelled + h.t : h.t);
    vec3 seen = p.throughput * (light * clear + frame_texel(FRAME_FOG).xyz * (1.0 - clear));
    if (p.mirrored == 0) p.color += seen; else p.mirrored_color += seen;
    p.blur = p.spread * h.t / (h.t + p.depth);
    if (p.mirrored == 0) {
        p.depth = p.travelled + h.t;
        p.sky_light *= p.throughput * clear;
    }
    p.travelled += h.t;
    if (mirror == 0.0) return false;
    p.throughput *= mirror * clear * mix(vec3(1.0), s.albedo, s.metallic);
    p.spread = 0.45 * s.roughness * s.roughness;
    float tilt = (float(index) + 0.5) / float(SAMPLES) - 0.5 + (turn - 0.5) / float(SAMPLES);
    p.direction = mirrored(h, p.direction, normalize(s.normal - p.direction * (0.5 * p.spread * tilt)));
    p.origin = h.position + h.geometric_normal * (0.004 + 2e-4 * p.travelled);
    p.mirrored = 1;
    return true;
}

void main() {
    ivec2 pixel = block_pixel();
    ivec2 size = ivec2(frame_texel(FRAME_RAY_U).w, frame_texel(FRAME_RAY_V).w);
    if (pixel.x >= size.x || pixel.y >= size.y) return;
    float pixel_angle = length(frame_texel(FRAME_RAY_U).xyz) * inversesqrt(float(SAMPLES)) * 1.2, turn = dither(pixel);
    vec4 color = vec4(0.0), sky = vec4(0.0), mirror = vec4(0.0);
    float focal = 1.0 / length(frame_texel(FRAME_RAY_V).xyz); /* pixels a radian */
    for (int index = 0; index < SAMPLES; index++) {
        path p;
        p.origin = frame_texel(FRAME_CAMERA).xyz;
        p.direction = normalize(camera_ray(vec2(pixel) + jitter(index)));
        p.throughput = vec3(1.0);
        p.color = p.sky_light = p.mirrored_color = vec3(0.0);
        p.visible_sky = 1.0;
        p.depth = SKY_AWAY;
        p.travelled = p.spread = p.blur = 0.0;
        p.mirrored = 0;
        for (int step = 0; step < 4; step++)
            if (!walk(p, pixel_angle, turn, index, step == 3)) break;
        color += vec4(min(p.color, vec3(24.0)), (index & 1) == 0 ? p.visible_sky : 0.0);
        sky += vec4(p.sky_light, min(p.depth, SKY_AWAY));
        mirror += vec4(min(p.mirrored_color, vec3(12.0)), p.blur * focal);
    }
    int at = 3 * (pixel.y * size.x + pixel.x);
    /* every other sample asks for the sky */
    radiance[at] = color / vec4(vec3(float(SAMPLES)), float((SAMPLES + 1) / 2));
    radiance[at + 1] = sky / float(SAMPLES);
    radiance[at + 2] = mirror / float(SAMPLES);
}
