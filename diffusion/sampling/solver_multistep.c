/* Solvers that also use the prediction of the step before, in lambda = log(alpha / sigma). */
#include "diffusion/sampling/solver.h"

#include <math.h>

static kn_noise_level level_at(const kn_solver *solver, int step) {
    return kn_schedule_level(solver->schedule, solver->times.sigmas[step]);
}

/* Puts this step's prediction into x0, the one before into previous. */
static void take_prediction(kn_solver *solver, const float *m) {
    kn_noise_level now = level_at(solver, solver->step);
    float *oldest = solver->previous;
    solver->previous = solver->x0;
    solver->x0 = oldest;
    kn_solver_predict(solver, now.alpha, now.sigma, solver->x, m, solver->x0);
}

/* Whether the step may use the prediction before: not in the first step, not into sigma 0, not from a flow's sigma of
 * 1, which has no lambda. */
static bool is_second_order(const kn_solver *solver) {
    const kn_schedule *schedule = solver->schedule;
    int step = solver->step, count = solver->times.count;
    bool last = step == count - 1 && (schedule->euler_at_final || (schedule->lower_order_final && count < 15) ||
                                      solver->times.sigmas[count] == 0);
    return step > solver->first && !last && !schedule->first_order &&
           !(schedule->flow && solver->times.sigmas[step - 1] >= 1);
}

/* Adds x_x x + x_0 x0 + slope (x0 - previous) + fresh noise. */
static void combine(kn_solver *solver, double x_x, double x_0, double slope, double fresh) {
    for (size_t i = 0; i < solver->count; i++) {
        double x0 = (double)solver->x0[i], value = x_x * (double)solver->x[i] + x_0 * x0;
        if (slope != 0) value += slope * (x0 - (double)solver->previous[i]);
        if (fresh > 0) value += fresh * (double)solver->noise[i];
        solver->x[i] = (float)value;
    }
    solver->step++;
}

void kn_solver_advance_2m(kn_solver *solver, const float *m) {
    take_prediction(solver, m);
    kn_noise_level now = level_at(solver, solver->step), next = level_at(solver, solver->step + 1);
    double h = next.lambda - now.lambda, grown = -expm1(-h), slope = 0;
    if (is_second_order(solver)) {
        double r = (now.lambda - level_at(solver, solver->step - 1).lambda) / h;
        slope = (solver->schedule->heun ? next.alpha * (1 - grown / h) : 0.5 * next.alpha * grown) / r;
    }
    combine(solver, next.sigma / now.sigma, next.alpha * grown, slope, 0);
}

/* The same for the SDE whose noise is eta times the reverse diffusion's; eta 0 is the ODE again. */
void kn_solver_advance_2m_sde(kn_solver *solver, const float *m) {
    take_prediction(solver, m);
    kn_noise_level now = level_at(solver, solver->step), next = level_at(solver, solver->step + 1);
    double h = next.lambda - now.lambda, longer = (1 + solver->eta) * h, grown = -expm1(-longer), slope = 0;
    if (is_second_order(solver)) {
        double r = (now.lambda - level_at(solver, solver->step - 1).lambda) / h;
        slope = (solver->schedule->heun ? next.alpha * (1 - grown / longer) : 0.5 * next.alpha * grown) / r;
    }
    double fresh = solver->times.sigmas[solver->step + 1] > 0 ? next.sigma * sqrt(-expm1(-2 * solver->eta * h)) : 0;
    combine(solver, next.sigma / now.sigma * exp(-solver->eta * h), next.alpha * grown, slope, fresh);
}

/* --- UniPC ------------------------------------------------------------------------------------ */

/* From level `from` to level `to`: x = base_x x + base_0 x0 - weight * (combination of differences of predictions). */
typedef struct unipc_step {
    double h, base_x, base_0, weight;
} unipc_step;

