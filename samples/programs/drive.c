/* A driving clip out of a scenario, by the library.
 *
 *     cc drive.c $(pkg-config --cflags --libs kinora) -o drive
 *     ./drive /usr/share/kinora/samples/drive/town.xosc /usr/share/kinora/models/kinora-nano out 8 */
#include "kinora/drive.h"
#include "kinora/version.h"

#include <stdio.h>
#include <stdlib.h>

static bool show(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)user;
    fprintf(stderr, "\r%-8s %3d %%", stage, total ? (int)(100 * done / total) : 0);
    return true;
}

int main(int argc, char **argv) {
    if (argc != 5) return fprintf(stderr, "usage: drive SCENE MODEL|control OUTPUT FRAMES\n"), 2;
    if (!kn_version_serves(KN_VERSION_NUMBER))
        return fprintf(stderr, "libkinora %s is another version\n", kn_version_text()), 1;
    kn_drive_params params = KN_DRIVE_PARAMS_DEFAULT;
    params.scene = argv[1];
    params.model = argv[2];
    params.output = argv[3];
    params.frames = (size_t)atoi(argv[4]);
    if (argv[2][0] == 'c') params.source = KN_DRIVE_CONTROL; /* the renderer's colours, without weights */
    params.progress = show;
    kn_drive_report report;
    kn_error error;
    bool ok = kn_drive(&params, &report, &error);
    if (ok) fprintf(stderr, "\n%zu frames of %zu cameras, %.1f s\n", report.frames, report.cameras, report.total);
    else fprintf(stderr, "\n%s\n", error.message);
    return !ok;
}
