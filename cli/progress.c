#include "cli/progress.h"

#include <math.h>
#include <pthread.h>
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

/* Several threads report and log. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

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
    bool preview = p->preview && kn_file_exists(p->preview);
    int full = (int)(share * 24 + .5);
    for (int i = 0; i < 24; i++) bar[i] = i < full ? '#' : '.';
    bar[24] = 0;
    format_time(left, time_left, sizeof time_left);
    if (p->terminal)
        fprintf(stderr, "\r[%s] %3.0f %%  %-8s %6.2f %s/s  %s left", bar, 100 * share, stage, rate, p->noun, time_left);
    else fprintf(stderr, "%3.0f %%  %s  %.2f %s/s  %s left", 100 * share, stage, rate, p->noun, time_left);
    if (preview) fprintf(stderr, "  %s", p->preview);
    fputs(p->terminal ? " \033[K" : "\n", stderr);
    p->line_open = p->terminal;
    fflush(stderr);
}

/* In a string of JSON. */
static void print_quoted(const char *text) {
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < ' ' || *c == '"' || *c == '\\') printf("\\u%04x", *c);
        else putchar(*c);
    putchar('"');
}

static void show_json(const kn_progress *p, const char *stage, uint64_t done, uint64_t total, double elapsed,
                      double left) {
    printf("{\"stage\": \"%s\", \"done\": %.3f, \"total\": %.3f, \"unit\": \"%s\", \"elapsed\": %.2f, \"left\": ",
           stage, (double)done / p->unit, (double)total / p->unit, p->noun, elapsed);
    if (isfinite(left)) printf("%.1f", left);
    else printf("null");
    if (p->preview && kn_file_exists(p->preview)) printf(", \"preview\": "), print_quoted(p->preview);
    puts("}");
    fflush(stdout);
}

static bool report(kn_progress *p, const char *stage, uint64_t done, uint64_t total) {
    double time = now();
    if (!p->begun) {
        p->begun = true;
        p->first = done;
        if (!p->terminal && p->style == KN_PROGRESS_AUTO) p->shown = time;
    }
    bool last = done == total;
    double pause = p->style == KN_PROGRESS_JSON ? .5 : p->terminal ? .1 : 10;
    if (p->style == KN_PROGRESS_OFF || (time - p->shown < pause && !last)) return true;
    p->shown = time;
    /* Loading and compiling kernels count: what is left takes its share of them. */
    double elapsed = time - p->started, made = (double)(done - p->first), rate = elapsed > 0 ? made / elapsed : 0;
    double left = rate > 0 ? (double)(total - done) / rate : NAN;
    if (p->style == KN_PROGRESS_JSON) show_json(p, stage, done, total, elapsed, left);
    else show_bar(p, stage, total ? (double)done / (double)total : 1, rate / p->unit, left);
    return true;
}

bool kn_progress_report(void *user, const char *stage, uint64_t done, uint64_t total) {
    if (stop_requested) return false;
    if (redirected) return redirected(redirected_user, stage, done, total);
    pthread_mutex_lock(&lock);
    bool go_on = report(user, stage, done, total);
    pthread_mutex_unlock(&lock);
    return go_on;
}

static void end_line(kn_progress *progress) {
    if (progress->line_open) fputc('\n', stderr);
    progress->line_open = false;
}

void kn_progress_finish(kn_progress *progress) {
    pthread_mutex_lock(&lock);
    end_line(progress);
    pthread_mutex_unlock(&lock);
}

void kn_progress_log(void *user, kn_log_level level, const char *line) {
    static const char *const names[] = {"error", "warning", "info", "debug"};
    pthread_mutex_lock(&lock);
    if (user) end_line(user);
    fprintf(stderr, "kinora: %s: %s\n", names[level], line);
    pthread_mutex_unlock(&lock);
}
