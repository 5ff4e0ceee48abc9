/* Whole trajectories of the picture samplers on an analytic denoiser, against training/golden_solvers.py. */
#include "diffusion/sampling/solver.h"
#include "tests/golden/golden.h"

#include <math.h>
#include <string.h>

enum { COUNT = 3 * 3 * 3 * 5 };

static const char *const names[] = {"config",  "flow", "ddim",        "dpm++2m", "euler",
                                    "euler-a", "heun", "dpm++2m-sde", "unipc",   "lcm"};
static const char *const spacings[] = {"config", "uniform", "leading", "trailing", "karras", "exponential"};

static int index_of(const char *const *list, size_t count, const char *text) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], text) == 0) return (int)i;
    cr_assert_fail("no %s", text);
    return -1;
}

typedef struct draws {
    const float *values;
    int next;
} draws;

static bool draw(void *user, float *noise, kn_error *error) {
    draws *d = user;
    memcpy(noise, d->values + (size_t)d->next++ * COUNT, COUNT * sizeof *noise);
    return true;
}

static bool halves(void *user, float *noise, kn_error *error) {
    noise[0] = 0.5f, noise[1] = -0.5f;
    return true;
}

static bool refuse_to_draw(void *user, float *noise, kn_error *error) {
    return kn_fail(error, KN_ERROR_CANCELLED, "no more");
}

/* golden_samplers.denoiser */
static void denoise(const float *x, double t, float *m) {
    for (int i = 0; i < COUNT; i++) m[i] = (float)(0.6 * tanh((double)x[i]) + 0.25 * cos(t * 0.004) * (double)x[i]);
}

static float *floats_of(kn_safetensors *file, const char *name, size_t *count) {
    const kn_stored_tensor *tensor = kn_safetensors_find(file, name);
    cr_assert(tensor, "no golden tensor %s", name);
    float *values = kn_alloc(tensor->count, sizeof *values, NULL);
    kn_stored_tensor_to_float(tensor, values);
    if (count) *count = tensor->count;
    return values;
}

static void open_files(kn_safetensors **file, json_t **cases) {
    kn_error error;
    cr_assert(kn_safetensors_open(file, FOLDER "solvers/tensors.safetensors", &error), "%s", error.message);
    *cases = json_load_file(FOLDER "solvers/cases.json", 0, NULL);
    cr_assert_gt(json_array_size(*cases), 60);
}

static kn_solver_params params_of(const json_t *item) {
    const char *method = json_string_value(json_object_get(item, "method")),
               *spacing = json_string_value(json_object_get(item, "spacing"));
    return (kn_solver_params){.method = (kn_method)index_of(names, KN_COUNT(names), method),
                              .spacing = (kn_noise_spacing)index_of(spacings, KN_COUNT(spacings), spacing),
                              .steps = (int)json_integer_value(json_object_get(item, "steps")),
                              .eta = json_number_value(json_object_get(item, "eta")),
                              .strength = json_number_value(json_object_get(item, "strength"))};
}

static void check_case(kn_safetensors *file, const json_t *item, size_t number) {
    kn_error error = {0};
    kn_schedule schedule;
    kn_solver *solver;
    char path[] = "cases.json";
    kn_config config = {path, json_object_get(item, "config")};
    kn_solver_params params = params_of(item);
    cr_assert(kn_schedule_read(&schedule, &config, &error), "%s", error.message);
    cr_assert(kn_solver_create(&solver, &schedule, &params, COUNT, &error), "case %zu: %s", number, error.message);
    size_t floats;
    kn_name name = kn_name_of("%02zu", number);
    float *clean = floats_of(file, "clean", NULL), *noise = floats_of(file, "noise", NULL),
          *fresh = floats_of(file, "draws", NULL);
    float *states = floats_of(file, name.text, &floats), input[COUNT], m[COUNT];
    draws source = {fresh, 0};
    kn_solver_start(solver, json_is_true(json_object_get(item, "clean")) ? clean : NULL, noise);
    size_t evaluation = 0;
    for (; !kn_solver_done(solver); evaluation++) {
        kn_solver_input(solver, input);
        denoise(input, kn_solver_timestep(solver), m);
        cr_assert(kn_solver_advance(solver, m, draw, &source, &error), "%s", error.message);
        cr_assert_lt(evaluation * COUNT, floats, "case %zu takes too many evaluations", number);
        kn_name what = kn_name_of("case %zu (%s, %s), evaluation %zu", number, names[params.method],
                                  spacings[params.spacing], evaluation);
        golden_compare(kn_solver_sample(solver), states + evaluation * COUNT, COUNT, what.text, 5e-5);
    }
    cr_assert_eq(evaluation * COUNT, floats, "case %zu takes %zu evaluations", number, evaluation);
    kn_free(clean);
    kn_free(noise);
    kn_free(fresh);
    kn_free(states);
    kn_solver_destroy(&solver);
    kn_schedule_finish(&schedule);
}

Test(solvers, trajectories) {
    kn_safetensors *file;
    json_t *cases;
    open_files(&file, &cases);
    for (size_t i = 0; i < json_array_size(cases); i++) check_case(file, json_array_get(cases, i), i);
    json_decref(cases);
    kn_safetensors_close(&file);
}

/* A schedule from JSON text. */
static kn_schedule schedule_of(const char *text) {
    kn_error error = {0};
    kn_schedule schedule;
    char path[] = "test";
    kn_config config = {path, json_loads(text, 0, NULL)};
    cr_assert(kn_schedule_read(&schedule, &config, &error), "%s", error.message);
    json_decref(config.root);
    return schedule;
}

