/* One function per texture (kn_texture): it changes the surface and the grain that surface_detail prepared. */
#ifndef KN_TEXTURES_GLSL
#define KN_TEXTURES_GLSL
#include "scene/noise.glsl"

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

/* Noise of three sizes at a point, and what textures make of it. */
struct grain {
    vec2 q;            /* place in the plane of noise, metres */
    vec2 uv;           /* metres along the surface */
    vec3 coarse, middle;
    float c, b, a;     /* coarse, middle and fine noise, faded by the footprint */
    float footprint;   /* metres */
    uint salt;         /* tells instances apart */
    float drawn;       /* 1; 0 where a photograph shows grain and stones */
    vec3 tone;         /* factor of the albedo */
    vec3 bend;         /* bends the normal, in space */
    vec2 slope;        /* the same in the plane of noise */
};

/* What years do to a road, beside a photograph of its grain: large light and dark stretches, fresh patches, cracks
 * sealed with tar, stains. */
void worn_asphalt(inout surface s, inout grain g, vec2 along) {
    vec3 broad = noise2(g.q * 0.043 + 71.0), run = noise2(vec2(along.x * 0.012, along.y * 0.45) + 23.0);
    g.tone *= 1.0 + 0.16 * broad.x + 0.16 * run.x * visible(0.45, g.footprint);
    vec2 cell = floor(along / vec2(17.0, 3.6)), in_cell = along - cell * vec2(17.0, 3.6);
    uint h = hash_cell(ivec2(cell) + 41);
    vec2 low = vec2(6.0 * unit(h), 0.1 + 0.8 * unit(h >> 4));
    vec2 high = low + vec2(2.0 + 8.0 * unit(h >> 8), 1.0 + 1.6 * unit(h >> 12));
    vec2 in_patch = min(in_cell - low, high - in_cell) + 0.05 * g.middle.xy;
    float inside = min(in_patch.x, in_patch.y), patched = (h >> 20) % 5u == 0u ? 1.0 : 0.0;
    float fresh = (h & 0x1000000u) != 0u ? 0.62 : 1.22;
    g.tone *= mix(1.0, fresh, patched * clamp(inside / max(g.footprint, 0.02) + 0.5, 0.0, 1.0));
    g.tone *= 1.0 - 0.5 * patched * line(abs(inside), 0.06, g.footprint);
    vec3 crack = noise2(g.q * 0.21 + 0.35 * g.middle.yz * 0.12 + 9.0);
    float gap = abs(crack.x) / max(length(crack.yz) * 0.21, 0.03), sealed = smoothstep(0.05, 0.25, broad.x);
    g.tone *= 1.0 - 0.62 * sealed * line(gap, 0.07, g.footprint);
    vec3 stain = noise2(vec2(along.x * 0.5, along.y * 1.1) + 57.0);
    g.tone *= 1.0 - 0.30 * smoothstep(0.45, 0.8, stain.x) * visible(1.1, g.footprint);
}

/* Grain, streaks along the lane, cracks, repaired patches. uv: across, along the road. */
void asphalt(inout surface s, inout grain g) {
    vec2 along = g.uv.yx;
    vec3 streak = noise2(vec2(along.x * 0.03, along.y * 0.8) + 5.0),
         crack = noise2(g.q * 0.37 + 0.25 * g.middle.yz * 0.1);
    g.tone *= 1.0 + 0.10 * g.c + 0.09 * g.b + 0.30 * g.a + 0.14 * streak.x * visible(0.8, g.footprint);
    float gap = abs(crack.x) / max(length(crack.yz) * 0.37, 0.05);
    float cracked = clamp(3.0 * g.coarse.x - 0.4, 0.0, 1.0);
    g.tone *= 1.0 - 0.55 * cracked * line(gap, 0.02, g.footprint);
    vec2 cell = floor(along / vec2(11.0, 3.4));
    uint h = hash_cell(ivec2(cell) + 9);
    vec2 in_cell = along - cell * vec2(11.0, 3.4);
    vec2 low = vec2(0.5 + 4.0 * unit(h), 0.2 + unit(h >> 4)),
         high = low + vec2(1.2 + 4.5 * unit(h >> 8), 0.8 + 1.2 * unit(h >> 12));
    vec2 in_patch = min(in_cell - low, high - in_cell);
    float inside = min(in_patch.x, in_patch.y), patched = (h >> 20) % 9u == 0u ? 1.0 : 0.0;
    float soft = max(g.footprint, 0.01);
    g.tone *=
        1.0 - patched * (0.20 * clamp(inside / soft + 0.5, 0.0, 1.0) + 0.30 * line(abs(inside), 0.05, g.footprint));
    g.tone *= vec3(1.05 + 0.02 * g.c, 1.0, 0.93 - 0.02 * g.c);
    s.roughness = clamp(s.roughness + 0.1 * g.a, 0.3, 1.0);
    if (g.drawn < 0.5) worn_asphalt(s, g, along);
}

