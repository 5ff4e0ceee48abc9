#include "diffusion/stream.h"

static void let_go(kn_streamer *streamer)
{
    for (size_t i = 0; i < streamer->count; i++) kn_weight_evict(streamer->passing[i]->weight);
    streamer->count = 0;
    streamer->passing_bytes = 0;
}

bool kn_streamer_fetch(kn_streamer *streamer, kn_graph *graph, kn_weight_origin *origin, kn_error *error)
{
    uint64_t bytes = kn_weight_bytes(origin->weight);
    if (bytes <= streamer->stay) {
        if (!origin->fetch(origin, error)) return false;
        streamer->stay -= bytes;
        return true;
    }
    if (streamer->count && streamer->passing_bytes + bytes > streamer->window) {
        if (!kn_graph_flush(graph, error)) return false;
        streamer->flushes++;
        let_go(streamer);
    }
    if (!kn_grow(&streamer->passing, &streamer->capacity, streamer->count + 1, sizeof *streamer->passing, error) || !origin->fetch(origin, error)) return false;
    streamer->passing[streamer->count++] = origin;
    streamer->passing_bytes += bytes;
    return true;
}

void kn_streamer_finish(kn_streamer *streamer)
{
    let_go(streamer);
    kn_free(streamer->passing);
    *streamer = (kn_streamer){ 0 };
}
