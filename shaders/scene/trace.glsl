/* Rays against the world and the actors of this frame: one threaded BVH, stored once for each of the four signs of a
 * ray's x and y so that children come front to back, walked without a stack (skip links: Smits 1998, "Efficiency issues
 * for ray tracing"). A node is one texel: its box in 16-bit steps of a grid, and where to go on when it is missed. */
#ifndef KN_TRACE_GLSL
#define KN_TRACE_GLSL
#include "scene/scene.glsl"

struct hit {
    float t;               /* along the direction as given (metres when it is a unit vector) */
    vec3 position;         /* world, relative to the renderer's origin */
    vec3 normal;           /* shading normal, world, unit, on the ray's side */
    vec3 geometric_normal; /* of the triangle, world, unit, on the ray's side */
    vec2 uv;               /* metres along the surface */
    uint material;         /* index for fetch_material */
    uint instance;         /* label; 0: the unlabelled world */
    uint part;             /* 0: the world; else index for part_* */
    bool moving;           /* part != 0 */
    /* in the part's own frame: the world's for static surfaces, actor's (wheel's) for moving ones */
    vec3 local_position;
};

const int TREE_END = 0x7fffffff;

/* A ray prepared for boxes: a plane at step q is met at q * scale + bias. */
struct walker {
    vec3 scale, bias;
    int node;
};

walker start_walk(vec3 origin, vec3 direction) {
    walker w;
    vec3 inverse = 1.0 / mix(direction, vec3(1e-20), lessThan(abs(direction), vec3(1e-20)));
    vec4 roots = frame_texel(FRAME_ROOTS);
    float root =
        direction.y >= 0.0 ? (direction.x >= 0.0 ? roots.x : roots.y) : (direction.x >= 0.0 ? roots.z : roots.w);
    w.node = root < 0.0 ? TREE_END : int(root);
    w.scale = inverse * frame_texel(FRAME_GRID_CELL).xyz;
    w.bias = inverse * (frame_texel(FRAME_GRID_LOW).xyz - origin);
    return w;
}

/* Looks at one node and goes on; the first triangle when it is a leaf that the ray may hit before t, else -1. */
int walk_node(inout walker w, float t_min, float t) {
    uvec4 packed = texelFetch(nodes, w.node);
    ivec3 lower = ivec3(packed.xyz & 0xffffu), upper = ivec3(packed.xyz >> 16u);
    float x0 = float(lower.x) * w.scale.x + w.bias.x, y0 = float(upper.x) * w.scale.y + w.bias.y,
          z0 = float(lower.y) * w.scale.z + w.bias.z;
    float x1 = float(upper.y) * w.scale.x + w.bias.x, y1 = float(lower.z) * w.scale.y + w.bias.y,
          z1 = float(upper.z) * w.scale.z + w.bias.z;
    float enter = max(max(x0, y0), max(min(z0, z1), t_min)), leave = min(min(x1, y1), min(max(z0, z1), t));
    bool inside = enter <= leave;
    int link = int(packed.w);
    w.node = inside || link < 0 ? w.node + 1 : link;
    return inside && link < 0 ? link & 0x7fffffff : -1;
}

/* Moller & Trumbore 1997; edges are widened by a hair so that neighbours leave no crack. */
bool hit_triangle(int triangle, vec3 origin, vec3 direction, float t_min, inout float t, inout vec2 barycentric,
                  out float last) {
    vec4 corner = texelFetch(triangles, triangle * 3);
    vec3 edge1 = texelFetch(triangles, triangle * 3 + 1).xyz, edge2 = texelFetch(triangles, triangle * 3 + 2).xyz;
    last = corner.w;
    vec3 p = cross(direction, edge2);
    float determinant = dot(edge1, p);
    float inverse = 1.0 / (determinant == 0.0 ? 1e-30 : determinant);
    vec3 s = origin - corner.xyz, q = cross(s, edge1);
    float u = dot(s, p) * inverse, v = dot(direction, q) * inverse, at = dot(edge2, q) * inverse;
    bool inside = min(min(u, v), 1.0 - u - v) >= -1e-5 && at > t_min && at < t;
    t = inside ? at : t;
    barycentric = inside ? vec2(u, v) : barycentric;
    return inside;
}

/* The nearest triangle with t_min < t < t_max, or -1. The two inner loops are separate because software devices execute
 * both sides of a branch, but leave a loop when no lane needs it. */
