#include "diffusion/sampling/solver.h"

#include <math.h>
#include <string.h>

/* --- create ----------------------------------------------------------------------------------- */

static kn_method method_of(const kn_schedule *schedule, kn_method method) {
    if (method == KN_METHOD_CONFIG) return schedule->paint_method;
    if (schedule->flow && (method == KN_METHOD_EULER || method == KN_METHOD_DDIM))
        return KN_METHOD_FLOW_EULER; /* the same thing on a straight line */
    return method;
}

/* The sample is x0 + sigma noise, and the network sees it scaled to unit variance. */
static bool explodes(const kn_solver *solver) {
    kn_method method = solver->method;
    return !solver->schedule->flow &&
           (method == KN_METHOD_EULER || method == KN_METHOD_EULER_ANCESTRAL || method == KN_METHOD_HEUN);
}

static bool is_stochastic(const kn_solver *solver) {
    kn_method method = solver->method;
    return method == KN_METHOD_LCM || ((method == KN_METHOD_EULER_ANCESTRAL || method == KN_METHOD_DPM_SOLVER_2M_SDE ||
                                        method == KN_METHOD_DDIM) &&
                                       solver->eta > 0);
}

static bool set_up(kn_solver *solver, const kn_solver_params *params, kn_error *error) {
    const kn_schedule *schedule = solver->schedule;
    solver->method = method_of(schedule, params->method);
    if (!kn_schedule_times(schedule, solver->method, params->spacing, params->steps, &solver->times, error))
        return false;
    solver->eta = params->eta >= 0 ? params->eta : solver->method == KN_METHOD_DDIM ? 0 : 1;
    int run = (int)(params->steps * params->strength + 1e-9);
    solver->first = solver->step = params->steps - (run < params->steps ? run : params->steps);
    double start =
        explodes(solver) || schedule->flow
            ? 1
            : schedule->alphas[(int)solver->times.timesteps[solver->first < params->steps ? solver->first : 0]];
    if (start <= 0 && schedule->prediction == KN_PREDICTION_EPSILON &&
        (solver->method == KN_METHOD_DDIM || solver->method == KN_METHOD_LCM))
        return kn_fail(error, KN_ERROR_UNSUPPORTED,
                       "this sampler and prediction type cannot start at a signal-to-noise ratio of zero");
    float **buffers[] = {&solver->x, &solver->x0, &solver->previous, &solver->kept, &solver->slope, &solver->noise};
    bool heun = solver->method == KN_METHOD_HEUN, unipc = solver->method == KN_METHOD_UNIPC;
    bool needed[] = {true,
                     true,
                     unipc || solver->method == KN_METHOD_DPM_SOLVER_2M ||
                         solver->method == KN_METHOD_DPM_SOLVER_2M_SDE,
                     heun || unipc,
                     heun || unipc,
                     is_stochastic(solver)};
    for (size_t i = 0; i < KN_COUNT(buffers); i++)
        if (needed[i] && !(*buffers[i] = kn_alloc(solver->count, sizeof **buffers[i], error))) return false;
    return true;
}

bool kn_solver_create(kn_solver **out, const kn_schedule *schedule, const kn_solver_params *params, size_t count,
                      kn_error *error) {
    kn_solver *solver = *out = kn_alloc(1, sizeof *solver, error);
    if (!solver) return false;
    solver->schedule = schedule;
    solver->count = count;
    if (set_up(solver, params, error)) return true;
    kn_solver_destroy(out);
    return false;
}

void kn_solver_destroy(kn_solver **out) {
    if (!out || !*out) return;
    kn_solver *solver = *out;
    float *buffers[] = {solver->x, solver->x0, solver->previous, solver->kept, solver->slope, solver->noise};
    for (size_t i = 0; i < KN_COUNT(buffers); i++) kn_free(buffers[i]);
    kn_free(solver);
    *out = NULL;
}

/* --- levels ----------------------------------------------------------------------------------- */

/* What the sample is made of at the start of a step: signal * clean + noise * noise; after the last one it is clean. */
static void level_of_step(const kn_solver *solver, int step, double *signal, double *noise) {
    const kn_times *times = &solver->times;
    if (solver->method == KN_METHOD_DDIM || solver->method == KN_METHOD_LCM) {
        double alpha = step < times->count ? solver->schedule->alphas[(int)times->timesteps[step]] : 1;
        *signal = sqrt(alpha);
        *noise = sqrt(1 - alpha);
    } else if (explodes(solver)) {
        *signal = 1;
        *noise = step < times->count ? times->sigmas[step] : 0;
    } else {
        kn_noise_level level = kn_schedule_level(solver->schedule, times->sigmas[step]);
        *signal = step < times->count ? level.alpha : 1;
        *noise = step < times->count ? level.sigma : 0;
    }
}

