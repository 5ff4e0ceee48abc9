/* The plain shading of control maps: flat colours in sun (with its shadow), sky light, lamps, wet mirrors and fog. */
#ifndef KN_SHADE_GLSL
#define KN_SHADE_GLSL
#include "scene/trace.glsl"

/* The sky as control maps show it: gradient, fog near the horizon, a soft glow around the sun. */
vec3 plain_sky(vec3 direction) {
    float low = 1.0 - clamp(direction.z, 0.0, 1.0), haze = min(frame_texel(FRAME_HORIZON).w * 300.0, 1.0);
    float toward = max(dot(direction, frame_texel(FRAME_SUN).xyz), 0.0);
    vec3 glow = frame_texel(FRAME_SUN_COLOR).xyz * (0.35 * pow(toward, 24.0) + 0.12 * pow(toward, 4.0));
    return mix(sky_gradient(direction) + glow, frame_texel(FRAME_FOG).xyz, haze * pow(low, 6.0));
}

/* Soft class code: road and marks, vegetation and terrain, road users, buildings and others. */
vec4 class_code(int semantic) {
    if (semantic == 0) return vec4(0.0);
    if (semantic <= 2) return vec4(1.0, 0.0, 0.0, 0.0);
    if (semantic == 5 || semantic == 12) return vec4(0.0, 1.0, 0.0, 0.0);
    if (semantic >= 13 && semantic <= 18) return vec4(0.0, 0.0, 1.0, 0.0);
    return vec4(0.0, 0.0, 0.0, 1.0);
}

/* What lamps add to a white surface here. */
vec3 lamp_light(hit h) {
    vec3 sum = vec3(0.0);
    int count = light_count();
    for (int i = 0; i < count; i++) {
        vec3 towards;
        float away;
        vec3 light = light_at(fetch_light(i), h.position, towards, away);
        sum += light * max(dot(h.normal, towards), 0.0);
    }
    return sum * frame_texel(FRAME_LAMPS).x;
}

/* Emitted light as a control: never brighter than 1, so that lamps keep their hue. */
vec3 emitted(hit h, surface_material m) {
    vec3 light = m.emission * (emitter_state(m.emitter, h.part) * frame_texel(FRAME_LAMPS).w);
    return light / max(max(1.0, light.x), max(light.y, light.z));
}

float wetness_of(surface_material m) { return m.wettable * frame_texel(FRAME_GROUND).w; }

/* `view` is the unit direction of the ray, `metres` its length. */
vec3 shade(hit h, surface_material m, vec3 view, float metres) {
    vec4 sun = frame_texel(FRAME_SUN);
    float wet = wetness_of(m), facing = dot(h.normal, sun.xyz);
    bool lit = facing > 0.0 && dot(h.geometric_normal, sun.xyz) > 0.0;
    vec3 start = h.position + h.geometric_normal * (1e-3 + 2e-4 * metres);
    if (occluded(start, sun.xyz, 0.0, lit && sun.w > 0.5 ? 400.0 : -1.0)) lit = false;
    vec3 light = ambient(h.normal) + lamp_light(h) + (lit ? facing : 0.0) * frame_texel(FRAME_SUN_COLOR).xyz;
    vec3 color = m.color * mix(1.0, 0.45, wet);
    vec3 mirror = reflect(view, h.normal);
    float gloss = max(1.0 - m.roughness, 0.85 * wet), grazing = pow(1.0 - abs(dot(view, h.normal)), 5.0);
    vec3 specular = mix(mix(vec3(0.04), m.color, m.metallic), vec3(1.0), grazing) * (gloss * gloss);
    vec3 around = mirror.z > 0.0 ? sky_gradient(mirror) : frame_texel(FRAME_GROUND).xyz;
    color = color * light * (1.0 - 0.8 * m.metallic) * (1.0 - specular) + specular * around;
    return mix(frame_texel(FRAME_FOG).xyz, color + emitted(h, m), fog_transmission(metres));
}

#endif
