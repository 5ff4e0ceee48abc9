#version 450
/* Visual hull: for every voxel the largest distance to a silhouette's cone, negative inside all of them. */
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Push {
    vec4 origin; /* xyz of voxel 0, step */
    ivec4 size;  /* voxels along x, y, z, number of eyes */
    ivec2 image; /* pixels */
    int needed;  /* voxels that fewer eyes see are outside */
} push;
layout(set = 0, binding = 0) uniform samplerBuffer eyes;  /* per eye: 3 rows of r|t, then fx fy cx cy */
layout(set = 0, binding = 1) uniform samplerBuffer edges; /* [eye][height][width] pixels to the silhouette */
layout(set = 0, binding = 2) writeonly buffer Values { float values[]; };

float edge(int eye, vec2 pixel) {
    ivec2 at = clamp(ivec2(floor(pixel - 0.5)), ivec2(0), push.image - 2);
    vec2 f = clamp(pixel - 0.5 - vec2(at), 0.0, 1.0);
    int i = (eye * push.image.y + at.y) * push.image.x + at.x;
    float a = texelFetch(edges, i).x, b = texelFetch(edges, i + 1).x;
    float c = texelFetch(edges, i + push.image.x).x, d = texelFetch(edges, i + push.image.x + 1).x;
    return mix(mix(a, b, f.x), mix(c, d, f.x), f.y);
}

void main() {
    int index =
        int((gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_WorkGroupSize.x + gl_LocalInvocationID.x);
    if (index >= push.size.x * push.size.y * push.size.z) return;
    ivec3 voxel = ivec3(index % push.size.x, index / push.size.x % push.size.y, index / (push.size.x * push.size.y));
    vec4 p = vec4(push.origin.xyz + push.origin.w * vec3(voxel), 1.0);
    float value = -1e3;
    int seen = 0;
    for (int e = 0; e < push.size.w; e++) {
        vec3 c = vec3(dot(texelFetch(eyes, 4 * e), p), dot(texelFetch(eyes, 4 * e + 1), p),
                      dot(texelFetch(eyes, 4 * e + 2), p));
        vec4 k = texelFetch(eyes, 4 * e + 3);
        vec2 pixel = k.xy * c.xy / max(c.z, 1e-6) + k.zw;
        bool inside = c.z > 1e-3 && pixel.x >= 0.0 && pixel.y >= 0.0 && pixel.x <= float(push.image.x) &&
                      pixel.y <= float(push.image.y);
        float d = edge(e, pixel) * c.z / k.x;
        if (inside) {
            value = max(value, d);
            seen++;
        }
    }
    values[index] = seen >= push.needed ? max(value, -1.0) : 1.0;
}
