/* Road networks as ASAM OpenDRIVE 1.4+ describes them, and their evaluation. Internal to scene/.
 *
 * Coordinates: x east, y north, z up, metres. Along a road: s metres from its start along the reference line, t metres
 * to the left of it. Lane ids: positive left of the reference line, negative right, 0 the centre line (no width). */
#ifndef KN_SCENE_ROAD_H
#define KN_SCENE_ROAD_H

#include "base/base.h"
#include "base/vecmath.h"
#include "scene/road/geo.h"

/* value(ds) = a + b ds + c ds^2 + d ds^3 with ds = s - this.s (sOffset counts from the lane section's start). */
typedef struct kn_poly3 {
    double s, a, b, c, d;
} kn_poly3;

typedef enum kn_geometry_kind {
    KN_GEOMETRY_LINE,
    KN_GEOMETRY_ARC,
    KN_GEOMETRY_SPIRAL,
    KN_GEOMETRY_POLY3,
    KN_GEOMETRY_PARAM_POLY3
} kn_geometry_kind;

typedef struct kn_geometry {
    kn_geometry_kind kind;
    double s, x, y, heading, length;
    double curvature_start, curvature_end; /* arc: equal; spiral: both, 1/m */
    double u[4], v[4];                     /* poly3: v only; paramPoly3: aU..dU, aV..dV */
    bool normalized;                       /* paramPoly3: p in [0, 1] instead of [0, length] */
} kn_geometry;

typedef enum kn_lane_type {
    KN_LANE_NONE,
    KN_LANE_DRIVING,
    KN_LANE_STOP,
    KN_LANE_SHOULDER,
    KN_LANE_BIKING,
    KN_LANE_SIDEWALK,
    KN_LANE_BORDER,
    KN_LANE_RESTRICTED,
    KN_LANE_PARKING,
    KN_LANE_MEDIAN,
    KN_LANE_CURB,
    KN_LANE_EXIT,
    KN_LANE_ENTRY,
    KN_LANE_RAMP,
    KN_LANE_RAIL,
    KN_LANE_OTHER
} kn_lane_type;

typedef enum kn_mark_type {
    KN_MARK_NONE,
    KN_MARK_SOLID,
    KN_MARK_BROKEN,
    KN_MARK_SOLID_SOLID,
    KN_MARK_SOLID_BROKEN,
    KN_MARK_BROKEN_SOLID,
    KN_MARK_BROKEN_BROKEN,
    KN_MARK_BOTTS_DOTS,
    KN_MARK_CURB,
    KN_MARK_GRASS,
    KN_MARK_OTHER
} kn_mark_type;

typedef enum kn_mark_color {
    KN_MARK_WHITE,
    KN_MARK_YELLOW,
    KN_MARK_BLUE,
    KN_MARK_GREEN,
    KN_MARK_RED,
    KN_MARK_ORANGE
} kn_mark_color;

typedef struct kn_road_mark {
    double s_offset; /* from the lane section's start */
    kn_mark_type type;
    kn_mark_color color;
    double width;                 /* metres; the importer fills .12 (standard) or .25 (bold) when absent */
    double dash_length, dash_gap; /* of broken marks; the importer fills 3 and 9 (rural), 3 and 6 (town) when absent */
} kn_road_mark;

typedef struct kn_lane {
    int id;
    kn_lane_type type;
    bool level;
    int predecessor, successor; /* lane ids; KN_NO_LANE when absent */
    kn_poly3 *widths;           /* s = sOffset */
    size_t width_count;
    kn_poly3 *borders; /* t of the outer edge, s = sOffset; used when there are no widths */
    size_t border_count;
    kn_road_mark *marks; /* on the outer edge of the lane; of lane 0: on the centre line */
    size_t mark_count;
    double height_inner, height_outer; /* of the lane above the road surface (kerbs, pavements), metres */
    double speed_limit;                /* m/s; 0: none given */
} kn_lane;
#define KN_NO_LANE 0x7fffffff

typedef struct kn_lane_section {
    double s;       /* start on the road */
    double end;     /* filled by the importer */
    kn_lane *lanes; /* sorted by id, descending: leftmost first, ..., 1, 0, -1, ... rightmost */
    size_t lane_count;
    bool single_side; /* as the file gives it: the other side goes on; lanes hold both */
} kn_lane_section;

typedef enum kn_link_kind { KN_LINK_NONE, KN_LINK_ROAD, KN_LINK_JUNCTION } kn_link_kind;

typedef struct kn_road_link {
    kn_link_kind kind;
    int index;   /* into roads or junctions; -1 when dangling */
    bool at_end; /* contact point of the linked road: its end rather than its start */
} kn_road_link;

typedef enum kn_object_shape { KN_OBJECT_BOX, KN_OBJECT_CYLINDER, KN_OBJECT_OUTLINE } kn_object_shape;

/* <object> and <signal>, in road coordinates. */
typedef struct kn_road_object {
    char id[64], type[64], subtype[32], name[64]; /* OpenDRIVE's strings, cut to fit */
    bool is_signal, dynamic;
    bool reference; /* <signalReference>: `id` is that of a signal elsewhere; nothing stands here */
    double s, t, z_offset, heading, pitch, roll; /* heading relative to the road */
    kn_object_shape shape;
    double length, width, height, radius;
    bool more;            /* another outline of the object before it */
    double (*outline)[3]; /* u, v, z corners relative to the object; height of each corner in outline_height */
    double *outline_height;
    size_t outline_count;
    double repeat_length, repeat_distance; /* <repeat>; 0: single */
    int orientation;                       /* signals: +1, -1 or 0 for both */
    double value;
} kn_road_object;

