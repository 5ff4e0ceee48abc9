#include "scene/road/geo.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Value of "+key=..." in the text; the fallback when absent or no number. */
static double parameter(const char *text, const char *key, double fallback) {
    size_t length = strlen(key);
    for (const char *p = strchr(text, '+'); p; p = strchr(p + 1, '+'))
        if (!strncmp(p + 1, key, length) && p[1 + length] == '=') {
            char *end;
            double value = strtod(p + 2 + length, &end);
            return end != p + 2 + length && isfinite(value) ? value : fallback;
        }
    return fallback;
}

bool kn_geo_parse(kn_geo *geo, const char *text) {
    bool utm = strstr(text, "+proj=utm") != NULL;
    *geo = (kn_geo){.a = 6378137, .f = 1 / 298.257223563};
    if (!utm && !strstr(text, "+proj=tmerc")) return false;
    if (strstr(text, "+ellps=GRS80")) geo->f = 1 / 298.257222101;
    else if (strstr(text, "+ellps=bessel")) geo->a = 6377397.155, geo->f = 1 / 299.1528128;
    double degree = M_PI / 180, zone = parameter(text, "zone", 0);
    geo->latitude = utm ? 0 : parameter(text, "lat_0", 0) * degree;
    geo->longitude = (utm && zone >= 1 && zone <= 60 ? zone * 6 - 183 : parameter(text, "lon_0", 0)) * degree;
    geo->scale = utm ? 0.9996 : parameter(text, "k", parameter(text, "k_0", 1));
    geo->x = utm ? 500000 : parameter(text, "x_0", 0);
    geo->y = utm ? (strstr(text, "+south") ? 1e7 : 0) : parameter(text, "y_0", 0);
    return geo->known =
               fabs(geo->latitude) < 1.5 && fabs(geo->longitude) <= 2 * M_PI && geo->scale > 0.5 && geo->scale < 2;
}

/* Length of the meridian from the equator. */
static double meridian(const kn_geo *g, double e2, double latitude) {
    double e4 = e2 * e2, e6 = e4 * e2;
    return g->a * ((1 - e2 / 4 - 3 * e4 / 64 - 5 * e6 / 256) * latitude -
                   (3 * e2 / 8 + 3 * e4 / 32 + 45 * e6 / 1024) * sin(2 * latitude) +
                   (15 * e4 / 256 + 45 * e6 / 1024) * sin(4 * latitude) - 35 * e6 / 3072 * sin(6 * latitude));
}

void kn_geo_project(const kn_geo *g, double latitude, double longitude, double *x, double *y) {
    double e2 = g->f * (2 - g->f), ep2 = e2 / (1 - e2), s = sin(latitude), c = cos(latitude), t = tan(latitude);
    double n = g->a / sqrt(1 - e2 * s * s), T = t * t, C = ep2 * c * c, A = (longitude - g->longitude) * c;
    double A2 = A * A, A3 = A2 * A, A4 = A2 * A2, A5 = A4 * A, A6 = A4 * A2;
    double east =
        g->x + g->scale * n * (A + (1 - T + C) * A3 / 6 + (5 - 18 * T + T * T + 72 * C - 58 * ep2) * A5 / 120);
    double north = g->y + g->scale * (meridian(g, e2, latitude) - meridian(g, e2, g->latitude) +
                                      n * t *
                                          (A2 / 2 + (5 - T + 9 * C + 4 * C * C) * A4 / 24 +
                                           (61 - 58 * T + T * T + 600 * C - 330 * ep2) * A6 / 720));
    double dx = east - g->offset_x, dy = north - g->offset_y, h = -g->offset_heading;
    *x = cos(h) * dx - sin(h) * dy;
    *y = sin(h) * dx + cos(h) * dy;
}
