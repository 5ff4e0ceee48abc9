#version 450
#extension GL_EXT_control_flow_attributes : require
/* PatchMatch stereo with slanted planes (Bleyer et al. 2011): one colour of the checkerboard of one eye. Every pixel
 * compares its plane with its neighbours' and with random changes, by weighted normalised cross-correlation with the
 * best three source eyes, plus how well the plane agrees with the sources' own planes. */
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Push {
    vec4 k;           /* fx fy cx cy of the eye */
    ivec2 image;      /* pixels */
    int eye, sources; /* index; how many source eyes */
    int first, count; /* part of the pixel list */
    uint seed;
    int changes;      /* random hypotheses per pixel; -1: only rate the plane that is there */
    float change;     /* size of the random changes, 1: the whole range */
    float agreement;  /* weight of the geometric term */
    int stride;       /* pixels from one eye to the next */
    /* scenes: how many times as wide a patch is; random changes are even in inverse depth. 0: orbits */
    int scan;
    vec4 ground;      /* plane in the camera that the object may stand on: normal, distance along it; 0: none */
} push;
/* [eye][stride: height x width] grey at x, x + 1, y + 1, both; 0 outside */
layout(set = 0, binding = 0) uniform samplerBuffer images;
/* [eye][8 sources][8]: ray of the eye to pixel of the source (3), back (3), k, index */
layout(set = 0, binding = 1) uniform samplerBuffer pairs;
layout(set = 0, binding = 2) uniform usamplerBuffer pixels;   /* list of pixel indices */
layout(set = 0, binding = 3) uniform samplerBuffer bounds;    /* [height][width][2] nearest and farthest depth */
/* [eye][stride: height x width] normal, depth; depth 0: none */
layout(set = 0, binding = 4) uniform samplerBuffer planes;
layout(set = 0, binding = 5) writeonly buffer Planes { vec4 new_planes[]; };
layout(set = 0, binding = 6) writeonly buffer Costs { float costs[]; };

const int SAMPLES = 25; /* every other pixel of 7 x 7 */
const float NOISE = 3.5e-5; /* variance of the pictures' noise, (1.5 / 255)^2 */
float reference[SAMPLES], weight[SAMPLES], mean, variance, total;
ivec2 pixel;

vec3 ray_of(ivec2 p) { return vec3((vec2(p) + 0.5 - push.k.zw) / push.k.xy, 1.0); }
ivec2 offset(int i) { return ivec2((2 * i) % 7 - 3, (2 * i) / 7 - 3) * max(push.scan, 1); }

void load_reference() {
    float sum = 0.0, squares = 0.0, centre = 0.0;
    total = 0.0;
    int base = push.eye * push.stride;
    [[unroll]] for (int i = 0; i < SAMPLES; i++) {
        ivec2 o = offset(i), q = clamp(pixel + o, ivec2(0), push.image - 1);
        float v = texelFetch(images, base + q.y * push.image.x + q.x).x;
        float w = v > 0.01 && q == pixel + o ? exp(-float(o.x * o.x + o.y * o.y) / 12.0) : 0.0;
        if (push.scan > 0) { /* what looks different may lie elsewhere (Yoon & Kweon 2006) */
            float off = v - texelFetch(images, base + pixel.y * push.image.x + pixel.x).x,
                  r = float(push.scan * push.scan);
            w = w > 0.0 ? exp(-float(o.x * o.x + o.y * o.y) / (18.0 * r) - off * off / 0.08) : 0.0;
        }
        reference[i] = v, weight[i] = w;
        total += w, sum += w * v, squares += w * v * v;
    }
    mean = sum / max(total, 1e-6);
    variance = max(squares / max(total, 1e-6) - mean * mean, 0.0);
}

