#include "base/orient.h"

#include <string.h>

kn_orientation kn_orientation_of_exif(int value) {
    static const kn_orientation table[9] = {[2] = {0, true},  [3] = {2, false}, [4] = {2, true}, [5] = {3, true},
                                            [6] = {1, false}, [7] = {1, true},  [8] = {3, false}};
    return value >= 1 && value <= 8 ? table[value] : (kn_orientation){0};
}

kn_orientation kn_orientation_inverse(kn_orientation o) {
    /* A mirrored turn is its own inverse: mirroring turns the other way round. */
    return o.mirrored ? o : (kn_orientation){(4 - o.quarter_turns) & 3, false};
}

void kn_orient(void *target, const void *source, int width, int height, size_t bytes, kn_orientation o) {
    const uint8_t *from = source;
    uint8_t *to = target;
    ptrdiff_t size = (ptrdiff_t)bytes, row = size * width;
    /* Where the upright picture's first pixel lies in the stored one, and the way to its right and lower neighbours. */
    ptrdiff_t right = o.mirrored ? -size : size, down = row, first = o.mirrored ? row - size : 0;
    int w = width, h = height;
    for (int turn = 0; turn < (o.quarter_turns & 3);
         turn++) { /* clockwise: the left column, upwards, becomes the top row */
        first += down * (h - 1);
        ptrdiff_t old = right;
        right = -down, down = old;
        int side = w;
        w = h, h = side;
    }
    for (int y = 0; y < h; y++) {
        const uint8_t *pixel = from + first + down * y;
        for (int x = 0; x < w; x++, pixel += right, to += size) memcpy(to, pixel, bytes);
    }
}
