#include "pipelines/batch/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static bool send_line(const kn_channel *c, const char *text) {
    size_t length = strlen(text);
    while (length > 0) {
        ssize_t written = write(c->out, text, length);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        text += written;
        length -= (size_t)written;
    }
    return true;
}

bool kn_channel_progress(void *user, const char *stage, uint64_t done, uint64_t total) {
    kn_channel *c = user;
    struct timespec t;
    char line[64];
    (void)stage;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    if (now - c->sent < .5) return true;
    c->sent = now;
    snprintf(line, sizeof line, "{\"progress\": %.4f}\n", total ? (double)done / (double)total : 0);
    return send_line(c, line);
}

static void answer(const kn_channel *c, kn_work_status status, const kn_error *error) {
    static const char *const names[] = {"done", "refused", "failed"};
    json_t *root = json_pack("{ss}", "status", names[status]);
    if (status == KN_WORK_FAILED) {
        json_t *message = json_string(error->message);
        json_object_set_new(root, "error", message ? message : json_string("an error whose text is no UTF-8"));
        json_object_set_new(root, "kind", json_integer(error->kind));
    }
    char *text = json_dumps(root, JSON_COMPACT), *line = text ? kn_format(NULL, "%s\n", text) : NULL;
    if (line) send_line(c, line);
    kn_free(line);
    free(text);
    json_decref(root);
}

/* What the verbs print goes to the item's log. */
static void open_log(const char *path) {
    int log = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    if (log < 0) log = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (log < 0) return;
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    close(log);
}

static bool obey(kn_channel *c, const char *line, kn_batch_run_verb run, void *user) {
    const char *tab = strchr(line, '\t');
    json_t *order = tab ? json_loadb(line, (size_t)(tab - line), 0, NULL) : NULL;
    kn_error error = {0};
    kn_batch_plan plan;
    kn_work_params params = {.folder = json_string_value(json_object_get(order, "work")),
                             .fingerprint = json_string_value(json_object_get(order, "fingerprint")),
                             .host = json_string_value(json_object_get(order, "host")),
                             .run = run,
                             .user = user};
    if (!params.folder || !params.fingerprint || !params.host) {
        json_decref(order);
        return false;
    }
    open_log(json_string_value(json_object_get(order, "log")));
    kn_work_status status = KN_WORK_FAILED;
    if (kn_batch_plan_read_line(&plan, tab + 1, strlen(tab + 1), &error)) {
        status = kn_batch_work(&plan.items[0], &params, &error);
        kn_batch_plan_finish(&plan);
    }
    answer(c, status, &error);
    json_decref(order);
    return error.kind != KN_ERROR_CANCELLED;
}

bool kn_channel_init(kn_channel *channel, kn_error *error) {
    *channel = (kn_channel){.out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)};
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a killed batch leaves nobody behind who writes */
    signal(SIGPIPE, SIG_IGN);
    bool ok = channel->out >= 0 && getppid() != 1;
    return ok || kn_fail(error, KN_ERROR_IO, "a worker without a batch");
}

bool kn_serve(kn_channel *channel, kn_batch_run_verb run, void *user, bool (*stopped)(void)) {
    char *line = NULL;
    size_t capacity = 0;
    while (!stopped() && getline(&line, &capacity, stdin) > 0) {
        line[strcspn(line, "\n")] = 0;
        if (!obey(channel, line, run, user)) break;
    }
    free(line);
    return true;
}