/* 1 - correlation with one source, 0..2; more when they disagree about depth. */
float rate_source(int source, vec3 normal, float depth) {
    int base = (push.eye * 8 + source) * 8;
    vec4 m0 = texelFetch(pairs, base), m1 = texelFetch(pairs, base + 1), m2 = texelFetch(pairs, base + 2);
    vec3 ray = ray_of(pixel), t = vec3(m0.w, m1.w, m2.w);
    float c = dot(normal, ray) * depth;
    vec3 h = vec3(dot(m0.xyz, ray), dot(m1.xyz, ray), dot(m2.xyz, ray)) + t / depth;
    vec3 hx = (vec3(m0.x, m1.x, m2.x) + t * normal.x / c) / push.k.x,
         hy = (vec3(m0.y, m1.y, m2.y) + t * normal.y / c) / push.k.y;
    float inverse = 1.0 / max(h.z, 1e-6);
    vec2 at = h.xy * inverse, jx = (hx.xy - at * hx.z) * inverse, jy = (hy.xy - at * hy.z) * inverse;
    if (h.z < 1e-6 || at != clamp(at, vec2(2.0), vec2(push.image) - 2.0)) return 2.0;
    int other = int(texelFetch(pairs, base + 7).x) * push.stride;
    float sum = 0.0, squares = 0.0, product = 0.0;
    [[unroll]] for (int i = 0; i < SAMPLES; i++) {
        vec2 q = clamp(at + float(offset(i).x) * jx + float(offset(i).y) * jy - 0.5, vec2(0.0), vec2(push.image - 1));
        vec2 f = fract(q);
        ivec2 corner = ivec2(q);
        vec4 quad = texelFetch(images, other + corner.y * push.image.x + corner.x);
        vec2 rows = mix(quad.xz, quad.yw, f.x);
        float v = mix(rows.x, rows.y, f.y), wv = weight[i] * v;
        sum += wv, squares += wv * v, product += wv * reference[i];
    }
    sum /= total, squares /= total, product /= total;
    float correlation =
        (product - mean * sum) * inversesqrt((variance + NOISE) * (max(squares - sum * sum, 0.0) + NOISE));
    float cost = 1.0 - clamp(correlation, -1.0, 1.0);
    if (push.agreement > 0.0) {
        ivec2 s = ivec2(at);
        float theirs = texelFetch(planes, other + s.y * push.image.x + s.x).w;
        vec4 k = texelFetch(pairs, base + 6);
        vec4 point = vec4(vec3((at - k.zw) / k.xy, 1.0) * theirs, 1.0);
        vec3 back = vec3(dot(texelFetch(pairs, base + 3), point), dot(texelFetch(pairs, base + 4), point),
                         dot(texelFetch(pairs, base + 5), point));
        float error = theirs > 0.0 && back.z > 1e-6 ? length(back.xy / back.z - vec2(pixel) - 0.5) : 2.0;
        cost += push.agreement * min(error, 2.0);
    }
    return cost;
}

/* Mean of the three lowest costs; in scenes, whose pictures may be few and far apart, of two. */
float rate(vec3 normal, float depth) {
    vec3 best = vec3(1.5);
    for (int s = 0; s < push.sources; s++) {
        float c = rate_source(s, normal, depth);
        float middle = max(best.x, c), low = min(best.x, c);
        best = vec3(low, min(best.y, middle), min(best.z, max(best.y, middle)));
    }
    return push.scan == 0 ? (best.x + best.y + best.z) / 3.0 : (best.x + best.y) / 2.0;
}

uint state;
float random() {
    state = state * 747796405u + 2891336453u;
    uint word = ((state >> ((state >> 28) + 4u)) ^ state) * 277803737u;
    return float(((word >> 22) ^ word) & 0xffffffu) / 16777216.0;
}

void main() {
    int item = int(gl_GlobalInvocationID.x);
    if (item >= push.count) return;
    int index = int(texelFetch(pixels, push.first + item).x), base = push.eye * push.stride;
    pixel = ivec2(index % push.image.x, index / push.image.x);
    state = uint(index) * 1973u + push.seed * 9277u;
    load_reference();
    vec4 best = texelFetch(planes, base + index);
    vec2 range = vec2(texelFetch(bounds, 2 * index).x, texelFetch(bounds, 2 * index + 1).x);
    vec3 ray = ray_of(pixel);
    float lowest = rate(best.xyz, best.w);
    int hypotheses = push.changes < 0 ? 0 : 9 + push.changes;
    for (int i = 0; i < hypotheses; i++) {
        vec4 plane = best;
        if (i < 8) {
            ivec2 step = i < 4 ? ivec2(1, 0) : ivec2(i < 6 ? 3 : 5, 0);
            step = (i & 1) == 0 ? step : -step;
            step = (i & 2) == 0 ? step : step.yx;
            ivec2 q = pixel + step;
            bool inside = q == clamp(q, ivec2(0), push.image - 1);
            vec4 near = texelFetch(planes, base + (inside ? q.y * push.image.x + q.x : index));
            float along = dot(near.xyz, ray);
            if (near.w > 0.0 && along < -0.05) plane = vec4(near.xyz, near.w * dot(near.xyz, ray_of(q)) / along);
        } else if (i == 8) {
            float along = dot(push.ground.xyz, ray);
            if (along < -0.05) plane = vec4(push.ground.xyz, push.ground.w / along);
        } else {
            float size = push.change * exp2(-2.0 * float((i - 9) / 3)); /* fewer and fewer, finer and finer */
            int what = (i - 9) % 3;
            vec3 shake = vec3(random(), random(), random()) * 2.0 - 1.0;
            float shift = (random() * 2.0 - 1.0) * size;
            float moved = push.scan == 0 ? plane.w + shift * (range.y - range.x)
                                         : 1.0 / max(1.0 / plane.w + shift * (1.0 / range.x - 1.0 / range.y), 1e-6);
            if (what != 1) plane.w = clamp(moved, range.x, range.y);
            if (what != 0)
                plane.xyz = normalize(plane.xyz +
                                      shake * (push.scan == 0 ? min(4.0 * size, 1.0) : clamp(4.0 * size, 0.1, 1.0)));
        }
        bool possible = plane.w >= range.x && plane.w <= range.y && dot(plane.xyz, ray) < -0.1 * length(ray);
        float cost = possible ? rate(plane.xyz, plane.w) : 9.0;
        if (cost < lowest) {
            lowest = cost;
            best = plane;
        }
    }
    new_planes[index] = best;
    costs[index] = lowest;
}