/* Panels of 4 m. */
void concrete(inout surface s, inout grain g) {
    vec3 joints = bond(g.uv, vec2(4.0, 4.0), 0.015, 0.0, g.footprint) * vec3(g.drawn, g.drawn, 1.0);
    g.tone *= (1.0 + 0.12 * g.c + 0.10 * g.b + 0.10 * g.a + 0.04 * joints.x) * (1.0 - 0.45 * joints.y);
    g.tone *= vec3(1.0 + 0.02 * g.c, 1.0, 1.0 - 0.03 * g.c);
}

/* Slabs of 60 x 40 cm. */
void paving(inout surface s, inout grain g) {
    vec3 slabs = bond(g.uv, vec2(0.6, 0.4), 0.012, 0.5, g.footprint) * g.drawn;
    g.tone *= (1.0 + 0.11 * slabs.x + 0.10 * g.c + 0.06 * g.b + 0.12 * g.a) * (1.0 - 0.45 * slabs.y);
    g.tone *= vec3(1.0 + 0.04 * slabs.z, 1.0, 1.0 - 0.04 * slabs.z);
}

/* Dry and lush patches, tufts. */
void grass(inout surface s, inout grain g) {
    vec3 patches = noise2(g.q * 0.5 + 3.3);
    float dry = clamp(0.35 + 0.5 * g.c + 0.3 * patches.x * visible(0.5, g.footprint), 0.0, 1.0);
    g.tone = mix(vec3(0.95, 0.98, 0.95), vec3(1.55, 1.12, 1.15), dry * dry);
    g.tone *= 1.0 + 0.22 * g.b + 0.50 * g.a;
    s.albedo = mix(s.albedo, vec3(dot(s.albedo, vec3(0.35, 0.5, 0.15))) * vec3(1.1, 1.0, 0.7), 0.22);
    s.translucency = 0.25;
}

void soil(inout surface s, inout grain g) {
    g.tone *= 1.0 + 0.18 * g.c + 0.18 * g.b + 0.35 * g.a;
    g.tone *= vec3(1.0 + 0.05 * g.b, 1.0, 1.0 - 0.08 * g.c);
}

/* Bricks of 25 x 7.5 cm in mortar. */
void brick(inout surface s, inout grain g) {
    vec3 bricks = bond(g.uv, vec2(0.25, 0.075), 0.012, 0.5, g.footprint) * g.drawn;
    vec3 stone = s.albedo * (1.0 + 0.22 * bricks.x + 0.12 * g.c + 0.06 * g.b + 0.12 * g.a) *
                 vec3(1.0 + 0.08 * bricks.z, 1.0, 1.0 - 0.05 * bricks.z);
    float grey = dot(s.albedo, vec3(0.3, 0.6, 0.1));
    s.albedo = mix(stone, vec3(0.55 * grey + 0.20) * (1.0 + 0.10 * g.b), bricks.y);
}

/* Rain streaks, damp at the foot (uv.y: height above it). */
void plaster(inout surface s, inout grain g) {
    vec3 streak = noise2(vec2(g.q.x * 1.9, g.q.y * 0.17) + 13.0);
    float damp = clamp(1.0 - g.uv.y / 1.1, 0.0, 1.0);
    g.tone *= 1.0 + 0.05 * g.c + 0.035 * g.b + 0.06 * g.a -
              0.09 * max(streak.x * visible(1.9, g.footprint), 0.0) * (0.6 + 0.6 * g.coarse.x);
    g.tone *= 1.0 - 0.25 * damp * damp * (0.7 + 0.5 * g.coarse.x);
    g.tone *= vec3(1.0, 1.0 - 0.01 * g.c, 1.0 - 0.03 * g.c);
}

/* Rows of round tiles with the shadow of their lips. */
void roof_tiles(inout surface s, inout grain g) {
    vec2 size = vec2(0.30, 0.36), cell = floor(g.uv / size), in_cell = g.uv / size - cell;
    float shown = visible(2.4, g.footprint);
    uint h = hash_cell(ivec2(cell) + 3);
    float lip = smoothstep(0.80, 1.0, in_cell.y) * shown;
    g.tone *= 1.0 + 0.13 * (unit(h) * 2.0 - 1.0) * shown + 0.10 * g.c + 0.10 * g.b + 0.10 * g.a;
    g.tone *= (1.0 - 0.10 * (1.0 - shown)) * (1.0 - 0.50 * lip);
    g.tone *= vec3(1.0 + 0.05 * g.c, 1.0, 1.0 - 0.04 * g.b);
    g.slope += vec2(0.45 * shown * cos(6.2831853 * in_cell.x), -0.15 * shown);
}

