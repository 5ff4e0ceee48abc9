/* Attention on processors: a piece is up to KN_HOST_ROWS queries of a head, for which blocks of as many keys pass with
 * a running maximum and sum (Dao et al. 2022, arXiv 2205.14135). Scores lie transposed, a row a key, so that the
 * softmax runs down vectors. */
#include "diffusion/ops/host_attention.h"

#include "diffusion/ops/host_kernels.h"

#include <math.h>
#include <string.h>

enum { BLOCK = KN_HOST_ROWS, WORTH = 1 << 16 /* products that are worth a task of their own */ };

static int round_up(int value, int step) { return (value + step - 1) / step * step; }

static int blocks_of(const kn_host_attention *a) { return (a->tq + BLOCK - 1) / BLOCK; }
static int64_t pieces_of(const kn_host_attention *a) { return (int64_t)a->n * a->heads * blocks_of(a); }

/* Short sequences: several pieces a task. */
static int64_t pieces_per_task(const kn_host_attention *a) {
    int64_t products = (int64_t)(a->tq < BLOCK ? a->tq : BLOCK) * a->tk * a->d;
    return products >= WORTH ? 1 : WORTH / (products + 1) + 1;
}

int kn_host_attention_tasks(const kn_host_attention *a) {
    int64_t each = pieces_per_task(a);
    return (int)((pieces_of(a) + each - 1) / each);
}

/* Scratch memory of a thread. */
typedef struct work {
    float *queries;               /* [d][BLOCK], times the scale */
    float *scores;                /* [BLOCK keys][BLOCK queries] */
    float *values;                /* [BLOCK keys][padded d] */
    float *sums;                  /* [BLOCK queries][padded d] */
    float *most, *total, *factor; /* [BLOCK queries] */
    int padded;
} work;

static work work_of(const kn_host_attention *a, void *scratch) {
    work w = {.queries = scratch, .padded = round_up(a->d, 16)};
    w.scores = w.queries + (size_t)a->d * BLOCK;
    w.values = w.scores + BLOCK * BLOCK;
    w.sums = w.values + (size_t)BLOCK * (size_t)w.padded;
    w.most = w.sums + (size_t)BLOCK * (size_t)w.padded;
    w.total = w.most + BLOCK;
    w.factor = w.total + BLOCK;
    return w;
}

size_t kn_host_attention_scratch(const kn_host_attention *a) {
    size_t padded = (size_t)round_up(a->d, 16);
    return sizeof(float) * ((size_t)a->d * BLOCK + BLOCK * BLOCK + 2 * BLOCK * padded + 3 * BLOCK);
}

/* Queries from `first` on, transposed; columns past the last repeat it. */
static void take_queries(const kn_host_attention *a, const work *w, const float *q, int first, int count, int columns) {
    for (int i = 0; i < columns; i++) {
        const float *from = q + (size_t)(first + (i < count ? i : count - 1)) * (size_t)a->stride;
        for (int c = 0; c < a->d; c++) w->queries[c * BLOCK + i] = from[c] * a->scale;
        w->most[i] = -INFINITY;
        w->total[i] = 0;
    }
    memset(w->sums, 0, sizeof(float) * (size_t)BLOCK * (size_t)w->padded);
}

static void hide_later(const work *w, int first_key, int keys, int first_query, int columns) {
    for (int i = 0; i < keys; i++)
        for (int j = 0; j < columns; j++)
            if (first_key + i > first_query + j) w->scores[i * BLOCK + j] = -INFINITY;
}

/* One block of keys: scores, softmax, and their values into the sums. */
static void add_keys(const kn_host_attention *a, const kn_host_kernels *m, const work *w, const float *k,
                     const float *v, int first_key, int keys, int first_query, int queries, int columns) {
    const float *rows[BLOCK];
    for (int i = 0; i < BLOCK; i++) rows[i] = k + (size_t)(first_key + (i < keys ? i : keys - 1)) * (size_t)a->stride;
    for (int i = 0; i < keys; i++) {
        const float *from = v + (size_t)(first_key + i) * (size_t)a->stride;
        float *to = w->values + (size_t)i * (size_t)w->padded;
        memcpy(to, from, (size_t)a->d * sizeof *to);
        memset(to + a->d, 0, (size_t)(w->padded - a->d) * sizeof *to);
    }
    memset(w->scores, 0, sizeof(float) * BLOCK * BLOCK);
    m->multiply(w->scores, rows, w->queries, keys, BLOCK, columns, a->d);
    if (a->causal) hide_later(w, first_key, keys, first_query, columns);
    m->softmax(w->scores, keys, BLOCK, columns, w->most, w->total, w->factor);
    for (int i = 0; first_key > 0 && i < queries; i++)
        if (w->factor[i] != 1) m->scale(w->sums + (size_t)i * (size_t)w->padded, w->factor[i], w->padded);
    m->multiply_transposed(w->sums, w->scores, BLOCK, w->values, queries, w->padded, w->padded, keys);
}

static void run_piece(const kn_host_attention *a, const kn_host_kernels *m, const work *w, int member, int head,
                      int first) {
    int queries = a->tq - first < BLOCK ? a->tq - first : BLOCK, columns = round_up(queries, m->lanes);
    size_t other = a->members ? a->members[member] : (size_t)member, at = (size_t)head * (size_t)a->d;
    size_t mine = (size_t)member * (size_t)a->tq * (size_t)a->stride + at,
           theirs = other * (size_t)a->tk * (size_t)a->stride + at;
    int keys = a->causal && first + queries < a->tk ? first + queries : a->tk;
    take_queries(a, w, a->q + mine, first, queries, columns);
    for (int key = 0; key < keys; key += BLOCK)
        add_keys(a, m, w, a->k + theirs, a->v + theirs, key, keys - key < BLOCK ? keys - key : BLOCK, first, queries,
                 columns);
    for (int i = 0; i < queries; i++) {
        float *to = a->out + mine + (size_t)(first + i) * (size_t)a->stride, factor = 1 / w->total[i];
        const float *from = w->sums + (size_t)i * (size_t)w->padded;
        for (int c = 0; c < a->d; c++) to[c] = a->accumulate ? to[c] + from[c] * factor : from[c] * factor;
    }
}

void kn_host_attention_run(const void *attention, int task, void *scratch) {
    const kn_host_attention *a = attention;
    int64_t each = pieces_per_task(a), first = task * each, end = first + each, count = pieces_of(a);
    int blocks = blocks_of(a);
    work w = work_of(a, scratch);
    unsigned before = kn_host_enter();
    for (int64_t i = first; i < end && i < count; i++) {
        int64_t heads = i / blocks;
        run_piece(a, kn_host_kernels_find(), &w, (int)(heads / a->heads), (int)(heads % a->heads),
                  (int)(i % blocks) * BLOCK);
    }
    kn_host_leave(before);
}
