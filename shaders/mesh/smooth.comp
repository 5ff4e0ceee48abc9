#version 450
/* One half step of thin-plate smoothing of a distance field. STAGE 0: out = mean of the six neighbours - value.
 * STAGE 1: out = value + (weight (data - value) - strength (mean of the neighbours' Laplacians - Laplacian)) / (weight
 * + 4 strength). */
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const int STAGE = 0;
layout(push_constant) uniform Push {
    ivec4 size;      /* voxels along x, y, z */
    float band;      /* voxels whose data is farther from zero keep it */
    float strength;
} push;
layout(set = 0, binding = 0) uniform samplerBuffer field;     /* stage 0: the values; stage 1: their Laplacian */
layout(set = 0, binding = 1) uniform samplerBuffer data;      /* fused distances */
layout(set = 0, binding = 2) uniform samplerBuffer weights;   /* stage 1 */
layout(set = 0, binding = 3) buffer Values { float values[]; }; /* stage 1: the values, in place */
layout(set = 0, binding = 4) writeonly buffer Laplacian { float laplacian[]; };

void main() {
    int index =
        int((gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_WorkGroupSize.x + gl_LocalInvocationID.x);
    if (index >= push.size.x * push.size.y * push.size.z) return;
    ivec3 voxel = ivec3(index % push.size.x, index / push.size.x % push.size.y, index / (push.size.x * push.size.y));
    bool border = any(equal(voxel, ivec3(0))) || any(equal(voxel, push.size.xyz - 1));
    float target = texelFetch(data, index).x;
    bool far = border || abs(target) > push.band;
    if (far && STAGE == 1) return;
    int row = push.size.x, slice = push.size.x * push.size.y;
    float centre = texelFetch(field, index).x;
    float mean =
        (texelFetch(field, index - 1).x + texelFetch(field, index + 1).x + texelFetch(field, index - row).x +
         texelFetch(field, index + row).x + texelFetch(field, index - slice).x + texelFetch(field, index + slice).x) /
        6.0;
    if (STAGE == 0) {
        laplacian[index] = far ? 0.0 : mean - centre;
    } else {
        float weight = texelFetch(weights, index).x + 0.03, value = values[index];
        values[index] =
            value + (weight * (target - value) - push.strength * (mean - centre)) / (weight + 4.0 * push.strength);
    }
}
