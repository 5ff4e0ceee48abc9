// Activations by the numbers of kn_activation (diffusion/ops/ops.h).
const int ACTIVATION_NONE = 0, ACTIVATION_SILU = 1, ACTIVATION_GELU = 2, ACTIVATION_QUICK_GELU = 3, ACTIVATION_RELU = 4,
          ACTIVATION_TANH = 5;

vec4 sigmoid_of(vec4 x) { return 1.0 / (1.0 + exp2(x * -1.4426950408889634)); }

// erf to 6e-7: x times the least-maximum polynomial of erf(x) / x in x^2 up to |x| = 3.6, where erf is 1 - 3.6e-7. No
// division and no exponential, which cost most of a fused epilogue.
vec4 erf_of(vec4 x) {
    vec4 s = x * x * (2.0 / (3.6 * 3.6)) - 1.0;
    vec4 e = vec4(0.00224658963);
    e = e * s - 0.00578931486; e = e * s + 0.00563013228; e = e * s - 0.0081857862;
    e = e * s + 0.0201650057; e = e * s - 0.0344701409; e = e * s + 0.0487974398;
    e = e * s - 0.067511797; e = e * s + 0.0897068307; e = e * s - 0.113853417;
    e = e * s + 0.143818796; e = e * s - 0.195488572; e = e * s + 0.392712027;
    return mix(x * e, sign(x), greaterThanEqual(abs(x), vec4(3.6)));
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