int nearest(vec3 origin, vec3 direction, float t_min, inout float t, out vec2 barycentric) {
    walker w = start_walk(origin, direction);
    int found = -1, leaf;
    if (t <= t_min) w.node = TREE_END;
    barycentric = vec2(0.0);
    do {
        leaf = -1;
        while (leaf < 0 && w.node != TREE_END) leaf = walk_node(w, t_min, t);
        while (leaf >= 0) {
            float last;
            if (hit_triangle(leaf, origin, direction, t_min, t, barycentric, last)) found = leaf;
            leaf = last > 0.0 ? -1 : leaf + 1;
        }
    } while (w.node != TREE_END);
    return found;
}

/* Whether anything lies between t_min and t_max. */
bool occluded(vec3 origin, vec3 direction, float t_min, float t_max) {
    walker w = start_walk(origin, direction);
    float t = t_max;
    vec2 unused = vec2(0.0);
    bool blocked = false;
    int leaf;
    if (t_max <= t_min) w.node = TREE_END;
    do {
        leaf = -1;
        while (leaf < 0 && w.node != TREE_END) leaf = walk_node(w, t_min, t);
        while (leaf >= 0) {
            float last;
            if (hit_triangle(leaf, origin, direction, t_min, t, unused, last)) blocked = true;
            leaf = last > 0.0 || blocked ? -1 : leaf + 1;
        }
        w.node = blocked ? TREE_END : w.node;
    } while (w.node != TREE_END);
    return blocked;
}

/* --- bundles: rays of one pixel that share their walk ----------------------------------------- */

/* Four points on a rotated grid about a pixel's centre, in pixels. */
const vec4 SPOT_U = vec4(-0.125, 0.375, -0.375, 0.125), SPOT_V = vec4(-0.375, -0.125, 0.125, 0.375);

/* A walk for rays that lie about one: near and far planes of a box are met at q * scale + bias, widened so that every
 * ray of the bundle meets a box that it hits. Along z the sign is not known, so that the widening comes after. */
struct beam {
    vec3 near_scale, near_bias, far_scale, far_bias;
    vec2 near_z, far_z; /* factor, offset of the smaller and of the larger one of both planes */
    int node;
};

int walk_beam(inout beam b, float t_min, float t) {
    uvec4 packed = texelFetch(nodes, b.node);
    ivec3 lower = ivec3(packed.xyz & 0xffffu), upper = ivec3(packed.xyz >> 16u);
    float x0 = float(lower.x) * b.near_scale.x + b.near_bias.x, y0 = float(upper.x) * b.near_scale.y + b.near_bias.y;
    float x1 = float(upper.y) * b.far_scale.x + b.far_bias.x, y1 = float(lower.z) * b.far_scale.y + b.far_bias.y;
    float z0 = float(lower.y) * b.near_scale.z + b.near_bias.z, z1 = float(upper.z) * b.near_scale.z + b.near_bias.z;
    float enter = max(max(x0, y0), max(min(z0, z1) * b.near_z.x + b.near_z.y, t_min));
    float leave = min(min(x1, y1), min(max(z0, z1) * b.far_z.x + b.far_z.y, t));
    bool inside = enter <= leave;
    int link = int(packed.w);
    b.node = inside || link < 0 ? b.node + 1 : link;
    return inside && link < 0 ? link & 0x7fffffff : -1;
}

/* From one eye: directions differ by up to `spread` along each axis, less than the direction itself. */
beam start_cone(vec3 origin, vec3 direction, vec3 spread) {
    walker w = start_walk(origin, direction);
    vec3 k = spread / max(abs(direction), vec3(1e-20)), near = 1.0 / (1.0 + k), far = 1.0 / (1.0 - k);
    beam b;
    b.node = w.node;
    b.near_scale = vec3(w.scale.xy * near.xy, w.scale.z);
    b.near_bias = vec3(w.bias.xy * near.xy, w.bias.z);
    b.far_scale = vec3(w.scale.xy * far.xy, 0.0);
    b.far_bias = vec3(w.bias.xy * far.xy, 0.0);
    b.near_z = vec2(near.z, 0.0);
    b.far_z = vec2(far.z, 0.0);
    return b;
}

