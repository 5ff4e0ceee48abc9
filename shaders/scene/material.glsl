/* Procedural surfaces: kn_texture evaluated in the coordinates of the surface (the world's for static things, the
 * actor's own for moving ones), so that detail stays where it is from frame to frame and from camera to camera. Every
 * detail fades to its mean as the footprint of the ray (metres across) approaches its wavelength. No light is computed
 * here. */
#ifndef KN_MATERIAL_GLSL
#define KN_MATERIAL_GLSL
#include "scene/scene.glsl"
#include "scene/photo.glsl"
#include "scene/textures.glsl"

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

#define SEMANTIC_LANE_MARK 2

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
    /* on the ground broad bumps would throw waves of shadow in the light of head lamps */
    vec2 slope = f.w * (seen_fine * fine.yz * 0.5 + seen_middle * middle.yz * (kind <= TEXTURE_SOIL ? 0.03 : 0.25));
    grain g = grain(q, uv, coarse, middle, coarse.x * visible(f.x, footprint), middle.x * seen_middle,
                    fine.x * seen_fine, footprint, salt, 1.0, vec3(1.0), vec3(0.0), slope);
    vec3 photo = vec3(1.0);
    if (m.picture > 0) { /* walls and slabs lie along uv, ground lies anywhere */
        vec2 rise, place = kind == TEXTURE_ASPHALT || kind == TEXTURE_GRASS || kind == TEXTURE_SOIL ? q : uv;
        photo = kind == TEXTURE_BRICK || kind == TEXTURE_PAVING || kind == TEXTURE_ROOF_TILES
                    ? photo_at(m.picture, place, footprint, rise)
                    : photo_ground(m.picture, place, middle.x * 0.4 + coarse.x, footprint, rise);
        g.b = g.a = g.drawn = 0.0;
        g.slope = -0.004 * rise;
    }

    switch (kind) {
    case TEXTURE_ASPHALT: asphalt(s, g); break;
    case TEXTURE_CONCRETE: concrete(s, g); break;
    case TEXTURE_PAVING: paving(s, g); break;
    case TEXTURE_GRASS: grass(s, g); break;
    case TEXTURE_SOIL: soil(s, g); break;
    case TEXTURE_BRICK: brick(s, g); break;
    case TEXTURE_PLASTER: plaster(s, g); break;
    case TEXTURE_ROOF_TILES: roof_tiles(s, g); break;
    case TEXTURE_LEAVES: leaves(s, g, p, facing); break;
    case TEXTURE_BARK: g.tone *= 1.0 + 0.15 * g.c + 0.28 * g.b + 0.25 * g.a; break;
    case TEXTURE_PAINT: paint(s, g, m.semantic == SEMANTIC_LANE_MARK); break;
    case TEXTURE_CAR_PAINT: car_paint(s, g, p.z); break;
    case TEXTURE_WINDOW: window(s, g, normalize(vec3(dot(d, ax), d.z, max(-dot(d, n), 0.05)))); break;
    case TEXTURE_GLASS:
        s.mirror = 1.0;
        s.f0 = 0.05;
        s.roughness = 0.05;
        break;
    case TEXTURE_METAL:
        g.tone *= 1.0 + 0.06 * (g.c + g.b + g.a);
        s.mirror = m.roughness < 0.35 ? 0.8 : 0.0;
        s.roughness = clamp(m.roughness + 0.1 * g.b, 0.08, 1.0);
        break;
    case TEXTURE_RUBBER: g.tone *= 1.0 + 0.15 * g.c + 0.10 * g.b + 0.25 * g.a; break;
    case TEXTURE_FABRIC: g.tone *= 1.0 + 0.10 * g.c + 0.14 * g.b + 0.12 * g.a; break;
    default: break;
    }
    s.albedo = clamp(s.albedo * max(g.tone * photo, vec3(0.05)), 0.0, 0.95);
    s.normal = normalize(n - (g.bend - n * dot(g.bend, n)) - g.slope.x * (ax - n * dot(ax, n)) -
                         g.slope.y * (ay - n * dot(ay, n)));
    return s;
}

/* Rain on a surface: darker, smoother, and where water stands a mirror. `up` is the geometric normal's z in the world,
 * `p` a world point. */
void surface_wet(inout surface s, float wet, float up, vec3 p, vec3 normal, float footprint) {
    if (wet <= 0.0) return;
    vec3 low = noise2(p.xy * 0.21 + 4.0), high = noise2(p.xy * 0.9 + 40.0);
    float level = clamp(up, 0.0, 1.0);
    float puddle = smoothstep(0.12, 0.65, low.x + 0.3 * high.x + 0.35 * wet - 0.25) * level * level * wet;
    s.albedo *= mix(vec3(1.0), vec3(0.42, 0.43, 0.45), wet * (0.50 + 0.50 * level)) * (1.0 - 0.3 * puddle);
    s.roughness = mix(s.roughness, mix(0.42, 0.10, puddle), wet * level);
    s.normal = normalize(mix(s.normal, normal, level * (0.70 + 0.30 * puddle)));
    s.mirror = max(s.mirror, wet * level * (0.36 + 0.64 * puddle));
    s.f0 = mix(s.f0, max(s.f0, 0.03), wet);
}

#endif
