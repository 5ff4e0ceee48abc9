/* Network operations on a kn_gpu: the layer between networks (what to compute) and kernels (how). Internal to
 * diffusion/.
 *
 * A kn_graph records operations into one recorder and places tensors in an arena of device memory: a tensor's memory is
 * reused as soon as it is released, since operations run in the order in which they are recorded.
 * Tensors are channels-last: [n][h][w][c] with c padded to a multiple of 4 in memory (`stride`, in elements; the
 * padding is zero). Tokens are h = 1, w = token count. All activations are fp32; weights are packed at load, fp16 or
 * fp32. */
#ifndef KN_DIFFUSION_OPS_H
#define KN_DIFFUSION_OPS_H

#include "base/base.h"
#include "gpu/gpu.h"

typedef struct kn_graph kn_graph;

typedef struct kn_tensor {
    kn_gpu_slice memory;
    int n, h, w, c;
    int stride; /* elements from one pixel or token to the next: c rounded up to 4 */
} kn_tensor;

typedef enum kn_activation {
    KN_ACTIVATION_NONE,
    KN_ACTIVATION_SILU,
    KN_ACTIVATION_GELU,
    KN_ACTIVATION_QUICK_GELU,
    KN_ACTIVATION_RELU,
    KN_ACTIVATION_TANH
} kn_activation;

/* Where a weight comes from that need not be on the device all the time (layers.c derives from it). */
typedef struct kn_weight_origin {
    bool (*fetch)(struct kn_weight_origin *origin, kn_error *error); /* puts origin->weight on the device */
    struct kn_weight *weight;
} kn_weight_origin;

/* Packed weights of a linear layer or convolution, on the device; bias included (zero when the layer has none).
 * Packed as [panel][kernel_h][kernel_w][in, padded to 4][lane] of four output channels; 4 * lanes channels a panel. */
typedef struct kn_weight {
    kn_gpu_buffer *buffer, *bias;    /* NULL while it is not on the device */
    kn_weight_origin *origin;        /* from where it is fetched when an operation needs it; NULL: it is there */
    int out, in, kernel_h, kernel_w; /* linear: 1 x 1 */
    int lanes, panels;
    bool half;
} kn_weight;

/* `data` is fp32 [out][in][kernel_h][kernel_w] (PyTorch's order), `bias` [out] or NULL. `half` asks for fp16 on the
 * device; software devices keep small weights in fp32 all the same (weight->half says which). */
bool kn_weight_create(kn_weight *weight, kn_gpu *gpu, const float *data, const float *bias, int out, int in,
                      int kernel_h, int kernel_w, bool half, kn_error *error);
/* The same from fp16 (`half_data`) or fp32 that may be unaligned, as it lies in a file. */
bool kn_weight_create_from(kn_weight *weight, kn_gpu *gpu, const void *data, bool half_data, const float *bias, int out,
                           int in, int kernel_h, int kernel_w, bool half, kn_error *error);
void kn_weight_destroy(kn_weight *weight); /* accepts a zeroed weight; clears it */

/* The same in two steps: a weight of this shape that is not on the device yet, and its content. Filling a weight that
 * is on the device replaces its content where it lies, once submitted work that reads it is done. */
bool kn_weight_init(kn_weight *weight, const kn_gpu *gpu, int out, int in, int kernel_h, int kernel_w, bool half,
                    kn_error *error);
bool kn_weight_fill(kn_weight *weight, kn_gpu *gpu, const void *data, bool half_data, const float *bias,
                    kn_error *error);
/* Takes it off the device; shape and origin stay. Recorders that list its buffers can no longer be submitted. */
void kn_weight_evict(kn_weight *weight);
/* Bytes of kn_weight.buffer, on the device or not; and of both buffers together. */
size_t kn_weight_matrix_bytes(const kn_weight *weight);
size_t kn_weight_bytes(const kn_weight *weight);

