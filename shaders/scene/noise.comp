#version 450
#extension GL_GOOGLE_include_directive : require
/* Anchored noise: unit Gaussian noise that belongs to surfaces (DESIGN.md). Surfaces carry lattices of independent
 * Gaussian cells in their own coordinates, one for each pair of octaves; a pixel takes the area-weighted sum of the
 * cells under its footprint, divided by the root of the sum of squared weights, so its variance is exactly 1. The
 * footprint is a parallelogram: along its longer axis it is cut into rows, each shifted by the shear, so that grazing
 * views are treated right. Neighbouring octaves are mixed with sine and cosine so that nothing pops when the camera
 * comes nearer. */
#include "scene/trace.glsl"

layout(set = 0, binding = 5) buffer writeonly noise_out { float noise[]; };
/* four of them are one group, with one hash of seed, surface and group */
layout(constant_id = 1) const uint CHANNELS = 3u;

const float CELLS = 6.0; /* cells across a footprint: neighbouring pixels share few, or networks see blotches */

/* Jarzynski & Olano 2020, "Hash functions for GPU rendering". */
uvec4 pcg4d(uvec4 v) {
    v = v * 1664525u + 1013904223u;
    v.x += v.y * v.w; v.y += v.z * v.x; v.z += v.x * v.y; v.w += v.y * v.z;
    v ^= v >> 16u;
    v.x += v.y * v.w; v.y += v.z * v.x; v.z += v.x * v.y; v.w += v.y * v.z;
    return v;
}

/* Four independent unit Gaussians of a cell (Box & Muller 1958). */
vec4 gaussian(uvec4 key) {
    uvec4 bits = pcg4d(key);
    vec4 u = (vec4(bits >> 9u) + 0.5) * (1.0 / 8388608.0);
    vec2 radius = sqrt(-2.0 * log(u.xz)), angle = 6.2831853 * u.yw;
    return vec4(radius.x * cos(angle.x), radius.x * sin(angle.x), radius.y * cos(angle.y), radius.y * sin(angle.y));
}

/* Overlap of the cell [i, i + 1] with [low, high], in cells. */
float overlap(float i, float low, float high) { return max(min(i + 1.0, high) - max(i, low), 0.0); }

/* The footprint in the plane: rows along y, the longer axis. */
struct footprint {
    vec2 center;
    float along, across, shear; /* extents in metres; dx/dy of its middle line */
    bool swapped;               /* x and y of the surface's plane are exchanged */
};

footprint footprint_of(vec2 center, vec2 du, vec2 dv) {
    footprint f;
    vec2 square = du * du + dv * dv;
    f.swapped = square.x > square.y;
    if (f.swapped) {
        center = center.yx;
        du = du.yx;
        dv = dv.yx;
        square = square.yx;
    }
    f.center = center;
    f.along = max(sqrt(square.y), 1e-6);
    f.across = max(abs(du.x * dv.y - du.y * dv.x) / f.along, f.along * 1e-3);
    f.shear = (du.x * du.y + dv.x * dv.y) / (f.along * f.along);
    return f;
}

/* Noise of one pair of octaves (x: across, y: along), cells of 2^octave metres. */
vec4 octave_noise(footprint f, ivec2 octave, uvec2 domain) {
    vec2 cell = exp2(vec2(octave)), extent = vec2(f.across, f.along) / cell, middle = f.center / cell;
    float low = middle.y - 0.5 * extent.y, high = middle.y + 0.5 * extent.y, slope = f.shear * cell.y / cell.x;
    uint levels = uint(octave.x + 64) | uint(octave.y + 64) << 8u | (f.swapped ? 0x10000u : 0u);
    if (f.swapped) levels = uint(octave.y + 64) | uint(octave.x + 64) << 8u;
    vec4 sum = vec4(0.0);
    float weights = 0.0;
    for (float row = floor(low); row < high; row += 1.0) {
        float part = overlap(row, low, high), x = middle.x + slope * (row + 0.5 - middle.y);
        float left = x - 0.5 * extent.x, right = x + 0.5 * extent.x;
        for (float column = floor(left); column < right; column += 1.0) {
            float weight = part * overlap(column, left, right);
            ivec2 index = f.swapped ? ivec2(row, column) : ivec2(column, row);
            sum += weight * gaussian(uvec4(uvec2(index), domain.x ^ levels, domain.y));
            weights += weight * weight;
        }
    }
    return sum * inversesqrt(max(weights, 1e-20));
}

