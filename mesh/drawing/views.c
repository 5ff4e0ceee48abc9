/* Where a drawing is seen from, by name. */
#include "kinora/design.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifndef M_PI
#define M_PI 3.14159265358979323846
#endif

static const struct {
    const char *name;
    double azimuth, elevation; /* degrees */
} known[] = {
    {"front", 0, 3},
    {"rear", 180, 3},
    {"left", 90, 3},
    {"right", 270, 3},
    {"side", 90, 3},
    {"side", 270, 3},
    {"top", 90, 88},
    {"top", 270, 88},
    {"three-quarter", 40, 12},
    {"three-quarter", 320, 12},
    {"three-quarter", 40, 28},
    {"three-quarter", 320, 28},
    {"rear-three-quarter", 140, 12},
    {"rear-three-quarter", 220, 12},
    {"rear-three-quarter", 140, 28},
    {"rear-three-quarter", 220, 28},
};
enum { KNOWN = sizeof known / sizeof known[0] };

static kn_drawing_view at(double azimuth, double elevation) {
    return (kn_drawing_view){azimuth * M_PI / 180, elevation * M_PI / 180};
}

int kn_drawing_views(const char *name, kn_drawing_view views[KN_VIEW_CANDIDATES]) {
    int count = 0;
    double azimuth, elevation;
    if (!name || !*name) { /* level and from a little above all round, and the plan */
        for (int i = 0; i < 12; i++) views[count++] = at(30 * i, 4);
        for (int i = 0; i < 12; i++) views[count++] = at(30 * i + 10, 22);
        for (int i = 0; i < 2; i++) views[count++] = at(90 + 180 * i, 88);
        return count;
    }
    for (int i = 0; i < KNOWN; i++)
        if (strcmp(known[i].name, name) == 0) views[count++] = at(known[i].azimuth, known[i].elevation);
    if (count) return count;
    char *end;
    azimuth = strtod(name, &end);
    if (end == name || *end != ',') return 0;
    const char *second = end + 1;
    elevation = strtod(second, &end);
    if (end == second || *end || !(fabs(azimuth) <= 360) || !(elevation >= -20 && elevation <= 90)) return 0;
    views[0] = at(azimuth, elevation);
    return 1;
}
