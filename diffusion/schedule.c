#include "diffusion/schedule.h"

#include <math.h>
#include <string.h>

#ifndef M_PI
#define M_PI 3.14159265358979323846
#endif

/* --- config ------------------------------------------------------------------------------------------------------------ */

static bool choose(const kn_config *config, const char *key, const char *const *names, int count, int *value, kn_error *error) {
    const char *text = NULL;
    if (!kn_config_has(config, key))
        return true;
    if (!kn_config_string(config, key, &text, error))
        return false;
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
        kn_method method;
        bool substitute;
    } classes[] = {{"FlowMatchEulerDiscreteScheduler", KN_METHOD_FLOW_EULER, false},
                   {"DDIMScheduler", KN_METHOD_DDIM, false},
                   {"DPMSolverMultistepScheduler", KN_METHOD_DPM_SOLVER_2M, false},
                   {"EulerDiscreteScheduler", KN_METHOD_EULER, false},
                   {"PNDMScheduler", KN_METHOD_DPM_SOLVER_2M, true},
                   {"DDPMScheduler", KN_METHOD_DPM_SOLVER_2M, true},
                   {"UniPCMultistepScheduler", KN_METHOD_DPM_SOLVER_2M, true},
                   {"EulerAncestralDiscreteScheduler", KN_METHOD_DPM_SOLVER_2M, true},
                   {"LMSDiscreteScheduler", KN_METHOD_DPM_SOLVER_2M, true},
                   {"HeunDiscreteScheduler", KN_METHOD_DPM_SOLVER_2M, true}};
    const char *name = "";
    if (!kn_config_string(config, "_class_name", &name, error))
        return false;
    for (size_t i = 0; i < KN_COUNT(classes); i++) {
        if (strcmp(classes[i].name, name) == 0) {
            schedule->method = classes[i].method;
            schedule->is_substitute = classes[i].substitute;
            schedule->flow = schedule->method == KN_METHOD_FLOW_EULER;
            return true;
        }
    }
    return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: '_class_name' is '%.64s', which is not supported", config->path, name);
}

static double cosine_alpha_bar(double t) {
    double c = cos((t + 0.008) / 1.008 * M_PI / 2);
    return c * c;
}

static double beta_at(int kind, double first, double last, int i, int count) {
    double t = count > 1 ? (double)i / (count - 1) : 0;
    if (kind == 0)
        return first + (last - first) * t;
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
    if (!kn_config_double(config, "beta_start", 1e-9, 0.999, &first, error) || !kn_config_double(config, "beta_end", 1e-9, 0.999, &last, error) ||
        !choose(config, "beta_schedule", kinds, KN_COUNT(kinds), &kind, error) || !kn_config_bool(config, "rescale_betas_zero_snr", &zero_snr, error) ||
        !kn_config_refuse(config, "trained_betas", NULL, error))
        return false;
    schedule->alphas = kn_alloc((size_t)schedule->train_steps, sizeof *schedule->alphas, error);
    if (!schedule->alphas)
        return false;
    for (int i = 0; i < schedule->train_steps; i++)
        schedule->alphas[i] = product *= 1 - beta_at(kind, first, last, i, schedule->train_steps);
    if (zero_snr && schedule->train_steps > 1)
        rescale_to_zero(schedule->alphas, schedule->train_steps);
    if (zero_snr && schedule->method != KN_METHOD_DDIM) /* as diffusers does: keeps sigma finite */
        schedule->alphas[schedule->train_steps - 1] = 0x1p-24;
    return true;
}

static bool read_multistep(kn_schedule *schedule, const kn_config *config, kn_error *error) {
    static const char *const solvers[] = {"midpoint", "heun"}, *const finals[] = {"zero", "sigma_min"};
    int order = 2, solver = 0, final = 0;
    if (schedule->is_substitute || schedule->method != KN_METHOD_DPM_SOLVER_2M)
        return true;
    if (!kn_config_int(config, "solver_order", 1, 2, &order, error) || !choose(config, "solver_type", solvers, 2, &solver, error) ||
        !choose(config, "final_sigmas_type", finals, 2, &final, error) || !kn_config_bool(config, "lower_order_final", &schedule->lower_order_final, error) ||
        !kn_config_bool(config, "euler_at_final", &schedule->euler_at_final, error) || !kn_config_refuse(config, "algorithm_type", "dpmsolver++", error))
        return false;
    schedule->heun = solver == 1;
    schedule->final_sigma_min = final == 1;
    return true;
}

