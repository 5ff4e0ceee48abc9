/* Findings: what is unsupported or wrong in a scene, with file and line. Internal to scene/. */
#ifndef KN_SCENE_CHECK_H
#define KN_SCENE_CHECK_H

#include "base/base.h"
#include "kinora/scene.h"

/* Collects findings; equal ones of a file are counted instead of repeated. Zero-initialise. Functions take NULL.
 * Running out of memory only loses findings (`lost` is then true). */
typedef struct kn_report {
    kn_finding *findings;
    unsigned *repeats; /* [count]: how often each was reported again */
    size_t count, capacity, repeat_capacity;
    bool lost;
    char (*files)[65]; /* [file_count]: SHA-256 of each file that was read, in the order of reading */
    size_t file_count, file_capacity;
} kn_report;

/* Records a file that the scene consists of; every reader of scene/ does. `report` may be NULL. False without memory.
 */
bool kn_report_file(kn_report *report, const void *data, size_t size, kn_error *error);

void kn_report_add(kn_report *report, bool is_error, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Appends "(and N more)" to findings that were repeated. Call once, at the end. */
void kn_report_close(kn_report *report);
void kn_report_finish(kn_report *report);

struct kn_sim;
struct kn_timeline;

/* Looks for what is physically wrong in a played scene: overlaps of road users, road users off the drivable surface,
 * impossible accelerations and curvatures. Files and lines come from the simulation's actors. */
void kn_check_motion(const struct kn_sim *sim, const struct kn_timeline *timeline, kn_report *report);

#endif
