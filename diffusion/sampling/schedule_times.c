/* Timesteps and noise levels of the steps, spaced as diffusers' schedulers space them. */
#include "diffusion/sampling/schedule.h"

#include <math.h>
#include <string.h>

typedef struct spacing_plan {
    kn_spacing spacing;
    bool karras, exponential;
} spacing_plan;

/* Rounds half to even, as numpy does. */
static double nearest(double value) { return nearbyint(value); }

/* These solvers number their steps so that the first one never starts at training step 0. */
static bool is_multistep(kn_method method) {
    return method == KN_METHOD_DPM_SOLVER_2M || method == KN_METHOD_DPM_SOLVER_2M_SDE || method == KN_METHOD_UNIPC;
}

static bool works_on_training_steps(kn_method method) { return method == KN_METHOD_DDIM || method == KN_METHOD_LCM; }

static spacing_plan plan_of(const kn_schedule *schedule, kn_method method, kn_noise_spacing wanted) {
    kn_spacing own = method == KN_METHOD_DDIM ? KN_SPACING_LEADING : KN_SPACING_LINSPACE;
    spacing_plan plan = {schedule->spacing_given ? schedule->spacing : own, schedule->karras,
                         schedule->exponential && !schedule->karras};
    switch (wanted) {
    case KN_SPACE_CONFIG: break;
    case KN_SPACE_UNIFORM: plan = (spacing_plan){KN_SPACING_LINSPACE, false, false}; break;
    case KN_SPACE_LEADING: plan = (spacing_plan){KN_SPACING_LEADING, false, false}; break;
    case KN_SPACE_TRAILING: plan = (spacing_plan){KN_SPACING_TRAILING, false, false}; break;
    case KN_SPACE_KARRAS: plan = (spacing_plan){KN_SPACING_LINSPACE, true, false}; break;
    case KN_SPACE_EXPONENTIAL: plan = (spacing_plan){KN_SPACING_LINSPACE, false, true}; break;
    }
    return plan;
}

/* Training timesteps in falling order. */
static void space_timesteps(const kn_schedule *schedule, kn_spacing spacing, kn_method method, int count,
                            double *timesteps) {
    int train = schedule->train_steps;
    for (int i = 0; i < count; i++) {
        int rising = count - 1 - i;
        bool multistep = is_multistep(method);
        if (spacing == KN_SPACING_TRAILING) timesteps[i] = fmax(nearest(train - (double)i * train / count) - 1, 0);
        else if (spacing == KN_SPACING_LEADING && multistep)
            timesteps[i] = (double)(rising + 1) * (train / (count + 1)) + schedule->steps_offset;
        else if (spacing == KN_SPACING_LEADING)
            timesteps[i] = (double)rising * (train / count) + schedule->steps_offset;
        else if (multistep) timesteps[i] = nearest((double)(rising + 1) * (train - 1) / count);
        else timesteps[i] = count > 1 ? (double)rising * (train - 1) / (count - 1) : train - 1;
        if (method == KN_METHOD_DDIM && spacing == KN_SPACING_LINSPACE) timesteps[i] = nearest(timesteps[i]);
        timesteps[i] = fmin(timesteps[i], train - 1);
    }
}

/* A rescaled schedule ends at 0; as in diffusers its sigma stays finite (half precision's smallest number). */
static double training_sigma(const kn_schedule *schedule, int step) {
    double alpha = schedule->alphas[step] > 0 ? schedule->alphas[step] : 0x1p-24;
    return sqrt((1 - alpha) / alpha);
}

/* Sigma at a timestep, linear between training steps. */
static double sigma_at(const kn_schedule *schedule, double timestep) {
    int low = (int)timestep, high = low + 1 < schedule->train_steps ? low + 1 : low;
    double fraction = timestep - low;
    return training_sigma(schedule, low) * (1 - fraction) + training_sigma(schedule, high) * fraction;
}

/* The (fractional) timestep of a sigma, linear in log sigma. */
static double timestep_of_sigma(const kn_schedule *schedule, double sigma) {
    double target = log(fmax(sigma, 1e-10));
    int low = 0;
    while (low < schedule->train_steps - 2 && log(training_sigma(schedule, low + 1)) <= target) low++;
    double a = log(training_sigma(schedule, low)), b = log(training_sigma(schedule, low + 1));
    return low + fmin(fmax((target - a) / (b - a), 0), 1);
}

