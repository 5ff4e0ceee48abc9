/* Weights that come to the device when an operation asks for them. */
#include "diffusion/ops/stream.h"

#include "diffusion/ops/ops_internal.h"

static void let_go(kn_streamer *streamer) {
    for (size_t i = 0; i < streamer->count; i++) kn_weight_evict(streamer->passing[i]->weight);
    streamer->count = 0;
    streamer->passing_bytes = 0;
}

/* Runs what needs the weights that are there, then takes them off. */
static bool make_room(kn_streamer *streamer, kn_graph *graph, kn_error *error) {
    if (!kn_graph_flush(graph, error)) return false;
    streamer->flushes++;
    let_go(streamer);
    return true;
}

bool kn_streamer_fetch(kn_streamer *streamer, kn_graph *graph, kn_weight_origin *origin, kn_error *error) {
    uint64_t bytes = kn_weight_bytes(origin->weight);
    if (bytes <= streamer->stay) {
        if (origin->fetch(origin, NULL)) {
            streamer->stay -= bytes;
            return true;
        }
        streamer->stay = 0; /* less fits than was planned */
    }
    if (streamer->count && streamer->passing_bytes + bytes > streamer->window && !make_room(streamer, graph, error))
        return false;
    if (!kn_grow(&streamer->passing, &streamer->capacity, streamer->count + 1, sizeof *streamer->passing, error))
        return false;
    if (!origin->fetch(origin, streamer->count ? NULL : error) &&
        (!streamer->count || !make_room(streamer, graph, error) || !origin->fetch(origin, error)))
        return false;
    streamer->passing[streamer->count++] = origin;
    streamer->passing_bytes += bytes;
    return true;
}

void kn_streamer_finish(kn_streamer *streamer) {
    let_go(streamer);
    kn_free(streamer->passing);
    *streamer = (kn_streamer){0};
}

bool kn_graph_fetch(kn_graph *graph, const kn_weight *weight, kn_error *error) {
    if (weight->buffer || kn_graph_count_fetch(graph, kn_weight_bytes(weight))) return true;
    if (!weight->origin)
        return kn_fail(error, KN_ERROR_INTERNAL, "a weight of %d x %d is not on the device and comes from nowhere",
                       weight->out, weight->in);
    kn_streamer *streamer = kn_graph_streamer(graph);
    return streamer ? kn_streamer_fetch(streamer, graph, weight->origin, error)
                    : weight->origin->fetch(weight->origin, error);
}
