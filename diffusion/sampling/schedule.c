#include "diffusion/sampling/schedule.h"

#include <math.h>
#include <string.h>

#ifndef M_PI
#define M_PI 3.14159265358979323846
#endif

/* --- config ----------------------------------------------------------------------------------- */

static bool choose(const kn_config *config, const char *key, const char *const *names, int count, int *value,
                   kn_error *error) {
    const char *text = NULL;
    if (!kn_config_has(config, key)) return true;
    if (!kn_config_string(config, key, &text, error)) return false;
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], text) == 0) {
            *value = i;
            return true;
        }
    }
    return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: '%s' is '%.64s', which is not supported", config->path, key, text);
}

static bool read_class(kn_schedule *schedule, const kn_config *config, kn_error *error) {
    static const struct {
        const char *name;
        kn_method method, paint; /* paint KN_METHOD_CONFIG: none of ours, DPM-Solver++ 2M stands in */
    } classes[] = {{"FlowMatchEulerDiscreteScheduler", KN_METHOD_FLOW_EULER, KN_METHOD_FLOW_EULER},
                   {"DDIMScheduler", KN_METHOD_DDIM, KN_METHOD_DDIM},
                   {"DPMSolverMultistepScheduler", KN_METHOD_DPM_SOLVER_2M, KN_METHOD_DPM_SOLVER_2M},
                   {"EulerDiscreteScheduler", KN_METHOD_EULER, KN_METHOD_EULER},
                   {"PNDMScheduler", KN_METHOD_CONFIG, KN_METHOD_CONFIG},
                   {"DDPMScheduler", KN_METHOD_CONFIG, KN_METHOD_CONFIG},
                   {"LMSDiscreteScheduler", KN_METHOD_CONFIG, KN_METHOD_CONFIG},
                   {"UniPCMultistepScheduler", KN_METHOD_CONFIG, KN_METHOD_UNIPC},
                   {"EulerAncestralDiscreteScheduler", KN_METHOD_CONFIG, KN_METHOD_EULER_ANCESTRAL},
                   {"HeunDiscreteScheduler", KN_METHOD_CONFIG, KN_METHOD_HEUN},
                   {"LCMScheduler", KN_METHOD_CONFIG, KN_METHOD_LCM}};
    const char *name = "";
    if (!kn_config_string(config, "_class_name", &name, error)) return false;
    for (size_t i = 0; i < KN_COUNT(classes); i++) {
        if (strcmp(classes[i].name, name) == 0) {
            schedule->is_substitute = classes[i].method == KN_METHOD_CONFIG;
            schedule->paint_is_substitute = classes[i].paint == KN_METHOD_CONFIG;
            schedule->method = schedule->is_substitute ? KN_METHOD_DPM_SOLVER_2M : classes[i].method;
            schedule->paint_method = schedule->paint_is_substitute ? KN_METHOD_DPM_SOLVER_2M : classes[i].paint;
            schedule->class_name = classes[i].name;
            schedule->flow = schedule->method == KN_METHOD_FLOW_EULER;
            return true;
        }
    }
    return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: '_class_name' is '%.64s', which is not supported", config->path,
                   name);
}

static double cosine_alpha_bar(double t) {
    double c = cos((t + 0.008) / 1.008 * M_PI / 2);
    return c * c;
}

static double beta_at(int kind, double first, double last, int i, int count) {
    double t = count > 1 ? (double)i / (count - 1) : 0;
    if (kind == 0) return first + (last - first) * t;
    if (kind == 1) {
        double root = sqrt(first) + (sqrt(last) - sqrt(first)) * t;
        return root * root;
    }
    return fmin(1 - cosine_alpha_bar((i + 1.0) / count) / cosine_alpha_bar((double)i / count), 0.999);
}

/* Zero terminal signal-to-noise ratio (arXiv 2305.08891, algorithm 1), on cumulative products. */
static void rescale_to_zero(double *alphas, int count) {
    double first = sqrt(alphas[0]), last = sqrt(alphas[count - 1]);
    for (int i = 0; i < count; i++) {
        double root = (sqrt(alphas[i]) - last) * first / (first - last);
        alphas[i] = root * root;
    }
}

