/* Measures a device's constants (gpu/tuning.h): times what they choose between on shapes of Kinora's networks.
 * Internal to Kinora. */
#ifndef KN_DIFFUSION_TUNE_H
#define KN_DIFFUSION_TUNE_H

#include "gpu/tuning.h"

enum { KN_TUNE_GROUPS = 4 };

/* What a group of constants is worth: seconds (of a software device: processor seconds over all threads) of one run of
 * all shapes that it concerns. */
typedef struct kn_tune_gain {
    const char *group; /* "winograd", "layers", "attention" or "gpu" */
    double before, after;
} kn_tune_gain;

typedef struct kn_tune_report {
    kn_tuning tuning;
    size_t gain_count;
    kn_tune_gain gains[KN_TUNE_GROUPS];
} kn_tune_report;

/* Times the candidates and chooses. A constant leaves its default only when that gains more than the measurement's
 * noise, in the choosing and once more in a second measurement. Takes up to a minute, on an idle machine less.
 * `progress` may be NULL; when it returns false the result is KN_ERROR_CANCELLED. The device should be idle. */
bool kn_tune(kn_gpu *gpu, kn_tune_report *report, kn_progress_callback progress, void *user, kn_error *error);

/* The choice alone, of kn_tune and its tests. times[s * variants + v]: seconds of shape s computed in way v; picks[c *
 * shapes + s]: the way that candidate c takes for shape s. Candidate 0 is the default. Returns the candidate that loses
 * least against the best way of every shape, on average; the default unless another gains at least `noise` (a share,
 * 0.03). Pure. */
int kn_tune_choose(const double *times, int shapes, int variants, const int *picks, int candidates, double noise);

#endif
