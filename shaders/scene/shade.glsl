/* The shading of the shaded colours among the conditions: textured surfaces in sun (with its shadow), sky light and
 * lamps, one mirror image, fog. What beauty renders have beyond that costs them many rays: soft sky light, shadows of
 * lamps, blurred mirrors, glow. */
#ifndef KN_SHADE_GLSL
#define KN_SHADE_GLSL
#include "scene/look.glsl"
#include "scene/sky.glsl"
#include "scene/film.glsl"

/* Radiance as a display value 0..1. */
vec3 display(vec3 radiance) { return film(radiance * frame_texel(FRAME_SUN_COLOR).w); }

/* What lamps show of a surface; the strongest one on its own. */
vec3 lamp_light(hit h, surface s, vec3 view, out vec3 strongest, out vec3 direction, out float away) {
    vec3 sum = vec3(0.0);
    int count = light_count();
    strongest = vec3(0.0);
    direction = vec3(0.0, 0.0, 1.0);
    away = 0.0;
    for (int i = 0; i < count; i++) {
        vec3 towards;
        float metres;
        vec3 light = light_at(fetch_light(i), h.position, towards, metres) * reflected(s, -view, towards);
        bool more = light.x + light.y + light.z > strongest.x + strongest.y + strongest.z;
        sum += light;
        strongest = more ? light : strongest;
        direction = more ? towards : direction;
        away = more ? metres : away;
    }
    float scale = lamp_scale(s, sum);
    strongest *= scale;
    return sum * scale;
}

/* What a mirror shows: flat colours in the sky's light and the sun's, lamps, fog. */
vec3 mirror_image(hit h, surface s, vec3 view, bool wanted) {
    vec3 origin = h.position + h.geometric_normal * 0.01, direction = mirrored(h, view, s.normal);
    hit there;
    bool found = trace(origin, direction, 0.002, wanted ? 400.0 : -1.0, there);
    surface_material m = fetch_material(there.material);
    float sunny = max(dot(there.normal, frame_texel(FRAME_SUN).xyz), 0.0);
    vec3 light = ambient(there.normal) * 0.75 + sunny * frame_texel(FRAME_SUN_COLOR).xyz;
    float room = m.texture_kind == TEXTURE_WINDOW ? 0.4 : 1.0; /* mean of what window() shows of a lit room */
    vec3 glow = min(m.emission * (emitter_state(m.emitter, there.part) * frame_texel(FRAME_LAMPS).w * room), 5.0);
    vec3 seen = mix(frame_texel(FRAME_FOG).xyz, m.color * room * light + glow, fog_transmission(there.t));
    return found ? seen : sky_radiance(direction, 0.0);
}

/* Light onto a surface and the source that is worth a ray: sun or the strongest lamp. */
struct lighting {
    vec3 light;     /* of everything */
    vec3 lost;      /* of it, where that source is hidden */
    vec3 start, direction;
    float reach;    /* metres to look; negative: not worth it */
};

/* `view` is the unit direction of the ray, `metres` its length. */
lighting light_surface(hit h, surface s, vec3 view, float metres) {
    lighting l;
    vec4 sun = frame_texel(FRAME_SUN);
    vec3 strongest, towards;
    float away;
    vec3 lamps = lamp_light(h, s, view, strongest, towards, away);
    vec3 sunny = frame_texel(FRAME_SUN_COLOR).xyz * reflected(s, -view, sun.xyz);
    bool by_sun = sun.w > 0.5 && dot(sunny, vec3(1.0)) >= dot(strongest, vec3(1.0));
    l.start = h.position + h.geometric_normal * (1e-3 + 2e-4 * metres);
    l.direction = by_sun ? sun.xyz : towards;
    bool wanted = dot(l.direction, h.geometric_normal) > 0.0 && dot(by_sun ? sunny : strongest, vec3(1.0)) > 0.004;
    l.reach = !wanted ? -1.0 : by_sun ? 250.0 : away - 0.4;
    l.light = sunny + lamps + s.albedo * (1.0 - s.metallic) * ambient(s.normal) + sky_reflection(s, view);
    l.lost = by_sun ? sunny * (1.0 - 0.3 * s.translucency) : strongest;
    return l;
}

/* What the eye gets, `light` falling onto the surface. */
vec3 seen(hit h, surface s, vec3 view, float metres, vec3 light) {
    float clear = fog_transmission(metres), mirror = mirror_share(s, view);
    vec3 color = light + min(s.emission * frame_texel(FRAME_LAMPS).w, 24.0);
    vec3 image = mirror_image(h, s, view, mirror > 0.0) * mix(vec3(1.0), s.albedo, s.metallic);
    return mix(frame_texel(FRAME_FOG).xyz, mix(color, image, mirror), clear);
}

/* `angle` is the width of a pixel in radians. */
vec3 shade(hit h, vec3 view, float metres, float angle) {
    surface s = look(h, view, footprint_of(h, view, metres, angle));
    lighting l = light_surface(h, s, view, metres);
    bool blocked = occluded(l.start, l.direction, 0.005, l.reach);
    return seen(h, s, view, metres, l.light - (blocked ? l.lost : vec3(0.0)));
}

/* The same where several points of one surface, away (x, y, z)[i] from the hit, stand for it: its shadow is their
 * mean. */
vec3 shade_points(hit h, vec3 view, float metres, float angle, vec4 x, vec4 y, vec4 z, bvec4 points) {
    surface s = look(h, view, footprint_of(h, view, metres, angle));
    lighting l = light_surface(h, s, view, metres);
    vec4 far = x * x + y * y + z * z;
    /* a bundle as wide as the street saves nothing */
    bvec4 near = bvec4(uvec4(lessThan(far, vec4(4.0))) & uvec4(points));
    bvec4 blocked = occluded_tube(l.start, x, y, z, near, l.direction, 0.005, l.reach);
    float share = dot(vec4(blocked), vec4(1.0)) / max(dot(vec4(near), vec4(1.0)), 1.0);
    return seen(h, s, view, metres, l.light - share * l.lost);
}

#endif
