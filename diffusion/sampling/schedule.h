/* Noise schedules and samplers. Every supported sampler is, per step, linear in the sample x, the network's output m,
 * the predicted clean sample x0 and the one of the step before; a step is therefore a row of coefficients, and one
 * kernel (shaders/nn/sampler_step.comp) runs them all. Internal to diffusion/. */
#ifndef KN_DIFFUSION_SCHEDULE_H
#define KN_DIFFUSION_SCHEDULE_H

#include "diffusion/files/config.h"
#include "kinora/paint.h"

typedef enum kn_prediction {
    KN_PREDICTION_EPSILON,
    KN_PREDICTION_V,
    KN_PREDICTION_SAMPLE,
    KN_PREDICTION_FLOW
} kn_prediction;
typedef enum kn_spacing { KN_SPACING_LEADING, KN_SPACING_TRAILING, KN_SPACING_LINSPACE } kn_spacing;

#define KN_MAX_TRAIN_STEPS 100000
#define KN_MAX_STEPS 1000

typedef struct kn_schedule {
    kn_method method;       /* what the config's _class_name asks for */
    bool is_substitute;     /* the class is another one; `method` is a deterministic sampler for the same schedule */
    kn_method paint_method; /* what the class asks for when pictures are painted (solver.h) */
    bool paint_is_substitute;
    const char *class_name; /* a constant */
    bool flow;              /* x_t = (1 - t) x0 + t noise; else variance preserving */
    kn_prediction prediction;
    kn_spacing spacing;
    bool spacing_given; /* the config names it; else it depends on the sampler */
    int train_steps, steps_offset;
    int default_steps; /* 'num_inference_steps'; when absent 8 for flow, 4 for LCM, else 20 */
    double *alphas;    /* [train_steps]: cumulative products; NULL for flow */
    double shift;      /* flow: sigma -> shift sigma / (1 + (shift - 1) sigma) */
    bool cosine;       /* the betas are squaredcos_cap_v2 */
    bool clip, alpha_to_one, karras, exponential, lower_order_final, euler_at_final, heun;
    bool first_order, bh1; /* DPM-Solver++ and UniPC: 'solver_order' 1; UniPC: 'solver_type' bh1 */
    int lcm_steps;         /* LCM: 'original_inference_steps' */
    double lcm_scaling;    /* LCM: 'timestep_scaling' */
    bool final_sigma_min;  /* DPM-Solver++: the last sigma is the smallest one instead of 0 */
    double clip_range;
    /* Flow matching with a data-dependent coupling (arXiv 2310.03725): what is generated is the difference between the
     * picture and the colours in the first three channels of this control, from residual_noise times the noise. "": the
     * picture itself. */
    char residual_control[64];
    double residual_noise;
} kn_schedule;

/* Reads scheduler_config.json. Finish also after failure. */
bool kn_schedule_read(kn_schedule *schedule, const kn_config *config, kn_error *error);
void kn_schedule_finish(kn_schedule *schedule);

/* The levels that `count` steps of a sampler start from, as diffusers' scheduler of that name spaces them. */
typedef struct kn_times {
    int count;
    double timesteps[KN_MAX_STEPS];  /* for the network; falling */
    double sigmas[KN_MAX_STEPS + 1]; /* noise over signal (flow: the noise's share); the last is where the last step
                                        ends. DDIM and LCM work on the training steps themselves and leave this at 0 */
    double noise_scale;              /* multiplies unit noise to make the first x */
} kn_times;

/* KN_SPACE_CONFIG: the config's, or the sampler's own default. Fails when the sampler does not fit the schedule. */
bool kn_schedule_times(const kn_schedule *schedule, kn_method method, kn_noise_spacing spacing, int count,
                       kn_times *times, kn_error *error);

/* x = alpha x0 + sigma noise, lambda = log(alpha / sigma), at a sigma of kn_times. */
typedef struct kn_noise_level {
    double alpha, sigma, lambda;
} kn_noise_level;
kn_noise_level kn_schedule_level(const kn_schedule *schedule, double sigma);
/* What a network's output m says at such a level: x0 = x0_x x + x0_m m and noise = noise_x x + noise_m m. */
void kn_schedule_predict(const kn_schedule *schedule, double alpha, double sigma, double *x0_x, double *x0_m);
void kn_schedule_implied_noise(const kn_schedule *schedule, double alpha, double sigma, double *noise_x,
                               double *noise_m);

/* One denoising step: x0 = clamp(x0_x x + x0_m m, +-clip); x' = x_x x + x_m m + x_0 x0 + x_p previous x0. */
typedef struct kn_step {
    double timestep;    /* for the network's time embedding */
    double input_scale; /* the network sees input_scale * x */
    double x0_x, x0_m, clip;
    double x_x, x_m, x_0, x_p;
} kn_step;

/* Fills steps[count]; *noise_scale multiplies unit noise to make the first x. KN_METHOD_CONFIG: the config's. */
bool kn_schedule_steps(const kn_schedule *schedule, kn_method method, int count, kn_step *steps, double *noise_scale,
                       kn_error *error);

#endif
