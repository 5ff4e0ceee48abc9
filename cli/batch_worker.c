/* The process that runs items for `kinora batch`. Verbs run in it one after the other, so that what they keep warm
 * stays warm. */
#include "cli/commands.h"
#include "cli/progress.h"
#include "pipelines/batch/serve.h"

/* Turns the exit code of a verb into the error that it printed. */
static bool run_verb(void *user, size_t count, char **arguments, kn_error *error) {
    (void)user;
    printf("kinora");
    for (size_t i = 0; i < count; i++) printf(" %s", arguments[i]);
    printf("\n");
    fflush(stdout);
    kn_cmd_forget_error(false);
    int code = kn_run_verb(arguments[0], (int)count - 1, arguments + 1);
    fflush(stdout);
    if (code == 0) return true;
    if (code == 130 || kn_progress_stop_signal()) return kn_fail(error, KN_ERROR_CANCELLED, "stopped");
    *error = *kn_cmd_last_error();
    return error->kind ? false : kn_fail(error, KN_ERROR_INTERNAL, "%s ended with code %d", arguments[0], code);
}

static bool stopped(void) { return kn_progress_stop_signal() != 0; }

int kn_batch_worker(void) {
    kn_channel channel;
    kn_error error = {0};
    if (!kn_channel_init(&channel, &error)) return kn_cmd_fail(&error);
    kn_progress_redirect(kn_channel_progress, &channel);
    kn_serve(&channel, run_verb, NULL, stopped);
    return 0;
}
