#define _GNU_SOURCE /* pipe2 */
#include "pipelines/batch/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ; /* handed on as it is, never read */

static bool spawn(pid_t *pid, char *const *command, int in, int out, kn_error *error) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGTERM);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawnattr_setpgroup(&attributes, 0); /* Ctrl-C is for the batch, which tells its workers */
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int code = posix_spawn(pid, command[0], &actions, &attributes, command, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return code == 0 || kn_fail(error, KN_ERROR_MEMORY, "%s: cannot start a worker: %s", command[0], strerror(code));
}

bool kn_worker_start(kn_worker *worker, char *const *command, kn_error *error) {
    int down[2] = {-1, -1}, up[2] = {-1, -1};
    *worker = (kn_worker){.in = -1, .out = -1};
    bool ok = pipe2(down, O_CLOEXEC) == 0 && pipe2(up, O_CLOEXEC) == 0 && fcntl(up[0], F_SETFL, O_NONBLOCK) == 0;
    if (!ok) kn_fail(error, KN_ERROR_MEMORY, "cannot start a worker: %s", strerror(errno));
    ok = ok && spawn(&worker->pid, command, down[0], up[1], error);
    if (down[0] >= 0) close(down[0]);
    if (up[1] >= 0) close(up[1]);
    if (ok) {
        worker->in = down[1];
        worker->out = up[0];
        return true;
    }
    if (down[1] >= 0) close(down[1]);
    if (up[0] >= 0) close(up[0]);
    *worker = (kn_worker){.in = -1, .out = -1};
    return false;
}

bool kn_worker_send(kn_worker *worker, const char *text, size_t length, kn_error *error) {
    while (length > 0) {
        ssize_t written = write(worker->in, text, length); /* SIGPIPE is ignored by whoever runs a batch */
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return kn_fail(error, KN_ERROR_MEMORY, "the worker has ended: %s", strerror(errno));
        text += written;
        length -= (size_t)written;
    }
    return true;
}

/* Takes a whole line out of the buffer. */
static bool take_line(kn_worker *w, json_t **message) {
    char *end = w->used ? memchr(w->buffer, '\n', w->used) : NULL;
    if (!end) return false;
    size_t length = (size_t)(end - w->buffer);
    *message = json_loadb(w->buffer, length, 0, NULL); /* what is no JSON is dropped */
    w->used -= length + 1;
    memmove(w->buffer, end + 1, w->used);
    return true;
}

bool kn_worker_receive(kn_worker *w, json_t **message, bool *ended, kn_error *error) {
    *message = NULL;
    for (;;) {
        while (!*message && take_line(w, message)) {
        }
        if (*message) return true;
        if (w->used > 1 << 20) w->used = 0; /* no message of ours */
        if (!kn_grow(&w->buffer, &w->capacity, w->used + 4096, 1, error)) return false;
        ssize_t got = read(w->out, w->buffer + w->used, w->capacity - w->used);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            *ended = got == 0 || errno != EAGAIN;
            return true;
        }
        w->used += (size_t)got;
    }
}

int kn_worker_end(kn_worker *w, int signal_number, bool wait) {
    int status = 0;
    if (w->pid <= 0) return 0;
    if (w->in >= 0) close(w->in);
    w->in = -1;
    if (signal_number > 0) kill(w->pid, signal_number);
    if (!wait) return 0;
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) {
    }
    close(w->out);
    kn_free(w->buffer);
    *w = (kn_worker){.in = -1, .out = -1};
    return status;
}
