#version 460
// One denoising step on flat tensors, by the coefficients of diffusion/sampling/schedule.h:
//   m = uncond + guidance (cond - uncond); x0 = clamp(x0_x x + x0_m m); x = x_x x + x_m m + x_0 x0 + x_p previous;
//   previous = x0.
// Also writes what the network sees next, input_scale * x, once or for both halves of a guided batch.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"

layout(constant_id = 4) const bool guided = false;
layout(constant_id = 5) const bool keeps_previous = false;
layout(constant_id = 6) const bool writes_input = false;
layout(constant_id = 7) const bool both_inputs = false;

layout(push_constant) uniform Push {
    int count, count_per_group, second; // vec4s; second: where the conditional half starts in its bindings
} p;

KN_INPUT(model, 0)  // the network's output; its unconditional half when guided
KN_INPUT(cond, 1)   // the conditional half when guided
layout(set = 0, binding = 2, std430) readonly buffer coefficients_block { float coefficients[]; };
layout(set = 0, binding = 3, std430) buffer x_block { vec4 x[]; };
layout(set = 0, binding = 4, std430) buffer previous_block { vec4 previous[]; };
KN_OUTPUT(input_a, 5)
KN_OUTPUT(input_b, 6)

void main() {
    float x0_x = coefficients[0], x0_m = coefficients[1], clip = coefficients[2], x_x = coefficients[3],
          x_m = coefficients[4];
    float x_0 = coefficients[5], x_p = coefficients[6], input_scale = coefficients[7], guidance = coefficients[8];
    int group = int(gl_WorkGroupID.x), lane = int(gl_LocalInvocationID.x);
    int end = min((group + 1) * p.count_per_group, p.count);
    for (int i = group * p.count_per_group + lane; i < end; i += int(gl_WorkGroupSize.x)) {
        vec4 m = model(i), before = x[i];
        if (guided) m += guidance * (cond(p.second + i) - m);
        vec4 x0 = clamp(x0_x * before + x0_m * m, -clip, clip);
        vec4 after = x_x * before + x_m * m + x_0 * x0;
        if (keeps_previous) {
            if (x_p != 0.0) after += x_p * previous[i];
            previous[i] = x0;
        }
        x[i] = after;
        if (writes_input) {
            input_a[i] = input_scale * after;
            if (both_inputs) input_b[p.second + i] = input_scale * after;
        }
    }
}
