/* Procedural surfaces: kn_texture evaluated in the coordinates of the surface (the world's for static things, the actor's
 * own for moving ones), so that detail stays where it is from frame to frame and from camera to camera. Every detail fades
 * to its mean as the footprint of the ray (metres across) approaches its wavelength. No light is computed here. */
#ifndef KN_MATERIAL_GLSL
#define KN_MATERIAL_GLSL
#include "scene.glsl"

#define TEXTURE_FLAT 0
#define TEXTURE_ASPHALT 1
#define TEXTURE_CONCRETE 2
#define TEXTURE_PAVING 3
#define TEXTURE_GRASS 4
#define TEXTURE_SOIL 5
#define TEXTURE_BRICK 6
#define TEXTURE_PLASTER 7
#define TEXTURE_ROOF_TILES 8
#define TEXTURE_LEAVES 9
#define TEXTURE_BARK 10
#define TEXTURE_PAINT 11
#define TEXTURE_CAR_PAINT 12
#define TEXTURE_GLASS 13
#define TEXTURE_METAL 14
#define TEXTURE_RUBBER 15
#define TEXTURE_FABRIC 16
#define TEXTURE_WINDOW 17
#define TEXTURE_SKIN 18

#define EMITTER_WINDOW 9

/* What light meets. */
struct surface {
    vec3 albedo;        /* diffuse, linear */
    float roughness;
    vec3 normal;        /* world, unit */
    float metallic;
    vec3 emission;      /* linear, before FRAME_LAMPS.w */
    float mirror;       /* 0..1: share of the sharp reflection that is worth a ray */
    float f0;           /* reflectance at normal incidence of that mirror or of the dielectric */
    float translucency; /* share of diffuse light that passes through (leaves) */
    bool hole;          /* nothing is here: look further along the ray (between leaves) */
};

/* --- noise ----------------------------------------------------------------------------------------------------------- */

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
    return vec3(2.0 * (a + (b - a) * u.x + (c - a) * u.y + k * u.x * u.y) - 1.0, 2.0 * du * (vec2(b - a, c - a) + k * u.yx));
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
    vec4 low = vec4(unit(hash_corner(i)), unit(hash_corner(i + ivec3(1, 0, 0))), unit(hash_corner(i + ivec3(0, 1, 0))), unit(hash_corner(i + ivec3(1, 1, 0))));
    i.z += 1;
    vec4 high = vec4(unit(hash_corner(i)), unit(hash_corner(i + ivec3(1, 0, 0))), unit(hash_corner(i + ivec3(0, 1, 0))), unit(hash_corner(i + ivec3(1, 1, 0))));
    vec4 at = mix(low, high, u.z), by_z = (high - low) * du.z;
    vec2 row = mix(at.xz, at.yw, u.x), row_z = mix(by_z.xz, by_z.yw, u.x);
    return vec4(2.0 * vec3(du.x * mix(at.y - at.x, at.w - at.z, u.y), du.y * (row.y - row.x), mix(row_z.x, row_z.y, u.y)),
                2.0 * mix(row.x, row.y, u.y) - 1.0);
}

/* How much of a detail of this frequency (1/m) survives a footprint in metres. */
float visible(float frequency, float footprint) { return clamp(2.0 - 4.0 * frequency * footprint, 0.0, 1.0); }

/* Coverage of a line `width` metres wide whose middle is `away` metres from the point. */
float line(float away, float width, float footprint) {
    float soft = max(footprint, 1e-4);
    return clamp((0.5 * (width + soft) - away) / soft, 0.0, 1.0) * min(width / soft, 1.0);
}

/* --- bricks, slabs, tiles ---------------------------------------------------------------------------------------------- */

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
    return vec3((unit(h) * 2.0 - 1.0) * shown, mix(mean, edge, visible(0.5 / min(size.x, size.y), footprint)), (unit(h >> 16) * 2.0 - 1.0) * shown);
}

/* --- one surface --------------------------------------------------------------------------------------------------------- */

