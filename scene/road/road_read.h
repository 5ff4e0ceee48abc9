/* Pieces of the OpenDRIVE reader and of everything else that fills a kn_road_network. Internal to scene/. */
#ifndef KN_SCENE_ROAD_READ_H
#define KN_SCENE_ROAD_READ_H

#include "scene/road/road.h"
#include "scene/read/scenario_xml.h"

/* Lane sections of one road from its <lanes>. */
bool kn_road_read_lanes(kn_xml *xml, xmlNode *lanes, kn_road *road);
/* Completes sections of a single side by the lanes that the other side had before (road_sides.c). */
bool kn_road_continue_sides(kn_xml *xml, kn_road *road);
/* <objects> and <signals> of one road. */
bool kn_road_read_objects(kn_xml *xml, xmlNode *road_node, kn_road *road);
/* Records of a cubic: elements `name` inside `node`, with the position in attribute `s_name`. */
bool kn_road_read_cubics(kn_xml *xml, xmlNode *node, const char *name, const char *s_name, kn_poly3 **records,
                         size_t *count);

/* A network from the text of an .xodr file that is in memory. */
bool kn_road_network_parse(kn_road_network *network, const char *path, const void *data, size_t size, kn_report *report,
                           kn_error *error);

/* Fills what readers and generators leave open: ends of sections, lane heights of pavements, dash lengths. */
void kn_road_network_complete(kn_road_network *network);

/* Value and slope of a list of cubic records at s; 0 before the first and in an empty list. */
double kn_cubic_at(const kn_poly3 *records, size_t count, double s, double *slope);

#endif
