/* Light onto a surface: one lobe of sun, moon or lamp. Colours are irradiance / pi (what a white surface shows), as
 * everywhere in scene.glsl. */
#ifndef KN_LIGHT_GLSL
#define KN_LIGHT_GLSL
#include "scene/material.glsl"

/* What the eye in direction `view` sees of light of colour 1 that comes from `towards` (both unit, away from the
 * surface): Lambert, light through leaves, and a GGX highlight in the approximation of Karis 2013 ("Real Shading in
 * Unreal Engine 4", its form for mobile devices). */
vec3 reflected(surface s, vec3 view, vec3 towards) {
    float cosine = dot(s.normal, towards), front = max(cosine, 0.0);
    vec3 diffuse = s.albedo * ((1.0 - s.metallic) * mix(front, 0.5 * abs(cosine) + 0.25, s.translucency));
    vec3 halfway = normalize(view + towards);
    float nh = max(dot(s.normal, halfway), 0.0), lh = max(dot(towards, halfway), 0.0);
    float a = max(s.roughness * s.roughness, 0.004), a2 = a * a, d = nh * nh * (a2 - 1.0) + 1.0;
    float lobe = a2 / (4.0 * d * d * max(lh * lh, 0.1) * (a + 0.5));
    vec3 f0 = mix(vec3(s.f0), s.albedo, s.metallic);
    return diffuse + f0 * (min(lobe, 12.0) * front);
}

/* Fresnel (Schlick 1994). */
float fresnel(float f0, float cosine) {
    float x = clamp(1.0 - cosine, 0.0, 1.0), x2 = x * x;
    return f0 + (1.0 - f0) * x2 * x2 * x;
}

/* The same for a rough surface, whose grazing reflection is weaker (Lagarde 2011). */
float fresnel_rough(float f0, float cosine, float roughness) {
    float x = clamp(1.0 - cosine, 0.0, 1.0), x2 = x * x;
    return f0 + (max(1.0 - roughness, f0) - f0) * x2 * x2 * x;
}

/* Unit vector of a cosine-weighted hemisphere about n for (u, v) in the unit square; the frame follows Duff et al.
 * 2017, "Building an Orthonormal Basis, Revisited". */
vec3 hemisphere(vec3 n, vec2 uv) {
    float s = n.z >= 0.0 ? 1.0 : -1.0, a = -1.0 / (s + n.z), b = n.x * n.y * a;
    vec3 t = vec3(1.0 + s * n.x * n.x * a, s * b, -s * n.x), c = vec3(b, s + n.y * n.y * a, -n.y);
    float r = sqrt(uv.x), angle = 6.2831853 * uv.y;
    return normalize(t * (r * cos(angle)) + c * (r * sin(angle)) + n * sqrt(max(1.0 - uv.x, 0.0)));
}

#endif
