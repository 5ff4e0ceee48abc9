/* What a scene's world is grown from, wherever one looks at it. Internal to scene/world/ and scene/render/.
 *
 * The world is a function of scene, seed and place: it is cut in square tiles, and what a tile holds follows from the
 * road network, the scenario's ways and the seed alone. A window is the part of it that is built at a time: the tiles
 * around a stretch of the ego's way. Which window belongs to a frame follows from where the ego is. */
#ifndef KN_SCENE_WORLD_SITE_H
#define KN_SCENE_WORLD_SITE_H

#include "scene/world/world.h"

#define KN_TILE 64.0 /* metres along each side */

typedef enum kn_surroundings { KN_SURROUND_TOWN, KN_SURROUND_RURAL, KN_SURROUND_MOTORWAY } kn_surroundings;

/* Where somebody of the scenario passes or stands: a rectangle of half sizes (a, b). */
typedef struct kn_way_mark {
    double x, y, heading, a, b;
} kn_way_mark;

/* The land of the whole network, coarse: cell (i, j) has its centre at (x0 + (i + .5) cell, y0 + (j + .5) cell). */
typedef struct kn_far {
    double x0, y0, cell;
    int nx, ny;
    float *distance; /* [ny][nx] metres to the nearest road */
    float *height;   /* [ny][nx] of the land: the roads' where they are, smooth between them */
} kn_far;

typedef struct kn_tile {
    int i, j; /* covers [i, i + 1) x [j, j + 1) times KN_TILE */
    uint32_t ordinal;
} kn_tile;

typedef struct kn_world_site {
    const kn_road_network *network;
    uint64_t seed;
    double reach;   /* metres from the ego's way that are built */
    bool grow;      /* surroundings where the file gives none */
    bool parked;    /* parked cars are seen */
    kn_vec3 origin; /* of every mesh's coordinates: 0 unless the network lies far from it */
    kn_vec2 *path;  /* the ego's way, about every 4 m */
    double *along;  /* [path_count] metres from its start */
    size_t path_count;
    double heading; /* of the ego at the start: fields are laid out along it */
    kn_way_mark *marks;
    size_t mark_count, mark_capacity;
    kn_surroundings *kind;     /* [network.road_count] */
    kn_surroundings main_kind; /* of the road the ego starts on */
    kn_far far;
    kn_tile *tiles; /* all tiles within reach of the way, sorted by (i, j); ordinal: in the order of the way */
    size_t tile_count, tile_capacity;
} kn_world_site;

/* `layout` is the scenario as it stands in its file, played from its start. The network outlives the site. */
bool kn_world_site_init(kn_world_site *site, const kn_road_network *network, const kn_timeline *layout, uint64_t seed,
                        double reach, bool grow, kn_error *error);
/* Adds what of a clip's way lies apart from it. */
bool kn_world_site_add_way(kn_world_site *site, const kn_timeline *clip, kn_error *error);
void kn_world_site_finish(kn_world_site *site);

#define KN_WHOLE_WAY SIZE_MAX /* a window around all of it */
/* The window for an ego at (x, y). */
size_t kn_world_site_window(const kn_world_site *site, double x, double y);
/* The points [*first, *end) of the way around which a window is built. */
void kn_world_site_stretch(const kn_world_site *site, size_t window, size_t *first, size_t *end);
/* NULL: the tile is not within reach of the way. */
const kn_tile *kn_world_site_tile(const kn_world_site *site, int i, int j);

double kn_far_distance(const kn_far *far, double x, double y);
double kn_far_height(const kn_far *far, double x, double y);

/* Builds a window's geometry; models for the road users of `actors`. */
bool kn_world_build_window(kn_world *world, const kn_world_site *site, const kn_timeline *actors, size_t window,
                           kn_error *error);

#endif
