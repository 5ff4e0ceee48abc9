/* Samplers for pictures, on the host: latents are small, and what a step does with them is a few operations per number.
 * A solver asks for one evaluation of the network after another:
 *
 *     kn_solver_start(solver, NULL, noise);
 *     while (!kn_solver_done(solver)) {
 *         kn_solver_input(solver, input);                    // what the network sees
 *         ... m = network(input, kn_solver_timestep(solver)) ...
 *         kn_solver_advance(solver, m, noise_source, user, &error);
 *     }
 *     kn_solver_sample(solver);
 *
 * Formulas: Euler and Heun arXiv 2206.00364; Euler ancestral as in k-diffusion; DPM-Solver++ 2M arXiv 2211.01095 and
 * its SDE form; DDIM arXiv 2010.02502; UniPC arXiv 2302.04867 (B(h) = e^h - 1, order 2); LCM arXiv 2310.04378; flow
 * matching arXiv 2210.02747. Order of operations, spacing and random draws follow diffusers' schedulers: one draw of
 * unit noise per step of a stochastic sampler. Internal to diffusion/. Not thread-safe. */
#ifndef KN_DIFFUSION_SOLVER_H
#define KN_DIFFUSION_SOLVER_H

#include "diffusion/sampling/schedule.h"

typedef struct kn_solver kn_solver;

typedef struct kn_solver_params {
    kn_method method; /* KN_METHOD_CONFIG: schedule->paint_method; on a flow schedule Euler and DDIM mean flow Euler */
    kn_noise_spacing spacing;
    int steps;
    double eta;      /* < 0: 0 for DDIM, 1 for Euler ancestral and DPM++ 2M SDE; no other sampler has one */
    double strength; /* 0..1: the share of the steps that is run, from the end */
} kn_solver_params;

/* Fills unit noise, as many floats as the solver was made for. */
typedef bool (*kn_noise_source)(void *user, float *noise, kn_error *error);

/* For `count` floats. The schedule outlives the solver. */
bool kn_solver_create(kn_solver **solver, const kn_schedule *schedule, const kn_solver_params *params, size_t count,
                      kn_error *error);
void kn_solver_destroy(kn_solver **solver);

/* Starts from scaled noise, or from `clean` [count] noised to the level of the first step that is run. */
void kn_solver_start(kn_solver *solver, const float *clean, const float *noise);
bool kn_solver_done(const kn_solver *solver);
double kn_solver_timestep(const kn_solver *solver);
void kn_solver_input(const kn_solver *solver, float *input);
/* The clean sample [count] that the network's output m [count] for the last input stands for, and back: the output that
 * would have stood for it. */
void kn_solver_clean(const kn_solver *solver, const float *m, float *clean);
void kn_solver_output(const kn_solver *solver, const float *clean, float *m);
/* Takes the network's output m [count] for the last input. Fails only when the noise source does. */
bool kn_solver_advance(kn_solver *solver, const float *m, kn_noise_source source, void *user, kn_error *error);

/* The sample [count] as it stands; may be changed between steps. */
float *kn_solver_sample(kn_solver *solver);
/* `clean` with `noise` at the level of the sample as it stands: what inpainting puts outside its mask. */
void kn_solver_noised(const kn_solver *solver, const float *clean, const float *noise, float *out);

/* Evaluations that a whole run takes (Heun: almost two per step), and the step that the next one belongs to. */
int kn_solver_steps(const kn_solver *solver);
int kn_solver_first_step(const kn_solver *solver);
int kn_solver_step(const kn_solver *solver);
kn_method kn_solver_method(const kn_solver *solver);

/* --- shared by solver*.c ---------------------------------------------------------------------- */

struct kn_solver {
    const kn_schedule *schedule;
    kn_method method;
    kn_times times;
    double eta;
    size_t count;
    int first, step; /* the first step that is run; the one at hand */
    bool second;     /* Heun: the evaluation at the end of the step comes next */
    int order;       /* UniPC: of the last predictor */
    float *x;
    float *x0, *previous; /* predictions of this step and of the one before */
    float *kept, *slope;  /* Heun: x and dx/dsigma at the start of the step; UniPC: x that the last predictor started
                             from, scratch */
    float *noise;         /* stochastic samplers: scratch */
};

/* x0 from x and the network's output, at alpha and sigma; x0 and x may be the same. */
void kn_solver_predict(const kn_solver *solver, double alpha, double sigma, const float *x, const float *m, float *x0);
void kn_solver_advance_2m(kn_solver *solver, const float *m);
void kn_solver_advance_2m_sde(kn_solver *solver, const float *m);
void kn_solver_advance_unipc(kn_solver *solver, const float *m);

#endif