static unipc_step unipc_between(const kn_solver *solver, int from, int to) {
    kn_noise_level a = level_at(solver, from), b = level_at(solver, to);
    double h = b.lambda - a.lambda, decay = expm1(-h);
    return (unipc_step){h, b.sigma / a.sigma, -b.alpha * decay, b.alpha * (solver->schedule->bh1 ? -h : decay)};
}

/* The corrector's coefficients [of the older difference, of the newest] for order 2: the paper's linear system at
 * r = [ratio, 1] with B(h). */
static void corrector_weights(const kn_solver *solver, double h, double ratio, double *older, double *newest) {
    double hh = -h, phi1 = expm1(hh), b = solver->schedule->bh1 ? hh : phi1, phi2 = phi1 / hh - 1,
           phi3 = phi2 / hh - 0.5;
    double first = phi2 / b, second = 2 * phi3 / b; /* older + newest = first; ratio older + newest = second */
    *older = (second - first) / (ratio - 1);
    *newest = first - *older;
}

/* Improves the sample that the last predictor gave with the prediction made at it. `now` is that prediction. */
static void correct(kn_solver *solver, const float *now) {
    int from = solver->step - 1;
    unipc_step step = unipc_between(solver, from, solver->step);
    double older = 0, newest = 0.5, ratio = 1;
    if (solver->order == 2) {
        ratio = (level_at(solver, from - 1).lambda - level_at(solver, from).lambda) / step.h;
        corrector_weights(solver, step.h, ratio, &older, &newest);
    }
    for (size_t i = 0; i < solver->count; i++) {
        double x0 = (double)solver->x0[i], difference = newest * ((double)now[i] - x0);
        if (solver->order == 2) difference += older * ((double)solver->previous[i] - x0) / ratio;
        solver->x[i] = (float)(step.base_x * (double)solver->kept[i] + step.base_0 * x0 - step.weight * difference);
    }
}

/* From the sample of this step to the next level. */
static void predict_next(kn_solver *solver) {
    unipc_step step = unipc_between(solver, solver->step, solver->step + 1);
    double ratio = solver->order == 2
                       ? (level_at(solver, solver->step - 1).lambda - level_at(solver, solver->step).lambda) / step.h
                       : 1;
    for (size_t i = 0; i < solver->count; i++) {
        double x0 = (double)solver->x0[i],
               difference = solver->order == 2 ? 0.5 * ((double)solver->previous[i] - x0) / ratio : 0;
        solver->kept[i] = solver->x[i];
        solver->x[i] = (float)(step.base_x * (double)solver->x[i] + step.base_0 * x0 - step.weight * difference);
    }
}

void kn_solver_advance_unipc(kn_solver *solver, const float *m) {
    const kn_schedule *schedule = solver->schedule;
    kn_noise_level now = level_at(solver, solver->step);
    bool first = solver->step == solver->first;
    if (first) {
        kn_solver_predict(solver, now.alpha, now.sigma, solver->x, m, solver->x0);
        solver->order = 1;
    } else {
        /* the new prediction takes the place of the oldest after the corrector has used that */
        kn_solver_predict(solver, now.alpha, now.sigma, solver->x, m, solver->slope);
        correct(solver, solver->slope);
        float *oldest = solver->previous;
        solver->previous = solver->x0;
        solver->x0 = solver->slope;
        solver->slope = oldest;
        bool lower = solver->step == solver->times.count - 1 &&
                     (schedule->lower_order_final || solver->times.sigmas[solver->step + 1] == 0);
        solver->order = lower || schedule->first_order ? 1 : 2;
    }
    predict_next(solver);
    solver->step++;
}

void kn_solver_predict(const kn_solver *solver, double alpha, double sigma, const float *x, const float *m, float *x0) {
    double a, b;
    kn_schedule_predict(solver->schedule, alpha, sigma, &a, &b);
    for (size_t i = 0; i < solver->count; i++) x0[i] = (float)(a * (double)x[i] + b * (double)m[i]);
}
