/* A drawn film whose motion is known: a ring of petals on the finger of a fast hand before a room, hidden for a while,
 * with motion blur, a whip pan and a cut. For tests and measures. */
#ifndef KN_TOOLS_KNOWN_SHOT_H
#define KN_TOOLS_KNOWN_SHOT_H

#include <stddef.h>

typedef struct known_shot {
    int width, height, frames;
    double ring;               /* diameter, pixels */
    double speed;              /* 1: the hand's fastest is about 20 pixels a frame */
    double shutter;            /* share of the time between frames that it is open: 0 no motion blur */
    int hide_from, hide_until; /* frames in which a post passes before the hand; equal: never */
    int whip_from, whip_until; /* frames in which the camera whips around, 50 pixels a frame */
    int cut;                   /* the first frame of another room; 0: none */
} known_shot;
#define KNOWN_SHOT_DEFAULT          \
    ((known_shot){.width = 640,     \
                  .height = 360,    \
                  .frames = 72,     \
                  .ring = 14,       \
                  .speed = 1,       \
                  .shutter = 0.5,   \
                  .hide_from = 24,  \
                  .hide_until = 34, \
                  .whip_from = 44,  \
                  .whip_until = 50, \
                  .cut = 60})

/* planes [3][height][width], sRGB in 0..1. */
void known_shot_draw(const known_shot *shot, int frame, float *planes);

typedef struct known_truth {
    double x, y, angle; /* of the ring's centre, pixels */
    double visible;     /* share of the ring that is neither hidden nor outside */
} known_truth;

/* Where things are in the middle of the shutter's time. Each of these may be NULL:
 *   motion   [2][height][width]: where each pixel's surface was in the frame before, as an offset
 *   seen     [height][width]: 1 where it was seen there, else 0; all 0 in the first frame and after the cut
 *   petals   [height][width]: how much of each pixel the ring's petals cover
 *   around   [height][width]: how much of each pixel the hand covers close around the ring */
known_truth known_shot_truth(const known_shot *shot, int frame, float *motion, float *seen, float *petals,
                             float *around);

/* The ring's contrast in a picture: mean luma of its petals less that of the hand around them. */
double known_shot_contrast(const float *planes, size_t pixels, const float *petals, const float *around);

#endif
