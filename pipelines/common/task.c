#include "pipelines/common/task.h"

#include <string.h>

static void *run(void *user) {
    kn_task *task = user;
    task->ok = task->work(task->user, &task->error);
    return NULL;
}

bool kn_task_start(kn_task *task, kn_task_work work, void *user, kn_error *error) {
    *task = (kn_task){.work = work, .user = user};
    int code = pthread_create(&task->thread, NULL, run, task);
    task->running = code == 0;
    return task->running || kn_fail(error, KN_ERROR_MEMORY, "cannot start a thread: %s", strerror(code));
}

bool kn_task_wait(kn_task *task, kn_error *error) {
    if (!task->running) return true;
    pthread_join(task->thread, NULL);
    task->running = false;
    if (!task->ok && error) *error = task->error;
    return task->ok;
}