static bool read_residual(kn_schedule *schedule, const kn_config *config, kn_error *error) {
    const char *name = "";
    schedule->residual_noise = 1;
    if (!kn_config_has(config, "residual_control"))
        return true;
    if (!kn_config_string(config, "residual_control", &name, error) || !kn_config_double(config, "residual_noise", 0, 100, &schedule->residual_noise, error))
        return false;
    if (!schedule->flow || !*name || strlen(name) >= sizeof schedule->residual_control)
        return kn_fail(error, KN_ERROR_INPUT, "%s: 'residual_control' is '%.80s', expected the name of a control of a flow-matching model", config->path, name);
    memcpy(schedule->residual_control, name, strlen(name) + 1);
    return true;
}

bool kn_schedule_read(kn_schedule *schedule, const kn_config *config, kn_error *error) {
    static const char *const predictions[] = {"epsilon", "v_prediction", "sample", "flow_prediction"}, *const spacings[] = {"leading", "trailing", "linspace"};
    *schedule = (kn_schedule){.train_steps = 1000, .default_steps = 8, .shift = 1, .alpha_to_one = true, .lower_order_final = true, .clip_range = 1};
    if (!read_class(schedule, config, error))
        return false;
    int prediction = schedule->flow ? KN_PREDICTION_FLOW : KN_PREDICTION_EPSILON, spacing = schedule->method == KN_METHOD_DDIM ? KN_SPACING_LEADING : KN_SPACING_LINSPACE;
    bool thresholding = false;
    schedule->clip = schedule->method == KN_METHOD_DDIM;
    if (!kn_config_int(config, "num_train_timesteps", 1, KN_MAX_TRAIN_STEPS, &schedule->train_steps, error) ||
        !choose(config, "prediction_type", predictions, KN_COUNT(predictions), &prediction, error) ||
        !choose(config, "timestep_spacing", spacings, KN_COUNT(spacings), &spacing, error) ||
        !kn_config_int(config, "num_inference_steps", 1, KN_MAX_STEPS, &schedule->default_steps, error) ||
        !kn_config_int(config, "steps_offset", 0, 100, &schedule->steps_offset, error) || !kn_config_bool(config, "clip_sample", &schedule->clip, error) ||
        !kn_config_double(config, "clip_sample_range", 1e-6, 1e6, &schedule->clip_range, error) || !kn_config_bool(config, "set_alpha_to_one", &schedule->alpha_to_one, error) ||
        !kn_config_bool(config, "use_karras_sigmas", &schedule->karras, error) || !kn_config_double(config, "shift", 1e-3, 1e3, &schedule->shift, error) ||
        !kn_config_bool(config, "thresholding", &thresholding, error) || !kn_config_refuse(config, "use_dynamic_shifting", NULL, error))
        return false;
    if (thresholding)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: 'thresholding' is not supported", config->path);
    bool fits = schedule->flow ? prediction == KN_PREDICTION_FLOW || prediction == KN_PREDICTION_SAMPLE : prediction != KN_PREDICTION_FLOW;
    if (!fits)
        return kn_fail(error, KN_ERROR_INPUT, "%s: 'prediction_type' does not fit '_class_name'", config->path);
    /* one-shot prediction of x0: end at 1 / steps, since a last step at the smallest training sigma would do nothing */
    if (schedule->flow && prediction == KN_PREDICTION_SAMPLE && !kn_config_has(config, "timestep_spacing"))
        spacing = KN_SPACING_TRAILING;
    schedule->prediction = (kn_prediction)prediction;
    schedule->spacing = (kn_spacing)spacing;
    return read_residual(schedule, config, error) && read_multistep(schedule, config, error) && (schedule->flow || read_alphas(schedule, config, error));
}

void kn_schedule_finish(kn_schedule *schedule) {
    kn_free(schedule->alphas);
    *schedule = (kn_schedule){0};
}

/* --- timesteps ----------------------------------------------------------------------------------------------------------- */

/* Rounds half to even, as numpy does. */
static double nearest(double value) { return nearbyint(value); }

/* Training timesteps in falling order, as diffusers' schedulers space them. */
static void space_timesteps(const kn_schedule *schedule, kn_method method, int count, double *timesteps) {
    int train = schedule->train_steps;
    for (int i = 0; i < count; i++) {
        int rising = count - 1 - i;
        bool multistep = method == KN_METHOD_DPM_SOLVER_2M;
        if (schedule->spacing == KN_SPACING_TRAILING)
            timesteps[i] = fmax(nearest(train - (double)i * train / count) - 1, 0);
        else if (schedule->spacing == KN_SPACING_LEADING && multistep)
            timesteps[i] = (double)(rising + 1) * (train / (count + 1)) + schedule->steps_offset;
        else if (schedule->spacing == KN_SPACING_LEADING)
            timesteps[i] = (double)rising * (train / count) + schedule->steps_offset;
        else if (multistep)
            timesteps[i] = nearest((double)(rising + 1) * (train - 1) / count);
        else
            timesteps[i] = count > 1 ? (double)rising * (train - 1) / (count - 1) : method == KN_METHOD_EULER ? train - 1 : 0;
        if (method == KN_METHOD_DDIM && schedule->spacing == KN_SPACING_LINSPACE)
            timesteps[i] = nearest(timesteps[i]);
        timesteps[i] = fmin(timesteps[i], train - 1);
    }
}

