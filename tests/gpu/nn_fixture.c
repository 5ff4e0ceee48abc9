#include "tests/gpu/nn_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static int complaints;

static void on_log(void *user, kn_log_level level, const char *line) {
    if (level != KN_LOG_ERROR) return;
    fprintf(stderr, "%s\n", line);
    complaints++;
}

void fixture_init(fixture *f, bool portable) {
    *f = (fixture){0};
    kn_gpu_params params = {.validation = true, .log = {.callback = on_log, .level = KN_LOG_ERROR}};
    REQUIRE(f, kn_gpu_create(&f->gpu, &params, &f->error));
    REQUIRE(f, kn_graph_create(&f->graph, f->gpu, 0, &f->error));
    if (portable) kn_graph_force_portable(f->graph);
}

bool fixture_variant(fixture *f, kn_variant variant) {
    fixture_init(f, false);
    if (kn_variant_runs(kn_gpu_get_info(f->gpu), variant)) {
        kn_graph_force_variant(f->graph, variant);
        return true;
    }
    fixture_finish(f);
    return false;
}

void fixture_finish(fixture *f) {
    kn_graph_destroy(&f->graph);
    kn_gpu_destroy(&f->gpu);
    cr_assert_eq(complaints, 0, "the validation layer reported %d errors", complaints);
}

float *fixture_zeros(size_t count) {
    float *data = calloc(count, sizeof *data);
    cr_assert(data);
    return data;
}

float *fixture_random(size_t count, uint64_t seed) {
    float *data = fixture_zeros(count);
    oracle_fill(data, count, seed);
    return data;
}

float *fixture_tensor(fixture *f, kn_tensor *tensor, int n, int h, int w, int c, uint64_t seed) {
    float *data = fixture_random((size_t)n * h * w * c, seed);
    REQUIRE(f, kn_graph_tensor(f->graph, tensor, n, h, w, c, &f->error));
    REQUIRE(f, kn_tensor_upload(tensor, data, &f->error));
    return data;
}

size_t fixture_count(const kn_tensor *tensor) { return (size_t)tensor->n * tensor->h * tensor->w * tensor->c; }

/* The padding channels must be zero, since later layers read them. */
static void expect_zero_padding(fixture *f, const kn_tensor *tensor, const char *what) {
    size_t rows = (size_t)tensor->n * tensor->h * tensor->w, bad = 0;
    float *raw = fixture_zeros(rows * tensor->stride);
    REQUIRE(f, kn_gpu_download(tensor->memory.buffer, tensor->memory.offset, raw, rows * tensor->stride * sizeof *raw,
                               &f->error));
    for (size_t i = 0; i < rows; i++)
        for (int c = tensor->c; c < tensor->stride; c++) bad += raw[i * tensor->stride + c] != 0.0f;
    free(raw);
    cr_assert_eq(bad, 0, "%s: %zu padding values are not zero", what, bad);
}

void fixture_expect(fixture *f, const kn_tensor *tensor, float *expected, double tolerance, const char *what) {
    size_t count = fixture_count(tensor);
    float *got = fixture_zeros(count);
    REQUIRE(f, kn_graph_run(f->graph, &f->error));
    REQUIRE(f, kn_tensor_download(tensor, got, &f->error));
    double error = oracle_error(got, expected, count);
    cr_assert(error <= tolerance, "%s: relative error %g, expected at most %g", what, error, tolerance);
    expect_zero_padding(f, tensor, what);
    free(got);
    free(expected);
    REQUIRE(f, kn_gpu_recorder_reset(kn_graph_recorder(f->graph), &f->error));
}
