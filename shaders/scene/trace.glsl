/* Rays against the world and the actors of this frame: one threaded BVH, stored once for each of the four signs of a ray's
 * x and y so that children come front to back, walked without a stack (skip links: Smits 1998, "Efficiency issues for ray
 * tracing"). A node is one texel: its box in 16-bit steps of a grid, and where to go on when it is missed. */
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
    vec3 local_position;   /* in the part's own frame: the world's for static surfaces, actor's (wheel's) for moving ones */
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
    float root = direction.y >= 0.0 ? (direction.x >= 0.0 ? roots.x : roots.y) : (direction.x >= 0.0 ? roots.z : roots.w);
    w.node = root < 0.0 ? TREE_END : int(root);
    w.scale = inverse * frame_texel(FRAME_GRID_CELL).xyz;
    w.bias = inverse * (frame_texel(FRAME_GRID_LOW).xyz - origin);
    return w;
}

/* Looks at one node and goes on; the first triangle when it is a leaf that the ray may hit before t, else -1. */
int walk_node(inout walker w, float t_min, float t) {
    uvec4 packed = texelFetch(nodes, w.node);
    ivec3 lower = ivec3(packed.xyz & 0xffffu), upper = ivec3(packed.xyz >> 16u);
    float x0 = float(lower.x) * w.scale.x + w.bias.x, y0 = float(upper.x) * w.scale.y + w.bias.y, z0 = float(lower.y) * w.scale.z + w.bias.z;
    float x1 = float(upper.y) * w.scale.x + w.bias.x, y1 = float(lower.z) * w.scale.y + w.bias.y, z1 = float(upper.z) * w.scale.z + w.bias.z;
    float enter = max(max(x0, y0), max(min(z0, z1), t_min)), leave = min(min(x1, y1), min(max(z0, z1), t));
    bool inside = enter <= leave;
    int link = int(packed.w);
    w.node = inside || link < 0 ? w.node + 1 : link;
    return inside && link < 0 ? link & 0x7fffffff : -1;
}

/* Moller & Trumbore 1997; edges are widened by a hair so that neighbours leave no crack. */
bool hit_triangle(int triangle, vec3 origin, vec3 direction, float t_min, inout float t, inout vec2 barycentric, out float last) {
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

/* The world direction through image point (u, v) in pixels; its length is such that t is the depth along the view axis. */
vec3 camera_ray(vec2 pixel) {
    return pixel.x * frame_texel(FRAME_RAY_U).xyz + pixel.y * frame_texel(FRAME_RAY_V).xyz + frame_texel(FRAME_RAY_0).xyz;
}

/* The pixel of this invocation: a subgroup covers a compact block (4x2, 4x4, 8x4, 8x8 by its size). */
ivec2 block_pixel() {
    uint lanes = gl_WorkGroupSize.x, lane = gl_LocalInvocationID.x, wide = lanes >= 32u ? 8u : 4u;
    return ivec2(gl_WorkGroupID.xy * uvec2(wide, lanes / wide) + uvec2(lane % wide, lane / wide));
}

#endif
