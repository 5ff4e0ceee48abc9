#version 450
#extension GL_GOOGLE_include_directive : require
/* One texel a material: its flat colour, sRGB-encoded, and its class among the conditions (KN_CLASS_*). The flat
 * colour is the mean of the texture without light, water and what depends on a place (damp at the foot of walls). */
#include "scene/material.glsl"
#include "scene/film.glsl"

/* Materials; metres over which one place is seen. */
layout(push_constant) uniform Push { uint count; float footprint; } push;
layout(set = 0, binding = 5) buffer writeonly flats_out { vec4 flats[]; };

const int PLACES = 16; /* along each axis, 4.13 m apart */

/* kn_semantic to KN_CLASS_*. */
int class_of(int semantic, int texture_kind) {
    const int classes[20] = int[20](12, 0, 1, 2, 2, 3, 5, 5, 7, 7, 7, 7, 4, 8, 9, 9, 11, 11, 10, 13);
    bool pane = texture_kind == TEXTURE_WINDOW || texture_kind == TEXTURE_GLASS;
    int found = semantic >= 0 && semantic < 20 ? classes[semantic] : 13;
    return pane && found == 5 ? 6 : found;
}

void main() {
    uint index = gl_GlobalInvocationID.x;
    if (index >= push.count) return;
    surface_material m = fetch_material(index);
    m.picture = 0; /* photographs stand in proportion to their mean */
    vec3 sum = vec3(0.0), up = vec3(0.0, 0.0, 1.0);
    for (int i = 0; i < PLACES * PLACES; i++) {
        vec3 p = vec3(4.13 * vec2(i % PLACES, i / PLACES), 3.0);
        sum += surface_detail(m, p, up, -up, p.xy + vec2(0.0, 3.0), push.footprint, 1.0, 0u).albedo;
    }
    flats[index] = vec4(srgb(sum / float(PLACES * PLACES)), float(class_of(m.semantic, m.texture_kind)));
}
