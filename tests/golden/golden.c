#include "tests/golden/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int complaints;

static void on_log(void *user, kn_log_level level, const char *line) {
    if (level == KN_LOG_ERROR) {
        fprintf(stderr, "%s\n", line);
        complaints++;
    }
}

void golden_init(golden *g, const char *name) {
    *g = (golden){0};
    kn_gpu_params params = {.validation = true, .log = {.callback = on_log, .level = KN_LOG_ERROR}};
    kn_name path = kn_name_of(FOLDER "%s/tensors.safetensors", name);
    REQUIRE(g, kn_gpu_create(&g->gpu, &params, &g->error));
    REQUIRE(g, kn_graph_create(&g->graph, g->gpu, 0, &g->error));
    REQUIRE(g, kn_safetensors_open(&g->file, path.text, &g->error));
}

void golden_finish(golden *g) {
    kn_safetensors_close(&g->file);
    kn_graph_destroy(&g->graph);
    kn_gpu_destroy(&g->gpu);
    cr_assert_eq(complaints, 0, "the validation layer reported %d errors", complaints);
}

void golden_open(golden *g, const char *name, const char *part) {
    kn_name folder = kn_name_of(FOLDER "%s%s", name, part), config = kn_name_of("%s/config.json", folder.text);
    REQUIRE(g, kn_config_init(&g->config, config.text, &g->error));
    REQUIRE(g, kn_weights_create(&g->weights, &g->error));
    REQUIRE(g, kn_weights_add_folder(g->weights, folder.text, &g->error));
}

void golden_close(golden *g) {
    REQUIRE(g, kn_weights_check_used(g->weights, &g->error));
    kn_weights_destroy(&g->weights);
    kn_config_finish(&g->config);
}

const kn_stored_tensor *golden_find(golden *g, const char *name) {
    const kn_stored_tensor *tensor = kn_safetensors_find(g->file, name);
    cr_assert(tensor, "no golden tensor %s", name);
    return tensor;
}

float *golden_floats(golden *g, const char *name) {
    const kn_stored_tensor *tensor = golden_find(g, name);
    float *data = kn_alloc(tensor->count, sizeof *data, &g->error);
    REQUIRE(g, data != NULL);
    kn_stored_tensor_to_float(tensor, data);
    return data;
}

kn_tensor golden_upload(golden *g, const char *name) {
    const kn_stored_tensor *stored = golden_find(g, name);
    float *data = golden_floats(g, name), *planar = data;
    int n = (int)stored->shape[0], c = (int)stored->shape[1], h = 1, w = 1;
    if (stored->rank == 4) {
        h = (int)stored->shape[2], w = (int)stored->shape[3];
    } else { /* tokens [n][t][c] */
        w = c, c = (int)stored->shape[2];
        planar = kn_alloc(stored->count, sizeof *planar, &g->error);
        for (size_t i = 0; i < stored->count; i++) {
            size_t member = i / ((size_t)w * (size_t)c), token = i / (size_t)c % (size_t)w, channel = i % (size_t)c;
            planar[(member * (size_t)c + channel) * (size_t)w + token] = data[i];
        }
    }
    kn_tensor tensor = {0};
    REQUIRE(g, kn_graph_tensor(g->graph, &tensor, n, h, w, c, &g->error));
    REQUIRE(g, kn_tensor_upload(&tensor, planar, &g->error));
    if (planar != data) kn_free(planar);
    kn_free(data);
    return tensor;
}

void golden_compare(const float *actual, const float *expected, size_t count, const char *what, double tolerance) {
    double worst = 0, largest = 0;
    size_t place = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)actual[i] - (double)expected[i]);
        largest = fmax(largest, fabs((double)expected[i]));
        if (!(difference <= worst)) {
            worst = difference;
            place = i;
        }
    }
    if (getenv("GOLDEN_VERBOSE")) fprintf(stderr, "%s: %.2g\n", what, worst / largest);
    cr_assert(worst <= tolerance * largest, "%s: off by %.3g of %.3g at %zu: %g, expected %g", what, worst, largest,
              place, (double)actual[place], (double)expected[place]);
}

void golden_expect(golden *g, const kn_tensor *actual, const char *name, double tolerance) {
    const kn_stored_tensor *stored = golden_find(g, name);
    size_t count = (size_t)actual->n * (size_t)actual->h * (size_t)actual->w * (size_t)actual->c;
    cr_assert_eq(count, stored->count, "%s: %zu values, expected %zu", name, count, stored->count);
    float *values = kn_alloc(count, sizeof *values, &g->error), *expected = golden_floats(g, name);
    REQUIRE(g, kn_tensor_download(actual, values, &g->error));
    if (stored->rank == 3) { /* expected as tokens [n][t][c] */
        float *tokens = kn_alloc(count, sizeof *tokens, &g->error);
        size_t c = (size_t)actual->c, t = (size_t)actual->h * (size_t)actual->w;
        for (size_t i = 0; i < count; i++) tokens[i] = values[(i / (t * c) * c + i % c) * t + i / c % t];
        kn_free(values);
        values = tokens;
    }
    golden_compare(values, expected, count, name, tolerance);
    kn_free(values);
    kn_free(expected);
}
