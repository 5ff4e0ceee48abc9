/* Progress on the terminal or as JSON lines, and stopping with Ctrl-C. */
#ifndef KN_CLI_PROGRESS_H
#define KN_CLI_PROGRESS_H

#include "base/base.h"

typedef enum kn_progress_style { KN_PROGRESS_AUTO, KN_PROGRESS_JSON, KN_PROGRESS_OFF } kn_progress_style;

typedef struct kn_progress {
    kn_progress_style style;
    bool terminal;         /* stderr is one */
    double unit;           /* how many of the callback's units make one frame */
    const char *noun;      /* what the unit is called: "frames" */
    const char *preview;   /* a picture that is named as soon as it exists; NULL: none */
    double started, shown; /* seconds */
    uint64_t first;        /* where this run began: what was resumed does not count for the rate */
    bool begun, line_open;
} kn_progress;

/* Prepares the display and catches SIGINT: the first one asks the job to stop, the second one kills. */
void kn_progress_init(kn_progress *progress, kn_progress_style style, double unit);
/* The kn_progress_callback; `user` is the kn_progress. */
bool kn_progress_report(void *user, const char *stage, uint64_t done, uint64_t total);
/* The signal that asked to stop, 0: none yet. */
int kn_progress_stop_signal(void);
/* From now on every progress of this process goes to `callback` instead of the terminal. */
void kn_progress_redirect(kn_progress_callback callback, void *user);
/* Ends the open line. */
void kn_progress_finish(kn_progress *progress);
/* Logs to stderr without tearing the progress line; `user` is the kn_progress (may be NULL). This, kn_progress_report
 * and kn_progress_finish may be called from several threads. */
void kn_progress_log(void *user, kn_log_level level, const char *line);

#endif