/* Clumps, twigs and leaves in space; near the outline one sees through. */
void leaves(inout surface s, inout grain g, vec3 p, float facing) {
    vec4 tint = noise3(p * 0.45), clump = noise3(p * 1.3), twig = noise3(p * 3.7), leaf = noise3(p * 9.5);
    float seen_clump = visible(1.3, g.footprint), seen_twig = visible(3.7, g.footprint),
          seen_leaf = visible(9.5, g.footprint);
    float depth = 0.62 + 0.45 * clump.w * seen_clump + 0.50 * twig.w * seen_twig + 0.55 * leaf.w * seen_leaf;
    float yellow = 0.45 + 0.4 * tint.w + 0.3 * leaf.w * seen_leaf;
    g.tone = mix(vec3(0.70, 0.92, 0.68), vec3(1.35, 1.10, 0.72), clamp(yellow, 0.0, 1.0)) *
             (0.22 + 1.10 * clamp(depth, 0.05, 1.6));
    s.roughness = 1.0;
    s.translucency = 0.45;
    float cover = 0.5 + 0.22 * clump.w * seen_clump + 0.30 * twig.w * seen_twig + 0.36 * leaf.w * seen_leaf;
    s.hole = cover < max(0.72 - 1.25 * facing, 0.06) * seen_twig;
    g.bend = 0.30 * clump.xyz * seen_clump + 0.14 * twig.xyz * seen_twig + 0.07 * leaf.xyz * seen_leaf;
    g.slope = vec2(0.0);
}

/* Worn where it marks a lane. */
void paint(inout surface s, inout grain g, bool mark) {
    float worn = mark ? smoothstep(0.15, 0.75, 0.45 * g.b + 0.35 * g.a + 0.30 * g.c + 0.12) : 0.0;
    s.albedo = mix(s.albedo * (1.0 + 0.04 * g.c + 0.04 * g.b), vec3(0.10), 0.65 * worn);
    s.mirror = mark ? 0.0 : 0.15;
}

/* Clear coat, dust near the ground. */
void car_paint(inout surface s, inout grain g, float height) {
    float dirt = clamp(0.75 - height / 0.55, 0.0, 1.0) * (0.5 + 0.25 * g.b + 0.15 * g.c);
    s.albedo = mix(s.albedo, vec3(0.16, 0.145, 0.125), 0.55 * dirt);
    s.roughness = max(s.roughness, 0.35);
    s.mirror = 1.0 - dirt;
    g.slope = vec2(0.0);
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

/* A pane with curtains, or the room behind it; `inward` is the ray along the wall, up, and into the room. */
void window(inout surface s, inout grain g, vec3 inward) {
    vec2 inside = room(g.uv, inward);
    vec2 pane = floor(g.uv / vec2(1.1, 2.8));
    uint h = hash_cell(ivec2(pane) + ivec2(int(g.salt), 5));
    vec3 folds = noise2(g.uv * vec2(9.0, 0.03));
    float curtain = (h & 7u) == 0u ? 1.0 : (h & 3u) == 1u ? smoothstep(0.2, 0.7, folds.x + 0.5) * 0.5 : 0.0;
    float shown = visible(0.4, g.footprint);
    /* furniture and goods before the far wall */
    vec2 shelf = floor(g.uv * vec2(1.7, 2.3));
    uint goods = hash_cell(ivec2(shelf) + ivec2(91, int(g.salt)));
    float thing = mix(0.8, (goods & 7u) < 3u ? 0.35 + 0.5 * unit(goods >> 8) : 1.0, visible(1.2, g.footprint));
    float level = mix(0.35, inside.x * (0.6 + 0.8 * inside.y), shown);
    vec3 wall = mix(vec3(0.9, 0.85, 0.75), vec3(0.75, 0.82, 0.9), inside.y);
    wall *= mix(0.8, thing, 0.75 * step(g.uv.y - 2.8 * floor(g.uv.y / 2.8), 1.9));
    s.albedo = mix(s.albedo * 0.5 + 0.10 * wall * level, vec3(0.42, 0.40, 0.37), 0.7 * curtain);
    float power = max(s.emission.x, max(s.emission.y, s.emission.z));
    vec3 room_light = wall * (0.25 + 1.2 * level * level) * vec3(1.0, 0.96, 0.9);
    vec3 cloth = vec3(0.55, 0.5, 0.42) * (1.0 + 0.3 * folds.x * visible(9.0, g.footprint));
    s.emission *= min(power, 0.8) / max(power, 1e-4) * (0.7 + 0.6 * unit(h >> 8)) * mix(room_light, cloth, curtain);
    s.mirror = 1.0;
    s.f0 = 0.06;
    s.roughness = 0.05;
}

#endif
