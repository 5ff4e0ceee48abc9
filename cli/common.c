/* What the verbs share: failing, and where shipped models and measured constants lie. */
#include "cli/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static kn_error last_error;
static bool errors_are_silent;

static int (*verb_runner)(const char *name, int argc, char **argv);

void kn_set_verbs(int (*run)(const char *name, int argc, char **argv)) { verb_runner = run; }

int kn_run_verb(const char *name, int argc, char **argv) { return verb_runner(name, argc, argv); }

const kn_error *kn_cmd_last_error(void) { return &last_error; }

void kn_cmd_forget_error(bool silent) {
    last_error = (kn_error){0};
    errors_are_silent = silent;
}

int kn_cmd_fail(const kn_error *error) {
    last_error = *error;
    if (!errors_are_silent) fprintf(stderr, "kinora: %s\n", error->message);
    return error->kind == KN_ERROR_INTERNAL ? 1 : error->kind == KN_ERROR_CANCELLED ? 130 : 2;
}

void kn_find_model(const char *name, char *path, size_t size) {
    char exe[1024];
    ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[length > 0 ? length : 0] = 0;
    for (int up = 0; up < 4; up++) { /* build/cli/kinora, build/kinora, an installed bin/kinora */
        char *slash = strrchr(exe, '/');
        if (!slash) break;
        *slash = 0;
        static const char *const places[] = {"models", "share/kinora/models"};
        for (size_t i = 0; i < KN_COUNT(places); i++) {
            struct stat info;
            int written = snprintf(path, size, *name ? "%s/%s/%s" : "%s/%s", exe, places[i], name);
            if (written > 0 && (size_t)written < size && stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return;
        }
    }
    path[0] = 0;
}

const char *kn_tuning_folder(void) {
    static char folder[1024];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int written = cache && *cache ? snprintf(folder, sizeof folder, "%s/kinora/tune", cache)
                                  : snprintf(folder, sizeof folder, "%s/.cache/kinora/tune", home && *home ? home : "");
    bool known = (cache && *cache) || (home && *home);
    return known && written > 0 && (size_t)written < sizeof folder ? folder : NULL;
}