static bool read_alphas(kn_schedule *schedule, const kn_config *config, kn_error *error) {
    static const char *const kinds[] = {"linear", "scaled_linear", "squaredcos_cap_v2"};
    double first = 0.0001, last = 0.02, product = 1;
    bool zero_snr = false;
    int kind = 0;
    if (!kn_config_double(config, "beta_start", 1e-9, 0.999, &first, error) ||
        !kn_config_double(config, "beta_end", 1e-9, 0.999, &last, error) ||
        !choose(config, "beta_schedule", kinds, KN_COUNT(kinds), &kind, error) ||
        !kn_config_bool(config, "rescale_betas_zero_snr", &zero_snr, error) ||
        !kn_config_refuse(config, "trained_betas", NULL, error))
        return false;
    schedule->alphas = kn_alloc((size_t)schedule->train_steps, sizeof *schedule->alphas, error);
    if (!schedule->alphas) return false;
    for (int i = 0; i < schedule->train_steps; i++)
        schedule->alphas[i] = product *= 1 - beta_at(kind, first, last, i, schedule->train_steps);
    if (zero_snr && schedule->train_steps > 1) rescale_to_zero(schedule->alphas, schedule->train_steps);
    schedule->cosine = kind == 2;
    return true;
}

static bool read_multistep(kn_schedule *schedule, const kn_config *config, kn_error *error) {
    static const char *const solvers[] = {"midpoint", "heun"}, *const finals[] = {"zero", "sigma_min"};
    static const char *const unipc_solvers[] = {"bh2", "bh1", "midpoint", "heun",
                                                "logrho"}; /* the last three mean bh2 */
    static const char *const algorithms[] = {"dpmsolver++", "sde-dpmsolver++"};
    bool unipc = schedule->paint_method == KN_METHOD_UNIPC;
    int order = 2, solver = 0, final = 0, algorithm = 0;
    if (!unipc && (schedule->is_substitute || schedule->method != KN_METHOD_DPM_SOLVER_2M)) return true;
    if (!kn_config_int(config, "solver_order", 1, 2, &order, error) ||
        !choose(config, "solver_type", unipc ? unipc_solvers : solvers, unipc ? 5 : 2, &solver, error) ||
        !choose(config, "final_sigmas_type", finals, 2, &final, error) ||
        !kn_config_bool(config, "lower_order_final", &schedule->lower_order_final, error) ||
        !kn_config_bool(config, "euler_at_final", &schedule->euler_at_final, error) ||
        !choose(config, "algorithm_type", algorithms, 2, &algorithm, error))
        return false;
    schedule->first_order = order == 1;
    schedule->heun = !unipc && solver == 1;
    schedule->bh1 = unipc && solver == 1;
    schedule->final_sigma_min = final == 1;
    if (algorithm == 1) {
        schedule->is_substitute = true;
        schedule->paint_method = KN_METHOD_DPM_SOLVER_2M_SDE;
    }
    return true;
}

static bool read_residual(kn_schedule *schedule, const kn_config *config, kn_error *error) {
    const char *name = "";
    schedule->residual_noise = 1;
    if (!kn_config_has(config, "residual_control")) return true;
    if (!kn_config_string(config, "residual_control", &name, error) ||
        !kn_config_double(config, "residual_noise", 0, 100, &schedule->residual_noise, error))
        return false;
    if (!schedule->flow || !*name || strlen(name) >= sizeof schedule->residual_control)
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: 'residual_control' is '%.80s', expected the name of a control of a flow-matching model",
                       config->path, name);
    memcpy(schedule->residual_control, name, strlen(name) + 1);
    return true;
}

