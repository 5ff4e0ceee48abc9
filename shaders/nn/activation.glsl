// Activations by the numbers of kn_activation (diffusion/ops.h).
const int ACTIVATION_NONE = 0, ACTIVATION_SILU = 1, ACTIVATION_GELU = 2, ACTIVATION_QUICK_GELU = 3, ACTIVATION_RELU = 4,
          ACTIVATION_TANH = 5;

vec4 sigmoid_of(vec4 x) { return 1.0 / (1.0 + exp2(x * -1.4426950408889634)); }

// erf to 1.5e-7: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
vec4 erf_of(vec4 x) {
    vec4 a = abs(x), t = 1.0 / (1.0 + 0.3275911 * a);
    vec4 poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return sign(x) * (1.0 - poly * exp2(a * a * -1.4426950408889634));
}

vec4 gelu_of(vec4 x) { return 0.5 * x * (1.0 + erf_of(x * 0.7071067811865476)); }

vec4 activate(vec4 x, int kind) {
    if (kind == ACTIVATION_SILU) return x * sigmoid_of(x);
    if (kind == ACTIVATION_GELU) return gelu_of(x);
    if (kind == ACTIVATION_QUICK_GELU) return x * sigmoid_of(1.702 * x);
    if (kind == ACTIVATION_RELU) return max(x, vec4(0.0));
    if (kind == ACTIVATION_TANH) return 2.0 * sigmoid_of(2.0 * x) - 1.0;
    return x;
}
