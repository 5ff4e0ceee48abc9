// How kernels read and walk channels-last tensors. Included by the kernels of this folder.
//
// A tensor input is read as vec4 either through a uniform texel buffer (one vector gather on software devices) or,
// where the device's texel limit is too small (`storage_inputs`), through a storage buffer. The host binds the one that
// is used to slot `b` or `b + 8` and a small stand-in to the other.
#extension GL_EXT_control_flow_attributes : require
#include "store.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 3) const bool storage_inputs = false;

#define KN_INPUT(name, b) \
    layout(set = 0, binding = b) uniform samplerBuffer name##_texels; \
    layout(set = 0, binding = b + 8, std430) readonly buffer name##_block { vec4 name##_vectors[]; }; \
    vec4 name(int i) { return storage_inputs ? name##_vectors[i] : texelFetch(name##_texels, i); }

#define KN_OUTPUT(name, b) \
    layout(set = 0, binding = b, std430) writeonly buffer name##_block { vec4 name[]; };

// The part of a rows x columns matrix of vec4 that one invocation walks: lanes lie along the columns; when a row is
// narrower than the workgroup, several rows share it. Column and first row come from the lane and gl_WorkGroupID.xy.
struct Walk {
    int column;    // vec4 column
    int row, end;  // first row and one past the last
    int step;      // rows from one visit to the next
    int slot;      // which of the `step` rows this lane takes
    bool used;     // whether the lane has a column at all
};

Walk walk_rows(int columns, int rows, int rows_per_group) {
    int lanes = int(gl_WorkGroupSize.x), lane = int(gl_LocalInvocationID.x);
    Walk w;
    w.step = max(lanes / columns, 1);
    w.slot = columns < lanes ? lane / columns : 0;
    w.column = columns < lanes ? lane - w.slot * columns : int(gl_WorkGroupID.y) * lanes + lane;
    w.used = w.column < columns && w.slot < w.step;
    w.row = int(gl_WorkGroupID.x) * rows_per_group + w.slot;
    w.end = min(int(gl_WorkGroupID.x + 1u) * rows_per_group, rows);
    return w;
}
