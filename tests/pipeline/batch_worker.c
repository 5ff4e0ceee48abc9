/* A worker whose verbs cost nothing: "drive SCENE ... -o DIR" writes STEPS small files, one after the other with a
 * pause, and goes on with the first that is missing when it was interrupted; what it writes depends on its arguments
 * only, not on the folder. The scene's name says how it behaves: see run_drive. usage: batch_worker
 * [PAUSE-IN-MILLISECONDS] */
#include "pipelines/batch/serve.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STEPS = 6 };

static volatile sig_atomic_t stop;
static long pause_ms = 4;
static kn_channel channel;

static void on_signal(int number) { stop = number; }
static bool stopped(void) { return stop != 0; }

static const char *value_of(char **arguments, const char *name) {
    for (char **a = arguments; *a; a++)
        if (strcmp(*a, name) == 0 && a[1]) return a[1];
    return "";
}

static void wait_a_little(void) {
    struct timespec t = {pause_ms / 1000, pause_ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* Marks that this process ran an item, for tests of what is run twice. */
static bool note_run(const char *scene, kn_error *error) {
    char *path = kn_format(error, "%s.runs", scene);
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fputs("x", file);
        fclose(file);
    }
    kn_free(path);
    return true;
}

static bool run_drive(char **arguments, kn_error *error) {
    const char *scene = arguments[1], *folder = value_of(arguments, "-o"), *seed = value_of(arguments, "--seed");
    if (strstr(scene, "bad")) return kn_fail(error, KN_ERROR_INPUT, "%s:1: a bad scene", scene);
    if (strstr(scene, "crash")) raise(SIGSEGV);
    if (strstr(scene, "hang"))
        for (;;) pause();
    if (strstr(scene, "busy")) return kn_fail(error, KN_ERROR_DEVICE, "the device is busy");
    note_run(scene, error);
    for (int step = 0; step < STEPS; step++) {
        char *path = kn_format(error, "%s/step%d.txt", folder, step),
             *text = kn_format(error, "step %d seed %s weather %s\n", step, seed, value_of(arguments, "--weather"));
        bool ok = path && text && (kn_file_exists(path) || kn_file_write(path, text, strlen(text), error));
        kn_free(path);
        kn_free(text);
        if (!ok) return false;
        wait_a_little();
        if (stop || !kn_channel_progress(&channel, "steps", (uint64_t)step, STEPS))
            return kn_fail(error, KN_ERROR_CANCELLED, "stopped");
    }
    return true;
}

/* mean_iou is the last two digits of the seed in per cent, plus a tenth for every million: further seeds are better. */
static bool run_eval(char **arguments, kn_error *error) {
    char *path = kn_format(error, "%s/step0.txt", arguments[1]), text[200];
    uint8_t *data = NULL;
    size_t size;
    unsigned long long seed = 0;
    bool ok =
        path && kn_file_read(path, 1000, &data, &size, error) && sscanf((char *)data, "step 0 seed %llu", &seed) == 1;
    kn_free(path);
    kn_free(data);
    snprintf(text, sizeof text, "{\"clip\": {\"mean_iou\": %g, \"warp_error\": 0.001}}",
             (double)(seed % 100) / 100 + (double)(seed / 1000000) / 10);
    return ok && kn_file_write(value_of(arguments, "--json"), text, strlen(text), error);
}

static bool run(void *user, size_t count, char **arguments, kn_error *error) {
    (void)user, (void)count;
    return strcmp(arguments[0], "eval") == 0 ? run_eval(arguments, error) : run_drive(arguments, error);
}

int main(int argc, char **argv) {
    struct sigaction action = {.sa_handler = on_signal};
    if (argc > 1) pause_ms = atol(argv[1]);
    sigaction(SIGTERM, &action, NULL);
    return kn_channel_init(&channel, NULL) && kn_serve(&channel, run, NULL, stopped) ? 0 : 1;
}