void kn_solver_noised(const kn_solver *solver, const float *clean, const float *noise, float *out) {
    double a, b;
    level_of_step(solver, solver->step + solver->second, &a, &b);
    for (size_t i = 0; i < solver->count; i++) out[i] = (float)(a * (double)clean[i] + b * (double)noise[i]);
}

void kn_solver_start(kn_solver *solver, const float *clean, const float *noise) {
    solver->step = solver->first;
    solver->second = false;
    solver->order = 0;
    if (clean) {
        kn_solver_noised(solver, clean, noise, solver->x);
        return;
    }
    for (size_t i = 0; i < solver->count; i++) solver->x[i] = (float)(solver->times.noise_scale * (double)noise[i]);
}

bool kn_solver_done(const kn_solver *solver) { return solver->step >= solver->times.count; }

double kn_solver_timestep(const kn_solver *solver) { return solver->times.timesteps[solver->step + solver->second]; }

static double input_scale(const kn_solver *solver) {
    double sigma = solver->times.sigmas[solver->step + solver->second];
    return explodes(solver) ? 1 / sqrt(sigma * sigma + 1) : 1;
}

void kn_solver_input(const kn_solver *solver, float *input) {
    double scale = input_scale(solver);
    for (size_t i = 0; i < solver->count; i++) input[i] = (float)(scale * (double)solver->x[i]);
}

/* --- steps ------------------------------------------------------------------------------------ */

/* x0 at a sigma of the straight-line samplers, from the sample and the network's output for the scaled sample. */
static void predict_at_sigma(kn_solver *solver, double sigma, const float *m) {
    kn_noise_level level = kn_schedule_level(solver->schedule, sigma);
    double a, b, scale = input_scale(solver);
    kn_schedule_predict(solver->schedule, level.alpha, level.sigma, &a, &b);
    for (size_t i = 0; i < solver->count; i++)
        solver->x0[i] = (float)(a * scale * (double)solver->x[i] + b * (double)m[i]);
}

/* x + (x - x0) / sigma * (next - sigma); ancestral: to less than the next level, then up again with fresh noise. */
static void advance_euler(kn_solver *solver, const float *m) {
    double sigma = solver->times.sigmas[solver->step], next = solver->times.sigmas[solver->step + 1], down = next,
           up = 0;
    predict_at_sigma(solver, sigma, m);
    if (solver->method == KN_METHOD_EULER_ANCESTRAL) {
        up = fmin(next, solver->eta * sqrt(next * next * (sigma * sigma - next * next) / (sigma * sigma)));
        down = sqrt(next * next - up * up);
    }
    double ratio = down / sigma;
    for (size_t i = 0; i < solver->count; i++)
        solver->x[i] = (float)((double)solver->x0[i] + ratio * ((double)solver->x[i] - (double)solver->x0[i]) +
                               (up > 0 ? up * (double)solver->noise[i] : 0));
    solver->step++;
}

static void advance_heun(kn_solver *solver, const float *m) {
    double sigma = solver->times.sigmas[solver->step], next = solver->times.sigmas[solver->step + 1];
    predict_at_sigma(solver, solver->second ? next : sigma, m);
    for (size_t i = 0; i < solver->count; i++) {
        double x = (double)solver->x[i], x0 = (double)solver->x0[i];
        if (solver->second) {
            solver->x[i] =
                (float)((double)solver->kept[i] + 0.5 * ((double)solver->slope[i] + (x - x0) / next) * (next - sigma));
        } else {
            solver->kept[i] = solver->x[i];
            solver->slope[i] = (float)((x - x0) / sigma);
            solver->x[i] = (float)(x + (x - x0) / sigma * (next - sigma));
        }
    }
    bool again = !solver->second && next > 0;
    solver->step += !again;
    solver->second = again;
}

static double clip_of(const kn_solver *solver) { return solver->schedule->clip ? solver->schedule->clip_range : 1e30; }

