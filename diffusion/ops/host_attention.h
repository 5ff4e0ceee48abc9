/* Attention on the processors, for software devices (see host_layer.h). Internal to diffusion/ops. */
#ifndef KN_DIFFUSION_HOST_ATTENTION_H
#define KN_DIFFUSION_HOST_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* out[n][tq][head of heads * d] = softmax(q k^T scale) v, the softmax in base 2, or += with `accumulate`. q, out
 * [n][tq][stride], k and v [.][tk][stride]; member i attends to member members[i] (NULL: i). Pointers must stay valid
 * while tasks run. */
typedef struct kn_host_attention {
    const float *q, *k, *v;
    float *out;
    const uint32_t *members;
    int n, tq, tk, heads, d, stride;
    float scale;
    bool causal, accumulate;
} kn_host_attention;

/* As in host_layer.h. */
int kn_host_attention_tasks(const kn_host_attention *a);
size_t kn_host_attention_scratch(const kn_host_attention *a);
void kn_host_attention_run(const void *attention, int task, void *scratch);

#endif
