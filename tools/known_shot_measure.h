/* Measures of a restyled known shot, by what is known about it. */
#ifndef KN_TOOLS_KNOWN_SHOT_MEASURE_H
#define KN_TOOLS_KNOWN_SHOT_MEASURE_H

#include "base/base.h"
#include "tools/known_shot.h"

typedef struct known_score {
    double ring_mean, ring_least; /* its contrast over the source's, where it is visible and the source has .05 */
    int ring_frames, ring_worst;  /* in how many frames that is; in which one least */
    /* mean square of a frame against the one before, carried along the true motion: of the film, the source and the
     * source's colours in four steps; and the same of what is finer than 3 pixels, over its power */
    double warp_error, warp_source, warp_per_pixel;
    double fine, fine_source, fine_per_pixel;
} known_score;

/* `film` is read as kn_film_reader_create reads it; it must have the shot's size and number of frames. */
bool known_shot_measure(const known_shot *shot, const char *film, known_score *score, kn_error *error);
/* Writes the shot, lossless. */
bool known_shot_write(const known_shot *shot, const char *path, kn_error *error);
/* Writes what --protect takes: boxes around the ring in the given frames. */
bool known_shot_write_marks(const known_shot *shot, const int *frames, int count, const char *path, kn_error *error);

#endif
