// What the tiled convolution kernels share: their storage buffers, and how a tile's steps find inputs and weights.
// Include it after conv_push.glsl and activation.glsl. `readonly` and `writeonly` bindings as in conv_plain.comp.
layout(set = 0, binding = 0, std430) readonly buffer Inputs { vec4 inputs[]; };
layout(set = 0, binding = 1, std430) readonly buffer Weights { vec4 weights[]; };
layout(set = 0, binding = 1, std430) readonly buffer HalfWeights { uvec2 weights_half[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Outputs { vec4 outputs[]; };
layout(set = 0, binding = 3, std430) readonly buffer Biases { vec4 biases[]; };
layout(set = 0, binding = 4, std430) readonly buffer Residuals { vec4 residuals[]; };
layout(set = 0, binding = 5, std430) readonly buffer Broadcasts { vec4 broadcasts[]; };

// A workgroup's columns, and its walk over taps and input channels. All distances in vec4.
struct ConvTile {
    int panel0, panel_step; // first panel of the tile, and from it to the next
    int lanes, panel_size;  // of a panel: columns; values in all
    int blocks, steps;      // blocks of `depth` input vectors per tap; blocks of all taps
};

ConvTile conv_tile(int group, int panels, int lanes, bool gated, int depth) {
    ConvTile t;
    t.panel0 = gated ? group : group * panels;
    t.panel_step = gated ? p.gate_panels : 1;
    t.lanes = lanes;
    t.panel_size = p.taps_y * p.taps_x * p.in_vectors * 4 * lanes;
    t.blocks = (p.in_vectors + depth - 1) / depth;
    t.steps = t.blocks * p.taps_y * p.taps_x;
    return t;
}

// Input vector k of a row at a tap; zero outside the input and past its channels.
vec4 conv_input(ConvRow r, int tap, int k, bool resized) {
    int ty = tap / p.taps_x, at;
    bool inside = conv_tap(r, ty, tap - ty * p.taps_x, resized, at);
    return inside && k < p.in_vectors ? inputs[at + k] : vec4(0.0);
}

// Where the weights of input channel k (not vec4) for a column of the tile lie, or -1 past the input channels.
int conv_weight_at(ConvTile t, int tap, int k, int column) {
    if (k >= 4 * p.in_vectors) return -1;
    int j = column / t.lanes;
    return (t.panel0 + j * t.panel_step) * t.panel_size + (tap * p.in_vectors * 4 + k) * t.lanes + column - j * t.lanes;
}

vec4 conv_weight(ConvTile t, int tap, int k, int column, bool half_weights) {
    int at = conv_weight_at(t, tap, k, column);
    if (at < 0) return vec4(0.0);
    if (!half_weights) return weights[at];
    uvec2 h = weights_half[at];
    return vec4(unpackHalf2x16(h.x), unpackHalf2x16(h.y));
}

uvec2 conv_weight_half(ConvTile t, int tap, int k, int column) {
    int at = conv_weight_at(t, tap, k, column);
    return at < 0 ? uvec2(0u) : weights_half[at];
}

vec4 conv_sum(int row, int column, vec4 v) {
    v += biases[column];
    if ((p.flags & 1) != 0) v += broadcasts[(conv_row(row).member + p.first_member) * p.out_vectors + column];
    return v;
}

// Bias, broadcast, activation, residual, and the store; nothing outside the output.
void conv_finish(ConvTile t, int row, int column, vec4 v, int activation) {
    column += t.panel0 * t.lanes;
    if (row >= p.rows || column >= p.out_vectors) return;
    v = activate(conv_sum(row, column, v), activation);
    if ((p.flags & 2) != 0) v += residuals[row * p.out_vectors + column];
    outputs[row * p.out_vectors + column] = v;
}

void conv_finish_gated(ConvTile t, int row, int column, vec4 v, vec4 gate) {
    column += t.panel0 * t.lanes;
    if (row >= p.rows || column >= p.out_vectors) return;
    v = conv_sum(row, column, v) * gelu_of(gate + biases[column + p.gate_panels * t.lanes]);
    if ((p.flags & 2) != 0) v += residuals[row * p.out_vectors + column];
    outputs[row * p.out_vectors + column] = v;
}
