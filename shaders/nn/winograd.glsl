// Winograd's F(4x4, 3x3) (Lavin and Gray 2016, arXiv 1509.09308): 4 x 4 outputs of a 3x3 convolution from 6 x 6 inputs
// with 36 instead of 144 products. Interpolation points 0, +-sqrt(1/2), +-sqrt(2) and infinity keep fp32 rounding
// within twice that of the direct sum. Each function applies one side of the transform to six (three) vectors.
const float ROOT_HALF = 0.7071067811865476, ROOT_TWO = 1.4142135623730951;

void winograd_input(inout vec4 d[6]) {
    vec4 even1 = d[4] - 2.0 * d[2], odd1 = ROOT_HALF * (d[3] - 2.0 * d[1]);
    vec4 even2 = d[4] - 0.5 * d[2], odd2 = ROOT_TWO * (d[3] - 0.5 * d[1]);
    vec4 first = d[0] - 2.5 * d[2] + d[4], last = d[1] - 2.5 * d[3] + d[5];
    d = vec4[6](first, even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, last);
}

void winograd_weight(vec4 g0, vec4 g1, vec4 g2, out vec4 u[6]) {
    vec4 even1 = (g0 + 0.5 * g2) / -1.5, odd1 = ROOT_HALF / -1.5 * g1;
    vec4 even2 = (g0 + 2.0 * g2) / 6.0, odd2 = ROOT_TWO / 6.0 * g1;
    u = vec4[6](g0, even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, g2);
}

void winograd_output(vec4 m[6], out vec4 y[4]) {
    vec4 even1 = m[1] + m[2], odd1 = ROOT_HALF * (m[1] - m[2]), even2 = m[3] + m[4], odd2 = ROOT_TWO * (m[3] - m[4]);
    y = vec4[4](m[0] + even1 + even2, odd1 + odd2, 0.5 * even1 + 2.0 * even2, 0.5 * odd1 + 2.0 * odd2 + m[5]);
}

// What the kernels share; the host's mirror is struct winograd_push in diffusion/ops/ops_winograd.c. Tiles are numbered
// [member][tile_y][tile_x] over the whole batch; a launch covers `tiles` of them from `first_tile`.
layout(push_constant) uniform Push {
    int tiles, first_tile;
    int tiles_y, tiles_x;      // of one member
    int in_h, in_w;            // stored input, pixels
    int view_h, view_w;        // input as the taps see it, and the output's size
    int in_vectors, out_vectors;
    int panels, first_panel;   // of weights in this launch, and before it
    int out_base;              // vec4 of the output before the bound part
    // vec4 from one of the 36 matrices to the next: padded, so that they do not fall on the same cache sets
    int v_plane, u_plane, m_plane;
    int digits[8];             // store_shared.glsl
} p;