/* Along one direction: origins differ by up to `radius` along each axis. */
beam start_tube(vec3 origin, vec3 direction, vec3 radius) {
    walker w = start_walk(origin, direction);
    vec3 slack = radius / max(abs(direction), vec3(1e-20));
    beam b;
    b.node = w.node;
    b.near_scale = w.scale;
    b.far_scale = w.scale;
    b.near_bias = vec3(w.bias.xy - slack.xy, w.bias.z);
    b.far_bias = w.bias + slack;
    b.near_z = vec2(1.0, -slack.z);
    b.far_z = vec2(1.0, slack.z);
    return b;
}

/* What the ray through a pixel's centre and those through its four spots meet first: triangles, or -1. */
struct pixel_hits {
    int center;
    float t;
    vec2 barycentric;
    ivec4 spots;
    vec4 spot_t, spot_u, spot_v;
};

pixel_hits trace_pixel(vec3 origin, vec3 direction) {
    vec3 along_u = frame_texel(FRAME_RAY_U).xyz, along_v = frame_texel(FRAME_RAY_V).xyz;
    /* Where rays of one pixel turn about an axis a beam would be open to that side and meet half the world (a software
     * device ends loops after 65535 rounds). In that one row and one column of a picture each spot's ray walks
     * alone. */
    vec3 spread = 0.376 * (abs(along_u) + abs(along_v)), most = 0.9 * abs(direction);
    bool turns = any(greaterThan(spread, most));
    beam b = start_cone(origin, direction, min(spread, most));
    pixel_hits h = pixel_hits(-1, 1e9, vec2(0.0), ivec4(-1), vec4(1e9), vec4(0.0), vec4(0.0));
    float t_min = 0.02, last, farthest = 1e9;
    int leaf;
    do {
        leaf = -1;
        while (leaf < 0 && b.node != TREE_END) leaf = walk_beam(b, t_min, farthest);
        while (leaf >= 0) { /* as hit_triangle, with what rays from one point share */
            vec4 corner = texelFetch(triangles, leaf * 3);
            vec3 edge1 = texelFetch(triangles, leaf * 3 + 1).xyz, edge2 = texelFetch(triangles, leaf * 3 + 2).xyz;
            vec3 s = origin - corner.xyz, q = cross(s, edge1), p = cross(edge2, s), n = cross(edge2, edge1);
            float height = dot(edge2, q), d = dot(direction, n), u = dot(direction, p), v = dot(direction, q);
            float inverse = 1.0 / (d == 0.0 ? 1e-30 : d), at = height * inverse;
            bool inside =
                min(min(u * inverse, v * inverse), 1.0 - (u + v) * inverse) >= -1e-5 && at > t_min && at < h.t;
            h.t = inside ? at : h.t;
            h.barycentric = inside ? vec2(u, v) * inverse : h.barycentric;
            h.center = inside ? leaf : h.center;
            vec4 d4 = d + SPOT_U * dot(along_u, n) + SPOT_V * dot(along_v, n);
            vec4 inverse4 = 1.0 / mix(d4, vec4(1e-30), equal(d4, vec4(0.0))), at4 = height * inverse4;
            vec4 u4 = (u + SPOT_U * dot(along_u, p) + SPOT_V * dot(along_v, p)) * inverse4;
            vec4 v4 = (v + SPOT_U * dot(along_u, q) + SPOT_V * dot(along_v, q)) * inverse4;
            vec4 low = min(min(u4, v4), 1.0 - u4 - v4);
            bvec4 hit4 = bvec4(uvec4(greaterThanEqual(low, vec4(-1e-5))) & uvec4(greaterThan(at4, vec4(t_min))) &
                               uvec4(lessThan(at4, h.spot_t)));
            h.spot_t = mix(h.spot_t, at4, hit4);
            h.spot_u = mix(h.spot_u, u4, hit4);
            h.spot_v = mix(h.spot_v, v4, hit4);
            h.spots = mix(h.spots, ivec4(leaf), hit4);
            leaf = corner.w > 0.0 ? -1 : leaf + 1;
        }
        farthest = max(max(h.t, max(h.spot_t.x, h.spot_t.y)), max(h.spot_t.z, h.spot_t.w));
    } while (b.node != TREE_END);
    for (int s = 0; s < 4; s++) {
        bvec4 own = equal(ivec4(s), ivec4(0, 1, 2, 3));
        vec3 ray = direction + dot(vec4(own), SPOT_U) * along_u + dot(vec4(own), SPOT_V) * along_v;
        float t = turns ? 1e9 : -1.0;
        vec2 barycentric;
        int met = nearest(origin, ray, t_min, t, barycentric);
        own = bvec4(uvec4(own) & uvec4(turns));
        h.spots = mix(h.spots, ivec4(met), own);
        h.spot_t = mix(h.spot_t, vec4(t), own);
        h.spot_u = mix(h.spot_u, vec4(barycentric.x), own);
        h.spot_v = mix(h.spot_v, vec4(barycentric.y), own);
    }
    return h;
}