bool kn_schedule_read(kn_schedule *schedule, const kn_config *config, kn_error *error) {
    static const char *const predictions[] = {"epsilon", "v_prediction", "sample", "flow_prediction"},
                             *const spacings[] = {"leading", "trailing", "linspace"};
    *schedule = (kn_schedule){.train_steps = 1000,
                              .shift = 1,
                              .lcm_steps = 50,
                              .lcm_scaling = 10,
                              .alpha_to_one = true,
                              .lower_order_final = true,
                              .clip_range = 1};
    if (!read_class(schedule, config, error)) return false;
    int prediction = schedule->flow ? KN_PREDICTION_FLOW : KN_PREDICTION_EPSILON,
        spacing = schedule->method == KN_METHOD_DDIM ? KN_SPACING_LEADING : KN_SPACING_LINSPACE;
    bool thresholding = false;
    schedule->default_steps = schedule->flow ? 8 : schedule->paint_method == KN_METHOD_LCM ? 4 : 20;
    schedule->clip = schedule->method == KN_METHOD_DDIM;
    if (!kn_config_int(config, "num_train_timesteps", 1, KN_MAX_TRAIN_STEPS, &schedule->train_steps, error) ||
        !choose(config, "prediction_type", predictions, KN_COUNT(predictions), &prediction, error) ||
        !choose(config, "timestep_spacing", spacings, KN_COUNT(spacings), &spacing, error) ||
        !kn_config_int(config, "num_inference_steps", 1, KN_MAX_STEPS, &schedule->default_steps, error) ||
        !kn_config_int(config, "steps_offset", 0, 100, &schedule->steps_offset, error) ||
        !kn_config_bool(config, "clip_sample", &schedule->clip, error) ||
        !kn_config_double(config, "clip_sample_range", 1e-6, 1e6, &schedule->clip_range, error) ||
        !kn_config_bool(config, "set_alpha_to_one", &schedule->alpha_to_one, error) ||
        !kn_config_bool(config, "use_karras_sigmas", &schedule->karras, error) ||
        !kn_config_bool(config, "use_exponential_sigmas", &schedule->exponential, error) ||
        !kn_config_int(config, "original_inference_steps", 1, schedule->train_steps, &schedule->lcm_steps, error) ||
        !kn_config_double(config, "timestep_scaling", 1e-3, 1e6, &schedule->lcm_scaling, error) ||
        !kn_config_double(config, "shift", 1e-3, 1e3, &schedule->shift, error) ||
        !kn_config_bool(config, "thresholding", &thresholding, error) ||
        !kn_config_refuse(config, "use_dynamic_shifting", NULL, error))
        return false;
    if (thresholding) return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: 'thresholding' is not supported", config->path);
    bool fits = schedule->flow ? prediction == KN_PREDICTION_FLOW || prediction == KN_PREDICTION_SAMPLE
                               : prediction != KN_PREDICTION_FLOW;
    if (!fits) return kn_fail(error, KN_ERROR_INPUT, "%s: 'prediction_type' does not fit '_class_name'", config->path);
    /* one-shot prediction of x0: end at 1 / steps, since a last step at the smallest training sigma would do nothing */
    if (schedule->flow && prediction == KN_PREDICTION_SAMPLE && !kn_config_has(config, "timestep_spacing"))
        spacing = KN_SPACING_TRAILING;
    schedule->prediction = (kn_prediction)prediction;
    schedule->spacing = (kn_spacing)spacing;
    schedule->spacing_given = kn_config_has(config, "timestep_spacing") || schedule->flow;
    return read_residual(schedule, config, error) && read_multistep(schedule, config, error) &&
           (schedule->flow || read_alphas(schedule, config, error));
}

void kn_schedule_finish(kn_schedule *schedule) {
    kn_free(schedule->alphas);
    *schedule = (kn_schedule){0};
}

/* --- steps ------------------------------------------------------------------------------------ */

/* x_t = alpha x0 + sigma noise. */
static void predict(const kn_schedule *schedule, double alpha, double sigma, kn_step *step) {
    step->clip = 1e30;
    kn_schedule_predict(schedule, alpha, sigma, &step->x0_x, &step->x0_m);
}

void kn_schedule_predict(const kn_schedule *schedule, double alpha, double sigma, double *x0_x, double *x0_m) {
    switch (schedule->prediction) {
    case KN_PREDICTION_EPSILON: *x0_x = 1 / alpha, *x0_m = -sigma / alpha; break;
    case KN_PREDICTION_V: *x0_x = alpha, *x0_m = -sigma; break;
    case KN_PREDICTION_SAMPLE: *x0_x = 0, *x0_m = 1; break;
    case KN_PREDICTION_FLOW: *x0_x = 1, *x0_m = -sigma; break;
    }
}

void kn_schedule_implied_noise(const kn_schedule *schedule, double alpha, double sigma, double *noise_x,
                               double *noise_m) {
    switch (schedule->prediction) {
    case KN_PREDICTION_EPSILON: *noise_x = 0, *noise_m = 1; break;
    case KN_PREDICTION_V: *noise_x = sigma, *noise_m = alpha; break;
    case KN_PREDICTION_SAMPLE: *noise_x = 1 / sigma, *noise_m = -alpha / sigma; break;
    case KN_PREDICTION_FLOW: *noise_x = 1, *noise_m = alpha; break;
    }
}

static void ddim_steps(const kn_schedule *schedule, int count, kn_step *steps, const double *timesteps) {
    for (int i = 0; i < count; i++) {
        int previous = (int)timesteps[i] - schedule->train_steps / count;
        double a = schedule->alphas[(int)timesteps[i]];
        double next = previous >= 0 ? schedule->alphas[previous] : schedule->alpha_to_one ? 1 : schedule->alphas[0];
        double alpha = sqrt(a), sigma = sqrt(1 - a), noise_x = 0, noise_m = 0;
        predict(schedule, alpha, sigma, &steps[i]);
        kn_schedule_implied_noise(schedule, alpha, sigma, &noise_x, &noise_m);
        steps[i].timestep = timesteps[i];
        steps[i].clip = schedule->clip ? schedule->clip_range : 1e30;
        steps[i].x_0 = sqrt(next);
        steps[i].x_x = sqrt(1 - next) * noise_x;
        steps[i].x_m = sqrt(1 - next) * noise_m;
    }
}

