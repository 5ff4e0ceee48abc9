/* A worker: a process of its own that runs one item after the other, so that a crash or a hang ends an item and not the
 * batch, while models and kernels stay loaded between items. It reads orders (kn_batch_order_write) from its standard
 * input and writes lines of JSON to its standard output: {"progress": share} now and then, {"status": ..., "error":
 * ..., "kind": ...} at the end of an item. */
#ifndef KN_BATCH_POOL_H
#define KN_BATCH_POOL_H

#include "base/base.h"

#include <jansson.h>
#include <sys/types.h>

typedef struct kn_worker {
    pid_t pid;    /* 0: not running */
    int in, out;  /* its standard input and output */
    char *buffer; /* what came of a line that is not yet whole */
    size_t used, capacity;
} kn_worker;

/* Starts `command` (NULL-terminated, an absolute path first) in a process group of its own. */
bool kn_worker_start(kn_worker *worker, char *const *command, kn_error *error);
bool kn_worker_send(kn_worker *worker, const char *text, size_t length, kn_error *error);

/* Reads what there is; the next whole line as JSON in *message (NULL: none yet). *ended: the worker closed its output.
 * To be called until *message is NULL. */
bool kn_worker_receive(kn_worker *worker, json_t **message, bool *ended, kn_error *error);

/* Ends the worker: closes its input and, with `signal_number` above 0, sends that. With `wait` it is reaped; returns
 * its wait status. */
int kn_worker_end(kn_worker *worker, int signal_number, bool wait);

#endif