/* Where the spots' rays meet the plane of the triangle that the centre's ray met; the centre's own point where that is
 * far off. */
pixel_hits spread_pixel(int triangle, vec3 origin, vec3 direction) {
    vec3 along_u = frame_texel(FRAME_RAY_U).xyz, along_v = frame_texel(FRAME_RAY_V).xyz;
    vec4 corner = texelFetch(triangles, max(triangle, 0) * 3);
    vec3 edge1 = texelFetch(triangles, max(triangle, 0) * 3 + 1).xyz,
         edge2 = texelFetch(triangles, max(triangle, 0) * 3 + 2).xyz;
    vec3 s = origin - corner.xyz, q = cross(s, edge1), p = cross(edge2, s), n = cross(edge2, edge1);
    float height = dot(edge2, q), d = dot(direction, n), inverse = 1.0 / (d == 0.0 ? 1e-30 : d);
    vec4 d4 = d + SPOT_U * dot(along_u, n) + SPOT_V * dot(along_v, n);
    bvec4 fits =
        bvec4(uvec4(greaterThan(d4 * sign(d), vec4(0.5 * abs(d)))) & uvec4(lessThan(d4 * sign(d), vec4(2.0 * abs(d)))));
    vec4 keep = vec4(fits), inverse4 = mix(vec4(inverse), 1.0 / mix(vec4(1.0), d4, fits), fits);
    pixel_hits h;
    h.center = triangle;
    h.t = height * inverse;
    h.barycentric = vec2(dot(direction, p), dot(direction, q)) * inverse;
    h.spots = ivec4(triangle);
    h.spot_t = height * inverse4;
    h.spot_u = (dot(direction, p) + keep * (SPOT_U * dot(along_u, p) + SPOT_V * dot(along_v, p))) * inverse4;
    h.spot_v = (dot(direction, q) + keep * (SPOT_U * dot(along_u, q) + SPOT_V * dot(along_v, q))) * inverse4;
    return h;
}

/* Tells things apart that an edge separates: by material and instance. */
const uint SKY_KEY = 0xffffffffu;
uint pixel_key(int triangle) {
    uint material = uint(texelFetch(triangles, max(triangle, 0) * 3 + 1).w),
         instance = uint(texelFetch(triangles, max(triangle, 0) * 3 + 2).w);
    return triangle < 0 ? SKY_KEY : material | instance << 16u;
}

/* A triangle as a pixel's spots compare them: what it belongs to and where it faces. */
struct facet {
    uint key;
    vec3 normal;
};

facet facet_of(int triangle) {
    vec4 edge1 = texelFetch(triangles, max(triangle, 0) * 3 + 1),
         edge2 = texelFetch(triangles, max(triangle, 0) * 3 + 2);
    return facet(triangle < 0 ? SKY_KEY : uint(edge1.w) | uint(edge2.w) << 16u, normalize(cross(edge1.xyz, edge2.xyz)));
}

/* One surface: the same thing, facing about the same way. */
bool alike(facet a, facet b) { return a.key == b.key && (a.key == SKY_KEY || dot(a.normal, b.normal) > 0.9); }

/* Which of four parallel rays are blocked between t_min and t_max; they start at origin + (x, y, z)[i]. Only those in
 * `wanted` are looked at. */
