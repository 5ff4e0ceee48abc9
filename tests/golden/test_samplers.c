/* Whole trajectories of every sampler on an analytic denoiser, run by the kernel, against
 * training/golden_samplers.py. */
#include "diffusion/ops/ops_internal.h"
#include "diffusion/sampling/sampler_step.h"
#include "tests/golden/golden.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 3, C = 3, H = 3, W = 5, COUNT = N * C * H * W };

/* golden_samplers.denoiser */
static void denoise(const float *x, double t, float *m) {
    for (int i = 0; i < COUNT; i++) m[i] = (float)(0.6 * tanh((double)x[i]) + 0.25 * cos(t * 0.004) * (double)x[i]);
}

typedef struct run {
    golden g;
    kn_schedule schedule;
    kn_step steps[KN_MAX_STEPS];
    kn_sampler_tensors tensors;
    double noise_scale;
    int count;
} run;

static void make_tensors(run *r, bool guided, bool previous, bool input) {
    golden *g = &r->g;
    REQUIRE(g, kn_graph_tensor(g->graph, &r->tensors.x, N, H, W, C, &g->error));
    REQUIRE(g, kn_graph_tensor(g->graph, &r->tensors.output, guided ? 2 * N : N, H, W, C, &g->error));
    if (previous) REQUIRE(g, kn_graph_tensor(g->graph, &r->tensors.previous, N, H, W, C, &g->error));
    if (input) REQUIRE(g, kn_graph_tensor(g->graph, &r->tensors.input, guided ? 2 * N : N, H, W, C, &g->error));
    REQUIRE(g, kn_gpu_buffer_create(&r->tensors.coefficients, g->gpu, KN_GPU_ALIGN, KN_GPU_MEMORY_HOST, &g->error));
    REQUIRE(g, kn_sampler_step_record(g->graph, &r->tensors, &g->error));
}

static void open_case(run *r, int index, int count) {
    memset(r, 0, sizeof *r);
    golden_init(&r->g, "samplers");
    kn_name path = kn_name_of(FOLDER "samplers/%02d.json", index);
    REQUIRE(&r->g, kn_config_init(&r->g.config, path.text, &r->g.error));
    REQUIRE(&r->g, kn_schedule_read(&r->schedule, &r->g.config, &r->g.error));
    r->count = count;
    REQUIRE(&r->g, kn_schedule_steps(&r->schedule, KN_METHOD_CONFIG, count, r->steps, &r->noise_scale, &r->g.error));
}

static void close_case(run *r) {
    kn_gpu_buffer_destroy(&r->tensors.coefficients);
    kn_schedule_finish(&r->schedule);
    kn_config_finish(&r->g.config);
    golden_finish(&r->g);
}

/* Uploads the network's output. Guided: halves u and c with u + 2.5 (c - u) = m. */
static void set_output(run *r, const float *m) {
    float both[2 * COUNT];
    bool guided = r->tensors.output.n == 2 * N;
    for (int i = 0; i < COUNT; i++) {
        float difference = 0.1f * sinf((float)i);
        both[i] = guided ? m[i] - 2.5f * difference : m[i];
        both[COUNT + i] = both[i] + difference;
    }
    REQUIRE(&r->g, kn_tensor_upload(&r->tensors.output, both, &r->g.error));
}

/* The input tensor must hold input_scale * x in both halves. */
static void check_input(run *r, const float *x, double scale) {
    float input[2 * COUNT], expected[COUNT];
    if (r->tensors.input.n == 0) return;
    for (int i = 0; i < COUNT; i++) expected[i] = x[i] * (float)scale;
    REQUIRE(&r->g, kn_tensor_download(&r->tensors.input, input, &r->g.error));
    golden_compare(input, expected, COUNT, "input", 1e-6);
    if (r->tensors.input.n == 2 * N) golden_compare(input + COUNT, expected, COUNT, "second input", 1e-6);
}

