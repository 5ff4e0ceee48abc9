/* Buildings, vegetation and street furniture. All draw in the local frame of build->pose with z up and the ground at
 * z = 0, with build->instance as it is set. `detail` 1 is near, below .5 a coarse version. Internal to scene/. */
#ifndef KN_SCENE_PROPS_H
#define KN_SCENE_PROPS_H

#include "scene/world/build.h"

typedef enum kn_roof { KN_ROOF_FLAT, KN_ROOF_GABLE, KN_ROOF_HIP } kn_roof;
enum { KN_FRONT = 1, KN_BACK = 2, KN_WEST = 4, KN_EAST = 8 }; /* sides that have windows; west is at -x */

/* Front at y = 0 facing -y, x in [-width/2, width/2], reaching back to y = depth. */
typedef struct kn_building {
    double width, depth, storey; /* metres; storey height of the upper floors */
    int storeys;
    bool shop, balconies, porch;
    int style; /* 0 brick, 1 plaster, 2 stone, 3 modern */
    kn_roof roof;
    unsigned open; /* sides with windows */
    double detail;
    uint64_t seed;
} kn_building;
void kn_building_draw(kn_build *build, const kn_building *spec);
double kn_building_height(const kn_building *spec); /* up to the eaves */

typedef enum kn_species {
    KN_TREE_LIME,
    KN_TREE_MAPLE,
    KN_TREE_BIRCH,
    KN_TREE_POPLAR,
    KN_TREE_SPRUCE,
    KN_TREE_PINE,
    KN_TREE_STREET,
    KN_TREE_COUNT
} kn_species;
void kn_tree_draw(kn_build *build, kn_species species, double height, double detail, uint64_t seed);
void kn_bush_draw(kn_build *build, double radius, double height, double detail, uint64_t seed);
/* A hedge along x from 0 to length. */
void kn_hedge_draw(kn_build *build, double length, double width, double height, double detail, uint64_t seed);

/* Lamp post with its arm towards -y; the light's place and direction come back in the mesh's coordinates. */
kn_light kn_lamp_post_draw(kn_build *build, double height, double arm, int style);
void kn_bench_draw(kn_build *build);
void kn_bin_draw(kn_build *build, uint64_t seed);
void kn_bollard_draw(kn_build *build);
void kn_bicycle_stand_draw(kn_build *build);
void kn_bus_shelter_draw(kn_build *build);
void kn_delineator_draw(kn_build *build); /* facing -x */
void kn_mailbox_draw(kn_build *build);
void kn_power_box_draw(kn_build *build, uint64_t seed);

typedef enum kn_sign {
    KN_SIGN_LIMIT,
    KN_SIGN_YIELD,
    KN_SIGN_STOP,
    KN_SIGN_PRIORITY,
    KN_SIGN_PROHIBIT,
    KN_SIGN_WARNING,
    KN_SIGN_INFO,
    KN_SIGN_PARKING,
    KN_SIGN_CROSSING
} kn_sign;
/* A sign on its pole, facing -x; value: the number of a speed limit. */
void kn_sign_draw(kn_build *build, kn_sign sign, double value, double height);
/* Traffic light facing -x, without its lenses; arm: metres of a mast over the road to y = arm; 0: none. */
void kn_traffic_light_draw(kn_build *build, double height, double arm);
/* Its lenses: red is switched by KN_LAMP_TAIL, amber by KN_LAMP_REVERSE, green by KN_LAMP_BRAKE. */
void kn_traffic_lenses_draw(kn_build *build, double height, double arm);
/* Gantry over y in [-half, half], blue panels facing -x. */
void kn_gantry_draw(kn_build *build, double half, double clearance, uint64_t seed);

#endif
