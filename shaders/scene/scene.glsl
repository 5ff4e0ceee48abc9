/* What every scene kernel reads: BVH nodes, triangles, their attributes, materials and the frame's parameters, all
 * through uniform texel buffers of vec4 (fast on software Vulkan). Included with GL_GOOGLE_include_directive. The host
 * side of these layouts is scene/render/render_pack.c; both change together.
 *
 * Bindings 0..4 are fixed; a kernel's own buffers start at 5. Specialization constant 0 is local_size_x = subgroup
 * size. World coordinates here are metres relative to the renderer's origin (a constant of the scene near its
 * middle). */
#ifndef KN_SCENE_GLSL
#define KN_SCENE_GLSL

layout(local_size_x_id = 0) in;

layout(set = 0, binding = 0) uniform usamplerBuffer nodes;     /* one texel each: kn_bvh_packed in scene/render/bvh.h */
/* 3 texels each: corner, last-of-leaf | edge 1, material | edge 2, instance */
layout(set = 0, binding = 1) uniform samplerBuffer triangles;
/* 4 texels each: n0 u0 | n1 v0 | n2 u1 | v1 u2 v2 part */
layout(set = 0, binding = 2) uniform samplerBuffer attributes;
layout(set = 0, binding = 3) uniform samplerBuffer materials;  /* 3 texels each */
layout(set = 0, binding = 4) uniform samplerBuffer frame_data; /* header, lights, parts */

/* --- header texels of frame_data -------------------------------------------------------------- */
#define FRAME_CAMERA 0      /* camera centre; w: frame number */
/* world direction = u RAY_U + v RAY_V + RAY_0 (depth 1 along the view axis); w: width, pixels */
#define FRAME_RAY_U 1
/*                                                                            w: height, pixels */
#define FRAME_RAY_V 2
/*                                                                            w: seconds of the scenario */
#define FRAME_RAY_0 3
#define FRAME_VIEW 4        /* 3 texels: world-to-camera rotation rows; w: the camera's velocity, m/s in the world */
#define FRAME_PREVIOUS 7    /* 3 texels: rows of the previous frame's 3x4 projection K [R|t] (pixels) */
#define FRAME_SUN 10        /* unit direction towards the sun or moon; w: 1 when it casts visible shadows */
#define FRAME_SUN_COLOR 11  /* its irradiance / pi: a white surface facing it shows this; w: exposure of the film */
#define FRAME_ZENITH 12     /* sky radiance straight up; w: cloud cover 0..1 */
#define FRAME_HORIZON 13    /* sky radiance at the horizon; w: fog extinction per metre */
#define FRAME_GROUND 14     /* light coming up from the ground; w: wetness 0..1 */
#define FRAME_FOG 15        /* fog radiance; w: rain 0..1 */
#define FRAME_LAMPS 16      /* x: scale of lamps' light onto surfaces, y: street lamps and windows on 0..1,
                               z: darkness 0 day .. 1 night, w: scale of emission as seen by the camera */
#define FRAME_ROOTS 17      /* root node for direction signs: (+x+y, -x+y, +x-y, -x-y); -1: nothing there */
#define FRAME_COUNTS 18     /* lights, first light texel, parts, first part texel */
#define FRAME_SEED 19       /* noise seed in four 16-bit numbers */
#define FRAME_EXTRA 20      /* beauty samples, sprays, first spray texel, seed of rain */
#define FRAME_GRID_LOW 21   /* of the packed nodes: coordinate = low + q * cell; w: first photograph in `materials` */
#define FRAME_GRID_CELL 22  /* w: share of the height of a photographed sky that is seen */
#define FRAME_SKY 23        /* a photographed sky: its first texel in `materials` (0: none), turns, scale, width */
#define FRAME_HEADER 24

#define LIGHT_TEXELS 3
#define PART_TEXELS 7
#define SPRAY_TEXELS 3

vec4 frame_texel(int index) { return texelFetch(frame_data, index); }

/* --- materials: kn_material ------------------------------------------------------------------- */
struct surface_material {
    vec3 color;      /* linear */
    float roughness;
    vec3 emission;   /* linear, when switched on */
    float metallic;
    int texture_kind; /* kn_texture */
    int picture;      /* photograph of a material pack, 0: none */
    int emitter;     /* kn_emitter */
    int semantic;    /* kn_semantic */
    float wettable;
};

surface_material fetch_material(uint index) {
    vec4 a = texelFetch(materials, int(index) * 3), b = texelFetch(materials, int(index) * 3 + 1),
         c = texelFetch(materials, int(index) * 3 + 2);
    int kind = int(c.x);
    return surface_material(a.xyz, a.w, b.xyz, b.w, kind & 31, kind >> 5, int(c.y), int(c.z), c.w);
}

/* --- lights: street lamps and head lamps near the camera, most important first ---------------- */
struct point_light {
    vec3 position;
    float range;     /* metres beyond which it gives nothing */
    vec3 direction;  /* unit axis of the cone; zero: all round */
    float cone_cos;
    vec3 color;      /* a white surface facing it at d metres shows color / d^2; multiply by FRAME_LAMPS.x */
};

