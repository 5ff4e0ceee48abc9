#version 450
#extension GL_GOOGLE_include_directive : require
/* Falling rain and the spray of wheels, laid over the colours of a finished picture: the shaded colours and the beauty
 * picture get the same drops at the same place. Drops belong to the world and to time: columns of a grid in which they
 * fall at the speed of their size, seen as the line along which they move past the camera while its shutter is open. */
#include "scene/trace.glsl"
#include "scene/noise.glsl"
#include "scene/film.glsl"

layout(push_constant) uniform Push { uint colors, first, stride, along_ray; } push; /* see kn_render_rain_record */
layout(set = 0, binding = 5) buffer planes_inout { float planes[]; }; /* [3][h][w] display values from push.colors on */
layout(set = 0, binding = 6) buffer readonly away_in { float away[]; };

const float SHUTTER = 1.0 / 60.0; /* s */
const float PERIOD = 1.5;         /* m between the drops of a column */
const vec2 WIND = vec2(0.7, 0.4); /* m/s */
const float DARKEST = 0.004;      /* cover that is not worth lighting */

/* Something thin before the surface: what it hides, and where. */
struct veil {
    float cover; /* 0..1 */
    float metres;
};

/* Covers a share of what lies behind; the place is that of the thickest part. */
void add_drop(inout veil v, inout float thickest, float cover, float metres) {
    v.cover += (1.0 - v.cover) * cover;
    v.metres = cover > thickest ? metres : v.metres;
    thickest = max(cover, thickest);
}

/* --- drops ------------------------------------------------------------------------------------ */

/* What one column shows of its drop that is nearest to height `middle`. `eye` in metres of the grid, which moves with
 * the wind; `still` is how the air moves past the camera. */
void look_at_column(inout veil v, inout float thickest, ivec2 cell, int layer, float size, vec3 eye, vec3 ray,
                    vec3 still, float middle, float time, float reach, float pixel, float amount) {
    uint column = hash_corner(ivec3(cell, layer));
    float fall = mix(6.0, 9.0, unit(column)), phase = PERIOD * unit(column >> 16) + fall * time;
    int which = int(floor((middle + phase) / PERIOD));
    uint own = hash_corner(ivec3(cell.x, cell.y ^ (layer << 12), which));
    vec4 random = vec4(uvec4(own, own >> 8, own >> 16, own >> 24) & 255u) / 255.0;
    vec3 drop =
        vec3((vec2(cell) + 0.25 + 0.5 * random.xy) * size, (float(which) + 0.3 + 0.4 * random.z) * PERIOD - phase);
    float there = smoothstep(random.w - 0.02, random.w + 0.02, amount);

    vec3 motion = SHUTTER * (still - vec3(0.0, 0.0, fall));
    motion *= min(1.0, 0.5 * size / max(length(motion.xy), 1e-3)); /* what is longer would leave its column */
    vec3 offset = drop - eye;
    float b = dot(ray, motion), a = dot(motion, motion), along = dot(ray, offset);
    float s = clamp((b * along - dot(motion, offset)) / max(a - b * b, 1e-6), -0.5, 0.5), metres = along + s * b;
    float angle = length(offset + s * motion - metres * ray) / max(metres, 0.1);
    float radius = mix(0.0006, 0.0017, random.z * random.z); /* m */
    float soft = 0.6 * pixel + (radius + 0.0012) / max(metres, 0.1); /* the lens is focused far away */
    float shape = exp(-angle * angle / (soft * soft)) * radius / (soft * max(metres, 0.1));
    shape *= smoothstep(0.8, 1.6, metres) * (1.0 - smoothstep(6.0, 10.5, metres));
    float cover = metres < reach ? min(1.3 * shape * there, 0.6) : 0.0;
    add_drop(v, thickest, cover, metres);
}

