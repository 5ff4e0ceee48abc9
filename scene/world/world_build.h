/* What the steps of kn_world_build share. Internal to scene/world/. */
#ifndef KN_SCENE_WORLD_BUILD_H
#define KN_SCENE_WORLD_BUILD_H

#include "scene/world/build.h"
#include "scene/world/world_site.h"

/* --- the ground as a raster: who may stand where, and how high it is -------------------------- */

enum {
    KN_SPACE_DRIVEN = 1,  /* a lane that vehicles drive or stand on */
    KN_SPACE_SURFACE = 2, /* any lane of a road */
    KN_SPACE_FILL = 4,    /* asphalt between the connecting roads of a junction */
    KN_SPACE_BUILT = 8,   /* something stands here */
    KN_SPACE_CONNECTING = 16,
    KN_SPACE_WAY = 64,  /* somebody of the scenario passes or stands here: nothing is grown */
    KN_SPACE_PAVED = 32 /* pavement that was grown beside a road */
};

/* Cell (i, j) has its centre at (x0 + (i + .5) cell, y0 + (j + .5) cell); arrays are [ny][nx]. */
typedef struct kn_space {
    double x0, y0, cell;
    int nx, ny;
    uint8_t *flags;
    uint16_t *road;  /* road index + 1 whose driven lane lies here; 0xffff: several */
    float *height;   /* of the lowest road surface here */
    float *distance; /* metres to the nearest road surface; 0 on it */
    double coarse;   /* cell size of `ground` */
    int gx, gy;
    float *ground;            /* [gy][gx] heights of the land near roads */
    const struct kn_far *far; /* the land elsewhere */
} kn_space;

/* x0 and y0 are whole multiples of 4 m, so that cells and coarse cells lie alike in all windows. */
bool kn_space_init(kn_space *space, double x0, double y0, double x1, double y1, const struct kn_far *far,
                   kn_error *error);
void kn_space_finish(kn_space *space);
/* Cell index of a point, -1 outside. */
long kn_space_cell(const kn_space *space, double x, double y);
/* After all roads are in: distances and land heights. */
bool kn_space_settle(kn_space *space, kn_error *error);
/* Euclidean distance transform (Felzenszwalb & Huttenlocher 2012): distance[ny][nx] in cells to the nearest set cell;
 * nearest (may be NULL) gets its index, -1 when nothing is set. */
bool kn_space_transform(const uint8_t *set, int nx, int ny, float *distance, int32_t *nearest, kn_error *error);
double kn_space_distance(const kn_space *space, double x, double y); /* to roads; coarse beyond 60 m */
double kn_space_ground(const kn_space *space, double x, double y);   /* land height without relief */
/* Is this point on a driven lane or fill of a road other than `road` (index; -1: of any)? */
bool kn_space_driven(const kn_space *space, double x, double y, int road);
/* Is the rectangle of half sizes (a, b) around (x, y), turned by heading, at least `clearance` from road surfaces and
 * free? */
bool kn_space_free(const kn_space *space, double x, double y, double heading, double a, double b, double clearance);
/* Does any cell of that rectangle carry one of the flags? */
bool kn_space_has(const kn_space *space, double x, double y, double heading, double a, double b, uint8_t flags);
void kn_space_mark(kn_space *space, double x, double y, double heading, double a, double b, uint8_t flag);
void kn_space_occupy(kn_space *space, double x, double y, double heading, double a,
                     double b); /* marks KN_SPACE_BUILT */

/* --- the state of a build --------------------------------------------------------------------- */

/* The character of the open country. */
typedef struct kn_country {
    double wood;                /* of the field that says where woods stand: more of it is wood */
    double lone_trees;          /* share of places in the open on which a tree stands */
    double firs, hedges, farms; /* shares of woods, borders of fields, tiles */
    int leaf_trees[5];          /* kinds, as often as they stand here */
} kn_country;
kn_country kn_country_of(uint64_t seed);

/* What a tile of the raster's part of the world is to this window. */
enum {
    KN_TILE_KNOWN = 1, /* what stands there is decided: something in the window may depend on it */
    KN_TILE_DRAWN = 2, /* and is part of the window */
    KN_TILE_COUNTED = 4,
    KN_TILE_FULL = 8
};

typedef struct kn_world_builder {
    kn_build draw; /* into world->mesh, instance 0, identity pose */
    kn_world *world;
    const kn_world_site *site;
    const kn_road_network *network; /* the site's, like the next four */
    const kn_surroundings *kind;
    kn_surroundings main_kind;
    uint64_t seed;
    bool grow;
    double heading;
    kn_country country;
    kn_vec2 *path; /* [path_count] all of the ego's way that is within 160 m of the raster */
    size_t path_count;
    bool *road_near; /* [network.road_count] some of it lies on the raster */
    kn_space space;
    int ti0, tj0, tnx, tny; /* the tiles of the raster */
    uint8_t *tiles;         /* [tny][tnx] KN_TILE_* */
    uint16_t *tile_used;    /* [tny][tnx] instance numbers given out */
    int ti, tj;             /* the tile that is grown now */
    bool drawing;           /* it is part of the window; else only its places are taken */
    uint16_t first_static;  /* instance numbers of the world begin here */
    size_t tile_spent;      /* triangles that its things may need so far */
    size_t tiles_full;      /* tiles in which something found no room in the budget */
} kn_world_builder;