/* <tunnel> or <bridge>: a stretch of a road. */
typedef struct kn_road_span {
    bool tunnel;
    double s, length, lighting; /* lighting: 0 dark .. 1 */
    char type[32];              /* OpenDRIVE's word: "standard", "underpass"; "concrete", "steel", "brick", "wood" */
} kn_road_span;

/* A slope across the road: angle(s) by which it falls from the reference line outwards, radians. */
typedef struct kn_crossfall {
    kn_poly3 angle;
    int side; /* +1 left, -1 right, 0 both */
} kn_crossfall;

/* A piece of a cross-section's height over the plane: a + b dt + c dt^2 + d dt^3 from t on; between the sections of two
 * s heights mix evenly. */
typedef struct kn_lateral_shape {
    double s, t, a, b, c, d;
} kn_lateral_shape;

typedef struct kn_road {
    char id[64], name[64];
    int line; /* of the <road> in its file */
    double length;
    int junction; /* index; -1 when the road is no connecting road */
    bool left_hand_traffic;
    bool open_ground;   /* a paved place: nobody follows its lanes */
    bool town;          /* <type type="town"> or lowSpeed somewhere */
    double speed_limit; /* m/s from <type><speed>; 0: none */
    kn_road_link predecessor, successor;
    kn_geometry *geometries;
    size_t geometry_count;
    kn_poly3 *elevations, *superelevations, *lane_offsets;
    size_t elevation_count, superelevation_count, lane_offset_count;
    kn_crossfall *crossfalls; /* sorted by s */
    size_t crossfall_count;
    kn_lateral_shape *shapes; /* sorted by s, then by t */
    size_t shape_count;
    kn_lane_section *sections;
    size_t section_count;
    kn_road_object *objects;
    size_t object_count;
    kn_road_span *spans;
    size_t span_count;
} kn_road;

typedef struct kn_lane_link {
    int from, to;
} kn_lane_link;

typedef struct kn_connection {
    int incoming_road, connecting_road; /* indices; -1 when dangling */
    bool contact_at_end;
    kn_lane_link *links;
    size_t link_count;
} kn_connection;

typedef struct kn_junction {
    char id[64], name[64];
    kn_connection *connections;
    size_t connection_count;
} kn_junction;

/* Signals that switch together. */
typedef struct kn_controller {
    char id[64];
    const char **signals; /* [signal_count] ids */
    size_t signal_count;
    int junction; /* whose lights they are; -1: none's */
    int sequence; /* place among the junction's controllers */
} kn_controller;

typedef struct kn_road_network {
    kn_road *roads;
    size_t road_count;
    kn_junction *junctions;
    size_t junction_count;
    kn_controller *controllers;
    size_t controller_count;
    kn_geo geo;                 /* of the header's geoReference */
    struct kn_signals *signals; /* signals.h; NULL: not planned yet */
    kn_arena arena;             /* owns every array and string above */
} kn_road_network;

struct kn_report; /* check.h: collects what is unsupported or wrong, with file and line */

/* Reads an .xodr file. What is outside the supported set goes to `report` (may be NULL). */
bool kn_road_network_read(kn_road_network *network, const char *path, struct kn_report *report, kn_error *error);
void kn_road_network_finish(kn_road_network *network);

int kn_road_find(const kn_road_network *network, const char *id); /* index or -1 */
const kn_lane_section *kn_road_section(const kn_road *road, double s);
const kn_lane *kn_section_lane(const kn_lane_section *section, int lane_id); /* NULL when absent */

typedef struct kn_road_frame {
    kn_vec3 position;
    double heading;     /* of the reference line, radians */
    double pitch, roll; /* of the surface, as kn_pose_from_euler takes them (a rising road has negative pitch) */
    double curvature;   /* 1/m, left positive */
} kn_road_frame;

/* The point at (s, t), s clamped to the road; height is the surface's without lane heights. */
kn_road_frame kn_road_at(const kn_road *road, double s, double t);
/* Is its cross-section anything but a straight line? */
static inline bool kn_road_is_profiled(const kn_road *road) { return road->crossfall_count || road->shape_count; }

/* t of the lane's inner edge, outer edge and centre at s (lane offset included). */
typedef struct kn_lane_span {
    double inner, outer, center; /* metres, left positive */
} kn_lane_span;
kn_lane_span kn_lane_span_at(const kn_road *road, double s, int lane_id);

/* The nearest road position of a world point: searches roads of the network (connecting roads too). */
typedef struct kn_road_position {
    int road; /* -1: nothing within `reach` */
    int lane; /* id of the lane that t falls into; KN_NO_LANE beside the road */
    double s, t;
} kn_road_position;
kn_road_position kn_road_locate(const kn_road_network *network, double x, double y, double reach);
/* The same, but only on lanes whose type `accept` takes (NULL: any). */
kn_road_position kn_road_locate_where(const kn_road_network *network, double x, double y, double reach,
                                      bool (*accept)(kn_lane_type type));

/* Walks `distance` metres (>= 0) in driving direction of the lane, over links and junctions. At a junction the
 * connection chosen is the one whose heading change is smallest unless `turn` says otherwise (-1 right, 0 straight,
 * +1 left). Returns false at a dead end (position then stands at the end). */
typedef struct kn_lane_position {
    int road, lane;
    double s;
    double offset; /* metres from the lane's centre, left of the driving direction positive */
} kn_lane_position;
bool kn_lane_advance(const kn_road_network *network, kn_lane_position *position, double distance, int turn);

/* Pose on the lane, facing the driving direction (lanes right of the reference line drive towards growing s in
 * right-hand traffic). */
kn_pose kn_lane_pose(const kn_road_network *network, const kn_lane_position *position);

#endif
