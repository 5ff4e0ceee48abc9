/* Weights that do not fit on the device together: some stay, the others come when an operation needs them and go when
 * the next ones need their place. Internal to diffusion/. */
#ifndef KN_DIFFUSION_STREAM_H
#define KN_DIFFUSION_STREAM_H

#include "diffusion/ops/ops.h"

/* One pass of a network records operations as always; whenever the weights that pass through would take more than the
 * window, what was recorded is run and they leave. The same kernels run in the same order on the same numbers: so are
 * the results, bit for bit.
 *
 * A pass runs in pieces while it is recorded: its inputs must be uploaded before. Zero-initialise, set the first two
 * fields, give it to a graph with kn_graph_set_streamer. */
typedef struct kn_streamer {
    uint64_t window; /* bytes of weights that pass through; a single larger weight passes all the same */
    uint64_t stay;   /* bytes that further weights may take for good: the first ones that ask get them */
    kn_weight_origin **passing;
    size_t count, capacity;
    uint64_t passing_bytes;
    uint64_t flushes; /* how often a pass was run in between */
} kn_streamer;

/* For kn_graph: puts a weight that is not there on the device. */
bool kn_streamer_fetch(kn_streamer *streamer, kn_graph *graph, kn_weight_origin *origin, kn_error *error);
/* Takes what passes through off the device; before the streamer goes, and after its graph went. */
void kn_streamer_finish(kn_streamer *streamer);

#endif
