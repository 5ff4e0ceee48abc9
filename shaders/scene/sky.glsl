/* The sky as beauty renders show it: gradient, glow and disc of sun or moon, clouds by cover, stars. It lies at
 * infinity and does not move, so it stays put from frame to frame and from camera to camera. */
#ifndef KN_SKY_GLSL
#define KN_SKY_GLSL
#include "scene/material.glsl"

/* Clouds seen in direction d (unit, d.z > 0): x density 0..1, y how much of the sun comes through to the side seen. */
vec2 clouds(vec3 d, vec3 sun, float cover) {
    vec2 p = d.xy * (1.6 / (d.z + 0.12)), towards = sun.xy * 0.22;
    float density = 0.0, shade = 0.0, weight = 0.5, scale = 1.0;
    for (int octave = 0; octave < 5; octave++) {
        vec2 q = p * scale + float(octave) * 17.0;
        density += weight * noise2(q).x;
        if (octave < 3) shade += weight * noise2(q + towards * scale).x;
        weight *= 0.52;
        scale *= 2.13;
    }
    float threshold = mix(0.42, -0.75, cover);
    float amount = smoothstep(threshold, threshold + mix(0.24, 0.9, cover * cover), density);
    return vec2(amount, clamp(0.55 + 0.9 * (density - shade), 0.0, 1.0));
}

/* A photographed sky in this direction; below the horizon that of the horizon. */
vec3 sky_picture(vec3 d) {
    vec4 sky = frame_texel(FRAME_SKY);
    int wide = int(sky.w), high = wide / 2;
    float rows = 0.31830989 * float(high) * frame_texel(FRAME_GRID_CELL).w; /* a radian */
    vec2 at = vec2(fract(sky.y - atan(d.y, d.x) * 0.15915494) * sky.w, acos(clamp(d.z, 0.0, 1.0)) * rows);
    at -= 0.5;
    vec2 base = floor(at), f = at - base;
    vec3 sum = vec3(0.0);
    for (int i = 0; i < 4; i++) {
        ivec2 corner = ivec2(base) + ivec2(i & 1, i >> 1);
        corner = ivec2((corner.x + wide) % wide, clamp(corner.y, 0, high / 2 - 1));
        float weight = ((i & 1) == 1 ? f.x : 1.0 - f.x) * ((i >> 1) == 1 ? f.y : 1.0 - f.y);
        sum += weight * texelFetch(materials, int(sky.x) + corner.y * wide + corner.x).xyz;
    }
    return min(sum * sky.z, vec3(24.0));
}

vec3 sky_radiance(vec3 d, float with_disc) {
    vec4 sun = frame_texel(FRAME_SUN), sun_color = frame_texel(FRAME_SUN_COLOR), zenith = frame_texel(FRAME_ZENITH);
    vec3 horizon = frame_texel(FRAME_HORIZON).xyz;
    float darkness = frame_texel(FRAME_LAMPS).z, cover = zenith.w, rain = frame_texel(FRAME_FOG).w;
    float up = max(d.z, 0.0), towards = dot(d, sun.xyz), bright = max(sun_color.x, max(sun_color.y, sun_color.z));
    vec3 color = sky_gradient(vec3(d.xy, up));
    /* the gradient is the mean of blue and cloud: between broken clouds the sky is bluer than that */
    float broken = 1.6 * cover * (1.0 - smoothstep(0.5, 0.95, cover));
    color = max(color + (color - dot(color, vec3(0.2126, 0.7152, 0.0722))) * broken, vec3(0.0)) * (1.0 - 0.25 * broken);
    /* the side of the sun is brighter and warmer, most of all when it stands low */
    float low = 1.0 - smoothstep(0.05, 0.45, sun.z), side = 0.5 + 0.5 * towards;
    color *= 1.0 + (0.55 * low + 0.25) * (1.0 - cover) * (side * side * 2.0 - 0.8);
    vec3 glow_color = sun_color.xyz / max(bright, 1e-4);
    float glow =
        0.16 * pow(max(towards, 0.0), 6.0) + 0.25 * pow(max(towards, 0.0), 40.0) + 0.8 * pow(max(towards, 0.0), 400.0);
    color += glow_color * glow * min(bright, 1.0) * (1.0 - 0.85 * cover);
    if (darkness > 0.5) {
        vec2 at = floor(d.xy / (1.0 + d.z) * 260.0);
        uint h = hash_cell(ivec2(at) + 5000);
        color += (h & 2047u) < 2u && d.z > 0.05
                     ? vec3(0.07, 0.08, 0.09) * unit(h >> 12) * (darkness - 0.5) * 2.0 * (1.0 - cover)
                     : vec3(0.0);
    }
    vec2 cloud = clouds(vec3(d.xy, up + 0.01), sun.xyz, cover);
    vec3 sky_light = 0.55 * zenith.xyz + 0.45 * horizon;
    vec3 lit =
        sun_color.xyz * (0.35 + 0.85 * cloud.y * cloud.y) * (1.0 - 0.75 * cover) + sky_light * (0.75 + 0.25 * cloud.y);
    vec3 dark = sky_light * mix(0.80, 0.70, rain);
    vec3 cloud_color = mix(mix(lit, dark, cloud.x * (0.25 + 0.3 * cover)), sky_light * (0.78 + 0.45 * cloud.y), cover);
    float amount = cloud.x * smoothstep(0.0, 0.16, up) * mix(0.9, 0.75, cover);
    color = mix(color, cloud_color, amount);
    /* disc of 0.5 degrees, drawn larger than life so that it survives a coarse picture */
    color +=
        sun_color.xyz * (smoothstep(0.99985, 0.99995, towards) * 12.0 * with_disc * (1.0 - amount) * (1.0 - cover));
    if (frame_texel(FRAME_SKY).x > 0.0) color = sky_picture(d);
    /* haze at the horizon joins the fog that distant surfaces fade into */
    float haze = exp(-up * mix(22.0, 5.0, clamp(frame_texel(FRAME_HORIZON).w * 60.0, 0.0, 1.0)));
    float fogged = clamp(frame_texel(FRAME_HORIZON).w * 250.0, 0.0, 1.0);
    color = mix(color, frame_texel(FRAME_FOG).xyz,
                clamp(haze * (0.35 + 0.65 * fogged) + fogged * 0.6 * exp(-up * 2.0), 0.0, 1.0));
    return color;
}

#endif
