/* Hashes, value noise, lines and bonds of stones, all filtered by a footprint in metres: what textures are made of. */
#ifndef KN_NOISE_GLSL
#define KN_NOISE_GLSL

uint hash_cell(ivec2 cell) {
    uint h = uint(cell.x) * 0x9e3779b1u + uint(cell.y) * 0x85ebca77u;
    h = (h ^ (h >> 15)) * 0x2c1b3c6du;
    return h ^ (h >> 13);
}
float unit(uint h) { return float(h & 0xffffu) * (1.0 / 65535.0); }

/* Value noise: x in -1..1, yz its gradient by p. */
vec3 noise2(vec2 p) {
    vec2 base = floor(p), f = p - base;
    ivec2 i = ivec2(base);
    float a = unit(hash_cell(i)), b = unit(hash_cell(i + ivec2(1, 0)));
    float c = unit(hash_cell(i + ivec2(0, 1))), d = unit(hash_cell(i + ivec2(1, 1)));
    vec2 u = f * f * (3.0 - 2.0 * f), du = 6.0 * f * (1.0 - f);
    float k = a - b - c + d;
    return vec3(2.0 * (a + (b - a) * u.x + (c - a) * u.y + k * u.x * u.y) - 1.0,
                2.0 * du * (vec2(b - a, c - a) + k * u.yx));
}

uint hash_corner(ivec3 cell) {
    uint h = uint(cell.x) * 0x9e3779b1u + uint(cell.y) * 0x85ebca77u + uint(cell.z) * 0xc2b2ae3du;
    h = (h ^ (h >> 15)) * 0x2c1b3c6du;
    return h ^ (h >> 13);
}

/* The same in space: xyz its gradient by p, w in -1..1. */
vec4 noise3(vec3 p) {
    vec3 base = floor(p), f = p - base;
    ivec3 i = ivec3(base);
    vec3 u = f * f * (3.0 - 2.0 * f), du = 6.0 * f * (1.0 - f);
    vec4 low = vec4(unit(hash_corner(i)), unit(hash_corner(i + ivec3(1, 0, 0))), unit(hash_corner(i + ivec3(0, 1, 0))),
                    unit(hash_corner(i + ivec3(1, 1, 0))));
    i.z += 1;
    vec4 high = vec4(unit(hash_corner(i)), unit(hash_corner(i + ivec3(1, 0, 0))), unit(hash_corner(i + ivec3(0, 1, 0))),
                     unit(hash_corner(i + ivec3(1, 1, 0))));
    vec4 at = mix(low, high, u.z), by_z = (high - low) * du.z;
    vec2 row = mix(at.xz, at.yw, u.x), row_z = mix(by_z.xz, by_z.yw, u.x);
    return vec4(2.0 *
                    vec3(du.x * mix(at.y - at.x, at.w - at.z, u.y), du.y * (row.y - row.x), mix(row_z.x, row_z.y, u.y)),
                2.0 * mix(row.x, row.y, u.y) - 1.0);
}

/* How much of a detail of this frequency (1/m) survives a footprint in metres. */
float visible(float frequency, float footprint) { return clamp(2.0 - 4.0 * frequency * footprint, 0.0, 1.0); }

/* Coverage of a line `width` metres wide whose middle is `away` metres from the point. */
float line(float away, float width, float footprint) {
    float soft = max(footprint, 1e-4);
    return clamp((0.5 * (width + soft) - away) / soft, 0.0, 1.0) * min(width / soft, 1.0);
}

/* --- bricks, slabs, tiles --------------------------------------------------------------------- */

/* A bond of stones `size` metres: x tone -1..1 of the stone, y coverage of the joint, z a second tone. */
vec3 bond(vec2 p, vec2 size, float joint, float shift, float footprint) {
    vec2 q = p / size;
    float row = floor(q.y);
    q.x += shift * row;
    vec2 cell = floor(q), in_cell = (q - cell) * size;
    vec2 away = min(in_cell, size - in_cell);
    uint h = hash_cell(ivec2(cell));
    float shown = visible(0.7 / size.x, footprint);
    float edge = max(line(away.x, joint, footprint), line(away.y, joint, footprint));
    float mean = joint * (1.0 / size.x + 1.0 / size.y);
    return vec3((unit(h) * 2.0 - 1.0) * shown, mix(mean, edge, visible(0.5 / min(size.x, size.y), footprint)),
                (unit(h >> 16) * 2.0 - 1.0) * shown);
}

#endif