/* Frequencies (1/m) of coarse, middle and fine noise of a texture; w: how strongly the fine noise bends the normal. */
vec4 texture_frequencies(int kind) {
    switch (kind) {
    case TEXTURE_ASPHALT: return vec4(0.11, 1.3, 30.0, 0.10);
    case TEXTURE_CONCRETE: return vec4(0.23, 1.9, 24.0, 0.05);
    case TEXTURE_PAVING: return vec4(0.31, 2.7, 26.0, 0.06);
    case TEXTURE_GRASS: return vec4(0.13, 1.1, 13.0, 0.30);
    case TEXTURE_SOIL: return vec4(0.17, 1.7, 15.0, 0.25);
    case TEXTURE_BRICK: return vec4(0.29, 3.1, 31.0, 0.08);
    case TEXTURE_PLASTER: return vec4(0.21, 1.3, 17.0, 0.04);
    case TEXTURE_ROOF_TILES: return vec4(0.27, 2.3, 19.0, 0.06);
    case TEXTURE_LEAVES: return vec4(0.6, 2.9, 9.0, 0.75);
    case TEXTURE_BARK: return vec4(1.1, 7.0, 23.0, 0.35);
    case TEXTURE_FABRIC: return vec4(1.3, 6.0, 40.0, 0.20);
    case TEXTURE_RUBBER: return vec4(1.3, 9.0, 60.0, 0.10);
    case TEXTURE_METAL: return vec4(0.7, 5.0, 45.0, 0.03);
    case TEXTURE_PAINT: return vec4(0.5, 4.1, 27.0, 0.04);
    default: return vec4(0.5, 3.0, 20.0, 0.0);
    }
}

/* The room behind a window pane: what the ray meets on walls, floor and ceiling of a box 3.2 m wide and deep and 2.8 m
 * high. p: point on the facade (along, up), d: ray in the same axes with z into the room. x: brightness, y: tone. */
vec2 room(vec2 p, vec3 d) {
    vec2 size = vec2(3.2, 2.8), cell = floor(p / size), in_cell = p - cell * size;
    float side = d.x > 0.0 ? (size.x - in_cell.x) / max(d.x, 1e-4) : in_cell.x / max(-d.x, 1e-4);
    float level = d.y > 0.0 ? (size.y - in_cell.y) / max(d.y, 1e-4) : in_cell.y / max(-d.y, 1e-4);
    float back = 3.2 / max(d.z, 1e-4), t = min(min(side, level), back);
    float light = t == level ? (d.y > 0.0 ? 1.15 : 0.45) : t == back ? 0.8 : 0.65;
    return vec2(light / (1.0 + 0.25 * t * t), unit(hash_cell(ivec2(cell) + 77)));
}

/* A point `p` in the surface's own frame, normal `n` there, incoming unit ray `d` there, uv in metres. `facing` is the
 * cosine between ray and normal, `salt` tells instances apart. The result's normal is in the surface's frame. */