/* Euler steps: along x = x0 + sigma noise (variance exploding), or along the straight line of flow matching. */
static void euler_steps(const kn_schedule *schedule, int count, kn_step *steps, const double *timesteps,
                        const double *sigmas) {
    for (int i = 0; i < count; i++) {
        double sigma = sigmas[i], ratio = sigmas[i + 1] / sigma, root = sqrt(sigma * sigma + 1);
        steps[i].timestep = timesteps[i];
        if (schedule->flow) {
            predict(schedule, 1 - sigma, sigma, &steps[i]);
        } else { /* the network sees x / root = alpha x0 + (alpha sigma) noise with alpha = 1 / root */
            predict(schedule, 1 / root, sigma / root, &steps[i]);
            steps[i].x0_x /= root;
            steps[i].input_scale = 1 / root;
        }
        steps[i].x_x = ratio; /* x + (next - sigma) (x - x0) / sigma */
        steps[i].x_0 = 1 - ratio;
    }
}

kn_noise_level kn_schedule_level(const kn_schedule *schedule, double sigma) {
    double alpha = schedule->flow ? 1 - sigma : 1 / sqrt(sigma * sigma + 1),
           scaled = schedule->flow ? sigma : sigma * alpha;
    return (kn_noise_level){alpha, scaled, log(fmax(alpha, 1e-30)) - log(fmax(scaled, 1e-300))};
}

/* DPM-Solver++ 2M in the data prediction form (arXiv 2211.01095, algorithm 2). */
static void multistep_steps(const kn_schedule *schedule, int count, kn_step *steps, const double *timesteps,
                            const double *sigmas) {
    for (int i = 0; i < count; i++) {
        kn_noise_level now = kn_schedule_level(schedule, sigmas[i]), next = kn_schedule_level(schedule, sigmas[i + 1]);
        double h = next.lambda - now.lambda, decay = sigmas[i + 1] > 0 ? exp(-h) - 1 : -1;
        steps[i].timestep = timesteps[i];
        predict(schedule, now.alpha, now.sigma, &steps[i]);
        steps[i].x_x = next.sigma / now.sigma;
        steps[i].x_0 = -next.alpha * decay;
        bool last = i == count - 1 &&
                    (schedule->euler_at_final || (schedule->lower_order_final && count < 15) || sigmas[i + 1] == 0);
        if (i == 0 || last || (schedule->flow && sigmas[i - 1] >= 1)) /* at sigma 1 flow has no lambda */
            continue;
        kn_noise_level before = kn_schedule_level(schedule, sigmas[i - 1]);
        double r = (now.lambda - before.lambda) / h;
        double factor = (schedule->heun ? next.alpha * (decay / h + 1) : -0.5 * next.alpha * decay) / r;
        steps[i].x_0 += factor;
        steps[i].x_p = -factor;
    }
}

bool kn_schedule_steps(const kn_schedule *schedule, kn_method method, int count, kn_step *steps, double *noise_scale,
                       kn_error *error) {
    kn_times times;
    method = method == KN_METHOD_CONFIG ? schedule->method : method;
    if (method > KN_METHOD_EULER) return kn_fail(error, KN_ERROR_UNSUPPORTED, "this sampler makes pictures, not clips");
    if (!kn_schedule_times(schedule, method, KN_SPACE_CONFIG, count, &times, error)) return false;
    const double *timesteps = times.timesteps, *sigmas = times.sigmas;
    for (int i = 0; i < count; i++) steps[i] = (kn_step){.input_scale = 1};
    *noise_scale = times.noise_scale;
    if (method == KN_METHOD_DDIM) {
        ddim_steps(schedule, count, steps, timesteps);
    } else if (method == KN_METHOD_DPM_SOLVER_2M) {
        multistep_steps(schedule, count, steps, timesteps, sigmas);
    } else {
        euler_steps(schedule, count, steps, timesteps, sigmas);
    }
    for (int i = 0; i < count; i++) {
        const kn_step *step = &steps[i];
        if (!isfinite(step->x0_x + step->x0_m + step->x_x + step->x_m + step->x_0 + step->x_p))
            return kn_fail(error, KN_ERROR_UNSUPPORTED,
                           "this sampler and prediction type cannot start at a signal-to-noise ratio of zero");
    }
    return true;
}
