/* Depth and normal maps that come with the pictures of an orbit. Internal to pipelines/. */
#ifndef KN_PIPELINES_MESH_GIVEN_H
#define KN_PIPELINES_MESH_GIVEN_H

#include "kinora/base.h"

/* Reads one map of width x height pixels: a PFM (little or big endian, rows from the bottom as the format has them), or
 * a PNG with 8 or 16 bits a channel. channels 1: depth along the camera's z in any unit, 0 or not finite: unknown; PNG
 * values are taken as they are. channels 3: normals in the camera (x right, y down, z forward); PNG values 0..full
 * scale become -1..1. *map is [height][width][channels], owned by the caller. A damaged file or another size is
 * KN_ERROR_INPUT. Thread-safe. */
bool kn_given_map_read(float **map, const char *path, int width, int height, int channels, kn_error *error);

#endif