static double sigma_of_alpha(double alpha) { return sqrt((1 - alpha) / alpha); }

/* Sigma at a timestep, linear between training steps. */
static double sigma_at(const kn_schedule *schedule, double timestep) {
    int low = (int)timestep, high = low + 1 < schedule->train_steps ? low + 1 : low;
    double fraction = timestep - low;
    return sigma_of_alpha(schedule->alphas[low]) * (1 - fraction) + sigma_of_alpha(schedule->alphas[high]) * fraction;
}

/* The (fractional) timestep of a sigma, linear in log sigma. */
static double timestep_of_sigma(const kn_schedule *schedule, double sigma) {
    double target = log(fmax(sigma, 1e-10));
    int low = 0;
    while (low < schedule->train_steps - 2 && log(sigma_of_alpha(schedule->alphas[low + 1])) <= target)
        low++;
    double a = log(sigma_of_alpha(schedule->alphas[low])), b = log(sigma_of_alpha(schedule->alphas[low + 1]));
    return low + fmin(fmax((target - a) / (b - a), 0), 1);
}

/* Sigmas of arXiv 2206.00364, equation 5, between the present ends. */
static void karras(const kn_schedule *schedule, kn_method method, int count, double *sigmas, double *timesteps) {
    const double rho = 7;
    double high = pow(sigmas[0], 1 / rho), low = pow(sigmas[count - 1], 1 / rho);
    for (int i = 0; i < count; i++) {
        sigmas[i] = pow(high + (low - high) * (count > 1 ? (double)i / (count - 1) : 0), rho);
        timesteps[i] = timestep_of_sigma(schedule, sigmas[i]);
        if (method == KN_METHOD_DPM_SOLVER_2M)
            timesteps[i] = nearest(timesteps[i]);
    }
}

static double shifted(const kn_schedule *schedule, double sigma) { return schedule->shift * sigma / (1 + (schedule->shift - 1) * sigma); }

/* Flow sigmas: from 1 to the smallest training sigma (diffusers' default), or to 1 / count ("trailing"). */
static void flow_sigmas(const kn_schedule *schedule, int count, double *sigmas, double *timesteps) {
    double smallest = schedule->spacing == KN_SPACING_TRAILING ? 1.0 / count : shifted(schedule, 1.0 / schedule->train_steps);
    for (int i = 0; i < count; i++) {
        double sigma = count > 1 ? 1 + (smallest - 1) * i / (count - 1) : 1;
        sigmas[i] = shifted(schedule, sigma);
        timesteps[i] = sigmas[i] * schedule->train_steps;
    }
}

/* --- steps ----------------------------------------------------------------------------------------------------------------- */

/* x_t = alpha x0 + sigma noise. */
static void predict(const kn_schedule *schedule, double alpha, double sigma, kn_step *step) {
    step->clip = 1e30;
    switch (schedule->prediction) {
    case KN_PREDICTION_EPSILON: step->x0_x = 1 / alpha, step->x0_m = -sigma / alpha; break;
    case KN_PREDICTION_V: step->x0_x = alpha, step->x0_m = -sigma; break;
    case KN_PREDICTION_SAMPLE: step->x0_x = 0, step->x0_m = 1; break;
    case KN_PREDICTION_FLOW: step->x0_x = 1, step->x0_m = -sigma; break;
    }
}

/* The noise that x and m imply: noise_x x + noise_m m. */
static void implied_noise(const kn_schedule *schedule, double alpha, double sigma, double *noise_x, double *noise_m) {
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
        implied_noise(schedule, alpha, sigma, &noise_x, &noise_m);
        steps[i].timestep = timesteps[i];
        steps[i].clip = schedule->clip ? schedule->clip_range : 1e30;
        steps[i].x_0 = sqrt(next);
        steps[i].x_x = sqrt(1 - next) * noise_x;
        steps[i].x_m = sqrt(1 - next) * noise_m;
    }
}