/* A layer of columns `size` metres wide along the ray from `from` to `to` metres, turned about the vertical. */
void look_at_layer(inout veil v, inout float thickest, int layer, float size, vec2 turn, vec3 eye, vec3 ray, float from,
                   float to, float reach, float pixel, float amount) {
    vec3 still =
        vec3(WIND, 0.0) - vec3(frame_texel(FRAME_VIEW).w, frame_texel(FRAME_VIEW + 1).w, frame_texel(FRAME_VIEW + 2).w);
    mat2 rotate = mat2(turn.x, turn.y, -turn.y, turn.x);
    float time = frame_texel(FRAME_RAY_0).w;
    eye.xy = rotate * (eye.xy - WIND * time);
    ray.xy = rotate * ray.xy;
    still.xy = rotate * still.xy;
    vec2 start = (eye.xy + from * ray.xy) / size, cell = floor(start);
    vec2 way = mix(ray.xy, vec2(1e-6), lessThan(abs(ray.xy), vec2(1e-6))) / size, step = sign(way),
         per = abs(1.0 / way);
    vec2 next = from + (mix(start - cell, 1.0 + cell - start, greaterThan(way, vec2(0.0)))) * per;
    float at = from, end = min(to, reach);
    for (int i = 0; i < 32 && at < end; i++) {
        float leave = min(min(next.x, next.y), to);
        look_at_column(v, thickest, ivec2(cell), layer, size, eye, ray, still, eye.z + 0.5 * (at + leave) * ray.z, time,
                       reach, pixel, amount);
        bool by_x = next.x < next.y;
        at = leave;
        cell += by_x ? vec2(step.x, 0.0) : vec2(0.0, step.y);
        next += by_x ? vec2(per.x, 0.0) : vec2(0.0, per.y);
    }
}

veil look_at_drops(vec3 eye, vec3 ray, float reach, float pixel) {
    float amount = sqrt(min(frame_texel(FRAME_FOG).w, 1.0)), thickest = 0.0;
    int salt = int(frame_texel(FRAME_EXTRA).w);
    veil v = veil(0.0, 1.0);
    look_at_layer(v, thickest, salt, 0.7, vec2(0.8, 0.6), eye, ray, 0.9, 5.0, reach, pixel, amount);
    look_at_layer(v, thickest, salt + 77, 1.0, vec2(0.28, 0.96), eye, ray, 2.5, 10.5, reach, pixel, amount);
    bool roofed = occluded(eye + v.metres * ray, vec3(0.0, 0.0, 1.0), 0.0, v.cover > DARKEST ? 30.0 : -1.0);
    v.cover = roofed ? 0.0 : v.cover;
    return v;
}

/* --- spray ------------------------------------------------------------------------------------ */

float erf_like(float x) { return tanh(1.1283792 * x + 0.1009 * x * x * x); }

/* Optical thickness along the ray of a cloud of Gaussian density, 1 per metre at its middle; x: thickness, y: where it
 * is thickest. `offset` (middle to eye) and `ray` as seen along the cloud's axes, divided by its radii. */
vec2 thickness(vec3 offset, vec3 ray, float reach) {
    float a = dot(ray, ray), half_b = dot(offset, ray), root = sqrt(a), middle = -half_b / a;
    vec3 nearest = offset + middle * ray;
    float inside = erf_like(root * (reach - middle)) + erf_like(root * middle);
    return vec2(exp(-dot(nearest, nearest)) * 0.8862269 / root * max(inside, 0.0), clamp(middle, 0.0, reach));
}

/* Billows of the mist about a point of the ray, mean 1. */
float billows(vec3 p, vec3 ray) {
    return 1.0 + 0.28 * noise3(p * 1.1).w + 0.24 * noise3((p - 0.8 * ray) * 2.0 + 9.0).w +
           0.2 * noise3((p + 0.8 * ray) * 2.9 + 5.0).w;
}

/* The wake of one vehicle: a trail behind each rear wheel and a wider cloud between. `red` gets light of its rear
 * lamps. */
void look_at_spray(inout veil v, inout float thickest, inout float red, inout vec3 still, int index, vec3 eye, vec3 ray,
                   float reach) {
    int base = int(frame_texel(FRAME_EXTRA).z) + index * SPRAY_TEXELS;
    vec4 rear = frame_texel(base), heading = frame_texel(base + 1), size = frame_texel(base + 2);
    vec3 forward = heading.xyz, left = normalize(vec3(-forward.y, forward.x, 0.0)), up = cross(forward, left);
    vec3 from = eye - rear.xyz;
    vec3 place = vec3(dot(from, forward), dot(from, left), dot(from, up));
    vec3 way = vec3(dot(ray, forward), dot(ray, left), dot(ray, up)), middle = vec3(-1.9 * size.x, 0.0, 0.35 * size.y);
    vec3 narrow = 1.0 / vec3(size.x, 0.42, 0.36), wide = 1.0 / vec3(2.2 * size.x, heading.w * 0.95, size.y);
    float behind = 0.55 * size.x, aside = heading.w * 0.8;
    vec3 far = (place - middle) * wide, along = way * wide;
    far -= along * (dot(far, along) / dot(along, along));
    if (dot(far, far) > 12.0) return; /* it passes all of it by */
    vec2 one = thickness((place - vec3(-behind, aside, 0.2)) * narrow, way * narrow, reach);
    vec2 other = thickness((place - vec3(-behind, -aside, 0.2)) * narrow, way * narrow, reach);
    vec2 cloud = thickness((place - middle) * wide, way * wide, reach);
    float sum = rear.w * (0.5 * (one.x + other.x) + 0.24 * cloud.x);
    vec3 share = vec3(2.0 * one.x, 2.0 * other.x, cloud.x) + 1e-6;
    float metres = dot(share, vec3(one.y, other.y, cloud.y)) / (share.x + share.y + share.z);
    vec3 lamp = place + metres * way - vec3(0.0, 0.0, 0.7);
    lamp.y = max(abs(lamp.y) - 0.7 * heading.w, 0.0);
    float cover = 1.0 - exp(-sum);
    red = cover > thickest ? size.z / (0.3 + dot(lamp, lamp)) : red;
    still = cover > thickest ? 0.35 * rear.xyz : still;
    add_drop(v, thickest, cover, metres);
}