vec4 footprint_noise(footprint f, uvec2 domain) {
    vec2 level = log2(vec2(f.across, f.along) / CELLS), base = floor(level), turn = (level - base) * 1.5707963;
    vec2 near = cos(turn), far = sin(turn);
    vec4 sum = vec4(0.0);
    for (int i = 0; i < 4; i++) {
        ivec2 step = ivec2(i & 1, i >> 1);
        float weight = (step.x == 0 ? near.x : far.x) * (step.y == 0 ? near.y : far.y);
        sum += weight * octave_noise(f, ivec2(base) + step, domain);
    }
    return sum;
}

/* The two coordinates of v beside its axis. */
vec2 beside(vec3 v, int axis) { return axis == 0 ? v.yz : axis == 1 ? v.xz : v.xy; }

int longest(vec3 v) {
    vec3 a = abs(v);
    return a.x >= a.y && a.x >= a.z ? 0 : a.y >= a.z ? 1 : 2;
}

void main() {
    ivec2 pixel = block_pixel(), size = ivec2(frame_texel(FRAME_RAY_U).w, frame_texel(FRAME_RAY_V).w);
    vec3 ray = camera_ray(vec2(pixel) + 0.5), ray_u = frame_texel(FRAME_RAY_U).xyz,
         ray_v = frame_texel(FRAME_RAY_V).xyz;
    hit h;
    bool found = trace(frame_texel(FRAME_CAMERA).xyz, ray, 0.02, 1e9, h);
    vec3 at, du, dv, normal;
    if (found) { /* where the neighbouring rays meet the surface's plane, in the surface's own coordinates */
        vec3 n = h.geometric_normal, origin = part_local(h.part, vec3(0.0));
        float towards = dot(n, ray);
        towards = abs(towards) < 1e-6 ? -1e-6 : towards;
        at = h.local_position;
        du = part_local(h.part, h.t * (ray_u - ray * (dot(n, ray_u) / towards))) - origin;
        dv = part_local(h.part, h.t * (ray_v - ray * (dot(n, ray_v) / towards))) - origin;
        normal = part_local(h.part, n) - origin;
    } else { /* the sky: a cube at infinity */
        int face = longest(ray);
        float depth = face == 0 ? ray.x : face == 1 ? ray.y : ray.z;
        at = ray / depth;
        du = (ray_u - at * (face == 0 ? ray_u.x : face == 1 ? ray_u.y : ray_u.z)) / depth;
        dv = (ray_v - at * (face == 0 ? ray_v.x : face == 1 ? ray_v.y : ray_v.z)) / depth;
        normal = ray;
    }
    int axis = longest(normal);
    float side = axis == 0 ? normal.x : axis == 1 ? normal.y : normal.z;
    uvec4 seed = uvec4(frame_texel(FRAME_SEED));
    uint face = uint(axis) * 2u + (side > 0.0 ? 1u : 0u);
    footprint f = footprint_of(beside(at, axis), beside(du, axis), beside(dv, axis));
    uint plane = uint(size.x * size.y), to = uint(pixel.y * size.x + pixel.x);
    bool outside = pixel.x >= size.x || pixel.y >= size.y;
    for (uint group = 0u; 4u * group < CHANNELS; group++, to += 4u * plane) {
        uvec4 domain = pcg4d(uvec4(seed.x | seed.y << 16u, seed.z | seed.w << 16u,
                                   found ? h.part << 16u | h.instance : 0xffffffffu, face | group << 3u));
        vec4 value = footprint_noise(f, domain.xy);
        if (outside) continue;
        noise[to] = value.x;
        if (4u * group + 1u < CHANNELS) noise[to + plane] = value.y;
        if (4u * group + 2u < CHANNELS) noise[to + 2u * plane] = value.z;
        if (4u * group + 3u < CHANNELS) noise[to + 3u * plane] = value.w;
    }
}
