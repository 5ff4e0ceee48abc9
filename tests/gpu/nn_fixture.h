/* A device and a graph for the tests of the network operations, and comparison with an oracle. */
#ifndef KN_TESTS_NN_FIXTURE_H
#define KN_TESTS_NN_FIXTURE_H

#include "diffusion/ops/ops_internal.h"
#include "tests/nn_oracle.h"

#include <criterion/criterion.h>

typedef struct fixture {
    kn_gpu *gpu;
    kn_graph *graph;
    kn_error error;
} fixture;

/* With the validation layer on when `checked`; its messages fail the test at fixture_finish. */
void fixture_init(fixture *f, bool portable);
/* The same with this variant forced; false when the device cannot run it, and then nothing is open. */
bool fixture_variant(fixture *f, kn_variant variant);
void fixture_finish(fixture *f);

/* Random tensor on the device with its host copy [n][c][h][w], which the caller frees. */
float *fixture_tensor(fixture *f, kn_tensor *tensor, int n, int h, int w, int c, uint64_t seed);
float *fixture_random(size_t count, uint64_t seed);
float *fixture_zeros(size_t count);
size_t fixture_count(const kn_tensor *tensor);
/* Runs what was recorded and compares a tensor with what the oracle made; frees `expected`. */
void fixture_expect(fixture *f, const kn_tensor *tensor, float *expected, double tolerance, const char *what);

#define REQUIRE(f, call) cr_assert(call, "%s", (f)->error.message)

#endif