static void check_trajectory(int index, bool guided) {
    run r;
    kn_name name = kn_name_of("%02d", index), scale_name = kn_name_of("%02d.scale", index);
    kn_safetensors *probe;
    kn_error error;
    cr_assert(kn_safetensors_open(&probe, FOLDER "samplers/tensors.safetensors", &error), "%s", error.message);
    int count = (int)kn_safetensors_find(probe, name.text)->shape[0];
    kn_safetensors_close(&probe);
    open_case(&r, index, count);
    float *noise = golden_floats(&r.g, "noise"), *states = golden_floats(&r.g, name.text),
          *scale = golden_floats(&r.g, scale_name.text);
    float x[COUNT], seen[COUNT], m[COUNT];
    cr_assert_float_eq(r.noise_scale, (double)scale[0], 1e-5 * r.noise_scale);
    make_tensors(&r, guided, true, true);
    for (int i = 0; i < COUNT; i++) x[i] = noise[i] * (float)r.noise_scale;
    REQUIRE(&r.g, kn_tensor_upload(&r.tensors.x, x, &r.g.error));
    for (int step = 0; step < count; step++) {
        double next_scale = step + 1 < count ? r.steps[step + 1].input_scale : 1;
        for (int i = 0; i < COUNT; i++) seen[i] = x[i] * (float)r.steps[step].input_scale;
        denoise(seen, r.steps[step].timestep, m);
        set_output(&r, m);
        REQUIRE(&r.g, kn_sampler_step_set(&r.tensors, &r.steps[step], next_scale, 2.5, &r.g.error));
        REQUIRE(&r.g, kn_graph_run(r.g.graph, &r.g.error));
        REQUIRE(&r.g, kn_tensor_download(&r.tensors.x, x, &r.g.error));
        kn_name what = kn_name_of("case %d, step %d", index, step);
        golden_compare(x, states + step * COUNT, COUNT, what.text, 1e-4);
        check_input(&r, x, next_scale);
    }
    kn_free(noise);
    kn_free(states);
    kn_free(scale);
    close_case(&r);
}

Test(samplers, ddim) {
    for (int i = 0; i < 4; i++) check_trajectory(i, false);
}
Test(samplers, dpm_solver_2m) {
    for (int i = 4; i < 8; i++) check_trajectory(i, false);
}
Test(samplers, euler) {
    for (int i = 8; i < 11; i++) check_trajectory(i, false);
}
Test(samplers, flow) {
    for (int i = 11; i < 14; i++) check_trajectory(i, false);
}
Test(samplers, guided) {
    check_trajectory(1, true);
    check_trajectory(6, true);
    check_trajectory(8, true);
    check_trajectory(11, true);
}

/* Bytes that no longer fit one binding are done in parts. */
Test(samplers, in_parts) {
    run r;
    open_case(&r, 12, 4);
    float x[COUNT], m[COUNT], expected[COUNT];
    kn_graph_set_binding_limit(r.g.graph, 512);
    make_tensors(&r, false, true, false);
    for (int i = 0; i < COUNT; i++) x[i] = (float)i * 0.01f, m[i] = 1 - x[i];
    REQUIRE(&r.g, kn_tensor_upload(&r.tensors.x, x, &r.g.error));
    set_output(&r, m);
    REQUIRE(&r.g, kn_sampler_step_set(&r.tensors, &r.steps[1], 1, 1, &r.g.error));
    REQUIRE(&r.g, kn_graph_run(r.g.graph, &r.g.error));
    for (int i = 0; i < COUNT; i++) /* sigma .75 -> .5 */
        expected[i] = m[i] + (x[i] - m[i]) * (0.5f / 0.75f);
    REQUIRE(&r.g, kn_tensor_download(&r.tensors.x, x, &r.g.error));
    golden_compare(x, expected, COUNT, "in parts", 1e-5);
    close_case(&r);
}

/* DPM-Solver++ on the straight-line schedule still reaches a constant x0 exactly. */
Test(samplers, dpm_solver_on_flow) {
    run r;
    open_case(&r, 12, 4);
    REQUIRE(&r.g, kn_schedule_steps(&r.schedule, KN_METHOD_DPM_SOLVER_2M, 4, r.steps, &r.noise_scale, &r.g.error));
    double x = 3, previous = 0;
    for (int i = 0; i < 4; i++) {
        double x0 = 0.25;
        x = r.steps[i].x_x * x + r.steps[i].x_m * x0 + r.steps[i].x_0 * x0 + r.steps[i].x_p * previous;
        previous = x0;
    }
    cr_assert_float_eq(x, 0.25, 1e-9);
    cr_assert_not(kn_schedule_steps(&r.schedule, KN_METHOD_DDIM, 4, r.steps, &r.noise_scale, &r.g.error));
    cr_assert_not(kn_schedule_steps(&r.schedule, KN_METHOD_CONFIG, 0, r.steps, &r.noise_scale, &r.g.error));
    close_case(&r);
}