/* An fp32 vector on the device (gamma, beta), padded with zeros to a multiple of 4 elements, as the norms need it. */
bool kn_vector_create(kn_gpu_buffer **vector, kn_gpu *gpu, const float *data, int count, kn_error *error);

/* --- graph and memory ------------------------------------------------------------------------- */
/* `arena_bytes`: of the arena's first block, all that is needed when a dry graph's kn_graph_block_bytes say so; 0: it
 * grows in blocks. */
bool kn_graph_create(kn_graph **graph, kn_gpu *gpu, size_t arena_bytes, kn_error *error);
/* A graph that places tensors and checks operations but neither allocates their memory nor records: for planning. Its
 * tensors must not be uploaded to or downloaded from. */
bool kn_graph_create_dry(kn_graph **graph, kn_gpu *gpu, kn_error *error);
void kn_graph_destroy(kn_graph **graph);
kn_gpu_recorder *kn_graph_recorder(kn_graph *graph);
/* Runs what was recorded and forgets it; its tensors stay. */
bool kn_graph_flush(kn_graph *graph, kn_error *error);
/* Forgets what was recorded and all tensors; the arena's memory stays. */
bool kn_graph_restart(kn_graph *graph, kn_error *error);
bool kn_graph_tensor(kn_graph *graph, kn_tensor *tensor, int n, int h, int w, int c, kn_error *error);
void kn_graph_release(kn_graph *graph, kn_tensor *tensor); /* clears it; its memory may be reused by what follows */
bool kn_graph_run(kn_graph *graph, kn_error *error);       /* submit and wait; may be repeated */
uint64_t kn_graph_peak_bytes(const kn_graph *graph);
uint64_t kn_graph_block_bytes(const kn_graph *graph); /* device memory that its tensors take, blocks as a whole; of a
                                                         dry graph: the arena that suffices */
/* Bytes of weights that were not on the device when an operation asked for them: fetched, or of a dry graph those it
 * would fetch. */
uint64_t kn_graph_fetched_bytes(const kn_graph *graph);
/* Who puts weights on the device for the operations of this graph; NULL: each comes from its origin and stays.
 * `streamer` outlives the graph (stream.h). */
struct kn_streamer;
void kn_graph_set_streamer(kn_graph *graph, struct kn_streamer *streamer);
bool kn_tensor_upload(const kn_tensor *tensor, const float *nchw, kn_error *error); /* [n][c][h][w] on the host */
bool kn_tensor_download(const kn_tensor *tensor, float *nchw, kn_error *error);

/* --- operations: each creates *out (which must be released) unless a comment says otherwise. An operation whose
 * tensors exceed the device's binding range is split along n by the implementation. --- */

/* Appends a picture of zeros to [N][h][w][c]. */
bool kn_op_append_zero(kn_graph *graph, kn_tensor *tensor, kn_error *error);

/* out = activation(conv(in) + bias) [+ residual]. `residual` may be NULL; stride 1 or 2; zero padding of `pad` on the
 * left/top and `pad_end` on the right/bottom. `broadcast` (may be NULL, [n][1][1][out]) is added before the activation:
 * time embeddings. */
typedef struct kn_conv_params {
    int stride, pad, pad_end;
    kn_activation activation;
    const kn_tensor *residual, *broadcast;
    int view_h,
        view_w; /* 0: as the input is; else the input is first resized to this by nearest neighbour, on the fly */
} kn_conv_params;
bool kn_op_conv(kn_graph *graph, kn_tensor *out, const kn_tensor *in, const kn_weight *weight,
                const kn_conv_params *params, kn_error *error);

/* out = activation(in W^T + b) [+ residual] for every pixel or token. */
bool kn_op_linear(kn_graph *graph, kn_tensor *out, const kn_tensor *in, const kn_weight *weight,
                  kn_activation activation, const kn_tensor *residual, kn_error *error);