/* Replaces the sigmas between two ends by those of arXiv 2206.00364, equation 5, or by equal steps of log sigma. */
static void respace_sigmas(const kn_schedule *schedule, const spacing_plan *plan, kn_method method, int count,
                           double *sigmas, double *timesteps) {
    const double rho = 7;
    bool multistep = is_multistep(method); /* from the first to the last training step, whatever the timesteps are */
    double high = multistep ? training_sigma(schedule, schedule->train_steps - 1) : sigmas[0];
    double low = multistep ? training_sigma(schedule, 0) : sigmas[count - 1];
    for (int i = 0; i < count; i++) {
        double share = count > 1 ? (double)i / (count - 1) : 0;
        if (plan->karras) sigmas[i] = pow(pow(high, 1 / rho) + (pow(low, 1 / rho) - pow(high, 1 / rho)) * share, rho);
        else sigmas[i] = exp(log(high) + (log(low) - log(high)) * share);
        timesteps[i] = timestep_of_sigma(schedule, sigmas[i]);
        if (multistep && plan->karras && (!schedule->cosine || method == KN_METHOD_UNIPC))
            timesteps[i] = nearest(timesteps[i]);
        else if (multistep) timesteps[i] = floor(timesteps[i]);
    }
}

static double shifted(const kn_schedule *schedule, double sigma) {
    return schedule->shift * sigma / (1 + (schedule->shift - 1) * sigma);
}

/* Flow sigmas: from 1 to the smallest training sigma (diffusers' default), or to 1 / count ("trailing"). */
static void flow_sigmas(const kn_schedule *schedule, kn_spacing spacing, int count, double *sigmas, double *timesteps) {
    double smallest = spacing == KN_SPACING_TRAILING ? 1.0 / count : shifted(schedule, 1.0 / schedule->train_steps);
    for (int i = 0; i < count; i++) {
        double sigma = count > 1 ? 1 + (smallest - 1) * i / (count - 1) : 1;
        sigmas[i] = shifted(schedule, sigma);
        timesteps[i] = sigmas[i] * schedule->train_steps;
    }
}

/* Evenly spaced among the training steps that the student was distilled on. */
static void lcm_timesteps(const kn_schedule *schedule, int count, double *timesteps) {
    int skip = schedule->train_steps / schedule->lcm_steps;
    for (int i = 0; i < count; i++)
        timesteps[i] = (schedule->lcm_steps - floor((double)i * schedule->lcm_steps / count)) * skip - 1;
}

static bool check(const kn_schedule *schedule, kn_method method, const spacing_plan *plan, int count, kn_error *error) {
    int limit = schedule->flow || schedule->train_steps > KN_MAX_STEPS ? KN_MAX_STEPS : schedule->train_steps;
    if (method == KN_METHOD_LCM) limit = schedule->lcm_steps < limit ? schedule->lcm_steps : limit;
    if (count < 1 || count > limit)
        return kn_fail(error, KN_ERROR_INPUT, "%d denoising steps: expected 1 to %d", count, limit);
    bool follows_flow = method == KN_METHOD_FLOW_EULER || method == KN_METHOD_DPM_SOLVER_2M ||
                        method == KN_METHOD_HEUN || method == KN_METHOD_UNIPC;
    if (schedule->flow ? !follows_flow : method == KN_METHOD_FLOW_EULER)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "this sampler does not fit the model's %s schedule",
                       schedule->flow ? "flow matching" : "variance preserving");
    if ((plan->karras || plan->exponential) && schedule->train_steps < 2)
        return kn_fail(error, KN_ERROR_UNSUPPORTED,
                       "Karras and exponential spacing need a schedule of more than one training step");
    return true;
}

bool kn_schedule_times(const kn_schedule *schedule, kn_method method, kn_noise_spacing wanted, int count,
                       kn_times *times, kn_error *error) {
    spacing_plan plan = plan_of(schedule, method, wanted);
    if (!check(schedule, method, &plan, count, error)) return false;
    memset(times, 0, sizeof *times);
    times->count = count;
    times->noise_scale = 1;
    if (schedule->flow) {
        flow_sigmas(schedule, plan.spacing, count, times->sigmas, times->timesteps);
        return true;
    }
    if (method == KN_METHOD_LCM) lcm_timesteps(schedule, count, times->timesteps);
    else space_timesteps(schedule, plan.spacing, method, count, times->timesteps);
    if (works_on_training_steps(method)) return true;
    for (int i = 0; i < count; i++) times->sigmas[i] = sigma_at(schedule, times->timesteps[i]);
    if (plan.karras || plan.exponential)
        respace_sigmas(schedule, &plan, method, count, times->sigmas, times->timesteps);
    if (is_multistep(method) && schedule->final_sigma_min) times->sigmas[count] = training_sigma(schedule, 0);
    if (!is_multistep(method))
        times->noise_scale =
            plan.spacing == KN_SPACING_LEADING ? sqrt(times->sigmas[0] * times->sigmas[0] + 1) : times->sigmas[0];
    return true;
}