veil look_at_sprays(vec3 eye, vec3 ray, float reach, out float red) {
    int count = int(frame_texel(FRAME_EXTRA).y);
    veil v = veil(0.0, 1.0);
    vec3 still = vec3(0.0);
    float thickest = 0.0;
    red = 0.0;
    for (int i = 0; i < count; i++) look_at_spray(v, thickest, red, still, i, eye, ray, reach);
    if (v.cover > 0.4 * DARKEST)
        v.cover = 1.0 - pow(max(1.0 - v.cover, 1e-4), billows(eye + v.metres * ray - still, ray));
    return v;
}

/* --- light ------------------------------------------------------------------------------------ */

/* What water in the air shows: the sky's light from all round, lamps most of all against them. */
vec3 lit(vec3 eye, vec3 ray, veil v, float bright) {
    vec3 sum = vec3(0.0), position = eye + v.metres * ray;
    int count = v.cover > DARKEST ? min(light_count(), 10) : 0;
    for (int i = 0; i < count; i++) {
        vec3 towards;
        float metres;
        vec3 light = light_at(fetch_light(i), position, towards, metres);
        float q = 1.36 - 1.2 * dot(towards, ray); /* Henyey & Greenstein 1941, g 0.6 */
        sum += light * (0.05 + 0.2 * inversesqrt(q * q * q));
    }
    float scale = frame_texel(FRAME_LAMPS).x, peak = max(sum.x, max(sum.y, sum.z)) * scale;
    vec3 color = bright * mix(frame_texel(FRAME_GROUND).xyz, ambient(vec3(0.0, 0.0, 1.0)), 0.8) +
                 sum * (scale / (1.0 + 0.6 * peak));
    return mix(frame_texel(FRAME_FOG).xyz, color, fog_transmission(v.metres));
}

void main() {
    ivec2 pixel = block_pixel(), size = ivec2(frame_texel(FRAME_RAY_U).w, frame_texel(FRAME_RAY_V).w);
    if (pixel.x >= size.x || pixel.y >= size.y) return;
    uint plane = uint(size.x * size.y), at = uint(pixel.y * size.x + pixel.x);
    vec3 eye = frame_texel(FRAME_CAMERA).xyz, ray = camera_ray(vec2(pixel) + 0.5);
    float scale = length(ray), exposure = frame_texel(FRAME_SUN_COLOR).w, red;
    ray /= scale;
    float reach = min(away[push.first + at * push.stride] * (push.along_ray != 0u ? 1.0 : scale), 4000.0);
    veil spray = look_at_sprays(eye, ray, reach, red),
         drops = look_at_drops(eye, ray, reach, length(frame_texel(FRAME_RAY_U).xyz));
    vec3 mist = film((lit(eye, ray, spray, 1.1) + red * vec3(1.0, 0.06, 0.03)) * exposure);
    vec3 water = film(lit(eye, ray, drops, 0.9) * exposure);
    at += push.colors;
    vec3 color = vec3(planes[at], planes[at + plane], planes[at + 2u * plane]);
    color = mix(color, mist, spray.cover > DARKEST ? spray.cover : 0.0);
    color = mix(color, water, drops.cover > DARKEST ? drops.cover : 0.0);
    planes[at] = color.x;
    planes[at + plane] = color.y;
    planes[at + 2u * plane] = color.z;
}