surface surface_detail(surface_material m, vec3 p, vec3 n, vec3 d, vec2 uv, float footprint, float facing, uint salt) {
    surface s = surface(m.color, m.roughness, n, m.metallic, m.emission, 0.0, 0.04, 0.0, false);
    int kind = m.texture_kind;
    vec3 weight = abs(n);
    vec2 q = weight.z > 0.55 ? p.xy : weight.x > weight.y ? p.yz : p.xz;
    vec3 ax = weight.z > 0.55 || weight.x <= weight.y ? vec3(1, 0, 0) : vec3(0, 1, 0);
    vec3 ay = weight.z > 0.55 ? vec3(0, 1, 0) : vec3(0, 0, 1);
    if (kind == TEXTURE_BARK) q.y *= 0.2;
    q += vec2(float(salt & 31u) * 17.3, float((salt >> 5) & 31u) * 11.7);
    vec4 f = texture_frequencies(kind);
    vec3 coarse = noise2(q * f.x), middle = noise2(q * f.y + 31.7), fine = noise2(q * f.z + 77.1);
    float seen_middle = visible(f.y, footprint), seen_fine = visible(f.z, footprint);
    float c = coarse.x * visible(f.x, footprint), b = middle.x * seen_middle, a = fine.x * seen_fine;
    /* on the ground broad bumps would throw waves of shadow in the light of head lamps */
    vec2 slope = f.w * (seen_fine * fine.yz * 0.5 + seen_middle * middle.yz * (kind <= TEXTURE_SOIL ? 0.03 : 0.25));
    vec3 tone = vec3(1.0), bend = vec3(0.0);

    switch (kind) {
    case TEXTURE_ASPHALT: {
        vec2 along = uv.yx; /* roads: uv is across, along */
        vec3 streak = noise2(vec2(along.x * 0.03, along.y * 0.8) + 5.0), crack = noise2(q * 0.37 + 0.25 * middle.yz * 0.1);
        tone *= 1.0 + 0.10 * c + 0.09 * b + 0.30 * a + 0.14 * streak.x * visible(0.8, footprint);
        float gap = abs(crack.x) / max(length(crack.yz) * 0.37, 0.05);
        float cracked = clamp(3.0 * coarse.x - 0.4, 0.0, 1.0);
        tone *= 1.0 - 0.55 * cracked * line(gap, 0.02, footprint);
        vec2 cell = floor(along / vec2(11.0, 3.4));
        uint h = hash_cell(ivec2(cell) + 9);
        vec2 in_cell = along - cell * vec2(11.0, 3.4);
        vec2 low = vec2(0.5 + 4.0 * unit(h), 0.2 + unit(h >> 4)), high = low + vec2(1.2 + 4.5 * unit(h >> 8), 0.8 + 1.2 * unit(h >> 12));
        vec2 in_patch = min(in_cell - low, high - in_cell);
        float inside = min(in_patch.x, in_patch.y), patched = (h >> 20) % 9u == 0u ? 1.0 : 0.0;
        float soft = max(footprint, 0.01);
        tone *= 1.0 - patched * (0.20 * clamp(inside / soft + 0.5, 0.0, 1.0) + 0.30 * line(abs(inside), 0.05, footprint));
        tone *= vec3(1.05 + 0.02 * c, 1.0, 0.93 - 0.02 * c);
        s.roughness = clamp(m.roughness + 0.1 * a, 0.3, 1.0);
        break;
    }
    case TEXTURE_CONCRETE: {
        vec3 joints = bond(uv, vec2(4.0, 4.0), 0.015, 0.0, footprint);
        tone *= (1.0 + 0.12 * c + 0.10 * b + 0.10 * a + 0.04 * joints.x) * (1.0 - 0.45 * joints.y);
        tone *= vec3(1.0 + 0.02 * c, 1.0, 1.0 - 0.03 * c);
        break;
    }
    case TEXTURE_PAVING: {
        vec3 slabs = bond(uv, vec2(0.6, 0.4), 0.012, 0.5, footprint);
        tone *= (1.0 + 0.11 * slabs.x + 0.10 * c + 0.06 * b + 0.12 * a) * (1.0 - 0.45 * slabs.y);
        tone *= vec3(1.0 + 0.04 * slabs.z, 1.0, 1.0 - 0.04 * slabs.z);
        break;
    }
    case TEXTURE_GRASS: {
        vec3 patches = noise2(q * 0.5 + 3.3);
        float dry = clamp(0.35 + 0.5 * c + 0.3 * patches.x * visible(0.5, footprint), 0.0, 1.0);
        tone = mix(vec3(0.95, 0.98, 0.95), vec3(1.55, 1.12, 1.15), dry * dry);
        tone *= 1.0 + 0.22 * b + 0.50 * a;
        s.albedo = mix(s.albedo, vec3(dot(s.albedo, vec3(0.35, 0.5, 0.15))) * vec3(1.1, 1.0, 0.7), 0.22);
        s.translucency = 0.25;
        break;
    }
    case TEXTURE_SOIL:
        tone *= 1.0 + 0.18 * c + 0.18 * b + 0.35 * a;
        tone *= vec3(1.0 + 0.05 * b, 1.0, 1.0 - 0.08 * c);
        break;
    case TEXTURE_BRICK: {
        vec3 bricks = bond(uv, vec2(0.25, 0.075), 0.012, 0.5, footprint);
        vec3 brick = m.color * (1.0 + 0.22 * bricks.x + 0.12 * c + 0.06 * b + 0.12 * a) * vec3(1.0 + 0.08 * bricks.z, 1.0, 1.0 - 0.05 * bricks.z);
        float grey = dot(m.color, vec3(0.3, 0.6, 0.1));
        s.albedo = mix(brick, vec3(0.55 * grey + 0.20) * (1.0 + 0.10 * b), bricks.y);
        break;
    }
    case TEXTURE_PLASTER: {
        vec3 streak = noise2(vec2(q.x * 1.9, q.y * 0.17) + 13.0);
        float damp = clamp(1.0 - uv.y / 1.1, 0.0, 1.0);
        tone *= 1.0 + 0.05 * c + 0.035 * b + 0.06 * a - 0.09 * max(streak.x * visible(1.9, footprint), 0.0) * (0.6 + 0.6 * coarse.x);
        tone *= 1.0 - 0.25 * damp * damp * (0.7 + 0.5 * coarse.x);
        tone *= vec3(1.0, 1.0 - 0.01 * c, 1.0 - 0.03 * c);
        break;
    }
    case TEXTURE_ROOF_TILES: {
        vec2 size = vec2(0.30, 0.36), cell = floor(uv / size), in_cell = uv / size - cell;
        float shown = visible(2.4, footprint);
        uint h = hash_cell(ivec2(cell) + 3);
        float lip = smoothstep(0.80, 1.0, in_cell.y) * shown;
        tone *= 1.0 + 0.13 * (unit(h) * 2.0 - 1.0) * shown + 0.10 * c + 0.10 * b + 0.10 * a;
        tone *= (1.0 - 0.10 * (1.0 - shown)) * (1.0 - 0.50 * lip);
        tone *= vec3(1.0 + 0.05 * c, 1.0, 1.0 - 0.04 * b);
        slope += vec2(0.45 * shown * cos(6.2831853 * in_cell.x), -0.15 * shown);
        break;
    }
    case TEXTURE_LEAVES: {
        vec4 tint = noise3(p * 0.45), clump = noise3(p * 1.3), twig = noise3(p * 3.7), leaf = noise3(p * 9.5);
        float seen_clump = visible(1.3, footprint), seen_twig = visible(3.7, footprint), seen_leaf = visible(9.5, footprint);
        float depth = 0.62 + 0.45 * clump.w * seen_clump + 0.50 * twig.w * seen_twig + 0.55 * leaf.w * seen_leaf;
        float yellow = 0.45 + 0.4 * tint.w + 0.3 * leaf.w * seen_leaf;
        tone = mix(vec3(0.70, 0.92, 0.68), vec3(1.35, 1.10, 0.72), clamp(yellow, 0.0, 1.0)) * (0.22 + 1.10 * clamp(depth, 0.05, 1.6));
        s.roughness = 1.0;
        s.translucency = 0.45;
        float cover = 0.5 + 0.22 * clump.w * seen_clump + 0.30 * twig.w * seen_twig + 0.36 * leaf.w * seen_leaf;
        s.hole = cover < max(0.72 - 1.25 * facing, 0.06) * seen_twig;
        bend = 0.30 * clump.xyz * seen_clump + 0.14 * twig.xyz * seen_twig + 0.07 * leaf.xyz * seen_leaf;
        slope = vec2(0.0);
        break;
    }
    case TEXTURE_BARK:
        tone *= 1.0 + 0.15 * c + 0.28 * b + 0.25 * a;
        break;
    case TEXTURE_PAINT: {
        bool mark = m.semantic == 2;
        float worn = mark ? smoothstep(0.15, 0.75, 0.45 * b + 0.35 * a + 0.30 * c + 0.12) : 0.0;
        s.albedo = mix(m.color * (1.0 + 0.04 * c + 0.04 * b), vec3(0.10), 0.65 * worn);
        s.mirror = mark ? 0.0 : 0.15;
        break;
    }
    case TEXTURE_CAR_PAINT: {
        float dirt = clamp(0.75 - p.z / 0.55, 0.0, 1.0) * (0.5 + 0.25 * b + 0.15 * c);
        s.albedo = mix(m.color, vec3(0.16, 0.145, 0.125), 0.55 * dirt);
        s.roughness = max(m.roughness, 0.35);
        s.mirror = 1.0 - dirt;
        slope = vec2(0.0);
        break;
    }
    case TEXTURE_GLASS:
        s.mirror = 1.0;
        s.f0 = 0.05;
        s.roughness = 0.05;
        break;
    case TEXTURE_WINDOW: {
        vec3 inward = normalize(vec3(dot(d, ax), d.z, max(-dot(d, n), 0.05)));
        vec2 inside = room(uv, inward);
        vec2 pane = floor(uv / vec2(1.1, 2.8));
        uint h = hash_cell(ivec2(pane) + ivec2(int(salt), 5));
        float curtain = (h & 3u) == 0u ? 1.0 : (h & 3u) == 1u ? smoothstep(0.2, 0.7, noise2(uv * vec2(9.0, 0.03)).x + 0.5) * 0.5 : 0.0;
        float shown = visible(0.4, footprint);
        /* furniture and goods before the far wall */
        vec2 shelf = floor(uv * vec2(1.7, 2.3));
        uint goods = hash_cell(ivec2(shelf) + ivec2(91, int(salt)));
        float thing = visible(1.2, footprint) * ((goods & 7u) < 3u ? 0.35 + 0.5 * unit(goods >> 8) : 1.0);
        float level = mix(0.35, inside.x * (0.6 + 0.8 * inside.y), shown);
        vec3 wall = mix(vec3(0.9, 0.85, 0.75), vec3(0.75, 0.82, 0.9), inside.y);
        wall *= mix(0.8, thing, 0.75 * step(uv.y - 2.8 * floor(uv.y / 2.8), 1.9));
        s.albedo = mix(m.color * 0.5 + 0.10 * wall * level, vec3(0.42, 0.40, 0.37), 0.7 * curtain);
        float power = max(m.emission.x, max(m.emission.y, m.emission.z));
        vec3 room_light = wall * (0.25 + 1.2 * level * level) * vec3(1.0, 0.96, 0.9);
        s.emission = m.emission * (min(power, 0.8) / max(power, 1e-4)) * mix(room_light, vec3(0.55, 0.5, 0.42), curtain) * (0.7 + 0.6 * unit(h >> 8));
        s.mirror = 1.0;
        s.f0 = 0.06;
        s.roughness = 0.05;
        break;
    }
    case TEXTURE_METAL:
        tone *= 1.0 + 0.06 * c + 0.06 * b + 0.06 * a;
        s.roughness = clamp(m.roughness + 0.1 * b, 0.08, 1.0);
        s.mirror = m.roughness < 0.35 ? 0.8 : 0.0;
        break;
    case TEXTURE_RUBBER:
        tone *= 1.0 + 0.15 * c + 0.10 * b + 0.25 * a;
        break;
    case TEXTURE_FABRIC:
        tone *= 1.0 + 0.10 * c + 0.14 * b + 0.12 * a;
        break;
    default: break;
    }
    s.albedo = clamp(s.albedo * max(tone, vec3(0.05)), 0.0, 0.95);
    s.normal = normalize(n - (bend - n * dot(bend, n)) - slope.x * (ax - n * dot(ax, n)) - slope.y * (ay - n * dot(ay, n)));
    return s;
}

/* Rain on a surface: darker, smoother, and where water stands a mirror. `up` is the geometric normal's z in the world,
 * `p` a world point. */
void surface_wet(inout surface s, float wet, float up, vec3 p, vec3 normal, float footprint) {
    if (wet <= 0.0) return;
    vec3 low = noise2(p.xy * 0.21 + 4.0), high = noise2(p.xy * 0.9 + 40.0);
    float level = clamp(up, 0.0, 1.0);
    float puddle = smoothstep(0.0, 0.6, low.x + 0.3 * high.x + 0.35 * wet - 0.25) * level * level * wet;
    s.albedo *= mix(vec3(1.0), vec3(0.42, 0.43, 0.45), wet * (0.50 + 0.50 * level)) * (1.0 - 0.3 * puddle);
    s.roughness = mix(s.roughness, mix(0.42, 0.05, puddle), wet * level);
    s.normal = normalize(mix(s.normal, normal, level * (0.70 + 0.30 * puddle)));
    s.mirror = max(s.mirror, wet * level * (0.36 + 0.64 * puddle));
    s.f0 = mix(s.f0, max(s.f0, 0.03), wet);
}

#endif
