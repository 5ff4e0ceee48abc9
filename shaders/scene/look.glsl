/* What a ray meets, with all its detail: the textured, perhaps wet surface at a hit. Control maps and beauty renders
 * share it, so that every brick of one is a brick of the other. */
#ifndef KN_LOOK_GLSL
#define KN_LOOK_GLSL
#include "scene/trace.glsl"
#include "scene/light.glsl"

/* `direction` is the unit ray, `footprint` its width there in metres. */
surface look(hit h, vec3 direction, float footprint) {
    surface_material m = fetch_material(h.material);
    float facing = clamp(-dot(direction, h.normal), 0.0, 1.0);
    vec3 normal = h.normal, along = direction;
    if (h.moving) {
        normal = part_local(h.part, h.position + h.normal) - h.local_position;
        along = part_local(h.part, h.position + direction) - h.local_position;
    }
    vec3 base = h.moving ? h.local_position : h.position;
    surface s = surface_detail(m, base, normal, along, h.uv, footprint, facing, h.moving ? h.part : h.instance);
    if (h.moving) { /* back: the rotation's transpose, applied through differences */
        vec3 zero = h.local_position, n = s.normal;
        s.normal = normalize(vec3(dot(part_local(h.part, h.position + vec3(1, 0, 0)) - zero, n),
                                  dot(part_local(h.part, h.position + vec3(0, 1, 0)) - zero, n),
                                  dot(part_local(h.part, h.position + vec3(0, 0, 1)) - zero, n)));
    }
    s.emission *= emitter_state(m.emitter, h.part);
    surface_wet(s, frame_texel(FRAME_GROUND).w * m.wettable, h.geometric_normal.z, h.position, h.normal, footprint);
    return s;
}

/* The width in metres of a ray `metres` long that is `angle` radians wide and meets a surface with this normal. */
float footprint_of(hit h, vec3 direction, float metres, float angle) {
    return metres * angle * inversesqrt(max(clamp(-dot(direction, h.normal), 0.0, 1.0), 0.04));
}

/* How much of a sharp mirror image shows; 0 where it is not worth a ray. */
float mirror_share(surface s, vec3 direction) {
    float share = s.mirror * mix(fresnel(s.f0, max(-dot(direction, s.normal), 0.0)), 0.75, s.metallic);
    return share < 0.012 ? 0.0 : share;
}

/* Scale of the light of lamps onto a surface that they would make `lamps` bright: the eye adapts, so light near a lamp
 * is held below what would burn out. */
float lamp_scale(surface s, vec3 lamps) {
    float scale = frame_texel(FRAME_LAMPS).x;
    float peak = max(lamps.x, max(lamps.y, lamps.z)) / max(max(s.albedo.x, max(s.albedo.y, s.albedo.z)), 0.05);
    return scale / (1.0 + 0.8 * peak * scale);
}

/* The sky's broad reflection where no mirror ray goes. */
vec3 sky_reflection(surface s, vec3 direction) {
    float rough = fresnel_rough(s.f0, max(-dot(s.normal, direction), 0.0), s.roughness) * (1.0 - s.mirror);
    float covered = s.metallic > 0.5 ? 1.0 - 0.8 * s.mirror : 1.0;
    return mix(vec3(rough), s.albedo, s.metallic) * ambient(reflect(direction, s.normal)) * covered;
}

/* Where a mirror sends a ray: never into the surface. */
vec3 mirrored(hit h, vec3 direction, vec3 normal) {
    vec3 away = reflect(direction, normal);
    away += h.geometric_normal * max(0.02 - dot(away, h.geometric_normal), 0.0);
    return normalize(away);
}

#endif
