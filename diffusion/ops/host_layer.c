/* Layers on processors: a task is a panel of output channels times up to KN_HOST_ROWS rows. Blocks of weights, widened
 * to fp32, stay in the first cache while all rows of the task pass; sums of the task stay in the second. */
#include "diffusion/ops/host_layer.h"

#include "diffusion/ops/host_kernels.h"

#include <string.h>

enum { BLOCK = 128 /* input channels at a time */ };

static int chunks_of(const kn_host_layer *l) { return (l->rows + KN_HOST_ROWS - 1) / KN_HOST_ROWS; }
static int columns_of(const kn_host_layer *l) { return l->gated ? l->panels / 2 : l->panels; }

int kn_host_layer_tasks(const kn_host_layer *l) { return chunks_of(l) * columns_of(l); }

/* Sums (and the gates'), a block of weights, a pixel of zeros. */
static size_t sum_floats(const kn_host_layer *l) { return (size_t)KN_HOST_ROWS * (size_t)l->width; }
static size_t block_floats(const kn_host_layer *l) { return (size_t)BLOCK * (size_t)l->width; }

size_t kn_host_layer_scratch(const kn_host_layer *l) {
    return sizeof(float) * (2 * sum_floats(l) + block_floats(l) + (size_t)l->in_stride + 16);
}

/* Input pixel of a row at tap 0, 0. */
typedef struct place {
    int member, y, x;
} place;

/* Where the rows' inputs for a tap lie; rows past the end repeat the last. */
static void find_inputs(const kn_host_layer *l, const place *places, const float **rows, int tap_y, int tap_x,
                        const float *zeros) {
    bool resized = l->view_h != l->in_h || l->view_w != l->in_w;
    for (int i = 0; i < KN_HOST_ROWS; i++) {
        int y = places[i].y + tap_y, x = places[i].x + tap_x;
        bool inside = (unsigned)y < (unsigned)l->view_h && (unsigned)x < (unsigned)l->view_w;
        if (inside && resized) {
            y = (int)((int64_t)y * l->in_h / l->view_h);
            x = (int)((int64_t)x * l->in_w / l->view_w);
        }
        size_t pixel = ((size_t)places[i].member * (size_t)l->in_h + (size_t)y) * (size_t)l->in_w + (size_t)x;
        rows[i] = inside ? l->in + pixel * (size_t)l->in_stride : zeros;
    }
}

/* sums[KN_HOST_ROWS][width] += inputs times the weights of a panel, for one tap. */
static void add_tap(const kn_host_layer *l, const kn_host_kernels *m, int panel, int tap, const float *const *inputs,
                    int rows, int columns, float *sums, float *block) {
    const float *from[KN_HOST_ROWS];
    size_t base = ((size_t)panel * (size_t)(l->taps_y * l->taps_x) + (size_t)tap) * (size_t)l->in_stride;
    for (int k = 0; k < l->in_stride; k += BLOCK) {
        int count = l->in_stride - k < BLOCK ? l->in_stride - k : BLOCK;
        size_t at = (base + (size_t)k) * (size_t)l->width;
        const float *weights = block;
        if (l->half) m->widen(block, (const uint16_t *)l->weights + at, count * l->width);
        else weights = (const float *)l->weights + at;
        for (int i = 0; i < KN_HOST_ROWS; i++) from[i] = inputs[i] + k;
        m->multiply(sums, from, weights, rows, l->width, columns, count);
    }
}

static void end_rows(const kn_host_layer *l, const kn_host_kernels *m, int panel, int first, int rows, float *sums,
                     const float *gates) {
    int column = panel * l->width, columns = l->out_stride - column < l->width ? l->out_stride - column : l->width;
    int pixels = l->out_h * l->out_w;
    kn_host_ending e = {.bias = l->bias + column, .activation = l->activation};
    if (gates) e.gate_bias = e.bias + l->panels / 2 * l->width;
    for (int i = 0; i < rows; i++) {
        size_t at = (size_t)(first + i) * (size_t)l->out_stride + (size_t)column;
        const float *broadcast = NULL;
        if (l->broadcast)
            broadcast = l->broadcast + (size_t)((first + i) / pixels) * (size_t)l->out_stride + (size_t)column;
        m->end_row(l->out + at, sums + i * l->width, gates ? gates + i * l->width : NULL, &e, broadcast,
                   l->residual ? l->residual + at : NULL, columns);
    }
}

static void run(const kn_host_layer *l, const kn_host_kernels *m, int panel, int first, float *scratch) {
    float *sums = scratch, *gates = sums + sum_floats(l), *block = gates + sum_floats(l),
          *zeros = block + block_floats(l);
    const float *inputs[KN_HOST_ROWS];
    place places[KN_HOST_ROWS];
    int rows = l->rows - first < KN_HOST_ROWS ? l->rows - first : KN_HOST_ROWS;
    int columns = l->out_stride - panel * l->width < l->width ? l->out_stride - panel * l->width : l->width;
    memset(zeros, 0, (size_t)l->in_stride * sizeof *zeros);
    memset(sums, 0, (l->gated ? 2 : 1) * sum_floats(l) * sizeof *sums);
    for (int i = 0; i < KN_HOST_ROWS; i++) {
        int row = first + (i < rows ? i : rows - 1), line = row / l->out_w, member = line / l->out_h;
        places[i] = (place){member, (line - member * l->out_h) * l->stride - l->pad,
                            (row - line * l->out_w) * l->stride - l->pad};
    }
    for (int tap = 0; tap < l->taps_y * l->taps_x; tap++) {
        find_inputs(l, places, inputs, tap / l->taps_x, tap % l->taps_x, zeros);
        add_tap(l, m, panel, tap, inputs, rows, columns, sums, block);
        if (l->gated) add_tap(l, m, panel + l->panels / 2, tap, inputs, rows, columns, gates, block);
    }
    end_rows(l, m, panel, first, rows, sums, l->gated ? gates : NULL);
}

/* Neighbouring tasks share the larger of inputs and weights, which then comes from memory once. */
void kn_host_layer_run(const void *layer, int task, void *scratch) {
    const kn_host_layer *l = layer;
    size_t inputs = (size_t)l->rows * (size_t)l->in_stride, weights = (size_t)l->panels * (size_t)l->width;
    weights *= (size_t)l->in_stride * (size_t)(l->taps_y * l->taps_x);
    bool by_rows = inputs > weights;
    int chunks = chunks_of(l), columns = columns_of(l);
    int panel = by_rows ? task % columns : task / chunks, chunk = by_rows ? task / columns : task % chunks;
    unsigned before = kn_host_enter();
    run(l, kn_host_kernels_find(), panel, chunk * KN_HOST_ROWS, scratch);
    kn_host_leave(before);
}
