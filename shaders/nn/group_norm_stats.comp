#version 460
// First pass of group normalisation: mean and sum of squared deviations of every channel over a chunk of pixels.
// Deviations are taken from the chunk's first value, so that large means cost no precision.
// gl_WorkGroupID: chunk of pixels, block of channels, batch member. Output [member][channel][part] as two vec4 (mean,
// squares); a part is a lane's share of a chunk.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"

layout(push_constant) uniform Push {
    int columns, pixels, pixels_per_group;
    int parts; // per channel
} p;

KN_INPUT(x, 0)
KN_STORE(partials, 1)

void main() {
    Walk w = walk_rows(p.columns, p.pixels, p.pixels_per_group);
    if (!w.used) return;
    int member = int(gl_WorkGroupID.z), base = member * p.pixels * p.columns + w.column;
    vec4 shift = x(base + min(w.row, p.pixels - 1) * p.columns);
    vec4 sum = vec4(0.0), squares = vec4(0.0);
    float count = 0.0;
    for (int row = w.row; row < w.end; row += w.step) {
        vec4 d = x(base + row * p.columns) - shift;
        sum += d;
        squares += d * d;
        count += 1.0;
    }
    vec4 mean = sum / max(count, 1.0);
    int part = int(gl_WorkGroupID.x) * w.step + w.slot;
    int at = ((member * p.columns + w.column) * p.parts + part) * 2;
    partials(at, mean + shift);
    partials(at + 1, max(squares - sum * mean, vec4(0.0)));
}
