#version 450
#extension GL_GOOGLE_include_directive : require
/* A lidar's beams: what each meets first. One invocation a beam, all from FRAME_CAMERA. */
#include "scene/trace.glsl"

/* unit direction in the world, reach in metres */
layout(set = 0, binding = 5) buffer readonly beams_in { vec4 beams[]; };
/* distance (0: nothing within reach), cosine of the angle of incidence, material, instance */
layout(set = 0, binding = 6) buffer writeonly echoes_out { vec4 echoes[]; };

void main() {
    uint index = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    vec4 ray = beams[index];
    vec3 origin = frame_texel(FRAME_CAMERA).xyz;
    float t = ray.w;
    vec2 barycentric;
    int triangle = nearest(origin, ray.xyz, 0.02, t, barycentric), at = max(triangle, 0) * 3;
    vec4 edge1 = texelFetch(triangles, at + 1), edge2 = texelFetch(triangles, at + 2);
    float cosine = abs(dot(normalize(cross(edge1.xyz, edge2.xyz)), ray.xyz));
    echoes[index] = triangle < 0 ? vec4(0.0) : vec4(t, cosine, edge1.w, edge2.w);
}