#define STABLE \
    "\"beta_start\": 0.00085, \"beta_end\": 0.012, \"beta_schedule\": \"scaled_linear\", \"clip_sample\": false"

/* A denoiser that knows the answer is followed to it by every sampler, whatever the noise. */
Test(solvers, reach_a_constant) {
    static const char *const texts[] = {
        "{\"_class_name\": \"PNDMScheduler\", \"prediction_type\": \"sample\", " STABLE "}",
        "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"prediction_type\": \"sample\"}"};
    for (size_t text = 0; text < 2; text++) {
        kn_schedule schedule = schedule_of(texts[text]);
        for (int method = KN_METHOD_FLOW_EULER; method <= KN_METHOD_LCM; method++) {
            kn_error error = {0};
            kn_solver *solver;
            kn_solver_params params = {.method = (kn_method)method, .steps = 9, .eta = -1, .strength = 1};
            if (!kn_solver_create(&solver, &schedule, &params, 2, &error)) {
                bool misfit = text ? method == KN_METHOD_LCM || method == KN_METHOD_EULER_ANCESTRAL ||
                                         method == KN_METHOD_DPM_SOLVER_2M_SDE
                                   : method == KN_METHOD_FLOW_EULER;
                cr_assert(misfit && error.kind == KN_ERROR_UNSUPPORTED, "%s: %s", names[method], error.message);
                continue;
            }
            float noise[2] = {1, -2}, m[2] = {0.25f, -3};
            for (kn_solver_start(solver, NULL, noise); !kn_solver_done(solver);)
                cr_assert(kn_solver_advance(solver, m, halves, NULL, &error), "%s", error.message);
            cr_assert(
                fabsf(kn_solver_sample(solver)[0] - 0.25f) < 0.02f && fabsf(kn_solver_sample(solver)[1] + 3) < 0.1f,
                "%s: %g %g", names[method], (double)kn_solver_sample(solver)[0], (double)kn_solver_sample(solver)[1]);
            kn_solver_destroy(&solver);
        }
        kn_schedule_finish(&schedule);
    }
}

Test(solvers, noise_that_fails_stops_the_step) {
    kn_error error = {0};
    kn_solver *solver;
    kn_schedule schedule = schedule_of("{\"_class_name\": \"EulerAncestralDiscreteScheduler\", " STABLE "}");
    kn_solver_params params = {.steps = 3, .eta = -1, .strength = 1};
    cr_assert(kn_solver_create(&solver, &schedule, &params, COUNT, &error), "%s", error.message);
    cr_assert_eq(kn_solver_method(solver), KN_METHOD_EULER_ANCESTRAL);
    float zero[COUNT] = {0};
    kn_solver_start(solver, NULL, zero);
    cr_assert_not(kn_solver_advance(solver, zero, refuse_to_draw, NULL, &error));
    cr_assert_eq(error.kind, KN_ERROR_CANCELLED);
    cr_assert_eq(kn_solver_step(solver), 0);
    kn_solver_destroy(&solver);
    kn_schedule_finish(&schedule);
}

Test(solvers, strength_chooses_where_to_start) {
    kn_error error = {0};
    kn_schedule schedule = schedule_of("{\"_class_name\": \"DDIMScheduler\", " STABLE "}");
    static const struct {
        double strength;
        int first;
    } cases[] = {{0, 10}, {0.05, 10}, {0.1, 9}, {0.3, 7}, {0.75, 3}, {1, 0}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        kn_solver *solver;
        kn_solver_params params = {.steps = 10, .eta = -1, .strength = cases[i].strength};
        cr_assert(kn_solver_create(&solver, &schedule, &params, 1, &error), "%s", error.message);
        cr_assert_eq(kn_solver_first_step(solver), cases[i].first);
        float clean = 3, noise = 5, out;
        kn_solver_start(solver, &clean, &noise);
        if (cases[i].first == 10) cr_assert(kn_solver_done(solver) && *kn_solver_sample(solver) == 3);
        kn_solver_noised(solver, &clean, &noise, &out);
        cr_assert_float_eq(*kn_solver_sample(solver), out, 0);
        kn_solver_destroy(&solver);
    }
    kn_schedule_finish(&schedule);
}

Test(solvers, refuse_what_does_not_fit) {
    kn_error error = {0};
    kn_solver *solver;
    kn_schedule lcm = schedule_of("{\"_class_name\": \"LCMScheduler\", " STABLE "}");
    kn_solver_params params = {.steps = 51, .eta = -1, .strength = 1};
    cr_assert_not(kn_solver_create(&solver, &lcm, &params, COUNT, &error));
    cr_assert_null(solver);
    cr_assert(strstr(error.message, "51 denoising steps: expected 1 to 50"), "%s", error.message);
    kn_schedule_finish(&lcm);
    kn_schedule zero = schedule_of("{\"_class_name\": \"DDIMScheduler\", \"rescale_betas_zero_snr\": true, "
                                   "\"timestep_spacing\": \"trailing\", " STABLE "}");
    params.steps = 4;
    cr_assert_not(kn_solver_create(&solver, &zero, &params, COUNT, &error));
    cr_assert(strstr(error.message, "signal-to-noise ratio of zero"), "%s", error.message);
    for (uint64_t n = 1; n < 4; n++) {
        params.method = KN_METHOD_UNIPC;
        kn_alloc_fail_after(n);
        cr_assert_not(kn_solver_create(&solver, &zero, &params, COUNT, &error));
        kn_alloc_fail_after(0);
        cr_assert(solver == NULL && error.kind == KN_ERROR_MEMORY);
    }
    kn_schedule_finish(&zero);
}
