#include "cli/progress.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop_requested;

static kn_progress_callback redirected;
static void *redirected_user;

static void on_interrupt(int signal_number) { stop_requested = signal_number; }

int kn_progress_stop_signal(void) { return stop_requested; }

void kn_progress_redirect(kn_progress_callback callback, void *user) {
    redirected = callback;
    redirected_user = user;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void kn_progress_init(kn_progress *progress, kn_progress_style style, double unit) {
    *progress = (kn_progress){.style = style,
                              .terminal = isatty(STDERR_FILENO) == 1,
                              .unit = unit,
                              .noun = "frames",
                              .started = now(),
                              .shown = -INFINITY};
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void format_time(double seconds, char *text, size_t size) {
    if (!(seconds >= 0 && seconds < 360000)) {
        snprintf(text, size, "--:--");
        return;
    }
    long s = lround(seconds);
    if (s >= 3600) snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
}

static void show_bar(kn_progress *p, const char *stage, double share, double rate, double left) {
    char bar[25], time_left[24];
    int full = (int)(share * 24 + .5);
    for (int i = 0; i < 24; i++) bar[i] = i < full ? '#' : '.';
    bar[24] = 0;
    format_time(left, time_left, sizeof time_left);
    if (p->terminal)
        fprintf(stderr, "\r[%s] %3.0f %%  %-8s %6.2f %s/s  %s left \033[K", bar, 100 * share, stage, rate, p->noun,
                time_left);
    else fprintf(stderr, "%3.0f %%  %s  %.2f %s/s  %s left\n", 100 * share, stage, rate, p->noun, time_left);
    p->line_open = p->terminal;
    fflush(stderr);
}

bool kn_progress_report(void *user, const char *stage, uint64_t done, uint64_t total) {
    kn_progress *p = user;
    if (stop_requested) return false;
    if (redirected) return redirected(redirected_user, stage, done, total);
    double time = now();
    if (!p->begun) {
        p->begun = true;
        p->first = done;
        p->started = time;
        if (!p->terminal && p->style == KN_PROGRESS_AUTO) p->shown = time;
    }
    bool last = done == total;
    double pause = p->style == KN_PROGRESS_JSON ? .5 : p->terminal ? .1 : 10;
    if (p->style == KN_PROGRESS_OFF || (time - p->shown < pause && !last)) return true;
    p->shown = time;
    double elapsed = time - p->started, made = (double)(done - p->first), rate = elapsed > 0 ? made / elapsed : 0;
    double left = rate > 0 ? (double)(total - done) / rate : NAN;
    if (p->style == KN_PROGRESS_JSON) {
        printf("{\"stage\": \"%s\", \"done\": %.3f, \"total\": %.3f, \"unit\": \"%s\", \"elapsed\": %.2f, \"left\": ",
               stage, (double)done / p->unit, (double)total / p->unit, p->noun, elapsed);
        if (isfinite(left)) printf("%.1f}\n", left);
        else printf("null}\n");
        fflush(stdout);
    } else {
        show_bar(p, stage, total ? (double)done / (double)total : 1, rate / p->unit, left);
    }
    return true;
}

void kn_progress_finish(kn_progress *progress) {
    if (progress->line_open) fputc('\n', stderr);
    progress->line_open = false;
}

void kn_progress_log(void *user, kn_log_level level, const char *line) {
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (user) kn_progress_finish(user);
    fprintf(stderr, "kinora: %s: %s\n", names[level], line);
}
