/* kinora-known-shot write FOLDER | measure FILM: the drawn shot of tools/known_shot.h as FOLDER/shot.mkv with marks for
 * --protect in FOLDER/ring.json, and what a restyled film made of it. */
#include "tools/known_shot_measure.h"

#include <stdlib.h>
#include <string.h>

static bool write_all(const known_shot *shot, const char *folder, kn_error *error) {
    const int marked[] = {0, shot->cut};
    char *film = kn_path_join(folder, "shot.mkv", error), *marks = kn_path_join(folder, "ring.json", error);
    bool ok = film && marks && kn_make_directories(folder, error) && known_shot_write(shot, film, error) &&
              known_shot_write_marks(shot, marked, shot->cut ? 2 : 1, marks, error);
    kn_free(film);
    kn_free(marks);
    return ok;
}

static bool print_score(const known_shot *shot, const char *film, kn_error *error) {
    known_score s;
    if (!known_shot_measure(shot, film, &s, error)) return false;
    printf(
        "ring contrast of the source's %.3f, least %.3f (frame %d of %d); warp error film %.5f, source %.5f, per pixel "
        "%.5f; fine change film %.3f, source %.3f, per pixel %.3f\n",
        s.ring_mean, s.ring_least, s.ring_worst, s.ring_frames, s.warp_error, s.warp_source, s.warp_per_pixel, s.fine,
        s.fine_source, s.fine_per_pixel);
    return true;
}

int main(int argc, char **argv) {
    kn_error error = {0};
    known_shot shot = KNOWN_SHOT_DEFAULT;
    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--frames") == 0) shot.frames = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--ring") == 0) shot.ring = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--size") == 0) sscanf(argv[i + 1], "%dx%d", &shot.width, &shot.height);
        else if (strcmp(argv[i], "--shutter") == 0) shot.shutter = atof(argv[i + 1]);
    }
    if (shot.frames < 1 || shot.width < 64 || shot.height < 64 || shot.width > 8192 || shot.height > 8192) argc = 0;
    if (shot.cut >= shot.frames) shot.cut = 0;
    bool ok = argc > 2 && (strcmp(argv[1], "write") == 0     ? write_all(&shot, argv[2], &error)
                           : strcmp(argv[1], "measure") == 0 ? print_score(&shot, argv[2], &error)
                                                             : kn_fail(&error, KN_ERROR_INPUT, "%s: unknown", argv[1]));
    if (!ok)
        fprintf(stderr, "%s\n",
                error.message[0]
                    ? error.message
                    : "usage: kinora-known-shot write FOLDER|measure FILM [--frames N] [--size WxH] [--ring PIXELS] "
                      "[--shutter F]");
    return ok ? 0 : 2;
}