/* kn_op_geglu(kn_op_linear(in)) in one kernel where the shape allows it: out has weight->out / 2 channels. */
bool kn_op_linear_geglu(kn_graph *graph, kn_tensor *out, const kn_tensor *in, const kn_weight *weight, kn_error *error);

/* gamma, beta: from kn_vector_create, [c]. */
bool kn_op_group_norm(kn_graph *graph, kn_tensor *out, const kn_tensor *in, kn_gpu_buffer *gamma, kn_gpu_buffer *beta,
                      int groups, float epsilon, kn_activation activation, kn_error *error);
bool kn_op_layer_norm(kn_graph *graph, kn_tensor *out, const kn_tensor *in, kn_gpu_buffer *gamma, kn_gpu_buffer *beta,
                      float epsilon, kn_error *error);

/* softmax(q k^T scale) v per head; q [n][1][tq][heads*d], k and v [n][1][tk][heads*d]; any d that is a multiple
 * of 4 up to 1024; causal and accumulate only up to 160.
 * `kv_index` (may be NULL; host array of q.n entries, each < k.n): batch member i of q attends to member kv_index[i] of
 * k, v. `causal`: token i sees tokens <= i. Never stores the score matrix. `accumulate`: adds to *out, which then
 * exists. */
typedef struct kn_attention_params {
    int heads;
    bool causal, accumulate;
    const int *kv_index;
    float scale; /* 0: 1 / sqrt(d) */
} kn_attention_params;
bool kn_op_attention(kn_graph *graph, kn_tensor *out, const kn_tensor *q, const kn_tensor *k, const kn_tensor *v,
                     const kn_attention_params *params, kn_error *error);

/* out[..., i] = in[..., i] * gelu(in[..., c/2 + i]) (exact gelu, erf), i < c/2. */
bool kn_op_geglu(kn_graph *graph, kn_tensor *out, const kn_tensor *in, kn_error *error);
bool kn_op_activation(kn_graph *graph, kn_tensor *out, const kn_tensor *in, kn_activation activation, kn_error *error);
/* out = a * scale_a + b * scale_b. b is shaped like a, or [1][h][w][c] (the same for every member), or [m][1][1][c]
 * with a.n a multiple of m (member i of a takes member i % m of b for all its pixels: embeddings of frames or
 * views). */
bool kn_op_add(kn_graph *graph, kn_tensor *out, const kn_tensor *a, const kn_tensor *b, float scale_a, float scale_b,
               kn_error *error);
bool kn_op_concat(kn_graph *graph, kn_tensor *out, const kn_tensor *a, const kn_tensor *b,
                  kn_error *error); /* along c */
bool kn_op_upsample_nearest(kn_graph *graph, kn_tensor *out, const kn_tensor *in, int h, int w, kn_error *error);
/* Rearranges [n][h][w][c] <-> [n/group][..]: the transposes that temporal attention needs. in [b*f][h][w][c] -> out
 * [b*h*w][1][f][c], and back. */
bool kn_op_frames_to_tokens(kn_graph *graph, kn_tensor *out, const kn_tensor *in, int frames, kn_error *error);
bool kn_op_tokens_to_frames(kn_graph *graph, kn_tensor *out, const kn_tensor *in, int frames, int h, int w,
                            kn_error *error);
/* Space to depth and back with PyTorch's pixel_unshuffle/pixel_shuffle channel order. */
bool kn_op_pixel_unshuffle(kn_graph *graph, kn_tensor *out, const kn_tensor *in, int block, kn_error *error);
bool kn_op_pixel_shuffle(kn_graph *graph, kn_tensor *out, const kn_tensor *in, int block, kn_error *error);
/* Reinterprets without copying: [n][h][w][c] -> [n][1][h*w][c] and the like; the result shares memory, do not release
 * both. */
kn_tensor kn_tensor_view(const kn_tensor *tensor, int n, int h, int w);

#endif