/* Metres to the ego's way, 160 at most: the same in every window in which (x, y) lies. */
double kn_world_path_distance(const kn_world_builder *w, double x, double y);
/* Does the window hold what stands at (x, y)? */
bool kn_world_inside(const kn_world_builder *w, double x, double y);
/* Does it belong to the tile that is grown now? */
bool kn_world_in_tile(const kn_world_builder *w, double x, double y);
/* Is the road at s on the raster? */
bool kn_world_near(const kn_world_builder *w, const kn_road *road, double s);
/* The same for any of it from s0 to s1. */
bool kn_world_near_between(const kn_world_builder *w, const kn_road *road, double s0, double s1);
/* Long things are drawn in pieces of this length, cut at whole multiples of s. */
#define KN_PIECE 48.0
/* Height of the land with relief. */
double kn_world_land(const kn_world_builder *w, double x, double y);
/* The next number of the tile at (x, y). */
uint16_t kn_world_new_instance(kn_world_builder *w, double x, double y);
bool kn_lane_is_driven(kn_lane_type type);

/* --- road geometry ---------------------------------------------------------------------------- */

/* Adaptive stations of [s0, s1] (within one lane section) so that straight lines between them stay within a centimetre
 * of both outer edges. Returns the count; at most `capacity`. */
size_t kn_road_stations(const kn_road *road, double s0, double s1, double *stations, size_t capacity);
/* Does lane i of a section have a surface of its own? Lanes of type none and wide borders at the margin are land. */
bool kn_lane_has_surface(const kn_lane_section *section, size_t i);
/* The outermost surface edges (t) of a road at s: left[0], right[1]; lanes of type none do not count at the margin. */
void kn_road_margins(const kn_road *road, double s, double margins[2]);

enum { KN_PROFILE_MAX = 8 };
/* A cross-section beside t0: offsets away from the road (metres, growing), heights above the road surface there. */
typedef struct kn_strip_profile {
    int count;
    double offset[KN_PROFILE_MAX], height[KN_PROFILE_MAX];
} kn_strip_profile;

/* Draws the profile along one margin (side +1 left, -1 right) of [s0, s1]. from/to choose points of the profile. */
void kn_world_strip(kn_world_builder *w, const kn_road *road, double s0, double s1, int side,
                    const kn_strip_profile *profile);

/* Is there room beside the margin at s: nothing driven of another road within `width` of the edge? */
bool kn_world_beside(const kn_world_builder *w, int road, double s, int side, double width);

/* A piece of a road's margin (side +1 left, -1 right) beside which there is room. */
typedef struct kn_stretch {
    int road, side;
    double s0, s1;   /* at most KN_PIECE long */
    double from, to; /* all of the stretch that it is part of, as far as the raster shows it */
    bool drawn;      /* the window holds it */
} kn_stretch;

/* Calls `visit` for every piece of the road's margin on the raster with room for `width`. */
typedef void (*kn_stretch_visit)(kn_world_builder *w, const kn_stretch *stretch, void *user);
void kn_world_stretches(kn_world_builder *w, int road, double width, kn_stretch_visit visit, void *user);

double kn_world_pavement_width(const kn_world_builder *w, int road, int side,
                               double s); /* grown pavement beside the margin; 0: none */

/* Where things stand beside a road: a pose with x along the road and y away from it (side +1 left of the road, -1
 * right: y then still points away), `offset` metres beyond the margin, on the pavement or the land. */
kn_pose kn_world_place(const kn_world_builder *w, int road, double s, int side, double offset, kn_vec2 *at);
/* Is a circle free of driven lanes, buildings and other things? */
bool kn_world_clear(const kn_world_builder *w, double x, double y, double radius);
/* Level of detail for a thing at (x, y): 1 near the ego's way .. .1 far. */
double kn_world_detail(const kn_world_builder *w, double x, double y);
/* Is there room in the budget of triangles for `count` more? */
bool kn_world_budget(kn_world_builder *w, size_t count);
void kn_world_light(kn_world_builder *w, const kn_light *light);
/* A traffic light at draw.pose for those who move in `direction` on a road; object: index in the road's objects, -1:
 * grown. */
void kn_world_signal(kn_world_builder *w, int road, int direction, int object, double height, double arm);
/* Draws a tree on the land at (x, y) with its own clearance check; false when there was no room. */
bool kn_world_tree(kn_world_builder *w, double x, double y, int species, double height, double clearance,
                   uint64_t seed);
/* A parked road user as static, labelled geometry. */
void kn_world_park(kn_world_builder *w, const kn_pose *pose, uint64_t seed);

/* --- steps ------------------------------------------------------------------------------------ */

bool kn_world_survey(kn_world_builder *w, size_t window);    /* world_survey.c: tiles, raster */
void kn_world_roads(kn_world_builder *w);                    /* world_road.c */
void kn_world_marks(kn_world_builder *w);                    /* world_mark.c */
void kn_world_margins(kn_world_builder *w);                  /* world_margin.c: kerbs, pavements, verges, guard rails */
bool kn_world_junctions(kn_world_builder *w, bool pavement); /* world_junction.c: fills between connecting roads */
void kn_world_barriers(kn_world_builder *w);                 /* world_country.c: along motorways */
void kn_world_spans(kn_world_builder *w);                    /* world_span.c: tunnels and bridges */
void kn_world_objects(kn_world_builder *w);                  /* world_object.c */
void kn_world_terrain(kn_world_builder *w);                  /* world_terrain.c */
/* Of one tile: */
void kn_world_grow_town(kn_world_builder *w);    /* world_town.c */
void kn_world_grow_country(kn_world_builder *w); /* world_country.c */

/* Common surfaces. */
kn_material kn_asphalt(int shade);
kn_material kn_pavement_matter(int shade);
kn_material kn_kerb_matter(void);
kn_material kn_grass(int shade);

#endif
