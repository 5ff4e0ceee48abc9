/* Light by weather and time of day, already adapted to the camera's exposure: 1 is a white paper in full daylight on
 * the display. Shared by control maps and beauty renders. Internal to scene/. */
#ifndef KN_SCENE_LIGHT_H
#define KN_SCENE_LIGHT_H

#include "base/vecmath.h"
#include "kinora/scene.h"

/* Linear sRGB radiances. "Irradiance / pi" means: what a white Lambertian surface facing the light shows. */
typedef struct kn_light_setup {
    kn_vec3 sun_direction;       /* unit, towards the sun; the moon's when the sun has set */
    float sun_color[3];          /* irradiance / pi of the sun or moon behind the clouds */
    bool sun_shadows;            /* false when too little direct light is left to see a shadow */
    float zenith[3], horizon[3]; /* sky radiance */
    float ground[3];             /* radiance of the ground below, as light that comes up */
    float fog_color[3];
    float fog_extinction; /* 1/m; contrast 5 % at the visual range (Koschmieder) */
    float lamp_scale;     /* of kn_light colours onto surfaces */
    float lamps_on;       /* street lamps and lit windows, 0..1 */
    float darkness;       /* 0 day .. 1 night */
    float emission_scale; /* of kn_material.emission as the camera sees it */
    float exposure;       /* of the film: its curve is applied to radiance times this */
} kn_light_setup;

/* Any weather gives finite values. Thread-safe. */
kn_light_setup kn_light_setup_from_weather(const kn_weather *weather);

#endif
