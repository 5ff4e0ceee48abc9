/* One piece of work in a thread of its own. Internal to pipelines/. */
#ifndef KN_PIPELINES_TASK_H
#define KN_PIPELINES_TASK_H

#include "base/base.h"

#include <pthread.h>

/* Returns false with the error filled, as everywhere. */
typedef bool (*kn_task_work)(void *user, kn_error *error);

/* Zero it to begin. Starting and waiting are for one thread. */
typedef struct kn_task {
    pthread_t thread;
    bool running, ok;
    kn_task_work work;
    void *user;
    kn_error error;
} kn_task;

/* No work may be running. `user` lives until kn_task_wait returns. */
bool kn_task_start(kn_task *task, kn_task_work work, void *user, kn_error *error);
/* Waits for the work and passes its outcome on; true when there is none. */
bool kn_task_wait(kn_task *task, kn_error *error);

#endif