/* Euler steps: along x = x0 + sigma noise (variance exploding), or along the straight line of flow matching. */
static void euler_steps(const kn_schedule *schedule, int count, kn_step *steps, const double *timesteps, const double *sigmas) {
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

typedef struct level {
    double alpha, sigma, lambda;
} level;

static level level_of(const kn_schedule *schedule, double sigma) {
    double alpha = schedule->flow ? 1 - sigma : 1 / sqrt(sigma * sigma + 1), scaled = schedule->flow ? sigma : sigma * alpha;
    return (level){alpha, scaled, log(fmax(alpha, 1e-30)) - log(fmax(scaled, 1e-300))};
}

/* DPM-Solver++ 2M in the data prediction form (arXiv 2211.01095, algorithm 2). */
static void multistep_steps(const kn_schedule *schedule, int count, kn_step *steps, const double *timesteps, const double *sigmas) {
    for (int i = 0; i < count; i++) {
        level now = level_of(schedule, sigmas[i]), next = level_of(schedule, sigmas[i + 1]);
        double h = next.lambda - now.lambda, decay = sigmas[i + 1] > 0 ? exp(-h) - 1 : -1;
        steps[i].timestep = timesteps[i];
        predict(schedule, now.alpha, now.sigma, &steps[i]);
        steps[i].x_x = next.sigma / now.sigma;
        steps[i].x_0 = -next.alpha * decay;
        bool last = i == count - 1 && (schedule->euler_at_final || (schedule->lower_order_final && count < 15) || sigmas[i + 1] == 0);
        if (i == 0 || last || (schedule->flow && sigmas[i - 1] >= 1)) /* at sigma 1 flow has no lambda */
            continue;
        level before = level_of(schedule, sigmas[i - 1]);
        double r = (now.lambda - before.lambda) / h;
        double factor = (schedule->heun ? next.alpha * (decay / h + 1) : -0.5 * next.alpha * decay) / r;
        steps[i].x_0 += factor;
        steps[i].x_p = -factor;
    }
}

static bool check_method(const kn_schedule *schedule, kn_method method, int count, kn_error *error) {
    if (count < 1 || count > KN_MAX_STEPS || (!schedule->flow && count > schedule->train_steps))
        return kn_fail(error, KN_ERROR_INPUT, "%d denoising steps: expected 1 to %d", count, schedule->flow || schedule->train_steps > KN_MAX_STEPS ? KN_MAX_STEPS : schedule->train_steps);
    if (schedule->flow != (method == KN_METHOD_FLOW_EULER) && !(schedule->flow && method == KN_METHOD_DPM_SOLVER_2M))
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "this sampler does not fit the model's %s schedule", schedule->flow ? "flow matching" : "variance preserving");
    return true;
}

/* sigmas[count + 1]: the last is where the last step ends. */
static void find_sigmas(const kn_schedule *schedule, kn_method method, int count, double *sigmas, double *timesteps) {
    sigmas[count] = 0;
    if (schedule->flow) {
        flow_sigmas(schedule, count, sigmas, timesteps);
        return;
    }
    space_timesteps(schedule, method, count, timesteps);
    if (method == KN_METHOD_DDIM)
        return;
    for (int i = 0; i < count; i++)
        sigmas[i] = sigma_at(schedule, timesteps[i]);
    if (schedule->karras && schedule->train_steps > 1)
        karras(schedule, method, count, sigmas, timesteps);
    if (method == KN_METHOD_DPM_SOLVER_2M && schedule->final_sigma_min)
        sigmas[count] = sigma_of_alpha(schedule->alphas[0]);
}

bool kn_schedule_steps(const kn_schedule *schedule, kn_method method, int count, kn_step *steps, double *noise_scale, kn_error *error) {
    double sigmas[KN_MAX_STEPS + 1], timesteps[KN_MAX_STEPS];
    method = method == KN_METHOD_CONFIG ? schedule->method : method;
    if (!check_method(schedule, method, count, error))
        return false;
    find_sigmas(schedule, method, count, sigmas, timesteps);
    for (int i = 0; i < count; i++)
        steps[i] = (kn_step){.input_scale = 1};
    *noise_scale = 1;
    if (method == KN_METHOD_DDIM) {
        ddim_steps(schedule, count, steps, timesteps);
    } else if (method == KN_METHOD_DPM_SOLVER_2M) {
        multistep_steps(schedule, count, steps, timesteps, sigmas);
    } else {
        euler_steps(schedule, count, steps, timesteps, sigmas);
        if (method == KN_METHOD_EULER)
            *noise_scale = schedule->spacing == KN_SPACING_LEADING ? sqrt(sigmas[0] * sigmas[0] + 1) : sigmas[0];
    }
    for (int i = 0; i < count; i++) {
        const kn_step *step = &steps[i];
        if (!isfinite(step->x0_x + step->x0_m + step->x_x + step->x_m + step->x_0 + step->x_p))
            return kn_fail(error, KN_ERROR_UNSUPPORTED, "this sampler and prediction type cannot start at a signal-to-noise ratio of zero");
    }
    return true;
}
