// How the kernels of locked sampling (diffusion/sampling/lock.h) read their lists: as texel buffers or, where the
// device's texel limit is too small, as storage buffers (see tensor.glsl).
layout(local_size_x_id = 0) in;
layout(constant_id = 3) const bool storage_inputs = false;
layout(constant_id = 4) const int block_area = 1; // places in one cell of the tensor
layout(constant_id = 5) const int channels = 4;
layout(constant_id = 6) const int samples = 1;
layout(constant_id = 7) const int quads = 1;      // vec4s of a cell's value

#define KN_LOCK_FREE 0xffffffffu

#define KN_FLOATS(name, b) \
    layout(set = 0, binding = b) uniform samplerBuffer name##_texels; \
    layout(set = 0, binding = b + 8, std430) readonly buffer name##_block { float name##_values[]; }; \
    float name(int i) { return storage_inputs ? name##_values[i] : texelFetch(name##_texels, i).x; }

#define KN_VECTORS(name, b) \
    layout(set = 0, binding = b) uniform samplerBuffer name##_texels; \
    layout(set = 0, binding = b + 8, std430) readonly buffer name##_block { vec4 name##_values[]; }; \
    vec4 name(int i) { return storage_inputs ? name##_values[i] : texelFetch(name##_texels, i); }

#define KN_INDICES(name, b) \
    layout(set = 0, binding = b) uniform usamplerBuffer name##_texels; \
    layout(set = 0, binding = b + 8, std430) readonly buffer name##_block { uint name##_values[]; }; \
    uint name(int i) { return storage_inputs ? name##_values[i] : texelFetch(name##_texels, i).x; }
