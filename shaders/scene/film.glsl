/* From light to display values. The curve is Narkowicz' fit of the ACES reference rendering ("ACES Filmic Tone Mapping
 * Curve", 2016) between a slight desaturation and its undoing, so that lamps burn out to white; then sRGB. */
#ifndef KN_FILM_GLSL
#define KN_FILM_GLSL

/* The curve of IEC 61966-2-1 for linear values 0..1. */
vec3 srgb(vec3 x) {
    return mix(12.92 * x, 1.055 * pow(max(x, vec3(1e-6)), vec3(1.0 / 2.4)) - 0.055, greaterThan(x, vec3(0.0031308)));
}

/* Scene-linear radiance times exposure to a display value. */
vec3 film(vec3 x) {
    const vec3 luma = vec3(0.2126, 0.7152, 0.0722);
    x = mix(max(x, vec3(0.0)), vec3(max(dot(x, luma), 0.0)), 0.06);
    vec3 y = clamp((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0);
    y = clamp(mix(vec3(dot(y, luma)), y, 1.05), 0.0, 1.0);
    return srgb(y);
}

#endif