static void advance_ddim(kn_solver *solver, const float *m) {
    const kn_schedule *schedule = solver->schedule;
    int t = (int)solver->times.timesteps[solver->step], before = t - schedule->train_steps / solver->times.count;
    double now = schedule->alphas[t],
           then = before >= 0              ? schedule->alphas[before]
                  : schedule->alpha_to_one ? 1
                                           : schedule->alphas[0],
           limit = clip_of(solver);
    double fresh = solver->eta > 0 ? solver->eta * sqrt((1 - then) / (1 - now) * (1 - now / then)) : 0, noise_x = 0,
           noise_m = 0;
    double signal = sqrt(then), direction = sqrt(fmax(1 - then - fresh * fresh, 0));
    kn_solver_predict(solver, sqrt(now), sqrt(1 - now), solver->x, m, solver->x0);
    kn_schedule_implied_noise(schedule, sqrt(now), sqrt(1 - now), &noise_x, &noise_m);
    for (size_t i = 0; i < solver->count; i++) {
        double x0 = fmin(fmax((double)solver->x0[i], -limit), limit),
               noise = noise_x * (double)solver->x[i] + noise_m * (double)m[i];
        solver->x[i] = (float)(signal * x0 + direction * noise + (fresh > 0 ? fresh * (double)solver->noise[i] : 0));
    }
    solver->step++;
}

/* The consistency function's boundary condition: the closer to t = 0, the more of the sample itself. */
static void advance_lcm(kn_solver *solver, const float *m) {
    const kn_schedule *schedule = solver->schedule;
    bool last = solver->step + 1 == solver->times.count;
    double t = solver->times.timesteps[solver->step], now = schedule->alphas[(int)t],
           then = last ? 1 : schedule->alphas[(int)solver->times.timesteps[solver->step + 1]];
    const double data = 0.5;
    double scaled = t * schedule->lcm_scaling, skip = data * data / (scaled * scaled + data * data),
           out = scaled / sqrt(scaled * scaled + data * data);
    double limit = clip_of(solver);
    kn_solver_predict(solver, sqrt(now), sqrt(1 - now), solver->x, m, solver->x0);
    for (size_t i = 0; i < solver->count; i++) {
        double x0 = fmin(fmax((double)solver->x0[i], -limit), limit), clean = out * x0 + skip * (double)solver->x[i];
        solver->x[i] = (float)(last ? clean : sqrt(then) * clean + sqrt(1 - then) * (double)solver->noise[i]);
    }
    solver->step++;
}

bool kn_solver_advance(kn_solver *solver, const float *m, kn_noise_source source, void *user, kn_error *error) {
    if (solver->noise && !source(user, solver->noise, error)) return false;
    switch (solver->method) {
    case KN_METHOD_DDIM: advance_ddim(solver, m); break;
    case KN_METHOD_LCM: advance_lcm(solver, m); break;
    case KN_METHOD_HEUN: advance_heun(solver, m); break;
    case KN_METHOD_DPM_SOLVER_2M: kn_solver_advance_2m(solver, m); break;
    case KN_METHOD_DPM_SOLVER_2M_SDE: kn_solver_advance_2m_sde(solver, m); break;
    case KN_METHOD_UNIPC: kn_solver_advance_unipc(solver, m); break;
    case KN_METHOD_EULER:
    case KN_METHOD_EULER_ANCESTRAL:
    case KN_METHOD_FLOW_EULER:
    case KN_METHOD_CONFIG: advance_euler(solver, m); break;
    }
    return true;
}

/* clean = a x + b m for the sample as it stands. */
static void clean_of(const kn_solver *solver, double *a, double *b) {
    double signal, noise, scale = 1;
    level_of_step(solver, solver->step + solver->second, &signal, &noise);
    if (explodes(solver)) {
        kn_noise_level level = kn_schedule_level(solver->schedule, solver->times.sigmas[solver->step + solver->second]);
        signal = level.alpha, noise = level.sigma, scale = input_scale(solver);
    }
    kn_schedule_predict(solver->schedule, signal, noise, a, b);
    *a *= scale;
}

void kn_solver_clean(const kn_solver *solver, const float *m, float *clean) {
    double a, b;
    clean_of(solver, &a, &b);
    for (size_t i = 0; i < solver->count; i++) clean[i] = (float)(a * (double)solver->x[i] + b * (double)m[i]);
}

void kn_solver_output(const kn_solver *solver, const float *clean, float *m) {
    double a, b;
    clean_of(solver, &a, &b);
    for (size_t i = 0; i < solver->count && b != 0; i++)
        m[i] = (float)(((double)clean[i] - a * (double)solver->x[i]) / b);
}

/* --- what it is ------------------------------------------------------------------------------- */

float *kn_solver_sample(kn_solver *solver) { return solver->x; }
int kn_solver_steps(const kn_solver *solver) { return solver->times.count; }
int kn_solver_first_step(const kn_solver *solver) { return solver->first; }
int kn_solver_step(const kn_solver *solver) { return solver->step; }
kn_method kn_solver_method(const kn_solver *solver) { return solver->method; }