int light_count() { return int(frame_texel(FRAME_COUNTS).x); }

point_light fetch_light(int index) {
    int base = int(frame_texel(FRAME_COUNTS).y) + index * LIGHT_TEXELS;
    vec4 a = frame_texel(base), b = frame_texel(base + 1), c = frame_texel(base + 2);
    return point_light(a.xyz, a.w, b.xyz, b.w, c.xyz);
}

/* What light `lamp` gives to a surface point, without the cosine and without shadows; `towards` is the unit direction.
 * Narrow cones are head lamps: most of the light goes into a flat beam along the axis that is cut off above it, as
 * dipped beams are (UN R112), so that the road is lit evenly and nobody is dazzled. */
vec3 light_at(point_light lamp, vec3 position, out vec3 towards, out float away) {
    vec3 offset = lamp.position - position;
    float squared = max(dot(offset, offset), 0.01);
    away = sqrt(squared);
    towards = offset / away;
    float q = squared / (lamp.range * lamp.range), window = max(1.0 - q * q, 0.0);
    float axis = -dot(towards, lamp.direction);
    float cone = dot(lamp.direction, lamp.direction) < 0.5
                     ? 1.0
                     : smoothstep(lamp.cone_cos, mix(lamp.cone_cos, 1.0, 0.35), axis);
    if (lamp.cone_cos > 0.8) {
        vec3 aside = -towards - lamp.direction;
        float up = aside.z * aside.z, across = dot(aside, aside) - up;
        float beam = exp(-across / 0.03 - up / 0.0022) * (1.0 - 0.96 * smoothstep(-0.004, 0.012, aside.z));
        cone = 0.06 * cone + (axis > 0.0 ? 7.0 * beam : 0.0);
    }
    return lamp.color * (cone * window * window / max(squared, 0.25));
}

/* --- parts: rigid things that move (an actor's body, each of its wheels); part 0 is the world --- */
vec3 part_transform(uint part, int row, vec3 point) {
    int base = int(frame_texel(FRAME_COUNTS).w) + int(part) * PART_TEXELS + row;
    vec4 p = vec4(point, 1.0);
    return vec3(dot(frame_texel(base), p), dot(frame_texel(base + 1), p), dot(frame_texel(base + 2), p));
}
vec3 part_local(uint part, vec3 world) { return part_transform(part, 0, world); }    /* world to the part's own frame */
/* where the point was a frame ago */
vec3 part_previous(uint part, vec3 world) { return part_transform(part, 3, world); }
/* kn_actor_state.lamps, indicators already blinking; 0 for the world. */
uint part_lamps(uint part) {
    return uint(frame_texel(int(frame_texel(FRAME_COUNTS).w) + int(part) * PART_TEXELS + 6).x);
}

/* How far an emitter (kn_emitter) of a part is switched on, 0..1. */
float emitter_state(int emitter, uint part) {
    if (emitter == 0) return 0.0;
    if (emitter == 1) return 1.0;
    if (emitter >= 8) return frame_texel(FRAME_LAMPS).y;
    uint lamps = part_lamps(part), bit = 1u << uint(emitter - 2); /* HEAD 2 -> 1, TAIL 3 -> 2, ..., REVERSE 7 -> 32 */
    return (lamps & bit) != 0u ? 1.0 : 0.0;
}

/* --- the sky without clouds' detail ----------------------------------------------------------- */
vec3 sky_gradient(vec3 direction) {
    float up = clamp(direction.z, 0.0, 1.0);
    vec3 zenith = frame_texel(FRAME_ZENITH).xyz, horizon = frame_texel(FRAME_HORIZON).xyz;
    return mix(horizon, zenith, 1.0 - exp2(-6.0 * up));
}

/* Light from sky and ground onto a surface with this normal: what a white surface shows. */
vec3 ambient(vec3 normal) {
    vec3 sky = 0.6 * frame_texel(FRAME_ZENITH).xyz + 0.4 * frame_texel(FRAME_HORIZON).xyz;
    return mix(frame_texel(FRAME_GROUND).xyz, sky, 0.5 + 0.5 * normal.z);
}

/* Fraction of light that crosses `metres` of fog. */
float fog_transmission(float metres) { return exp(-frame_texel(FRAME_HORIZON).w * metres); }

/* What fog leaves of the sky at this height (the z of a unit direction), in proportion to how sky.glsl veils it. */
float sky_visibility(float up) {
    float extinction = frame_texel(FRAME_HORIZON).w, fogged = clamp(extinction * 250.0, 0.0, 1.0);
    up = max(up, 0.0);
    float haze = exp(-up * mix(22.0, 5.0, clamp(extinction * 60.0, 0.0, 1.0)));
    return 1.0 - fogged * clamp(0.65 * haze + 0.6 * exp(-2.0 * up), 0.0, 1.0);
}

#endif