bvec4 occluded_tube(vec3 origin, vec4 x, vec4 y, vec4 z, bvec4 wanted, vec3 direction, float t_min, float t_max) {
    vec4 keep = vec4(wanted);
    x *= keep, y *= keep, z *= keep;
    vec3 radius = vec3(max(max(abs(x.x), abs(x.y)), max(abs(x.z), abs(x.w))),
                       max(max(abs(y.x), abs(y.y)), max(abs(y.z), abs(y.w))),
                       max(max(abs(z.x), abs(z.y)), max(abs(z.z), abs(z.w))));
    beam b = start_tube(origin, direction, radius);
    bvec4 blocked = not(wanted);
    int leaf;
    if (t_max <= t_min || all(blocked)) b.node = TREE_END;
    do {
        leaf = -1;
        while (leaf < 0 && b.node != TREE_END) leaf = walk_beam(b, t_min, t_max);
        while (leaf >= 0) {
            vec4 corner = texelFetch(triangles, leaf * 3);
            vec3 edge1 = texelFetch(triangles, leaf * 3 + 1).xyz, edge2 = texelFetch(triangles, leaf * 3 + 2).xyz;
            vec3 s = origin - corner.xyz, p = cross(direction, edge2), q = cross(edge1, direction),
                 n = cross(edge1, edge2);
            float d = dot(edge1, p), inverse = 1.0 / (d == 0.0 ? 1e-30 : d);
            vec4 u = (dot(s, p) + x * p.x + y * p.y + z * p.z) * inverse,
                 v = (dot(s, q) + x * q.x + y * q.y + z * q.z) * inverse;
            vec4 at = (dot(s, n) + x * n.x + y * n.y + z * n.z) * inverse, low = min(min(u, v), 1.0 - u - v);
            uvec4 met = uvec4(greaterThanEqual(low, vec4(-1e-5))) & uvec4(greaterThan(at, vec4(t_min))) &
                        uvec4(lessThan(at, vec4(t_max)));
            blocked = bvec4(uvec4(blocked) | met);
            leaf = corner.w > 0.0 || all(blocked) ? -1 : leaf + 1;
        }
        b.node = all(blocked) ? TREE_END : b.node;
    } while (b.node != TREE_END);
    return bvec4(uvec4(blocked) & uvec4(wanted));
}

/* --- surfaces --------------------------------------------------------------------------------- */

/* Everything about the point that `nearest` found. */
hit surface_at(int triangle, vec2 barycentric, vec3 origin, vec3 direction, float t) {
    vec4 a = texelFetch(attributes, triangle * 4), b = texelFetch(attributes, triangle * 4 + 1);
    vec4 c = texelFetch(attributes, triangle * 4 + 2), d = texelFetch(attributes, triangle * 4 + 3);
    vec3 corner = texelFetch(triangles, triangle * 3).xyz;
    vec4 edge1 = texelFetch(triangles, triangle * 3 + 1), edge2 = texelFetch(triangles, triangle * 3 + 2);
    hit h;
    h.t = t;
    h.position = corner + barycentric.x * edge1.xyz + barycentric.y * edge2.xyz;
    h.geometric_normal = normalize(cross(edge1.xyz, edge2.xyz));
    h.geometric_normal = dot(h.geometric_normal, direction) > 0.0 ? -h.geometric_normal : h.geometric_normal;
    float w = 1.0 - barycentric.x - barycentric.y;
    vec3 normal = w * a.xyz + barycentric.x * b.xyz + barycentric.y * c.xyz;
    float square = dot(normal, normal);
    normal = square > 1e-12 ? normal * inversesqrt(square) : h.geometric_normal;
    h.normal = dot(normal, h.geometric_normal) < 0.0 ? -normal : normal;
    h.uv = w * vec2(a.w, b.w) + barycentric.x * vec2(c.w, d.x) + barycentric.y * d.yz;
    h.material = uint(edge1.w);
    h.instance = uint(edge2.w);
    h.part = uint(d.w);
    h.moving = h.part != 0u;
    h.local_position = part_local(h.part, h.position);
    return h;
}

/* The nearest surface with t_min < t < t_max. */
bool trace(vec3 origin, vec3 direction, float t_min, float t_max, out hit h) {
    float t = t_max;
    vec2 barycentric;
    int triangle = nearest(origin, direction, t_min, t, barycentric);
    h = surface_at(max(triangle, 0), barycentric, origin, direction, t);
    return triangle >= 0;
}

/* The world direction through image point (u, v) in pixels; its length is such that t is the depth along the view
 * axis. */
vec3 camera_ray(vec2 pixel) {
    return pixel.x * frame_texel(FRAME_RAY_U).xyz + pixel.y * frame_texel(FRAME_RAY_V).xyz +
           frame_texel(FRAME_RAY_0).xyz;
}

/* The pixel of this invocation: a subgroup covers a compact block (4x2, 4x4, 8x4, 8x8 by its size). */
ivec2 block_pixel() {
    uint lanes = gl_WorkGroupSize.x, lane = gl_LocalInvocationID.x, wide = lanes >= 32u ? 8u : 4u;
    return ivec2(gl_WorkGroupID.xy * uvec2(wide, lanes / wide) + uvec2(lane % wide, lane / wide));
}

#endif
