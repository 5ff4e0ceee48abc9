#version 460
// Layer normalisation of every row (pixel or token) over its channels, one row an invocation: mean, then variance about
// the mean, then the result.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"

layout(push_constant) uniform Push {
    int rows, columns, channels; // columns: vec4 per row
    float epsilon;
} p;

KN_INPUT(x, 0)
KN_INPUT(gamma, 1)
KN_INPUT(beta, 2)
KN_STORE(y, 3)

void main() {
    int row = int(gl_GlobalInvocationID.x);
    if (row >= p.rows) return;
    int base = row * p.columns, padding = p.columns * 4 - p.channels;
    vec4 sum = vec4(0.0);
    for (int k = 0; k < p.columns; k++) sum += x(base + k);
    float mean = (sum.x + sum.y + sum.z + sum.w) / float(p.channels);
    vec4 squares = vec4(0.0);
    for (int k = 0; k < p.columns; k++) {
        vec4 d = x(base + k) - mean;
        squares += d * d;
    }
    // The padding channels are zero: each added mean^2.
    float total = squares.x + squares.y + squares.z + squares.w - float(padding) * mean * mean;
    float scale = inversesqrt(max(total, 0.0) / float(p.channels) + p.epsilon);
    for (int k = 0; k < p.columns; k++) y(base + k, (x(base + k) - mean) * scale * gamma(k) + beta(k));
}
