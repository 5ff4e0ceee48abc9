#include "cli/batch_dry_run.h"

#include "cli/commands.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Every verb reads all of its arguments before it answers --help: asked so, it checks them and does nothing. */
static bool check_item(const kn_batch_plan *plan, const kn_batch_item *item, kn_error *error) {
    size_t count;
    char **arguments = kn_batch_arguments(item, "out", 0, &count, error);
    char **asked = arguments ? kn_alloc(count + 2, sizeof *asked, error) : NULL;
    bool ok = asked != NULL;
    if (ok) {
        memcpy(asked, arguments, count * sizeof *asked);
        asked[count] = (char[]){"--help"};
        kn_cmd_forget_error(true);
        ok = kn_run_verb(asked[0], (int)count, asked + 1) == 0;
        if (!ok)
            kn_fail(error, KN_ERROR_INPUT, "%s:%d: %s: %s", plan->path, item->line, item->verb->name,
                    kn_cmd_last_error()->message);
        kn_cmd_forget_error(false);
    }
    kn_free(asked);
    kn_free(arguments);
    return ok;
}

bool kn_batch_check_options(const kn_batch_plan *plan, kn_error *error) {
    fflush(stdout);
    int kept = dup(STDOUT_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    bool ok = (kept >= 0 && nowhere >= 0 && dup2(nowhere, STDOUT_FILENO) >= 0) ||
              kn_fail(error, KN_ERROR_IO, "/dev/null: cannot open");
    for (size_t i = 0; ok && i < plan->count; i++) ok = check_item(plan, &plan->items[i], error);
    fflush(stdout);
    if (kept >= 0) dup2(kept, STDOUT_FILENO);
    if (kept >= 0) close(kept);
    if (nowhere >= 0) close(nowhere);
    return ok;
}

bool kn_batch_dry_run(const kn_batch_plan *plan, size_t shard, size_t shards, const char *folder, bool list,
                      kn_error *error) {
    size_t count = 0;
    (void)folder, (void)error;
    for (size_t i = shard; i < plan->count; i += shards, count++) {
        if (!list) continue;
        kn_batch_item_write(&plan->items[i], stdout);
        putchar('\n');
    }
    return true;
}
