#version 450
/* What the eyes say about every voxel of a scene: free (they look through it), near a surface (its signed distance:
 * Curless & Levoy 1996), or behind all surfaces. Where both free and near are said, the heavier side wins. Eyes that
 * measured nothing in the voxel's direction speak a little for free, down to the ground, below which all is solid; so
 * does the region's border. */
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Push {
    vec4 origin; /* xyz of voxel 0, step */
    ivec4 size;  /* voxels along x, y, z, number of eyes */
    ivec2 image; /* pixels */
    float reach; /* distances are cut at this many work units */
    float solid; /* weight of an eye that sees a surface before the voxel */
    float thick; /* work units that a seen surface is taken to be thick */
    float vague; /* what an eye counts that sees a surface far before the voxel, or nothing */
    vec4 ground; /* plane on which the object stands: normal, distance; zeros: none */
} push;
layout(set = 0, binding = 0) uniform samplerBuffer eyes;   /* per eye: 3 rows of r|t, then fx fy cx cy */
layout(set = 0, binding = 1) uniform samplerBuffer planes; /* [eye][height][width] normal xy, depth, weight */
/* signed distance to the region's border, its underside left out */
layout(set = 0, binding = 2) uniform samplerBuffer region;
layout(set = 0, binding = 3) writeonly buffer Values { float values[]; };
layout(set = 0, binding = 4) writeonly buffer Weights { float weights[]; };

void main() {
    int index =
        int((gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_WorkGroupSize.x + gl_LocalInvocationID.x);
    if (index >= push.size.x * push.size.y * push.size.z) return;
    ivec3 voxel = ivec3(index % push.size.x, index / push.size.x % push.size.y, index / (push.size.x * push.size.y));
    vec4 p = vec4(push.origin.xyz + push.origin.w * vec3(voxel), 1.0);
    float sum = 0.0, near = 0.0, free = 0.0, behind = 0.0, vague = 0.0, doubt = 0.0;
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
        float d = dot(normal, c - ray * plane.z), before = plane.z - c.z;
        float w = inside && plane.w > 0.0 ? plane.w : 0.0, facing = -dot(normal, ray) / length(ray);
        if (before > 4.0 * push.reach) free += w;
        else if (d > -push.reach && before > -3.0 * push.reach) {
            sum += w * facing * min(d, push.reach);
            near += w * facing;
        } else if (w > 0.0 && before > -push.thick) behind += 1.0;
        else if (w > 0.0) doubt -= 1.0, vague += 1.0;
        if (inside && w == 0.0) doubt += 0.5, vague += 0.5;
    }
    bool empty = free > near;
    float sure = behind + push.vague * vague, guess = push.vague * doubt - behind;
    if (push.ground.xyz != vec3(0.0) && dot(push.ground.xyz, p.xyz) < push.ground.w) sure += 4.0, guess -= 4.0;
    float border = texelFetch(region, index).x;
    if (border > -push.reach) sure += 8.0, guess += 8.0;
    values[index] = empty ? push.reach : near > 0.0 ? sum / near : push.reach * guess / max(sure, 1e-9);
    weights[index] = empty ? free : near > 0.0 ? near : push.solid * sure;
}
