// What the convolution kernels share: the shape of the layer and how an output row finds its inputs. The host's mirror
// is struct conv_push in diffusion/ops/ops_matrix.c.
layout(push_constant) uniform Push {
    int rows;                 // n * out_h * out_w of this dispatch
    int out_h, out_w;
    int in_h, in_w;           // stored input, pixels
    int view_h, view_w;       // input as the taps see it: in_h, in_w, or larger when it is upsampled on the fly
    int in_vectors;           // vec4 per input pixel
    int out_vectors;          // vec4 per output pixel
    int taps_y, taps_x;
    int stride, pad;
    int first_member;         // batch member of row 0, for the broadcast
    int gate_panels;          // gated: panels from a value to its gate
    int flags;                // portable kernel only: 1 broadcast, 2 residual, 4 fp16 weights
    int digits[8];            // store_shared.glsl
} p;

struct ConvRow {
    int member, y, x; // batch member; input coordinates of tap 0, 0
};

// Rows past the end repeat the last one; they are never stored.
ConvRow conv_row(int row) {
    row = min(row, p.rows - 1);
    int line = row / p.out_w;
    ConvRow r;
    r.member = line / p.out_h;
    r.y = (line - r.member * p.out_h) * p.stride - p.pad;
    r.x = (row - line * p.out_w) * p.stride - p.pad;
    return r;
}

// Whether tap (ty, tx) of a row lies inside the input; `at` is its first vec4, or a valid index when outside.
// `resized`: the view has another size than the input (a constant where it can be: software devices run both sides of a
// branch).
bool conv_tap(ConvRow r, int ty, int tx, bool resized, out int at) {
    int y = r.y + ty, x = r.x + tx;
    bool inside = uint(y) < uint(p.view_h) && uint(x) < uint(p.view_w);
    if (resized) {
        y = y * p.in_h / p.view_h;
        x = x * p.in_w / p.view_w;
    }
    at = inside ? ((r.member * p.in_h + y) * p.in_w + x) * p.in_vectors : 0;
    return inside;
}
