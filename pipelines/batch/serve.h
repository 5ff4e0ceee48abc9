/* The other end of pool.h: the loop of a worker. */
#ifndef KN_BATCH_SERVE_H
#define KN_BATCH_SERVE_H

#include "pipelines/batch/work.h"

/* The way back to the batch. */
typedef struct kn_channel {
    int out;
    double sent; /* when progress was last sent, seconds */
} kn_channel;

/* Takes standard output for answers (what is printed later goes to the items' logs) and has the process end with the
 * batch. */
bool kn_channel_init(kn_channel *channel, kn_error *error);

/* A kn_progress_callback that tells the batch, at most twice a second; `user` is the channel. */
bool kn_channel_progress(void *user, const char *stage, uint64_t done, uint64_t total);

/* Runs the items that orders on standard input name, until it ends, `stopped` says so, or an item was cancelled.
 * Returns true. */
bool kn_serve(kn_channel *channel, kn_batch_run_verb run, void *user, bool (*stopped)(void));

#endif
