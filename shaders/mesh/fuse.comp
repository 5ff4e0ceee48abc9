#version 450
/* Weighted signed distance (Curless & Levoy 1996) of every voxel to the planes that the eyes measured; the hull is the
 * prior. */
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Push {
    vec4 origin; /* xyz of voxel 0, step */
    ivec4 size;  /* voxels along x, y, z, number of eyes */
    ivec2 image; /* pixels */
    float reach; /* distances are cut at this many work units */
    float prior; /* weight of the hull */
} push;
layout(set = 0, binding = 0) uniform samplerBuffer eyes;   /* per eye: 3 rows of r|t, then fx fy cx cy */
layout(set = 0, binding = 1) uniform samplerBuffer planes; /* [eye][height][width] normal xy, depth, weight */
layout(set = 0, binding = 2) uniform samplerBuffer hull;   /* signed distances */
layout(set = 0, binding = 3) writeonly buffer Values { float values[]; };
layout(set = 0, binding = 4) writeonly buffer Weights { float weights[]; };

void main() {
    int index =
        int((gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_WorkGroupSize.x + gl_LocalInvocationID.x);
    if (index >= push.size.x * push.size.y * push.size.z) return;
    ivec3 voxel = ivec3(index % push.size.x, index / push.size.x % push.size.y, index / (push.size.x * push.size.y));
    vec4 p = vec4(push.origin.xyz + push.origin.w * vec3(voxel), 1.0);
    float carved = texelFetch(hull, index).x, sum = 0.0, weight = 0.0;
    if (carved < 2.0 * push.origin.w) {
        for (int e = 0; e < push.size.w; e++) {
            vec3 c = vec3(dot(texelFetch(eyes, 4 * e), p), dot(texelFetch(eyes, 4 * e + 1), p),
                          dot(texelFetch(eyes, 4 * e + 2), p));
            vec4 k = texelFetch(eyes, 4 * e + 3);
            vec2 pixel = k.xy * c.xy / max(c.z, 1e-6) + k.zw;
            ivec2 at = clamp(ivec2(floor(pixel)), ivec2(0), push.image - 1);
            bool inside = c.z > 1e-3 && pixel == clamp(pixel, vec2(0.0), vec2(push.image));
            vec4 plane = texelFetch(planes, (e * push.image.y + at.y) * push.image.x + at.x);
            vec3 normal = vec3(plane.xy, -sqrt(max(1.0 - dot(plane.xy, plane.xy), 0.0)));
            vec3 ray = vec3((vec2(at) + 0.5 - k.zw) / k.xy, 1.0);
            float d = dot(normal, c - ray * plane.z);
            float before = plane.z - c.z;
            if (before > 4.0 * push.reach) d = push.reach; /* well in front: free */
            float facing = -dot(normal, ray) / length(ray);
            bool counts = inside && plane.w > 0.0 && d > -push.reach && before > -3.0 * push.reach;
            float w = counts ? plane.w * facing : 0.0;
            sum += w * min(d, push.reach);
            weight += w;
        }
    }
    float bounded = clamp(carved, -push.reach, push.reach);
    values[index] = max((sum + push.prior * bounded) / (weight + push.prior), bounded);
    weights[index] = weight;
}
