/* Latitude and longitude to the coordinates of a road network. Internal to scene/. */
#ifndef KN_SCENE_GEO_H
#define KN_SCENE_GEO_H

#include <stdbool.h>

/* A transverse Mercator projection as an OpenDRIVE header's geoReference names it. */
typedef struct kn_geo {
    bool known;
    double latitude, longitude;                /* of the origin, radians */
    double scale, x, y;                        /* k_0, false easting and northing */
    double a, f;                               /* ellipsoid: semi-major axis in metres, flattening */
    double offset_x, offset_y, offset_heading; /* <offset> of the header: network to projected */
} kn_geo;

/* From a PROJ string: "+proj=tmerc" or "+proj=utm" with lat_0, lon_0, k, k_0, x_0, y_0, zone, south, ellps, datum.
 * False for other projections. */
bool kn_geo_parse(kn_geo *geo, const char *text);

/* Radians to metres in the network's axes (Snyder, Map Projections: A Working Manual, USGS 1395, pp. 61-62; good to a
 * millimetre within 3 degrees of the central meridian). */
void kn_geo_project(const kn_geo *geo, double latitude, double longitude, double *x, double *y);

#endif
