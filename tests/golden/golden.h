/* What the golden tests share: a device, tensors files and comparison. */
#ifndef KN_TESTS_GOLDEN_H
#define KN_TESTS_GOLDEN_H

#include "diffusion/sampling/model.h"

#include <criterion/criterion.h>

#define FOLDER "tests/golden/"

typedef struct golden {
    kn_gpu *gpu;
    kn_graph *graph;
    kn_safetensors *file;
    kn_config config;
    kn_weights *weights;
    kn_error error;
} golden;

#define REQUIRE(g, call) cr_assert((call), "%s", (g)->error.message)

/* A device and the case's tensors.safetensors. */
void golden_init(golden *g, const char *name);
void golden_finish(golden *g); /* also fails when the validation layer complained */
/* Reads config.json and the weights of <name>/<part>. */
void golden_open(golden *g, const char *name, const char *part);
void golden_close(golden *g);

const kn_stored_tensor *golden_find(golden *g, const char *name);
float *golden_floats(golden *g, const char *name); /* freed with kn_free */
/* A tensor [n][c][h][w] (or tokens [n][t][c]) of the file on the device. */
kn_tensor golden_upload(golden *g, const char *name);
/* Runs the graph and compares: the largest difference over the largest expected value is at most `tolerance`. */
void golden_expect(golden *g, const kn_tensor *actual, const char *name, double tolerance);
void golden_compare(const float *actual, const float *expected, size_t count, const char *what, double tolerance);

#endif
